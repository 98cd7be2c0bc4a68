/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * revocation.c owns the verbs on revocation lists: add, list and remove. A list takes the place of
 * the one before it, of the same issuer, key and scope, and never that of a newer one: who brings
 * an old list would bring back what is revoked.
 */
#include "crl_file.h"
#include "edit.h"
#include "material.h"
#include "print.h"
#include "verbs.h"
#include "view.h"
#include "when.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *word_state(const struct crl_facts *facts, int64_t now_sec)
{
	if (facts->this_update_sec > now_sec)
		return "not yet valid";
	if (!facts->has_next_update)
		return "without end"; /* crl.c takes it for stale where lists are required */
	return facts->next_update_sec < now_sec ? "stale" : "current";
}

/* list ------------------------------------------------------------------------------------- */

enum column { ID, SERVICE, ISSUER, NUMBER, THIS_UPDATE, NEXT_UPDATE, ENTRIES, STATE, COLUMNS };

static const struct table_column columns[COLUMNS] = {
	[ID] = { .name = "ID", .is_right = true },
	[SERVICE] = { .name = "SERVICE" },
	[ISSUER] = { .name = "ISSUER", .is_cuttable = true, .share = 0.25 },
	[NUMBER] = { .name = "NUMBER", .is_right = true, .is_optional = true, .drop = 1 },
	[THIS_UPDATE] = { .name = "THIS UPDATE", .drop = 2 },
	[NEXT_UPDATE] = { .name = "NEXT UPDATE" },
	[ENTRIES] = { .name = "ENTRIES", .is_right = true, .drop = 3 },
	[STATE] = { .name = "STATE" },
};

static enum error add_to_table(struct material_listing *listing, const struct store_trust_row *row,
	const struct crl_facts *facts, const char *problem)
{
	const int64_t now_sec = listing->arguments->now_sec;
	char id[24], entries[24] = "-", service[VIEW_CELL_BYTES], issuer[VIEW_CELL_BYTES];
	char from[64] = "-", until[64] = "-";
	const char *values[COLUMNS] = {
		[ID] = id,
		[SERVICE] = print_shown(row->service, service, sizeof service),
		[ISSUER] = print_shown(
			span_of_string(problem ? problem : facts->issuer), issuer, sizeof issuer),
		[NUMBER] = facts->number[0] ? facts->number : "-",
		[THIS_UPDATE] = from,
		[NEXT_UPDATE] = until,
		[ENTRIES] = entries,
		[STATE] = problem ? "problem" : word_state(facts, now_sec),
	};
	enum paint paint = problem ? PAINT_BAD : PAINT_NONE;
	enum error error;

	snprintf(id, sizeof id, "%" PRId64, row->id);
	if (!problem) {
		snprintf(entries, sizeof entries, "%zu", facts->entry_count);
		view_date(facts->this_update_sec, now_sec, listing->is_roomy, from, sizeof from);
	}
	if (!problem && facts->has_next_update) {
		view_date(facts->next_update_sec, now_sec, listing->is_roomy, until, sizeof until);
		paint = facts->next_update_sec < now_sec ? PAINT_BAD : PAINT_GOOD;
	}
	if ((error = table_add(listing->table, values)) != OK)
		return error;
	return table_paint(listing->table, STATE, paint);
}

static enum error print_facts(const struct material_arguments *arguments,
	const struct store_trust_row *row, const struct crl_facts *facts, const char *problem,
	const char *change)
{
	char from[WHEN_DATE_BYTES], until[WHEN_DATE_BYTES];
	const struct json_field fields[] = {
		{ .name = "id", .is_number = row->id > 0, .number = row->id },
		{ .name = "service", .text = row->service },
		{ .name = "issuer", .text = span_of_string(problem ? NULL : facts->issuer) },
		{ .name = "number",
			.text = span_of_string(facts->number[0] ? facts->number : NULL) },
		{ .name = "this_update",
			.text = span_of_string(
				problem ? NULL
					: when_date(facts->this_update_sec, from, sizeof from)) },
		{ .name = "next_update",
			.text = span_of_string(
				facts->has_next_update
					? when_date(facts->next_update_sec, until, sizeof until)
					: NULL) },
		{ .name = "entries", .is_number = !problem, .number = (int64_t)facts->entry_count },
		{ .name = "state",
			.text = span_of_string(
				problem ? "problem" : word_state(facts, arguments->now_sec)) },
		{ .name = "problem", .text = span_of_string(problem) },
		{ .name = "note", .text = row->note },
		{ .name = "change", .text = span_of_string(change) },
	};

	/* `change' belongs to an answer of `add' alone. */
	return json_print(fields, change ? COUNT(fields) : COUNT(fields) - 1);
}

