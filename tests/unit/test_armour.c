/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_armour.c owns the tests of the way from text to DER: each form that services and people
 * have, and each text that must not pass for one. The openssl command makes the certificates, the
 * keys and the other kinds of PEM; the texts of a row are built from them by name.
 */
#include "armour.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#include "messages.h"
#include "openssl_tool.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A quadratic scan of 64 KiB takes seconds, ours well under a millisecond without a sanitizer. */
#define HOSTILE_TEXT_MAX_USEC 100000

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* What a row's text is made of: {name} stands for the bytes. */
static struct part {
	const char *name;
	struct bytes *bytes;
} parts[48];
static size_t part_count;

static struct bytes *part_new(const char *name)
{
	assert_true(part_count < COUNT(parts));
	parts[part_count] = (struct part){ .name = name, .bytes = bytes_new() };
	return parts[part_count++].bytes;
}

static void part_add(const char *name, struct bytes *bytes)
{
	bytes_add(part_new(name), bytes->at, bytes->length);
	free(bytes);
}

static const struct bytes *part_find(const char *name, size_t length)
{
	for (size_t i = 0; i < part_count; i++)
		if (strlen(parts[i].name) == length && memcmp(parts[i].name, name, length) == 0)
			return parts[i].bytes;
	fprintf(stderr, "# no part %.*s\n", (int)length, name);
	tool_fail("a row names a part that is not there");
}

static const struct bytes *part(const char *name)
{
	return part_find(name, strlen(name));
}

/* The text of a template; the caller frees it. */
static struct bytes *text_new(const char *template)
{
	struct bytes *text = bytes_new();
	const char *close;

	for (; *template; template ++) {
		close = *template == '{' ? strchr(template, '}') : NULL;
		if (close) {
			const struct bytes *found =
				part_find(template + 1, (size_t)(close - template - 1));

			bytes_add(text, found->at, found->length);
			template = close;
		} else {
			bytes_add(text, template, 1);
		}
	}
	return text;
}

static struct bytes *replaced_new(const struct bytes *text, char from, const char *to)
{
	struct bytes *result = bytes_new();

	for (size_t i = 0; i < text->length; i++) {
		if (text->at[i] == (uint8_t)from)
			bytes_add_string(result, to);
		else
			bytes_add(result, text->at + i, 1);
	}
	return result;
}

static struct bytes *base64_new(const struct bytes *from)
{
	struct bytes *text = bytes_new();

	for (size_t i = 0; i < from->length; i += 3) {
		const size_t there = from->length - i < 3 ? from->length - i : 3;
		const uint32_t group = (uint32_t)from->at[i] << 16 |
				       (there > 1 ? (uint32_t)from->at[i + 1] << 8 : 0) |
				       (there > 2 ? from->at[i + 2] : 0u);

		for (size_t digit = 0; digit < 4; digit++)
			bytes_add(text,
				digit <= there ? &alphabet[group >> (18 - 6 * digit) & 63] : "=",
				1);
	}
	return text;
}

static struct bytes *lines_new(const struct bytes *base64, size_t width)
{
	struct bytes *text = bytes_new();

	for (size_t i = 0; i < base64->length; i += width) {
		bytes_add(text, base64->at + i,
			base64->length - i < width ? base64->length - i : width);
		bytes_add_string(text, "\n");
	}
	return text;
}

/* Everything but RFC 3986 2.3's unreserved characters, as nginx and JavaScript do. */
static struct bytes *percent_new(const struct bytes *from, const char *hex_digits)
{
	struct bytes *text = bytes_new();

	for (size_t i = 0; i < from->length; i++) {
		if (isalnum(from->at[i]) || (from->at[i] && strchr("-._~", from->at[i]))) {
			bytes_add(text, from->at + i, 1);
		} else {
			bytes_add_string(text, "%");
			bytes_add(text, &hex_digits[from->at[i] >> 4], 1);
			bytes_add(text, &hex_digits[from->at[i] & 15], 1);
		}
	}
	return text;
}

/* A SEQUENCE of `total` bytes, at least 131: to the armour it is as good as a certificate. No
 * SEQUENCE has 259, the step from one length octet to two. */
static struct bytes *sequence_new(size_t total)
{
	struct bytes *der = bytes_new();
	const size_t content = total - (total < 260 ? 3 : 4);
	const uint8_t small[] = { 0x30, 0x81, (uint8_t)content };
	const uint8_t large[] = { 0x30, 0x82, (uint8_t)(content >> 8), (uint8_t)content };
	uint8_t byte;

	bytes_add(der, content < 256 ? small : large, content < 256 ? 3 : 4);
	while (der->length < total) {
		byte = (uint8_t)(der->length * 37);
		bytes_add(der, &byte, 1);
	}
	return der;
}

/* The text with its last digit before two signs of padding turned into the next one, so that its
 * four stray bits are no longer all zero. */
static struct bytes *stray_new(const struct bytes *base64)
{
	struct bytes *text = bytes_new();
	const char *digit;

	bytes_add(text, base64->at, base64->length);
	assert_string_equal((char *)text->at + text->length - 2, "==");
	digit = strchr(alphabet, text->at[text->length - 3]);
	text->at[text->length - 3] = (uint8_t)digit[1];
	return text;
}

