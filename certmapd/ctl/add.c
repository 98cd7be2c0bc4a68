/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * add.c owns the verb that maps a certificate to an account. The file is judged before the database
 * is opened, so that a wrong one is called by its name; what the rows there have against it is said
 * by the schema.
 */
#include "ctl.h"

#include "armour.h"
#include "certificate.h"
#include "index.h"
#include "print.h"
#include "store_edit.h"
#include "store_pending.h"
#include "who.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The queue was worked off just before, so that this is for the one new mapping. Nobody else can
 * write meanwhile. */
#define SETTLE_NEW_USEC 200000u

struct arguments {
	struct ctl *ctl;
	const char *file;
	struct store_new_mapping mapping;
	bool is_unbound;
};

enum { OPTION_DISABLED = 0x100, OPTION_NO_UID };

static const struct argp_option options[] = {
	{ "service", 's', "NAME", 0, "In this PAM service alone (default: in every service)", 0 },
	{ "note", 'n', "TEXT", 0, "A note for people", 0 },
	{ "disabled", OPTION_DISABLED, NULL, 0, "Not in force until it is enabled", 0 },
	{ "no-uid", OPTION_NO_UID, NULL, 0,
		"Don't bind the mapping to the uid that the account has now", 0 },
	{ 0 },
};

static error_t take_positional(struct arguments *arguments, char *value, struct argp_state *state)
{
	if (state->arg_num == 0)
		arguments->mapping.account = value;
	else if (state->arg_num == 1)
		arguments->file = value;
	else
		argp_error(state, "too many arguments: '%s'", value);
	return 0;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 's':
		arguments->mapping.service = value;
		return 0;
	case 'n':
		arguments->mapping.note = value;
		return 0;
	case OPTION_DISABLED:
		arguments->mapping.enabled = false;
		return 0;
	case OPTION_NO_UID:
		arguments->is_unbound = true;
		return 0;
	case ARGP_KEY_ARG:
		return take_positional(arguments, value, state);
	case ARGP_KEY_END:
		if (!arguments->file)
			argp_error(state, "%s is missing",
				arguments->mapping.account ? "the file of the certificate"
							   : "the account");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.args_doc = "ACCOUNT FILE",
	.doc = "Maps a certificate to an account.\v"
	       "FILE holds one certificate in DER, in PEM, or as "
	       "base64 without header lines; `-' is the standard input. The mapping is in force at "
	       "the next lookup.",
};

