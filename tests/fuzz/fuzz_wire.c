/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_wire.c: whatever bytes stand in a payload, the reader takes fields that lie inside of it, in
 * rising order, and written again they are the same bytes.
 */
#include "wire.h"

#include "fuzz.h"

#include <stdlib.h>

static void check_field(struct span payload, const struct wire_field *field, uint16_t last_number)
{
	MUST(field->number > last_number && field->number < WIRE_CRITICAL_BIT);
	MUST(span_is_present(field->value) && fuzz_is_inside(field->value, payload));
}

/* One byte less of room: nothing may be written then. */
static void check_room(const struct wire_field *field)
{
	const size_t needed = WIRE_FIELD_HEADER_BYTES + field->value.length;
	uint8_t *bytes = calloc(1, needed);
	struct wire_writer writer = { .bytes = bytes, .capacity = needed - 1 };

	MUST(bytes);
	MUST(wire_put_field(&writer, field->number, field->is_critical, field->value) ==
		ERROR_TOO_LARGE);
	MUST(writer.length == 0);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span payload = span_of(data, size);
	struct wire_reader reader = wire_reader_of(payload), before;
	uint8_t *bytes = malloc(size + 1);
	struct wire_writer writer = { .bytes = bytes, .capacity = size };
	struct wire_field field = { 0 };
	uint16_t last_number = 0;

	MUST(bytes);
	while (!wire_reader_is_done(&reader)) {
		before = reader;
		if (wire_get_field(&reader, &field) != OK) {
			MUST(reader.left.bytes == before.left.bytes &&
				reader.left.length == before.left.length &&
				reader.last_number == before.last_number);
			break;
		}
		check_field(payload, &field, last_number);
		check_room(&field);
		last_number = field.number;
		MUST(wire_put_field(&writer, field.number, field.is_critical, field.value) == OK);
	}
	MUST(writer.length == size - reader.left.length);
	MUST(writer.length == 0 || memcmp(bytes, data, writer.length) == 0);
	free(bytes);
	return 0;
}
