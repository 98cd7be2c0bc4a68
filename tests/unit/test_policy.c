/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_policy.c owns the table of the gates: each alone, every pair, both sides of every time. */
#include "policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000000

/* What makes each gate fail, in the order of the gates. A case starts from one that is allowed. */
struct gate {
	const char *name;
	enum reason reason;
	enum policy_gate gate;
	void (*break_it)(struct policy_case *c, struct mapping *m);
};

static void disable_service(struct policy_case *c, struct mapping *m)
{
	(void)m;
	c->service_enabled = false;
}

static void refuse_kind(struct policy_case *c, struct mapping *m)
{
	(void)m;
	c->evidence = POLICY_EVIDENCE_NOT_ACCEPTED;
}

static void break_evidence(struct policy_case *c, struct mapping *m)
{
	(void)m;
	c->evidence = POLICY_EVIDENCE_MALFORMED;
}

static void lose_mapping(struct policy_case *c, struct mapping *m)
{
	(void)m;
	c->mapping_count = 0;
}

static void differ_in_bytes(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->is_identical = false;
}

static void disable_mapping(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->enabled = false;
}

static void begin_later(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->valid_from_sec = NOW + 1;
}

static void end_earlier(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->valid_until_sec = NOW - 1;
}

static void certify_later(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->not_before_sec = NOW + 1;
}

static void certify_earlier(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->not_after_sec = NOW - 1;
}

static void doubt_issuer(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->trust = MAPPING_UNTRUSTED;
}

static void misuse(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->trust = MAPPING_WRONG_USAGE;
}

static void revoke(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->trust = MAPPING_REVOKED;
}

static void lose_list(struct policy_case *c, struct mapping *m)
{
	(void)c;
	m->trust = MAPPING_REVOCATION_UNKNOWN;
}

static void ask_for_another(struct policy_case *c, struct mapping *m)
{
	(void)m;
	c->asked = span_of_string("bob");
}

static const struct gate gates[] = {
	{ "service disabled", REASON_SERVICE_DISABLED, POLICY_GATE_SERVICE, disable_service },
	{ "kind not accepted", REASON_EVIDENCE_NOT_ACCEPTED, POLICY_GATE_EVIDENCE, refuse_kind },
	{ "evidence malformed", REASON_MALFORMED_CERTIFICATE, POLICY_GATE_EVIDENCE,
		break_evidence },
	{ "no mapping", REASON_UNMAPPED, POLICY_GATE_FOUND, lose_mapping },
	{ "other bytes", REASON_UNMAPPED, POLICY_GATE_FOUND, differ_in_bytes },
	{ "mapping disabled", REASON_MAPPING_DISABLED, POLICY_GATE_MAPPING, disable_mapping },
	{ "mapping not yet valid", REASON_MAPPING_NOT_YET_VALID, POLICY_GATE_MAPPING, begin_later },
	{ "mapping expired", REASON_MAPPING_EXPIRED, POLICY_GATE_MAPPING, end_earlier },
	{ "certificate not yet valid", REASON_CERTIFICATE_NOT_YET_VALID, POLICY_GATE_CERTIFICATE,
		certify_later },
	{ "certificate expired", REASON_CERTIFICATE_EXPIRED, POLICY_GATE_CERTIFICATE,
		certify_earlier },
	{ "untrusted issuer", REASON_UNTRUSTED_ISSUER, POLICY_GATE_TRUST, doubt_issuer },
	{ "wrong usage", REASON_WRONG_USAGE, POLICY_GATE_TRUST, misuse },
	{ "revoked", REASON_REVOKED, POLICY_GATE_TRUST, revoke },
	{ "revocation unknown", REASON_REVOCATION_UNKNOWN, POLICY_GATE_TRUST, lose_list },
	{ "another account", REASON_ACCOUNT_MISMATCH, POLICY_GATE_ACCOUNT, ask_for_another },
};

#define GATES (sizeof gates / sizeof gates[0])

static struct mapping sound_mapping(void)
{
	return (struct mapping){
		.id = 7,
		.account = "alice",
		.is_identical = true,
		.enabled = true,
		.trust = MAPPING_TRUST_NOT_REQUIRED,
		.staged_until_sec = MAPPING_NO_LIMIT,
		.valid_from_sec = MAPPING_NO_LIMIT,
		.valid_until_sec = MAPPING_NO_LIMIT,
		.not_before_sec = NOW - 10,
		.not_after_sec = NOW + 10,
	};
}

