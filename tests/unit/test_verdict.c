/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_verdict.c holds the table of reasons against the codes that the manual promises. */
#include "verdict.h"

#include <security/_pam_types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct row {
	const char *word;
	int authenticate;
	int account;
};

static const struct row rows[] = {
	{ "allowed", PAM_SUCCESS, PAM_SUCCESS },
	{ "misconfigured", PAM_SERVICE_ERR, PAM_SERVICE_ERR },
	{ "no-certificate", PAM_CRED_INSUFFICIENT, PAM_AUTH_ERR },
	{ "evidence-not-accepted", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "malformed-certificate", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "unmapped", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "service-disabled", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "mapping-disabled", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "mapping-not-yet-valid", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "mapping-expired", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "certificate-not-yet-valid", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "certificate-expired", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "untrusted-issuer", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "wrong-usage", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "revoked", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "revocation-unknown", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "ambiguous", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "account-mismatch", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "account-missing", PAM_USER_UNKNOWN, PAM_AUTH_ERR },
	{ "account-changed", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "root-refused", PAM_AUTH_ERR, PAM_AUTH_ERR },
	{ "credential-unavailable", PAM_AUTHINFO_UNAVAIL, PAM_AUTHINFO_UNAVAIL },
	{ "forbidden", PAM_AUTHINFO_UNAVAIL, PAM_AUTHINFO_UNAVAIL },
	{ "unavailable", PAM_AUTHINFO_UNAVAIL, PAM_AUTHINFO_UNAVAIL },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void table_gives_each_reason_the_code_of_the_manual(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		const enum reason reason = reason_find(rows[i].word, strlen(rows[i].word));

		print_message("# %s\n", rows[i].word);
		assert_int_not_equal(reason, REASON_UNKNOWN);
		assert_int_equal(verdict_authenticate(reason), rows[i].authenticate);
		assert_int_equal(verdict_account(reason), rows[i].account);
	}
}

static void table_has_a_row_for_every_reason(void **state)
{
	(void)state;
	assert_int_equal(ROWS, REASON_UNAVAILABLE);
}

static void number_that_is_no_reason_is_refused(void **state)
{
	const int numbers[] = { REASON_UNKNOWN, REASON_UNAVAILABLE + 1, 255, 65537, -1 };

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_int_equal(verdict_authenticate((enum reason)numbers[i]), PAM_AUTH_ERR);
		assert_int_equal(verdict_account((enum reason)numbers[i]), PAM_AUTH_ERR);
	}
}

static void error_is_never_a_success_nor_ignored(void **state)
{
	(void)state;
	for (int error = -1; error < 32; error++) {
		const int code = verdict_error((enum error)error);

		assert_int_not_equal(code, PAM_SUCCESS);
		assert_int_not_equal(code, PAM_IGNORE);
	}
	assert_int_equal(verdict_error(ERROR_MEMORY), PAM_BUF_ERR);
	assert_int_equal(verdict_error(ERROR_SYSTEM), PAM_SYSTEM_ERR);
	assert_int_equal(verdict_error(ERROR_DEADLINE), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(verdict_error(ERROR_PEER), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(verdict_error(ERROR_MALFORMED), PAM_AUTHINFO_UNAVAIL);
	assert_int_equal(verdict_error(ERROR_VERSION), PAM_AUTHINFO_UNAVAIL);
}

static void session_that_is_not_understood_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(verdict_session(REASON_MISCONFIGURED), PAM_SERVICE_ERR);
	assert_int_equal(verdict_session(REASON_MALFORMED_CERTIFICATE), PAM_SESSION_ERR);
	assert_int_equal(verdict_session(REASON_ALLOWED), PAM_SESSION_ERR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_gives_each_reason_the_code_of_the_manual),
		cmocka_unit_test(table_has_a_row_for_every_reason),
		cmocka_unit_test(number_that_is_no_reason_is_refused),
		cmocka_unit_test(error_is_never_a_success_nor_ignored),
		cmocka_unit_test(session_that_is_not_understood_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
