/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain_last.c owns the table of refusals. */
#include "explain_last.h"

#include "json.h"
#include "narrate.h"
#include "print.h"
#include "reason.h"
#include "table.h"
#include "view.h"
#include "when.h"
#include "words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CELL_MAX_BYTES 300u
#define SHORT_ID_BYTES 8u
#define LABEL_COLUMNS 9u

enum column { WHEN, SERVICE, USER, ACCOUNT, REASON, FINGERPRINT, HOST, ID, COLUMNS };

static const struct table_column columns[COLUMNS] = {
	[WHEN] = { .name = "WHEN" },
	[SERVICE] = { .name = "SERVICE" },
	[USER] = { .name = "USER", .is_cuttable = true },
	[ACCOUNT] = { .name = "ACCOUNT", .is_cuttable = true },
	[REASON] = { .name = "REASON" },
	[FINGERPRINT] = { .name = "SHA-256" },
	[HOST] = { .name = "HOST", .is_cuttable = true },
	[ID] = { .name = "ID" },
};

static struct span span_or_none(const char *text)
{
	return text[0] ? span_of_string(text) : (struct span){ 0 };
}

static struct span beginning(const char *text, size_t length, bool is_whole)
{
	struct span span = span_or_none(text);

	if (!is_whole && span.length > length)
		span.length = length;
	return span;
}

static enum error add_row(struct table *table, const struct refusal *refusal, bool is_whole)
{
	char when[WHEN_DATE_BYTES], shown[COLUMNS][CELL_MAX_BYTES];
	const char *cells[COLUMNS];

	when_date((int64_t)(refusal->at_usec / REFUSALS_USEC_PER_SEC), when, sizeof when);

	const struct span spans[COLUMNS] = {
		[WHEN] = span_of_string(when),
		[SERVICE] = span_or_none(refusal->service),
		[USER] = span_or_none(refusal->asked),
		[ACCOUNT] = span_or_none(refusal->account),
		[REASON] = span_or_none(refusal->reason),
		[FINGERPRINT] = beginning(refusal->fingerprint, VIEW_FINGERPRINT_DIGITS, is_whole),
		[HOST] = span_or_none(refusal->host),
		[ID] = beginning(refusal->id, SHORT_ID_BYTES, is_whole),
	};

	for (size_t i = 0; i < COLUMNS; i++)
		cells[i] = print_shown(spans[i], shown[i], sizeof shown[i]);
	return table_add(table, cells);
}

static enum error print_table(const struct refusal *list, size_t count, bool is_whole)
{
	struct table *table = NULL;
	enum error error = table_new(columns, COLUMNS, &table);

	for (size_t i = 0; i < count && error == OK; i++)
		error = add_row(table, &list[i], is_whole);
	if (error == OK)
		error = table_print(table);
	table_free(table);
	return error;
}

static enum error print_object(const struct refusal *r, const char *next)
{
	const struct json_field fields[] = {
		{ .name = "at",
			.is_number = true,
			.number = (int64_t)(r->at_usec / REFUSALS_USEC_PER_SEC) },
		{ .name = "service", .text = span_or_none(r->service) },
		{ .name = "type", .text = span_or_none(r->type) },
		{ .name = "user", .text = span_or_none(r->asked) },
		{ .name = "account", .text = span_or_none(r->account) },
		{ .name = "reason", .text = span_or_none(r->reason) },
		{ .name = "name", .text = span_or_none(r->name) },
		{ .name = "what", .text = span_or_none(r->what) },
		{ .name = "errno", .text = span_or_none(r->failure) },
		{ .name = "shadow", .text = span_or_none(r->shadow) },
		{ .name = "fingerprint", .text = span_or_none(r->fingerprint) },
		{ .name = "remote_host", .text = span_or_none(r->host) },
		{ .name = "id", .text = span_or_none(r->id) },
		{ .name = "next", .text = span_of_string(next) },
	};

	/* A list says what happened; what to do stands where one is explained. */
	return json_print(fields, sizeof fields / sizeof fields[0] - (next ? 0 : 1));
}

static enum error print_array(const struct refusal *list, size_t count)
{
	enum error error = OK;
	size_t printed = 0;

	view_begin_array();
	for (size_t i = 0; i < count && error == OK; i++) {
		view_begin_row(&printed);
		error = print_object(&list[i], NULL);
	}
	view_end_array(printed);
	return error;
}

