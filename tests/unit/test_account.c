/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_account.c asks about accounts that every system has, with a getpwnam_r() of its own that
 * fails on demand and passes everything else on to the C library.
 */
#include "account.h"

#include <dlfcn.h>
#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static size_t least_bytes;         /* ERANGE below */
static int failing_errno;          /* 0: does not fail */
static unsigned int failing_calls; /* how often it fails, then it works */

typedef int getpwnam_r_function(const char *, struct passwd *, char *, size_t, struct passwd **);

int getpwnam_r(
	const char *name, struct passwd *entry, char *buffer, size_t capacity, struct passwd **ret)
{
	getpwnam_r_function *real =
		__extension__(getpwnam_r_function *) dlsym(RTLD_NEXT, "getpwnam_r");

	*ret = NULL;
	if (failing_calls > 0) {
		failing_calls--;
		return failing_errno;
	}
	return capacity < least_bytes ? ERANGE : real(name, entry, buffer, capacity, ret);
}

static int reset(void **state)
{
	(void)state;
	least_bytes = 0;
	failing_errno = 0;
	failing_calls = 0;
	return 0;
}

static struct outcome refusal_of(const char *account, struct reply reply, bool allow_root)
{
	struct outcome outcome = { 0 };

	assert_false(account_check(account, &reply, allow_root, &outcome));
	assert_non_null(outcome.what);
	return outcome;
}

static bool is_allowed(const char *account, struct reply reply, bool allow_root)
{
	struct outcome outcome = { 0 };

	return account_check(account, &reply, allow_root, &outcome);
}

static void account_that_exists_passes(void **state)
{
	(void)state;
	assert_true(is_allowed("daemon", (struct reply){ 0 }, false));
	/* Debian's base-passwd gives daemon the uid 1 for ever. */
	assert_true(is_allowed("daemon", (struct reply){ .has_uid = true, .uid = 1 }, false));
}

static void account_that_is_not_there_is_missing(void **state)
{
	const struct outcome outcome = refusal_of("certmap-no-such", (struct reply){ 0 }, true);

	(void)state;
	assert_int_equal(outcome.reason, REASON_ACCOUNT_MISSING);
	assert_int_equal(outcome.error, OK);
}

static void other_uid_than_mapped_is_changed(void **state)
{
	const struct reply reply = { .has_uid = true, .uid = 2 };

	(void)state;
	assert_int_equal(refusal_of("daemon", reply, true).reason, REASON_ACCOUNT_CHANGED);
}

static void uid_without_its_flag_does_not_count(void **state)
{
	(void)state;
	assert_true(is_allowed("daemon", (struct reply){ .has_uid = false, .uid = 2 }, false));
}

static void root_is_refused_unless_it_is_allowed(void **state)
{
	const struct reply reply = { .has_uid = true, .uid = 0 };

	(void)state;
	assert_int_equal(refusal_of("root", reply, false).reason, REASON_ROOT_REFUSED);
	assert_true(is_allowed("root", reply, true));
}

static void not_found_in_other_words_is_missing(void **state)
{
	const int numbers[] = { 0, ENOENT, ESRCH };

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		failing_errno = numbers[i];
		failing_calls = 1;
		assert_int_equal(refusal_of("daemon", (struct reply){ 0 }, false).reason,
			REASON_ACCOUNT_MISSING);
	}
}

static void failure_is_an_error_and_not_a_missing_account(void **state)
{
	const int numbers[] = { EIO, EMFILE, ENFILE, EPERM, EBADF, EAGAIN };

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct outcome outcome;

		failing_errno = numbers[i];
		failing_calls = 1;
		outcome = refusal_of("daemon", (struct reply){ 0 }, false);
		assert_int_equal(outcome.error, ERROR_SYSTEM);
		assert_int_equal(outcome.errno_value, numbers[i]);
		assert_int_equal(outcome.reason, REASON_UNAVAILABLE);
	}
	failing_errno = ENOMEM;
	failing_calls = 1;
	assert_int_equal(refusal_of("daemon", (struct reply){ 0 }, false).error, ERROR_MEMORY);
}

static void interrupted_call_is_repeated(void **state)
{
	(void)state;
	failing_errno = EINTR;
	failing_calls = 3;
	assert_true(is_allowed("daemon", (struct reply){ 0 }, false));
}

static void long_entry_gets_a_longer_buffer_up_to_a_limit(void **state)
{
	(void)state;
	least_bytes = 1048576;
	assert_true(is_allowed("daemon", (struct reply){ 0 }, false));
	least_bytes = 1048577;
	assert_int_equal(refusal_of("daemon", (struct reply){ 0 }, false).error, ERROR_SYSTEM);
}

static void sound_name_has_1_to_256_bytes_and_no_controls(void **state)
{
	char name[257];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_true(account_name_is_sound(span_of("a", 1)));
	assert_true(account_name_is_sound(span_of(name, 256)));
	assert_true(account_name_is_sound(span_of_string("DOMAIN\\j\xc3\xb6rg o'neil")));
	assert_false(account_name_is_sound(span_of(name, 257)));
	assert_false(account_name_is_sound(span_of("", 0)));
	assert_false(account_name_is_sound((struct span){ 0 }));
	assert_false(account_name_is_sound(span_of("alice\0x", 7)));
	assert_false(account_name_is_sound(span_of_string("root\n")));
	assert_false(account_name_is_sound(span_of_string("\x1f")));
	assert_false(account_name_is_sound(span_of_string("x\x7f")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(account_that_exists_passes, reset),
		cmocka_unit_test_setup(account_that_is_not_there_is_missing, reset),
		cmocka_unit_test_setup(other_uid_than_mapped_is_changed, reset),
		cmocka_unit_test_setup(uid_without_its_flag_does_not_count, reset),
		cmocka_unit_test_setup(root_is_refused_unless_it_is_allowed, reset),
		cmocka_unit_test_setup(not_found_in_other_words_is_missing, reset),
		cmocka_unit_test_setup(failure_is_an_error_and_not_a_missing_account, reset),
		cmocka_unit_test_setup(interrupted_call_is_repeated, reset),
		cmocka_unit_test_setup(long_entry_gets_a_longer_buffer_up_to_a_limit, reset),
		cmocka_unit_test_setup(sound_name_has_1_to_256_bytes_and_no_controls, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
