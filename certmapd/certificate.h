/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * certificate.h owns the facts of one enrolled certificate, and the files certificate*.c are those
 * that know OpenSSL's ASN.1 and digests.
 *
 * Only what an administrator stored is ever parsed here. The public key is left as bytes: an
 * unknown key type (ML-DSA) maps like any other, and decoding a key is both ten times the rest of
 * the work and what hostile keys attack (CVE-2022-0778).
 */
#pragma once

#include "errors.h"
#include "span.h"

#define FINGERPRINT_BYTES 32u             /* SHA-256 */
#define CERTIFICATE_NAME_MAX_BYTES 1024u  /* a printed name, cut at a whole character beyond */
#define CERTIFICATE_SERIAL_MAX_BYTES 128u /* hexadecimal; RFC 5280 4.1.2.2 allows 20 octets */

struct certificate_facts {
	uint8_t fingerprint[FINGERPRINT_BYTES];     /* SHA-256 of the whole DER */
	uint8_t key_fingerprint[FINGERPRINT_BYTES]; /* SHA-256 of the DER of SubjectPublicKeyInfo */
	char subject[CERTIFICATE_NAME_MAX_BYTES];   /* RFC 4514, UTF-8, controls escaped */
	char issuer[CERTIFICATE_NAME_MAX_BYTES];
	char serial[CERTIFICATE_SERIAL_MAX_BYTES]; /* lower-case hexadecimal, '-' before a
						    * negative, "..." after a cut one */
	int64_t not_before_sec; /* Unix seconds, UTC; both ends belong to the validity, */
	int64_t not_after_sec;  /* RFC 5280 4.1.2.5 */
};

/* Longer names are not printed for comparing: no service hands over such. */
#define CERTIFICATE_LINE_MAX_BYTES 16384u

/* What weaker evidence is compared with. In memory of its own: certificate_names_done(). */
struct certificate_names {
	char *subject_line; /* as stunnel prints it: OpenSSL's one-line form, UTF-8 not escaped;
			       NULL: */
	char *issuer_line;  /* longer than CERTIFICATE_LINE_MAX_BYTES */
	char **values; /* of the subject's commonName, UID, emailAddress, x500UniqueIdentifier and
			* serialNumber, in UTF-8; those with a NUL are left out */
	size_t value_count;
};

void certificate_names_done(struct certificate_names *names);

/* Fetches the digest once for the life of the process. Call before anything else here; a second
 * call does nothing. ERROR_MEMORY or ERROR_SYSTEM. */
WARN_UNUSED enum error certificate_init(void);
/* Frees that, and the memory of the last issuer. */
void certificate_done(void);

/* SHA-256 of bytes. Knows nothing of what they are. */
WARN_UNUSED enum error certificate_fingerprint(struct span der, uint8_t ret[FINGERPRINT_BYTES]);

/* Reads the facts of a whole certificate. `der` is compared with its own canonical form as far as
 * it matters for identity: every length in the fewest octets, nothing indefinite, no constructed
 * strings, nothing after the end (X.690 10.1, 10.2), valid times in one of the two forms of
 * RFC 5280 4.1.2.5.
 * OK with *ret_problem NULL: *ret is filled. OK with *ret_problem a sentence for people: the bytes
 * are not an acceptable certificate, *ret holds the fingerprint alone. ERROR_MEMORY, ERROR_SYSTEM:
 * we could not find out. */
WARN_UNUSED enum error certificate_read(
	struct span der, struct certificate_facts *ret, const char **ret_problem);

/* The same, and the names; *ret_names is set only where there is no problem. */
WARN_UNUSED enum error certificate_read_names(struct span der, struct certificate_facts *ret,
	struct certificate_names *ret_names, const char **ret_problem);

/* Copies the DER of the SubjectPublicKeyInfo, whose SHA-256 is key_fingerprint. The key itself is
 * not looked at. OK with *ret_problem NULL or a sentence, as above; *ret_length is set only without
 * one. ERROR_TOO_LARGE: it is longer than `capacity`. ERROR_MEMORY. */
WARN_UNUSED enum error certificate_copy_key(struct span der, uint8_t *ret, size_t capacity,
	size_t *ret_length, const char **ret_problem);
