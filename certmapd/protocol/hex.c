/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hex.c owns both directions. */
#include "hex.h"

char *hex_print(struct span bytes, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.length; i++) {
		ret[2 * i] = digits[bytes.bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes.bytes[i] & 0xf];
	}
	ret[2 * bytes.length] = '\0';
	return ret;
}

int hex_digit(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
}
