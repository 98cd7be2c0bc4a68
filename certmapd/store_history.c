/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_history.c owns the statements on the history. */
#include "store_history.h"

#include "store_private.h"

#include <stdio.h>
#include <string.h>

/* For people ----------------------------------------------------------------------------------- */

/* A value as people read it. The keys with times are those of mapping, and of a pruning. */
#define READABLE(each)                                                                             \
	"coalesce(CASE WHEN " each ".key IN ('valid_from', 'valid_until', 'staged_until',"         \
	" 'before') THEN datetime(" each ".value, 'unixepoch') ELSE " each ".value END, 'none')"

#define ACCOUNT "coalesce(json_extract(h.n, '$.account'), json_extract(h.o, '$.account'))"

/* A shell can forge an entry whose JSON is none: it must not keep the others from being shown. */
/* clang-format off */
static const char list_sql[] =
	"WITH sound AS (SELECT *, CASE WHEN json_valid(old) THEN old ELSE '{}' END AS o,"
	"  CASE WHEN json_valid(new) THEN new ELSE '{}' END AS n FROM history),"
	" chosen AS (SELECT * FROM sound AS h WHERE (?1 = 0 OR mapping_id = ?1)"
	"  AND (?2 IS NULL OR json_extract(h.n, '$.account') = ?2"
	"   OR json_extract(h.o, '$.account') = ?2)"
	"  AND (?3 IS NULL OR at >= ?3) ORDER BY id DESC LIMIT ?4)"
	" SELECT h.id, h.at, h.mapping_id, h.who, h.object, h.change, " ACCOUNT ", h.old, h.new,"
	" h.old_certificate IS NOT NULL,"
	" CASE h.change WHEN 'update' THEN"
	"  (SELECT group_concat(a.key || ': ' || " READABLE("a") " || ' -> ' || " READABLE("b") ", ', ')"
	"   FROM json_each(h.o) AS a JOIN json_each(h.n) AS b ON b.key = a.key"
	"   WHERE a.value IS NOT b.value)"
	" ELSE"
	"  (SELECT group_concat(a.key || ': ' || " READABLE("a") ", ', ')"
	"   FROM json_each(CASE h.change WHEN 'delete' THEN h.o ELSE h.n END) AS a"
	"   WHERE a.value IS NOT NULL AND a.key <> 'account')"
	" END"
	" FROM chosen AS h ORDER BY h.id";
/* clang-format on */

enum column {
	COLUMN_ID,
	COLUMN_AT,
	COLUMN_MAPPING,
	COLUMN_WHO,
	COLUMN_OBJECT,
	COLUMN_CHANGE,
	COLUMN_ACCOUNT,
	COLUMN_OLD,
	COLUMN_NEW,
	COLUMN_HAS_CERTIFICATE,
	COLUMN_WORDS,
};

static struct store_history_entry read_entry(sqlite3_stmt *statement)
{
	return (struct store_history_entry){
		.id = sqlite3_column_int64(statement, COLUMN_ID),
		.at_sec = sqlite3_column_int64(statement, COLUMN_AT),
		.mapping_id = sqlite3_column_int64(statement, COLUMN_MAPPING),
		.who = store_read_span(statement, COLUMN_WHO),
		.object = store_read_span(statement, COLUMN_OBJECT),
		.change = store_read_span(statement, COLUMN_CHANGE),
		.account = store_read_span(statement, COLUMN_ACCOUNT),
		.old = store_read_span(statement, COLUMN_OLD),
		.new = store_read_span(statement, COLUMN_NEW),
		.has_certificate = sqlite3_column_int(statement, COLUMN_HAS_CERTIFICATE) != 0,
		.words = store_read_span(statement, COLUMN_WORDS),
	};
}

/* In SQLite a negative limit is none. */
static bool bind_choice(sqlite3_stmt *statement, const struct store_history_choice *choice)
{
	return sqlite3_bind_int64(statement, 1, choice->mapping_id) == SQLITE_OK &&
	       sqlite3_bind_text(statement, 2, choice->account, -1, SQLITE_STATIC) == SQLITE_OK &&
	       (!choice->since.is_set ||
		       sqlite3_bind_int64(statement, 3, choice->since.sec) == SQLITE_OK) &&
	       sqlite3_bind_int64(statement, 4, choice->limit > 0 ? choice->limit : -1) ==
		       SQLITE_OK;
}

