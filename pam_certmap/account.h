/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * account.h owns the last gate: whether an account's name is one that we handle at all, and whether
 * the system knows the account as the one that was mapped.
 */
#pragma once

#include "messages.h"
#include "outcome.h"

/* A name of 1 to ACCOUNT_MAX_BYTES bytes without control characters, a NUL included. */
bool account_name_is_sound(struct span name);

/* Asks NSS, getpwnam_r(3). True: `account` exists, has the uid of the mapping where the reply
 * carries one, and is not uid 0 unless `allow_root`, under whatever name. False: *ret_outcome says
 * why. */
WARN_UNUSED bool account_check(const char *account, const struct reply *reply, bool allow_root,
	struct outcome *ret_outcome);
