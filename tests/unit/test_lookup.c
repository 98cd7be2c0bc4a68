/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_lookup.c owns the promises of a lookup over a real database: an edit is in force at the next
 * one, whoever holds a lock; what is not known yet is unavailable, never unmapped; a database that
 * went bad is noticed, and so is its repair.
 */
#include "lookup.h"

#include "certificate.h"
#include "fixture.h"
#include "migrations.h"
#include "monotonic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
	struct fixture f;
	struct lookup *lookup;
	struct span der; /* alice's */
	char *pem;
};

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof *s);

	assert_non_null(s);
	fixture_init(&s->f);
	s->der = fixture_certificate("alice");
	s->pem = fixture_pem(s->der);
	assert_int_equal(lookup_new(s->f.path, geteuid(), LOOKUP_SERVES, &s->lookup), OK);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	lookup_free(s->lookup);
	fixture_done(&s->f);
	free(s->pem);
	free((void *)s->der.bytes);
	free(s);
	return 0;
}

static struct request ask_with(const char *user, struct span evidence)
{
	return (struct request){
		.phase = PHASE_AUTHENTICATE,
		.mode = MODE_MATCH,
		.kind = EVIDENCE_CERTIFICATE,
		.service = span_of_string("proftpd"),
		.user = span_of_string(user),
		.evidence = evidence,
		.correlation_id = span_of_string("1"),
	};
}

/* Asks once; REASON_UNKNOWN: it waits. */
static enum reason run_once(struct scene *s, const struct request *request, bool may_wait)
{
	struct lookup_outcome outcome = { 0 };

	if (lookup_run(s->lookup, request, may_wait, &outcome) == LOOKUP_WAITS)
		return REASON_UNKNOWN;
	return outcome.reason;
}

static void work(struct scene *s)
{
	while (lookup_due_usec(s->lookup) == 0 && lookup_work(s->lookup))
		continue;
}

/* A lookup that waits is far from its deadline for so long, on the slowest machine too. */
#define PATIENCE_USEC 30000000u

/* As the server does: what waits is run again, and what an edit left is worked off. On a loaded
 * machine a slice ends after its first row. */
static void run_through(struct scene *s, const struct request *request, struct lookup_outcome *ret)
{
	const uint64_t end_usec = monotonic_usec() + PATIENCE_USEC;

	while (lookup_run(s->lookup, request, true, ret) == LOOKUP_WAITS) {
		assert_true(monotonic_usec() < end_usec);
		work(s);
	}
	work(s);
}

static enum reason run(struct scene *s, const struct request *request)
{
	struct lookup_outcome outcome = { 0 };

	run_through(s, request, &outcome);
	return outcome.reason;
}

static enum reason ask_alice(struct scene *s)
{
	struct request request = ask_with("alice", span_of_string(s->pem));

	return run(s, &request);
}

static void an_edit_is_in_force_at_the_next_lookup(void **state)
{
	struct scene *s = *state;

	assert_int_equal(ask_alice(s), REASON_UNMAPPED);
	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	fixture_run(&s->f, "UPDATE mapping SET enabled = 0");
	assert_int_equal(ask_alice(s), REASON_MAPPING_DISABLED);
	fixture_run(&s->f, "UPDATE mapping SET enabled = 1, account = 'bob'");
	assert_int_equal(ask_alice(s), REASON_ACCOUNT_MISMATCH);
	fixture_run(&s->f, "DELETE FROM mapping");
	assert_int_equal(ask_alice(s), REASON_UNMAPPED);
}

static void a_committed_edit_is_in_force_while_a_shell_holds_the_write_lock(void **state)
{
	struct scene *s = *state;
	struct span other = fixture_certificate("bob");

	fixture_map(&s->f, "*", "alice", s->der);
	fixture_run(&s->f, "BEGIN IMMEDIATE");
	fixture_map(&s->f, "*", "bob", other);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);

	/* What is not committed is not there. */
	char *pem = fixture_pem(other);
	struct request request = ask_with("bob", span_of_string(pem));
	assert_int_equal(run(s, &request), REASON_UNMAPPED);
	fixture_run(&s->f, "COMMIT");
	assert_int_equal(run(s, &request), REASON_ALLOWED);
	free(pem);
	free((void *)other.bytes);
}

/* Inserts so many mappings in one transaction that no lookup can read them in passing. */
#define MANY 4000u

/* Gives the last of the certificates. */
static struct span insert_some(struct scene *s, uint32_t count)
{
	struct span der = fixture_certificate("many");
	char account[32];

	fixture_run(&s->f, "BEGIN");
	for (uint32_t i = 0; i < count; i++) {
		fixture_vary(der, i);
		snprintf(account, sizeof account, "user%u", i);
		fixture_map(&s->f, "*", account, der);
	}
	fixture_run(&s->f, "COMMIT");
	return der;
}

