/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_select.c owns the statements that find mappings for a person and look around one. */
#include "store_select.h"

#include "store_private.h"

#define CHOICE_SQL                                                                                 \
	"SELECT m.id, m.enabled, m.replaces, m.account_uid, m.service, m.account, s.state,"        \
	" s.fingerprint, s.subject, s.note, m.valid_from, m.valid_until"                           \
	" FROM mapping AS m JOIN mapping_status AS s ON s.id = m.id"                               \
	" WHERE (?3 IS NULL OR m.service = ?3) AND "

/* A fingerprint has two indexes, one for the facts that can be used and one for the others. */
static const struct {
	enum store_slot slot;
	const char *sql;
} select_statements[] = {
	[STORE_SELECT_BY_ID] = { STORE_SELECT_ID, CHOICE_SQL "m.id = ?1" },
	[STORE_SELECT_BY_ACCOUNT] = { STORE_SELECT_ACCOUNT,
		CHOICE_SQL "m.account = ?1 ORDER BY m.id" },
	[STORE_SELECT_BY_FINGERPRINT] = { STORE_SELECT_FINGERPRINT,
		CHOICE_SQL "m.id IN (SELECT mapping_id FROM fact WHERE problem IS NULL"
			   "  AND fingerprint BETWEEN ?1 AND ?2"
			   " UNION ALL SELECT mapping_id FROM fact WHERE problem IS NOT NULL"
			   "  AND fingerprint BETWEEN ?1 AND ?2)"
			   " ORDER BY m.id" },
};

