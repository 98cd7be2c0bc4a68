/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_lock.c owns the one system call that SQLite must not see fail: the end of a lock.
 *
 * SQLite ignores the failure and goes on as if the lock were gone. The kernel still has it: a
 * reader's own slot in the -shm file then keeps the handle out for ten seconds, in which nobody is
 * answered, and every other program with it for as long as the handle is open; and a writer's keeps
 * all others from editing. ENOLCK comes where the kernel has no memory for a moment: to unlock one
 * byte amid others splits a range in two.
 */
#include "store_private.h"

#include <fcntl.h>
#include <stdarg.h>
#include <time.h>

/* Together a pause that nobody notices, and long enough for the kernel to find a page. */
#define UNLOCK_TRIES 10u
#define UNLOCK_PAUSE_NSEC 1000000L

static void pause_between_tries(void)
{
	const struct timespec pause = { .tv_nsec = UNLOCK_PAUSE_NSEC };

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
		pause_between_tries();
		result = fcntl(fd, command, argument);
	}
	return result;
}

void store_insist_on_unlocking(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	if (vfs && vfs->iVersion >= 3 && vfs->xSetSystemCall)
		vfs->xSetSystemCall(vfs, "fcntl", __extension__(sqlite3_syscall_ptr) call_fcntl);
}
