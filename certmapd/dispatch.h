/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dispatch.h owns who may ask what, and the way of one frame to the frame that answers it.
 */
#pragma once

#include "lookup.h"
#include "messages.h"
#include "peer.h"
#include "stats.h"

/* One answered frame, and what is worth a log line about it. May hold a credential: wipe it. */
struct dispatch_answer {
	uint8_t frame[REPLY_MAX_BYTES];
	size_t frame_length;
	enum error error;       /* why the request could not be read; OK: it was */
	struct request request; /* borrowed from the request's frame; only with OK */
	struct lookup_outcome outcome;
	bool is_status; /* the question was not for a lookup: there is no verdict */
};

/* Whether the peer may ask what the request asks. */
WARN_UNUSED bool dispatch_may_ask(const struct peer *peer, const struct request *request);

/* Answers a whole frame. What can't be read is answered too, as unavailable. LOOKUP_WAITS: nothing
 * was filled, ask again later; never where `may_wait` is false. */
enum lookup_state dispatch_frame(struct lookup *lookup, const struct stats *stats,
	const struct peer *peer, const uint8_t *frame, size_t length, bool may_wait,
	struct dispatch_answer *ret);

/* The answer to a frame that is not worth reading further, because of `error`. */
void dispatch_unreadable(enum error error, struct dispatch_answer *ret);
