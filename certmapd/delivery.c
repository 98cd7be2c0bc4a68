/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* delivery.c owns the two steps of a delivery: find the row, open its seal. */
#include "delivery.h"

#include "store_credential.h"

static enum error open_seal(const char *key_path, struct span service, const char *account,
	struct span sealed, uint8_t ret[SEAL_PLAIN_MAX_BYTES], size_t *ret_length,
	const char **ret_concern)
{
	struct seal_keys *keys = NULL;
	enum seal_finding finding;
	/* Read anew each time: few logins need it, and a key that is not kept can't be stolen. */
	enum error error = key_path ? seal_keys_load(key_path, &keys, &finding)
				    : seal_keys_load_passed(&keys, &finding);

	if (error != OK)
		return error;
	if (finding == SEAL_OPENED)
		error = seal_open(
			keys, service, span_of_string(account), sealed, ret, ret_length, &finding);
	seal_keys_free(keys);
	if (error == OK && finding != SEAL_OPENED)
		*ret_concern = seal_finding_text(finding);
	return error;
}

enum error delivery_open(struct store *store, const char *key_path, struct span service,
	const char *account, uint8_t ret[SEAL_PLAIN_MAX_BYTES], size_t *ret_length,
	const char **ret_concern, struct store_trouble *ret_trouble)
{
	uint8_t sealed[SEAL_MAX_BYTES];
	size_t length = 0;
	bool is_exact = false;
	enum error error;

	*ret_length = 0;
	error = store_find_credential(
		store, service, account, sealed, sizeof sealed, &length, &is_exact, ret_trouble);
	if (error == ERROR_MALFORMED) {
		*ret_concern = "what is stored is no credential that certmap has sealed";
		return OK;
	}
	if (error != OK)
		return error;
	if (length == 0) {
		*ret_concern = "no credential is stored for this account";
		return OK;
	}
	return open_seal(key_path, is_exact ? service : span_of_string("*"), account,
		span_of(sealed, length), ret, ret_length, ret_concern);
}
