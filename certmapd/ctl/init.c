/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* init.c owns the verb that makes a new database. */
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
	.doc = "Makes a new, empty database.\vNothing that is there is ever overwritten. The file "
	       "gets mode 0600; where root makes it, it belongs to the owner of its directory, "
	       "which is the user that runs certmapd.",
};

static enum error tell(const struct ctl *ctl)
{
	const struct json_field fields[] = {
		{ .name = "database", .text = span_of_string(ctl->database) },
		{ .name = "schema_version", .is_number = true, .number = migration_count },
	};
	enum error error = OK;

	if (!ctl->json)
		printf("Database %s %s, schema version %u.\n", ctl->database,
			ctl->is_dry ? "would be made" : "made", migration_count);
	else if ((error = json_print(fields, sizeof fields / sizeof fields[0])) == OK)
		putchar('\n');
	return error;
}

enum ctl_status ctl_init(struct ctl *ctl, int argc, char **argv)
{
	struct store_trouble trouble = { "" };
	enum error error;

	argp_parse(&parser, argc, argv, 0, NULL, ctl);
	error = edit_is_dry(ctl) ? store_check_vacant(ctl->database, ctl_owner(ctl), &trouble)
				 : store_create(ctl->database, ctl_owner(ctl), migrations,
					   migration_count, &trouble);
	if (error == OK && ctl->prints_sql)
		edit_print_migrations(0);
	else if (error == OK)
		error = tell(ctl);
	return error == OK ? CTL_DONE : ctl_fail(ctl, error, &trouble);
}
