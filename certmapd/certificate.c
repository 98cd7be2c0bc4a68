/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * certificate.c owns the reading of an enrolled certificate: the check that its bytes are DER, an
 * ASN.1 template of our own, and the way from there to facts in words. The only file that knows
 * OpenSSL's ASN.1 and digests.
 *
 * d2i_X509 is not used: it decodes the public key, which costs ten times the rest and is what
 * hostile keys attack, and a type of key that OpenSSL does not know would cost the mapping.
 */
#include "certificate.h"

#include "hex.h"
#include "utf8.h"

#include <openssl/asn1t.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Real certificates nest some ten deep, explicit curve parameters and general names included. */
#define DER_DEPTH_MAX 32u
/* 28 bits. X.509 itself has no tag number over 30. */
#define DER_HIGH_TAG_OCTETS_MAX 4u

#define DER_CLASS_MASK 0xc0u
#define DER_CONSTRUCTED 0x20u
#define DER_NUMBER_MASK 0x1fu

/* Universal tags that OpenSSL has no names for (X.680 8.4). */
#define DER_EMBEDDED_PDV 11
#define DER_CHARACTER_STRING 29

/* RFC 5280 4.1.2.5. Raw parts are ASN1_SEQUENCE, which keeps the encoding with tag and length. */
typedef struct {
	ASN1_TIME *not_before;
	ASN1_TIME *not_after;
} RAW_VALIDITY;

/* RFC 5280 4.1.2. */
typedef struct {
	ASN1_INTEGER *version;
	ASN1_INTEGER *serial;
	ASN1_STRING *signature_algorithm;
	X509_NAME *issuer;
	RAW_VALIDITY *validity;
	X509_NAME *subject;
	ASN1_STRING *key; /* SubjectPublicKeyInfo */
	ASN1_BIT_STRING *issuer_unique_id;
	ASN1_BIT_STRING *subject_unique_id;
	ASN1_STRING *extensions;
} RAW_BODY;

/* RFC 5280 4.1. */
typedef struct {
	RAW_BODY *body;
	ASN1_STRING *signature_algorithm;
	ASN1_BIT_STRING *signature;
} RAW_CERTIFICATE;

/* clang-format off */
ASN1_SEQUENCE(RAW_VALIDITY) = {
	ASN1_SIMPLE(RAW_VALIDITY, not_before, ASN1_TIME),
	ASN1_SIMPLE(RAW_VALIDITY, not_after, ASN1_TIME),
} static_ASN1_SEQUENCE_END(RAW_VALIDITY)

ASN1_SEQUENCE(RAW_BODY) = {
	ASN1_EXP_OPT(RAW_BODY, version, ASN1_INTEGER, 0),
	ASN1_SIMPLE(RAW_BODY, serial, ASN1_INTEGER),
	ASN1_SIMPLE(RAW_BODY, signature_algorithm, ASN1_SEQUENCE),
	ASN1_SIMPLE(RAW_BODY, issuer, X509_NAME),
	ASN1_SIMPLE(RAW_BODY, validity, RAW_VALIDITY),
	ASN1_SIMPLE(RAW_BODY, subject, X509_NAME),
	ASN1_SIMPLE(RAW_BODY, key, ASN1_SEQUENCE),
	ASN1_IMP_OPT(RAW_BODY, issuer_unique_id, ASN1_BIT_STRING, 1),
	ASN1_IMP_OPT(RAW_BODY, subject_unique_id, ASN1_BIT_STRING, 2),
	ASN1_EXP_OPT(RAW_BODY, extensions, ASN1_SEQUENCE, 3),
} static_ASN1_SEQUENCE_END(RAW_BODY)

