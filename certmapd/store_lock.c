/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_lock.c owns what SQLite must not do about locks: go on when one can't be ended, and sleep
 * in the one thread that answers everybody.
 *
 * SQLite ignores that fcntl(2) failed to end a lock and goes on as if it were gone. The kernel
 * still has it: a reader's own slot in the -shm file then keeps the handle out, and every other
 * program with it for as long as the handle is open; and a writer's keeps all others from editing.
 * ENOLCK comes where the kernel has no memory for a moment: to unlock one byte amid others splits a
 * range in two.
 *
 * Where it does not pass in that moment the handle is kept out of its own slot, and SQLite tries
 * a hundred times, with sleeps of ten seconds in all (walTryBeginRead() of its wal.c), before it
 * says so and the handle is closed, which ends all its locks. All lookups meanwhile would end at
 * their clients' deadlines. A writer's slot is worse: SQLite takes it for that of another handle,
 * so that this one, which goes on reading, never writes again and lets nobody else write. So such
 * locks are counted, and who has opened a handle before closes it.
 */
#include "store_private.h"

#include <fcntl.h>
#include <stdarg.h>
#include <time.h>

/* Together a pause that nobody notices, and long enough for the kernel to find a page. */
#define UNLOCK_TRIES 10u
#define UNLOCK_PAUSE_NSEC 1000000L

/* What one of SQLite's sleeps is cut to: less than half a second in all, which a login survives,
 * and enough for another program that was stopped by the scheduler in the middle of a lock. */
#define SLEEP_MAX_USEC 5000

#define USEC_NSEC 1000L

/* The whole process is one thread. */
static unsigned long unended_locks;

static void pause_for(long nsec)
{
	const struct timespec pause = { .tv_nsec = nsec };

	nanosleep(&pause, NULL);
}

static bool is_unlock(int command, const void *argument)
{
	return command == F_SETLK && ((const struct flock *)argument)->l_type == F_UNLCK;
}

/* fcntl(2) as SQLite calls it: with a lock, an int or nothing. As a pointer each passes unharmed.
 */
static int call_fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;
	int result;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	result = fcntl(fd, command, argument);
	for (unsigned i = 1; result < 0 && is_unlock(command, argument) && i < UNLOCK_TRIES; i++) {
		pause_for(UNLOCK_PAUSE_NSEC);
		result = fcntl(fd, command, argument);
	}
	if (result < 0 && is_unlock(command, argument))
		unended_locks++;
	return result;
}

unsigned long store_unended_locks(void)
{
	return unended_locks;
}

void store_insist_on_unlocking(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	if (vfs && vfs->iVersion >= 3 && vfs->xSetSystemCall)
		vfs->xSetSystemCall(vfs, "fcntl", __extension__(sqlite3_syscall_ptr) call_fcntl);
}

static int sleep_a_moment(sqlite3_vfs *vfs, int usec)
{
	const int cut_usec = usec < SLEEP_MAX_USEC ? usec : SLEEP_MAX_USEC;

	(void)vfs;
	pause_for(cut_usec * USEC_NSEC);
	return cut_usec;
}

/* A copy, because a tool's patience with other writers is made of the same sleeps. */
const char *store_sleepless_vfs(void)
{
	static const char name[] = "certmap-sleepless";
	static sqlite3_vfs sleepless;
	const sqlite3_vfs *usual = sqlite3_vfs_find(store_vfs());

	if (usual && !sqlite3_vfs_find(name)) {
		sleepless = *usual;
		sleepless.pNext = NULL;
		sleepless.zName = name;
		sleepless.xSleep = sleep_a_moment;
		(void)!sqlite3_vfs_register(&sleepless, 0);
	}
	return name;
}
