/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trust.h owns the answer to: does a chain lead from this certificate to one of the service's trust
 * anchors, may it be used by a TLS client, and is nothing on the way revoked?
 *
 * Only for certificates that are mapped, and only against what administrators put in: the library
 * behind it decodes keys and extensions, which strangers must not reach. No SQL, no clock and no
 * network: nothing is fetched, what is not in the material is not there.
 *
 * certificate_init() comes before anything here.
 */
#pragma once

#include "errors.h"
#include "span.h"

#define TRUST_CHAIN_MAX 8u /* certificates, from the mapped one to the anchor */
#define TRUST_WHY_MAX_BYTES 512u

/* Anchors, intermediates and revocation lists, parsed. Kept as long as they do not change: it also
 * remembers which key has signed a list. For one thread. */
struct trust_material;

WARN_UNUSED enum error trust_material_new(struct trust_material **ret);
void trust_material_free(struct trust_material *material);

/* Each adds one DER, of which nothing is kept. OK with *ret_problem NULL: it is in. OK with
 * *ret_problem a sentence for people: it is not what it should be, and the material is as before:
 * a certificate or list that is not in it can't help a chain, and where lists are preferred, a list
 * that is not in it is missing, which degrades. ERROR_MEMORY, ERROR_SYSTEM: we could not find out.
 *
 * An anchor is trusted as it is, self-signed or not, but must be a certificate authority's. The
 * same certificate twice counts once, as an anchor if it was ever added as one. A list is complete:
 * delta and indirect lists are a problem. */
WARN_UNUSED enum error trust_add_anchor(
	struct trust_material *material, struct span der, const char **ret_problem);
WARN_UNUSED enum error trust_add_intermediate(
	struct trust_material *material, struct span der, const char **ret_problem);
WARN_UNUSED enum error trust_add_crl(
	struct trust_material *material, struct span der, const char **ret_problem);

/* When the first of its lists becomes stale; INT64_MAX: none does. */
int64_t trust_lists_end_sec(const struct trust_material *material);

enum trust_revocation {
	TRUST_REVOCATION_REQUIRE = 0, /* a list that is missing or stale refuses */
	TRUST_REVOCATION_PREFER,      /* it lets pass, and the verdict is degraded */
	TRUST_REVOCATION_NONE,        /* lists are not looked at */
};

/* Zero-initialised but for the usage it is the strictest. */
struct trust_rule {
	bool require_client_auth;
	enum trust_revocation revocation;
};

/* In the order in which they are found out. Of several chains the furthest one counts. */
enum trust_finding {
	TRUST_UNTRUSTED = 0, /* no valid chain to an anchor */
	TRUST_WRONG_USAGE,
	TRUST_REVOKED,
	TRUST_REVOCATION_UNKNOWN,
	TRUST_TRUSTED,
};

struct trust_verdict {
	enum trust_finding finding;    /* zero-initialised it denies */
	bool degraded;                 /* trusted although whether it is revoked is not known */
	char why[TRUST_WHY_MAX_BYTES]; /* for people, escaped like certificate_facts; "" where
					* trusted and not degraded */
	/* The verdict stands from the one to the other second, both included, as long as neither
	 * the material nor the rule changes. INT64_MIN and INT64_MAX: no limit. */
	int64_t stands_from_sec;
	int64_t stands_until_sec;
};

/* Judges the certificate `der` at `now_sec` (Unix seconds, UTC). Its own time of validity is not
 * looked at, which is another gate's; that of everything above it is.
 * Security level 2 of OpenSSL: at least 112 bits, so no SHA-1 and no RSA of 1024 bits.
 * ERROR_MEMORY, ERROR_SYSTEM: we could not find out. */
WARN_UNUSED enum error trust_check(struct trust_material *material, const struct trust_rule *rule,
	struct span der, int64_t now_sec, struct trust_verdict *ret);
