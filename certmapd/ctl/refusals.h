/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refusals.h owns the reading of refused logins from the journal: the lines of the module, and with
 * them those of the daemon, by correlation id. A login that never reached the daemon has the
 * module's line alone.
 *
 * What stands in the journal is hostile: every local user can log what looks like a line of the
 * module. Only what has its exact form is taken, and it is for people to read, never to act upon.
 */
#pragma once

#include "errors.h"
#include "messages.h"

#include <stdint.h>

#define REFUSALS_USEC_PER_SEC 1000000u

/* Texts are whole or cut, terminated, not escaped; "": not known. */
struct refusal {
	uint64_t at_usec; /* CLOCK_REALTIME */
	char id[CORRELATION_ID_MAX_BYTES + 1];
	char service[SERVICE_MAX_BYTES + 1];
	char type[16]; /* of the stack: "auth", "account"; "": the daemon's line alone */
	char asked[ACCOUNT_MAX_BYTES + 1];
	char account[ACCOUNT_MAX_BYTES + 1];
	char reason[REASON_MAX_BYTES + 1];
	char fingerprint[FINGERPRINT_HEX_BYTES + 1];
	char host[REMOTE_HOST_MAX_BYTES + 1];
	char what[256];                    /* why, in the words of the module */
	char name[128];                    /* of the option or variable that `what' is about */
	char failure[128];                 /* of the system call that `what' is about */
	char shadow[REASON_MAX_BYTES + 1]; /* what the reason would be without shadow mode */
};

/* Borrowed; NULL: any. */
struct refusals_question {
	const char *directory; /* of a journal; NULL: this machine's */
	const char *service, *user;
	const char *id; /* or its beginning */
	uint64_t since_usec;
	size_t limit;
};

/* The newest refusals, the newest first; *ret is the caller's to free. ERROR_MEMORY; ERROR_SYSTEM:
 * the journal can't be read, errno says why. */
WARN_UNUSED enum error refusals_read(
	const struct refusals_question *question, struct refusal **ret, size_t *ret_count);

/* A line of the module as libpam hands it to syslog(3), "pam_certmap(SERVICE:TYPE): reason=...";
 * its time is the caller's to fill. False: it is none, or it is no line of an outcome. */
WARN_UNUSED bool refusals_parse(struct span message, struct refusal *ret);
