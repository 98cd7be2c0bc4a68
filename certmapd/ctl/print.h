/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * print.h owns the forms in which certmapctl prints text that came from outside, and a mapping as
 * words or JSON. Nothing printed here can reach a terminal as a control sequence.
 */
#pragma once

#include "span.h"
#include "store_edit.h"

#include <stdio.h>

/* As escape_text(), with a capacity of at least 8, but these stay as they are: letters that the
 * locale's terminal shows, double quotes, and backslashes without an x behind. So \xNN always is an
 * escape. */
char *print_shown(struct span text, char *buffer, size_t capacity);

/* A string of JSON (RFC 8259 7) in quotes. Bytes that are not UTF-8 become U+FFFD; what a terminal
 * would not show as a letter is written as \uXXXX, which means the same. */
void print_json_string(FILE *out, struct span text);

/* An object of all columns, its lines indented by `indent`, without a line feed at the end. */
void print_json_row(FILE *out, const struct store_status *row, const char *indent);

/* A line per column that a person wants to know, each indented. */
void print_words(FILE *out, const struct store_status *row);
