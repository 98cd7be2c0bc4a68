/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sessions.h owns the sessions that an account still has when it is shut out: certmap decides who
 * comes in, and nobody who is in already hears of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Names the open sessions of `account` on stderr, and how they are ended. `uid` stands for an
 * account that this machine does not know any more; without one nothing is said of it.
 * systemd-logind knows them, utmp(5) where that does not run. */
void sessions_warn(const char *account, bool has_uid, uint32_t uid);
