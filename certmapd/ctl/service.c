/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service.c owns the verbs that show and set the policy of a service: list, show, set and remove.
 * What a policy may be stands in the schema, whose words are shown where it refuses; what is
 * allowed and weak is warned of here.
 */
#include "ctl.h"

#include "edit.h"
#include "print.h"
#include "store_service.h"
#include "store_trust.h"
#include "verbs.h"
#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define EVERY "*"
#define NAME_SHOWN_BYTES 256u
#define SHOWN_MIN_BYTES 8u /* that print_shown() wants */

static const struct {
	const char *heading;
	const char *meaning;
} words[POLICIES] = {
	[POLICY_ENABLED] = { "ENABLED", "lookups are answered; if not, service-disabled" },
	[POLICY_INHERIT] = { "INHERIT", "mappings of every service hold here too" },
	[POLICY_CERTIFICATES] = { "PER ACCOUNT", "how many certificates an account may have" },
	[POLICY_ACCEPT_NAMES] = { "NAMES", "accept=names counts (weak)" },
	[POLICY_ACCEPT_NAME] = { "NAME", "accept=name counts (weakest)" },
	[POLICY_REQUIRE_TRUST] = { "TRUST", "certificates must chain up to an anchor" },
	[POLICY_REVOCATION] = { "REVOCATION", "what a missing or stale list means there" },
	[POLICY_DELIVER_CREDENTIAL] = { "CREDENTIAL", "sessions get the stored password" },
	[POLICY_SHADOW] = { "SHADOW", "answered as if there were no certificate" },
	[POLICY_NOTE] = { "NOTE", "for people" },
};

/* Values ----------------------------------------------------------------------------------------
 */

/* A row that outlives its reading. */
struct row {
	bool is_there;
	struct store_policy_value values[POLICIES];
	char *texts[POLICIES]; /* what the values point into */
};

/* The rows that make a policy. */
struct policy {
	struct row own, every;
};

static void done_policy(struct policy *policy)
{
	for (int i = 0; i < POLICIES; i++) {
		free(policy->own.texts[i]);
		free(policy->every.texts[i]);
	}
}
#define POLICY_DONE __attribute__((cleanup(done_policy)))

static const char *word_value(enum store_policy policy, const struct store_policy_value *value,
	char *ret, size_t capacity)
{
	if (store_policy_kind(policy) == POLICY_IS_FLAG && value->is_number)
		return value->number == 0 ? "no" : "yes";
	return print_shown(value->text, ret, capacity);
}

static enum error keep_row(const struct store_service *service, void *context)
{
	struct row *row = context;

	row->is_there = true;
	for (int i = 0; i < POLICIES; i++) {
		const struct span text = service->values[i].text;

		row->values[i] = service->values[i];
		if (!span_is_present(text))
			continue;
		if (!(row->texts[i] = malloc(text.length + 1)))
			return ERROR_MEMORY;
		memcpy(row->texts[i], text.bytes, text.length);
		row->values[i].text.bytes = (const uint8_t *)row->texts[i];
	}
	return OK;
}

static enum error read_policy(struct store *store, const char *name, struct policy *ret,
	struct store_trouble *ret_trouble)
{
	enum error error = store_list_services(store, name, keep_row, &ret->own, ret_trouble);

	if (error != OK)
		return error;
	return store_list_services(store, EVERY, keep_row, &ret->every, ret_trouble);
}

static bool is_own(const struct policy *policy, enum store_policy which)
{
	return span_is_present(policy->own.values[which].text);
}

/* A note is about its row, and holds for no other. */
static const struct store_policy_value *find_value(
	const struct policy *policy, enum store_policy which)
{
	return is_own(policy, which) || which == POLICY_NOTE ? &policy->own.values[which]
							     : &policy->every.values[which];
}

static bool is_on(const struct policy *policy, enum store_policy which)
{
	return find_value(policy, which)->number != 0;
}

/* Warnings --------------------------------------------------------------------------------------
 */

static bool requires_lists(const struct policy *policy)
{
	return is_on(policy, POLICY_REQUIRE_TRUST) &&
	       span_is_equal(
		       find_value(policy, POLICY_REVOCATION)->text, span_of_string("require"));
}

