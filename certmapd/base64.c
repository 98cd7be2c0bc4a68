/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * base64.c owns the check of each character, and the use of EVP_DecodeBlock, which by itself trims,
 * counts padding as bytes and ignores stray bits: many texts would stand for the same bytes.
 */
#include "base64.h"

#include <openssl/evp.h>

/* Digits that are handed to EVP_DecodeBlock at once: a multiple of four, and most certificates. */
#define DIGITS_MAX 4096u

/* What a byte is to base64 (RFC 4648 4). */
enum {
	OTHER = 0,
	DIGIT = 1,
	PAD = 2,
	SPACE = 4,
};

/* clang-format off */
static const uint8_t byte_kinds[256] = {
#define O OTHER
#define D DIGIT
#define P PAD
#define S SPACE
	O, O, O, O, O, O, O, O, O, S, S, O, O, S, O, O, /* tab, line feed, carriage return */
	O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
	S, O, O, O, O, O, O, O, O, O, O, D, O, O, O, D, /* space + / */
	D, D, D, D, D, D, D, D, D, D, O, O, O, P, O, O, /* 0-9 = */
	O, D, D, D, D, D, D, D, D, D, D, D, D, D, D, D, /* A-O */
	D, D, D, D, D, D, D, D, D, D, D, O, O, O, O, O, /* P-Z */
	O, D, D, D, D, D, D, D, D, D, D, D, D, D, D, D, /* a-o */
	D, D, D, D, D, D, D, D, D, D, D, O, O, O, O, O, /* p-z */
#undef O
#undef D
#undef P
#undef S
};
/* clang-format on */

/* The caller's buffer and how much of it is filled. */
struct output {
	uint8_t *bytes;
	size_t capacity;
	size_t length;
};

/* Takes padding off the end; white space may stand between. */
static struct span take_padding(struct span text, unsigned allowed, size_t *ret_pads)
{
	size_t pads = 0;
	uint8_t kind;

	for (; text.length > 0; text.length--) {
		kind = byte_kinds[text.bytes[text.length - 1]];
		if (kind != PAD && !(kind & allowed & SPACE))
			break;
		pads += kind == PAD;
	}
	*ret_pads = pads;
	return text;
}

/* Copies the digits of `text` to `digits`, which has room for all of its bytes, and says which
 * kinds of bytes there were. Without a branch per byte: this is where the time goes. */
static unsigned gather(struct span text, uint8_t *digits, size_t *count)
{
	unsigned seen = 0;
	size_t n = *count;

	for (size_t i = 0; i < text.length; i++) {
		const uint8_t kind = byte_kinds[text.bytes[i]];

		digits[n] = text.bytes[i];
		n += kind & DIGIT;
		seen |= kind == OTHER ? ~0u : kind;
	}
	*count = n;
	return seen;
}

/* Decodes `count` checked digits, a multiple of four. */
static enum base64_finding decode_digits(const uint8_t *digits, size_t count, struct output *out)
{
	int decoded;

	if (count == 0)
		return BASE64_DECODED;
	if (out->capacity - out->length < count / 4 * 3)
		return BASE64_TOO_LARGE;
	decoded = EVP_DecodeBlock(out->bytes + out->length, digits, (int)count);
	/* GCOVR_EXCL_START: gather() let digits alone through; if OpenSSL takes them for anything
	 * else, nothing of it is believed. */
	if (decoded < 0 || (size_t)decoded != count / 4 * 3)
		return BASE64_BROKEN;
	/* GCOVR_EXCL_STOP */
	out->length += (size_t)decoded;
	return BASE64_DECODED;
}

/* Decodes the zero, two or three digits after the last whole group of four. */
static enum base64_finding decode_rest(
	uint8_t *digits, size_t count, size_t pads, enum base64_form form, struct output *out)
{
	const size_t missing = (4 - count) % 4;
	enum base64_finding finding;

	/* RFC 8941 4.2.7: who reads the form between colons adds the padding that is not there. */
	if (missing == 3 || (pads != missing && !(form == BASE64_UNBROKEN && pads == 0)))
		return BASE64_BROKEN;
	if (missing == 0)
		return BASE64_DECODED;
	memset(digits + count, 'A', missing);
	finding = decode_digits(digits, 4, out);
	if (finding != BASE64_DECODED)
		return finding;
	/* RFC 4648 3.5: bits that stand for nothing are zero, and so the bytes cut off are. */
	for (size_t i = 0; i < missing; i++)
		if (out->bytes[--out->length] != 0)
			return BASE64_BROKEN;
	return BASE64_DECODED;
}

/* Three bytes are written where at least four were read before, and `digits` stands between: so the
 * text may lie where the bytes go. */
enum base64_finding base64_decode(
	struct span text, enum base64_form form, uint8_t *ret, size_t capacity, size_t *ret_length)
{
	const unsigned allowed = form == BASE64_LINES ? DIGIT | SPACE : DIGIT;
	struct output out = { .bytes = ret, .capacity = capacity };
	uint8_t digits[DIGITS_MAX];
	size_t count = 0, pads, slice, whole;
	enum base64_finding finding;

	text = take_padding(text, allowed, &pads);
	while (text.length > 0) {
		slice = DIGITS_MAX - count < text.length ? DIGITS_MAX - count : text.length;
		if (gather(span_of(text.bytes, slice), digits, &count) & ~allowed)
			return BASE64_BROKEN;
		text = span_of(text.bytes + slice, text.length - slice);
		whole = count - count % 4;
		finding = decode_digits(digits, whole, &out);
		if (finding != BASE64_DECODED)
			return finding;
		memmove(digits, digits + whole, count - whole);
		count -= whole;
	}
	finding = decode_rest(digits, count, pads, form, &out);
	if (finding == BASE64_DECODED)
		*ret_length = out.length;
	return finding;
}
