/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_migrate.c owns the making of the file, the run of the migrations, and the copy that is kept
 * beside the file before they touch it.
 */
#include "store_migrate.h"

#include "store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What SQLite puts beside a database. */
static const char *const companions[] = { "-journal", "-wal", "-shm" };
#define COMPANIONS (sizeof companions / sizeof companions[0])

static void close_store(struct store **store)
{
	store_close(*store);
}
#define CLOSE_STORE __attribute__((cleanup(close_store)))

static enum error refuse_existing(const char *path, struct store_trouble *ret_trouble)
{
	store_explain(ret_trouble, "%s exists already: it was left as it is", path);
	return ERROR_REFUSED;
}

/* A journal that an earlier database of this name left would be rolled back into the new one. */
static enum error check_companions(const char *path, struct store_trouble *ret_trouble)
{
	char name[PATH_MAX];
	struct stat status;

	for (size_t i = 0; i < COMPANIONS; i++) {
		if ((size_t)snprintf(name, sizeof name, "%s%s", path, companions[i]) >= sizeof name)
			return store_explain(ret_trouble, "the path of the database is too long");
		if (lstat(name, &status) == 0) {
			store_explain(ret_trouble,
				"%s is left over from an earlier database: move it away first, "
				"unless somebody else makes one now",
				name);
			return ERROR_REFUSED;
		}
	}
	return OK;
}

/* *ret_directory is what the new file's owner is taken from. */
static enum error check_vacant(const char *path, uid_t owner, struct stat *ret_directory,
	struct store_trouble *ret_trouble)
{
	struct stat status;
	enum error error = store_check_directory(path, owner, ret_directory, ret_trouble);

	if (error != OK)
		return error;
	if (lstat(path, &status) == 0)
		return refuse_existing(path, ret_trouble);
	return check_companions(path, ret_trouble);
}

enum error store_check_vacant(const char *path, uid_t owner, struct store_trouble *ret_trouble)
{
	struct stat directory;

	return check_vacant(path, owner, &directory, ret_trouble);
}

/* For what was made here alone: see check_companions(). */
static void remove_made(const char *path)
{
	char name[PATH_MAX];

	for (size_t i = 0; i < COMPANIONS; i++)
		if ((size_t)snprintf(name, sizeof name, "%s%s", path, companions[i]) < sizeof name)
			unlink(name);
	unlink(path);
}

/* O_EXCL and O_NOFOLLOW: root works in a directory of a weaker user, who may have put a link to a
 * foreign file there. The descriptor is closed before SQLite opens the file, because closing it
 * later would drop SQLite's locks (fcntl(2), record locks). */
static enum error make_file(
	const char *path, const struct stat *like, struct store_trouble *ret_trouble)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool is_ours;
	int failure;

	if (fd < 0 && errno == EEXIST)
		return refuse_existing(path, ret_trouble);
	if (fd < 0)
		return store_explain(ret_trouble, "can't make %s: %s", path, strerror(errno));
	is_ours = geteuid() != 0 || fchown(fd, like->st_uid, like->st_gid) == 0;
	/* After fchown, and whatever the umask took away. */
	is_ours = is_ours && fchmod(fd, 0600) == 0;
	failure = errno;
	close(fd);
	if (is_ours)
		return OK;
	unlink(path);
	return store_explain(
		ret_trouble, "can't give %s to its owner: %s", path, strerror(failure));
}

static enum error fail_migration(
	struct store *store, const struct migration *migration, struct store_trouble *ret_trouble)
{
	struct store_trouble trouble;
	enum error error = store_failed(store, &trouble);

	store_rollback(store);
	store_explain(ret_trouble, "%s: %.400s", migration->name, trouble.text);
	return error;
}

/* What a migration of the project must leave behind. */
static enum error check_migrated(struct store *store, const struct migration *migration,
	unsigned version, struct store_trouble *ret_trouble)
{
	int64_t application_id, user_version;
	enum error error = store_read_versions(store, &application_id, &user_version, ret_trouble);

	if (error == OK && (application_id != STORE_APPLICATION_ID || user_version != version))
		error = store_explain(ret_trouble,
			"%s left version %lld behind and not %u: a fault of the program",
			migration->name, (long long)user_version, version);
	return error;
}

/* A file system without shared memory refuses WAL with an answer, not with an error; readers would
 * wait for every writer then. */
static enum error check_journal(struct store *store, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement = NULL;
	enum error error = OK;

	if (sqlite3_prepare_v2(store->db, "PRAGMA journal_mode", -1, &statement, NULL) !=
			SQLITE_OK ||
		sqlite3_step(statement) != SQLITE_ROW)
		error = store_failed(store, ret_trouble);
	else if (strcmp((const char *)sqlite3_column_text(statement, 0), "wal") != 0)
		error = store_explain(ret_trouble,
			"%s: this file system can't hold a database in WAL mode", store->path);
	sqlite3_finalize(statement);
	return error;
}

/* *ret_version counts along, also where it ends in a failure. */
static enum error run_migrations(struct store *store, const struct migration *list, unsigned count,
	unsigned *ret_version, struct store_trouble *ret_trouble)
{
	enum error error;

	while (*ret_version < count) {
		const struct migration *migration = &list[*ret_version];

		if (sqlite3_exec(store->db, migration->sql, NULL, NULL, NULL) != SQLITE_OK)
			return fail_migration(store, migration, ret_trouble);
		++*ret_version;
		error = check_migrated(store, migration, *ret_version, ret_trouble);
		if (error != OK)
			return error;
	}
	return check_journal(store, ret_trouble);
}

