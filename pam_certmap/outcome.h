/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * outcome.h owns the shape in which every part of the module says how a call ends and what the log
 * line has to say about it.
 */
#pragma once

#include "errors.h"
#include "reason.h"
#include "span.h"

/* Zero-initialised it denies: no reason was found to allow. */
struct outcome {
	enum reason reason;
	enum error error; /* not OK where this process could not find out */
	const char *what; /* fixed text for the log: what failed; or NULL */
	struct span name; /* the option or variable that it is about; optional, borrowed */
	int errno_value;  /* 0 where none fits */
};

/* Both return false, so that a gate can end with them. */
static inline bool outcome_refuse(enum reason reason, const char *what, struct outcome *ret)
{
	*ret = (struct outcome){ .reason = reason, .what = what };
	return false;
}

static inline bool outcome_fail(
	enum error error, const char *what, int errno_value, struct outcome *ret)
{
	*ret = (struct outcome){
		.reason = REASON_UNAVAILABLE,
		.error = error,
		.what = what,
		.errno_value = errno_value,
	};
	return false;
}
