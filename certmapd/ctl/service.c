/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service.c owns the verbs about the policy of a service: list, show, set and remove. What a policy
 * may be stands in the schema, whose words are shown where it refuses.
 */
#include "ctl.h"

#include "edit.h"
#include "json.h"
#include "print.h"
#include "service_policy.h"
#include "service_show.h"
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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
	return service_list(arguments->ctl, store, ret_trouble);
}

static enum error run_show(
	struct arguments *arguments, struct store *store, struct store_trouble *ret_trouble)
{
	return service_show(arguments->ctl, store, arguments->name, ret_trouble);
}

/* set and remove --------------------------------------------------------------------------- */

static enum error tell(const struct arguments *arguments, const char *done)
{
	const bool is_dry = edit_is_dry(arguments->ctl);
	const struct json_field fields[] = {
		{ .name = "name", .text = span_of_string(arguments->name) },
		{ .name = "change", .text = span_of_string(is_dry ? "none" : done) },
	};
	char shown[SERVICE_SHOWN_BYTES];
	enum error error = OK;

	if (edit_may_talk(arguments->ctl))
		printf("The policy of %s %s %s.\n",
			strcmp(arguments->name, SERVICE_EVERY) == 0
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

	return error == OK ? service_warn_of_traps(store, arguments->name, ret_trouble) : error;
}

static enum error run_set(
	struct arguments *arguments, struct store *store, struct store_trouble *ret_trouble)
{
	char shown[SERVICE_SHOWN_BYTES];
	enum error error = edit_begin(arguments->ctl, store, ret_trouble);

	if (error != OK)
		return error;
	error = write_policy(arguments, store, ret_trouble);
	if ((error = edit_end(arguments->ctl, store, error, ret_trouble)) != OK)
		return error;
	service_warn_of_name(
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
		return service_warn_of_traps(store, arguments->name, ret_trouble);
	snprintf(ret_trouble->text, sizeof ret_trouble->text,
		"service %s has no row of its own: `certmapctl service list' shows those there are",
		shown);
	return ERROR_REFUSED;
}

static enum error run_remove(
	struct arguments *arguments, struct store *store, struct store_trouble *ret_trouble)
{
	char shown[SERVICE_SHOWN_BYTES];
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

/* The family ------------------------------------------------------------------------------- */

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
			"yes or no, a number, or for revocation one of require, prefer and off. "
			"`default', or nothing, is as in the row '*'.",
			ctl_change_children, NULL, NULL } },
	remove_verb = { run_remove, true, false,
		{ NULL, parse, "SERVICE",
			"Removes the row of a service, so that the policy of every service holds "
			"for it.\vIts mappings stay. On a terminal it asks first.",
			ctl_change_children, NULL, NULL } };

static enum ctl_status run_verb(struct ctl *ctl, int argc, char **argv)
{
	const struct service_verb *verb = ctl->detail;
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

enum ctl_status ctl_service(struct ctl *ctl, int argc, char **argv)
{
	static const struct verb table[] = {
		{ "list", run_verb, "show the policy of services", &list_verb },
		{ "show", run_verb, "show what holds for one, and where it comes from",
			&show_verb },
		{ "set", run_verb, "set what holds for one, or for every service", &set_verb },
		{ "remove", run_verb, "remove the row of one", &remove_verb },
	};
	const struct verbs verbs = {
		.program = "certmapctl service",
		.doc = "Shows and sets the policy of services.",
		.table = table,
		.count = COUNT(table),
	};

	return verbs_run(&verbs, ctl, argc, argv);
}