static enum error fill_new(const char *path, uid_t owner, const struct migration *list,
	unsigned count, struct store_trouble *ret_trouble)
{
	struct store *store CLOSE_STORE = NULL;
	unsigned version = 0;
	enum error error = store_open_file(path, owner, STORE_USE_TOOL, &store, ret_trouble);

	return error == OK ? run_migrations(store, list, count, &version, ret_trouble) : error;
}

enum error store_create(const char *path, uid_t owner, const struct migration *list, unsigned count,
	struct store_trouble *ret_trouble)
{
	struct stat directory;
	enum error error;

	if ((error = check_vacant(path, owner, &directory, ret_trouble)) != OK ||
		(error = make_file(path, &directory, ret_trouble)) != OK)
		return error;
	if ((error = fill_new(path, owner, list, count, ret_trouble)) != OK)
		remove_made(path);
	return error;
}

/* SQLite's backup reads one state of the database, whoever writes meanwhile, and syncs the copy. */
static enum error fill_copy(
	struct store *store, const char *copy_path, struct store_trouble *ret_trouble)
{
	struct store *copy CLOSE_STORE = NULL;
	sqlite3_backup *backup;
	int step, finish;
	enum error error =
		store_open_file(copy_path, store->owner, STORE_USE_TOOL, &copy, ret_trouble);

	if (error != OK)
		return error;
	backup = sqlite3_backup_init(copy->db, "main", store->db, "main");
	if (!backup)
		return store_failed(copy, ret_trouble);
	step = sqlite3_backup_step(backup, -1);
	finish = sqlite3_backup_finish(backup);
	/* To finish a copy that only met a lock is no error, and leaves it empty. */
	if (step == SQLITE_BUSY || step == SQLITE_LOCKED)
		return ERROR_BUSY;
	return step == SQLITE_DONE && finish == SQLITE_OK ? OK : store_failed(copy, ret_trouble);
}

static enum error keep_copy(
	struct store *store, const char *copy_path, struct store_trouble *ret_trouble)
{
	struct stat status;
	enum error error;

	if (lstat(copy_path, &status) == 0) {
		store_explain(ret_trouble,
			"%s, a copy of an earlier migration, is there already: move it away first, "
			"unless somebody else migrates now",
			copy_path);
		return ERROR_REFUSED;
	}
	if (lstat(store->path, &status) < 0)
		return store_explain(ret_trouble, "%s: %s", store->path, strerror(errno));
	if ((error = check_companions(copy_path, ret_trouble)) != OK ||
		(error = make_file(copy_path, &status, ret_trouble)) != OK)
		return error;
	if ((error = fill_copy(store, copy_path, ret_trouble)) != OK)
		remove_made(copy_path);
	return error;
}

static enum error read_start(struct store *store, unsigned count, unsigned *ret_version,
	struct store_trouble *ret_trouble)
{
	int64_t application_id, version;
	enum error error = store_read_versions(store, &application_id, &version, ret_trouble);

	if (error != OK)
		return error;
	if (application_id != STORE_APPLICATION_ID)
		return store_explain(ret_trouble,
			"%s is not a certmap database (application_id %lld): it was left as it is",
			store->path, (long long)application_id);
	if (version > (int64_t)count)
		return store_explain(ret_trouble,
			"%s has schema version %lld and this program knows only up to %u: "
			"it is too old, and the database was left as it is",
			store->path, (long long)version, count);
	if (version < 1)
		return store_explain(ret_trouble, "%s has schema version %lld, which there is not",
			store->path, (long long)version);
	*ret_version = (unsigned)version;
	return OK;
}

/* The copy is worth keeping from the first migration on that went through. */
static enum error migrate(struct store *store, const struct migration *list, unsigned count,
	struct store_migration *migration, struct store_trouble *ret_trouble)
{
	struct store_trouble trouble;
	enum error error;

	if ((size_t)snprintf(migration->copy, sizeof migration->copy, "%s.v%u", store->path,
		    migration->from) >= sizeof migration->copy)
		return store_explain(ret_trouble, "the path of the database is too long");
	if ((error = keep_copy(store, migration->copy, ret_trouble)) != OK ||
		(error = run_migrations(store, list, count, &migration->to, &trouble)) == OK)
		return error;

	if (migration->to == migration->from) {
		remove_made(migration->copy);
		store_explain(ret_trouble, "%.400s: the database was left as it is", trouble.text);
	} else {
		store_explain(ret_trouble,
			"%.250s: the database is at version %u now, and %.200s holds it as it was",
			trouble.text, migration->to, migration->copy);
	}
	return error;
}

enum error store_read_start(const char *path, uid_t owner, unsigned count, unsigned *ret_version,
	struct store_trouble *ret_trouble)
{
	struct store *store CLOSE_STORE = NULL;
	enum error error = store_open_file(path, owner, STORE_USE_TOOL, &store, ret_trouble);

	return error == OK ? read_start(store, count, ret_version, ret_trouble) : error;
}

enum error store_migrate(const char *path, uid_t owner, const struct migration *list,
	unsigned count, struct store_migration *ret, struct store_trouble *ret_trouble)
{
	struct store *store CLOSE_STORE = NULL;
	struct store_migration migration = { 0 };
	enum error error;

	if ((error = store_open_file(path, owner, STORE_USE_TOOL, &store, ret_trouble)) != OK ||
		(error = read_start(store, count, &migration.from, ret_trouble)) != OK)
		return error;
	migration.to = migration.from;
	if (migration.from < count &&
		(error = migrate(store, list, count, &migration, ret_trouble)) != OK)
		return error;
	*ret = migration;
	return OK;
}
