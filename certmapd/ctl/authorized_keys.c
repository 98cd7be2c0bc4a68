/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * authorized_keys.c owns the verb that sshd runs to learn which keys may be used for an account. A
 * key stands there if a lookup that brings it would be allowed now, and nothing is printed before
 * all of them have been asked about: half an answer is none.
 */
#include "ctl.h"

#include "account.h"
#include "armour.h"
#include "ask.h"
#include "export.h"
#include "certificate.h"
#include "json.h"
#include "print.h"
#include "sshkey.h"
#include "sshline.h"
#include "store_select.h"
#include "view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SERVICE "sshd"

struct arguments {
	struct ctl *ctl;
	const char *user, *service;
	bool is_verbose, allow_root;
};

enum { OPTION_ALLOW_ROOT = 0x100 };

static const struct argp_option options[] = {
	{ "service", 's', "NAME", 0, "For this PAM service (" DEFAULT_SERVICE ")", 0 },
	{ "verbose", 'v', NULL, 0, "Say on stderr why keys are left out", 0 },
	{ "allow-root", OPTION_ALLOW_ROOT, NULL, 0, "Print keys of uid 0, too", 0 },
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
	case 'v':
		arguments->is_verbose = true;
		return 0;
	case OPTION_ALLOW_ROOT:
		arguments->allow_root = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "one account at a time");
		arguments->user = value;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "the account is missing");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.args_doc = "ACCOUNT",
	.doc = "Prints the SSH keys that would be let in for an account now.\v"
	       "For AuthorizedKeysCommand of sshd_config(5): `certmapctl authorized-keys -- %u'. "
	       "The keys are those of the certificates that are mapped to the account. Without any "
	       "the exit status is 0 as well.",
};

/* What became of one mapping. */
struct key {
	int64_t id;
	enum reason reason;  /* a lookup's answer; REASON_UNKNOWN: there was nothing to ask */
	const char *problem; /* why there was not */
	char *line;          /* NULL unless allowed */
};

struct search {
	const struct arguments *arguments;
	struct lookup *lookup;
	struct store_trouble *trouble;
	struct key *keys;
	size_t count;
};

static void done_search(struct search *search)
{
	for (size_t i = 0; i < search->count; i++)
		free(search->keys[i].line);
	free(search->keys);
	lookup_free(search->lookup);
}

/* The public key under the armour, and its line, or the problem in their way. */
static enum error read_key(struct span certificate, uint8_t spki[SSHKEY_MAX_BYTES],
	size_t *ret_length, char line[SSHLINE_MAX_BYTES], const char **ret_problem)
{
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	size_t der_length;
	enum armour_finding finding = armour_open_stored(certificate, der, sizeof der, &der_length);
	enum error error;

	if (finding != ARMOUR_OPENED) {
		*ret_problem = armour_finding_text(finding);
		return OK;
	}
	error = certificate_copy_key(
		span_of(der, der_length), spki, SSHKEY_MAX_BYTES, ret_length, ret_problem);
	if (error != OK && error != ERROR_TOO_LARGE)
		return error;
	if (error == ERROR_TOO_LARGE ||
		(!*ret_problem && !sshline_print(span_of(spki, *ret_length), line)))
		*ret_problem = "its key is of no type that certmap knows in SSH";
	return OK;
}

/* The last gate, which the PAM module asks at a login: with keys alone in AuthenticationMethods
 * nobody else would. */
static enum error check_account(
	const struct search *search, const struct mapping *mapping, enum reason *ret_reason)
{
	const struct reply reply = { .has_uid = mapping->has_uid, .uid = mapping->uid };
	struct outcome refusal = { 0 };

	if (account_check(mapping->account, &reply, search->arguments->allow_root, &refusal))
		return OK;
	if (refusal.error != OK)
		snprintf(search->trouble->text, sizeof search->trouble->text, "%s", refusal.what);
	else
		*ret_reason = refusal.reason;
	return refusal.error;
}

static enum error ask_for_key(const struct search *search, struct span spki, enum reason *ret)
{
	const struct request request = {
		.phase = PHASE_AUTHENTICATE,
		.mode = MODE_MATCH,
		.kind = EVIDENCE_KEY,
		.service = span_of_string(search->arguments->service),
		.user = span_of_string(search->arguments->user),
	};
	struct lookup_outcome outcome;
	enum error error = ask_digest(
		search->arguments->ctl, search->lookup, request, spki, &outcome, search->trouble);

