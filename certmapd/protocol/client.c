/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.c owns the socket calls of the asking side and the checks that the daemon is the daemon.
 *
 * It runs inside of login processes: threads with small stacks, signals that arrive at any time,
 * more than 1,024 open descriptors.
 */
#include "client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "monotonic.h"

/* The user that the daemon runs as. */
#define DAEMON_USER "certmap"

/* Between two tries to enter a full backlog: quick at first, because the daemon empties it within
 * microseconds once it runs, and never often enough to burn the processor that it needs. */
#define RETRY_FIRST_MSEC 1
#define RETRY_LAST_MSEC 32

/* A line of /etc/passwd, or an entry of whatever NSS asks, past this is nobody's. */
#define PASSWD_FIRST_BYTES 1024u
#define PASSWD_LAST_BYTES (1024u * 1024u)

struct exchange {
	int fd;
	uint64_t deadline_usec;
	struct client_failure *failure;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

struct frame {
	uint8_t *bytes;
	size_t length;
};

/* Where the password item is the evidence, somebody may have typed a password. */
static void wipe_frame(struct frame *frame)
{
	if (frame->bytes)
		explicit_bzero(frame->bytes, frame->length);
	free(frame->bytes);
}

static void free_chars(char **chars)
{
	free(*chars);
}

static enum error fail(
	struct client_failure *failure, enum error err, const char *what, int errno_value)
{
	*failure = (struct client_failure){ .what = what, .errno_value = errno_value };
	return err;
}

/* 0 once the deadline has passed. Rounded up: poll() with 0 would spin through the last
 * millisecond. */
static int left_msec(uint64_t deadline_usec)
{
	const uint64_t now_usec = monotonic_usec();

	if (now_usec >= deadline_usec)
		return 0;
	const uint64_t msec = (deadline_usec - now_usec + 999u) / 1000u;
	return msec < INT_MAX ? (int)msec : INT_MAX;
}

static bool is_trusted_owner(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* Checked by name and before connect(): between the two only root and our own uid could change
 * anything, and they are whom we trust. */
static enum error check_directory(const char *directory, struct client_failure *failure)
{
	struct stat status;

	if (lstat(directory, &status) != 0)
		return fail(failure, ERROR_PEER, "directory of the socket", errno);
	if (S_ISLNK(status.st_mode))
		return fail(failure, ERROR_PEER,
			"directory of the socket is a symbolic link; name what it points to", 0);
	if (!S_ISDIR(status.st_mode))
		return fail(failure, ERROR_PEER, "directory of the socket is no directory", 0);
	if (!is_trusted_owner(status.st_uid))
		return fail(failure, ERROR_PEER,
			"directory of the socket is owned by neither root nor the caller", 0);
	/* An ACL that lets others write shows in the group bits, acl(5). */
	if (status.st_mode & (S_IWGRP | S_IWOTH))
		return fail(failure, ERROR_PEER,
			"directory of the socket is writable by group or others", 0);
	return OK;
}

static enum error check_socket_file(const char *path, struct client_failure *failure)
{
	struct stat status;

	if (lstat(path, &status) != 0)
		return fail(failure, ERROR_PEER, "socket file", errno);
	if (!S_ISSOCK(status.st_mode))
		return fail(failure, ERROR_PEER, "socket file is not a socket", 0);
	if (!is_trusted_owner(status.st_uid))
		return fail(failure, ERROR_PEER,
			"socket file is owned by neither root nor the caller", 0);
	return OK;
}

static enum error address_of(
	const char *path, struct sockaddr_un *ret, struct client_failure *failure)
{
	const size_t length = strlen(path);

	/* A relative path is a different socket in every working directory. */
	if (path[0] != '/')
		return fail(failure, ERROR_PEER, "socket path is not absolute", 0);
	if (length >= sizeof ret->sun_path)
		return fail(failure, ERROR_TOO_LARGE,
			"socket path is longer than the 107 bytes of a socket address", 0);
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, path, length + 1);
	return OK;
}

static enum error check_place(const struct sockaddr_un *address, struct client_failure *failure)
{
	char directory[sizeof address->sun_path];
	enum error err;

	memcpy(directory, address->sun_path, sizeof directory);
	char *slash = strrchr(directory, '/');
	slash[slash == directory ? 1 : 0] = '\0';

