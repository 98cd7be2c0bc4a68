/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table_columns.c owns the use of libsmartcols, which measures the terminal and the letters. */
#include "table.h"

#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
	struct libscols_table *lines;
	struct libscols_line *last;
	const struct table_column *columns;
	size_t column_count;
	struct column_state {
		size_t width; /* the least that it needs, in bytes, which are no fewer than letters
			       */
		bool has_values;
	} * states;
};

static int column_flags(const struct table_column *column)
{
	return (column->is_right ? SCOLS_FL_RIGHT : 0) |
	       (column->is_cuttable ? SCOLS_FL_TRUNC | SCOLS_FL_NOEXTREMES : 0);
}

static enum error add_columns(struct table *table)
{
	for (size_t i = 0; i < table->column_count; i++) {
		const struct table_column *column = &table->columns[i];

		if (!scols_table_new_column(
			    table->lines, column->name, column->share, column_flags(column)))
			return ERROR_MEMORY;
		table->states[i].width = strlen(column->name);
	}
	return OK;
}

size_t table_room(void)
{
	struct libscols_table *table;
	size_t room;

	if (!isatty(STDOUT_FILENO) || !(table = scols_new_table()))
		return 0;
	room = scols_table_get_termwidth(table);
	scols_unref_table(table);
	return room;
}

enum error table_new(const struct table_column *columns, size_t column_count, struct table **ret)
{
	struct table *table = calloc(1, sizeof *table);

	if (!table)
		return ERROR_MEMORY;
	table->columns = columns;
	table->column_count = column_count;
	table->states = calloc(column_count, sizeof *table->states);
	table->lines = scols_new_table();
	if (!table->states || !table->lines || add_columns(table) != OK) {
		table_free(table);
		return ERROR_MEMORY;
	}
	/* The values are escaped already, and its own escapes would escape ours again. */
	scols_table_enable_noencoding(table->lines, 1);
	scols_table_enable_colors(table->lines, paint_is_on(stdout));
	*ret = table;
	return OK;
}

static void note_value(struct table *table, size_t i, const char *value)
{
	struct column_state *state = &table->states[i];

	state->has_values |= strcmp(value, "-") != 0;
	if (!table->columns[i].is_cuttable && strlen(value) > state->width)
		state->width = strlen(value);
}

enum error table_add(struct table *table, const char *const *values)
{
	table->last = scols_table_new_line(table->lines, NULL);
	if (!table->last)
		return ERROR_MEMORY;
	for (size_t i = 0; i < table->column_count; i++) {
		if (scols_line_set_data(table->last, i, values[i]) != 0)
			return ERROR_MEMORY;
		note_value(table, i, values[i]);
	}
	return OK;
}

enum error table_paint(struct table *table, size_t column, enum paint paint)
{
	const char *sequence = paint_is_on(stdout) ? paint_sequence(paint) : NULL;

	if (!sequence)
		return OK;
	return scols_cell_set_color(scols_line_get_cell(table->last, column), sequence) == 0
		       ? OK
		       : ERROR_MEMORY;
}

static void hide(struct table *table, size_t i)
{
	scols_column_set_flags(scols_table_get_column(table->lines, i),
		column_flags(&table->columns[i]) | SCOLS_FL_HIDDEN);
	table->states[i].width = 0;
}

static size_t least_width(const struct table *table)
{
	size_t width = 0;

	for (size_t i = 0; i < table->column_count; i++)
		if (table->states[i].width > 0)
			width += table->states[i].width + 1;
	return width > 0 ? width - 1 : 0;
}

/* The next one to go; column_count: none. */
static size_t least_important(const struct table *table)
{
	size_t found = table->column_count;

	for (size_t i = 0; i < table->column_count; i++)
		if (table->states[i].width > 0 && table->columns[i].drop > 0 &&
			(found == table->column_count ||
				table->columns[i].drop < table->columns[found].drop))
			found = i;
	return found;
}

static void fit(struct table *table, size_t room)
{
	size_t i;

	for (i = 0; i < table->column_count; i++)
		if (table->columns[i].is_optional && !table->states[i].has_values)
			hide(table, i);
	while (least_width(table) > room && (i = least_important(table)) < table->column_count)
		hide(table, i);
}

enum error table_print(struct table *table)
{
	const size_t room = table_room();

	if (room > 0)
		fit(table, room);
	return scols_print_table(table->lines) == 0 ? OK : ERROR_MEMORY;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	scols_unref_table(table->lines);
	free(table->states);
	free(table);
}
