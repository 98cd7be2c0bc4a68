/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reason.h owns the reason words: why a lookup ended as it did.
 *
 * The words are stable. They are the same in the reply, the logs, certmapctl and the manual, and
 * cross the socket as text, so that the numbers here never leave the process.
 */
#pragma once

#include <stddef.h>

enum reason {
	REASON_UNKNOWN = 0, /* nothing was decided, or a newer daemon's word: never a yes */
	REASON_ALLOWED,
	REASON_MISCONFIGURED,
	REASON_NO_CERTIFICATE,
	REASON_EVIDENCE_NOT_ACCEPTED,
	REASON_MALFORMED_CERTIFICATE,
	REASON_UNMAPPED,
	REASON_SERVICE_DISABLED,
	REASON_MAPPING_DISABLED,
	REASON_MAPPING_NOT_YET_VALID,
	REASON_MAPPING_EXPIRED,
	REASON_CERTIFICATE_NOT_YET_VALID,
	REASON_CERTIFICATE_EXPIRED,
	REASON_UNTRUSTED_ISSUER,
	REASON_WRONG_USAGE,
	REASON_REVOKED,
	REASON_REVOCATION_UNKNOWN,
	REASON_AMBIGUOUS,
	REASON_ACCOUNT_MISMATCH,
	REASON_ACCOUNT_MISSING,
	REASON_ACCOUNT_CHANGED,
	REASON_ROOT_REFUSED,
	REASON_CREDENTIAL_UNAVAILABLE,
	REASON_FORBIDDEN,
	REASON_UNAVAILABLE,
};

/* The stable word; "unknown" for REASON_UNKNOWN and for a number that is none. Never NULL. */
const char *reason_word(enum reason reason);

/* The reason with this word, of `length` bytes and not terminated; REASON_UNKNOWN if there is none.
 * The word "unknown" itself is none. */
enum reason reason_find(const char *word, size_t length);
