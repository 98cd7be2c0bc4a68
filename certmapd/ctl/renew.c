/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * renew.c owns the verb that brings the next certificate of a mapping. The old one lets in until
 * the new one is used for the first time, so that nobody is locked out who has not installed it
 * yet.
 */
#include "ctl.h"

#include "certfile.h"
#include "edit.h"
#include "hex.h"
#include "insert.h"
#include "select.h"
#include "store_status.h"
#include "when.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
	struct ctl *ctl;
	struct selector selector;
	const char *file, *note;
	bool is_now;
	struct store_limit until;
};

enum { OPTION_NOW = 0x100, OPTION_UNTIL };

static const struct argp_option options[] = {
	SELECT_SERVICE_OPTION,
	{ "note", 'n', "TEXT", 0, "A note for people (default: that of the old mapping)", 0 },
	{ "now", OPTION_NOW, NULL, 0, "Shut the old certificate out at once", 0 },
	{ "until", OPTION_UNTIL, "WHEN", 0,
		"The new one must be used by then, or the old one stays; " WHEN_FORMS, 0 },
	{ 0 },
};

static void take_until(
	struct arguments *arguments, const char *value, const struct argp_state *state)
{
	if (!when_read(value, when_now(), &arguments->until.sec))
		argp_error(state, "--until: '%s' is none of these: " WHEN_FORMS, value);
	if (arguments->until.sec <= when_now())
		argp_error(state, "--until: '%s' is over", value);
	arguments->until.is_set = true;
}

static void take_positional(
	struct arguments *arguments, char *value, const struct argp_state *state)
{
	if (state->arg_num == 0)
		arguments->selector.word = value;
	else if (state->arg_num == 1)
		arguments->file = value;
	else
		argp_error(state, "too many arguments: '%s'", value);
}

static void check(struct arguments *arguments, struct argp_state *state)
{
	if (arguments->selector.word && !arguments->file)
		argp_error(state, "the file of the new certificate is missing");
	if (arguments->is_now && arguments->until.is_set)
		argp_error(state, "--now and --until exclude each other");
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 'n':
		arguments->note = value;
		return 0;
	case OPTION_NOW:
		arguments->is_now = true;
		return 0;
	case OPTION_UNTIL:
		take_until(arguments, value, state);
		return 0;
	case ARGP_KEY_ARG:
		take_positional(arguments, value, state);
		return 0;
	case ARGP_KEY_END:
		check(arguments, state);
		return select_parse(&arguments->selector, key, value, state);
	default:
		return select_parse(&arguments->selector, key, value, state);
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_change_children,
	.args_doc = "ID|FINGERPRINT|ACCOUNT FILE",
	.doc = "Brings the next certificate of a mapping.\v"
	       "The new one is staged: the first login with it puts it into force and shuts the "
	       "old one out. It has service, uid, validity and note of the old one. " SELECT_DOC,
};

static bool is_renewable(const struct store_choice *choice)
{
	return choice->enabled;
}

struct staging {
	int64_t id; /* 0: none */
};

static enum error find_staging(const struct store_relation *relation, void *context)
{
	struct staging *staging = context;

	if (relation->kind == STORE_REPLACEMENT)
		staging->id = relation->id;
	return OK;
}

/* Whether renewing it makes sense. */
static enum ctl_status check_old(
	const struct ctl *ctl, struct store *store, const struct store_choice *old)
{
	struct store_trouble trouble = { "" };
	struct staging staging = { 0 };
	enum error error = store_list_relations(store, old->id, find_staging, &staging, &trouble);
	char name[SELECT_NAME_BYTES];

	if (error != OK)
		return ctl_fail(ctl, error, &trouble);
	select_name(old, name, sizeof name);
	if (staging.id != 0)
		ctl_warn("%s has its next certificate already, mapping %" PRId64
			 ": `certmapctl enable %" PRId64 "' puts that into force, `certmapctl "
			 "remove %" PRId64 "' takes it away; nothing was changed",
			name, staging.id, staging.id, staging.id);
	else if (!old->enabled && old->replaces != 0)
		ctl_warn("%s is itself staged to replace mapping %" PRId64 ": `certmapctl remove "
			 "%" PRId64 "' first, then renew that one; nothing was changed",
			name, old->replaces, old->id);
	else if (!old->enabled)
		ctl_warn("%s is disabled, so there is nothing to replace: `certmapctl add' maps a "
			 "new certificate; nothing was changed",
			name);
	else
		return CTL_DONE;
	return CTL_REFUSED;
}

static bool is_same(const struct store_choice *old, const struct certfile *file)
{
	char digits[2 * FINGERPRINT_BYTES + 1];

	hex_print(span_of(file->facts.fingerprint, FINGERPRINT_BYTES), digits);
	return strcmp(digits, old->fingerprint) == 0;
}

/* In memory of its own: struct store_choice has but the beginning. */
static enum error copy_note(const struct store_status *row, void *context)
{
	char **note = context;

	if (!span_is_present(row->text[STATUS_NOTE]))
		return OK;
	*note = strndup((const char *)row->text[STATUS_NOTE].bytes, row->text[STATUS_NOTE].length);
	return *note ? OK : ERROR_MEMORY;
}

