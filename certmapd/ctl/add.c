/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * add.c owns the verb that maps a certificate to an account. The file is judged before the database
 * is opened, so that a wrong one is called by its name; what the rows there have against it is said
 * by the schema.
 */
#include "ctl.h"

#include "certfile.h"
#include "edit.h"
#include "index.h"
#include "print.h"
#include "store_edit.h"
#include "store_pending.h"
#include "store_select.h"
#include "when.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

/* The queue was worked off just before, so that this is for the one new mapping. Nobody else can
 * write meanwhile. */
#define SETTLE_NEW_USEC 200000u

struct arguments {
	struct ctl *ctl;
	const char *file;
	struct store_new_mapping mapping;
	bool is_unbound;
};

enum { OPTION_DISABLED = 0x100, OPTION_NO_UID, OPTION_VALID_FROM, OPTION_VALID_UNTIL };

static const struct argp_option options[] = {
	{ "service", 's', "NAME", 0, "In this PAM service alone (default: in every service)", 0 },
	{ "note", 'n', "TEXT", 0, "A note for people", 0 },
	{ "disabled", OPTION_DISABLED, NULL, 0, "Not in force until it is enabled", 0 },
	{ "no-uid", OPTION_NO_UID, NULL, 0,
		"Don't bind the mapping to the uid that the account has now", 0 },
	{ "valid-from", OPTION_VALID_FROM, "WHEN", 0, "Not in force before; " WHEN_FORMS, 0 },
	{ "valid-until", OPTION_VALID_UNTIL, "WHEN", 0, "Not in force afterwards", 0 },
	{ 0 },
};

static error_t take_positional(struct arguments *arguments, char *value, struct argp_state *state)
{
	if (state->arg_num == 0)
		arguments->mapping.account = value;
	else if (state->arg_num == 1)
		arguments->file = value;
	else
		argp_error(state, "too many arguments: '%s'", value);
	return 0;
}

static error_t take_limit(const char *option, const char *value, struct store_limit *ret,
	const struct argp_state *state)
{
	if (!when_read(value, when_now(), &ret->sec))
		argp_error(state, "--%s: '%s' is none of these: " WHEN_FORMS, option, value);
	ret->is_set = true;
	return 0;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 's':
		arguments->mapping.service = value;
		return 0;
	case 'n':
		arguments->mapping.note = value;
		return 0;
	case OPTION_DISABLED:
		arguments->mapping.enabled = false;
		return 0;
	case OPTION_NO_UID:
		arguments->is_unbound = true;
		return 0;
	case OPTION_VALID_FROM:
		return take_limit("valid-from", value, &arguments->mapping.valid_from, state);
	case OPTION_VALID_UNTIL:
		return take_limit("valid-until", value, &arguments->mapping.valid_until, state);
	case ARGP_KEY_ARG:
		return take_positional(arguments, value, state);
	case ARGP_KEY_END:
		if (!arguments->file)
			argp_error(state, "%s is missing",
				arguments->mapping.account ? "the file of the certificate"
							   : "the account");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_change_children,
	.args_doc = "ACCOUNT FILE",
	.doc = "Maps a certificate to an account.\v"
	       "FILE holds one certificate in DER, in PEM, as base64 without header lines, or in "
	       "PKCS#7 beside those of its CAs; `-' is the standard input. The mapping is in force "
	       "at the next lookup.",
};

/* A name that is given to somebody else later must not take the certificate along. */
static void bind_uid(struct store_new_mapping *mapping)
{
	const struct passwd *account;
	char name[64];

	print_shown(span_of_string(mapping->account), name, sizeof name);
	errno = 0;
	account = getpwnam(mapping->account);
	if (account) {
		mapping->has_uid = true;
		mapping->uid = account->pw_uid;
		if (account->pw_uid == 0)
			ctl_warn("warning: %s is root, whom pam_certmap.so refuses "
				 "unless its line says allow_root",
				name);
		return;
	}
	/* getpwnam(3) has more than one errno for "not found"; those two are failures for sure. */
	if (errno == EIO || errno == EMFILE)
		ctl_warn("warning: the account %s can't be looked up: %s", name, strerror(errno));
	else
		ctl_warn("warning: there is no account %s on this machine", name);
	ctl_warn("warning: the mapping is not bound to a uid");
}

struct row_state {
	bool is_pending;
	char problem[256]; /* "": none */
};

