/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_credential.h owns the sealed credentials: the one that a session gets, the list of them,
 * and their changes. What is in them is for seal.h alone.
 */
#pragma once

#include "store.h"

/* A row as it stands. It is lent out for the call that it is given to. */
struct store_credential {
	struct span service;
	struct span account;
	struct span sealed;
};

/* Takes a row; anything but OK ends the reading and is what the reader returns. It may write the
 * row that it was given. */
typedef enum error store_credential_taker(const struct store_credential *row, void *context);

/* Hands over the credentials by service and account. `service` and `account` choose, byte for byte;
 * NULL: all. */
WARN_UNUSED enum error store_list_credentials(struct store *store, const char *service,
	const char *account, store_credential_taker *take, void *context,
	struct store_trouble *ret_trouble);

/* Inside of an edit (store_begin_edit()). *ret_was_there tells whether one was replaced.
 * ERROR_REFUSED, ERROR_STORE, ERROR_MEMORY. */
WARN_UNUSED enum error store_write_credential(struct store *store,
	const struct store_credential *row, bool *ret_was_there, struct store_trouble *ret_trouble);

/* Inside of an edit. *ret_found is false where there is none. */
WARN_UNUSED enum error store_delete_credential(struct store *store, struct span service,
	struct span account, bool *ret_found, struct store_trouble *ret_trouble);

/* The sealed credential of an account, of the exact service before that of '*'. *ret_length is 0
 * where there is none. ERROR_MALFORMED: longer than `capacity`. */
WARN_UNUSED enum error store_find_credential(struct store *store, struct span service,
	const char *account, uint8_t *sealed, size_t capacity, size_t *ret_length,
	bool *ret_is_exact, struct store_trouble *ret_trouble);
