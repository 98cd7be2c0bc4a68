/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_reply.c: a reply that reads is written again with the same fields; one that says "allowed"
 * says who, and no refusal carries a credential.
 */
#include "messages.h"

#include "fuzz.h"
#include "fuzz_frame.h"

#define LAST_FIELD 9u
#define NONE_DROPPED 0u

static void check_meaning(const struct reply *reply)
{
	const bool is_allowed = span_is_equal(reply->reason_word, span_of_string("allowed"));

	MUST(is_allowed == (reply->reason == REASON_ALLOWED));
	if (is_allowed)
		MUST(reply->account.length > 0 && reply->has_mapping_id &&
			reply->fingerprint.length == FINGERPRINT_HEX_BYTES);
	else
		MUST(!span_is_present(reply->credential));
	MUST(!reply->has_uid || reply->uid != UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t frame[REPLY_MAX_BYTES];
	struct reply reply;
	size_t length;

	if (message_read_reply(data, size, &reply) != OK)
		return 0;
	MUST(size <= REPLY_MAX_BYTES);
	check_meaning(&reply);
	if (reply.reason == REASON_UNKNOWN) /* a word of a newer daemon: can't be written */
		return 0;
	MUST(message_write_reply(&reply, frame, sizeof(frame), &length) == OK);
	frame_must_match(span_of(data, size), span_of(frame, length), LAST_FIELD, NONE_DROPPED);
	return 0;
}
