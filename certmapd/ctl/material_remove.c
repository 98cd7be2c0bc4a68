/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * material_remove.c owns the removal of a row of either family, and the answer to: whom does that
 * lock out?
 */
#include "material.h"

#include "edit.h"
#include "json.h"
#include "print.h"
#include "store_service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct removal {
	const struct material_arguments *arguments;
	struct store *store;
	struct store_trouble *trouble;
	bool is_found;
	enum store_trust_kind kind;
	char service[MATERIAL_NAME_MAX_BYTES];
	/* Whom it locks out: services, with commas between. */
	size_t locked_length;
	char locked[1024];
};

static enum error keep_row(const struct store_trust_row *row, void *context)
{
	struct removal *removal = context;

	if (row->id != removal->arguments->id)
		return OK;
	removal->is_found = true;
	removal->kind = row->kind;
	print_shown(row->service, removal->service, sizeof removal->service);
	return OK;
}

static void add_locked(struct removal *removal, struct span service)
{
	const size_t room = sizeof removal->locked - removal->locked_length;
	char shown[MATERIAL_NAME_MAX_BYTES];
	int length;

	print_shown(service, shown, sizeof shown);
	length = snprintf(removal->locked + removal->locked_length, room, "%s%s",
		removal->locked_length > 0 ? ", " : "",
		strcmp(shown, "*") == 0 ? "every service without a row of its own" : shown);
	if (length > 0 && (size_t)length < room)
		removal->locked_length += (size_t)length;
}

static enum error judge_service(const struct store_demand *demand, void *context)
{
	struct removal *removal = context;
	struct store_trust_count before, after;
	enum error error;

	if ((error = store_count_trust(
		     removal->store, demand->service, 0, &before, removal->trouble)) != OK ||
		(error = store_count_trust(removal->store, demand->service, removal->arguments->id,
			 &after, removal->trouble)) != OK)
		return error;
	if ((demand->of_chains && before.anchors > 0 && after.anchors == 0) ||
		(demand->of_lists && before.lists > 0 && after.lists == 0))
		add_locked(removal, demand->service);
	return OK;
}

static enum error refuse_row(const struct removal *removal)
{
	const bool is_list = removal->kind == STORE_TRUST_CRL;
	const int64_t id = removal->arguments->id;

	if (!removal->is_found)
		snprintf(removal->trouble->text, sizeof removal->trouble->text,
			"there is no row %" PRId64 ": `certmapctl %s list' shows those there are",
			id, removal->arguments->verb->is_of_lists ? "crl" : "trust");
	else
		snprintf(removal->trouble->text, sizeof removal->trouble->text,
			"row %" PRId64 " is %s: `certmapctl %s remove %" PRId64 "' removes it", id,
			is_list ? "a revocation list" : "a certificate", is_list ? "crl" : "trust",
			id);
	return ERROR_REFUSED;
}

static enum error delete_row(struct removal *removal)
{
	const struct ctl *ctl = removal->arguments->ctl;
	enum error error = edit_begin(ctl, removal->store, removal->trouble);

	if (error != OK)
		return error;
	error = store_delete_trust(
		removal->store, removal->arguments->id, &removal->is_found, removal->trouble);
	if (error == OK && !removal->is_found)
		error = refuse_row(removal);
	return edit_end(ctl, removal->store, error, removal->trouble);
}

static enum error tell(const struct removal *removal)
{
	const struct ctl *ctl = removal->arguments->ctl;
	const struct json_field fields[] = {
		{ .name = "id", .is_number = true, .number = removal->arguments->id },
		{ .name = "service", .text = span_of_string(removal->service) },
		{ .name = "kind", .text = span_of_string(store_trust_word(removal->kind)) },
		{ .name = "locks_out",
			.text = span_of_string(removal->locked[0] ? removal->locked : NULL) },
		{ .name = "change", .text = span_of_string(edit_is_dry(ctl) ? "none" : "removed") },
	};
	enum error error = OK;

	if (edit_may_talk(ctl))
		printf("Row %" PRId64 " %s.\n", removal->arguments->id,
			edit_is_dry(ctl) ? "would be removed" : "removed");
	else if (ctl->json && (error = json_print(fields, sizeof fields / sizeof fields[0])) == OK)
		putchar('\n');
	return error;
}

static void warn_of_locked(const struct removal *removal)
{
	if (removal->locked[0])
		ctl_warn("warning: it is the last %s of %s: without it everybody is refused there "
			 "(%s)",
			removal->kind == STORE_TRUST_CRL ? "revocation list" : "anchor",
			removal->locked,
			removal->kind == STORE_TRUST_CRL ? "revocation-unknown"
							 : "untrusted-issuer");
}

/* No lock is held while a person thinks; an id never comes back to another row. */
enum error material_remove(struct material_arguments *arguments, struct store *store,
	struct store_trouble *ret_trouble)
{
	struct removal removal = { .arguments = arguments, .store = store, .trouble = ret_trouble };
	enum error error = store_list_trust_rows(store, keep_row, &removal, ret_trouble);

	if (error != OK)
		return error;
	if (!removal.is_found || (removal.kind == STORE_TRUST_CRL) != arguments->verb->is_of_lists)
		return refuse_row(&removal);
	if ((error = store_list_demands(store, judge_service, &removal, ret_trouble)) != OK)
		return error;
	warn_of_locked(&removal);
	arguments->is_refused = !edit_confirm(arguments->ctl, "Remove %s %" PRId64 " of %s%s?",
		removal.kind == STORE_TRUST_CRL ? "revocation list"
						: store_trust_word(removal.kind),
		arguments->id, strcmp(removal.service, "*") == 0 ? "" : "the service ",
		strcmp(removal.service, "*") == 0 ? "every service" : removal.service);
	if (arguments->is_refused)
		return OK;
	if ((error = delete_row(&removal)) != OK)
		return error;
	return tell(&removal);
}
