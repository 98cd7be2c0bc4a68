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

/* As certmapd does, while it is due at once. */
static void drain(struct scene *s)
{
	do
		assert_int_equal(usage_write(&s->usage, s->store), OK);
	while (usage_due_usec(&s->usage) == 0);
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
	/* The last two wait for their own time. */
	assert_int_equal(fixture_number(&s->f, "SELECT sum(uses) FROM usage"), ROWS);
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
	while (s->usage.count > 0)
		assert_int_equal(usage_write(&s->usage, s->store), OK);
	assert_int_equal(fixture_number(&s->f, "SELECT sum(uses) FROM usage"), ROWS);
}

#define usage_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		usage_test(each_use_is_written_once_in_slices),
		usage_test(what_is_noted_between_two_slices_is_written_too),
		usage_test(a_slice_that_meets_a_writer_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
