/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kinfolk.c owns the sentences about mappings that did not decide. */
#include "kinfolk.h"

#include "store_kin.h"
#include "words.h"

#include <inttypes.h>
#include <string.h>

#define LIVING_MAX (KINFOLK_MAX - 1) /* beside the mapping that is no more */

struct search {
	const struct trial_case *c;
	const struct trial *trial;
	struct kinfolk *found;
};

static bool is_every(const struct store_kin *kin)
{
	return strcmp(kin->service, "*") == 0;
}

static void say_state(const struct search *search, const struct store_kin *kin, struct words *words)
{
	if (kin->problem) {
		words_say(words, ", and can't be used: ");
		words_say_shown(words, kin->problem);
	} else if (kin->is_staged) {
		words_say(words, "; it is staged");
	} else if (!kin->enabled) {
		words_say(words, "; it is disabled");
	}
	if (!is_every(kin) && strcasecmp(kin->service, search->c->service) != 0) {
		words_say(words, "; it is mapped only for the service ");
		words_say_shown(words, kin->service);
	} else if (kin->hidden_by != 0) {
		words_say(words, "; it is hidden from this service by mapping %" PRId64,
			kin->hidden_by);
	} else if (kin->kinship == STORE_KIN_CERTIFICATE && is_every(kin) && !kin->problem &&
		   search->trial->outcome.reason == REASON_UNMAPPED) {
		words_say(words,
			"; it is one of every service, which this service does not inherit "
			"(inherit is 0)");
	}
}

static void say_kin(const struct search *search, const struct store_kin *kin, struct words *words)
{
	const int64_t begins_sec = search->c->exhibit->facts.not_before_sec;
	const char *which = kin->not_before_sec < begins_sec   ? "the certificate before this one"
			    : kin->not_before_sec > begins_sec ? "the certificate after this one"
							       : "another one of the same time";

	words_say(words, "mapping %" PRId64 " of ", kin->id);
	words_say_shown(words, kin->account);
	switch (kin->kinship) {
	case STORE_KIN_CERTIFICATE:
		words_say(words, " holds this certificate");
		break;
	case STORE_KIN_KEY:
		words_say(words, " has the same key, and holds %s", which);
		break;
	case STORE_KIN_NAMES:
		words_say(words, " has the same subject and issuer, and holds %s", which);
		break;
	case STORE_KIN_ACCOUNT:
		words_say(words, " holds another certificate");
		break;
	}
	say_state(search, kin, words);
}

static enum error take_kin(const struct store_kin *kin, void *context)
{
	static const char *const relations[] = {
		[STORE_KIN_CERTIFICATE] = "same-certificate",
		[STORE_KIN_KEY] = "same-key",
		[STORE_KIN_NAMES] = "same-names",
		[STORE_KIN_ACCOUNT] = "account",
	};
	struct search *search = context;
	struct kinsman *kinsman = &search->found->list[search->found->count];
	struct words words = { .text = kinsman->text, .capacity = sizeof kinsman->text };

	/* What decided stands among the gates. */
	if (search->trial->answer.has_mapping && kin->id == search->trial->answer.mapping.id)
		return OK;
	if (search->found->count == LIVING_MAX)
		return OK;
	say_kin(search, kin, &words);
	kinsman->id = kin->id;
	kinsman->relation = relations[kin->kinship];
	search->found->count++;
	return OK;
}

static void add_former(const struct exhibit *exhibit, struct kinfolk *found)
{
	struct kinsman *kinsman = &found->list[found->count];
	struct words words = { .text = kinsman->text, .capacity = sizeof kinsman->text };
	char when[NARRATE_TIME_BYTES];

	if (exhibit->former_mapping == 0)
		return;
	narrate_time(exhibit->former_at_sec, when_now(), when);
	words_say(&words, "mapping %" PRId64 " of ", exhibit->former_mapping);
	words_say_shown(&words, exhibit->former_account);
	words_say(&words, " held this certificate until it was %s on %s, by ",
		exhibit->former_was_deleted ? "removed" : "replaced", when);
	words_say_shown(&words, exhibit->former_who[0] ? exhibit->former_who : "a sqlite3 shell");
	kinsman->id = exhibit->former_mapping;
	kinsman->relation = "former";
	found->count++;
}

static struct span fact_or_none(const struct exhibit *exhibit, const char *text)
{
	return exhibit->has_facts ? span_of_string(text) : (struct span){ 0 };
}

void kinfolk_find(struct store *store, const struct trial_case *c, const struct trial *trial,
	struct kinfolk *ret)
{
	const struct exhibit *exhibit = c->exhibit;
	const struct certificate_facts *facts = &exhibit->facts;
	const struct store_kin_question question = {
		.fingerprint = span_of(
			exhibit->der_length > 0 ? facts->fingerprint : NULL, FINGERPRINT_BYTES),
		.key_fingerprint = span_of(
			exhibit->has_facts ? facts->key_fingerprint : NULL, FINGERPRINT_BYTES),
		.subject = fact_or_none(exhibit, facts->subject),
		.issuer = fact_or_none(exhibit, facts->issuer),
		.service = span_of_string(c->service),
		.account = span_of_string(c->user),
	};
	struct search search = { .c = c, .trial = trial, .found = ret };
	struct store_trouble trouble;

	ret->count = 0;
	/* One more than are told: what decided is among them. */
	(void)!store_list_kin(store, &question, LIVING_MAX + 1, take_kin, &search, &trouble);
	add_former(exhibit, ret);
}
