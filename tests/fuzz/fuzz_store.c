/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_store.c: rows of every table that break every rule of the schema, in a real database, and a
 * lookup over them. It may be refused for any reason, but whoever is let in has an enabled mapping
 * whose account is that very text, for the certificate that was presented, in a service that is
 * enabled.
 *
 * The schema is the one of sql/ without its triggers and without STRICT: a shell can drop both. An
 * input is a list of rows: a byte for the table, and for each column a byte that says what stands
 * in it, with its value where it needs one. "The usual" makes a row that is in order but for the
 * rest.
 */
#include "armour.h"
#include "certificate.h"
#include "fuzz.h"
#include "index.h"
#include "lookup.h"
#include "migrations.h"
#include "store_credential.h"
#include "store_pending.h"
#include "store_trust.h"

#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS_MAX 12
#define COLUMNS_MAX 13
#define QUEUE_MAX 100

/* A certificate authority's too, valid 2000 to 2049. */
static const char alice_pem[] = "-----BEGIN CERTIFICATE-----\n"
				"MIIBZDCCAQmgAwIBAgIBATAKBggqhkjOPQQDAjAQMQ4wDAYDVQQDDAVhbGljZTAe\n"
				"Fw0wMDAxMDEwMDAwMDBaFw00OTEyMzEyMzU5NTlaMBAxDjAMBgNVBAMMBWFsaWNl\n"
				"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1CC7893DupR6U9mKV1S2h19vAfCr\n"
				"0NKGI3K91+T+Ex1j8711BUoru8fdXBJVCFLknQkGJYWVkY8Juo12deXuVqNUMFIw\n"
				"DwYDVR0TAQH/BAUwAwEB/zATBgNVHSUEDDAKBggrBgEFBQcDAjALBgNVHQ8EBAMC\n"
				"AYYwHQYDVR0OBBYEFJ1Rfewo24swzhSVwqUxXipBWfg9MAoGCCqGSM49BAMCA0kA\n"
				"MEYCIQD9/KHzBi7/xiTjg/egZLwdF4usuimvX+83pkO4mlCcUQIhALKDY70Qql3e\n"
				"T8+Z28QJRa6Q3G8s0IL82bK19o1og0pC\n"
				"-----END CERTIFICATE-----\n";

enum usual {
	USUAL_NULL,
	USUAL_ZERO,
	USUAL_ONE,
	USUAL_STAR,
	USUAL_ALICE,
	USUAL_PEM,
	USUAL_DER,
	USUAL_FINGERPRINT,
	USUAL_FAR, /* a time in 2096 */
	USUAL_REQUIRE,
	USUAL_ANCHOR,
	USUAL_HISTORY,
	USUAL_UPDATE,
	USUAL_JSON,
	USUAL_SUBJECT,
};

struct table {
	const char *name;
	int column_count;
	enum usual usual[COLUMNS_MAX];
};