static void warn_of_weakness(const char *name, const struct policy *policy)
{
	if (is_on(policy, POLICY_ACCEPT_NAME))
		ctl_warn("warning: %s: accept_name=yes is the weakest evidence: whoever gets a "
			 "certificate with that one attribute from any issuer that the TLS service "
			 "trusts comes in",
			name);
	if (is_on(policy, POLICY_ACCEPT_NAMES))
		ctl_warn("warning: %s: accept_names=yes is weak: whoever gets a certificate of "
			 "these names from any issuer that the TLS service trusts comes in",
			name);
	if (!is_on(policy, POLICY_ENABLED))
		ctl_warn("warning: %s: enabled=no refuses every lookup", name);
	if (is_on(policy, POLICY_SHADOW))
		ctl_warn("warning: %s: shadow=yes lets nobody in by a certificate; the log says "
			 "who would have been",
			name);
}

static enum error warn_of_trust(struct store *store, const char *name, const char *shown,
	const struct policy *policy, struct store_trouble *ret_trouble)
{
	struct store_trust_count count = { 0 };
	enum error error;

	if (!is_on(policy, POLICY_REQUIRE_TRUST))
		return OK;
	error = store_count_trust(store, span_of_string(name), 0, &count, ret_trouble);
	if (error != OK)
		return error;
	if (count.anchors == 0)
		ctl_warn("warning: %s: require_trust=yes, and there is no anchor: everybody is "
			 "refused until `certmapctl trust add' adds one",
			shown);
	if (count.lists == 0 && requires_lists(policy))
		ctl_warn("warning: %s: revocation=require, and there is no revocation list: "
			 "everybody is refused until `certmapctl crl add' adds one",
			shown);
	return OK;
}

static void warn_of_name(const char *name, const char *shown)
{
	char path[sizeof "/etc/pam.d/" + NAME_SHOWN_BYTES];

	snprintf(path, sizeof path, "/etc/pam.d/%s", name);
	if (strcmp(name, EVERY) != 0 && access(path, F_OK) != 0)
		ctl_warn(
			"warning: there is no /etc/pam.d/%s on this machine: no service of PAM has "
			"that name",
			shown);
}

static enum error warn_of_traps(
	struct store *store, const char *name, struct store_trouble *ret_trouble)
{
	struct policy policy POLICY_DONE = { 0 };
	char shown[NAME_SHOWN_BYTES];
	enum error error = read_policy(store, name, &policy, ret_trouble);

	if (error != OK)
		return error;
	print_shown(span_of_string(name), shown, sizeof shown);
	warn_of_weakness(shown, &policy);
	return warn_of_trust(store, name, shown, &policy, ret_trouble);
}

/* list ------------------------------------------------------------------------------------------
 */

struct listing {
	struct table *table;
	size_t count;
};

static enum error add_to_table(const struct store_service *service, void *context)
{
	struct listing *listing = context;
	char shown[POLICIES + 1][VIEW_CELL_BYTES];
	const char *values[POLICIES + 1];

	values[0] = print_shown(service->name, shown[0], sizeof shown[0]);
	for (int i = 0; i < POLICIES; i++)
		values[i + 1] = word_value((enum store_policy)i, &service->values[i], shown[i + 1],
			sizeof shown[i + 1]);
	listing->count++;
	return table_add(listing->table, values);
}

static enum error print_as_json(const struct store_service *service, void *context)
{
	struct listing *listing = context;
	struct json_field fields[POLICIES + 1] = { { .name = "name", .text = service->name } };

	for (int i = 0; i < POLICIES; i++)
		fields[i + 1] = (struct json_field){
			.name = store_policy_name((enum store_policy)i),
			.text = service->values[i].text,
			.is_number = service->values[i].is_number,
			.number = service->values[i].number,
		};
	view_begin_row(&listing->count);
	return json_print(fields, COUNT(fields));
}

static enum error list_table(struct store *store, struct store_trouble *ret_trouble)
{
	struct table_column columns[POLICIES + 1] = { { .name = "SERVICE" } };
	struct listing listing = { 0 };
	enum error error;

	for (int i = 0; i < POLICIES; i++)
		columns[i + 1] = (struct table_column){
			.name = words[i].heading,
			.is_right = store_policy_kind((enum store_policy)i) == POLICY_IS_NUMBER,
			.is_cuttable = i == POLICY_NOTE,
			.drop = i == POLICY_NOTE ? 1 : 0,
		};
	if ((error = table_new(columns, COUNT(columns), &listing.table)) != OK)
		return error;
	error = store_list_services(store, NULL, add_to_table, &listing, ret_trouble);
	if (error == OK)
		error = table_print(listing.table);
	table_free(listing.table);
	return error;
}

