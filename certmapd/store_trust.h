/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_trust.h owns the reading of what chains are checked with: the rows of `trust`, and the
 * certificate of a mapping.
 */
#pragma once

#include "store.h"

enum store_trust_kind {
	STORE_TRUST_ANCHOR,
	STORE_TRUST_INTERMEDIATE,
	STORE_TRUST_CRL,
};

/* Takes a row; `content` is lent out for the call, as it was stored. Anything but OK ends the
 * reading and is what the reader returns. */
typedef enum error store_trust_taker(
	int64_t id, enum store_trust_kind kind, struct span content, void *context);

/* Hands over what counts for the service: its own anchors, or those of '*' where it has none, and
 * the intermediates and lists of both. */
WARN_UNUSED enum error store_list_trust(struct store *store, struct span service,
	store_trust_taker *take, void *context, struct store_trouble *ret_trouble);

/* Copies the DER of a mapping's certificate. ERROR_MALFORMED: there is none, or it is too long. */
WARN_UNUSED enum error store_read_der(struct store *store, int64_t mapping_id, uint8_t *der,
	size_t capacity, size_t *ret_length, struct store_trouble *ret_trouble);

/* A number that changes whenever somebody else has committed, as of the last store_find(). */
unsigned store_version(const struct store *store);
