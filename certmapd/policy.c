/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy.c owns the gates and their order. */
#include "policy.h"

/* A row of the exact service hides the '*' row of the same certificate, and (is_hidden) of the
 * same account, whatever state it is in: disabling the exact row must not bring another one back. */
static const struct mapping *choose_mapping(const struct policy_case *c)
{
	const struct mapping *chosen = NULL;

	for (size_t i = 0; i < c->mapping_count; i++) {
		const struct mapping *m = &c->mappings[i];

		if (!m->is_identical)
			continue;
		if (m->is_exact)
			return m;
		if (c->service_inherits && !m->is_hidden)
			chosen = m;
	}
	return chosen;
}

static enum reason check_mapping(const struct mapping *m, int64_t now_sec)
{
	if (!m->enabled)
		return REASON_MAPPING_DISABLED;
	if (m->valid_from_sec != MAPPING_NO_LIMIT && now_sec < m->valid_from_sec)
		return REASON_MAPPING_NOT_YET_VALID;
	if (m->valid_until_sec != MAPPING_NO_LIMIT && now_sec > m->valid_until_sec)
		return REASON_MAPPING_EXPIRED;
	return REASON_ALLOWED;
}

/* RFC 5280 4.1.2.5: both ends belong to the validity. */
static enum reason check_certificate(const struct mapping *m, int64_t now_sec)
{
	if (now_sec < m->not_before_sec)
		return REASON_CERTIFICATE_NOT_YET_VALID;
	if (now_sec > m->not_after_sec)
		return REASON_CERTIFICATE_EXPIRED;
	return REASON_ALLOWED;
}

static enum reason check_account(const struct policy_case *c, const struct mapping *m)
{
	if (c->match && !span_is_equal(c->asked, span_of_string(m->account)))
		return REASON_ACCOUNT_MISMATCH;
	return REASON_ALLOWED;
}

struct policy_verdict policy_decide(const struct policy_case *c)
{
	struct policy_verdict verdict = { 0 };

	/* 1. The service row is enabled. */
	verdict.reason = REASON_SERVICE_DISABLED;
	if (!c->service_enabled)
		return verdict;

	/* 2. The evidence is of an accepted kind and whole. */
	verdict.reason = c->evidence == POLICY_EVIDENCE_MALFORMED ? REASON_MALFORMED_CERTIFICATE
								  : REASON_EVIDENCE_NOT_ACCEPTED;
	if (c->evidence != POLICY_EVIDENCE_WHOLE)
		return verdict;

	/* 3. A mapping is found, and the stored DER equals the presented bytes. */
	verdict.reason = REASON_UNMAPPED;
	verdict.mapping = choose_mapping(c);
	if (!verdict.mapping)
		return verdict;

	/* 4. The mapping may be used now. 5. So may the certificate. 7. It is the account asked for. */
	verdict.reason = check_mapping(verdict.mapping, c->now_sec);
	if (verdict.reason == REASON_ALLOWED)
		verdict.reason = check_certificate(verdict.mapping, c->now_sec);
	if (verdict.reason == REASON_ALLOWED)
		verdict.reason = check_account(c, verdict.mapping);
	return verdict;
}
