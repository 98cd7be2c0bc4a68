/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_seal.c owns the promises about sealed credentials: what a value opens to and under which
 * conditions alone, the form of the key file, and that no key and no password stays in memory.
 *
 * The sealed values that are written out here were made by tests/lib/aes_gcm.py, which shares no
 * code with OpenSSL.
 */
#include "seal.h"

#include "certificate.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "openssl_memory.h"
#include "openssl_tool.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNTOUCHED 0xa5

/* 00 01 02 ... 1f, and so on: long enough to be found in memory by no accident. */
#define FIRST_LINE "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SECOND_LINE "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
static const uint8_t first_key[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
static const uint8_t first_id[] = { 0xa2, 0x3c, 0xdd, 0xaf, 0x0e, 0xcd, 0x1a, 0x6d };
static const char password[] = "correct horse";

/* "correct horse" for alice at proftpd under the first key, with the nonce a0 a1 ... ab. */
/* clang-format off */
static const uint8_t known[] = {
	0x01, 0xa2, 0x3c, 0xdd, 0xaf, 0x0e, 0xcd, 0x1a, 0x6d, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4,
	0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xe6, 0x15, 0x1f, 0x42, 0x37, 0xb9, 0x67,
	0xdc, 0x16, 0x45, 0xef, 0xbc, 0x75, 0x09, 0xa5, 0xde, 0x70, 0xac, 0x59, 0x10, 0x92,
	0xb7, 0x42, 0x6c, 0x9c, 0x0e, 0x26, 0x86, 0x7f, 0xab, 0x75, 0x01, 0xd2, 0x76, 0x47,
	0xff, 0xaf, 0x22, 0x53, 0x3d, 0x5f, 0x9c, 0x04, 0xc8, 0x09, 0x7a, 0x83, 0xf9, 0x47,
	0x1b, 0x46, 0x48, 0x62, 0xd0, 0x1a, 0x7e, 0x41, 0x5e, 0x0b, 0x5e, 0xa4, 0x70, 0x85,
	0xb0, 0x8d, 0x58, 0x78, 0x64, 0xff, 0xbc, 0xc2, 0x10, 0xc3, 0x74, 0x1b, 0x2b, 0xa8,
	0xd1, 0x1d, 0x18,
};
/* clang-format on */

/* Watched memory ------------------------------------------------------------------------------- */

/* A secret in any form that it takes here. */
__attribute__((no_sanitize("address"))) static bool holds(
	const uint8_t *memory, size_t length, const void *secret, size_t secret_length)
{
	const uint8_t *wanted = secret;

	for (size_t at = 0; at + secret_length <= length; at++) {
		size_t i = 0;

		/* Not memcmp(), which a sanitizer watches: this reads the stack of a dead thread.
		 */
		while (i < secret_length && memory[at + i] == wanted[i])
			i++;
		if (i == secret_length)
			return true;
	}
	return false;
}

static bool holds_secret(const uint8_t *memory, size_t length)
{
	return holds(memory, length, password, sizeof password - 1) ||
	       holds(memory, length, first_key, sizeof first_key) ||
	       holds(memory, length, FIRST_LINE, 32);
}

/* Counted while it is watched: blocks that went back to the allocator with a secret in them. */
static bool is_watching;
static size_t dirty_blocks;

void __real_free(void *memory);
void __wrap_free(void *memory);

/* The linker puts it into the place of free() in this program and in the sources under test. */
void __wrap_free(void *memory)
{
	if (is_watching && memory && holds_secret(memory, malloc_usable_size(memory)))
		dirty_blocks++;
	__real_free(memory);
}

/* Scenes --------------------------------------------------------------------------------------- */

static const char key_path[] = "key";

static void write_key_file(const char *text, size_t length)
{
	const int fd = open(key_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
	assert_int_equal(chmod(key_path, 0600), 0);
}

static enum seal_finding load(struct seal_keys **ret)
{
	enum seal_finding finding = 0;

	assert_int_equal(seal_keys_load(key_path, ret, &finding), OK);
	return finding;
}

static struct seal_keys *keys_of(const char *text)
{
	struct seal_keys *keys = NULL;

	write_key_file(text, strlen(text));
	assert_int_equal(load(&keys), SEAL_OPENED);
	assert_non_null(keys);
	return keys;
}

static struct span text_of(const char *text)
{
	return span_of_string(text);
}

/* Opens, and asserts that nothing comes out unless it opens. */
static enum seal_finding try(const struct seal_keys *keys, const char *service, const char *account,
	struct span sealed, char ret[SEAL_PLAIN_MAX_BYTES + 1])
{
	const struct span copy = span_exact_copy(sealed);
	uint8_t plain[SEAL_PLAIN_MAX_BYTES];
	size_t length = 4711;
	enum seal_finding finding = 0;

	memset(plain, UNTOUCHED, sizeof plain);
	assert_int_equal(
		seal_open(keys, text_of(service), text_of(account), copy, plain, &length, &finding),
		OK);
	free((void *)copy.bytes);
	if (finding == SEAL_OPENED) {
		memcpy(ret, plain, length);
		ret[length] = '\0';
		return finding;
	}
	assert_int_equal(length, 4711);
	for (size_t i = 0; i < sizeof plain; i++)
		assert_int_equal(plain[i], UNTOUCHED);
	return finding;
}

static enum seal_finding try_known(const char *service, const char *account)
{
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	char plain[SEAL_PLAIN_MAX_BYTES + 1];
	const enum seal_finding finding =
		try(keys, service, account, span_of(known, sizeof known), plain);

	seal_keys_free(keys);
	return finding;
}

static size_t close_for_alice(
	const struct seal_keys *keys, struct span plain, uint8_t ret[SEAL_MAX_BYTES])
{
	size_t length = 0;

	assert_int_equal(
		seal_close(keys, text_of("proftpd"), text_of("alice"), plain, ret, &length), OK);
	return length;
}

/* The seal ------------------------------------------------------------------------------------- */

static void value_sealed_by_another_program_opens(void **state)
{
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	char plain[SEAL_PLAIN_MAX_BYTES + 1];

	(void)state;
	assert_int_equal(
		try(keys, "proftpd", "alice", span_of(known, sizeof known), plain), SEAL_OPENED);
	assert_string_equal(plain, password);
	seal_keys_free(keys);
}

static void every_length_comes_back_as_it_was(void **state)
{
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	uint8_t plain[SEAL_PLAIN_MAX_BYTES], opened[SEAL_PLAIN_MAX_BYTES], sealed[SEAL_MAX_BYTES];
	enum seal_finding finding;

	(void)state;
	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = (uint8_t)(i * 7);
	for (size_t length = 1; length <= sizeof plain; length++) {
		const size_t sealed_length = close_for_alice(keys, span_of(plain, length), sealed);
		size_t opened_length = 0;

		assert_int_equal(
			seal_open(keys, text_of("proftpd"), text_of("alice"),
				span_of(sealed, sealed_length), opened, &opened_length, &finding),
			OK);
		assert_int_equal(finding, SEAL_OPENED);
		assert_int_equal(opened_length, length);
		assert_memory_equal(opened, plain, length);
	}
	seal_keys_free(keys);
}

static void no_password_and_one_over_the_limit_are_not_sealed(void **state)
{
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	uint8_t plain[SEAL_PLAIN_MAX_BYTES + 1] = { 0 }, sealed[SEAL_MAX_BYTES];
	size_t length = 4711;

	(void)state;
	memset(sealed, UNTOUCHED, sizeof sealed);
	assert_int_equal(seal_close(keys, text_of("proftpd"), text_of("alice"), span_of(plain, 0),
				 sealed, &length),
		ERROR_MALFORMED);
	assert_int_equal(seal_close(keys, text_of("proftpd"), text_of("alice"),
				 span_of(plain, sizeof plain), sealed, &length),
		ERROR_TOO_LARGE);
	assert_int_equal(length, 4711);
	for (size_t i = 0; i < sizeof sealed; i++)
		assert_int_equal(sealed[i], UNTOUCHED);
	seal_keys_free(keys);
}

static void names_over_their_limits_are_not_sealed(void **state)
{
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	uint8_t sealed[SEAL_MAX_BYTES], name[ACCOUNT_MAX_BYTES + 1];
	size_t length;

	(void)state;
	memset(name, 'a', sizeof name);
	assert_int_equal(seal_close(keys, span_of(name, SERVICE_MAX_BYTES + 1), text_of("alice"),
				 text_of(password), sealed, &length),
		ERROR_TOO_LARGE);
	assert_int_equal(seal_close(keys, text_of("proftpd"), span_of(name, ACCOUNT_MAX_BYTES + 1),
				 text_of(password), sealed, &length),
		ERROR_TOO_LARGE);
	assert_int_equal(
		seal_close(keys, span_of(name, SERVICE_MAX_BYTES), span_of(name, ACCOUNT_MAX_BYTES),
			text_of(password), sealed, &length),
		OK);
	seal_keys_free(keys);
}

/* 64 bytes less two of length: 62 fit one block, 63 take the next. */
static void length_of_a_password_shows_in_steps_of_64_alone(void **state)
{
	static const struct {
		size_t plain, sealed;
	} steps[] = { { 1, 101 }, { 62, 101 }, { 63, 165 }, { 126, 165 }, { 127, 229 },
		{ 1022, 1061 }, { 1023, 1125 }, { 1024, 1125 } };
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	uint8_t plain[SEAL_PLAIN_MAX_BYTES] = { 1 }, sealed[SEAL_MAX_BYTES];

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++)
		assert_int_equal(close_for_alice(keys, span_of(plain, steps[i].plain), sealed),
			steps[i].sealed);
	seal_keys_free(keys);
}

static void same_password_is_sealed_to_another_value_each_time(void **state)
{
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	uint8_t one[SEAL_MAX_BYTES], other[SEAL_MAX_BYTES];
	const size_t length = close_for_alice(keys, text_of(password), one);

	(void)state;
	assert_int_equal(close_for_alice(keys, text_of(password), other), length);
	assert_memory_equal(one, other, 1 + SEAL_KEY_ID_BYTES);
	assert_memory_not_equal(one + 9, other + 9, 12);
	assert_memory_not_equal(one + 21, other + 21, length - 21);
	seal_keys_free(keys);
}

static enum seal_finding expected_after_flip(size_t at)
{
	if (at == 0)
		return SEAL_MALFORMED;
	return at <= SEAL_KEY_ID_BYTES ? SEAL_OTHER_KEY : SEAL_CHANGED;
}

static void every_changed_bit_is_noticed(void **state)
{
	struct seal_keys *keys = keys_of(FIRST_LINE "\n" SECOND_LINE "\n");
	char plain[SEAL_PLAIN_MAX_BYTES + 1];
	uint8_t changed[sizeof known];

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof known; bit++) {
		memcpy(changed, known, sizeof known);
		changed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
			try(keys, "proftpd", "alice", span_of(changed, sizeof changed), plain),
			expected_after_flip(bit / 8));
	}
	seal_keys_free(keys);
}

