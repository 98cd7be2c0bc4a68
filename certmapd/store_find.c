/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_find.c owns the one statement that answers a lookup. */
#include "store_private.h"

#include <string.h>

/* One statement, so that one state of the database answers: the policy of the service, whether
 * facts are missing, and the rows that fit. The row '*' of service is always there; the outer joins
 * keep it where nothing else is found. The statements differ in how they find facts alone. The +
 * keeps the planner from looking up the two services in the index, one after the other: for that
 * SQLite would fill a table at each lookup, which takes longer than all the rest. */
/* clang-format off */
#define FIND_SQL(facts)                                                                            \
	"SELECT coalesce(own.enabled, every.enabled), coalesce(own.inherit, every.inherit),"       \
	" coalesce(own.accept_names, every.accept_names),"                                         \
	" coalesce(own.accept_name, every.accept_name),"                                           \
	" coalesce(own.require_trust, every.require_trust),"                                       \
	" coalesce(own.revocation, every.revocation),"                                             \
	" coalesce(own.deliver_credential, every.deliver_credential),"                             \
	" coalesce(own.shadow, every.shadow),"                                                     \
	" CASE coalesce(own.require_trust, every.require_trust)"                                   \
	"  WHEN 1 THEN EXISTS (SELECT 1 FROM trust WHERE service = ?1) ELSE 0 END,"                \
	" EXISTS (SELECT 1 FROM pending),"                                                         \
	" EXISTS (SELECT 1 FROM pending WHERE service = ?1),"                                      \
	" coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'history'), 0),"                  \
	" " STORE_MAPPING_COLUMNS("?1") ","                                                        \
	" f.not_before, f.not_after, f.subject, f.fingerprint, f.der"                              \
	" FROM service AS every"                                                                   \
	" LEFT JOIN service AS own ON own.name = ?1"                                               \
	" LEFT JOIN fact AS f"                                                                     \
	"  ON " facts " AND +f.service IN (?1, '*') AND f.problem IS NULL"                         \
	" LEFT JOIN mapping AS m INDEXED BY mapping_lookup"                                        \
	"  ON m.id = f.mapping_id AND m.service = f.service"                                       \
	" WHERE every.name = '*'"
/* clang-format on */

static const struct {
	enum store_slot slot;
	const char *sql;
} find_statements[] = {
	/* By a key that nothing has: with a plain 0 every lookup would read all facts. */
	[STORE_BY_NOTHING] = { STORE_FIND_SERVICE, FIND_SQL("f.mapping_id = NULL") },
	[STORE_BY_FINGERPRINT] = { STORE_FIND_FINGERPRINT, FIND_SQL("f.fingerprint = ?2") },
	[STORE_BY_KEY] = { STORE_FIND_KEY, FIND_SQL("f.key_fingerprint = ?2") },
	[STORE_BY_NAMES] = { STORE_FIND_NAMES,
		FIND_SQL("f.subject_line = ?2 AND f.issuer_line = ?3") },
	[STORE_BY_NAME] = { STORE_FIND_NAME,
		FIND_SQL("f.mapping_id IN (SELECT mapping_id FROM fact_name WHERE value = ?2)") },
};

enum find_column {
	FIND_SERVICE_ENABLED,
	FIND_SERVICE_INHERITS,
	FIND_ACCEPTS_NAMES,
	FIND_ACCEPTS_NAME,
	FIND_REQUIRES_TRUST,
	FIND_REVOCATION,
	FIND_DELIVERS_CREDENTIAL,
	FIND_IS_SHADOW,
	FIND_HAS_OWN_TRUST,
	FIND_HAS_PENDING,
	FIND_HAS_EXACT_PENDING,
	FIND_HISTORY_ID,
	FIND_ID, /* of STORE_MAPPING_COLUMNS */
	FIND_NOT_BEFORE = FIND_ID + STORE_MAPPING_COLUMN_COUNT,
	FIND_NOT_AFTER,
	FIND_SUBJECT,
	FIND_FINGERPRINT,
	FIND_DER,
};

/* The end of the year 9999, as in sql/0001-initial.sql. */
#define VALIDITY_MAX_SEC 253402300799

bool store_read_mapping(sqlite3_stmt *statement, int first, struct mapping *ret)
{
	struct mapping m = { 0 };
	int64_t uid;
	bool replaces;

	if (!store_read_integer(statement, first, 1, INT64_MAX, &m.id) ||
		!store_read_flag(statement, first + 1, &m.is_exact) ||
		!store_read_text(statement, first + 2, m.account, sizeof m.account) ||
		!store_read_flag(statement, first + 3, &m.enabled) ||
		!store_read_limit(statement, first + 4, VALIDITY_MAX_SEC, MAPPING_NO_LIMIT,
			&m.valid_from_sec) ||
		!store_read_limit(statement, first + 5, VALIDITY_MAX_SEC, MAPPING_NO_LIMIT,
			&m.valid_until_sec) ||
		!store_read_limit(statement, first + 6, UINT32_MAX - 1, -1, &uid) ||
		!store_read_flag(statement, first + 7, &m.is_hidden) ||
		!store_read_flag(statement, first + 8, &replaces) ||
		!store_read_flag(statement, first + 9, &m.may_replace) ||
		!store_read_limit(statement, first + 10, VALIDITY_MAX_SEC, MAPPING_NO_LIMIT,
			&m.staged_until_sec))
		return false;
	m.is_staged = replaces && !m.enabled;
	m.has_uid = uid >= 0;
	m.uid = m.has_uid ? (uint32_t)uid : 0;
	*ret = m;
	return true;
}

