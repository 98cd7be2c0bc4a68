/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verbs.c owns how a verb is found and called. */
#include "verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct choice {
	const struct verbs *verbs;
	struct ctl *ctl;
	const struct verb *verb;
	int index; /* in argv */
};

static const struct verb *find_verb(const struct verbs *verbs, const char *name)
{
	for (size_t i = 0; i < verbs->count; i++)
		if (strcmp(verbs->table[i].name, name) == 0)
			return &verbs->table[i];
	return NULL;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct choice *choice = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = choice->ctl;
		return 0;
	case ARGP_KEY_ARG:
		if (!(choice->verb = find_verb(choice->verbs, value)))
			argp_error(state, "unknown verb '%s'", value);
		choice->index = state->next - 1;
		state->next = state->argc; /* the rest is the verb's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "a verb is missing");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *list_verbs(const struct verbs *verbs)
{
	char *text = NULL;
	size_t size, widest = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < verbs->count; i++)
		if (strlen(verbs->table[i].name) > widest)
			widest = strlen(verbs->table[i].name);
	fputs("Verbs:\n", out);
	for (size_t i = 0; i < verbs->count; i++)
		fprintf(out, "  %-*s  %s\n", (int)widest, verbs->table[i].name,
			verbs->table[i].summary);
	fprintf(out,
		"\n`%s VERB --help' says more. Exit status: 0 done, 1 refused or not found, "
		"2 wrong usage.",
		verbs->program);
	fclose(out);
	return text;
}

/* What argp_help() asks before it prints a part of the help; it frees what it gets. */
static char *filter_help(int key, const char *text, void *input)
{
	const struct choice *choice = input;

	/* Without an input argp only looks whether there would be any text. */
	if (key != ARGP_KEY_HELP_POST_DOC || !choice)
		return (char *)text;
	return list_verbs(choice->verbs);
}

enum ctl_status verbs_run(const struct verbs *verbs, struct ctl *ctl, int argc, char **argv)
{
	struct choice choice = { .verbs = verbs, .ctl = ctl };
	const struct argp parser = {
		.parser = parse,
		.children = ctl_children,
		.args_doc = "VERB [ARGUMENT...]",
		.doc = verbs->doc,
		.help_filter = filter_help,
	};
	char name[64]; /* by which the verb's own parser calls itself in its messages */

	if (argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &choice) != 0)
		return CTL_USAGE;
	snprintf(name, sizeof name, "%s %s", verbs->program, choice.verb->name);
	/* cppcheck-suppress autoVariables ; nobody looks at it once the verb has run */
	argv[choice.index] = name;
	ctl->detail = choice.verb->detail;
	return choice.verb->run(ctl, argc - choice.index, argv + choice.index);
}
