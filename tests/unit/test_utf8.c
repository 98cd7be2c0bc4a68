/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_utf8.c asks iconv, which shares no line with utf8.c, what is UTF-8 and what it means. */
#include "utf8.h"

#include <iconv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static iconv_t to_utf32, to_utf8;

/* In memory of its own, so that AddressSanitizer sees a read past the end. */
static size_t read_exactly(const uint8_t *bytes, size_t length, uint32_t *ret)
{
	uint8_t *copy = malloc(length);
	size_t taken;

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	taken = utf8_read(span_of(copy, length), ret);
	free(copy);
	return taken;
}

static void every_code_point_is_read_and_surrogates_are_not(void **state)
{
	(void)state;
	for (uint32_t code_point = 0; code_point <= 0x10ffff; code_point++) {
		char encoded[8], *from = (char *)&code_point, *to = encoded;
		size_t from_left = sizeof code_point, to_left = sizeof encoded, length;
		uint32_t got = ~code_point;

		if (iconv(to_utf8, &from, &from_left, &to, &to_left) == (size_t)-1) {
			assert_in_range(code_point, 0xd800, 0xdfff);
			iconv(to_utf8, NULL, NULL, NULL, NULL);
			continue;
		}
		length = sizeof encoded - to_left;
		assert_int_equal(read_exactly((uint8_t *)encoded, length, &got), length);
		assert_int_equal(got, code_point);
		/* Cut short it is none, and what it would have been is not told. */
		for (got = 7; --length > 0;)
			assert_int_equal(read_exactly((uint8_t *)encoded, length, &got), 0);
		assert_int_equal(got, 7);
	}
}

/* Every start of three bytes or nearly so, with a fourth at the edges: too long forms, stray
 * continuations and what lies past the end of Unicode are all among them. */
static void what_iconv_refuses_is_refused(void **state)
{
	static const uint8_t fourths[] = { 0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff };
	size_t refused = 0;

	(void)state;
	for (uint32_t number = 0x800000; number <= 0xffffff; number += 5) {
		uint8_t bytes[] = { (uint8_t)(number >> 16), (uint8_t)(number >> 8),
			(uint8_t)number, fourths[number % sizeof fourths] };
		uint32_t expected = 0, got = 0;
		char *from = (char *)bytes, *to = (char *)&expected;
		size_t from_left = sizeof bytes, to_left = sizeof expected, taken;

		/* Room for one character: what comes behind it says nothing here. */
		(void)iconv(to_utf32, &from, &from_left, &to, &to_left);
		iconv(to_utf32, NULL, NULL, NULL, NULL);
		taken = read_exactly(bytes, sizeof bytes, &got);
		assert_int_equal(taken > 0, to_left == 0);
		assert_int_equal(got, expected);
		refused += taken == 0;
	}
	assert_in_range(refused, 1, 0x800000 / 5);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_is_read_and_surrogates_are_not),
		cmocka_unit_test(what_iconv_refuses_is_refused),
	};

	to_utf32 = iconv_open("UTF-32LE", "UTF-8");
	to_utf8 = iconv_open("UTF-8", "UTF-32LE");
	if (to_utf32 == (iconv_t)-1 || to_utf8 == (iconv_t)-1)
		return 99;
	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