static enum error list_json(struct store *store, struct store_trouble *ret_trouble)
{
	struct listing listing = { 0 };
	enum error error;

	view_begin_array();
	error = store_list_services(store, NULL, print_as_json, &listing, ret_trouble);
	view_end_array(listing.count);
	return error;
}

struct arguments;

struct service_verb {
	enum error (*run)(struct arguments *arguments, struct store *store,
		struct store_trouble *ret_trouble);
	bool has_name, has_changes;
	struct argp parser;
};

/* Of all four. */
struct arguments {
	struct ctl *ctl;
	const struct service_verb *verb;
	const char *name;
	bool has_changes;
	bool is_declined; /* by the person who was asked */
	struct store_policy_change changes[POLICIES];
};

static enum error run_list(
	struct arguments *arguments, struct store *store, struct store_trouble *ret_trouble)
{
	return arguments->ctl->json ? list_json(store, ret_trouble)
				    : list_table(store, ret_trouble);
}

/* show ------------------------------------------------------------------------------------------
 */

/* A note has no limit, and elsewhere it is cut. */
static enum error add_setting(
	struct table *table, const struct policy *policy, enum store_policy which)
{
	const struct store_policy_value *value = find_value(policy, which);
	const size_t capacity = sizeof "\\xNN" * value->text.length + SHOWN_MIN_BYTES;
	char *shown = malloc(capacity);
	enum error error;

	if (!shown)
		return ERROR_MEMORY;
	const char *const values[] = {
		store_policy_name(which),
		word_value(which, value, shown, capacity),
		is_own(policy, which)  ? "own row"
		: which == POLICY_NOTE ? "-"
				       : "row '*'",
		words[which].meaning,
	};

	error = table_add(table, values);
	free(shown);
	return error;
}

static enum error show_table(const struct policy *policy)
{
	static const struct table_column columns[] = {
		{ .name = "SETTING" },
		{ .name = "VALUE", .is_cuttable = true, .share = 0.2 },
		{ .name = "FROM" },
		{ .name = "MEANING", .is_cuttable = true },
	};
	struct table *table = NULL;
	enum error error = table_new(columns, COUNT(columns), &table);

	for (int i = 0; i < POLICIES && error == OK; i++)
		error = add_setting(table, policy, (enum store_policy)i);
	if (error == OK)
		error = table_print(table);
	table_free(table);
	return error;
}

/* What holds, and beside each value whose it is. */
static enum error show_json(const char *name, const struct policy *policy)
{
	struct json_field fields[2 * POLICIES + 1] = { { .name = "name",
		.text = span_of_string(name) } };
	char from[POLICIES][64];

	for (int i = 0; i < POLICIES; i++) {
		const enum store_policy which = (enum store_policy)i;
		const struct store_policy_value *value = find_value(policy, which);

		snprintf(from[i], sizeof from[i], "%s_from", store_policy_name(which));
		fields[2 * i + 1] = (struct json_field){ .name = store_policy_name(which),
			.text = value->text,
			.is_number = value->is_number,
			.number = value->number };
		fields[2 * i + 2] = (struct json_field){ .name = from[i],
			.text = span_of_string(is_own(policy, which)  ? name
					       : which == POLICY_NOTE ? NULL
								      : EVERY) };
	}
	return json_print(fields, COUNT(fields));
}

static enum error run_show(
	struct arguments *arguments, struct store *store, struct store_trouble *ret_trouble)
{
	struct policy policy POLICY_DONE = { 0 };
	char shown[NAME_SHOWN_BYTES];
	enum error error = read_policy(store, arguments->name, &policy, ret_trouble);

	if (error != OK)
		return error;
	if (arguments->ctl->json) {
		if ((error = show_json(arguments->name, &policy)) == OK)
			putchar('\n');
		return error;
	}
	print_shown(span_of_string(arguments->name), shown, sizeof shown);
	if (!policy.own.is_there)
		printf("Service %s has no row of its own: the row '*' holds.\n", shown);
	warn_of_name(arguments->name, shown);
	if ((error = show_table(&policy)) != OK)
		return error;
	return warn_of_traps(store, arguments->name, ret_trouble);
}

/* set and remove --------------------------------------------------------------------------------
 */

static enum error tell(const struct arguments *arguments, const char *done)
{
	const bool is_dry = edit_is_dry(arguments->ctl);
	const struct json_field fields[] = {
		{ .name = "name", .text = span_of_string(arguments->name) },
		{ .name = "change", .text = span_of_string(is_dry ? "none" : done) },
	};
	char shown[NAME_SHOWN_BYTES];
	enum error error = OK;

