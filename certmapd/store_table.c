/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_table.c owns the statements on whole rows, which are made from the rows themselves. */
#include "store_table.h"

#include "store_private.h"

#include <stdio.h>

#define KEYS_MAX 2u

static const struct table {
	const char *name;
	const char *keys[KEYS_MAX]; /* the columns of the primary key; NULL: no second one */
	const char *read_sql;
	bool is_numbered;
} tables[STORE_TABLES] = {
	[STORE_TABLE_SERVICE] = { "service", { "name" }, "SELECT * FROM service ORDER BY name",
		false },
	[STORE_TABLE_TRUST] = { "trust", { "id" }, "SELECT * FROM trust ORDER BY id", true },
	[STORE_TABLE_MAPPING] = { "mapping", { "id" }, "SELECT * FROM mapping ORDER BY id", true },
	[STORE_TABLE_CREDENTIAL] = { "credential", { "service", "account" },
		"SELECT * FROM credential ORDER BY service, account", false },
};

const char *store_table_name(enum store_table table)
{
	return tables[table].name;
}

bool store_table_of(struct span name, enum store_table *ret)
{
	for (size_t i = 0; i < STORE_TABLES; i++)
		if (span_is_equal(name, span_of_string(tables[i].name))) {
			*ret = (enum store_table)i;
			return true;
		}
	return false;
}

const struct store_cell *store_row_cell(const struct store_row *row, const char *name)
{
	for (size_t i = 0; i < row->count; i++)
		if (strcmp(row->cells[i].name, name) == 0)
			return &row->cells[i];
	return NULL;
}

bool store_row_integer(const struct store_row *row, const char *name, int64_t *ret)
{
	const struct store_cell *cell = store_row_cell(row, name);

	if (!cell || cell->kind != STORE_CELL_INTEGER)
		return false;
	*ret = cell->number;
	return true;
}

struct span store_row_text(const struct store_row *row, const char *name)
{
	const struct store_cell *cell = store_row_cell(row, name);

	return cell && cell->kind == STORE_CELL_TEXT ? cell->bytes : (struct span){ 0 };
}

/* Reading ------------------------------------------------------------------------------------- */

static void finalize(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}
#define FINALIZE __attribute__((cleanup(finalize)))

static enum store_cell_kind kind_of(int type)
{
	switch (type) {
	case SQLITE_NULL:
		return STORE_CELL_NULL;
	case SQLITE_INTEGER:
		return STORE_CELL_INTEGER;
	case SQLITE_BLOB:
		return STORE_CELL_BLOB;
	default: /* no column that people write holds a floating point number */
		return STORE_CELL_TEXT;
	}
}

static void read_cell(sqlite3_stmt *statement, int column, struct store_cell *ret)
{
	*ret = (struct store_cell){
		.name = sqlite3_column_name(statement, column),
		.kind = kind_of(sqlite3_column_type(statement, column)),
	};
	if (ret->kind == STORE_CELL_INTEGER)
		ret->number = sqlite3_column_int64(statement, column);
	else if (ret->kind == STORE_CELL_TEXT)
		ret->bytes = store_read_span(statement, column);
	else if (ret->kind == STORE_CELL_BLOB)
		ret->bytes = store_read_bytes(statement, column);
}

static enum error read_row(sqlite3_stmt *statement, enum store_table table, struct store_row *ret)
{
	const int count = sqlite3_column_count(statement);

	if (count > (int)STORE_CELLS_MAX)
		return ERROR_TOO_LARGE;
	ret->table = table;
	ret->count = (size_t)count;
	for (int i = 0; i < count; i++)
		read_cell(statement, i, &ret->cells[i]);
	return OK;
}

enum error store_read_table(struct store *store, enum store_table table, store_row_taker *take,
	void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement FINALIZE = NULL;
	struct store_row row;
	enum error error;
	int result;

	if (sqlite3_prepare_v2(store->db, tables[table].read_sql, -1, &statement, NULL) !=
		SQLITE_OK)
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW)
		if ((error = read_row(statement, table, &row)) != OK ||
			(error = take(&row, context)) != OK)
			return error;
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

/* Writing ------------------------------------------------------------------------------------- */

static bool is_key(const struct table *table, const char *column)
{
	for (size_t i = 0; i < KEYS_MAX && table->keys[i]; i++)
		if (strcmp(table->keys[i], column) == 0)
			return true;
	return false;
}

