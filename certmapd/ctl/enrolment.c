/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* enrolment.c owns the use of OpenSSL's PKCS#7 and X509 for what people bring. */
#include "enrolment.h"

#include "armour.h"
#include "certificate.h"
#include "openssl_error.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* NIST SP 800-131A and OpenSSL's security level 2: RSA of 2048 bits, SHA-224. */
#define SECURITY_MIN_BITS 112

/* The first octet of all these structures, X.690 8.9.1. */
#define SEQUENCE "0"

/* Of a subject, in words about what was found. */
#define NAME_MAX_BYTES 128

static void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}

static void pkcs7_freep(PKCS7 **pkcs7)
{
	PKCS7_free(*pkcs7);
}

static void x509_freep(X509 **certificate)
{
	X509_free(*certificate);
}

static void openssl_freep(void *memory)
{
	OPENSSL_free(*(void **)memory);
}

static void freep(uint8_t **memory)
{
	free(*memory);
}

static enum error fail_or(enum error otherwise)
{
	return openssl_error_is_memory() ? ERROR_MEMORY : otherwise;
}

static enum error say(char *ret_problem, const char *words)
{
	snprintf(ret_problem, ENROLMENT_PROBLEM_BYTES, "%s", words);
	return OK;
}

/* A parser reads as much as it understands; all of it must be that. */
static bool is_whole(struct span der, ASN1_ITEM_EXP *item)
{
	const uint8_t *at = der.bytes;
	ASN1_VALUE *value = ASN1_item_d2i(NULL, &at, (long)der.length, ASN1_ITEM_ptr(item));

	ASN1_item_free(value, ASN1_ITEM_ptr(item));
	return value && at == der.bytes + der.length;
}

static bool is_private_key(struct span der)
{
	const uint8_t *at = der.bytes;
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)der.length);

	EVP_PKEY_free(key);
	return key != NULL;
}

static bool is_public_key(struct span der)
{
	const uint8_t *at = der.bytes;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.length);

	EVP_PKEY_free(key);
	return key != NULL;
}

#define REQUEST_WORDS                                                                              \
	"a certificate request (CSR), from which a CA makes the certificate that is wanted here"
#define CRL_WORDS "a revocation list (CRL): `certmapctl crl add' takes it"
#define PKCS12_WORDS                                                                               \
	"PKCS#12 (.p12, .pfx), which holds the private key too and asks for a password: `openssl " \
	"pkcs12 -in FILE -clcerts -nokeys -out alice.pem' takes the certificate out"
#define PRIVATE_KEY_WORDS                                                                          \
	"a private key: it stays with its owner, and only the certificate "                        \
	"belongs here"
#define PUBLIC_KEY_WORDS "a public key alone, without a certificate around it"

/* What else DER can be. NULL: none that we know. */
static const char *name_der(struct span der)
{
	static const struct {
		ASN1_ITEM_EXP *item;
		const char *words;
	} kinds[] = {
		{ ASN1_ITEM_ref(X509_REQ), REQUEST_WORDS }, { ASN1_ITEM_ref(X509_CRL), CRL_WORDS },
		{ ASN1_ITEM_ref(PKCS12), PKCS12_WORDS },
		{ ASN1_ITEM_ref(PKCS8_PRIV_KEY_INFO), PRIVATE_KEY_WORDS },
		{ ASN1_ITEM_ref(X509_SIG), PRIVATE_KEY_WORDS }, /* sealed with a password */
	};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (is_whole(der, kinds[i].item))
			return kinds[i].words;
	if (is_private_key(der))
		return PRIVATE_KEY_WORDS;
	return is_public_key(der) ? PUBLIC_KEY_WORDS : NULL;
}

static bool begins_with(struct span text, const char *beginning)
{
	return text.length >= strlen(beginning) &&
	       memcmp(text.bytes, beginning, strlen(beginning)) == 0;
}

static const char *find_string(struct span text, const char *string)
{
	return memmem(text.bytes, text.length, string, strlen(string));
}

