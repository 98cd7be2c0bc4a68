/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_trust.c owns the statements on trust, and on the DER of one mapping. */
#include "store_trust.h"

#include "store_private.h"

#include <string.h>

static bool read_kind(sqlite3_stmt *statement, int column, enum store_trust_kind *ret)
{
	static const char *const words[] = {
		[STORE_TRUST_ANCHOR] = "anchor",
		[STORE_TRUST_INTERMEDIATE] = "intermediate",
		[STORE_TRUST_CRL] = "crl",
	};
	char word[16];

	if (!store_read_text(statement, column, word, sizeof word))
		return false;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum store_trust_kind)i;
			return true;
		}
	return false;
}

static enum error take_row(struct store *store, sqlite3_stmt *statement, store_trust_taker *take,
	void *context, struct store_trouble *ret_trouble)
{
	int64_t id = sqlite3_column_int64(statement, 0);
	enum store_trust_kind kind;

	if (!read_kind(statement, 1, &kind)) {
		store_explain(ret_trouble, "%s: row %lld of trust breaks the rules of the schema",
			store->path, (long long)id);
		return ERROR_MALFORMED;
	}
	const void *bytes = sqlite3_column_blob(statement, 2);
	return take(id, kind, span_of(bytes, (size_t)sqlite3_column_bytes(statement, 2)), context);
}

enum error store_list_trust(struct store *store, struct span service, store_trust_taker *take,
	void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_LIST_TRUST,
		"SELECT id, kind, content FROM trust WHERE service = ?1 OR (service = '*' AND"
		" (kind <> 'anchor' OR NOT EXISTS"
		"  (SELECT 1 FROM trust WHERE service = ?1 AND kind = 'anchor')))"
		" ORDER BY id",
		&statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (sqlite3_bind_text(statement, 1, (const char *)service.bytes, (int)service.length,
		    SQLITE_STATIC) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW)
		if ((error = take_row(store, statement, take, context, ret_trouble)) != OK)
			return error;
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_read_der(struct store *store, int64_t mapping_id, uint8_t *der, size_t capacity,
	size_t *ret_length, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_READ_DER,
		"SELECT der FROM fact WHERE mapping_id = ?1", &statement, ret_trouble);
	size_t length;

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, mapping_id) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		break;
	case SQLITE_DONE:
		return ERROR_MALFORMED;
	default:
		return store_failed(store, ret_trouble);
	}
	const void *bytes = sqlite3_column_blob(statement, 0);
	length = (size_t)sqlite3_column_bytes(statement, 0);
	if (!bytes || length > capacity)
		return ERROR_MALFORMED;
	memcpy(der, bytes, length);
	*ret_length = length;
	return OK;
}

unsigned store_version(const struct store *store)
{
	return store->data_version;
}