	if ((err = check_directory(directory, failure)) != OK)
		return err;
	return check_socket_file(address->sun_path, failure);
}

/* A non-blocking connect() to a full backlog is EAGAIN and never in progress, connect(2), so there
 * is nothing to poll for; a blocking one could wait for ever. */
static enum error connect_socket(struct exchange *exchange, const struct sockaddr_un *address)
{
	int wait_msec = RETRY_FIRST_MSEC;

	for (;;) {
		const int left = left_msec(exchange->deadline_usec);

		if (left == 0)
			return fail(exchange->failure, ERROR_DEADLINE, "connect", 0);
		if (connect(exchange->fd, (const struct sockaddr *)address, sizeof *address) == 0)
			return OK;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return fail(exchange->failure, ERROR_PEER, "connect", errno);
		if (poll(NULL, 0, wait_msec < left ? wait_msec : left) < 0 && errno != EINTR)
			return fail(exchange->failure, ERROR_SYSTEM, "poll", errno);
		if (wait_msec < RETRY_LAST_MSEC)
			wait_msec *= 2;
	}
}

/* One try with a buffer of `capacity` bytes. The errno value of getpwnam_r(); *ret_uid and
 * *ret_found are set with 0 alone. */
static int daemon_uid_read(size_t capacity, uid_t *ret_uid, bool *ret_found)
{
	__attribute__((cleanup(free_chars))) char *buffer = malloc(capacity);
	struct passwd passwd;
	struct passwd *found = NULL;

	if (!buffer)
		return ENOMEM;
	const int errno_value = getpwnam_r(DAEMON_USER, &passwd, buffer, capacity, &found);
	if (errno_value != 0)
		return errno_value;
	*ret_found = found;
	*ret_uid = found ? passwd.pw_uid : 0;
	return 0;
}

static enum error check_is_daemon(const struct exchange *exchange, uid_t uid)
{
	size_t capacity = PASSWD_FIRST_BYTES;
	uid_t daemon_uid = 0;
	bool found = false;
	int errno_value;

	while ((errno_value = daemon_uid_read(capacity, &daemon_uid, &found)) != 0) {
		if (errno_value == ERANGE && capacity < PASSWD_LAST_BYTES)
			capacity *= 2;
		else if (errno_value != EINTR || left_msec(exchange->deadline_usec) == 0)
			return fail(exchange->failure,
				errno_value == ENOMEM ? ERROR_MEMORY : ERROR_PEER,
				"looking up the user " DAEMON_USER, errno_value);
	}
	if (!found || daemon_uid != uid)
		return fail(exchange->failure, ERROR_PEER,
			"listener is neither root nor " DAEMON_USER " nor the caller", 0);
	return OK;
}

/* The credentials are those of the moment of listen(), unix(7): root where systemd made the
 * socket. NSS, which may be slow or ask a network, is left alone unless it has to decide. */
static enum error check_listener(const struct exchange *exchange)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;

