/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service_show.c owns the headings, and what each setting means in words. */
#include "service_show.h"

#include "print.h"
#include "service_policy.h"
#include "view.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
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

static const char *word_value(enum store_policy policy, const struct store_policy_value *value,
	char *ret, size_t capacity)
{
	if (store_policy_kind(policy) == POLICY_IS_FLAG && value->is_number)
		return value->number == 0 ? "no" : "yes";
	return print_shown(value->text, ret, capacity);
}

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

enum error service_list(
	const struct ctl *ctl, struct store *store, struct store_trouble *ret_trouble)
{
	return ctl->json ? list_json(store, ret_trouble) : list_table(store, ret_trouble);
}

/* A note has no limit, and elsewhere it is cut. */
static enum error add_setting(
	struct table *table, const struct service_policy *policy, enum store_policy which)
{
	const struct store_policy_value *value = service_policy_value(policy, which);
	const size_t capacity = sizeof "\\xNN" * value->text.length + SHOWN_MIN_BYTES;
	char *shown = malloc(capacity);
	enum error error;

	if (!shown)
		return ERROR_MEMORY;
	const char *const values[] = {
		store_policy_name(which),
		word_value(which, value, shown, capacity),
		service_policy_is_own(policy, which) ? "own row"
		: which == POLICY_NOTE               ? "-"
						     : "row '*'",
		words[which].meaning,
	};

	error = table_add(table, values);
	free(shown);
	return error;
}

static enum error show_table(const struct service_policy *policy)
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
static enum error show_json(const char *name, const struct service_policy *policy)
{
	struct json_field fields[2 * POLICIES + 1] = { { .name = "name",
		.text = span_of_string(name) } };
	char from[POLICIES][64];

	for (int i = 0; i < POLICIES; i++) {
		const enum store_policy which = (enum store_policy)i;
		const struct store_policy_value *value = service_policy_value(policy, which);

		snprintf(from[i], sizeof from[i], "%s_from", store_policy_name(which));
		fields[2 * i + 1] = (struct json_field){ .name = store_policy_name(which),
			.text = value->text,
			.is_number = value->is_number,
			.number = value->number };
		fields[2 * i + 2] = (struct json_field){ .name = from[i],
			.text = span_of_string(service_policy_is_own(policy, which) ? name
					       : which == POLICY_NOTE               ? NULL
								      : SERVICE_EVERY) };
	}
	return json_print(fields, COUNT(fields));
}

enum error service_show(const struct ctl *ctl, struct store *store, const char *name,
	struct store_trouble *ret_trouble)
{
	struct service_policy policy SERVICE_POLICY_DONE = { 0 };
	char shown[SERVICE_SHOWN_BYTES];
	enum error error = service_policy_read(store, name, &policy, ret_trouble);

	if (error != OK)
		return error;
	if (ctl->json) {
		if ((error = show_json(name, &policy)) == OK)
			putchar('\n');
		return error;
	}
	print_shown(span_of_string(name), shown, sizeof shown);
	if (!policy.own.is_there)
		printf("Service %s has no row of its own: the row '*' holds.\n", shown);
	service_warn_of_name(name, shown);
	if ((error = show_table(&policy)) != OK)
		return error;
	return service_warn_of_traps(store, name, ret_trouble);
}