static void insert_many(struct scene *s)
{
	free((void *)insert_some(s, MANY).bytes);
}

/* More than a slice between lookups reads, and read in passing by who looks for one of them. */
#define SOME 150u

/* A queue counted as long once a slice had not emptied it, and nothing of it was read any more
 * while somebody held the write lock. */
static void what_a_slice_leaves_is_read_in_passing_while_a_shell_holds_the_write_lock(void **state)
{
	struct scene *s = *state;
	enum reason reason = REASON_UNKNOWN;

	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	struct span last = insert_some(s, SOME);
	char *pem = fixture_pem(last);
	struct request request = ask_with("user149", span_of_string(pem));
	struct request hit = ask_with("alice", span_of_string(s->pem));

	assert_int_equal(run_once(s, &hit, true), REASON_ALLOWED);
	assert_int_equal(lookup_due_usec(s->lookup), 0);
	assert_true(lookup_work(s->lookup));
	assert_true(fixture_number(&s->f, "SELECT count(*) FROM pending") > 0);

	fixture_run(&s->f, "BEGIN IMMEDIATE");
	/* On a loaded machine the time for it may run out before its end. */
	for (unsigned tries = 0; tries < 100 && reason == REASON_UNKNOWN; tries++)
		reason = run_once(s, &request, true);
	assert_int_equal(reason, REASON_ALLOWED);
	fixture_run(&s->f, "COMMIT");
	free(pem);
	free((void *)last.bytes);
}

static void a_long_queue_holds_up_misses_but_no_hits(void **state)
{
	struct scene *s = *state;
	struct span stranger = fixture_certificate("stranger");
	char *pem = fixture_pem(stranger);
	struct request miss = ask_with("alice", span_of_string(pem));
	struct request hit = ask_with("alice", span_of_string(s->pem));

	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	insert_many(s);

	assert_int_equal(run_once(s, &hit, true), REASON_ALLOWED);
	assert_int_equal(run_once(s, &miss, true), REASON_UNKNOWN); /* waits */
	assert_int_equal(run_once(s, &miss, false), REASON_UNAVAILABLE);
	assert_true(fixture_number(&s->f, "SELECT count(*) FROM pending") > 0);

	while (lookup_due_usec(s->lookup) == 0)
		assert_true(lookup_work(s->lookup));
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM pending"), 0);
	assert_int_equal(
		fixture_number(&s->f, "SELECT count(*) FROM fact WHERE problem IS NULL"), MANY + 1);
	assert_int_equal(run(s, &miss), REASON_UNMAPPED);
	free(pem);
	free((void *)stranger.bytes);
}

static void a_long_queue_is_left_to_a_settler_until_that_ends(void **state)
{
	struct scene *s = *state;

	struct request miss = ask_with("alice", span_of_string(s->pem));

	assert_false(lookup_begin_settler(s->lookup)); /* nothing is queued */
	insert_many(s);
	assert_int_equal(run_once(s, &miss, true), REASON_UNKNOWN); /* waits */
	assert_true(lookup_begin_settler(s->lookup));
	assert_false(lookup_begin_settler(s->lookup)); /* one runs */
	assert_int_equal(lookup_due_usec(s->lookup), UINT64_MAX);

	const int64_t queued = fixture_number(&s->f, "SELECT count(*) FROM pending");
	assert_true(lookup_work(s->lookup));
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM pending"), queued);

	/* It ended well and others have come: another one is due. */
	lookup_end_settler(s->lookup, true);
	assert_int_equal(lookup_due_usec(s->lookup), 0);
	while (!lookup_begin_settler(s->lookup))
		assert_true(lookup_due_usec(s->lookup) == 0 && lookup_work(s->lookup));

	/* It failed: none is started for this queue again, and the daemon works it off. */
	lookup_end_settler(s->lookup, false);
	while (lookup_due_usec(s->lookup) == 0) {
		assert_false(lookup_begin_settler(s->lookup));
		assert_true(lookup_work(s->lookup));
	}
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM pending"), 0);
	assert_int_equal(ask_alice(s), REASON_UNMAPPED);
}

static void a_long_queue_that_nobody_may_settle_ends_as_unavailable(void **state)
{
	struct scene *s = *state;
	char key[65];

	/* By key: each row has to be read for it, where a fast machine hashes them all in time. */
	fixture_key_fingerprint(s->der, key);
	struct request miss = ask_with("alice", span_of_string(key));
	miss.kind = EVIDENCE_KEY;
	insert_many(s);
	fixture_run(&s->f, "BEGIN IMMEDIATE");
	assert_int_equal(run_once(s, &miss, true), REASON_UNKNOWN);
	assert_int_equal(run_once(s, &miss, false), REASON_UNAVAILABLE);
	assert_int_equal(lookup_due_usec(s->lookup), 0);
	assert_false(lookup_work(s->lookup));
	fixture_run(&s->f, "COMMIT");
}