static struct policy_case sound_case(const struct mapping *mappings, size_t count)
{
	return (struct policy_case){
		.service_enabled = true,
		.service_inherits = true,
		.evidence = POLICY_EVIDENCE_WHOLE,
		.mappings = mappings,
		.mapping_count = count,
		.match = true,
		.asked = span_of_string("alice"),
		.now_sec = NOW,
	};
}

static void a_sound_case_is_allowed(void **state)
{
	struct mapping m = sound_mapping();
	struct policy_case c = sound_case(&m, 1);
	struct policy_verdict verdict = policy_decide(&c);

	(void)state;
	assert_int_equal(verdict.reason, REASON_ALLOWED);
	assert_ptr_equal(verdict.mapping, &m);
}

static void trust_that_nobody_looked_at_is_asked_for_and_never_a_yes(void **state)
{
	struct mapping m = sound_mapping();
	struct policy_case c = sound_case(&m, 1);
	struct policy_verdict verdict;

	(void)state;
	m.trust = MAPPING_TRUST_UNKNOWN;
	verdict = policy_decide(&c);
	assert_int_equal(verdict.reason, REASON_UNKNOWN);
	assert_true(verdict.needs_trust);
	assert_ptr_equal(verdict.mapping, &m);
	/* Only for a mapping that passes every gate before. */
	m.enabled = false;
	assert_int_equal(policy_decide(&c).reason, REASON_MAPPING_DISABLED);
	assert_false(policy_decide(&c).needs_trust);
	m.enabled = true;
	m.trust = MAPPING_TRUSTED;
	assert_int_equal(policy_decide(&c).reason, REASON_ALLOWED);
}

static struct mapping staged_mapping(void)
{
	struct mapping m = sound_mapping();

	m.enabled = false;
	m.is_staged = m.may_replace = true;
	return m;
}

static void a_staged_mapping_takes_over_where_every_gate_allows_it(void **state)
{
	struct mapping m = staged_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	assert_int_equal(policy_decide(&c).reason, REASON_MAPPING_DISABLED);
	assert_false(policy_decide(&c).stages);
	c.may_stage = true;
	assert_int_equal(policy_decide(&c).reason, REASON_ALLOWED);
	assert_true(policy_decide(&c).stages);
	c.asked = span_of_string("bob");
	assert_int_equal(policy_decide(&c).reason, REASON_ACCOUNT_MISMATCH);
	assert_false(policy_decide(&c).stages);
}

static void an_enabled_mapping_stages_nothing(void **state)
{
	struct mapping m = sound_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	c.may_stage = true;
	assert_int_equal(policy_decide(&c).reason, REASON_ALLOWED);
	assert_false(policy_decide(&c).stages);
}

static void a_staged_mapping_waits_where_the_other_one_was_disabled(void **state)
{
	struct mapping m = staged_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	c.may_stage = true;
	m.may_replace = false;
	assert_int_equal(policy_decide(&c).reason, REASON_MAPPING_DISABLED);
}

static void a_staging_lapses_after_its_last_second(void **state)
{
	struct mapping m = staged_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	c.may_stage = true;
	m.staged_until_sec = NOW;
	assert_int_equal(policy_decide(&c).reason, REASON_ALLOWED);
	m.staged_until_sec = NOW - 1;
	assert_int_equal(policy_decide(&c).reason, REASON_MAPPING_DISABLED);
}

static void a_zero_initialised_case_is_refused(void **state)
{
	struct policy_case c = { 0 };

	(void)state;
	assert_int_equal(policy_decide(&c).reason, REASON_SERVICE_DISABLED);
	assert_int_not_equal(((struct policy_verdict){ 0 }).reason, REASON_ALLOWED);
}

static void each_gate_names_its_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < GATES; i++) {
		struct mapping m = sound_mapping();
		struct policy_case c = sound_case(&m, 1);

		gates[i].break_it(&c, &m);
		if (policy_decide(&c).reason != gates[i].reason ||
			policy_decide(&c).gate != gates[i].gate)
			fail_msg("%s", gates[i].name);
	}
}

