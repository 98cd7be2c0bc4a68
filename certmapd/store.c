/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.c owns opening: the checks on file and directory, application and version, and the
 * settings of the handle.
 */
#include "store_private.h"

#include "migrations.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* SQLite's own cache: room for the upper levels of what a lookup goes down in a million mappings,
 * which are 950 pages of 4 KiB. All others are read through the page cache of the kernel, and must
 * not make the daemon fat. */
#define CACHE_KIBIBYTES "4096"

/* The indexes of a bulk load are written in no order: the more of their pages stay in memory, and
 * the rarer the log is brought into the file, the fewer times each is written. Both are given back
 * when the load is done. */
#define BATCH_SETTINGS "PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 16384"

/* Unless a person says otherwise: longer than an edit of somebody else takes. */
#define TOOL_PATIENCE_MSEC 5000

/* Static because it is a person's for the whole run of a tool, which has one thread. */
static unsigned tool_patience_msec = TOOL_PATIENCE_MSEC;

void store_set_patience(unsigned patience_msec)
{
	tool_patience_msec = patience_msec;
}

static enum error check_owner(const char *what, const char *path, const struct stat *status,
	uid_t owner, struct store_trouble *ret_trouble)
{
	if (status->st_uid != 0 && status->st_uid != owner)
		return store_explain(ret_trouble,
			"%s %s belongs to uid %u: it must belong to root or to uid %u", what, path,
			(unsigned)status->st_uid, (unsigned)owner);
	if (status->st_mode & (S_IWGRP | S_IWOTH))
		return store_explain(ret_trouble,
			"%s %s is writable by others (mode %04o): chmod go-w %s", what, path,
			(unsigned)status->st_mode & 07777, path);
	return OK;
}

/* lstat(2): a symbolic link in either place could be pointed elsewhere between two looks. */
enum error store_check_directory(
	const char *path, uid_t owner, struct stat *ret_status, struct store_trouble *ret_trouble)
{
	char copy[PATH_MAX];
	struct stat status;
	const char *directory;
	enum error error;

	if ((size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy)
		return store_explain(ret_trouble, "the path of the database is too long");
	directory = dirname(copy);

	if (lstat(directory, &status) < 0)
		return errno == ENOENT ? store_explain(ret_trouble,
						 "directory %s is missing: `systemd-tmpfiles "
						 "--create` makes that of an "
						 "installed certmap, and so does "
						 "`install -d -m 0700 -o certmap -g certmap %s`",
						 directory, directory)
				       : store_explain(ret_trouble, "directory %s: %s", directory,
						 strerror(errno));
	if (!S_ISDIR(status.st_mode))
		return store_explain(ret_trouble,
			"%s is not a directory (a symbolic link is not followed)", directory);
	error = check_owner("directory", directory, &status, owner, ret_trouble);
	if (error == OK)
		*ret_status = status;
	return error;
}

static enum error check_place(
	const char *path, uid_t owner, struct stat *ret_status, struct store_trouble *ret_trouble)
{
	struct stat directory_status, status;
	enum error error = store_check_directory(path, owner, &directory_status, ret_trouble);

	if (error != OK)
		return error;
	if (lstat(path, &status) < 0)
		return errno == ENOENT
			       ? store_explain(ret_trouble,
					 "database %s is missing: `certmapctl init` makes one",
					 path)
			       : store_explain(
					 ret_trouble, "database %s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return store_explain(ret_trouble,
			"database %s is not a regular file (a symbolic link is not followed)",
			path);
	error = check_owner("database", path, &status, owner, ret_trouble);
	if (error == OK)
		*ret_status = status;
	return error;
}

bool store_keeps_lock(const struct store *store)
{
	return store->unended_locks != store_unended_locks();
}

enum error store_check_place(struct store *store, struct store_trouble *ret_trouble)
{
	struct stat status;
	enum error error = check_place(store->path, store->owner, &status, ret_trouble);

	if (error != OK)
		return error;
	if (status.st_dev != store->device || status.st_ino != store->inode)
		return store_explain(ret_trouble, "database %s is another file now", store->path);
	/* Without memory nothing might have ended it. Whoever reads in it sees no edit any more,
	 * and nobody can write beside it. */
	if (!sqlite3_get_autocommit(store->db))
		return store_explain(
			ret_trouble, "database %s was left inside of a transaction", store->path);
	if (store_keeps_lock(store))
		return store_explain(ret_trouble,
			"database %s: the system did not end a lock; it is opened again to end it",
			store->path);
	if (store->is_barred && store_may_write(store))
		return store_explain(ret_trouble, "database %s may be written again", store->path);
	return store_check_companions(store, ret_trouble);
}

enum error store_read_versions(struct store *store, int64_t *ret_application_id,
	int64_t *ret_user_version, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_VERSION,
		"SELECT application_id, user_version FROM pragma_application_id, "
		"pragma_user_version",
		&statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_step(statement) != SQLITE_ROW)
		return store_failed(store, ret_trouble);
	*ret_application_id = sqlite3_column_int64(statement, 0);
	*ret_user_version = sqlite3_column_int64(statement, 1);
	return OK;
}

