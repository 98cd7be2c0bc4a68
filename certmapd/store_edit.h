/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_edit.h owns the changes of mappings that are made in the place of a person, and the frame
 * of every change.
 *
 * The rules of a change stand in the triggers of the schema and nowhere else: ERROR_REFUSED brings
 * their words.
 */
#pragma once

#include "store.h"

/* A write transaction whose changes the history ascribes to `who` (1 to 256 bytes). It ends with
 * store_commit_edit() or store_rollback(). ERROR_BUSY: another writer, for all our patience. */
WARN_UNUSED enum error store_begin_edit(
	struct store *store, const char *who, struct store_trouble *ret_trouble);
WARN_UNUSED enum error store_commit_edit(struct store *store, struct store_trouble *ret_trouble);

/* From now on each statement that changes what people write is shown to `watcher` after it went
 * well: as SQL text with its values in place, without the semicolon, lent out for the call. What
 * certmap works out by itself is not shown. NULL: to nobody. */
typedef void store_edit_watcher(const char *sql, void *context);
void store_watch_edits(struct store *store, store_edit_watcher *watcher, void *context);

/* A point in time, Unix seconds, that may be left out. */
struct store_limit {
	bool is_set;
	int64_t sec;
};

/* What a person gives for a new mapping. Everything is borrowed. */
struct store_new_mapping {
	const char *service;
	const char *account;
	struct span certificate; /* as it came; stored as the same bytes */
	bool enabled;
	bool has_uid;
	uint32_t uid;
	const char *note; /* NULL: none */
	int64_t replaces; /* 0: none */
	struct store_limit staged_until, valid_from, valid_until;
};

/* Inside of an edit. *ret_id is the id that SQLite gave. ERROR_REFUSED, ERROR_STORE, ERROR_MEMORY.
 */
WARN_UNUSED enum error store_insert_mapping(struct store *store,
	const struct store_new_mapping *mapping, int64_t *ret_id,
	struct store_trouble *ret_trouble);

/* Inside of an edit. *ret_found is false where there is no such mapping. */
WARN_UNUSED enum error store_delete_mapping(
	struct store *store, int64_t id, bool *ret_found, struct store_trouble *ret_trouble);

/* Inside of an edit. *ret_changed is false where there is no such mapping, or it is enabled. */
WARN_UNUSED enum error store_enable_mapping(
	struct store *store, int64_t id, bool *ret_changed, struct store_trouble *ret_trouble);

/* Inside of an edit. Ends a staging as well: a staged mapping is not in force, but would be at its
 * first login. *ret_changed is false where there is no such mapping, or it is disabled for good. */
WARN_UNUSED enum error store_disable_mapping(
	struct store *store, int64_t id, bool *ret_changed, struct store_trouble *ret_trouble);

/* Inside of an edit: enables a staged mapping and disables the one that it replaces. *ret_replaced
 * is false where that one is gone, disabled already, or another account's by now. ERROR_REFUSED:
 * the schema does not let it, for instance because the account has another certificate by now. */
WARN_UNUSED enum error store_take_over(
	struct store *store, int64_t id, bool *ret_replaced, struct store_trouble *ret_trouble);
