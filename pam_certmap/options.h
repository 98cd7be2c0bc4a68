/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.h owns the words of a pam_certmap line in /etc/pam.d: it reads them, and refuses what it
 * does not understand completely. A misspelt option that was skipped would be a weaker policy than
 * the one that the administrator wrote.
 */
#pragma once

#include <limits.h>

#include "messages.h"
#include "span.h"

#define OPTIONS_SOCKET_PATH "/run/certmap/lookup"
#define OPTIONS_TIMEOUT_MSEC 2000u
#define OPTIONS_TIMEOUT_MAX_MSEC 600000u /* ten minutes: beyond that it is a slip of the pen */
#define OPTIONS_NAME_MAX_BYTES 255u      /* of a variable's name */

/* Where the service puts the evidence. */
enum source {
	SOURCE_ENVIRONMENT = 1, /* a variable of the process, secure_getenv(3) */
	SOURCE_PAM_ENVIRONMENT, /* a variable of the PAM handle, pam_getenv(3) */
	SOURCE_AUTHTOK,         /* the password item, prompted for once where it is not set */
};

/* All strings are borrowed from the arguments, except for the fixed defaults. */
struct options {
	enum source source;
	const char *source_name; /* of the variable; NULL with SOURCE_AUTHTOK */
	enum evidence_kind accept;
	enum match_mode mode;
	char require_name[OPTIONS_NAME_MAX_BYTES + 1]; /* empty: nothing more is required */
	const char *require_value;
	const char *socket_path;
	uint64_t timeout_usec;
	bool allow_root;
	bool debug;
};

/* Why a line is misconfigured. */
struct options_problem {
	struct span option; /* the option's name alone: a value may be a secret; borrowed */
	const char *why;    /* fixed text for the log, with the remedy */
};

/* Reads the arguments of one line. True: *ret is filled. False: *ret_problem says why not; *ret is
 * untouched. Knows the words of the whole design, and refuses those that this version can't do. */
WARN_UNUSED bool options_read(int argc, const char *const *argv, struct options *ret,
	struct options_problem *ret_problem);