ASN1_SEQUENCE(RAW_CERTIFICATE) = {
	ASN1_SIMPLE(RAW_CERTIFICATE, body, RAW_BODY),
	ASN1_SIMPLE(RAW_CERTIFICATE, signature_algorithm, ASN1_SEQUENCE),
	ASN1_SIMPLE(RAW_CERTIFICATE, signature, ASN1_BIT_STRING),
} static_ASN1_SEQUENCE_END(RAW_CERTIFICATE)
/* clang-format on */

/* Fetched once and reused, which saves a third of each hash. Static because the daemon and
 * certmapctl have one thread; nothing of this file is linked into the PAM module. */
static EVP_MD *sha256;
static EVP_MD_CTX *sha256_context;

static void raw_certificate_freep(RAW_CERTIFICATE **certificate)
{
	ASN1_item_free((ASN1_VALUE *)*certificate, ASN1_ITEM_rptr(RAW_CERTIFICATE));
}

static void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}

enum error certificate_init(void)
{
	if (sha256_context)
		return OK;
	/* Before anything else of OpenSSL: its configuration file can load any provider, and costs
	 * half a millisecond of the first login. */
	if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		return ERROR_SYSTEM;
	/* Makes the error queue now, so that it can still say later that memory was short. */
	ERR_clear_error();
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!sha256)
		return ERROR_SYSTEM;
	sha256_context = EVP_MD_CTX_new();
	if (!sha256_context) {
		certificate_done();
		return ERROR_MEMORY;
	}
	return OK;
}

void certificate_done(void)
{
	EVP_MD_CTX_free(sha256_context);
	EVP_MD_free(sha256);
	sha256_context = NULL;
	sha256 = NULL;
}

static enum error fail_openssl(enum error error)
{
	ERR_clear_error();
	return error;
}

/* A problem of the certificate, unless OpenSSL says that memory ran out: a row must not be marked
 * as broken because the machine was. Empties the error queue. */
static enum error judge_openssl(const char *problem, const char **ret_problem)
{
	enum error error = OK;
	unsigned long code;

	while ((code = ERR_get_error()) != 0)
		if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
			error = ERROR_MEMORY;
	if (error == OK)
		*ret_problem = problem;
	return error;
}

enum error certificate_fingerprint(struct span der, uint8_t ret[FINGERPRINT_BYTES])
{
	uint8_t fingerprint[FINGERPRINT_BYTES];

	if (!sha256_context)
		return ERROR_SYSTEM;
	/* OpenSSL 3.0 allocates the state anew for each digest, and fails without saying so. */
	if (!EVP_DigestInit_ex2(sha256_context, sha256, NULL))
		return fail_openssl(ERROR_MEMORY);
	if (!EVP_DigestUpdate(sha256_context, der.bytes, der.length) ||
		!EVP_DigestFinal_ex(sha256_context, fingerprint, NULL))
		return fail_openssl(ERROR_SYSTEM);
	memcpy(ret, fingerprint, sizeof(fingerprint));
	return OK;
}

/* Steps over the tag at *at; NULL, or what is wrong with it. */
static const char *der_read_tag(struct span der, size_t end, size_t *at, uint8_t *ret_first)
{
	const uint8_t first = der.bytes[*at];
	size_t octets = 0, start = *at + 1;

	*at = start;
	*ret_first = first;
	if ((first & DER_NUMBER_MASK) != DER_NUMBER_MASK)
		return NULL;
	do {
		if (*at == end)
			return "not DER: an element is longer than what holds it";
		if (++octets > DER_HIGH_TAG_OCTETS_MAX)
			return "not DER: a tag that nobody uses";
	} while (der.bytes[(*at)++] & 0x80u);
	/* X.690 8.1.2.4: no leading zero bits, and only numbers that do not fit into one octet. */
	if (der.bytes[start] == 0x80u || (octets == 1 && der.bytes[start] < DER_NUMBER_MASK))
		return "not DER: a tag that is not in the fewest octets";
	return NULL;
}

