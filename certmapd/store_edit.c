/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_edit.c owns the statements that change mappings, and whom the history names for it. */
#include "store_edit.h"

#include "store_private.h"

static enum error clear_actor(struct store *store, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(
		store, STORE_CLEAR_ACTOR, "DELETE FROM actor", &statement, ret_trouble);

	return error == OK ? store_run(store, statement, ret_trouble) : error;
}

static enum error write_actor(
	struct store *store, const char *who, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_WRITE_ACTOR,
		"INSERT INTO actor (name) VALUES (?1)", &statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_text(statement, 1, who, -1, SQLITE_STATIC) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	return store_run(store, statement, ret_trouble);
}

/* Cleared first: a row that a shell left in the table would be everybody's name. */
enum error store_begin_edit(struct store *store, const char *who, struct store_trouble *ret_trouble)
{
	enum error error = store_begin_write(store, ret_trouble);

	if (error != OK)
		return error;
	if ((error = clear_actor(store, ret_trouble)) != OK ||
		(error = write_actor(store, who, ret_trouble)) != OK)
		store_rollback(store);
	return error;
}

enum error store_commit_edit(struct store *store, struct store_trouble *ret_trouble)
{
	enum error error;

	if ((error = clear_actor(store, ret_trouble)) != OK ||
		(error = store_commit(store, ret_trouble)) != OK)
		store_rollback(store);
	return error;
}

void store_watch_edits(struct store *store, store_edit_watcher *watcher, void *context)
{
	store->watcher = watcher;
	store->watcher_context = context;
}

/* What is not bound is NULL. */
static bool bind_limit(sqlite3_stmt *statement, int parameter, const struct store_limit *limit)
{
	return !limit->is_set || sqlite3_bind_int64(statement, parameter, limit->sec) == SQLITE_OK;
}

static bool bind_mapping(sqlite3_stmt *statement, const struct store_new_mapping *mapping)
{
	return sqlite3_bind_text(statement, 1, mapping->service, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_text(statement, 2, mapping->account, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_blob64(statement, 3, mapping->certificate.bytes,
		       mapping->certificate.length, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_int(statement, 4, mapping->enabled) == SQLITE_OK &&
	       (!mapping->has_uid || sqlite3_bind_int64(statement, 5, mapping->uid) == SQLITE_OK) &&
	       sqlite3_bind_text(statement, 6, mapping->note, -1, SQLITE_STATIC) == SQLITE_OK &&
	       (mapping->replaces == 0 ||
		       sqlite3_bind_int64(statement, 7, mapping->replaces) == SQLITE_OK) &&
	       bind_limit(statement, 8, &mapping->staged_until) &&
	       bind_limit(statement, 9, &mapping->valid_from) &&
	       bind_limit(statement, 10, &mapping->valid_until);
}

enum error store_insert_mapping(struct store *store, const struct store_new_mapping *mapping,
	int64_t *ret_id, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_INSERT_MAPPING,
		"INSERT INTO mapping (service, account, certificate, enabled, account_uid, note,"
		" replaces, staged_until, valid_from, valid_until)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		&statement, ret_trouble);

	if (error != OK)
		return error;
	if (!bind_mapping(statement, mapping))
		return store_failed(store, ret_trouble);
	if ((error = store_run_edit(store, statement, ret_trouble)) == OK)
		*ret_id = sqlite3_last_insert_rowid(store->db);
	return error;
}

/* sqlite3_changes() does not count what triggers change. */
static enum error run_on_mapping(struct store *store, enum store_slot slot, const char *sql,
	int64_t id, bool *ret_changed, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, slot, sql, &statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, id) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	if ((error = store_run_edit(store, statement, ret_trouble)) == OK)
		*ret_changed = sqlite3_changes(store->db) > 0;
	return error;
}

enum error store_delete_mapping(
	struct store *store, int64_t id, bool *ret_found, struct store_trouble *ret_trouble)
{
	return run_on_mapping(store, STORE_DELETE_MAPPING, "DELETE FROM mapping WHERE id = ?1", id,
		ret_found, ret_trouble);
}

enum error store_enable_mapping(
	struct store *store, int64_t id, bool *ret_changed, struct store_trouble *ret_trouble)
{
	return run_on_mapping(store, STORE_ENABLE_MAPPING,
		"UPDATE mapping SET enabled = 1 WHERE id = ?1 AND enabled = 0", id, ret_changed,
		ret_trouble);
}

enum error store_disable_mapping(
	struct store *store, int64_t id, bool *ret_changed, struct store_trouble *ret_trouble)
{
	return run_on_mapping(store, STORE_DISABLE_MAPPING,
		"UPDATE mapping SET enabled = 0, replaces = NULL, staged_until = NULL"
		" WHERE id = ?1 AND (enabled <> 0 OR replaces IS NOT NULL)",
		id, ret_changed, ret_trouble);
}

/* Disabled first: at no moment has the account two certificates; and the account's own alone, since
 * a person may have given that row to somebody else after this one was staged. That the staging is
 * over stands in the same statement, since the schema would see to it by one more entry in the
 * history. */
enum error store_take_over(
	struct store *store, int64_t id, bool *ret_replaced, struct store_trouble *ret_trouble)
{
	bool has_replaced = false, has_changed;
	enum error error = run_on_mapping(store, STORE_DISABLE_REPLACED,
		"UPDATE mapping SET enabled = 0 WHERE enabled = 1"
		" AND (id, service, account) ="
		" (SELECT replaces, service, account FROM mapping WHERE id = ?1)",
		id, &has_replaced, ret_trouble);

	if (error == OK)
		error = run_on_mapping(store, STORE_ENABLE_STAGED,
			"UPDATE mapping SET enabled = 1, replaces = NULL, staged_until = NULL"
			" WHERE id = ?1 AND enabled = 0",
			id, &has_changed, ret_trouble);
	if (error == OK)
		*ret_replaced = has_replaced;
	return error;
}