	if (error == OK && outcome.reason == REASON_ALLOWED)
		error = check_account(search, &outcome.mapping, &outcome.reason);
	if (error == OK)
		*ret = outcome.reason;
	return error;
}

static enum error keep(struct search *search, struct key key, const char *line)
{
	struct key *keys = realloc(search->keys, (search->count + 1) * sizeof *keys);

	if (!keys)
		return ERROR_MEMORY;
	search->keys = keys;
	if (key.reason == REASON_ALLOWED && !(key.line = strdup(line)))
		return ERROR_MEMORY;
	keys[search->count++] = key;
	return OK;
}

static enum error take(const struct store_enrolment *enrolment, void *context)
{
	struct search *search = context;
	struct key key = { .id = enrolment->id };
	uint8_t spki[SSHKEY_MAX_BYTES];
	char line[SSHLINE_MAX_BYTES];
	size_t length = 0;
	enum error error = read_key(enrolment->certificate, spki, &length, line, &key.problem);

	if (error == OK && !key.problem)
		error = ask_for_key(search, span_of(spki, length), &key.reason);
	return error == OK ? keep(search, key, line) : error;
}

/* Two certificates of the account may hold one key: an old one and the renewed. */
static bool is_repeated(const struct search *search, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (search->keys[i].line &&
			strcmp(search->keys[i].line, search->keys[index].line) == 0)
			return true;
	return false;
}

static const char *word_of(const struct key *key)
{
	return key->problem ? key->problem : reason_word(key->reason);
}

static void print_lines(const struct search *search, FILE *out)
{
	for (size_t i = 0; i < search->count; i++) {
		const struct key *key = &search->keys[i];

		if (!key->line && search->arguments->is_verbose)
			ctl_warn("mapping %" PRId64 ": %s", key->id, word_of(key));
		else if (key->line && !is_repeated(search, i))
			fprintf(out, "%s\n", key->line);
	}
	if (search->count == 0 && search->arguments->is_verbose)
		ctl_warn("no mapping of this account for this service");
}

static enum error print_as_json(const struct search *search)
{
	enum error error = OK;
	size_t printed = 0;

	view_begin_array();
	for (size_t i = 0; i < search->count && error == OK; i++) {
		const struct key *key = &search->keys[i];
		const struct json_field fields[] = {
			{ .name = "id", .is_number = true, .number = key->id },
			{ .name = "key", .text = span_of_string(key->line) },
			{ .name = "reason",
				.text = span_of_string(key->problem ? NULL : word_of(key)) },
			{ .name = "problem", .text = span_of_string(key->problem) },
		};

		view_begin_row(&printed);
		error = json_print(fields, sizeof fields / sizeof fields[0]);
	}
	view_end_array(printed);
	return error;
}

static enum error find_keys(struct search *search, struct store *store)
{
	const struct arguments *arguments = search->arguments;
	const struct span user = span_of_string(arguments->user);

	/* Such a name nobody can have, nor get past the schema. */
	if (!account_name_is_sound(user))
		return OK;
	return store_list_enrolments(
		store, span_of_string(arguments->service), user, take, search, search->trouble);
}

/* Prints to `out`. Without a single line nothing is wrong. */
static enum error run(const struct arguments *arguments, struct store *store, FILE *out,
	struct store_trouble *ret_trouble)
{
	__attribute__((cleanup(done_search))) struct search search = {
		.arguments = arguments,
		.trouble = ret_trouble,
	};
	struct ctl *ctl = arguments->ctl;
	enum error error = ask_open(ctl, &search.lookup);

	if (error == OK)
		error = find_keys(&search, store);
	if (error == OK && ctl->json)
		error = print_as_json(&search);
	else if (error == OK)
		print_lines(&search, out);
	return error;
}

enum error export_keys(struct export *export)
{
	const struct arguments arguments = {
		.ctl = export->ctl,
		.service = export->service ? export->service : DEFAULT_SERVICE,
		.user = export->account,
		.is_verbose = true,
	};

	return run(&arguments, export->store, export->out, export->trouble);
}

/* Queued mappings are not settled here as other verbs do: a login waits, the lookup settles them or
 * reads them as they are, and what an account has is read from what people wrote. */
enum ctl_status ctl_authorized_keys(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = { .ctl = ctl, .service = DEFAULT_SERVICE };
	struct store_trouble trouble = { "" };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;
	enum error error;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if ((status = ctl_open(ctl, &store)) != CTL_DONE)
		return status;
	error = run(&arguments, store, stdout, &trouble);
	return error == OK ? CTL_DONE : ctl_fail(ctl, error, &trouble);
}
