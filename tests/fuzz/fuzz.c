/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuzz.c owns the cutting of inputs. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

void fuzz_fail(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

static struct span take(struct fuzz_input *input, size_t length)
{
	struct span taken;

	if (length > input->left.length)
		length = input->left.length;
	taken = span_of(input->left.bytes, length);
	if (length > 0)
		input->left = span_of(input->left.bytes + length, input->left.length - length);
	return taken;
}

uint8_t fuzz_take_byte(struct fuzz_input *input)
{
	const struct span taken = take(input, 1);

	return taken.length > 0 ? taken.bytes[0] : 0;
}

uint64_t fuzz_take_u64(struct fuzz_input *input)
{
	uint64_t value = 0;

	for (size_t i = 0; i < sizeof(value); i++)
		value = value << 8 | fuzz_take_byte(input);
	return value;
}

struct span fuzz_copy(struct span bytes)
{
	/* One byte at least: an empty part is there, which a NULL would not be. */
	uint8_t *copy = malloc(bytes.length > 0 ? bytes.length : 1);

	if (!copy)
		exit(1);
	if (bytes.length > 0)
		memcpy(copy, bytes.bytes, bytes.length);
	return span_of(copy, bytes.length);
}

struct span fuzz_take_part(struct fuzz_input *input)
{
	const size_t high = fuzz_take_byte(input);

	return fuzz_copy(take(input, high << 8 | fuzz_take_byte(input)));
}

struct span fuzz_take_rest(struct fuzz_input *input)
{
	return fuzz_copy(take(input, input->left.length));
}

void fuzz_free(struct span *part)
{
	free((void *)part->bytes);
	*part = (struct span){ 0 };
}

char *fuzz_take_string(struct fuzz_input *input)
{
	FUZZ_PART part = fuzz_take_part(input);
	const uint8_t *end = memchr(part.bytes, 0, part.length);
	const size_t length = end ? (size_t)(end - part.bytes) : part.length;
	/* Not strndup(3), which may not be asked about bytes without a NUL under
	 * strict_string_checks.
	 */
	char *string = calloc(1, length + 1);

	if (!string)
		exit(1);
	memcpy(string, part.bytes, length);
	return string;
}

void fuzz_free_string(char **string)
{
	free(*string);
	*string = NULL;
}

bool fuzz_is_inside(struct span inner, struct span outer)
{
	const uintptr_t start = (uintptr_t)inner.bytes, outer_start = (uintptr_t)outer.bytes;

	return start >= outer_start && inner.length <= outer.length &&
	       start - outer_start <= outer.length - inner.length;
}
