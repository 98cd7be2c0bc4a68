/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * index.h owns the way from what people wrote to what lookups find: it takes the queued mappings,
 * reads their certificates and settles their facts. certmapd does so at lookups, certmapctl after
 * its changes.
 */
#pragma once

#include "store.h"

/* Settles queued mappings for about `budget_usec`, at least one, in one short write transaction
 * (a shell waits for nobody, so nobody may wait for us). *ret_more tells whether any are left.
 * ERROR_BUSY: a writer is at work, nothing changed. ERROR_STORE: the facts can't be written (full
 * or read-only disk); reads may still work. ERROR_MEMORY, ERROR_SYSTEM. */
WARN_UNUSED enum error index_settle(struct store *store, uint64_t budget_usec, bool *ret_more,
	struct store_trouble *ret_trouble);

/* The same inside of a write transaction that the caller began and ends: for who wants to see the
 * facts of a row before it decides whether the row stays. */
WARN_UNUSED enum error index_settle_within(struct store *store, uint64_t budget_usec,
	bool *ret_more, struct store_trouble *ret_trouble);

/* For when facts can't be written now: answers as store_find() would if they were, by reading the
 * queue itself in one read transaction. *ret_complete is false where the queue was not read to its
 * end within `budget_usec`; then has_pending and has_exact_pending stand in *ret as they are, and
 * otherwise both are false. Errors as store_find(). */
WARN_UNUSED enum error index_find(struct store *store, uint64_t budget_usec,
	const struct store_question *question, struct store_answer *ret, bool *ret_complete,
	struct store_trouble *ret_trouble);

/* Names each mapping that lookups find by other facts than those of its certificate, in one read
 * transaction. */
typedef enum error index_taker(int64_t mapping_id, void *context);
WARN_UNUSED enum error index_check(
	struct store *store, index_taker *take, void *context, struct store_trouble *ret_trouble);