/* clang-format off */
static const struct table tables[] = {
	/* id, service, account, enabled, replaces, staged_until, valid_from, valid_until,
	 * account_uid, note, certificate */
	{ "mapping", 11, { USUAL_ONE, USUAL_STAR, USUAL_ALICE, USUAL_ONE, USUAL_NULL, USUAL_NULL,
		USUAL_NULL, USUAL_NULL, USUAL_NULL, USUAL_NULL, USUAL_PEM } },
	/* mapping_id, service, fingerprint, key_fingerprint, subject, issuer, subject_line,
	 * issuer_line, serial, not_before, not_after, problem, der */
	{ "fact", 13, { USUAL_ONE, USUAL_STAR, USUAL_FINGERPRINT, USUAL_FINGERPRINT, USUAL_SUBJECT,
		USUAL_SUBJECT, USUAL_SUBJECT, USUAL_SUBJECT, USUAL_ALICE, USUAL_ZERO, USUAL_FAR,
		USUAL_NULL, USUAL_DER } },
	{ "pending", 2, { USUAL_ONE, USUAL_STAR } },
	/* name, enabled, inherit, certificates_per_account, accept_names, accept_name,
	 * require_trust, revocation, deliver_credential, shadow, note */
	{ "service", 11, { USUAL_STAR, USUAL_ONE, USUAL_ONE, USUAL_ONE, USUAL_ONE, USUAL_ONE,
		USUAL_ZERO, USUAL_REQUIRE, USUAL_ZERO, USUAL_ZERO, USUAL_NULL } },
	{ "trust", 5, { USUAL_ONE, USUAL_STAR, USUAL_ANCHOR, USUAL_NULL, USUAL_PEM } },
	{ "credential", 3, { USUAL_STAR, USUAL_ALICE, USUAL_DER } },
	{ "fact_name", 2, { USUAL_ALICE, USUAL_ONE } },
	/* id, at, who, object, change, mapping_id, old, new, old_certificate */
	{ "history", 9, { USUAL_ONE, USUAL_ZERO, USUAL_NULL, USUAL_ALICE, USUAL_UPDATE, USUAL_ONE,
		USUAL_JSON, USUAL_JSON, USUAL_PEM } },
	{ "sqlite_sequence", 2, { USUAL_HISTORY, USUAL_ONE } },
};
/* clang-format on */
#define TABLES (sizeof(tables) / sizeof(tables[0]))

static struct {
	char directory[64];
	char path[96];
	sqlite3 *shell;
	struct store *store;
	struct lookup *lookup;
	struct span der;
	uint8_t fingerprint[FINGERPRINT_BYTES];
} scene;

static void run_sql(const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(scene.shell, sql, NULL, NULL, &message) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", sql, message);
		abort();
	}
}

/* Blanks it out, so that what is after it stays where it is. */
static void leave_out(char *sql, const char *word)
{
	for (char *at = sql; (at = strstr(at, word));)
		memset(at, ' ', strlen(word));
}

static void make_schema(void)
{
	for (unsigned int i = 0; i < migration_count; i++) {
		char *sql = strdup(migrations[i].sql);

		MUST(sql);
		leave_out(sql, " STRICT,");
		leave_out(sql, " STRICT");
		run_sql(sql);
		free(sql);
	}
}

