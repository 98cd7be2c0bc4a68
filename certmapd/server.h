/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * server.h owns the listening socket and everybody who is connected to it: how many there may be,
 * how long each may take, and when the work of the lookup goes on. One thread, one event loop.
 */
#pragma once

#include "errors.h"
#include "lookup.h"

#include <systemd/sd-event.h>

struct server;

/* Takes neither the event loop nor the lookup; both must outlive the server. Takes the listening
 * descriptor with success. ERROR_MEMORY or ERROR_SYSTEM. */
WARN_UNUSED enum error server_new(
	sd_event *event, int listen_fd, struct lookup *lookup, struct server **ret);
void server_free(struct server *server);