static void make_openssl_parts(void)
{
	part_add("der", tool_run("openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem "
				 "-subj '/CN=100%%41 alice/O=Ľudia' -days 30 -outform DER "
				 "-out a.der 2>/dev/null && cat a.der"));
	part_add("pem", tool_run("openssl x509 -inform DER -in a.der | tee a.pem"));
	part_add("second", tool_run("openssl req -x509 -newkey rsa:2048 -nodes -keyout key2.pem "
				    "-subj /CN=bob -days 30 2>/dev/null | tee b.pem"));
	part_add("second_der", tool_run("openssl x509 -in b.pem -outform DER"));
	part_add("text", tool_run("openssl x509 -in a.pem -text -nameopt utf8,-esc_msb"));
	part_add("base64", tool_run("openssl base64 -A -in a.der"));
	part_add("lines", tool_run("openssl base64 -in a.der"));
	part_add("trusted", tool_run("openssl x509 -in a.pem -trustout -addtrust clientAuth"));
	part_add("pkcs7", tool_run("openssl crl2pkcs7 -nocrl -certfile a.pem"));
	part_add("pkcs7_der", tool_run("openssl crl2pkcs7 -nocrl -certfile a.pem -outform DER"));
	part_add("request", tool_run("openssl req -new -key key.pem -subj /CN=alice"));
	part_add("key", tool_run("cat key.pem"));
	part_add("rsa_key", tool_run("openssl rsa -in key.pem -traditional 2>/dev/null"));
	part_add("ec_key", tool_run("openssl ecparam -name prime256v1 -genkey -noout"));
	part_add("encrypted_key",
		tool_run("openssl pkcs8 -topk8 -in key.pem -passout pass:x 2>/dev/null"));
	part_add("public_key", tool_run("openssl pkey -in key.pem -pubout"));
}

static void make_derived_parts(void)
{
	struct bytes *short_der = sequence_new(133), *body = lines_new(part("base64"), 64);
	struct bytes *short_base64 = base64_new(short_der), *stray = stray_new(short_base64);

	part_add("body", body);
	part_add("wide", lines_new(part("base64"), 76));
	part_add("narrow", lines_new(part("base64"), 5));
	part_add("crlf", replaced_new(part("pem"), '\n', "\r\n"));
	part_add("cr", replaced_new(part("pem"), '\n', "\r"));
	part_add("tabs", replaced_new(part("pem"), '\n', "\n\t"));
	part_add("folded", replaced_new(part("pem"), '\n', "\r\n    "));
	part_add("spaces", replaced_new(part("pem"), '\n', " "));
	part_add("joined", replaced_new(part("pem"), '\n', ""));
	part_add("percent", percent_new(part("pem"), "0123456789ABCDEF"));
	bytes_add(part_new("percent_bare"), part("percent")->at, part("percent")->length - 3);
	part_add("percent_lower", percent_new(part("pem"), "0123456789abcdef"));
	part_add("percent_twice", percent_new(part("percent"), "0123456789ABCDEF"));
	part_add("percent_second", percent_new(part("second"), "0123456789ABCDEF"));
	part_add("percent_key", percent_new(part("key"), "0123456789ABCDEF"));
	part_add("percent_base64", percent_new(part("base64"), "0123456789ABCDEF"));
	part_add("short", short_base64);
	bytes_add(part_new("short_unpadded"), part("short")->at, part("short")->length - 2);
	part_add("short_stray", stray);
	bytes_add(part_new("half"), part("der")->at, part("der")->length / 2);
	part_add("half_base64", base64_new(part("half")));
	part_add("both", text_new("{der}{second_der}"));
	part_add("both_base64", base64_new(part("both")));
	bytes_add(part_new("nul"), "", 1);
	bytes_add_string(part_new("begin"), "-----BEGIN CERTIFICATE-----");
	bytes_add_string(part_new("end"), "-----END CERTIFICATE-----");
	free(short_der);
}

struct row {
	const char *name;
	const char *template;
	enum armour_finding finding;
};

