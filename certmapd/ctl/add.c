/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * add.c owns the verb that maps a certificate to an account. The file is judged before the database
 * is opened, so that a wrong one is called by its name; what the rows there have against it is said
 * by the schema.
 */
#include "ctl.h"

#include "certfile.h"
#include "edit.h"
#include "insert.h"
#include "print.h"
#include "store_edit.h"
#include "when.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

struct arguments {
	struct ctl *ctl;
	const char *file;
	struct store_new_mapping mapping;
	bool is_unbound;
	const uint8_t *fingerprint;
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
	ctl_warn("warning: the mapping is not bound to a uid; `certmapctl verify' tells "
		 "how, once the account is there");
}

static enum error add(const struct ctl *ctl, struct store *store,
	const struct store_new_mapping *mapping, struct inserted *ret,
	struct store_trouble *ret_trouble)
{
	enum error error;

	if ((error = edit_begin(ctl, store, ret_trouble)) != OK)
		return error;
	error = insert_mapping(store, mapping, ret, ret_trouble);
	return insert_end(ctl, store, ret, error, ret_trouble);
}

static enum ctl_status run(struct arguments *arguments)
{
	struct store *store CTL_CLOSE = NULL;
	struct store_trouble trouble = { "" };
	struct inserted inserted = { 0 };
	enum ctl_status status;
	enum error error;

	if ((status = ctl_open(arguments->ctl, &store)) != CTL_DONE)
		return status;
	/* Older rows first, so that of two duplicates this one is told so. */
	if ((error = ctl_settle(store, &trouble)) != OK ||
		(error = add(arguments->ctl, store, &arguments->mapping, &inserted, &trouble)) !=
			OK) {
		const struct insert_refusal refusal = { error, &trouble, arguments->fingerprint };

		return insert_fail(arguments->ctl, store, &arguments->mapping, &refusal);
	}
	if (edit_may_talk(arguments->ctl) && !edit_is_dry(arguments->ctl))
		puts("Added.");
	insert_warn_pending(&inserted);
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
	arguments.fingerprint = file.facts.fingerprint;
	certfile_warn(&file);
	if (!arguments.is_unbound)
		bind_uid(&arguments.mapping);
	return run(&arguments);
}