static void every_other_length_is_noticed(void **state)
{
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	uint8_t longer[SEAL_MAX_BYTES + 64] = { 0 };
	char plain[SEAL_PLAIN_MAX_BYTES + 1];

	(void)state;
	memcpy(longer, known, sizeof known);
	for (size_t length = 0; length <= sizeof longer; length++) {
		const bool has_form = length > sizeof known && length <= SEAL_MAX_BYTES &&
				      (length - sizeof known) % 64 == 0;

		if (length != sizeof known)
			assert_int_equal(
				try(keys, "proftpd", "alice", span_of(longer, length), plain),
				has_form ? SEAL_CHANGED : SEAL_MALFORMED);
	}
	seal_keys_free(keys);
}

static void value_in_another_row_does_not_open(void **state)
{
	(void)state;
	assert_int_equal(try_known("proftpd", "alice"), SEAL_OPENED);
	assert_int_equal(try_known("proftpd", "bob"), SEAL_CHANGED);
	assert_int_equal(try_known("proftpd", "alice "), SEAL_CHANGED);
	assert_int_equal(try_known("sshd", "alice"), SEAL_CHANGED);
	assert_int_equal(try_known("*", "alice"), SEAL_CHANGED);
	/* The same letters, divided at another place. */
	assert_int_equal(try_known("proftpda", "lice"), SEAL_CHANGED);
	assert_int_equal(try_known("proftp", "dalice"), SEAL_CHANGED);
	assert_int_equal(try_known("", "proftpdalice"), SEAL_CHANGED);
}

