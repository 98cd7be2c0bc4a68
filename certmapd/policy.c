/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy.c owns the gates and their order. */
#include "policy.h"

#include <string.h>

/* A row of the exact service hides the '*' row of the same certificate, and (is_hidden) of the
 * same account, whatever state it is in: disabling the exact row must not bring another one back.
 */
static bool is_hidden(const struct policy_case *c, const struct mapping *m)
{
	if (m->is_exact)
		return false;
	if (m->is_hidden || !c->service_inherits)
		return true;
	for (size_t i = 0; i < c->mapping_count; i++)
		if (c->mappings[i].is_exact && memcmp(c->mappings[i].fingerprint, m->fingerprint,
						       sizeof m->fingerprint) == 0)
			return true;
	return false;
}

static bool is_visible(const struct policy_case *c, const struct mapping *m)
{
	return m->is_identical && !is_hidden(c, m);
}

/* A staged mapping stands for the one that it replaces. Where that one was disabled, its account
 * was shut out, and the next certificate must not let it in again; where it is gone, it is in
 * nobody's way. */
static bool may_take_over(const struct policy_case *c, const struct mapping *m)
{
	return c->may_stage && m->is_staged && m->may_replace &&
	       (m->staged_until_sec == MAPPING_NO_LIMIT || c->now_sec <= m->staged_until_sec);
}

static enum reason check_mapping(const struct policy_case *c, const struct mapping *m)
{
	const int64_t now_sec = c->now_sec;

	if (!m->enabled && !may_take_over(c, m))
		return REASON_MAPPING_DISABLED;
	if (m->valid_from_sec != MAPPING_NO_LIMIT && now_sec < m->valid_from_sec)
		return REASON_MAPPING_NOT_YET_VALID;
	if (m->valid_until_sec != MAPPING_NO_LIMIT && now_sec > m->valid_until_sec)
		return REASON_MAPPING_EXPIRED;
	return REASON_ALLOWED;
}

/* RFC 5280 4.1.2.5: both ends belong to the validity. */
static enum reason check_certificate(const struct policy_case *c, const struct mapping *m)
{
	if (c->now_sec < m->not_before_sec)
		return REASON_CERTIFICATE_NOT_YET_VALID;
	if (c->now_sec > m->not_after_sec)
		return REASON_CERTIFICATE_EXPIRED;
	return REASON_ALLOWED;
}

static enum reason check_trust(const struct policy_case *c, const struct mapping *m)
{
	(void)c;
	switch (m->trust) {
	case MAPPING_TRUST_NOT_REQUIRED:
	case MAPPING_TRUSTED:
		return REASON_ALLOWED;
	case MAPPING_UNTRUSTED:
		return REASON_UNTRUSTED_ISSUER;
	case MAPPING_WRONG_USAGE:
		return REASON_WRONG_USAGE;
	case MAPPING_REVOKED:
		return REASON_REVOKED;
	case MAPPING_REVOCATION_UNKNOWN:
		return REASON_REVOCATION_UNKNOWN;
	case MAPPING_TRUST_UNKNOWN:
		break;
	}
	return REASON_UNKNOWN;
}

static enum reason check_account(const struct policy_case *c, const struct mapping *m)
{
	if (c->match && !span_is_equal(c->asked, span_of_string(m->account)))
		return REASON_ACCOUNT_MISMATCH;
	return REASON_ALLOWED;
}

/* What is asked of one mapping, in the order of the gates. */
static const struct {
	enum policy_gate gate;
	enum reason (*check)(const struct policy_case *c, const struct mapping *m);
} mapping_gates[] = {
	{ POLICY_GATE_MAPPING, check_mapping },
	{ POLICY_GATE_CERTIFICATE, check_certificate },
	{ POLICY_GATE_TRUST, check_trust },
	{ POLICY_GATE_ACCOUNT, check_account },
};

static struct policy_verdict check_all(const struct policy_case *c, const struct mapping *m)
{
	for (size_t i = 0; i < sizeof mapping_gates / sizeof mapping_gates[0]; i++) {
		const enum reason reason = mapping_gates[i].check(c, m);

		if (reason != REASON_ALLOWED)
			return (struct policy_verdict){
				.reason = reason, .gate = mapping_gates[i].gate, .mapping = m
			};
	}
	return (struct policy_verdict){
		.reason = REASON_ALLOWED, .gate = POLICY_GATES, .mapping = m
	};
}

static struct policy_verdict refuse(enum policy_gate gate, enum reason reason)
{
	return (struct policy_verdict){ .reason = reason, .gate = gate };
}

/* Rows of other accounts count in whatever state they are: disabling alice's row, because her key
 * was stolen, must not turn it into bob's. An older certificate of the same account, disabled when
 * it was renewed, is in nobody's way. */
static bool are_in_conflict(
	const struct policy_case *c, const struct mapping *one, const struct mapping *other)
{
	if (!span_is_equal(span_of_string(one->account), span_of_string(other->account)))
		return true;
	return c->sharing == POLICY_SHARED_BY_NONE && one->enabled && other->enabled;
}

static bool is_ambiguous(const struct policy_case *c)
{
	if (c->sharing == POLICY_NOT_SHARED)
		return false;
	for (size_t i = 0; i < c->mapping_count; i++)
		for (size_t j = i + 1; j < c->mapping_count; j++)
			if (is_visible(c, &c->mappings[i]) && is_visible(c, &c->mappings[j]) &&
				are_in_conflict(c, &c->mappings[i], &c->mappings[j]))
				return true;
	return c->has_more;
}

/* Of several mappings of one account the first that is allowed decides, else the first. */
static struct policy_verdict judge_mappings(const struct policy_case *c)
{
	struct policy_verdict verdict = refuse(POLICY_GATE_FOUND, REASON_UNMAPPED);

	if (is_ambiguous(c))
		return refuse(POLICY_GATE_FOUND, REASON_AMBIGUOUS);
	for (size_t i = 0; i < c->mapping_count; i++) {
		struct policy_verdict next;

		if (!is_visible(c, &c->mappings[i]))
			continue;
		next = check_all(c, &c->mappings[i]);
		if (!verdict.mapping || next.reason == REASON_ALLOWED ||
			next.reason == REASON_UNKNOWN)
			verdict = next;
		if (next.reason == REASON_ALLOWED || next.reason == REASON_UNKNOWN)
			break;
	}
	verdict.stages = verdict.reason == REASON_ALLOWED && !verdict.mapping->enabled;
	verdict.needs_trust = verdict.reason == REASON_UNKNOWN;
	return verdict;
}

struct policy_verdict policy_decide(const struct policy_case *c)
{
	if (!c->service_enabled)
		return refuse(POLICY_GATE_SERVICE, REASON_SERVICE_DISABLED);
	switch (c->evidence) {
	case POLICY_EVIDENCE_MALFORMED:
		return refuse(POLICY_GATE_EVIDENCE, REASON_MALFORMED_CERTIFICATE);
	case POLICY_EVIDENCE_WHOLE:
		return judge_mappings(c);
	case POLICY_EVIDENCE_NOT_ACCEPTED:
		break;
	}
	return refuse(POLICY_GATE_EVIDENCE, REASON_EVIDENCE_NOT_ACCEPTED);
}
