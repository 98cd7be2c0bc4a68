/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* migrate.c owns the verb that brings a database up to this version of certmap. */
#include "ctl.h"

#include "edit.h"
#include "json.h"
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
	.children = ctl_change_children,
	.doc = "Brings a database up to the schema of this version of certmap.\v"
	       "A copy of the file as "
	       "it was is kept beside it, as PATH.v1 for version 1. A database that is up to date "
	       "is left as it is.",
};

static enum error tell_as_json(const struct ctl *ctl, const struct store_migration *migration)
{
	const char *copy = migration->copy[0] != '\0' ? migration->copy : NULL;
	const struct json_field fields[] = {
		{ .name = "database", .text = span_of_string(ctl->database) },
		{ .name = "from", .is_number = true, .number = migration->from },
		{ .name = "to", .is_number = true, .number = migration->to },
		{ .name = "copy", .text = span_of_string(copy) },
	};
	enum error error = json_print(fields, sizeof fields / sizeof fields[0]);

	if (error == OK)
		putchar('\n');
	return error;
}

static enum error tell(const struct ctl *ctl, const struct store_migration *migration)
{
	if (ctl->json)
		return tell_as_json(ctl, migration);
	if (migration->from != migration->to && ctl->is_dry)
		printf("Database %s would be brought from schema version %u to %u.\n",
			ctl->database, migration->from, migration->to);
	else if (migration->from == migration->to)
		printf("Database %s has schema version %u already: nothing to do.\n", ctl->database,
			migration->to);
	else
		printf("Database %s brought from schema version %u to %u.\n"
		       "The file as it was: %s\n",
			ctl->database, migration->from, migration->to, migration->copy);
	return OK;
}

static enum error rehearse(
	const struct ctl *ctl, struct store_migration *ret, struct store_trouble *ret_trouble)
{
	struct store_migration migration = { .to = migration_count };
	enum error error = store_read_start(
		ctl->database, ctl_owner(ctl), migration_count, &migration.from, ret_trouble);

	if (error == OK)
		*ret = migration;
	return error;
}

enum ctl_status ctl_migrate(struct ctl *ctl, int argc, char **argv)
{
	struct store_trouble trouble = { "" };
	struct store_migration migration;
	enum error error;

	argp_parse(&parser, argc, argv, 0, NULL, ctl);
	error = edit_is_dry(ctl) ? rehearse(ctl, &migration, &trouble)
				 : store_migrate(ctl->database, ctl_owner(ctl), migrations,
					   migration_count, &migration, &trouble);
	if (error == OK && ctl->prints_sql)
		edit_print_migrations(migration.from);
	else if (error == OK)
		error = tell(ctl, &migration);
	return error == OK ? CTL_DONE : ctl_fail(ctl, error, &trouble);
}
