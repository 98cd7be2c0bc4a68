/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wire.h owns the bytes of a frame below the meaning of its fields: integers in network byte
 * order, a reader that can't pass its end and a writer that can't pass its capacity.
 *
 * Nothing here knows a message, allocates, or keeps anything beyond the two structs.
 */
#pragma once

#include "errors.h"
#include "span.h"

/* A field is a tag of two bytes, a length of four, and its value. */
#define WIRE_FIELD_HEADER_BYTES 6u

/* The top bit of a tag: who does not know this field must refuse the whole frame. */
#define WIRE_CRITICAL_BIT 0x8000u

/* What is left of a payload. Borrows the bytes. */
struct wire_reader {
	struct span left;
	uint16_t last_number; /* of the field before; 0 at the start */
};

struct wire_field {
	uint16_t number; /* 1 to 0x7fff */
	bool is_critical;
	struct span value; /* there, also where it is empty; points into the reader's bytes */
};

/* Borrows `bytes`; with a NULL pointer it writes nothing and only counts. */
struct wire_writer {
	uint8_t *bytes;
	size_t capacity;
	size_t length;
};

uint16_t wire_load_u16(const uint8_t bytes[2]);
uint32_t wire_load_u32(const uint8_t bytes[4]);
uint64_t wire_load_u64(const uint8_t bytes[8]);
void wire_store_u16(uint16_t value, uint8_t ret[2]);
void wire_store_u32(uint32_t value, uint8_t ret[4]);
void wire_store_u64(uint64_t value, uint8_t ret[8]);

/* `payload` must be there; it may be empty. */
struct wire_reader wire_reader_of(struct span payload);

/* Nothing is left, not even a piece of a field. */
bool wire_reader_is_done(const struct wire_reader *reader);

/* Takes the next field. ERROR_MALFORMED: it passes the end, or its number is not above that of the
 * field before, so that none comes twice and none has the number 0. On failure *ret and *reader
 * are untouched. */
WARN_UNUSED enum error wire_get_field(struct wire_reader *reader, struct wire_field *ret);

/* Appends. ERROR_TOO_LARGE: no room; then nothing was written. */
WARN_UNUSED enum error wire_put_bytes(struct wire_writer *writer, struct span bytes);
WARN_UNUSED enum error wire_put_field(
	struct wire_writer *writer, uint16_t number, bool is_critical, struct span value);
