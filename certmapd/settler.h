/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settler.h owns the process that works off a long queue of mappings: `certmapd --settle`, which
 * certmapd starts of itself.
 *
 * A bulk load leaves minutes of work, and of writing to the disk. In the thread that answers logins
 * every login would wait for a slice of it; SQLite's readers wait for no other process that writes.
 */
#pragma once

#include "errors.h"

#include <sys/types.h>

/* Starts it for this database. The caller waits for it, as for any child; it ends with the caller.
 * ERROR_SYSTEM: it can't be started. */
WARN_UNUSED enum error settler_start(const char *database_path, pid_t *ret_pid);

/* What that process does: settles until nothing is queued. `owner` is the uid beside root that may
 * own the database. The first error ends it, but for ERROR_BUSY, which must last. */
WARN_UNUSED enum error settler_run(const char *database_path, uid_t owner);