/* The findings of one gate never come together: evidence has one, and so has a chain. */
static bool is_of_trust(size_t i)
{
	return gates[i].break_it == doubt_issuer || gates[i].break_it == misuse ||
	       gates[i].break_it == revoke || gates[i].break_it == lose_list;
}

static bool exclude_each_other(size_t i, size_t j)
{
	return (gates[i].break_it == refuse_kind && gates[j].break_it == break_evidence) ||
	       (is_of_trust(i) && is_of_trust(j));
}

static void of_two_failing_gates_the_first_names_the_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < GATES; i++)
		for (size_t j = i + 1; j < GATES; j++) {
			struct mapping m = sound_mapping();
			struct policy_case c = sound_case(&m, 1);

			if (exclude_each_other(i, j))
				continue;
			gates[j].break_it(&c, &m);
			gates[i].break_it(&c, &m);
			if (policy_decide(&c).reason != gates[i].reason ||
				policy_decide(&c).gate != gates[i].gate)
				fail_msg("%s and %s", gates[i].name, gates[j].name);
		}
}

/* Both ends of a validity belong to it. */
static const struct {
	int64_t valid_from, valid_until, not_before, not_after;
	enum reason reason;
} times[] = {
	{ NOW, NOW, NOW, NOW, REASON_ALLOWED },
	{ NOW + 1, NOW + 1, NOW, NOW, REASON_MAPPING_NOT_YET_VALID },
	{ NOW - 1, NOW - 1, NOW, NOW, REASON_MAPPING_EXPIRED },
	{ NOW, NOW, NOW + 1, NOW + 1, REASON_CERTIFICATE_NOT_YET_VALID },
	{ NOW, NOW, NOW - 1, NOW - 1, REASON_CERTIFICATE_EXPIRED },
	{ MAPPING_NO_LIMIT, MAPPING_NO_LIMIT, INT64_MIN, INT64_MAX, REASON_ALLOWED },
	{ 0, INT64_MAX, NOW, NOW, REASON_ALLOWED },
	{ INT64_MAX, MAPPING_NO_LIMIT, NOW, NOW, REASON_MAPPING_NOT_YET_VALID },
	{ MAPPING_NO_LIMIT, 0, NOW, NOW, REASON_MAPPING_EXPIRED },
};

static void both_sides_of_every_time_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		struct mapping m = sound_mapping();
		struct policy_case c = sound_case(&m, 1);

		m.valid_from_sec = times[i].valid_from;
		m.valid_until_sec = times[i].valid_until;
		m.not_before_sec = times[i].not_before;
		m.not_after_sec = times[i].not_after;
		if (policy_decide(&c).reason != times[i].reason)
			fail_msg("row %zu", i);
	}
}

static void accounts_are_compared_byte_for_byte(void **state)
{
	static const char *const others[] = { "Alice", "alice ", " alice", "alic", "alicee", "" };
	struct mapping m = sound_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		c.asked = span_of_string(others[i]);
		assert_int_equal(policy_decide(&c).reason, REASON_ACCOUNT_MISMATCH);
	}
	c.asked = span_of("alice\0x", 7);
	assert_int_equal(policy_decide(&c).reason, REASON_ACCOUNT_MISMATCH);
	c.asked = (struct span){ 0 };
	assert_int_equal(policy_decide(&c).reason, REASON_ACCOUNT_MISMATCH);
}

static void set_mode_asks_for_no_account(void **state)
{
	struct mapping m = sound_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	c.match = false;
	c.asked = (struct span){ 0 };
	assert_int_equal(policy_decide(&c).reason, REASON_ALLOWED);
	assert_int_equal(policy_decide(&c).gate, POLICY_GATES);
	c.asked = span_of_string("bob");
	assert_int_equal(policy_decide(&c).reason, REASON_ALLOWED);
}

static void an_exact_row_hides_the_other_one_whatever_its_state(void **state)
{
	struct mapping both[2] = { sound_mapping(), sound_mapping() };
	struct policy_case c = sound_case(both, 2);

	(void)state;
	both[1].is_exact = true;
	both[1].enabled = false;
	assert_int_equal(policy_decide(&c).reason, REASON_MAPPING_DISABLED);
	assert_ptr_equal(policy_decide(&c).mapping, &both[1]);
	both[1].enabled = true;
	both[0].enabled = false;
	assert_int_equal(policy_decide(&c).reason, REASON_ALLOWED);
}