/* Steps over the length at *at; the content is known to lie before `end`. */
static const char *der_read_length(struct span der, size_t end, size_t *at, size_t *ret_length)
{
	size_t length, octets;

	if (*at == end)
		return "not DER: an element is longer than what holds it";
	length = der.bytes[(*at)++];
	if (length == 0x80u)
		return "not DER: an indefinite length";
	if (length > 0x80u) {
		octets = length - 0x80u;
		if (octets > end - *at)
			return "not DER: an element is longer than what holds it";
		if (der.bytes[*at] == 0)
			return "not DER: a length that is not in the fewest octets";
		if (octets > sizeof(uint32_t))
			return "not DER: an element is longer than what holds it";
		for (length = 0; octets > 0; octets--)
			length = length << 8 | der.bytes[(*at)++];
		if (length < 0x80u)
			return "not DER: a length that is not in the fewest octets";
	}
	if (length > end - *at)
		return "not DER: an element is longer than what holds it";
	*ret_length = length;
	return NULL;
}

/* X.690 10.2: strings are primitive. What is built of others (sequences, sets and the three types
 * that are sequences in disguise) is constructed. Tags of other classes may be either. */
static const char *der_check_tag(uint8_t first)
{
	const uint32_t constructed_numbers = 1u << V_ASN1_EXTERNAL | 1u << DER_EMBEDDED_PDV |
					     1u << V_ASN1_SEQUENCE | 1u << V_ASN1_SET |
					     1u << DER_CHARACTER_STRING;
	const uint8_t number = first & DER_NUMBER_MASK;
	const bool constructed = first & DER_CONSTRUCTED;

	if ((first & DER_CLASS_MASK) != V_ASN1_UNIVERSAL)
		return NULL;
	if (number == V_ASN1_EOC)
		return "not DER: an end-of-contents tag";
	if (number != DER_NUMBER_MASK && constructed != (constructed_numbers >> number & 1u))
		return "not DER: a string in pieces, or a sequence in one";
	return NULL;
}

/* Walks every element once and not recursively: how deep a file nests must not decide how much
 * stack is used. The contents of OCTET STRING and BIT STRING stay opaque. */
static const char *der_check(struct span der)
{
	size_t ends[DER_DEPTH_MAX], depth = 0, at = 0, length;
	const char *problem;
	uint8_t first;

	if (!span_is_present(der) || der.length == 0)
		return "not a certificate: empty";
	ends[0] = der.length;
	do {
		if ((problem = der_read_tag(der, ends[depth], &at, &first)) ||
			(problem = der_check_tag(first)) ||
			(problem = der_read_length(der, ends[depth], &at, &length)))
			return problem;
		if (first & DER_CONSTRUCTED) {
			if (++depth == DER_DEPTH_MAX)
				return "not a certificate: nested too deep";
			ends[depth] = at + length;
		} else {
			at += length;
		}
		while (depth > 0 && at == ends[depth])
			depth--;
	} while (depth > 0);
	return at == der.length ? NULL : "bytes follow after the certificate";
}

/* What would let a name forge a line or change the direction of the text around it: C0, DEL and C1,
 * line and paragraph separators, and the marks, embeddings, overrides and isolates of Unicode's
 * bidirectional algorithm (UAX 9 2). */
static bool is_control(uint32_t code_point)
{
	return code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f) ||
	       code_point == 0x061c || code_point == 0x200e || code_point == 0x200f ||
	       (code_point >= 0x2028 && code_point <= 0x202e) ||
	       (code_point >= 0x2066 && code_point <= 0x2069);
}

/* The bytes that are kept or cut together: a character, or an escape of RFC 4514 2.4. Sets
 * *ret_escape where the bytes must be written as hexadecimal pairs. */
