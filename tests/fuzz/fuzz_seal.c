/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_seal.c: key files and sealed values. What opens was sealed here, with this key and for this
 * row; a changed bit, another service or another account opens nothing.
 *
 * An input: how, a text of a key file, a service, an account, and a password or a sealed value.
 * Bytes that a fuzzer makes up never have a right tag, so that a third way seals any padded
 * plaintext with the right key, as another program could.
 */
#include "seal.h"

#include "certificate.h"
#include "fuzz.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_LINE "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define HEADER_BYTES 21u
#define TAG_BYTES 16u
#define PAD_BYTES 64u

enum way {
	WAY_PASSWORD,
	WAY_SEALED,
	WAY_PADDED,
	WAYS,
};

struct row {
	struct span service, account;
};

/* From a file without a name; NULL: no keys. */
static struct seal_keys *load(struct span text)
{
	struct seal_keys *keys = NULL;
	enum seal_finding finding;
	char path[64];
	int fd = memfd_create("key", MFD_CLOEXEC);

	MUST(fd >= 0 && fchmod(fd, 0400) == 0);
	MUST(write(fd, text.bytes, text.length) == (ssize_t)text.length);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	MUST(seal_keys_load(path, &keys, &finding) == OK);
	MUST((finding == SEAL_OPENED) == (keys != NULL));
	MUST(finding == SEAL_OPENED || seal_finding_text(finding)[0] != '\0');
	close(fd);
	return keys;
}

static enum seal_finding open_row(const struct seal_keys *keys, struct row row, struct span sealed,
	uint8_t plain[SEAL_PLAIN_MAX_BYTES], size_t *ret_length)
{
	enum seal_finding finding = 0;

	MUST(seal_open(keys, row.service, row.account, sealed, plain, ret_length, &finding) == OK);
	return finding;
}

static void must_stay_closed(const struct seal_keys *keys, struct row row, struct span sealed)
{
	uint8_t plain[SEAL_PLAIN_MAX_BYTES];
	size_t length = 0;

	MUST(open_row(keys, row, sealed, plain, &length) != SEAL_OPENED && length == 0);
}

/* Every bit of it counts; one is flipped, which one depends on the value. */
static void must_be_bound(const struct seal_keys *keys, struct row row, struct span sealed)
{
	FUZZ_PART changed = fuzz_copy(sealed);
	const size_t at = sealed.bytes[HEADER_BYTES] * 4u % sealed.length;
	uint8_t *bytes = (uint8_t *)changed.bytes;
	struct row other = row;

	bytes[at] ^= (uint8_t)(1u << sealed.bytes[HEADER_BYTES + 1] % 8);
	must_stay_closed(keys, row, changed);
	if (!span_is_equal(row.service, row.account)) {
		other.service = row.account;
		other.account = row.service;
		must_stay_closed(keys, other, sealed);
	}
	other = row;
	other.account = span_of_string("mallory");
	if (!span_is_equal(other.account, row.account))
		must_stay_closed(keys, other, sealed);
}

static void seal_password(const struct seal_keys *keys, struct row row, struct span password)
{
	uint8_t sealed[SEAL_MAX_BYTES], plain[SEAL_PLAIN_MAX_BYTES];
	size_t length, plain_length = 0;

	if (seal_close(keys, row.service, row.account, password, sealed, &length) != OK) {
		MUST(password.length == 0 || password.length > SEAL_PLAIN_MAX_BYTES ||
			row.service.length > SERVICE_MAX_BYTES ||
			row.account.length > ACCOUNT_MAX_BYTES);
		return;
	}
	MUST(open_row(keys, row, span_of(sealed, length), plain, &plain_length) == SEAL_OPENED);
	MUST(span_is_equal(span_of(plain, plain_length), password));
	must_be_bound(keys, row, span_of(sealed, length));
}

static void open_sealed(const struct seal_keys *keys, struct row row, struct span sealed)
{
	uint8_t plain[SEAL_PLAIN_MAX_BYTES];
	size_t length = 0;

	if (open_row(keys, row, sealed, plain, &length) == SEAL_OPENED) {
		MUST(length > 0 && length <= SEAL_PLAIN_MAX_BYTES);
		must_be_bound(keys, row, sealed);
	}
}