/* Reads one byte past the limit, so that what is too long is seen as such. */
static ssize_t read_file(const char *name, uint8_t bytes[STORE_CERTIFICATE_MAX_BYTES + 1])
{
	int fd = strcmp(name, "-") == 0 ? dup(STDIN_FILENO)
					: open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t length = 0;
	ssize_t got = -1;
	int failure;

	while (fd >= 0 && length <= STORE_CERTIFICATE_MAX_BYTES) {
		got = read(fd, bytes + length, STORE_CERTIFICATE_MAX_BYTES + 1 - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	failure = errno;
	if (fd >= 0)
		close(fd);
	errno = failure;
	return got < 0 ? -1 : (ssize_t)length;
}

/* The words for what is wrong with the file; NULL: nothing, and *ret holds its facts. */
static const char *judge(struct span certificate, struct certificate_facts *ret)
{
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	const char *problem = NULL;
	size_t length;
	enum armour_finding finding;

	if (certificate.length > STORE_CERTIFICATE_MAX_BYTES)
		return armour_finding_text(ARMOUR_TOO_LARGE);
	finding = armour_open_stored(certificate, der, sizeof der, &length);
	if (finding != ARMOUR_OPENED)
		return armour_finding_text(finding);
	enum error error = certificate_read(span_of(der, length), ret, &problem);
	return error == OK ? problem : error_text(error);
}

static void print_time(int64_t time_sec, char *ret, size_t capacity)
{
	const time_t time = (time_t)time_sec;
	struct tm parts;

	if (!gmtime_r(&time, &parts) ||
		strftime(ret, capacity, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
		snprintf(ret, capacity, "%" PRId64, time_sec);
}

static void warn_validity(const struct certificate_facts *facts)
{
	const int64_t now_sec = time(NULL);
	char when[64];

	if (facts->not_before_sec > now_sec) {
		print_time(facts->not_before_sec, when, sizeof when);
		ctl_warn("warning: the certificate is not valid before %s", when);
	} else if (facts->not_after_sec < now_sec) {
		print_time(facts->not_after_sec, when, sizeof when);
		ctl_warn("warning: the certificate expired on %s", when);
	}
}

/* A name that is given to somebody else later must not take the certificate along. */
static void bind_uid(struct store_new_mapping *mapping)
{
	const struct passwd *account;
	char name[64];

	print_shown(span_of_string(mapping->account), name, sizeof name);
	errno = 0;
	account = getpwnam(mapping->account);
	if (account) {
		mapping->has_uid = true;
		mapping->uid = account->pw_uid;
		if (account->pw_uid == 0)
			ctl_warn("warning: %s is root, whom pam_certmap.so refuses "
				 "unless its line says allow_root",
				name);
		return;
	}
	/* getpwnam(3) has more than one errno for "not found"; those two are failures for sure. */
	if (errno == EIO || errno == EMFILE)
		ctl_warn("warning: the account %s can't be looked up: %s", name, strerror(errno));
	else
		ctl_warn("warning: there is no account %s on this machine", name);
	ctl_warn("warning: the mapping is not bound to a uid");
}

struct row_state {
	bool is_pending;
	char problem[256]; /* "": none */
};

static enum error read_state(const struct store_status *row, void *context)
{
	struct row_state *state = context;

	state->is_pending = span_is_equal(row->text[STATUS_STATE], span_of_string("pending"));
	if (span_is_present(row->text[STATUS_PROBLEM]))
		print_shown(row->text[STATUS_PROBLEM], state->problem, sizeof state->problem);
	return OK;
}

/* The same certificate in another encoding passes the triggers, which compare bytes. */
static enum error insert_settled(struct store *store, const struct store_new_mapping *mapping,
	int64_t *ret_id, struct row_state *ret_state, struct store_trouble *ret_trouble)
{
	bool more, is_found;
	int64_t id;
	enum error error;

	if ((error = store_insert_mapping(store, mapping, &id, ret_trouble)) != OK ||
		(error = index_settle_within(store, SETTLE_NEW_USEC, &more, ret_trouble)) != OK ||
		(error = store_find_status(
			 store, id, read_state, ret_state, &is_found, ret_trouble)) != OK)
		return error;
	if (ret_state->problem[0] != '\0') {
		snprintf(ret_trouble->text, sizeof ret_trouble->text,
			"this certificate can't be mapped: %s; nothing was added",
			ret_state->problem);
		return ERROR_REFUSED;
	}
	*ret_id = id;
	return OK;
}

static enum error add(struct store *store, const struct store_new_mapping *mapping, int64_t *ret_id,
	struct row_state *ret_state, struct store_trouble *ret_trouble)
{
	char who[WHO_MAX_BYTES + 1];
	enum error error;

	who_am_i(who);
	if ((error = store_begin_edit(store, who, ret_trouble)) != OK)
		return error;
	if ((error = insert_settled(store, mapping, ret_id, ret_state, ret_trouble)) != OK) {
		store_rollback(store);
		return error;
	}
	return store_commit_edit(store, ret_trouble);
}

static enum error show(const struct store_status *row, void *context)
{
	const struct ctl *ctl = context;

	if (ctl->json)
		return print_json_line(row);
	printf("Mapping %" PRId64 " added:\n", row->number[STATUS_ID]);
	print_words(stdout, row);
	return OK;
}

static enum ctl_status run(struct arguments *arguments)
{
	struct store *store CTL_CLOSE = NULL;
	struct store_trouble trouble = { "" };
	struct row_state state = { 0 };
	enum ctl_status status;
	enum error error;
	bool is_found;
	int64_t id;

	if ((status = ctl_open(arguments->ctl, &store)) != CTL_DONE)
		return status;
	/* Older rows first, so that of two duplicates this one is told so. */
	if ((error = ctl_settle(store, &trouble)) != OK ||
		(error = add(store, &arguments->mapping, &id, &state, &trouble)) != OK ||
		(error = store_find_status(store, id, show, arguments->ctl, &is_found, &trouble)) !=
			OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	if (state.is_pending)
		ctl_warn("many new mappings wait to be read, this one among them: certmapd goes on "
			 "with them at its next lookup");
	return CTL_DONE;
}

enum ctl_status ctl_add(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = {
		.ctl = ctl,
		.mapping = { .service = "*", .enabled = true },
	};
	static uint8_t bytes[STORE_CERTIFICATE_MAX_BYTES + 1];
	struct certificate_facts facts;
	char name[256];
	const char *problem;
	ssize_t length;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	print_shown(span_of_string(arguments.file), name, sizeof name);
	if ((length = read_file(arguments.file, bytes)) < 0) {
		ctl_warn("%s: %s", name, strerror(errno));
		return CTL_REFUSED;
	}
	arguments.mapping.certificate = span_of(bytes, (size_t)length);
	if ((problem = judge(arguments.mapping.certificate, &facts)) != NULL) {
		ctl_warn("%s: %s; nothing was added", name, problem);
		return CTL_REFUSED;
	}
	warn_validity(&facts);
	if (!arguments.is_unbound)
		bind_uid(&arguments.mapping);
	return run(&arguments);
}
