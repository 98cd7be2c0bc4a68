/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* server.c owns the event sources: accepting, the connections' turns, and the work between them. */
#include "server.h"

#include "connection.h"
#include "log.h"
#include "monotonic.h"
#include "settler.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

/* Connections at a time. The last quarter is kept for root, which runs most services. */
#define CONNECTIONS_MAX 512u
#define CONNECTIONS_OTHERS_MAX 384u

/* From accept() until the request is whole, in all: a byte a second must not hold a place. */
#define REQUEST_USEC 1000000u
/* From accept() until an answer that waits for facts is given: within the module's own deadline of
 * two seconds, so that it hears why. */
#define ANSWER_USEC 1500000u

/* Taken from the queue at one turn, so that the connections get theirs. */
#define ACCEPTS_PER_TURN 32u
/* Without a descriptor or memory: try again then, and do not spin (accept(2), EMFILE). */
#define ACCEPT_PAUSE_USEC 100000u
/* Somebody else writes: look again then. */
#define WORK_PAUSE_USEC 20000u
/* For connections that wait, at one turn. */
#define RETRY_TURN_USEC 5000u
/* A person who looks at `systemctl status` sees numbers of this age at most. */
#define STATUS_USEC 2000000u

#define EDITS_PER_TURN 20u

LIST_HEAD(connections, connection);

struct server {
	sd_event *event;
	int fd;
	gid_t clients;
	struct connection_context context;
	struct quota quota;
	struct connections connections;
	unsigned connection_count;
	sd_event_source *accept_source, *pause_source, *work_source;
	sd_event_source *settler_source; /* NULL: no settler runs */
	bool is_stopping;
	bool was_usable;
	uint64_t status_usec;     /* when the status was told, */
	uint64_t status_answered; /* and how many requests had been answered then */
};

/* The status that `systemctl status` shows, sd_notify(3). */
static void tell_status(struct server *server)
{
	bool is_usable = lookup_is_usable(server->context.lookup);
	uint64_t now = monotonic_usec();

	if (is_usable == server->was_usable && now < server->status_usec + STATUS_USEC)
		return;
	server->was_usable = is_usable;
	server->status_usec = now;
	server->status_answered = server->context.answered;
	sd_notifyf(0, "STATUS=%s; %" PRIu64 " lookups, %" PRIu64 " allowed%s",
		is_usable ? "Answering" : "Database not usable, refusing everybody (see the log)",
		server->context.answered, server->context.allowed,
		server->context.with_concern > 0
			? ", some of them with a missing or stale revocation list (see the log)"
			: "");
}

static void log_edit(const struct store_logged_edit *edit)
{
	struct log_line line;

	log_begin(&line, LOG_NOTICE, "edit");
	log_add_number(&line, "history", edit->id);
	log_add(&line, "object", span_of_string(edit->object));
	log_add(&line, "change", span_of_string(edit->change));
	if (edit->mapping_id != 0)
		log_add_number(&line, "mapping", edit->mapping_id);
	if (edit->who[0])
		log_add(&line, "who", span_of_string(edit->who));
	log_add(&line, "what", span_of_string(edit->words));
	log_send(&line);
}

/* What the lookups noticed beside their answers. */
static void tell_news(struct server *server)
{
	struct lookup *lookup = server->context.lookup;
	const char *news = lookup_take_news(lookup);
	struct store_logged_edit edit;
	unsigned told = 0;

	if (news)
		log_words(lookup_is_usable(lookup) ? LOG_NOTICE : LOG_ERR, "%s", news);
	while (told < EDITS_PER_TURN && lookup_take_edit(lookup, &edit)) {
		log_edit(&edit);
		told++;
	}
	if (told == EDITS_PER_TURN) {
		int64_t skipped = lookup_skip_edits(lookup);

		if (skipped > 0)
			log_words(LOG_NOTICE, "edits not shown: %" PRId64 ", see the table history",
				skipped);
	}
	tell_status(server);
}

static void drop_connection(struct server *server, struct connection *c)
{
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->deadline);
	LIST_REMOVE(c, entry);
	quota_give_connection(&server->quota, c->peer.uid);
	connection_free(c);
	if (server->connection_count-- == CONNECTIONS_MAX && !server->is_stopping)
		sd_event_source_set_enabled(server->accept_source, SD_EVENT_ON);
	if (server->is_stopping && server->connection_count == 0)
		sd_event_exit(server->event, 0);
}

/* The next turn of the work: at once while it goes well, after a pause while somebody else
 * writes, never while there is nothing to do. */
