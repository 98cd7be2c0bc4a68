/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_trust.h owns the reading of what chains are checked with: the rows of `trust`, and the
 * certificate of a mapping.
 */
#pragma once

#include "store.h"

/* As the schema has it; lists grow long. */
#define STORE_TRUST_MAX_BYTES 16777216u

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

/* Every row, of whatever service. */
WARN_UNUSED enum error store_list_every_trust(struct store *store, store_trust_taker *take,
	void *context, struct store_trouble *ret_trouble);

/* Copies the DER of a mapping's certificate. ERROR_MALFORMED: there is none, or it is too long. */
WARN_UNUSED enum error store_read_der(struct store *store, int64_t mapping_id, uint8_t *der,
	size_t capacity, size_t *ret_length, struct store_trouble *ret_trouble);

/* A number that changes whenever somebody else has committed, as of the last store_find(). */
unsigned store_version(const struct store *store);

/* What the same service would have to check with, were the row `except_id` not there (0: all). */
struct store_trust_count {
	int64_t anchors;
	int64_t lists;
};

WARN_UNUSED enum error store_count_trust(struct store *store, struct span service,
	int64_t except_id, struct store_trust_count *ret, struct store_trouble *ret_trouble);

/* A row as people see it, lent out for the call. */
struct store_trust_row {
	int64_t id;
	struct span service;
	enum store_trust_kind kind;
	struct span note; /* not there: none */
	struct span content;
};

typedef enum error store_trust_row_taker(const struct store_trust_row *row, void *context);

/* Hands over all rows of all services, by service, kind and id. */
WARN_UNUSED enum error store_list_trust_rows(struct store *store, store_trust_row_taker *take,
	void *context, struct store_trouble *ret_trouble);

/* Inside of an edit. The row's id is not looked at; *ret_id is the one that SQLite gave. */
WARN_UNUSED enum error store_insert_trust(struct store *store, const struct store_trust_row *row,
	int64_t *ret_id, struct store_trouble *ret_trouble);
/* Inside of an edit: gives the row `row->id` this content, and this note if it has one. */
WARN_UNUSED enum error store_replace_trust(
	struct store *store, const struct store_trust_row *row, struct store_trouble *ret_trouble);
/* Inside of an edit. *ret_found is false where there is no such row. */
WARN_UNUSED enum error store_delete_trust(
	struct store *store, int64_t id, bool *ret_found, struct store_trouble *ret_trouble);

/* The word in the column kind. */
const char *store_trust_word(enum store_trust_kind kind);
