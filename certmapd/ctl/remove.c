/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* remove.c owns the verb that removes mappings. */
#include "ctl.h"

#include "edit.h"
#include "print.h"
#include "select.h"
#include "store_edit.h"

#include <inttypes.h>
#include <stdio.h>

struct arguments {
	struct ctl *ctl;
	struct selector selector;
};

static const struct argp_option options[] = { SELECT_SERVICE_OPTION, SELECT_EVERYWHERE_OPTION,
	{ 0 } };

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	if (key != ARGP_KEY_INIT)
		return select_parse(&arguments->selector, key, value, state);
	state->child_inputs[0] = arguments->ctl;
	return 0;
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_change_children,
	.args_doc = "ID|FINGERPRINT|ACCOUNT",
	.doc = "Removes a mapping.\v"
	       "It is in force at once, and ends no session that is open: those are named. On a "
	       "terminal it asks first. The history keeps what was removed, with its "
	       "certificate. " SELECT_DOC,
};

static enum error show(const struct store_status *row, void *context)
{
	const struct ctl *ctl = context;

	if (ctl->json)
		return print_json_line(row);
	if (ctl->prints_sql)
		return OK;
	printf("Mapping %" PRId64 ":\n", row->number[STATUS_ID]);
	print_words(stdout, row);
	return OK;
}

static enum error show_all(const struct ctl *ctl, struct store *store,
	const struct selected *selected, struct store_trouble *ret_trouble)
{
	enum error error = OK;
	bool is_found;

	for (size_t i = 0; i < selected->count && error == OK; i++)
		error = store_find_status(
			store, selected->choices[i].id, show, (void *)ctl, &is_found, ret_trouble);
	return error;
}

/* What somebody else removed meanwhile is no failure: an id never comes back to another mapping. */
static enum error remove_all(const struct ctl *ctl, struct store *store,
	const struct selected *selected, struct store_trouble *ret_trouble)
{
	enum error error = edit_begin(ctl, store, ret_trouble);
	bool is_found;

	if (error != OK)
		return error;
	for (size_t i = 0; i < selected->count && error == OK; i++)
		error = store_delete_mapping(
			store, selected->choices[i].id, &is_found, ret_trouble);
	return edit_end(ctl, store, error, ret_trouble);
}

static bool confirm(const struct ctl *ctl, const struct selected *selected)
{
	if (selected->count > 1)
		return edit_confirm(ctl, "Remove these %zu mappings?", selected->count);
	return edit_confirm(ctl, "Remove mapping %" PRId64 "?", selected->choices[0].id);
}

static void tell(const struct ctl *ctl, const struct selected *selected)
{
	for (size_t i = 0; edit_may_talk(ctl) && i < selected->count; i++)
		printf("Mapping %" PRId64 " %s.\n", selected->choices[i].id,
			edit_is_dry(ctl) ? "would be removed" : "removed");
}

/* No lock is held while a person thinks. */
static enum ctl_status run(struct arguments *arguments, struct store *store)
{
	static const struct select_want want = { .verb = "remove" };
	const struct ctl *ctl = arguments->ctl;
	struct selected selected SELECTED_DONE = { 0 };
	struct store_trouble trouble = { "" };
	enum ctl_status status;
	enum error error;

	ctl_settle_if_possible(store);
	status = select_mappings(ctl, store, &arguments->selector, &want, &selected);
	if (status != CTL_DONE)
		return status;
	if ((error = show_all(ctl, store, &selected, &trouble)) != OK)
		return ctl_fail(ctl, error, &trouble);
	if (!confirm(ctl, &selected))
		return CTL_REFUSED;
	if ((error = remove_all(ctl, store, &selected, &trouble)) != OK)
		return ctl_fail(ctl, error, &trouble);
	tell(ctl, &selected);
	if ((error = select_warn_rest(ctl, &selected, store, &trouble)) != OK)
		return ctl_fail(ctl, error, &trouble);
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
