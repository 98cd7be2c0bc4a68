/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chain.c owns how the tables of chain.h become certificates and lists. */
#include "chain.h"

#include <openssl/conf.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "openssl_tool.h"

#define MADE_MAX 256u

static const struct chain_certificate *all_certificates;
static const struct chain_crl *all_crls;

static struct {
	const char *name;
	EVP_PKEY *key;
} keys[MADE_MAX];
static size_t key_count;

static struct {
	const char *name;
	X509 *certificate; /* NULL for a list */
	struct span der;
} made[MADE_MAX];
static size_t made_count;

static void need(bool is_so, const char *what)
{
	if (is_so)
		return;
	ERR_print_errors_fp(stderr);
	tool_fail(what);
}

static void free_all(void)
{
	for (size_t i = 0; i < key_count; i++)
		EVP_PKEY_free(keys[i].key);
	for (size_t i = 0; i < made_count; i++) {
		X509_free(made[i].certificate);
		OPENSSL_free((void *)made[i].der.bytes);
	}
}

void chain_begin(const struct chain_certificate *certificates, const struct chain_crl *crls)
{
	all_certificates = certificates;
	all_crls = crls;
	atexit(free_all);
}

static bool has_prefix(const char *string, const char *prefix)
{
	return strncmp(string, prefix, strlen(prefix)) == 0;
}

static EVP_PKEY *pss_make(void)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA_PSS, NULL);
	EVP_PKEY *key = NULL;

	need(context && EVP_PKEY_keygen_init(context) == 1 &&
			EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048) == 1 &&
			EVP_PKEY_generate(context, &key) == 1,
		"a key for RSA-PSS");
	EVP_PKEY_CTX_free(context);
	return key;
}

static EVP_PKEY *key_make(const char *name)
{
	if (has_prefix(name, "ec:"))
		return EVP_EC_gen("P-256");
	if (has_prefix(name, "rsa:"))
		return EVP_RSA_gen(2048);
	if (has_prefix(name, "weak:"))
		return EVP_RSA_gen(1024);
	if (has_prefix(name, "pss:"))
		return pss_make();
	if (has_prefix(name, "ed25519:"))
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return NULL;
}

static EVP_PKEY *key_of(const char *name)
{
	for (size_t i = 0; i < key_count; i++)
		if (strcmp(keys[i].name, name) == 0)
			return keys[i].key;
	need(key_count < MADE_MAX, "too many keys");
	keys[key_count].name = name;
	keys[key_count].key = key_make(name);
	need(keys[key_count].key, name);
	return keys[key_count++].key;
}

/* Ed25519 has its digest inside. */
static const EVP_MD *digest_of(EVP_PKEY *key, const char *name)
{
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		return NULL;
	return EVP_get_digestbyname(name ? name : "SHA256");
}

static X509_NAME *name_make(const char *subject)
{
	X509_NAME *name = X509_NAME_new();
	char copy[4096], *rest = copy, *attribute;

	need(name && strlen(subject) < sizeof(copy), "a name");
	strcpy(copy, subject);
	while ((attribute = strsep(&rest, "/"))) {
		char *value = strchr(attribute, '=');

		if (!value)
			continue;
		*value++ = '\0';
		need(X509_NAME_add_entry_by_txt(
			     name, attribute, MBSTRING_UTF8, (unsigned char *)value, -1, -1, 0),
			subject);
	}
	return name;
}

static ASN1_TIME *time_make(int64_t relative_sec)
{
	ASN1_TIME *time = ASN1_TIME_set(NULL, NOW_SEC + relative_sec);

	need(time, "a time");
	return time;
}

static CONF *conf_make(const char *extensions)
{
	CONF *conf = NCONF_new(NULL);
	char text[4096];
	BIO *bio;

	snprintf(text, sizeof(text), "[x]\n%s\n", extensions);
	bio = BIO_new_mem_buf(text, -1);
	need(conf && bio && NCONF_load_bio(conf, bio, NULL) == 1, extensions);
	BIO_free(bio);
	return conf;
}

