/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * enable.c owns the verbs that put a mapping into force and out of it, and keep it. What stands in
 * the way is said by the schema.
 */
#include "ctl.h"

#include "edit.h"
#include "insert.h"
#include "print.h"
#include "select.h"
#include "store_edit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What came of one mapping. */
struct change {
	bool is_made;      /* it was not so before */
	bool has_replaced; /* a staged one took over from another, which is disabled by that */
};

struct direction {
	struct select_want want;
	enum error (*change)(struct store *store, const struct store_choice *choice,
		struct change *ret, struct store_trouble *ret_trouble);
	const char *done, *would, *already;
	bool shuts_out;
};

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

/* A person who enables a staged mapping means what its first login would do. */
static enum error enable(struct store *store, const struct store_choice *choice, struct change *ret,
	struct store_trouble *ret_trouble)
{
	if (choice->enabled || choice->replaces == 0)
		return store_enable_mapping(store, choice->id, &ret->is_made, ret_trouble);
	ret->is_made = true;
	return store_take_over(store, choice->id, &ret->has_replaced, ret_trouble);
}

static enum error disable(struct store *store, const struct store_choice *choice,
	struct change *ret, struct store_trouble *ret_trouble)
{
	return store_disable_mapping(store, choice->id, &ret->is_made, ret_trouble);
}

static bool is_disablable(const struct store_choice *choice)
{
	return choice->enabled || choice->replaces != 0;
}

/* Of an account with several mappings, enabling asks which: those that were renewed are disabled
 * too, and must not come back by an account's name. */
static const struct direction enabling = {
	.want = { .verb = "enable" },
	.change = enable,
	.done = "enabled",
	.would = "would be enabled",
	.already = "is enabled already",
};

static const struct direction disabling = {
	.want = { .verb = "disable", .is_for_it = is_disablable },
	.change = disable,
	.done = "disabled",
	.would = "would be disabled",
	.already = "is disabled already",
	.shuts_out = true,
};

static enum error show_json(const struct store_status *row, void *context)
{
	(void)context;
	return print_json_line(row);
}

/* What became of the staging. */
static void tell_staging(const struct ctl *ctl, const struct direction *direction,
	const struct store_choice *choice, const struct change *change)
{
	if (change->has_replaced)
		printf("Mapping %" PRId64 ", which it replaces, %s.\n", choice->replaces,
			edit_is_dry(ctl) ? "would be disabled" : "is disabled");
	else if (!direction->shuts_out)
		printf("It was staged to replace mapping %" PRId64
		       ", which is gone, or was not in force for this account.\n",
			choice->replaces);
	else
		printf("It was staged to replace mapping %" PRId64 ", and is not any more.\n",
			choice->replaces);
}

static void tell(const struct ctl *ctl, const struct direction *direction,
	const struct store_choice *choice, const struct change *change)
{
	char name[SELECT_NAME_BYTES];

	select_name(choice, name, sizeof name);
	name[0] = 'M';
	printf("%s %s.\n", name,
		!change->is_made   ? direction->already
		: edit_is_dry(ctl) ? direction->would
				   : direction->done);
	if (change->is_made && choice->replaces != 0 && !choice->enabled)
		tell_staging(ctl, direction, choice, change);
}

static enum error show_all(
	struct store *store, const struct selected *selected, struct store_trouble *ret_trouble)
{
	enum error error = OK;
	bool is_found;

	for (size_t i = 0; i < selected->count && error == OK; i++)
		error = store_find_status(
			store, selected->choices[i].id, show_json, NULL, &is_found, ret_trouble);
	return error;
}

/* All of them or none. For programs they are shown before the commit: of a dry run nothing is left
 * to be shown after it. */
static enum error change_all(const struct ctl *ctl, const struct direction *direction,
	struct store *store, const struct selected *selected, struct change *changes,
	struct store_trouble *ret_trouble)
{
	enum error error = edit_begin(ctl, store, ret_trouble);

	if (error != OK)
		return error;
	for (size_t i = 0; i < selected->count && error == OK; i++)
		error = direction->change(store, &selected->choices[i], &changes[i], ret_trouble);
	if (error == OK && ctl->json)
		error = show_all(store, selected, ret_trouble);
	return edit_end(ctl, store, error, ret_trouble);
}

/* Nothing is said to be done before it is. */
static enum error change_and_tell(const struct ctl *ctl, const struct direction *direction,
	struct store *store, const struct selected *selected, struct store_trouble *ret_trouble)
{
	struct change *changes = calloc(selected->count, sizeof changes[0]);
	enum error error;

	if (!changes)
		return ERROR_MEMORY;
	error = change_all(ctl, direction, store, selected, changes, ret_trouble);
	for (size_t i = 0; error == OK && edit_may_talk(ctl) && i < selected->count; i++)
		tell(ctl, direction, &selected->choices[i], &changes[i]);
	free(changes);
	return error;
}

/* The SELECT in the words of the schema is for a person at a shell. */
static enum ctl_status fail(const struct ctl *ctl, const struct selected *selected,
	enum error error, struct store_trouble *trouble)
{
	const size_t length = insert_words_length(trouble->text);
	const bool is_about_another = error == ERROR_REFUSED && trouble->text[length] != '\0';
	char account[256];

	trouble->text[length] = '\0';
	ctl_fail(ctl, error, trouble);
	if (is_about_another)
		ctl_warn("`certmapctl list --account %s' shows it",
			print_shown(span_of_string(selected->choices[0].account), account,
				sizeof account));
	return CTL_REFUSED;
}

static enum ctl_status run(
	struct arguments *arguments, const struct direction *direction, struct store *store)
{
	const struct ctl *ctl = arguments->ctl;
	struct selected selected SELECTED_DONE = { 0 };
	struct store_trouble trouble = { "" };
	enum ctl_status status;
	enum error error;

	ctl_settle_if_possible(store);
	status = select_mappings(ctl, store, &arguments->selector, &direction->want, &selected);
	if (status != CTL_DONE)
		return status;
	error = change_and_tell(ctl, direction, store, &selected, &trouble);
	if (error == OK && direction->shuts_out)
		error = select_warn_rest(ctl, &selected, store, &trouble);
	return error == OK ? CTL_DONE : fail(ctl, &selected, error, &trouble);
}

static enum ctl_status run_verb(struct ctl *ctl, int argc, char **argv, const struct argp *parser,
	const struct direction *direction)
{
	struct arguments arguments = { .ctl = ctl };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;

	argp_parse(parser, argc, argv, 0, NULL, &arguments);
	status = ctl_open(ctl, &store);
	return status == CTL_DONE ? run(&arguments, direction, store) : status;
}

enum ctl_status ctl_enable(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp parser = {
		.options = options,
		.parser = parse,
		.children = ctl_change_children,
		.args_doc = "ID|FINGERPRINT|ACCOUNT",
		.doc = "Puts a disabled mapping into force.\v"
		       "A staged mapping takes over at once from the one that it "
		       "replaces. " SELECT_DOC,
	};

	return run_verb(ctl, argc, argv, &parser, &enabling);
}

enum ctl_status ctl_disable(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp parser = {
		.options = options,
		.parser = parse,
		.children = ctl_change_children,
		.args_doc = "ID|FINGERPRINT|ACCOUNT",
		.doc = "Shuts a certificate out, and keeps its mapping.\v"
		       "It is in force at the next login, and ends no session that is open: those "
		       "are named. A staged mapping is not staged any more then. " SELECT_DOC,
	};

	return run_verb(ctl, argc, argv, &parser, &disabling);
}
