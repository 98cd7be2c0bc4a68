/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_certificate.c owns the tests of the facts of a certificate. Real certificates are made by
 * the openssl command, which also says what is in them. What no command makes (unknown keys, BER,
 * odd times, hostile names) is built from pieces of DER or patched into a real one; nothing here
 * verifies a signature, so none has to be right.
 */
#include "certificate.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <wchar.h>

#include <cmocka.h>

#include "openssl_memory.h"
#include "openssl_tool.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *read_exactly(struct span der, struct certificate_facts *ret)
{
	struct span copy = span_exact_copy(der);
	const char *problem = "untouched";

	assert_int_equal(certificate_read(copy, ret, &problem), OK);
	free((void *)copy.bytes);
	return problem;
}

static void assert_reads(const struct bytes *der, struct certificate_facts *ret)
{
	const char *problem = read_exactly(bytes_span(der), ret);

	if (problem)
		fail_msg("refused: %s", problem);
}

/* Refused in these words, with the fingerprint and nothing else. */
static void assert_refused(const struct bytes *der, const char *expected)
{
	struct certificate_facts facts, alone = { 0 };
	const char *problem;

	memset(&facts, 0xa5, sizeof(facts));
	problem = read_exactly(bytes_span(der), &facts);
	assert_non_null(problem);
	assert_non_null(strstr(problem, expected));
	assert_int_equal(certificate_fingerprint(bytes_span(der), alone.fingerprint), OK);
	assert_memory_equal(&facts, &alone, sizeof(facts));
}

static void bytes_hex(const uint8_t *from, size_t length, char *ret)
{
	for (size_t i = 0; i < length; i++)
		sprintf(ret + 2 * i, "%02x", from[i]);
}

