/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* insert.c owns the order of insert, reading and judging. */
#include "insert.h"

#include "index.h"
#include "print.h"
#include "store_select.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The queue was worked off just before, so that this is for the one new mapping. Nobody else can
 * write meanwhile. */
#define SETTLE_NEW_USEC 200000u

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
	struct inserted *ret, struct store_trouble *ret_trouble)
{
	struct row_state state = { 0 };
	bool more, is_found;
	int64_t id;
	enum error error;

	if ((error = store_insert_mapping(store, mapping, &id, ret_trouble)) != OK ||
		(error = index_settle_within(store, SETTLE_NEW_USEC, &more, ret_trouble)) != OK ||
		(error = store_find_status(
			 store, id, read_state, &state, &is_found, ret_trouble)) != OK)
		return error;
	if (state.problem[0] != '\0') {
		snprintf(ret_trouble->text, sizeof ret_trouble->text,
			"this certificate can't be mapped: %s; nothing was added", state.problem);
		return ERROR_REFUSED;
	}
	*ret = (struct inserted){ .id = id, .is_pending = state.is_pending };
	return OK;
}

/* Who takes a key from one certificate has it for the other. */
static enum error warn_same_key(const struct store_relation *relation, void *context)
{
	const char *account = context;
	char shown[256];

	if (relation->kind == STORE_SAME_KEY && strcmp(relation->account, account) != 0)
		ctl_warn("warning: mapping %" PRId64 " of %s holds a certificate of the same key: "
			 "whoever has that key is both accounts",
			relation->id,
			print_shown(span_of_string(relation->account), shown, sizeof shown));
	return OK;
}

enum error insert_mapping(struct store *store, const struct store_new_mapping *mapping,
	struct inserted *ret, struct store_trouble *ret_trouble)
{
	enum error error = insert_settled(store, mapping, ret, ret_trouble);

	if (error != OK)
		return error;
	return store_list_relations(
		store, ret->id, warn_same_key, (void *)mapping->account, ret_trouble);
}

void insert_warn_pending(const struct inserted *inserted)
{
	if (inserted->is_pending)
		ctl_warn("many new mappings wait to be read, this one among them: certmapd goes on "
			 "with them at its next lookup");
}
