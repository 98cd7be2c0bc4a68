/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * narrate.h owns the words for what a trial found, gate by gate, and for what to do about it. The
 * findings are the trial's; here they become sentences, with dates and names.
 */
#pragma once

#include "trial.h"
#include "when.h"

#define NARRATE_TEXT_BYTES 1024u

/* The gate in a word. */
const char *narrate_gate(enum trial_gate gate);
/* "ok", "failed" or "not-reached". */
const char *narrate_finding(enum trial_finding finding);

/* What was found at the gate, printable. Returns `ret`. */
char *narrate_text(const struct trial_case *c, const struct trial *trial, enum trial_gate gate,
	char ret[NARRATE_TEXT_BYTES]);

/* What to do next, a sentence; "": nothing. */
const char *narrate_remedy(enum reason reason);
/* The same where only shadow mode stands in the way. */
const char *narrate_shadow(void);

/* "2026-12-21 01:33:55 UTC (in 29 days)". */
#define NARRATE_TIME_BYTES (WHEN_DATE_BYTES + WHEN_RELATIVE_BYTES + sizeof " UTC ()")
char *narrate_time(int64_t time_sec, int64_t now_sec, char ret[NARRATE_TIME_BYTES]);
