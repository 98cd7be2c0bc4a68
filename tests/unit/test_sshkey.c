/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_sshkey.c hands over SSH keys as sshd does. What comes out is compared with OpenSSL's own
 * encoding of the same key; the SSH lines are ssh-keygen's, or built here byte by byte where no
 * tool makes them: hostile ones.
 */
#include "sshkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include <cmocka.h>

#include "openssl_tool.h"

#define MUTATIONS 20000u
#define ED25519_BYTES 32u
#define BLOB_MAX_BYTES 4095u /* of what sshkey.c decodes base64 into */

static const char *const types[] = { "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521", "ssh-ed25519" };
#define TYPES (sizeof(types) / sizeof(types[0]))

/* The bytes alone, with the red zones of AddressSanitizer around what is read and written. */
static bool read_exactly(struct span text, struct bytes *ret)
{
	const struct span copy = span_exact_copy(text);
	uint8_t *der = malloc(SSHKEY_MAX_BYTES);
	size_t length = SIZE_MAX;
	bool is_read;

	if (!der)
		tool_fail("out of memory");
	is_read = sshkey_read(copy, der, &length);
	if (is_read) {
		ret->length = 0;
		bytes_add(ret, der, length);
	} else if (length != SIZE_MAX) {
		tool_fail("a refusal has a length");
	}
	free(der);
	free((void *)copy.bytes);
	return is_read;
}

static bool is_refused(struct span text)
{
	struct bytes *der = bytes_new();
	const bool is_read = read_exactly(text, der);

	free(der);
	return !is_read;
}

static void assert_becomes(struct span text, struct span expected)
{
	struct bytes *der = bytes_new();

	assert_true(read_exactly(text, der));
	assert_int_equal(der->length, expected.length);
	assert_memory_equal(der->at, expected.bytes, expected.length);
	free(der);
}

/* Blobs. RFC 4251 5: a string is its length in four octets and its bytes. */

static void blob_add_length(struct bytes *blob, size_t length)
{
	const uint8_t octets[] = { (uint8_t)(length >> 24), (uint8_t)(length >> 16),
		(uint8_t)(length >> 8), (uint8_t)length };

	bytes_add(blob, octets, sizeof(octets));
}

static void blob_add(struct bytes *blob, const void *from, size_t length)
{
	blob_add_length(blob, length);
	bytes_add(blob, from, length);
}

static void blob_add_string(struct bytes *blob, const char *string)
{
	blob_add(blob, string, strlen(string));
}

static struct bytes *blob_of_type(const char *type)
{
	struct bytes *blob = bytes_new();

	blob_add_string(blob, type);
	return blob;
}

/* "publickey TYPE BASE64", as sshd writes it. */
static struct bytes *line_of(const char *type, const struct bytes *blob)
{
	struct bytes *line = bytes_new();
	static uint8_t base64[BYTES_MAX];

	bytes_add_string(line, "publickey ");
	bytes_add_string(line, type);
	bytes_add_string(line, " ");
	bytes_add(line, base64, (size_t)EVP_EncodeBlock(base64, blob->at, (int)blob->length));
	bytes_add_string(line, "\n");
	return line;
}

/* Takes the blob. */
static bool is_blob_refused(const char *type, struct bytes *blob)
{
	struct bytes *line = line_of(type, blob);
	const bool result = is_refused(bytes_span(line));

	free(line);
	free(blob);
	return result;
}

static void blob_add_bytes(struct bytes *blob, uint8_t first, uint8_t others, size_t length)
{
	uint8_t bytes[1024];

	memset(bytes, others, sizeof(bytes));
	bytes[0] = first;
	blob_add(blob, bytes, length);
}

/* A point or key of this length; whether it lies on the curve is nobody's business here. */
static struct bytes *ecdsa_blob(const char *type, const char *curve, uint8_t form, size_t length)
{
	struct bytes *blob = blob_of_type(type);

	blob_add_string(blob, curve);
	blob_add_bytes(blob, form, 0x5a, length);
	return blob;
}

