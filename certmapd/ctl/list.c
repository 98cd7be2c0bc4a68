/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list.c owns the verb that shows the mappings. */
#include "ctl.h"

#include "print.h"
#include "store_edit.h"
#include "table.h"

#include <stdio.h>
#include <string.h>

#define DATE_BYTES (sizeof "2027-01-31" - 1)
/* Tells certificates apart for the eye; twelve digits of a SHA-256, as git shows them. */
#define SHORT_FINGERPRINT_BYTES 12u
#define CELL_MAX_BYTES 512u

struct arguments {
	struct ctl *ctl;
	const char *service, *account;
	bool is_verbose;
};

static const struct argp_option options[] = {
	{ "service", 's', "NAME", 0, "Only mappings of this service ('*': those of every service)",
		0 },
	{ "account", 'a', "NAME", 0, "Only mappings of this account", 0 },
	{ "verbose", 'v', NULL, 0, "Show fingerprints whole", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 's':
		arguments->service = value;
		return 0;
	case 'a':
		arguments->account = value;
		return 0;
	case 'v':
		arguments->is_verbose = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.doc = "Shows the mappings.\v"
	       "A mapping that can't be used has the state `problem', and what "
	       "the problem is in place of the subject.",
};

enum column { ID, SERVICE, ACCOUNT, STATE, SUBJECT, EXPIRES, FINGERPRINT, COLUMNS };

static const struct table_column columns[COLUMNS] = {
	[ID] = { .name = "ID", .is_right = true },
	[SERVICE] = { .name = "SERVICE" },
	[ACCOUNT] = { .name = "ACCOUNT" },
	[STATE] = { .name = "STATE" },
	[SUBJECT] = { .name = "SUBJECT", .is_cuttable = true },
	[EXPIRES] = { .name = "EXPIRES" },
	[FINGERPRINT] = { .name = "SHA-256" },
};

struct listing {
	const struct arguments *arguments;
	struct table *table;
	size_t count;
};

static struct span beginning(struct span text, size_t length)
{
	return span_of(text.bytes, text.length < length ? text.length : length);
}

static enum error add_to_table(const struct store_status *row, void *context)
{
	struct listing *listing = context;
	const struct span *text = row->text;
	const struct span cells[COLUMNS] = {
		[ID] = text[STATUS_ID],
		[SERVICE] = text[STATUS_SERVICE],
		[ACCOUNT] = text[STATUS_ACCOUNT],
		[STATE] = text[STATUS_STATE],
		[SUBJECT] = text[span_is_present(text[STATUS_PROBLEM]) ? STATUS_PROBLEM
								       : STATUS_SUBJECT],
		[EXPIRES] = beginning(text[STATUS_NOT_AFTER], DATE_BYTES),
		[FINGERPRINT] = listing->arguments->is_verbose ? text[STATUS_FINGERPRINT]
							       : beginning(text[STATUS_FINGERPRINT],
									 SHORT_FINGERPRINT_BYTES),
	};
	char shown[COLUMNS][CELL_MAX_BYTES];
	const char *values[COLUMNS];

	for (size_t i = 0; i < COLUMNS; i++)
		values[i] = print_shown(cells[i], shown[i], sizeof shown[i]);
	listing->count++;
	return table_add(listing->table, values);
}

static enum error print_as_json(const struct store_status *row, void *context)
{
	struct listing *listing = context;

	fputs(listing->count++ > 0 ? ",\n" : "\n", stdout);
	return print_json_row(row);
}

static enum error list_table(
	struct store *store, const struct arguments *arguments, struct store_trouble *ret_trouble)
{
	struct listing listing = { .arguments = arguments };
	enum error error = table_new(columns, COLUMNS, &listing.table);

	if (error != OK)
		return error;
	error = store_list_status(
		store, arguments->service, arguments->account, add_to_table, &listing, ret_trouble);
	if (error == OK)
		error = table_print(listing.table);
	if (error == OK && listing.count == 0)
		ctl_warn("no mappings");
	table_free(listing.table);
	return error;
}

/* Row by row, so that a long list is not kept in memory. */
static enum error list_json(
	struct store *store, const struct arguments *arguments, struct store_trouble *ret_trouble)
{
	struct listing listing = { .arguments = arguments };
	enum error error;

	putchar('[');
	error = store_list_status(store, arguments->service, arguments->account, print_as_json,
		&listing, ret_trouble);
	fputs(listing.count > 0 ? "\n]\n" : "]\n", stdout);
	return error;
}

enum ctl_status ctl_list(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = { .ctl = ctl };
	struct store_trouble trouble = { "" };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;
	enum error error;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if ((status = ctl_open(ctl, &store)) != CTL_DONE)
		return status;
	/* Where facts can't be written now, the state says pending, which is the truth. */
	if ((error = ctl_settle(store, &trouble)) != OK)
		trouble.text[0] = '\0';
	error = ctl->json ? list_json(store, &arguments, &trouble)
			  : list_table(store, &arguments, &trouble);
	return error == OK ? CTL_DONE : ctl_fail(ctl, error, &trouble);
}