static const struct row text_rows[] = {
	/* clang-format off */
	{ "pem_opens", "{pem}", ARMOUR_OPENED },
	{ "pem_without_last_line_feed_opens", "{begin}\n{body}{end}", ARMOUR_OPENED },
	{ "pem_with_crlf_opens", "{crlf}", ARMOUR_OPENED },
	{ "pem_with_cr_alone_opens", "{cr}", ARMOUR_OPENED },
	{ "pem_continued_by_tabs_opens", "{tabs}", ARMOUR_OPENED },
	{ "pem_folded_by_spaces_opens", "{folded}", ARMOUR_OPENED },
	{ "pem_with_line_feeds_turned_to_spaces_opens", "{spaces}", ARMOUR_OPENED },
	{ "pem_of_76_columns_opens", "{begin}\n{wide}{end}\n", ARMOUR_OPENED },
	{ "pem_of_5_columns_opens", "{begin}\n{narrow}{end}\n", ARMOUR_OPENED },
	{ "pem_of_one_long_line_opens", "{begin}\n{base64}\n{end}\n", ARMOUR_OPENED },
	{ "pem_between_blank_lines_opens", "\n \r\n{pem}\n\n\t\n", ARMOUR_OPENED },
	{ "pem_below_the_text_of_openssl_opens", "{text}", ARMOUR_OPENED },
	{ "pem_with_text_on_both_sides_opens", "Bag Attributes\n  x: 01 %41\n{pem}100% Ľ\n",
	  ARMOUR_OPENED },
	{ "percent_encoded_pem_opens", "{percent}", ARMOUR_OPENED },
	{ "percent_encoded_pem_without_last_line_feed_opens", "{percent_bare}", ARMOUR_OPENED },
	{ "percent_encoded_pem_with_lower_case_digits_opens", "{percent_lower}", ARMOUR_OPENED },
	{ "percent_encoded_pem_with_a_line_feed_after_it_opens", "{percent}\n", ARMOUR_OPENED },
	{ "percent_encoded_text_around_may_hold_a_percent_sign", "a%25b%20{percent}",
	  ARMOUR_OPENED },
	{ "base64_in_one_line_opens", "{base64}", ARMOUR_OPENED },
	{ "base64_in_lines_opens", "{lines}", ARMOUR_OPENED },
	{ "base64_with_stray_white_space_opens", " \t{wide}\r\n ", ARMOUR_OPENED },
	{ "base64_with_white_space_in_its_padding_opens", "{short_unpadded}\n=\n=", ARMOUR_OPENED },
	{ "base64_between_colons_opens", ":{base64}:", ARMOUR_OPENED },
	{ "base64_between_colons_with_a_line_feed_after_it_opens", ":{base64}:\r\n",
	  ARMOUR_OPENED },
	{ "base64_between_colons_may_lack_its_padding", ":{short_unpadded}:", ARMOUR_OPENED },
	{ "nothing_is_empty", "", ARMOUR_EMPTY },
	{ "white_space_is_empty", " \t\r\n ", ARMOUR_EMPTY },
	{ "percent_encoded_white_space_is_empty", "%20%0A", ARMOUR_EMPTY },
	{ "nul_before_the_pem_is_refused", "{nul}{pem}", ARMOUR_NUL },
	{ "nul_after_the_pem_is_refused", "{pem}{nul}", ARMOUR_NUL },
	{ "nul_after_base64_is_refused", "{base64}{nul}", ARMOUR_NUL },
	{ "nul_in_colons_is_refused", ":{base64}{nul}:", ARMOUR_NUL },
	{ "percent_encoded_nul_is_refused", "{percent}%00", ARMOUR_NUL },
	{ "utf_8_byte_order_mark_is_refused", "\xef\xbb\xbf{pem}", ARMOUR_BYTE_ORDER_MARK },
	{ "utf_8_byte_order_mark_before_base64_is_refused", "\xef\xbb\xbf{base64}",
	  ARMOUR_BYTE_ORDER_MARK },
	{ "utf_16_little_endian_mark_is_refused", "\xff\xfe-{nul}-{nul}", ARMOUR_BYTE_ORDER_MARK },
	{ "utf_16_big_endian_mark_is_refused", "\xfe\xff{nul}-{nul}-", ARMOUR_BYTE_ORDER_MARK },
	{ "percent_encoded_byte_order_mark_is_refused", "%EF%BB%BF{percent}",
	  ARMOUR_BYTE_ORDER_MARK },
	{ "the_word_null_in_parentheses_is_no_certificate", "(null)", ARMOUR_NOT_A_CERTIFICATE },
	{ "the_word_none_in_parentheses_is_no_certificate", "(none)", ARMOUR_NOT_A_CERTIFICATE },
	{ "the_word_null_is_no_certificate", "null", ARMOUR_NOT_A_CERTIFICATE },
	{ "a_file_name_is_no_certificate", "alice.cer", ARMOUR_NOT_A_CERTIFICATE },
	{ "a_fingerprint_is_no_certificate", "AB:CD:EF:01:23:45:67:89", ARMOUR_NOT_A_CERTIFICATE },
	{ "two_colons_are_no_certificate", "::", ARMOUR_NOT_A_CERTIFICATE },
	{ "a_colon_is_no_certificate", ":", ARMOUR_NOT_A_CERTIFICATE },
	{ "padding_alone_is_no_certificate", "====", ARMOUR_NOT_A_CERTIFICATE },
	{ "der_is_not_text", "{der}", ARMOUR_NUL },
	{ "three_digits_are_broken_base64", "MII", ARMOUR_BROKEN_BASE64 },
	{ "the_begin_of_base64_is_truncated", "MIIE", ARMOUR_TRUNCATED },
	{ "half_a_certificate_is_truncated", "{half_base64}", ARMOUR_TRUNCATED },
	{ "half_a_certificate_in_pem_is_truncated", "{begin}\n{half_base64}\n{end}\n",
	  ARMOUR_TRUNCATED },
	{ "half_a_certificate_between_colons_is_truncated", ":{half_base64}:", ARMOUR_TRUNCATED },
	{ "two_pem_are_refused", "{pem}{second}", ARMOUR_TWO_CERTIFICATES },
	{ "the_same_pem_twice_is_refused", "{pem}{pem}", ARMOUR_TWO_CERTIFICATES },
	{ "two_folded_pem_are_refused", "{tabs}{tabs}", ARMOUR_TWO_CERTIFICATES },
	{ "two_pem_percent_encoded_are_refused", "{percent}{percent_second}",
	  ARMOUR_TWO_CERTIFICATES },
	{ "percent_encoded_pem_after_pem_is_refused", "{pem}{percent_second}", ARMOUR_BROKEN_PEM },
	{ "percent_encoded_pem_before_pem_is_refused", "{percent_second}\n{pem}",
	  ARMOUR_BROKEN_PEM },
	{ "an_opening_line_inside_is_refused", "{begin}\n{begin}\n{body}{end}\n",
	  ARMOUR_TWO_CERTIFICATES },
	{ "two_der_in_one_base64_have_trailing_bytes", "{both_base64}", ARMOUR_TRAILING_BYTES },
	{ "two_der_in_one_pem_have_trailing_bytes", "{begin}\n{both_base64}\n{end}\n",
	  ARMOUR_TRAILING_BYTES },
	{ "two_der_between_colons_have_trailing_bytes", ":{both_base64}:", ARMOUR_TRAILING_BYTES },
	{ "two_base64_after_each_other_are_refused", "{short}\n{base64}", ARMOUR_BROKEN_BASE64 },
	{ "two_colon_forms_are_refused", ":{base64}:, :{base64}:", ARMOUR_BROKEN_BASE64 },
	{ "two_base64_with_a_comma_are_refused", "{base64},{base64}", ARMOUR_BROKEN_BASE64 },
	{ "private_key_is_named", "{key}", ARMOUR_PRIVATE_KEY },
	{ "private_key_after_the_certificate_is_named", "{pem}{key}", ARMOUR_PRIVATE_KEY },
	{ "private_key_before_the_certificate_is_named", "{key}{pem}", ARMOUR_PRIVATE_KEY },
	{ "private_key_after_two_certificates_is_named", "{pem}{second}{key}", ARMOUR_PRIVATE_KEY },
	{ "private_key_before_a_request_is_named", "{key}{request}", ARMOUR_PRIVATE_KEY },
	{ "rsa_private_key_is_named", "{rsa_key}", ARMOUR_PRIVATE_KEY },
	{ "ec_private_key_is_named", "{ec_key}", ARMOUR_PRIVATE_KEY },
	{ "encrypted_private_key_is_named", "{encrypted_key}", ARMOUR_PRIVATE_KEY },
	{ "openssh_private_key_is_named", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
	  ARMOUR_PRIVATE_KEY },
	{ "percent_encoded_private_key_is_named", "{percent_key}", ARMOUR_PRIVATE_KEY },
	{ "trusted_certificate_is_refused", "{trusted}", ARMOUR_OTHER_PEM },
	{ "trusted_certificate_beside_one_is_refused", "{pem}{trusted}", ARMOUR_OTHER_PEM },
	{ "pkcs7_is_refused", "{pkcs7}", ARMOUR_OTHER_PEM },
	{ "certificate_request_is_refused", "{request}", ARMOUR_OTHER_PEM },
	{ "public_key_is_refused", "{public_key}", ARMOUR_OTHER_PEM },
	{ "public_key_beside_a_certificate_is_refused", "{public_key}{pem}", ARMOUR_OTHER_PEM },
	{ "x509_certificate_label_is_refused",
	  "-----BEGIN X509 CERTIFICATE-----\n{body}-----END X509 CERTIFICATE-----\n",
	  ARMOUR_OTHER_PEM },
	{ "cms_label_is_refused", "-----BEGIN CMS-----\n{body}-----END CMS-----\n",
	  ARMOUR_OTHER_PEM },
	{ "lower_case_label_is_refused",
	  "-----BEGIN certificate-----\n{body}-----END certificate-----\n", ARMOUR_OTHER_PEM },
	{ "label_with_a_space_more_is_refused",
	  "-----BEGIN CERTIFICATE -----\n{body}-----END CERTIFICATE -----\n", ARMOUR_OTHER_PEM },
	{ "unlike_labels_are_refused", "{begin}\n{body}-----END X509 CERTIFICATE-----\n",
	  ARMOUR_OTHER_PEM },
	{ "pem_without_end_is_broken", "{begin}\n{body}", ARMOUR_BROKEN_PEM },
	{ "pem_without_begin_is_broken", "{body}{end}\n", ARMOUR_BROKEN_PEM },
	{ "marks_that_share_their_dashes_are_broken",
	  "-----END CERTIFICATE-----BEGIN CERTIFICATE-----\n{body}", ARMOUR_BROKEN_PEM },
	{ "pem_with_end_first_is_broken", "{end}\n{body}{begin}\n", ARMOUR_BROKEN_PEM },
	{ "pem_with_two_ends_is_broken", "{pem}{end}\n", ARMOUR_BROKEN_PEM },
	{ "pem_with_an_end_before_is_broken", "{end}\n{pem}", ARMOUR_BROKEN_PEM },
	{ "pem_without_line_ends_is_broken", "{joined}", ARMOUR_BROKEN_PEM },
	{ "pem_without_line_end_after_begin_is_broken", "{begin}{body}{end}\n", ARMOUR_BROKEN_PEM },
	{ "pem_without_line_end_before_end_is_broken", "{begin}\n{base64}{end}\n",
	  ARMOUR_BROKEN_PEM },
	{ "pem_without_body_is_broken", "{begin}{end}\n", ARMOUR_BROKEN_PEM },
	{ "pem_with_an_empty_body_is_no_certificate", "{begin}\n{end}\n",
	  ARMOUR_NOT_A_CERTIFICATE },
	{ "pem_with_four_dashes_is_broken", "-----BEGIN CERTIFICATE----\n{body}{end}\n",
	  ARMOUR_BROKEN_PEM },
	{ "pem_with_six_dashes_is_broken", "-{begin}\n{body}{end}\n", ARMOUR_BROKEN_PEM },
	{ "pem_with_six_dashes_at_the_end_is_broken", "{begin}\n{body}{end}-\n",
	  ARMOUR_BROKEN_PEM },
	{ "pem_header_with_plus_for_a_space_is_broken",
	  "-----BEGIN+CERTIFICATE-----%0A{percent_base64}%0A-----END+CERTIFICATE-----",
	  ARMOUR_BROKEN_PEM },
	{ "pem_behind_a_letter_is_broken", "x{pem}", ARMOUR_BROKEN_PEM },
	{ "pem_before_a_letter_is_broken", "{begin}\n{body}{end}x\n", ARMOUR_BROKEN_PEM },
	{ "pem_behind_a_late_byte_order_mark_is_broken", "\n\xef\xbb\xbf{pem}", ARMOUR_BROKEN_PEM },
	{ "pem_with_headers_inside_is_broken", "{begin}\nProc-Type: 4,ENCRYPTED\n\n{body}{end}\n",
	  ARMOUR_BROKEN_PEM },
	{ "pem_below_an_escape_sequence_is_broken", "\x1b[31m\n{pem}", ARMOUR_BROKEN_PEM },
	{ "pem_above_a_delete_is_broken", "{pem}\x7f", ARMOUR_BROKEN_PEM },
	{ "pem_with_a_form_feed_around_is_broken", "\f\n{pem}", ARMOUR_BROKEN_PEM },
	{ "a_word_that_begins_as_a_mark_is_broken", "-----BEGINNING\n{pem}", ARMOUR_BROKEN_PEM },
	{ "half_a_mark_is_broken", "-----BEGIN CERTIFI", ARMOUR_BROKEN_PEM },
	{ "a_label_past_its_limit_is_broken",
	  "-----BEGIN AAAAAAAAAAAAAAAA"
	  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-----\n{pem}",
	  ARMOUR_BROKEN_PEM },
	{ "base64_of_the_url_alphabet_is_broken", "MI_-", ARMOUR_BROKEN_BASE64 },
	{ "base64_without_padding_is_broken", "{short_unpadded}", ARMOUR_BROKEN_BASE64 },
	{ "base64_with_half_its_padding_is_broken", "{short_unpadded}=", ARMOUR_BROKEN_BASE64 },
	{ "base64_with_padding_more_is_broken", "{short}=", ARMOUR_BROKEN_BASE64 },
	{ "base64_with_a_group_of_padding_is_broken", "{short_unpadded}======",
	  ARMOUR_BROKEN_BASE64 },
	{ "base64_with_digits_after_padding_is_broken", "{short}AAAA", ARMOUR_BROKEN_BASE64 },
	{ "base64_with_stray_bits_is_broken", "{short_stray}", ARMOUR_BROKEN_BASE64 },
	{ "base64_between_colons_with_stray_bits_is_broken", ":{short_stray}:",
	  ARMOUR_BROKEN_BASE64 },
	{ "base64_between_colons_with_half_its_padding_is_broken", ":{short_unpadded}=:",
	  ARMOUR_BROKEN_BASE64 },
	{ "base64_with_one_digit_over_is_broken", "{begin}\nMAAAA===\n{end}\n",
	  ARMOUR_BROKEN_BASE64 },
	{ "base64_between_colons_with_one_digit_over_is_broken", ":MAAAA:", ARMOUR_BROKEN_BASE64 },
	{ "base64_between_colons_in_lines_is_broken", ":{lines}:", ARMOUR_BROKEN_BASE64 },
	{ "base64_between_colons_with_a_space_is_broken", ": {base64}:", ARMOUR_BROKEN_BASE64 },
	{ "base64_behind_one_colon_is_refused", ":{base64}", ARMOUR_NOT_A_CERTIFICATE },
	{ "base64_before_one_colon_is_broken", "{base64}:", ARMOUR_BROKEN_BASE64 },
	{ "pem_with_stray_bits_is_broken", "{begin}\n{short_stray}\n{end}\n",
	  ARMOUR_BROKEN_BASE64 },
	{ "pem_without_padding_is_broken", "{begin}\n{short_unpadded}\n{end}\n",
	  ARMOUR_BROKEN_BASE64 },
	{ "pem_with_a_star_inside_is_broken", "{begin}\n*\n{body}{end}\n", ARMOUR_BROKEN_BASE64 },
	{ "pem_with_a_form_feed_inside_is_broken", "{begin}\n\f{body}{end}\n",
	  ARMOUR_BROKEN_BASE64 },
	{ "pem_with_umlauts_inside_is_broken", "{begin}\nä\n{body}{end}\n", ARMOUR_BROKEN_BASE64 },
	{ "twice_percent_encoded_pem_is_refused", "{percent_twice}", ARMOUR_BROKEN_URL_ENCODING },
	{ "percent_encoded_body_in_pem_is_refused", "{begin}\nMII%2B\n{end}\n",
	  ARMOUR_BROKEN_URL_ENCODING },
	{ "twice_percent_encoded_body_is_refused",
	  "-----BEGIN%20CERTIFICATE-----%0AMII%252B%0A-----END%20CERTIFICATE-----%0A",
	  ARMOUR_BROKEN_URL_ENCODING },
	{ "cut_escape_is_refused", "{percent}%0", ARMOUR_BROKEN_URL_ENCODING },
	{ "percent_sign_at_the_end_is_refused", "{percent}%", ARMOUR_BROKEN_URL_ENCODING },
	{ "escape_of_no_hexadecimal_digits_is_refused", "{percent}%0G",
	  ARMOUR_BROKEN_URL_ENCODING },
	{ "raw_line_feed_in_percent_encoding_is_refused", "{percent}\nx%20y",
	  ARMOUR_BROKEN_URL_ENCODING },
	{ "raw_umlaut_in_percent_encoding_is_refused", "ä{percent}", ARMOUR_BROKEN_URL_ENCODING },
	{ "percent_encoded_base64_is_refused", "{percent_base64}%0A", ARMOUR_BROKEN_BASE64 },
	{ "percent_encoded_words_are_no_certificate", "hello%20world", ARMOUR_NOT_A_CERTIFICATE },
	{ "pem_of_a_string_is_not_der", "{begin}\nBAEA\n{end}\n", ARMOUR_NOT_DER },
	{ "pem_of_an_indefinite_length_is_not_der", "{begin}\nMIAAAA==\n{end}\n", ARMOUR_NOT_DER },
	{ "base64_of_an_indefinite_length_is_not_der", "MIAAAA==", ARMOUR_NOT_DER },
	/* clang-format on */
};

