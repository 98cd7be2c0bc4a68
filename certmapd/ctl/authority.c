/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * authority.c owns the verbs on the certificates that chains are checked with: trust add, list and
 * remove.
 */
#include "certfile.h"
#include "edit.h"
#include "hex.h"
#include "material.h"
#include "print.h"
#include "trust.h"
#include "verbs.h"
#include "view.h"
#include "when.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* list ------------------------------------------------------------------------------------- */

enum column { ID, SERVICE, KIND, SUBJECT, EXPIRES, FINGERPRINT, NOTE, COLUMNS };

static const struct table_column columns[COLUMNS] = {
	[ID] = { .name = "ID", .is_right = true },
	[SERVICE] = { .name = "SERVICE" },
	[KIND] = { .name = "KIND" },
	[SUBJECT] = { .name = "SUBJECT", .is_cuttable = true, .share = 0.25 },
	[EXPIRES] = { .name = "EXPIRES" },
	[FINGERPRINT] = { .name = "SHA-256", .drop = 2 },
	[NOTE] = { .name = "NOTE", .is_cuttable = true, .is_optional = true, .drop = 1 },
};

static enum error add_to_table(struct material_listing *listing, const struct store_trust_row *row,
	const struct certificate_facts *facts, const char *problem)
{
	char id[24], service[VIEW_CELL_BYTES], subject[VIEW_CELL_BYTES], note[VIEW_CELL_BYTES];
	char expires[64] = "-", fingerprint[VIEW_FINGERPRINT_DIGITS + 1] = "-";
	const char *values[COLUMNS] = {
		[ID] = id,
		[SERVICE] = print_shown(row->service, service, sizeof service),
		[KIND] = store_trust_word(row->kind),
		[SUBJECT] = print_shown(span_of_string(problem ? problem : facts->subject), subject,
			sizeof subject),
		[EXPIRES] = expires,
		[FINGERPRINT] = fingerprint,
		[NOTE] = print_shown(row->note, note, sizeof note),
	};
	enum paint paint = PAINT_BAD;
	enum error error;

	snprintf(id, sizeof id, "%" PRId64, row->id);
	if (!problem) {
		hex_print(span_of(facts->fingerprint, VIEW_FINGERPRINT_DIGITS / 2), fingerprint);
		view_date(facts->not_after_sec, listing->arguments->now_sec, listing->is_roomy,
			expires, sizeof expires);
		paint = view_paint_of_end(facts->not_after_sec, listing->arguments->now_sec);
	}
	if ((error = table_add(listing->table, values)) != OK)
		return error;
	return table_paint(listing->table, problem ? SUBJECT : EXPIRES, paint);
}

