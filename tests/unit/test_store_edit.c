/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_store_edit.c owns the promises about the changes that certmapctl makes: the history knows
 * who, a refusal brings the schema's words, and a certificate is stored as it came; and about the
 * view in which a person sees the outcome.
 */
#include "store_edit.h"

#include "fixture.h"
#include "store_migrate.h"
#include "store_status.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
	struct fixture f;
	struct store *store;
	struct store_trouble trouble;
	struct span der;
	char *pem;
};

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof *s);

	assert_non_null(s);
	fixture_init(&s->f);
	s->der = fixture_certificate("alice");
	s->pem = fixture_pem(s->der);
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
	free(s->pem);
	free((void *)s->der.bytes);
	free(s);
	return 0;
}

static struct store_new_mapping mapping_of(struct scene *s)
{
	return (struct store_new_mapping){
		.service = "proftpd",
		.account = "alice",
		.certificate = s->der,
		.enabled = true,
	};
}

static int64_t add(struct scene *s, const struct store_new_mapping *mapping, const char *who)
{
	int64_t id = 0;

	assert_int_equal(store_begin_edit(s->store, who, &s->trouble), OK);
	assert_int_equal(store_insert_mapping(s->store, mapping, &id, &s->trouble), OK);
	assert_int_equal(store_commit_edit(s->store, &s->trouble), OK);
	return id;
}

static void edit_tells_the_history_who_and_forgets_it(void **state)
{
	struct scene *s = *state;
	struct store_new_mapping mapping = mapping_of(s);
	int64_t id = add(s, &mapping, "anna");
	bool is_found = false;

	assert_int_equal(fixture_number(&s->f,
				 "SELECT count(*) FROM history WHERE who = 'anna'"
				 " AND change = 'insert'"),
		1);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM actor"), 0);
	fixture_run(&s->f, "UPDATE mapping SET note = 'by hand'");
	assert_int_equal(fixture_number(&s->f,
				 "SELECT count(*) FROM history WHERE who IS NULL"
				 " AND change = 'update'"),
		1);

	assert_int_equal(store_begin_edit(s->store, "bert", &s->trouble), OK);
	assert_int_equal(store_delete_mapping(s->store, id, &is_found, &s->trouble), OK);
	assert_int_equal(store_commit_edit(s->store, &s->trouble), OK);
	assert_true(is_found);
	assert_int_equal(fixture_number(&s->f,
				 "SELECT count(*) FROM history WHERE who = 'bert'"
				 " AND change = 'delete'"),
		1);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM actor"), 0);
}

static void edit_ignores_a_name_that_a_shell_left_behind(void **state)
{
	struct scene *s = *state;
	struct store_new_mapping mapping = mapping_of(s);

	fixture_run(&s->f, "INSERT INTO actor (name) VALUES ('mallory')");
	add(s, &mapping, "anna");
	assert_int_equal(
		fixture_number(&s->f, "SELECT count(*) FROM history WHERE who = 'anna'"), 1);
	assert_int_equal(
		fixture_number(&s->f, "SELECT count(*) FROM history WHERE who = 'mallory'"), 0);
}

static void edit_that_is_rolled_back_leaves_nothing(void **state)
{
	struct scene *s = *state;
	struct store_new_mapping mapping = mapping_of(s);
	int64_t id;

	assert_int_equal(store_begin_edit(s->store, "anna", &s->trouble), OK);
	assert_int_equal(store_insert_mapping(s->store, &mapping, &id, &s->trouble), OK);
	store_rollback(s->store);
	assert_int_equal(fixture_number(&s->f,
				 "SELECT (SELECT count(*) FROM mapping)"
				 " + (SELECT count(*) FROM history)"
				 " + (SELECT count(*) FROM actor)"
				 " + (SELECT count(*) FROM pending)"),
		0);
}