static const struct row stored_rows[] = {
	/* clang-format off */
	{ "stored_der_opens", "{der}", ARMOUR_OPENED },
	{ "stored_pem_opens", "{pem}", ARMOUR_OPENED },
	{ "stored_base64_opens", "{base64}\r\n", ARMOUR_OPENED },
	{ "stored_percent_encoded_pem_opens", "{percent}", ARMOUR_OPENED },
	{ "stored_text_that_begins_with_a_zero_opens", "0 s:CN = alice\n{pem}", ARMOUR_OPENED },
	{ "stored_nothing_is_empty", "", ARMOUR_EMPTY },
	{ "stored_byte_order_mark_is_refused", "\xef\xbb\xbf{pem}", ARMOUR_BYTE_ORDER_MARK },
	{ "stored_nul_is_no_certificate", "{nul}", ARMOUR_NUL },
	{ "stored_words_are_no_certificate", "hello world", ARMOUR_NOT_A_CERTIFICATE },
	{ "stored_zero_is_no_certificate", "0", ARMOUR_NOT_A_CERTIFICATE },
	{ "two_stored_der_have_trailing_bytes", "{both}", ARMOUR_TRAILING_BYTES },
	{ "stored_private_key_is_named", "{key}", ARMOUR_PRIVATE_KEY },
	{ "half_a_stored_der_is_truncated", "{half}", ARMOUR_TRUNCATED },
	{ "stored_der_with_a_line_feed_has_trailing_bytes", "{der}\n", ARMOUR_TRAILING_BYTES },
	{ "stored_der_with_pem_behind_it_has_trailing_bytes", "{der}{pem}", ARMOUR_TRAILING_BYTES },
	{ "stored_base64_of_base64_is_no_certificate", "TUlJQg==", ARMOUR_NOT_A_CERTIFICATE },
	/* clang-format on */
};

