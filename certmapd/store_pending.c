/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_pending.c owns the statements on the queue of mappings and on their facts. */
#include "store_pending.h"

#include "store_private.h"

#include <stdlib.h>
#include <string.h>

/* The first queued row after ?1. With ?2 (a service) only rows that this service can see; without
 * it every row, those too whose mapping is gone. */
static const char next_sql[] =
	"SELECT p.mapping_id, m.service, m.certificate,"
	" " STORE_MAPPING_COLUMNS(
		"?2") " FROM pending AS p LEFT JOIN mapping AS m ON m.id = p.mapping_id"
		      " WHERE p.mapping_id > ?1 AND (?2 IS NULL OR m.service IN (?2, '*'))"
		      " ORDER BY p.mapping_id LIMIT 1";

/* The first row after ?1 that lookups can find. */
static const char settled_sql[] =
	"SELECT f.mapping_id, m.service, m.certificate,"
	" " STORE_MAPPING_COLUMNS(
		"?2") " FROM fact AS f LEFT JOIN mapping AS m ON m.id = f.mapping_id"
		      " WHERE f.mapping_id > ?1 AND f.problem IS NULL"
		      " ORDER BY f.mapping_id LIMIT 1";

enum next_column {
	NEXT_MAPPING_ID,
	NEXT_SERVICE,
	NEXT_CERTIFICATE,
	NEXT_MAPPING,
};

/* Copies the certificate, so that no read of the database stays open while it is looked at. */
static enum error lend_certificate(struct store *store, sqlite3_stmt *statement, struct span *ret)
{
	const void *bytes = sqlite3_column_blob(statement, NEXT_CERTIFICATE);
	size_t length = (size_t)sqlite3_column_bytes(statement, NEXT_CERTIFICATE);

	if (!store->lent && !(store->lent = malloc(STORE_CERTIFICATE_MAX_BYTES + 1)))
		return ERROR_MEMORY;
	if (length > STORE_CERTIFICATE_MAX_BYTES)
		length = STORE_CERTIFICATE_MAX_BYTES + 1;
	if (length > 0)
		memcpy(store->lent, bytes, length);
	*ret = span_of(store->lent, length);
	return OK;
}

static enum error read_pending(
	struct store *store, sqlite3_stmt *statement, struct store_pending *ret)
{
	struct store_pending pending = {
		.mapping_id = sqlite3_column_int64(statement, NEXT_MAPPING_ID),
		.is_gone = sqlite3_column_type(statement, NEXT_MAPPING) == SQLITE_NULL,
	};
	int type = sqlite3_column_type(statement, NEXT_CERTIFICATE);
	enum error error = OK;

	if (!pending.is_gone)
		pending.is_broken = !store_read_text(statement, NEXT_SERVICE, pending.service,
					    sizeof pending.service) ||
				    (type != SQLITE_TEXT && type != SQLITE_BLOB) ||
				    !store_read_mapping(statement, NEXT_MAPPING, &pending.mapping);
	if (!pending.is_gone && !pending.is_broken)
		error = lend_certificate(store, statement, &pending.certificate);
	if (error == OK)
		*ret = pending;
	return error;
}

static enum error read_next(struct store *store, enum store_slot slot, const char *sql,
	int64_t after_id, struct span service, struct store_pending *ret, bool *ret_found,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, slot, sql, &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, after_id) != SQLITE_OK ||
		(span_is_present(service) &&
			sqlite3_bind_text(statement, 2, (const char *)service.bytes,
				(int)service.length, SQLITE_STATIC) != SQLITE_OK))
		return store_failed(store, ret_trouble);
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		error = read_pending(store, statement, ret);
	else if (result != SQLITE_DONE)
		error = store_failed(store, ret_trouble);
	if (error == OK)
		*ret_found = result == SQLITE_ROW;
	return error;
}

