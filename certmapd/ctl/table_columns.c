/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table_columns.c owns the use of libsmartcols, which measures the terminal and the letters. */
#include "table.h"

#include <libsmartcols.h>
#include <stdlib.h>

struct table {
	struct libscols_table *lines;
	size_t column_count;
};

static int add_column(struct libscols_table *lines, const struct table_column *column)
{
	int flags = (column->is_right ? SCOLS_FL_RIGHT : 0) |
		    (column->is_cuttable ? SCOLS_FL_TRUNC : 0);

	return scols_table_new_column(lines, column->name, 0, flags) ? 0 : -1;
}

enum error table_new(const struct table_column *columns, size_t column_count, struct table **ret)
{
	struct table *table = calloc(1, sizeof *table);

	if (!table || !(table->lines = scols_new_table())) {
		free(table);
		return ERROR_MEMORY;
	}
	table->column_count = column_count;
	/* The values are escaped already, and its own escapes would escape ours again. */
	scols_table_enable_noencoding(table->lines, 1);
	for (size_t i = 0; i < column_count; i++)
		if (add_column(table->lines, &columns[i]) != 0) {
			table_free(table);
			return ERROR_MEMORY;
		}
	*ret = table;
	return OK;
}

enum error table_add(struct table *table, const char *const *values)
{
	struct libscols_line *line = scols_table_new_line(table->lines, NULL);

	if (!line)
		return ERROR_MEMORY;
	for (size_t i = 0; i < table->column_count; i++)
		if (scols_line_set_data(line, i, values[i]) != 0)
			return ERROR_MEMORY;
	return OK;
}

enum error table_print(struct table *table)
{
	return scols_print_table(table->lines) == 0 ? OK : ERROR_MEMORY;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	scols_unref_table(table->lines);
	free(table);
}
