/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_vfs.c owns what of SQLite's way to files is not wanted: super-journals.
 *
 * A rollback journal beside a database may name a super-journal, which SQLite deletes once it has
 * rolled back, wherever that file lies (https://www.sqlite.org/atomiccommit.html, 5). Root works in
 * a directory of the user that runs the daemon: whoever broke the daemon could leave a journal
 * there that makes `certmapctl list' delete any file. Only transactions over several databases have
 * such a file, and of a database in WAL not even they.
 */
#include "store_private.h"

#define VFS_NAME "certmap"

static int open_file(
	sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	sqlite3_vfs *system = vfs->pAppData;

	/* xClose() is called for what has methods, also where the opening failed. */
	file->pMethods = NULL;
	if (flags & SQLITE_OPEN_SUPER_JOURNAL)
		return SQLITE_CANTOPEN;
	return system->xOpen(system, name, file, flags, ret_flags);
}

/* All else is the system's: a copy differs in the name and in how it opens. */
const char *store_vfs(void)
{
	static sqlite3_vfs vfs;
	sqlite3_vfs *system = sqlite3_vfs_find(NULL);

	if (sqlite3_vfs_find(VFS_NAME))
		return VFS_NAME;
	if (!system)
		return VFS_NAME; /* which is not there, so that nothing is opened */
	vfs = *system;
	vfs.pNext = NULL;
	vfs.zName = VFS_NAME;
	vfs.pAppData = system;
	vfs.xOpen = open_file;
	(void)!sqlite3_vfs_register(&vfs, 0);
	return VFS_NAME;
}