/* Without a part of its key a row would stand for several. */
static enum error require_key(const struct store_row *row, struct store_trouble *ret_trouble)
{
	const struct table *table = &tables[row->table];

	for (size_t i = 0; i < KEYS_MAX && table->keys[i]; i++)
		if (!store_row_cell(row, table->keys[i])) {
			snprintf(ret_trouble->text, sizeof ret_trouble->text,
				"a row of the table %s without its %s", table->name,
				table->keys[i]);
			return ERROR_REFUSED;
		}
	return OK;
}

/* Is there anything beside the key? */
static bool has_more_than_key(const struct store_row *row)
{
	for (size_t i = 0; i < row->count; i++)
		if (!is_key(&tables[row->table], row->cells[i].name))
			return true;
	return false;
}

/* A note that somebody made with char(0). As a literal of SQL it would end there. */
static bool is_text_with_nul(const struct store_cell *cell)
{
	return cell->kind == STORE_CELL_TEXT && cell->bytes.length > 0 &&
	       memchr(cell->bytes.bytes, '\0', cell->bytes.length);
}

static void append_value(sqlite3_str *sql, const struct store_row *row, size_t i)
{
	sqlite3_str_appendf(
		sql, is_text_with_nul(&row->cells[i]) ? "CAST(?%d AS TEXT)" : "?%d", (int)i + 1);
}

/* %w doubles the quotes of an identifier: column names come from files. */
static void append_names(sqlite3_str *sql, const struct store_row *row)
{
	for (size_t i = 0; i < row->count; i++)
		sqlite3_str_appendf(sql, "%s\"%w\"", i > 0 ? ", " : "", row->cells[i].name);
}

static char *insert_sql(const struct store_row *row)
{
	sqlite3_str *sql = sqlite3_str_new(NULL);

	sqlite3_str_appendf(sql, "INSERT INTO %s (", tables[row->table].name);
	append_names(sql, row);
	sqlite3_str_appendall(sql, ") VALUES (");
	for (size_t i = 0; i < row->count; i++) {
		sqlite3_str_appendall(sql, i > 0 ? ", " : "");
		append_value(sql, row, i);
	}
	sqlite3_str_appendall(sql, ")");
	return sqlite3_str_finish(sql);
}

/* `keys` chooses which of the cells stand there. */
static void append_pairs(
	sqlite3_str *sql, const struct store_row *row, bool keys, const char *between)
{
	const char *separator = "";

	for (size_t i = 0; i < row->count; i++) {
		if (is_key(&tables[row->table], row->cells[i].name) != keys)
			continue;
		sqlite3_str_appendf(sql, "%s\"%w\" = ", separator, row->cells[i].name);
		append_value(sql, row, i);
		separator = between;
	}
}

static char *update_sql(const struct store_row *row)
{
	sqlite3_str *sql = sqlite3_str_new(NULL);

	sqlite3_str_appendf(sql, "UPDATE %s SET ", tables[row->table].name);
	/* A row that is its key alone changes nothing, but is found. */
	append_pairs(sql, row, !has_more_than_key(row), ", ");
	sqlite3_str_appendall(sql, " WHERE ");
	append_pairs(sql, row, true, " AND ");
	return sqlite3_str_finish(sql);
}

static bool bind_cell(sqlite3_stmt *statement, int parameter, const struct store_cell *cell)
{
	switch (cell->kind) {
	case STORE_CELL_NULL:
		return sqlite3_bind_null(statement, parameter) == SQLITE_OK;
	case STORE_CELL_INTEGER:
		return sqlite3_bind_int64(statement, parameter, cell->number) == SQLITE_OK;
	case STORE_CELL_TEXT:
		if (is_text_with_nul(cell))
			return sqlite3_bind_blob64(statement, parameter, cell->bytes.bytes,
				       cell->bytes.length, SQLITE_STATIC) == SQLITE_OK;
		return store_bind_span(statement, parameter, cell->bytes);
	case STORE_CELL_BLOB:
		return sqlite3_bind_blob64(statement, parameter, cell->bytes.bytes,
			       cell->bytes.length, SQLITE_STATIC) == SQLITE_OK;
	}
	return false;
}

