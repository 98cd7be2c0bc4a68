/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * certificate.c owns the reading of an enrolled certificate: the check that its bytes are DER, an
 * ASN.1 template of our own, and the way from there to facts in words. The files certificate*.c are
 * those that know OpenSSL's ASN.1; its digests are known here.
 *
 * d2i_X509 is not used: it decodes the public key, which costs ten times the rest and is what
 * hostile keys attack, and a type of key that OpenSSL does not know would cost the mapping.
 */
#include "certificate.h"

#include "certificate_private.h"
#include "hex.h"

#include <openssl/asn1t.h>
#include <openssl/evp.h>
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

/* RFC 5280 4.1.2.5. It is read on its own: from OpenSSL 3.5 on a time that is too short makes the
 * reading fail, which is then known to be the time's fault. */
typedef struct {
	ASN1_TIME *not_before;
	ASN1_TIME *not_after;
} RAW_VALIDITY;

/* RFC 5280 4.1.2. Raw parts are ASN1_SEQUENCE, which keeps the encoding with tag and length. */
typedef struct {
	ASN1_INTEGER *version;
	ASN1_INTEGER *serial;
	ASN1_STRING *signature_algorithm;
	ASN1_STRING *issuer; /* Name; see certificate_issuer.c */
	ASN1_STRING *validity;
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
	ASN1_SIMPLE(RAW_BODY, issuer, ASN1_SEQUENCE),
	ASN1_SIMPLE(RAW_BODY, validity, ASN1_SEQUENCE),
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

/* The parts of a certificate. */
struct opened {
	RAW_CERTIFICATE *certificate;
	const struct certificate_issuer *issuer; /* borrowed until the next is opened */
};

static void close_certificate(struct opened *opened)
{
	ASN1_item_free((ASN1_VALUE *)opened->certificate, ASN1_ITEM_rptr(RAW_CERTIFICATE));
}

static void raw_validity_freep(RAW_VALIDITY **validity)
{
	ASN1_item_free((ASN1_VALUE *)*validity, ASN1_ITEM_rptr(RAW_VALIDITY));
}

/* Initialised with {0}. */
#define OPENED __attribute__((cleanup(close_certificate))) struct opened

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
	certificate_issuer_forget();
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

/* A raw part with its tag and length, as it stands in the certificate. */
static struct span raw_span(const ASN1_STRING *raw)
{
	return span_of(ASN1_STRING_get0_data(raw), (size_t)ASN1_STRING_length(raw));
}

static enum error read_validity(
	struct span der, struct certificate_facts *ret, const char **ret_problem)
{
	__attribute__((cleanup(raw_validity_freep))) RAW_VALIDITY *validity = NULL;
	const unsigned char *at = der.bytes;

	ERR_clear_error();
	validity = (RAW_VALIDITY *)ASN1_item_d2i(
		NULL, &at, (long)der.length, ASN1_ITEM_rptr(RAW_VALIDITY));
	if (!validity)
		return certificate_judge("a malformed time of validity", ret_problem);
	if (!read_time(validity->not_before, &ret->not_before_sec) ||
		!read_time(validity->not_after, &ret->not_after_sec))
		*ret_problem = "a malformed time of validity";
	else if (ret->not_before_sec > ret->not_after_sec)
		*ret_problem = "the validity ends before it begins";
	return OK;
}

static enum error read_body(
	const struct opened *opened, struct certificate_facts *ret, const char **ret_problem)
{
	const RAW_BODY *body = opened->certificate->body;
	enum error error;

	if (!is_known_version(body->version)) {
		*ret_problem = "a version of X.509 that is not known";
		return OK;
	}
	error = read_validity(raw_span(body->validity), ret, ret_problem);
	if (error != OK || *ret_problem)
		return error;
	read_serial(body->serial, ret->serial);
	memcpy(ret->issuer, opened->issuer->text, sizeof(ret->issuer));
	if ((error = certificate_name_print(body->subject, ret->subject, ret_problem)) != OK)
		return error;
	return certificate_fingerprint(raw_span(body->key), ret->key_fingerprint);
}

static enum error copy_line(const char *line, char **ret)
{
	if (!line)
		return OK;
	*ret = strdup(line);
	return *ret ? OK : ERROR_MEMORY;
}

static enum error read_names(const struct opened *opened, struct certificate_names *ret)
{
	const X509_NAME *subject = opened->certificate->body->subject;
	struct certificate_names names = { 0 };
	enum error error;

	if ((error = certificate_name_print_line(subject, &names.subject_line)) != OK ||
		(error = copy_line(opened->issuer->line, &names.issuer_line)) != OK ||
		(error = certificate_name_read_values(subject, &names)) != OK) {
		certificate_names_done(&names);
		return error;
	}
	*ret = names;
	return OK;
}

/* *ret is opened, to be closed, only where *ret_problem is NULL. */
static enum error open_certificate(struct span der, struct opened *ret, const char **ret_problem)
{
	const unsigned char *at = der.bytes;
	OPENED opened = { 0 };
	enum error error;

	*ret_problem = der_check(der);
	if (*ret_problem)
		return OK;
	ERR_clear_error();
	opened.certificate = (RAW_CERTIFICATE *)ASN1_item_d2i(
		NULL, &at, (long)der.length, ASN1_ITEM_rptr(RAW_CERTIFICATE));
	if (!opened.certificate)
		return certificate_judge("not an X.509 certificate", ret_problem);
	error = certificate_issuer_read(
		raw_span(opened.certificate->body->issuer), &opened.issuer, ret_problem);
	if (error != OK || *ret_problem)
		return error;
	*ret = opened;
	opened.certificate = NULL;
	return OK;
}

/* `ret_names` may be NULL. */
static enum error read_facts(struct span der, struct certificate_facts *ret,
	struct certificate_names *ret_names, const char **ret_problem)
{
	OPENED opened = { 0 };
	enum error error = open_certificate(der, &opened, ret_problem);

	if (error != OK || *ret_problem)
		return error;
	error = read_body(&opened, ret, ret_problem);
	if (error != OK || *ret_problem || !ret_names)
		return error;
	return read_names(&opened, ret_names);
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
	OPENED opened = { 0 };
	const char *problem = NULL;
	enum error error = open_certificate(der, &opened, &problem);

	if (error == OK && !problem) {
		struct span key = raw_span(opened.certificate->body->key);

		if (key.length > capacity)
			return ERROR_TOO_LARGE;
		memcpy(ret, key.bytes, key.length);
		*ret_length = key.length;
	}
	if (error == OK)
		*ret_problem = problem;
	return error;
}
