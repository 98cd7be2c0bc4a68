/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_frame.h owns a second, simple-minded reading of a frame, from PROTOCOL.md alone: what a
 * message must look like when it is written again after it was read.
 */
#pragma once

#include "fuzz.h"

#define FRAME_HEADER_BYTES 12u
#define FRAME_FIELD_HEADER_BYTES 6u

/* The value of a field of a frame whose lengths are known to be right; not there: it is missing. */
static inline struct span frame_value(struct span frame, unsigned number)
{
	const uint8_t *at = frame.bytes + FRAME_HEADER_BYTES;
	const uint8_t *end = frame.bytes + frame.length;

	while (at < end) {
		const unsigned tag = (unsigned)(at[0] << 8 | at[1]);
		const size_t length =
			(size_t)at[2] << 24 | (size_t)at[3] << 16 | (size_t)at[4] << 8 | at[5];

		at += FRAME_FIELD_HEADER_BYTES;
		if ((tag & 0x7fff) == number)
			return span_of(at, length);
		at += length;
	}
	return (struct span){ 0 };
}

/* Whether `written` holds the known fields of `read`, 1 to `last`, all of them and nothing else.
 * The critical bit is the format's to say, and what is not known and not critical is dropped. */
static inline void frame_must_match(
	struct span read, struct span written, unsigned last, unsigned may_be_dropped)
{
	size_t payload_bytes = 0;

	MUST(written.length >= FRAME_HEADER_BYTES);
	MUST(memcmp(read.bytes, written.bytes, 8) == 0);
	for (unsigned number = 1; number <= last; number++) {
		const struct span was = frame_value(read, number);
		const struct span is = frame_value(written, number);

		if (span_is_present(is))
			payload_bytes += FRAME_FIELD_HEADER_BYTES + is.length;
		if (number == may_be_dropped && !span_is_present(is))
			continue;
		MUST(span_is_present(was) == span_is_present(is));
		MUST(!span_is_present(was) || span_is_equal(was, is));
	}
	MUST(written.length == FRAME_HEADER_BYTES + payload_bytes);
}