static enum error list_row(const struct store_trust_row *row, void *context)
{
	struct material_listing *listing = context;
	struct crl_facts facts = { 0 };
	const char *problem = NULL;
	enum error error;

	if (!material_is_chosen(listing->arguments, row))
		return OK;
	if ((error = crl_file_read(row->content, &facts, &problem)) != OK)
		return error;
	if (!listing->table) {
		view_begin_row(&listing->count);
		return print_facts(listing->arguments, row, &facts, problem, NULL);
	}
	listing->count++;
	return add_to_table(listing, row, &facts, problem);
}

static enum error list(struct material_arguments *arguments, struct store *store,
	struct store_trouble *ret_trouble)
{
	return material_list(
		arguments, store, columns, COLUMNS, list_row, "no revocation lists", ret_trouble);
}

/* add -------------------------------------------------------------------------------------- */

struct addition {
	const struct material_arguments *arguments;
	struct store_trust_row row;
	struct crl_facts facts;
	/* What is there. */
	int64_t old_id; /* of the list that it replaces; 0: none */
	bool is_same;   /* as that one, byte for byte */
	struct crl_facts old;
	bool has_issuer; /* an anchor or intermediate of that name */
};

static enum error note_issuer(struct addition *addition, const struct store_trust_row *row)
{
	static struct certificate_facts facts;
	const char *problem = NULL;
	enum error error = material_read_certificate(row, &facts, &problem);

	if (error == OK && !problem && strcmp(facts.subject, addition->facts.issuer) == 0)
		addition->has_issuer = true;
	return error;
}

static enum error compare_row(const struct store_trust_row *row, void *context)
{
	struct addition *addition = context;
	struct crl_facts facts = { 0 };
	const char *problem = NULL;
	enum error error;

	if (row->kind != STORE_TRUST_CRL)
		return note_issuer(addition, row);
	if (!span_is_equal(row->service, addition->row.service))
		return OK;
	error = crl_file_read(row->content, &facts, &problem);
	if (error != OK || problem ||
		memcmp(facts.source, addition->facts.source, sizeof facts.source) != 0)
		return error;
	/* A shell may have put in several: the newest is the one to beat. */
	if (addition->old_id == 0 || crl_file_is_older(&addition->old, &facts)) {
		addition->old_id = row->id;
		addition->old = facts;
		addition->is_same = span_is_equal(row->content, addition->row.content);
	}
	return OK;
}

static void word_list(const struct crl_facts *facts, char *ret, size_t capacity)
{
	char date[WHEN_DATE_BYTES];

	snprintf(ret, capacity, "%s%s%sof %s UTC", facts->number[0] ? "number " : "", facts->number,
		facts->number[0] ? " " : "", when_date(facts->this_update_sec, date, sizeof date));
}

static enum error refuse_older(const struct addition *addition, struct store_trouble *ret_trouble)
{
	char brought[128], there[128];

	word_list(&addition->facts, brought, sizeof brought);
	word_list(&addition->old, there, sizeof there);
	snprintf(ret_trouble->text, sizeof ret_trouble->text,
		"the list %s is older than row %" PRId64 ", the list %s: nothing was changed "
		"(`certmapctl crl remove %" PRId64 "' makes way for it)",
		brought, addition->old_id, there, addition->old_id);
	return ERROR_REFUSED;
}

static enum error write_list(
	struct addition *addition, struct store *store, struct store_trouble *ret_trouble)
{
	enum error error = store_list_trust_rows(store, compare_row, addition, ret_trouble);

	if (error != OK)
		return error;
	if (addition->old_id == 0)
		return store_insert_trust(store, &addition->row, &addition->row.id, ret_trouble);
	if (crl_file_is_older(&addition->facts, &addition->old))
		return refuse_older(addition, ret_trouble);
	addition->row.id = addition->old_id;
	return addition->is_same ? OK : store_replace_trust(store, &addition->row, ret_trouble);
}

static const char *word_change(const struct addition *addition)
{
	if (addition->is_same)
		return "unchanged";
	return addition->old_id == 0 ? "added" : "replaced";
}

static void warn_of_traps(const struct addition *addition)
{
	const char *state = word_state(&addition->facts, addition->arguments->now_sec);
	char issuer[VIEW_CELL_BYTES];

	print_shown(span_of_string(addition->facts.issuer), issuer, sizeof issuer);
	if (strcmp(state, "current") != 0)
		ctl_warn("warning: the list is %s: where lists are required, certificates of %s "
			 "are refused as revocation-unknown",
			state, issuer);
	if (!addition->has_issuer)
		ctl_warn("warning: there is no anchor or intermediate called %s: `certmapctl trust "
			 "add' adds one",
			issuer);
}