static bool is_moved(const struct store *store)
{
	struct stat status;

	return lstat(store->path, &status) < 0 || status.st_dev != store->device ||
	       status.st_ino != store->inode;
}

enum error store_leave(struct store *store, struct store_trouble *ret_trouble)
{
	if (!store->db || !is_moved(store) || store_companions_are_foreign(store) ||
		sqlite3_wal_checkpoint_v2(
			store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK)
		return OK;
	/* Another program still reads or writes the file that was there before. */
	if (store_failed(store, ret_trouble) == ERROR_BUSY)
		return ERROR_BUSY;
	store_explain(ret_trouble,
		"database %s was replaced, and its -wal file still holds changes of the one "
		"before: %s",
		store->path, sqlite3_errmsg(store->db));
	return ERROR_SYSTEM;
}

void store_checkpoint(struct store *store)
{
	sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static enum error check_version(struct store *store, struct store_trouble *ret_trouble)
{
	int64_t application_id, user_version;
	enum error error = store_read_versions(store, &application_id, &user_version, ret_trouble);

	if (error != OK)
		return error;
	if (application_id != STORE_APPLICATION_ID)
		return store_explain(ret_trouble,
			"%s is not a certmap database (application_id %lld)", store->path,
			(long long)application_id);
	if (user_version < (int64_t)migration_count)
		return store_explain(ret_trouble,
			"%s has schema version %lld and this program works with %u: run "
			"`certmapctl migrate`",
			store->path, (long long)user_version, migration_count);
	if (user_version > (int64_t)migration_count)
		return store_explain(ret_trouble,
			"%s has schema version %lld and this program knows only up to %u: it is "
			"too old",
			store->path, (long long)user_version, migration_count);
	return OK;
}

/* The file is edited by people and may be damaged or made by somebody else: its schema gets no
 * functions with side effects, and nothing here may write around SQLite's own rules.
 *
 * SQLite 3.40 takes json_object() in the triggers on what people write for such a function ("unsafe
 * use of json_object()"), so the tool, which alone sets them off, trusts the schema. Functions that
 * are for direct use alone (SQLITE_DIRECTONLY) stay out of its reach, and there is no extension. */
static enum error configure(
	struct store *store, enum store_use use, struct store_trouble *ret_trouble)
{
	const char *pace =
		use == STORE_USE_BATCH ? BATCH_SETTINGS : "PRAGMA cache_size = -" CACHE_KIBIBYTES;
	const char *synchronous =
		use == STORE_USE_TOOL ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL";
	int on;

	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, use == STORE_USE_TOOL ? (int)tool_patience_msec : 0);
	if (sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &on) != SQLITE_OK ||
		sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, use == STORE_USE_TOOL,
			&on) != SQLITE_OK ||
		sqlite3_exec(store->db, "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY",
			NULL, NULL, NULL) != SQLITE_OK ||
		sqlite3_exec(store->db, pace, NULL, NULL, NULL) != SQLITE_OK ||
		sqlite3_exec(store->db, synchronous, NULL, NULL, NULL) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	return OK;
}

/* PRAGMA synchronous can't be changed inside of a transaction. The triggers' json_object() needs a
 * schema that is trusted, as above. */
enum error store_begin_change(struct store *store, struct store_trouble *ret_trouble)
{
	int on;

	if (sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1, &on) != SQLITE_OK ||
		sqlite3_exec(store->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) !=
			SQLITE_OK) {
		enum error error = store_failed(store, ret_trouble);

		store_end_change(store);
		return error;
	}
	return OK;
}

void store_end_change(struct store *store)
{
	int on;

	store_rollback(store);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &on);
	sqlite3_exec(store->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
}

/* SQLITE_OPEN_NOFOLLOW refuses a symbolic link anywhere in the path, and /var may well be one: the
 * directory is resolved here, the file itself never. */
static enum error open_handle(
	struct store *store, enum store_use use, struct store_trouble *ret_trouble)
{
	const char *vfs = use == STORE_USE_TOOL ? store_vfs() : store_sleepless_vfs();
	char copy[PATH_MAX], directory[PATH_MAX], name[PATH_MAX], resolved[2 * PATH_MAX];

	snprintf(copy, sizeof copy, "%s", store->path);
	if (!realpath(dirname(copy), directory))
		return store_explain(
			ret_trouble, "directory of %s: %s", store->path, strerror(errno));
	snprintf(copy, sizeof copy, "%s", store->path);
	snprintf(name, sizeof name, "%s", basename(copy));
	snprintf(resolved, sizeof resolved, "%s/%s", directory, name);