enum source { TEXT, STORED };

static enum armour_finding open_exactly(
	struct span text, enum source source, struct bytes *der, size_t capacity)
{
	struct span copy = span_exact_copy(text);
	enum armour_finding finding;

	finding = source == STORED ? armour_open_stored(copy, der->at, capacity, &der->length)
				   : armour_open_text(copy, der->at, capacity, &der->length);
	free((void *)copy.bytes);
	return finding;
}

static void check_row(const struct row *row, enum source source)
{
	struct bytes *text = text_new(row->template), *opened = bytes_new();
	const struct bytes *expected = part(strstr(row->template, "{short") ? "short_der" : "der");

	opened->length = 12345;
	assert_string_equal(armour_finding_text(open_exactly(
				    bytes_span(text), source, opened, ARMOUR_DER_MAX_BYTES)),
		armour_finding_text(row->finding));
	if (row->finding == ARMOUR_OPENED) {
		assert_int_equal(opened->length, expected->length);
		assert_memory_equal(opened->at, expected->at, expected->length);
	} else {
		assert_int_equal(opened->length, 12345);
	}
	free(opened);
	free(text);
}

static void text_row(void **state)
{
	check_row(*state, TEXT);
}

static void stored_row(void **state)
{
	check_row(*state, STORED);
}

