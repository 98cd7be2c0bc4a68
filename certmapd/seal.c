/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seal.c owns the form of a sealed credential and of the key file, and the one use of a cipher.
 *
 * Every buffer here that ever held a key or a password is wiped before it is left: a page that is
 * freed with it may come back in somebody's answer, or in a swap file.
 */
#include "seal.h"

#include "hex.h"
#include "openssl_error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEAL_VERSION 1u
#define NONCE_BYTES 12u
#define TAG_BYTES 16u
#define HEADER_BYTES (1u + SEAL_KEY_ID_BYTES + NONCE_BYTES)
#define LENGTH_BYTES 2u
#define PAD_BYTES 64u
#define PADDED_MAX_BYTES (SEAL_MAX_BYTES - HEADER_BYTES - TAG_BYTES)

_Static_assert(PADDED_MAX_BYTES % PAD_BYTES == 0, "the ciphertext is a multiple of the padding");
_Static_assert(LENGTH_BYTES + SEAL_PLAIN_MAX_BYTES <= PADDED_MAX_BYTES, "the longest fits");
_Static_assert(SEAL_MIN_BYTES == HEADER_BYTES + PAD_BYTES + TAG_BYTES, "the shortest is one block");

static const char label[] = "certmap credential";
static const char key_label[] = "certmap credential key";

struct key {
	uint8_t id[SEAL_KEY_ID_BYTES];
	uint8_t bytes[SEAL_KEY_BYTES];
};

struct seal_keys {
	size_t count;
	struct key keys[SEAL_KEYS_MAX];
};

const char *seal_finding_text(enum seal_finding finding)
{
	switch (finding) {
	case SEAL_OPENED:
		return "";
	case SEAL_NO_KEY:
		return "there is no key";
	case SEAL_UNSAFE_KEY_FILE:
		return "the key file must be a regular file of root or of the user that runs this, "
		       "that nobody else can write or read";
	case SEAL_BAD_KEY_FILE:
		return "the key file must hold lines of 64 hexadecimal digits, one key each, at "
		       "least one and at most 16";
	case SEAL_OTHER_KEY:
		return "sealed with a key that is not at hand";
	case SEAL_MALFORMED:
		return "not a sealed credential that this version knows";
	case SEAL_CHANGED:
		return "changed after it was sealed, or sealed for another service or account";
	}
	return "unknown";
}

/* Keys ----------------------------------------------------------------------------------------- */

void seal_keys_free(struct seal_keys *keys)
{
	if (!keys)
		return;
	explicit_bzero(keys, sizeof *keys);
	free(keys);
}

static void free_keys(struct seal_keys **keys)
{
	seal_keys_free(*keys);
}

