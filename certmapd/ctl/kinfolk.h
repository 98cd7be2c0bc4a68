/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kinfolk.h owns the mappings that are near to what a client shows, each told in a sentence. */
#pragma once

#include "narrate.h"
#include "store.h"
#include "trial.h"

#define KINFOLK_MAX 6u

struct kinfolk {
	struct kinsman {
		int64_t id;
		const char *relation; /* "same-key" */
		char text[NARRATE_TEXT_BYTES];
	} list[KINFOLK_MAX];
	size_t count;
};

/* Those that did not decide the trial, the nearest first, and last the mapping that held the
 * certificate before. What can't be read is left out: the explanation is as true without it. */
void kinfolk_find(struct store *store, const struct trial_case *c, const struct trial *trial,
	struct kinfolk *ret);