static struct bytes *ed25519_blob(size_t length)
{
	struct bytes *blob = blob_of_type("ssh-ed25519");

	blob_add_bytes(blob, 0x5a, 0x5a, length);
	return blob;
}

static struct bytes *sound_blob(const char *type)
{
	struct bytes *blob;

	if (strcmp(type, "ecdsa-sha2-nistp256") == 0)
		return ecdsa_blob(type, "nistp256", 4, 65);
	if (strcmp(type, "ecdsa-sha2-nistp384") == 0)
		return ecdsa_blob(type, "nistp384", 4, 97);
	if (strcmp(type, "ecdsa-sha2-nistp521") == 0)
		return ecdsa_blob(type, "nistp521", 4, 133);
	if (strcmp(type, "ssh-ed25519") == 0)
		return ed25519_blob(ED25519_BYTES);
	blob = blob_of_type("ssh-rsa");
	blob_add(blob, "\1\0\1", 3);
	blob_add_bytes(blob, 0x5a, 0x5b, 256);
	return blob;
}

static struct bytes *sound_line(const char *type)
{
	struct bytes *blob = sound_blob(type);
	struct bytes *line = line_of(type, blob);

	free(blob);
	return line;
}

/* What OpenSSL makes of a key. */

static struct bytes *der_of(EVP_PKEY *key)
{
	struct bytes *der = bytes_new();
	unsigned char *encoded = NULL;
	const int length = i2d_PUBKEY(key, &encoded);

	if (length <= 0)
		tool_fail("i2d_PUBKEY");
	bytes_add(der, encoded, (size_t)length);
	OPENSSL_free(encoded);
	EVP_PKEY_free(key);
	return der;
}

static struct bytes *der_of_ed25519(const uint8_t *raw)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, ED25519_BYTES);

	if (!key)
		tool_fail("EVP_PKEY_new_raw_public_key");
	return der_of(key);
}

static struct bytes *der_of_rsa(const BIGNUM *exponent, const BIGNUM *modulus)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	OSSL_PARAM *parameters;
	EVP_PKEY *key = NULL;

	OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus);
	OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent);
	parameters = OSSL_PARAM_BLD_to_param(builder);
	if (EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		tool_fail("EVP_PKEY_fromdata");
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(builder);
	EVP_PKEY_CTX_free(context);
	return der_of(key);
}

/* BN_bn2mpi(3) writes the mpint of RFC 4251 5, length included. */
static void blob_add_number(struct bytes *blob, const BIGNUM *number)
{
	uint8_t mpi[8192];

	bytes_add(blob, mpi, (size_t)BN_bn2mpi(number, mpi));
}

/* A number of so many bytes that begins with `first`. */
static BIGNUM *number_of(uint8_t first, size_t length)
{
	uint8_t bytes[8192];

	memset(bytes, 0xa7, sizeof(bytes));
	bytes[0] = first;
	return BN_bin2bn(bytes, (int)length, NULL);
}

static struct bytes *rsa_blob(const BIGNUM *exponent, const BIGNUM *modulus)
{
	struct bytes *blob = blob_of_type("ssh-rsa");

	blob_add_number(blob, exponent);
	blob_add_number(blob, modulus);
	return blob;
}

/* Takes both numbers. */
static bool is_rsa_refused(BIGNUM *exponent, BIGNUM *modulus)
{
	const bool result = is_blob_refused("ssh-rsa", rsa_blob(exponent, modulus));

	BN_free(exponent);
	BN_free(modulus);
	return result;
}

/* Takes both numbers. Whether the two agree; a refusal does not. */
static bool is_rsa_read(BIGNUM *exponent, BIGNUM *modulus)
{
	struct bytes *blob = rsa_blob(exponent, modulus);
	struct bytes *line;
	struct bytes *expected = der_of_rsa(exponent, modulus);
	struct bytes *der = bytes_new();
	bool result;

	line = line_of("ssh-rsa", blob);
	result = read_exactly(bytes_span(line), der) &&
		 span_is_equal(bytes_span(der), bytes_span(expected));
	BN_free(exponent);
	BN_free(modulus);
	free(blob);
	free(line);
	free(expected);
	free(der);
	return result;
}

