/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * attempt.h owns one run through the gates, in one PAM call: the order in which they are asked, and
 * all that the log line says afterwards.
 */
#pragma once

#include <security/_pam_types.h>

#include "client.h"
#include "inquiry.h"
#include "options.h"
#include "outcome.h"
#include "session.h"

/* PAM_USER as it was when the call began: a copy, because the item may change under our feet. */
struct attempt_user {
	bool is_sound; /* account_name_is_sound(), so `text` is all of it */
	size_t length;
	char text[ACCOUNT_MAX_BYTES + 1]; /* cut there */
};

/* Initialise with the handle and the phase, the rest zero: then it denies. On the stack, 10 KiB. */
struct attempt {
	pam_handle_t *pamh;
	enum phase phase;
	struct options options;
	struct attempt_user asked;
	char correlation_id[INQUIRY_ID_DIGITS + 1]; /* empty: nothing was asked */
	struct client_reply answer;                 /* zero: nobody answered */
	bool has_delivered;                         /* PAM_AUTHTOK is the stored credential */
	struct outcome outcome;
};

/* Decides who the client is. Afterwards the PAM handle holds what was found if the outcome is
 * `allowed`, and nothing of ours otherwise. */
void attempt_authenticate(struct attempt *attempt, int argc, const char *const *argv);

/* Wipes what the daemon answered, a credential among it. After the report, which borrows from it.
 */
void attempt_done(struct attempt *attempt);

/* Decides whether what attempt_authenticate() found still stands. False: the login did not come
 * through pam_certmap, there is nothing to decide. */
WARN_UNUSED bool attempt_account(struct attempt *attempt, int argc, const char *const *argv);

/* Finds whose session it is, for the log. True: *ret is set, or untouched where the login did not
 * come through pam_certmap. False: the outcome says why. */
WARN_UNUSED bool attempt_session(
	struct attempt *attempt, int argc, const char *const *argv, struct session *ret);

/* The PAM code of the outcome, for the phase of the attempt. */
int attempt_code(const struct attempt *attempt);
