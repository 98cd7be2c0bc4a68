/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chain.h owns the making of certificates and revocation lists for the tests of chains: each from
 * a line of a table, signed for real. Keys belong to names too, so that two certificates can share
 * one. Any failure ends the test program.
 */
#pragma once

#include "span.h"

/* A fixed day, so that every time in a test is a number: 2025-06-15 15:06:40 UTC. */
#define NOW_SEC INT64_C(1750000000)
#define DAY_SEC 86400

/* For struct chain_crl. */
#define NO_NEXT_UPDATE INT64_MIN

struct chain_certificate {
	const char *name;    /* NULL ends a table */
	const char *subject; /* attributes between slashes */
	const char *issuer;  /* the name of the certificate that signs; NULL: itself */
	const char *key; /* kind:label, of which kind is ec, rsa, weak (RSA-1024), pss, ed25519 */
	const char *extensions;      /* as in openssl's configuration; NULL: version 1 */
	const char *digest;          /* NULL: SHA256 */
	const char *signed_by;       /* a key that is not the issuer's */
	int64_t from_sec, until_sec; /* relative to NOW_SEC; both 0: 1000 days around it */
};

struct chain_crl {
	const char *name;
	const char *issuer;  /* the name of a certificate */
	const char *revoked; /* names of certificates between spaces, or NULL */
	const char *extensions;
	const char *digest;
	const char *signed_by;       /* a key that is not the issuer's */
	int64_t from_sec, until_sec; /* relative to NOW_SEC; both 0: one day around it */
	int reason;                  /* of each entry; 0: none is given */
	bool has_unknown_entries;    /* each has a critical extension that nobody knows */
};

/* Both tables live as long as the program. */
void chain_begin(const struct chain_certificate *certificates, const struct chain_crl *crls);
/* DER of a certificate or list of the tables, made when first asked for. Also writes NAME.pem into
 * the current directory. */
struct span chain_der(const char *name);
