/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_when.c owns the tests of dates and durations. The Unix seconds of a date are those that
 * `date -u -d DATE +%s' says.
 */
#include "../../certmapd/ctl/when.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW_SEC INT64_C(1801440000) /* 2027-02-01 00:00:00 */
#define DAY_SEC INT64_C(86400)

static void point_in_time_is_read_in_every_form(void **state)
{
	static const struct {
		const char *text;
		int64_t sec;
	} rows[] = {
		{ "1970-01-01", 0 },
		{ "2027-01-31", 1801353600 },
		{ "2027-01-31 18:00", 1801418400 },
		{ "2027-01-31 18:00:07", 1801418407 },
		{ "2027-01-31T18:00:07Z", 1801418407 },
		{ "2027-01-31T18:00", 1801418400 },
		{ "2028-02-29", 1835395200 },
		{ "9999-12-31 23:59:59", WHEN_MAX_SEC },
		{ "@0", 0 },
		{ "@1801418400", 1801418400 },
		{ "@253402300799", WHEN_MAX_SEC },
		{ "90min", NOW_SEC + DAY_SEC / 16 },
		{ "12h", NOW_SEC + DAY_SEC / 2 },
		{ "30d", NOW_SEC + 30 * DAY_SEC },
		{ "2w", NOW_SEC + 14 * DAY_SEC },
		{ "6mo", NOW_SEC + 180 * DAY_SEC },
		{ "1y", NOW_SEC + 365 * DAY_SEC },
		{ "0d", NOW_SEC },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t sec = -1;

		assert_true(when_read(rows[i].text, NOW_SEC, &sec));
		assert_int_equal(sec, rows[i].sec);
	}
}

static void what_is_no_point_in_time_is_refused(void **state)
{
	static const char *const texts[] = { "", "x", "2027", "2027-1-31", "2027-02-30",
		"2027-02-29", "2027-13-01", "2027-00-01", "2027-01-00", "2027-01-31 24:00",
		"2027-01-31 18:60", "2027-01-31 18:00:60", "2027-01-31 18", "2027-01-31 ",
		" 2027-01-31", "2027-01-31x", "2027-01-31  18:00", "1969-12-31 23:59:59",
		"31.01.2027", "2027/01/31", "2027-01-31 18:00Z+1", "-2027-01-31", "@", "@-1",
		"@253402300800", "@99999999999999999999", "@1x", "30", "30 d", "30D", "30m", "-30d",
		"+30d", "d", "1d2h", "99999999999999999999d", "8000y", "9999999999d" };

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		int64_t sec = 4711;

		assert_false(when_read(texts[i], NOW_SEC, &sec));
		assert_int_equal(sec, 4711);
	}
}

static void span_leads_back_where_the_past_is_meant(void **state)
{
	int64_t sec;

	(void)state;
	assert_true(when_read_past("30d", NOW_SEC, &sec));
	assert_int_equal(sec, NOW_SEC - 30 * DAY_SEC);
	assert_true(when_read_past("2027-01-31", NOW_SEC, &sec));
	assert_int_equal(sec, 1801353600);
	assert_false(when_read_past("100y", NOW_SEC, &sec));
}

static void span_is_a_number_and_a_unit(void **state)
{
	int64_t sec;

	(void)state;
	assert_true(when_read_span("36h", &sec));
	assert_int_equal(sec, 129600);
	assert_false(when_read_span("2027-01-31", &sec));
	assert_false(when_read_span("@5", &sec));
	assert_false(when_read_span("30", &sec));
}

static void date_is_written_as_the_database_writes_it(void **state)
{
	char date[WHEN_DATE_BYTES], small[8];

	(void)state;
	assert_string_equal(when_date(1801418407, date, sizeof date), "2027-01-31 18:00:07");
	assert_string_equal(when_date(WHEN_MAX_SEC, date, sizeof date), "9999-12-31 23:59:59");
	/* A year of more digits than there is room for. */
	assert_string_equal(when_date(INT64_MAX, small, sizeof small), "@922337");
}

static void distance_is_written_in_the_unit_that_fits(void **state)
{
	static const struct {
		int64_t distance_sec;
		const char *words;
	} rows[] = {
		{ 0, "now" },
		{ 1, "in 1 second" },
		{ -1, "1 second ago" },
		{ 119, "in 119 seconds" },
		{ 120, "in 2 minutes" },
		{ -7199, "119 minutes ago" },
		{ -3 * 3600, "3 hours ago" },
		{ 2 * DAY_SEC - 1, "in 47 hours" },
		{ 12 * DAY_SEC + 3599, "in 12 days" },
		{ 729 * DAY_SEC, "in 729 days" },
		{ 730 * DAY_SEC, "in 2 years" },
		{ -1100 * DAY_SEC, "3 years ago" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char words[WHEN_RELATIVE_BYTES];

		assert_string_equal(
			when_relative(NOW_SEC + rows[i].distance_sec, NOW_SEC, words, sizeof words),
			rows[i].words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(point_in_time_is_read_in_every_form),
		cmocka_unit_test(what_is_no_point_in_time_is_refused),
		cmocka_unit_test(span_leads_back_where_the_past_is_meant),
		cmocka_unit_test(span_is_a_number_and_a_unit),
		cmocka_unit_test(date_is_written_as_the_database_writes_it),
		cmocka_unit_test(distance_is_written_in_the_unit_that_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
