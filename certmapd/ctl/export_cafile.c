/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export_cafile.c owns the file of certificates that stunnel takes as CAfile. Whether a mapping is
 * in force is asked of a lookup, so that an exported certificate is one that would be let in now.
 */
#include "export.h"

#include "armour.h"
#include "ask.h"
#include "certificate.h"
#include "escape.h"
#include "store_select.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/pem.h>

struct transcript {
	struct export *export;
	struct lookup *lookup;
};

/* Readers of PEM pass over the text between two blocks. */
static enum error write_certificate(FILE *out, const struct mapping *mapping, struct span der)
{
	char account[4 * MAPPING_ACCOUNT_MAX_BYTES + 1];

	escape_text(span_of_string(mapping->account), account, sizeof account);
	fprintf(out, "# mapping %" PRId64 ", account %s\n", mapping->id, account);
	if (!PEM_write(out, PEM_STRING_X509, "", der.bytes, (long)der.length)) {
		ERR_clear_error();
		return ferror(out) ? ERROR_SYSTEM : ERROR_MEMORY;
	}
	return OK;
}

/* A certificate has one mapping that decides; of others with the same one nothing is written. */
static enum error take(const struct store_enrolment *enrolment, void *context)
{
	const struct transcript *transcript = context;
	struct export *export = transcript->export;
	const struct request request = {
		.phase = PHASE_AUTHENTICATE,
		.mode = MODE_SET,
		.kind = EVIDENCE_FINGERPRINT,
		.service = span_of_string(export->service ? export->service : "*"),
	};
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	struct lookup_outcome outcome;
	size_t length;
	enum error error;

	if (armour_open_stored(enrolment->certificate, der, sizeof der, &length) != ARMOUR_OPENED)
		return OK;
	error = ask_digest(export->ctl, transcript->lookup, request, span_of(der, length), &outcome,
		export->trouble);
	if (error != OK || outcome.reason != REASON_ALLOWED || outcome.mapping.id != enrolment->id)
		return error;
	export->count++;
	return write_certificate(export->out, &outcome.mapping, span_of(der, length));
}

enum error export_cafile(struct export *export)
{
	struct lookup *lookup ASK_DONE = NULL;
	struct transcript transcript = { .export = export };
	const struct span service = span_of_string(export->service ? export->service : "*");
	enum error error = ask_open(export->ctl, &lookup);

	if (error != OK)
		return error;
	/* Where it is not, the lookups say whether they can do without. */
	ctl_settle_if_possible(export->store);
	transcript.lookup = lookup;
	error = store_list_enrolments(
		export->store, service, (struct span){ 0 }, take, &transcript, export->trouble);
	if (error == OK && export->count == 0)
		ctl_warn("no mapping is in force: the export is empty");
	return error;
}
