/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * openssl_tool.h owns what the unit tests share to let the openssl command make their certificates
 * and say what is in them: expected values come from there, not from the code under test. It also
 * owns their buffers, keys and random numbers.
 *
 * Commands run by the shell in a temporary directory with a configuration of their own. Any
 * failure ends the test program: without its certificates no test says anything.
 */
#pragma once

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "span.h"

#define BYTES_MAX 262144u

/* A buffer that a test builds its input in. */
struct bytes {
	size_t length;
	uint8_t at[BYTES_MAX];
};

__attribute__((noreturn)) static inline void tool_fail(const char *what)
{
	fprintf(stderr, "Bail out! %s\n", what);
	exit(99);
}

static inline struct bytes *bytes_new(void)
{
	struct bytes *bytes = calloc(1, sizeof(*bytes));

	if (!bytes)
		tool_fail("out of memory");
	return bytes;
}

static inline void bytes_add(struct bytes *bytes, const void *from, size_t length)
{
	if (length > BYTES_MAX - 1 - bytes->length)
		tool_fail("a test's buffer is full");
	if (length > 0)
		memcpy(bytes->at + bytes->length, from, length);
	bytes->length += length;
	bytes->at[bytes->length] = 0;
}

static inline void bytes_add_string(struct bytes *bytes, const char *string)
{
	bytes_add(bytes, string, strlen(string));
}

static inline struct span bytes_span(const struct bytes *bytes)
{
	return span_of(bytes->at, bytes->length);
}

/* A copy of exactly this size, so that AddressSanitizer sees a read past its end. */
static inline struct span span_exact_copy(struct span from)
{
	uint8_t *copy = malloc(from.length > 0 ? from.length : 1);

	if (!copy)
		tool_fail("out of memory");
	if (from.length > 0)
		memcpy(copy, from.bytes, from.length);
	return span_of(copy, from.length);
}

static inline void tool_directory_remove(void)
{
	if (system("rm -rf -- \"$TOOL_DIRECTORY\"") != 0)
		fprintf(stderr, "# the temporary directory stays\n");
}

/* Makes and enters the temporary directory, which goes when the program ends. */
static inline void tool_enter(void)
{
	static char directory[] = "/tmp/certmap-test-XXXXXX";
	FILE *configuration;

	if (!mkdtemp(directory) || chdir(directory) != 0 ||
		setenv("TOOL_DIRECTORY", directory, 1) != 0 ||
		setenv("OPENSSL_CONF", "openssl.cnf", 1) != 0 || setenv("TZ", "UTC", 1) != 0)
		tool_fail("no temporary directory");
	atexit(tool_directory_remove);
	configuration = fopen("openssl.cnf", "w");
	if (!configuration ||
		fputs("[req]\nutf8 = yes\nstring_mask = ${ENV::STRING_MASK}\n"
		      "distinguished_name = dn\n[dn]\n",
			configuration) < 0 ||
		fclose(configuration) != 0 || setenv("STRING_MASK", "utf8only", 1) != 0)
		tool_fail("no configuration for openssl");
}

/* Runs a shell command and returns what it printed; the caller frees it. */
__attribute__((format(printf, 1, 2))) static inline struct bytes *tool_run(const char *format, ...)
{
	struct bytes *output = bytes_new();
	char command[65536];
	va_list arguments;
	FILE *pipe;
	int length;

	va_start(arguments, format);
	length = vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(command) || !(pipe = popen(command, "re")))
		tool_fail("a command that can't be run");
	output->length = fread(output->at, 1, BYTES_MAX - 1, pipe);
	output->at[output->length] = 0;
	if (pclose(pipe) != 0)
		tool_fail(command);
	return output;
}

/* Numbers that are the same in each run: xorshift64 (Marsaglia 2003). */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline size_t random_below(uint64_t *state, size_t bound)
{
	return (size_t)(random_next(state) % bound);
}

/* Changes, inserts, removes or repeats bytes in a few places. */
static inline void bytes_mutate(struct bytes *bytes, uint64_t *state)
{
	for (size_t rounds = 1 + random_below(state, 4); rounds > 0; rounds--) {
		const size_t at = random_below(state, bytes->length + 1);
		const size_t rest = bytes->length - at;
		const size_t run = random_below(state, rest < 40 ? rest + 1 : 40);

		switch (random_below(state, 4)) {
		case 0:
			if (rest > 0)
				bytes->at[at] = (uint8_t)random_next(state);
			break;
		case 1:
			memmove(bytes->at + at, bytes->at + at + run, rest - run);
			bytes->length -= run;
			break;
		case 2:
			memmove(bytes->at + at + run, bytes->at + at, rest);
			bytes->length += run;
			break;
		default:
			if (rest > 0)
				bytes->at[at] ^= (uint8_t)(1u << random_below(state, 8));
			break;
		}
	}
}