/* What stands between BEGIN and the dashes decides, RFC 7468 3. */
static const char *name_text(struct span text)
{
	static const struct {
		const char *mark, *words;
	} kinds[] = {
		{ "-----BEGIN CERTIFICATE REQUEST-----", REQUEST_WORDS },
		{ "-----BEGIN NEW CERTIFICATE REQUEST-----", REQUEST_WORDS },
		{ "-----BEGIN X509 CRL-----", CRL_WORDS },
		{ "-----BEGIN PUBLIC KEY-----", PUBLIC_KEY_WORDS },
		{ "-----BEGIN RSA PUBLIC KEY-----", PUBLIC_KEY_WORDS },
		{ "-----BEGIN TRUSTED CERTIFICATE-----",
			"a certificate with OpenSSL's notes on trust: `openssl x509 -in FILE -out "
			"alice.pem' writes it without them" },
		{ "---- BEGIN SSH2 PUBLIC KEY ----", "an SSH public key, not a certificate" },
		{ "-----BEGIN PGP", "an OpenPGP file, not an X.509 certificate" },
	};
	static const char *const ssh_types[] = { "ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-" };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (find_string(text, kinds[i].mark))
			return kinds[i].words;
	for (size_t i = 0; i < sizeof ssh_types / sizeof ssh_types[0]; i++)
		if (begins_with(text, ssh_types[i]))
			return "an SSH public key, not a certificate";
	return NULL;
}

/* Also those of version 1, which can't say so, where they are self-signed. */
static bool is_authority(X509 *certificate)
{
	return X509_check_ca(certificate) != 0;
}

/* The signed kind alone has certificates in the open. */
static const STACK_OF(X509) * certificates_of(const PKCS7 *pkcs7)
{
	return OBJ_obj2nid(pkcs7->type) == NID_pkcs7_signed && pkcs7->d.sign ? pkcs7->d.sign->cert
									     : NULL;
}

/* Names of those that could be meant: "CN=alice, CN=bob". */
static void list_names(const STACK_OF(X509) * certificates, char *ret, size_t capacity)
{
	size_t used = 0;

	ret[0] = '\0';
	for (int i = 0; i < sk_X509_num(certificates); i++) {
		X509 *certificate = sk_X509_value(certificates, i);
		char name[NAME_MAX_BYTES];

		if (is_authority(certificate))
			continue;
		X509_NAME_oneline(X509_get_subject_name(certificate), name, sizeof name);
		used += (size_t)snprintf(
			ret + used, capacity - used, "%s%s", used > 0 ? ", " : "", name);
		if (used >= capacity)
			return;
	}
}

/* OpenSSL prints the certificate anew. The bytes that the CA signed and that a client will present
 * are those in the file, so that they must be found there. */
static enum error copy_certificate(
	X509 *certificate, struct span within, uint8_t *der, size_t *ret_length, char *ret_problem)
{
	__attribute__((cleanup(openssl_freep))) uint8_t *printed = NULL;
	const int length = i2d_X509(certificate, &printed);

	if (length <= 0)
		return fail_or(ERROR_SYSTEM);
	if ((size_t)length > ARMOUR_DER_MAX_BYTES)
		return say(ret_problem, armour_finding_text(ARMOUR_TOO_LARGE));
	if (!memmem(within.bytes, within.length, printed, (size_t)length))
		return say(ret_problem, "PKCS#7 with a certificate that is not in DER");
	memcpy(der, printed, (size_t)length);
	*ret_length = (size_t)length;
	return OK;
}

static enum error choose_certificate(const STACK_OF(X509) * certificates, struct span within,
	uint8_t *der, size_t *ret_length, char *ret_problem)
{
	X509 *chosen = NULL;
	int count = 0;

	for (int i = 0; i < sk_X509_num(certificates); i++)
		if (!is_authority(sk_X509_value(certificates, i))) {
			chosen = sk_X509_value(certificates, i);
			count++;
		}
	if (count == 1)
		return copy_certificate(chosen, within, der, ret_length, ret_problem);
	if (count == 0) {
		snprintf(ret_problem, ENROLMENT_PROBLEM_BYTES,
			"PKCS#7 with %d certificate%s of CAs, and none of a client",
			sk_X509_num(certificates) > 0 ? sk_X509_num(certificates) : 0,
			sk_X509_num(certificates) == 1 ? "" : "s");
	} else {
		char names[ENROLMENT_PROBLEM_BYTES / 2];

		list_names(certificates, names, sizeof names);
		snprintf(ret_problem, ENROLMENT_PROBLEM_BYTES,
			"PKCS#7 with %d certificates that are no CA's, of which one is wanted: %s",
			count, names);
	}
	return OK;
}

/* *ret_is_pkcs7 is false where it is none; nothing else is set then. */
static enum error open_pkcs7(
	struct span bytes, uint8_t *der, size_t *ret_length, bool *ret_is_pkcs7, char *ret_problem)
{
	const uint8_t *at = bytes.bytes;
	__attribute__((cleanup(pkcs7_freep))) PKCS7 *pkcs7 =
		d2i_PKCS7(NULL, &at, (long)bytes.length);

