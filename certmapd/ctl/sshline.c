/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sshline.c owns SSH's encoding of a public key (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4), made of
 * the parts of X.509's without decoding the key. Which algorithm it is says sshkey_read(): each
 * type is tried, and stands if the way back leads to the same bytes.
 */
#include "sshline.h"

#include "sshkey.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>

#define BLOB_MAX_BYTES 4096u

_Static_assert(SSHLINE_MAX_BYTES > (BLOB_MAX_BYTES + 2) / 3 * 4 + 64, "every blob fits a line");

static const struct {
	const char *name, *curve;
	bool is_of_numbers; /* RSA: exponent and modulus, where the others have one string */
} types[] = {
	{ "ssh-rsa", NULL, true },
	{ "ecdsa-sha2-nistp256", "nistp256", false },
	{ "ecdsa-sha2-nistp384", "nistp384", false },
	{ "ecdsa-sha2-nistp521", "nistp521", false },
	{ "ssh-ed25519", NULL, false },
};
#define TYPES (sizeof types / sizeof types[0])

struct blob {
	size_t length;
	uint8_t bytes[BLOB_MAX_BYTES];
};

/* Takes the element of this tag off the start; *ret is its content. */
static bool take_element(struct span *from, int tag, struct span *ret)
{
	const unsigned char *at = from->bytes;
	int found_tag, class;
	long length;

	if (from->length == 0)
		return false;
	if (ASN1_get_object(&at, &length, &found_tag, &class, (long)from->length) & 0x80) {
		ERR_clear_error();
		return false;
	}
	if (found_tag != tag || class != V_ASN1_UNIVERSAL)
		return false;
	*ret = span_of(at, (size_t)length);
	*from = span_of(at + length, from->length - (size_t)(at + length - from->bytes));
	return true;
}

/* What the BIT STRING of a SubjectPublicKeyInfo holds (RFC 5280 4.1), without unused bits. */
static bool find_key_bits(struct span key, struct span *ret)
{
	struct span parts, algorithm, bits;

	if (!take_element(&key, V_ASN1_SEQUENCE, &parts) ||
		!take_element(&parts, V_ASN1_SEQUENCE, &algorithm) ||
		!take_element(&parts, V_ASN1_BIT_STRING, &bits) || bits.length == 0 ||
		bits.bytes[0] != 0)
		return false;
	*ret = span_of(bits.bytes + 1, bits.length - 1);
	return true;
}

/* RFC 4251 5: four octets of length, then the bytes; a positive mpint is the content of a DER
 * INTEGER. */
static bool put_string(struct blob *blob, struct span string)
{
	const uint32_t length = (uint32_t)string.length;

	if (string.length > sizeof blob->bytes - blob->length ||
		sizeof blob->bytes - blob->length - string.length < 4)
		return false;
	for (int shift = 24; shift >= 0; shift -= 8)
		blob->bytes[blob->length++] = (uint8_t)(length >> shift);
	memcpy(blob->bytes + blob->length, string.bytes, string.length);
	blob->length += string.length;
	return true;
}

/* RFC 8017 A.1.1 has the modulus first, RFC 4253 6.6 the exponent. */
static bool put_numbers(struct blob *blob, struct span bits)
{
	struct span numbers, modulus, exponent;

	return take_element(&bits, V_ASN1_SEQUENCE, &numbers) &&
	       take_element(&numbers, V_ASN1_INTEGER, &modulus) &&
	       take_element(&numbers, V_ASN1_INTEGER, &exponent) && put_string(blob, exponent) &&
	       put_string(blob, modulus);
}

static bool print_as(size_t type, struct span bits, char ret[SSHLINE_MAX_BYTES])
{
	struct blob blob = { 0 };
	int length;

	if (!put_string(&blob, span_of_string(types[type].name)) ||
		(types[type].curve && !put_string(&blob, span_of_string(types[type].curve))) ||
		!(types[type].is_of_numbers ? put_numbers(&blob, bits) : put_string(&blob, bits)))
		return false;
	length = snprintf(ret, SSHLINE_MAX_BYTES, "%s ", types[type].name);
	EVP_EncodeBlock((unsigned char *)ret + length, blob.bytes, (int)blob.length);
	return true;
}

static bool leads_back(const char *line, struct span key)
{
	uint8_t der[SSHKEY_MAX_BYTES];
	size_t length;

	return sshkey_read(span_of_string(line), der, &length) &&
	       span_is_equal(span_of(der, length), key);
}

bool sshline_print(struct span key, char ret[SSHLINE_MAX_BYTES])
{
	char line[SSHLINE_MAX_BYTES];
	struct span bits;

	if (!find_key_bits(key, &bits))
		return false;
	for (size_t type = 0; type < TYPES; type++)
		if (print_as(type, bits, line) && leads_back(line, key)) {
			memcpy(ret, line, sizeof line);
			return true;
		}
	return false;
}