static void insert_keeps_the_bytes_as_they_came(void **state)
{
	struct scene *s = *state;
	struct store_new_mapping mapping = mapping_of(s);
	sqlite3_stmt *statement;

	mapping.certificate = span_of_string(s->pem);
	mapping.note = "laptop";
	mapping.has_uid = true;
	mapping.uid = 4294967294;
	mapping.enabled = false;
	add(s, &mapping, "anna");
	assert_int_equal(sqlite3_prepare_v2(s->f.shell,
				 "SELECT certificate FROM mapping"
				 " WHERE typeof(certificate) = 'blob'"
				 " AND account = 'alice' AND service = 'proftpd' AND enabled = 0"
				 " AND account_uid = 4294967294 AND note = 'laptop'",
				 -1, &statement, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_int_equal(sqlite3_column_bytes(statement, 0), strlen(s->pem));
	assert_memory_equal(sqlite3_column_blob(statement, 0), s->pem, strlen(s->pem));
	sqlite3_finalize(statement);
}

static void insert_brings_the_words_of_a_refusal(void **state)
{
	struct scene *s = *state;
	struct store_new_mapping mapping = mapping_of(s);
	int64_t id = -7;

	add(s, &mapping, "anna");
	mapping.account = "bob";
	assert_int_equal(store_begin_edit(s->store, "anna", &s->trouble), OK);
	assert_int_equal(store_insert_mapping(s->store, &mapping, &id, &s->trouble), ERROR_REFUSED);
	store_rollback(s->store);
	assert_int_equal(id, -7);
	assert_int_equal(strncmp(s->trouble.text, "this certificate is mapped already for this "
						  "service", 43),
		0);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM mapping"), 1);
}

static void delete_says_that_there_is_no_such_mapping(void **state)
{
	struct scene *s = *state;
	struct store_new_mapping mapping = mapping_of(s);
	int64_t id = add(s, &mapping, "anna");
	bool is_found = true;

	assert_int_equal(store_begin_edit(s->store, "anna", &s->trouble), OK);
	assert_int_equal(store_delete_mapping(s->store, id + 1, &is_found, &s->trouble), OK);
	assert_int_equal(store_commit_edit(s->store, &s->trouble), OK);
	assert_false(is_found);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM mapping"), 1);
}

struct seen {
	size_t count;
	char accounts[64];
	struct { bool is_there, is_number; } cells[STATUS_COLUMNS];
	enum error answer;
};

static enum error see(const struct store_status *row, void *context)
{
	struct seen *seen = context;
	struct span account = row->text[STATUS_ACCOUNT];

	seen->count++;
	strncat(seen->accounts, (const char *)account.bytes, account.length);
	strcat(seen->accounts, " ");
	for (size_t i = 0; i < STATUS_COLUMNS; i++) {
		seen->cells[i].is_there = span_is_present(row->text[i]);
		seen->cells[i].is_number = row->is_number[i];
	}
	return seen->answer;
}

static void add_three(struct scene *s)
{
	struct store_new_mapping mapping = mapping_of(s);

	for (uint32_t i = 0; i < 3; i++) {
		mapping.service = i == 1 ? "*" : "proftpd";
		mapping.account = (const char *[]){ "zoe", "alice", "bob" }[i];
		add(s, &mapping, "anna");
		fixture_vary(s->der, i);
	}
}

static void list_goes_by_id_and_chooses_byte_for_byte(void **state)
{
	struct scene *s = *state;
	static const struct { const char *service, *account, *accounts; } rows[] = {
		{ NULL, NULL, "zoe alice bob " },
		{ "proftpd", NULL, "zoe bob " },
		{ "*", NULL, "alice " },
		{ NULL, "bob", "bob " },
		{ "*", "bob", "" },
		{ NULL, "Bob", "" },
		{ "proftp", NULL, "" },
	};

	add_three(s);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct seen seen = { 0 };

		assert_int_equal(store_list_status(s->store, rows[i].service, rows[i].account, see,
					 &seen, &s->trouble),
			OK);
		assert_string_equal(seen.accounts, rows[i].accounts);
	}
}

static void status_tells_numbers_from_text_and_null(void **state)
{
	struct scene *s = *state;
	struct store_new_mapping mapping = mapping_of(s);
	struct seen seen = { 0 };
	bool is_found = false;

	mapping.note = "7";
	assert_int_equal(store_find_status(s->store, add(s, &mapping, "anna"), see, &seen,
				 &is_found, &s->trouble),
		OK);
	assert_true(is_found);
	assert_true(seen.cells[STATUS_ID].is_number);
	assert_true(seen.cells[STATUS_NOTE].is_there);
	assert_false(seen.cells[STATUS_NOTE].is_number);
	assert_false(seen.cells[STATUS_ACCOUNT_UID].is_there);
	assert_false(seen.cells[STATUS_SUBJECT].is_there); /* nobody has worked it out */
}

/* The view and the list of columns are written down twice. */
static void status_columns_are_those_of_the_view(void **state)
{
	struct scene *s = *state;

	assert_int_equal(fixture_number(&s->f,
				 "SELECT count(*) FROM pragma_table_info('mapping_status')"),
		STATUS_COLUMNS);
	for (int i = 0; i < STATUS_COLUMNS; i++) {
		char sql[160];

		snprintf(sql, sizeof sql,
			"SELECT count(*) FROM pragma_table_info('mapping_status')"
			" WHERE cid = %d AND name = '%s'",
			i, store_status_name((enum store_status_column)i));
		assert_int_equal(fixture_number(&s->f, sql), 1);
	}
}

static void list_ends_with_the_first_error_of_who_takes_the_rows(void **state)
{
	struct scene *s = *state;
	struct seen seen = { .answer = ERROR_MEMORY };

	add_three(s);
	assert_int_equal(
		store_list_status(s->store, NULL, NULL, see, &seen, &s->trouble), ERROR_MEMORY);
	assert_int_equal(seen.count, 1);
}

static void find_status_says_that_there_is_no_such_mapping(void **state)
{
	struct scene *s = *state;
	struct seen seen = { 0 };
	bool is_found = true;

	assert_int_equal(
		store_find_status(s->store, 1, see, &seen, &is_found, &s->trouble), OK);
	assert_false(is_found);
	assert_int_equal(seen.count, 0);
}

static void handle_that_was_left_inside_of_a_transaction_is_to_be_closed(void **state)
{
	struct scene *s = *state;

	assert_int_equal(store_check_place(s->store, &s->trouble), OK);
	assert_int_equal(store_begin_read(s->store, &s->trouble), OK);
	assert_int_equal(store_check_place(s->store, &s->trouble), ERROR_STORE);
	assert_non_null(strstr(s->trouble.text, "inside of a transaction"));
	store_rollback(s->store);
	assert_int_equal(store_check_place(s->store, &s->trouble), OK);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(edit_tells_the_history_who_and_forgets_it),
		SCENE_TEST(edit_ignores_a_name_that_a_shell_left_behind),
		SCENE_TEST(edit_that_is_rolled_back_leaves_nothing),
		SCENE_TEST(insert_keeps_the_bytes_as_they_came),
		SCENE_TEST(insert_brings_the_words_of_a_refusal),
		SCENE_TEST(delete_says_that_there_is_no_such_mapping),
		SCENE_TEST(list_goes_by_id_and_chooses_byte_for_byte),
		SCENE_TEST(status_tells_numbers_from_text_and_null),
		SCENE_TEST(status_columns_are_those_of_the_view),
		SCENE_TEST(list_ends_with_the_first_error_of_who_takes_the_rows),
		SCENE_TEST(find_status_says_that_there_is_no_such_mapping),
		SCENE_TEST(handle_that_was_left_inside_of_a_transaction_is_to_be_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