static void drop_triggers(void)
{
	sqlite3_stmt *statement;
	char *drops = sqlite3_mprintf("");

	MUST(sqlite3_prepare_v2(scene.shell,
		     "SELECT name FROM sqlite_schema WHERE type = 'trigger'", -1, &statement,
		     NULL) == SQLITE_OK);
	while (sqlite3_step(statement) == SQLITE_ROW)
		drops = sqlite3_mprintf(
			"%zDROP TRIGGER \"%w\";", drops, sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	MUST(drops[0]);
	run_sql(drops);
	sqlite3_free(drops);
}

static void tear_down(void)
{
	char command[128];

	lookup_free(scene.lookup);
	store_close(scene.store);
	sqlite3_close(scene.shell);
	free((void *)scene.der.bytes);
	certificate_done();
	snprintf(command, sizeof(command), "rm -rf -- '%s'", scene.directory);
	(void)!system(command);
}

static void read_alice(void)
{
	uint8_t *der = malloc(ARMOUR_DER_MAX_BYTES);
	size_t length;

	MUST(der && certificate_init() == OK);
	MUST(armour_open_text(span_of_string(alice_pem), der, ARMOUR_DER_MAX_BYTES, &length) ==
		ARMOUR_OPENED);
	scene.der = span_of(der, length);
	MUST(certificate_fingerprint(scene.der, scene.fingerprint) == OK);
}

static void set_up(void)
{
	struct store_trouble trouble;

	if (scene.path[0])
		return;
	read_alice();
	snprintf(scene.directory, sizeof(scene.directory), "/dev/shm/certmap-fuzz-XXXXXX");
	MUST(mkdtemp(scene.directory));
	snprintf(scene.path, sizeof(scene.path), "%s/mappings.db", scene.directory);
	MUST(sqlite3_open(scene.path, &scene.shell) == SQLITE_OK);
	make_schema();
	drop_triggers();
	run_sql("PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON");
	MUST(store_open(scene.path, geteuid(), STORE_USE_DAEMON, &scene.store, &trouble) == OK);
	MUST(lookup_new(scene.path, geteuid(), LOOKUP_SERVES, &scene.lookup) == OK);
	atexit(tear_down);
}

static int bind_text(sqlite3_stmt *statement, int parameter, const char *text)
{
	return sqlite3_bind_text(statement, parameter, text, -1, SQLITE_STATIC);
}

static int bind_usual(sqlite3_stmt *statement, int parameter, enum usual usual)
{
	switch (usual) {
	case USUAL_NULL:
		return sqlite3_bind_null(statement, parameter);
	case USUAL_ZERO:
		return sqlite3_bind_int64(statement, parameter, 0);
	case USUAL_ONE:
		return sqlite3_bind_int64(statement, parameter, 1);
	case USUAL_STAR:
		return bind_text(statement, parameter, "*");
	case USUAL_ALICE:
		return bind_text(statement, parameter, "alice");
	case USUAL_PEM:
		return bind_text(statement, parameter, alice_pem);
	case USUAL_DER:
		return sqlite3_bind_blob(statement, parameter, scene.der.bytes,
			(int)scene.der.length, SQLITE_STATIC);
	case USUAL_FINGERPRINT:
		return sqlite3_bind_blob(statement, parameter, scene.fingerprint,
			sizeof(scene.fingerprint), SQLITE_STATIC);
	case USUAL_FAR:
		return sqlite3_bind_int64(statement, parameter, 4000000000);
	case USUAL_REQUIRE:
		return bind_text(statement, parameter, "require");
	case USUAL_ANCHOR:
		return bind_text(statement, parameter, "anchor");
	case USUAL_HISTORY:
		return bind_text(statement, parameter, "history");
	case USUAL_UPDATE:
		return bind_text(statement, parameter, "update");
	case USUAL_JSON:
		return bind_text(statement, parameter, "{\"enabled\":1}");
	case USUAL_SUBJECT:
		return bind_text(statement, parameter, "CN=alice");
	}
	return SQLITE_MISUSE;
}

/* What stands in a column. */
enum value_kind {
	VALUE_USUAL,
	VALUE_NULL,
	VALUE_SMALL, /* a byte, signed */
	VALUE_INTEGER,
	VALUE_REAL,
	VALUE_TEXT,
	VALUE_BLOB,
	VALUE_OTHER_USUAL, /* that of another column */
	VALUE_KINDS,
};

static int bind_part(sqlite3_stmt *statement, int parameter, bool is_text, struct fuzz_input *input)
{
	FUZZ_PART part = fuzz_take_part(input);
	const char *bytes = (const char *)part.bytes;

	return is_text ? sqlite3_bind_text(
				 statement, parameter, bytes, (int)part.length, SQLITE_TRANSIENT)
		       : sqlite3_bind_blob(
				 statement, parameter, bytes, (int)part.length, SQLITE_TRANSIENT);
}

static int bind_value(
	sqlite3_stmt *statement, int parameter, enum usual usual, struct fuzz_input *input)
{
	const enum value_kind kind = fuzz_take_byte(input) % VALUE_KINDS;

	switch (kind) {
	case VALUE_NULL:
		return sqlite3_bind_null(statement, parameter);
	case VALUE_SMALL:
		return sqlite3_bind_int64(statement, parameter, (int8_t)fuzz_take_byte(input));
	case VALUE_INTEGER:
		return sqlite3_bind_int64(statement, parameter, (int64_t)fuzz_take_u64(input));
	case VALUE_REAL:
		return sqlite3_bind_double(
			statement, parameter, (double)(int64_t)fuzz_take_u64(input) / 65536);
	case VALUE_TEXT:
	case VALUE_BLOB:
		return bind_part(statement, parameter, kind == VALUE_TEXT, input);
	case VALUE_OTHER_USUAL:
		return bind_usual(
			statement, parameter, fuzz_take_byte(input) % (USUAL_SUBJECT + 1));
	case VALUE_USUAL:
	case VALUE_KINDS:
		break;
	}
	return bind_usual(statement, parameter, usual);
}

/* What even such a schema refuses (two rows of one key, NOT NULL) is left out. */
static void insert_row(const struct table *table, struct fuzz_input *input)
{
	char *sql = sqlite3_mprintf("INSERT OR IGNORE INTO \"%w\" VALUES (?1", table->name);
	sqlite3_stmt *statement;

	for (int i = 2; i <= table->column_count; i++)
		sql = sqlite3_mprintf("%z, ?%d", sql, i);
	sql = sqlite3_mprintf("%z)", sql);
	MUST(sqlite3_prepare_v2(scene.shell, sql, -1, &statement, NULL) == SQLITE_OK);
	for (int i = 0; i < table->column_count; i++)
		MUST(bind_value(statement, i + 1, table->usual[i], input) == SQLITE_OK);
	(void)sqlite3_step(statement);
	sqlite3_finalize(statement);
	sqlite3_free(sql);
}

static void fill(struct fuzz_input *input)
{
	struct fuzz_input nothing = { 0 };

	run_sql("BEGIN IMMEDIATE; DELETE FROM mapping; DELETE FROM fact; DELETE FROM pending;"
		"DELETE FROM service; DELETE FROM trust; DELETE FROM credential;"
		"DELETE FROM fact_name; DELETE FROM history; DELETE FROM usage;"
		"DELETE FROM sqlite_sequence");
	for (int i = 0; i < ROWS_MAX && input->left.length > 0; i++)
		insert_row(&tables[fuzz_take_byte(input) % TABLES], input);
	/* The defaults, where the input does not have any: without them nothing is answered. */
	for (size_t i = 0; i < TABLES; i++)
		if (strcmp(tables[i].name, "service") == 0)
			insert_row(&tables[i], &nothing);
	run_sql("COMMIT");
}

static bool is_there(const char *sql)
{
	sqlite3_stmt *statement;
	bool is_there;

	MUST(sqlite3_prepare_v2(scene.shell, sql, -1, &statement, NULL) == SQLITE_OK);
	if (sqlite3_bind_parameter_count(statement) > 0)
		MUST(bind_usual(statement, 1, USUAL_DER) == SQLITE_OK);
	is_there = sqlite3_step(statement) == SQLITE_ROW;
	sqlite3_finalize(statement);
	return is_there;
}

/* Said once more in SQL, strictly: affinity and collation turn nothing into "alice". */
static void must_be_mapped(void)
{
	MUST(is_there("SELECT 1 FROM mapping AS m WHERE typeof(m.account) = 'text'"
		      " AND CAST(m.account AS BLOB) = x'616c696365'"
		      " AND typeof(m.enabled) = 'integer' AND m.enabled = 1"
		      " AND m.service IN ('*', 'proftpd')"
		      " AND (EXISTS (SELECT 1 FROM fact AS f WHERE f.mapping_id = m.id"
		      "   AND f.der = ?1 AND f.problem IS NULL)"
		      "  OR EXISTS (SELECT 1 FROM pending AS p WHERE p.mapping_id = m.id))"));
	MUST(is_there("SELECT 1 FROM service AS every"
		      " LEFT JOIN service AS own ON own.name = 'proftpd'"
		      " WHERE every.name = '*' AND coalesce(own.enabled, every.enabled) = 1"
		      "  AND typeof(coalesce(own.enabled, every.enabled)) = 'integer'"));
}

static void look_up(void)
{
	const struct request request = {
		.phase = PHASE_AUTHENTICATE,
		.mode = MODE_MATCH,
		.kind = EVIDENCE_CERTIFICATE,
		.service = span_of_string("proftpd"),
		.user = span_of_string("alice"),
		.evidence = span_of_string(alice_pem),
		.correlation_id = span_of_string("1"),
	};
	struct lookup_outcome outcome;
	struct store_logged_edit edit;

	MUST(lookup_run(scene.lookup, &request, false, &outcome) == LOOKUP_DONE);
	MUST(outcome.reason != REASON_UNKNOWN);
	if (outcome.reason == REASON_ALLOWED) {
		MUST(strcmp(outcome.mapping.account, "alice") == 0);
		must_be_mapped();
	}
	for (int i = 0; i < ROWS_MAX && lookup_take_edit(scene.lookup, &edit); i++)
		MUST(strnlen(edit.words, sizeof(edit.words)) < sizeof(edit.words));
	(void)lookup_skip_edits(scene.lookup);
}

static void must_be_sound(const struct mapping *m)
{
	MUST(m->id >= 1 && strnlen(m->account, sizeof(m->account)) < sizeof(m->account));
	MUST(m->account[0] != '\0');
	MUST(strnlen(m->subject, sizeof(m->subject)) < sizeof(m->subject));
	MUST(!m->has_uid || m->uid != UINT32_MAX);
	for (const char *byte = m->account; *byte; byte++)
		MUST((unsigned char)*byte >= 0x20);
}

static void ask_by(enum store_by by)
{
	struct store_question question = {
		.by = by,
		.service = span_of_string("proftpd"),
		.first = span_of_string(by == STORE_BY_NAME ? "alice" : "CN=alice"),
		.second = span_of_string("CN=alice"),
	};
	struct store_trouble trouble = { "" };
	struct store_answer answer;
	bool is_complete;

	memcpy(question.digest, scene.fingerprint, sizeof(question.digest));
	for (int i = 0; i < 2; i++) {
		const enum error error =
			i == 0 ? store_find(scene.store, &question, &answer, &trouble)
			       : index_find(scene.store, 1000000, &question, &answer, &is_complete,
					 &trouble);

		MUST(error != OK || answer.mapping_count <= MAPPINGS_MAX);
		for (size_t k = 0; error == OK && k < answer.mapping_count; k++)
			must_be_sound(&answer.mappings[k]);
	}
}

static void read_queue(void)
{
	struct store_pending pending = { 0 };
	struct store_trouble trouble;
	bool is_found = true;
	int64_t after = INT64_MIN;

	for (int i = 0; i < QUEUE_MAX && is_found; i++) {
		if (store_next_pending(scene.store, after, (struct span){ 0 }, &pending, &is_found,
			    &trouble) != OK)
			break;
		if (!is_found)
			break;
		MUST(pending.mapping_id > after);
		after = pending.mapping_id;
		if (!pending.is_gone && !pending.is_broken) {
			must_be_sound(&pending.mapping);
			MUST(pending.certificate.length <= STORE_CERTIFICATE_MAX_BYTES + 1);
		}
	}
}

static enum error take_nothing(
	int64_t id, enum store_trust_kind kind, struct span content, void *context)
{
	(void)id;
	(void)context;
	MUST(kind == STORE_TRUST_ANCHOR || kind == STORE_TRUST_INTERMEDIATE ||
		kind == STORE_TRUST_CRL);
	MUST(content.length == 0 || content.bytes);
	return OK;
}

static void read_the_rest(void)
{
	struct store_trouble trouble;
	uint8_t bytes[256];
	size_t length = 0;
	bool is_exact;

	if (store_list_trust(
		    scene.store, span_of_string("proftpd"), take_nothing, NULL, &trouble) != OK)
		return;
	if (store_find_credential(scene.store, span_of_string("proftpd"), "alice", bytes,
		    sizeof(bytes), &length, &is_exact, &trouble) == OK)
		MUST(length <= sizeof(bytes));
	if (store_read_der(scene.store, 1, bytes, sizeof(bytes), &length, &trouble) == OK)
		MUST(length <= sizeof(bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { span_of(data, size) };

	set_up();
	fill(&input);
	read_queue();
	for (enum store_by by = STORE_BY_NOTHING; by <= STORE_BY_NAME; by++)
		ask_by(by);
	read_the_rest();
	look_up();
	return 0;
}