static size_t name_unit(struct span text, bool *ret_escape)
{
	uint32_t code_point;
	size_t length;

	*ret_escape = false;
	if (text.bytes[0] == '\\' && text.length >= 3 && hex_digit(text.bytes[1]) >= 0 &&
		hex_digit(text.bytes[2]) >= 0)
		return 3;
	if (text.bytes[0] == '\\' && text.length >= 2 && text.bytes[1] >= 0x20 &&
		text.bytes[1] < 0x7f)
		return 2;
	length = utf8_read(text, &code_point);
	*ret_escape = length == 0 || is_control(code_point);
	return length == 0 ? 1 : length;
}

/* Copies a printed name, escapes what is left to escape, and cuts it to size. */
static void name_copy(struct span text, char ret[CERTIFICATE_NAME_MAX_BYTES])
{
	size_t length = 0, unit;
	bool escape;

	while (text.length > 0) {
		unit = name_unit(text, &escape);
		if (length + unit * (escape ? 3 : 1) >= CERTIFICATE_NAME_MAX_BYTES)
			break;
		for (size_t i = 0; i < unit; i++) {
			if (escape)
				length += (size_t)sprintf(ret + length, "\\%02X", text.bytes[i]);
			else
				ret[length++] = (char)text.bytes[i];
		}
		text = span_of(text.bytes + unit, text.length - unit);
	}
	ret[length] = '\0';
}

/* RFC 4514: last attribute first, special characters escaped, other string types turned to UTF-8.
 * ESC_MSB is left out: people read these names, and the logs escape them on their own. */
static enum error read_name(
	const X509_NAME *name, char ret[CERTIFICATE_NAME_MAX_BYTES], const char **ret_problem)
{
	const unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
	__attribute__((cleanup(bio_freep))) BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long length;

	if (!bio)
		return ERROR_MEMORY;
	if (X509_NAME_print_ex(bio, name, 0, flags) < 0)
		return judge_openssl("a name that can't be printed", ret_problem);
	length = BIO_get_mem_data(bio, &text);
	name_copy(span_of(text, length > 0 ? (size_t)length : 0), ret);
	return OK;
}

/* Two digits for each octet, as `openssl x509 -serial` counts them. Serial numbers past the limit
 * exist (RFC 5280 4.1.2.2 wants them handled gracefully): dots tell a cut one from a whole one. */
static void read_serial(const ASN1_INTEGER *serial, char ret[CERTIFICATE_SERIAL_MAX_BYTES])
{
	static const char dots[] = "...";
	const uint8_t *octets = ASN1_STRING_get0_data(serial);
	const size_t count = (size_t)ASN1_STRING_length(serial);
	size_t length = 0;

	if (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER)
		ret[length++] = '-';
	for (size_t i = 0; i < count; i++) {
		const bool last = i + 1 == count;

		if (length + 2 + (last ? 1 : sizeof(dots)) > CERTIFICATE_SERIAL_MAX_BYTES) {
			memcpy(ret + length, dots, sizeof(dots));
			return;
		}
		hex_print(span_of(octets + i, 1), ret + length);
		length += 2;
	}
	ret[length] = '\0';
}

/* RFC 5280 4.1.2.5.1 and 4.1.2.5.2: seconds are there, the zone is Z, no fractions. ASN1_TIME_to_tm
 * knows the calendar and reads two-digit years as 1950 to 2049, but would take other forms too. */
