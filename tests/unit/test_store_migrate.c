/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_store_migrate.c owns the promises about making a database and migrating one: nothing that
 * was there is ever lost, and a failure in the middle leaves what was before.
 */
#include "store_migrate.h"

#include "fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

/* As the project's own look like: one transaction that checks where it starts. */
#define MIGRATION(from, to, body)                                                                  \
	"BEGIN IMMEDIATE; CREATE TEMP TABLE start (n); CREATE TEMP TRIGGER starts BEFORE INSERT "  \
	"ON start WHEN NEW.n <> " from " BEGIN SELECT RAISE(ABORT, 'wrong start'); END; "          \
	"INSERT INTO start SELECT user_version FROM pragma_user_version; DROP TABLE temp.start; " \
	"PRAGMA user_version = " to "; " body " COMMIT;"

static const char to_two[] = MIGRATION("1", "2", "CREATE TABLE two (x);");
static const char to_three[] = MIGRATION("2", "3", "CREATE TABLE three (x);");
static const char broken[] = MIGRATION("2", "3", "CREATE TABLE three (x); SELECT no_such();");
static const char broken_two[] = MIGRATION("1", "2", "CREATE TABLE two (x); SELECT no_such();");

struct scene {
	struct fixture f;
	struct store_trouble trouble;
	struct store_migration done;
	struct migration list[3]; /* the first is the project's, and the database is its */
};

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof *s);

	assert_non_null(s);
	fixture_init_version(&s->f, 1);
	s->list[0] = migrations[0];
	s->list[1] = (struct migration){ "0002-two.sql", to_two };
	s->list[2] = (struct migration){ "0003-three.sql", to_three };
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	fixture_done(&s->f);
	free(s);
	return 0;
}

/* For what is made: the fixture's own database stands in the way. */
static const char *new_path(struct scene *s, char buffer[128])
{
	snprintf(buffer, 128, "%s/new.db", s->f.directory);
	return buffer;
}

static bool is_there(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

static size_t count_files(struct scene *s)
{
	char command[128];
	FILE *pipe;
	size_t count = 0;

	snprintf(command, sizeof command, "ls -A '%s' | wc -l", s->f.directory);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%zu", &count), 1);
	pclose(pipe);
	return count;
}

static void open_shell(struct scene *s, const char *path)
{
	assert_true(strlen(path) < sizeof s->f.path);
	strcpy(s->f.path, path);
	fixture_reopen(&s->f);
}

static enum error create(struct scene *s, const char *path)
{
	return store_create(path, geteuid(), migrations, migration_count, &s->trouble);
}

static enum error migrate(struct scene *s, unsigned count)
{
	return store_migrate(s->f.path, geteuid(), s->list, count, &s->done, &s->trouble);
}

static void assert_words(struct scene *s, const char *words)
{
	if (!strstr(s->trouble.text, words))
		fail_msg("\"%s\" does not say \"%s\"", s->trouble.text, words);
}

static void create_makes_a_database_of_the_current_version(void **state)
{
	struct scene *s = *state;
	char path[128];
	struct stat status;

	assert_int_equal(create(s, new_path(s, path)), OK);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	open_shell(s, path);
	assert_int_equal(fixture_number(&s->f, "SELECT application_id FROM pragma_application_id"),
		0x434d4150);
	assert_int_equal(fixture_number(&s->f, "SELECT user_version FROM pragma_user_version"),
		migration_count);
	assert_int_equal(fixture_number(&s->f,
				 "SELECT journal_mode = 'wal' FROM pragma_journal_mode"),
		1);
	assert_int_equal(fixture_number(&s->f, "SELECT count(*) FROM service WHERE name = '*'"), 1);
}

static void create_keeps_mode_0600_under_any_umask(void **state)
{
	struct scene *s = *state;
	char path[128];
	struct stat status;
	mode_t mask = umask(0277);
	enum error error = create(s, new_path(s, path));

	umask(mask);
	assert_int_equal(error, OK);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
}

static void create_gives_the_file_to_the_owner_of_the_directory(void **state)
{
	struct scene *s = *state;
	char path[128];
	struct stat status;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(s->f.directory, NOBODY, NOBODY), 0);
	assert_int_equal(store_create(new_path(s, path), NOBODY, migrations, migration_count,
				 &s->trouble),
		OK);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, NOBODY);
	assert_int_equal(status.st_gid, NOBODY);
}