/* The only way to make SQLite fail to prepare such a statement is a column that is not there. */
static enum error refuse_columns(
	struct store *store, const struct store_row *row, struct store_trouble *ret_trouble)
{
	if (sqlite3_errcode(store->db) != SQLITE_ERROR)
		return store_failed(store, ret_trouble);
	snprintf(ret_trouble->text, sizeof ret_trouble->text,
		"%s: the table %s of this version has no such column; take it out, or use the "
		"version that wrote it",
		sqlite3_errmsg(store->db), tables[row->table].name);
	return ERROR_REFUSED;
}

/* Rows come in long runs of one shape, and the triggers of a mapping take a while to compile: the
 * last statement is kept. Takes `sql`. */
static enum error prepare_row(struct store *store, const struct store_row *row, char *sql,
	sqlite3_stmt **ret, struct store_trouble *ret_trouble)
{
	sqlite3_stmt **kept = &store->statements[STORE_ROW];
	enum error error = OK;

	if (!sql)
		return ERROR_MEMORY;
	if (!*kept || strcmp(sqlite3_sql(*kept), sql) != 0) {
		sqlite3_finalize(*kept);
		*kept = NULL;
		if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, kept, NULL) !=
			SQLITE_OK)
			error = refuse_columns(store, row, ret_trouble);
	}
	sqlite3_free(sql);
	if (error == OK)
		*ret = *kept;
	return error;
}

static enum error bind_row(struct store *store, sqlite3_stmt *statement,
	const struct store_row *row, struct store_trouble *ret_trouble)
{
	for (size_t i = 0; i < row->count; i++)
		if (!bind_cell(statement, (int)i + 1, &row->cells[i]))
			return store_failed(store, ret_trouble);
	return OK;
}

enum error store_insert_row(struct store *store, const struct store_row *row, int64_t *ret_id,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error;

	if ((error = prepare_row(store, row, insert_sql(row), &statement, ret_trouble)) != OK ||
		(error = bind_row(store, statement, row, ret_trouble)) != OK ||
		(error = store_run_edit(store, statement, ret_trouble)) != OK)
		return error;
	*ret_id = tables[row->table].is_numbered ? sqlite3_last_insert_rowid(store->db) : 0;
	return OK;
}

enum error store_update_row(struct store *store, const struct store_row *row, bool *ret_found,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error;

	if ((error = require_key(row, ret_trouble)) != OK ||
		(error = prepare_row(store, row, update_sql(row), &statement, ret_trouble)) != OK ||
		(error = bind_row(store, statement, row, ret_trouble)) != OK ||
		(error = store_run_edit(store, statement, ret_trouble)) != OK)
		return error;
	*ret_found = sqlite3_changes(store->db) > 0;
	return OK;
}

enum error store_row_sql(struct store *store, const struct store_row *row, char **ret,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error;
	char *sql;

	if ((error = prepare_row(store, row, insert_sql(row), &statement, ret_trouble)) != OK ||
		(error = bind_row(store, statement, row, ret_trouble)) != OK)
		return error;
	if (!(sql = sqlite3_expanded_sql(statement)))
		return ERROR_MEMORY;
	*ret = sql;
	return OK;
}

void store_free_sql(char **sql)
{
	sqlite3_free(*sql);
}

/* The schema ---------------------------------------------------------------------------------- */

enum error store_read_schema(struct store *store, bool are_tables, store_schema_taker *take,
	void *context, struct store_trouble *ret_trouble)
{
	static const char sql[] =
		"SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND (type = 'table') = ?1"
		" AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
	sqlite3_stmt *statement FINALIZE = NULL;
	enum error error;
	int result;

	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK ||
		sqlite3_bind_int(statement, 1, are_tables) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW)
		if ((error = take((const char *)sqlite3_column_text(statement, 0), context)) != OK)
			return error;
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_last_id(struct store *store, enum store_table table, int64_t *ret,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement FINALIZE = NULL;

	if (sqlite3_prepare_v2(store->db,
		    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?1), 0)", -1,
		    &statement, NULL) != SQLITE_OK ||
		sqlite3_bind_text(statement, 1, tables[table].name, -1, SQLITE_STATIC) !=
			SQLITE_OK ||
		sqlite3_step(statement) != SQLITE_ROW)
		return store_failed(store, ret_trouble);
	*ret = sqlite3_column_int64(statement, 0);
	return OK;
}
