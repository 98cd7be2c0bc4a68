/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* listener.c owns the two ways to a listening socket. */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define BACKLOG 256

static int adopt_passed(const char **ret_problem)
{
	int count = sd_listen_fds(1), fd = SD_LISTEN_FDS_START;

	if (count == 0)
		*ret_problem = "no socket was passed: start certmapd.socket, or give --socket PATH";
	else if (count != 1)
		*ret_problem = "more than one socket was passed";
	else if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
		*ret_problem = "the socket that was passed is no listening AF_UNIX stream socket "
			       "(Accept=no, ListenStream=)";
	else if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		*ret_problem = "the socket that was passed can't be made non-blocking";
	else
		return fd;
	return -1;
}

/* A socket file that a killed daemon left behind refuses connections; a living one must not be
 * taken away from its daemon. */
static void remove_stale(const struct sockaddr_un *address)
{
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
		errno == ECONNREFUSED)
		unlink(address->sun_path);
	if (fd >= 0)
		close(fd);
}

static int bind_own(const char *path, const char **ret_problem)
{
	static char problem[256];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, result;

	if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >=
		sizeof address.sun_path) {
		*ret_problem = "the path of the socket is too long (107 bytes, unix(7))";
		return -1;
	}
	remove_stale(&address);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0117);
	result = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address);
	umask(mask);
	if (result < 0 || listen(fd, BACKLOG) < 0) {
		snprintf(problem, sizeof problem, "can't listen on %s: %s", path, strerror(errno));
		*ret_problem = problem;
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

int listener_open(const char *path, const char **ret_problem)
{
	return path ? bind_own(path, ret_problem) : adopt_passed(ret_problem);
}

void listener_close(const char *path)
{
	if (path)
		unlink(path);
}