static void row_with_a_name_over_its_limit_is_malformed(void **state)
{
	char service[SERVICE_MAX_BYTES + 2] = "", account[ACCOUNT_MAX_BYTES + 2] = "";

	(void)state;
	memset(service, 'a', sizeof service - 1);
	memset(account, 'a', sizeof account - 1);
	assert_int_equal(try_known(service, "alice"), SEAL_MALFORMED);
	assert_int_equal(try_known("proftpd", account), SEAL_MALFORMED);
}

/* Seals any plaintext, as a program of somebody who has the key could. */
static size_t seal_as_it_is(const uint8_t *padded, size_t length, uint8_t ret[SEAL_MAX_BYTES])
{
	static const uint8_t aad[] = "certmap credential\x01\0\x07proftpd\0\x05"
				     "alice";
	const char *const line = FIRST_LINE;
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	uint8_t key[SEAL_KEY_BYTES];
	int written;

	for (size_t i = 0; i < sizeof key; i++)
		assert_int_equal(sscanf(line + 2 * i, "%2hhx", &key[i]), 1);
	memcpy(ret, known, 21);
	assert_int_equal(EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key, known + 9), 1);
	assert_int_equal(EVP_EncryptUpdate(cipher, NULL, &written, aad, sizeof aad - 1), 1);
	assert_int_equal(EVP_EncryptUpdate(cipher, ret + 21, &written, padded, (int)length), 1);
	assert_int_equal(EVP_EncryptFinal_ex(cipher, ret + 21 + length, &written), 1);
	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, ret + 21 + length), 1);
	EVP_CIPHER_CTX_free(cipher);
	return 21 + length + 16;
}

