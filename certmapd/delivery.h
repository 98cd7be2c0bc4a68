/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * delivery.h owns the way of a stored credential from its sealed row to the session that may have
 * it. store knows the row, seal the key; here they meet.
 */
#pragma once

#include "seal.h"
#include "store.h"

/* Opens the credential of an account: the one of the service itself before that of '*'. The key
 * stands in the file `key_path`, or, with NULL, in the one that systemd passed on.
 * OK with *ret_length over 0: `ret` holds it, and is the caller's to wipe. OK with 0: the session
 * can't have it, and *ret_concern says why, in fixed words. ERROR_BUSY, ERROR_MEMORY, ERROR_STORE,
 * ERROR_SYSTEM: nothing is known. */
WARN_UNUSED enum error delivery_open(struct store *store, const char *key_path, struct span service,
	const char *account, uint8_t ret[SEAL_PLAIN_MAX_BYTES], size_t *ret_length,
	const char **ret_concern, struct store_trouble *ret_trouble);
