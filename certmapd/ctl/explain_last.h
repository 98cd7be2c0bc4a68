/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain_last.h owns the explanation of what happened: the refusals of the journal, as a table, or
 * one of them whole. */
#pragma once

#include "explain.h"
#include "refusals.h"

/* CTL_DONE: they are shown, also where there are none. With a limit of one, or an id, the refusal
 * is explained as it would come out now, by the rest of `asked`, and the exit status is that of
 * explain_case(). */
WARN_UNUSED enum ctl_status explain_last(const struct ctl *ctl,
	const struct refusals_question *question, const struct explain_case *asked);
