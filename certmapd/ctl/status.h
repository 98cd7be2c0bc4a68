/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status.h owns what `certmapctl status' finds out, before it becomes words, JSON or OpenMetrics.
 */
#pragma once

#include "client.h"
#include "ctl.h"
#include "store_overview.h"

#include <sys/stat.h>

#define STATUS_STATES_MAX 16u /* the view has ten */
#define STATUS_STATE_BYTES 64u
#define STATUS_REASONS_MAX 64u

struct status_count {
	char word[STATUS_STATE_BYTES];
	int64_t count;
};

struct status_report {
	/* The socket. */
	const char *socket_path;
	bool has_socket; /* something is there */
	struct stat socket;
	const char *socket_problem; /* NULL: it belongs to whom it should */
	/* The daemon. */
	bool is_reachable;         /* somebody answers at the socket */
	char daemon_problem[256];  /* why nothing is known of it; "": it told */
	struct client_status told; /* where is_told */
	struct status_count reasons[STATUS_REASONS_MAX];
	size_t reason_count;
	/* The database. */
	bool is_usable;
	char database_problem[sizeof((struct store_trouble *)NULL)->text];
	bool has_file;
	struct stat file;
	int64_t log_bytes; /* of the -wal file beside it */
	struct store_overview overview;
	struct status_count states[STATUS_STATES_MAX];
	size_t state_count;
};

/* Whether logins are answered: exit status 0. */
bool status_is_healthy(const struct status_report *report);

/* Prints https://github.com/prometheus/OpenMetrics, version 1.0, which the text collector of the
 * node exporter reads as well. */
void openmetrics_print(const struct status_report *report);
