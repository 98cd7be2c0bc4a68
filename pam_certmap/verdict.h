/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verdict.h owns the one table from reasons and errors to PAM return codes, _pam_types.h.
 */
#pragma once

#include "errors.h"
#include "reason.h"

/* What pam_sm_authenticate returns. Never PAM_IGNORE: "required X" with "required pam_permit" lets
 * in on it (CVE-2025-24531, CVE-2025-23013). */
int verdict_authenticate(enum reason reason);

/* What pam_sm_acct_mgmt returns once there is something to decide about: every refusal looks the
 * same there. */
int verdict_account(enum reason reason);

/* What the session functions return where they can't say whose session it is. They decide nothing
 * else. */
int verdict_session(enum reason reason);

/* What authenticate and acct_mgmt return where this process could not find out. Never PAM_SUCCESS,
 * not for OK either. */
int verdict_error(enum error error);
