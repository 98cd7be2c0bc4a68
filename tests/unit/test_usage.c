/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_usage.c owns the promise that each use is written once, in however many slices. */
#include "usage.h"

#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS (2 * USAGE_SLICE + 22)
#define NOW_SEC 1800000000

struct scene {
	struct fixture f;
	struct store *store;
	struct usage usage;
};

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	struct span der = fixture_certificate("alice");
	struct store_trouble trouble = { "" };
	char account[16];

	assert_non_null(s);
	fixture_init(&s->f);
	for (uint32_t i = 0; i < ROWS; i++) {
		fixture_vary(der, i);
		snprintf(account, sizeof account, "user%u", i);
		fixture_map(&s->f, "*", account, der);
	}
	free((void *)der.bytes);
	assert_int_equal(
		store_open(s->f.path, geteuid(), STORE_USE_DAEMON, &s->store, &trouble), OK);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	store_close(s->store);
	fixture_done(&s->f);
	free(s);
	return 0;
}

/* Until what was noted before is written, whenever it is due. */
static void drain(struct scene *s)
{
	do
		assert_int_equal(usage_write(&s->usage, s->store), OK);
	while (s->usage.batch_count > 0);
}

static void each_use_is_written_once_in_slices(void **state)
{
	struct scene *s = *state;

	for (int64_t id = ROWS; id > 0; id--)
		usage_note(&s->usage, id, NOW_SEC);
	usage_note(&s->usage, 7, NOW_SEC + 1);
	assert_int_equal(usage_write(&s->usage, s->store), OK);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM usage"), USAGE_SLICE);
	drain(s);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM usage"), ROWS);
	assert_int_equal(fixture_number(&s->f, "SELECT sum(uses) FROM usage"), ROWS + 1);
	assert_int_equal(fixture_number(&s->f, "SELECT uses FROM usage WHERE mapping_id = 7"), 2);
	assert_true(usage_due_usec(&s->usage) == UINT64_MAX);
}

static void what_is_noted_between_two_slices_is_written_too(void **state)
{
	struct scene *s = *state;

	for (int64_t id = 1; id < ROWS; id++)
		usage_note(&s->usage, id, NOW_SEC);
	assert_int_equal(usage_write(&s->usage, s->store), OK);
	usage_note(&s->usage, 1, NOW_SEC);        /* waits to be written */
	usage_note(&s->usage, ROWS - 1, NOW_SEC); /* was written */
	usage_note(&s->usage, ROWS, NOW_SEC);     /* is new */
	drain(s);
	/* These wait for their own time. */
	assert_int_equal(fixture_number(&s->f, "SELECT sum(uses) FROM usage"), ROWS - 1);
	assert_true(usage_due_usec(&s->usage) < UINT64_MAX);
	drain(s);
	assert_int_equal(fixture_number(&s->f, "SELECT sum(uses) FROM usage"), ROWS + 2);
	assert_int_equal(fixture_number(&s->f, "SELECT min(uses) FROM usage"), 1);
	assert_int_equal(fixture_number(&s->f, "SELECT max(uses) FROM usage"), 2);
}

static void a_slice_that_meets_a_writer_is_kept(void **state)
{
	struct scene *s = *state;

	for (int64_t id = 1; id <= ROWS; id++)
		usage_note(&s->usage, id, NOW_SEC);
	assert_int_equal(usage_write(&s->usage, s->store), OK);
	fixture_run(&s->f, "BEGIN IMMEDIATE");
	assert_int_equal(usage_write(&s->usage, s->store), ERROR_BUSY);
	assert_true(usage_due_usec(&s->usage) > 0);
	fixture_run(&s->f, "ROLLBACK");
	drain(s);
	assert_int_equal(fixture_number(&s->f, "SELECT sum(uses) FROM usage"), ROWS);
}

/* Ids that fall onto one place. */
static void mappings_that_share_a_place_are_counted_apart(void **state)
{
	struct scene *s = *state;

	fixture_run(&s->f,
		"DROP TRIGGER mapping_update; UPDATE mapping SET id = id + %d WHERE id > 100",
		(int)USAGE_PLACES);
	for (int i = 0; i < 3; i++) {
		usage_note(&s->usage, USAGE_PLACES + 101, NOW_SEC);
		usage_note(&s->usage, 101, NOW_SEC);
	}
	usage_note(&s->usage, 101 + 2 * USAGE_PLACES, NOW_SEC);
	drain(s);
	/* There is one of these mappings. */
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM usage"), 1);
	assert_int_equal(fixture_number(&s->f, "SELECT uses FROM usage"), 3);
}

