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
#define OPTIONS_SSH_VARIABLE "SSH_AUTH_INFO_0"

/* Where the service puts the evidence. */
enum source {
	SOURCE_ENVIRONMENT = 1, /* a variable of the process, secure_getenv(3) */
	SOURCE_PAM_ENVIRONMENT, /* a variable of the PAM handle, pam_getenv(3) */
	SOURCE_AUTHTOK,         /* the password item, prompted for once where it is not set */
	SOURCE_USER,            /* PAM_USER: then it says whose certificate, not which account */
	SOURCE_SSH,             /* OPTIONS_SSH_VARIABLE of the PAM handle */
};

/* Pointers are borrowed from the arguments, except for the fixed defaults. */
struct options {
	enum source source;
	char source_name[OPTIONS_NAME_MAX_BYTES + 1]; /* of the variable; empty: it is none */
	char source_second_name[OPTIONS_NAME_MAX_BYTES + 1]; /* with EVIDENCE_NAMES, else empty */
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

/* Reads the arguments of one line, in any order. True: *ret is filled, and the place, the kind of
 * evidence and the mode fit together. False: *ret_problem says why not; *ret is untouched. */
WARN_UNUSED bool options_read(int argc, const char *const *argv, struct options *ret,
	struct options_problem *ret_problem);
