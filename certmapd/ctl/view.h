/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * view.h owns what the verbs that show things share: an array of JSON that grows row by row, and
 * how a table says when something ends.
 */
#pragma once

#include "json.h"
#include "table.h"

#include <stdint.h>

#define VIEW_CELL_BYTES 512u

/* Of a fingerprint: enough to tell certificates apart, and as many as git shows. */
#define VIEW_FINGERPRINT_DIGITS 12

/* A certificate, mapping or list that ends within this time is worth a look. */
#define VIEW_SOON_SEC (INT64_C(30) * 24 * 3600)

/* An array of objects, each in one line, of which none is kept. */
void view_begin_array(void);
/* Before the object is printed. `count` is how many there were before, and counts on. */
void view_begin_row(size_t *count);
void view_end_array(size_t count);

/* Whether a terminal has room for dates and how far away they are. */
bool view_is_roomy(void);

/* "2027-01-31", or with room "2027-01-31 (in 29 days)"; returns `buffer`. */
char *view_date(int64_t sec, int64_t now_sec, bool is_roomy, char *buffer, size_t capacity);

/* The colour of the end of a validity. */
enum paint view_paint_of_end(int64_t sec, int64_t now_sec);
