/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_edit.c owns the statements that change mappings for a person and show them. */
#include "store_edit.h"

#include "store_private.h"

#include <string.h>

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
		" WHERE id = ?1 AND (enabled = 1 OR replaces IS NOT NULL)",
		id, ret_changed, ret_trouble);
}

/* Disabled first: at no moment has the account two certificates; and the account's own alone, since
 * a person may have given that row to somebody else after this one was staged. That the staging is
 * over stands in the same statement, since the schema would see to it by one more entry in the
 * history. */
enum error store_take_over(struct store *store, int64_t id, struct store_trouble *ret_trouble)
{
	bool has_changed;
	enum error error = run_on_mapping(store, STORE_DISABLE_REPLACED,
		"UPDATE mapping SET enabled = 0 WHERE enabled = 1"
		" AND (id, service, account) ="
		" (SELECT replaces, service, account FROM mapping WHERE id = ?1)",
		id, &has_changed, ret_trouble);

	if (error == OK)
		error = run_on_mapping(store, STORE_ENABLE_STAGED,
			"UPDATE mapping SET enabled = 1, replaces = NULL, staged_until = NULL"
			" WHERE id = ?1 AND enabled = 0",
			id, &has_changed, ret_trouble);
	return error;
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

/* Two statements, since each has its way: an account has few mappings, which an index finds, and
 * all of them are read as they stand, without sorting them: the plus keeps the index out. */
#define ENROLMENT_SQL "SELECT id, certificate FROM mapping WHERE "
static const char account_sql[] = ENROLMENT_SQL "service IN (?1, '*') AND account = ?2 ORDER BY id";
static const char all_sql[] = ENROLMENT_SQL "+service IN (?1, '*') ORDER BY id";

static enum error hand_over_enrolments(struct store *store, sqlite3_stmt *statement,
	store_enrolment_taker *take, void *context, struct store_trouble *ret_trouble)
{
	enum error error;
	int result;

	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		struct store_enrolment enrolment = {
			.id = sqlite3_column_int64(statement, 0),
			.certificate = store_read_bytes(statement, 1),
		};

		if ((error = take(&enrolment, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_list_enrolments(struct store *store, struct span service, struct span account,
	store_enrolment_taker *take, void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	const bool is_of_one = span_is_present(account);
	enum error error = store_prepare(store, is_of_one ? STORE_LIST_OF_ACCOUNT : STORE_LIST_ALL,
		is_of_one ? account_sql : all_sql, &statement, ret_trouble);

	if (error != OK)
		return error;
	if (!store_bind_span(statement, 1, service) ||
		(is_of_one && !store_bind_span(statement, 2, account)))
		return store_failed(store, ret_trouble);
	return hand_over_enrolments(store, statement, take, context, ret_trouble);
}