static void well_sealed_nonsense_is_malformed(void **state)
{
	static const struct {
		size_t said, padded;
		enum seal_finding finding;
	} rows[] = {
		{ 1, 64, SEAL_OPENED },
		{ 62, 64, SEAL_OPENED },
		{ 1024, 1088, SEAL_OPENED },
		{ 0, 64, SEAL_MALFORMED },  /* no password */
		{ 63, 64, SEAL_MALFORMED }, /* past the end */
		{ 65535, 64, SEAL_MALFORMED },
		{ 5, 128, SEAL_MALFORMED },     /* a block too many */
		{ 1025, 1088, SEAL_MALFORMED }, /* past the caller's buffer */
		{ 1086, 1088, SEAL_MALFORMED },
	};
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	char plain[SEAL_PLAIN_MAX_BYTES + 1];
	uint8_t sealed[SEAL_MAX_BYTES];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t padded[1088] = { (uint8_t)(rows[i].said >> 8), (uint8_t)rows[i].said };
		const size_t length = seal_as_it_is(padded, rows[i].padded, sealed);

		assert_int_equal(try(keys, "proftpd", "alice", span_of(sealed, length), plain),
			rows[i].finding);
	}
	seal_keys_free(keys);
}

static void without_a_key_nothing_opens(void **state)
{
	char plain[SEAL_PLAIN_MAX_BYTES + 1];

	(void)state;
	assert_int_equal(
		try(NULL, "proftpd", "alice", span_of(known, sizeof known), plain), SEAL_NO_KEY);
}

static void value_of_another_key_does_not_open(void **state)
{
	struct seal_keys *keys = keys_of(SECOND_LINE "\n");
	char plain[SEAL_PLAIN_MAX_BYTES + 1];

	(void)state;
	assert_int_equal(
		try(keys, "proftpd", "alice", span_of(known, sizeof known), plain), SEAL_OTHER_KEY);
	seal_keys_free(keys);
}

static void first_key_seals_and_all_open(void **state)
{
	struct seal_keys *keys = keys_of(SECOND_LINE "\n" FIRST_LINE "\n");
	struct seal_keys *old = keys_of(FIRST_LINE "\n");
	char plain[SEAL_PLAIN_MAX_BYTES + 1];
	uint8_t sealed[SEAL_MAX_BYTES], id[SEAL_KEY_ID_BYTES], first[SEAL_KEY_ID_BYTES];
	size_t length;

	(void)state;
	assert_int_equal(
		try(keys, "proftpd", "alice", span_of(known, sizeof known), plain), SEAL_OPENED);
	length = close_for_alice(keys, text_of("new"), sealed);
	seal_keys_id(keys, id);
	assert_true(seal_find_key_id(span_of(sealed, length), first));
	assert_memory_equal(id, first, sizeof id);
	assert_memory_not_equal(id, first_id, sizeof id);
	assert_int_equal(
		try(keys, "proftpd", "alice", span_of(sealed, length), plain), SEAL_OPENED);
	assert_string_equal(plain, "new");
	assert_int_equal(
		try(old, "proftpd", "alice", span_of(sealed, length), plain), SEAL_OTHER_KEY);
	seal_keys_free(keys);
	seal_keys_free(old);
}