static void a_queued_row_of_the_exact_service_holds_up_a_hit_of_every_service(void **state)
{
	struct scene *s = *state;
	struct request request = ask_with("alice", span_of_string(s->pem));

	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	fixture_map(&s->f, "proftpd", "bob", s->der);
	/* It hides alice's row, and may not be overlooked because it is not read yet. */
	assert_int_equal(run_once(s, &request, false), REASON_UNAVAILABLE);
	assert_int_equal(run(s, &request), REASON_ACCOUNT_MISMATCH);
}

static void the_same_certificate_in_another_encoding_is_a_duplicate(void **state)
{
	struct scene *s = *state;

	fixture_map(&s->f, "*", "alice", s->der);
	fixture_map(&s->f, "*", "bob", span_of_string(s->pem));
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	assert_int_equal(
		fixture_number(&s->f,
			"SELECT problem = 'duplicate of mapping 1' FROM fact WHERE mapping_id = 2"),
		1);
	/* While nothing can be written the answer is the same. */
	fixture_run(&s->f, "UPDATE mapping SET service = 'x'; UPDATE mapping SET service = '*'");
	fixture_run(&s->f, "BEGIN IMMEDIATE");
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	fixture_run(&s->f, "ROLLBACK");

	/* The row in its way goes: it is looked at again. */
	fixture_run(&s->f, "DELETE FROM mapping WHERE id = 1");
	assert_int_equal(ask_alice(s), REASON_ACCOUNT_MISMATCH);
	assert_int_equal(
		fixture_number(&s->f, "SELECT problem IS NULL FROM fact WHERE mapping_id = 2"), 1);
}

static void a_row_that_is_no_certificate_gets_a_problem_and_harms_nobody(void **state)
{
	struct scene *s = *state;
	uint8_t junk[300] = { 0x30, 0x82, 0x01, 0x00 };

	fixture_map(&s->f, "*", "mallory", span_of(junk, sizeof junk));
	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM pending"), 0);
	assert_int_equal(
		fixture_number(&s->f, "SELECT problem IS NOT NULL FROM fact WHERE mapping_id = 1"),
		1);
}

static void a_row_that_breaks_the_schema_is_never_a_yes(void **state)
{
	struct scene *s = *state;

	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	/* Who can do this owns the file; the answer is still no accident. */
	fixture_run(&s->f, "DROP TRIGGER mapping_update; PRAGMA ignore_check_constraints = ON;"
			   "UPDATE mapping SET enabled = 2");
	assert_int_equal(ask_alice(s), REASON_UNAVAILABLE);
	fixture_run(&s->f, "UPDATE mapping SET enabled = 1, account = 'alice' || char(0) || 'x'");
	assert_int_equal(ask_alice(s), REASON_UNAVAILABLE);
	fixture_run(&s->f, "UPDATE mapping SET account = 'alice'");
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	fixture_run(&s->f, "UPDATE fact SET der = x'00'");
	assert_int_equal(ask_alice(s), REASON_UNMAPPED);
}

static void the_cause_of_trouble_is_news_once(void **state)
{
	struct scene *s = *state;
	char aside[128];
	const char *news;

	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	assert_null(lookup_take_news(s->lookup));
	snprintf(aside, sizeof aside, "%s.aside", s->f.path);
	assert_int_equal(rename(s->f.path, aside), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask_alice(s), REASON_UNAVAILABLE);
		assert_false(lookup_is_usable(s->lookup));
		news = lookup_take_news(s->lookup);
		if (i == 0)
			assert_non_null(strstr(news, "is missing"));
		else
			assert_null(news);
	}
	assert_int_equal(rename(aside, s->f.path), 0);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	assert_non_null(strstr(lookup_take_news(s->lookup), "in use again"));
}

static void a_file_that_took_the_place_of_another_answers_at_once(void **state)
{
	struct scene *s = *state;
	struct fixture other;

	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	fixture_init(&other);
	/* A file is moved whole: nothing of it may be left in its WAL, nor in that of the other. */
	fixture_checkpoint(&other);
	fixture_checkpoint(&s->f);
	assert_int_equal(rename(other.path, s->f.path), 0);
	assert_int_equal(ask_alice(s), REASON_UNMAPPED);
	fixture_done(&other);
}

