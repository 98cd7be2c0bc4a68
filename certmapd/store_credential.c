/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_credential.c owns the statements on the table credential. */
#include "store_credential.h"

#include "store_private.h"

#include <string.h>

static bool bind_row(sqlite3_stmt *statement, const struct store_credential *row)
{
	return store_bind_span(statement, 1, row->service) &&
	       store_bind_span(statement, 2, row->account) &&
	       sqlite3_bind_blob64(statement, 3, row->sealed.bytes, row->sealed.length,
		       SQLITE_STATIC) == SQLITE_OK;
}

enum error store_list_credentials(struct store *store, const char *service, const char *account,
	store_credential_taker *take, void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_LIST_CREDENTIALS,
		"SELECT service, account, sealed FROM credential"
		" WHERE (?1 IS NULL OR service = ?1) AND (?2 IS NULL OR account = ?2)"
		/* `+' keeps it from the order of the table: all rows are read and sorted before the
		 * first comes out, so that the taker may change what it was given. */
		" ORDER BY +service, +account",
		&statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (!store_bind_span(statement, 1, span_of_string(service)) ||
		!store_bind_span(statement, 2, span_of_string(account)))
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		const struct store_credential row = {
			.service = store_read_span(statement, 0),
			.account = store_read_span(statement, 1),
			.sealed = store_read_bytes(statement, 2),
		};

		if ((error = take(&row, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

static enum error run_on_row(struct store *store, enum store_slot slot, const char *sql,
	const struct store_credential *row, bool *ret_changed, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, slot, sql, &statement, ret_trouble);

	if (error != OK)
		return error;
	if (!bind_row(statement, row))
		return store_failed(store, ret_trouble);
	if ((error = store_run_edit(store, statement, ret_trouble)) == OK)
		*ret_changed = sqlite3_changes(store->db) > 0;
	return error;
}

/* Not INSERT OR REPLACE, which the schema refuses, because it would tell the history nothing of the
 * row that was there. */
enum error store_write_credential(struct store *store, const struct store_credential *row,
	bool *ret_was_there, struct store_trouble *ret_trouble)
{
	bool was_there = false, is_new;
	enum error error = run_on_row(store, STORE_UPDATE_CREDENTIAL,
		"UPDATE credential SET sealed = ?3 WHERE service = ?1 AND account = ?2", row,
		&was_there, ret_trouble);

	if (error == OK && !was_there)
		error = run_on_row(store, STORE_INSERT_CREDENTIAL,
			"INSERT INTO credential (service, account, sealed) VALUES (?1, ?2, ?3)",
			row, &is_new, ret_trouble);
	if (error == OK)
		*ret_was_there = was_there;
	return error;
}

enum error store_delete_credential(struct store *store, struct span service, struct span account,
	bool *ret_found, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_DELETE_CREDENTIAL,
		"DELETE FROM credential WHERE service = ?1 AND account = ?2", &statement,
		ret_trouble);

	if (error != OK)
		return error;
	if (!store_bind_span(statement, 1, service) || !store_bind_span(statement, 2, account))
		return store_failed(store, ret_trouble);
	if ((error = store_run_edit(store, statement, ret_trouble)) == OK)
		*ret_found = sqlite3_changes(store->db) > 0;
	return error;
}

enum error store_find_credential(struct store *store, struct span service, const char *account,
	uint8_t *sealed, size_t capacity, size_t *ret_length, bool *ret_is_exact,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_FIND_CREDENTIAL,
		"SELECT sealed, service = ?1 FROM credential"
		" WHERE account = ?2 AND service IN (?1, '*') ORDER BY service = '*' LIMIT 1",
		&statement, ret_trouble);
	size_t length;
	int result;

	if (error != OK)
		return error;
	if (!store_bind_span(statement, 1, service) ||
		sqlite3_bind_text(statement, 2, account, -1, SQLITE_STATIC) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	result = sqlite3_step(statement);
	if (result == SQLITE_DONE) {
		*ret_length = 0;
		return OK;
	}
	if (result != SQLITE_ROW)
		return store_failed(store, ret_trouble);
	const void *bytes = sqlite3_column_blob(statement, 0);
	length = (size_t)sqlite3_column_bytes(statement, 0);
	if (!bytes || length == 0 || length > capacity)
		return ERROR_MALFORMED;
	memcpy(sealed, bytes, length);
	*ret_length = length;
	*ret_is_exact = sqlite3_column_int(statement, 1) != 0;
	return OK;
}
