/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reason.c owns the table of reason words. */
#include "reason.h"

#include <string.h>

static const char *const words[] = {
	[REASON_UNKNOWN] = "unknown",
	[REASON_ALLOWED] = "allowed",
	[REASON_MISCONFIGURED] = "misconfigured",
	[REASON_NO_CERTIFICATE] = "no-certificate",
	[REASON_EVIDENCE_NOT_ACCEPTED] = "evidence-not-accepted",
	[REASON_MALFORMED_CERTIFICATE] = "malformed-certificate",
	[REASON_UNMAPPED] = "unmapped",
	[REASON_SERVICE_DISABLED] = "service-disabled",
	[REASON_MAPPING_DISABLED] = "mapping-disabled",
	[REASON_MAPPING_NOT_YET_VALID] = "mapping-not-yet-valid",
	[REASON_MAPPING_EXPIRED] = "mapping-expired",
	[REASON_CERTIFICATE_NOT_YET_VALID] = "certificate-not-yet-valid",
	[REASON_CERTIFICATE_EXPIRED] = "certificate-expired",
	[REASON_UNTRUSTED_ISSUER] = "untrusted-issuer",
	[REASON_WRONG_USAGE] = "wrong-usage",
	[REASON_REVOKED] = "revoked",
	[REASON_REVOCATION_UNKNOWN] = "revocation-unknown",
	[REASON_AMBIGUOUS] = "ambiguous",
	[REASON_ACCOUNT_MISMATCH] = "account-mismatch",
	[REASON_ACCOUNT_MISSING] = "account-missing",
	[REASON_ACCOUNT_CHANGED] = "account-changed",
	[REASON_ROOT_REFUSED] = "root-refused",
	[REASON_CREDENTIAL_UNAVAILABLE] = "credential-unavailable",
	[REASON_FORBIDDEN] = "forbidden",
	[REASON_UNAVAILABLE] = "unavailable",
};

#define WORD_COUNT (sizeof words / sizeof words[0])

const char *reason_word(enum reason reason)
{
	return (size_t)reason < WORD_COUNT ? words[reason] : words[REASON_UNKNOWN];
}

enum reason reason_find(const char *word, size_t length)
{
	for (size_t i = REASON_UNKNOWN + 1; i < WORD_COUNT; i++)
		if (strlen(words[i]) == length && memcmp(words[i], word, length) == 0)
			return (enum reason)i;
	return REASON_UNKNOWN;
}