	if (getsockopt(exchange->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
		return fail(exchange->failure, ERROR_SYSTEM, "getsockopt SO_PEERCRED", errno);
	if (length != sizeof peer)
		return fail(exchange->failure, ERROR_PEER, "listener is unknown", 0);
	if (is_trusted_owner(peer.uid))
		return OK;
	return check_is_daemon(exchange, peer.uid);
}

static enum error wait_for(const struct exchange *exchange, short events, const char *what)
{
	struct pollfd poll_fd = { .fd = exchange->fd, .events = events };

	for (;;) {
		const int left = left_msec(exchange->deadline_usec);

		if (left == 0)
			return fail(exchange->failure, ERROR_DEADLINE, what, 0);
		const int ready = poll(&poll_fd, 1, left);
		if (ready > 0)
			return OK;
		if (ready < 0 && errno != EINTR)
			return fail(exchange->failure, ERROR_SYSTEM, "poll", errno);
	}
}

/* A daemon that refuses early answers and closes before it has read everything: then its answer
 * still waits for us, and whether there is one shows in the reading. */
static enum error send_frame(const struct exchange *exchange, const uint8_t *frame, size_t length)
{
	size_t sent = 0;

	while (sent < length) {
		const ssize_t now = send(exchange->fd, frame + sent, length - sent, MSG_NOSIGNAL);

		if (now >= 0) {
			sent += (size_t)now;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return OK;
		} else if (errno == EAGAIN || errno == EINTR) {
			const enum error err = wait_for(exchange, POLLOUT, "send");
			if (err != OK)
				return err;
		} else {
			return fail(exchange->failure, ERROR_PEER, "send", errno);
		}
	}
	return OK;
}

/* Fewer bytes than asked for only at the end of the stream. The kernel turns the end into a reset
 * where the daemon closed with bytes of ours unread; what it had sent before comes first. */
static enum error receive(
	const struct exchange *exchange, uint8_t *buffer, size_t length, size_t *ret_received)
{
	size_t received = 0;

	while (received < length) {
		const ssize_t now = recv(exchange->fd, buffer + received, length - received, 0);

		if (now > 0) {
			received += (size_t)now;
		} else if (now == 0 || errno == ECONNRESET) {
			break;
		} else if (errno == EAGAIN || errno == EINTR) {
			const enum error err = wait_for(exchange, POLLIN, "receive");
			if (err != OK)
				return err;
		} else {
			return fail(exchange->failure, ERROR_PEER, "receive", errno);
		}
	}
	*ret_received = received;
	return OK;
}

static enum error receive_exactly(const struct exchange *exchange, uint8_t *buffer, size_t length)
{
	size_t received;
	const enum error err = receive(exchange, buffer, length, &received);

	if (err != OK)
		return err;
	if (received < length)
		return fail(exchange->failure, ERROR_PEER, "connection ended before the reply", 0);
	return OK;
}

static enum error receive_end(const struct exchange *exchange)
{
	uint8_t extra;
	size_t received;
	const enum error err = receive(exchange, &extra, sizeof extra, &received);

	if (err != OK)
		return err;
	if (received > 0)
		return fail(exchange->failure, ERROR_MALFORMED, "bytes after the reply", 0);
	return OK;
}

/* The caller's "too large" speaks of the request; a reply beyond its limits breaks the format. */
static enum error fail_reply(struct client_failure *failure, enum error err)
{
	switch (err) {
	case ERROR_VERSION:
		return fail(
			failure, err, "reply of an unknown version or with an unknown field", 0);
	case ERROR_TOO_LARGE:
		return fail(failure, ERROR_MALFORMED, "reply breaks a limit", 0);
	case OK:
	case ERROR_MEMORY:
	case ERROR_SYSTEM:
	case ERROR_DEADLINE:
	case ERROR_PEER:
	case ERROR_MALFORMED:
	case ERROR_BUSY:
	case ERROR_STORE:
	case ERROR_REFUSED:
		break;
	}
	return fail(failure, ERROR_MALFORMED, "malformed reply", 0);
}

/* A whole frame and the end of the stream; of which type is left to who reads it. */
static enum error receive_frame(
	const struct exchange *exchange, uint8_t frame[REPLY_MAX_BYTES], struct message_header *ret)
{
	enum error err;

	if ((err = receive_exactly(exchange, frame, MESSAGE_HEADER_BYTES)) != OK)
		return err;
	if ((err = message_read_reply_header(frame, ret)) != OK)
		return fail_reply(exchange->failure, err);
	if ((err = receive_exactly(exchange, frame + MESSAGE_HEADER_BYTES, ret->payload_bytes)) !=
		OK)
		return err;
	return receive_end(exchange);
}

static enum error receive_reply(const struct exchange *exchange, struct client_reply *ret)
{
	struct message_header header;
	enum error err;

	if ((err = receive_frame(exchange, ret->frame, &header)) != OK)
		return err;
	if ((err = message_read_reply(
		     ret->frame, MESSAGE_HEADER_BYTES + header.payload_bytes, &ret->reply)) != OK)
		return fail_reply(exchange->failure, err);
	return OK;
}

static enum error check_correlation(
	const struct exchange *exchange, struct span asked, const struct reply *reply)
{
	if (span_is_equal(asked, reply->correlation_id))
		return OK;
	return fail(exchange->failure, ERROR_MALFORMED,
		span_is_present(reply->correlation_id) ? "reply belongs to another request"
						       : "daemon did not read the request",
		0);
}

/* On the heap and no larger than needed: evidence may have 64 KiB, a thread's stack less. */
static enum error frame_of(
	const struct request *request, struct frame *ret, struct client_failure *failure)
{
	uint8_t *frame;
	size_t length;
	enum error err;

	if ((err = message_write_request(request, NULL, REQUEST_MAX_BYTES, &length)) != OK)
		return fail(failure, err, "request breaks a rule of the protocol", 0);
	if (!(frame = malloc(length)))
		return fail(failure, ERROR_MEMORY, "request", errno);
	if ((err = message_write_request(request, frame, length, &length)) != OK) {
		free(frame);
		return fail(failure, err, "request breaks a rule of the protocol", 0);
	}
	*ret = (struct frame){ .bytes = frame, .length = length };
	return OK;
}

/* Up to where the daemon has the frame. `exchange->fd` is the caller's to close, also on failure.
 */
static enum error begin(
	struct exchange *exchange, const char *socket_path, const uint8_t *frame, size_t length)
{
	struct sockaddr_un address;
	enum error err;

	if ((err = address_of(socket_path, &address, exchange->failure)) != OK ||
		(err = check_place(&address, exchange->failure)) != OK)
		return err;
	exchange->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (exchange->fd < 0)
		return fail(exchange->failure, ERROR_SYSTEM, "socket", errno);
	if ((err = connect_socket(exchange, &address)) != OK ||
		(err = check_listener(exchange)) != OK)
		return err;
	return send_frame(exchange, frame, length);
}

static void end(struct exchange *exchange)
{
	close_fd(&exchange->fd);
}

static enum error ask(const char *socket_path, uint64_t deadline_usec,
	const struct request *request, struct client_reply *ret, struct client_failure *failure)
{
	__attribute__((cleanup(end))) struct exchange exchange = {
		.fd = -1,
		.deadline_usec = deadline_usec,
		.failure = failure,
	};
	__attribute__((cleanup(wipe_frame))) struct frame frame = { 0 };
	enum error err;

	if ((err = frame_of(request, &frame, failure)) != OK ||
		(err = begin(&exchange, socket_path, frame.bytes, frame.length)) != OK ||
		(err = receive_reply(&exchange, ret)) != OK)
		return err;
	return check_correlation(&exchange, request->correlation_id, &ret->reply);
}

enum error client_ask(const char *socket_path, uint64_t deadline_usec,
	const struct request *request, struct client_reply *ret, struct client_failure *ret_failure)
{
	const enum error err = ask(socket_path, deadline_usec, request, ret, ret_failure);

	/* Half a reply may hold a credential, and its spans would be taken for an answer. */
	if (err != OK)
		explicit_bzero(ret, sizeof *ret);
	return err;
}

/* Why a daemon answers a status request like a lookup's. */
static enum error read_refusal(const struct exchange *exchange, size_t length, struct span asked,
	struct client_status *ret)
{
	struct reply reply;
	enum error err = message_read_reply(ret->frame, length, &reply);

	if (err != OK)
		return fail_reply(exchange->failure, err);
	ret->refusal = reply.reason;
	if (reply.reason == REASON_UNAVAILABLE && !span_is_present(reply.correlation_id))
		return OK;
	if (reply.reason != REASON_FORBIDDEN)
		return fail(exchange->failure, ERROR_MALFORMED, "malformed reply", 0);
	return check_correlation(exchange, asked, &reply);
}

static enum error read_status(const struct exchange *exchange, size_t length, struct span asked,
	struct client_status *ret)
{
	enum error err = message_read_status(ret->frame, length, &ret->status);

	if (err != OK)
		return fail_reply(exchange->failure, err);
	if (!span_is_equal(asked, ret->status.correlation_id))
		return fail(
			exchange->failure, ERROR_MALFORMED, "reply belongs to another request", 0);
	ret->is_told = true;
	return OK;
}

enum error client_ask_status(const char *socket_path, uint64_t deadline_usec,
	struct span correlation_id, struct client_status *ret, struct client_failure *ret_failure)
{
	__attribute__((cleanup(end))) struct exchange exchange = {
		.fd = -1,
		.deadline_usec = deadline_usec,
		.failure = ret_failure,
	};
	uint8_t frame[MESSAGE_HEADER_BYTES + 6 + CORRELATION_ID_MAX_BYTES];
	struct message_header header;
	size_t length;
	enum error err;

	err = message_write_status_request(correlation_id, frame, sizeof frame, &length);
	if (err != OK)
		return fail(ret_failure, err, "request breaks a rule of the protocol", 0);
	if ((err = begin(&exchange, socket_path, frame, length)) != OK ||
		(err = receive_frame(&exchange, ret->frame, &header)) != OK)
		return err;
	length = MESSAGE_HEADER_BYTES + header.payload_bytes;
	ret->is_told = false;
	return header.type == MESSAGE_STATUS ? read_status(&exchange, length, correlation_id, ret)
					     : read_refusal(&exchange, length, correlation_id, ret);
}