static enum error read_state(const struct store_status *row, void *context)
{
	struct row_state *state = context;

	state->is_pending = span_is_equal(row->text[STATUS_STATE], span_of_string("pending"));
	if (span_is_present(row->text[STATUS_PROBLEM]))
		print_shown(row->text[STATUS_PROBLEM], state->problem, sizeof state->problem);
	return OK;
}

/* The same certificate in another encoding passes the triggers, which compare bytes. */
static enum error insert_settled(struct store *store, const struct store_new_mapping *mapping,
	int64_t *ret_id, struct row_state *ret_state, struct store_trouble *ret_trouble)
{
	bool more, is_found;
	int64_t id;
	enum error error;

	if ((error = store_insert_mapping(store, mapping, &id, ret_trouble)) != OK ||
		(error = index_settle_within(store, SETTLE_NEW_USEC, &more, ret_trouble)) != OK ||
		(error = store_find_status(
			 store, id, read_state, ret_state, &is_found, ret_trouble)) != OK)
		return error;
	if (ret_state->problem[0] != '\0') {
		snprintf(ret_trouble->text, sizeof ret_trouble->text,
			"this certificate can't be mapped: %s; nothing was added",
			ret_state->problem);
		return ERROR_REFUSED;
	}
	*ret_id = id;
	return OK;
}

/* Who takes a key from one certificate has it for the other. */
static enum error warn_same_key(const struct store_relation *relation, void *context)
{
	const char *account = context;
	char shown[256];

	if (relation->kind == STORE_SAME_KEY && strcmp(relation->account, account) != 0)
		ctl_warn("warning: mapping %" PRId64 " of %s holds a certificate of the same key: "
			 "whoever has that key is both accounts",
			relation->id,
			print_shown(span_of_string(relation->account), shown, sizeof shown));
	return OK;
}

static enum error show(const struct store_status *row, void *context)
{
	const struct ctl *ctl = context;

	if (ctl->json)
		return print_json_line(row);
	if (!edit_may_talk(ctl))
		return OK;
	printf("Mapping %" PRId64 "%s:\n", row->number[STATUS_ID],
		edit_is_dry(ctl) ? " would be added" : "");
	print_words(stdout, row);
	return OK;
}

/* Shown before the commit: of a dry run nothing is left to be shown after it. */
static enum error add(const struct ctl *ctl, struct store *store,
	const struct store_new_mapping *mapping, struct row_state *ret_state,
	struct store_trouble *ret_trouble)
{
	bool is_found;
	int64_t id;
	enum error error;

	if ((error = edit_begin(ctl, store, ret_trouble)) != OK)
		return error;
	if ((error = insert_settled(store, mapping, &id, ret_state, ret_trouble)) == OK)
		error = store_find_status(store, id, show, (void *)ctl, &is_found, ret_trouble);
	if (error == OK)
		error = store_list_relations(
			store, id, warn_same_key, (void *)mapping->account, ret_trouble);
	return edit_end(ctl, store, error, ret_trouble);
}

static enum ctl_status run(struct arguments *arguments)
{
	struct store *store CTL_CLOSE = NULL;
	struct store_trouble trouble = { "" };
	struct row_state state = { 0 };
	enum ctl_status status;
	enum error error;

	if ((status = ctl_open(arguments->ctl, &store)) != CTL_DONE)
		return status;
	/* Older rows first, so that of two duplicates this one is told so. */
	if ((error = ctl_settle(store, &trouble)) != OK ||
		(error = add(arguments->ctl, store, &arguments->mapping, &state, &trouble)) != OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	if (edit_may_talk(arguments->ctl) && !edit_is_dry(arguments->ctl))
		puts("Added.");
	if (state.is_pending)
		ctl_warn("many new mappings wait to be read, this one among them: certmapd goes on "
			 "with them at its next lookup");
	return CTL_DONE;
}

enum ctl_status ctl_add(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = {
		.ctl = ctl,
		.mapping = { .service = "*", .enabled = true },
	};
	static struct certfile file;
	enum ctl_status status;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if ((status = certfile_read(arguments.file, &file)) != CTL_DONE)
		return status;
	arguments.mapping.certificate = span_of(file.stored, file.stored_length);
	certfile_warn(&file);
	if (!arguments.is_unbound)
		bind_uid(&arguments.mapping);
	return run(&arguments);
}
