/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_client.c: a client asks a daemon that answers with the input. An answer counts only where
 * all the bytes that came are one reply to this request; otherwise nothing of it is left in memory.
 */
#include "client.h"

#include "fake_daemon.h"
#include "fuzz.h"
#include "monotonic.h"

#include <stdlib.h>

#define PATIENCE_USEC UINT64_C(60000000)

static bool is_wiped(const struct client_reply *answer)
{
	const uint8_t *bytes = (const uint8_t *)answer;

	for (size_t i = 0; i < sizeof(*answer); i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static void must_be_whole(const struct client_reply *answer, struct span sent)
{
	struct reply reply;

	MUST(message_read_reply(sent.bytes, sent.length, &reply) == OK);
	MUST(reply.reason == answer->reply.reason);
	MUST(span_is_equal(reply.correlation_id, span_of_string(FAKE_DAEMON_ID)));
	MUST(memcmp(answer->frame, sent.bytes, sent.length) == 0);
	MUST(fuzz_is_inside(answer->reply.reason_word, span_of(answer->frame, sent.length)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct request request = {
		.phase = PHASE_AUTHENTICATE,
		.mode = MODE_MATCH,
		.kind = EVIDENCE_CERTIFICATE,
		.service = span_of_string("proftpd"),
		.user = span_of_string("alice"),
		.evidence = span_of_string("x"),
		.correlation_id = span_of_string(FAKE_DAEMON_ID),
	};
	const char *path = fake_daemon_start();
	struct client_reply *answer = calloc(1, sizeof(*answer));
	struct client_failure failure = { 0 };
	struct span asked, sent;
	enum error error;

	MUST(answer);
	fake_daemon_set_reply(span_of(data, size));
	error = client_ask(path, monotonic_usec() + PATIENCE_USEC, &request, answer, &failure);
	MUST(fake_daemon_take_exchange(&asked, &sent));
	MUST(error == OK || error == ERROR_PEER || error == ERROR_MALFORMED ||
		error == ERROR_VERSION);
	if (error == OK)
		must_be_whole(answer, sent);
	else
		MUST(failure.what && is_wiped(answer));
	free(answer);
	return 0;
}
