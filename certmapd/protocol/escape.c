/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* escape.c owns which bytes may be shown as they are. */
#include "escape.h"

#define ELLIPSIS "..."
#define ELLIPSIS_BYTES (sizeof ELLIPSIS - 1)

/* A quote would end a quoted value of a log line and a backslash would forge an escape. */
static bool is_plain(uint8_t byte)
{
	return byte >= 0x20 && byte <= 0x7e && byte != '\\' && byte != '"';
}

static size_t escaped_bytes(uint8_t byte)
{
	return is_plain(byte) ? 1 : sizeof "\\xNN" - 1;
}

static bool fits(struct span text, size_t room)
{
	for (size_t i = 0; i < text.length; i++) {
		if (escaped_bytes(text.bytes[i]) > room)
			return false;
		room -= escaped_bytes(text.bytes[i]);
	}
	return true;
}

static void escape_byte(uint8_t byte, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	if (is_plain(byte)) {
		ret[0] = (char)byte;
		return;
	}
	ret[0] = '\\';
	ret[1] = 'x';
	ret[2] = digits[byte >> 4];
	ret[3] = digits[byte & 0xf];
}

char *escape_text(struct span text, char *buffer, size_t capacity)
{
	const size_t room = capacity - 1;

	if (!span_is_present(text))
		text = span_of_string("-");

	const bool is_cut = !fits(text, room);
	const bool has_ellipsis = is_cut && room >= ELLIPSIS_BYTES;
	const size_t limit = has_ellipsis ? room - ELLIPSIS_BYTES : room;
	size_t used = 0;

	for (size_t i = 0; i < text.length; i++) {
		const size_t bytes = escaped_bytes(text.bytes[i]);

		if (bytes > limit - used)
			break;
		escape_byte(text.bytes[i], buffer + used);
		used += bytes;
	}
	if (has_ellipsis) {
		memcpy(buffer + used, ELLIPSIS, ELLIPSIS_BYTES);
		used += ELLIPSIS_BYTES;
	}
	buffer[used] = '\0';
	return buffer;
}