/* "FTPS: the variable has another value than require_env asks for". */
static void print_what(const struct refusal *refusal)
{
	char text[NARRATE_TEXT_BYTES];
	struct words what = { .text = text, .capacity = sizeof text };

	text[0] = '\0';
	if (refusal->name[0]) {
		words_say_shown(&what, refusal->name);
		words_say(&what, ": ");
	}
	words_say_shown(&what, refusal->what);
	if (refusal->failure[0]) {
		words_say(&what, ": ");
		words_say_shown(&what, refusal->failure);
	}
	if (refusal->shadow[0]) {
		words_say(&what, "the service is in shadow mode; without it the answer would be ");
		words_say_shown(&what, refusal->shadow);
	}
	if (text[0])
		words_print("what", LABEL_COLUMNS, text);
}

/* Whether the login can be tried again as it was: with its certificate, or without one where there
 * was none. */
static bool is_known(const struct refusal *refusal)
{
	return refusal->fingerprint[0] ||
	       (strcmp(refusal->reason, reason_word(REASON_NO_CERTIFICATE)) == 0 &&
		       !refusal->what[0] && !refusal->shadow[0]);
}

/* In place of a trial: without the certificate, every gate behind the first would mislead. */
static enum ctl_status advise(const struct ctl *ctl, const struct refusal *refusal)
{
	const struct store_trouble none = { "" };
	const enum reason reason = reason_find(refusal->reason, strlen(refusal->reason));
	char text[NARRATE_TEXT_BYTES];
	struct words next = { .text = text, .capacity = sizeof text };
	enum error error;

	text[0] = '\0';
	/* Not the names of the log: anybody may have written them, and this is copied into a shell.
	 */
	words_say(&next,
		"%s The log does not say which certificate it was: with it, `certmapctl explain "
		"FILE --service SERVICE --user ACCOUNT' walks every gate.",
		refusal->shadow[0] ? narrate_shadow() : narrate_remedy(reason));
	if (!ctl->json) {
		words_print("next", LABEL_COLUMNS, text);
	} else {
		if ((error = print_object(refusal, text)) != OK)
			return ctl_fail(ctl, error, &none);
		putchar('\n');
	}
	return CTL_REFUSED;
}

/* Any user can write a line of the module's into the journal: were its fingerprint taken for the
 * name of a file, root would open a FIFO, a device, or somebody's certificate in place of the one
 * that was refused.
 */
static enum ctl_status explain_one(
	const struct ctl *ctl, const struct refusal *refusal, const struct explain_case *asked)
{
	struct explain_case now = *asked;

	if (!ctl->json)
		print_what(refusal);
	if (!is_known(refusal))
		return advise(ctl, refusal);
	now.fingerprint = refusal->fingerprint[0] ? refusal->fingerprint : NULL;
	now.service = refusal->service;
	now.user = refusal->asked[0] ? refusal->asked : NULL;
	if (!ctl->json)
		puts("\nThe same login now:\n");
	return explain_case(ctl, &now);
}

static enum ctl_status show(const struct ctl *ctl, const struct refusals_question *question,
	const struct explain_case *asked, const struct refusal *list, size_t count)
{
	const struct store_trouble none = { "" };
	const bool is_one = count == 1 && (question->limit == 1 || question->id);
	enum error error = OK;

	if (count == 0)
		ctl_warn(question->id ? "no refusal with this id is in the journal"
			 : geteuid() == 0
				 ? "the journal has no such refusals. Those of sshd that its "
				   "AuthorizedKeysCommand made leave none: `certmapctl "
				   "authorized-keys -v ACCOUNT' tells of them"
				 : "what this user may read of the journal has no such refusals: "
				   "root sees all");
	if (ctl->json && !is_one)
		error = print_array(list, count);
	else if (!ctl->json && count > 0)
		error = print_table(list, count, asked->is_verbose);
	if (error != OK)
		return ctl_fail(ctl, error, &none);
	if (count == 0 && question->id)
		return CTL_REFUSED;
	return is_one && list[0].service[0] ? explain_one(ctl, &list[0], asked) : CTL_DONE;
}

enum ctl_status explain_last(const struct ctl *ctl, const struct refusals_question *question,
	const struct explain_case *asked)
{
	struct refusal *list = NULL;
	size_t count = 0;
	enum ctl_status status;
	const enum error error = refusals_read(question, &list, &count);

	if (error != OK) {
		ctl_warn("the journal can't be read: %s",
			error == ERROR_SYSTEM ? strerror(errno) : error_text(error));
		return CTL_REFUSED;
	}
	status = show(ctl, question, asked, list, count);
	free(list);
	return status;
}
