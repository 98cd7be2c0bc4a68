/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * print.h owns the forms in which certmapctl prints text that came from outside, and a mapping as
 * words or JSON. Nothing printed here can reach a terminal as a control sequence.
 */
#pragma once

#include "errors.h"
#include "json.h"
#include "span.h"
#include "store_status.h"

#include <stdio.h>

/* As escape_text(), with a capacity of at least 8, but these stay as they are: letters that the
 * locale's terminal shows, double quotes, and backslashes without an x behind. So \xNN always is an
 * escape. */
char *print_shown(struct span text, char *buffer, size_t capacity);

/* All columns as json_print() does it; the second with the end of the line. */
WARN_UNUSED enum error print_json_row(const struct store_status *row);
WARN_UNUSED enum error print_json_line(const struct store_status *row);

/* All columns as fields; returns how many. `ret` has room for STATUS_COLUMNS of them. */
size_t print_json_fields(const struct store_status *row, struct json_field *ret);

/* A line per column that a person wants to know, each indented. */
void print_words(FILE *out, const struct store_status *row);