/* What is between `before` and the end of the line, cut out of a command's output. */
static const char *line_after(struct bytes *output, const char *before)
{
	char *line = strstr((char *)output->at, before);

	if (!line)
		tool_fail("openssl did not print what was expected");
	line += strlen(before);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* Real certificates. */

static const struct row {
	const char *name;
	const char *string_mask; /* of the configuration: which string types names get */
	const char *arguments;   /* of `openssl req -x509` */
	const char *subject;     /* by RFC 4514, NULL: as openssl prints it */
} rows[] = {
	/* clang-format off */
	{ "rsa_certificate_is_read", "utf8only", "-newkey rsa:2048 -subj /CN=alice", "CN=alice" },
	{ "p_256_certificate_is_read", "utf8only",
	  "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=alice", "CN=alice" },
	{ "ed25519_certificate_is_read", "utf8only",
	  "-newkey ed25519 -subj /CN=alice", "CN=alice" },
	{ "rsa_pss_certificate_is_read", "utf8only",
	  "-newkey rsa-pss -subj /CN=alice", "CN=alice" },
	{ "explicit_curve_parameters_are_read", "utf8only",
	  "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit "
	  "-subj /CN=alice",
	  "CN=alice" },
	{ "attributes_are_printed_last_first", "utf8only",
	  "-newkey ed25519 -subj '/C=CZ/ST=Praha/L=Praha 1/O=Svc Test/OU=Dev/CN=alice'",
	  "CN=alice,OU=Dev,O=Svc Test,L=Praha 1,ST=Praha,C=CZ" },
	{ "special_characters_are_escaped", "utf8only",
	  "-newkey ed25519 -subj '/O=#a, \"b\"; <c>\\\\d/CN= alice '",
	  "CN=\\ alice\\ ,O=\\#a\\, \\\"b\\\"\\; \\<c\\>\\\\d" },
	{ "a_plus_inside_of_a_value_is_escaped", "utf8only",
	  "-newkey ed25519 -subj '/OU=a\\+b/CN=alice'", "CN=alice,OU=a\\+b" },
	{ "attributes_beside_each_other_are_joined_by_a_plus", "utf8only",
	  "-newkey ed25519 -subj '/O=Svc/CN=alice+UID=1000'", NULL },
	{ "utf_8_names_stay_readable", "utf8only",
	  "-newkey ed25519 -subj '/O=Ľudia + iní/CN=Zoë 漢字 😀'", NULL },
	{ "bmp_and_t61_strings_turn_to_utf_8", "default",
	  "-newkey ed25519 -subj '/O=Müller/CN=Ľudia'", "CN=Ľudia,O=Müller" },
	{ "printable_and_ia5_strings_are_printed", "default",
	  "-newkey ed25519 -subj '/CN=alice/emailAddress=alice@example.org'",
	  "emailAddress=alice@example.org,CN=alice" },
	{ "empty_subject_is_empty", "utf8only", "-newkey ed25519 -subj /", "" },
	{ "serial_of_one_octet_keeps_its_zero", "utf8only",
	  "-newkey ed25519 -subj /CN=alice -set_serial 5", "CN=alice" },
	{ "serial_zero_is_read", "utf8only", "-newkey ed25519 -subj /CN=alice -set_serial 0",
	  "CN=alice" },
	{ "serial_with_its_high_bit_set_is_positive", "utf8only",
	  "-newkey ed25519 -subj /CN=alice -set_serial 0xff00112233445566778899aabbccddeeff001122",
	  "CN=alice" },
	{ "negative_serial_is_read", "utf8only",
	  "-newkey ed25519 -subj /CN=alice -set_serial -4660",
	  "CN=alice" },
	{ "serial_of_40_octets_is_read_whole", "utf8only",
	  "-newkey ed25519 -subj /CN=alice -set_serial 0x"
	  "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
	  "CN=alice" },
	{ "validity_past_2050_is_read", "utf8only", "-newkey ed25519 -subj /CN=alice -days 20000",
	  "CN=alice" },
	{ "extensions_are_left_alone", "utf8only",
	  "-newkey ed25519 -subj /CN=alice -addext extendedKeyUsage=clientAuth "
	  "-addext 'subjectAltName=email:a@example.org,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a'",
	  "CN=alice" },
	/* clang-format on */
};

static int64_t date_sec(const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%b %d %H:%M:%S %Y GMT", &tm);

	assert_non_null(end);
	assert_int_equal(*end, '\0');
	return timegm(&tm);
}

static void assert_fingerprints(const struct certificate_facts *facts)
{
	struct bytes *whole = tool_run("openssl dgst -sha256 -r c.der | cut -d' ' -f1");
	struct bytes *key = tool_run("openssl x509 -in c.der -inform DER -noout -pubkey | "
				     "openssl pkey -pubin -outform DER | "
				     "openssl dgst -sha256 -r | cut -d' ' -f1");
	char hex[2 * FINGERPRINT_BYTES + 1];

	bytes_hex(facts->fingerprint, FINGERPRINT_BYTES, hex);
	assert_string_equal(hex, line_after(whole, ""));
	bytes_hex(facts->key_fingerprint, FINGERPRINT_BYTES, hex);
	assert_string_equal(hex, line_after(key, ""));
	free(whole);
	free(key);
}

/* The bytes as openssl has them; and no byte more than there is room for. */
static void assert_key_is_copied(const struct bytes *der)
{
	struct bytes *expected = tool_run("openssl x509 -in c.der -inform DER -noout -pubkey | "
					  "openssl pkey -pubin -outform DER");
	uint8_t *key = malloc(expected->length);
	const char *problem = "untouched";
	size_t length = 0;

	assert_non_null(key);
	assert_int_equal(certificate_copy_key(bytes_span(der), key, expected->length - 1, &length,
				 &problem),
		ERROR_TOO_LARGE);
	assert_int_equal(length, 0);
	assert_string_equal(problem, "untouched");
	assert_int_equal(certificate_copy_key(
				 bytes_span(der), key, expected->length, &length, &problem),
		OK);
	assert_null(problem);
	assert_int_equal(length, expected->length);
	assert_memory_equal(key, expected->at, length);
	free(key);
	free(expected);
}

static void assert_serial(const struct certificate_facts *facts)
{
	/* It is printed in several lines where it is long, with a backslash at their ends. */
	struct bytes *serial = tool_run(
		"openssl x509 -in c.der -inform DER -noout -serial | tr -d '\\\\\\n' | tr A-F a-f");

	assert_string_equal(facts->serial, line_after(serial, "serial="));
	free(serial);
}

static void assert_dates(const struct certificate_facts *facts)
{
	struct bytes *start = tool_run("openssl x509 -in c.der -inform DER -noout -startdate");
	struct bytes *end = tool_run("openssl x509 -in c.der -inform DER -noout -enddate");

	assert_int_equal(facts->not_before_sec, date_sec(line_after(start, "notBefore=")));
	assert_int_equal(facts->not_after_sec, date_sec(line_after(end, "notAfter=")));
	free(start);
	free(end);
}

static struct bytes *subject_by_openssl(void)
{
	return tool_run("openssl x509 -in c.der -inform DER -noout -subject "
			"-nameopt RFC2253,-esc_msb");
}

static void real_certificate(void **state)
{
	const struct row *row = *state;
	struct bytes *der, *subject;
	struct certificate_facts facts;

	setenv("STRING_MASK", row->string_mask, 1);
	der = tool_run("openssl req -x509 -nodes -keyout k.pem %s -outform DER -out c.der "
		       "2>/dev/null && cat c.der",
		row->arguments);
	setenv("STRING_MASK", "utf8only", 1);
	assert_reads(der, &facts);
	assert_fingerprints(&facts);
	assert_key_is_copied(der);
	assert_serial(&facts);
	assert_dates(&facts);
	subject = subject_by_openssl();
	assert_string_equal(facts.subject, line_after(subject, "subject="));
	assert_string_equal(facts.issuer, facts.subject);
	if (row->subject)
		assert_string_equal(facts.subject, row->subject);
	free(subject);
	free(der);
}

/* Of version 1 or 3, as OpenSSL 3.0 and 3.5 write it. */
static void issuer_and_subject_are_told_apart(void **state)
{
	struct bytes *der = tool_run(
		"openssl req -x509 -newkey ed25519 -nodes -keyout ca.key -subj /CN=ca -out ca.pem "
		"2>/dev/null && openssl req -new -newkey ed25519 -nodes -keyout k.pem "
		"-subj /CN=alice -out c.csr 2>/dev/null && "
		"openssl x509 -req -in c.csr -CA ca.pem -CAkey ca.key -set_serial 7 "
		"-outform DER -out c.der 2>/dev/null && cat c.der");
	struct certificate_facts facts;

	(void)state;
	assert_reads(der, &facts);
	assert_string_equal(facts.subject, "CN=alice");
	assert_string_equal(facts.issuer, "CN=ca");
	assert_string_equal(facts.serial, "07");
	assert_fingerprints(&facts);
	free(der);
}

/* Sixty units of 64 letters, printed with two bytes each: 8 KiB, of which 1 KiB is kept. A unit
 * takes ",OU=" and 128 bytes; after "CN=x" and seven units 95 of the 1023 bytes are left, one too
 * many for whole letters, and after "CN=xx" it is 94. */
static void cut_name(const char *letter, const char *tail, size_t expected_length)
{
	struct bytes *names = bytes_new(), *der, *subject;
	struct certificate_facts facts;

	for (size_t i = 0; i < 60; i++) {
		bytes_add_string(names, "/OU=");
		for (size_t n = 0; n < 64; n++)
			bytes_add_string(names, letter);
	}
	der = tool_run("openssl req -x509 -nodes -newkey ed25519 -keyout k.pem -subj '%s/CN=%s' "
		       "-outform DER -out c.der 2>/dev/null && cat c.der",
		(char *)names->at, tail);
	subject = subject_by_openssl();
	assert_reads(der, &facts);
	assert_int_equal(strlen(facts.subject), expected_length);
	assert_memory_equal(facts.subject, line_after(subject, "subject="), expected_length);
	assert_fingerprints(&facts);
	free(names);
	free(subject);
	free(der);
}

static void long_names_are_cut_at_a_whole_character(void **state)
{
	(void)state;
	cut_name("ľ", "x", CERTIFICATE_NAME_MAX_BYTES - 2);
	cut_name("ľ", "xx", CERTIFICATE_NAME_MAX_BYTES - 1);
}

static void long_names_are_cut_at_a_whole_escape(void **state)
{
	(void)state;
	cut_name(",", "x", CERTIFICATE_NAME_MAX_BYTES - 2);
	cut_name(",", "xx", CERTIFICATE_NAME_MAX_BYTES - 1);
	/* Three bytes each: after five units 35 are left for letters, two too many. */
	cut_name("\x01", "x", CERTIFICATE_NAME_MAX_BYTES - 3);
}

/* Certificates built from pieces of DER, written as hexadecimal digits. */

static struct bytes *hex_new(const char *hex)
{
	struct bytes *bytes = bytes_new();
	unsigned octet;
	uint8_t byte;

	for (; *hex; hex += 2) {
		assert_int_equal(sscanf(hex, "%2x", &octet), 1);
		byte = (uint8_t)octet;
		bytes_add(bytes, &byte, 1);
	}
	return bytes;
}

/* Takes `content` and returns it with a tag and the DER length before it. */
static struct bytes *wrapped_take(uint8_t tag, struct bytes *content)
{
	struct bytes *whole = bytes_new();
	const size_t length = content->length;
	const uint8_t one[] = { tag, (uint8_t)length }, two[] = { tag, 0x81, (uint8_t)length },
		      three[] = { tag, 0x82, (uint8_t)(length >> 8), (uint8_t)length };

	bytes_add(whole,
		length < 128   ? one
		: length < 256 ? two
			       : three,
		length < 128   ? 2
		: length < 256 ? 3
			       : 4);
	bytes_add(whole, content->at, length);
	free(content);
	return whole;
}

static void add_hex(struct bytes *to, const char *hex)
{
	struct bytes *from = hex_new(hex);

	bytes_add(to, from->at, from->length);
	free(from);
}

static void add_take(struct bytes *to, struct bytes *from)
{
	bytes_add(to, from->at, from->length);
	free(from);
}

/* A field that is NULL is what a plain certificate has; "" leaves it out. */
struct pieces {
	const char *version;
	const char *serial;
	const char *algorithm;
	const char *issuer;
	const char *
		not_before; /* text: a UTCTime, from 15 bytes on without "utc:" a GeneralizedTime */
	const char *not_after;
	const char *subject;
	const char *key;
	const char *after_key;
	const char *signature;
};

#define ED25519 "300506032b6570"
#define KEY_BITS                                                                                   \
	"030900"                                                                                   \
	"0102030405060708"
/* A common name of five letters. */
#define ISSUER(letters) "3010310e300c06035504030c05" letters
#define NAME_ALICE ISSUER("616c696365")
/* 2.16.840.1.101.3.4.3.18, id-ml-dsa-65. */
#define ML_DSA_KEY                                                                                 \
	"3018"                                                                                     \
	"300b0609608648016503040312" KEY_BITS

static void add_piece(struct bytes *to, const char *hex, const char *plain)
{
	add_hex(to, hex ? hex : plain);
}

static void add_time(struct bytes *to, const char *text)
{
	static const char utc[] = "utc:";
	const bool is_marked = text && strncmp(text, utc, strlen(utc)) == 0;
	struct bytes *time = bytes_new();

	bytes_add_string(time, !text ? "240101000000Z" : is_marked ? text + strlen(utc) : text);
	add_take(to, wrapped_take(is_marked || time->length < 15 ? 0x17 : 0x18, time));
}

static struct bytes *built_new(const struct pieces *pieces)
{
	struct bytes *body = bytes_new(), *validity = bytes_new(), *whole = bytes_new();

	add_piece(body, pieces->version, "a003020102");
	add_piece(body, pieces->serial, "020107");
	add_piece(body, pieces->algorithm, ED25519);
	add_piece(body, pieces->issuer, NAME_ALICE);
	add_time(validity, pieces->not_before);
	add_time(validity, pieces->not_after);
	add_take(body, wrapped_take(0x30, validity));
	add_piece(body, pieces->subject, NAME_ALICE);
	add_piece(body, pieces->key, "3012" ED25519 KEY_BITS);
	add_piece(body, pieces->after_key, "");
	add_take(whole, wrapped_take(0x30, body));
	add_piece(whole, pieces->algorithm, ED25519);
	add_piece(whole, pieces->signature, "030500deadbeef");
	return wrapped_take(0x30, whole);
}

static const struct built_row {
	const char *name;
	struct pieces pieces;
	const char *problem; /* words of the refusal, NULL where it is read */
} built_rows[] = {
	/* clang-format off */
	{ "plain_built_certificate_is_read", { .version = NULL }, NULL },
	{ "version_1_without_a_version_is_read", { .version = "" }, NULL },
	{ "version_2_with_unique_identifiers_is_read",
	  { .version = "a003020101", .after_key = "8102000182020002" }, NULL },
	{ "version_4_is_refused", { .version = "a003020103" }, "version" },
	{ "negative_version_is_refused", { .version = "a0030201ff" }, "version" },
	{ "version_of_nine_octets_is_refused", { .version = "a00b0209010000000000000000" },
	  "version" },
	{ "missing_serial_is_refused", { .serial = "" }, "not an X.509" },
	{ "serial_that_is_a_string_is_refused", { .serial = "040107" }, "not an X.509" },
	{ "missing_issuer_is_refused", { .issuer = "" }, "not an X.509" },
	{ "missing_key_is_refused", { .key = "" }, "not an X.509" },
	{ "key_that_is_a_string_is_refused", { .key = "040107" }, "not an X.509" },
	{ "missing_signature_is_refused", { .signature = "" }, "not an X.509" },
	{ "element_after_the_signature_is_refused", { .signature = "030500deadbeef0500" },
	  "not an X.509" },
	{ "element_after_the_extensions_is_refused", { .after_key = "a30430020500" "0500" },
	  "not an X.509" },
	{ "key_of_an_unknown_kind_is_read", { .key = ML_DSA_KEY }, NULL },
	{ "key_that_is_an_empty_sequence_is_read", { .key = "3000" }, NULL },
	{ "signature_algorithm_with_any_parameters_is_read",
	  { .algorithm = "300a06032b6570a1030c0161" }, NULL },

	{ "utc_time_with_an_impossible_day_is_refused", { .not_before = "230229000000Z" }, "time" },
	{ "utc_time_with_the_31st_of_april_is_refused", { .not_before = "240431000000Z" }, "time" },
	{ "utc_time_with_day_zero_is_refused", { .not_before = "240100000000Z" }, "time" },
	{ "utc_time_with_month_13_is_refused", { .not_before = "241301000000Z" }, "time" },
	{ "utc_time_with_month_zero_is_refused", { .not_before = "240001000000Z" }, "time" },
	{ "utc_time_with_hour_24_is_refused", { .not_before = "240101240000Z" }, "time" },
	{ "utc_time_with_minute_60_is_refused", { .not_before = "240101006000Z" }, "time" },
	{ "utc_time_with_second_60_is_refused", { .not_before = "240101000060Z" }, "time" },
	{ "utc_time_without_seconds_is_refused", { .not_before = "2401010000Z" }, "time" },
	{ "utc_time_without_zone_is_refused", { .not_before = "240101000000" }, "time" },
	{ "utc_time_with_a_lower_case_zone_is_refused", { .not_before = "240101000000z" }, "time" },
	{ "utc_time_with_a_digit_for_its_zone_is_refused",
	  { .not_before = "2401010000000" }, "time" },
	{ "utc_time_with_a_space_is_refused", { .not_before = " 40101000000Z" }, "time" },
	{ "utc_time_with_a_sign_is_refused", { .not_before = "-40101000000Z" }, "time" },
	{ "empty_time_is_refused", { .not_before = "" }, "time" },
	{ "utc_time_with_an_offset_is_refused", { .not_after = "utc:240101000000+0100" }, "time" },
	{ "generalized_time_of_15_bytes_with_a_fraction_is_refused",
	  { .not_after = "203001010000.5Z" }, "time" },
	{ "generalized_time_with_a_fraction_is_refused",
	  { .not_after = "20300101000000.5Z" }, "time" },
	{ "generalized_time_of_15_bytes_with_an_offset_is_refused",
	  { .not_after = "2030010100+0100" }, "time" },
	{ "generalized_time_with_an_impossible_day_is_refused",
	  { .not_after = "21000229000000Z" }, "time" },
	{ "malformed_end_of_validity_is_refused", { .not_after = "241301000000Z" }, "time" },
	{ "validity_that_ends_before_it_begins_is_refused",
	  { .not_before = "240101000001Z", .not_after = "240101000000Z" }, "before it begins" },
	{ "validity_of_one_second_is_read",
	  { .not_before = "240101000000Z", .not_after = "240101000000Z" }, NULL },

	{ "invalid_utf_8_in_a_name_is_refused",
	  { .subject = "300d" "310b" "3009" "0603550403" "0c02c328" }, "not an X.509" },
	{ "bmp_string_of_odd_length_is_refused",
	  { .subject = "300e" "310c" "300a" "0603550403" "1e03004100" }, "not an X.509" },
	{ "lone_surrogate_in_a_bmp_string_is_refused",
	  { .subject = "300d" "310b" "3009" "0603550403" "1e02d800" }, "not an X.509" },
	{ "invalid_utf_8_in_the_issuer_is_refused", { .issuer = ISSUER("616c6963ff") },
	  "not an X.509" },
	{ "issuer_that_is_no_name_is_refused_before_an_unknown_version",
	  { .issuer = "3003020107", .version = "a003020103" }, "not an X.509" },
	{ "issuer_that_is_a_string_is_refused", { .issuer = "040107" }, "not an X.509" },
	{ "name_without_its_set_is_refused", { .subject = "300c" "300a" "0603550403" "0c03616263" },
	  "not an X.509" },

	{ "indefinite_length_inside_is_refused", { .key = "30800000" }, "indefinite" },
	{ "end_of_contents_inside_is_refused",
	  { .after_key = "a304" "30020000" }, "end-of-contents" },
	{ "length_with_an_octet_too_many_is_refused", { .serial = "02810107" }, "fewest" },
	{ "length_with_a_leading_zero_is_refused", { .serial = "0282000107" }, "fewest" },
	{ "length_of_127_octets_is_refused", { .serial = "02ff07" }, "longer" },
	{ "length_of_five_octets_is_refused", { .serial = "0285010000000007" }, "longer" },
	{ "length_past_its_parent_is_refused", { .key = "3003040200" }, "longer" },
	{ "string_in_pieces_is_refused", { .signature = "2306" "030400deadbe" }, "pieces" },
	{ "octet_string_in_pieces_is_refused", { .key = "3005" "2403" "040100" }, "pieces" },
	{ "integer_in_pieces_is_refused", { .key = "3005" "2203" "020100" }, "pieces" },
	{ "primitive_sequence_is_refused", { .key = "3002" "1000" }, "pieces" },
	{ "primitive_set_is_refused", { .key = "3002" "1100" }, "pieces" },
	{ "high_tag_is_walked_over", { .key = "3003" "bf1f00" }, NULL },
	{ "high_tag_for_a_low_number_is_refused", { .key = "3003" "bf1e00" }, "tag" },
	{ "high_tag_with_a_leading_zero_is_refused", { .key = "3004" "bf801f00" }, "tag" },
	{ "high_tag_without_end_is_refused", { .key = "3002" "bf81" }, "longer" },
	{ "high_tag_of_five_octets_is_refused", { .key = "3007" "bf818181810100" }, "tag" },
	{ "tag_without_length_is_refused", { .key = "3001" "04" }, "longer" },
	{ "content_of_an_octet_string_is_opaque", { .key = "3006" "0404" "30800000" }, NULL },
	{ "tags_of_other_classes_may_be_either", { .key = "3009" "a003020100" "e100c100" }, NULL },
	/* clang-format on */
};

static void built_certificate(void **state)
{
	const struct built_row *row = *state;
	struct bytes *der = built_new(&row->pieces);
	struct certificate_facts facts;

	if (row->problem)
		assert_refused(der, row->problem);
	else
		assert_reads(der, &facts);
	free(der);
}

/* Numbers from `date -u -d TIME +%s`. */
static void times_are_unix_seconds(void **state)
{
	static const struct {
		const char *text;
		int64_t sec;
	} cases[] = {
		{ "500101000000Z", -631152000 },
		{ "700101000000Z", 0 },
		{ "000229120000Z", 951825600 },
		{ "240229000000Z", 1709164800 },
		{ "491231235959Z", 2524607999 },
		{ "20240101000000Z", 1704067200 },
		{ "20500101000000Z", 2524608000 },
		{ "21000301000000Z", 4107542400 },
		{ "99991231235959Z", 253402300799 },
		{ "18500101000000Z", -3786825600 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bytes *der = built_new(&(struct pieces){
			.not_before = cases[i].text, .not_after = cases[i].text });
		struct certificate_facts facts;

		assert_reads(der, &facts);
		assert_int_equal(facts.not_before_sec, cases[i].sec);
		assert_int_equal(facts.not_after_sec, cases[i].sec);
		free(der);
	}
}

/* A common name of ten bytes of this string type. */
static void controls_in_names_are_escaped(void **state)
{
	static const struct {
		const char *tag, *hex, *printed;
	} cases[] = {
		{ "0c", "61620061626364656667", "CN=ab\\00abcdefg" },
		{ "13", "61620061626364656667", "CN=ab\\00abcdefg" },
		{ "0c", "61620d0a1b5b33316d62", "CN=ab\\0D\\0A\\1B[31mb" },
		{ "0c", "7f202020202020202061", "CN=\\7F        a" },
		{ "0c", "c2856162c29b61626364", "CN=\\C2\\85ab\\C2\\9Babcd" },
		{ "0c", "61e280ae62e281a66363", "CN=a\\E2\\80\\AEb\\E2\\81\\A6cc" },
		{ "0c", "61e280a862e2808f6363", "CN=a\\E2\\80\\A8b\\E2\\80\\8Fcc" },
		{ "0c", "61c3a4e282acf09f9880", "CN=aä€😀" },
		{ "14", "85e46162636465666768", "CN=\\C2\\85äabcdefgh" },
		{ "1e", "00610000000a202e013e", "CN=a\\00\\0A\\E2\\80\\AEľ" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char name[128];
		struct certificate_facts facts;
		struct bytes *der;

		snprintf(name, sizeof(name), "3015311330110603550403%s0a%s", cases[i].tag,
			cases[i].hex);
		der = built_new(&(struct pieces){ .subject = name });
		assert_reads(der, &facts);
		assert_string_equal(facts.subject, cases[i].printed);
		free(der);
	}
}

/* RFC 4514 2.4: "#" and the hexadecimal digits of the value's encoding. */
static void unknown_attribute_is_printed_as_hexadecimal(void **state)
{
	struct bytes *der = built_new(&(struct pieces){ .subject = "3012"
								   "3110"
								   "300e"
								   "06052a03040506"
								   "0c05616c696365" });
	struct certificate_facts facts;

	(void)state;
	assert_reads(der, &facts);
	assert_string_equal(facts.subject, "1.2.3.4.5.6=#0C05616C696365");
	free(der);
}

/* The memory of the last issuer. */

/* One certificate after the other, each with the issuer that it names itself: the form of RFC 4514,
 * and OpenSSL's one-line form without spaces around "=". */
static void assert_issuer(const struct bytes *der, const char *text, const char *line)
{
	struct span copy = span_exact_copy(bytes_span(der));
	struct certificate_names names = { 0 };
	struct certificate_facts facts;
	const char *problem = "untouched";

	assert_int_equal(certificate_read_names(copy, &facts, &names, &problem), OK);
	free((void *)copy.bytes);
	assert_null(problem);
	assert_string_equal(facts.issuer, text);
	if (line) {
		assert_non_null(names.issuer_line);
		assert_string_equal(names.issuer_line, line);
	} else {
		assert_null(names.issuer_line);
	}
	certificate_names_done(&names);
}

static void each_certificate_names_its_own_issuer(void **state)
{
	static const struct {
		const char *issuer, *text, *line; /* text NULL: refused; line NULL: there is none */
	} cases[] = {
		/* clang-format off */
		{ NAME_ALICE, "CN=alice", "CN=alice" },
		{ NAME_ALICE, "CN=alice", "CN=alice" },
		{ ISSUER("616c696366"), "CN=alicf", "CN=alicf" },
		{ NAME_ALICE, "CN=alice", "CN=alice" },
		{ ISSUER("616c6963ff"), NULL, NULL },
		{ ISSUER("616c6963ff"), NULL, NULL },
		{ NAME_ALICE, "CN=alice", "CN=alice" },
		{ "3000", "", NULL },
		{ "3000", "", NULL },
		{ "3011310f300d06035504030c06616c69636565", "CN=alicee", "CN=alicee" },
		{ NAME_ALICE, "CN=alice", "CN=alice" },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bytes *der = built_new(&(struct pieces){ .issuer = cases[i].issuer });

		if (cases[i].text)
			assert_issuer(der, cases[i].text, cases[i].line);
		else
			assert_refused(der, "not an X.509");
		free(der);
	}
}

static void no_key_is_copied_where_only_the_issuer_before_was_right(void **state)
{
	struct bytes *right = built_new(&(struct pieces){ .version = NULL });
	struct bytes *wrong = built_new(&(struct pieces){ .issuer = ISSUER("616c6963ff") });
	uint8_t key[1024];
	size_t length = 0;
	const char *problem = "untouched";

	(void)state;
	assert_issuer(right, "CN=alice", "CN=alice");
	assert_int_equal(
		certificate_copy_key(bytes_span(wrong), key, sizeof(key), &length, &problem), OK);
	assert_non_null(problem);
	assert_int_equal(length, 0);
	free(right);
	free(wrong);
}

/* CN= and so many letters, the last of which is `last`. */
static struct bytes *common_name_new(size_t letters, char last)
{
	struct bytes *name = bytes_new();

	bytes_add_string(name, "CN=");
	for (size_t i = 0; i + 1 < letters; i++)
		bytes_add_string(name, "a");
	bytes_add(name, &last, 1);
	return name;
}

static void assert_long_issuer(size_t letters, char last)
{
	struct bytes *name = common_name_new(letters, last), *value = bytes_new();
	struct bytes *attribute = hex_new("0603550403"), *hex = bytes_new(), *der;
	char digits[3], text[CERTIFICATE_NAME_MAX_BYTES];

	bytes_add_string(value, (char *)name->at + strlen("CN="));
	add_take(attribute, wrapped_take(0x0c, value));
	attribute = wrapped_take(0x30, wrapped_take(0x31, wrapped_take(0x30, attribute)));
	for (size_t i = 0; i < attribute->length; i++) {
		snprintf(digits, sizeof(digits), "%02x", attribute->at[i]);
		bytes_add_string(hex, digits);
	}
	der = built_new(&(struct pieces){ .issuer = (char *)hex->at });
	snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1, (char *)name->at);
	assert_issuer(der, text, (char *)name->at);
	free(attribute);
	free(name);
	free(hex);
	free(der);
}

/* 1003 letters make a name of 1024 octets. */
static void long_issuers_are_told_apart_to_the_last_octet(void **state)
{
	static const size_t counts[] = { 1003, 1004, 5000 };

	(void)state;
	for (size_t i = 0; i < COUNT(counts); i++) {
		assert_long_issuer(counts[i], 'a');
		assert_long_issuer(counts[i], 'a');
		assert_long_issuer(counts[i], 'b');
		assert_long_issuer(counts[i], 'a');
	}
}

static struct bytes *issuer_by_openssl(const char *file, const char *form)
{
	return tool_run("openssl x509 -in %s -inform DER -noout -issuer -nameopt %s,-esc_msb", file,
		form);
}

static void assert_issuer_is_as_openssl_prints_it(const char *file)
{
	struct bytes *der = tool_run("cat %s", file);
	struct bytes *text = issuer_by_openssl(file, "RFC2253");
	struct bytes *line = issuer_by_openssl(file, "oneline,-space_eq");

	assert_issuer(der, line_after(text, "issuer="), line_after(line, "issuer="));
	free(line);
	free(text);
	free(der);
}

static void issuers_of_real_certificates_take_turns(void **state)
{
	static const char *const files[] = { "1.der", "2.der", "3.der", "2.der", "1.der" };

	(void)state;
	free(tool_run("for ca in Zoë Zoé; do openssl req -x509 -newkey ed25519 -nodes "
		      "-keyout $ca.key -subj \"/C=CZ/O=Svc, Test/CN=$ca\" -out $ca.pem; done "
		      "2>/dev/null; for n in 1 2 3; do ca=Zoë; [ $n = 3 ] && ca=Zoé; "
		      "openssl req -new -newkey ed25519 -nodes -keyout k.pem -subj /CN=alice$n "
		      "-out c.csr && openssl x509 -req -in c.csr -CA $ca.pem -CAkey $ca.key "
		      "-set_serial $n -outform DER -out $n.der; done 2>/dev/null"));
	for (size_t i = 0; i < COUNT(files); i++)
		assert_issuer_is_as_openssl_prints_it(files[i]);
}

/* 200 octets: more than the digits that are kept. */
static void endless_serial_is_cut_with_dots(void **state)
{
	struct bytes *serial = bytes_new(), *der;
	struct certificate_facts facts;

	(void)state;
	bytes_add_string(serial, "0281c8");
	for (size_t i = 0; i < 200; i++)
		bytes_add_string(serial, "5a");
	der = built_new(&(struct pieces){ .serial = (char *)serial->at });
	assert_reads(der, &facts);
	assert_in_range(strlen(facts.serial), 2 * 40, CERTIFICATE_SERIAL_MAX_BYTES - 1);
	assert_string_equal(facts.serial + strlen(facts.serial) - 3, "...");
	assert_int_equal(strspn(facts.serial, "5a"), strlen(facts.serial) - 3);
	assert_int_equal(strspn(facts.serial, "5a") % 2, 0);
	free(serial);
	free(der);
}

static struct bytes *nested_key_new(size_t levels)
{
	struct bytes *key = bytes_new(), *hex = bytes_new();
	char digits[3];

	for (size_t i = 0; i < levels; i++)
		key = wrapped_take(0x30, key);
	for (size_t i = 0; i < key->length; i++) {
		snprintf(digits, sizeof(digits), "%02x", key->at[i]);
		bytes_add_string(hex, digits);
	}
	free(key);
	return hex;
}

static void deep_nesting_is_refused(void **state)
{
	static const struct {
		size_t levels;
		bool refused;
	} cases[] = { { 20, false }, { 40, true }, { 10000, true } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bytes *key = nested_key_new(cases[i].levels);
		struct bytes *der = built_new(&(struct pieces){ .key = (char *)key->at });
		struct certificate_facts facts;

		if (cases[i].refused)
			assert_refused(der, "too deep");
		else
			assert_reads(der, &facts);
		free(key);
		free(der);
	}
}

/* Other encodings of a real certificate. OpenSSL reads most of them, and prints the fingerprint of
 * the original for each. */

static struct bytes *real_new(void)
{
	static const char *const command =
		"openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem "
		"-subj '/O=Svc, Test/CN=alice' -outform DER -out r.der 2>/dev/null; cat r.der";

	return access("r.der", R_OK) == 0 ? tool_run("cat r.der") : tool_run("%s", command);
}

/* The content of the outermost SEQUENCE, which has two length octets. */
static struct span real_content(const struct bytes *der)
{
	assert_int_equal(der->at[1], 0x82);
	return span_of(der->at + 4, der->length - 4);
}

static void outer_length_is_definite(void **state)
{
	struct bytes *der = real_new(), *other = hex_new("3080");

	(void)state;
	bytes_add(other, real_content(der).bytes, real_content(der).length);
	add_hex(other, "0000");
	assert_refused(other, "indefinite");
	free(other);
	free(der);
}

static void outer_length_has_the_fewest_octets(void **state)
{
	struct bytes *der = real_new(), *other = hex_new("308300");

	(void)state;
	bytes_add(other, der->at + 2, der->length - 2);
	assert_refused(other, "fewest");
	free(other);
	free(der);
}

/* The signature is the last element: 256 octets and their count of unused bits. */
static void signature_in_pieces_is_refused(void **state)
{
	struct bytes *der = real_new(), *content = bytes_new();
	struct bytes *signature = bytes_new();
	const size_t signature_bytes = 4 + 257;

	(void)state;
	bytes_add(content, real_content(der).bytes, real_content(der).length - signature_bytes);
	bytes_add(signature, der->at + der->length - signature_bytes, signature_bytes);
	assert_memory_equal(signature->at, "\x03\x82\x01\x01\x00", 5);
	add_take(content, wrapped_take(0x23, signature));
	content = wrapped_take(0x30, content);
	assert_refused(content, "pieces");
	free(content);
	free(der);
}

static void bytes_after_the_end_are_refused(void **state)
{
	static const char *const tails[] = { "00", "0a", "0000", "0500" };

	(void)state;
	for (size_t i = 0; i < COUNT(tails); i++) {
		struct bytes *der = real_new();

		add_hex(der, tails[i]);
		assert_refused(der, "after the certificate");
		free(der);
	}
}

static void bytes_after_the_last_element_inside_are_refused(void **state)
{
	static const struct {
		const char *tail, *problem;
	} cases[] = { { "00", "end-of-contents" }, { "05", "longer" }, { "0500", "not an X.509" },
		{ "0000", "end-of-contents" } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bytes *der = real_new(), *content = bytes_new();

		bytes_add(content, real_content(der).bytes, real_content(der).length);
		add_hex(content, cases[i].tail);
		content = wrapped_take(0x30, content);
		assert_refused(content, cases[i].problem);
		free(content);
		free(der);
	}
}

static void every_prefix_is_refused(void **state)
{
	struct bytes *der = real_new();
	struct certificate_facts facts;

	(void)state;
	for (size_t length = 0; length < der->length; length++)
		assert_non_null(read_exactly(span_of(der->at, length), &facts));
	assert_null(read_exactly(bytes_span(der), &facts));
	free(der);
}

static void other_files_are_refused(void **state)
{
	static const char *const commands[] = {
		"openssl crl2pkcs7 -nocrl -certfile r.pem -outform DER",
		"openssl pkcs12 -export -in r.pem -nokeys -passout pass:",
		"openssl pkey -in k.pem -outform DER",
		"openssl pkey -in k.pem -pubout -outform DER",
		"openssl req -new -key k.pem -subj /CN=alice -outform DER",
		"openssl crl2pkcs7 -nocrl -certfile r.pem",
		"openssl asn1parse -in r.pem -strparse 4 -noout -out body.der && cat body.der",
		"cat r.pem",
		"head -c 1500 /dev/zero",
	};
	struct certificate_facts facts;

	(void)state;
	free(real_new());
	free(tool_run("openssl x509 -inform DER -in r.der -out r.pem && "
		      "openssl genpkey -algorithm ed25519 -out k.pem"));
	for (size_t i = 0; i < COUNT(commands); i++) {
		struct bytes *other = tool_run("%s", commands[i]);

		assert_true(other->length > 0);
		assert_non_null(read_exactly(bytes_span(other), &facts));
		free(other);
	}
}

/* RSA's object identifier, patched to id-ml-dsa-65, of the same length, in the certificate and in
 * the key that openssl took out of it. */
static void patch_key_algorithm(struct bytes *der)
{
	static const char rsa[] = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
	uint8_t *at = memmem(der->at, der->length, rsa, 9);

	assert_non_null(at);
	memcpy(at, "\x60\x86\x48\x01\x65\x03\x04\x03\x12", 9);
}

static void unknown_key_has_the_fingerprint_of_its_bytes(void **state)
{
	struct bytes *der = real_new(), *expected;
	struct bytes *key = tool_run("openssl x509 -in r.der -inform DER -noout -pubkey | "
				     "openssl pkey -pubin -outform DER");
	char hex[2 * FINGERPRINT_BYTES + 1];
	struct certificate_facts facts;
	FILE *file = fopen("key.der", "w");

	(void)state;
	patch_key_algorithm(der);
	patch_key_algorithm(key);
	assert_non_null(file);
	assert_int_equal(fwrite(key->at, 1, key->length, file), key->length);
	fclose(file);
	expected = tool_run("openssl dgst -sha256 -r key.der | cut -d' ' -f1");
	assert_reads(der, &facts);
	bytes_hex(facts.key_fingerprint, FINGERPRINT_BYTES, hex);
	assert_string_equal(hex, line_after(expected, ""));
	assert_string_equal(facts.subject, "CN=alice,O=Svc\\, Test");
	free(expected);
	free(key);
	free(der);
}

/* FIPS 180-4: the empty message, and "abc". */
static void fingerprint_is_sha_256(void **state)
{
	static const char *const expected[] = {
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	};
	static const char *const messages[] = { "", "abc" };
	uint8_t fingerprint[FINGERPRINT_BYTES];
	char hex[2 * FINGERPRINT_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(
			certificate_fingerprint(span_of_string(messages[i]), fingerprint), OK);
		bytes_hex(fingerprint, FINGERPRINT_BYTES, hex);
		assert_string_equal(hex, expected[i]);
	}
}

static void nothing_is_refused(void **state)
{
	struct certificate_facts facts;
	const char *problem = NULL;

	(void)state;
	assert_int_equal(certificate_read(span_of(NULL, 0), &facts, &problem), OK);
	assert_non_null(problem);
}

static void no_key_is_copied_out_of_what_is_no_certificate(void **state)
{
	struct bytes *der = real_new();
	uint8_t key[1024];
	size_t length = 0;
	const char *problem = NULL;

	(void)state;
	bytes_add(der, "", 1);
	assert_int_equal(
		certificate_copy_key(bytes_span(der), key, sizeof(key), &length, &problem), OK);
	assert_non_null(problem);
	assert_int_equal(length, 0);
	free(der);
}

static void without_init_nothing_is_found_out(void **state)
{
	struct bytes *der = real_new();
	struct certificate_facts facts;
	uint8_t fingerprint[FINGERPRINT_BYTES];
	const char *problem = "untouched";

	(void)state;
	certificate_done();
	assert_int_equal(certificate_fingerprint(bytes_span(der), fingerprint), ERROR_SYSTEM);
	assert_int_equal(certificate_read(bytes_span(der), &facts, &problem), ERROR_SYSTEM);
	assert_string_equal(problem, "untouched");
	assert_int_equal(certificate_init(), OK);
	assert_int_equal(certificate_init(), OK);
	assert_int_equal(certificate_read(bytes_span(der), &facts, &problem), OK);
	assert_null(problem);
	free(der);
}

/* A row must not be marked as broken because memory was short for a moment. Returns how many
 * allocations can fail; with `afresh` nothing is remembered when each try begins. */
static size_t fail_each_allocation(const struct bytes *der, bool afresh)
{
	struct certificate_facts facts, untouched;
	struct certificate_names names = { 0 };
	const char *problem;
	enum error error = ERROR_MEMORY;
	size_t failures = 0;
	struct bytes *line = issuer_by_openssl("r.der", "oneline,-space_eq");

	memset(&untouched, 0xa5, sizeof(untouched));
	for (size_t n = 1; error != OK; n++) {
		if (afresh) {
			certificate_done();
			assert_int_equal(certificate_init(), OK);
		}
		facts = untouched;
		problem = "untouched";
		openssl_memory_fail(n, false);
		error = certificate_read_names(bytes_span(der), &facts, &names, &problem);
		if (error != OK) {
			assert_int_equal(error, ERROR_MEMORY);
			assert_string_equal(problem, "untouched");
			assert_memory_equal(&facts, &untouched, sizeof(facts));
			assert_null(names.subject_line);
			failures++;
		}
	}
	openssl_memory_fail(0, false);
	assert_null(problem);
	assert_string_equal(facts.issuer, "CN=alice,O=Svc\\, Test");
	assert_string_equal(names.issuer_line, line_after(line, "issuer="));
	assert_int_equal(names.value_count, 1);
	assert_string_equal(names.values[0], "alice");
	certificate_names_done(&names);
	free(line);
	return failures;
}

static void short_memory_is_never_a_problem_of_the_certificate(void **state)
{
	struct bytes *der = real_new();
	size_t afresh, remembered;

	(void)state;
	afresh = fail_each_allocation(der, true);
	remembered = fail_each_allocation(der, false);
	assert_in_range(remembered, 20, 10000);
	/* The issuer is neither decoded nor printed again. */
	assert_in_range(afresh, remembered + 10, 10000);
	free(der);
}

/* The form that a printed name must have whatever is in the certificate. */
static void assert_name_is_printable(const char *name)
{
	const size_t length = strnlen(name, CERTIFICATE_NAME_MAX_BYTES);
	mbstate_t shift = { 0 };

	assert_true(length < CERTIFICATE_NAME_MAX_BYTES);
	for (size_t i = 0; i < length; i++)
		assert_true((uint8_t)name[i] >= 0x20 && name[i] != 0x7f);
	assert_int_not_equal(mbsrtowcs(NULL, &name, 0, &shift), (size_t)-1);
}

static void mutated_certificate_is_refused_or_read(void **state)
{
	struct bytes *real = real_new();
	struct bytes *built = built_new(&(struct pieces){ .version = NULL });
	uint64_t seed = 0x9e3779b97f4a7c15u;
	size_t read = 0;

	(void)state;
	for (size_t round = 0; round < 6000; round++) {
		const struct bytes *from = round % 2 ? real : built;
		struct bytes *der = bytes_new();
		struct certificate_facts facts;

		bytes_add(der, from->at, from->length);
		bytes_mutate(der, &seed);
		if (!read_exactly(bytes_span(der), &facts)) {
			assert_name_is_printable(facts.subject);
			assert_name_is_printable(facts.issuer);
			assert_true(facts.not_before_sec <= facts.not_after_sec);
			read++;
		}
		free(der);
	}
	assert_in_range(read, 1, 5999);
	free(real);
	free(built);
}

/* There is memory enough: whoever says otherwise keeps the certificates behind this one waiting for
 * ever. OpenSSL's versions differ in what they say of that which they dislike. */
static void no_flipped_bit_is_a_want_of_memory(void **state)
{
	struct bytes *der = real_new();
	size_t refused = 0;

	(void)state;
	for (size_t bit = 0; bit < 8 * der->length; bit++) {
		struct certificate_names names = { 0 };
		struct certificate_facts facts;
		const char *problem;

		der->at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(
			certificate_read_names(bytes_span(der), &facts, &names, &problem), OK);
		refused += problem != NULL;
		certificate_names_done(&names);
		der->at[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* Those of the key and the signature are nobody's concern here. */
	assert_in_range(refused, 1, 8 * der->length - 1);
	free(der);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(issuer_and_subject_are_told_apart),
		cmocka_unit_test(long_names_are_cut_at_a_whole_character),
		cmocka_unit_test(long_names_are_cut_at_a_whole_escape),
		cmocka_unit_test(times_are_unix_seconds),
		cmocka_unit_test(controls_in_names_are_escaped),
		cmocka_unit_test(unknown_attribute_is_printed_as_hexadecimal),
		cmocka_unit_test(each_certificate_names_its_own_issuer),
		cmocka_unit_test(no_key_is_copied_where_only_the_issuer_before_was_right),
		cmocka_unit_test(long_issuers_are_told_apart_to_the_last_octet),
		cmocka_unit_test(issuers_of_real_certificates_take_turns),
		cmocka_unit_test(endless_serial_is_cut_with_dots),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(outer_length_is_definite),
		cmocka_unit_test(outer_length_has_the_fewest_octets),
		cmocka_unit_test(signature_in_pieces_is_refused),
		cmocka_unit_test(bytes_after_the_end_are_refused),
		cmocka_unit_test(bytes_after_the_last_element_inside_are_refused),
		cmocka_unit_test(every_prefix_is_refused),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(unknown_key_has_the_fingerprint_of_its_bytes),
		cmocka_unit_test(fingerprint_is_sha_256),
		cmocka_unit_test(nothing_is_refused),
		cmocka_unit_test(no_key_is_copied_out_of_what_is_no_certificate),
		cmocka_unit_test(without_init_nothing_is_found_out),
		cmocka_unit_test(short_memory_is_never_a_problem_of_the_certificate),
		cmocka_unit_test(mutated_certificate_is_refused_or_read),
		cmocka_unit_test(no_flipped_bit_is_a_want_of_memory),
	};
	static struct CMUnitTest tests[COUNT(others) + COUNT(rows) + COUNT(built_rows)];
	size_t count = COUNT(others);

	if (!openssl_memory_take() ||
		!setlocale(LC_CTYPE, "C.UTF-8") || certificate_init() != OK)
		tool_fail("OpenSSL or the locale is not as expected");
	tool_enter();
	memcpy(tests, others, sizeof(others));
	for (size_t i = 0; i < COUNT(rows); i++)
		tests[count++] = (struct CMUnitTest){ .name = rows[i].name,
			.test_func = real_certificate,
			.initial_state = (void *)&rows[i] };
	for (size_t i = 0; i < COUNT(built_rows); i++)
		tests[count++] = (struct CMUnitTest){ .name = built_rows[i].name,
			.test_func = built_certificate,
			.initial_state = (void *)&built_rows[i] };
	atexit(certificate_done);
	return cmocka_run_group_tests_name("certificate", tests, NULL, NULL);
}
