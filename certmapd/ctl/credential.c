/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * credential.c owns the verbs that seal and remove one credential, and the arguments of the family.
 * None of its verbs ever prints a password, and each change is one transaction.
 */
#include "credential.h"

#include "edit.h"
#include "hex.h"
#include "json.h"
#include "print.h"
#include "secret.h"
#include "store_credential.h"
#include "verbs.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define NAME_MAX_BYTES 64u
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { OPTION_KEY = 0x100, OPTION_ROTATE };

#define SERVICE_OPTION                                                                             \
	{                                                                                          \
		"service", 's', "NAME", 0,                                                         \
			"In this PAM service alone (default: in every service)", 0                 \
	}
#define KEY_OPTION                                                                                 \
	{                                                                                          \
		"key", OPTION_KEY, "FILE", 0, "The key file (" SEAL_KEY_DEFAULT_PATH ")", 0        \
	}

/* Keys ----------------------------------------------------------------------------------------- */

void credential_free_keys(struct seal_keys **keys)
{
	seal_keys_free(*keys);
}

void credential_print_id(const uint8_t id[SEAL_KEY_ID_BYTES], char ret[CREDENTIAL_ID_DIGITS + 1])
{
	hex_print(span_of(id, SEAL_KEY_ID_BYTES), ret);
}

/* Without its name the verb would make the key that certmapd is started with. */
static void warn_of_no_key(const char *path, const char *shown)
{
	const bool is_default = strcmp(path, SEAL_KEY_DEFAULT_PATH) == 0;

	ctl_warn("%s: %s: `certmapctl credential new-key%s%s' makes one", shown,
		seal_finding_text(SEAL_NO_KEY), is_default ? "" : " ", is_default ? "" : shown);
}

enum error credential_find_keys(
	const char *path, struct seal_keys **ret, enum seal_finding *ret_finding)
{
	char name[256];
	enum error error = seal_keys_load(path, ret, ret_finding);

	print_shown(span_of_string(path), name, sizeof name);
	if (error != OK)
		ctl_warn("%s: %s", name,
			error == ERROR_SYSTEM ? strerror(errno) : error_text(error));
	else if (*ret_finding == SEAL_NO_KEY)
		warn_of_no_key(path, name);
	else if (*ret_finding != SEAL_OPENED)
		ctl_warn("%s: %s", name, seal_finding_text(*ret_finding));
	return error;
}

enum ctl_status credential_load_keys(const char *path, struct seal_keys **ret)
{
	enum seal_finding finding;

	return credential_find_keys(path, ret, &finding) == OK && finding == SEAL_OPENED
		       ? CTL_DONE
		       : CTL_REFUSED;
}

void credential_print_key_id(const struct seal_keys *keys, char ret[CREDENTIAL_ID_DIGITS + 1])
{
	uint8_t id[SEAL_KEY_ID_BYTES];

	seal_keys_id(keys, id);
	credential_print_id(id, ret);
}

/* What all of them say ------------------------------------------------------------------------ */

static const char *service_of(const struct credential_arguments *arguments)
{
	return arguments->service ? arguments->service : "*";
}

void credential_print_whose(struct span service, struct span account, char *ret, size_t capacity)
{
	char service_name[NAME_MAX_BYTES], account_name[NAME_MAX_BYTES];

	print_shown(account, account_name, sizeof account_name);
	if (span_is_equal(service, span_of_string("*")))
		snprintf(ret, capacity, "%s in every service", account_name);
	else
		snprintf(ret, capacity, "%s in the service %s", account_name,
			print_shown(service, service_name, sizeof service_name));
}

static enum error tell(const struct credential_arguments *arguments, const char *key_id,
	const char *done, const char *would)
{
	const struct span service = span_of_string(service_of(arguments));
	const struct span account = span_of_string(arguments->operand);
	const struct json_field fields[] = {
		{ .name = "service", .text = service },
		{ .name = "account", .text = account },
		{ .name = "key_id", .text = span_of_string(key_id) },
		{ .name = "change",
			.text = span_of_string(edit_is_dry(arguments->ctl) ? "none" : done) },
	};
	char whose[CREDENTIAL_WHOSE_BYTES];
	enum error error = OK;

	credential_print_whose(service, account, whose, sizeof whose);
	if (edit_may_talk(arguments->ctl))
		printf("The credential of %s %s %s.\n", whose,
			edit_is_dry(arguments->ctl) ? "would be" : "was", would);
	else if (arguments->ctl->json && (error = json_print(fields, COUNT(fields))) == OK)
		putchar('\n');
	return error;
}

/* set ------------------------------------------------------------------------------------------ */

/* Typing errors would otherwise show at a login that nobody can explain. */
static enum error warn_of_traps(const struct credential_arguments *arguments, struct store *store,
	struct store_trouble *ret_trouble)
{
	const struct store_question question = {
		.by = STORE_BY_NOTHING,
		.service = span_of_string(service_of(arguments)),
	};
	struct store_answer answer;
	char name[NAME_MAX_BYTES];
	enum error error = store_find(store, &question, &answer, ret_trouble);

