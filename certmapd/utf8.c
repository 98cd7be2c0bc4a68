/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* utf8.c owns the decoding of UTF-8, byte by byte and without a locale. */
#include "utf8.h"

/* How many bytes a character has by its first one; 0 where none begins so. */
static size_t announced_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0 || first >= 0xf8)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t utf8_read(struct span text, uint32_t *ret_code_point)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t first = text.bytes[0];
	const size_t length = announced_length(first);
	uint32_t code_point = length < 2 ? first : first & (0x7fu >> length);

	if (length == 0 || length > text.length)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((text.bytes[i] & 0xc0u) != 0x80u)
			return 0;
		code_point = code_point << 6 | (text.bytes[i] & 0x3fu);
	}
	if (code_point < smallest[length] || code_point > 0x10ffff ||
		(code_point >= 0xd800 && code_point <= 0xdfff))
		return 0;
	*ret_code_point = code_point;
	return length;
}