/* Real keys. */

static const struct row {
	const char *name;
	const char *arguments; /* of `openssl genpkey` */
} rows[] = {
	{ "rsa_key_of_2048_bits_becomes_what_openssl_writes",
		"-algorithm RSA -pkeyopt rsa_keygen_bits:2048" },
	{ "rsa_key_of_4096_bits_becomes_what_openssl_writes",
		"-algorithm RSA -pkeyopt rsa_keygen_bits:4096" },
	{ "rsa_key_with_exponent_3_becomes_what_openssl_writes",
		"-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3" },
	{ "p_256_key_becomes_what_openssl_writes",
		"-algorithm EC -pkeyopt ec_paramgen_curve:P-256" },
	{ "p_384_key_becomes_what_openssl_writes",
		"-algorithm EC -pkeyopt ec_paramgen_curve:P-384" },
	{ "p_521_key_becomes_what_openssl_writes",
		"-algorithm EC -pkeyopt ec_paramgen_curve:P-521" },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* "TYPE BASE64\n" and "publickey TYPE BASE64\n" alike. */
static void assert_line_becomes(const struct bytes *line, const struct bytes *expected)
{
	struct bytes *exposed = bytes_new();

	bytes_add_string(exposed, "publickey ");
	bytes_add(exposed, line->at, line->length);
	assert_becomes(bytes_span(exposed), bytes_span(expected));
	assert_becomes(bytes_span(line), bytes_span(expected));
	free(exposed);
}

static void key_becomes_what_openssl_writes(void **state)
{
	const struct row *row = *state;
	struct bytes *line = tool_run("openssl genpkey %s -out key.pem 2>/dev/null && "
				      "openssl pkey -in key.pem -pubout -out pub.pem && "
				      "ssh-keygen -i -m PKCS8 -f pub.pem",
		row->arguments);
	struct bytes *expected = tool_run("openssl pkey -pubin -in pub.pem -outform DER");

	assert_line_becomes(line, expected);
	free(line);
	free(expected);
}

static void ed25519_key_becomes_what_openssl_writes(void **state)
{
	struct bytes *line = tool_run("rm -f id id.pub; ssh-keygen -q -t ed25519 -N '' -f id && "
				      "cat id.pub");
	struct bytes *raw = tool_run("cut -d' ' -f2 id.pub | base64 -d | tail -c 32");
	struct bytes *expected = der_of_ed25519(raw->at);

	(void)state;
	assert_int_equal(raw->length, ED25519_BYTES);
	assert_line_becomes(line, expected);
	free(line);
	free(raw);
	free(expected);
}

/* Each form of a DER length, and a sign octet with each. */
static void rsa_moduli_of_every_length_become_what_openssl_writes(void **state)
{
	(void)state;
	for (size_t length = 1; length <= 600; length++) {
		assert_true(is_rsa_read(number_of(0x03, 1), number_of(0x7f, length)));
		assert_true(is_rsa_read(number_of(0x01, 3), number_of(0x80, length)));
	}
	assert_true(is_rsa_read(number_of(0x01, 3), number_of(0xff, 2048)));
	assert_true(is_rsa_read(number_of(0xff, 300), number_of(0xff, 300)));
}

/* What stands around the modulus: SEQUENCE, algorithm, BIT STRING with its unused bits, SEQUENCE,
 * the INTEGER 3, the header of the modulus. */
static void key_fills_the_output_to_its_last_byte_and_no_further(void **state)
{
	const size_t largest = SSHKEY_MAX_BYTES - (4 + 15 + 5 + 4 + 3 + 4);

	(void)state;
	assert_true(is_rsa_read(number_of(0x03, 1), number_of(0x7f, largest)));
	for (size_t length = largest + 1; length <= largest + 100; length++)
		assert_true(is_rsa_refused(number_of(0x03, 1), number_of(0x7f, length)));
	assert_true(is_rsa_refused(number_of(0x03, 1), number_of(0x7f, 8000)));
	assert_true(is_rsa_read(number_of(0x7f, largest), number_of(0x03, 1)));
	assert_true(is_rsa_refused(number_of(0x7f, largest + 1), number_of(0x03, 1)));
}

/* The lines around it. */

static bool is_text_read(const char *before, const char *type, const char *after)
{
	struct bytes *line = sound_line(type);
	struct bytes *text = bytes_new();
	struct bytes *alone = bytes_new();
	struct bytes *der = bytes_new();
	bool result;

	assert_true(read_exactly(bytes_span(line), alone));
	bytes_add_string(text, before);
	bytes_add(text, line->at, line->length - 1);
	bytes_add_string(text, after);
	result = read_exactly(bytes_span(text), der);
	if (result)
		assert_true(span_is_equal(bytes_span(der), bytes_span(alone)));
	free(line);
	free(text);
	free(alone);
	free(der);
	return result;
}

static void key_may_stand_among_the_lines_of_other_methods(void **state)
{
	static const char hostbased[] =
		"hostbased ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4"
		"eHh4eHh4eHh4 client user \"a publickey ssh-rsa\", client host \"h\"\n";

	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		assert_true(is_text_read("", types[i], ""));
		assert_true(is_text_read("", types[i], "\n\n"));
		assert_true(is_text_read("password\n", types[i], "\nkeyboard-interactive/pam\n"));
		assert_true(is_text_read(hostbased, types[i], "\n"));
		assert_true(is_text_read("\n", types[i], " alice@host ssh-rsa publickey\n"));
	}
}

