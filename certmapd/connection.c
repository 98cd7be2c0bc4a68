/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connection.c owns the reading of a request and the line that says how it ended. */
#include "connection.h"

#include "dispatch.h"
#include "log.h"
#include "monotonic.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

enum error connection_new(int fd, const struct peer *peer, struct connection **ret)
{
	struct connection *connection = malloc(sizeof *connection);

	if (!connection) {
		close(fd);
		return ERROR_MEMORY;
	}
	/* Not the buffer: clearing it would cost more than the rest of this. */
	memset(connection, 0, offsetof(struct connection, small));
	connection->fd = fd;
	connection->peer = *peer;
	connection->frame = connection->small;
	*ret = connection;
	return OK;
}

/* The end of the stream is what the peer waits for after the reply: whatever is left to do comes
 * after it. epoll(7) forgets a descriptor that is closed, so the server's source may outlive it. */
static void hang_up(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void connection_free(struct connection *connection)
{
	if (!connection)
		return;
	/* Evidence may be a password that somebody typed into the wrong prompt. */
	explicit_bzero(connection->frame, connection->have);
	if (connection->frame != connection->small)
		free(connection->frame);
	hang_up(connection);
	free(connection);
}

int connection_descriptor(const struct connection *connection)
{
	return connection->fd;
}

static bool may_log(
	const struct connection *c, const struct connection_context *context, struct log_line *line)
{
	unsigned suppressed;

	if (!quota_take_line(context->quota, c->peer.uid, monotonic_usec(), &suppressed))
		return false;
	if (suppressed > 0)
		log_add_number(line, "suppressed", suppressed);
	return true;
}

static void add_peer(const struct connection *c, struct log_line *line)
{
	log_add_number(line, "peer_uid", (int64_t)c->peer.uid);
	log_add_number(line, "peer_pid", c->peer.pid);
}

static int verdict_priority(const struct lookup_outcome *outcome)
{
	if (outcome->reason == REASON_ALLOWED)
		return outcome->concern ? LOG_WARNING : LOG_INFO;
	return outcome->reason == REASON_UNAVAILABLE ? LOG_ERR : LOG_NOTICE;
}

static void log_verdict(const struct connection *c, const struct connection_context *context,
	const struct dispatch_answer *answer)
{
	const struct lookup_outcome *outcome = &answer->outcome;
	const struct request *request = &answer->request;
	struct log_line line;

	log_begin(&line, verdict_priority(outcome), "lookup");
	log_add(&line, "reason", span_of_string(reason_word(outcome->reason)));
	log_add(&line, "phase",
		span_of_string(request->phase == PHASE_ACCOUNT ? "account" : "authenticate"));
	log_add(&line, "service", request->service);
	log_add(&line, "asked", request->user);
	if (outcome->has_mapping) {
		log_add(&line, "account", span_of_string(outcome->mapping.account));
		log_add_number(&line, "mapping", outcome->mapping.id);
	}
	if (outcome->fingerprint[0])
		log_add(&line, "fingerprint", span_of_string(outcome->fingerprint));
	if (outcome->is_shadow)
		log_add(&line, "shadow", span_of_string("1"));
	if (outcome->took_over)
		log_add(&line, "took_over", span_of_string("1"));
	if (outcome->concern)
		log_add(&line, "concern", span_of_string(outcome->concern));
	log_add(&line, "rhost", request->remote_host);
	log_add(&line, "tty", request->tty);
	log_add(&line, "id", request->correlation_id);
	add_peer(c, &line);
	if (may_log(c, context, &line))
		log_send(&line);
}

static void log_cut(
	const struct connection *c, const struct connection_context *context, const char *why)
{
	struct log_line line;

	log_begin(&line, LOG_WARNING, "request refused");
	log_add(&line, "cause", span_of_string(why));
	log_add_number(&line, "bytes", (int64_t)c->have);
	add_peer(c, &line);
	if (may_log(c, context, &line))
		log_send(&line);
}

/* One send: a reply is far smaller than the buffer of a fresh socket. A peer that is gone, or that
 * filled its buffer some other way, has no answer coming. */
static void send_answer(const struct connection *c, const struct dispatch_answer *answer)
{
	if (answer->frame_length > 0)
		(void)!send(
			c->fd, answer->frame, answer->frame_length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static enum connection_state refuse(
	struct connection *c, struct connection_context *context, enum error error)
{
	struct dispatch_answer answer;

	stats_count(&context->stats, REASON_UNAVAILABLE, false);
	dispatch_unreadable(error, &answer);
	send_answer(c, &answer);
	hang_up(c);
	log_cut(c, context, error_text(error));
	return CONNECTION_FINISHED;
}

static enum connection_state answer_request(
	struct connection *c, struct connection_context *context, bool may_wait)
{
	struct dispatch_answer answer;

	if (dispatch_frame(context->lookup, &context->stats, &c->peer, c->frame, c->want, may_wait,
		    &answer) == LOOKUP_WAITS)
		return CONNECTION_WAITS;
	send_answer(c, &answer);
	hang_up(c);
	if (answer.error == OK && answer.outcome.credential_length > 0) {
		explicit_bzero(answer.frame, sizeof answer.frame);
		explicit_bzero(answer.outcome.credential, sizeof answer.outcome.credential);
	}
	/* Who looks after the daemon changes nothing that he looks at. */
	if (answer.is_status) {
		if (answer.outcome.reason == REASON_FORBIDDEN)
			log_cut(c, context, "the status is for root alone");
		return CONNECTION_FINISHED;
	}
	context->answered++;
	stats_count(&context->stats, answer.outcome.reason, answer.outcome.is_shadow);
	if (answer.error != OK) {
		log_cut(c, context, error_text(answer.error));
		return CONNECTION_FINISHED;
	}
	if (answer.outcome.reason == REASON_ALLOWED && !answer.outcome.is_shadow) {
		context->allowed++;
		context->with_concern += answer.outcome.concern != NULL;
	}
	log_verdict(c, context, &answer);
	return CONNECTION_FINISHED;
}

/* The header tells how long the frame is, bounded, before any memory is taken for it. */
static enum error plan_frame(struct connection *c)
{
	struct message_header header;
	enum error error = message_read_request_header(c->frame, &header);
	uint8_t *longer;

	if (error != OK)
		return error;
	c->want = MESSAGE_HEADER_BYTES + header.payload_bytes;
	if (c->want <= sizeof c->small)
		return OK;
	if (!(longer = malloc(c->want + 1)))
		return ERROR_MEMORY;
	memcpy(longer, c->small, c->have);
	explicit_bzero(c->small, c->have);
	c->frame = longer;
	return OK;
}

/* One byte more than wanted is asked for, where there is room, to see what may not be there. */
static size_t frame_room(const struct connection *c)
{
	size_t capacity = c->frame == c->small ? sizeof c->small : c->want + 1;

	return capacity - c->have;
}

enum connection_state connection_advance(struct connection *c, struct connection_context *context)
{
	enum error error;
	ssize_t got;

	if (c->state == CONNECTION_WAITS)
		return c->state = answer_request(c, context, true);

	while (c->want == 0 || c->have < c->want) {
		got = recv(c->fd, c->frame + c->have, frame_room(c), MSG_DONTWAIT);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return CONNECTION_READS;
		if (got <= 0)
			return c->state = CONNECTION_FINISHED;
		c->have += (size_t)got;
		if (c->want == 0 && c->have >= MESSAGE_HEADER_BYTES &&
			(error = plan_frame(c)) != OK)
			return c->state = refuse(c, context, error);
	}
	if (c->have > c->want)
		return c->state = refuse(c, context, ERROR_MALFORMED);
	return c->state = answer_request(c, context, true);
}

void connection_expire(struct connection *c, struct connection_context *context)
{
	if (c->state == CONNECTION_WAITS)
		(void)answer_request(c, context, false);
	else if (c->state == CONNECTION_READS)
		log_cut(c, context, "not whole in time");
	c->state = CONNECTION_FINISHED;
}
