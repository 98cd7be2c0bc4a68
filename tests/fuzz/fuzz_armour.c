/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_armour.c: what armour opens is one SEQUENCE, comes out the same from every other form that
 * holds it, and is what OpenSSL's PEM reader finds where that one finds anything.
 */
#include "armour.h"
#include "base64.h"

#include "fuzz.h"
#include "messages.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

/* The most DER whose PEM, with every byte percent-encoded, is within EVIDENCE_MAX_BYTES. */
#define REWRAPPED_MAX_BYTES 8192u
#define TEXT_MAX_BYTES (6 * REWRAPPED_MAX_BYTES)

static void must_open(struct span text, struct span expected)
{
	uint8_t *der = malloc(ARMOUR_DER_MAX_BYTES);
	size_t length;

	MUST(der);
	MUST(armour_open_text(text, der, ARMOUR_DER_MAX_BYTES, &length) == ARMOUR_OPENED);
	MUST(span_is_equal(span_of(der, length), expected));
	MUST(armour_open_stored(text, der, ARMOUR_DER_MAX_BYTES, &length) == ARMOUR_OPENED);
	MUST(span_is_equal(span_of(der, length), expected));
	free(der);
}

static void must_open_base64(struct span der)
{
	uint8_t text[TEXT_MAX_BYTES];
	const int length = EVP_EncodeBlock(text + 1, der.bytes, (int)der.length);

	MUST(length > 0);
	must_open(span_of(text + 1, (size_t)length), der);
	text[0] = text[1 + length] = ':';
	must_open(span_of(text, (size_t)length + 2), der);
}

static void must_open_pem(struct span der)
{
	char encoded[TEXT_MAX_BYTES];
	BIO *bio = BIO_new(BIO_s_mem());
	size_t count = 0;
	long length;
	char *text;

	MUST(bio && PEM_write_bio(bio, "CERTIFICATE", "", der.bytes, (long)der.length) > 0);
	length = BIO_get_mem_data(bio, &text);
	must_open(span_of(text, (size_t)length), der);
	/* As nginx escapes it: what stands for itself in RFC 3986 2.3 does so here. */
	for (long i = 0; i < length; i++)
		count += (size_t)snprintf(encoded + count, sizeof(encoded) - count,
			strchr("\n /+=", text[i]) ? "%%%02X" : "%c", text[i]);
	must_open(span_of(encoded, count), der);
	BIO_free(bio);
}

static void must_open_in_every_form(struct span der)
{
	size_t length;
	uint8_t *out;

	/* DER itself is only known by a length of the long form: see armour.c. */
	if (der.bytes[1] >= 0x80) {
		MUST((out = malloc(der.length)));
		MUST(armour_open_stored(der, out, der.length, &length) == ARMOUR_OPENED);
		MUST(span_is_equal(span_of(out, length), der));
		free(out);
	}
	if (der.length > REWRAPPED_MAX_BYTES)
		return;
	must_open_base64(der);
	must_open_pem(der);
}

/* OpenSSL reads fewer forms and takes the first of several, but never other bytes. */
static void must_agree_with_openssl(struct span text, struct span der)
{
	BIO *bio = BIO_new_mem_buf(text.bytes, (int)text.length);
	char *name = NULL, *header = NULL;
	unsigned char *bytes = NULL;
	long length = 0;

	MUST(bio);
	if (PEM_read_bio(bio, &name, &header, &bytes, &length) == 1) {
		MUST(strcmp(name, "CERTIFICATE") == 0);
		MUST(header[0] == '\0');
		MUST(span_is_equal(span_of(bytes, (size_t)length), der));
	}
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(bytes);
	BIO_free(bio);
	ERR_clear_error();
}

/* A buffer as long as the text always suffices, and a larger one changes nothing. */
static enum armour_finding open_exactly(struct span text, uint8_t *der, size_t *ret_length)
{
	uint8_t *small = malloc(text.length > 0 ? text.length : 1);
	size_t small_length = 0, length = 0;
	enum armour_finding finding, small_finding;

	MUST(small);
	finding = armour_open_text(text, der, ARMOUR_DER_MAX_BYTES, &length);
	small_finding = armour_open_text(text, small, text.length, &small_length);
	MUST(small_finding == finding && small_length == length);
	MUST(memcmp(small, der, length) == 0);
	MUST(armour_finding_text(finding)[0] != '\0');
	free(small);
	*ret_length = length;
	return finding;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span text = span_of(data, size);
	uint8_t *der = malloc(ARMOUR_DER_MAX_BYTES);
	size_t length;

	MUST(der);
	if (open_exactly(text, der, &length) == ARMOUR_OPENED) {
		MUST(armour_check_outer(span_of(der, length)) == ARMOUR_OPENED);
		must_open_in_every_form(span_of(der, length));
		must_agree_with_openssl(text, span_of(der, length));
	}
	if (armour_open_stored(text, der, ARMOUR_DER_MAX_BYTES, &length) == ARMOUR_OPENED)
		must_open_in_every_form(span_of(der, length));
	if (base64_decode(text, BASE64_PADDED, der, ARMOUR_DER_MAX_BYTES, &length) ==
		BASE64_DECODED)
		MUST(length <= size / 4 * 3 && size % 4 == 0);
	free(der);
	return 0;
}
