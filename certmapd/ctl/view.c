/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* view.c owns the commas of an array and the width of a date. */
#include "view.h"

#include "when.h"

#include <stdio.h>
#include <string.h>

#define DATE_BYTES (sizeof "2027-01-31" - 1)
#define ROOMY_LETTERS 140u

void view_begin_array(void)
{
	putchar('[');
}

void view_begin_row(size_t *count)
{
	fputs((*count)++ > 0 ? ",\n" : "\n", stdout);
}

void view_end_array(size_t count)
{
	fputs(count > 0 ? "\n]\n" : "]\n", stdout);
}

bool view_is_roomy(void)
{
	return table_room() >= ROOMY_LETTERS;
}

char *view_date(int64_t sec, int64_t now_sec, bool is_roomy, char *buffer, size_t capacity)
{
	char date[WHEN_DATE_BYTES], relative[WHEN_RELATIVE_BYTES];

	snprintf(buffer, capacity, "%.*s", (int)DATE_BYTES, when_date(sec, date, sizeof date));
	if (is_roomy)
		snprintf(buffer + strlen(buffer), capacity - strlen(buffer), " (%s)",
			when_relative(sec, now_sec, relative, sizeof relative));
	return buffer;
}

enum paint view_paint_of_end(int64_t sec, int64_t now_sec)
{
	if (sec >= now_sec + VIEW_SOON_SEC)
		return PAINT_NONE;
	return sec < now_sec ? PAINT_BAD : PAINT_WARN;
}