static void close_file(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Memory, or else what can't be mended by trying again. Empties the error queue. */
static enum error fail_openssl(void)
{
	const bool is_memory = openssl_error_is_memory();

	errno = is_memory ? ENOMEM : EIO;
	return is_memory ? ERROR_MEMORY : ERROR_SYSTEM;
}

/* A name for the key that says nothing about it, so that a value knows its key after a rotation. */
static enum error name_key(struct key *key)
{
	uint8_t input[sizeof key_label - 1 + SEAL_KEY_BYTES], digest[EVP_MAX_MD_SIZE];
	int done;

	memcpy(input, key_label, sizeof key_label - 1);
	memcpy(input + sizeof key_label - 1, key->bytes, SEAL_KEY_BYTES);
	done = EVP_Digest(input, sizeof input, digest, NULL, EVP_sha256(), NULL);
	explicit_bzero(input, sizeof input);
	if (!done)
		return fail_openssl();
	memcpy(key->id, digest, SEAL_KEY_ID_BYTES);
	return OK;
}

/* 0 to 15; 16: no digit. Without a table, whose cache lines would tell which digits were read. */
static uint8_t digit_value(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : 16;
}

static bool read_key(struct span line, uint8_t ret[SEAL_KEY_BYTES])
{
	if (line.length != SEAL_KEY_LINE_BYTES)
		return false;
	for (size_t i = 0; i < SEAL_KEY_BYTES; i++) {
		uint8_t high = digit_value(line.bytes[2 * i]);
		uint8_t low = digit_value(line.bytes[2 * i + 1]);

		if (high > 15 || low > 15)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Ends a line at LF; what an editor elsewhere made of it, CR LF, is not worth a refused login. */
static struct span next_line(struct span *text)
{
	const uint8_t *end = memchr(text->bytes, '\n', text->length);
	struct span line = span_of(text->bytes, end ? (size_t)(end - text->bytes) : text->length);
	size_t taken = line.length + (end ? 1 : 0);

	*text = span_of(text->bytes + taken, text->length - taken);
	if (line.length > 0 && line.bytes[line.length - 1] == '\r')
		line.length--;
	return line;
}

static enum error read_keys(
	struct span text, struct seal_keys *keys, enum seal_finding *ret_finding)
{
	enum error error;

	while (text.length > 0) {
		struct span line = next_line(&text);

		if (line.length == 0 || line.bytes[0] == '#')
			continue;
		if (keys->count == SEAL_KEYS_MAX ||
			!read_key(line, keys->keys[keys->count].bytes)) {
			*ret_finding = SEAL_BAD_KEY_FILE;
			return OK;
		}
		if ((error = name_key(&keys->keys[keys->count])) != OK)
			return error;
		keys->count++;
	}
	*ret_finding = keys->count > 0 ? SEAL_OPENED : SEAL_BAD_KEY_FILE;
	return OK;
}

static bool is_safe(const struct stat *status)
{
	return S_ISREG(status->st_mode) && (status->st_uid == 0 || status->st_uid == geteuid()) &&
	       (status->st_mode & (S_IWGRP | S_IRWXO)) == 0;
}

/* Reads one byte past the limit, so that what is too long is seen as such. */
static enum error read_text(int fd, uint8_t text[SEAL_KEY_FILE_MAX_BYTES + 1], size_t *ret_length)
{
	size_t length = 0;
	ssize_t got;

	while (length <= SEAL_KEY_FILE_MAX_BYTES) {
		got = read(fd, text + length, SEAL_KEY_FILE_MAX_BYTES + 1 - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ERROR_SYSTEM;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	*ret_length = length;
	return OK;
}

static enum error read_file(int fd, struct seal_keys *keys, enum seal_finding *ret_finding)
{
	uint8_t text[SEAL_KEY_FILE_MAX_BYTES + 1];
	size_t length = 0;
	enum error error = read_text(fd, text, &length);

	if (error == OK && length > SEAL_KEY_FILE_MAX_BYTES)
		*ret_finding = SEAL_BAD_KEY_FILE;
	else if (error == OK)
		error = read_keys(span_of(text, length), keys, ret_finding);
	explicit_bzero(text, sizeof text);
	return error;
}

enum error seal_keys_load(const char *path, struct seal_keys **ret, enum seal_finding *ret_finding)
{
	/* Not blocking: it may be a FIFO, and whoever put it there waits for us to hang. */
	__attribute__((cleanup(close_file))) int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	__attribute__((cleanup(free_keys))) struct seal_keys *keys = NULL;
	enum seal_finding finding = SEAL_UNSAFE_KEY_FILE;
	struct stat status;
	enum error error;

	if (fd < 0 && errno != ENOENT)
		return ERROR_SYSTEM;
	if (fd < 0) {
		*ret_finding = SEAL_NO_KEY;
		return OK;
	}
	if (fstat(fd, &status) < 0)
		return ERROR_SYSTEM;
	if (!(keys = calloc(1, sizeof *keys)))
		return ERROR_MEMORY;
	if (is_safe(&status) && (error = read_file(fd, keys, &finding)) != OK)
		return error;
	*ret_finding = finding;
	if (finding == SEAL_OPENED) {
		*ret = keys;
		keys = NULL;
	}
	return OK;
}

enum error seal_keys_load_passed(struct seal_keys **ret, enum seal_finding *ret_finding)
{
	const char *directory = secure_getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];
	int length;

	if (!directory) {
		*ret_finding = SEAL_NO_KEY;
		return OK;
	}
	length = snprintf(path, sizeof path, "%s/" SEAL_KEY_NAME, directory);
	if (length < 0 || (size_t)length >= sizeof path) {
		errno = ENAMETOOLONG;
		return ERROR_SYSTEM;
	}
	return seal_keys_load(path, ret, ret_finding);
}

void seal_keys_id(const struct seal_keys *keys, uint8_t ret[SEAL_KEY_ID_BYTES])
{
	memcpy(ret, keys->keys[0].id, SEAL_KEY_ID_BYTES);
}

static const struct key *find_key(const struct seal_keys *keys, const uint8_t id[SEAL_KEY_ID_BYTES])
{
	for (size_t i = 0; i < keys->count; i++)
		if (memcmp(keys->keys[i].id, id, SEAL_KEY_ID_BYTES) == 0)
			return &keys->keys[i];
	return NULL;
}

enum error seal_make_key_line(char ret[SEAL_KEY_LINE_BYTES + 1])
{
	uint8_t key[SEAL_KEY_BYTES];

	if (RAND_bytes(key, sizeof key) != 1)
		return fail_openssl();
	hex_print(span_of(key, sizeof key), ret);
	explicit_bzero(key, sizeof key);
	return OK;
}

/* The seal ------------------------------------------------------------------------------------- */

/* What a sealed value is bound to. Lengths stand before the names: without them "a" and "bc" would
 * be "ab" and "c". */
struct binding {
	size_t length;
	uint8_t bytes[sizeof label - 1 + 1 + 2 + SERVICE_MAX_BYTES + 2 + ACCOUNT_MAX_BYTES];
};

static void add_length(uint8_t *at, size_t length)
{
	at[0] = (uint8_t)(length >> 8);
	at[1] = (uint8_t)length;
}

static void bind_name(struct binding *binding, struct span name)
{
	uint8_t *at = binding->bytes + binding->length;

	add_length(at, name.length);
	if (name.length > 0)
		memcpy(at + 2, name.bytes, name.length);
	binding->length += 2 + name.length;
}

/* False: a name is over its limit. */
static bool bind_row(struct span service, struct span account, struct binding *ret)
{
	if (service.length > SERVICE_MAX_BYTES || account.length > ACCOUNT_MAX_BYTES)
		return false;
	memcpy(ret->bytes, label, sizeof label - 1);
	ret->bytes[sizeof label - 1] = SEAL_VERSION;
	ret->length = sizeof label;
	bind_name(ret, service);
	bind_name(ret, account);
	return true;
}

static void free_cipher(EVP_CIPHER_CTX **cipher)
{
	EVP_CIPHER_CTX_free(*cipher);
}

/* The header of a value, followed by its ciphertext and its tag. */
static const uint8_t *nonce_of(const uint8_t *sealed)
{
	return sealed + 1 + SEAL_KEY_ID_BYTES;
}

/* Begins with the key, the nonce and the binding. EVP_CIPHER_CTX_free() wipes what it holds. */
static enum error begin(const struct key *key, const uint8_t *sealed, const struct binding *binding,
	bool is_sealing, EVP_CIPHER_CTX **ret)
{
	__attribute__((cleanup(free_cipher))) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	int written;

	if (!cipher)
		return fail_openssl();
	/* 12 bytes of nonce are the default of GCM: NIST SP 800-38D 8.2. */
	if (!EVP_CipherInit_ex(
		    cipher, EVP_aes_256_gcm(), NULL, key->bytes, nonce_of(sealed), is_sealing) ||
		!EVP_CipherUpdate(cipher, NULL, &written, binding->bytes, (int)binding->length))
		return fail_openssl();
	*ret = cipher;
	cipher = NULL;
	return OK;
}

static size_t padded_length(size_t length)
{
	return (LENGTH_BYTES + length + PAD_BYTES - 1) / PAD_BYTES * PAD_BYTES;
}

static enum error encrypt(const struct key *key, const struct binding *binding,
	const uint8_t *padded, size_t length, uint8_t *sealed)
{
	__attribute__((cleanup(free_cipher))) EVP_CIPHER_CTX *cipher = NULL;
	uint8_t *ciphertext = sealed + HEADER_BYTES;
	enum error error;
	int written;

	if ((error = begin(key, sealed, binding, true, &cipher)) != OK)
		return error;
	if (!EVP_CipherUpdate(cipher, ciphertext, &written, padded, (int)length) ||
		!EVP_CipherFinal_ex(cipher, ciphertext + length, &written) ||
		!EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, ciphertext + length))
		return fail_openssl();
	return OK;
}

static enum error write_header(const struct key *key, uint8_t *sealed)
{
	sealed[0] = SEAL_VERSION;
	memcpy(sealed + 1, key->id, SEAL_KEY_ID_BYTES);
	if (RAND_bytes(sealed + 1 + SEAL_KEY_ID_BYTES, NONCE_BYTES) != 1)
		return fail_openssl();
	return OK;
}

enum error seal_close(const struct seal_keys *keys, struct span service, struct span account,
	struct span plain, uint8_t ret[SEAL_MAX_BYTES], size_t *ret_length)
{
	uint8_t padded[PADDED_MAX_BYTES] = { 0 }, sealed[SEAL_MAX_BYTES];
	const struct key *key = &keys->keys[0];
	struct binding binding;
	enum error error;
	size_t length;

	if (plain.length == 0)
		return ERROR_MALFORMED;
	if (plain.length > SEAL_PLAIN_MAX_BYTES || !bind_row(service, account, &binding))
		return ERROR_TOO_LARGE;
	length = padded_length(plain.length);
	add_length(padded, plain.length);
	memcpy(padded + LENGTH_BYTES, plain.bytes, plain.length);
	if ((error = write_header(key, sealed)) == OK)
		error = encrypt(key, &binding, padded, length, sealed);
	explicit_bzero(padded, sizeof padded);
	if (error != OK)
		return error;
	*ret_length = HEADER_BYTES + length + TAG_BYTES;
	memcpy(ret, sealed, *ret_length);
	return OK;
}

static bool is_well_formed(struct span sealed)
{
	return sealed.length >= SEAL_MIN_BYTES && sealed.length <= SEAL_MAX_BYTES &&
	       (sealed.length - HEADER_BYTES - TAG_BYTES) % PAD_BYTES == 0 &&
	       sealed.bytes[0] == SEAL_VERSION;
}

bool seal_find_key_id(struct span sealed, uint8_t ret[SEAL_KEY_ID_BYTES])
{
	if (!is_well_formed(sealed))
		return false;
	memcpy(ret, sealed.bytes + 1, SEAL_KEY_ID_BYTES);
	return true;
}

/* Writes what nobody may believe before the tag was checked: to a buffer that is thrown away
 * otherwise. */
static enum error decrypt(const struct key *key, const struct binding *binding, struct span sealed,
	uint8_t padded[PADDED_MAX_BYTES], enum seal_finding *ret_finding)
{
	__attribute__((cleanup(free_cipher))) EVP_CIPHER_CTX *cipher = NULL;
	const size_t length = sealed.length - HEADER_BYTES - TAG_BYTES;
	const uint8_t *ciphertext = sealed.bytes + HEADER_BYTES;
	uint8_t tag[TAG_BYTES];
	enum error error;
	int written;

	memcpy(tag, ciphertext + length, sizeof tag);
	if ((error = begin(key, sealed.bytes, binding, false, &cipher)) != OK)
		return error;
	if (!EVP_CipherUpdate(cipher, padded, &written, ciphertext, (int)length) ||
		!EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag))
		return fail_openssl();
	*ret_finding = EVP_CipherFinal_ex(cipher, padded + length, &written) > 0 ? SEAL_OPENED
										 : SEAL_CHANGED;
	/* A tag that does not fit is an answer, and leaves nothing for the next failure to find. */
	ERR_clear_error();
	return OK;
}

/* What another program sealed under our key may still have a form of its own. */
static enum seal_finding take_plain(const uint8_t *padded, size_t padded_bytes,
	uint8_t ret[SEAL_PLAIN_MAX_BYTES], size_t *ret_length)
{
	const size_t length = (size_t)padded[0] << 8 | padded[1];

	if (length == 0 || length > SEAL_PLAIN_MAX_BYTES || padded_length(length) != padded_bytes)
		return SEAL_MALFORMED;
	memcpy(ret, padded + LENGTH_BYTES, length);
	*ret_length = length;
	return SEAL_OPENED;
}

static enum error open_with(const struct key *key, const struct binding *binding,
	struct span sealed, uint8_t ret[SEAL_PLAIN_MAX_BYTES], size_t *ret_length,
	enum seal_finding *ret_finding)
{
	uint8_t padded[PADDED_MAX_BYTES];
	enum seal_finding finding = SEAL_CHANGED;
	enum error error = decrypt(key, binding, sealed, padded, &finding);

	if (error == OK && finding == SEAL_OPENED)
		finding = take_plain(
			padded, sealed.length - HEADER_BYTES - TAG_BYTES, ret, ret_length);
	explicit_bzero(padded, sizeof padded);
	if (error == OK)
		*ret_finding = finding;
	return error;
}

enum error seal_open(const struct seal_keys *keys, struct span service, struct span account,
	struct span sealed, uint8_t ret[SEAL_PLAIN_MAX_BYTES], size_t *ret_length,
	enum seal_finding *ret_finding)
{
	uint8_t id[SEAL_KEY_ID_BYTES];
	struct binding binding;
	const struct key *key;

	if (!keys)
		*ret_finding = SEAL_NO_KEY;
	else if (!seal_find_key_id(sealed, id) || !bind_row(service, account, &binding))
		*ret_finding = SEAL_MALFORMED;
	else if (!(key = find_key(keys, id)))
		*ret_finding = SEAL_OTHER_KEY;
	else
		return open_with(key, &binding, sealed, ret, ret_length, ret_finding);
	return OK;
}
