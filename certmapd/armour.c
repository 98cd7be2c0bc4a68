/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * armour.c owns the reading of text that holds a certificate: which form it is, where the armour
 * begins and ends, and what may stand in it.
 *
 * The scanning is our own because PEM_read_bio takes the first of two certificates silently and
 * refuses the folded lines that nginx makes. Every scan is linear, whatever a stranger sends.
 */
#include "armour.h"

#include "base64.h"
#include "hex.h"
#include "messages.h"

/* Percent-decoded text uses the caller's buffer as scratch. */
_Static_assert(ARMOUR_DER_MAX_BYTES >= EVIDENCE_MAX_BYTES, "any evidence fits into a DER buffer");

#define MARK_DASHES 5u
/* Labels in use have some 25 bytes. The bound keeps a text full of opening marks from being read to
 * its end again at each of them. */
#define LABEL_MAX_BYTES 64u

#define TAG_SEQUENCE 0x30u
#define LENGTH_LONG_FORM 0x80u

/* An opening or closing line of PEM (RFC 7468 2). Offsets count from the start of the text. */
struct mark {
	size_t start; /* of its first dash */
	size_t end;   /* after its last dash */
	bool is_begin;
	struct span label;
};

/* The caller's buffer and how much of it is filled. */
struct output {
	uint8_t *bytes;
	size_t capacity;
	size_t length;
};

const char *armour_finding_text(enum armour_finding finding)
{
	switch (finding) {
	case ARMOUR_OPENED:
		return "one certificate";
	case ARMOUR_EMPTY:
		return "empty";
	case ARMOUR_TOO_LARGE:
		return "too large for a certificate";
	case ARMOUR_NUL:
		return "a NUL byte inside of the text";
	case ARMOUR_BYTE_ORDER_MARK:
		return "a byte order mark: save the text as plain ASCII";
	case ARMOUR_NOT_A_CERTIFICATE:
		return "not a certificate in any known form";
	case ARMOUR_OTHER_PEM:
		return "PEM of something else than a certificate";
	case ARMOUR_PRIVATE_KEY:
		return "a private key: only the certificate belongs here";
	case ARMOUR_TWO_CERTIFICATES:
		return "two certificates in one text";
	case ARMOUR_BROKEN_PEM:
		return "broken PEM: a header line, an END line or the text around is wrong";
	case ARMOUR_BROKEN_BASE64:
		return "broken base64: a wrong character, length or padding";
	case ARMOUR_BROKEN_URL_ENCODING:
		return "a broken or double percent encoding";
	case ARMOUR_NOT_DER:
		return "not DER: the outermost tag or length is wrong";
	case ARMOUR_TRUNCATED:
		return "truncated: the certificate is longer than what is there";
	case ARMOUR_TRAILING_BYTES:
		return "bytes follow after the certificate";
	}
	return "unknown finding";
}

