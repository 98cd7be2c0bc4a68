/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_table.h owns whole rows of the tables that people write, column by column under the names
 * that the schema gives them: what import and export carry over. A column that a later schema adds
 * is carried without a change here.
 */
#pragma once

#include "store_edit.h"

#define STORE_CELLS_MAX 32u /* columns of a row; the widest table has 12 */

enum store_table {
	STORE_TABLE_SERVICE,
	STORE_TABLE_TRUST,
	STORE_TABLE_MAPPING,
	STORE_TABLE_CREDENTIAL,
	STORE_TABLES,
};

enum store_cell_kind {
	STORE_CELL_NULL,
	STORE_CELL_INTEGER,
	STORE_CELL_TEXT,
	STORE_CELL_BLOB,
};

/* Borrowed. */
struct store_cell {
	const char *name; /* the column */
	enum store_cell_kind kind;
	int64_t number;    /* of an integer */
	struct span bytes; /* of a text or a blob */
};

struct store_row {
	enum store_table table;
	size_t count;
	struct store_cell cells[STORE_CELLS_MAX];
};

/* In SQL, in history.object, and in what export writes. */
const char *store_table_name(enum store_table table);
WARN_UNUSED bool store_table_of(struct span name, enum store_table *ret);

/* NULL: the row has no such column. */
const struct store_cell *store_row_cell(const struct store_row *row, const char *name);
/* The integer of a column that is there and is one. */
WARN_UNUSED bool store_row_integer(const struct store_row *row, const char *name, int64_t *ret);
/* The text; one that is not there where the column is none. */
struct span store_row_text(const struct store_row *row, const char *name);

/* Takes a row, which is lent out for the call; anything but OK ends the reading and is what the
 * reader returns. */
typedef enum error store_row_taker(const struct store_row *row, void *context);

/* Hands over all rows in the order of their keys. ERROR_STORE, ERROR_BUSY, ERROR_MEMORY. */
WARN_UNUSED enum error store_read_table(struct store *store, enum store_table table,
	store_row_taker *take, void *context, struct store_trouble *ret_trouble);

/* Inside of an edit: adds the row. *ret_id is its id, where the table numbers its rows.
 * ERROR_REFUSED: the rules of the schema, or a column that it does not have. */
WARN_UNUSED enum error store_insert_row(struct store *store, const struct store_row *row,
	int64_t *ret_id, struct store_trouble *ret_trouble);

/* Inside of an edit: changes the row that has the same key as this one to its other cells.
 * *ret_found is false where there is none. ERROR_REFUSED also where a column of the key is missing:
 * such a row would stand for several. */
WARN_UNUSED enum error store_update_row(struct store *store, const struct store_row *row,
	bool *ret_found, struct store_trouble *ret_trouble);

/* The statement that would add the row to a table of the same columns, without its semicolon, for
 * sqlite3_free(3)'s store_free_sql(). */
WARN_UNUSED enum error store_row_sql(struct store *store, const struct store_row *row, char **ret,
	struct store_trouble *ret_trouble);
void store_free_sql(char **sql);
#define STORE_FREE_SQL __attribute__((cleanup(store_free_sql)))

/* Takes a statement of the schema; lent out for the call. */
typedef enum error store_schema_taker(const char *sql, void *context);

/* Hands over the statements that make the schema of this very database, as the shell's .dump has
 * them: first the tables, then, in another call, what stands on them, so that rows can be brought
 * in between without the triggers looking at them. */
WARN_UNUSED enum error store_read_schema(struct store *store, bool tables, store_schema_taker *take,
	void *context, struct store_trouble *ret_trouble);

/* The highest id that the table ever gave; 0: none, or it numbers nothing. */
WARN_UNUSED enum error store_last_id(struct store *store, enum store_table table, int64_t *ret,
	struct store_trouble *ret_trouble);
