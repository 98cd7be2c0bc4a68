/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_migrate.h owns making a database and bringing it from one version of the schema to the
 * next. certmapctl does both; the daemon does neither.
 *
 * Both run migrations[] of migrations.h; the list is a parameter so that the tests can bring one
 * that is longer than the project's own.
 */
#pragma once

#include "migrations.h"
#include "store.h"

#include <limits.h>

/* Makes a database of version `count` at `path`, mode 0600. Where root does it, the file belongs
 * to the owner of its directory, who runs the daemon. The directory must be safe as store_open()
 * has it.
 *
 * ERROR_REFUSED: something of this name is there, or a journal that SQLite would take for the new
 * database's own. ERROR_STORE: the directory is missing or unsafe, or the file can't be written.
 * ERROR_MEMORY. *ret_trouble says which, and nothing that was made stays. */
WARN_UNUSED enum error store_create(const char *path, uid_t owner, const struct migration *list,
	unsigned count, struct store_trouble *ret_trouble);

/* Whether store_create() would find the place free, and safe; its errors. */
WARN_UNUSED enum error store_check_vacant(
	const char *path, uid_t owner, struct store_trouble *ret_trouble);

/* The version from which store_migrate() would start; its errors. */
WARN_UNUSED enum error store_read_start(const char *path, uid_t owner, unsigned count,
	unsigned *ret_version, struct store_trouble *ret_trouble);

struct store_migration {
	unsigned from, to;   /* versions; equal where there was nothing to do */
	char copy[PATH_MAX]; /* of the file as it was; "" where there was nothing to do */
};

/* Brings the database at `path` to version `count`. Before anything changes, a copy is made beside
 * it, `<path>.v<from>`, of the same owner and mode 0600. Each migration is a transaction of its
 * own: after a failure the database stands at the last version that was reached, and the copy goes
 * where that is the first.
 *
 * ERROR_REFUSED: there is a file of the copy's name already, or the rows are in a migration's way.
 * ERROR_BUSY: somebody is writing. ERROR_STORE: unsafe, not a certmap database, or of a newer
 * version. ERROR_MEMORY. *ret_trouble says which. */
WARN_UNUSED enum error store_migrate(const char *path, uid_t owner, const struct migration *list,
	unsigned count, struct store_migration *ret, struct store_trouble *ret_trouble);
