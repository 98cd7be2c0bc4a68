/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_escape.c owns the proof that text from outside stays one harmless run of printable ASCII. */
#include "escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka.h leans on the headers above. */
#include <cmocka.h>

/* A buffer on the heap of exactly `capacity` bytes, so that the sanitizer sees one byte too many.
 */
static void assert_escaped(struct span text, size_t capacity, const char *expected)
{
	char *buffer = malloc(capacity);

	assert_non_null(buffer);
	assert_ptr_equal(escape_text(text, buffer, capacity), buffer);
	assert_string_equal(buffer, expected);
	free(buffer);
}

static void escape_leaves_printable_ascii_alone(void **state)
{
	(void)state;
	assert_escaped(span_of_string("CN=alice smith, O=~!#"), 64, "CN=alice smith, O=~!#");
}

static void escape_turns_what_could_forge_a_log_line_into_hexadecimal(void **state)
{
	(void)state;
	assert_escaped(span_of("a\r\nb\0c\033[0m\x7f", 11), 64, "a\\x0d\\x0ab\\x00c\\x1b[0m\\x7f");
	assert_escaped(span_of_string("a\"b\\c"), 64, "a\\x22b\\x5cc");
	/* U+202E, which reverses the direction of what follows, in UTF-8. */
	assert_escaped(span_of_string("\xe2\x80\xae"), 64, "\\xe2\\x80\\xae");
}

static void escape_covers_every_byte(void **state)
{
	(void)state;
	for (unsigned value = 0; value <= 0xff; value++) {
		const uint8_t byte = (uint8_t)value;
		const bool plain = value >= ' ' && value <= '~' && value != '"' && value != '\\';
		char expected[8];

		if (plain)
			snprintf(expected, sizeof expected, "%c", (int)value);
		else
			snprintf(expected, sizeof expected, "\\x%02x", value);
		assert_escaped(span_of(&byte, 1), 5, expected);
	}
}

static void escape_writes_a_dash_for_what_is_not_there(void **state)
{
	(void)state;
	assert_escaped((struct span){ 0 }, 2, "-");
	assert_escaped(span_of_string(""), 2, "");
}

static void escape_fills_the_buffer_to_the_last_byte(void **state)
{
	(void)state;
	assert_escaped(span_of_string("alice"), 6, "alice");
	assert_escaped(span_of_string("a\n"), 6, "a\\x0a");
}

static void escape_cuts_at_a_whole_character_and_says_so(void **state)
{
	(void)state;
	assert_escaped(span_of_string("alice@example"), 9, "alice...");
	/* Six bytes before the dots: the second escape would need a byte more than the three left.
	 */
	assert_escaped(span_of_string("ab\n\n\n"), 12, "ab\\x0a...");
	assert_escaped(span_of_string("\n\n"), 8, "\\x0a...");
	assert_escaped(span_of_string("\n\n"), 7, "...");
	assert_escaped(span_of_string("alice"), 4, "...");
}

static void escape_cuts_without_dots_where_they_have_no_room(void **state)
{
	(void)state;
	assert_escaped(span_of_string("alice"), 3, "al");
	assert_escaped(span_of_string("\n"), 3, "");
	assert_escaped(span_of_string("alice"), 1, "");
	assert_escaped((struct span){ 0 }, 1, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escape_leaves_printable_ascii_alone),
		cmocka_unit_test(escape_turns_what_could_forge_a_log_line_into_hexadecimal),
		cmocka_unit_test(escape_covers_every_byte),
		cmocka_unit_test(escape_writes_a_dash_for_what_is_not_there),
		cmocka_unit_test(escape_fills_the_buffer_to_the_last_byte),
		cmocka_unit_test(escape_cuts_at_a_whole_character_and_says_so),
		cmocka_unit_test(escape_cuts_without_dots_where_they_have_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