static FILE *file_open(const char *name)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s.pem", name);
	file = fopen(path, "w");
	need(file, path);
	return file;
}

static X509 *certificate_of(const char *name);

static void made_add(const char *name, X509 *certificate, unsigned char *der, int length)
{
	need(made_count < MADE_MAX && length > 0, name);
	made[made_count].name = name;
	made[made_count].certificate = certificate;
	made[made_count++].der = span_of(der, (size_t)length);
}

static void certificate_set_times(X509 *certificate, const struct chain_certificate *from)
{
	const bool is_set = from->from_sec != 0 || from->until_sec != 0;
	ASN1_TIME *begin = time_make(is_set ? from->from_sec : -1000 * DAY_SEC);
	ASN1_TIME *end = time_make(is_set ? from->until_sec : 1000 * DAY_SEC);

	need(X509_set1_notBefore(certificate, begin) && X509_set1_notAfter(certificate, end),
		from->name);
	ASN1_TIME_free(begin);
	ASN1_TIME_free(end);
}

static void certificate_set_names(X509 *certificate, const struct chain_certificate *from)
{
	X509_NAME *subject = name_make(from->subject);
	const X509_NAME *issuer = subject;

	if (from->issuer)
		issuer = X509_get_subject_name(certificate_of(from->issuer));
	need(X509_set_subject_name(certificate, subject) &&
			X509_set_issuer_name(certificate, issuer),
		from->name);
	X509_NAME_free(subject);
}

static void certificate_set_extensions(X509 *certificate, const struct chain_certificate *from)
{
	X509 *issuer = from->issuer ? certificate_of(from->issuer) : certificate;
	CONF *conf;
	X509V3_CTX context;

	if (!from->extensions)
		return;
	conf = conf_make(from->extensions);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509V3_set_nconf(&context, conf);
	need(X509V3_EXT_add_nconf(conf, &context, "x", certificate), from->name);
	NCONF_free(conf);
}

static const struct chain_certificate *certificate_plan(const char *name)
{
	const struct chain_certificate *plan = all_certificates;

	while (plan->name && strcmp(plan->name, name) != 0)
		plan++;
	return plan->name ? plan : NULL;
}

static const char *signer_of(const struct chain_certificate *from)
{
	if (from->signed_by)
		return from->signed_by;
	return from->issuer ? certificate_plan(from->issuer)->key : from->key;
}

static void certificate_make(const struct chain_certificate *from)
{
	X509 *certificate = X509_new();
	EVP_PKEY *signer = key_of(signer_of(from));
	unsigned char *der = NULL;
	FILE *file;
	int length;

	need(certificate && X509_set_version(certificate, from->extensions ? 2 : 0) &&
			ASN1_INTEGER_set(
				X509_get_serialNumber(certificate), 1000 + (long)made_count) &&
			X509_set_pubkey(certificate, key_of(from->key)),
		from->name);
	certificate_set_times(certificate, from);
	certificate_set_names(certificate, from);
	certificate_set_extensions(certificate, from);
	need(X509_sign(certificate, signer, digest_of(signer, from->digest)) > 0, from->name);
	file = file_open(from->name);
	need(PEM_write_X509(file, certificate) && fclose(file) == 0, from->name);
	length = i2d_X509(certificate, &der);
	made_add(from->name, certificate, der, length);
}

static size_t made_find(const char *name);
static X509 *certificate_of(const char *name)
{
	return made[made_find(name)].certificate;
}

