/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_companion.c owns the watch over the two files that SQLite keeps beside a database in WAL.
 *
 * Somebody who tidies up may remove them under an open handle. SQLite does not notice: the handle
 * goes on with the files that have no name any more, and everybody else with new ones, so that the
 * deletion of a mapping would never reach the daemon.
 */
#include "store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const suffixes[STORE_COMPANIONS] = { "-wal", "-shm" };

enum error store_companions_init(struct store *store)
{
	for (size_t i = 0; i < STORE_COMPANIONS; i++)
		if (asprintf(&store->companions[i].path, "%s%s", store->path, suffixes[i]) < 0) {
			store->companions[i].path = NULL;
			return ERROR_MEMORY;
		}
	return OK;
}

void store_companions_done(struct store *store)
{
	for (size_t i = 0; i < STORE_COMPANIONS; i++)
		free(store->companions[i].path);
}

enum fate { FATE_SAME, FATE_GONE, FATE_REPLACED };

static enum fate find_fate(const struct store_companion *companion, struct stat *status)
{
	if (lstat(companion->path, status) < 0)
		return FATE_GONE;
	return status->st_dev == companion->device && status->st_ino == companion->inode
		       ? FATE_SAME
		       : FATE_REPLACED;
}

enum error store_check_companions(struct store *store, struct store_trouble *ret_trouble)
{
	struct stat status;

	for (size_t i = 0; i < STORE_COMPANIONS; i++) {
		struct store_companion *companion = &store->companions[i];
		enum fate fate = find_fate(companion, &status);

		if (companion->is_known && fate != FATE_SAME)
			return store_explain(ret_trouble,
				"%s was %s while the database was in use: what was committed last "
				"may be lost",
				companion->path, fate == FATE_GONE ? "removed" : "replaced");
		if (!companion->is_known && fate != FATE_GONE) {
			/* The handle keeps the file open, so that its number is not given to
			 * another one meanwhile. */
			companion->device = status.st_dev;
			companion->inode = status.st_ino;
			companion->is_known = true;
		}
	}
	return OK;
}

bool store_companions_are_foreign(const struct store *store)
{
	struct stat status;

	for (size_t i = 0; i < STORE_COMPANIONS; i++)
		if (store->companions[i].is_known &&
			find_fate(&store->companions[i], &status) == FATE_REPLACED)
			return true;
	return false;
}

/* Asked for, never tried: the first close(2) of a file ends all locks that the process has on it
 * (fcntl(2)), those of SQLite too. */
static bool may_write_file(const char *path)
{
	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

bool store_may_write(const struct store *store)
{
	bool may = may_write_file(store->path);

	for (size_t i = 0; i < STORE_COMPANIONS && may; i++)
		may = may_write_file(store->companions[i].path) || errno == ENOENT;
	return may;
}
