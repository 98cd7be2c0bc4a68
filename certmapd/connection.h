/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection.h owns one exchange: the bytes of a request as they come, the reply, and the log line
 * of the verdict. It waits for nothing; the server tells it when to go on.
 */
#pragma once

#include "lookup.h"
#include "peer.h"
#include "quota.h"
#include "stats.h"

#include <sys/queue.h>

struct sd_event_source;

enum connection_state {
	CONNECTION_READS,    /* until the request is whole */
	CONNECTION_WAITS,    /* until the facts that it depends on are worked out */
	CONNECTION_FINISHED, /* free it */
};

/* What connections share. Borrowed. */
struct connection_context {
	struct lookup *lookup;
	struct quota *quota;
	uint64_t answered; /* requests, whatever the answer */
	uint64_t allowed;
	uint64_t with_concern; /* of those: passed with a missing or stale revocation list */
	struct stats stats;
};

struct connection {
	struct peer peer;
	enum connection_state state;
	/* The server's: its list, and the sources that call it. */
	LIST_ENTRY(connection) entry;
	struct sd_event_source *io, *deadline;
	void *server;
	uint64_t accepted_usec; /* CLOCK_MONOTONIC */
	/* Private. */
	int fd;
	size_t have;    /* bytes of the frame that are there */
	size_t want;    /* bytes of the whole frame, once the header was read; 0 before */
	uint8_t *frame; /* `small`, or memory of its own for a longer one */
	uint8_t small[4096];
};

/* Takes the descriptor, also on failure. ERROR_MEMORY. */
WARN_UNUSED enum error connection_new(int fd, const struct peer *peer, struct connection **ret);
void connection_free(struct connection *connection);

/* Reads what is there, and answers as soon as it can. Returns the new state. */
enum connection_state connection_advance(
	struct connection *connection, struct connection_context *context);

/* Its time is over: a request that is not whole is cut, one that waits is answered now. Afterwards
 * it is finished. */
void connection_expire(struct connection *connection, struct connection_context *context);

int connection_descriptor(const struct connection *connection);