static enum error print_facts(const struct store_trust_row *row,
	const struct certificate_facts *facts, const char *problem, const char *change)
{
	char from[WHEN_DATE_BYTES], until[WHEN_DATE_BYTES];
	char fingerprint[2 * FINGERPRINT_BYTES + 1];

	hex_print(span_of(facts->fingerprint, FINGERPRINT_BYTES), fingerprint);

	const struct json_field fields[] = {
		{ .name = "id", .is_number = row->id > 0, .number = row->id },
		{ .name = "service", .text = row->service },
		{ .name = "kind", .text = span_of_string(store_trust_word(row->kind)) },
		{ .name = "subject", .text = span_of_string(problem ? NULL : facts->subject) },
		{ .name = "issuer", .text = span_of_string(problem ? NULL : facts->issuer) },
		{ .name = "not_before",
			.text = span_of_string(
				problem ? NULL
					: when_date(facts->not_before_sec, from, sizeof from)) },
		{ .name = "not_after",
			.text = span_of_string(
				problem ? NULL
					: when_date(facts->not_after_sec, until, sizeof until)) },
		{ .name = "fingerprint", .text = span_of_string(problem ? NULL : fingerprint) },
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
	struct certificate_facts facts = { 0 };
	const char *problem = NULL;
	enum error error;

	if (!material_is_chosen(listing->arguments, row))
		return OK;
	if ((error = material_read_certificate(row, &facts, &problem)) != OK)
		return error;
	if (!listing->table) {
		view_begin_row(&listing->count);
		return print_facts(row, &facts, problem, NULL);
	}
	listing->count++;
	return add_to_table(listing, row, &facts, problem);
}

static enum error list(struct material_arguments *arguments, struct store *store,
	struct store_trouble *ret_trouble)
{
	return material_list(arguments, store, columns, COLUMNS, list_row,
		"no anchors and no intermediates", ret_trouble);
}

/* add -------------------------------------------------------------------------------------- */

struct addition {
	const struct material_arguments *arguments;
	struct store_trust_row row;
	const struct certificate_facts *facts;
	int64_t twin_id; /* of a row with the same certificate for the same service; 0: none */
	enum store_trust_kind twin_kind;
};

/* Self-issued is what names itself as its issuer (RFC 5280 3.2): a root, which nothing else could
 * make trusted. Any other is trusted by what issued it, unless somebody says more. */
static enum store_trust_kind choose_kind(
	const struct material_arguments *arguments, const struct certificate_facts *facts)
{
	if (arguments->is_anchor || arguments->is_intermediate)
		return arguments->is_anchor ? STORE_TRUST_ANCHOR : STORE_TRUST_INTERMEDIATE;
	return strcmp(facts->subject, facts->issuer) == 0 ? STORE_TRUST_ANCHOR
							  : STORE_TRUST_INTERMEDIATE;
}

/* Judged by the code that will use it. */
static enum error judge(struct span der, enum store_trust_kind kind, const char **ret_problem)
{
	struct trust_material *material = NULL;
	enum error error = trust_material_new(&material);

	if (error != OK)
		return error;
	error = kind == STORE_TRUST_ANCHOR ? trust_add_anchor(material, der, ret_problem)
					   : trust_add_intermediate(material, der, ret_problem);
	trust_material_free(material);
	return error;
}

static enum error find_twin(const struct store_trust_row *row, void *context)
{
	static struct certificate_facts facts;
	struct addition *addition = context;
	const char *problem = NULL;
	enum error error;

	if (row->kind == STORE_TRUST_CRL || !span_is_equal(row->service, addition->row.service))
		return OK;
	error = material_read_certificate(row, &facts, &problem);
	if (error == OK && !problem &&
		memcmp(facts.fingerprint, addition->facts->fingerprint, sizeof facts.fingerprint) ==
			0) {
		addition->twin_id = row->id;
		addition->twin_kind = row->kind;
	}
	return error;
}

static enum error write_certificate(
	struct addition *addition, struct store *store, struct store_trouble *ret_trouble)
{
	enum error error = store_list_trust_rows(store, find_twin, addition, ret_trouble);

	if (error != OK)
		return error;
	if (addition->twin_id == 0)
		return store_insert_trust(store, &addition->row, &addition->row.id, ret_trouble);
	snprintf(ret_trouble->text, sizeof ret_trouble->text,
		"the certificate is there already, as row %" PRId64 ", %s: nothing was changed "
		"(`certmapctl trust remove %" PRId64 "' makes way for it)",
		addition->twin_id, store_trust_word(addition->twin_kind), addition->twin_id);
	return ERROR_REFUSED;
}

static enum error warn_of_traps(
	const struct addition *addition, struct store *store, struct store_trouble *ret_trouble)
{
	const int64_t now_sec = addition->arguments->now_sec;
	struct store_trust_count count;
	enum error error = store_count_trust(store, addition->row.service, 0, &count, ret_trouble);

	if (error != OK)
		return error;
	if (addition->facts->not_after_sec < now_sec)
		ctl_warn("warning: the certificate has expired: no chain through it holds");
	if (addition->facts->not_before_sec > now_sec)
		ctl_warn("warning: the certificate is not yet valid: no chain through it holds");
	if (count.anchors == 0)
		ctl_warn("warning: there is no anchor yet: an intermediate gives no trust by "
			 "itself");
	return OK;
}

static enum error tell(const struct addition *addition)
{
	const struct ctl *ctl = addition->arguments->ctl;
	const bool is_dry = edit_is_dry(ctl);
	char subject[VIEW_CELL_BYTES], fingerprint[2 * FINGERPRINT_BYTES + 1];
	enum error error;

	if (ctl->json) {
		error = print_facts(
			&addition->row, addition->facts, NULL, is_dry ? "none" : "added");
		if (error == OK)
			putchar('\n');
		return error;
	}
	if (!edit_may_talk(ctl))
		return OK;
	hex_print(span_of(addition->facts->fingerprint, FINGERPRINT_BYTES), fingerprint);
	printf("%s\n  SHA-256 %s\n%s added as %s",
		print_shown(span_of_string(addition->facts->subject), subject, sizeof subject),
		fingerprint, is_dry ? "would be" : "was",
		addition->row.kind == STORE_TRUST_ANCHOR
			? "an anchor: what it issues is believed"
			: "an intermediate, which gives no trust by itself");
	if (!is_dry)
		printf(", row %" PRId64, addition->row.id);
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
	if ((error = write_certificate(addition, store, ret_trouble)) == OK)
		error = warn_of_traps(addition, store, ret_trouble);
	if ((error = edit_end(ctl, store, error, ret_trouble)) != OK)
		return error;
	if (edit_is_dry(ctl))
		addition->row.id = 0;
	return tell(addition);
}

static enum error add(struct material_arguments *arguments, struct store *store,
	struct store_trouble *ret_trouble)
{
	static struct certfile file;
	struct addition addition = { .arguments = arguments, .facts = &file.facts };
	const char *problem = NULL;
	char shown[MATERIAL_NAME_MAX_BYTES];
	enum error error;

	if (certfile_read(arguments->file, &file) != CTL_DONE) {
		arguments->is_refused = true;
		return OK;
	}
	addition.row = (struct store_trust_row){
		.service = span_of_string(arguments->service),
		.kind = choose_kind(arguments, &file.facts),
		.note = span_of_string(arguments->note),
		.content = span_of(file.stored, file.stored_length),
	};
	error = judge(span_of(file.der, file.der_length), addition.row.kind, &problem);
	if (error != OK)
		return error;
	if (!problem)
		return put_in(&addition, store, ret_trouble);
	snprintf(ret_trouble->text, sizeof ret_trouble->text, "%s: %s; nothing was changed",
		print_shown(span_of_string(arguments->file), shown, sizeof shown), problem);
	return ERROR_REFUSED;
}

/* The family ------------------------------------------------------------------------------- */

static const struct material_verb add_verb = { add, true, false, false,
	{ material_add_certificate_options, material_parse, "FILE",
		"Adds a certificate of an authority.\v"
		"Without --anchor and --intermediate it is an anchor where it names itself as "
		"its issuer, and else an intermediate. Anchors of a service take the place of "
		"those of every service. They count where the policy of the service has "
		"require_trust=yes (`certmapctl service set').",
		ctl_change_children, NULL, NULL } };
static const struct material_verb list_verb = { list, false, false, false,
	{ material_list_options, material_parse, NULL,
		"Shows the anchors and intermediates.\vRevocation lists are shown by "
		"`certmapctl crl list'.",
		ctl_children, NULL, NULL } };
static const struct material_verb remove_verb = { material_remove, false, true, false,
	{ NULL, material_parse, "ID",
		"Removes an anchor or intermediate.\v"
		"It says whom that would lock out. On a terminal it asks first. The history "
		"keeps the certificate.",
		ctl_change_children, NULL, NULL } };

enum ctl_status ctl_trust(struct ctl *ctl, int argc, char **argv)
{
	static const struct verb table[] = {
		{ "add", material_main, "add an anchor or intermediate", &add_verb },
		{ "list", material_main, "show them", &list_verb },
		{ "remove", material_main, "remove one", &remove_verb },
	};
	const struct verbs verbs = {
		.program = "certmapctl trust",
		.doc = "Keeps the authorities that certificates must come from, where the policy "
		       "of a service asks for it.",
		.table = table,
		.count = COUNT(table),
	};

	return verbs_run(&verbs, ctl, argc, argv);
}
