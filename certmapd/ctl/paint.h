/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * paint.h owns when certmapctl uses colour, and which. Colour is never the only sign: what is
 * painted is a word that says the same.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

enum paint {
	PAINT_NONE = 0,
	PAINT_GOOD,
	PAINT_WARN,
	PAINT_BAD,
	PAINT_DIM,
};

/* Whether `out` is a terminal that shows colour to somebody who wants it: TERM is there and not
 * `dumb', and NO_COLOR is not set (https://no-color.org). */
bool paint_is_on(FILE *out);

/* The sequence that a terminal takes for the colour; NULL for PAINT_NONE. */
const char *paint_sequence(enum paint paint);

/* Prints the words, painted where paint_is_on(). */
void paint_words(FILE *out, enum paint paint, const char *words);
