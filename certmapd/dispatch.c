/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dispatch.c owns the table of who may ask what, and the shape of an answer. */
#include "dispatch.h"

#include "escape.h"

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

static bool may_ask(const struct peer *peer, const struct request *request)
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

enum lookup_state dispatch_frame(struct lookup *lookup, const struct peer *peer,
	const uint8_t *frame, size_t length, bool may_wait, struct dispatch_answer *ret)
{
	enum error error = message_read_request(frame, length, &ret->request);

	if (error != OK) {
		dispatch_unreadable(error, ret);
		return LOOKUP_DONE;
	}
	ret->error = OK;
	if (!may_ask(peer, &ret->request)) {
		ret->outcome = (struct lookup_outcome){ .reason = REASON_FORBIDDEN };
	} else if (lookup_run(lookup, &ret->request, may_wait, &ret->outcome) == LOOKUP_WAITS) {
		return LOOKUP_WAITS;
	}
	answer_outcome(ret);
	return LOOKUP_DONE;
}