	if (sqlite3_open_v2(resolved, &store->db,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX |
			    SQLITE_OPEN_EXRESCODE,
		    vfs) != SQLITE_OK)
		return store->db ? store_failed(store, ret_trouble) : ERROR_MEMORY;
	return OK;
}

/* Closed as the last one, a handle copies its -wal file into the database and removes the one that
 * has the name: where that is not its own, with everything that others committed since. */
static void spare_foreign_files(struct store *store)
{
	int on;

	if (store->db && store_companions_are_foreign(store))
		sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &on);
}

void store_close(struct store *store)
{
	struct store_trouble trouble;

	if (!store)
		return;
	for (size_t i = 0; i < STORE_SLOTS; i++)
		sqlite3_finalize(store->statements[i]);
	(void)!store_leave(store, &trouble);
	spare_foreign_files(store);
	sqlite3_close(store->db);
	store_companions_done(store);
	free(store->lent);
	free(store->path);
	free(store);
}

static void close_store(struct store **store)
{
	store_close(*store);
}

enum error store_open_file(const char *path, uid_t owner, enum store_use use, struct store **ret,
	struct store_trouble *ret_trouble)
{
	__attribute__((cleanup(close_store))) struct store *store = calloc(1, sizeof *store);
	struct stat status;
	enum error error;

	if (!store || !(store->path = strdup(path)))
		return ERROR_MEMORY;
	store->owner = owner;
	if ((error = store_companions_init(store)) != OK)
		return error;
	if ((error = check_place(path, owner, &status, ret_trouble)) != OK)
		return error;
	store->device = status.st_dev;
	store->inode = status.st_ino;
	store_insist_on_unlocking();
	store->unended_locks = store_unended_locks();
	if ((error = open_handle(store, use, ret_trouble)) != OK ||
		(error = configure(store, use, ret_trouble)) != OK)
		return error;

	/* Replaced between the look and the opening: then the next try sees the new file. */
	if ((error = store_check_place(store, ret_trouble)) != OK)
		return error;
	*ret = store;
	store = NULL;
	return OK;
}

/* Where SQLite can't open one of its three files for writing it goes on with what it can read, and
 * for as long as the handle lives. sqlite3_db_readonly() tells it of the database alone: of the
 * other two the beginning of a write does, before it looks at locks. */
static bool is_read_only(struct store *store)
{
	int result;

	if (sqlite3_db_readonly(store->db, "main") == 1)
		return true;
	result = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	store_rollback(store);
	return (result & 0xff) == SQLITE_READONLY;
}

/* *ret_is_lame tells that it can't be written although it may be. */
static enum error open_checked(const char *path, uid_t owner, enum store_use use,
	struct store **ret, bool *ret_is_lame, struct store_trouble *ret_trouble)
{
	__attribute__((cleanup(close_store))) struct store *store = NULL;
	bool is_lame = false;
	enum error error;

	if ((error = store_open_file(path, owner, use, &store, ret_trouble)) != OK ||
		(error = check_version(store, ret_trouble)) != OK ||
		(error = store_check_companions(store, ret_trouble)) != OK)
		return error;
	/* The handle of a tool lives for one command, which says what it could not do. */
	if (use == STORE_USE_DAEMON && is_read_only(store)) {
		is_lame = store_may_write(store);
		store->is_barred = !is_lame;
	}
	*ret_is_lame = is_lame;
	*ret = store;
	store = NULL;
	return OK;
}

/* An open(2) that failed for a moment, without a descriptor or memory, is made up for at once. What
 * is lame twice is so for a reason that the rights do not show, and can be read all the same. */
enum error store_open(const char *path, uid_t owner, enum store_use use, struct store **ret,
	struct store_trouble *ret_trouble)
{
	bool is_lame;
	enum error error = open_checked(path, owner, use, ret, &is_lame, ret_trouble);

	if (error != OK || !is_lame)
		return error;
	store_close(*ret);
	*ret = NULL;
	return open_checked(path, owner, use, ret, &is_lame, ret_trouble);
}

enum error store_check_version(struct store *store, struct store_trouble *ret_trouble)
{
	unsigned data_version = store->data_version;

	/* Counts the commits of others; it moves only once a read has begun, so this is called
	 * inside of one (sqlite3_file_control, SQLITE_FCNTL_DATA_VERSION). */
	sqlite3_file_control(store->db, "main", SQLITE_FCNTL_DATA_VERSION, &data_version);
	if (data_version == store->data_version)
		return OK;
	enum error error = check_version(store, ret_trouble);
	if (error == OK)
		store->data_version = data_version;
	return error;
}
