/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_store_find.c owns the cost of a lookup's statements: none may read a table from end to end,
 * or a stranger could make certmapd read a million rows for every malformed certificate he sends.
 */
#include "store_private.h"

#include "certificate.h"
#include "fixture.h"
#include "index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS 20

static struct store *open_filled(struct fixture *f)
{
	struct span der = fixture_certificate("alice");
	struct store_trouble trouble = { "" };
	struct store *store = NULL;
	char account[16];
	bool more = true;

	fixture_init(f);
	for (uint32_t i = 0; i < ROWS; i++) {
		fixture_vary(der, i);
		snprintf(account, sizeof account, "user%u", i);
		fixture_map(f, "*", account, der);
	}
	free((void *)der.bytes);
	assert_int_equal(certificate_init(), OK);
	assert_int_equal(store_open(f->path, geteuid(), STORE_USE_DAEMON, &store, &trouble), OK);
	while (more)
		assert_int_equal(index_settle(store, 1000000, &more, &trouble), OK);
	assert_int_equal(
		fixture_number(f, "SELECT count(*) FROM fact WHERE problem IS NULL"), ROWS);
	return store;
}

static void no_question_reads_a_table_from_end_to_end(void **state)
{
	static const enum store_slot slots[] = {
		[STORE_BY_NOTHING] = STORE_FIND_SERVICE,
		[STORE_BY_FINGERPRINT] = STORE_FIND_FINGERPRINT,
		[STORE_BY_KEY] = STORE_FIND_KEY,
		[STORE_BY_NAMES] = STORE_FIND_NAMES,
		[STORE_BY_NAME] = STORE_FIND_NAME,
	};
	struct fixture f;
	struct store *store = open_filled(&f);

	(void)state;
	for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
		struct store_question question = {
			.by = (enum store_by)i,
			.service = span_of_string("proftpd"),
			.first = span_of_string("nobody's"),
			.second = span_of_string("nobody's"),
		};
		struct store_trouble trouble = { "" };
		struct store_answer answer;

		assert_int_equal(store_find(store, &question, &answer, &trouble), OK);
		assert_int_equal(answer.mapping_count, 0);
		assert_int_equal(sqlite3_stmt_status(store->statements[slots[i]],
					 SQLITE_STMTSTATUS_FULLSCAN_STEP, 0),
			0);
	}
	store_close(store);
	certificate_done();
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_question_reads_a_table_from_end_to_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
