/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* peer.c owns the reading of a peer's credentials. */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* NGROUPS_MAX of Linux, as a bound on what the kernel may make us allocate. */
#define GROUPS_MAX 65536u

/* SO_PEERCRED shows the primary group alone; SO_PEERGROUPS has the others (Linux 4.13). */
static bool has_group(int fd, gid_t primary, gid_t wanted)
{
	gid_t *groups = NULL;
	socklen_t bytes = 0;
	bool found = primary == wanted;

	if (found || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) == 0 ||
		errno != ERANGE || bytes > GROUPS_MAX * sizeof *groups)
		return found;
	groups = malloc(bytes);
	if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0)
		for (size_t i = 0; i < bytes / sizeof *groups && !found; i++)
			found = groups[i] == wanted;
	free(groups);
	return found;
}

struct peer peer_read(int fd, gid_t clients)
{
	struct peer peer = { .uid = (uid_t)-1, .pid = -1 };
	struct ucred credentials;
	socklen_t length = sizeof credentials;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0 ||
		length != sizeof credentials || credentials.uid == (uid_t)-1)
		return peer;
	peer.is_known = true;
	peer.uid = credentials.uid;
	peer.pid = credentials.pid;
	peer.is_client =
		peer.uid == 0 || peer.uid == geteuid() || has_group(fd, credentials.gid, clients);
	return peer;
}