static void create_refuses_a_file_that_is_there(void **state)
{
	struct scene *s = *state;
	struct stat before, after;

	assert_int_equal(stat(s->f.path, &before), 0);
	assert_int_equal(create(s, s->f.path), ERROR_REFUSED);
	assert_words(s, "exists already");
	assert_int_equal(stat(s->f.path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

static void create_refuses_a_link_and_does_not_follow_it(void **state)
{
	struct scene *s = *state;
	char path[128], target[128];

	snprintf(target, sizeof target, "%s/elsewhere", s->f.directory);
	assert_int_equal(symlink(target, new_path(s, path)), 0);
	assert_int_equal(create(s, path), ERROR_REFUSED);
	assert_true(is_there(path));
	assert_false(is_there(target));
}

static void create_refuses_a_directory_and_a_fifo(void **state)
{
	struct scene *s = *state;
	char path[128];

	assert_int_equal(mkdir(new_path(s, path), 0700), 0);
	assert_int_equal(create(s, path), ERROR_REFUSED);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(create(s, path), ERROR_REFUSED);
	assert_true(is_there(path));
}

static void create_refuses_a_journal_that_is_left_over(void **state)
{
	static const char *const suffixes[] = { "-journal", "-wal", "-shm" };
	struct scene *s = *state;
	char path[128], journal[160];

	for (size_t i = 0; i < 3; i++) {
		snprintf(journal, sizeof journal, "%s%s", new_path(s, path), suffixes[i]);
		close(open(journal, O_CREAT | O_WRONLY, 0600));
		assert_int_equal(create(s, path), ERROR_REFUSED);
		assert_words(s, suffixes[i]);
		assert_true(is_there(journal));
		assert_false(is_there(path));
		unlink(journal);
	}
}

static void create_names_the_remedy_for_a_missing_directory(void **state)
{
	struct scene *s = *state;

	assert_int_equal(create(s, "/nonexistent/certmap/mappings.db"), ERROR_STORE);
	assert_words(s, "/nonexistent/certmap is missing");
	assert_words(s, "systemd-tmpfiles --create");
	assert_words(s, "install -d -m 0700 -o certmap -g certmap /nonexistent/certmap");
}

static void create_refuses_a_directory_that_others_can_write(void **state)
{
	struct scene *s = *state;
	char path[128];

	assert_int_equal(chmod(s->f.directory, 0770), 0);
	assert_int_equal(create(s, new_path(s, path)), ERROR_STORE);
	assert_words(s, "writable by others");
	assert_false(is_there(path));
}

static void create_leaves_nothing_after_a_failure(void **state)
{
	struct scene *s = *state;
	size_t count = count_files(s);
	char path[128];

	s->list[2].sql = broken;
	assert_int_equal(store_create(new_path(s, path), geteuid(), s->list, 3, &s->trouble),
		ERROR_STORE);
	assert_words(s, "0003-three.sql");
	assert_words(s, "no_such");
	assert_int_equal(count_files(s), count);
}

static void migrate_leaves_a_current_database_alone(void **state)
{
	struct scene *s = *state;
	struct stat before, after;

	fixture_checkpoint(&s->f);
	assert_int_equal(stat(s->f.path, &before), 0);
	assert_int_equal(migrate(s, 1), OK);
	assert_int_equal(s->done.from, 1);
	assert_int_equal(s->done.to, 1);
	assert_string_equal(s->done.copy, "");
	assert_int_equal(stat(s->f.path, &after), 0);
	assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
}

static void migrate_runs_what_is_missing_in_order(void **state)
{
	struct scene *s = *state;

	assert_int_equal(migrate(s, 3), OK);
	assert_int_equal(s->done.from, 1);
	assert_int_equal(s->done.to, 3);
	assert_int_equal(fixture_number(&s->f, "SELECT user_version FROM pragma_user_version"), 3);
	assert_int_equal(fixture_number(&s->f,
				 "SELECT count(*) FROM sqlite_schema"
				 " WHERE name IN ('two', 'three')"),
		2);
}

/* The row is in the WAL alone, as after any edit: a copy of the file would not have it. */
static void migrate_keeps_a_copy_of_everything_that_was_committed(void **state)
{
	struct scene *s = *state;
	char expected[128];
	struct stat status;

	fixture_checkpoint(&s->f);
	fixture_run(&s->f, "INSERT INTO service (name, note) VALUES ('proftpd', 'the last')");
	assert_int_equal(migrate(s, 3), OK);
	snprintf(expected, sizeof expected, "%s.v1", s->f.path);
	assert_string_equal(s->done.copy, expected);
	assert_int_equal(stat(expected, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);

	open_shell(s, expected);
	assert_int_equal(fixture_number(&s->f, "SELECT user_version FROM pragma_user_version"), 1);
	assert_int_equal(fixture_number(&s->f,
				 "SELECT count(*) FROM service WHERE note = 'the last'"),
		1);
	assert_int_equal(
		fixture_number(&s->f,
			"SELECT integrity_check = 'ok' FROM pragma_integrity_check"),
		1);
}

static void migrate_gives_the_copy_to_the_owner_of_the_database(void **state)
{
	struct scene *s = *state;
	struct stat status;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(s->f.directory, NOBODY, NOBODY), 0);
	assert_int_equal(chown(s->f.path, NOBODY, NOBODY), 0);
	assert_int_equal(
		store_migrate(s->f.path, NOBODY, s->list, 2, &s->done, &s->trouble), OK);
	assert_int_equal(stat(s->done.copy, &status), 0);
	assert_int_equal(status.st_uid, NOBODY);
	assert_int_equal(status.st_gid, NOBODY);
}

static void migrate_never_overwrites_a_copy(void **state)
{
	struct scene *s = *state;
	char copy[128];
	struct stat status;

	snprintf(copy, sizeof copy, "%s.v1", s->f.path);
	close(open(copy, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(migrate(s, 2), ERROR_REFUSED);
	assert_words(s, copy);
	assert_int_equal(stat(copy, &status), 0);
	assert_int_equal(status.st_size, 0);
	assert_int_equal(fixture_number(&s->f, "SELECT user_version FROM pragma_user_version"), 1);
}

static void migrate_does_not_follow_a_link_in_place_of_the_copy(void **state)
{
	struct scene *s = *state;
	char copy[128], target[128];

	snprintf(copy, sizeof copy, "%s.v1", s->f.path);
	snprintf(target, sizeof target, "%s/elsewhere", s->f.directory);
	assert_int_equal(symlink(target, copy), 0);
	assert_int_equal(migrate(s, 2), ERROR_REFUSED);
	assert_false(is_there(target));
}

static void migrate_that_fails_at_once_leaves_no_trace(void **state)
{
	struct scene *s = *state;
	char copy[128];

	s->list[1].sql = broken_two;
	assert_int_equal(migrate(s, 3), ERROR_STORE);
	assert_words(s, "0002-two.sql");
	assert_words(s, "left as it is");
	snprintf(copy, sizeof copy, "%s.v1", s->f.path);
	assert_false(is_there(copy));
	assert_int_equal(fixture_number(&s->f, "SELECT user_version FROM pragma_user_version"), 1);
	assert_int_equal(fixture_number(&s->f,
				 "SELECT count(*) FROM sqlite_schema WHERE name = 'two'"),
		0);
}

static void migrate_that_fails_later_keeps_what_was_reached_and_the_copy(void **state)
{
	struct scene *s = *state;
	char copy[128];

	s->list[2].sql = broken;
	assert_int_equal(migrate(s, 3), ERROR_STORE);
	assert_words(s, "0003-three.sql");
	snprintf(copy, sizeof copy, "%s.v1", s->f.path);
	assert_words(s, copy);
	assert_true(is_there(copy));
	assert_int_equal(fixture_number(&s->f, "SELECT user_version FROM pragma_user_version"), 2);
	assert_int_equal(fixture_number(&s->f,
				 "SELECT count(*) FROM sqlite_schema WHERE name = 'three'"),
		0);
}

/* The words of a migration that finds rows in its way are for the person. */
static void migrate_passes_on_why_a_migration_refuses(void **state)
{
	struct scene *s = *state;

	s->list[1].sql = to_three; /* starts from 2 */
	assert_int_equal(migrate(s, 2), ERROR_REFUSED);
	assert_words(s, "wrong start");
}

static void migrate_waits_for_a_writer_and_gives_up(void **state)
{
	struct scene *s = *state;
	char copy[128];

	fixture_run(&s->f, "BEGIN IMMEDIATE; INSERT INTO service (name) VALUES ('proftpd')");
	assert_int_equal(migrate(s, 2), ERROR_BUSY);
	snprintf(copy, sizeof copy, "%s.v1", s->f.path);
	assert_false(is_there(copy));
	fixture_run(&s->f, "COMMIT");
	assert_int_equal(migrate(s, 2), OK);
}

static void migrate_refuses_a_newer_database(void **state)
{
	struct scene *s = *state;

	fixture_run(&s->f, "PRAGMA user_version = 4");
	assert_int_equal(migrate(s, 3), ERROR_STORE);
	assert_words(s, "schema version 4");
	assert_int_equal(fixture_number(&s->f, "SELECT user_version FROM pragma_user_version"), 4);
}

static void migrate_refuses_a_version_that_there_is_not(void **state)
{
	struct scene *s = *state;

	fixture_run(&s->f, "PRAGMA user_version = 0");
	assert_int_equal(migrate(s, 3), ERROR_STORE);
	fixture_run(&s->f, "PRAGMA user_version = -1");
	assert_int_equal(migrate(s, 3), ERROR_STORE);
}

static void migrate_refuses_a_foreign_database(void **state)
{
	struct scene *s = *state;
	size_t count;

	fixture_run(&s->f, "PRAGMA application_id = 7");
	count = count_files(s);
	assert_int_equal(migrate(s, 3), ERROR_STORE);
	assert_words(s, "not a certmap database");
	assert_int_equal(count_files(s), count);
}

static void migrate_refuses_what_is_no_database(void **state)
{
	struct scene *s = *state;
	char path[128];
	FILE *file = fopen(new_path(s, path), "w");

	assert_non_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("this is not a database\n", file);
	fclose(file);
	assert_int_equal(
		store_migrate(path, geteuid(), s->list, 3, &s->done, &s->trouble), ERROR_STORE);
	assert_words(s, "not a database");
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(create_makes_a_database_of_the_current_version),
		SCENE_TEST(create_keeps_mode_0600_under_any_umask),
		SCENE_TEST(create_gives_the_file_to_the_owner_of_the_directory),
		SCENE_TEST(create_refuses_a_file_that_is_there),
		SCENE_TEST(create_refuses_a_link_and_does_not_follow_it),
		SCENE_TEST(create_refuses_a_directory_and_a_fifo),
		SCENE_TEST(create_refuses_a_journal_that_is_left_over),
		SCENE_TEST(create_names_the_remedy_for_a_missing_directory),
		SCENE_TEST(create_refuses_a_directory_that_others_can_write),
		SCENE_TEST(create_leaves_nothing_after_a_failure),
		SCENE_TEST(migrate_leaves_a_current_database_alone),
		SCENE_TEST(migrate_runs_what_is_missing_in_order),
		SCENE_TEST(migrate_keeps_a_copy_of_everything_that_was_committed),
		SCENE_TEST(migrate_gives_the_copy_to_the_owner_of_the_database),
		SCENE_TEST(migrate_never_overwrites_a_copy),
		SCENE_TEST(migrate_does_not_follow_a_link_in_place_of_the_copy),
		SCENE_TEST(migrate_that_fails_at_once_leaves_no_trace),
		SCENE_TEST(migrate_that_fails_later_keeps_what_was_reached_and_the_copy),
		SCENE_TEST(migrate_passes_on_why_a_migration_refuses),
		SCENE_TEST(migrate_waits_for_a_writer_and_gives_up),
		SCENE_TEST(migrate_refuses_a_newer_database),
		SCENE_TEST(migrate_refuses_a_version_that_there_is_not),
		SCENE_TEST(migrate_refuses_a_foreign_database),
		SCENE_TEST(migrate_refuses_what_is_no_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
