/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list.c owns the verb that shows the mappings. */
#include "ctl.h"

#include "print.h"
#include "store_status.h"
#include "table.h"
#include "view.h"
#include "when.h"

#include <stdio.h>
#include <string.h>

#define DATE_BYTES (sizeof "2027-01-31" - 1)
#define CELL_MAX_BYTES VIEW_CELL_BYTES

static const struct state {
	const char *word; /* of the view mapping_status */
	enum paint paint;
} states[] = {
	{ "in force", PAINT_GOOD },
	{ "staged", PAINT_WARN },
	{ "pending", PAINT_WARN },
	{ "disabled", PAINT_DIM },
	{ "service disabled", PAINT_DIM },
	{ "not yet valid", PAINT_WARN },
	{ "expired", PAINT_BAD },
	{ "certificate not yet valid", PAINT_WARN },
	{ "certificate expired", PAINT_BAD },
	{ "problem", PAINT_BAD },
};

#define STATES (sizeof states / sizeof states[0])

struct arguments {
	struct ctl *ctl;
	struct store_filter filter;
	bool wants_names, wants_accounts; /* of --names */
	bool is_verbose;
	int64_t now_sec;
};

enum { OPTION_STATE = 0x100, OPTION_UNUSED, OPTION_NAMES };

static const struct argp_option options[] = {
	{ "service", 's', "NAME", 0, "Only mappings of this service ('*': those of every service)",
		0 },
	{ "account", 'a', "NAME", 0, "Only mappings of this account", 0 },
	{ "state", OPTION_STATE, "WORD", 0, "Only mappings in this state, such as in-force", 0 },
	{ "unused-since", OPTION_UNUSED, "WHEN", 0,
		"Only mappings that nobody has used for that long, such as 90d, or since that "
		"date, and that are not younger themselves",
		0 },
	{ "names", OPTION_NAMES, "WHICH", 0,
		"Print nothing but the names of the `accounts' or `services' that have a mapping, "
		"one in a line",
		0 },
	{ "verbose", 'v', NULL, 0, "Show fingerprints whole", 0 },
	{ 0 },
};

/* People write a dash where a blank would need quotes. */
static bool is_word(const char *given, const char *word)
{
	for (; *given && *word; given++, word++)
		if (*given != *word && !(*given == '-' && *word == ' '))
			return false;
	return *given == *word;
}

static const struct state *find_state(const char *given)
{
	for (size_t i = 0; i < STATES; i++)
		if (is_word(given, states[i].word))
			return &states[i];
	return NULL;
}

static void take_state(struct arguments *arguments, const char *value, struct argp_state *state)
{
	const struct state *found = find_state(value);

	if (!found)
		argp_error(state,
			"--state: '%s' is none of in-force, staged, pending, disabled, "
			"service-disabled, not-yet-valid, expired, certificate-not-yet-valid, "
			"certificate-expired and problem",
			value);
	else
		arguments->filter.state = found->word;
}

static void take_names(struct arguments *arguments, const char *value, struct argp_state *state)
{
	arguments->wants_names = true;
	arguments->wants_accounts = strcmp(value, "accounts") == 0;
	if (!arguments->wants_accounts && strcmp(value, "services") != 0)
		argp_error(state, "--names: '%s' is neither accounts nor services", value);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct store_filter *filter = &arguments->filter;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case ARGP_KEY_END:
		if (arguments->wants_names && arguments->ctl->json)
			argp_error(state, "--names and --json are two forms of one answer");
		return 0;
	case 's':
		filter->service = value;
		return 0;
	case 'a':
		filter->account = value;
		return 0;
	case OPTION_STATE:
		take_state(arguments, value, state);
		return 0;
	case OPTION_UNUSED:
		filter->has_unused_since = true;
		if (!when_read_past(value, arguments->now_sec, &filter->unused_since_sec))
			argp_error(state, "--unused-since: '%s' is neither " WHEN_FORMS, value);
		return 0;
	case OPTION_NAMES:
		take_names(arguments, value, state);
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
	       "EXPIRES is the first of the ends of the certificate, of the mapping and of a "
	       "staging. "
	       "A mapping that can't be used has the state `problem', and what "
	       "the problem is in place of the subject. On a terminal that is too narrow, "
	       "notes and subjects are cut, and then columns left out.",
};

enum column {
	ID,
	SERVICE,
	ACCOUNT,
	STATE,
	SUBJECT,
	EXPIRES,
	LAST_USED,
	NOTE,
	FINGERPRINT,
	COLUMNS
};

static const struct table_column columns[COLUMNS] = {
	[ID] = { .name = "ID", .is_right = true },
	[SERVICE] = { .name = "SERVICE" },
	[ACCOUNT] = { .name = "ACCOUNT" },
	[STATE] = { .name = "STATE" },
	[SUBJECT] = { .name = "SUBJECT", .is_cuttable = true, .share = 0.25 },
	[EXPIRES] = { .name = "EXPIRES", .drop = 4 },
	[LAST_USED] = { .name = "LAST USED", .is_optional = true, .drop = 2 },
	[NOTE] = { .name = "NOTE",
		.is_cuttable = true,
		.is_optional = true,
		.drop = 1,
		.share = 0.05 },
	[FINGERPRINT] = { .name = "SHA-256", .drop = 3 },
};

