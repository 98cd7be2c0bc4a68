/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain.h owns the explanation of one login, which stands at the end of several verbs' ways: what
 * was presented, the line of the stack that it meets, each gate, and what is near.
 */
#pragma once

#include "ctl.h"

struct explain_case {
	const char *certificate; /* a file or a fingerprint; NULL: none is brought */
	const char *fingerprint; /* in its place, and never a file: from the journal; NULL: none */
	const char *service;
	const char *user;     /* NULL: none is asked for */
	const char *confdir;  /* NULL: libpam's own */
	const char *line;     /* words in place of the stack's; NULL: those of the stack */
	const char *accept;   /* chooses among several lines; NULL: the first that fits */
	const char *run_as;   /* the user that the service runs as; NULL: root */
	const char *key_path; /* of credentials; NULL: the default */
	bool is_verbose;
};

/* CTL_DONE: it would be allowed. CTL_REFUSED: it would not, or that could not be found out. */
WARN_UNUSED enum ctl_status explain_case(const struct ctl *ctl, const struct explain_case *asked);
