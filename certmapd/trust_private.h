/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trust_private.h owns what the files trust*.c share and nobody else may use. */
#pragma once

#include "certificate.h"
#include "crl.h"
#include "trust.h"

/* One certificate that a chain is made of. */
struct authority {
	X509 *certificate;
	bool is_anchor;
	uint8_t fingerprint[FINGERPRINT_BYTES];
	int64_t not_before_sec;
	int64_t not_after_sec;
	char subject[CERTIFICATE_NAME_MAX_BYTES];
};

struct trust_material {
	struct authority **authorities;
	size_t authority_count;
	struct crl **crls;
	size_t crl_count;
};

/* As certificate_read(): OK with *ret_problem set is an answer, and *ret stays as it was. */
WARN_UNUSED enum error trust_authority_new(
	struct span der, struct authority **ret, const char **ret_problem);
void trust_authority_free(struct authority *authority);
void trust_authority_freep(struct authority **authority);
#define TRUST_AUTHORITY_FREE __attribute__((cleanup(trust_authority_freep)))

/* Borrowed from the material; NULL: it has none with this fingerprint. */
struct authority *trust_find_authority(
	const struct trust_material *material, const uint8_t fingerprint[FINGERPRINT_BYTES]);

/* One way from the mapped certificate, which is the first of the chain; whole, it ends at an
 * anchor. */
struct trust_path {
	const struct trust_material *material;
	const struct trust_rule *rule;
	int64_t now_sec;
	const struct authority *chain[TRUST_CHAIN_MAX];
	size_t length;
};

/* Whether everything above the mapped certificate is valid now: the cheap question, before the
 * other ones. */
enum trust_finding trust_judge_times(const struct trust_path *path, struct trust_verdict *verdict);
/* Everything else about a whole path. */
WARN_UNUSED enum error trust_judge_path(
	const struct trust_path *path, struct trust_verdict *verdict);

/* Sets verdict->why. */
__attribute__((format(printf, 2, 3))) void trust_explain(
	struct trust_verdict *verdict, const char *format, ...);
