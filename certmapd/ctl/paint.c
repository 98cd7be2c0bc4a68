/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* paint.c owns the sequences of ECMA-48 8.3.117 (SGR) that certmapctl writes. */
#include "paint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_set(const char *value)
{
	return value && value[0] != '\0';
}

bool paint_is_on(FILE *out)
{
	const char *terminal = getenv("TERM");

	return !is_set(getenv("NO_COLOR")) && is_set(terminal) && strcmp(terminal, "dumb") != 0 &&
	       isatty(fileno(out));
}

/* The eight colours that a person has chosen for his terminal, and no others: they can be read on
 * its background, whatever that is. */
const char *paint_sequence(enum paint paint)
{
	switch (paint) {
	case PAINT_GOOD:
		return "\x1b[32m";
	case PAINT_WARN:
		return "\x1b[33m";
	case PAINT_BAD:
		return "\x1b[31m";
	case PAINT_DIM:
		return "\x1b[2m";
	case PAINT_NONE:
		break;
	}
	return NULL;
}

void paint_words(FILE *out, enum paint paint, const char *words)
{
	const char *sequence = paint_is_on(out) ? paint_sequence(paint) : NULL;

	fprintf(out, "%s%s%s", sequence ? sequence : "", words, sequence ? "\x1b[0m" : "");
}
