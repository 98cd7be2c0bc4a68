/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* health.c owns the looks at the socket, the daemon behind it and the database. */
#include "health.h"

#include "escape.h"
#include "hex.h"
#include "monotonic.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define SOCKET_MODE 0660u
/* As the module's own timeout. */
#define ANSWER_USEC 2000000u

/* The socket ------------------------------------------------------------------------------- */

static void look_at_socket(struct health_report *report)
{
	const struct group *group = getgrnam(CTL_CLIENTS_GROUP);
	const struct stat *socket = &report->socket;

	report->has_socket = lstat(report->socket_path, &report->socket) == 0;
	if (!report->has_socket)
		report->socket_problem = "is not there: systemctl enable --now certmapd.socket";
	else if (!S_ISSOCK(socket->st_mode))
		report->socket_problem = "is no socket";
	else if (socket->st_uid != 0 || !group || socket->st_gid != group->gr_gid)
		report->socket_problem = "does not belong to root:" CTL_CLIENTS_GROUP;
	else if ((socket->st_mode & 07777) != SOCKET_MODE)
		report->socket_problem = "has not the mode 0660";
}

/* The daemon ------------------------------------------------------------------------------- */

static void make_id(char ret[33])
{
	uint8_t bytes[16] = { 0 };

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		memset(bytes, 0, sizeof bytes);
	hex_print(span_of(bytes, sizeof bytes), ret);
}

static void read_counts(struct health_report *report)
{
	const struct span counts = report->told.status.counts;
	char text[STATUS_COUNTS_MAX_BYTES + 1], *rest = text, *pair;

	snprintf(text, sizeof text, "%.*s", (int)counts.length, (const char *)counts.bytes);
	while (report->reason_count < HEALTH_REASONS_MAX && (pair = strsep(&rest, " "))) {
		struct health_count *count = &report->reasons[report->reason_count];

		/* Word and number, as PROTOCOL.md has them; what is neither is left out. */
		if (sscanf(pair, "%63[a-z0-9-]=%" SCNd64, count->word, &count->count) == 2)
			report->reason_count++;
	}
}

static const char *word_refusal(enum reason refusal)
{
	return refusal == REASON_FORBIDDEN ? "runs, and tells root alone how it is"
					   : "runs, and is of an older version that does not know "
					     "this question (or too busy for it): restart it";
}

static void ask_daemon(struct health_report *report)
{
	struct client_failure failure = { 0 };
	char id[33];
	enum error error;

	make_id(id);
	error = client_ask_status(report->socket_path, monotonic_usec() + ANSWER_USEC,
		span_of_string(id), &report->told, &failure);
	report->is_reachable = error == OK;
	report->is_forbidden = failure.errno_value == EACCES && geteuid() != 0;
	if (report->is_forbidden)
		snprintf(report->daemon_problem, sizeof report->daemon_problem,
			"this user may not ask: run certmapctl as root");
	else if (error != OK)
		snprintf(report->daemon_problem, sizeof report->daemon_problem,
			"does not answer: %s%s%s", failure.what ? failure.what : error_text(error),
			failure.errno_value       ? ": "
			: error == ERROR_DEADLINE ? ": no answer in time"
						  : "",
			failure.errno_value ? strerror(failure.errno_value) : "");
	else if (report->told.is_told)
		read_counts(report);
	else
		snprintf(report->daemon_problem, sizeof report->daemon_problem, "%s",
			word_refusal(report->told.refusal));
}

/* The database ----------------------------------------------------------------------------- */

static enum error take_state(struct span state, int64_t count, void *context)
{
	struct health_report *report = context;
	struct health_count *place;

	if (report->state_count == HEALTH_STATES_MAX)
		return OK;
	place = &report->states[report->state_count++];
	/* The view may be another one by now; and a label of metrics stands in quotes. */
	escape_text(state, place->word, sizeof place->word);
	place->count = count;
	return OK;
}

static void look_at_file(const struct ctl *ctl, struct health_report *report)
{
	char path[4096];
	struct stat log;

	report->has_file = lstat(ctl->database, &report->file) == 0;
	snprintf(path, sizeof path, "%s-wal", ctl->database);
	report->log_bytes = lstat(path, &log) == 0 ? log.st_size : 0;
}

static void look_at_database(const struct ctl *ctl, struct health_report *report)
{
	struct store_trouble trouble = { "" };
	struct store *store CTL_CLOSE = NULL;
	enum error error;

	look_at_file(ctl, report);
	error = store_open(ctl->database, ctl_owner(ctl), STORE_USE_TOOL, &store, &trouble);
	if (error == OK)
		error = store_count_states(store, take_state, report, &trouble);
	if (error == OK)
		error = store_read_overview(store, &report->overview, &trouble);
	report->is_usable = error == OK;
	if (error == ERROR_STORE && ctl_is_forbidden(ctl))
		snprintf(report->database_problem, sizeof report->database_problem,
			"this user may not use it: run certmapctl as root");
	else if (error != OK)
		snprintf(report->database_problem, sizeof report->database_problem, "%s",
			trouble.text[0] ? trouble.text : error_text(error));
}

void health_look(const struct ctl *ctl, const char *socket_path, struct health_report *ret)
{
	*ret = (struct health_report){ .socket_path = socket_path };
	look_at_socket(ret);
	ask_daemon(ret);
	look_at_database(ctl, ret);
}

bool health_is_good(const struct health_report *report)
{
	return report->is_usable && report->is_reachable &&
	       (!report->told.is_told || report->told.status.is_usable);
}