static void plan_work(struct server *server, uint64_t pause_usec)
{
	uint64_t due_usec = lookup_due_usec(server->context.lookup);
	const uint64_t now = monotonic_usec();
	struct connection *c;

	LIST_FOREACH (c, &server->connections, entry)
		if (c->state == CONNECTION_WAITS && due_usec > now + WORK_PAUSE_USEC)
			due_usec = now + WORK_PAUSE_USEC;
	if (server->status_answered != server->context.answered &&
		due_usec > server->status_usec + STATUS_USEC)
		due_usec = server->status_usec + STATUS_USEC;
	if (due_usec == UINT64_MAX)
		return;
	if (due_usec < now + pause_usec)
		due_usec = now + pause_usec;
	sd_event_source_set_time(server->work_source, due_usec);
	sd_event_source_set_enabled(server->work_source, SD_EVENT_ONESHOT);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct connection *c = userdata;
	struct server *server = c->server;

	(void)source;
	(void)usec;
	connection_expire(c, &server->context);
	drop_connection(server, c);
	tell_news(server);
	return 0;
}

static void await_facts(struct connection *c)
{
	sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
	sd_event_source_set_time(c->deadline, c->accepted_usec + ANSWER_USEC);
}

/* Goes on with a connection whose turn it is, and lets it go when it is done. */
static void take_turn(struct server *server, struct connection *c)
{
	enum connection_state before = c->state;

	if (connection_advance(c, &server->context) == CONNECTION_FINISHED)
		drop_connection(server, c);
	else if (c->state == CONNECTION_WAITS && before != CONNECTION_WAITS)
		await_facts(c);
	tell_news(server);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct connection *c = userdata;
	struct server *server = c->server;

	(void)source;
	(void)fd;
	(void)events;
	take_turn(server, c);
	plan_work(server, 0);
	return 0;
}

static int on_settled(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct server *server = userdata;

	server->settler_source = sd_event_source_disable_unref(source);
	lookup_end_settler(server->context.lookup,
		info->si_code == CLD_EXITED && info->si_status == EXIT_SUCCESS);
	plan_work(server, 0);
	return 0;
}

/* Where none can be started the queue is worked off here, slower. */
static void start_settler(struct server *server)
{
	struct lookup *lookup = server->context.lookup;
	pid_t pid;

	if (!lookup_begin_settler(lookup))
		return;
	if (settler_start(lookup_path(lookup), &pid) != OK ||
		sd_event_add_child(server->event, &server->settler_source, pid, WEXITED, on_settled,
			server) < 0) {
		log_words(LOG_WARNING, "new mappings are read beside the lookups: no process can "
				       "be started for them");
		lookup_end_settler(lookup, false);
	}
}

static int on_work(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;
	/* It may be the status alone that is due. */
	bool is_done = lookup_due_usec(server->context.lookup) > monotonic_usec() ||
		       lookup_work(server->context.lookup);
	const uint64_t end_usec = monotonic_usec() + RETRY_TURN_USEC;
	struct connection *c, *next;

	(void)source;
	(void)usec;
	if (!is_done || lookup_due_usec(server->context.lookup) > 0) {
		for (c = LIST_FIRST(&server->connections); c && monotonic_usec() < end_usec;
			c = next) {
			next = LIST_NEXT(c, entry);
			if (c->state == CONNECTION_WAITS)
				take_turn(server, c);
		}
	}
	start_settler(server);
	tell_news(server);
	plan_work(server, is_done ? 0 : WORK_PAUSE_USEC);
	return 0;
}

static bool may_connect(struct server *server, const struct peer *peer)
{
	struct log_line line;
	unsigned suppressed;
	const char *why = NULL;

	if (!peer->is_known)
		why = "credentials unknown";
	else if (peer->uid != 0 && server->connection_count >= CONNECTIONS_OTHERS_MAX)
		why = "too many connections in all";
	else if (!quota_take_connection(&server->quota, peer->uid, monotonic_usec()))
		why = "too many connections of this uid";
	if (!why)
		return true;
	if (quota_take_line(&server->quota, peer->uid, monotonic_usec(), &suppressed)) {
		log_begin(&line, LOG_WARNING, "connection refused");
		log_add(&line, "cause", span_of_string(why));
		log_add_number(&line, "peer_uid", (int64_t)peer->uid);
		log_add_number(&line, "suppressed", suppressed);
		log_send(&line);
	}
	return false;
}

/* Most requests are there when their connection is: one that is answered in its first turn never
 * needs an event source. */
static void await_request(struct server *server, struct connection *c)
{
	if (sd_event_add_io(
		    server->event, &c->io, connection_descriptor(c), EPOLLIN, on_readable, c) < 0 ||
		sd_event_add_time(server->event, &c->deadline, CLOCK_MONOTONIC,
			c->accepted_usec + REQUEST_USEC, 1, on_deadline, c) < 0) {
		log_words(LOG_ERR, "connection dropped: out of memory");
		drop_connection(server, c);
		return;
	}
	if (c->state == CONNECTION_WAITS)
		await_facts(c);
}