static void two_keys_are_refused(void **state)
{
	static const char *const others[] = { "\npublickey", "\npublickey ", "\npublickey\n",
		"\npublickey ssh-dss AAAA\n", "\npublickey sk-ssh-ed25519@openssh.com AAAA\n",
		"\nssh-rsa", "\nssh-ed25519 AAAA", "\npassword\npublickey ssh-rsa AAAA\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_false(is_text_read("", "ssh-rsa", others[i]));
		assert_false(is_text_read(others[i] + 1, "ssh-rsa", "\n"));
	}
	for (size_t i = 0; i < TYPES; i++) {
		struct bytes *line = sound_line(types[i]);

		bytes_add(line, line->at, line->length);
		assert_true(is_refused(bytes_span(line)));
		free(line);
	}
}

static void text_without_a_key_is_refused(void **state)
{
	static const char *const texts[] = { "", "\n", " ", "\n\n\n", "password\n", "none\n",
		"keyboard-interactive/pam\n", "publickey", "publickey\n", "publickey \n",
		"publickey ssh-rsa", "publickey ssh-rsa\n", "publickey ssh-rsa \n", "ssh-rsa",
		"ssh-rsa ", "ssh-ed25519\n", "publickey ssh-rsa ====\n", "publickey ssh-rsa AAAA\n",
		"(null)", "AAAAC3NzaC1lZDI1NTE5AAAAIHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_true(is_refused(span_of_string(texts[i])));
	assert_true(is_refused((struct span){ 0 }));
}

static void words_are_read_as_sshd_writes_them_and_no_other_way(void **state)
{
	static const char *const before[] = { " ", "\t", "x", "publickey ", "PUBLICKEY ",
		"hostbased ", "publickey/x ", "restrict ", "command=\"x\" ", "\xef\xbb\xbf" };

	(void)state;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
		assert_false(is_text_read(before[i], "ssh-ed25519", "\n"));
	assert_false(is_text_read("", "ssh-ed25519", "\r\n"));
	assert_false(is_text_read("", "ssh-ed25519", "\t\n"));
	assert_false(is_text_read("", "ssh-ed25519", "="));
	assert_false(is_text_read("", "ssh-ed25519", "A"));
	assert_false(is_text_read("", "ssh-ed25519", "AAAA"));
}

/* The 136 bytes of a P-384 blob leave one over after the last group of three. */
static void base64_has_one_form(void **state)
{
	struct bytes *line = sound_line("ecdsa-sha2-nistp384");
	const size_t end = line->length - 1;

	(void)state;
	assert_memory_equal(line->at + end - 2, "==", 2);
	line->at[end - 3]++; /* a bit that stands for nothing */
	assert_true(is_refused(bytes_span(line)));
	line->at[end - 3]--;
	assert_false(is_refused(bytes_span(line)));
	for (size_t cut = 1; cut <= 2; cut++)
		assert_true(is_refused(span_of(line->at, end - cut)));
	line->at[end - 40] = '-';
	assert_true(is_refused(bytes_span(line)));
	line->at[end - 40] = '\0';
	assert_true(is_refused(bytes_span(line)));
	free(line);
}

/* Other types. */

static void certificates_of_openssh_are_refused(void **state)
{
	static const char *const arguments[] = { "-t rsa -b 2048", "-t ecdsa -b 256",
		"-t ed25519" };

	(void)state;
	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
		struct bytes *line =
			tool_run("rm -f id*; ssh-keygen -q %s -N '' -f id && "
				 "ssh-keygen -q -s id -I x -n alice id.pub 2>/dev/null && "
				 "printf 'publickey ' && cat id-cert.pub",
				arguments[i]);

		assert_non_null(strstr((char *)line->at, "-cert-v01@openssh.com "));
		assert_true(is_refused(bytes_span(line)));
		assert_true(
			is_refused(span_of(line->at + strlen("publickey "), line->length - 10)));
		free(line);
	}
}

