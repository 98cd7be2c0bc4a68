/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* show.c owns the verb that tells all there is to know of a mapping. */
#include "ctl.h"

#include "armour.h"
#include "json.h"
#include "print.h"
#include "select.h"
#include "store_trust.h"
#include "view.h"

#include <inttypes.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
	struct ctl *ctl;
	struct selector selector;
	bool prints_pem;
};

enum { OPTION_PEM = 0x100 };

static const struct argp_option options[] = {
	SELECT_SERVICE_OPTION,
	{ "pem", OPTION_PEM, NULL, 0, "Print the certificate in PEM, and nothing else", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPTION_PEM:
		arguments->prints_pem = true;
		return 0;
	case ARGP_KEY_END:
		if (arguments->prints_pem && arguments->ctl->json)
			argp_error(state, "--pem and --json are two forms of one answer");
		return select_parse(&arguments->selector, key, value, state);
	default:
		return select_parse(&arguments->selector, key, value, state);
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.args_doc = "ID|FINGERPRINT|ACCOUNT",
	.doc = "Tells all there is to know of a mapping, or of all of an account.\v" SELECT_DOC,
};

static void print_relation_line(const char *label, const struct store_relation *relation)
{
	char account[256], service[128], state[64];

	printf("  %-8s mapping %" PRId64 " of %s (%s), %s\n", label, relation->id,
		print_shown(span_of_string(relation->account), account, sizeof account),
		strcmp(relation->service, "*") == 0
			? "every service"
			: print_shown(span_of_string(relation->service), service, sizeof service),
		print_shown(span_of_string(relation->state), state, sizeof state));
}

static enum error print_relation(const struct store_relation *relation, void *context)
{
	char service[128];

	(void)context;
	switch (relation->kind) {
	case STORE_REPLACED: /* the words about the mapping itself say so */
		break;
	case STORE_REPLACEMENT:
		print_relation_line("next", relation);
		break;
	case STORE_HIDDEN:
		print_relation_line("hides", relation);
		break;
	case STORE_HIDING:
		print_relation_line("hidden by", relation);
		break;
	case STORE_SAME_KEY:
		print_relation_line("same key", relation);
		break;
	case STORE_UNSEEING:
		printf("  unseen   by %s, which does not inherit\n",
			print_shown(span_of_string(relation->service), service, sizeof service));
		break;
	}
	return OK;
}

static const char *word_of_revocation(enum store_revocation revocation)
{
	switch (revocation) {
	case STORE_REVOCATION_REQUIRE:
		return "lists must say it is not revoked";
	case STORE_REVOCATION_PREFER:
		return "lists that are there count";
	case STORE_REVOCATION_OFF:
		return "lists are not looked at";
	}
	return "";
}

static void print_policy(const struct store_answer *policy)
{
	if (!policy->service_enabled)
		puts("  policy   the service is disabled: everybody is refused");
	if (policy->is_shadow)
		puts("  policy   only watched (shadow): answered as without a certificate");
	if (policy->requires_trust)
		printf("  policy   its chain must end at an anchor; %s\n",
			word_of_revocation(policy->revocation));
	if (policy->delivers_credential)
		puts("  policy   the session gets the stored password");
	if (policy->accepts_names || policy->accepts_name)
		puts("  policy   names alone may be taken for the certificate (weak)");
}

/* What is the same for all of its service; the defaults, for a mapping of every service. */
static enum error show_policy(
	struct store *store, const struct store_choice *choice, struct store_trouble *ret_trouble)
{
	const struct store_question question = {
		.by = STORE_BY_NOTHING,
		.service = span_of_string(choice->service),
	};
	struct store_answer policy;
	enum error error = store_find(store, &question, &policy, ret_trouble);

	if (error == OK)
		print_policy(&policy);
	return error;
}

static enum error show_words(const struct store_status *row, void *context)
{
	(void)context;
	printf("Mapping %" PRId64 ":\n", row->number[STATUS_ID]);
	print_words(stdout, row);
	return OK;
}

static enum error show_one(
	struct store *store, const struct store_choice *choice, struct store_trouble *ret_trouble)
{
	char key[2 * STORE_FINGERPRINT_BYTES + 1];
	bool is_found;
	enum error error;

	if ((error = store_find_status(
		     store, choice->id, show_words, NULL, &is_found, ret_trouble)) != OK ||
		(error = store_find_key_fingerprint(store, choice->id, key, ret_trouble)) != OK)
		return error;
	if (key[0] != '\0')
		printf("  %-8s %s\n", "key", key);
	error = store_list_relations(store, choice->id, print_relation, NULL, ret_trouble);
	return error == OK ? show_policy(store, choice, ret_trouble) : error;
}

/* Ids of others: "4,5". As long as it takes: one that was cut would be that of another mapping. */
struct ids {
	char *of[STORE_SAME_KEY + 1]; /* by kind, of those that are mappings; NULL: none */
};

static enum error add_id(const struct store_relation *relation, void *context)
{
	struct ids *ids = context;
	char *before, *text;

	if (relation->kind > STORE_SAME_KEY || relation->id == 0)
		return OK;
	before = ids->of[relation->kind];
	if (asprintf(&text, "%s%s%" PRId64, before ? before : "", before ? "," : "", relation->id) <
		0)
		return ERROR_MEMORY;
	free(before);
	ids->of[relation->kind] = text;
	return OK;
}

struct as_json {
	struct ids ids;
	char key[2 * STORE_FINGERPRINT_BYTES + 1];
};

static void done_as_json(struct as_json *as_json)
{
	for (size_t i = 0; i < sizeof as_json->ids.of / sizeof as_json->ids.of[0]; i++)
		free(as_json->ids.of[i]);
}
#define AS_JSON_DONE __attribute__((cleanup(done_as_json)))

static enum error print_all_json(const struct store_status *row, void *context)
{
	static const struct {
		const char *name;
		enum store_relation_kind kind;
	} kinds[] = {
		{ "replaced_by", STORE_REPLACEMENT },
		{ "hides", STORE_HIDDEN },
		{ "hidden_by", STORE_HIDING },
		{ "same_key", STORE_SAME_KEY },
	};
	enum { KINDS = sizeof kinds / sizeof kinds[0] };
	const struct as_json *as_json = context;
	struct json_field fields[STATUS_COLUMNS + 1 + KINDS];
	size_t count = print_json_fields(row, fields);

	fields[count++] = (struct json_field){ .name = "key_fingerprint",
		.text = span_of_string(as_json->key[0] != '\0' ? as_json->key : NULL) };
	for (size_t i = 0; i < KINDS; i++)
		fields[count++] = (struct json_field){ .name = kinds[i].name,
			.text = span_of_string(as_json->ids.of[kinds[i].kind]) };
	return json_print(fields, count);
}

static enum error show_json(
	struct store *store, const struct store_choice *choice, struct store_trouble *ret_trouble)
{
	struct as_json as_json AS_JSON_DONE = { 0 };
	bool is_found;
	enum error error;

	if ((error = store_find_key_fingerprint(store, choice->id, as_json.key, ret_trouble)) !=
			OK ||
		(error = store_list_relations(
			 store, choice->id, add_id, &as_json.ids, ret_trouble)) != OK)
		return error;
	return store_find_status(
		store, choice->id, print_all_json, &as_json, &is_found, ret_trouble);
}

/* The bytes under the armour, and not as OpenSSL would write them anew. */
static enum error show_pem(
	struct store *store, const struct store_choice *choice, struct store_trouble *ret_trouble)
{
	static uint8_t der[ARMOUR_DER_MAX_BYTES];
	size_t length;
	enum error error = store_read_der(store, choice->id, der, sizeof der, &length, ret_trouble);

	if (error == ERROR_MALFORMED) {
		snprintf(ret_trouble->text, sizeof ret_trouble->text,
			"mapping %" PRId64 " holds no certificate that could be read: `certmapctl "
			"show %" PRId64 "' says why",
			choice->id, choice->id);
		return ERROR_REFUSED;
	}
	if (error != OK)
		return error;
	return PEM_write(stdout, PEM_STRING_X509, "", der, (long)length) ? OK : ERROR_SYSTEM;
}

static enum error show_all(const struct arguments *arguments, struct store *store,
	const struct selected *selected, struct store_trouble *ret_trouble)
{
	const bool is_json = arguments->ctl->json;
	enum error error = OK;
	size_t printed = 0;

	if (is_json)
		view_begin_array();
	for (size_t i = 0; i < selected->count && error == OK; i++) {
		const struct store_choice *choice = &selected->choices[i];

		if (is_json)
			view_begin_row(&printed);
		if (arguments->prints_pem)
			error = show_pem(store, choice, ret_trouble);
		else
			error = is_json ? show_json(store, choice, ret_trouble)
					: show_one(store, choice, ret_trouble);
	}
	if (is_json)
		view_end_array(printed);
	return error;
}

static enum ctl_status run(const struct arguments *arguments, struct store *store)
{
	/* Of PEM the first of several would be taken for all there is. */
	const struct select_want want = {
		.verb = arguments->prints_pem ? "show --pem" : "show",
		.takes_many = !arguments->prints_pem,
		.takes_one = arguments->prints_pem,
	};
	struct selected selected SELECTED_DONE = { 0 };
	struct store_trouble trouble = { "" };
	enum ctl_status status;
	enum error error;

	ctl_settle_if_possible(store);
	status = select_mappings(arguments->ctl, store, &arguments->selector, &want, &selected);
	if (status != CTL_DONE)
		return status;
	error = show_all(arguments, store, &selected, &trouble);
	return error == OK ? CTL_DONE : ctl_fail(arguments->ctl, error, &trouble);
}

enum ctl_status ctl_show(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = { .ctl = ctl };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	status = ctl_open(ctl, &store);
	return status == CTL_DONE ? run(&arguments, store) : status;
}
