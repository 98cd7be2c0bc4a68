/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_wire.c owns the proof that the reader and the writer keep to their bounds. */
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h leans on the headers above. */
#include <cmocka.h>

/* On the heap and of exact size, so that the sanitizer sees a read past the end. */
struct payload {
	uint8_t *bytes;
	struct wire_reader reader;
};

static struct payload payload_of(const void *bytes, size_t length)
{
	/* malloc(0) may be NULL, and an empty payload is there. */
	struct payload payload = { .bytes = malloc(length ? length : 1) };

	assert_non_null(payload.bytes);
	memcpy(payload.bytes, bytes, length);
	payload.reader = wire_reader_of(span_of(payload.bytes, length));
	return payload;
}

static void assert_first_field_refused(const void *bytes, size_t length)
{
	struct payload payload = payload_of(bytes, length);
	struct wire_field field = { .number = 77 };

	assert_int_equal(wire_get_field(&payload.reader, &field), ERROR_MALFORMED);
	assert_int_equal(field.number, 77);
	assert_int_equal(payload.reader.left.length, length);
	free(payload.bytes);
}

static void integers_are_big_endian_in_both_directions(void **state)
{
	uint8_t bytes[8];

	(void)state;
	assert_int_equal(wire_load_u16((const uint8_t *)"\x80\x01"), 0x8001);
	assert_int_equal(wire_load_u32((const uint8_t *)"\xff\x02\x03\x80"), 0xff020380);
	assert_true(wire_load_u64((const uint8_t *)"\xf1\x02\x03\x04\x05\x06\x07\x88") ==
		    0xf102030405060788u);

	wire_store_u16(0x8001, bytes);
	assert_memory_equal(bytes, "\x80\x01", 2);
	wire_store_u32(0xff020380, bytes);
	assert_memory_equal(bytes, "\xff\x02\x03\x80", 4);
	wire_store_u64(0xf102030405060788u, bytes);
	assert_memory_equal(bytes, "\xf1\x02\x03\x04\x05\x06\x07\x88", 8);
}

static void reader_gives_each_field_with_its_critical_bit(void **state)
{
	struct payload payload = payload_of("\x80\x01\0\0\0\x02ok\x7f\xff\0\0\0\0", 14);
	struct wire_field field;

	(void)state;
	assert_false(wire_reader_is_done(&payload.reader));
	assert_int_equal(wire_get_field(&payload.reader, &field), OK);
	assert_int_equal(field.number, 1);
	assert_true(field.is_critical);
	assert_true(span_is_equal(field.value, span_of_string("ok")));

	assert_false(wire_reader_is_done(&payload.reader));
	assert_int_equal(wire_get_field(&payload.reader, &field), OK);
	assert_int_equal(field.number, 0x7fff);
	assert_false(field.is_critical);
	assert_true(span_is_present(field.value));
	assert_int_equal(field.value.length, 0);

	assert_true(wire_reader_is_done(&payload.reader));
	assert_int_equal(wire_get_field(&payload.reader, &field), ERROR_MALFORMED);
	free(payload.bytes);
}

static void reader_of_an_empty_payload_is_done(void **state)
{
	struct payload payload = payload_of("", 0);

	(void)state;
	assert_true(wire_reader_is_done(&payload.reader));
	free(payload.bytes);
}

static void reader_refuses_every_truncation(void **state)
{
	(void)state;
	for (size_t length = 1; length < 8; length++)
		assert_first_field_refused("\0\x01\0\0\0\x02ok", length);
}

static void reader_refuses_length_past_end(void **state)
{
	(void)state;
	assert_first_field_refused("\0\x01\0\0\0\x03ok", 8);
	assert_first_field_refused("\0\x01\x7f\xff\xff\xffok", 8);
	assert_first_field_refused("\0\x01\x80\0\0\0ok", 8);
	/* Added to the field's own header these wrap around in 32 bits. */
	assert_first_field_refused("\0\x01\xff\xff\xff\xffok", 8);
	assert_first_field_refused("\0\x01\xff\xff\xff\xfaok", 8);
}

