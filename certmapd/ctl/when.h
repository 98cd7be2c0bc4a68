/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * when.h owns how people write points in time and durations, and how they read them. All times are
 * UTC, as in the database: the same words mean the same on every machine.
 */
#pragma once

#include "errors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 9999-12-31 23:59:59, the last second that the schema takes. */
#define WHEN_MAX_SEC INT64_C(253402300799)

/* What the functions below take, for the help of an option and for a refusal. */
#define WHEN_FORMS                                                                                 \
	"a date such as 2027-01-31 or `2027-01-31 18:00' (UTC), @ and Unix seconds, or a span "    \
	"such as 30min, 12h, 30d, 2w, 6mo or 1y"
#define WHEN_SPAN_FORMS "a span such as 30min, 12h, 30d, 2w, 6mo or 1y"

/* The wall clock, to the second: time(2) is up to 10 ms late. */
int64_t when_now(void);

/* A duration: a number and one of the units min, h, d, w, mo (30 days) and y (365 days). False:
 * it is none, or longer than WHEN_MAX_SEC. */
WARN_UNUSED bool when_read_span(const char *text, int64_t *ret_sec);

/* A point in time: `2027-01-31', which is its first second, `2027-01-31 18:00', with seconds too,
 * and with a T in place of the space, or with a Z behind; `@' and Unix seconds; or a span from now
 * on. False: it is none, no such day, or not from 0 to WHEN_MAX_SEC. */
WARN_UNUSED bool when_read(const char *text, int64_t now_sec, int64_t *ret_sec);

/* The same, but that a span leads back from now: for what has happened. */
WARN_UNUSED bool when_read_past(const char *text, int64_t now_sec, int64_t *ret_sec);

/* "2027-01-31 18:00:00", as the database writes it; returns `buffer`. */
#define WHEN_DATE_BYTES (sizeof "2027-01-31 18:00:00")
char *when_date(int64_t sec, char *buffer, size_t capacity);

/* "in 12 days", "3 hours ago", "now": in whole units, of which there are at least two wherever
 * there is a smaller unit, so that nothing is off by much; returns `buffer`. */
#define WHEN_RELATIVE_BYTES 40u
char *when_relative(int64_t sec, int64_t now_sec, char *buffer, size_t capacity);