static enum error tell(const struct addition *addition)
{
	const struct ctl *ctl = addition->arguments->ctl;
	const bool is_dry = edit_is_dry(ctl);
	char issuer[VIEW_CELL_BYTES], words[128];
	enum error error;

	if (ctl->json) {
		error = print_facts(addition->arguments, &addition->row, &addition->facts, NULL,
			is_dry ? "none" : word_change(addition));
		if (error == OK)
			putchar('\n');
		return error;
	}
	if (!edit_may_talk(ctl))
		return OK;
	word_list(&addition->facts, words, sizeof words);
	printf("The list %s, %zu revoked, of %s, ", words, addition->facts.entry_count,
		print_shown(span_of_string(addition->facts.issuer), issuer, sizeof issuer));
	if (addition->is_same || addition->old_id == 0)
		printf("%s%s", is_dry ? "would be " : "was ", word_change(addition));
	else
		printf("%s the place of the one before", is_dry ? "would take" : "took");
	if (!is_dry || addition->old_id != 0)
		printf(" as row %" PRId64, addition->row.id);
	puts(".");
	return OK;
}

static enum error put_in(
	struct addition *addition, struct store *store, struct store_trouble *ret_trouble)
{
	const struct ctl *ctl = addition->arguments->ctl;
	enum error error = edit_begin(ctl, store, ret_trouble);

	if (error != OK)
		return error;
	error = write_list(addition, store, ret_trouble);
	if ((error = edit_end(ctl, store, error, ret_trouble)) != OK)
		return error;
	warn_of_traps(addition);
	return tell(addition);
}

static enum error add(struct material_arguments *arguments, struct store *store,
	struct store_trouble *ret_trouble)
{
	struct addition addition = {
		.arguments = arguments,
		.row = { .service = span_of_string(arguments->service),
			.kind = STORE_TRUST_CRL,
			.note = span_of_string(arguments->note) },
	};
	uint8_t *bytes MATERIAL_FREE = NULL;
	const char *problem = NULL;
	char shown[MATERIAL_NAME_MAX_BYTES];
	size_t length;
	enum error error = material_read(arguments, &bytes, &length, ret_trouble);

	if (error != OK)
		return error;
	addition.row.content = span_of(bytes, length);
	if ((error = crl_file_read(addition.row.content, &addition.facts, &problem)) != OK)
		return error;
	if (!problem)
		return put_in(&addition, store, ret_trouble);
	snprintf(ret_trouble->text, sizeof ret_trouble->text, "%s: %s; nothing was changed",
		print_shown(span_of_string(arguments->file), shown, sizeof shown), problem);
	return ERROR_REFUSED;
}

/* The family ------------------------------------------------------------------------------- */

static const struct material_verb add_verb = { add, true, false, true,
	{ material_add_list_options, material_parse, "FILE",
		"Puts a revocation list in.\v"
		"FILE is DER or PEM, `-' is the standard input. It takes the place of the list "
		"of the same issuer, key, scope and service, unless that one is newer. Fetch it "
		"again before its next update, by a timer: nothing is fetched by certmap.",
		ctl_change_children, NULL, NULL } };
static const struct material_verb list_verb = { list, false, false, true,
	{ material_list_options, material_parse, NULL,
		"Shows the revocation lists.\v"
		"A list is stale after its next update. What that means says the policy of the "
		"service (`certmapctl service show').",
		ctl_children, NULL, NULL } };
static const struct material_verb remove_verb = { material_remove, false, true, true,
	{ NULL, material_parse, "ID",
		"Removes a revocation list.\v"
		"It says whom that would lock out. On a terminal it asks first.",
		ctl_change_children, NULL, NULL } };

enum ctl_status ctl_crl(struct ctl *ctl, int argc, char **argv)
{
	static const struct verb table[] = {
		{ "add", material_main, "put a list in, in place of the one before it", &add_verb },
		{ "list", material_main, "show the lists, and which are stale", &list_verb },
		{ "remove", material_main, "remove one", &remove_verb },
	};
	const struct verbs verbs = {
		.program = "certmapctl crl",
		.doc = "Keeps the revocation lists that certificates are checked with.",
		.table = table,
		.count = COUNT(table),
	};

	return verbs_run(&verbs, ctl, argc, argv);
}
