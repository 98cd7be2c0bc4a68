/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.h owns the asking side of one exchange: find the socket trustworthy, connect, send,
 * receive, all under one monotonic deadline.
 *
 * It is used inside of other people's login processes: no static state, no signal handler, no
 * thread; every descriptor is close-on-exec and closed again before return.
 */
#pragma once

#include "errors.h"
#include "messages.h"

/* A reply and the memory that its spans point into. Initialise with {0}. */
struct client_reply {
	struct reply reply;
	uint8_t frame[REPLY_MAX_BYTES];
};

/* What went wrong, for one log line of the caller. Fixed text; errno_value is 0 where none fits. */
struct client_failure {
	const char *what; /* such as "connect", "socket file is not owned by root", ... */
	int errno_value;
};

/* Asks once. `deadline_usec` is a point of CLOCK_MONOTONIC, in microseconds, for everything that
 * happens here, connect included.
 *
 * The socket file must be a socket owned by root or the caller's effective uid, in a directory
 * that belongs to one of them and that nobody else can write; the listener (SO_PEERCRED, which
 * shows who called listen(), see unix(7)) must be root, the user `certmap` or the caller's own
 * effective uid. A reply counts only whole: right version, right correlation id, nothing after it
 * up to the end of the stream.
 *
 * OK: *ret is filled. ERROR_PEER, ERROR_DEADLINE, ERROR_MALFORMED, ERROR_VERSION: no usable answer,
 * what PAM calls "unavailable". ERROR_MALFORMED is also a request that breaks a rule of its format,
 * such as a control character in the user's name; nothing was sent then. ERROR_TOO_LARGE: the
 * request or the socket's path breaks a limit. ERROR_MEMORY, ERROR_SYSTEM: of this process.
 * On failure *ret is wiped and *ret_failure says what failed; on success *ret_failure is untouched.
 * Wipe *ret (explicit_bzero) after use where a credential was wanted. */
WARN_UNUSED enum error client_ask(const char *socket_path, uint64_t deadline_usec,
	const struct request *request, struct client_reply *ret,
	struct client_failure *ret_failure);

/* The daemon's status and the memory that its spans point into. Initialise with {0}. */
struct client_status {
	bool is_told;        /* false: it answered with `refusal` */
	enum reason refusal; /* forbidden: only root may ask; unavailable: a daemon that is too old
			      * to know the question, or without room for another connection */
	struct status status;
	uint8_t frame[REPLY_MAX_BYTES];
};

/* Asks for the status, as client_ask() asks for a lookup. */
WARN_UNUSED enum error client_ask_status(const char *socket_path, uint64_t deadline_usec,
	struct span correlation_id, struct client_status *ret, struct client_failure *ret_failure);
