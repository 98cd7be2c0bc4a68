/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history.c owns the verb that tells what happened to the mappings, and the one that shortens the
 * record. A mapping that is gone has its history all the same, so that a word is looked for here
 * alone, not among the mappings.
 */
#include "ctl.h"

#include "edit.h"
#include "json.h"
#include "print.h"
#include "store_history.h"
#include "view.h"
#include "when.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ACCOUNT_PREFIX "account:"
#define ID_PREFIX "id:"

/* Of words in a line: a note may be long. */
#define SHOWN_MAX_BYTES 4096u

struct arguments {
	struct ctl *ctl;
	struct store_history_choice choice;
	bool prunes;
	int index; /* of the word prune in argv */
	struct store_limit before;
};

enum { OPTION_SINCE = 0x100, OPTION_LIMIT, OPTION_BEFORE };

static const struct argp_option options[] = {
	{ "since", OPTION_SINCE, "WHEN", 0, "Only what happened since then; " WHEN_FORMS " ago",
		0 },
	{ "limit", OPTION_LIMIT, "NUMBER", 0, "Only so many, the newest", 0 },
	{ 0 },
};

static void take_past(const char *option, const char *value, struct store_limit *ret,
	const struct argp_state *state)
{
	if (!when_read_past(value, when_now(), &ret->sec))
		argp_error(state, "--%s: '%s' is none of these: " WHEN_FORMS " ago", option, value);
	ret->is_set = true;
}

static void take_word(struct arguments *arguments, const char *word, struct argp_state *state)
{
	struct store_history_choice *choice = &arguments->choice;
	const bool is_account = strncmp(word, ACCOUNT_PREFIX, strlen(ACCOUNT_PREFIX)) == 0;
	const bool is_id = strncmp(word, ID_PREFIX, strlen(ID_PREFIX)) == 0;

	if (state->arg_num > 0)
		argp_error(state, "one id or account at a time");
	if (!is_account && ctl_read_number(is_id ? word + strlen(ID_PREFIX) : word, 1, INT64_MAX,
				   &choice->mapping_id))
		return;
	if (is_id)
		argp_error(state, "'%s' is not the id of a mapping", word);
	choice->account = is_account ? word + strlen(ACCOUNT_PREFIX) : word;
}

static void take_prune(struct arguments *arguments, struct argp_state *state)
{
	if (arguments->choice.since.is_set || arguments->choice.limit != 0)
		argp_error(state, "prune has --before, and neither --since nor --limit");
	arguments->prunes = true;
	arguments->index = state->next - 1;
	state->next = state->argc; /* the rest is that verb's */
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPTION_SINCE:
		take_past("since", value, &arguments->choice.since, state);
		return 0;
	case OPTION_LIMIT:
		if (!ctl_read_number(value, 1, INT64_MAX, &arguments->choice.limit))
			argp_error(state, "--limit: '%s' is no number from 1 on", value);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0 && strcmp(value, "prune") == 0)
			take_prune(arguments, state);
		else
			take_word(arguments, value, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.args_doc = "[ID|ACCOUNT]\nprune --before=WHEN",
	.doc = "Tells who changed what, and when; the newest comes last.\v"
	       "A number is the id of a mapping, also of one that is gone; what else could be one "
	       "is written as account:7. `certmapctl history prune --help' says how the history "
	       "is shortened.",
};

/* "mapping 7", "service", ... */
static void print_object(const struct store_history_entry *entry)
{
	char object[64], account[256];

	fputs(print_shown(entry->object, object, sizeof object), stdout);
	if (entry->mapping_id != 0)
		printf(" %" PRId64, entry->mapping_id);
	if (span_is_present(entry->account))
		printf(" of %s", print_shown(entry->account, account, sizeof account));
}

static const char *word_of_change(const struct store_history_entry *entry)
{
	static const struct {
		const char *change, *word;
	} words[] = {
		{ "insert", "added" },
		{ "update", "changed" },
		{ "delete", "removed" },
	};

	if (span_is_equal(entry->object, span_of_string("history")))
		return "shortened";
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (span_is_equal(entry->change, span_of_string(words[i].change)))
			return words[i].word;
	return "touched";
}

struct telling {
	int64_t now_sec;
	size_t count;
};

static enum error print_entry(const struct store_history_entry *entry, void *context)
{
	char date[WHEN_DATE_BYTES], relative[WHEN_RELATIVE_BYTES], text[SHOWN_MAX_BYTES];
	struct telling *telling = context;

	telling->count++;
	printf("%s (%s)  ", when_date(entry->at_sec, date, sizeof date),
		when_relative(entry->at_sec, telling->now_sec, relative, sizeof relative));
	print_object(entry);
	printf(" %s by %s\n", word_of_change(entry),
		span_is_present(entry->who) ? print_shown(entry->who, text, sizeof text)
					    : "a shell");
	if (span_is_present(entry->words) && entry->words.length > 0)
		printf("    %s\n", print_shown(entry->words, text, sizeof text));
	if (entry->has_certificate)
		puts("    the certificate that was there is kept in the history");
	return OK;
}

struct json_listing {
	size_t count;
};

