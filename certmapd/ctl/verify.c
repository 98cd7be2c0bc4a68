/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify.c owns the verb that looks for what is wrong, and the form of a finding. */
#include "verify.h"

#include "json.h"
#include "print.h"
#include "seal.h"
#include "words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define WORDS_MAX_BYTES 600u
#define LABEL_COLUMNS 9u

struct arguments {
	struct ctl *ctl;
	struct verify verify;
};

enum { OPTION_CONFDIR = 0x100, OPTION_KEY };

static const struct argp_option options[] = {
	{ "confdir", OPTION_CONFDIR, "DIRECTORY", 0, "Read stacks here and not in /etc/pam.d", 0 },
	{ "key", OPTION_KEY, "FILE", 0, "The key of stored credentials, see `credential'", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPTION_CONFDIR:
		arguments->verify.confdir = value;
		return 0;
	case OPTION_KEY:
		arguments->verify.key_path = value;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "there is nothing to name: everything is looked at");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.doc = "Looks for what is wrong, in the database and in the stacks of /etc/pam.d.\v"
	       "Exit status: 0 nothing or warnings alone, 1 an error.",
};

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

static void print_end(const struct verify *verify)
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

enum ctl_status ctl_verify(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = {
		.ctl = ctl,
		.verify = { .ctl = ctl, .key_path = SEAL_KEY_DEFAULT_PATH },
	};
	struct verify *verify = &arguments.verify;
	const struct store_trouble none = { "" };

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if (ctl->json)
		putchar('[');
	verify_database(verify);
	verify_stacks(verify);
	print_end(verify);
	if (verify->failure != OK)
		return ctl_fail(ctl, verify->failure, &none);
	return verify->errors > 0 ? CTL_REFUSED : CTL_DONE;
}
