/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settler.c owns the pace of a long queue, and how its process is started. */
#include "settler.h"

#include "index.h"
#include "monotonic.h"

#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Of one transaction. Every commit writes the pages of six indexes anew, so that a thousand rows at
 * a time cost a third of what twenty do; whoever else wants to write waits this long. */
#define BATCH_USEC 50000u
/* Between two of them: the turn of whoever waits to write. */
#define PAUSE_USEC 5000u
/* Others may hold the lock this long, a bulk load in another shell for one; then certmapd goes on
 * by itself and says what is the matter. */
#define PATIENCE_USEC 10000000u

static void pause_usec(long usec)
{
	const struct timespec pause = { 0, usec * 1000 };

	nanosleep(&pause, NULL);
}

enum error settler_run(const char *database_path, uid_t owner)
{
	struct store_trouble trouble = { "" };
	struct store *store = NULL;
	uint64_t written_usec = monotonic_usec();
	bool more = true;
	enum error error;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	error = store_open(database_path, owner, STORE_USE_BATCH, &store, &trouble);
	/* Nothing is written by a handle whose files are no longer those of everybody. */
	while (error == OK && more && (error = store_check_place(store, &trouble)) == OK) {
		error = index_settle(store, BATCH_USEC, &more, &trouble);
		if (error == OK)
			written_usec = monotonic_usec();
		else if (error == ERROR_BUSY && monotonic_usec() < written_usec + PATIENCE_USEC)
			error = OK;
		pause_usec(PAUSE_USEC);
	}
	/* Else the next write of the daemon, in the thread of the logins, would have to. */
	if (error == OK)
		store_checkpoint(store);
	store_close(store);
	return error;
}

/* A new program rather than a fork: the child must not hold logins' connections open, nor our
 * handle of the database. The signals that we take by descriptor are blocked here, not there. */
enum error settler_start(const char *database_path, pid_t *ret_pid)
{
	char name[] = "certmapd", verb[] = "--settle", option[] = "--database";
	char *argv[] = { name, verb, option, (char *)database_path, NULL };
	posix_spawnattr_t attributes;
	sigset_t none;
	int result;

	sigemptyset(&none);
	if (posix_spawnattr_init(&attributes) != 0)
		return ERROR_MEMORY;
	result = posix_spawnattr_setsigmask(&attributes, &none);
	if (result == 0)
		result = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	if (result == 0)
		result = posix_spawn(ret_pid, "/proc/self/exe", NULL, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	return result == 0 ? OK : ERROR_SYSTEM;
}