	*ret_is_pkcs7 = pkcs7 != NULL;
	if (!pkcs7)
		return fail_or(OK);
	if (at != bytes.bytes + bytes.length)
		return say(ret_problem, "PKCS#7 with other bytes behind it");
	return choose_certificate(certificates_of(pkcs7), bytes, der, ret_length, ret_problem);
}

static size_t count_strings(struct span text, const char *string)
{
	size_t count = 0;
	const char *found;

	while ((found = find_string(text, string)) != NULL) {
		const uint8_t *behind = (const uint8_t *)found + strlen(string);

		text = span_of(behind, (size_t)(text.bytes + text.length - behind));
		count++;
	}
	return count;
}

/* PEM with the label of PKCS#7, RFC 7468 8 and 9. */
static enum error open_pkcs7_pem(
	struct span text, uint8_t *der, size_t *ret_length, bool *ret_is_pkcs7, char *ret_problem)
{
	__attribute__((cleanup(bio_freep))) BIO *bio =
		BIO_new_mem_buf(text.bytes, (int)text.length);
	__attribute__((cleanup(openssl_freep))) char *label = NULL, *header = NULL;
	__attribute__((cleanup(openssl_freep))) uint8_t *content = NULL;
	long length;

	*ret_is_pkcs7 = false;
	if (!find_string(text, "-----BEGIN PKCS7-----") &&
		!find_string(text, "-----BEGIN CMS-----"))
		return OK;
	*ret_is_pkcs7 = true;
	if (!bio)
		return ERROR_MEMORY;
	if (count_strings(text, "-----BEGIN ") != 1)
		return say(ret_problem, "PKCS#7 beside something else in one text");
	if (!PEM_read_bio(bio, &label, &header, &content, &length))
		return fail_or(say(ret_problem, "PKCS#7 in broken PEM"));
	return open_pkcs7(
		span_of(content, (size_t)length), der, ret_length, ret_is_pkcs7, ret_problem);
}

/* Text alone, whose every character is ASCII. Returns its length; 0: it is none. */
static size_t narrow(struct span wide, bool is_big_endian, uint8_t *ret)
{
	const size_t low = is_big_endian ? 1 : 0;

	if (wide.length % 2 != 0)
		return 0;
	for (size_t i = 0; i < wide.length; i += 2) {
		if (wide.bytes[i + 1 - low] != 0 || wide.bytes[i + low] > 0x7f)
			return 0;
		ret[i / 2] = wide.bytes[i + low];
	}
	return wide.length / 2;
}

/* Takes off a byte order mark, as PowerShell and Notepad put it in front. `buffer` has room for all
 * of it. *ret_is_marked: there was one. */
static struct span to_plain(struct span bytes, uint8_t *buffer, bool *ret_is_marked)
{
	const struct span behind = span_of(bytes.bytes + 2, bytes.length - 2);

	*ret_is_marked = true;
	if (begins_with(bytes, "\xff\xfe"))
		return span_of(buffer, narrow(behind, false, buffer));
	if (begins_with(bytes, "\xfe\xff"))
		return span_of(buffer, narrow(behind, true, buffer));
	if (begins_with(bytes, "\xef\xbb\xbf"))
		return span_of(bytes.bytes + 3, bytes.length - 3);
	*ret_is_marked = false;
	return bytes;
}

/* What the armour found, and what a person does about it. */
static const char *finding_words(enum armour_finding finding)
{
	if (finding == ARMOUR_TWO_CERTIFICATES)
		return "two certificates in one text: leave that of the client alone in the file; "
		       "`openssl x509 -in FILE -out alice.pem' writes the first of them";
	if (finding == ARMOUR_PRIVATE_KEY)
		return "a private key: only the certificate belongs here; where there is one "
		       "beside the key, `openssl x509 -in FILE -out alice.pem' writes it alone";
	if (finding == ARMOUR_NOT_A_CERTIFICATE)
		return "not a certificate in any known form: DER, PEM, base64 in one line, or "
		       "PKCS#7 (.p7b)";
	if (finding == ARMOUR_TRUNCATED)
		return "truncated: the certificate is longer than what is there; copy it again";
	return armour_finding_text(finding);
}

/* What the armour found is said where there is no better name. */
static enum error name_it(
	struct span bytes, struct span der, const char *otherwise, char *ret_problem)
{
	const char *words = name_text(bytes);

	if (!words)
		words = name_der(der);
	ERR_clear_error();
	return say(ret_problem, words ? words : otherwise);
}

