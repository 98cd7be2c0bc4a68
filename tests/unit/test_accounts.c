/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_accounts.c owns the promise that many accounts at a time have the uids that getpwnam(3)
 * says, one after the other.
 */
#include "../../certmapd/ctl/accounts.h"

#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAMES_MAX 1000u

static int set_up(void **state)
{
	struct accounts *accounts;

	assert_int_equal(accounts_new(&accounts), OK);
	*state = accounts;
	return 0;
}

static int tear_down(void **state)
{
	accounts_free(*state);
	return 0;
}

static void every_listed_account_has_the_uid_of_getpwnam(void **state)
{
	char *names[NAMES_MAX];
	const struct passwd *entry;
	size_t count = 0;
	uid_t uid;

	setpwent();
	while (count < NAMES_MAX && (entry = getpwent()))
		assert_non_null(names[count++] = strdup(entry->pw_name));
	endpwent();
	assert_true(count > 1);
	for (size_t i = 0; i < count; i++) {
		assert_true(accounts_find(*state, names[i], &uid));
		entry = getpwnam(names[i]);
		assert_non_null(entry);
		assert_int_equal(uid, entry->pw_uid);
		free(names[i]);
	}
}

static void root_is_zero(void **state)
{
	uid_t uid = 1;

	assert_true(accounts_find(*state, "root", &uid));
	assert_int_equal(uid, 0);
}

static void unknown_account_leaves_the_uid_alone(void **state)
{
	uid_t uid = 77;

	assert_false(accounts_find(*state, "no such account", &uid));
	assert_false(accounts_find(*state, "", &uid));
	assert_false(accounts_find(*state, "roo", &uid));
	assert_false(accounts_find(*state, "root ", &uid));
	assert_false(accounts_find(*state, "ROOT", &uid));
	assert_int_equal(uid, 77);
}

static void freeing_nothing_does_nothing(void **state)
{
	(void)state;
	accounts_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_listed_account_has_the_uid_of_getpwnam),
		cmocka_unit_test(root_is_zero),
		cmocka_unit_test(unknown_account_leaves_the_uid_alone),
		cmocka_unit_test(freeing_nothing_does_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
