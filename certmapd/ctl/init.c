/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* init.c owns the verb that makes a new database. */
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
	.doc = "Makes a new, empty database.\vNothing that is there is ever overwritten. The file "
	       "gets mode 0600; where root makes it, it belongs to the owner of its directory, "
	       "which is the user that runs certmapd.",
};

enum ctl_status ctl_init(struct ctl *ctl, int argc, char **argv)
{
	struct store_trouble trouble = { "" };
	enum error error;

	argp_parse(&parser, argc, argv, 0, NULL, ctl);
	error = store_create(ctl->database, ctl_owner(ctl), migrations, migration_count, &trouble);
	if (error != OK)
		return ctl_fail(ctl, error, &trouble);
	if (ctl->json) {
		printf("{\n  \"database\": ");
		print_json_string(stdout, span_of_string(ctl->database));
		printf(",\n  \"schema_version\": %u\n}\n", migration_count);
	} else {
		printf("Database %s made, schema version %u.\n", ctl->database, migration_count);
	}
	return CTL_DONE;
}
