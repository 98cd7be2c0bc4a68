/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_stats.c owns the proof that each answer is counted once, under what the client was told. */
#include "stats.h"

#include "messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h leans on the headers above. */
#include <cmocka.h>

static void answers_count_under_their_reason(void **state)
{
	struct stats stats = { 0 };
	char text[STATUS_COUNTS_MAX_BYTES + 1];

	(void)state;
	stats_count(&stats, REASON_ALLOWED, false);
	stats_count(&stats, REASON_ALLOWED, false);
	stats_count(&stats, REASON_UNAVAILABLE, false);
	stats_print(&stats, text, sizeof text);
	assert_ptr_equal(strstr(text, "allowed=2 misconfigured=0 no-certificate=0 "), text);
	assert_non_null(strstr(text, " forbidden=0 unavailable=1"));
	assert_null(strstr(text, " unknown="));
	assert_int_equal(stats.shadowed, 0);
}

static void shadow_counts_as_no_certificate(void **state)
{
	struct stats stats = { 0 };

	(void)state;
	stats_count(&stats, REASON_ALLOWED, true);
	assert_int_equal(stats.by_reason[REASON_ALLOWED], 0);
	assert_int_equal(stats.by_reason[REASON_NO_CERTIFICATE], 1);
	assert_int_equal(stats.shadowed, 1);
}

static void highest_counts_fit_the_protocol(void **state)
{
	struct stats stats;
	char text[STATUS_COUNTS_MAX_BYTES + 1];

	(void)state;
	memset(&stats, 0xff, sizeof stats);
	stats_print(&stats, text, sizeof text);
	assert_non_null(strstr(text, " unavailable=18446744073709551615"));
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
	struct stats stats = { 0 };
	char text[sizeof "allowed=0"];

	(void)state;
	assert_string_equal(stats_print(&stats, text, sizeof text), "allowed=0");
	assert_string_equal(stats_print(&stats, text, sizeof text - 1), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_count_under_their_reason),
		cmocka_unit_test(shadow_counts_as_no_certificate),
		cmocka_unit_test(highest_counts_fit_the_protocol),
		cmocka_unit_test(what_does_not_fit_is_left_out_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