static void a_row_of_every_service_is_hidden_by_an_exact_row_of_its_account(void **state)
{
	struct mapping m = sound_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	m.is_hidden = true;
	assert_int_equal(policy_decide(&c).reason, REASON_UNMAPPED);
}

static void a_service_that_does_not_inherit_sees_its_own_rows_alone(void **state)
{
	struct mapping m = sound_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	c.service_inherits = false;
	assert_int_equal(policy_decide(&c).reason, REASON_UNMAPPED);
	m.is_exact = true;
	assert_int_equal(policy_decide(&c).reason, REASON_ALLOWED);
}

/* Two mappings that share a key or a name: `a` of alice, `b` as changed by a test. */
static enum reason judge_two(
	enum policy_sharing sharing, const struct mapping *a, const struct mapping *b)
{
	struct mapping both[2] = { *a, *b };
	struct policy_case c = sound_case(both, 2);

	both[0].fingerprint[0] = 1;
	both[1].fingerprint[0] = 2;
	c.sharing = sharing;
	return policy_decide(&c).reason;
}

static void a_key_of_two_accounts_is_ambiguous_in_whatever_state(void **state)
{
	struct mapping a = sound_mapping(), b = sound_mapping();

	(void)state;
	strcpy(b.account, "bob");
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &a, &b), REASON_AMBIGUOUS);
	b.enabled = false;
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &a, &b), REASON_AMBIGUOUS);
	b.not_after_sec = NOW - 1;
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &a, &b), REASON_AMBIGUOUS);
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &b, &a), REASON_AMBIGUOUS);
}

static void a_key_of_two_certificates_of_one_account_is_its_key(void **state)
{
	struct mapping a = sound_mapping(), b = sound_mapping();

	(void)state;
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &a, &b), REASON_ALLOWED);
	a.enabled = false;
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &a, &b), REASON_ALLOWED);
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &b, &a), REASON_ALLOWED);
	b.not_after_sec = NOW - 1;
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &a, &b), REASON_MAPPING_DISABLED);
}

static void a_name_on_two_enabled_mappings_is_ambiguous(void **state)
{
	struct mapping a = sound_mapping(), b = sound_mapping();

	(void)state;
	assert_int_equal(judge_two(POLICY_SHARED_BY_NONE, &a, &b), REASON_AMBIGUOUS);
	b.not_after_sec = NOW - 1;
	assert_int_equal(judge_two(POLICY_SHARED_BY_NONE, &a, &b), REASON_AMBIGUOUS);
	/* The certificate before a renewal, still there and disabled. */
	b.enabled = false;
	assert_int_equal(judge_two(POLICY_SHARED_BY_NONE, &a, &b), REASON_ALLOWED);
	assert_int_equal(judge_two(POLICY_SHARED_BY_NONE, &b, &a), REASON_ALLOWED);
	strcpy(b.account, "bob");
	assert_int_equal(judge_two(POLICY_SHARED_BY_NONE, &a, &b), REASON_AMBIGUOUS);
}

static void enabled_rows_conflict_whatever_stands_between_them(void **state)
{
	struct mapping rows[4] = { sound_mapping(), sound_mapping(), sound_mapping(),
		sound_mapping() };
	struct policy_case c = sound_case(rows, 4);

	(void)state;
	for (uint8_t i = 0; i < 4; i++)
		rows[i].fingerprint[0] = i;
	rows[0].enabled = rows[2].enabled = false;
	rows[1].not_after_sec = NOW - 1;
	c.sharing = POLICY_SHARED_BY_NONE;
	assert_int_equal(policy_decide(&c).reason, REASON_AMBIGUOUS);
}

static void more_mappings_than_are_read_are_ambiguous(void **state)
{
	struct mapping m = sound_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	c.sharing = POLICY_SHARED_BY_ONE_ACCOUNT;
	c.has_more = true;
	assert_int_equal(policy_decide(&c).reason, REASON_AMBIGUOUS);
}

/* What the service can't see does not make its key ambiguous. */
static void hidden_rows_of_a_shared_key_do_not_count(void **state)
{
	struct mapping a = sound_mapping(), b = sound_mapping();

	(void)state;
	strcpy(b.account, "bob");
	b.is_hidden = true;
	a.is_exact = true;
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &a, &b), REASON_ALLOWED);
}