struct listing {
	const struct arguments *arguments;
	struct table *table;
	bool is_roomy;
	size_t count;
};

static struct span beginning(struct span text, size_t length)
{
	return span_of(text.bytes, text.length < length ? text.length : length);
}

/* A date of the view. False: there is none. */
static bool read_date(struct span text, int64_t *ret_sec)
{
	char date[WHEN_DATE_BYTES];

	if (!span_is_present(text) || text.length >= sizeof date)
		return false;
	memcpy(date, text.bytes, text.length);
	date[text.length] = '\0';
	return when_read(date, 0, ret_sec);
}

/* The first of the dates after which the mapping can't be used. As text: they sort as they stand.
 */
static struct span find_end(const struct store_status *row)
{
	const struct span dates[] = { row->text[STATUS_NOT_AFTER], row->text[STATUS_VALID_UNTIL],
		row->text[STATUS_STAGED_UNTIL] };
	struct span end = { 0 };

	for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++)
		if (span_is_present(dates[i]) && dates[i].length >= DATE_BYTES &&
			(!span_is_present(end) ||
				memcmp(dates[i].bytes, end.bytes,
					end.length < dates[i].length ? end.length
								     : dates[i].length) < 0))
			end = dates[i];
	return end;
}

static void show_date(const struct listing *listing, struct span text, char *ret, size_t capacity)
{
	int64_t sec;

	if (read_date(text, &sec))
		view_date(sec, listing->arguments->now_sec, listing->is_roomy, ret, capacity);
	else
		print_shown(text, ret, capacity);
}

static enum paint paint_of_expiry(const struct listing *listing, struct span text)
{
	int64_t sec;

	return read_date(text, &sec) ? view_paint_of_end(sec, listing->arguments->now_sec)
				     : PAINT_NONE;
}

static enum error paint_row(struct listing *listing, const struct store_status *row)
{
	enum paint paint = PAINT_NONE;
	enum error error;

	for (size_t i = 0; i < STATES; i++)
		if (span_is_equal(row->text[STATUS_STATE], span_of_string(states[i].word)))
			paint = states[i].paint;
	if ((error = table_paint(listing->table, STATE, paint)) != OK)
		return error;
	return table_paint(listing->table, EXPIRES, paint_of_expiry(listing, find_end(row)));
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
		[NOTE] = text[STATUS_NOTE],
		[FINGERPRINT] = listing->arguments->is_verbose ? text[STATUS_FINGERPRINT]
							       : beginning(text[STATUS_FINGERPRINT],
									 VIEW_FINGERPRINT_DIGITS),
	};
	char shown[COLUMNS][CELL_MAX_BYTES];
	const char *values[COLUMNS];
	enum error error;

	for (size_t i = 0; i < COLUMNS; i++)
		values[i] = print_shown(cells[i], shown[i], sizeof shown[i]);
	show_date(listing, find_end(row), shown[EXPIRES], sizeof shown[EXPIRES]);
	show_date(listing, text[STATUS_LAST_USED], shown[LAST_USED], sizeof shown[LAST_USED]);
	listing->count++;
	if ((error = table_add(listing->table, values)) != OK)
		return error;
	return paint_row(listing, row);
}

static enum error print_as_json(const struct store_status *row, void *context)
{
	struct listing *listing = context;

	view_begin_row(&listing->count);
	return print_json_row(row);
}

static enum error list_table(
	struct store *store, const struct arguments *arguments, struct store_trouble *ret_trouble)
{
	struct listing listing = {
		.arguments = arguments,
		.is_roomy = view_is_roomy(),
	};
	enum error error = table_new(columns, COLUMNS, &listing.table);

	if (error != OK)
		return error;
	error = store_filter_status(store, &arguments->filter, add_to_table, &listing, ret_trouble);
	if (error == OK && listing.count > 0)
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

	view_begin_array();
	error = store_filter_status(
		store, &arguments->filter, print_as_json, &listing, ret_trouble);
	view_end_array(listing.count);
	return error;
}

static enum error print_name(struct span name, void *context)
{
	char shown[CELL_MAX_BYTES];

	(void)context;
	puts(print_shown(name, shown, sizeof shown));
	return OK;
}

static enum error list(
	struct store *store, const struct arguments *arguments, struct store_trouble *ret_trouble)
{
	if (arguments->wants_names)
		return store_list_names(
			store, arguments->wants_accounts, print_name, NULL, ret_trouble);
	if (arguments->ctl->json)
		return list_json(store, arguments, ret_trouble);
	return list_table(store, arguments, ret_trouble);
}

enum ctl_status ctl_list(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = { .ctl = ctl, .now_sec = when_now() };
	struct store_trouble trouble = { "" };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;
	enum error error;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if ((status = ctl_open(ctl, &store)) != CTL_DONE)
		return status;
	if (!arguments.wants_names)
		ctl_settle_if_possible(store);
	error = list(store, &arguments, &trouble);
	return error == OK ? CTL_DONE : ctl_fail(ctl, error, &trouble);
}
