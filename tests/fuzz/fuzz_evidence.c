/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_evidence.c: evidence of every kind, as the daemon opens it. What is whole asks for what it
 * is; a fingerprint printed again is the text that came; the account phase knows nothing else.
 */
#include "presented.h"

#include "certificate.h"
#include "fuzz.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static void must_print_as(const uint8_t digest[FINGERPRINT_BYTES], struct span text)
{
	char hex[FINGERPRINT_HEX_BYTES + 1];
	size_t at = 0;

	for (size_t i = 0; i < FINGERPRINT_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	for (size_t i = 0; i < text.length; i++)
		if (text.bytes[i] != ':')
			MUST(at < FINGERPRINT_HEX_BYTES && tolower(text.bytes[i]) == hex[at++]);
	MUST(at == FINGERPRINT_HEX_BYTES);
}

static void check_whole(const struct request *request, const struct store_question *question)
{
	uint8_t digest[FINGERPRINT_BYTES];

	switch (request->kind) {
	case EVIDENCE_CERTIFICATE:
		MUST(question->by == STORE_BY_FINGERPRINT && question->der.length > 1);
		EVP_Digest(question->der.bytes, question->der.length, digest, NULL, EVP_sha256(),
			NULL);
		MUST(memcmp(digest, question->digest, sizeof(digest)) == 0);
		break;
	case EVIDENCE_FINGERPRINT:
		MUST(question->by == STORE_BY_FINGERPRINT && !span_is_present(question->der));
		must_print_as(question->digest, request->evidence);
		break;
	case EVIDENCE_KEY:
		MUST(question->by == STORE_BY_KEY && !span_is_present(question->der));
		break;
	case EVIDENCE_NAMES:
		MUST(question->by == STORE_BY_NAMES && question->second.length > 0);
		break;
	case EVIDENCE_NAME:
		MUST(question->by == STORE_BY_NAME && question->first.length > 0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { span_of(data, size) };
	struct request request = {
		.phase = fuzz_take_byte(&input) % 2 + PHASE_AUTHENTICATE,
		.kind = fuzz_take_byte(&input) % EVIDENCE_NAME + EVIDENCE_CERTIFICATE,
		.service = span_of_string("proftpd"),
	};
	FUZZ_PART second = fuzz_take_part(&input);
	FUZZ_PART first = fuzz_take_rest(&input);
	uint8_t *der = malloc(ARMOUR_DER_MAX_BYTES);
	struct presented presented;

	MUST(der && certificate_init() == OK);
	request.evidence = first;
	if (request.kind == EVIDENCE_NAMES)
		request.evidence_second = second;
	MUST(presented_open(&request, der, &presented) == OK);
	MUST(request.phase != PHASE_ACCOUNT || request.kind == EVIDENCE_FINGERPRINT ||
		presented.finding == POLICY_EVIDENCE_NOT_ACCEPTED);
	if (presented.finding == POLICY_EVIDENCE_WHOLE)
		check_whole(&request, &presented.question);
	else
		MUST(presented.question.by == STORE_BY_NOTHING);
	free(der);
	return 0;
}
