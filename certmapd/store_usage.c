/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_usage.c owns the statements on usage. */
#include "store_usage.h"

#include "store_private.h"

static enum error run_on(struct store *store, enum store_slot slot, const char *sql,
	const struct store_usage *usage, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, slot, sql, &statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, usage->mapping_id) != SQLITE_OK ||
		sqlite3_bind_int64(statement, 2, usage->last_used_sec) != SQLITE_OK ||
		sqlite3_bind_int64(statement, 3, (int64_t)usage->uses) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	return store_run(store, statement, ret_trouble);
}

/* A count that a person wrote may be the highest there is: past it the sum would be a floating
 * point number, which the column refuses, and with it the whole batch.
 *
 * Whether there is such a mapping is asked for its first use alone: a page of a million others has
 * to be read for it. Later ones are an update, and find nothing where it was deleted. */
static enum error write_one(
	struct store *store, const struct store_usage *usage, struct store_trouble *ret_trouble)
{
	enum error error = run_on(store, STORE_UPDATE_USAGE,
		"UPDATE usage SET last_used = max(last_used, ?2),"
		" uses = min(uses, 9223372036854775807 - ?3) + ?3 WHERE mapping_id = ?1",
		usage, ret_trouble);

	if (error != OK || sqlite3_changes(store->db) > 0)
		return error;
	return run_on(store, STORE_INSERT_USAGE,
		"INSERT INTO usage (mapping_id, last_used, uses)"
		" SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM mapping WHERE id = ?1)",
		usage, ret_trouble);
}

enum error store_write_usage(struct store *store, const struct store_usage *usages, size_t count,
	struct store_trouble *ret_trouble)
{
	enum error error = store_begin_write(store, ret_trouble);

	if (error != OK)
		return error;
	for (size_t i = 0; i < count && error == OK; i++)
		error = write_one(store, &usages[i], ret_trouble);
	if (error == OK)
		error = store_commit(store, ret_trouble);
	if (error != OK)
		store_rollback(store);
	return error;
}