static bool read_time(const ASN1_TIME *time, int64_t *ret_sec)
{
	const uint8_t *text = ASN1_STRING_get0_data(time);
	const size_t length = (size_t)ASN1_STRING_length(time);
	struct tm tm;

	if (length != (ASN1_STRING_type(time) == V_ASN1_UTCTIME ? 13u : 15u) ||
		text[length - 1] != 'Z')
		return false;
	for (size_t i = 0; i + 1 < length; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	if (!ASN1_TIME_to_tm(time, &tm)) {
		ERR_clear_error();
		return false;
	}
	*ret_sec = timegm(&tm);
	return true;
}

/* RFC 5280 4.1.2.1: versions 1 to 3 are the numbers 0 to 2, and none is version 1. */
static bool is_known_version(const ASN1_INTEGER *version)
{
	int64_t number;

	if (!version)
		return true;
	if (!ASN1_INTEGER_get_int64(&number, version)) {
		ERR_clear_error();
		return false;
	}
	return number >= 0 && number <= 2;
}

/* SubjectPublicKeyInfo with its tag and length, as it stands in the certificate. */
static struct span key_span(const RAW_BODY *body)
{
	return span_of(ASN1_STRING_get0_data(body->key), (size_t)ASN1_STRING_length(body->key));
}

static enum error read_body(
	const RAW_BODY *body, struct certificate_facts *ret, const char **ret_problem)
{
	enum error error;

	if (!is_known_version(body->version)) {
		*ret_problem = "a version of X.509 that is not known";
		return OK;
	}
	if (!read_time(body->validity->not_before, &ret->not_before_sec) ||
		!read_time(body->validity->not_after, &ret->not_after_sec)) {
		*ret_problem = "a malformed time of validity";
		return OK;
	}
	if (ret->not_before_sec > ret->not_after_sec) {
		*ret_problem = "the validity ends before it begins";
		return OK;
	}
	read_serial(body->serial, ret->serial);
	if ((error = read_name(body->issuer, ret->issuer, ret_problem)) != OK ||
		(error = read_name(body->subject, ret->subject, ret_problem)) != OK)
		return error;
	return certificate_fingerprint(key_span(body), ret->key_fingerprint);
}

void certificate_names_done(struct certificate_names *names)
{
	for (size_t i = 0; i < names->value_count; i++)
		free(names->values[i]);
	free(names->values);
	free(names->subject_line);
	free(names->issuer_line);
	*names = (struct certificate_names){ 0 };
}

/* In memory of its own, terminated. strndup(3) is for strings, and OpenSSL's buffers end without a
 * NUL. NULL: out of memory. */
static char *copy_text(const void *text, size_t length)
{
	char *copy = malloc(length + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

/* The flags are stunnel's (X509_NAME2text() in its client.c): the strings are compared whole, so
 * they are printed by the same library in the same form, and nobody parses them. */
static enum error read_line(const X509_NAME *name, char **ret)
{
	const unsigned long flags = XN_FLAG_ONELINE & ~(unsigned long)ASN1_STRFLGS_ESC_MSB &
				    ~(unsigned long)XN_FLAG_SPC_EQ;
	__attribute__((cleanup(bio_freep))) BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long length;

	if (!bio)
		return ERROR_MEMORY;
	if (X509_NAME_print_ex(bio, name, 0, flags) < 0)
		return fail_openssl(ERROR_MEMORY);
	length = BIO_get_mem_data(bio, &text);
	if (length <= 0 || (unsigned long)length > CERTIFICATE_LINE_MAX_BYTES ||
		memchr(text, '\0', (size_t)length))
		return OK;
	*ret = copy_text(text, (size_t)length);
	return *ret ? OK : ERROR_MEMORY;
}

/* One attribute as a string; *ret stays NULL where it can't be one. */
static enum error read_value(const X509_NAME_ENTRY *entry, char **ret)
{
	unsigned char *text = NULL;
	int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
	enum error error = OK;

	if (length < 0)
		return fail_openssl(OK);
	if (length > 0 && !memchr(text, '\0', (size_t)length)) {
		*ret = copy_text(text, (size_t)length);
		error = *ret ? OK : ERROR_MEMORY;
	}
	OPENSSL_free(text);
	return error;
}

/* Attributes that name one of many. What a whole organisation shares is nobody's name: certmap is
 * not told which attribute a service took, and CN=Example Ltd in a stranger's certificate must not
 * meet O=Example Ltd in a mapped one. */
static bool names_one(const X509_NAME_ENTRY *entry)
{
	switch (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry))) {
	case NID_commonName:
	case NID_userId:
	case NID_pkcs9_emailAddress:
	case NID_x500UniqueIdentifier:
	case NID_serialNumber:
		return true;
	default:
		return false;
	}
}

static enum error read_values(const X509_NAME *name, struct certificate_names *names)
{
	const int count = X509_NAME_entry_count(name);
	enum error error;

	if (count <= 0)
		return OK;
	names->values = calloc((size_t)count, sizeof(*names->values));
	if (!names->values)
		return ERROR_MEMORY;
	for (int i = 0; i < count; i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);

		if (!names_one(entry))
			continue;
		error = read_value(entry, &names->values[names->value_count]);
		if (error != OK)
			return error;
		names->value_count += names->values[names->value_count] != NULL;
	}
	return OK;
}

