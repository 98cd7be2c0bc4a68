/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.h owns tables for people. With libsmartcols the columns are aligned and fit the terminal;
 * without it, lines of values between tabs under a header. Which one is the build's choice:
 * table_columns.c or table_tabs.c.
 */
#pragma once

#include "errors.h"
#include "paint.h"

#include <stdbool.h>
#include <stddef.h>

/* Where the output is no terminal, all columns stand there whole: a script counts on them. */
struct table_column {
	const char *name;
	bool is_right;    /* numbers */
	bool is_cuttable; /* may be cut to fit the terminal */
	bool is_optional; /* left out on a terminal where no row has more than "-" in it */
	unsigned drop;    /* left out on a terminal that is too narrow for all of them, those with
			   * the lowest number first; 0: never */
	double share;     /* of the terminal's width, that a cuttable one keeps before others are
			   * cut; 0: none */
};

struct table;

/* How many letters a line of the terminal has; 0: stdout is no terminal, and nothing is cut. */
size_t table_room(void);

/* The columns are borrowed until table_free(). */
WARN_UNUSED enum error table_new(
	const struct table_column *columns, size_t column_count, struct table **ret);

/* Takes a copy of a value per column; they must be escaped already, see print_shown(). */
WARN_UNUSED enum error table_add(struct table *table, const char *const *values);

/* Paints a cell of the row that was added last, where colour is used. */
WARN_UNUSED enum error table_paint(struct table *table, size_t column, enum paint paint);

/* Prints what has not been printed yet to stdout. */
WARN_UNUSED enum error table_print(struct table *table);
void table_free(struct table *table);