static void welcome(struct server *server, int fd)
{
	struct peer peer = peer_read(fd, server->clients);
	struct connection *c;

	if (!may_connect(server, &peer)) {
		close(fd);
		return;
	}
	if (connection_new(fd, &peer, &c) != OK) {
		quota_give_connection(&server->quota, peer.uid);
		log_words(LOG_ERR, "connection dropped: out of memory");
		return;
	}
	c->server = server;
	c->accepted_usec = monotonic_usec();
	LIST_INSERT_HEAD(&server->connections, c, entry);
	if (++server->connection_count == CONNECTIONS_MAX)
		sd_event_source_set_enabled(server->accept_source, SD_EVENT_OFF);

	if (connection_advance(c, &server->context) == CONNECTION_FINISHED)
		drop_connection(server, c);
	else
		await_request(server, c);
	tell_news(server);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)usec;
	if (!server->is_stopping && server->connection_count < CONNECTIONS_MAX)
		sd_event_source_set_enabled(server->accept_source, SD_EVENT_ON);
	return 0;
}

static void pause_accepting(struct server *server, int error)
{
	log_words(LOG_ERR, "accepting pauses: %s", strerror(error));
	sd_event_source_set_enabled(server->accept_source, SD_EVENT_OFF);
	sd_event_source_set_time(server->pause_source, monotonic_usec() + ACCEPT_PAUSE_USEC);
	sd_event_source_set_enabled(server->pause_source, SD_EVENT_ONESHOT);
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN && server->connection_count < CONNECTIONS_MAX;
		i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			welcome(server, fd);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			pause_accepting(server, errno);
			break;
		}
	}
	plan_work(server, 0);
	return 0;
}

/* Those who are connected get their answers, in bounded time; those who are not stay in the
 * socket's queue, which systemd keeps for the next start. */
static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct server *server = userdata;

	(void)source;
	(void)info;
	server->is_stopping = true;
	sd_event_source_set_enabled(server->accept_source, SD_EVENT_OFF);
	sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
	if (server->connection_count == 0)
		sd_event_exit(server->event, 0);
	return 0;
}

/* The group that owns the socket is the group that may connect; no name service is asked. */
static gid_t find_clients(int fd)
{
	struct sockaddr_un address = { 0 };
	socklen_t length = sizeof address;
	struct stat status;

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0 ||
		address.sun_family != AF_UNIX || address.sun_path[0] != '/' ||
		stat(address.sun_path, &status) < 0)
		return (gid_t)-1;
	return status.st_gid;
}

static bool add_sources(struct server *server)
{
	return sd_event_add_io(server->event, &server->accept_source, server->fd, EPOLLIN,
		       on_connection, server) >= 0 &&
	       sd_event_add_time(server->event, &server->pause_source, CLOCK_MONOTONIC, 0, 1,
		       on_pause_over, server) >= 0 &&
	       sd_event_source_set_enabled(server->pause_source, SD_EVENT_OFF) >= 0 &&
	       sd_event_add_time(server->event, &server->work_source, CLOCK_MONOTONIC, 0, 1,
		       on_work, server) >= 0 &&
	       sd_event_source_set_enabled(server->work_source, SD_EVENT_OFF) >= 0 &&
	       sd_event_add_signal(server->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, on_stop,
		       server) >= 0 &&
	       sd_event_add_signal(server->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_stop,
		       server) >= 0;
}

enum error server_new(sd_event *event, int listen_fd, struct lookup *lookup, struct server **ret)
{
	struct server *server = calloc(1, sizeof *server);

	if (!server)
		return ERROR_MEMORY;
	LIST_INIT(&server->connections);
	server->event = event;
	server->fd = listen_fd;
	server->clients = find_clients(listen_fd);
	server->context.lookup = lookup;
	server->context.quota = &server->quota;
	server->context.stats.started_sec = time(NULL);
	server->was_usable = true;
	if (!add_sources(server)) {
		server->fd = -1; /* the caller's still */
		server_free(server);
		return ERROR_SYSTEM;
	}
	*ret = server;
	return OK;
}

void server_free(struct server *server)
{
	struct connection *c;

	if (!server)
		return;
	server->is_stopping = false;
	while ((c = LIST_FIRST(&server->connections)))
		drop_connection(server, c);
	sd_event_source_disable_unref(server->accept_source);
	sd_event_source_disable_unref(server->pause_source);
	sd_event_source_disable_unref(server->work_source);
	sd_event_source_disable_unref(server->settler_source);
	if (server->fd >= 0)
		close(server->fd);
	free(server);
}
