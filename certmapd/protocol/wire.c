/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wire.c owns the only pointer arithmetic on bytes that came from a peer. */
#include "wire.h"

uint16_t wire_load_u16(const uint8_t bytes[2])
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

uint32_t wire_load_u32(const uint8_t bytes[4])
{
	return (uint32_t)wire_load_u16(bytes) << 16 | wire_load_u16(bytes + 2);
}

uint64_t wire_load_u64(const uint8_t bytes[8])
{
	return (uint64_t)wire_load_u32(bytes) << 32 | wire_load_u32(bytes + 4);
}

void wire_store_u16(uint16_t value, uint8_t ret[2])
{
	ret[0] = (uint8_t)(value >> 8);
	ret[1] = (uint8_t)value;
}

void wire_store_u32(uint32_t value, uint8_t ret[4])
{
	wire_store_u16((uint16_t)(value >> 16), ret);
	wire_store_u16((uint16_t)value, ret + 2);
}

void wire_store_u64(uint64_t value, uint8_t ret[8])
{
	wire_store_u32((uint32_t)(value >> 32), ret);
	wire_store_u32((uint32_t)value, ret + 4);
}

struct wire_reader wire_reader_of(struct span payload)
{
	return (struct wire_reader){ .left = payload };
}

bool wire_reader_is_done(const struct wire_reader *reader)
{
	return reader->left.length == 0;
}

enum error wire_get_field(struct wire_reader *reader, struct wire_field *ret)
{
	const struct span left = reader->left;

	if (left.length < WIRE_FIELD_HEADER_BYTES)
		return ERROR_MALFORMED;

	const uint16_t tag = wire_load_u16(left.bytes);
	const uint16_t number = (uint16_t)(tag & ~WIRE_CRITICAL_BIT);
	const uint32_t value_bytes = wire_load_u32(left.bytes + 2);

	/* Compare with what is left, never add to the length: a sum could wrap where size_t has 32
	 * bits, and the peer chooses the length. */
	if (value_bytes > left.length - WIRE_FIELD_HEADER_BYTES || number <= reader->last_number)
		return ERROR_MALFORMED;

	const uint8_t *value = left.bytes + WIRE_FIELD_HEADER_BYTES;
	reader->left =
		span_of(value + value_bytes, left.length - WIRE_FIELD_HEADER_BYTES - value_bytes);
	reader->last_number = number;
	*ret = (struct wire_field){
		.number = number,
		.is_critical = tag & WIRE_CRITICAL_BIT,
		.value = span_of(value, value_bytes),
	};
	return OK;
}

enum error wire_put_bytes(struct wire_writer *writer, struct span bytes)
{
	if (bytes.length > writer->capacity - writer->length)
		return ERROR_TOO_LARGE;
	/* memcpy from or to NULL is undefined even for no bytes, C11 7.24.1. */
	if (writer->bytes && bytes.length > 0)
		memcpy(writer->bytes + writer->length, bytes.bytes, bytes.length);
	writer->length += bytes.length;
	return OK;
}

enum error wire_put_field(
	struct wire_writer *writer, uint16_t number, bool is_critical, struct span value)
{
	const size_t room = writer->capacity - writer->length;
	uint8_t header[WIRE_FIELD_HEADER_BYTES];
	enum error err;

	if (room < sizeof header || value.length > room - sizeof header ||
		value.length > UINT32_MAX)
		return ERROR_TOO_LARGE;

	wire_store_u16((uint16_t)(number | (is_critical ? WIRE_CRITICAL_BIT : 0)), header);
	wire_store_u32((uint32_t)value.length, header + 2);
	/* GCOVR_EXCL_START: there is room for both, so that nothing is written in part. */
	if ((err = wire_put_bytes(writer, span_of(header, sizeof header))) != OK)
		return err;
	/* GCOVR_EXCL_STOP */
	return wire_put_bytes(writer, value);
}
