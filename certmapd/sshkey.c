/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sshkey.c owns the two encodings of a public key: SSH's (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4)
 * and that of X.509 (RFC 3279 2.3.1, RFC 5480 2, RFC 8410 4).
 */
#include "sshkey.h"

#include "base64.h"

#define BLOB_MAX_BYTES 4095u /* a multiple of three, so that base64 can fill it */
#define ED25519_BYTES 32u
#define POINT_UNCOMPRESSED 0x04u

#define TAG_INTEGER 0x02u
#define TAG_BIT_STRING 0x03u
#define TAG_SEQUENCE 0x30u

/* AlgorithmIdentifiers, whole: tag, length, object identifier and parameters. */
static const uint8_t rsa_algorithm[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
	0x01, 0x01, 0x01, 0x05, 0x00 };
static const uint8_t p256_algorithm[] = { 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
	0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
static const uint8_t p384_algorithm[] = { 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
	0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 };
static const uint8_t p521_algorithm[] = { 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
	0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23 };
static const uint8_t ed25519_algorithm[] = { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 };

/* DER that grows from its end to its start, so that each length is known when it is written. */
struct der_writer {
	uint8_t *bytes;
	size_t start; /* what is written stands from here to SSHKEY_MAX_BYTES */
	bool is_full;
};

struct key_type {
	const char *name;
	const char *curve; /* the second string of an ECDSA key */
	size_t point_bytes;
	struct span algorithm;
	bool (*write)(const struct key_type *type, struct span rest, struct der_writer *out);
};

static void put_bytes(struct der_writer *out, struct span bytes)
{
	if (bytes.length > out->start) {
		out->is_full = true;
		return;
	}
	out->start -= bytes.length;
	memcpy(out->bytes + out->start, bytes.bytes, bytes.length);
}

static void put_byte(struct der_writer *out, uint8_t byte)
{
	put_bytes(out, span_of(&byte, 1));
}

/* The tag and the length (X.690 8.1.3, 10.1) of what was written since `end`. */
static void put_header(struct der_writer *out, uint8_t tag, size_t end)
{
	size_t length = end - out->start, octets = 0;

	if (length < 0x80) {
		put_byte(out, (uint8_t)length);
	} else {
		for (; length > 0; length >>= 8, octets++)
			put_byte(out, (uint8_t)length);
		put_byte(out, (uint8_t)(0x80 | octets));
	}
	put_byte(out, tag);
}

/* RFC 4251 5: four octets of length, then the bytes. */
static bool take_string(struct span *from, struct span *ret)
{
	size_t length;

	if (from->length < 4)
		return false;
	length = (size_t)from->bytes[0] << 24 | (size_t)from->bytes[1] << 16 |
		 (size_t)from->bytes[2] << 8 | from->bytes[3];
	if (length > from->length - 4)
		return false;
	*ret = span_of(from->bytes + 4, length);
	*from = span_of(from->bytes + 4 + length, from->length - 4 - length);
	return true;
}

/* A positive mpint in its one form: the content of a DER INTEGER is the same. */
static bool take_number(struct span *from, struct span *ret)
{
	struct span number;

	if (!take_string(from, &number) || number.length == 0 || (number.bytes[0] & 0x80))
		return false;
	if (number.bytes[0] == 0 && (number.length == 1 || !(number.bytes[1] & 0x80)))
		return false;
	*ret = number;
	return true;
}

static void put_number(struct der_writer *out, struct span number)
{
	size_t end = out->start;

	put_bytes(out, number);
	put_header(out, TAG_INTEGER, end);
}

/* What was written since `end` is the key itself: a BIT STRING without unused bits. */
static void put_key(struct der_writer *out, size_t end)
{
	put_byte(out, 0);
	put_header(out, TAG_BIT_STRING, end);
}

static bool write_rsa(const struct key_type *type, struct span rest, struct der_writer *out)
{
	struct span exponent, modulus;
	size_t end = out->start;

	(void)type;
	if (!take_number(&rest, &exponent) || !take_number(&rest, &modulus) || rest.length > 0)
		return false;
	put_number(out, exponent);
	put_number(out, modulus);
	put_header(out, TAG_SEQUENCE, end);
	put_key(out, end);
	return true;
}

static bool write_ecdsa(const struct key_type *type, struct span rest, struct der_writer *out)
{
	struct span curve, point;
	size_t end = out->start;

	if (!take_string(&rest, &curve) || !take_string(&rest, &point) || rest.length > 0 ||
		!span_is_equal(curve, span_of_string(type->curve)) ||
		point.length != type->point_bytes || point.bytes[0] != POINT_UNCOMPRESSED)
		return false;
	put_bytes(out, point);
	put_key(out, end);
	return true;
}

static bool write_ed25519(const struct key_type *type, struct span rest, struct der_writer *out)
{
	struct span key;
	size_t end = out->start;

	(void)type;
	if (!take_string(&rest, &key) || rest.length > 0 || key.length != ED25519_BYTES)
		return false;
	put_bytes(out, key);
	put_key(out, end);
	return true;
}

#define ALGORITHM(bytes)                                                                           \
	{                                                                                          \
		bytes, sizeof(bytes)                                                               \
	}

static const struct key_type key_types[] = {
	{ "ssh-rsa", NULL, 0, ALGORITHM(rsa_algorithm), write_rsa },
	{ "ecdsa-sha2-nistp256", "nistp256", 65, ALGORITHM(p256_algorithm), write_ecdsa },
	{ "ecdsa-sha2-nistp384", "nistp384", 97, ALGORITHM(p384_algorithm), write_ecdsa },
	{ "ecdsa-sha2-nistp521", "nistp521", 133, ALGORITHM(p521_algorithm), write_ecdsa },
	{ "ssh-ed25519", NULL, 0, ALGORITHM(ed25519_algorithm), write_ed25519 },
};

static const struct key_type *find_type(struct span name)
{
	for (size_t i = 0; i < sizeof key_types / sizeof key_types[0]; i++)
		if (span_is_equal(span_of_string(key_types[i].name), name))
			return &key_types[i];
	return NULL;
}

/* Up to the next separator; *from is what follows after it. */
static struct span take_until(struct span *from, uint8_t separator)
{
	const uint8_t *end = from->length > 0 ? memchr(from->bytes, separator, from->length) : NULL;
	struct span taken = span_of(from->bytes, end ? (size_t)(end - from->bytes) : from->length);

	*from = end ? span_of(end + 1, from->length - taken.length - 1)
		    : span_of(from->bytes + from->length, 0);
	return taken;
}

/* Leaves the one line that holds a key, without the word "publickey". */
static bool find_line(struct span text, struct span *ret)
{
	struct span line, word, found = { 0 };

	while (text.length > 0) {
		line = take_until(&text, '\n');
		struct span rest = line;
		word = take_until(&rest, ' ');
		if (!span_is_equal(word, span_of_string("publickey")) && !find_type(word))
			continue;
		if (span_is_present(found))
			return false;
		found = find_type(word) ? line : rest;
	}
	*ret = found;
	return span_is_present(found);
}

bool sshkey_read(struct span text, uint8_t der[SSHKEY_MAX_BYTES], size_t *ret_length)
{
	uint8_t blob[BLOB_MAX_BYTES];
	struct der_writer out = { .bytes = der, .start = SSHKEY_MAX_BYTES };
	struct span line, name, rest, inner_name;
	const struct key_type *type;
	size_t blob_length;

	if (!find_line(text, &line))
		return false;
	name = take_until(&line, ' ');
	type = find_type(name);
	if (!type || base64_decode(take_until(&line, ' '), BASE64_PADDED, blob, sizeof blob,
			     &blob_length) != BASE64_DECODED)
		return false;
	rest = span_of(blob, blob_length);
	if (!take_string(&rest, &inner_name) || !span_is_equal(inner_name, name) ||
		!type->write(type, rest, &out))
		return false;
	put_bytes(&out, type->algorithm);
	put_header(&out, TAG_SEQUENCE, SSHKEY_MAX_BYTES);
	if (out.is_full)
		return false;
	*ret_length = SSHKEY_MAX_BYTES - out.start;
	memmove(der, der + out.start, *ret_length);
	return true;
}
