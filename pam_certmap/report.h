/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report.h owns what the module writes to the log, through pam_syslog(3): one line per outcome,
 * key=value, at most 1 KiB with libpam's own prefix, text from outside escaped; never a
 * certificate's bytes, and never the value of a variable or option.
 */
#pragma once

#include "attempt.h"
#include "session.h"

/* The line of a whole attempt: LOG_INFO where it was allowed, LOG_NOTICE where it was refused,
 * LOG_ERR where an administrator has something to mend. */
void report_outcome(const struct attempt *attempt);

/* With the option `debug` alone: what is about to be asked, and where. */
void report_question(const struct attempt *attempt, size_t evidence_bytes);

/* With the option `debug` alone: nothing to decide in this phase. */
void report_no_opinion(const struct attempt *attempt);

/* "session opened" and "session closed", with whose certificate. */
void report_session(
	const struct attempt *attempt, const char *event, const struct session *session);