static void reader_refuses_the_number_zero(void **state)
{
	(void)state;
	assert_first_field_refused("\0\0\0\0\0\0", 6);
	assert_first_field_refused("\x80\0\0\0\0\0", 6);
}

static void reader_refuses_a_field_twice_or_out_of_order(void **state)
{
	static const char *const second[] = { "\0\x05", "\x80\x05", "\0\x04", "\x80\x04" };

	(void)state;
	for (size_t i = 0; i < sizeof second / sizeof second[0]; i++) {
		uint8_t bytes[12] = { 0, 5 };
		memcpy(bytes + 6, second[i], 2);
		struct payload payload = payload_of(bytes, sizeof bytes);
		struct wire_field field;

		assert_int_equal(wire_get_field(&payload.reader, &field), OK);
		assert_int_equal(wire_get_field(&payload.reader, &field), ERROR_MALFORMED);
		free(payload.bytes);
	}
}

static void writer_writes_what_the_format_says(void **state)
{
	uint8_t bytes[16];
	struct wire_writer writer = { .bytes = bytes, .capacity = sizeof bytes };

	(void)state;
	assert_int_equal(wire_put_field(&writer, 1, true, span_of_string("ok")), OK);
	assert_int_equal(wire_put_field(&writer, 0x102, false, span_of_string("")), OK);
	assert_int_equal(wire_put_bytes(&writer, span_of_string("!!")), OK);
	assert_int_equal(writer.length, 16);
	assert_memory_equal(bytes, "\x80\x01\0\0\0\x02ok\x01\x02\0\0\0\0!!", 16);
}

static void writer_writes_nothing_of_what_does_not_fit(void **state)
{
	(void)state;
	/* A field with a value of two bytes takes eight. */
	for (size_t capacity = 0; capacity < 8; capacity++) {
		uint8_t bytes[8];
		memset(bytes, 0x55, sizeof bytes);
		struct wire_writer writer = { .bytes = bytes, .capacity = capacity };

		assert_int_equal(
			wire_put_field(&writer, 1, true, span_of_string("ok")), ERROR_TOO_LARGE);
		assert_int_equal(writer.length, 0);
		assert_memory_equal(bytes, "\x55\x55\x55\x55\x55\x55\x55\x55", 8);
	}
}

static void writer_refuses_a_length_that_its_field_cannot_say(void **state)
{
	struct wire_writer writer = { .capacity = SIZE_MAX };
	uint8_t byte = 0;

	(void)state;
	assert_int_equal(wire_put_field(&writer, 1, false, span_of(&byte, (size_t)UINT32_MAX + 1)),
		ERROR_TOO_LARGE);
	assert_int_equal(
		wire_put_field(&writer, 1, false, span_of(&byte, SIZE_MAX)), ERROR_TOO_LARGE);
}

static void writer_without_a_buffer_counts_within_its_capacity(void **state)
{
	struct wire_writer writer = { .capacity = 9 };

	(void)state;
	assert_int_equal(wire_put_field(&writer, 1, true, span_of_string("ok")), OK);
	assert_int_equal(writer.length, 8);
	assert_int_equal(wire_put_bytes(&writer, span_of_string("!!")), ERROR_TOO_LARGE);
	assert_int_equal(wire_put_bytes(&writer, span_of_string("!")), OK);
	assert_int_equal(writer.length, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_big_endian_in_both_directions),
		cmocka_unit_test(reader_gives_each_field_with_its_critical_bit),
		cmocka_unit_test(reader_of_an_empty_payload_is_done),
		cmocka_unit_test(reader_refuses_every_truncation),
		cmocka_unit_test(reader_refuses_length_past_end),
		cmocka_unit_test(reader_refuses_the_number_zero),
		cmocka_unit_test(reader_refuses_a_field_twice_or_out_of_order),
		cmocka_unit_test(writer_writes_what_the_format_says),
		cmocka_unit_test(writer_writes_nothing_of_what_does_not_fit),
		cmocka_unit_test(writer_refuses_a_length_that_its_field_cannot_say),
		cmocka_unit_test(writer_without_a_buffer_counts_within_its_capacity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