static void encoder_of_this_test_agrees_with_openssl(void **state)
{
	struct bytes *base64 = base64_new(part("der"));

	(void)state;
	assert_string_equal((const char *)base64->at, (const char *)part("base64")->at);
	free(base64);
}

static void a_span_that_is_not_there_is_empty(void **state)
{
	uint8_t der[16];
	size_t length;

	(void)state;
	assert_int_equal(
		armour_open_text(span_of(NULL, 0), der, sizeof(der), &length), ARMOUR_EMPTY);
	assert_int_equal(
		armour_open_stored(span_of(NULL, 0), der, sizeof(der), &length), ARMOUR_EMPTY);
	assert_int_equal(armour_check_outer(span_of(NULL, 0)), ARMOUR_EMPTY);
}

/* Every remainder of four digits at every place where the decoder hands over, with lines of a width
 * that has no divisor in common with it. */
static void every_length_opens_to_the_same_bytes(void **state)
{
	struct bytes *opened = bytes_new();

	(void)state;
	for (size_t total = 131; total < 12400; total += total == 258 ? 2 : total < 400 ? 1 : 37) {
		struct bytes *der = sequence_new(total), *base64 = base64_new(der);
		struct bytes *lines = lines_new(base64, 61);

		assert_int_equal(open_exactly(bytes_span(base64), TEXT, opened, base64->length),
			ARMOUR_OPENED);
		assert_int_equal(opened->length, total);
		assert_memory_equal(opened->at, der->at, total);
		assert_int_equal(open_exactly(bytes_span(lines), TEXT, opened, lines->length),
			ARMOUR_OPENED);
		assert_int_equal(opened->length, total);
		assert_memory_equal(opened->at, der->at, total);
		free(lines);
		free(base64);
		free(der);
	}
	free(opened);
}

static void the_longest_text_opens_and_a_byte_more_is_too_large(void **state)
{
	struct bytes *der = sequence_new(EVIDENCE_MAX_BYTES / 4 * 3), *base64 = base64_new(der);
	struct bytes *opened = bytes_new();

	(void)state;
	assert_int_equal(base64->length, EVIDENCE_MAX_BYTES);
	assert_int_equal(open_exactly(bytes_span(base64), TEXT, opened, ARMOUR_DER_MAX_BYTES),
		ARMOUR_OPENED);
	assert_int_equal(opened->length, der->length);
	assert_memory_equal(opened->at, der->at, der->length);
	bytes_add_string(base64, "\n");
	assert_int_equal(
		open_exactly(bytes_span(base64), TEXT, opened, BYTES_MAX), ARMOUR_TOO_LARGE);
	assert_int_equal(
		open_exactly(bytes_span(base64), STORED, opened, BYTES_MAX), ARMOUR_TOO_LARGE);
	free(opened);
	free(base64);
	free(der);
}