static bool read_facts(sqlite3_stmt *statement, struct span der, struct mapping *m)
{
	const void *bytes;

	if (!store_read_integer(
		    statement, FIND_NOT_BEFORE, INT64_MIN, INT64_MAX, &m->not_before_sec) ||
		!store_read_integer(
			statement, FIND_NOT_AFTER, INT64_MIN, INT64_MAX, &m->not_after_sec) ||
		sqlite3_column_type(statement, FIND_FINGERPRINT) != SQLITE_BLOB ||
		sqlite3_column_bytes(statement, FIND_FINGERPRINT) != (int)sizeof m->fingerprint ||
		sqlite3_column_type(statement, FIND_DER) != SQLITE_BLOB)
		return false;
	memcpy(m->fingerprint, sqlite3_column_blob(statement, FIND_FINGERPRINT),
		sizeof m->fingerprint);
	store_read_note(statement, FIND_SUBJECT, m->subject, sizeof m->subject);
	m->is_identical = true;
	if (span_is_present(der)) {
		bytes = sqlite3_column_blob(statement, FIND_DER);
		m->is_identical = span_is_equal(
			der, span_of(bytes, (size_t)sqlite3_column_bytes(statement, FIND_DER)));
	}
	return true;
}

static bool read_revocation(sqlite3_stmt *statement, enum store_revocation *ret)
{
	static const char *const words[] = {
		[STORE_REVOCATION_REQUIRE] = "require",
		[STORE_REVOCATION_PREFER] = "prefer",
		[STORE_REVOCATION_OFF] = "off",
	};
	char word[16];

	if (!store_read_text(statement, FIND_REVOCATION, word, sizeof word))
		return false;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum store_revocation)i;
			return true;
		}
	return false;
}

static bool read_service(sqlite3_stmt *statement, struct store_answer *answer)
{
	return store_read_flag(statement, FIND_SERVICE_ENABLED, &answer->service_enabled) &&
	       store_read_flag(statement, FIND_SERVICE_INHERITS, &answer->service_inherits) &&
	       store_read_flag(statement, FIND_ACCEPTS_NAMES, &answer->accepts_names) &&
	       store_read_flag(statement, FIND_ACCEPTS_NAME, &answer->accepts_name) &&
	       store_read_flag(statement, FIND_REQUIRES_TRUST, &answer->requires_trust) &&
	       read_revocation(statement, &answer->revocation) &&
	       store_read_flag(statement, FIND_DELIVERS_CREDENTIAL, &answer->delivers_credential) &&
	       store_read_flag(statement, FIND_IS_SHADOW, &answer->is_shadow) &&
	       store_read_flag(statement, FIND_HAS_OWN_TRUST, &answer->has_own_trust) &&
	       store_read_flag(statement, FIND_HAS_PENDING, &answer->has_pending) &&
	       store_read_flag(statement, FIND_HAS_EXACT_PENDING, &answer->has_exact_pending) &&
	       store_read_integer(statement, FIND_HISTORY_ID, 0, INT64_MAX, &answer->history_id);
}

/* Reads the row that the statement stands on. Its mapping part may be empty. */
static enum error read_row(struct store *store, sqlite3_stmt *statement, struct span der,
	struct store_answer *answer, struct store_trouble *ret_trouble)
{
	struct mapping m;

	if (!read_service(statement, answer)) {
		store_explain(ret_trouble,
			"%s: the policy of the service breaks the rules of the schema",
			store->path);
		return ERROR_MALFORMED;
	}
	if (sqlite3_column_type(statement, FIND_ID) == SQLITE_NULL)
		return OK;
	if (!store_read_mapping(statement, FIND_ID, &m) || !read_facts(statement, der, &m)) {
		store_explain(ret_trouble, "%s: mapping %lld breaks the rules of the schema",
			store->path, (long long)sqlite3_column_int64(statement, FIND_ID));
		return ERROR_MALFORMED;
	}
	if (answer->mapping_count == MAPPINGS_MAX)
		answer->has_more = true;
	else
		answer->mappings[answer->mapping_count++] = m;
	return OK;
}

static bool bind_question(sqlite3_stmt *statement, const struct store_question *question)
{
	if (!store_bind_span(statement, 1, question->service))
		return false;
	switch (question->by) {
	case STORE_BY_NOTHING:
		return true;
	case STORE_BY_FINGERPRINT:
	case STORE_BY_KEY:
		return sqlite3_bind_blob(statement, 2, question->digest, sizeof question->digest,
			       SQLITE_STATIC) == SQLITE_OK;
	case STORE_BY_NAMES:
		return store_bind_span(statement, 2, question->first) &&
		       store_bind_span(statement, 3, question->second);
	case STORE_BY_NAME:
		return store_bind_span(statement, 2, question->first);
	}
	return false;
}

enum error store_find(struct store *store, const struct store_question *question,
	struct store_answer *ret, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	struct store_answer answer = { 0 };
	bool has_row = false;
	int result = SQLITE_OK;
	enum error error;

	error = store_prepare(store, find_statements[question->by].slot,
		find_statements[question->by].sql, &statement, ret_trouble);
	if (error != OK)
		return error;
	if (!bind_question(statement, question))
		return store_failed(store, ret_trouble);

	/* A name or a key may fit all the mappings that there are, and any client may ask by one:
	 * that there are more than can be looked at is all there is to know. */
	while (!answer.has_more && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		if (!has_row && (error = store_check_version(store, ret_trouble)) != OK)
			return error;
		has_row = true;
		error = read_row(store, statement, question->der, &answer, ret_trouble);
		if (error != OK)
			return error;
	}
	if (result != SQLITE_DONE && !answer.has_more)
		return store_failed(store, ret_trouble);
	if (!has_row)
		return store_explain(
			ret_trouble, "%s: the row '*' of service is missing", store->path);
	*ret = answer;
	return OK;
}
