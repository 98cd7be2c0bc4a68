/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_certificate.c: the facts of a certificate are the same by both ways of reading them, hold
 * nothing that could forge a line, and are what OpenSSL's own parser says where that one goes
 * along.
 */
#include "certificate.h"

#include "fuzz.h"
#include "utf8.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <time.h>

static void must_be_digest(struct span bytes, const uint8_t digest[FINGERPRINT_BYTES])
{
	uint8_t expected[FINGERPRINT_BYTES];

	MUST(EVP_Digest(bytes.bytes, bytes.length, expected, NULL, EVP_sha256(), NULL) == 1);
	MUST(memcmp(expected, digest, sizeof(expected)) == 0);
}

static void must_be_harmless(const char *text, size_t capacity)
{
	struct span left = span_of(text, strnlen(text, capacity));
	uint32_t code_point;

	MUST(left.length < capacity);
	while (left.length > 0) {
		const size_t length = utf8_read(left, &code_point);

		MUST(length > 0 && code_point >= 0x20 && code_point != 0x7f);
		left = span_of(left.bytes + length, left.length - length);
	}
}

static void check_names(struct certificate_names *names)
{
	MUST(!names->subject_line || strlen(names->subject_line) <= CERTIFICATE_LINE_MAX_BYTES);
	MUST(!names->issuer_line || strlen(names->issuer_line) <= CERTIFICATE_LINE_MAX_BYTES);
	for (size_t i = 0; i < names->value_count; i++)
		MUST(names->values[i][0] != '\0');
	certificate_names_done(names);
}

static void check_key(struct span der, const uint8_t key_fingerprint[FINGERPRINT_BYTES])
{
	uint8_t *key = malloc(der.length);
	const char *problem = "";
	size_t length = 0;

	MUST(key);
	MUST(certificate_copy_key(der, key, der.length, &length, &problem) == OK && !problem);
	MUST(memmem(der.bytes, der.length, key, length));
	must_be_digest(span_of(key, length), key_fingerprint);
	MUST(certificate_copy_key(der, key, length - 1, &length, &problem) == ERROR_TOO_LARGE);
	free(key);
}

static void must_be_time(const ASN1_TIME *time, int64_t sec)
{
	struct tm tm;

	MUST(ASN1_TIME_to_tm(time, &tm) == 1 && timegm(&tm) == sec);
}

static void must_agree_with_openssl(struct span der, const struct certificate_facts *facts)
{
	const unsigned char *at = der.bytes;
	X509 *x = d2i_X509(NULL, &at, (long)der.length);

	if (x) {
		MUST(at == der.bytes + der.length);
		must_be_time(X509_get0_notBefore(x), facts->not_before_sec);
		must_be_time(X509_get0_notAfter(x), facts->not_after_sec);
	}
	X509_free(x);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span der = span_of(data, size);
	struct certificate_names names = { 0 };
	struct certificate_facts facts, again;
	const char *problem, *same_problem;

	MUST(certificate_init() == OK);
	/* OK, because a want of memory, of which there is enough, would hold up the rows behind it. */
	MUST(certificate_read(der, &facts, &problem) == OK);
	MUST(certificate_read_names(der, &again, &names, &same_problem) == OK);
	MUST(problem == same_problem && memcmp(&facts, &again, sizeof(facts)) == 0);
	must_be_digest(der, facts.fingerprint);
	if (problem) {
		MUST(!names.values && !names.subject_line && !names.issuer_line);
		return 0;
	}
	MUST(facts.not_before_sec <= facts.not_after_sec);
	must_be_harmless(facts.subject, sizeof(facts.subject));
	must_be_harmless(facts.issuer, sizeof(facts.issuer));
	must_be_harmless(facts.serial, sizeof(facts.serial));
	check_names(&names);
	check_key(der, facts.key_fingerprint);
	must_agree_with_openssl(der, &facts);
	return 0;
}