enum error store_list_history(struct store *store, const struct store_history_choice *choice,
	store_history_taker *take, void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error =
		store_prepare(store, STORE_LIST_HISTORY, list_sql, &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (!bind_choice(statement, choice))
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		const struct store_history_entry entry = read_entry(statement);

		if ((error = take(&entry, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

/* Who gave an account its certificate stays known as long as the mapping is there. */
#define PRUNABLE                                                                                   \
	"FROM history WHERE at < ?1 AND NOT (object = 'mapping' AND change = 'insert'"             \
	" AND mapping_id IN (SELECT id FROM mapping))"

enum error store_count_prunable(struct store *store, int64_t before_sec, int64_t *ret_count,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(
		store, STORE_COUNT_PRUNABLE, "SELECT count(*) " PRUNABLE, &statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, before_sec) != SQLITE_OK ||
		sqlite3_step(statement) != SQLITE_ROW)
		return store_failed(store, ret_trouble);
	*ret_count = sqlite3_column_int64(statement, 0);
	return OK;
}

/* The trigger history_delete lets through what is older than prunes_before, and nothing else: not
 * by a slip of this statement either. changes() counts the deletion just before. */
enum error store_prune_history(
	struct store *store, int64_t before_sec, struct store_trouble *ret_trouble)
{
	static const struct {
		enum store_slot slot;
		const char *sql;
	} steps[] = {
		{ STORE_PRUNE_BEGIN,
			"INSERT INTO actor (name, prunes_before) VALUES ('history prune', ?1)" },
		{ STORE_PRUNE, "DELETE " PRUNABLE },
		{ STORE_PRUNE_NOTE,
			"INSERT INTO history (who, object, change, old) VALUES ("
			"(SELECT name FROM actor WHERE prunes_before IS NULL), 'history', 'delete',"
			" json_object('entries', changes(), 'before', ?1))" },
		{ STORE_PRUNE_END, "DELETE FROM actor WHERE prunes_before = ?1" },
	};

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		sqlite3_stmt *statement STORE_RESET = NULL;
		enum error error =
			store_prepare(store, steps[i].slot, steps[i].sql, &statement, ret_trouble);

		if (error != OK)
			return error;
		if (sqlite3_bind_int64(statement, 1, before_sec) != SQLITE_OK)
			return store_failed(store, ret_trouble);
		if ((error = store_run_edit(store, statement, ret_trouble)) != OK)
			return error;
	}
	return OK;
}

/* For the daemon --------------------------------------------------------------------------------
 */

/* An update is told by the columns that changed, a new or deleted row by those that are set. A
 * shell can forge an entry whose JSON is none: it is told without them, and ends no log. */
static const char next_sql[] =
	"WITH sound AS (SELECT *, iif(json_valid(old), old, NULL) AS o,"
	"  iif(json_valid(new), new, NULL) AS n FROM history)"
	" SELECT h.id, coalesce(h.mapping_id, 0), h.object, h.change, h.who,"
	" CASE h.change WHEN 'update' THEN"
	"  (SELECT group_concat(n.key || ': ' || coalesce(o.value, 'NULL') || ' -> ' ||"
	"    coalesce(n.value, 'NULL'), ', ')"
	"   FROM json_each(h.n) AS n JOIN json_each(h.o) AS o ON o.key = n.key"
	"   WHERE n.value IS NOT o.value)"
	" ELSE"
	"  (SELECT group_concat(key || ': ' || value, ', ')"
	"   FROM json_each(coalesce(h.n, h.o)) WHERE value IS NOT NULL)"
	" END,"
	" h.change = 'update' AND h.old_certificate IS NOT NULL"
	" FROM sound AS h WHERE h.id > ?1 ORDER BY h.id LIMIT 1";

static void read_logged(sqlite3_stmt *statement, struct store_logged_edit *ret)
{
	size_t length;

	ret->id = sqlite3_column_int64(statement, 0);
	ret->mapping_id = sqlite3_column_int64(statement, 1);
	store_read_note(statement, 2, ret->object, sizeof ret->object);
	store_read_note(statement, 3, ret->change, sizeof ret->change);
	store_read_note(statement, 4, ret->who, sizeof ret->who);
	store_read_note(statement, 5, ret->words, sizeof ret->words);
	length = strlen(ret->words);
	if (sqlite3_column_int(statement, 6))
		snprintf(ret->words + length, sizeof ret->words - length, "%scertificate replaced",
			length > 0 ? ", " : "");
}

enum error store_next_edit(struct store *store, int64_t after_id, struct store_logged_edit *ret,
	bool *ret_found, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_NEXT_EDIT, next_sql, &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, after_id) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	result = sqlite3_step(statement);
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		return store_failed(store, ret_trouble);
	*ret_found = result == SQLITE_ROW;
	if (*ret_found)
		read_logged(statement, ret);
	return OK;
}
