/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* credential_list.c owns the verb that shows whose credentials there are, never what they are. */
#include "credential.h"

#include "json.h"
#include "print.h"
#include "secret.h"
#include "table.h"
#include "view.h"

#include <stdio.h>

#define CELL_MAX_BYTES 300u
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum column { SERVICE, ACCOUNT, KEY, STATE, COLUMNS };

static const struct table_column columns[COLUMNS] = {
	[SERVICE] = { .name = "SERVICE" },
	[ACCOUNT] = { .name = "ACCOUNT" },
	[KEY] = { .name = "KEY" },
	[STATE] = { .name = "STATE", .is_cuttable = true },
};

struct listing {
	const struct seal_keys *keys; /* NULL: none at hand */
	struct table *table;
	size_t count;
};

/* Whether it opens is found out by opening it: a key id alone can be written by anybody. */
static enum error inspect(const struct seal_keys *keys, const struct store_credential *row,
	char ret_id[CREDENTIAL_ID_DIGITS + 1], enum seal_finding *ret_finding)
{
	struct secret secret SECRET_WIPE = { 0 };
	uint8_t id[SEAL_KEY_ID_BYTES];

	ret_id[0] = '\0';
	if (!seal_find_key_id(row->sealed, id)) {
		*ret_finding = SEAL_MALFORMED;
		return OK;
	}
	credential_print_id(id, ret_id);
	return seal_open(keys, row->service, row->account, row->sealed, secret.bytes,
		&secret.length, ret_finding);
}

static enum error add_to_table(const struct store_credential *row, void *context)
{
	struct listing *listing = context;
	char service[CELL_MAX_BYTES], account[CELL_MAX_BYTES], id[CREDENTIAL_ID_DIGITS + 1];
	enum seal_finding finding;
	enum error error = inspect(listing->keys, row, id, &finding);
	const char *values[COLUMNS] = {
		[SERVICE] = print_shown(row->service, service, sizeof service),
		[ACCOUNT] = print_shown(row->account, account, sizeof account),
		[KEY] = id[0] ? id : "-",
	};

	if (error != OK)
		return error;
	values[STATE] = finding == SEAL_OPENED ? "opens" : seal_finding_text(finding);
	listing->count++;
	return table_add(listing->table, values);
}

static enum error print_as_json(const struct store_credential *row, void *context)
{
	struct listing *listing = context;
	char id[CREDENTIAL_ID_DIGITS + 1];
	enum seal_finding finding;
	enum error error = inspect(listing->keys, row, id, &finding);

	if (error != OK)
		return error;

	const struct json_field fields[] = {
		{ .name = "service", .text = row->service },
		{ .name = "account", .text = row->account },
		{ .name = "key_id", .text = span_of_string(id[0] ? id : NULL) },
		{ .name = "problem",
			.text = span_of_string(
				finding == SEAL_OPENED ? NULL : seal_finding_text(finding)) },
	};
	view_begin_row(&listing->count);
	return json_print(fields, COUNT(fields));
}

static enum error list_table(const struct credential_arguments *arguments, struct store *store,
	struct listing *listing, struct store_trouble *ret_trouble)
{
	enum error error = table_new(columns, COLUMNS, &listing->table);

	if (error != OK)
		return error;
	error = store_list_credentials(
		store, arguments->service, arguments->account, add_to_table, listing, ret_trouble);
	if (error == OK)
		error = table_print(listing->table);
	if (error == OK && listing->count == 0)
		ctl_warn("no credentials");
	table_free(listing->table);
	return error;
}

static enum error list_json(const struct credential_arguments *arguments, struct store *store,
	struct listing *listing, struct store_trouble *ret_trouble)
{
	enum error error;

	view_begin_array();
	error = store_list_credentials(
		store, arguments->service, arguments->account, print_as_json, listing, ret_trouble);
	view_end_array(listing->count);
	return error;
}

/* Without a key it still shows whose there are. */
enum ctl_status credential_list(struct credential_arguments *arguments)
{
	struct seal_keys *keys CREDENTIAL_FREE_KEYS = NULL;
	struct store *store CTL_CLOSE = NULL;
	struct store_trouble trouble = { "" };
	struct listing listing = { 0 };
	enum seal_finding finding;
	enum error error;

	if (ctl_open(arguments->ctl, &store) != CTL_DONE ||
		credential_find_keys(arguments->key_path, &keys, &finding) != OK)
		return CTL_REFUSED;
	listing.keys = keys;
	error = arguments->ctl->json ? list_json(arguments, store, &listing, &trouble)
				     : list_table(arguments, store, &listing, &trouble);
	return error == OK ? CTL_DONE : ctl_fail(arguments->ctl, error, &trouble);
}
