/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fixture.c owns the making and unmaking of the tests' databases and certificates. */
#include "fixture.h"

#include "migrations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

void fixture_reopen(struct fixture *f)
{
	sqlite3_close(f->shell);
	assert_int_equal(sqlite3_open(f->path, &f->shell), SQLITE_OK);
}

void fixture_init(struct fixture *f)
{
	fixture_init_version(f, migration_count);
}

void fixture_init_version(struct fixture *f, unsigned version)
{
	*f = (struct fixture){ .directory = "/tmp/certmap-test-XXXXXX" };
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->path, sizeof f->path, "%s/mappings.db", f->directory);
	fixture_reopen(f);
	for (unsigned i = 0; i < version; i++)
		fixture_run(f, "%s", migrations[i].sql);
}

void fixture_done(struct fixture *f)
{
	char command[128];

	sqlite3_close(f->shell);
	snprintf(command, sizeof command, "rm -rf -- '%s'", f->directory);
	assert_int_equal(system(command), 0);
}

void fixture_run(struct fixture *f, const char *format, ...)
{
	va_list arguments;
	char *sql, *message = NULL;

	va_start(arguments, format);
	sql = sqlite3_vmprintf(format, arguments);
	va_end(arguments);
	if (sqlite3_exec(f->shell, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%.200s: %s", sql, message);
	sqlite3_free(sql);
}

void fixture_checkpoint(struct fixture *f)
{
	int frames = -1, copied = -1;

	assert_int_equal(sqlite3_wal_checkpoint_v2(
				 f->shell, "main", SQLITE_CHECKPOINT_TRUNCATE, &frames, &copied),
		SQLITE_OK);
	assert_int_equal(frames, copied);
}

int64_t fixture_number(struct fixture *f, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t number;

	assert_int_equal(sqlite3_prepare_v2(f->shell, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return number;
}

void fixture_map(struct fixture *f, const char *service, const char *account, struct span bytes)
{
	sqlite3_stmt *statement;

	assert_int_equal(
		sqlite3_prepare_v2(f->shell,
			"INSERT INTO mapping (service, account, certificate) VALUES (?1, ?2, ?3)",
			-1, &statement, NULL),
		SQLITE_OK);
	sqlite3_bind_text(statement, 1, service, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, account, -1, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 3, bytes.bytes, (int)bytes.length, SQLITE_STATIC);
	if (sqlite3_step(statement) != SQLITE_DONE)
		fail_msg("%s", sqlite3_errmsg(f->shell));
	sqlite3_finalize(statement);
}

/* "CN=alice,O=Test": no value in these tests holds a comma. */
static void add_attributes(X509_NAME *name, const char *attributes)
{
	char copy[256], *rest = copy, *pair, *value;

	snprintf(copy, sizeof copy, "%s", attributes);
	while ((pair = strsep(&rest, ","))) {
		value = strchr(pair, '=');
		assert_non_null(value);
		*value++ = '\0';
		assert_true(X509_NAME_add_entry_by_txt(
			name, pair, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0));
	}
}

static X509 *parse(struct span der)
{
	const unsigned char *at = der.bytes;
	X509 *x = d2i_X509(NULL, &at, (long)der.length);

	assert_non_null(x);
	return x;
}

static EVP_PKEY *key_from(const struct span *der)
{
	X509 *x = parse(*der);
	EVP_PKEY *key = X509_get_pubkey(x);

	X509_free(x);
	assert_non_null(key);
	return key;
}

struct span fixture_certificate_like(
	const char *subject, const char *issuer, const struct span *key_of)
{
	EVP_PKEY *signer = EVP_EC_gen("P-256");
	EVP_PKEY *key = key_of ? key_from(key_of) : EVP_EC_gen("P-256");
	X509 *x = X509_new();
	unsigned char *der = NULL;
	int length;

	assert_non_null(x);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	add_attributes(X509_get_subject_name(x), subject);
	add_attributes(X509_get_issuer_name(x), issuer);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, signer, EVP_sha256()) > 0);
	length = i2d_X509(x, &der);
	assert_true(length > 0);
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(signer);
	return span_of(der, (size_t)length);
}

void fixture_key_fingerprint(struct span der, char ret[65])
{
	EVP_PKEY *key = key_from(&der);
	unsigned char *spki = NULL, digest[32];
	int length = i2d_PUBKEY(key, &spki);

	assert_true(length > 0);
	assert_true(EVP_Digest(spki, (size_t)length, digest, NULL, EVP_sha256(), NULL));
	for (int i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	OPENSSL_free(spki);
	EVP_PKEY_free(key);
}

char *fixture_line(struct span der, bool is_issuer)
{
	X509 *x = parse(der);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *copy;
	long length;

	X509_NAME_print_ex(bio, is_issuer ? X509_get_issuer_name(x) : X509_get_subject_name(x), 0,
		XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB & ~XN_FLAG_SPC_EQ);
	length = BIO_get_mem_data(bio, &text);
	copy = malloc((size_t)length + 1);
	assert_non_null(copy);
	memcpy(copy, text, (size_t)length);
	copy[length] = '\0';
	BIO_free(bio);
	X509_free(x);
	return copy;
}

struct span fixture_certificate(const char *common_name)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	unsigned char *der = NULL;
	int length;

	assert_non_null(key);
	assert_non_null(x);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
		(const unsigned char *)common_name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	length = i2d_X509(x, &der);
	assert_true(length > 0);
	X509_free(x);
	EVP_PKEY_free(key);
	return span_of(der, (size_t)length);
}

char *fixture_pem(struct span der)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *copy;
	long length;

	assert_true(PEM_write_bio(bio, "CERTIFICATE", "", der.bytes, (long)der.length) > 0);
	length = BIO_get_mem_data(bio, &text);
	copy = malloc((size_t)length + 1);
	assert_non_null(copy);
	memcpy(copy, text, (size_t)length);
	copy[length] = '\0';
	BIO_free(bio);
	return copy;
}

void fixture_vary(struct span der, uint32_t number)
{
	memcpy((uint8_t *)der.bytes + der.length - 60, &number, sizeof number);
}