static void key_id_of_a_value_is_found(void **state)
{
	uint8_t id[SEAL_KEY_ID_BYTES];

	(void)state;
	assert_true(seal_find_key_id(span_of(known, sizeof known), id));
	assert_memory_equal(id, first_id, sizeof id);
	assert_false(seal_find_key_id(span_of(known, sizeof known - 1), id));
	assert_false(seal_find_key_id((struct span){ 0 }, id));
}

/* The key file --------------------------------------------------------------------------------- */

static enum seal_finding load_text(const char *text)
{
	struct seal_keys *keys = NULL;
	enum seal_finding finding;

	write_key_file(text, strlen(text));
	finding = load(&keys);
	assert_int_equal(finding == SEAL_OPENED, keys != NULL);
	seal_keys_free(keys);
	return finding;
}

static void key_file_may_have_comments_empty_lines_and_crlf(void **state)
{
	(void)state;
	assert_int_equal(load_text(FIRST_LINE), SEAL_OPENED);
	assert_int_equal(load_text("# made today\n\n" FIRST_LINE "\r\n\r\n# old\n" SECOND_LINE),
		SEAL_OPENED);
	assert_int_equal(
		load_text("000102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f\n"),
		SEAL_OPENED);
}

static void upper_case_digits_are_the_same_key(void **state)
{
	struct seal_keys *keys =
		keys_of("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F\n");
	uint8_t id[SEAL_KEY_ID_BYTES];

	(void)state;
	seal_keys_id(keys, id);
	assert_memory_equal(id, first_id, sizeof id);
	seal_keys_free(keys);
}

static void file_without_a_whole_key_is_bad(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"# nothing\n",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1\n",
		FIRST_LINE "0\n",
		FIRST_LINE " \n",
		" " FIRST_LINE "\n",
		FIRST_LINE SECOND_LINE "\n",
		"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1\x1f\n",
		FIRST_LINE "\nsecret\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(load_text(texts[i]), SEAL_BAD_KEY_FILE);
}

/* '/' and ':' stand beside the digits in ASCII, '@', 'G', '`' and 'g' beside the letters; the bit
 * that folds the case turns 0x10 into '0'. */
static void only_hexadecimal_digits_make_a_key(void **state)
{
	(void)state;
	for (unsigned int byte = 1; byte < 256; byte++) {
		char line[] = FIRST_LINE "\n";

		line[10] = (char)byte;
		assert_int_equal(load_text(line),
			(byte < 0x80 && strchr("0123456789abcdefABCDEF", (int)byte))
				? SEAL_OPENED
				: SEAL_BAD_KEY_FILE);
	}
}

static void sixteen_keys_are_taken_and_no_more(void **state)
{
	char text[17 * sizeof FIRST_LINE + 1] = "";

	(void)state;
	for (size_t i = 0; i < SEAL_KEYS_MAX; i++)
		strcat(text, FIRST_LINE "\n");
	assert_int_equal(load_text(text), SEAL_OPENED);
	strcat(text, FIRST_LINE "\n");
	assert_int_equal(load_text(text), SEAL_BAD_KEY_FILE);
}

static void key_file_of_4096_bytes_is_taken_and_no_longer_one(void **state)
{
	static char text[SEAL_KEY_FILE_MAX_BYTES + 2];

	(void)state;
	memset(text, '\n', SEAL_KEY_FILE_MAX_BYTES);
	memcpy(text, FIRST_LINE, strlen(FIRST_LINE));
	assert_int_equal(load_text(text), SEAL_OPENED);
	text[SEAL_KEY_FILE_MAX_BYTES] = '\n';
	assert_int_equal(load_text(text), SEAL_BAD_KEY_FILE);
}

static void missing_file_is_no_key(void **state)
{
	struct seal_keys *keys = NULL;

	(void)state;
	unlink(key_path);
	assert_int_equal(load(&keys), SEAL_NO_KEY);
	assert_null(keys);
}