static void unsafe_places_are_refused(void **state)
{
	struct scene *s = *state;

	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(chmod(s->f.path, 0660), 0);
	assert_int_equal(ask_alice(s), REASON_UNAVAILABLE);
	assert_non_null(strstr(lookup_take_news(s->lookup), "writable by others"));
	assert_int_equal(chmod(s->f.path, 0640), 0);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	assert_int_equal(chmod(s->f.directory, 0777), 0);
	assert_int_equal(ask_alice(s), REASON_UNAVAILABLE);
	assert_int_equal(chmod(s->f.directory, 0700), 0);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
}

static void a_version_that_changes_under_a_running_daemon_is_noticed(void **state)
{
	struct scene *s = *state;

	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	fixture_run(&s->f, "PRAGMA user_version = 999");
	assert_int_equal(ask_alice(s), REASON_UNAVAILABLE);
	assert_non_null(strstr(lookup_take_news(s->lookup), "too old"));
	fixture_run(&s->f, "PRAGMA user_version = 0");
	assert_int_equal(ask_alice(s), REASON_UNAVAILABLE);
	assert_non_null(strstr(lookup_take_news(s->lookup), "certmapctl migrate"));
	fixture_run(&s->f, "PRAGMA user_version = %u", migration_count);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
}

static void the_account_phase_asks_by_fingerprint_alone(void **state)
{
	struct scene *s = *state;
	struct request request = ask_with("alice", span_of_string(s->pem));
	struct lookup_outcome outcome = { 0 };

	fixture_map(&s->f, "*", "alice", s->der);
	run_through(s, &request, &outcome);
	request.kind = EVIDENCE_FINGERPRINT;
	request.evidence = span_of_string(outcome.fingerprint);
	request.phase = PHASE_ACCOUNT;
	assert_int_equal(run(s, &request), REASON_ALLOWED);
	request.evidence.length--;
	assert_int_equal(run(s, &request), REASON_MALFORMED_CERTIFICATE);
	request.kind = EVIDENCE_CERTIFICATE;
	request.evidence = span_of_string(s->pem);
	assert_int_equal(run(s, &request), REASON_EVIDENCE_NOT_ACCEPTED);
}

static enum reason ask_kind(struct scene *s, enum evidence_kind kind, const char *first,
	const char *second, struct lookup_outcome *ret)
{
	struct request request = ask_with("alice", span_of_string(first));

	request.kind = kind;
	request.evidence_second = span_of_string(second);
	run_through(s, &request, ret);
	return ret->reason;
}

static void a_fingerprint_is_taken_in_every_form_it_is_printed(void **state)
{
	struct scene *s = *state;
	struct lookup_outcome outcome;
	char hex[65], upper[65], colons[96] = "";
	uint8_t digest[32];

	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(certificate_fingerprint(s->der, digest), OK);
	for (int i = 0; i < 32; i++) {
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
		snprintf(upper + 2 * i, 3, "%02X", digest[i]);
		snprintf(colons + 3 * i, 4, i < 31 ? "%02X:" : "%02X", digest[i]);
	}
	assert_int_equal(ask_kind(s, EVIDENCE_FINGERPRINT, hex, NULL, &outcome), REASON_ALLOWED);
	assert_string_equal(outcome.fingerprint, hex);
	assert_int_equal(ask_kind(s, EVIDENCE_FINGERPRINT, upper, NULL, &outcome), REASON_ALLOWED);
	assert_int_equal(ask_kind(s, EVIDENCE_FINGERPRINT, colons, NULL, &outcome), REASON_ALLOWED);
	assert_int_equal(
		ask_kind(s, EVIDENCE_KEY, hex, NULL, &outcome), REASON_UNMAPPED); /* no key */
	colons[2] = '-';
	assert_int_equal(ask_kind(s, EVIDENCE_FINGERPRINT, colons, NULL, &outcome),
		REASON_MALFORMED_CERTIFICATE);
	hex[63] = 'g';
	assert_int_equal(ask_kind(s, EVIDENCE_FINGERPRINT, hex, NULL, &outcome),
		REASON_MALFORMED_CERTIFICATE);
}

static void a_key_of_two_accounts_is_refused_whether_read_or_queued(void **state)
{
	struct scene *s = *state;
	struct span shared = fixture_certificate_like("CN=bob", "CN=CA", &s->der);
	struct lookup_outcome outcome;
	char key[65], fingerprint[65];

	fixture_key_fingerprint(s->der, key);
	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_kind(s, EVIDENCE_KEY, key, NULL, &outcome), REASON_ALLOWED);
	/* The account phase asks by it: the certificate's, not the key's. */
	snprintf(fingerprint, sizeof fingerprint, "%s", outcome.fingerprint);
	assert_string_not_equal(fingerprint, key);

	/* Queued, and it stays so while a shell holds the lock. */
	fixture_map(&s->f, "*", "bob", shared);
	fixture_run(&s->f, "BEGIN IMMEDIATE");
	assert_int_equal(ask_kind(s, EVIDENCE_KEY, key, NULL, &outcome), REASON_AMBIGUOUS);
	fixture_run(&s->f, "COMMIT");
	assert_int_equal(ask_kind(s, EVIDENCE_KEY, key, NULL, &outcome), REASON_AMBIGUOUS);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM pending"), 0);
	fixture_run(&s->f, "UPDATE mapping SET enabled = 0 WHERE account = 'bob'");
	assert_int_equal(ask_kind(s, EVIDENCE_KEY, key, NULL, &outcome), REASON_AMBIGUOUS);
	fixture_run(&s->f, "DELETE FROM mapping WHERE account = 'bob'");
	assert_int_equal(ask_kind(s, EVIDENCE_KEY, key, NULL, &outcome), REASON_ALLOWED);
	free((void *)shared.bytes);
}