static void the_longest_stored_der_opens_and_a_byte_more_is_too_large(void **state)
{
	struct bytes *der = sequence_new(ARMOUR_DER_MAX_BYTES), *opened = bytes_new();

	(void)state;
	assert_int_equal(
		open_exactly(bytes_span(der), STORED, opened, ARMOUR_DER_MAX_BYTES), ARMOUR_OPENED);
	assert_memory_equal(opened->at, der->at, der->length);
	bytes_add_string(der, "x");
	assert_int_equal(
		open_exactly(bytes_span(der), STORED, opened, BYTES_MAX), ARMOUR_TOO_LARGE);
	free(opened);
	free(der);
}

/* The buffer has a guard behind its capacity. */
static void a_buffer_too_small_is_never_overrun(void **state)
{
	static const char *const names[] = { "pem", "base64", "percent", "der" };
	struct bytes *opened = bytes_new();

	(void)state;
	for (size_t name = 0; name < COUNT(names); name++) {
		for (size_t capacity = 0; capacity < part("der")->length; capacity += 7) {
			memset(opened->at, 0xa5, BYTES_MAX);
			opened->length = 12345;
			assert_int_equal(open_exactly(bytes_span(part(names[name])), STORED, opened,
						 capacity),
				ARMOUR_TOO_LARGE);
			assert_int_equal(opened->length, 12345);
			assert_int_equal(opened->at[capacity], 0xa5);
		}
	}
	free(opened);
}

/* `needed` is the length from which on nothing is missing but white space. */
static void refuse_every_prefix(const char *name, enum source source, size_t needed)
{
	const struct bytes *whole = part(name);
	struct bytes *opened = bytes_new();

	for (size_t length = 0; length <= whole->length; length++)
		assert_int_equal(open_exactly(span_of(whole->at, length), source, opened,
					 BYTES_MAX) == ARMOUR_OPENED,
			length >= needed);
	free(opened);
}

static void every_prefix_of_every_form_is_refused(void **state)
{
	(void)state;
	refuse_every_prefix("pem", TEXT, part("pem")->length - 1);
	refuse_every_prefix("crlf", STORED, part("crlf")->length - 2);
	refuse_every_prefix("text", TEXT, part("text")->length - 1);
	refuse_every_prefix("percent_bare", TEXT, part("percent_bare")->length);
	refuse_every_prefix("base64", TEXT, part("base64")->length);
	refuse_every_prefix("der", STORED, part("der")->length);
}

static void every_prefix_between_colons_is_refused(void **state)
{
	struct bytes *opened = bytes_new();

	(void)state;
	for (size_t length = 0; length < part("short_unpadded")->length; length++) {
		struct bytes *text = bytes_new();

		bytes_add_string(text, ":");
		bytes_add(text, part("short_unpadded")->at, length);
		bytes_add_string(text, ":");
		assert_int_not_equal(
			open_exactly(bytes_span(text), TEXT, opened, BYTES_MAX), ARMOUR_OPENED);
		free(text);
	}
	free(opened);
}

