/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_status.c owns the statements on the view mapping_status. */
#include "store_status.h"

#include "store_private.h"

#define STATUS_SQL                                                                                 \
	"SELECT id, service, account, state, problem, subject, issuer, serial, fingerprint,"       \
	" not_before, not_after, valid_from, valid_until, replaces, staged_until, account_uid,"    \
	" note, last_used, uses"                                                                   \
	" FROM mapping_status "

static const char *const status_names[STATUS_COLUMNS] = {
	[STATUS_ID] = "id",
	[STATUS_SERVICE] = "service",
	[STATUS_ACCOUNT] = "account",
	[STATUS_STATE] = "state",
	[STATUS_PROBLEM] = "problem",
	[STATUS_SUBJECT] = "subject",
	[STATUS_ISSUER] = "issuer",
	[STATUS_SERIAL] = "serial",
	[STATUS_FINGERPRINT] = "fingerprint",
	[STATUS_NOT_BEFORE] = "not_before",
	[STATUS_NOT_AFTER] = "not_after",
	[STATUS_VALID_FROM] = "valid_from",
	[STATUS_VALID_UNTIL] = "valid_until",
	[STATUS_REPLACES] = "replaces",
	[STATUS_STAGED_UNTIL] = "staged_until",
	[STATUS_ACCOUNT_UID] = "account_uid",
	[STATUS_NOTE] = "note",
	[STATUS_LAST_USED] = "last_used",
	[STATUS_USES] = "uses",
};

const char *store_status_name(enum store_status_column column)
{
	return status_names[column];
}

static void read_status(sqlite3_stmt *statement, struct store_status *ret)
{
	for (int i = 0; i < STATUS_COLUMNS; i++) {
		const int type = sqlite3_column_type(statement, i);

		ret->is_number[i] = type == SQLITE_INTEGER;
		ret->number[i] = type == SQLITE_INTEGER ? sqlite3_column_int64(statement, i) : 0;
		ret->text[i] = store_read_span(statement, i);
	}
}

/* *ret_any tells whether there was a row at all. */
static enum error hand_over(struct store *store, sqlite3_stmt *statement, store_status_taker *take,
	void *context, bool *ret_any, struct store_trouble *ret_trouble)
{
	struct store_status row;
	bool any = false;
	enum error error;
	int result;

	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		any = true;
		read_status(statement, &row);
		if ((error = take(&row, context)) != OK)
			return error;
	}
	if (result != SQLITE_DONE)
		return store_failed(store, ret_trouble);
	*ret_any = any;
	return OK;
}

enum error store_find_status(struct store *store, int64_t id, store_status_taker *take,
	void *context, bool *ret_found, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(
		store, STORE_FIND_STATUS, STATUS_SQL "WHERE id = ?1", &statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, id) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	return hand_over(store, statement, take, context, ret_found, ret_trouble);
}

enum error store_list_status(struct store *store, const char *service, const char *account,
	store_status_taker *take, void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_LIST_STATUS,
		STATUS_SQL "WHERE (?1 IS NULL OR service = ?1) AND (?2 IS NULL OR account = ?2)"
			   " ORDER BY id",
		&statement, ret_trouble);
	bool any;

	if (error != OK)
		return error;
	if (sqlite3_bind_text(statement, 1, service, -1, SQLITE_STATIC) != SQLITE_OK ||
		sqlite3_bind_text(statement, 2, account, -1, SQLITE_STATIC) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	return hand_over(store, statement, take, context, &any, ret_trouble);
}

static bool bind_filter(sqlite3_stmt *statement, const struct store_filter *filter)
{
	return sqlite3_bind_text(statement, 1, filter->service, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_text(statement, 2, filter->account, -1, SQLITE_STATIC) == SQLITE_OK &&
	       sqlite3_bind_text(statement, 3, filter->state, -1, SQLITE_STATIC) == SQLITE_OK &&
	       (!filter->has_unused_since ||
		       sqlite3_bind_int64(statement, 4, filter->unused_since_sec) == SQLITE_OK);
}

/* The index on service and account gives the order, so that nothing but an account's own rows is
 * sorted. A mapping's beginning is the first line of its history; one that was pruned is old. */
enum error store_filter_status(struct store *store, const struct store_filter *filter,
	store_status_taker *take, void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_FILTER_STATUS,
		STATUS_SQL "WHERE (?1 IS NULL OR service = ?1) AND (?2 IS NULL OR account = ?2)"
			   " AND (?3 IS NULL OR state = ?3)"
			   " AND (?4 IS NULL OR coalesce(unixepoch(last_used),"
			   "  (SELECT min(at) FROM history WHERE mapping_id = mapping_status.id"
			   "   AND change = 'insert'), 0) < ?4)"
			   " ORDER BY service, account, id",
		&statement, ret_trouble);
	bool any;

	if (error != OK)
		return error;
	if (!bind_filter(statement, filter))
		return store_failed(store, ret_trouble);
	return hand_over(store, statement, take, context, &any, ret_trouble);
}

enum error store_list_names(struct store *store, bool accounts, store_name_taker *take,
	void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error =
		store_prepare(store, accounts ? STORE_LIST_ACCOUNTS : STORE_LIST_SERVICES,
			accounts ? "SELECT DISTINCT account FROM mapping ORDER BY 1"
				 : "SELECT DISTINCT service FROM mapping ORDER BY 1",
			&statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	while ((result = sqlite3_step(statement)) == SQLITE_ROW)
		if ((error = take(store_read_span(statement, 0), context)) != OK)
			return error;
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}
