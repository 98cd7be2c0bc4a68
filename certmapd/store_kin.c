/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_kin.c owns the statements. They read whole tables where they must: a person waits for them,
 * and no login does. */
#include "store_kin.h"

#include "store_private.h"

#include <string.h>

static const char kin_sql[] =
	"SELECT kinship, id, service, account, problem, enabled, is_staged, not_before, hidden_by"
	" FROM (SELECT m.id, m.service, m.account, f.problem, m.enabled,"
	"  m.enabled = 0 AND m.replaces IS NOT NULL AS is_staged,"
	"  coalesce(f.not_before, 0) AS not_before,"
	"  CASE WHEN f.fingerprint = ?1 THEN 0 WHEN f.key_fingerprint = ?2 THEN 1"
	"   WHEN f.subject = ?3 AND f.issuer = ?4 THEN 2"
	"   WHEN m.account = ?6 AND m.service IN (?5, '*') THEN 3 END AS kinship,"
	"  CASE WHEN m.service = '*' THEN coalesce((SELECT min(x.id) FROM mapping AS x"
	"   LEFT JOIN fact AS y ON y.mapping_id = x.id WHERE x.service = ?5 AND"
	"   (x.account = m.account OR y.fingerprint = f.fingerprint)), 0) ELSE 0 END AS hidden_by"
	" FROM mapping AS m JOIN fact AS f ON f.mapping_id = m.id)"
	" WHERE kinship IS NOT NULL"
	" ORDER BY kinship, service <> ?5, enabled = 0, id LIMIT ?7";

static bool bind_digest(sqlite3_stmt *statement, int parameter, struct span digest)
{
	return sqlite3_bind_blob64(statement, parameter, digest.bytes, digest.length,
		       SQLITE_STATIC) == SQLITE_OK;
}

static const char *text_at(sqlite3_stmt *statement, int column)
{
	return (const char *)sqlite3_column_text(statement, column);
}

static enum error take_kin(sqlite3_stmt *statement, store_kin_taker *take, void *context)
{
	const struct store_kin kin = {
		.kinship = (enum store_kinship)sqlite3_column_int(statement, 0),
		.id = sqlite3_column_int64(statement, 1),
		.service = store_read_word(statement, 2),
		.account = store_read_word(statement, 3),
		.problem = text_at(statement, 4),
		.enabled = sqlite3_column_int(statement, 5) == 1,
		.is_staged = sqlite3_column_int(statement, 6) == 1,
		.not_before_sec = sqlite3_column_int64(statement, 7),
		.hidden_by = sqlite3_column_int64(statement, 8),
	};

	return take(&kin, context);
}

static bool bind_kin(sqlite3_stmt *statement, const struct store_kin_question *question, int limit)
{
	return bind_digest(statement, 1, question->fingerprint) &&
	       bind_digest(statement, 2, question->key_fingerprint) &&
	       store_bind_span(statement, 3, question->subject) &&
	       store_bind_span(statement, 4, question->issuer) &&
	       store_bind_span(statement, 5, question->service) &&
	       store_bind_span(statement, 6, question->account) &&
	       sqlite3_bind_int(statement, 7, limit) == SQLITE_OK;
}

enum error store_list_kin(struct store *store, const struct store_kin_question *question, int limit,
	store_kin_taker *take, void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_LIST_KIN, kin_sql, &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (!bind_kin(statement, question, limit))
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW)
		if ((error = take_kin(statement, take, context)) != OK)
			return error;
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

static enum error take_former(
	sqlite3_stmt *statement, store_former_taker *take, void *context, bool *ret_more)
{
	const struct store_former former = {
		.history_id = sqlite3_column_int64(statement, 0),
		.mapping_id = sqlite3_column_int64(statement, 1),
		.at_sec = sqlite3_column_int64(statement, 2),
		.who = text_at(statement, 3),
		.service = store_read_word(statement, 4),
		.account = store_read_word(statement, 5),
		.was_deleted = sqlite3_column_int(statement, 6) != 0,
		.certificate = store_read_bytes(statement, 7),
	};

	return take(&former, context, ret_more);
}

enum error store_list_former(struct store *store, store_former_taker *take, void *context,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_LIST_FORMER,
		"SELECT id, mapping_id, at, who, old ->> 'service', old ->> 'account',"
		" change = 'delete', CAST(old_certificate AS BLOB) FROM history"
		" WHERE object = 'mapping' AND old_certificate IS NOT NULL ORDER BY id DESC",
		&statement, ret_trouble);
	bool more = true;
	int result = SQLITE_DONE;

	if (error != OK)
		return error;
	while (more && (result = sqlite3_step(statement)) == SQLITE_ROW)
		if ((error = take_former(statement, take, context, &more)) != OK)
			return error;
	return !more || result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_find_der(struct store *store, const char *prefix, uint8_t *der, size_t capacity,
	size_t *ret_length, int64_t *ret_count, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_FIND_DER,
		"SELECT count(DISTINCT fingerprint), der FROM fact"
		" WHERE der IS NOT NULL AND"
		" substr(lower(hex(fingerprint)), 1, length(?1)) = ?1",
		&statement, ret_trouble);
	size_t length;

	if (error != OK)
		return error;
	if (!store_bind_span(statement, 1, span_of_string(prefix)) ||
		sqlite3_step(statement) != SQLITE_ROW)
		return store_failed(store, ret_trouble);
	length = (size_t)sqlite3_column_bytes(statement, 1);
	if (length > capacity)
		return ERROR_MALFORMED;
	if (length > 0)
		memcpy(der, sqlite3_column_blob(statement, 1), length);
	*ret_length = length;
	*ret_count = sqlite3_column_int64(statement, 0);
	return OK;
}
