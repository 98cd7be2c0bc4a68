/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_hex.c owns the tests of hexadecimal digits; printf(3) and strtol(3) know them too. */
#include "hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void every_byte_is_written_as_printf_does(void **state)
{
	char expected[sizeof "ff"], text[sizeof "ff" + 1];

	(void)state;
	for (unsigned i = 0; i <= UINT8_MAX; i++) {
		const uint8_t byte = (uint8_t)i;

		text[sizeof "ff"] = 'x';
		snprintf(expected, sizeof expected, "%02x", i);
		assert_ptr_equal(hex_print(span_of(&byte, 1), text), text);
		assert_string_equal(text, expected);
		assert_int_equal(text[sizeof "ff"], 'x');
	}
}

static void bytes_follow_each_other_and_none_is_an_empty_string(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x0f, 0xf0, 0xa5 };
	char text[2 * sizeof bytes + 1];

	(void)state;
	assert_string_equal(hex_print(span_of(bytes, sizeof bytes), text), "000ff0a5");
	assert_string_equal(hex_print(span_of(bytes, 0), text), "");
}

static void digits_are_worth_what_strtol_says_and_nothing_else_is_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i <= UINT8_MAX; i++) {
		/* The 0 in front is for those that strtol(3) would skip or take for a sign. */
		const char text[] = { '0', (char)i, '\0' };
		char *end;
		const long value = strtol(text, &end, 16);
		const bool is_digit = end == text + 2;

		assert_int_equal(hex_digit((uint8_t)i), is_digit ? value : -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_written_as_printf_does),
		cmocka_unit_test(bytes_follow_each_other_and_none_is_an_empty_string),
		cmocka_unit_test(digits_are_worth_what_strtol_says_and_nothing_else_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