enum error store_next_pending(struct store *store, int64_t after_id, struct span service,
	struct store_pending *ret, bool *ret_found, struct store_trouble *ret_trouble)
{
	return read_next(store, STORE_NEXT_PENDING, next_sql, after_id, service, ret, ret_found,
		ret_trouble);
}

enum error store_next_settled(struct store *store, int64_t after_id, struct store_pending *ret,
	bool *ret_found, struct store_trouble *ret_trouble)
{
	return read_next(store, STORE_NEXT_SETTLED, settled_sql, after_id, (struct span){ 0 }, ret,
		ret_found, ret_trouble);
}

enum error store_find_twin(struct store *store, const char *service,
	const uint8_t fingerprint[STORE_FINGERPRINT_BYTES], int64_t mapping_id, int64_t *ret_id,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_FIND_TWIN,
		"SELECT mapping_id FROM fact WHERE fingerprint = ?1 AND service = ?2"
		" AND problem IS NULL AND mapping_id <> ?3",
		&statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (sqlite3_bind_blob(statement, 1, fingerprint, STORE_FINGERPRINT_BYTES, SQLITE_STATIC) !=
			SQLITE_OK ||
		sqlite3_bind_text(statement, 2, service, -1, SQLITE_STATIC) != SQLITE_OK ||
		sqlite3_bind_int64(statement, 3, mapping_id) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	result = sqlite3_step(statement);
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		return store_failed(store, ret_trouble);
	*ret_id = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	return OK;
}

static enum error run_with_id(struct store *store, enum store_slot slot, const char *sql,
	int64_t mapping_id, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, slot, sql, &statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, mapping_id) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	return store_run(store, statement, ret_trouble);
}

enum error store_drop_pending(
	struct store *store, int64_t mapping_id, struct store_trouble *ret_trouble)
{
	return run_with_id(store, STORE_DROP_PENDING, "DELETE FROM pending WHERE mapping_id = ?1",
		mapping_id, ret_trouble);
}

static const char write_sql[] =
	"INSERT INTO fact (mapping_id, service, fingerprint, key_fingerprint, subject,"
	" issuer, serial, not_before, not_after, der, problem, subject_line, issuer_line)"
	" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

static int bind_string(sqlite3_stmt *statement, int parameter, const char *string)
{
	return sqlite3_bind_text(statement, parameter, string, -1, SQLITE_STATIC);
}

/* NULL where there are no bytes. */
static int bind_bytes(sqlite3_stmt *statement, int parameter, struct span bytes)
{
	return sqlite3_bind_blob(
		statement, parameter, bytes.bytes, (int)bytes.length, SQLITE_STATIC);
}

static struct span digest_span(const uint8_t *digest)
{
	return span_of(digest, digest ? STORE_FINGERPRINT_BYTES : 0);
}

/* Binding fails for want of memory alone, and what is unbound is NULL: one look at all of them. */
static bool bind_fact(sqlite3_stmt *statement, const struct store_fact *fact)
{
	int results = sqlite3_bind_int64(statement, 1, fact->mapping_id);

	results |= bind_string(statement, 2, fact->service);
	results |= bind_bytes(statement, 3, digest_span(fact->fingerprint));
	results |= bind_bytes(statement, 4, digest_span(fact->key_fingerprint));
	results |= bind_string(statement, 5, fact->subject);
	results |= bind_string(statement, 6, fact->issuer);
	results |= bind_string(statement, 7, fact->serial);
	if (fact->key_fingerprint) {
		results |= sqlite3_bind_int64(statement, 8, fact->not_before_sec);
		results |= sqlite3_bind_int64(statement, 9, fact->not_after_sec);
	}
	results |= bind_bytes(statement, 10, fact->der);
	results |= bind_string(statement, 11, fact->problem);
	results |= bind_string(statement, 12, fact->subject_line);
	results |= bind_string(statement, 13, fact->issuer_line);
	return results == SQLITE_OK;
}

