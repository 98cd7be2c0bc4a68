/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_reason.c owns the proof that the stable words are what the manual and the page say. */
#include "reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h leans on the headers above. */
#include <cmocka.h>

/* Written out a second time on purpose: a word that changes breaks other people's clients, log
 * filters and stacks, so that a change has to be made in two places knowingly. */
static const struct {
	enum reason reason;
	const char *word;
} stable[] = {
	{ REASON_ALLOWED, "allowed" },
	{ REASON_MISCONFIGURED, "misconfigured" },
	{ REASON_NO_CERTIFICATE, "no-certificate" },
	{ REASON_EVIDENCE_NOT_ACCEPTED, "evidence-not-accepted" },
	{ REASON_MALFORMED_CERTIFICATE, "malformed-certificate" },
	{ REASON_UNMAPPED, "unmapped" },
	{ REASON_SERVICE_DISABLED, "service-disabled" },
	{ REASON_MAPPING_DISABLED, "mapping-disabled" },
	{ REASON_MAPPING_NOT_YET_VALID, "mapping-not-yet-valid" },
	{ REASON_MAPPING_EXPIRED, "mapping-expired" },
	{ REASON_CERTIFICATE_NOT_YET_VALID, "certificate-not-yet-valid" },
	{ REASON_CERTIFICATE_EXPIRED, "certificate-expired" },
	{ REASON_UNTRUSTED_ISSUER, "untrusted-issuer" },
	{ REASON_WRONG_USAGE, "wrong-usage" },
	{ REASON_REVOKED, "revoked" },
	{ REASON_REVOCATION_UNKNOWN, "revocation-unknown" },
	{ REASON_AMBIGUOUS, "ambiguous" },
	{ REASON_ACCOUNT_MISMATCH, "account-mismatch" },
	{ REASON_ACCOUNT_MISSING, "account-missing" },
	{ REASON_ACCOUNT_CHANGED, "account-changed" },
	{ REASON_ROOT_REFUSED, "root-refused" },
	{ REASON_CREDENTIAL_UNAVAILABLE, "credential-unavailable" },
	{ REASON_FORBIDDEN, "forbidden" },
	{ REASON_UNAVAILABLE, "unavailable" },
};

#define STABLE_COUNT (sizeof stable / sizeof stable[0])

static void reason_words_are_stable_and_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < STABLE_COUNT; i++) {
		assert_string_equal(reason_word(stable[i].reason), stable[i].word);
		assert_int_equal(
			reason_find(stable[i].word, strlen(stable[i].word)), stable[i].reason);
	}
}

static void reason_list_of_this_test_is_whole(void **state)
{
	(void)state;
	/* REASON_UNAVAILABLE stands last, and REASON_UNKNOWN, which has no word to send, first. */
	assert_int_equal(STABLE_COUNT, REASON_UNAVAILABLE);
	assert_int_equal(REASON_UNKNOWN, 0);
}

static void reason_find_compares_whole_words_byte_by_byte(void **state)
{
	(void)state;
	assert_int_equal(reason_find("allow", 5), REASON_UNKNOWN);
	assert_int_equal(reason_find("allowed", 6), REASON_UNKNOWN);
	assert_int_equal(reason_find("allowed ", 8), REASON_UNKNOWN);
	assert_int_equal(reason_find("allowed", 8), REASON_UNKNOWN); /* with its terminator */
	assert_int_equal(reason_find("Allowed", 7), REASON_UNKNOWN);
	assert_int_equal(reason_find("", 0), REASON_UNKNOWN);
}

static void reason_unknown_is_the_word_of_no_reason(void **state)
{
	(void)state;
	assert_string_equal(reason_word(REASON_UNKNOWN), "unknown");
	assert_string_equal(reason_word((enum reason)(REASON_UNAVAILABLE + 1)), "unknown");
	assert_string_equal(reason_word((enum reason) - 1), "unknown");
	assert_int_equal(reason_find("unknown", 7), REASON_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reason_words_are_stable_and_come_back),
		cmocka_unit_test(reason_list_of_this_test_is_whole),
		cmocka_unit_test(reason_find_compares_whole_words_byte_by_byte),
		cmocka_unit_test(reason_unknown_is_the_word_of_no_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