static bool is_space(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static struct span trim(struct span text)
{
	while (text.length > 0 && is_space(text.bytes[0]))
		text = span_of(text.bytes + 1, text.length - 1);
	while (text.length > 0 && is_space(text.bytes[text.length - 1]))
		text.length--;
	return text;
}

/* Here and below `text` is there: check_text() is first to see it. */
static bool has_byte(struct span text, char byte)
{
	return memchr(text.bytes, byte, text.length);
}

static bool has_string(struct span text, const char *string)
{
	return memmem(text.bytes, text.length, string, strlen(string));
}

static bool starts_with(struct span text, size_t from, const char *string)
{
	const size_t length = strlen(string);

	return text.length - from >= length && memcmp(text.bytes + from, string, length) == 0;
}

/* Editors and exports put a mark before the text. Nothing strips it, here or elsewhere: a text
 * that one reader takes and another one refuses is two things. */
static bool has_byte_order_mark(struct span text)
{
	return starts_with(text, 0, "\xef\xbb\xbf") || starts_with(text, 0, "\xfe\xff") ||
	       starts_with(text, 0, "\xff\xfe");
}

/* What no form allows. */
static enum armour_finding check_text(struct span text)
{
	if (!span_is_present(text) || text.length == 0)
		return ARMOUR_EMPTY;
	if (text.length > EVIDENCE_MAX_BYTES)
		return ARMOUR_TOO_LARGE;
	if (has_byte_order_mark(text))
		return ARMOUR_BYTE_ORDER_MARK;
	if (has_byte(text, '\0'))
		return ARMOUR_NUL;
	return trim(text).length > 0 ? ARMOUR_OPENED : ARMOUR_EMPTY;
}

enum armour_finding armour_check_outer(struct span der)
{
	size_t length_octets, header = 2, content;

	if (!span_is_present(der) || der.length == 0)
		return ARMOUR_EMPTY;
	if (der.bytes[0] != TAG_SEQUENCE)
		return ARMOUR_NOT_DER;
	if (der.length < header)
		return ARMOUR_TRUNCATED;
	content = der.bytes[1];
	if (content >= LENGTH_LONG_FORM) {
		length_octets = content - LENGTH_LONG_FORM;
		/* None is the indefinite length, and more than four exceed every limit. */
		if (length_octets == 0 || length_octets > 4)
			return ARMOUR_NOT_DER;
		if (der.length - header < length_octets)
			return ARMOUR_TRUNCATED;
		content = 0;
		for (size_t i = 0; i < length_octets; i++)
			content = content << 8 | der.bytes[header + i];
		/* X.690 10.1: the fewest octets. Else one certificate would have many encodings. */
		if (der.bytes[header] == 0 || content < LENGTH_LONG_FORM)
			return ARMOUR_NOT_DER;
		header += length_octets;
	}
	if (content > der.length - header)
		return ARMOUR_TRUNCATED;
	return content < der.length - header ? ARMOUR_TRAILING_BYTES : ARMOUR_OPENED;
}

/* The offset of the five dashes before the next BEGIN or END, or the length of the text. Runs of
 * dashes are stepped over whole: a text of nothing else must not cost the square of its length. */
static size_t mark_find(struct span text, size_t from)
{
	const uint8_t *dash;
	size_t start, end;

	while (from < text.length) {
		dash = memchr(text.bytes + from, '-', text.length - from);
		if (!dash)
			break;
		start = end = (size_t)(dash - text.bytes);
		while (end < text.length && text.bytes[end] == '-')
			end++;
		if (end - start >= MARK_DASHES &&
			(starts_with(text, end, "BEGIN") || starts_with(text, end, "END")))
			return end - MARK_DASHES;
		from = end;
	}
	return text.length;
}

/* Reads the mark that mark_find found at `start`; false where it is no whole one. */
static bool mark_read(struct span text, size_t start, struct mark *ret)
{
	const bool is_begin = starts_with(text, start + MARK_DASHES, "BEGIN");
	const size_t word_end = start + MARK_DASHES + strlen(is_begin ? "BEGIN" : "END");
	const uint8_t *label, *dashes;
	size_t bound;

	if (!starts_with(text, word_end, " "))
		return false;
	label = text.bytes + word_end + 1;
	bound = text.length - word_end - 1;
	if (bound > LABEL_MAX_BYTES + MARK_DASHES)
		bound = LABEL_MAX_BYTES + MARK_DASHES;
	dashes = memmem(label, bound, "-----", MARK_DASHES);
	if (!dashes)
		return false;
	*ret = (struct mark){
		.start = start,
		.end = (size_t)(dashes - text.bytes) + MARK_DASHES,
		.is_begin = is_begin,
		.label = span_of(label, (size_t)(dashes - label)),
	};
	return true;
}

/* RFC 7468 5.1: CERTIFICATE is the label. "X509 CERTIFICATE" is refused as well: TRUSTED
 * CERTIFICATE shows that a label may change what the bytes are. */
static enum armour_finding check_label(struct span label)
{
	static const char private_key[] = "PRIVATE KEY";
	const size_t tail = sizeof(private_key) - 1;

	if (span_is_equal(label, span_of_string("CERTIFICATE")))
		return ARMOUR_OPENED;
	if (label.length >= tail && starts_with(label, label.length - tail, private_key))
		return ARMOUR_PRIVATE_KEY;
	return ARMOUR_OTHER_PEM;
}

/* Looks at every mark of the text, not only at the first pair: what follows decides too. */
static enum armour_finding find_pair(struct span text, struct mark *ret_begin, struct mark *ret_end)
{
	struct mark mark, begin = { 0 }, end = { 0 };
	size_t begins = 0, ends = 0;
	enum armour_finding finding, other = ARMOUR_OPENED;

	for (size_t at = mark_find(text, 0); at < text.length; at = mark_find(text, mark.end)) {
		if (!mark_read(text, at, &mark))
			return ARMOUR_BROKEN_PEM;
		finding = check_label(mark.label);
		if (finding == ARMOUR_PRIVATE_KEY)
			return finding;
		if (finding != ARMOUR_OPENED) {
			other = finding;
		} else if (mark.is_begin) {
			begin = mark;
			begins++;
		} else {
			end = mark;
			ends++;
		}
	}
	if (other != ARMOUR_OPENED)
		return other;
	if (begins > 1)
		return ARMOUR_TWO_CERTIFICATES;
	if (begins != 1 || ends != 1 || end.start <= begin.end)
		return ARMOUR_BROKEN_PEM;
	*ret_begin = begin;
	*ret_end = end;
	return ARMOUR_OPENED;
}

static bool is_printable(struct span text)
{
	bool printable = true;

	for (size_t i = 0; i < text.length; i++)
		printable &=
			(text.bytes[i] >= 0x20 && text.bytes[i] != 0x7f) || is_space(text.bytes[i]);
	return printable;
}

static enum armour_finding open_base64(struct span text, enum base64_form form, struct output *out)
{
	const enum base64_finding finding =
		base64_decode(text, form, out->bytes, out->capacity, &out->length);

	if (finding == BASE64_DECODED)
		return ARMOUR_OPENED;
	return finding == BASE64_TOO_LARGE ? ARMOUR_TOO_LARGE : ARMOUR_BROKEN_BASE64;
}

/* Marks stand free of the text around them, and base64 free of the marks: "x-----BEGIN" is a line
 * that other readers do not see. */
static bool is_set_apart(struct span text, const struct mark *begin, const struct mark *end)
{
	return (begin->start == 0 || is_space(text.bytes[begin->start - 1])) &&
	       is_space(text.bytes[begin->end]) && is_space(text.bytes[end->start - 1]) &&
	       (end->end == text.length || is_space(text.bytes[end->end]));
}

static enum armour_finding open_pem(struct span text, struct output *out)
{
	struct mark begin, end;
	struct span body;
	enum armour_finding finding;

	finding = find_pair(text, &begin, &end);
	if (finding != ARMOUR_OPENED)
		return finding;
	if (!is_set_apart(text, &begin, &end) || !is_printable(span_of(text.bytes, begin.start)) ||
		!is_printable(span_of(text.bytes + end.end, text.length - end.end)))
		return ARMOUR_BROKEN_PEM;
	body = span_of(text.bytes + begin.end, end.start - begin.end);
	/* RFC 1421 4.6 headers ("Proc-Type: 4,ENCRYPTED"), which OpenSSL would read and drop. */
	if (has_byte(body, ':'))
		return ARMOUR_BROKEN_PEM;
	if (has_byte(body, '%'))
		return ARMOUR_BROKEN_URL_ENCODING;
	return open_base64(body, BASE64_LINES, out);
}

/* RFC 3986 2.1. Bytes that such a text can't hold unencoded refuse: then it was encoded in part,
 * and is neither this form nor plain PEM. */
static enum armour_finding decode_percent(struct span text, struct output *out)
{
	int high, low;

	for (size_t i = 0; i < text.length; i++) {
		uint8_t byte = text.bytes[i];

		if (byte <= 0x20 || byte >= 0x7f)
			return ARMOUR_BROKEN_URL_ENCODING;
		if (byte == '%') {
			if (text.length - i < 3 || (high = hex_digit(text.bytes[i + 1])) < 0 ||
				(low = hex_digit(text.bytes[i + 2])) < 0)
				return ARMOUR_BROKEN_URL_ENCODING;
			byte = (uint8_t)(high << 4 | low);
			i += 2;
		}
		if (out->length == out->capacity)
			return ARMOUR_TOO_LARGE;
		out->bytes[out->length++] = byte;
	}
	return ARMOUR_OPENED;
}

/* What a text that is no form of ours was most likely meant to be. */
static enum armour_finding guess(struct span text)
{
	if (has_string(text, "-----"))
		return ARMOUR_BROKEN_PEM;
	/* Base64 of a SEQUENCE of more than 127 bytes begins so. */
	return starts_with(text, 0, "MI") ? ARMOUR_BROKEN_BASE64 : ARMOUR_NOT_A_CERTIFICATE;
}

static enum armour_finding open_percent(struct span text, struct output *out)
{
	struct span decoded;
	enum armour_finding finding;

	finding = decode_percent(text, out);
	if (finding != ARMOUR_OPENED)
		return finding;
	decoded = span_of(out->bytes, out->length);
	finding = check_text(decoded);
	if (finding != ARMOUR_OPENED)
		return finding;
	if (has_string(decoded, "-----BEGIN "))
		return open_pem(decoded, out);
	return has_byte(decoded, '%') ? ARMOUR_BROKEN_URL_ENCODING : guess(decoded);
}

static enum armour_finding open_bare(struct span text, struct output *out)
{
	enum armour_finding finding;

	finding = open_base64(text, BASE64_LINES, out);
	if (finding == ARMOUR_BROKEN_BASE64)
		return guess(text);
	/* Many a word is base64 of something ("null"): then it was not meant as a certificate. What
	 * has a digit has a byte: nothing but white space, or padding, was refused before. */
	if (finding == ARMOUR_OPENED && out->bytes[0] != TAG_SEQUENCE)
		return ARMOUR_NOT_A_CERTIFICATE;
	return finding;
}

/* The content decides the form, so that no two forms can claim one text. A name in the text that
 * `openssl x509 -text` prints may hold a percent sign: literal PEM goes first. */
static enum armour_finding open_form(struct span text, struct output *out)
{
	if (has_string(text, "-----BEGIN "))
		return open_pem(text, out);
	if (has_byte(text, '%'))
		return open_percent(text, out);
	if (text.length >= 2 && text.bytes[0] == ':' && text.bytes[text.length - 1] == ':')
		return open_base64(span_of(text.bytes + 1, text.length - 2), BASE64_UNBROKEN, out);
	return open_bare(text, out);
}

enum armour_finding armour_open_text(
	struct span text, uint8_t *der, size_t capacity, size_t *ret_length)
{
	struct output out = { .bytes = der, .capacity = capacity };
	enum armour_finding finding;

	finding = check_text(text);
	if (finding != ARMOUR_OPENED)
		return finding;
	finding = open_form(trim(text), &out);
	if (finding != ARMOUR_OPENED)
		return finding;
	finding = armour_check_outer(span_of(out.bytes, out.length));
	if (finding == ARMOUR_OPENED)
		*ret_length = out.length;
	/* "::" and a PEM without a body are there, but hold nothing. */
	return finding == ARMOUR_EMPTY ? ARMOUR_NOT_A_CERTIFICATE : finding;
}

/* The digit 0 is the SEQUENCE's tag too, but a length octet of text is never of the long form, and
 * no certificate is short enough for the other one. */
static bool is_binary_sequence(struct span stored)
{
	return stored.length >= 2 && stored.bytes[0] == TAG_SEQUENCE &&
	       stored.bytes[1] >= LENGTH_LONG_FORM;
}

enum armour_finding armour_open_stored(
	struct span stored, uint8_t *der, size_t capacity, size_t *ret_length)
{
	enum armour_finding finding;

	if (!span_is_present(stored) || !is_binary_sequence(stored))
		return armour_open_text(stored, der, capacity, ret_length);
	if (stored.length > ARMOUR_DER_MAX_BYTES || stored.length > capacity)
		return ARMOUR_TOO_LARGE;
	finding = armour_check_outer(stored);
	if (finding != ARMOUR_OPENED)
		return finding;
	memcpy(der, stored.bytes, stored.length);
	*ret_length = stored.length;
	return ARMOUR_OPENED;
}