static int bind_selection(sqlite3_stmt *statement, const struct store_selection *selection)
{
	switch (selection->by) {
	case STORE_SELECT_BY_ID:
		return sqlite3_bind_int64(statement, 1, selection->id);
	case STORE_SELECT_BY_ACCOUNT:
		return sqlite3_bind_text(statement, 1, selection->account, -1, SQLITE_STATIC);
	case STORE_SELECT_BY_FINGERPRINT:
		if (sqlite3_bind_blob(statement, 2, selection->highest, sizeof selection->highest,
			    SQLITE_STATIC) != SQLITE_OK)
			return SQLITE_NOMEM;
		return sqlite3_bind_blob(
			statement, 1, selection->lowest, sizeof selection->lowest, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

static struct store_limit read_limit(sqlite3_stmt *statement, int column)
{
	return (struct store_limit){
		.is_set = sqlite3_column_type(statement, column) == SQLITE_INTEGER,
		.sec = sqlite3_column_int64(statement, column),
	};
}

/* Not checked as a lookup checks it: nothing is decided by it, and a person has to be able to name
 * a broken row to get rid of it. */
static void read_choice(sqlite3_stmt *statement, struct store_choice *ret)
{
	ret->id = sqlite3_column_int64(statement, 0);
	ret->enabled = sqlite3_column_int(statement, 1) != 0;
	ret->replaces = sqlite3_column_int64(statement, 2);
	ret->has_uid = sqlite3_column_type(statement, 3) == SQLITE_INTEGER;
	ret->uid = (uint32_t)sqlite3_column_int64(statement, 3);
	store_read_note(statement, 4, ret->service, sizeof ret->service);
	store_read_note(statement, 5, ret->account, sizeof ret->account);
	store_read_note(statement, 6, ret->state, sizeof ret->state);
	store_read_note(statement, 7, ret->fingerprint, sizeof ret->fingerprint);
	store_read_note(statement, 8, ret->subject, sizeof ret->subject);
	store_read_note(statement, 9, ret->note, sizeof ret->note);
	ret->valid_from = read_limit(statement, 10);
	ret->valid_until = read_limit(statement, 11);
}

enum error store_select(struct store *store, const struct store_selection *selection,
	store_choice_taker *take, void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	struct store_choice choice;
	enum error error = store_prepare(store, select_statements[selection->by].slot,
		select_statements[selection->by].sql, &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (bind_selection(statement, selection) != SQLITE_OK ||
		sqlite3_bind_text(statement, 3, selection->service, -1, SQLITE_STATIC) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		read_choice(statement, &choice);
		if ((error = take(&choice, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

/* The numbers are those of enum store_relation_kind. UNION leaves out what hides for two reasons.
 * A row hides those of its account and those of its certificate alike. */
static const char relations_sql[] =
	"WITH me AS (SELECT m.id, m.service, m.account, m.replaces, f.fingerprint,"
	"  f.key_fingerprint"
	"  FROM mapping AS m LEFT JOIN fact AS f ON f.mapping_id = m.id WHERE m.id = ?1),"
	" twin AS (SELECT f.mapping_id AS id, f.service FROM me JOIN fact AS f"
	"  ON f.fingerprint = me.fingerprint AND f.problem IS NULL AND f.mapping_id <> me.id),"
	" relation AS ("
	"  SELECT 0 AS kind, replaces AS id, NULL AS service FROM me WHERE replaces IS NOT NULL"
	"  UNION SELECT 1, x.id, NULL FROM me JOIN mapping AS x ON x.service = me.service"
	"   AND x.account = me.account AND x.replaces = me.id AND x.enabled = 0"
	"  UNION SELECT 2, x.id, NULL FROM me JOIN mapping AS x ON x.service = '*'"
	"   AND x.account = me.account WHERE me.service <> '*'"
	"  UNION SELECT 2, twin.id, NULL FROM me JOIN twin ON twin.service = '*'"
	"   WHERE me.service <> '*'"
	"  UNION SELECT 3, x.id, NULL FROM me JOIN mapping AS x ON x.service <> '*'"
	"   AND x.account = me.account WHERE me.service = '*'"
	"  UNION SELECT 3, twin.id, NULL FROM me JOIN twin ON twin.service <> '*'"
	"   WHERE me.service = '*'"
	"  UNION SELECT 4, f.mapping_id, NULL FROM me JOIN fact AS f"
	"   ON f.key_fingerprint = me.key_fingerprint AND f.problem IS NULL"
	"   AND f.mapping_id <> me.id AND f.fingerprint <> me.fingerprint"
	"  UNION SELECT 5, NULL, s.name FROM me JOIN service AS s ON s.inherit = 0"
	"   AND s.name <> '*' WHERE me.service = '*')"
	" SELECT r.kind, s.id, coalesce(s.service, r.service), s.account, s.state"
	" FROM relation AS r LEFT JOIN mapping_status AS s ON s.id = r.id ORDER BY r.kind, r.id";

static void read_relation(sqlite3_stmt *statement, struct store_relation *ret)
{
	ret->kind = (enum store_relation_kind)sqlite3_column_int(statement, 0);
	ret->id = sqlite3_column_int64(statement, 1);
	store_read_note(statement, 2, ret->service, sizeof ret->service);
	store_read_note(statement, 3, ret->account, sizeof ret->account);
	store_read_note(statement, 4, ret->state, sizeof ret->state);
}

enum error store_list_relations(struct store *store, int64_t id, store_relation_taker *take,
	void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	struct store_relation relation;
	enum error error =
		store_prepare(store, STORE_LIST_RELATIONS, relations_sql, &statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, id) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		read_relation(statement, &relation);
		if ((error = take(&relation, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_find_key_fingerprint(struct store *store, int64_t id,
	char ret[2 * STORE_FINGERPRINT_BYTES + 1], struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_FIND_KEY_FINGERPRINT,
		"SELECT lower(hex(key_fingerprint)) FROM fact WHERE mapping_id = ?1", &statement,
		ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (sqlite3_bind_int64(statement, 1, id) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	if ((result = sqlite3_step(statement)) == SQLITE_ROW)
		store_read_note(statement, 0, ret, 2 * STORE_FINGERPRINT_BYTES + 1);
	else if (result == SQLITE_DONE)
		ret[0] = '\0';
	else
		return store_failed(store, ret_trouble);
	return OK;
}

/* Two statements, since each has its way: an account has few mappings, which an index finds, and
 * all of them are read as they stand, without sorting them: the plus keeps the index out. */
#define ENROLMENT_SQL "SELECT id, certificate FROM mapping WHERE "
static const char of_account_sql[] =
	ENROLMENT_SQL "service IN (?1, '*') AND account = ?2 ORDER BY id";
static const char of_service_sql[] = ENROLMENT_SQL "+service IN (?1, '*') ORDER BY id";

static enum error hand_over_enrolments(struct store *store, sqlite3_stmt *statement,
	store_enrolment_taker *take, void *context, struct store_trouble *ret_trouble)
{
	enum error error;
	int result;

	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		struct store_enrolment enrolment = {
			.id = sqlite3_column_int64(statement, 0),
			.certificate = store_read_bytes(statement, 1),
		};

		if ((error = take(&enrolment, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_list_enrolments(struct store *store, struct span service, struct span account,
	store_enrolment_taker *take, void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	const bool is_of_one = span_is_present(account);
	enum error error = store_prepare(store, is_of_one ? STORE_LIST_OF_ACCOUNT : STORE_LIST_ALL,
		is_of_one ? of_account_sql : of_service_sql, &statement, ret_trouble);

	if (error != OK)
		return error;
	if (!store_bind_span(statement, 1, service) ||
		(is_of_one && !store_bind_span(statement, 2, account)))
		return store_failed(store, ret_trouble);
	return hand_over_enrolments(store, statement, take, context, ret_trouble);
}
