/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pam_certmap.c owns the five functions that libpam calls, and nothing but their sequence.
 *
 * The module is a guest in somebody else's process: no static state, no signal handler, no fork,
 * no exit, nothing on standard output, no descriptor left open.
 */
#include <security/pam_modules.h>

#include "attempt.h"
#include "report.h"
#include "session.h"
#include "verdict.h"

#define PAM_ENTRY __attribute__((visibility("default")))

PAM_ENTRY int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct attempt attempt = { .pamh = pamh, .phase = PHASE_AUTHENTICATE };
	int code;

	(void)flags;
	attempt_authenticate(&attempt, argc, argv);
	report_outcome(&attempt);
	code = attempt_code(&attempt);
	attempt_done(&attempt);
	return code;
}

/* There is nothing to set, and PAM_IGNORE here breaks login(1) where no other module answers. */
PAM_ENTRY int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}

PAM_ENTRY int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct attempt attempt = { .pamh = pamh, .phase = PHASE_ACCOUNT };

	(void)flags;
	if (!attempt_account(&attempt, argc, argv)) {
		report_no_opinion(&attempt);
		return PAM_IGNORE;
	}
	report_outcome(&attempt);
	return attempt_code(&attempt);
}

/* Sessions are only logged. One that did not come through pam_certmap is none of its business, and
 * must not fail where this is the only module of the session stack. */
static int log_session(pam_handle_t *pamh, int argc, const char **argv, const char *event)
{
	struct attempt attempt = { .pamh = pamh, .phase = PHASE_ACCOUNT };
	struct session session = { 0 };

	if (!attempt_session(&attempt, argc, argv, &session)) {
		report_outcome(&attempt);
		return verdict_session(attempt.outcome.reason);
	}
	if (session.account[0])
		report_session(&attempt, event, &session);
	return PAM_SUCCESS;
}

PAM_ENTRY int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return log_session(pamh, argc, argv, "opened");
}

/* May run as the target user, so it never asks the daemon. */
PAM_ENTRY int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)flags;
	return log_session(pamh, argc, argv, "closed");
}
