/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verdict.c owns the tables themselves. A reason or error that is added elsewhere stops the build
 * here (-Wswitch-enum); a number that is none of them is a refusal.
 */
#include "verdict.h"

#include <security/_pam_types.h>

int verdict_authenticate(enum reason reason)
{
	switch (reason) {
	case REASON_ALLOWED:
		return PAM_SUCCESS;
	case REASON_MISCONFIGURED:
		return PAM_SERVICE_ERR;
	case REASON_NO_CERTIFICATE:
		return PAM_CRED_INSUFFICIENT;
	case REASON_ACCOUNT_MISSING:
		return PAM_USER_UNKNOWN;
	case REASON_CREDENTIAL_UNAVAILABLE:
	case REASON_FORBIDDEN:
	case REASON_UNAVAILABLE:
		return PAM_AUTHINFO_UNAVAIL;
	/* Not PAM_USER_UNKNOWN for `unmapped`: programs that print a text per code must tell the
	 * client nothing, and caches of unknown users must not learn from it. */
	case REASON_UNMAPPED:
	case REASON_EVIDENCE_NOT_ACCEPTED:
	case REASON_MALFORMED_CERTIFICATE:
	case REASON_SERVICE_DISABLED:
	case REASON_MAPPING_DISABLED:
	case REASON_MAPPING_NOT_YET_VALID:
	case REASON_MAPPING_EXPIRED:
	case REASON_CERTIFICATE_NOT_YET_VALID:
	case REASON_CERTIFICATE_EXPIRED:
	case REASON_UNTRUSTED_ISSUER:
	case REASON_WRONG_USAGE:
	case REASON_REVOKED:
	case REASON_REVOCATION_UNKNOWN:
	case REASON_AMBIGUOUS:
	case REASON_ACCOUNT_MISMATCH:
	case REASON_ACCOUNT_CHANGED:
	case REASON_ROOT_REFUSED:
	case REASON_UNKNOWN:
		return PAM_AUTH_ERR;
	}
	return PAM_AUTH_ERR; /* a newer daemon's verdict is never a yes */
}

int verdict_account(enum reason reason)
{
	const int code = verdict_authenticate(reason);

	/* The account phase has no word for a missing certificate, and applications treat
	 * PAM_USER_UNKNOWN in their own ways there. */
	if (code == PAM_CRED_INSUFFICIENT || code == PAM_USER_UNKNOWN)
		return PAM_AUTH_ERR;
	return code;
}

int verdict_session(enum reason reason)
{
	return reason == REASON_MISCONFIGURED ? PAM_SERVICE_ERR : PAM_SESSION_ERR;
}

int verdict_error(enum error error)
{
	switch (error) {
	case ERROR_MEMORY:
		return PAM_BUF_ERR;
	case ERROR_SYSTEM:
	case OK:
		return PAM_SYSTEM_ERR;
	case ERROR_DEADLINE:
	case ERROR_PEER:
	case ERROR_MALFORMED:
	case ERROR_TOO_LARGE:
	case ERROR_VERSION:
	case ERROR_BUSY:
	case ERROR_STORE:
	case ERROR_REFUSED:
		return PAM_AUTHINFO_UNAVAIL;
	}
	return PAM_SYSTEM_ERR;
}
