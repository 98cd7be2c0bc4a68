/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* material.c owns the arguments of both families, and the removal of a row of either. */
#include "material.h"

#include "edit.h"
#include "json.h"
#include "print.h"
#include "store_service.h"
#include "when.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Arguments -------------------------------------------------------------------------------- */

enum { OPTION_ANCHOR = 0x100, OPTION_INTERMEDIATE };

#define SERVICE_OPTION(words)                                                                      \
	{                                                                                          \
		"service", 's', "NAME", 0, words, 0                                                \
	}
#define NOTE_OPTION                                                                                \
	{                                                                                          \
		"note", 'n', "TEXT", 0, "A note for people", 0                                     \
	}

const struct argp_option material_list_options[] = {
	SERVICE_OPTION("Only those of this service ('*': those of every service)"),
	{ 0 },
};

const struct argp_option material_add_list_options[] = {
	SERVICE_OPTION("For this PAM service alone (default: for every service)"),
	NOTE_OPTION,
	{ 0 },
};

const struct argp_option material_add_certificate_options[] = {
	SERVICE_OPTION("For this PAM service alone (default: for every service)"),
	NOTE_OPTION,
	{ "anchor", OPTION_ANCHOR, NULL, 0, "It is believed, whoever issued it", 0 },
	{ "intermediate", OPTION_INTERMEDIATE, NULL, 0, "It gives no trust by itself", 0 },
	{ 0 },
};

static error_t take_operand(
	struct material_arguments *arguments, const char *value, const struct argp_state *state)
{
	const struct material_verb *verb = arguments->verb;

	if (!(verb->has_file && !arguments->file) && !(verb->has_id && arguments->id == 0))
		argp_error(state, "too many arguments: '%s'", value);
	else if (verb->has_file)
		arguments->file = value;
	else if (!ctl_read_number(value, 1, INT64_MAX, &arguments->id))
		argp_error(state, "'%s' is not an id", value);
	return 0;
}

static error_t check_end(const struct material_arguments *arguments, const struct argp_state *state)
{
	if (arguments->verb->has_file && (!arguments->file || !arguments->file[0]))
		argp_error(state, "the file is missing ('-': the standard input)");
	else if (arguments->verb->has_id && arguments->id == 0)
		argp_error(state, "the id is missing");
	else if (arguments->is_anchor && arguments->is_intermediate)
		argp_error(state, "--anchor and --intermediate exclude each other");
	return 0;
}