static void names_count_only_where_the_service_accepts_them(void **state)
{
	struct scene *s = *state;
	struct span der = fixture_certificate_like("C=CZ,CN=\"Ľudia\" + iní", "CN=CA", NULL);
	struct span twin = fixture_certificate_like("C=CZ,CN=\"Ľudia\" + iní", "CN=CA", NULL);
	char *subject = fixture_line(der, false), *issuer = fixture_line(der, true);
	struct lookup_outcome outcome;

	fixture_map(&s->f, "*", "alice", der);
	assert_int_equal(ask_kind(s, EVIDENCE_NAMES, subject, issuer, &outcome),
		REASON_EVIDENCE_NOT_ACCEPTED);
	fixture_run(&s->f, "INSERT INTO service (name, accept_names) VALUES ('proftpd', 1)");
	assert_int_equal(ask_kind(s, EVIDENCE_NAMES, subject, issuer, &outcome), REASON_ALLOWED);
	assert_int_equal(ask_kind(s, EVIDENCE_NAMES, subject, subject, &outcome), REASON_UNMAPPED);
	assert_int_equal(ask_kind(s, EVIDENCE_NAMES, "CN=CA", issuer, &outcome), REASON_UNMAPPED);
	assert_int_equal(
		ask_kind(s, EVIDENCE_NAME, "CZ", NULL, &outcome), REASON_EVIDENCE_NOT_ACCEPTED);

	fixture_map(&s->f, "*", "bob", twin);
	fixture_run(&s->f, "BEGIN IMMEDIATE");
	assert_int_equal(ask_kind(s, EVIDENCE_NAMES, subject, issuer, &outcome), REASON_AMBIGUOUS);
	fixture_run(&s->f, "COMMIT");
	assert_int_equal(ask_kind(s, EVIDENCE_NAMES, subject, issuer, &outcome), REASON_AMBIGUOUS);
	free(subject);
	free(issuer);
	free((void *)der.bytes);
	free((void *)twin.bytes);
}

static void one_name_must_stand_on_one_mapping_alone(void **state)
{
	struct scene *s = *state;
	struct span der = fixture_certificate_like("O=Test,CN=alice", "CN=CA", NULL);
	struct span other = fixture_certificate_like("UID=alice,CN=bob", "CN=CA", NULL);
	struct lookup_outcome outcome;

	fixture_run(&s->f, "UPDATE service SET accept_name = 1");
	fixture_map(&s->f, "*", "alice", der);
	assert_int_equal(ask_kind(s, EVIDENCE_NAME, "alice", NULL, &outcome), REASON_ALLOWED);
	/* An organisation's name is nobody's. */
	assert_int_equal(ask_kind(s, EVIDENCE_NAME, "Test", NULL, &outcome), REASON_UNMAPPED);
	assert_int_equal(ask_kind(s, EVIDENCE_NAME, "Alice", NULL, &outcome), REASON_UNMAPPED);
	assert_int_equal(ask_kind(s, EVIDENCE_NAME, "alice ", NULL, &outcome), REASON_UNMAPPED);
	fixture_map(&s->f, "*", "bob", other);
	fixture_run(&s->f, "BEGIN IMMEDIATE");
	assert_int_equal(ask_kind(s, EVIDENCE_NAME, "alice", NULL, &outcome), REASON_AMBIGUOUS);
	fixture_run(&s->f, "COMMIT");
	assert_int_equal(ask_kind(s, EVIDENCE_NAME, "alice", NULL, &outcome), REASON_AMBIGUOUS);
	/* A row's names go with its facts. */
	fixture_run(&s->f, "DELETE FROM mapping WHERE account = 'bob'");
	assert_int_equal(ask_kind(s, EVIDENCE_NAME, "alice", NULL, &outcome), REASON_ALLOWED);
	assert_int_equal(
		fixture_number(&s->f, "SELECT count(*) FROM fact_name WHERE mapping_id = 2"), 0);
	free((void *)der.bytes);
	free((void *)other.bytes);
}

