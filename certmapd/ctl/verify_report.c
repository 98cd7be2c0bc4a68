/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify_report.c owns the form of a finding, in words and as JSON. */
#include "verify_report.h"

#include "json.h"
#include "print.h"
#include "words.h"

#include <stdarg.h>
#include <stdio.h>

#define WORDS_MAX_BYTES 600u
#define LABEL_COLUMNS 9u

void verify_begin(const struct verify *verify)
{
	if (verify->ctl->json)
		putchar('[');
}

static void print_as_json(struct verify *verify, const char *severity, const char *thing,
	const char *words, const char *remedy)
{
	const struct json_field fields[] = {
		{ .name = "severity", .text = span_of_string(severity) },
		{ .name = "thing", .text = span_of_string(thing) },
		{ .name = "text", .text = span_of_string(words) },
		{ .name = "remedy", .text = span_of_string(remedy) },
	};

	fputs(verify->errors + verify->warnings > 1 ? ",\n" : "\n", stdout);
	if (verify->failure == OK)
		verify->failure = json_print(fields, sizeof fields / sizeof fields[0]);
}

void verify_report(struct verify *verify, enum verify_severity severity, const char *thing,
	const char *remedy, const char *format, ...)
{
	const char *word = severity == VERIFY_ERROR ? "error" : "warning";
	char words[WORDS_MAX_BYTES], shown[WORDS_MAX_BYTES], shown_thing[WORDS_MAX_BYTES];
	char line[3 * WORDS_MAX_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(words, sizeof words, format, arguments);
	va_end(arguments);
	verify->errors += severity == VERIFY_ERROR;
	verify->warnings += severity == VERIFY_WARNING;
	if (verify->ctl->json) {
		print_as_json(verify, word, thing, words, remedy);
		return;
	}
	print_shown(span_of_string(words), shown, sizeof shown);
	print_shown(span_of_string(thing), shown_thing, sizeof shown_thing);
	snprintf(line, sizeof line, "%s: %s. %s", shown_thing, shown, remedy);
	words_print(word, LABEL_COLUMNS, line);
}

void verify_end(const struct verify *verify)
{
	if (verify->ctl->json)
		fputs(verify->errors + verify->warnings > 0 ? "\n]\n" : "]\n", stdout);
	else if (verify->errors + verify->warnings == 0)
		puts("Nothing is wrong.");
	else
		printf("%zu error%s, %zu warning%s.\n", verify->errors,
			verify->errors == 1 ? "" : "s", verify->warnings,
			verify->warnings == 1 ? "" : "s");
}
