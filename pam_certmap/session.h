/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session.h owns what outlives one PAM call: which account and certificate a login stands for.
 *
 * It is kept in the PAM environment, because sshd runs setcred and session in other processes,
 * where PAM data is gone. The account phase of the same process has PAM data as well, which no
 * other module writes: there the environment must still name the certificate that was found.
 */
#pragma once

#include <security/_pam_types.h>

#include "messages.h"

#define SESSION_MAPPING_MAX_BYTES 20u /* UINT64_MAX in decimal */

struct session {
	char account[ACCOUNT_MAX_BYTES + 1];
	char fingerprint[FINGERPRINT_HEX_BYTES + 1]; /* lower-case hexadecimal */
	char mapping[SESSION_MAPPING_MAX_BYTES + 1]; /* decimal; empty where it is not known */
};

enum session_state {
	SESSION_NONE = 0, /* this login did not come through pam_certmap */
	SESSION_FOUND,
	SESSION_MALFORMED, /* somebody else wrote to the PAM environment */
};

/* Keeps what an allowed reply says and publishes CERTMAP_ACCOUNT, CERTMAP_FINGERPRINT,
 * CERTMAP_SUBJECT (where the reply has one) and CERTMAP_MAPPING. The reply's account is a sound
 * name. On failure nothing is kept. ERROR_MEMORY, ERROR_SYSTEM. */
WARN_UNUSED enum error session_keep(pam_handle_t *pamh, const struct reply *reply);

/* Removes all that session_keep() left: nothing may pass from one user of a handle to the next. */
void session_forget(pam_handle_t *pamh);

/* What is kept in the PAM environment, never in that of the process, where PAM data does not
 * contradict it. *ret is set with SESSION_FOUND alone. */
WARN_UNUSED enum session_state session_find(pam_handle_t *pamh, struct session *ret);

/* The PAM environment alone, which is what the service's session gets. */
WARN_UNUSED enum session_state session_find_published(pam_handle_t *pamh, struct session *ret);
