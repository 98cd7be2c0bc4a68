/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crl_file.c owns the PEM of a list, and the facts that people see of one. */
#include "crl_file.h"

#include "crl.h"
#include "openssl_error.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DER_SEQUENCE 0x30u /* the first octet of a list in DER, X.690 8.9.1 */

static void free_text(char **text)
{
	OPENSSL_free(*text);
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void free_crl(struct crl **crl)
{
	crl_free(*crl);
}

static void free_number(ASN1_INTEGER **number)
{
	ASN1_INTEGER_free(*number);
}

static void free_big(BIGNUM **big)
{
	BN_free(*big);
}

void crl_file_free(uint8_t **room)
{
	OPENSSL_free(*room);
}

struct pem {
	char *name; /* NULL: there is none */
	unsigned char *bytes;
	long length;
	struct span rest; /* what follows after it */
};

static void pem_done(struct pem *pem)
{
	OPENSSL_free(pem->name);
	OPENSSL_free(pem->bytes);
}

static enum error try_pem(struct span text, struct pem *ret)
{
	BIO *bio __attribute__((cleanup(free_bio))) = BIO_new_mem_buf(text.bytes, (int)text.length);
	char *header __attribute__((cleanup(free_text))) = NULL;
	char *rest;

	if (!bio)
		return ERROR_MEMORY;
	ERR_clear_error();
	if (PEM_read_bio(bio, &ret->name, &header, &ret->bytes, &ret->length) == 1)
		ret->rest = span_of(text.bytes + text.length - BIO_get_mem_data(bio, &rest),
			(size_t)BIO_get_mem_data(bio, &rest));
	return openssl_error_is_memory() ? ERROR_MEMORY : OK;
}

/* A list that is taken for none while memory is short would be missed as long as the rows stand,
 * and whom it names be let in. OpenSSL does not always say that memory was short: that there is
 * none must come out twice. */
static enum error read_pem(struct span text, struct pem *ret)
{
	enum error error = try_pem(text, ret);

	if (error == OK && !ret->name)
		error = try_pem(text, ret);
	return error;
}

/* armour.h is for certificates, and lists are larger than its limits. */
static enum error open_pem(
	struct span text, struct span *ret, uint8_t **ret_room, const char **ret_problem)
{
	struct pem list __attribute__((cleanup(pem_done))) = { 0 };
	struct pem other __attribute__((cleanup(pem_done))) = { 0 };
	enum error error;

	if ((error = read_pem(text, &list)) != OK)
		return error;
	if (list.name && strcmp(list.name, PEM_STRING_X509) == 0) {
		*ret_problem = "a certificate: `certmapctl trust add' takes that of an authority";
		return OK;
	}
	if (!list.name || strcmp(list.name, PEM_STRING_X509_CRL) != 0) {
		*ret_problem = "neither DER nor PEM of a revocation list";
		return OK;
	}
	if ((error = read_pem(list.rest, &other)) != OK)
		return error;
	if (other.name) {
		*ret_problem = "more than one list in one text";
		return OK;
	}
	*ret = span_of(list.bytes, (size_t)list.length);
	*ret_room = list.bytes;
	list.bytes = NULL;
	return OK;
}

enum error crl_file_open(
	struct span content, struct span *ret, uint8_t **ret_room, const char **ret_problem)
{
	*ret_problem = NULL;
	if (content.length > 0 && content.bytes[0] == DER_SEQUENCE) {
		*ret = content;
		return OK;
	}
	return open_pem(content, ret, ret_room, ret_problem);
}

static enum error read_issuer(const X509_NAME *name, char ret[CERTIFICATE_NAME_MAX_BYTES])
{
	const unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
	BIO *bio __attribute__((cleanup(free_bio))) = BIO_new(BIO_s_mem());
	char *text;
	long length;

	if (!bio || X509_NAME_print_ex(bio, name, 0, flags) < 0)
		return ERROR_MEMORY;
	length = BIO_get_mem_data(bio, &text);
	snprintf(ret, CERTIFICATE_NAME_MAX_BYTES, "%.*s", (int)length, text);
	return OK;
}

static enum error read_number(const X509_CRL *list, char ret[CRL_NUMBER_MAX_BYTES])
{
	ASN1_INTEGER *number __attribute__((cleanup(free_number))) =
		X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL);
	BIGNUM *big __attribute__((cleanup(free_big))) = NULL;
	char *digits __attribute__((cleanup(free_text))) = NULL;
	const char *first;

	ret[0] = '\0';
	if (!number)
		return OK;
	if (!(big = ASN1_INTEGER_to_BN(number, NULL)) || !(digits = BN_bn2hex(big)))
		return ERROR_MEMORY;
	for (first = digits; first[0] == '0' && first[1] != '\0'; first++)
		;
	/* One that is longer than it may be, or negative, is no number to compare. */
	if (first[0] != '-' && strlen(first) < CRL_NUMBER_MAX_BYTES)
		snprintf(ret, CRL_NUMBER_MAX_BYTES, "%s", first);
	return OK;
}

