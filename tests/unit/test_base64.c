/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_base64.c owns the tests of base64 by itself: the vectors of RFC 4648 10, and every way in
 * which a second text could stand for the same bytes.
 */
#include "base64.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FORMS 3

static void the_vectors_of_the_rfc_are_decoded_in_each_form(void **state)
{
	static const struct {
		const char *text, *bytes;
	} vectors[] = {
		{ "", "" },
		{ "Zg==", "f" },
		{ "Zm8=", "fo" },
		{ "Zm9v", "foo" },
		{ "Zm9vYg==", "foob" },
		{ "Zm9vYmE=", "fooba" },
		{ "Zm9vYmFy", "foobar" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++)
		for (int form = 0; form < FORMS; form++) {
			uint8_t bytes[sizeof "foobar"] = { 0 };
			size_t length = sizeof bytes;

			assert_int_equal(
				base64_decode(span_of_string(vectors[i].text),
					(enum base64_form)form, bytes, sizeof bytes, &length),
				BASE64_DECODED);
			assert_int_equal(length, strlen(vectors[i].bytes));
			assert_string_equal((const char *)bytes, vectors[i].bytes);
		}
}

static void what_is_not_there_is_no_bytes(void **state)
{
	uint8_t byte;
	size_t length = 1;

	(void)state;
	assert_int_equal(base64_decode((struct span){ 0 }, BASE64_PADDED, &byte, 1, &length),
		BASE64_DECODED);
	assert_int_equal(length, 0);
}

/* Of "fo", or of nothing that base64 has. */
static void a_second_text_for_the_same_bytes_is_refused(void **state)
{
	static const struct {
		const char *text;
		bool is_refused[FORMS];
	} rows[] = {
		{ "Zm8", { [BASE64_PADDED] = true, [BASE64_LINES] = true } },
		{ "Z m\t8\r\n= ", { [BASE64_PADDED] = true, [BASE64_UNBROKEN] = true } },
		{ "Zm9=", { true, true, true } },  /* a bit that stands for nothing */
		{ "Zm8==", { true, true, true } }, /* one sign of padding too many */
		{ "Zm8=Zm8=", { true, true, true } }, { "Z", { true, true, true } },
		{ "====", { true, true, true } },
		{ "Zm-_", { true, true, true } }, /* the other alphabet, RFC 4648 5 */
		{ "Zm8=.", { true, true, true } },
		{ "Zm8\v=", { true, true, true } }, /* white space to isspace(3), not here */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (int form = 0; form < FORMS; form++) {
			uint8_t bytes[16];
			size_t length = sizeof bytes;

			assert_int_equal(
				base64_decode(span_of_string(rows[i].text), (enum base64_form)form,
					bytes, sizeof bytes, &length),
				rows[i].is_refused[form] ? BASE64_BROKEN : BASE64_DECODED);
			assert_int_equal(length, rows[i].is_refused[form] ? sizeof bytes : 2);
		}
}

static void a_buffer_that_is_too_small_is_said_and_not_overrun(void **state)
{
	uint8_t bytes[] = { 1, 2, 3, 4 };
	size_t length = sizeof bytes;

	(void)state;
	assert_int_equal(
		base64_decode(span_of_string("Zm9vYmFy"), BASE64_PADDED, bytes, 3, &length),
		BASE64_TOO_LARGE);
	assert_int_equal(length, sizeof bytes);
	assert_int_equal(bytes[3], 4);
	assert_int_equal(base64_decode(span_of_string("Zg=="), BASE64_PADDED, bytes, 0, &length),
		BASE64_TOO_LARGE);
	assert_int_equal(length, sizeof bytes);
	assert_int_equal(bytes[3], 4);
}

static void a_text_may_lie_where_its_bytes_go(void **state)
{
	uint8_t bytes[] = " Zm9v\nYmFy";
	size_t length = 0;

	(void)state;
	assert_int_equal(base64_decode(span_of(bytes, sizeof bytes - 1), BASE64_LINES, bytes,
				 sizeof bytes, &length),
		BASE64_DECODED);
	assert_int_equal(length, strlen("foobar"));
	assert_memory_equal(bytes, "foobar", length);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_of_the_rfc_are_decoded_in_each_form),
		cmocka_unit_test(what_is_not_there_is_no_bytes),
		cmocka_unit_test(a_second_text_for_the_same_bytes_is_refused),
		cmocka_unit_test(a_buffer_that_is_too_small_is_said_and_not_overrun),
		cmocka_unit_test(a_text_may_lie_where_its_bytes_go),
	};

	return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
