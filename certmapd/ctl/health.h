/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * health.h owns what can be found out about the daemon and its database, before it becomes words,
 * JSON or OpenMetrics.
 */
#pragma once

#include "client.h"
#include "ctl.h"
#include "store_overview.h"

#include <sys/stat.h>

#define HEALTH_STATES_MAX 16u /* the view has ten */
#define HEALTH_WORD_BYTES 64u
#define HEALTH_REASONS_MAX 64u

struct health_count {
	char word[HEALTH_WORD_BYTES];
	int64_t count;
};

struct health_report {
	/* The socket. */
	const char *socket_path;
	bool has_socket; /* something is there */
	struct stat socket;
	const char *socket_problem; /* NULL: it belongs to whom it should */
	/* The daemon. */
	bool is_reachable;         /* somebody answers at the socket */
	bool is_forbidden;         /* this user may not connect there, so nothing is known */
	char daemon_problem[256];  /* why nothing is known of it; "": it told */
	struct client_status told; /* where is_told */
	struct health_count reasons[HEALTH_REASONS_MAX];
	size_t reason_count;
	/* The database. */
	bool is_usable;
	char database_problem[sizeof((struct store_trouble *)NULL)->text];
	bool has_file;
	struct stat file;
	int64_t log_bytes; /* of the -wal file beside it */
	struct store_overview overview;
	struct health_count states[HEALTH_STATES_MAX];
	size_t state_count;
};

/* Asks the daemon as well, and waits for it as long as a login would. What can't be found out is
 * told in the report; `socket_path` is borrowed for its life. */
void health_look(const struct ctl *ctl, const char *socket_path, struct health_report *ret);

/* Whether logins are answered. */
bool health_is_good(const struct health_report *report);
