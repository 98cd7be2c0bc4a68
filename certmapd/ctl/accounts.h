/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * accounts.h owns the uids of many accounts at a time: getpwnam(3) reads /etc/passwd from its
 * beginning for each, which for 100,000 of them takes minutes.
 */
#pragma once

#include "errors.h"

#include <stdbool.h>
#include <sys/types.h>

struct accounts;

/* Reads the accounts that can be listed. ERROR_MEMORY. */
WARN_UNUSED enum error accounts_new(struct accounts **ret);
void accounts_free(struct accounts *accounts);

/* Also an account that can't be listed (directory services seldom let one) is found. */
WARN_UNUSED bool accounts_find(const struct accounts *accounts, const char *name, uid_t *ret_uid);
