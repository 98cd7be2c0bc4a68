/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * expiring.c owns the verb that shows what ends soon: certificates, mappings, stagings, and where
 * chains are checked, the authorities and revocation lists. For people, timers and monitoring.
 */
#include "ctl.h"

#include "crl_file.h"
#include "material.h"
#include "print.h"
#include "store_overview.h"
#include "store_service.h"
#include "view.h"
#include "when.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 80u
/* An authority brings the next list when this part of the validity of the one before is over at the
 * latest. Lists of a week would else be shown every day, and what is shown every day nobody reads.
 */
#define LIST_LAST_PART 5

struct arguments {
	struct ctl *ctl;
	int64_t now_sec;
	int64_t until_sec;
	bool is_asked; /* a person named the span: it holds as it is */
};

enum { OPTION_WITHIN = 0x100 };

static const struct argp_option options[] = {
	{ "within", OPTION_WITHIN, "SPAN", 0,
		"How soon, such as 2w or 36h (30d, and of a revocation list "
		"the last fifth of its validity)",
		0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	int64_t span_sec;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPTION_WITHIN:
		if (!when_read_span(value, &span_sec))
			argp_error(state, "--within: '%s' is not " WHEN_SPAN_FORMS, value);
		arguments->until_sec = arguments->now_sec + span_sec;
		arguments->is_asked = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.doc = "Shows what ends soon, or has ended.\v"
	       "The certificates and validities of mappings that are enabled or staged, stagings "
	       "that lapse, and, where the policy of a service asks for them, anchors, "
	       "intermediates and revocation lists. Exit status: 0 if there is nothing, 1 if "
	       "there is something.",
};

/* Authorities and lists -------------------------------------------------------------------- */

/* One row of `trust' that ends. There are few: they are kept, and sorted in between the mappings.
 */
struct material {
	int64_t id;
	const char *what;
	int64_t at_sec;
	int64_t since_sec; /* when it is to be shown at the earliest */
	char service[NAME_BYTES];
	char name[CERTIFICATE_NAME_MAX_BYTES];
};

struct listing {
	const struct arguments *arguments;
	struct store *store;
	struct store_trouble *trouble;
	struct material *materials;
	size_t material_count, materials_shown;
	struct table *table; /* NULL: JSON */
	size_t count;
};

/* Whether somebody needs a row of `trust`. */
struct need {
	const struct store_trust_row *row;
	bool is_needed;
};

/* A row of '*' may serve any service. Of a service's own, the service decides: its row comes after
 * the row '*', which holds where it has none. */
static enum error take_demand(const struct store_demand *demand, void *context)
{
	struct need *need = context;
	const bool is_list = need->row->kind == STORE_TRUST_CRL;
	const bool is_demanded = is_list ? demand->of_lists : demand->of_chains;

	if (span_is_equal(need->row->service, span_of_string("*")))
		need->is_needed |= is_demanded;
	else if (demand->is_every || span_is_equal(need->row->service, demand->service))
		need->is_needed = is_demanded;
	return OK;
}

/* *ret->what stays NULL for what is no certificate: it never begins, so it never ends. */
static enum error read_certificate(const struct store_trust_row *row, struct material *ret)
{
	static struct certificate_facts facts;
	const char *problem = NULL;
	enum error error = material_read_certificate(row, &facts, &problem);

	if (error != OK || problem)
		return error;
	ret->what = row->kind == STORE_TRUST_ANCHOR ? "anchor" : "intermediate";
	ret->at_sec = facts.not_after_sec;
	snprintf(ret->name, sizeof ret->name, "%s", facts.subject);
	return OK;
}

static enum error read_crl(const struct store_trust_row *row, struct material *ret)
{
	static struct crl_facts facts;
	const char *problem = NULL;
	enum error error = crl_file_read(row->content, &facts, &problem);

	if (error != OK || problem || !facts.has_next_update)
		return error;
	ret->what = "revocation list";
	ret->at_sec = facts.next_update_sec;
	ret->since_sec = facts.next_update_sec -
			 (facts.next_update_sec - facts.this_update_sec) / LIST_LAST_PART;
	snprintf(ret->name, sizeof ret->name, "%s", facts.issuer);
	return OK;
}

static enum error keep_material(struct listing *listing, const struct material *material)
{
	struct material *grown =
		reallocarray(listing->materials, listing->material_count + 1, sizeof *grown);

	if (!grown)
		return ERROR_MEMORY;
	listing->materials = grown;
	grown[listing->material_count++] = *material;
	return OK;
}

static enum error take_trust(const struct store_trust_row *row, void *context)
{
	struct listing *listing = context;
	const struct arguments *arguments = listing->arguments;
	struct material material = { .id = row->id, .since_sec = INT64_MIN };
	struct need need = { .row = row };
	enum error error = store_list_demands(listing->store, take_demand, &need, listing->trouble);

	if (error != OK || !need.is_needed)
		return error;
	snprintf(material.service, sizeof material.service, "%.*s", (int)row->service.length,
		(const char *)row->service.bytes);
	error = row->kind == STORE_TRUST_CRL ? read_crl(row, &material)
					     : read_certificate(row, &material);
	if (error != OK || !material.what || material.at_sec > arguments->until_sec ||
		(!arguments->is_asked && material.since_sec > arguments->now_sec))
		return error;
	return keep_material(listing, &material);
}

static int compare_materials(const void *a, const void *b)
{
	const struct material *one = a, *other = b;

	if (one->at_sec != other->at_sec)
		return one->at_sec < other->at_sec ? -1 : 1;
	return (one->id > other->id) - (one->id < other->id);
}

/* Rows ------------------------------------------------------------------------------------- */

enum column { ENDS, WHAT, ID, SERVICE, ACCOUNT, SUBJECT, COLUMNS };

static const struct table_column columns[COLUMNS] = {
	[ENDS] = { .name = "ENDS" },
	[WHAT] = { .name = "WHAT" },
	[ID] = { .name = "ID", .is_right = true },
	[SERVICE] = { .name = "SERVICE" },
	[ACCOUNT] = { .name = "ACCOUNT" },
	[SUBJECT] = { .name = "SUBJECT", .is_cuttable = true, .drop = 1 },
};

/* How far away it is matters here more than anywhere else, and there is room for it. */
static enum error show_table(struct listing *listing, const struct store_end *end)
{
	const int64_t now_sec = listing->arguments->now_sec;
	char cells[COLUMNS][VIEW_CELL_BYTES];
	const char *values[COLUMNS];
	enum error error;

	view_date(end->at_sec, now_sec, true, cells[ENDS], sizeof cells[ENDS]);
	snprintf(cells[WHAT], sizeof cells[WHAT], "%s", end->what);
	snprintf(cells[ID], sizeof cells[ID], "%" PRId64, end->id);
	print_shown(end->service, cells[SERVICE], sizeof cells[SERVICE]);
	print_shown(end->account, cells[ACCOUNT], sizeof cells[ACCOUNT]);
	print_shown(end->subject, cells[SUBJECT], sizeof cells[SUBJECT]);
	for (size_t i = 0; i < COLUMNS; i++)
		values[i] = cells[i];
	if ((error = table_add(listing->table, values)) != OK)
		return error;
	return table_paint(listing->table, ENDS, end->at_sec < now_sec ? PAINT_BAD : PAINT_WARN);
}

static enum error show(struct listing *listing, const struct store_end *end)
{
	char date[WHEN_DATE_BYTES];
	const struct json_field fields[] = {
		{ .name = "what", .text = span_of_string(end->what) },
		{ .name = "ends",
			.text = span_of_string(when_date(end->at_sec, date, sizeof date)) },
		{ .name = "ended",
			.is_number = true,
			.number = end->at_sec < listing->arguments->now_sec },
		{ .name = "id", .is_number = true, .number = end->id },
		{ .name = "service", .text = end->service },
		{ .name = "account", .text = end->account },
		{ .name = "subject", .text = end->subject },
	};

	if (!listing->table) {
		view_begin_row(&listing->count);
		return json_print(fields, sizeof fields / sizeof fields[0]);
	}
	listing->count++;
	return show_table(listing, end);
}

/* Those that end before the second `before_sec`. */
static enum error show_materials(struct listing *listing, int64_t before_sec)
{
	enum error error = OK;

	while (error == OK && listing->materials_shown < listing->material_count &&
		listing->materials[listing->materials_shown].at_sec < before_sec) {
		const struct material *material = &listing->materials[listing->materials_shown++];
		const struct store_end end = {
			.what = material->what,
			.at_sec = material->at_sec,
			.id = material->id,
			.service = span_of_string(material->service),
			.subject = span_of_string(material->name),
		};

		error = show(listing, &end);
	}
	return error;
}

static enum error show_end(const struct store_end *end, void *context)
{
	struct listing *listing = context;
	enum error error = show_materials(listing, end->at_sec);

	return error == OK ? show(listing, end) : error;
}

static enum error show_all(struct listing *listing)
{
	enum error error =
		store_list_trust_rows(listing->store, take_trust, listing, listing->trouble);

	if (error != OK)
		return error;
	if (listing->material_count > 0)
		qsort(listing->materials, listing->material_count, sizeof *listing->materials,
			compare_materials);
	error = store_list_ends(
		listing->store, listing->arguments->until_sec, show_end, listing, listing->trouble);
	return error == OK ? show_materials(listing, INT64_MAX) : error;
}

static enum error list_table(struct listing *listing)
{
	enum error error = table_new(columns, COLUMNS, &listing->table);

	if (error != OK)
		return error;
	error = show_all(listing);
	if (error == OK && listing->count > 0)
		error = table_print(listing->table);
	table_free(listing->table);
	return error;
}

static enum error list_json(struct listing *listing)
{
	enum error error;

	view_begin_array();
	error = show_all(listing);
	view_end_array(listing->count);
	return error;
}

static enum ctl_status run(struct listing *listing)
{
	const struct ctl *ctl = listing->arguments->ctl;
	enum error error = ctl->json ? list_json(listing) : list_table(listing);

	free(listing->materials);
	if (error != OK)
		return ctl_fail(ctl, error, listing->trouble);
	return listing->count > 0 ? CTL_REFUSED : CTL_DONE;
}

enum ctl_status ctl_expiring(struct ctl *ctl, int argc, char **argv)
{
	const int64_t now_sec = when_now();
	struct arguments arguments = {
		.ctl = ctl,
		.now_sec = now_sec,
		.until_sec = now_sec + VIEW_SOON_SEC,
	};
	struct store_trouble trouble = { "" };
	struct store *store CTL_CLOSE = NULL;
	struct listing listing = { .arguments = &arguments, .trouble = &trouble };
	enum ctl_status status;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if ((status = ctl_open(ctl, &store)) != CTL_DONE)
		return status;
	/* What can't be read now has no end that is known; `list' shows it as pending. */
	ctl_settle_if_possible(store);
	listing.store = store;
	return run(&listing);
}