/* The bytes that the seal is bound to, from the page of the format in seal.h. */
static size_t bind(struct row row, uint8_t *at)
{
	uint8_t *const start = at;

	memcpy(at, "certmap credential\1", 19);
	at += 19;
	*at++ = (uint8_t)(row.service.length >> 8);
	*at++ = (uint8_t)row.service.length;
	memcpy(at, row.service.bytes, row.service.length);
	at += row.service.length;
	*at++ = (uint8_t)(row.account.length >> 8);
	*at++ = (uint8_t)row.account.length;
	memcpy(at, row.account.bytes, row.account.length);
	return (size_t)(at - start) + row.account.length;
}

static void encrypt(struct row row, struct span padded, uint8_t *sealed)
{
	uint8_t key[SEAL_KEY_BYTES], bound[1024];
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int written;

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	MUST(cipher && EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key,
			       sealed + 1 + SEAL_KEY_ID_BYTES) == 1);
	MUST(EVP_EncryptUpdate(cipher, NULL, &written, bound, (int)bind(row, bound)) == 1);
	MUST(EVP_EncryptUpdate(cipher, sealed + HEADER_BYTES, &written, padded.bytes,
		     (int)padded.length) == 1);
	MUST(EVP_EncryptFinal_ex(cipher, sealed + HEADER_BYTES + padded.length, &written) == 1);
	MUST(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES,
		     sealed + HEADER_BYTES + padded.length) == 1);
	EVP_CIPHER_CTX_free(cipher);
}

/* Another program's padding must be the one that there is, or it is no sealed value. */
static void open_padded(const struct seal_keys *keys, struct row row, struct span padded)
{
	uint8_t sealed[SEAL_MAX_BYTES] = { 1 }, plain[SEAL_PLAIN_MAX_BYTES];
	const size_t stated =
		padded.length > 1 ? (size_t)padded.bytes[0] << 8 | padded.bytes[1] : 0;
	size_t length = 0;

	if (padded.length == 0 || padded.length % PAD_BYTES != 0 ||
		padded.length > SEAL_MAX_BYTES - HEADER_BYTES - TAG_BYTES)
		return;
	seal_keys_id(keys, sealed + 1);
	encrypt(row, padded, sealed);
	const enum seal_finding finding = open_row(keys, row,
		span_of(sealed, HEADER_BYTES + padded.length + TAG_BYTES), plain, &length);
	if (stated == 0 || stated > SEAL_PLAIN_MAX_BYTES ||
		(stated + 2 + PAD_BYTES - 1) / PAD_BYTES * PAD_BYTES != padded.length)
		MUST(finding == SEAL_MALFORMED && length == 0);
	else
		MUST(finding == SEAL_OPENED && length == stated &&
			memcmp(plain, padded.bytes + 2, length) == 0);
}

static void run(const struct seal_keys *keys, enum way way, struct row row, struct span bytes)
{
	if (way == WAY_PASSWORD)
		seal_password(keys, row, bytes);
	else if (way == WAY_SEALED)
		open_sealed(keys, row, bytes);
	else if (row.service.length <= SERVICE_MAX_BYTES && row.account.length <= ACCOUNT_MAX_BYTES)
		open_padded(keys, row, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { span_of(data, size) };
	const enum way way = fuzz_take_byte(&input) % WAYS;
	FUZZ_PART text = fuzz_take_part(&input);
	FUZZ_PART service = fuzz_take_part(&input);
	FUZZ_PART account = fuzz_take_part(&input);
	FUZZ_PART bytes = fuzz_take_rest(&input);
	const struct row row = { service, account };
	struct seal_keys *keys;

	MUST(certificate_init() == OK);
	keys = load(text);
	if (keys && way != WAY_PADDED)
		run(keys, way, row, bytes);
	seal_keys_free(keys);
	keys = load(span_of_string(KEY_LINE));
	MUST(keys);
	run(keys, way, row, bytes);
	seal_keys_free(keys);
	return 0;
}