/* Alice's renewed certificate is staged beside the one in force. */
static struct span stage_renewal(struct scene *s, char **ret_pem)
{
	struct span renewed = fixture_certificate("alice");

	fixture_map(&s->f, "*", "alice", s->der);
	fixture_run(&s->f, "UPDATE mapping SET enabled = 0");
	fixture_map(&s->f, "*", "alice", renewed);
	fixture_run(&s->f, "UPDATE mapping SET enabled = 0, replaces = 1 WHERE id = 2;"
			   "UPDATE mapping SET enabled = 1 WHERE id = 1");
	*ret_pem = fixture_pem(renewed);
	return renewed;
}

static int64_t enabled_id(struct scene *s)
{
	assert_int_equal(
		fixture_number(&s->f, "SELECT count(*) FROM mapping WHERE enabled = 1"), 1);
	return fixture_number(&s->f, "SELECT id FROM mapping WHERE enabled = 1");
}

static void the_first_login_with_a_staged_certificate_puts_it_into_force(void **state)
{
	struct scene *s = *state;
	char *pem;
	struct span renewed = stage_renewal(s, &pem);
	struct request request = ask_with("alice", span_of_string(pem));
	struct lookup_outcome outcome;

	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	assert_int_equal(enabled_id(s), 1);
	run_through(s, &request, &outcome);
	assert_int_equal(outcome.reason, REASON_ALLOWED);
	assert_true(outcome.took_over);
	assert_int_equal(enabled_id(s), 2);
	assert_int_equal(ask_alice(s), REASON_MAPPING_DISABLED);
	run_through(s, &request, &outcome);
	assert_int_equal(outcome.reason, REASON_ALLOWED);
	assert_false(outcome.took_over);
	assert_int_equal(
		fixture_number(&s->f, "SELECT count(*) FROM history WHERE who = 'certmapd'"), 2);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM actor"), 0);
	free(pem);
	free((void *)renewed.bytes);
}

static void nothing_else_puts_a_staged_certificate_into_force(void **state)
{
	struct scene *s = *state;
	char *pem, key[65];
	struct span renewed = stage_renewal(s, &pem);
	struct request request = ask_with("bob", span_of_string(pem));
	struct lookup_outcome outcome;
	char fingerprint[65];

	assert_int_equal(run(s, &request), REASON_ACCOUNT_MISMATCH);
	request.user = span_of_string("alice");
	assert_int_equal(enabled_id(s), 1);
	fixture_run(&s->f, "INSERT INTO service (name, shadow) VALUES ('proftpd', 1)");
	run_through(s, &request, &outcome);
	assert_int_equal(outcome.reason, REASON_MAPPING_DISABLED);
	snprintf(fingerprint, sizeof fingerprint, "%s", outcome.fingerprint);
	fixture_run(&s->f, "DELETE FROM service WHERE name = 'proftpd'");
	fixture_key_fingerprint(renewed, key);
	assert_int_equal(ask_kind(s, EVIDENCE_KEY, key, NULL, &outcome), REASON_MAPPING_DISABLED);
	assert_int_equal(ask_kind(s, EVIDENCE_FINGERPRINT, fingerprint, NULL, &outcome),
		REASON_MAPPING_DISABLED);
	fixture_run(&s->f, "UPDATE mapping SET staged_until = unixepoch() - 1 WHERE id = 2");
	assert_int_equal(run(s, &request), REASON_MAPPING_DISABLED);
	fixture_run(&s->f, "UPDATE mapping SET staged_until = NULL WHERE id = 2;"
			   "UPDATE mapping SET enabled = 0 WHERE id = 1");
	assert_int_equal(run(s, &request), REASON_MAPPING_DISABLED);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM mapping WHERE enabled"), 0);
	free(pem);
	free((void *)renewed.bytes);
}

static struct lookup_outcome observe(struct scene *s, const struct request *request)
{
	struct lookup_outcome outcome = { 0 };
	struct lookup *observer;

	assert_int_equal(lookup_new(s->f.path, geteuid(), LOOKUP_OBSERVES, &observer), OK);
	assert_int_equal(lookup_run(observer, request, true, &outcome), LOOKUP_DONE);
	lookup_free(observer);
	return outcome;
}

