/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_check.c owns the statements, which read whole tables. */
#include "store_check.h"

#include "store_private.h"

#include <string.h>

enum error store_check_integrity(struct store *store, store_words_taker *take, void *context,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(
		store, STORE_CHECK_INTEGRITY, "PRAGMA integrity_check", &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *words = store_read_word(statement, 0);

		if (strcmp(words, "ok") != 0 && (error = take(words, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

static const char staged_sql[] =
	"SELECT m.id, coalesce(m.replaces, 0), m.account, m.staged_until < unixepoch(),"
	" EXISTS (SELECT 1 FROM mapping AS x WHERE x.id = m.replaces AND"
	"  (x.enabled, x.service, x.account) <> (1, m.service, m.account)),"
	" NOT EXISTS (SELECT 1 FROM mapping AS x WHERE x.id = m.replaces) AND"
	"  (SELECT count(*) FROM mapping AS x WHERE x.service = m.service"
	"   AND x.account = m.account AND x.enabled = 1) >="
	"  coalesce((SELECT certificates_per_account FROM service WHERE name = m.service),"
	"   (SELECT certificates_per_account FROM service WHERE name = '*'))"
	" FROM mapping AS m WHERE m.enabled = 0 AND m.replaces IS NOT NULL ORDER BY m.id";

enum error store_list_staged(struct store *store, store_staged_taker *take, void *context,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error =
		store_prepare(store, STORE_LIST_STAGED, staged_sql, &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		const struct store_staged row = {
			.id = sqlite3_column_int64(statement, 0),
			.replaces = sqlite3_column_int64(statement, 1),
			.account = store_read_word(statement, 2),
			.has_lapsed = sqlite3_column_int(statement, 3) != 0,
			.is_shut_out = sqlite3_column_int(statement, 4) != 0,
			.is_crowded_out = sqlite3_column_int(statement, 5) != 0,
		};

		if ((error = take(&row, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

static const char crowded_sql[] =
	"SELECT service, account, count(*) AS found,"
	" coalesce((SELECT certificates_per_account FROM service WHERE name = mapping.service),"
	"  (SELECT certificates_per_account FROM service WHERE name = '*')) AS allowed"
	" FROM mapping WHERE enabled = 1 GROUP BY service, account HAVING found > allowed"
	" ORDER BY service, account";

enum error store_list_crowded(struct store *store, store_crowd_taker *take, void *context,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error =
		store_prepare(store, STORE_LIST_CROWDED, crowded_sql, &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		const struct store_crowd crowd = {
			.service = store_read_word(statement, 0),
			.account = store_read_word(statement, 1),
			.count = sqlite3_column_int64(statement, 2),
			.limit = sqlite3_column_int64(statement, 3),
		};

		if ((error = take(&crowd, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

/* The schema ---------------------------------------------------------------------------------- */

/* SQLite itself makes the indexes without a text, the table of the ids, and with ANALYZE, which a
 * person may run, those of statistics. */
static const char schema_sql[] =
	"SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND NOT (type = 'table'"
	" AND name IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4')) ORDER BY type, name";

struct listing {
	sqlite3_stmt *statement;
	int result; /* SQLITE_ROW: it stands on an object */
};

static void finish_listing(struct listing *listing)
{
	sqlite3_finalize(listing->statement);
}
#define LISTING __attribute__((cleanup(finish_listing))) struct listing

static void begin_listing(sqlite3 *db, struct listing *ret)
{
	ret->result = sqlite3_prepare_v2(db, schema_sql, -1, &ret->statement, NULL);
	if (ret->result == SQLITE_OK)
		ret->result = sqlite3_step(ret->statement);
}

/* The order of the statement; a listing at its end comes after all others. */
static int compare_objects(const struct listing *one, const struct listing *other)
{
	int order;

	if (one->result != SQLITE_ROW || other->result != SQLITE_ROW)
		return (other->result == SQLITE_ROW) - (one->result == SQLITE_ROW);
	order = strcmp(store_read_word(one->statement, 0), store_read_word(other->statement, 0));
	return order != 0 ? order
			  : strcmp(store_read_word(one->statement, 1),
				    store_read_word(other->statement, 1));
}

static enum error tell_object(const struct listing *listing, enum store_difference difference,
	store_object_taker *take, void *context)
{
	const struct store_object object = {
		.difference = difference,
		.type = store_read_word(listing->statement, 0),
		.name = store_read_word(listing->statement, 1),
		.is_trigger = strcmp(store_read_word(listing->statement, 0), "trigger") == 0,
	};

	return take(&object, context);
}

/* Goes through both side by side, as far as one of them goes. */
static enum error compare_listings(
	struct listing *found, struct listing *made, store_object_taker *take, void *context)
{
	enum error error = OK;

	while (error == OK && (found->result == SQLITE_ROW || made->result == SQLITE_ROW)) {
		const int order = compare_objects(found, made);

		if (order < 0)
			error = tell_object(found, STORE_OBJECT_ADDED, take, context);
		else if (order > 0)
			error = tell_object(made, STORE_OBJECT_MISSING, take, context);
		else if (strcmp(store_read_word(found->statement, 2),
				 store_read_word(made->statement, 2)) != 0)
			error = tell_object(found, STORE_OBJECT_CHANGED, take, context);
		if (order <= 0)
			found->result = sqlite3_step(found->statement);
		if (order >= 0)
			made->result = sqlite3_step(made->statement);
	}
	return error;
}

static void close_handle(sqlite3 **db)
{
	sqlite3_close(*db);
}

enum error store_check_schema(struct store *store, const struct migration *list, unsigned count,
	store_object_taker *take, void *context, struct store_trouble *ret_trouble)
{
	sqlite3 *fresh __attribute__((cleanup(close_handle))) = NULL;
	LISTING found = { 0 };
	LISTING made = { 0 };
	enum error error;

	if (sqlite3_open(":memory:", &fresh) != SQLITE_OK)
		return ERROR_MEMORY;
	for (unsigned i = 0; i < count; i++)
		if (sqlite3_exec(fresh, list[i].sql, NULL, NULL, NULL) != SQLITE_OK)
			return store_explain(
				ret_trouble, "%s: %s", list[i].name, sqlite3_errmsg(fresh));
	begin_listing(store->db, &found);
	begin_listing(fresh, &made);
	if ((error = compare_listings(&found, &made, take, context)) != OK)
		return error;
	if (made.result != SQLITE_DONE)
		return store_explain(ret_trouble, "%s", sqlite3_errmsg(fresh));
	return found.result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}
