/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * listener.h owns where the daemon listens: the socket that the service manager passes, or one of
 * its own for a run in the foreground.
 */
#pragma once

/* The listening descriptor, non-blocking and close-on-exec. With `path` NULL the one that was
 * passed (sd_listen_fds(3)), otherwise a new one there, of mode 0660. -1: *ret_problem says in
 * words what is wrong; it lives as long as the process. */
int listener_open(const char *path, const char **ret_problem);

/* Removes what listener_open() made; nothing with `path` NULL. */
void listener_close(const char *path);