	if (edit_may_talk(arguments->ctl))
		printf("The policy of %s %s %s.\n",
			strcmp(arguments->name, EVERY) == 0
				? "every service"
				: print_shown(span_of_string(arguments->name), shown, sizeof shown),
			is_dry ? "would be" : "was", done);
	else if (arguments->ctl->json && (error = json_print(fields, COUNT(fields))) == OK)
		putchar('\n');
	return error;
}

/* Warned of inside of the edit, so that a dry run warns as well. */
static enum error write_policy(
	const struct arguments *arguments, struct store *store, struct store_trouble *ret_trouble)
{
	enum error error =
		store_write_service(store, arguments->name, arguments->changes, ret_trouble);

	return error == OK ? warn_of_traps(store, arguments->name, ret_trouble) : error;
}

static enum error run_set(
	struct arguments *arguments, struct store *store, struct store_trouble *ret_trouble)
{
	char shown[NAME_SHOWN_BYTES];
	enum error error = edit_begin(arguments->ctl, store, ret_trouble);

	if (error != OK)
		return error;
	error = write_policy(arguments, store, ret_trouble);
	if ((error = edit_end(arguments->ctl, store, error, ret_trouble)) != OK)
		return error;
	warn_of_name(
		arguments->name, print_shown(span_of_string(arguments->name), shown, sizeof shown));
	return tell(arguments, "set");
}

static enum error delete_policy(const struct arguments *arguments, struct store *store,
	const char *shown, struct store_trouble *ret_trouble)
{
	bool is_found = false;
	enum error error = store_delete_service(store, arguments->name, &is_found, ret_trouble);

	if (error != OK)
		return error;
	if (is_found)
		return warn_of_traps(store, arguments->name, ret_trouble);
	snprintf(ret_trouble->text, sizeof ret_trouble->text,
		"service %s has no row of its own: `certmapctl service list' shows those there are",
		shown);
	return ERROR_REFUSED;
}

static enum error run_remove(
	struct arguments *arguments, struct store *store, struct store_trouble *ret_trouble)
{
	char shown[NAME_SHOWN_BYTES];
	enum error error;

	print_shown(span_of_string(arguments->name), shown, sizeof shown);
	arguments->is_declined = !edit_confirm(
		arguments->ctl, "Remove the row of %s, so that the row '*' holds for it?", shown);
	if (arguments->is_declined)
		return OK;
	if ((error = edit_begin(arguments->ctl, store, ret_trouble)) != OK)
		return error;
	error = delete_policy(arguments, store, shown, ret_trouble);
	if ((error = edit_end(arguments->ctl, store, error, ret_trouble)) != OK)
		return error;
	return tell(arguments, "removed");
}

/* The family ------------------------------------------------------------------------------------
 */

static bool read_flag(const char *value, int64_t *ret)
{
	static const struct {
		const char *word;
		int64_t number;
	} flags[] = { { "yes", 1 }, { "no", 0 }, { "1", 1 }, { "0", 0 } };

	for (size_t i = 0; i < COUNT(flags); i++)
		if (strcmp(value, flags[i].word) == 0) {
			*ret = flags[i].number;
			return true;
		}
	return false;
}

/* Which words and numbers there are is the schema's to say. */
static const char *read_value(
	enum store_policy which, const char *value, struct store_policy_value *ret)
{
	*ret = (struct store_policy_value){ 0 };
	if (value[0] == '\0' || strcmp(value, "default") == 0)
		return NULL;
	switch (store_policy_kind(which)) {
	case POLICY_IS_FLAG:
		ret->is_number = true;
		return read_flag(value, &ret->number) ? NULL : "yes, no or default";
	case POLICY_IS_NUMBER:
		ret->is_number = true;
		return ctl_read_number(value, 0, INT64_MAX, &ret->number) ? NULL
									  : "a number or default";
	case POLICY_IS_TEXT:
		break;
	}
	ret->text = span_of_string(value);
	return NULL;
}

static bool find_policy(const char *name, size_t length, enum store_policy *ret)
{
	for (int i = 0; i < POLICIES; i++)
		if (span_is_equal(span_of(name, length),
			    span_of_string(store_policy_name((enum store_policy)i)))) {
			*ret = (enum store_policy)i;
			return true;
		}
	return false;
}

