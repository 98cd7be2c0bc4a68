/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* material.c owns the arguments, the lists and the files of both families. */
#include "material.h"

#include "armour.h"
#include "print.h"
#include "view.h"
#include "when.h"

#include <errno.h>
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

enum ctl_status material_main(struct ctl *ctl, int argc, char **argv)
{
	const struct material_verb *verb = ctl->detail;
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

/* Lists ------------------------------------------------------------------------------------ */

bool material_is_chosen(
	const struct material_arguments *arguments, const struct store_trust_row *row)
{
	return (row->kind == STORE_TRUST_CRL) == arguments->verb->is_of_lists &&
	       (!arguments->service ||
		       span_is_equal(row->service, span_of_string(arguments->service)));
}

static enum error list_table(struct material_listing *listing, struct store *store,
	const struct table_column *columns, size_t column_count, store_trust_row_taker *take,
	struct store_trouble *ret_trouble)
{
	enum error error = table_new(columns, column_count, &listing->table);

	if (error != OK)
		return error;
	error = store_list_trust_rows(store, take, listing, ret_trouble);
	if (error == OK && listing->count > 0)
		error = table_print(listing->table);
	table_free(listing->table);
	return error;
}

static enum error list_json(struct material_listing *listing, struct store *store,
	store_trust_row_taker *take, struct store_trouble *ret_trouble)
{
	enum error error;

	view_begin_array();
	error = store_list_trust_rows(store, take, listing, ret_trouble);
	view_end_array(listing->count);
	return error;
}

enum error material_list(const struct material_arguments *arguments, struct store *store,
	const struct table_column *columns, size_t column_count, store_trust_row_taker *take,
	const char *none, struct store_trouble *ret_trouble)
{
	struct material_listing listing = { .arguments = arguments, .is_roomy = view_is_roomy() };
	enum error error;

	if (arguments->ctl->json)
		return list_json(&listing, store, take, ret_trouble);
	error = list_table(&listing, store, columns, column_count, take, ret_trouble);
	if (error == OK && listing.count == 0)
		ctl_warn("%s", none);
	return error;
}

enum error material_read_certificate(
	const struct store_trust_row *row, struct certificate_facts *ret, const char **ret_problem)
{
	static uint8_t der[ARMOUR_DER_MAX_BYTES];
	size_t length;
	const enum armour_finding finding =
		armour_open_stored(row->content, der, sizeof der, &length);

	if (finding == ARMOUR_OPENED)
		return certificate_read(span_of(der, length), ret, ret_problem);
	*ret_problem = armour_finding_text(finding);
	return OK;
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
