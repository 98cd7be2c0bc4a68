/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* insert.c owns the order of insert, reading, judging and showing, and the words for what is in the
 * way. */
#include "insert.h"

#include "edit.h"
#include "index.h"
#include "print.h"
#include "store_kin.h"
#include "store_select.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The queue was worked off just before, so that this is for the one new mapping. Nobody else can
 * write meanwhile. */
#define SETTLE_NEW_USEC 200000u

/* The one of the certificate, and those of the account, of which any will do. */
#define RIVALS_MAX 16

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

static enum error show(const struct store_status *row, void *context)
{
	const struct ctl *ctl = context;

	if (ctl->json)
		return print_json_line(row);
	if (!edit_may_talk(ctl))
		return OK;
	printf("Mapping %" PRId64 "%s:\n", row->number[STATUS_ID],
		edit_is_dry(ctl) ? " would be added" : "");
	print_words(stdout, row);
	return OK;
}

enum error insert_end(const struct ctl *ctl, struct store *store, const struct inserted *inserted,
	enum error error, struct store_trouble *ret_trouble)
{
	struct store_trouble ignored;
	bool is_found;

	if (error == OK && edit_is_dry(ctl))
		error = store_find_status(
			store, inserted->id, show, (void *)ctl, &is_found, ret_trouble);
	error = edit_end(ctl, store, error, ret_trouble);
	/* Whatever is wrong with the looking: it is added, and that is what is told. */
	if (error == OK && !edit_is_dry(ctl))
		(void)!store_find_status(
			store, inserted->id, show, (void *)ctl, &is_found, &ignored);
	return error;
}

/* What is in the way of a mapping, in its own service. */
struct rival {
	const struct store_new_mapping *mapping;
	int64_t same_certificate, same_account; /* ids; 0: none */
	unsigned of_account;                    /* how many are enabled of the latter */
	bool is_enabled, is_own;                /* the one of the same certificate */
	char account[256];                      /* likewise, printable */
};

static enum error take_rival(const struct store_kin *kin, void *context)
{
	struct rival *rival = context;

	if (strcmp(kin->service, rival->mapping->service) != 0)
		return OK;
	if (kin->kinship == STORE_KIN_CERTIFICATE) {
		rival->same_certificate = kin->id;
		rival->is_enabled = kin->enabled;
		rival->is_own = strcmp(kin->account, rival->mapping->account) == 0;
		print_shown(span_of_string(kin->account), rival->account, sizeof rival->account);
	} else if (kin->enabled) {
		rival->same_account = kin->id;
		rival->of_account++;
	}
	return OK;
}

static void find_rival(struct store *store, const uint8_t *fingerprint, struct rival *rival)
{
	const struct store_kin_question question = {
		.fingerprint = span_of(fingerprint, STORE_FINGERPRINT_BYTES),
		.service = span_of_string(rival->mapping->service),
		.account = span_of_string(rival->mapping->account),
	};
	struct store_trouble trouble;

	/* Then the words of the database stand alone. */
	(void)!store_list_kin(store, &question, RIVALS_MAX, take_rival, rival, &trouble);
}

/* Whatever else the schema refuses has nothing to do with other mappings. */
static bool is_about_rival(const char *words)
{
	return strstr(words, "is mapped already") || strstr(words, "duplicate of mapping") ||
	       strstr(words, "has its enabled certificate");
}

static void tell_same_certificate(const struct rival *rival)
{
	ctl_warn("this certificate is mapped already for this service: mapping %" PRId64 " of %s "
		 "holds it%s: `certmapctl show id:%" PRId64 "' shows it; nothing was changed",
		rival->same_certificate, rival->account,
		rival->is_enabled ? "" : ", and is disabled", rival->same_certificate);
	if (rival->is_own && !rival->is_enabled)
		ctl_warn("`certmapctl enable id:%" PRId64 "' puts it into force again",
			rival->same_certificate);
	else if (!rival->is_own)
		ctl_warn("for another account, `certmapctl remove id:%" PRId64 "' first",
			rival->same_certificate);
}

static void tell_same_account(const struct rival *rival)
{
	char service[128];

	ctl_warn("for the certificate that follows that of mapping %" PRId64
		 ": `certmapctl renew id:%" PRId64 " FILE'; for one more beside it: "
		 "`certmapctl service set '%s' certificates_per_account=%u'",
		rival->same_account, rival->same_account,
		print_shown(span_of_string(rival->mapping->service), service, sizeof service),
		rival->of_account + 1);
}

size_t insert_words_length(const char *words)
{
	const char *statement = strstr(words, " It is: SELECT ");

	return statement ? (size_t)(statement - words) : strlen(words);
}

enum ctl_status insert_fail(const struct ctl *ctl, struct store *store,
	const struct store_new_mapping *mapping, const struct insert_refusal *refusal)
{
	struct rival rival = { .mapping = mapping };
	struct store_trouble words = *refusal->trouble;

	if (refusal->error == ERROR_REFUSED && is_about_rival(words.text))
		find_rival(store, refusal->fingerprint, &rival);
	if (rival.same_certificate != 0) {
		tell_same_certificate(&rival);
		return CTL_REFUSED;
	}
	if (rival.same_account != 0)
		words.text[insert_words_length(words.text)] = '\0';
	ctl_fail(ctl, refusal->error, &words);
	if (rival.same_account != 0 && mapping->enabled)
		tell_same_account(&rival);
	return CTL_REFUSED;
}

void insert_warn_pending(const struct inserted *inserted)
{
	if (inserted->is_pending)
		ctl_warn("many new mappings wait to be read, this one among them: certmapd goes on "
			 "with them at its next lookup");
}