static enum error print_entry_json(const struct store_history_entry *entry, void *context)
{
	struct json_listing *listing = context;
	char date[WHEN_DATE_BYTES];
	const struct json_field fields[] = {
		{ .name = "id", .is_number = true, .number = entry->id },
		{ .name = "at",
			.text = span_of_string(when_date(entry->at_sec, date, sizeof date)) },
		{ .name = "who", .text = entry->who },
		{ .name = "object", .text = entry->object },
		{ .name = "change", .text = entry->change },
		{ .name = "mapping_id",
			.is_number = entry->mapping_id != 0,
			.number = entry->mapping_id },
		{ .name = "account", .text = entry->account },
		{ .name = "old", .text = entry->old },
		{ .name = "new", .text = entry->new },
		{ .name = "words", .text = entry->words },
	};

	view_begin_row(&listing->count);
	return json_print(fields, sizeof fields / sizeof fields[0]);
}

static enum error list_json(struct store *store, const struct store_history_choice *choice,
	struct store_trouble *ret_trouble)
{
	struct json_listing listing = { 0 };
	enum error error;

	view_begin_array();
	error = store_list_history(store, choice, print_entry_json, &listing, ret_trouble);
	view_end_array(listing.count);
	return error;
}

static enum error list_lines(struct store *store, const struct store_history_choice *choice,
	struct store_trouble *ret_trouble)
{
	struct telling telling = { .now_sec = when_now() };
	enum error error = store_list_history(store, choice, print_entry, &telling, ret_trouble);

	if (error == OK && telling.count == 0)
		ctl_warn("no entries");
	return error;
}

static enum ctl_status list(const struct arguments *arguments)
{
	struct store *store CTL_CLOSE = NULL;
	struct store_trouble trouble = { "" };
	enum ctl_status status = ctl_open(arguments->ctl, &store);
	enum error error;

	if (status != CTL_DONE)
		return status;
	error = arguments->ctl->json ? list_json(store, &arguments->choice, &trouble)
				     : list_lines(store, &arguments->choice, &trouble);
	return error == OK ? CTL_DONE : ctl_fail(arguments->ctl, error, &trouble);
}

static const struct argp_option prune_options[] = {
	{ "before", OPTION_BEFORE, "WHEN", 0, "What is older than this; " WHEN_FORMS " ago", 0 },
	{ 0 },
};

static error_t parse_prune(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPTION_BEFORE:
		take_past("before", value, &arguments->before, state);
		if (arguments->before.sec > when_now())
			argp_error(state, "--before: '%s' is still to come", value);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "too many arguments: '%s'", value);
		return EINVAL;
	case ARGP_KEY_END:
		if (!arguments->before.is_set)
			argp_error(state, "--before is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp prune_parser = {
	.options = prune_options,
	.parser = parse_prune,
	.children = ctl_change_children,
	.args_doc = "",
	.doc = "Deletes old entries of the history for ever.\v"
	       "The certificates of mappings that were removed or changed go with them. The "
	       "entries by which mappings that are still there were added are kept. An entry is "
	       "left that says what was done. On a terminal it asks first.",
};

static enum error prune_in_edit(const struct ctl *ctl, struct store *store, int64_t before_sec,
	int64_t *ret_count, struct store_trouble *ret_trouble)
{
	enum error error = edit_begin(ctl, store, ret_trouble);

	if (error != OK)
		return error;
	error = store_count_prunable(store, before_sec, ret_count, ret_trouble);
	if (error == OK && *ret_count > 0)
		error = store_prune_history(store, before_sec, ret_trouble);
	return edit_end(ctl, store, error, ret_trouble);
}

static enum error tell_pruned(const struct ctl *ctl, int64_t count, const char *date)
{
	const struct json_field fields[] = {
		{ .name = "entries", .is_number = true, .number = count },
		{ .name = "before", .text = span_of_string(date) },
	};
	enum error error;

	if (!ctl->json) {
		if (edit_may_talk(ctl))
			printf("%" PRId64 " entr%s from before %s UTC %s deleted.\n", count,
				count == 1 ? "y" : "ies", date,
				edit_is_dry(ctl) ? "would be"
				: count == 1     ? "was"
						 : "were");
		return OK;
	}
	if ((error = json_print(fields, sizeof fields / sizeof fields[0])) == OK)
		putchar('\n');
	return error;
}

static enum ctl_status prune(const struct ctl *ctl, int64_t before_sec)
{
	struct store *store CTL_CLOSE = NULL;
	struct store_trouble trouble = { "" };
	char date[WHEN_DATE_BYTES];
	int64_t count = 0;
	enum ctl_status status = ctl_open(ctl, &store);
	enum error error;

	if (status != CTL_DONE)
		return status;
	when_date(before_sec, date, sizeof date);
	if ((error = store_count_prunable(store, before_sec, &count, &trouble)) != OK)
		return ctl_fail(ctl, error, &trouble);
	if (count > 0 &&
		!edit_confirm(ctl,
			"Delete %" PRId64 " entr%s of the history from before %s UTC for ever?",
			count, count == 1 ? "y" : "ies", date))
		return CTL_REFUSED;
	if ((error = prune_in_edit(ctl, store, before_sec, &count, &trouble)) != OK ||
		(error = tell_pruned(ctl, count, date)) != OK)
		return ctl_fail(ctl, error, &trouble);
	return CTL_DONE;
}

enum ctl_status ctl_history(struct ctl *ctl, int argc, char **argv)
{
	static char name[] = "certmapctl history prune";
	struct arguments arguments = { .ctl = ctl };

	/* In order, so that the options behind the word prune are left to it. */
	argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
	if (!arguments.prunes)
		return list(&arguments);
	argv[arguments.index] = name;
	argp_parse(
		&prune_parser, argc - arguments.index, argv + arguments.index, 0, NULL, &arguments);
	return prune(ctl, arguments.before.sec);
}