static void who_observes_sees_what_a_staged_certificate_would_get_and_changes_nothing(void **state)
{
	struct scene *s = *state;
	char *pem;
	struct span renewed = stage_renewal(s, &pem), third = fixture_certificate("alice");
	struct request request = ask_with("alice", span_of_string(pem));
	struct lookup_outcome outcome = observe(s, &request);
	const int64_t changes = fixture_number(&s->f, "SELECT count(*) FROM history");

	assert_int_equal(outcome.reason, REASON_ALLOWED);
	assert_true(outcome.took_over);
	assert_int_equal(outcome.mapping.id, 2);
	assert_int_equal(enabled_id(s), 1);
	/* What the schema would refuse, it refuses here. */
	fixture_run(&s->f, "DELETE FROM mapping WHERE id = 1");
	fixture_map(&s->f, "*", "alice", third);
	outcome = observe(s, &request);
	assert_int_equal(outcome.reason, REASON_MAPPING_DISABLED);
	assert_int_equal(outcome.gate, POLICY_GATE_MAPPING);
	assert_false(outcome.took_over);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM history"), changes + 2);
	free(pem);
	free((void *)renewed.bytes);
	free((void *)third.bytes);
}

static void a_renewal_without_a_write_lock_is_unavailable_and_comes_later(void **state)
{
	struct scene *s = *state;
	char *pem;
	struct span renewed = stage_renewal(s, &pem);
	struct request request = ask_with("alice", span_of_string(pem));

	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	fixture_run(&s->f, "BEGIN IMMEDIATE");
	assert_int_equal(run_once(s, &request, true), REASON_UNKNOWN); /* waits */
	assert_int_equal(run_once(s, &request, false), REASON_UNAVAILABLE);
	fixture_run(&s->f, "COMMIT");
	assert_int_equal(run(s, &request), REASON_ALLOWED);
	assert_int_equal(enabled_id(s), 2);
	free(pem);
	free((void *)renewed.bytes);
}

static void a_renewal_takes_force_when_the_other_mapping_is_gone(void **state)
{
	struct scene *s = *state;
	char *pem;
	struct span renewed = stage_renewal(s, &pem);
	struct request request = ask_with("alice", span_of_string(pem));
	struct span third = fixture_certificate("alice");

	fixture_run(&s->f, "DELETE FROM mapping WHERE id = 1");
	/* The account has another certificate by now: the staged one is not its renewal any more.
	 */
	fixture_map(&s->f, "*", "alice", third);
	assert_int_equal(run(s, &request), REASON_MAPPING_DISABLED);
	assert_int_equal(enabled_id(s), 3);
	fixture_run(&s->f, "DELETE FROM mapping WHERE id = 3");
	assert_int_equal(run(s, &request), REASON_ALLOWED);
	assert_int_equal(enabled_id(s), 2);
	free(pem);
	free((void *)renewed.bytes);
	free((void *)third.bytes);
}

/* On a slow machine a slice may end right after the last row, and there is one more look. */
static void work_off(struct scene *s)
{
	while (lookup_due_usec(s->lookup) == 0)
		assert_true(lookup_work(s->lookup));
}

static void a_shadowed_service_is_watched_and_never_allowed(void **state)
{
	struct scene *s = *state;
	struct request request = ask_with("alice", span_of_string(s->pem));
	struct lookup_outcome outcome;

	fixture_map(&s->f, "*", "alice", s->der);
	fixture_run(&s->f, "UPDATE service SET shadow = 1");
	run_through(s, &request, &outcome);
	assert_int_equal(outcome.reason, REASON_ALLOWED);
	assert_true(outcome.is_shadow);
	work_off(s);
	assert_int_equal(lookup_due_usec(s->lookup), UINT64_MAX); /* it was no use of the mapping */
	/* A session from before goes on. */
	request.phase = PHASE_ACCOUNT;
	request.kind = EVIDENCE_FINGERPRINT;
	char fingerprint[65];
	snprintf(fingerprint, sizeof fingerprint, "%s", outcome.fingerprint);
	request.evidence = span_of_string(fingerprint);
	run_through(s, &request, &outcome);
	assert_int_equal(outcome.reason, REASON_ALLOWED);
	assert_false(outcome.is_shadow);
}

static void uses_are_written_in_one_batch_without_history(void **state)
{
	struct scene *s = *state;
	int64_t entries;

	fixture_map(&s->f, "*", "alice", s->der);
	entries = fixture_number(&s->f, "SELECT count(*) FROM history");
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask_alice(s), REASON_ALLOWED);
	work_off(s);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM usage"), 0);
	assert_true(lookup_due_usec(s->lookup) < UINT64_MAX);
	fixture_run(&s->f, "BEGIN IMMEDIATE");
	assert_false(lookup_work(s->lookup));
	fixture_run(&s->f, "ROLLBACK");
	assert_true(lookup_work(s->lookup));
	assert_int_equal(fixture_number(&s->f, "SELECT uses FROM usage WHERE mapping_id = 1"), 3);
	assert_int_equal(
		fixture_number(&s->f, "SELECT abs(last_used - unixepoch()) < 10 FROM usage"), 1);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM history"), entries);
	assert_int_equal(lookup_due_usec(s->lookup), UINT64_MAX);
	fixture_run(&s->f, "DELETE FROM mapping");
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM usage"), 0);
}

