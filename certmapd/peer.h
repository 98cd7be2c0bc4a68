/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peer.h owns who is at the other end of a connection, as the kernel tells it: uid and every
 * group, and no name service, which could ask us in turn.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct peer {
	bool is_known;  /* false: the kernel did not say, and nothing is allowed (CVE-2021-3560) */
	bool is_client; /* of the group that may ask, root, or our own uid */
	uid_t uid;
	pid_t pid;
};

/* SO_PEERCRED and SO_PEERGROUPS (socket(7), unix(7)): the credentials of connect(2). `clients` is
 * the group that owns the socket. Never fails: what can't be read is not known. */
struct peer peer_read(int fd, gid_t clients);