error_t material_parse(int key, char *value, struct argp_state *state)
{
	struct material_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 's':
		arguments->service = value;
		return 0;
	case 'n':
		arguments->note = value;
		return 0;
	case OPTION_ANCHOR:
		arguments->is_anchor = true;
		return 0;
	case OPTION_INTERMEDIATE:
		arguments->is_intermediate = true;
		return 0;
	case ARGP_KEY_ARG:
		return take_operand(arguments, value, state);
	case ARGP_KEY_END:
		return check_end(arguments, state);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

enum ctl_status material_main(
	const struct material_verb *verb, struct ctl *ctl, int argc, char **argv)
{
	struct material_arguments arguments = { .ctl = ctl, .verb = verb, .now_sec = when_now() };
	struct store_trouble trouble = { "" };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;
	enum error error;

	argp_parse(&verb->parser, argc, argv, 0, NULL, &arguments);
	if (verb->has_file && !arguments.service)
		arguments.service = "*";
	if ((status = ctl_open(ctl, &store)) != CTL_DONE)
		return status;
	if ((error = verb->run(&arguments, store, &trouble)) != OK)
		return ctl_fail(ctl, error, &trouble);
	return arguments.is_refused ? CTL_REFUSED : CTL_DONE;
}

bool material_is_chosen(
	const struct material_arguments *arguments, const struct store_trust_row *row)
{
	return (row->kind == STORE_TRUST_CRL) == arguments->verb->is_of_lists &&
	       (!arguments->service ||
		       span_is_equal(row->service, span_of_string(arguments->service)));
}

/* Files ------------------------------------------------------------------------------------ */

void material_free(uint8_t **bytes)
{
	free(*bytes);
}

static enum error refuse_file(const char *name, const char *why, struct store_trouble *ret_trouble)
{
	char shown[MATERIAL_NAME_MAX_BYTES];

	snprintf(ret_trouble->text, sizeof ret_trouble->text, "%s: %s",
		print_shown(span_of_string(name), shown, sizeof shown), why);
	return ERROR_REFUSED;
}

static enum error read_stream(FILE *in, const char *name, uint8_t *bytes, size_t *ret_length,
	struct store_trouble *ret_trouble)
{
	*ret_length = fread(bytes, 1, STORE_TRUST_MAX_BYTES + 1, in);
	if (ferror(in))
		return refuse_file(name, strerror(errno), ret_trouble);
	if (*ret_length > STORE_TRUST_MAX_BYTES)
		return refuse_file(name, "over 16 MiB", ret_trouble);
	return *ret_length == 0 ? refuse_file(name, "empty", ret_trouble) : OK;
}

enum error material_read(const struct material_arguments *arguments, uint8_t **ret,
	size_t *ret_length, struct store_trouble *ret_trouble)
{
	const bool is_stdin = strcmp(arguments->file, "-") == 0;
	uint8_t *bytes MATERIAL_FREE = malloc(STORE_TRUST_MAX_BYTES + 1);
	FILE *in = is_stdin ? stdin : fopen(arguments->file, "re");
	enum error error;

	if (!in)
		return refuse_file(arguments->file, strerror(errno), ret_trouble);
	error = bytes ? read_stream(in, arguments->file, bytes, ret_length, ret_trouble)
		      : ERROR_MEMORY;
	if (!is_stdin)
		fclose(in);
	if (error == OK) {
		*ret = bytes;
		bytes = NULL;
	}
	return error;
}

/* Removal ---------------------------------------------------------------------------------- */

struct removal {
	const struct material_arguments *arguments;
	struct store *store;
	struct store_trouble *trouble;
	bool is_found;
	enum store_trust_kind kind;
	char service[MATERIAL_NAME_MAX_BYTES];
	/* Whom it locks out: services, with commas between. */
	size_t locked_length;
	char locked[1024];
};

static enum error keep_row(const struct store_trust_row *row, void *context)
{
	struct removal *removal = context;

	if (row->id != removal->arguments->id)
		return OK;
	removal->is_found = true;
	removal->kind = row->kind;
	print_shown(row->service, removal->service, sizeof removal->service);
	return OK;
}

static void add_locked(struct removal *removal, struct span service)
{
	const size_t room = sizeof removal->locked - removal->locked_length;
	char shown[MATERIAL_NAME_MAX_BYTES];
	int length;

	print_shown(service, shown, sizeof shown);
	length = snprintf(removal->locked + removal->locked_length, room, "%s%s",
		removal->locked_length > 0 ? ", " : "",
		strcmp(shown, "*") == 0 ? "every service without a row of its own" : shown);
	if (length > 0 && (size_t)length < room)
		removal->locked_length += (size_t)length;
}

static enum error judge_service(const struct store_demand *demand, void *context)
{
	struct removal *removal = context;
	struct store_trust_count before, after;
	enum error error;

	if ((error = store_count_trust(
		     removal->store, demand->service, 0, &before, removal->trouble)) != OK ||
		(error = store_count_trust(removal->store, demand->service, removal->arguments->id,
			 &after, removal->trouble)) != OK)
		return error;
	if ((demand->of_chains && before.anchors > 0 && after.anchors == 0) ||
		(demand->of_lists && before.lists > 0 && after.lists == 0))
		add_locked(removal, demand->service);
	return OK;
}

static enum error refuse_row(const struct removal *removal)
{
	const bool is_list = removal->kind == STORE_TRUST_CRL;
	const int64_t id = removal->arguments->id;

	if (!removal->is_found)
		snprintf(removal->trouble->text, sizeof removal->trouble->text,
			"there is no row %" PRId64 ": `certmapctl %s list' shows those there are",
			id, removal->arguments->verb->is_of_lists ? "crl" : "trust");
	else
		snprintf(removal->trouble->text, sizeof removal->trouble->text,
			"row %" PRId64 " is %s: `certmapctl %s remove %" PRId64 "' removes it", id,
			is_list ? "a revocation list" : "a certificate", is_list ? "crl" : "trust",
			id);
	return ERROR_REFUSED;
}

static enum error delete_row(struct removal *removal)
{
	const struct ctl *ctl = removal->arguments->ctl;
	enum error error = edit_begin(ctl, removal->store, removal->trouble);

	if (error != OK)
		return error;
	error = store_delete_trust(
		removal->store, removal->arguments->id, &removal->is_found, removal->trouble);
	if (error == OK && !removal->is_found)
		error = refuse_row(removal);
	return edit_end(ctl, removal->store, error, removal->trouble);
}

static enum error tell(const struct removal *removal)
{
	const struct ctl *ctl = removal->arguments->ctl;
	const struct json_field fields[] = {
		{ .name = "id", .is_number = true, .number = removal->arguments->id },
		{ .name = "service", .text = span_of_string(removal->service) },
		{ .name = "kind", .text = span_of_string(store_trust_word(removal->kind)) },
		{ .name = "locks_out",
			.text = span_of_string(removal->locked[0] ? removal->locked : NULL) },
		{ .name = "change", .text = span_of_string(edit_is_dry(ctl) ? "none" : "removed") },
	};
	enum error error = OK;

	if (edit_may_talk(ctl))
		printf("Row %" PRId64 " %s.\n", removal->arguments->id,
			edit_is_dry(ctl) ? "would be removed" : "removed");
	else if (ctl->json && (error = json_print(fields, sizeof fields / sizeof fields[0])) == OK)
		putchar('\n');
	return error;
}

static void warn_of_locked(const struct removal *removal)
{
	if (removal->locked[0])
		ctl_warn("warning: it is the last %s of %s: without it everybody is refused there "
			 "(%s)",
			removal->kind == STORE_TRUST_CRL ? "revocation list" : "anchor",
			removal->locked,
			removal->kind == STORE_TRUST_CRL ? "revocation-unknown"
							 : "untrusted-issuer");
}

/* No lock is held while a person thinks; an id never comes back to another row. */
enum error material_remove(struct material_arguments *arguments, struct store *store,
	struct store_trouble *ret_trouble)
{
	struct removal removal = { .arguments = arguments, .store = store, .trouble = ret_trouble };
	enum error error = store_list_trust_rows(store, keep_row, &removal, ret_trouble);

	if (error != OK)
		return error;
	if (!removal.is_found || (removal.kind == STORE_TRUST_CRL) != arguments->verb->is_of_lists)
		return refuse_row(&removal);
	if ((error = store_list_demands(store, judge_service, &removal, ret_trouble)) != OK)
		return error;
	warn_of_locked(&removal);
	arguments->is_refused = !edit_confirm(arguments->ctl, "Remove %s %" PRId64 " of %s%s?",
		removal.kind == STORE_TRUST_CRL ? "revocation list"
						: store_trust_word(removal.kind),
		arguments->id, strcmp(removal.service, "*") == 0 ? "" : "the service ",
		strcmp(removal.service, "*") == 0 ? "every service" : removal.service);
	if (arguments->is_refused)
		return OK;
	if ((error = delete_row(&removal)) != OK)
		return error;
	return tell(&removal);
}