/* By its id alone, which is known before: with --sql, the id of the new one may go to another
 * mapping until the statements are run. */
static enum error disable_old(
	struct store *store, const struct store_choice *old, struct store_trouble *ret_trouble)
{
	bool has_changed;
	enum error error = store_disable_mapping(store, old->id, &has_changed, ret_trouble);

	if (error != OK || has_changed)
		return error;
	snprintf(ret_trouble->text, sizeof ret_trouble->text,
		"mapping %" PRId64 " was changed by somebody else meanwhile: nothing was changed, "
		"look again",
		old->id);
	return ERROR_REFUSED;
}

/* Inside of the edit. */
static enum error stage(const struct arguments *arguments, struct store *store,
	const struct store_choice *old, const struct certfile *file, struct inserted *ret,
	struct store_trouble *ret_trouble)
{
	struct store_new_mapping mapping = {
		.service = old->service,
		.account = old->account,
		.certificate = span_of(file->stored, file->stored_length),
		.has_uid = old->has_uid,
		.uid = old->uid,
		.note = arguments->note,
		.enabled = arguments->is_now,
		.replaces = arguments->is_now ? 0 : old->id,
		.staged_until = arguments->until,
		.valid_from = old->valid_from,
		.valid_until = old->valid_until,
	};
	char *note = NULL;
	bool is_found;
	enum error error =
		store_find_status(store, old->id, copy_note, &note, &is_found, ret_trouble);

	if (!mapping.note)
		mapping.note = note;
	if (error == OK && arguments->is_now)
		error = disable_old(store, old, ret_trouble);
	if (error == OK)
		error = insert_mapping(store, &mapping, ret, ret_trouble);
	free(note);
	return error;
}

static void tell(const struct arguments *arguments, const struct store_choice *old)
{
	char date[WHEN_DATE_BYTES], relative[WHEN_RELATIVE_BYTES];

	if (!edit_may_talk(arguments->ctl))
		return;
	if (edit_is_dry(arguments->ctl))
		puts("Nothing was changed.");
	else if (arguments->is_now)
		printf("Renewed: mapping %" PRId64 " is disabled.\n", old->id);
	else if (!arguments->until.is_set)
		printf("Staged: its first login disables mapping %" PRId64 ".\n", old->id);
	else
		printf("Staged: its first login disables mapping %" PRId64
		       ". After %s UTC (%s) it is refused, and mapping %" PRId64 " stays.\n",
			old->id, when_date(arguments->until.sec, date, sizeof date),
			when_relative(arguments->until.sec, when_now(), relative, sizeof relative),
			old->id);
}

static enum error renew(const struct arguments *arguments, struct store *store,
	const struct store_choice *old, const struct certfile *file, struct inserted *ret,
	struct store_trouble *ret_trouble)
{
	enum error error = edit_begin(arguments->ctl, store, ret_trouble);

	if (error != OK)
		return error;
	error = stage(arguments, store, old, file, ret, ret_trouble);
	return insert_end(arguments->ctl, store, ret, error, ret_trouble);
}

static enum ctl_status fail(const struct arguments *arguments, struct store *store,
	const struct store_choice *old, const struct insert_refusal *refusal)
{
	/* Not one that would be enabled: whoever renews has found the other one. */
	const struct store_new_mapping mapping = {
		.service = old->service,
		.account = old->account,
	};

	return insert_fail(arguments->ctl, store, &mapping, refusal);
}

static enum ctl_status run(
	struct arguments *arguments, struct store *store, const struct certfile *file)
{
	static const struct select_want want = {
		.verb = "renew",
		.is_for_it = is_renewable,
		.takes_one = true,
	};
	struct selected selected SELECTED_DONE = { 0 };
	struct store_trouble trouble = { "" };
	struct inserted inserted = { 0 };
	enum ctl_status status;
	enum error error;

	if ((error = ctl_settle(store, &trouble)) != OK)
		return ctl_fail(arguments->ctl, error, &trouble);
	status = select_mappings(arguments->ctl, store, &arguments->selector, &want, &selected);
	if (status != CTL_DONE ||
		(status = check_old(arguments->ctl, store, &selected.choices[0])) != CTL_DONE)
		return status;
	if (is_same(&selected.choices[0], file)) {
		ctl_warn("this is the certificate that mapping %" PRId64
			 " holds already; nothing was changed",
			selected.choices[0].id);
		return CTL_REFUSED;
	}
	error = renew(arguments, store, &selected.choices[0], file, &inserted, &trouble);
	if (error != OK)
		return fail(arguments, store, &selected.choices[0],
			&(struct insert_refusal){ error, &trouble, file->facts.fingerprint });
	tell(arguments, &selected.choices[0]);
	insert_warn_pending(&inserted);
	return CTL_DONE;
}

enum ctl_status ctl_renew(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = { .ctl = ctl };
	struct store *store CTL_CLOSE = NULL;
	static struct certfile file;
	enum ctl_status status;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if ((status = certfile_read(arguments.file, &file)) != CTL_DONE)
		return status;
	certfile_warn(&file);
	status = ctl_open(ctl, &store);
	return status == CTL_DONE ? run(&arguments, store, &file) : status;
}