static void types_that_are_not_known_are_refused(void **state)
{
	static const char *const others[] = { "", "ssh-dss", "rsa-sha2-256", "rsa-sha2-512",
		"ssh-ed448", "SSH-RSA", "ssh-rs", "ssh-rsa2", "ssh-rsa-cert-v01@openssh.com",
		"ecdsa-sha2-nistp224", "ecdsa-sha2-1.3.132.0.10", "sk-ssh-ed25519@openssh.com",
		"sk-ecdsa-sha2-nistp256@openssh.com" };

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct bytes *blob = blob_of_type(others[i]);

		blob_add_bytes(blob, 0x5a, 0x5a, ED25519_BYTES);
		assert_true(is_blob_refused(others[i], blob));
	}
}

static void key_of_another_type_than_it_says_is_refused(void **state)
{
	(void)state;
	for (size_t outer = 0; outer < TYPES; outer++)
		for (size_t inner = 0; inner < TYPES; inner++)
			assert_int_equal(is_blob_refused(types[outer], sound_blob(types[inner])),
				outer != inner);
}

/* Hostile blobs. */

static void curve_is_the_one_of_the_type(void **state)
{
	static const char *const curves[] = { "nistp256", "nistp384", "nistp521" };
	static const size_t lengths[] = { 65, 97, 133 };

	(void)state;
	for (size_t type = 0; type < 3; type++)
		for (size_t curve = 0; curve < 3; curve++)
			for (size_t length = 0; length < 3; length++)
				assert_int_equal(is_blob_refused(types[1 + type],
							 ecdsa_blob(types[1 + type], curves[curve],
								 4, lengths[length])),
					type != curve || type != length);
	assert_true(is_blob_refused(types[1], ecdsa_blob(types[1], "", 4, 65)));
	assert_true(is_blob_refused(types[1], ecdsa_blob(types[1], "nistp2567", 4, 65)));
	assert_true(is_blob_refused(types[1], ecdsa_blob(types[1], "NISTP256", 4, 65)));
}

static void point_is_uncompressed_and_of_its_length(void **state)
{
	(void)state;
	for (size_t length = 0; length <= 200; length++)
		assert_int_equal(
			is_blob_refused(types[1], ecdsa_blob(types[1], "nistp256", 4, length)),
			length != 65);
	/* SEC 1 2.3.3: 0 infinity, 2 and 3 compressed, 6 and 7 hybrid. */
	for (unsigned int form = 0; form <= 0xff; form++) {
		assert_int_equal(is_blob_refused(types[1],
					 ecdsa_blob(types[1], "nistp256", (uint8_t)form, 65)),
			form != 4);
		assert_true(is_blob_refused(
			types[1], ecdsa_blob(types[1], "nistp256", (uint8_t)form, 33)));
	}
}

