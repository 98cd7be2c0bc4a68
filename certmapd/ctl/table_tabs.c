/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table_tabs.c owns the table of a build without libsmartcols: nothing is kept, nothing is cut. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>

struct table {
	const struct table_column *columns;
	size_t column_count;
	bool has_header;
};

enum error table_new(const struct table_column *columns, size_t column_count, struct table **ret)
{
	struct table *table = calloc(1, sizeof *table);

	if (!table)
		return ERROR_MEMORY;
	table->columns = columns;
	table->column_count = column_count;
	*ret = table;
	return OK;
}

static void print_header(struct table *table)
{
	for (size_t i = 0; i < table->column_count; i++)
		printf("%s%s", i > 0 ? "\t" : "", table->columns[i].name);
	putchar('\n');
	table->has_header = true;
}

enum error table_add(struct table *table, const char *const *values)
{
	if (!table->has_header)
		print_header(table);
	for (size_t i = 0; i < table->column_count; i++)
		printf("%s%s", i > 0 ? "\t" : "", values[i]);
	putchar('\n');
	return OK;
}

size_t table_room(void)
{
	return 0;
}

enum error table_paint(struct table *table, size_t column, enum paint paint)
{
	(void)table;
	(void)column;
	(void)paint;
	return OK;
}

enum error table_print(struct table *table)
{
	(void)table;
	return OK;
}

void table_free(struct table *table)
{
	free(table);
}
