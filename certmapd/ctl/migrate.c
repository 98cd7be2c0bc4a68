/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* migrate.c owns the verb that brings a database up to this version of certmap. */
#include "ctl.h"

#include "print.h"
#include "store_migrate.h"

#include <stdio.h>

static error_t parse(int key, char *value, struct argp_state *state)
{
	(void)value;
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

static const struct argp parser = {
	.parser = parse,
	.children = ctl_children,
	.doc = "Brings a database up to the schema of this version of certmap.\v"
	       "A copy of the file as "
	       "it was is kept beside it, as PATH.v1 for version 1. A database that is up to date "
	       "is left as it is.",
};

static void print_json(const struct ctl *ctl, const struct store_migration *migration)
{
	printf("{\n  \"database\": ");
	print_json_string(stdout, span_of_string(ctl->database));
	printf(",\n  \"from\": %u,\n  \"to\": %u,\n  \"copy\": ", migration->from, migration->to);
	if (migration->copy[0] != '\0')
		print_json_string(stdout, span_of_string(migration->copy));
	else
		printf("null");
	printf("\n}\n");
}

enum ctl_status ctl_migrate(struct ctl *ctl, int argc, char **argv)
{
	struct store_trouble trouble = { "" };
	struct store_migration migration;
	enum error error;

	argp_parse(&parser, argc, argv, 0, NULL, ctl);
	error = store_migrate(
		ctl->database, ctl_owner(ctl), migrations, migration_count, &migration, &trouble);
	if (error != OK)
		return ctl_fail(ctl, error, &trouble);
	if (ctl->json)
		print_json(ctl, &migration);
	else if (migration.from == migration.to)
		printf("Database %s has schema version %u already: nothing to do.\n", ctl->database,
			migration.to);
	else
		printf("Database %s brought from schema version %u to %u.\n"
		       "The file as it was: %s\n",
			ctl->database, migration.from, migration.to, migration.copy);
	return CTL_DONE;
}