/* DER, out of whatever armour. */
static enum error open_der(struct span bytes, struct span opened, uint8_t *der, size_t *ret_length,
	bool *ret_is_whole, char *ret_problem)
{
	__attribute__((cleanup(freep))) uint8_t *copy = NULL;
	struct certificate_facts facts;
	const char *problem;
	bool is_pkcs7;
	enum error error = certificate_read(opened, &facts, &problem);

	if (error != OK)
		return error;
	*ret_is_whole = problem == NULL;
	if (!problem) {
		*ret_length = opened.length;
		return OK;
	}
	/* `opened` lies where the certificate is written to. */
	if (!(copy = malloc(opened.length)))
		return ERROR_MEMORY;
	memcpy(copy, opened.bytes, opened.length);
	opened = span_of(copy, opened.length);
	error = open_pkcs7(opened, der, ret_length, &is_pkcs7, ret_problem);
	if (error != OK || is_pkcs7)
		return error;
	return name_it(bytes, opened, problem, ret_problem);
}

static enum error open_plain(
	struct span bytes, uint8_t *der, size_t *ret_length, bool *ret_is_whole, char *ret_problem)
{
	bool is_pkcs7;
	size_t length;
	enum error error;
	const enum armour_finding finding =
		armour_open_stored(bytes, der, ARMOUR_DER_MAX_BYTES, &length);

	if (finding == ARMOUR_OPENED)
		return open_der(
			bytes, span_of(der, length), der, ret_length, ret_is_whole, ret_problem);
	*ret_is_whole = false;
	if (finding == ARMOUR_EMPTY || finding == ARMOUR_TOO_LARGE || finding == ARMOUR_PRIVATE_KEY)
		return say(ret_problem, finding_words(finding));
	/* BER too: programs that stream leave lengths open. */
	error = begins_with(bytes, SEQUENCE)
			? open_pkcs7(bytes, der, ret_length, &is_pkcs7, ret_problem)
			: open_pkcs7_pem(bytes, der, ret_length, &is_pkcs7, ret_problem);
	if (error != OK || is_pkcs7)
		return error;
	return name_it(bytes, bytes, finding_words(finding), ret_problem);
}

enum error enrolment_open(struct span bytes, uint8_t *der, size_t *ret_length, bool *ret_is_whole,
	char ret_problem[static ENROLMENT_PROBLEM_BYTES])
{
	__attribute__((cleanup(freep))) uint8_t *buffer = malloc(bytes.length + 1);
	struct span plain;
	bool is_marked, is_whole = false;
	enum error error;

	if (!buffer)
		return ERROR_MEMORY;
	ret_problem[0] = '\0';
	plain = to_plain(bytes, buffer, &is_marked);
	if (is_marked && plain.length == 0 && bytes.length > 3)
		return say(ret_problem, "UTF-16 with more than a certificate's letters: save it as "
					"DER, or as plain ASCII");
	error = open_plain(plain, der, ret_length, &is_whole, ret_problem);
	*ret_is_whole = is_whole && !is_marked;
	return error;
}

static void doubt_strength(X509 *certificate, struct enrolment_doubts *doubts)
{
	EVP_PKEY *key = X509_get0_pubkey(certificate);
	int bits;

	if (key && EVP_PKEY_get_security_bits(key) < SECURITY_MIN_BITS)
		doubts->weak_key_bits = EVP_PKEY_get_bits(key);
	if (X509_get_signature_info(certificate, NULL, NULL, &bits, NULL) == 1)
		doubts->has_weak_signature = bits >= 0 && bits < SECURITY_MIN_BITS;
}

enum error enrolment_doubt(struct span der, struct enrolment_doubts *ret)
{
	struct enrolment_doubts doubts = { 0 };
	const uint8_t *at = der.bytes;
	__attribute__((cleanup(x509_freep))) X509 *certificate =
		d2i_X509(NULL, &at, (long)der.length);

	if (!certificate && openssl_error_is_memory())
		return ERROR_MEMORY;
	if (certificate) {
		const uint32_t flags = X509_get_extension_flags(certificate);

		doubts.is_authority = (flags & EXFLAG_CA) != 0;
		doubts.is_not_of_client = (flags & EXFLAG_XKUSAGE) != 0 &&
					  (X509_get_extended_key_usage(certificate) &
						  (XKU_SSL_CLIENT | XKU_ANYEKU)) == 0;
		doubt_strength(certificate, &doubts);
		ERR_clear_error();
	}
	*ret = doubts;
	return OK;
}
