/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export.c owns the verb that writes mappings down for other programs. Whether a mapping is in
 * force is asked of a lookup, so that an exported certificate is one that would be let in now.
 */
#include "ctl.h"

#include "armour.h"
#include "ask.h"
#include "certificate.h"
#include "escape.h"
#include "print.h"
#include "replace.h"
#include "store_edit.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define FORMAT_STUNNEL_CAFILE "stunnel-cafile"
#define FORMATS FORMAT_STUNNEL_CAFILE

struct arguments {
	struct ctl *ctl;
	const char *format, *service, *output;
};

static const struct argp_option options[] = {
	{ "format", 'f', "FORMAT", 0, "What for: " FORMATS, 0 },
	{ "service", 's', "NAME", 0,
		"What this PAM service sees (default: mappings of every service)", 0 },
	{ "output", 'o', "FILE", 0, "To this file, which is replaced as a whole", 0 },
	{ 0 },
};

static void check_arguments(const struct arguments *arguments, struct argp_state *state)
{
	if (!arguments->format)
		argp_error(state, "--format is missing; there are: " FORMATS);
	else if (strcmp(arguments->format, FORMAT_STUNNEL_CAFILE) != 0)
		argp_error(state, "unknown format '%s'; there are: " FORMATS, arguments->format);
	else if (arguments->ctl->json)
		argp_error(state, "--json: the format of an export is what --format says");
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 'f':
		arguments->format = value;
		return 0;
	case 's':
		arguments->service = value;
		return 0;
	case 'o':
		arguments->output = value;
		return 0;
	case ARGP_KEY_END:
		check_arguments(arguments, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.doc = "Writes down the mappings that are in force, for other programs.\v"
	       "The format stunnel-cafile is the certificates in PEM, for CAfile with "
	       "`verifyPeer = yes', beside `verifyChain = yes' and the CAs in CApath.",
};

struct transcript {
	const struct arguments *arguments;
	struct lookup *lookup;
	struct store_trouble *trouble;
	FILE *out;
	size_t count;
};

/* Readers of PEM pass over the text between two blocks. */
static enum error write_certificate(
	const struct transcript *transcript, const struct mapping *mapping, struct span der)
{
	char account[4 * MAPPING_ACCOUNT_MAX_BYTES + 1];

	escape_text(span_of_string(mapping->account), account, sizeof account);
	fprintf(transcript->out, "# mapping %" PRId64 ", account %s\n", mapping->id, account);
	if (!PEM_write(transcript->out, PEM_STRING_X509, "", der.bytes, (long)der.length)) {
		ERR_clear_error();
		return ferror(transcript->out) ? ERROR_SYSTEM : ERROR_MEMORY;
	}
	return OK;
}

/* A certificate has one mapping that decides; of others with the same one nothing is written. */
static enum error take(const struct store_enrolment *enrolment, void *context)
{
	struct transcript *transcript = context;
	const struct request request = {
		.phase = PHASE_AUTHENTICATE,
		.mode = MODE_SET,
		.kind = EVIDENCE_FINGERPRINT,
		.service = span_of_string(transcript->arguments->service),
	};
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	struct lookup_outcome outcome;
	size_t length;
	enum error error;

	if (armour_open_stored(enrolment->certificate, der, sizeof der, &length) != ARMOUR_OPENED)
		return OK;
	error = ask_digest(transcript->arguments->ctl, transcript->lookup, request,
		span_of(der, length), &outcome, transcript->trouble);
	if (error != OK || outcome.reason != REASON_ALLOWED || outcome.mapping.id != enrolment->id)
		return error;
	transcript->count++;
	return write_certificate(transcript, &outcome.mapping, span_of(der, length));
}

static enum error write_all(struct transcript *transcript, struct store *store)
{
	enum error error =
		store_list_enrolments(store, span_of_string(transcript->arguments->service),
			(struct span){ 0 }, take, transcript, transcript->trouble);

	if (error == OK && transcript->count == 0)
		ctl_warn("no mapping is in force: the export is empty");
	return error;
}

/* errno is that of the file. */
static enum ctl_status fail_file(const struct arguments *arguments)
{
	char name[256];
	int failure = errno;

	ctl_warn("%s: %s", print_shown(span_of_string(arguments->output), name, sizeof name),
		strerror(failure));
	return CTL_REFUSED;
}

static enum ctl_status export_to_file(struct transcript *transcript, struct store *store)
{
	const struct arguments *arguments = transcript->arguments;
	struct replacement replacement REPLACE_DONE = { 0 };
	enum error error;

	if (replace_begin(arguments->output, &replacement) != OK)
		return fail_file(arguments);
	transcript->out = replacement.stream;
	error = write_all(transcript, store);
	if (error == ERROR_SYSTEM)
		return fail_file(arguments);
	if (error != OK)
		return ctl_fail(arguments->ctl, error, transcript->trouble);
	return replace_commit(&replacement) == OK ? CTL_DONE : fail_file(arguments);
}

static enum ctl_status export_to_stdout(struct transcript *transcript, struct store *store)
{
	enum error error;

	transcript->out = stdout;
	error = write_all(transcript, store);
	/* What is wrong with stdout is said at the end of the program. */
	if (error == ERROR_SYSTEM && ferror(stdout))
		return CTL_REFUSED;
	return error == OK ? CTL_DONE
			   : ctl_fail(transcript->arguments->ctl, error, transcript->trouble);
}

static enum ctl_status run(const struct arguments *arguments, struct store *store)
{
	struct lookup *lookup ASK_DONE = NULL;
	struct store_trouble trouble = { "" };
	struct transcript transcript = { .arguments = arguments, .trouble = &trouble };
	struct ctl *ctl = arguments->ctl;
	enum error error = lookup_new(ctl->database, ctl_owner(ctl), LOOKUP_OBSERVES, &lookup);

	if (error != OK)
		return ctl_fail(ctl, error, &trouble);
	/* Where facts can't be written now, the lookups say whether they can do without. */
	if (ctl_settle(store, &trouble) != OK)
		trouble.text[0] = '\0';
	transcript.lookup = lookup;
	return arguments->output ? export_to_file(&transcript, store)
				 : export_to_stdout(&transcript, store);
}

enum ctl_status ctl_export(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = { .ctl = ctl, .service = "*" };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	status = ctl_open(ctl, &store);
	return status == CTL_DONE ? run(&arguments, store) : status;
}