static void ed25519_key_has_32_bytes(void **state)
{
	(void)state;
	for (size_t length = 0; length <= 100; length++)
		assert_int_equal(
			is_blob_refused("ssh-ed25519", ed25519_blob(length)), length != 32);
}

/* RFC 4251 5: the fewest bytes. A second form of a number would be a second text for one key. */
static void number_has_one_form_and_is_positive(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		bool is_sound;
	} numbers[] = {
		{ "\x11", 1, true },
		{ "\x7f", 1, true },
		{ "\x00\x80", 2, true },
		{ "\x7f\xff", 2, true },
		{ "", 0, false },
		{ "\x00", 1, false },
		{ "\x00\x00", 2, false },
		{ "\x00\x7f", 2, false },
		{ "\x00\x00\x80", 3, false },
		{ "\x80", 1, false },
		{ "\xff", 1, false },
		{ "\xff\x7f", 2, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct bytes *exponent = blob_of_type("ssh-rsa");
		struct bytes *modulus = blob_of_type("ssh-rsa");

		blob_add(exponent, numbers[i].bytes, numbers[i].length);
		blob_add_bytes(exponent, 0x5a, 0x5b, 256);
		blob_add(modulus, "\1\0\1", 3);
		blob_add(modulus, numbers[i].bytes, numbers[i].length);
		assert_int_equal(is_blob_refused("ssh-rsa", exponent), !numbers[i].is_sound);
		assert_int_equal(is_blob_refused("ssh-rsa", modulus), !numbers[i].is_sound);
	}
}

static void bytes_after_the_key_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		struct bytes *byte = sound_blob(types[i]);
		struct bytes *empty = sound_blob(types[i]);
		struct bytes *twice = sound_blob(types[i]);

		bytes_add(byte, "", 1);
		blob_add_string(empty, "");
		bytes_add(twice, twice->at, twice->length);
		assert_true(is_blob_refused(types[i], byte));
		assert_true(is_blob_refused(types[i], empty));
		assert_true(is_blob_refused(types[i], twice));
	}
}

static void text_and_blob_cut_anywhere_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		struct bytes *line = sound_line(types[i]);
		struct bytes *blob = sound_blob(types[i]);

		for (size_t length = 0; length + 1 < line->length; length++)
			assert_true(is_refused(span_of(line->at, length)));
		while (blob->length > 0) {
			struct bytes *cut;

			blob->length--;
			cut = bytes_new();
			bytes_add(cut, blob->at, blob->length);
			assert_true(is_blob_refused(types[i], cut));
		}
		free(line);
		free(blob);
	}
}

/* What follows after the exponent ends where the room for blobs ends: AddressSanitizer would see a
 * byte more being read. */
static bool is_last_refused(const void *last, size_t length)
{
	struct bytes *blob = blob_of_type("ssh-rsa");

	blob_add_length(blob, BLOB_MAX_BYTES - blob->length - 4 - length);
	while (blob->length < BLOB_MAX_BYTES - length)
		bytes_add(blob, "Z", 1);
	bytes_add(blob, last, length);
	return is_blob_refused("ssh-rsa", blob);
}

static void blob_that_fills_its_room_is_not_read_past_its_end(void **state)
{
	uint8_t lying[] = { 0, 0, 0, 0, 'Z', 'Z', 'Z', 'Z' };

	(void)state;
	for (size_t length = 0; length <= 4; length++)
		assert_true(is_last_refused(lying, length));
	for (lying[3] = 5; lying[3] <= 16; lying[3]++)
		assert_true(is_last_refused(lying, sizeof(lying)));
}

/* Each of the lengths in a blob, and each bit of it. */
static void length_that_lies_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < TYPES; i++) {
		struct bytes *sound = sound_blob(types[i]);

		for (size_t at = 0; at < sound->length;) {
			const size_t length = (size_t)sound->at[at + 2] << 8 | sound->at[at + 3];

			for (unsigned int bit = 0; bit < 32; bit++) {
				struct bytes *blob = sound_blob(types[i]);

				blob->at[at + bit / 8] ^= (uint8_t)(1u << bit % 8);
				assert_true(is_blob_refused(types[i], blob));
			}
			at += 4 + length;
		}
		free(sound);
	}
}

