/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* presented.c owns the reading of each kind of evidence. */
#include "presented.h"

#include "certificate.h"
#include "hex.h"
#include "sshkey.h"

#include <string.h>

_Static_assert(ARMOUR_DER_MAX_BYTES >= EVIDENCE_MAX_BYTES, "opened evidence fits its room");
_Static_assert(FINGERPRINT_HEX_BYTES == 2 * FINGERPRINT_BYTES, "a fingerprint is whole");

/* "ab:cd:...": a fingerprint as openssl prints it. */
#define COLON_HEX_BYTES (3 * FINGERPRINT_BYTES - 1)

/* SHA-256 in hexadecimal, of either case, without colons or with one between every two digits. */
static bool read_digest(struct span text, uint8_t ret[FINGERPRINT_BYTES])
{
	const bool has_colons = text.length == COLON_HEX_BYTES;
	const size_t step = has_colons ? 3 : 2;

	if (!has_colons && text.length != FINGERPRINT_HEX_BYTES)
		return false;
	for (size_t i = 0; i < FINGERPRINT_BYTES; i++) {
		const uint8_t *digits = text.bytes + step * i;
		const int high = hex_digit(digits[0]), low = hex_digit(digits[1]);

		if (high < 0 || low < 0 || (has_colons && i > 0 && digits[-1] != ':'))
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static enum error open_certificate(
	const struct request *request, uint8_t *der, struct presented *presented)
{
	size_t length;

	if (armour_open_text(request->evidence, der, ARMOUR_DER_MAX_BYTES, &length) !=
		ARMOUR_OPENED)
		return OK;
	presented->finding = POLICY_EVIDENCE_WHOLE;
	presented->question.by = STORE_BY_FINGERPRINT;
	presented->question.der = span_of(der, length);
	return certificate_fingerprint(presented->question.der, presented->question.digest);
}

static void open_fingerprint(const struct request *request, struct presented *presented)
{
	if (!read_digest(request->evidence, presented->question.digest))
		return;
	presented->finding = POLICY_EVIDENCE_WHOLE;
	presented->question.by = STORE_BY_FINGERPRINT;
}

/* The digest of a SubjectPublicKeyInfo, or a key as sshd hands it over. */
static enum error open_key(const struct request *request, struct presented *presented)
{
	uint8_t spki[SSHKEY_MAX_BYTES];
	size_t length;
	enum error error = OK;

	if (!read_digest(request->evidence, presented->question.digest)) {
		if (!sshkey_read(request->evidence, spki, &length))
			return OK;
		error = certificate_fingerprint(span_of(spki, length), presented->question.digest);
	}
	presented->finding = POLICY_EVIDENCE_WHOLE;
	presented->question.by = STORE_BY_KEY;
	return error;
}

/* A name with a NUL in it is none: as a string it would end there, and stand for a shorter one. */
static bool is_name(struct span text)
{
	return span_is_present(text) && text.length > 0 && !memchr(text.bytes, 0, text.length);
}

static void open_names(const struct request *request, enum store_by by, struct presented *presented)
{
	if (!is_name(request->evidence) ||
		(by == STORE_BY_NAMES && !is_name(request->evidence_second)))
		return;
	presented->finding = POLICY_EVIDENCE_WHOLE;
	presented->question.by = by;
	presented->question.first = request->evidence;
	presented->question.second = request->evidence_second;
}

/* What the stack line called its evidence is what it is: nothing is inferred from one kind to
 * another. The account phase asks whether what an authenticate found still stands, and names it by
 * its fingerprint alone. */
enum error presented_open(
	const struct request *request, uint8_t der[ARMOUR_DER_MAX_BYTES], struct presented *ret)
{
	struct presented presented = { .finding = POLICY_EVIDENCE_MALFORMED };
	enum error error = OK;

	presented.question.service = request->service;
	if (request->phase == PHASE_ACCOUNT && request->kind != EVIDENCE_FINGERPRINT) {
		presented.finding = POLICY_EVIDENCE_NOT_ACCEPTED;
		*ret = presented;
		return OK;
	}
	switch (request->kind) {
	case EVIDENCE_CERTIFICATE:
		error = open_certificate(request, der, &presented);
		break;
	case EVIDENCE_FINGERPRINT:
		open_fingerprint(request, &presented);
		break;
	case EVIDENCE_KEY:
		error = open_key(request, &presented);
		break;
	case EVIDENCE_NAMES:
		open_names(request, STORE_BY_NAMES, &presented);
		break;
	case EVIDENCE_NAME:
		open_names(request, STORE_BY_NAME, &presented);
		break;
	}
	if (error == OK)
		*ret = presented;
	return error;
}
