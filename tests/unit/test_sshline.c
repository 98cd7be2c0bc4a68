/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_sshline.c owns what no command makes: keys that are not whole. That the line of a sound key
 * is ssh-keygen's is tested with certmapctl itself.
 */
#include "../../certmapd/ctl/sshline.h"

#include "sshkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "openssl_tool.h"

#define MUTATIONS 20000u
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct row {
	const char *name, *arguments; /* of `openssl genpkey` */
	const char *type;             /* NULL: SSH has none that we know */
} rows[] = {
	{ "rsa_has_a_line", "-algorithm rsa -pkeyopt rsa_keygen_bits:2048", "ssh-rsa " },
	{ "p_256_has_a_line", "-algorithm ec -pkeyopt ec_paramgen_curve:P-256",
		"ecdsa-sha2-nistp256 " },
	{ "p_384_has_a_line", "-algorithm ec -pkeyopt ec_paramgen_curve:P-384",
		"ecdsa-sha2-nistp384 " },
	{ "p_521_has_a_line", "-algorithm ec -pkeyopt ec_paramgen_curve:P-521",
		"ecdsa-sha2-nistp521 " },
	{ "ed25519_has_a_line", "-algorithm ed25519", "ssh-ed25519 " },
	{ "x25519_has_none", "-algorithm x25519", NULL },
	{ "ed448_has_none", "-algorithm ed448", NULL },
	{ "secp256k1_has_none", "-algorithm ec -pkeyopt ec_paramgen_curve:secp256k1", NULL },
	{ "explicit_parameters_have_none",
		"-algorithm ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
		NULL },
	{ "rsa_pss_has_none", "-algorithm rsa-pss -pkeyopt rsa_keygen_bits:2048", NULL },
};

static struct bytes *key_new(const struct row *row)
{
	return tool_run("openssl genpkey %s 2>/dev/null | openssl pkey -pubout -outform DER",
		row->arguments);
}

static bool print_exactly(struct span key, char ret[SSHLINE_MAX_BYTES])
{
	const struct span copy = span_exact_copy(key);
	char *line = malloc(SSHLINE_MAX_BYTES);
	bool is_printed;

	assert_non_null(line);
	is_printed = sshline_print(copy, line);
	if (is_printed)
		strcpy(ret, line);
	free(line);
	free((void *)copy.bytes);
	return is_printed;
}

/* sshkey_read() is tested against OpenSSL on its own. */
static void assert_leads_back(const char *line, struct span key)
{
	uint8_t der[SSHKEY_MAX_BYTES];
	size_t length;

	assert_true(sshkey_read(span_of_string(line), der, &length));
	assert_int_equal(length, key.length);
	assert_memory_equal(der, key.bytes, length);
}

static void key_has_its_line_or_none(void **state)
{
	const struct row *row = *state;
	struct bytes *key = key_new(row);
	char line[SSHLINE_MAX_BYTES];

	assert_int_equal(print_exactly(bytes_span(key), line), row->type != NULL);
	if (row->type) {
		assert_memory_equal(line, row->type, strlen(row->type));
		assert_leads_back(line, bytes_span(key));
	}
	free(key);
}

static void a_key_cut_short_or_with_more_behind_it_has_no_line(void **state)
{
	struct bytes *key = key_new(&rows[0]);
	char line[SSHLINE_MAX_BYTES];

	(void)state;
	assert_true(print_exactly(bytes_span(key), line));
	for (size_t length = 0; length < key->length; length++)
		assert_false(print_exactly(span_of(key->at, length), line));
	bytes_add(key, "", 1);
	assert_false(print_exactly(bytes_span(key), line));
	free(key);
}

/* 32,768 bits: more than sshkey_read() would read. */
static void a_key_that_is_too_large_has_no_line(void **state)
{
	struct bytes *key = bytes_new();
	uint8_t filling[5000];
	char line[SSHLINE_MAX_BYTES];

	(void)state;
	memset(filling, 0x5a, sizeof(filling));
	bytes_add(key,
		"\x30\x82\x13\x98\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"
		"\x03\x82\x13\x85\x00\x30\x82\x13\x80\x02\x82\x13\x77",
		32);
	bytes_add(key, filling, 0x1377);
	bytes_add(key, "\x02\x03\x01\x00\x01", 5);
	assert_int_equal(key->length, 4 + 0x1398);
	assert_false(print_exactly(bytes_span(key), line));
	free(key);
}

static void a_mutated_key_has_a_line_that_leads_back_or_none(void **state)
{
	struct bytes *keys[5];
	uint64_t seed = 20261121;
	size_t printed = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++)
		keys[i] = key_new(&rows[i]);
	for (size_t i = 0; i < MUTATIONS; i++) {
		const struct bytes *from = keys[i % COUNT(keys)];
		char line[SSHLINE_MAX_BYTES];
		static struct bytes key;

		key.length = 0;
		bytes_add(&key, from->at, from->length);
		bytes_mutate(&key, &seed);
		if (print_exactly(bytes_span(&key), line)) {
			assert_leads_back(line, bytes_span(&key));
			printed++;
		}
	}
	assert_in_range(printed, 1, MUTATIONS - 1);
	for (size_t i = 0; i < COUNT(keys); i++)
		free(keys[i]);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(a_key_cut_short_or_with_more_behind_it_has_no_line),
		cmocka_unit_test(a_key_that_is_too_large_has_no_line),
		cmocka_unit_test(a_mutated_key_has_a_line_that_leads_back_or_none),
	};
	static struct CMUnitTest tests[COUNT(others) + COUNT(rows)];

	tool_enter();
	memcpy(tests, others, sizeof(others));
	for (size_t i = 0; i < COUNT(rows); i++)
		tests[COUNT(others) + i] = (struct CMUnitTest){ .name = rows[i].name,
			.test_func = key_has_its_line_or_none,
			.initial_state = (void *)&rows[i] };
	return cmocka_run_group_tests_name("sshline", tests, NULL, NULL);
}