static void take_change(
	struct arguments *arguments, const char *change, const struct argp_state *state)
{
	const char *equals = strchr(change, '=');
	enum store_policy which;
	const char *wanted;

	if (!equals || !find_policy(change, (size_t)(equals - change), &which)) {
		argp_error(state,
			"'%s' is no setting: they are enabled, inherit, certificates_per_account, "
			"accept_names, accept_name, require_trust, revocation, deliver_credential, "
			"shadow and note, each with = and a value",
			change);
		return;
	}
	if (arguments->changes[which].is_wanted)
		argp_error(state, "%s is set twice", store_policy_name(which));
	if ((wanted = read_value(which, equals + 1, &arguments->changes[which].value)))
		argp_error(
			state, "%s: '%s' is not %s", store_policy_name(which), equals + 1, wanted);
	arguments->changes[which].is_wanted = true;
	arguments->has_changes = true;
}

static error_t take_operand(
	struct arguments *arguments, const char *value, const struct argp_state *state)
{
	if (arguments->verb->has_name && !arguments->name)
		arguments->name = value;
	else if (arguments->verb->has_changes)
		take_change(arguments, value, state);
	else
		argp_error(state, "too many arguments: '%s'", value);
	return 0;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case ARGP_KEY_ARG:
		return take_operand(arguments, value, state);
	case ARGP_KEY_END:
		if (arguments->verb->has_name && (!arguments->name || !arguments->name[0]))
			argp_error(state, "the name of a service is missing ('*': every service)");
		else if (arguments->verb->has_changes && !arguments->has_changes)
			argp_error(state, "a setting is missing, such as enabled=no");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct service_verb
	list_verb = { run_list, false, false,
		{ NULL, parse, NULL,
			"Shows the policy of services.\v"
			"`-' is as in the row '*', which holds for each service without one.",
			ctl_children, NULL, NULL } },
	show_verb = { run_show, true, false,
		{ NULL, parse, "SERVICE",
			"Shows the policy that holds for a service, and where each setting comes "
			"from.\v'*' is the policy of every service.",
			ctl_children, NULL, NULL } },
	set_verb = { run_set, true, true,
		{ NULL, parse, "SERVICE SETTING=VALUE...",
			"Sets the policy of a service, or of every service ('*').\v"
			"The settings are those that `certmapctl service show' shows. A value is "
			"yes "
			"or no, a number, or for revocation one of require, prefer and off. "
			"`default', or nothing, is as in the row '*'.",
			ctl_change_children, NULL, NULL } },
	remove_verb = { run_remove, true, false,
		{ NULL, parse, "SERVICE",
			"Removes the row of a service, so that the policy of every service holds "
			"for it.\vIts mappings stay. On a terminal it asks first.",
			ctl_change_children, NULL, NULL } };

static enum ctl_status run_verb(
	const struct service_verb *verb, struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = { .ctl = ctl, .verb = verb };
	struct store_trouble trouble = { "" };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;
	enum error error;

	argp_parse(&verb->parser, argc, argv, 0, NULL, &arguments);
	if ((status = ctl_open(ctl, &store)) != CTL_DONE)
		return status;
	if ((error = verb->run(&arguments, store, &trouble)) != OK)
		return ctl_fail(ctl, error, &trouble);
	return arguments.is_declined ? CTL_REFUSED : CTL_DONE;
}

static enum ctl_status list(struct ctl *ctl, int argc, char **argv)
{
	return run_verb(&list_verb, ctl, argc, argv);
}

static enum ctl_status show(struct ctl *ctl, int argc, char **argv)
{
	return run_verb(&show_verb, ctl, argc, argv);
}

static enum ctl_status set(struct ctl *ctl, int argc, char **argv)
{
	return run_verb(&set_verb, ctl, argc, argv);
}

static enum ctl_status remove_policy(struct ctl *ctl, int argc, char **argv)
{
	return run_verb(&remove_verb, ctl, argc, argv);
}

enum ctl_status ctl_service(struct ctl *ctl, int argc, char **argv)
{
	static const struct verb table[] = {
		{ "list", list, "show the policy of services" },
		{ "show", show, "show what holds for one, and where it comes from" },
		{ "set", set, "set what holds for one, or for every service" },
		{ "remove", remove_policy, "remove the row of one" },
	};
	const struct verbs verbs = {
		.program = "certmapctl service",
		.doc = "Shows and sets the policy of services.",
		.table = table,
		.count = COUNT(table),
	};

	return verbs_run(&verbs, ctl, argc, argv);
}