static enum error read_names(const RAW_BODY *body, struct certificate_names *ret)
{
	struct certificate_names names = { 0 };
	enum error error;

	if ((error = read_line(body->subject, &names.subject_line)) != OK ||
		(error = read_line(body->issuer, &names.issuer_line)) != OK ||
		(error = read_values(body->subject, &names)) != OK) {
		certificate_names_done(&names);
		return error;
	}
	*ret = names;
	return OK;
}

/* The certificate's parts; NULL where *ret_problem says why. */
static enum error open_certificate(struct span der, RAW_CERTIFICATE **ret, const char **ret_problem)
{
	const unsigned char *at = der.bytes;

	*ret = NULL;
	*ret_problem = der_check(der);
	if (*ret_problem)
		return OK;
	ERR_clear_error();
	*ret = (RAW_CERTIFICATE *)ASN1_item_d2i(
		NULL, &at, (long)der.length, ASN1_ITEM_rptr(RAW_CERTIFICATE));
	return *ret ? OK : judge_openssl("not an X.509 certificate", ret_problem);
}

/* `ret_names` may be NULL. */
static enum error read_facts(struct span der, struct certificate_facts *ret,
	struct certificate_names *ret_names, const char **ret_problem)
{
	__attribute__((cleanup(raw_certificate_freep))) RAW_CERTIFICATE *certificate = NULL;
	enum error error = open_certificate(der, &certificate, ret_problem);

	if (error != OK || *ret_problem)
		return error;
	error = read_body(certificate->body, ret, ret_problem);
	if (error != OK || *ret_problem || !ret_names)
		return error;
	return read_names(certificate->body, ret_names);
}

enum error certificate_read_names(struct span der, struct certificate_facts *ret,
	struct certificate_names *ret_names, const char **ret_problem)
{
	struct certificate_facts facts = { 0 }, fingerprint_alone = { 0 };
	const char *problem = NULL;
	enum error error;

	if ((error = certificate_fingerprint(der, facts.fingerprint)) != OK ||
		(error = read_facts(der, &facts, ret_names, &problem)) != OK)
		return error;
	memcpy(fingerprint_alone.fingerprint, facts.fingerprint, FINGERPRINT_BYTES);
	*ret = problem ? fingerprint_alone : facts;
	*ret_problem = problem;
	return OK;
}

enum error certificate_read(
	struct span der, struct certificate_facts *ret, const char **ret_problem)
{
	return certificate_read_names(der, ret, NULL, ret_problem);
}

enum error certificate_copy_key(struct span der, uint8_t *ret, size_t capacity, size_t *ret_length,
	const char **ret_problem)
{
	__attribute__((cleanup(raw_certificate_freep))) RAW_CERTIFICATE *certificate = NULL;
	const char *problem = NULL;
	enum error error = open_certificate(der, &certificate, &problem);

	if (error == OK && !problem) {
		struct span key = key_span(certificate->body);

		if (key.length > capacity)
			return ERROR_TOO_LARGE;
		memcpy(ret, key.bytes, key.length);
		*ret_length = key.length;
	}
	if (error == OK)
		*ret_problem = problem;
	return error;
}
