/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * errors.h owns the project's one list of errors.
 *
 * An error means that we could not find out; it travels unchanged to the one place that logs it.
 * What was found out ("no such mapping", "expired") is an answer and never stands here: answers
 * are data, see reason.h.
 */
#pragma once

enum error {
	OK = 0,
	ERROR_MEMORY,    /* out of memory */
	ERROR_SYSTEM,    /* a system call failed; errno says which way */
	ERROR_DEADLINE,  /* the deadline passed */
	ERROR_PEER,      /* nobody there, connection refused or cut, or not the peer we trust */
	ERROR_MALFORMED, /* bytes from outside break the rules of their format */
	ERROR_TOO_LARGE, /* a named limit was exceeded */
	ERROR_VERSION,   /* a version, or a critical part, that this code does not know */
	ERROR_BUSY,      /* somebody holds the lock now: the same call may succeed later */
	ERROR_STORE,     /* the database is missing, unsafe, foreign, unmigrated or broken */
	ERROR_REFUSED,   /* the database refused a change, in words */
};

#define WARN_UNUSED __attribute__((warn_unused_result))

/* A fixed text for logs; never NULL. */
const char *error_text(enum error error);
