/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fixture.h owns what the tests of store, index and lookup share: a real database in a directory of
 * its own, a second handle that plays the person at the sqlite3 shell, and certificates.
 */
#pragma once

#include "span.h"

#include <sqlite3.h>
#include <stdio.h>

struct fixture {
	char directory[64];
	char path[96];  /* of the database, from the migrations */
	sqlite3 *shell; /* a person's handle */
};

void fixture_init(struct fixture *f);
/* With the schema of an earlier version. */
void fixture_init_version(struct fixture *f, unsigned version);
void fixture_done(struct fixture *f);

/* Opens the database at f->path anew for the person. */
void fixture_reopen(struct fixture *f);

/* Runs SQL as the person; fails the test if it is refused. */
__attribute__((format(printf, 2, 3))) void fixture_run(struct fixture *f, const char *format, ...);

/* Brings everything committed from the WAL into the file itself. */
void fixture_checkpoint(struct fixture *f);

/* The first column of the first row, as a number. */
int64_t fixture_number(struct fixture *f, const char *sql);

/* Inserts a mapping for `service` with the certificate's bytes as they are. */
void fixture_map(struct fixture *f, const char *service, const char *account, struct span bytes);

/* A self-signed certificate in DER, valid for an hour around now, in memory of its own. */
struct span fixture_certificate(const char *common_name);
/* The same with a subject of several attributes ("CN=alice,O=Test"), an issuer of another name, and
 * the key of `key_of` (NULL: a new one). */
struct span fixture_certificate_like(
	const char *subject, const char *issuer, const struct span *key_of);
/* SHA-256 of the certificate's SubjectPublicKeyInfo as OpenSSL sees it, in hexadecimal. */
void fixture_key_fingerprint(struct span der, char ret[65]);
/* The line that stunnel would hand over for the subject or the issuer, in memory of its own. */
char *fixture_line(struct span der, bool is_issuer);
/* PEM of DER, terminated, in memory of its own. */
char *fixture_pem(struct span der);
/* The same certificate but for some bytes of its signature, so one of another fingerprint that
 * costs no key: nothing here verifies signatures. `der` is changed in place. */
void fixture_vary(struct span der, uint32_t number);