/* A text of `head` and as often `pattern` as there is room. */
static void measure_hostile(const char *head, const char *pattern)
{
	struct bytes *text = bytes_new(), *opened = bytes_new();
	struct timespec before, after;

	bytes_add_string(text, head);
	while (text->length + strlen(pattern) <= EVIDENCE_MAX_BYTES)
		bytes_add_string(text, pattern);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	assert_int_not_equal(
		open_exactly(bytes_span(text), TEXT, opened, BYTES_MAX), ARMOUR_OPENED);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_true(
		(after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000 <
		HOSTILE_TEXT_MAX_USEC);
	free(opened);
	free(text);
}

static void hostile_text_takes_linear_time(void **state)
{
	static const char *const patterns[] = { "-", "-----", "----- ", "-----BEGIN ", "-----END ",
		"-----BEGINX", "-----BEGIN A---- ", "-----BEGIN CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "%2D", "%25", "%", ":",
		"=", "A=", "A", " ", "\n" };

	(void)state;
	for (size_t i = 0; i < COUNT(patterns); i++) {
		measure_hostile("", patterns[i]);
		measure_hostile("-----BEGIN CERTIFICATE-----\n", patterns[i]);
		measure_hostile("-----BEGIN%20CERTIFICATE-----%0A", patterns[i]);
	}
}

/* What opens is one whole SEQUENCE, and never longer than the text that it came from. */
static void mutated_text_is_refused_or_opens_whole(void **state)
{
	static const char *const templates[] = { "{pem}", "{tabs}", "{percent}", "{base64}",
		":{base64}:", "{der}", "{text}", "{pem}{key}" };
	uint64_t seed = 0x9e3779b97f4a7c15u;

	(void)state;
	for (size_t round = 0; round < 4000; round++) {
		struct bytes *text = text_new(templates[round % COUNT(templates)]);
		struct bytes *opened = bytes_new();
		const enum source source = round & 8 ? STORED : TEXT;

		bytes_mutate(text, &seed);
		if (open_exactly(bytes_span(text), source, opened, text->length) == ARMOUR_OPENED) {
			assert_true(opened->length <= text->length);
			assert_int_equal(opened->at[0], 0x30);
			assert_int_equal(armour_check_outer(bytes_span(opened)), ARMOUR_OPENED);
		}
		free(opened);
		free(text);
	}
}

/* X.690 8.1.3 and 10.1. */
static void the_outermost_length_is_checked(void **state)
{
	static const struct {
		uint8_t head[8];
		size_t head_length, content_length;
		enum armour_finding finding;
	} cases[] = {
		{ { 0x30 }, 1, 0, ARMOUR_TRUNCATED },
		{ { 0x30, 0x00 }, 2, 0, ARMOUR_OPENED },
		{ { 0x30, 0x00 }, 2, 1, ARMOUR_TRAILING_BYTES },
		{ { 0x30, 0x01 }, 2, 0, ARMOUR_TRUNCATED },
		{ { 0x30, 0x7f }, 2, 127, ARMOUR_OPENED },
		{ { 0x31, 0x7f }, 2, 127, ARMOUR_NOT_DER },
		{ { 0x10, 0x7f }, 2, 127, ARMOUR_NOT_DER },
		{ { 0x30, 0x80 }, 2, 0, ARMOUR_NOT_DER },
		{ { 0x30, 0x80 }, 2, 127, ARMOUR_NOT_DER },
		{ { 0x30, 0xff }, 2, 127, ARMOUR_NOT_DER },
		{ { 0x30, 0x81 }, 2, 0, ARMOUR_TRUNCATED },
		{ { 0x30, 0x81, 0x7f }, 3, 127, ARMOUR_NOT_DER },
		{ { 0x30, 0x81, 0x80 }, 3, 128, ARMOUR_OPENED },
		{ { 0x30, 0x81, 0x80 }, 3, 127, ARMOUR_TRUNCATED },
		{ { 0x30, 0x81, 0x80 }, 3, 129, ARMOUR_TRAILING_BYTES },
		{ { 0x30, 0x82, 0x00, 0x80 }, 4, 128, ARMOUR_NOT_DER },
		{ { 0x30, 0x82, 0x00, 0xff }, 4, 255, ARMOUR_NOT_DER },
		{ { 0x30, 0x82, 0x01, 0x00 }, 4, 256, ARMOUR_OPENED },
		{ { 0x30, 0x83, 0x00, 0x01, 0x00 }, 5, 256, ARMOUR_NOT_DER },
		{ { 0x30, 0x83, 0x01, 0x00, 0x00 }, 5, 256, ARMOUR_TRUNCATED },
		{ { 0x30, 0x84, 0xff, 0xff, 0xff, 0xff }, 6, 256, ARMOUR_TRUNCATED },
		{ { 0x30, 0x85, 0x01, 0x00, 0x00, 0x00, 0x00 }, 7, 256, ARMOUR_NOT_DER },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bytes *der = bytes_new();
		struct span copy;

		bytes_add(der, cases[i].head, cases[i].head_length);
		der->length += cases[i].content_length;
		copy = span_exact_copy(bytes_span(der));
		assert_string_equal(armour_finding_text(armour_check_outer(copy)),
			armour_finding_text(cases[i].finding));
		free((void *)copy.bytes);
		free(der);
	}
}

static void each_finding_has_words_of_its_own(void **state)
{
	(void)state;
	for (int a = ARMOUR_OPENED; a <= ARMOUR_TRAILING_BYTES; a++) {
		const char *text = armour_finding_text((enum armour_finding)a);

		assert_true(strlen(text) > 0);
		assert_int_not_equal(text[strlen(text) - 1], '.');
		assert_string_not_equal(text, armour_finding_text((enum armour_finding)99));
		for (int b = ARMOUR_OPENED; b < a; b++)
			assert_string_not_equal(text, armour_finding_text((enum armour_finding)b));
	}
}

static void free_parts(void)
{
	while (part_count > 0)
		free(parts[--part_count].bytes);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(encoder_of_this_test_agrees_with_openssl),
		cmocka_unit_test(a_span_that_is_not_there_is_empty),
		cmocka_unit_test(every_length_opens_to_the_same_bytes),
		cmocka_unit_test(the_longest_text_opens_and_a_byte_more_is_too_large),
		cmocka_unit_test(the_longest_stored_der_opens_and_a_byte_more_is_too_large),
		cmocka_unit_test(a_buffer_too_small_is_never_overrun),
		cmocka_unit_test(every_prefix_of_every_form_is_refused),
		cmocka_unit_test(every_prefix_between_colons_is_refused),
		cmocka_unit_test(hostile_text_takes_linear_time),
		cmocka_unit_test(mutated_text_is_refused_or_opens_whole),
		cmocka_unit_test(the_outermost_length_is_checked),
		cmocka_unit_test(each_finding_has_words_of_its_own),
	};
	static struct CMUnitTest tests[COUNT(others) + COUNT(text_rows) + COUNT(stored_rows)];
	size_t count = COUNT(others);

	tool_enter();
	make_openssl_parts();
	part_add("short_der", sequence_new(133));
	make_derived_parts();
	memcpy(tests, others, sizeof(others));
	for (size_t i = 0; i < COUNT(text_rows); i++)
		tests[count++] = (struct CMUnitTest){ .name = text_rows[i].name,
			.test_func = text_row,
			.initial_state = (void *)&text_rows[i] };
	for (size_t i = 0; i < COUNT(stored_rows); i++)
		tests[count++] = (struct CMUnitTest){ .name = stored_rows[i].name,
			.test_func = stored_row,
			.initial_state = (void *)&stored_rows[i] };
	atexit(free_parts);
	return cmocka_run_group_tests_name("armour", tests, NULL, NULL);
}