static void file_that_others_can_reach_is_unsafe(void **state)
{
	static const struct {
		mode_t mode;
		enum seal_finding finding;
	} rows[] = {
		{ 0600, SEAL_OPENED },
		{ 0400, SEAL_OPENED },
		/* The mask of an ACL, with which systemd lets in the user of a service. */
		{ 0440, SEAL_OPENED },
		{ 0620, SEAL_UNSAFE_KEY_FILE },
		{ 0604, SEAL_UNSAFE_KEY_FILE },
		{ 0602, SEAL_UNSAFE_KEY_FILE },
		{ 0601, SEAL_UNSAFE_KEY_FILE },
	};
	struct seal_keys *keys;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		keys = NULL;
		write_key_file(FIRST_LINE "\n", strlen(FIRST_LINE) + 1);
		assert_int_equal(chmod(key_path, rows[i].mode), 0);
		assert_int_equal(load(&keys), rows[i].finding);
		assert_int_equal(keys != NULL, rows[i].finding == SEAL_OPENED);
		seal_keys_free(keys);
	}
}

static void only_a_regular_file_is_safe(void **state)
{
	struct seal_keys *keys = NULL;

	(void)state;
	unlink(key_path);
	assert_int_equal(mkfifo(key_path, 0600), 0);
	assert_int_equal(load(&keys), SEAL_UNSAFE_KEY_FILE);
	unlink(key_path);
	assert_int_equal(mkdir(key_path, 0700), 0);
	assert_int_equal(load(&keys), SEAL_UNSAFE_KEY_FILE);
	rmdir(key_path);
	assert_null(keys);
}