	if (error != OK)
		return error;
	print_shown(span_of_string(arguments->operand), name, sizeof name);
	if (!getpwnam(arguments->operand))
		ctl_warn("warning: there is no account %s on this machine", name);
	print_shown(question.service, name, sizeof name);
	if (!answer.delivers_credential && arguments->service)
		ctl_warn("warning: the service %s delivers no credential: its row of the table "
			 "`service' needs deliver_credential = 1",
			name);
	else if (!answer.delivers_credential)
		ctl_warn("warning: a credential is delivered by those services alone whose row of "
			 "the table `service' has deliver_credential = 1");
	return OK;
}

enum error credential_seal(const struct seal_keys *keys, struct store_credential *row,
	struct span plain, uint8_t sealed[SEAL_MAX_BYTES], struct store_trouble *ret_trouble)
{
	size_t length;
	enum error error = seal_close(keys, row->service, row->account, plain, sealed, &length);

	if (error == OK)
		row->sealed = span_of(sealed, length);
	else
		snprintf(ret_trouble->text, sizeof ret_trouble->text, "%s",
			error == ERROR_TOO_LARGE
				? "a service has at most 64 bytes, an account at most 256"
				: "OpenSSL can't seal the credential");
	return error;
}

static enum error write_one(const struct credential_arguments *arguments, struct store *store,
	const struct store_credential *row, bool *ret_was_there, struct store_trouble *ret_trouble)
{
	enum error error = edit_begin(arguments->ctl, store, ret_trouble);

	if (error != OK)
		return error;
	error = store_write_credential(store, row, ret_was_there, ret_trouble);
	return edit_end(arguments->ctl, store, error, ret_trouble);
}

/* Everything that can refuse comes before the question, and no lock is held while a person types.
 */
static enum ctl_status run_set(struct credential_arguments *arguments)
{
	struct store_credential row = {
		.service = span_of_string(service_of(arguments)),
		.account = span_of_string(arguments->operand),
	};
	struct seal_keys *keys CREDENTIAL_FREE_KEYS = NULL;
	struct store *store CTL_CLOSE = NULL;
	struct secret secret SECRET_WIPE = { 0 };
	struct store_trouble trouble = { "" };
	char key_id[CREDENTIAL_ID_DIGITS + 1];
	uint8_t sealed[SEAL_MAX_BYTES];
	bool was_there;
	enum error error;

