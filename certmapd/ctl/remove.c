/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* remove.c owns the verb that removes a mapping. */
#include "ctl.h"

#include "edit.h"
#include "print.h"
#include "store_edit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct arguments {
	struct ctl *ctl;
	int64_t id;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "one id at a time");
		if (!ctl_read_number(value, 1, INT64_MAX, &arguments->id))
			argp_error(state, "'%s' is not the id of a mapping", value);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "the id of a mapping is missing");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.parser = parse,
	.children = ctl_change_children,
	.args_doc = "ID",
	.doc = "Removes a mapping.\v"
	       "It is in force at once. On a terminal it asks first. The history "
	       "keeps what was removed, with its certificate.",
};

static enum error show(const struct store_status *row, void *context)
{
	const struct arguments *arguments = context;

	if (arguments->ctl->json)
		return print_json_line(row);
	if (arguments->ctl->prints_sql)
		return OK;
	printf("Mapping %" PRId64 ":\n", arguments->id);
	print_words(stdout, row);
	return OK;
}

static enum error remove_mapping(const struct ctl *ctl, struct store *store, int64_t id,
	bool *ret_found, struct store_trouble *ret_trouble)
{
	enum error error = edit_begin(ctl, store, ret_trouble);

	if (error != OK)
		return error;
	error = store_delete_mapping(store, id, ret_found, ret_trouble);
	return edit_end(ctl, store, error, ret_trouble);
}

/* No lock is held while a person thinks; an id never comes back to another mapping. */
static enum ctl_status run(struct arguments *arguments, struct store *store)
{
	struct store_trouble trouble = { "" };
	bool is_found = false;
	enum error error =
		store_find_status(store, arguments->id, show, arguments, &is_found, &trouble);

	if (error != OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	if (is_found && !edit_confirm(arguments->ctl, "Remove mapping %" PRId64 "?", arguments->id))
		return CTL_REFUSED;
	if (is_found && (error = remove_mapping(
				 arguments->ctl, store, arguments->id, &is_found, &trouble)) != OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	if (!is_found) {
		ctl_warn("there is no mapping %" PRId64 ": `certmapctl list' shows those there are",
			arguments->id);
		return CTL_REFUSED;
	}
	if (edit_may_talk(arguments->ctl))
		printf("Mapping %" PRId64 " %s.\n", arguments->id,
			edit_is_dry(arguments->ctl) ? "would be removed" : "removed");
	return CTL_DONE;
}

enum ctl_status ctl_remove(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = { .ctl = ctl };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	status = ctl_open(ctl, &store);
	return status == CTL_DONE ? run(&arguments, store) : status;
}
