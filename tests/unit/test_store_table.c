/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_store_table.c owns the promises about whole rows: every column comes and goes as it is, a
 * row stands for one row, and names that come from files are never SQL.
 */
#include "store_table.h"

#include "fixture.h"
#include "store_migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
	struct fixture f;
	struct store *store;
	struct store_trouble trouble;
};

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof *s);

	assert_non_null(s);
	fixture_init(&s->f);
	assert_int_equal(
		store_open(s->f.path, geteuid(), STORE_USE_TOOL, &s->store, &s->trouble), OK);
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

static struct store_cell text(const char *name, const char *value)
{
	return (struct store_cell){
		.name = name, .kind = STORE_CELL_TEXT, .bytes = span_of_string(value)
	};
}

static struct store_cell number(const char *name, int64_t value)
{
	return (struct store_cell){ .name = name, .kind = STORE_CELL_INTEGER, .number = value };
}

static enum error insert(struct scene *s, const struct store_row *row)
{
	int64_t id;
	enum error error;

	assert_int_equal(store_begin_edit(s->store, "tester", &s->trouble), OK);
	error = store_insert_row(s->store, row, &id, &s->trouble);
	if (error != OK)
		store_rollback(s->store);
	else
		assert_int_equal(store_commit_edit(s->store, &s->trouble), OK);
	return error;
}

static enum error update(struct scene *s, const struct store_row *row, bool *ret_found)
{
	enum error error;

	assert_int_equal(store_begin_edit(s->store, "tester", &s->trouble), OK);
	error = store_update_row(s->store, row, ret_found, &s->trouble);
	if (error != OK)
		store_rollback(s->store);
	else
		assert_int_equal(store_commit_edit(s->store, &s->trouble), OK);
	return error;
}

static void assert_words(struct scene *s, const char *words)
{
	if (!strstr(s->trouble.text, words))
		fail_msg("\"%s\" does not say \"%s\"", s->trouble.text, words);
}

static void names_of_tables_are_those_of_the_schema(void **state)
{
	struct scene *s = *state;
	enum store_table table;

	for (size_t i = 0; i < STORE_TABLES; i++) {
		const char *name = store_table_name((enum store_table)i);
		char sql[128];

		snprintf(sql, sizeof sql,
			"SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '%s'",
			name);
		assert_int_equal(fixture_number(&s->f, sql), 1);
		assert_true(store_table_of(span_of_string(name), &table));
		assert_int_equal(table, i);
	}
	table = STORE_TABLE_TRUST;
	assert_false(store_table_of(span_of_string("history"), &table));
	assert_false(store_table_of(span_of_string("mappin"), &table));
	assert_int_equal(table, STORE_TABLE_TRUST);
}

static enum error look_at_service(const struct store_row *row, void *context)
{
	size_t *count = context;
	int64_t enabled = 7;

	if (!span_is_equal(store_row_text(row, "name"), span_of_string("ftp")))
		return OK;
	(*count)++;
	assert_true(store_row_integer(row, "inherit", &enabled));
	assert_int_equal(enabled, 0);
	assert_false(store_row_integer(row, "enabled", &enabled));
	assert_int_equal(enabled, 0);
	assert_true(span_is_equal(store_row_text(row, "note"), span_of_string("it's \"one\"")));
	assert_null(store_row_cell(row, "colour"));
	assert_false(span_is_present(store_row_text(row, "colour")));
	return OK;
}

static void row_comes_back_as_it_went(void **state)
{
	const struct store_row row = {
		.table = STORE_TABLE_SERVICE,
		.count = 3,
		.cells = { text("name", "ftp"), number("inherit", 0),
			text("note", "it's \"one\"") },
	};
	size_t count = 0;
	struct scene *s = *state;

	assert_int_equal(insert(s, &row), OK);
	assert_int_equal(store_read_table(s->store, STORE_TABLE_SERVICE, look_at_service, &count,
				 &s->trouble),
		OK);
	assert_int_equal(count, 1);
}

static enum error stop(const struct store_row *row, void *context)
{
	(void)row;
	(*(size_t *)context)++;
	return ERROR_TOO_LARGE;
}

static void reading_ends_where_the_reader_says_so(void **state)
{
	struct scene *s = *state;
	size_t count = 0;

	fixture_run(&s->f, "INSERT INTO service (name) VALUES ('ftp')");
	assert_int_equal(store_read_table(s->store, STORE_TABLE_SERVICE, stop, &count, &s->trouble),
		ERROR_TOO_LARGE);
	assert_int_equal(count, 1);
}

