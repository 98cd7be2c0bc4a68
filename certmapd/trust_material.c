/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trust_material.c owns which certificates and lists may be part of a chain. */
#include "trust_private.h"

#include "openssl_error.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

static void x509_freep(X509 **certificate)
{
	X509_free(*certificate);
}

void trust_authority_free(struct authority *authority)
{
	if (!authority)
		return;
	X509_free(authority->certificate);
	free(authority);
}

void trust_authority_freep(struct authority **authority)
{
	trust_authority_free(*authority);
}

static void crl_freep(struct crl **crl)
{
	crl_free(*crl);
}

enum error trust_material_new(struct trust_material **ret)
{
	struct trust_material *material = calloc(1, sizeof(*material));

	if (!material)
		return ERROR_MEMORY;
	*ret = material;
	return OK;
}

void trust_material_free(struct trust_material *material)
{
	if (!material)
		return;
	for (size_t i = 0; i < material->authority_count; i++)
		trust_authority_free(material->authorities[i]);
	for (size_t i = 0; i < material->crl_count; i++)
		crl_free(material->crls[i]);
	free(material->authorities);
	free(material->crls);
	free(material);
}

/* `der` is known to be one certificate as far as certificate_read() goes. */
static enum error try_x509(struct span der, X509 **ret, const char **ret_problem)
{
	__attribute__((cleanup(x509_freep))) X509 *certificate = NULL;
	const unsigned char *at = der.bytes;
	const char *problem = NULL;

	ERR_clear_error();
	certificate = d2i_X509(NULL, &at, (long)der.length);
	/* Extensions, key and its strength are worked out once. Where memory is short meanwhile,
	 * what is missing stays missing as long as the certificate is there. */
	if (!certificate)
		problem = "not a certificate that can be verified";
	else if (X509_check_purpose(certificate, -1, 0) != 1)
		problem = "a certificate with malformed extensions";
	else if (!X509_get0_pubkey(certificate) ||
		 EVP_PKEY_get_security_bits(X509_get0_pubkey(certificate)) <= 0)
		problem = "a certificate with a key that can't be used";
	if (openssl_error_is_memory())
		return ERROR_MEMORY;
	*ret_problem = problem;
	if (!problem) {
		*ret = certificate;
		certificate = NULL;
	}
	return OK;
}

/* OpenSSL 3.0 drops the error of decoding a key, also where memory was short: see
 * find_chain_surely() of trust.c. */
static enum error read_x509(struct span der, X509 **ret, const char **ret_problem)
{
	enum error error = try_x509(der, ret, ret_problem);

	if (error == OK && *ret_problem)
		error = try_x509(der, ret, ret_problem);
	return error;
}

enum error trust_authority_new(struct span der, struct authority **ret, const char **ret_problem)
{
	struct authority *authority TRUST_AUTHORITY_FREE = calloc(1, sizeof(*authority));
	struct certificate_facts facts;
	const char *problem;
	enum error error;

	if (!authority)
		return ERROR_MEMORY;
	if ((error = certificate_read(der, &facts, &problem)) != OK)
		return error;
	if (!problem && (error = read_x509(der, &authority->certificate, &problem)) != OK)
		return error;
	*ret_problem = problem;
	if (problem)
		return OK;
	memcpy(authority->fingerprint, facts.fingerprint, sizeof(facts.fingerprint));
	memcpy(authority->subject, facts.subject, sizeof(facts.subject));
	authority->not_before_sec = facts.not_before_sec;
	authority->not_after_sec = facts.not_after_sec;
	*ret = authority;
	authority = NULL;
	return OK;
}

struct authority *trust_find_authority(
	const struct trust_material *material, const uint8_t fingerprint[FINGERPRINT_BYTES])
{
	for (size_t i = 0; i < material->authority_count; i++)
		if (memcmp(material->authorities[i]->fingerprint, fingerprint, FINGERPRINT_BYTES) ==
			0)
			return material->authorities[i];
	return NULL;
}

/* RFC 5280 6.1.4 (k), (n): basicConstraints, and keyCertSign where there is a keyUsage. Roots of
 * version 1 can't have them, and are believed because the administrator says so. */
static const char *check_authority(X509 *certificate, bool is_anchor)
{
	switch (X509_check_ca(certificate)) {
	case 1:
		return NULL;
	case 3: /* self-signed and of version 1 */
		if (is_anchor)
			return NULL;
		break;
	}
	return "not the certificate of a certificate authority";
}

static enum error add_authority(
	struct trust_material *material, struct span der, bool is_anchor, const char **ret_problem)
{
	struct authority *authority TRUST_AUTHORITY_FREE = NULL;
	struct authority **grown, *known;
	const char *problem = NULL;
	enum error error;

	if ((error = trust_authority_new(der, &authority, &problem)) != OK)
		return error;
	if (!problem)
		problem = check_authority(authority->certificate, is_anchor);
	*ret_problem = problem;
	if (problem)
		return OK;
	authority->is_anchor = is_anchor;
	/* Twice the same would double the paths at every step. */
	known = trust_find_authority(material, authority->fingerprint);
	if (known) {
		known->is_anchor = known->is_anchor || is_anchor;
		return OK;
	}
	grown = reallocarray(material->authorities, material->authority_count + 1, sizeof(*grown));
	if (!grown)
		return ERROR_MEMORY;
	material->authorities = grown;
	grown[material->authority_count++] = authority;
	authority = NULL;
	return OK;
}

enum error trust_add_anchor(
	struct trust_material *material, struct span der, const char **ret_problem)
{
	return add_authority(material, der, true, ret_problem);
}

enum error trust_add_intermediate(
	struct trust_material *material, struct span der, const char **ret_problem)
{
	return add_authority(material, der, false, ret_problem);
}

enum error trust_add_crl(struct trust_material *material, struct span der, const char **ret_problem)
{
	__attribute__((cleanup(crl_freep))) struct crl *crl = NULL;
	const char *problem = NULL;
	struct crl **grown;
	enum error error;

	if ((error = crl_new(der, &crl, &problem)) != OK)
		return error;
	if (!problem) {
		grown = reallocarray(material->crls, material->crl_count + 1, sizeof(*grown));
		if (!grown)
			return ERROR_MEMORY;
		material->crls = grown;
		grown[material->crl_count++] = crl;
		crl = NULL;
	}
	*ret_problem = problem;
	return OK;
}

int64_t trust_lists_end_sec(const struct trust_material *material)
{
	int64_t end_sec = INT64_MAX;

	for (size_t i = 0; i < material->crl_count; i++)
		if (material->crls[i]->next_update_sec != CRL_NO_NEXT_UPDATE &&
			material->crls[i]->next_update_sec < end_sec)
			end_sec = material->crls[i]->next_update_sec;
	return end_sec;
}