static void entry_add_extensions(X509_REVOKED *entry, const struct chain_crl *from)
{
	ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
	CONF *conf = conf_make("1.2.3.4=critical,DER:0500");
	X509_EXTENSION *unknown = X509V3_EXT_nconf(conf, NULL, "1.2.3.4", "critical,DER:0500");

	need(reason && unknown && ASN1_ENUMERATED_set(reason, from->reason), from->name);
	if (from->reason != 0)
		need(X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, 0) == 1,
			from->name);
	if (from->has_unknown_entries)
		need(X509_REVOKED_add_ext(entry, unknown, -1), from->name);
	X509_EXTENSION_free(unknown);
	ASN1_ENUMERATED_free(reason);
	NCONF_free(conf);
}

static void crl_add_entries(X509_CRL *list, const struct chain_crl *from)
{
	char copy[256], *rest = copy, *name;
	ASN1_TIME *time = time_make(-2 * DAY_SEC);

	snprintf(copy, sizeof(copy), "%s", from->revoked ? from->revoked : "");
	while ((name = strsep(&rest, " "))) {
		X509_REVOKED *entry;

		if (*name == '\0')
			continue;
		entry = X509_REVOKED_new();
		need(entry &&
				X509_REVOKED_set_serialNumber(
					entry, X509_get_serialNumber(certificate_of(name))) &&
				X509_REVOKED_set_revocationDate(entry, time),
			from->name);
		entry_add_extensions(entry, from);
		need(X509_CRL_add0_revoked(list, entry), from->name);
	}
	ASN1_TIME_free(time);
}

static void crl_set_times(X509_CRL *list, const struct chain_crl *from)
{
	const bool is_set = from->from_sec != 0 || from->until_sec != 0;
	ASN1_TIME *begin = time_make(is_set ? from->from_sec : -DAY_SEC), *end;

	need(X509_CRL_set1_lastUpdate(list, begin), from->name);
	ASN1_TIME_free(begin);
	if (from->until_sec == NO_NEXT_UPDATE)
		return;
	end = time_make(is_set ? from->until_sec : DAY_SEC);
	need(X509_CRL_set1_nextUpdate(list, end), from->name);
	ASN1_TIME_free(end);
}

static void crl_set_extensions(X509_CRL *list, const struct chain_crl *from)
{
	X509V3_CTX context;
	CONF *conf;

	if (!from->extensions)
		return;
	conf = conf_make(from->extensions);
	X509V3_set_ctx(&context, certificate_of(from->issuer), NULL, NULL, list, 0);
	X509V3_set_nconf(&context, conf);
	need(X509V3_EXT_CRL_add_nconf(conf, &context, "x", list), from->name);
	NCONF_free(conf);
}

static void crl_make(const struct chain_crl *from)
{
	X509_CRL *list = X509_CRL_new();
	X509 *issuer = certificate_of(from->issuer);
	EVP_PKEY *signer =
		key_of(from->signed_by ? from->signed_by : certificate_plan(from->issuer)->key);
	unsigned char *der = NULL;
	FILE *file;
	int length;

	need(list && X509_CRL_set_version(list, 1) &&
			X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer)),
		from->name);
	crl_set_times(list, from);
	crl_set_extensions(list, from);
	crl_add_entries(list, from);
	need(X509_CRL_sign(list, signer, digest_of(signer, from->digest)) > 0, from->name);
	file = file_open(from->name);
	need(PEM_write_X509_CRL(file, list) && fclose(file) == 0, from->name);
	length = i2d_X509_CRL(list, &der);
	made_add(from->name, NULL, der, length);
	X509_CRL_free(list);
}

static size_t made_find(const char *name)
{
	const struct chain_crl *crl = all_crls;

	for (size_t i = 0; i < made_count; i++)
		if (strcmp(made[i].name, name) == 0)
			return i;
	if (certificate_plan(name)) {
		certificate_make(certificate_plan(name));
		return made_find(name);
	}
	while (crl->name && strcmp(crl->name, name) != 0)
		crl++;
	need(crl->name, name);
	crl_make(crl);
	return made_find(name);
}

struct span chain_der(const char *name)
{
	return made[made_find(name)].der;
}