static void update_changes_the_row_of_the_key_alone(void **state)
{
	const struct store_row row = {
		.table = STORE_TABLE_CREDENTIAL,
		.count = 3,
		.cells = { text("service", "*"), text("account", "alice"),
			{ .name = "sealed",
				.kind = STORE_CELL_BLOB,
				.bytes = { (const uint8_t *)"\0\1", 2 } } },
	};
	struct scene *s = *state;
	bool is_found = false;

	fixture_run(&s->f, "INSERT INTO credential VALUES ('*', 'alice', x'09'), "
			   "('*', 'bob', x'09'), ('ftp', 'alice', x'09')");
	assert_int_equal(update(s, &row, &is_found), OK);
	assert_true(is_found);
	assert_int_equal(
		fixture_number(&s->f, "SELECT count(*) FROM credential WHERE sealed = x'0001'"), 1);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM credential WHERE "
					       "sealed = x'0001' AND service = '*' AND account = "
					       "'alice'"),
		1);
}

static void row_without_a_part_of_its_key_changes_nothing(void **state)
{
	const struct store_row row = {
		.table = STORE_TABLE_CREDENTIAL,
		.count = 2,
		.cells = { text("service", "*"), { .name = "sealed",
							 .kind = STORE_CELL_BLOB,
							 .bytes = { (const uint8_t *)"\1", 1 } } },
	};
	struct scene *s = *state;
	bool is_found = false;

	fixture_run(&s->f, "INSERT INTO credential VALUES ('*', 'alice', x'09'), "
			   "('*', 'bob', x'09')");
	assert_int_equal(update(s, &row, &is_found), ERROR_REFUSED);
	assert_words(s, "without its account");
	assert_false(is_found);
	assert_int_equal(
		fixture_number(&s->f, "SELECT count(*) FROM credential WHERE sealed = x'09'"), 2);
}

static void row_of_its_key_alone_is_found_or_not(void **state)
{
	const struct store_row defaults = {
		.table = STORE_TABLE_SERVICE, .count = 1, .cells = { text("name", "*") }
	};
	const struct store_row missing = {
		.table = STORE_TABLE_SERVICE, .count = 1, .cells = { text("name", "ftp") }
	};
	struct scene *s = *state;
	bool is_found = false;

	assert_int_equal(update(s, &defaults, &is_found), OK);
	assert_true(is_found);
	assert_int_equal(update(s, &missing, &is_found), OK);
	assert_false(is_found);
}

static void unknown_column_is_refused_by_name_and_is_never_sql(void **state)
{
	const struct store_row row = {
		.table = STORE_TABLE_SERVICE,
		.count = 2,
		.cells = { text("name", "ftp"),
			number("x\") VALUES (1); DELETE FROM service; --", 1) },
	};
	struct scene *s = *state;

	assert_int_equal(insert(s, &row), ERROR_REFUSED);
	assert_words(s, "the table service of this version has no such column");
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM service"), 1);
}

static void words_of_the_schema_come_along(void **state)
{
	const struct store_row row = {
		.table = STORE_TABLE_SERVICE, .count = 1, .cells = { text("name", "FTP") }
	};
	struct scene *s = *state;

	assert_int_equal(insert(s, &row), ERROR_REFUSED);
	assert_words(s, "lower case");
}

static void statement_of_a_row_makes_the_same_row(void **state)
{
	const struct store_row row = {
		.table = STORE_TABLE_SERVICE,
		.count = 3,
		.cells = { text("name", "ftp"), number("enabled", 0), text("note", "o'clock") },
	};
	char *sql STORE_FREE_SQL = NULL;
	struct scene *s = *state;

	assert_int_equal(store_row_sql(s->store, &row, &sql, &s->trouble), OK);
	fixture_run(&s->f, "%s", sql);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM service WHERE name = 'ftp' "
					       "AND enabled = 0 AND note = 'o''clock'"),
		1);
}

static void last_id_counts_what_was_deleted(void **state)
{
	struct span der = fixture_certificate("alice");
	struct scene *s = *state;
	int64_t id = 7;

	assert_int_equal(store_last_id(s->store, STORE_TABLE_MAPPING, &id, &s->trouble), OK);
	assert_int_equal(id, 0);
	fixture_map(&s->f, "*", "alice", der);
	fixture_run(&s->f, "DELETE FROM mapping");
	assert_int_equal(store_last_id(s->store, STORE_TABLE_MAPPING, &id, &s->trouble), OK);
	assert_int_equal(id, 1);
	assert_int_equal(store_last_id(s->store, STORE_TABLE_SERVICE, &id, &s->trouble), OK);
	assert_int_equal(id, 0);
	free((void *)der.bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(names_of_tables_are_those_of_the_schema),
		TEST(row_comes_back_as_it_went),
		TEST(reading_ends_where_the_reader_says_so),
		TEST(update_changes_the_row_of_the_key_alone),
		TEST(row_without_a_part_of_its_key_changes_nothing),
		TEST(row_of_its_key_alone_is_found_or_not),
		TEST(unknown_column_is_refused_by_name_and_is_never_sql),
		TEST(words_of_the_schema_come_along),
		TEST(statement_of_a_row_makes_the_same_row),
		TEST(last_id_counts_what_was_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
