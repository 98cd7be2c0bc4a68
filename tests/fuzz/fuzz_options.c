/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_options.c: a stack line, its words separated by NUL. What is accepted is within the limits
 * that the manual names, does not depend on the order of the words, and bears no word twice.
 */
#include "options.h"

#include "fuzz.h"

#include <stdlib.h>
#include <sys/un.h>

#define WORDS_MAX 16

static void check_accepted(const struct options *options)
{
	MUST(options->source >= SOURCE_ENVIRONMENT && options->source <= SOURCE_SSH);
	MUST(options->accept >= EVIDENCE_CERTIFICATE && options->accept <= EVIDENCE_NAME);
	MUST(options->mode == MODE_MATCH || options->mode == MODE_SET);
	MUST(options->timeout_usec >= 1000 &&
		options->timeout_usec <= OPTIONS_TIMEOUT_MAX_MSEC * UINT64_C(1000));
	MUST(options->socket_path[0] == '/' &&
		strlen(options->socket_path) < sizeof(((struct sockaddr_un *)NULL)->sun_path));
	MUST((options->source_second_name[0] != '\0') == (options->accept == EVIDENCE_NAMES));
	MUST(options->source != SOURCE_USER || options->mode == MODE_SET);
	MUST(options->source != SOURCE_SSH || options->accept == EVIDENCE_KEY);
	MUST(!options->require_name[0] || options->require_value);
}

static bool is_same_text(const char *one, const char *other)
{
	return one == other || (one && other && strcmp(one, other) == 0);
}

static bool is_same(const struct options *one, const struct options *other)
{
	return one->source == other->source && one->accept == other->accept &&
	       one->mode == other->mode && one->timeout_usec == other->timeout_usec &&
	       one->allow_root == other->allow_root && one->debug == other->debug &&
	       is_same_text(one->source_name, other->source_name) &&
	       is_same_text(one->source_second_name, other->source_second_name) &&
	       is_same_text(one->require_name, other->require_name) &&
	       is_same_text(one->require_value, other->require_value) &&
	       is_same_text(one->socket_path, other->socket_path);
}

static void check_line(int count, const char **words)
{
	const char *backwards[WORDS_MAX + 1];
	struct options options, again;
	struct options_problem problem = { 0 };
	const bool is_accepted = options_read(count, words, &options, &problem);

	for (int i = 0; i < count; i++)
		backwards[i] = words[count - 1 - i];
	MUST(options_read(count, backwards, &again, &problem) == is_accepted);
	if (!is_accepted) {
		MUST(problem.why && problem.why[0]);
		MUST(!memchr(problem.option.bytes, '=', problem.option.length));
		return;
	}
	check_accepted(&options);
	MUST(is_same(&options, &again));
	backwards[count] = words[0];
	MUST(!options_read(count + 1, backwards, &again, &problem));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1);
	const char *words[WORDS_MAX];
	size_t at = 0;
	int count = 0;

	MUST(line);
	memcpy(line, data, size);
	line[size] = '\0';
	for (; at < size && count < WORDS_MAX; at += strlen(line + at) + 1)
		words[count++] = line + at;
	check_line(count, words);
	free(line);
	return 0;
}