static void key_that_systemd_handed_over_is_found_in_its_directory(void **state)
{
	struct seal_keys *keys = NULL;
	enum seal_finding finding = 0;
	char directory[256];

	(void)state;
	assert_non_null(getcwd(directory, sizeof directory));
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(seal_keys_load_passed(&keys, &finding), OK);
	assert_int_equal(finding, SEAL_NO_KEY);

	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	assert_int_equal(seal_keys_load_passed(&keys, &finding), OK);
	assert_int_equal(finding, SEAL_NO_KEY);
	assert_null(keys);

	write_key_file(FIRST_LINE "\n", strlen(FIRST_LINE) + 1);
	assert_int_equal(rename(key_path, SEAL_KEY_NAME), 0);
	assert_int_equal(seal_keys_load_passed(&keys, &finding), OK);
	assert_int_equal(finding, SEAL_OPENED);
	seal_keys_free(keys);
	assert_int_equal(unlink(SEAL_KEY_NAME), 0);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void new_key_is_another_one_each_time_and_can_be_read(void **state)
{
	char one[SEAL_KEY_LINE_BYTES + 1], other[SEAL_KEY_LINE_BYTES + 1];

	(void)state;
	assert_int_equal(seal_make_key_line(one), OK);
	assert_int_equal(seal_make_key_line(other), OK);
	assert_string_not_equal(one, other);
	assert_int_equal(strlen(one), SEAL_KEY_LINE_BYTES);
	assert_int_equal(load_text(one), SEAL_OPENED);
}

static void every_finding_has_words_of_its_own(void **state)
{
	(void)state;
	assert_string_equal(seal_finding_text(SEAL_OPENED), "");
	for (int i = SEAL_NO_KEY; i <= SEAL_CHANGED; i++) {
		const char *text = seal_finding_text((enum seal_finding)i);

		assert_string_not_equal(text, "unknown");
		for (int j = SEAL_NO_KEY; j < i; j++)
			assert_string_not_equal(text, seal_finding_text((enum seal_finding)j));
	}
}

/* Memory --------------------------------------------------------------------------------------- */

static _Alignas(4096) uint8_t stack[512 * 1024];

/* So that no compiler leaves out a copy that nobody reads. */
static void use(const void *memory)
{
	__asm__ volatile("" : : "r"(memory) : "memory");
}

static void (*watched_function)(void);

/* What a thread does at its end comes to lie here, and not on what is looked for. */
static void *go_down(void *unused)
{
	char room[16384];

	(void)unused;
	use(room);
	watched_function();
	use(room);
	return NULL;
}

/* Runs it on a stack that is ours to look at afterwards. Programs are linked with -z now: the
 * dynamic linker would save registers to the stack where it looks up a function, and a password may
 * be on its way through them. */
static void run_on_watched_stack(void (*function)(void))
{
	pthread_attr_t attributes;
	pthread_t thread;

	memset(stack, 0, sizeof stack);
	watched_function = function;
	dirty_blocks = 0;
	is_watching = true;
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstack(&attributes, stack, sizeof stack), 0);
	assert_int_equal(pthread_create(&thread, &attributes, go_down, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attributes);
	is_watching = false;
}

/* What the functions on the watched stack work on; it is not watched itself. */
static struct {
	struct seal_keys *keys;
	enum error error;
	enum seal_finding finding;
	uint8_t sealed[SEAL_MAX_BYTES];
	uint8_t plain[SEAL_PLAIN_MAX_BYTES];
	char line[SEAL_KEY_LINE_BYTES + 1];
	size_t length;
} watched;

static void load_keys(void)
{
	watched.error = seal_keys_load(key_path, &watched.keys, &watched.finding);
}

static void free_the_keys(void)
{
	seal_keys_free(watched.keys);
}

static void close_seal(void)
{
	watched.error = seal_close(watched.keys, span_of("proftpd", 7), span_of("alice", 5),
		span_of(password, sizeof password - 1), watched.sealed, &watched.length);
}

static void open_seal(void)
{
	watched.error = seal_open(watched.keys, span_of("proftpd", 7), span_of("alice", 5),
		span_of(known, sizeof known), watched.plain, &watched.length, &watched.finding);
}

static void make_key(void)
{
	watched.error = seal_make_key_line(watched.line);
}

static void assert_left_clean(void (*function)(void))
{
	run_on_watched_stack(function);
	assert_int_equal(watched.error, OK);
	assert_false(holds_secret(stack, sizeof stack));
	assert_int_equal(dirty_blocks, 0);
}

/* One at a time: the next call's frames would cover what this one left on the stack. */
static void no_key_and_no_password_stays_in_memory(void **state)
{
	(void)state;
	write_key_file(FIRST_LINE "\n" SECOND_LINE "\n", 130);
	assert_left_clean(load_keys);
	assert_int_equal(watched.finding, SEAL_OPENED);
	assert_left_clean(close_seal);
	assert_left_clean(open_seal);
	assert_int_equal(watched.finding, SEAL_OPENED);
	assert_memory_equal(watched.plain, password, sizeof password - 1);
	assert_left_clean(free_the_keys);
}

static void new_key_stays_not_in_memory_either(void **state)
{
	uint8_t key[16];

	(void)state;
	assert_left_clean(make_key);
	for (size_t i = 0; i < sizeof key; i++)
		assert_int_equal(sscanf(watched.line + 2 * i, "%2hhx", &key[i]), 1);
	assert_false(holds(stack, sizeof stack, key, sizeof key));
}

static void bad_key_file_stays_not_in_memory_either(void **state)
{
	(void)state;
	write_key_file(FIRST_LINE "\nnonsense\n", 74);
	assert_left_clean(load_keys);
	assert_int_equal(watched.finding, SEAL_BAD_KEY_FILE);
}

static void forget_to_wipe(void)
{
	char copy[sizeof password];
	char *heap = malloc(sizeof password);

	memcpy(copy, password, sizeof password);
	use(copy);
	if (heap)
		memcpy(heap, copy, sizeof password);
	use(heap);
	free(heap);
	use(copy); /* or free() may get this frame's place on the stack */
}

/* Else the two tests before could not fail. */
static void secret_that_is_left_behind_would_be_seen(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	/* It may keep the variables of functions elsewhere (detect_stack_use_after_return). */
	print_message("# locals do not stand on the stack with AddressSanitizer\n");
	skip();
#endif
	run_on_watched_stack(forget_to_wipe);
	assert_true(holds_secret(stack, sizeof stack));
	assert_int_equal(dirty_blocks, 1);
}

static void short_memory_opens_and_seals_nothing(void **state)
{
	struct seal_keys *keys = keys_of(FIRST_LINE "\n");
	uint8_t sealed[SEAL_MAX_BYTES], plain[SEAL_PLAIN_MAX_BYTES];
	enum error error = ERROR_MEMORY;
	enum seal_finding finding = 0;
	size_t length = 0, failures = 0;

	(void)state;
	for (size_t n = 1; error != OK && n < 1000; n++) {
		openssl_memory_fail(n, false);
		error = seal_close(keys, text_of("proftpd"), text_of("alice"), text_of(password),
			sealed, &length);
		if (error == OK && openssl_memory_has_failed())
			error = ERROR_MEMORY; /* it did without */
		failures += error != OK;
	}
	assert_true(failures > 1);
	error = ERROR_MEMORY;
	for (size_t n = 1; error != OK && n < 1000; n++) {
		finding = 0;
		openssl_memory_fail(n, false);
		error = seal_open(keys, text_of("proftpd"), text_of("alice"),
			span_of(sealed, length), plain, &length, &finding);
		assert_int_equal(finding, error == OK ? SEAL_OPENED : 0);
		if (error != OK)
			assert_true(error == ERROR_MEMORY || error == ERROR_SYSTEM);
		length = 101;
	}
	openssl_memory_fail(0, false);
	assert_int_equal(error, OK);
	assert_memory_equal(plain, password, sizeof password - 1);
	seal_keys_free(keys);
}

static void short_memory_is_never_a_bad_key_file(void **state)
{
	struct seal_keys *keys = NULL;
	enum error error = ERROR_MEMORY;
	enum seal_finding finding;

	(void)state;
	write_key_file(FIRST_LINE "\n", strlen(FIRST_LINE) + 1);
	for (size_t n = 1; error != OK && n < 1000; n++) {
		finding = 0;
		openssl_memory_fail(n, false);
		error = seal_keys_load(key_path, &keys, &finding);
		assert_int_equal(finding, error == OK ? SEAL_OPENED : 0);
		assert_int_equal(keys != NULL, error == OK);
	}
	openssl_memory_fail(0, false);
	assert_int_equal(error, OK);
	seal_keys_free(keys);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(value_sealed_by_another_program_opens),
		cmocka_unit_test(every_length_comes_back_as_it_was),
		cmocka_unit_test(no_password_and_one_over_the_limit_are_not_sealed),
		cmocka_unit_test(names_over_their_limits_are_not_sealed),
		cmocka_unit_test(length_of_a_password_shows_in_steps_of_64_alone),
		cmocka_unit_test(same_password_is_sealed_to_another_value_each_time),
		cmocka_unit_test(every_changed_bit_is_noticed),
		cmocka_unit_test(every_other_length_is_noticed),
		cmocka_unit_test(value_in_another_row_does_not_open),
		cmocka_unit_test(row_with_a_name_over_its_limit_is_malformed),
		cmocka_unit_test(well_sealed_nonsense_is_malformed),
		cmocka_unit_test(without_a_key_nothing_opens),
		cmocka_unit_test(value_of_another_key_does_not_open),
		cmocka_unit_test(first_key_seals_and_all_open),
		cmocka_unit_test(key_id_of_a_value_is_found),
		cmocka_unit_test(key_file_may_have_comments_empty_lines_and_crlf),
		cmocka_unit_test(upper_case_digits_are_the_same_key),
		cmocka_unit_test(file_without_a_whole_key_is_bad),
		cmocka_unit_test(only_hexadecimal_digits_make_a_key),
		cmocka_unit_test(sixteen_keys_are_taken_and_no_more),
		cmocka_unit_test(key_file_of_4096_bytes_is_taken_and_no_longer_one),
		cmocka_unit_test(missing_file_is_no_key),
		cmocka_unit_test(file_that_others_can_reach_is_unsafe),
		cmocka_unit_test(only_a_regular_file_is_safe),
		cmocka_unit_test(key_that_systemd_handed_over_is_found_in_its_directory),
		cmocka_unit_test(new_key_is_another_one_each_time_and_can_be_read),
		cmocka_unit_test(every_finding_has_words_of_its_own),
		cmocka_unit_test(no_key_and_no_password_stays_in_memory),
		cmocka_unit_test(new_key_stays_not_in_memory_either),
		cmocka_unit_test(bad_key_file_stays_not_in_memory_either),
		cmocka_unit_test(secret_that_is_left_behind_would_be_seen),
		cmocka_unit_test(short_memory_opens_and_seals_nothing),
		cmocka_unit_test(short_memory_is_never_a_bad_key_file),
	};

	if (!openssl_memory_take() ||
		certificate_init() != OK)
		tool_fail("OpenSSL is not as expected");
	tool_enter();
	atexit(certificate_done);
	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
