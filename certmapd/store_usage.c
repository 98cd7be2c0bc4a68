/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_usage.c owns the statement on usage. */
#include "store_usage.h"

#include "store_private.h"

static enum error write_one(
	struct store *store, const struct store_usage *usage, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	/* A mapping that was deleted meanwhile leaves nothing behind. */
	enum error error = store_prepare(store, STORE_WRITE_USAGE,
		"INSERT INTO usage (mapping_id, last_used, uses)"
		" SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM mapping WHERE id = ?1)"
		" ON CONFLICT (mapping_id) DO UPDATE SET"
		" last_used = max(last_used, excluded.last_used), uses = uses + excluded.uses",
		&statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, usage->mapping_id) != SQLITE_OK ||
		sqlite3_bind_int64(statement, 2, usage->last_used_sec) != SQLITE_OK ||
		sqlite3_bind_int64(statement, 3, (int64_t)usage->uses) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	return store_run(store, statement, ret_trouble);
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
