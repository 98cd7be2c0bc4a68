/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dispatch.c owns the table of who may ask what, and the shape of an answer. */
#include "dispatch.h"

#include "escape.h"

#include <unistd.h>

static bool peer_is_client(const struct peer *peer)
{
	return peer->is_known && peer->is_client;
}

static bool peer_is_root(const struct peer *peer)
{
	return peer->is_known && peer->uid == 0;
}

static bool asks_lookup(const struct request *request)
{
	(void)request;
	return true;
}

static bool asks_credential(const struct request *request)
{
	return request->credential_wanted;
}

/* What a request asks for, and who may. Certificates and account names are public, so a lookup is
 * for every service that the administrator put into the group; a password is not. */
static const struct {
	bool (*is_asked)(const struct request *request);
	bool (*may)(const struct peer *peer);
} permissions[] = {
	{ asks_lookup, peer_is_client },
	{ asks_credential, peer_is_root },
};

bool dispatch_may_ask(const struct peer *peer, const struct request *request)
{
	for (size_t i = 0; i < sizeof permissions / sizeof permissions[0]; i++)
		if (permissions[i].is_asked(request) && !permissions[i].may(peer))
			return false;
	return true;
}

void dispatch_unreadable(enum error error, struct dispatch_answer *ret)
{
	const struct reply reply = { .reason = REASON_UNAVAILABLE };

	ret->error = error;
	ret->is_status = false;
	ret->outcome = (struct lookup_outcome){ .reason = REASON_UNAVAILABLE };
	ret->frame_length = 0;
	/* Nothing in this reply can break a rule; if it did, no reply says the same. */
	if (message_write_reply(&reply, ret->frame, sizeof ret->frame, &ret->frame_length) != OK)
		ret->frame_length = 0;
}

static void answer_outcome(struct dispatch_answer *ret)
{
	const struct lookup_outcome *outcome = &ret->outcome;
	const struct mapping *mapping = &outcome->mapping;
	char subject[SUBJECT_MAX_BYTES + 1];
	enum error error;
	struct reply reply = {
		.reason = outcome->reason,
		.correlation_id = ret->request.correlation_id,
	};

	if (outcome->is_shadow) {
		/* As if there were no certificate: the stack goes on to what it used until now. */
		reply.reason = REASON_NO_CERTIFICATE;
		reply.shadow = span_of_string(reason_word(outcome->reason));
	} else if (outcome->fingerprint[0]) {
		reply.fingerprint = span_of_string(outcome->fingerprint);
	}
	if (outcome->credential_length > 0)
		reply.credential = span_of(outcome->credential, outcome->credential_length);
	if (outcome->has_mapping && !outcome->is_shadow) {
		reply.account = span_of_string(mapping->account);
		reply.has_uid = mapping->has_uid;
		reply.uid = mapping->uid;
		reply.has_mapping_id = true;
		reply.mapping_id = (uint64_t)mapping->id;
		reply.subject = span_of_string(
			escape_text(span_of_string(mapping->subject), subject, sizeof subject));
	}
	/* Our own rules refuse it only where the store let through what it may not. */
	error = message_write_reply(&reply, ret->frame, sizeof ret->frame, &ret->frame_length);
	if (error != OK)
		dispatch_unreadable(error, ret);
}

static enum error word_status(struct lookup *lookup, const struct stats *stats,
	struct span correlation_id, struct dispatch_answer *ret)
{
	char counts[STATUS_COUNTS_MAX_BYTES + 1];
	const struct status status = {
		.version = span_of_string(CERTMAP_VERSION),
		.pid = (uint32_t)getpid(),
		.started_sec = (uint64_t)stats->started_sec,
		.is_usable = lookup_is_usable(lookup),
		.counts = span_of_string(stats_print(stats, counts, sizeof counts)),
		.has_shadowed = true,
		.shadowed = stats->shadowed,
		.correlation_id = correlation_id,
	};

	return message_write_status(&status, ret->frame, sizeof ret->frame, &ret->frame_length);
}

/* How many logins fail, and why, is for root to know: it tells an attacker how far he got. */
static enum error answer_status(struct lookup *lookup, const struct stats *stats,
	const struct peer *peer, const uint8_t *frame, size_t length, struct dispatch_answer *ret)
{
	struct reply reply = { .reason = REASON_FORBIDDEN };
	enum error error = message_read_status_request(frame, length, &reply.correlation_id);

	if (error != OK)
		return error;
	ret->error = OK;
	ret->is_status = true;
	ret->outcome = (struct lookup_outcome){
		.reason = peer_is_root(peer) ? REASON_ALLOWED : REASON_FORBIDDEN,
	};
	if (peer_is_root(peer))
		return word_status(lookup, stats, reply.correlation_id, ret);
	return message_write_reply(&reply, ret->frame, sizeof ret->frame, &ret->frame_length);
}

static bool is_status_request(const uint8_t *frame, size_t length)
{
	struct message_header header;

	return length >= MESSAGE_HEADER_BYTES &&
	       message_read_request_header(frame, &header) == OK &&
	       header.type == MESSAGE_STATUS_REQUEST;
}

enum lookup_state dispatch_frame(struct lookup *lookup, const struct stats *stats,
	const struct peer *peer, const uint8_t *frame, size_t length, bool may_wait,
	struct dispatch_answer *ret)
{
	const bool is_status = is_status_request(frame, length);
	enum error error = is_status ? answer_status(lookup, stats, peer, frame, length, ret)
				     : message_read_request(frame, length, &ret->request);

	if (error != OK) {
		dispatch_unreadable(error, ret);
		return LOOKUP_DONE;
	}
	if (is_status)
		return LOOKUP_DONE;
	ret->error = OK;
	ret->is_status = false;
	if (!dispatch_may_ask(peer, &ret->request)) {
		ret->outcome = (struct lookup_outcome){ .reason = REASON_FORBIDDEN };
	} else if (lookup_run(lookup, &ret->request, may_wait, &ret->outcome) == LOOKUP_WAITS) {
		return LOOKUP_WAITS;
	}
	answer_outcome(ret);
	return LOOKUP_DONE;
}
