/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * span.h owns the borrowed run of bytes: what came from outside and has no terminator.
 *
 * A span never owns; it lives as long as the buffer that it points into. Text from the wire stays
 * a span until its length and bytes were checked (unterminated bytes used as strings were the
 * fault of SSSD's CVE-2026-6245).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *bytes; /* NULL means "not there"; an empty span that is there is not NULL */
	size_t length;
};

static inline struct span span_of(const void *bytes, size_t length)
{
	return (struct span){ .bytes = bytes, .length = length };
}

/* A string without its terminator; a NULL string makes a span that is not there. */
static inline struct span span_of_string(const char *string)
{
	return span_of(string, string ? strlen(string) : 0);
}

static inline bool span_is_present(struct span span)
{
	return span.bytes != NULL;
}

/* Byte-equal, and both there. No folding, no trimming: "alice " is not "alice". */
static inline bool span_is_equal(struct span a, struct span b)
{
	return a.bytes && b.bytes && a.length == b.length &&
	       (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}
