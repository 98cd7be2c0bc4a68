/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_trust.c owns the statements on trust, and on the DER of one mapping. */
#include "store_trust.h"

#include "store_private.h"

#include <string.h>

static const char *const words[] = {
	[STORE_TRUST_ANCHOR] = "anchor",
	[STORE_TRUST_INTERMEDIATE] = "intermediate",
	[STORE_TRUST_CRL] = "crl",
};

const char *store_trust_word(enum store_trust_kind kind)
{
	return words[kind];
}

static bool read_kind(sqlite3_stmt *statement, int column, enum store_trust_kind *ret)
{
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
	return take(id, kind, store_read_bytes(statement, 2), context);
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
	if (!store_bind_span(statement, 1, service))
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW)
		if ((error = take_row(store, statement, take, context, ret_trouble)) != OK)
			return error;
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_list_every_trust(struct store *store, store_trust_taker *take, void *context,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_LIST_EVERY_TRUST,
		"SELECT id, kind, content FROM trust ORDER BY id", &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
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

enum error store_count_trust(struct store *store, struct span service, int64_t except_id,
	struct store_trust_count *ret, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_COUNT_TRUST,
		"SELECT count(*) FILTER (WHERE kind = 'anchor'),"
		" count(*) FILTER (WHERE kind = 'crl')"
		" FROM trust WHERE id <> ?2 AND (service = ?1 OR (service = '*' AND"
		" (kind <> 'anchor' OR NOT EXISTS"
		"  (SELECT 1 FROM trust WHERE service = ?1 AND kind = 'anchor' AND id <> ?2))))",
		&statement, ret_trouble);

	if (error != OK)
		return error;
	if (!store_bind_span(statement, 1, service) ||
		sqlite3_bind_int64(statement, 2, except_id) != SQLITE_OK ||
		sqlite3_step(statement) != SQLITE_ROW)
		return store_failed(store, ret_trouble);
	*ret = (struct store_trust_count){
		.anchors = sqlite3_column_int64(statement, 0),
		.lists = sqlite3_column_int64(statement, 1),
	};
	return OK;
}

static bool read_row(sqlite3_stmt *statement, struct store_trust_row *ret)
{
	ret->id = sqlite3_column_int64(statement, 0);
	ret->service = store_read_span(statement, 1);
	ret->note = store_read_span(statement, 3);
	ret->content = store_read_bytes(statement, 4);
	return read_kind(statement, 2, &ret->kind);
}

enum error store_list_trust_rows(struct store *store, store_trust_row_taker *take, void *context,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	struct store_trust_row row;
	enum error error = store_prepare(store, STORE_LIST_TRUST_ROWS,
		"SELECT id, service, kind, note, content FROM trust ORDER BY service, kind, id",
		&statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		if (!read_row(statement, &row)) {
			store_explain(ret_trouble,
				"%s: row %lld of trust breaks the rules of the schema", store->path,
				(long long)row.id);
			return ERROR_MALFORMED;
		}
		if ((error = take(&row, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_insert_trust(struct store *store, const struct store_trust_row *row,
	int64_t *ret_id, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_INSERT_TRUST,
		"INSERT INTO trust (service, kind, note, content) VALUES (?1, ?2, ?3, ?4)",
		&statement, ret_trouble);

	if (error != OK)
		return error;
	if (!store_bind_span(statement, 1, row->service) ||
		!store_bind_span(statement, 2, span_of_string(words[row->kind])) ||
		!store_bind_span(statement, 3, row->note) ||
		sqlite3_bind_blob64(statement, 4, row->content.bytes, row->content.length,
			SQLITE_STATIC) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	if ((error = store_run_edit(store, statement, ret_trouble)) == OK)
		*ret_id = sqlite3_last_insert_rowid(store->db);
	return error;
}

enum error store_replace_trust(
	struct store *store, const struct store_trust_row *row, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_REPLACE_TRUST,
		"UPDATE trust SET content = ?2, note = coalesce(?3, note) WHERE id = ?1",
		&statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, row->id) != SQLITE_OK ||
		sqlite3_bind_blob64(statement, 2, row->content.bytes, row->content.length,
			SQLITE_STATIC) != SQLITE_OK ||
		!store_bind_span(statement, 3, row->note))
		return store_failed(store, ret_trouble);
	return store_run_edit(store, statement, ret_trouble);
}

enum error store_delete_trust(
	struct store *store, int64_t id, bool *ret_found, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_DELETE_TRUST,
		"DELETE FROM trust WHERE id = ?1", &statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, id) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	if ((error = store_run_edit(store, statement, ret_trouble)) == OK)
		*ret_found = sqlite3_changes(store->db) > 0;
	return error;
}