static void a_crowd_is_written_at_once_and_what_is_too_much_is_lost(void **state)
{
	struct scene *s = *state;

	for (int64_t id = 1; id < USAGE_CROWD; id++)
		usage_note(&s->usage, id, NOW_SEC);
	assert_true(usage_due_usec(&s->usage) > 0);
	usage_note(&s->usage, USAGE_CROWD, NOW_SEC);
	assert_true(usage_due_usec(&s->usage) == 0);
	for (int64_t id = USAGE_MAX; id < 3 * (int64_t)USAGE_MAX; id++)
		usage_note(&s->usage, id, NOW_SEC);
	usage_note(&s->usage, 1, NOW_SEC);
	drain(s);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM usage"), ROWS);
	assert_int_equal(fixture_number(&s->f, "SELECT sum(uses) FROM usage"), ROWS + 1);
	assert_true(usage_is_empty(&s->usage));
}

static void slices_leave_time_for_logins_and_are_longer_in_a_crowd(void **state)
{
	struct scene *s = *state;
	size_t left;

	for (int64_t id = 1; id < USAGE_CROWD; id++)
		usage_note(&s->usage, id, NOW_SEC);
	assert_int_equal(usage_write(&s->usage, s->store), OK);
	assert_int_equal(s->usage.batch_count, USAGE_CROWD - 1 - USAGE_SLICE);
	assert_true(usage_due_usec(&s->usage) > 0);
	for (int64_t id = 1; id <= USAGE_CROWD; id++)
		usage_note(&s->usage, id, NOW_SEC);
	assert_true(usage_due_usec(&s->usage) > 0);
	left = s->usage.batch_count;
	assert_int_equal(usage_write(&s->usage, s->store), OK);
	assert_true(left - s->usage.batch_count > USAGE_SLICE);
	assert_true(usage_due_usec(&s->usage) > 0);
}

/* A second batch takes the other way, of rows that are there; 3 was deleted in between. */
static void later_uses_are_added_to_earlier_ones(void **state)
{
	struct scene *s = *state;

	usage_note(&s->usage, 2, NOW_SEC);
	usage_note(&s->usage, 3, NOW_SEC);
	drain(s);
	fixture_run(&s->f, "DELETE FROM mapping WHERE id = 3");
	usage_note(&s->usage, 2, NOW_SEC - 5);
	usage_note(&s->usage, 2, NOW_SEC - 5);
	usage_note(&s->usage, 3, NOW_SEC);
	drain(s);
	assert_int_equal(fixture_number(&s->f, "SELECT uses FROM usage WHERE mapping_id = 2"), 3);
	assert_int_equal(
		fixture_number(&s->f, "SELECT last_used FROM usage WHERE mapping_id = 2"), NOW_SEC);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM usage"), 1);
}

static void a_count_that_can_grow_no_more_keeps_no_other_from_being_written(void **state)
{
	struct scene *s = *state;

	fixture_run(&s->f, "INSERT INTO usage (mapping_id, last_used, uses) VALUES (2, 1, "
			   "9223372036854775806)");
	for (int64_t id = 1; id <= 3; id++) {
		usage_note(&s->usage, id, NOW_SEC);
		usage_note(&s->usage, id, NOW_SEC);
	}
	drain(s);
	assert_int_equal(fixture_number(&s->f, "SELECT uses FROM usage WHERE mapping_id = 1"), 2);
	assert_true(
		fixture_number(&s->f, "SELECT uses FROM usage WHERE mapping_id = 2") == INT64_MAX);
	assert_int_equal(
		fixture_number(&s->f, "SELECT last_used FROM usage WHERE mapping_id = 2"), NOW_SEC);
	assert_int_equal(fixture_number(&s->f, "SELECT uses FROM usage WHERE mapping_id = 3"), 2);
}

#define usage_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		usage_test(each_use_is_written_once_in_slices),
		usage_test(what_is_noted_between_two_slices_is_written_too),
		usage_test(a_slice_that_meets_a_writer_is_kept),
		usage_test(mappings_that_share_a_place_are_counted_apart),
		usage_test(a_crowd_is_written_at_once_and_what_is_too_much_is_lost),
		usage_test(slices_leave_time_for_logins_and_are_longer_in_a_crowd),
		usage_test(later_uses_are_added_to_earlier_ones),
		usage_test(a_count_that_can_grow_no_more_keeps_no_other_from_being_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