static enum error write_name(struct store *store, int64_t mapping_id, const char *name,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	/* A subject may say the same twice. */
	enum error error = store_prepare(store, STORE_WRITE_NAME,
		"INSERT OR IGNORE INTO fact_name (mapping_id, value) VALUES (?1, ?2)", &statement,
		ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, mapping_id) != SQLITE_OK ||
		bind_string(statement, 2, name) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	return store_run(store, statement, ret_trouble);
}

/* A duplicate that is looked at again still has the fact that said so. INSERT OR REPLACE would have
 * SQLite copy every page of the table and its indexes aside for each row, and leave the names. */
static enum error forget_fact(
	struct store *store, int64_t mapping_id, struct store_trouble *ret_trouble)
{
	return run_with_id(store, STORE_FORGET_FACT, "DELETE FROM fact WHERE mapping_id = ?1",
		mapping_id, ret_trouble);
}

static enum error write_fact(
	struct store *store, const struct store_fact *fact, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error =
		store_prepare(store, STORE_WRITE_FACT, write_sql, &statement, ret_trouble);

	if (error != OK)
		return error;
	if (!bind_fact(statement, fact))
		return store_failed(store, ret_trouble);
	error = store_run(store, statement, ret_trouble);
	for (size_t i = 0; i < fact->name_count && error == OK; i++)
		error = write_name(store, fact->mapping_id, fact->names[i], ret_trouble);
	return error;
}

enum error store_settle_pending(
	struct store *store, const struct store_fact *fact, struct store_trouble *ret_trouble)
{
	enum error error;

	if ((error = forget_fact(store, fact->mapping_id, ret_trouble)) != OK ||
		(error = write_fact(store, fact, ret_trouble)) != OK)
		return error;
	return store_drop_pending(store, fact->mapping_id, ret_trouble);
}

/* Without what is decoration. */
static const char has_fact_sql[] =
	"SELECT EXISTS (SELECT 1 FROM fact WHERE mapping_id = ?1 AND service = ?2"
	"  AND fingerprint = ?3 AND key_fingerprint = ?4 AND not_before = ?8 AND not_after = ?9"
	"  AND der = ?10 AND problem IS ?11 AND subject_line IS ?12 AND issuer_line IS ?13)"
	" AND (SELECT count(*) FROM fact_name WHERE mapping_id = ?1) = ?14";

static enum error read_answer(
	struct store *store, sqlite3_stmt *statement, bool *ret, struct store_trouble *ret_trouble)
{
	if (sqlite3_step(statement) != SQLITE_ROW)
		return store_failed(store, ret_trouble);
	*ret = sqlite3_column_int(statement, 0) != 0;
	return OK;
}

static enum error has_name(struct store *store, int64_t mapping_id, const char *name, bool *ret,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_HAS_NAME,
		"SELECT EXISTS (SELECT 1 FROM fact_name WHERE value = ?2 AND mapping_id = ?1)",
		&statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, mapping_id) != SQLITE_OK ||
		bind_string(statement, 2, name) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	return read_answer(store, statement, ret, ret_trouble);
}

/* A subject may say the same twice. */
static bool is_repeated(const struct store_fact *fact, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(fact->names[i], fact->names[index]) == 0)
			return true;
	return false;
}

enum error store_has_fact(struct store *store, const struct store_fact *fact, bool *ret,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error =
		store_prepare(store, STORE_HAS_FACT, has_fact_sql, &statement, ret_trouble);
	int64_t name_count = 0;
	bool has = true;

	for (size_t i = 0; i < fact->name_count && error == OK && has; i++) {
		name_count += !is_repeated(fact, i);
		error = has_name(store, fact->mapping_id, fact->names[i], &has, ret_trouble);
	}
	if (error == OK && has) {
		if (!bind_fact(statement, fact) ||
			sqlite3_bind_int64(statement, 14, name_count) != SQLITE_OK)
			return store_failed(store, ret_trouble);
		error = read_answer(store, statement, &has, ret_trouble);
	}
	if (error == OK)
		*ret = has;
	return error;
}