/* Whatever happens to a text: what is read as a key is the DER of a SubjectPublicKeyInfo from its
 * first byte to its last one, as OpenSSL writes the same again. */
static bool is_key_info(const struct bytes *der)
{
	const unsigned char *at = der->at;
	unsigned char *again = NULL;
	X509_PUBKEY *key = d2i_X509_PUBKEY(NULL, &at, (long)der->length);
	const int length = key ? i2d_X509_PUBKEY(key, &again) : -1;
	const bool result = length > 0 && at == der->at + der->length &&
			    span_is_equal(span_of(again, (size_t)length), bytes_span(der));

	OPENSSL_free(again);
	X509_PUBKEY_free(key);
	return result;
}

static void mutate_texts(uint64_t *random, unsigned int *read)
{
	struct bytes *der = bytes_new();

	for (unsigned int i = 0; i < MUTATIONS; i++) {
		struct bytes *line = sound_line(types[i % TYPES]);

		bytes_mutate(line, random);
		if (read_exactly(bytes_span(line), der)) {
			assert_true(is_key_info(der));
			(*read)++;
		}
		free(line);
	}
	free(der);
}

static void mutate_blobs(uint64_t *random, unsigned int *read)
{
	struct bytes *der = bytes_new();

	for (unsigned int i = 0; i < MUTATIONS; i++) {
		struct bytes *blob = sound_blob(types[i % TYPES]);
		struct bytes *line;

		bytes_mutate(blob, random);
		line = line_of(types[i % TYPES], blob);
		if (read_exactly(bytes_span(line), der)) {
			assert_true(is_key_info(der));
			(*read)++;
		}
		free(blob);
		free(line);
	}
	free(der);
}

static void mutated_keys_are_refused_or_keys(void **state)
{
	uint64_t random = 0x5353484b4559;
	unsigned int read = 0;

	(void)state;
	mutate_texts(&random, &read);
	assert_in_range(read, 1, MUTATIONS - 1);
	read = 0;
	mutate_blobs(&random, &read);
	assert_in_range(read, 1, MUTATIONS - 1);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(ed25519_key_becomes_what_openssl_writes),
		cmocka_unit_test(rsa_moduli_of_every_length_become_what_openssl_writes),
		cmocka_unit_test(key_fills_the_output_to_its_last_byte_and_no_further),
		cmocka_unit_test(key_may_stand_among_the_lines_of_other_methods),
		cmocka_unit_test(two_keys_are_refused),
		cmocka_unit_test(text_without_a_key_is_refused),
		cmocka_unit_test(words_are_read_as_sshd_writes_them_and_no_other_way),
		cmocka_unit_test(base64_has_one_form),
		cmocka_unit_test(certificates_of_openssh_are_refused),
		cmocka_unit_test(types_that_are_not_known_are_refused),
		cmocka_unit_test(key_of_another_type_than_it_says_is_refused),
		cmocka_unit_test(curve_is_the_one_of_the_type),
		cmocka_unit_test(point_is_uncompressed_and_of_its_length),
		cmocka_unit_test(ed25519_key_has_32_bytes),
		cmocka_unit_test(number_has_one_form_and_is_positive),
		cmocka_unit_test(bytes_after_the_key_are_refused),
		cmocka_unit_test(text_and_blob_cut_anywhere_are_refused),
		cmocka_unit_test(blob_that_fills_its_room_is_not_read_past_its_end),
		cmocka_unit_test(length_that_lies_is_refused),
		cmocka_unit_test(mutated_keys_are_refused_or_keys),
	};
	struct CMUnitTest tests[ROWS + sizeof(others) / sizeof(others[0])];

	tool_enter();
	for (size_t i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){ .name = rows[i].name,
			.test_func = key_becomes_what_openssl_writes,
			.initial_state = (void *)&rows[i] };
	memcpy(tests + ROWS, others, sizeof(others));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
