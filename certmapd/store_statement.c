/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_statement.c owns what every statement needs: preparing and running it, what SQLite's result
 * codes mean, transactions, and the reading and binding of values.
 */
#include "store_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum error store_explain(struct store_trouble *ret_trouble, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(ret_trouble->text, sizeof ret_trouble->text, format, arguments);
	va_end(arguments);
	return ERROR_STORE;
}

/* SQLite's own words name the failure alone. A full disk is an I/O error where the -shm file has no
 * room. */
static const char *remedy_for(sqlite3 *db, int code)
{
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		return ": restore a backup, as certmapd(8) says";
	if (code == SQLITE_FULL || (code == SQLITE_IOERR && sqlite3_system_errno(db) == ENOSPC))
		return ": its file system is full, and nothing was changed: make room";
	return "";
}

enum error store_failed(struct store *store, struct store_trouble *ret_trouble)
{
	const int code = sqlite3_extended_errcode(store->db) & 0xff;

	store_explain(ret_trouble, "%s: %s%s", store->path, sqlite3_errmsg(store->db),
		remedy_for(store->db, code));
	switch (code) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERROR_BUSY;
	case SQLITE_NOMEM:
		return ERROR_MEMORY;
	case SQLITE_CONSTRAINT:
		snprintf(ret_trouble->text, sizeof ret_trouble->text, "%s",
			sqlite3_errmsg(store->db));
		return ERROR_REFUSED;
	default:
		return ERROR_STORE;
	}
}

void store_reset(sqlite3_stmt **statement)
{
	if (*statement) {
		sqlite3_reset(*statement);
		sqlite3_clear_bindings(*statement);
	}
}

enum error store_prepare(struct store *store, enum store_slot slot, const char *sql,
	sqlite3_stmt **ret, struct store_trouble *ret_trouble)
{
	if (!store->statements[slot] &&
		sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
			&store->statements[slot], NULL) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	*ret = store->statements[slot];
	return OK;
}

enum error store_run(
	struct store *store, sqlite3_stmt *statement, struct store_trouble *ret_trouble)
{
	if (sqlite3_step(statement) != SQLITE_DONE)
		return store_failed(store, ret_trouble);
	return OK;
}

enum error store_run_edit(
	struct store *store, sqlite3_stmt *statement, struct store_trouble *ret_trouble)
{
	char *sql;
	enum error error = store_run(store, statement, ret_trouble);

	if (error != OK || !store->watcher)
		return error;
	if (!(sql = sqlite3_expanded_sql(statement)))
		return ERROR_MEMORY;
	store->watcher(sql, store->watcher_context);
	sqlite3_free(sql);
	return OK;
}

/* Transactions --------------------------------------------------------------------------------- */

static enum error run_once(struct store *store, enum store_slot slot, const char *sql,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, slot, sql, &statement, ret_trouble);

	return error == OK ? store_run(store, statement, ret_trouble) : error;
}

#define ROLLBACK "ROLLBACK"

/* What could not be undone without memory is not begun. */
static enum error begin(struct store *store, enum store_slot slot, const char *sql,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *rollback STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_ROLLBACK, ROLLBACK, &rollback, ret_trouble);

	return error == OK ? run_once(store, slot, sql, ret_trouble) : error;
}

enum error store_begin_read(struct store *store, struct store_trouble *ret_trouble)
{
	return begin(store, STORE_BEGIN_READ, "BEGIN DEFERRED", ret_trouble);
}

enum error store_begin_write(struct store *store, struct store_trouble *ret_trouble)
{
	return begin(store, STORE_BEGIN_WRITE, "BEGIN IMMEDIATE", ret_trouble);
}

enum error store_commit(struct store *store, struct store_trouble *ret_trouble)
{
	return run_once(store, STORE_COMMIT, "COMMIT", ret_trouble);
}

void store_rollback(struct store *store)
{
	struct store_trouble trouble;

	/* Where it fails, store_check_place() knows. */
	if (!sqlite3_get_autocommit(store->db))
		(void)!run_once(store, STORE_ROLLBACK, ROLLBACK, &trouble);
}

/* Values --------------------------------------------------------------------------------------- */

bool store_read_flag(sqlite3_stmt *statement, int column, bool *ret)
{
	int64_t value;

	if (!store_read_integer(statement, column, 0, 1, &value))
		return false;
	*ret = value == 1;
	return true;
}

bool store_read_integer(
	sqlite3_stmt *statement, int column, int64_t lowest, int64_t highest, int64_t *ret)
{
	if (sqlite3_column_type(statement, column) != SQLITE_INTEGER)
		return false;
	int64_t value = sqlite3_column_int64(statement, column);
	if (value < lowest || value > highest)
		return false;
	*ret = value;
	return true;
}

bool store_read_limit(
	sqlite3_stmt *statement, int column, int64_t highest, int64_t none, int64_t *ret)
{
	if (sqlite3_column_type(statement, column) == SQLITE_NULL) {
		*ret = none;
		return true;
	}
	return store_read_integer(statement, column, 0, highest, ret);
}

bool store_read_text(sqlite3_stmt *statement, int column, char *ret, size_t capacity)
{
	if (sqlite3_column_type(statement, column) != SQLITE_TEXT)
		return false;
	const char *text = (const char *)sqlite3_column_text(statement, column);
	size_t length = (size_t)sqlite3_column_bytes(statement, column);
	if (!text || length == 0 || length >= capacity)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	memcpy(ret, text, length);
	ret[length] = '\0';
	return true;
}

void store_read_note(sqlite3_stmt *statement, int column, char *ret, size_t capacity)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	snprintf(ret, capacity, "%s", text ? text : "");
}

struct span store_read_span(sqlite3_stmt *statement, int column)
{
	/* Asked for before the length, which is that of the text then. */
	const unsigned char *text = sqlite3_column_text(statement, column);

	return span_of(text, (size_t)sqlite3_column_bytes(statement, column));
}

struct span store_read_bytes(sqlite3_stmt *statement, int column)
{
	const void *bytes = sqlite3_column_blob(statement, column);

	/* SQLite gives no address of nothing, which is there all the same. */
	return span_of(bytes ? bytes : "", (size_t)sqlite3_column_bytes(statement, column));
}

const char *store_read_word(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return text ? text : "";
}

bool store_bind_span(sqlite3_stmt *statement, int parameter, struct span text)
{
	return sqlite3_bind_text64(statement, parameter, (const char *)text.bytes, text.length,
		       SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK;
}
