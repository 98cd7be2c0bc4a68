/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crl.h owns revocation lists: what a list is, who has signed it, and what several of them together
 * say of one certificate. It belongs to trust*.c and shows OpenSSL's types.
 */
#pragma once

#include "errors.h"
#include "span.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* For a list that does not say when the next one comes. */
#define CRL_NO_NEXT_UPDATE INT64_MIN

/* Issuers that a list remembers: the keys and cross-signed certificates of one name. */
#define CRL_JUDGMENTS 4u

struct crl_judgment {
	const X509 *issuer; /* borrowed, and only compared */
	bool is_theirs;
};

struct crl {
	X509_CRL *list;
	ISSUING_DIST_POINT *scope; /* NULL: every certificate of the issuer */
	int64_t this_update_sec;
	int64_t next_update_sec; /* or CRL_NO_NEXT_UPDATE; both ends belong to the validity */
	/* Of whom it was asked last whether the list is theirs: the hash of a list of megabytes is
	 * not computed for each login. */
	struct crl_judgment judgments[CRL_JUDGMENTS];
	size_t next_judgment; /* the place that is taken over next */
};

enum crl_standing {
	CRL_UNKNOWN = 0,
	CRL_GOOD,
	CRL_REVOKED,
};

/* As certificate_read(): OK with *ret_problem set is an answer, and *ret stays as it was. */
WARN_UNUSED enum error crl_new(struct span der, struct crl **ret, const char **ret_problem);
void crl_free(struct crl *crl);

/* What the lists say of `certificate`, whose signature by `issuer` was verified. *ret_why: a fixed
 * text where it is CRL_UNKNOWN, else NULL. */
WARN_UNUSED enum error crl_judge(struct crl *const *crls, size_t count, X509 *certificate,
	X509 *issuer, int64_t now_sec, enum crl_standing *ret, const char **ret_why);
