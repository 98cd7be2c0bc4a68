/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* credential_rotate.c owns the verb that seals every credential anew, all of them or none. */
#include "credential.h"

#include "edit.h"
#include "json.h"
#include "secret.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct rotation {
	struct store *store;
	const struct seal_keys *keys;
	struct store_trouble *trouble;
	size_t resealed, unchanged, failed;
};

static bool is_sealed_with_first(const struct rotation *rotation, struct span sealed)
{
	uint8_t first[SEAL_KEY_ID_BYTES], id[SEAL_KEY_ID_BYTES];

	seal_keys_id(rotation->keys, first);
	return seal_find_key_id(sealed, id) && memcmp(id, first, sizeof id) == 0;
}

static void warn_of_row(const struct store_credential *row, enum seal_finding finding)
{
	char whose[CREDENTIAL_WHOSE_BYTES];

	credential_print_whose(row->service, row->account, whose, sizeof whose);
	ctl_warn("the credential of %s: %s", whose, seal_finding_text(finding));
}

static enum error reseal(
	struct rotation *rotation, const struct store_credential *row, struct span plain)
{
	struct store_credential fresh = *row;
	uint8_t sealed[SEAL_MAX_BYTES];
	bool was_there;
	enum error error =
		credential_seal(rotation->keys, &fresh, plain, sealed, rotation->trouble);

	if (error != OK)
		return error;
	rotation->resealed++;
	return store_write_credential(rotation->store, &fresh, &was_there, rotation->trouble);
}

/* A row that can't be opened does not end the reading, so that all of them are told at once. */
static enum error rotate_row(const struct store_credential *row, void *context)
{
	struct rotation *rotation = context;
	struct secret secret SECRET_WIPE = { 0 };
	enum seal_finding finding;
	enum error error = seal_open(rotation->keys, row->service, row->account, row->sealed,
		secret.bytes, &secret.length, &finding);

	if (error != OK)
		return error;
	if (finding != SEAL_OPENED) {
		warn_of_row(row, finding);
		rotation->failed++;
		return OK;
	}
	if (is_sealed_with_first(rotation, row->sealed)) {
		rotation->unchanged++;
		return OK;
	}
	return reseal(rotation, row, span_of(secret.bytes, secret.length));
}

static enum error rotate_all(
	const struct credential_arguments *arguments, struct rotation *rotation)
{
	enum error error = edit_begin(arguments->ctl, rotation->store, rotation->trouble);

	if (error != OK)
		return error;
	error = store_list_credentials(
		rotation->store, NULL, NULL, rotate_row, rotation, rotation->trouble);
	if (error == OK && rotation->failed > 0) {
		snprintf(rotation->trouble->text, sizeof rotation->trouble->text,
			"%zu of %zu credentials can't be opened: nothing was changed",
			rotation->failed,
			rotation->failed + rotation->resealed + rotation->unchanged);
		error = ERROR_REFUSED;
	}
	return edit_end(arguments->ctl, rotation->store, error, rotation->trouble);
}

static enum error tell_rotation(
	const struct credential_arguments *arguments, const struct rotation *rotation)
{
	char key_id[CREDENTIAL_ID_DIGITS + 1];
	enum error error = OK;

	credential_print_key_id(rotation->keys, key_id);
	const struct json_field fields[] = {
		{ .name = "key_id", .text = span_of_string(key_id) },
		{ .name = "resealed",
			.is_number = true,
			.number = edit_is_dry(arguments->ctl) ? 0 : (int64_t)rotation->resealed },
		{ .name = "unchanged", .is_number = true, .number = (int64_t)rotation->unchanged },
	};

	if (arguments->ctl->json) {
		if ((error = json_print(fields, COUNT(fields))) == OK)
			putchar('\n');
		return error;
	}
	if (!edit_may_talk(arguments->ctl))
		return OK;
	printf("%zu %s sealed anew with the key %s, %zu had it already.\n", rotation->resealed,
		edit_is_dry(arguments->ctl) ? "would be"
		: rotation->resealed == 1   ? "was"
					    : "were",
		key_id, rotation->unchanged);
	if (!edit_is_dry(arguments->ctl))
		puts("No credential in this database needs another key any more.");
	return OK;
}

enum ctl_status credential_rotate(struct credential_arguments *arguments)
{
	struct seal_keys *keys CREDENTIAL_FREE_KEYS = NULL;
	struct store *store CTL_CLOSE = NULL;
	struct store_trouble trouble = { "" };
	struct rotation rotation = { .trouble = &trouble };
	enum error error;

	if (credential_load_keys(arguments->key_path, &keys) != CTL_DONE ||
		ctl_open(arguments->ctl, &store) != CTL_DONE)
		return CTL_REFUSED;
	rotation.store = store;
	rotation.keys = keys;
	if ((error = rotate_all(arguments, &rotation)) != OK ||
		(error = tell_rotation(arguments, &rotation)) != OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	return CTL_DONE;
}