static bool add_bytes(BIO *bio, const unsigned char *bytes, int length)
{
	return length == 0 || BIO_write(bio, bytes, length) == length;
}

/* What is not there is as good as empty: an extension's value never is. */
static bool add_extension(BIO *bio, const X509_CRL *list, int nid)
{
	const int at = X509_CRL_get_ext_by_NID(list, nid, -1);
	const ASN1_OCTET_STRING *value =
		at < 0 ? NULL : X509_EXTENSION_get_data(X509_CRL_get_ext(list, at));

	return !value || add_bytes(bio, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
}

static enum error read_source(const X509_CRL *list, uint8_t ret[FINGERPRINT_BYTES])
{
	BIO *bio __attribute__((cleanup(free_bio))) = BIO_new(BIO_s_mem());
	const unsigned char *name;
	size_t name_length;
	char *bytes;
	long length;

	if (!bio || X509_NAME_get0_der(X509_CRL_get_issuer(list), &name, &name_length) != 1 ||
		!add_bytes(bio, name, (int)name_length) ||
		!add_extension(bio, list, NID_authority_key_identifier) ||
		!add_extension(bio, list, NID_issuing_distribution_point))
		return ERROR_MEMORY;
	length = BIO_get_mem_data(bio, &bytes);
	return certificate_fingerprint(span_of(bytes, (size_t)length), ret);
}

static enum error read_facts(const struct crl *crl, struct crl_facts *ret)
{
	const int count = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl->list));
	enum error error;

	ret->this_update_sec = crl->this_update_sec;
	ret->has_next_update = crl->next_update_sec != CRL_NO_NEXT_UPDATE;
	ret->next_update_sec = ret->has_next_update ? crl->next_update_sec : 0;
	ret->entry_count = count > 0 ? (size_t)count : 0; /* -1: the list of them is left out */
	if ((error = read_issuer(X509_CRL_get_issuer(crl->list), ret->issuer)) != OK ||
		(error = read_number(crl->list, ret->number)) != OK)
		return error;
	return read_source(crl->list, ret->source);
}

enum error crl_file_read(struct span content, struct crl_facts *ret, const char **ret_problem)
{
	struct crl *crl __attribute__((cleanup(free_crl))) = NULL;
	uint8_t *room CRL_FILE_FREE = NULL;
	struct crl_facts facts = { 0 };
	struct span der = { 0 };
	enum error error = crl_file_open(content, &der, &room, ret_problem);

	if (error != OK || *ret_problem || (error = crl_new(der, &crl, ret_problem)) != OK ||
		*ret_problem)
		return error;
	if ((error = read_facts(crl, &facts)) == OK)
		*ret = facts;
	return error;
}

static int compare_numbers(const char *one, const char *other)
{
	if (strlen(one) != strlen(other))
		return strlen(one) < strlen(other) ? -1 : 1;
	return strcmp(one, other);
}

bool crl_file_is_older(const struct crl_facts *one, const struct crl_facts *other)
{
	if (one->number[0] && other->number[0] && compare_numbers(one->number, other->number) < 0)
		return true;
	return one->this_update_sec < other->this_update_sec;
}