static void trust_is_in_force_at_the_next_lookup(void **state)
{
	struct scene *s = *state;

	fixture_map(&s->f, "*", "alice", s->der);
	fixture_run(&s->f, "UPDATE service SET require_trust = 1, revocation = 'off'");
	assert_int_equal(ask_alice(s), REASON_UNTRUSTED_ISSUER);
	fixture_run(&s->f, "UPDATE service SET require_trust = 0");
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
}

static void each_edit_is_witnessed_once(void **state)
{
	struct scene *s = *state;
	struct store_logged_edit entry;

	assert_int_equal(ask_alice(s), REASON_UNMAPPED);
	fixture_map(&s->f, "*", "alice", s->der);
	fixture_run(&s->f, "UPDATE mapping SET enabled = 0");
	assert_int_equal(ask_alice(s), REASON_MAPPING_DISABLED);
	assert_true(lookup_take_edit(s->lookup, &entry));
	assert_string_equal(entry.change, "insert");
	assert_true(lookup_take_edit(s->lookup, &entry));
	assert_string_equal(entry.words, "enabled: 1 -> 0");
	assert_int_equal(entry.mapping_id, 1);
	assert_false(lookup_take_edit(s->lookup, &entry));
}

/* It needs no trigger to be dropped: history takes what a shell inserts. */
static void a_forged_entry_without_json_ends_no_log(void **state)
{
	struct scene *s = *state;
	struct store_logged_edit entry;

	assert_int_equal(ask_alice(s), REASON_UNMAPPED);
	fixture_run(&s->f, "INSERT INTO history (object, change, old, new) VALUES"
			   " ('mapping', 'update', '{', '{\"note\": 1}'),"
			   " ('mapping', 'insert', NULL, '{'), ('mapping', 'delete', '', NULL)");
	fixture_map(&s->f, "*", "alice", s->der);
	assert_int_equal(ask_alice(s), REASON_ALLOWED);
	for (int i = 0; i < 3; i++) {
		assert_true(lookup_take_edit(s->lookup, &entry));
		assert_string_equal(entry.words, "");
	}
	assert_true(lookup_take_edit(s->lookup, &entry));
	assert_int_equal(entry.mapping_id, 1);
	assert_non_null(strstr(entry.words, "account: alice"));
	assert_false(lookup_take_edit(s->lookup, &entry));
}

#define lookup_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		lookup_test(an_edit_is_in_force_at_the_next_lookup),
		lookup_test(a_committed_edit_is_in_force_while_a_shell_holds_the_write_lock),
		lookup_test(
			what_a_slice_leaves_is_read_in_passing_while_a_shell_holds_the_write_lock),
		lookup_test(a_long_queue_holds_up_misses_but_no_hits),
		lookup_test(a_long_queue_is_left_to_a_settler_until_that_ends),
		lookup_test(a_long_queue_that_nobody_may_settle_ends_as_unavailable),
		lookup_test(a_queued_row_of_the_exact_service_holds_up_a_hit_of_every_service),
		lookup_test(the_same_certificate_in_another_encoding_is_a_duplicate),
		lookup_test(a_row_that_is_no_certificate_gets_a_problem_and_harms_nobody),
		lookup_test(a_row_that_breaks_the_schema_is_never_a_yes),
		lookup_test(the_cause_of_trouble_is_news_once),
		lookup_test(a_file_that_took_the_place_of_another_answers_at_once),
		lookup_test(unsafe_places_are_refused),
		lookup_test(a_version_that_changes_under_a_running_daemon_is_noticed),
		lookup_test(the_account_phase_asks_by_fingerprint_alone),
		lookup_test(a_fingerprint_is_taken_in_every_form_it_is_printed),
		lookup_test(a_key_of_two_accounts_is_refused_whether_read_or_queued),
		lookup_test(names_count_only_where_the_service_accepts_them),
		lookup_test(one_name_must_stand_on_one_mapping_alone),
		lookup_test(the_first_login_with_a_staged_certificate_puts_it_into_force),
		lookup_test(nothing_else_puts_a_staged_certificate_into_force),
		lookup_test(
			who_observes_sees_what_a_staged_certificate_would_get_and_changes_nothing),
		lookup_test(a_renewal_without_a_write_lock_is_unavailable_and_comes_later),
		lookup_test(a_renewal_takes_force_when_the_other_mapping_is_gone),
		lookup_test(a_shadowed_service_is_watched_and_never_allowed),
		lookup_test(uses_are_written_in_one_batch_without_history),
		lookup_test(trust_is_in_force_at_the_next_lookup),
		lookup_test(each_edit_is_witnessed_once),
		lookup_test(a_forged_entry_without_json_ends_no_log),
	};

	umask(0077);
	if (certificate_init() != OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
