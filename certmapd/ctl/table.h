/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.h owns tables for people. With libsmartcols the columns are aligned and fit the terminal;
 * without it, lines of values between tabs under a header. Which one is the build's choice:
 * table_columns.c or table_tabs.c.
 */
#pragma once

#include "errors.h"

#include <stdbool.h>
#include <stddef.h>

struct table_column {
	const char *name;
	bool is_right;    /* numbers */
	bool is_cuttable; /* may be cut to fit the terminal */
};

struct table;

/* The columns are borrowed until table_free(). */
WARN_UNUSED enum error table_new(
	const struct table_column *columns, size_t column_count, struct table **ret);

/* Takes a copy of a value per column; they must be escaped already, see print_shown(). */
WARN_UNUSED enum error table_add(struct table *table, const char *const *values);

/* Prints what has not been printed yet to stdout. */
WARN_UNUSED enum error table_print(struct table *table);
void table_free(struct table *table);
