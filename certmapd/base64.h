/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * base64.h owns the reading of base64 (RFC 4648 4), without the leniency by which many texts could
 * stand for the same bytes: but for white space and padding, where a form allows them, one does.
 */
#pragma once

#include "errors.h"
#include "span.h"

enum base64_form {
	BASE64_PADDED,   /* in one piece, padded */
	BASE64_LINES,    /* padded, with space, tab, CR and LF anywhere */
	BASE64_UNBROKEN, /* in one piece, padded or, as RFC 8941 4.2.7 allows, without padding */
};

enum base64_finding {
	BASE64_DECODED = 0,
	BASE64_BROKEN, /* a wrong character, length or padding, or bits that stand for nothing */
	BASE64_TOO_LARGE,
};

/* Decodes the whole text to `ret`, for which as many bytes as the text has always suffice, and
 * where the text itself may lie, at its start or behind it. No text is no bytes. *ret_length is set
 * with BASE64_DECODED alone; what stands in `ret` otherwise means nothing. Never allocates. */
WARN_UNUSED enum base64_finding base64_decode(
	struct span text, enum base64_form form, uint8_t *ret, size_t capacity, size_t *ret_length);
