/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_quota.c owns what one uid may take, and that counting never loses a place. */
#include "quota.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND 1000000u

static void a_uid_gets_its_share_of_connections_and_no_more(void **state)
{
	struct quota quota = { 0 };

	(void)state;
	for (unsigned i = 0; i < QUOTA_CONNECTIONS_PER_UID; i++)
		assert_true(quota_take_connection(&quota, 1000, 0));
	assert_false(quota_take_connection(&quota, 1000, 0));
	assert_true(quota_take_connection(&quota, 1001, 0));
	quota_give_connection(&quota, 1000);
	assert_true(quota_take_connection(&quota, 1000, 0));
	assert_false(quota_take_connection(&quota, 1000, 0));
}

static void root_is_never_refused(void **state)
{
	struct quota quota = { 0 };
	unsigned suppressed = 0;

	(void)state;
	for (unsigned i = 0; i < 10 * QUOTA_CONNECTIONS_PER_UID; i++)
		assert_true(quota_take_connection(&quota, 0, 0));
	for (unsigned i = 0; i < 10 * QUOTA_LOG_BURST; i++)
		assert_true(quota_take_line(&quota, 0, 0, &suppressed));
}

static void more_uids_than_the_table_holds_share_one_place(void **state)
{
	struct quota quota = { 0 };
	unsigned taken = 0;

	(void)state;
	for (uid_t uid = 1; uid <= QUOTA_UIDS; uid++)
		assert_true(quota_take_connection(&quota, uid, 0));
	for (uid_t uid = 1000; uid < 1000 + 2 * QUOTA_CONNECTIONS_PER_UID; uid++)
		taken += quota_take_connection(&quota, uid, 0);
	assert_int_equal(taken, QUOTA_CONNECTIONS_PER_UID);
	for (uid_t uid = 1000; uid < 1000 + QUOTA_CONNECTIONS_PER_UID; uid++)
		quota_give_connection(&quota, uid);
	assert_true(quota_take_connection(&quota, 5000, 0));
}

/* A uid that moved from the shared place to one of its own, or back, gives back what it took. */
static void what_is_given_back_was_taken_in_the_same_place(void **state)
{
	struct quota quota = { 0 };

	(void)state;
	for (uid_t uid = 1; uid <= QUOTA_UIDS; uid++)
		assert_true(quota_take_connection(&quota, uid, 0));
	assert_true(quota_take_connection(&quota, 1000, 0)); /* shared */
	quota_give_connection(&quota, 1);
	assert_true(quota_take_connection(&quota, 1000, 0)); /* its own */
	quota_give_connection(&quota, 1000);
	quota_give_connection(&quota, 1000);
	for (uid_t uid = 2; uid <= QUOTA_UIDS; uid++)
		quota_give_connection(&quota, uid);
	for (size_t i = 0; i < QUOTA_UIDS; i++)
		assert_int_equal(quota.uids[i].connections, 0);
	assert_int_equal(quota.others.connections, 0);
}

static void lines_are_limited_refilled_and_counted(void **state)
{
	struct quota quota = { 0 };
	unsigned suppressed = 0;

	(void)state;
	for (unsigned i = 0; i < QUOTA_LOG_BURST; i++)
		assert_true(quota_take_line(&quota, 1000, 0, &suppressed));
	assert_int_equal(suppressed, 0);
	for (unsigned i = 0; i < 7; i++)
		assert_false(quota_take_line(&quota, 1000, 0, &suppressed));
	assert_true(quota_take_line(&quota, 1000, SECOND, &suppressed));
	assert_int_equal(suppressed, 7);
	for (unsigned i = 1; i < QUOTA_LOG_PER_SEC; i++)
		assert_true(quota_take_line(&quota, 1000, SECOND, &suppressed));
	assert_false(quota_take_line(&quota, 1000, SECOND, &suppressed));
}

/* Asking often must not round the refill away. */
static void small_steps_of_time_earn_lines_too(void **state)
{
	struct quota quota = { 0 };
	unsigned suppressed, taken = 0;

	(void)state;
	while (quota_take_line(&quota, 1000, 0, &suppressed))
		;
	for (uint64_t now = 0; now <= 2 * SECOND; now += SECOND / 1000)
		taken += quota_take_line(&quota, 1000, now, &suppressed);
	assert_int_equal(taken, 2 * QUOTA_LOG_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_uid_gets_its_share_of_connections_and_no_more),
		cmocka_unit_test(root_is_never_refused),
		cmocka_unit_test(more_uids_than_the_table_holds_share_one_place),
		cmocka_unit_test(what_is_given_back_was_taken_in_the_same_place),
		cmocka_unit_test(lines_are_limited_refilled_and_counted),
		cmocka_unit_test(small_steps_of_time_earn_lines_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
