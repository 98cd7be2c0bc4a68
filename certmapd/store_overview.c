/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_overview.c owns the statements over all mappings. */
#include "store_overview.h"

#include "store_private.h"

#include <string.h>

enum error store_count_states(struct store *store, store_state_taker *take, void *context,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_COUNT_STATES,
		"SELECT state, count(*) FROM mapping_status GROUP BY state ORDER BY 2 DESC, 1",
		&statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	while ((result = sqlite3_step(statement)) == SQLITE_ROW)
		if ((error = take(store_read_span(statement, 0), sqlite3_column_int64(statement, 1),
			     context)) != OK)
			return error;
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_read_overview(
	struct store *store, struct store_overview *ret, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_READ_OVERVIEW,
		"SELECT (SELECT count(*) FROM pending),"
		" (SELECT min(f.not_after) FROM fact AS f JOIN mapping AS m ON m.id = f.mapping_id"
		"  WHERE m.enabled = 1 AND f.problem IS NULL)",
		&statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_step(statement) != SQLITE_ROW)
		return store_failed(store, ret_trouble);
	*ret = (struct store_overview){
		.pending = sqlite3_column_int64(statement, 0),
		.has_not_after = sqlite3_column_type(statement, 1) == SQLITE_INTEGER,
		.not_after_sec = sqlite3_column_int64(statement, 1),
	};
	return OK;
}

/* A mapping that is disabled and not staged ends nothing for anybody. */
#define IN_USE "(m.enabled = 1 OR m.replaces IS NOT NULL)"
#define SELECT_END "SELECT m.id, m.service, m.account, f.subject, "
#define FROM_ALL " AS at FROM mapping AS m LEFT JOIN fact AS f ON f.mapping_id = m.id WHERE "

/* clang-format off */
static const char ends_sql[] =
	SELECT_END "'certificate', f.not_after" FROM_ALL IN_USE
	" AND f.problem IS NULL AND f.not_after <= ?1"
	" UNION ALL "
	SELECT_END "'mapping', m.valid_until" FROM_ALL IN_USE
	" AND m.valid_until <= ?1"
	" UNION ALL "
	SELECT_END "'staging', m.staged_until" FROM_ALL
	"m.enabled = 0 AND m.replaces IS NOT NULL AND m.staged_until <= ?1"
	" ORDER BY at, id";
/* clang-format on */

enum end_column { END_ID, END_SERVICE, END_ACCOUNT, END_SUBJECT, END_WHAT, END_AT };

/* One of the words of ends_sql: a string of our own outlives the statement. */
static const char *find_word(sqlite3_stmt *statement)
{
	static const char *const words[] = { "certificate", "mapping", "staging" };
	const struct span word = store_read_span(statement, END_WHAT);

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (span_is_equal(word, span_of_string(words[i])))
			return words[i];
	return "";
}

enum error store_list_ends(struct store *store, int64_t until_sec, store_end_taker *take,
	void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_LIST_ENDS, ends_sql, &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, until_sec) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		const struct store_end end = {
			.what = find_word(statement),
			.at_sec = sqlite3_column_int64(statement, END_AT),
			.id = sqlite3_column_int64(statement, END_ID),
			.service = store_read_span(statement, END_SERVICE),
			.account = store_read_span(statement, END_ACCOUNT),
			.subject = store_read_span(statement, END_SUBJECT),
		};

		if ((error = take(&end, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}