/* The one is of another certificate, so it hides nothing of the other. */
static void an_exact_row_of_another_certificate_hides_no_row(void **state)
{
	struct mapping m[] = { sound_mapping(), sound_mapping() };
	struct policy_case c = sound_case(m, 2);

	(void)state;
	c.sharing = POLICY_SHARED_BY_ONE_ACCOUNT;
	m[0].is_exact = true;
	m[0].enabled = false;
	m[1].fingerprint[0] ^= 1;
	assert_int_equal(policy_decide(&c).reason, REASON_ALLOWED);
	m[1].fingerprint[0] ^= 1;
	assert_int_equal(policy_decide(&c).reason, REASON_MAPPING_DISABLED);
}

static void hidden_rows_do_not_count_where_they_come_first(void **state)
{
	struct mapping a = sound_mapping(), b = sound_mapping();

	(void)state;
	strcpy(a.account, "bob");
	a.is_hidden = true;
	b.is_exact = true;
	assert_int_equal(judge_two(POLICY_SHARED_BY_ONE_ACCOUNT, &a, &b), REASON_ALLOWED);
}

static void trust_is_asked_for_behind_a_mapping_that_is_refused(void **state)
{
	struct mapping m[] = { sound_mapping(), sound_mapping() };
	struct policy_case c = sound_case(m, 2);

	(void)state;
	c.sharing = POLICY_SHARED_BY_ONE_ACCOUNT;
	m[0].enabled = false;
	m[1].trust = MAPPING_TRUST_UNKNOWN;
	assert_true(policy_decide(&c).needs_trust);
	assert_ptr_equal(policy_decide(&c).mapping, &m[1]);
	assert_int_equal(policy_decide(&c).reason, REASON_UNKNOWN);
}

/* Memory that was overwritten, or a number of a newer part: never a yes. */
static void numbers_that_stand_for_nothing_are_refused(void **state)
{
	struct mapping m = sound_mapping();
	struct policy_case c = sound_case(&m, 1);

	(void)state;
	m.trust = (enum mapping_trust)99;
	assert_int_equal(policy_decide(&c).reason, REASON_UNKNOWN);
	m.trust = MAPPING_TRUSTED;
	c.evidence = (enum policy_evidence)99;
	assert_int_equal(policy_decide(&c).reason, REASON_EVIDENCE_NOT_ACCEPTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_case_is_allowed),
		cmocka_unit_test(a_zero_initialised_case_is_refused),
		cmocka_unit_test(trust_that_nobody_looked_at_is_asked_for_and_never_a_yes),
		cmocka_unit_test(a_staged_mapping_takes_over_where_every_gate_allows_it),
		cmocka_unit_test(an_enabled_mapping_stages_nothing),
		cmocka_unit_test(a_staged_mapping_waits_where_the_other_one_was_disabled),
		cmocka_unit_test(a_staging_lapses_after_its_last_second),
		cmocka_unit_test(each_gate_names_its_reason),
		cmocka_unit_test(of_two_failing_gates_the_first_names_the_reason),
		cmocka_unit_test(both_sides_of_every_time_are_told_apart),
		cmocka_unit_test(accounts_are_compared_byte_for_byte),
		cmocka_unit_test(set_mode_asks_for_no_account),
		cmocka_unit_test(an_exact_row_hides_the_other_one_whatever_its_state),
		cmocka_unit_test(a_row_of_every_service_is_hidden_by_an_exact_row_of_its_account),
		cmocka_unit_test(a_service_that_does_not_inherit_sees_its_own_rows_alone),
		cmocka_unit_test(a_key_of_two_accounts_is_ambiguous_in_whatever_state),
		cmocka_unit_test(a_key_of_two_certificates_of_one_account_is_its_key),
		cmocka_unit_test(a_name_on_two_enabled_mappings_is_ambiguous),
		cmocka_unit_test(enabled_rows_conflict_whatever_stands_between_them),
		cmocka_unit_test(more_mappings_than_are_read_are_ambiguous),
		cmocka_unit_test(hidden_rows_of_a_shared_key_do_not_count),
		cmocka_unit_test(hidden_rows_do_not_count_where_they_come_first),
		cmocka_unit_test(an_exact_row_of_another_certificate_hides_no_row),
		cmocka_unit_test(trust_is_asked_for_behind_a_mapping_that_is_refused),
		cmocka_unit_test(numbers_that_stand_for_nothing_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