	if (credential_load_keys(arguments->key_path, &keys) != CTL_DONE ||
		ctl_open(arguments->ctl, &store) != CTL_DONE)
		return CTL_REFUSED;
	if ((error = warn_of_traps(arguments, store, &trouble)) != OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	if (secret_ask(&secret) != CTL_DONE)
		return CTL_REFUSED;
	credential_print_key_id(keys, key_id);
	if ((error = credential_seal(
		     keys, &row, span_of(secret.bytes, secret.length), sealed, &trouble)) != OK ||
		(error = write_one(arguments, store, &row, &was_there, &trouble)) != OK ||
		(error = tell(arguments, key_id, was_there ? "replaced" : "set",
			 was_there ? "replaced" : "set")) != OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	return CTL_DONE;
}

/* remove --------------------------------------------------------------------------------------- */

static enum error remove_one(const struct credential_arguments *arguments, struct store *store,
	bool *ret_found, struct store_trouble *ret_trouble)
{
	enum error error = edit_begin(arguments->ctl, store, ret_trouble);

	if (error != OK)
		return error;
	error = store_delete_credential(store, span_of_string(service_of(arguments)),
		span_of_string(arguments->operand), ret_found, ret_trouble);
	return edit_end(arguments->ctl, store, error, ret_trouble);
}

static enum ctl_status refuse_missing(const struct credential_arguments *arguments)
{
	char whose[CREDENTIAL_WHOSE_BYTES];

	credential_print_whose(span_of_string(service_of(arguments)),
		span_of_string(arguments->operand), whose, sizeof whose);
	ctl_warn("there is no credential of %s: `certmapctl credential list' shows those there are",
		whose);
	return CTL_REFUSED;
}

static enum ctl_status run_remove(struct credential_arguments *arguments)
{
	struct store *store CTL_CLOSE = NULL;
	struct store_trouble trouble = { "" };
	char whose[CREDENTIAL_WHOSE_BYTES];
	bool is_found = false;
	enum error error;

	if (ctl_open(arguments->ctl, &store) != CTL_DONE)
		return CTL_REFUSED;
	credential_print_whose(span_of_string(service_of(arguments)),
		span_of_string(arguments->operand), whose, sizeof whose);
	if (!edit_confirm(arguments->ctl, "Remove the credential of %s?", whose))
		return CTL_REFUSED;
	if ((error = remove_one(arguments, store, &is_found, &trouble)) != OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	if (!is_found)
		return refuse_missing(arguments);
	if ((error = tell(arguments, NULL, "removed", "removed")) != OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	return CTL_DONE;
}

/* The family ----------------------------------------------------------------------------------- */

static error_t parse(int key, char *value, struct argp_state *state);

static const struct argp_option set_options[] = { SERVICE_OPTION, KEY_OPTION, { 0 } };
static const struct argp_option remove_options[] = { SERVICE_OPTION, { 0 } };
static const struct argp_option list_options[] = { { "service", 's', "NAME", 0,
							   "Only those of this service", 0 },
	{ "account", 'a', "NAME", 0, "Only those of this account", 0 }, KEY_OPTION, { 0 } };
static const struct argp_option rotate_options[] = { KEY_OPTION, { 0 } };
static const struct argp_option new_key_options[] = {
	{ "rotate", OPTION_ROTATE, NULL, 0, "Put the key before those that the file holds", 0 },
	{ 0 },
};

static const struct credential_verb {
	credential_run *run;
	const char *missing; /* what its operand is, where it must be there; else NULL */
	bool has_operand;
	struct argp parser;
} set_verb = { run_set, "the account", true,
	{ set_options, parse, "ACCOUNT",
		"Seals the password that a session of an account gets.\v"
		"It is read from the standard input, one line, or asked for twice on a "
		"terminal. One that is there is replaced. It is in force at the next "
		"lookup, in services whose row has deliver_credential = 1.",
		ctl_change_children, NULL, NULL } },
  remove_verb = { run_remove, "the account", true,
	  { remove_options, parse, "ACCOUNT",
		  "Removes the password that a session of an account gets.\v"
		  "On a terminal it asks first.",
		  ctl_change_children, NULL, NULL } },
  list_verb = { credential_list, NULL, false,
	  { list_options, parse, NULL,
		  "Shows whose passwords are stored, and whether the keys at hand open "
		  "them.\vThe passwords are never shown.",
		  ctl_children, NULL, NULL } },
  rotate_verb = { credential_rotate, NULL, false,
	  { rotate_options, parse, NULL,
		  "Seals every password anew with the first key of the key file.\v"
		  "All of them or none: one that can't be opened stops it.",
		  ctl_change_children, NULL, NULL } },
  new_key_verb = { credential_new_key, NULL, true,
	  { new_key_options, parse, "[FILE]",
		  "Makes a key file.\v"
		  "FILE is " SEAL_KEY_DEFAULT_PATH " if it is left out. A file that is there "
		  "is never overwritten; with --rotate the new key is put before those in "
		  "it.",
		  ctl_children, NULL, NULL } };

static error_t take_operand(
	struct credential_arguments *arguments, char *value, struct argp_state *state)
{
	if (!arguments->verb->has_operand || arguments->operand)
		argp_error(state, "too many arguments: '%s'", value);
	else if (value[0] == '\0')
		argp_error(state, "an argument is empty");
	arguments->operand = value;
	return 0;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct credential_arguments *arguments = state->input;

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
	case OPTION_KEY:
		arguments->key_path = value;
		return 0;
	case OPTION_ROTATE:
		arguments->is_rotation = true;
		return 0;
	case ARGP_KEY_ARG:
		return take_operand(arguments, value, state);
	case ARGP_KEY_END:
		if (arguments->verb->missing && !arguments->operand)
			argp_error(state, "%s is missing", arguments->verb->missing);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* No core file holds a password. RLIMIT_CORE alone does not bind a core_pattern that is a pipe,
 * core(5). */
static void forbid_dumps(void)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		ctl_warn("warning: core dumps can't be forbidden");
}

static enum ctl_status run_verb(struct ctl *ctl, int argc, char **argv)
{
	const struct credential_verb *verb = ctl->detail;
	struct credential_arguments arguments = {
		.ctl = ctl,
		.verb = verb,
		.key_path = SEAL_KEY_DEFAULT_PATH,
	};

	argp_parse(&verb->parser, argc, argv, 0, NULL, &arguments);
	forbid_dumps();
	return verb->run(&arguments);
}

enum ctl_status ctl_credential(struct ctl *ctl, int argc, char **argv)
{
	static const struct verb table[] = {
		{ "set", run_verb, "seal a password for an account", &set_verb },
		{ "remove", run_verb, "remove one", &remove_verb },
		{ "list", run_verb, "show whose there are, never what they are", &list_verb },
		{ "rotate", run_verb, "seal all of them anew with another key", &rotate_verb },
		{ "new-key", run_verb, "make a key file", &new_key_verb },
	};
	const struct verbs verbs = {
		.program = "certmapctl credential",
		.doc = "Stores the password that a session gets beside its account, sealed.",
		.table = table,
		.count = COUNT(table),
	};

	return verbs_run(&verbs, ctl, argc, argv);
}
