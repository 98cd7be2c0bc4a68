/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_request.c: a request that reads is written again with the same fields, and reads as the same
 * then; what the daemon does with its evidence holds whatever stands in it.
 */
#include "messages.h"

#include "certificate.h"
#include "presented.h"
#include "fuzz.h"
#include "fuzz_frame.h"

#include <stdlib.h>

#define LAST_FIELD 11u
#define CREDENTIAL_WANTED 11u /* is left out where it is 0 */

static void open_evidence(const struct request *request)
{
	uint8_t *der = malloc(ARMOUR_DER_MAX_BYTES);
	struct presented presented;

	MUST(der && certificate_init() == OK);
	MUST(presented_open(request, der, &presented) == OK);
	MUST((presented.finding == POLICY_EVIDENCE_WHOLE) ==
		(presented.question.by != STORE_BY_NOTHING));
	free(der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frame = malloc(REQUEST_MAX_BYTES);
	struct request request, again;
	size_t length;

	MUST(frame);
	if (message_read_request(data, size, &request) == OK) {
		MUST(size <= REQUEST_MAX_BYTES);
		MUST(message_write_request(&request, frame, REQUEST_MAX_BYTES, &length) == OK);
		frame_must_match(span_of(data, size), span_of(frame, length), LAST_FIELD,
			request.credential_wanted ? 0 : CREDENTIAL_WANTED);
		MUST(message_read_request(frame, length, &again) == OK);
		MUST(again.phase == request.phase && again.mode == request.mode &&
			again.kind == request.kind &&
			again.credential_wanted == request.credential_wanted);
		open_evidence(&request);
	}
	free(frame);
	return 0;
}
