/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_trust.c: parts of an input are anchors, intermediates, lists and the certificate in
 * question. Without an anchor nobody passes, a stricter rule never passes what a laxer one refuses,
 * and a verdict stands at the second it was made for, and comes out the same again.
 *
 * An input: a byte of kind and a part, again and again; the parts of kind LEAF are judged at the
 * end.
 */
#include "trust.h"

#include "certificate.h"
#include "fuzz.h"

#define LEAVES_MAX 2
/* 2030: the seeds are valid then. */
#define NOW_SEC INT64_C(1900000000)

enum part_kind {
	PART_LEAF,
	PART_INTERMEDIATE,
	PART_ANCHOR,
	PART_CRL,
	PART_KINDS,
};

struct parts {
	struct trust_material *material, *without_anchors;
	struct span leaves[LEAVES_MAX];
	size_t leaf_count;
};

static void add(struct parts *parts, enum part_kind kind, struct span der)
{
	const char *problem = NULL;

	switch (kind) {
	case PART_INTERMEDIATE:
		MUST(trust_add_intermediate(parts->material, der, &problem) == OK);
		MUST(trust_add_intermediate(parts->without_anchors, der, &problem) == OK);
		break;
	case PART_ANCHOR:
		MUST(trust_add_anchor(parts->material, der, &problem) == OK);
		break;
	case PART_CRL:
		MUST(trust_add_crl(parts->material, der, &problem) == OK);
		break;
	case PART_LEAF:
	case PART_KINDS:
		break;
	}
	MUST(!problem || problem[0] != '\0');
}

static struct trust_verdict judge(struct trust_material *material, struct span der,
	enum trust_revocation revocation, bool require_client_auth)
{
	const struct trust_rule rule = { .require_client_auth = require_client_auth,
		.revocation = revocation };
	struct trust_verdict verdict, again;

	MUST(trust_check(material, &rule, der, NOW_SEC, &verdict) == OK);
	MUST(verdict.stands_from_sec <= NOW_SEC && verdict.stands_until_sec >= NOW_SEC);
	MUST(strnlen(verdict.why, sizeof(verdict.why)) < sizeof(verdict.why));
	MUST((verdict.why[0] == '\0') == (verdict.finding == TRUST_TRUSTED && !verdict.degraded));
	MUST(!verdict.degraded ||
		(verdict.finding == TRUST_TRUSTED && revocation == TRUST_REVOCATION_PREFER));
	MUST(trust_check(material, &rule, der, NOW_SEC, &again) == OK);
	MUST(verdict.finding == again.finding && verdict.degraded == again.degraded);
	return verdict;
}

static bool is_clean(struct trust_verdict verdict)
{
	return verdict.finding == TRUST_TRUSTED && !verdict.degraded;
}

static void judge_leaf(struct parts *parts, struct span der)
{
	const struct trust_verdict strict =
		judge(parts->material, der, TRUST_REVOCATION_REQUIRE, true);
	const struct trust_verdict prefer =
		judge(parts->material, der, TRUST_REVOCATION_PREFER, true);
	const struct trust_verdict none = judge(parts->material, der, TRUST_REVOCATION_NONE, true);
	const struct trust_verdict lax = judge(parts->material, der, TRUST_REVOCATION_NONE, false);

	MUST(is_clean(strict) == is_clean(prefer));
	MUST(prefer.finding != TRUST_TRUSTED || is_clean(none));
	MUST(!is_clean(none) || is_clean(lax));
	MUST(judge(parts->without_anchors, der, TRUST_REVOCATION_NONE, false).finding ==
		TRUST_UNTRUSTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { span_of(data, size) };
	struct parts parts = { 0 };

	MUST(certificate_init() == OK && trust_material_new(&parts.material) == OK &&
		trust_material_new(&parts.without_anchors) == OK);
	while (input.left.length > 0) {
		const enum part_kind kind = fuzz_take_byte(&input) % PART_KINDS;
		FUZZ_PART der = fuzz_take_part(&input);

		if (kind != PART_LEAF)
			add(&parts, kind, der);
		else if (parts.leaf_count < LEAVES_MAX)
			parts.leaves[parts.leaf_count++] = fuzz_copy(der);
	}
	for (size_t i = 0; i < parts.leaf_count; i++) {
		judge_leaf(&parts, parts.leaves[i]);
		fuzz_free(&parts.leaves[i]);
	}
	trust_material_free(parts.material);
	trust_material_free(parts.without_anchors);
	return 0;
}
