/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lookup.c owns the steps of a lookup, and the state of the database between two of them. */
#include "lookup.h"

#include "armour.h"
#include "assurance.h"
#include "certificate.h"
#include "delivery.h"
#include "hex.h"
#include "index.h"
#include "policy.h"
#include "presented.h"
#include "store_edit.h"
#include "usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Static_assert(MAPPING_ACCOUNT_MAX_BYTES == ACCOUNT_MAX_BYTES, "an account fits the reply");
_Static_assert(MAPPING_FINGERPRINT_BYTES == FINGERPRINT_BYTES, "one digest everywhere");
_Static_assert(STORE_FINGERPRINT_BYTES == FINGERPRINT_BYTES, "one digest everywhere");
_Static_assert(FINGERPRINT_HEX_BYTES == 2 * FINGERPRINT_BYTES, "a fingerprint is whole");

/* A lookup that comes right after an edit settles it in passing: some hundred rows at most, a
 * pause that nobody notices. */
#define SETTLE_INLINE_USEC 10000u
/* A longer queue is worked off between lookups, in slices that delay a hit by no more than this. */
#define SETTLE_SLICE_USEC 1000u

struct lookup {
	char *path;
	uid_t owner;
	enum lookup_use use;
	const char *key_path;               /* NULL: what systemd passed on */
	struct store *store;                /* NULL: not usable, see trouble */
	struct store_trouble trouble;       /* of reading; "" while all is well */
	struct store_trouble write_trouble; /* of settling facts; reads may work all the same */
	char news[sizeof(struct store_trouble) + 64];
	bool has_news;
	bool has_work;
	bool has_settler, has_settler_failed;
	bool has_seen_history;
	int64_t seen_history_id, newest_history_id;
	uint64_t worked_usec; /* on a queue that is not empty since */
	struct usage usage;
	struct assurance *assurance;
};

enum error lookup_new(
	const char *database_path, uid_t owner, enum lookup_use use, struct lookup **ret)
{
	struct lookup *lookup = calloc(1, sizeof *lookup);

	if (!lookup)
		return ERROR_MEMORY;
	if (!(lookup->path = strdup(database_path)) || assurance_new(&lookup->assurance) != OK) {
		lookup_free(lookup);
		return ERROR_MEMORY;
	}
	lookup->owner = owner;
	lookup->use = use;
	*ret = lookup;
	return OK;
}

void lookup_set_key(struct lookup *lookup, const char *path)
{
	lookup->key_path = path;
}

void lookup_free(struct lookup *lookup)
{
	struct store_trouble trouble;

	if (!lookup)
		return;
	while (lookup->store && !usage_is_empty(&lookup->usage) &&
		store_check_place(lookup->store, &trouble) == OK &&
		usage_write(&lookup->usage, lookup->store) == OK)
		continue;
	store_close(lookup->store);
	assurance_free(lookup->assurance);
	free(lookup->path);
	free(lookup);
}

const char *lookup_take_news(struct lookup *lookup)
{
	if (!lookup->has_news)
		return NULL;
	lookup->has_news = false;
	return lookup->news;
}

bool lookup_is_usable(const struct lookup *lookup)
{
	return lookup->trouble.text[0] == '\0';
}

uint64_t lookup_due_usec(const struct lookup *lookup)
{
	if (!lookup->store || lookup->has_settler)
		return UINT64_MAX;
	return lookup->has_work || store_keeps_lock(lookup->store) ? 0
								   : usage_due_usec(&lookup->usage);
}

const char *lookup_path(const struct lookup *lookup)
{
	return lookup->path;
}

/* Whether the queue is longer than an inline slice: one, or as much in slices between lookups. */
static bool is_backlogged(const struct lookup *lookup)
{
	return lookup->worked_usec >= SETTLE_INLINE_USEC;
}

bool lookup_begin_settler(struct lookup *lookup)
{
	if (!is_backlogged(lookup) || lookup->has_settler || lookup->has_settler_failed)
		return false;
	return lookup->has_settler = true;
}

/* Rows that came meanwhile are found by the next slice. */
void lookup_end_settler(struct lookup *lookup, bool is_settled)
{
	lookup->has_settler = false;
	lookup->has_settler_failed = !is_settled;
	lookup->has_work = true;
	if (is_settled)
		lookup->worked_usec = 0;
}

static void close_store(struct lookup *lookup)
{
	store_close(lookup->store);
	lookup->store = NULL;
	lookup->has_work = lookup->has_seen_history = false;
	lookup->worked_usec = 0;
	/* Of another file, perhaps. */
	usage_forget(&lookup->usage);
	assurance_forget(lookup->assurance);
}

static void tell(struct lookup *lookup, const char *text)
{
	snprintf(lookup->news, sizeof lookup->news, "%s", text);
	lookup->has_news = true;
}

/* The same cause makes one line, however many lookups meet it. */
static void note_trouble(
	struct lookup *lookup, struct store_trouble *kept, const struct store_trouble *trouble)
{
	if (strcmp(kept->text, trouble->text) == 0)
		return;
	*kept = *trouble;
	tell(lookup, trouble->text);
}

static void note_recovery(struct lookup *lookup, struct store_trouble *kept, const char *what)
{
	if (kept->text[0] == '\0')
		return;
	kept->text[0] = '\0';
	snprintf(lookup->news, sizeof lookup->news, "database %s %s", lookup->path, what);
	lookup->has_news = true;
}

/* After this the store is open and the file that the path names, or it is not open. A file that
 * was replaced is taken up by the same lookup that notices it, and the log has it. */
static enum error ready_store(struct lookup *lookup, struct store_trouble *ret_trouble)
{
	struct store_trouble left = { "" };
	enum error error;

	if (lookup->store && store_check_place(lookup->store, &left) != OK) {
		if ((error = store_leave(lookup->store, ret_trouble)) != OK)
			return error;
		close_store(lookup);
	}
	if (lookup->store)
		return OK;
	error = store_open(
		lookup->path, lookup->owner, STORE_USE_DAEMON, &lookup->store, ret_trouble);
	if (error == OK && left.text[0])
		tell(lookup, left.text);
	return error;
}

/* Whether rows that are not worked out yet could change the answer. To a certificate or its
 * fingerprint the exact row always wins; the row of '*' stays too, since a duplicate never
 * displaces it, unless an exact row may hide it. A key or a name may fit any row, and become
 * ambiguous. */
static bool is_settled(const struct presented *evidence, const struct store_answer *answer)
{
	if (!answer->has_pending || evidence->finding != POLICY_EVIDENCE_WHOLE)
		return true;
	if (evidence->question.by != STORE_BY_FINGERPRINT)
		return false;
	for (size_t i = 0; i < answer->mapping_count; i++)
		if (answer->mappings[i].is_exact || !answer->has_exact_pending)
			return true;
	return false;
}

static void note_settling(struct lookup *lookup, enum error error, uint64_t budget_usec, bool more,
	const struct store_trouble *trouble)
{
	if (error == OK) {
		lookup->has_work = more;
		lookup->worked_usec = more ? lookup->worked_usec + budget_usec : 0;
		if (!more)
			lookup->has_settler_failed = false;
		note_recovery(lookup, &lookup->write_trouble, "takes facts again");
	} else if (error != ERROR_BUSY) {
		/* A full or read-only disk: not before the next lookup asks for it again. */
		lookup->has_work = false;
		note_trouble(lookup, &lookup->write_trouble, trouble);
	}
}

bool lookup_work(struct lookup *lookup)
{
	struct store_trouble trouble = { "" };
	bool more = false;
	enum error error;

	/* While the settler writes, whoever commits may have to bring its whole log into the file.
	 */
	if (!lookup->store || lookup->has_settler)
		return true;
	/* Nothing is written by a handle whose files are no longer those of everybody. */
	if (ready_store(lookup, &trouble) != OK)
		return false;
	if (!lookup->has_work)
		return usage_write(&lookup->usage, lookup->store) != ERROR_BUSY;
	error = index_settle(lookup->store, SETTLE_SLICE_USEC, &more, &trouble);
	note_settling(lookup, error, SETTLE_SLICE_USEC, more, &trouble);
	return error == OK;
}

/* Settles what an edit left behind, or reads it where it can't be settled now. */
static enum error find_after_edit(struct lookup *lookup, const struct store_question *question,
	struct store_answer *ret, struct store_trouble *ret_trouble)
{
	struct store_trouble trouble = { "" };
	bool more = false, complete;
	enum error error = index_settle(lookup->store, SETTLE_INLINE_USEC, &more, &trouble);

	note_settling(lookup, error, SETTLE_INLINE_USEC, more, &trouble);
	if (error == OK)
		return store_find(lookup->store, question, ret, ret_trouble);
	return index_find(lookup->store, SETTLE_INLINE_USEC, question, ret, &complete, ret_trouble);
}

static enum error find(struct lookup *lookup, const struct presented *evidence, bool may_wait,
	struct store_answer *ret, struct store_trouble *ret_trouble)
{
	struct store_answer answer;
	enum error error;

	error = store_find(lookup->store, &evidence->question, &answer, ret_trouble);
	if (error != OK)
		return error;
	if (answer.has_pending)
		lookup->has_work = true;
	if (may_wait && !is_settled(evidence, &answer) && !is_backlogged(lookup))
		error = find_after_edit(lookup, &evidence->question, &answer, ret_trouble);
	if (error != OK)
		return error;
	if (!is_settled(evidence, &answer)) {
		snprintf(ret_trouble->text, sizeof ret_trouble->text,
			"database %s: new mappings are still being read", lookup->path);
		return ERROR_BUSY;
	}
	*ret = answer;
	return OK;
}

/* The history only grows, but for a backup that was restored into the live file. Unless that is
 * noticed, the edits after it would go unlogged until there are as many as before. */
static void witness_history(struct lookup *lookup, int64_t history_id)
{
	const bool is_restored = lookup->has_seen_history && history_id < lookup->newest_history_id;

	if (is_restored) {
		snprintf(lookup->news, sizeof lookup->news,
			"database %s went back from history entry %" PRId64 " to %" PRId64
			": what was shut out since then may be let in again",
			lookup->path, lookup->newest_history_id, history_id);
		lookup->has_news = true;
	}
	if (is_restored || !lookup->has_seen_history) {
		lookup->has_seen_history = true;
		lookup->seen_history_id = history_id;
	}
	lookup->newest_history_id = history_id;
}

bool lookup_take_edit(struct lookup *lookup, struct store_logged_edit *ret)
{
	struct store_trouble trouble;
	bool is_found = false;

	if (!lookup->store || lookup->seen_history_id >= lookup->newest_history_id)
		return false;
	if (store_next_edit(lookup->store, lookup->seen_history_id, ret, &is_found, &trouble) != OK)
		return false;
	lookup->seen_history_id = is_found ? ret->id : lookup->newest_history_id;
	return is_found;
}

int64_t lookup_skip_edits(struct lookup *lookup)
{
	int64_t skipped = lookup->newest_history_id - lookup->seen_history_id;

	lookup->seen_history_id = lookup->newest_history_id;
	return skipped;
}

/* Weak kinds count only where the service's row says so as well as the stack line. */
static bool is_accepted(enum store_by by, const struct store_answer *answer)
{
	return (by != STORE_BY_NAMES || answer->accepts_names) &&
	       (by != STORE_BY_NAME || answer->accepts_name);
}

static enum policy_sharing sharing_of(enum store_by by)
{
	if (by == STORE_BY_KEY)
		return POLICY_SHARED_BY_ONE_ACCOUNT;
	return by == STORE_BY_NAMES || by == STORE_BY_NAME ? POLICY_SHARED_BY_NONE
							   : POLICY_NOT_SHARED;
}

/* Only a certificate itself puts a renewal into force, and nothing is put into force for a service
 * that is only watched. */
static bool may_stage(const struct request *request, const struct store_answer *answer)
{
	return request->phase == PHASE_AUTHENTICATE && request->kind == EVIDENCE_CERTIFICATE &&
	       !answer->is_shadow;
}

/* time(2) reads the clock as of the kernel's last tick, up to 10 ms ago: for as long it would take
 * a certificate or a list that has just run out for a good one. Whole seconds of Unix time. */
static int64_t wall_clock_sec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now); /* clock_gettime(2): can't fail for it */
	return now.tv_sec;
}

/* Decides; chains are looked at only for a mapping that passes every gate before. */
static enum error judge(struct lookup *lookup, const struct request *request,
	const struct presented *evidence, struct store_answer *answer, struct lookup_outcome *ret,
	struct policy_verdict *ret_verdict, struct store_trouble *ret_trouble)
{
	const enum store_by by = evidence->question.by;
	const struct policy_case c = {
		.service_enabled = answer->service_enabled,
		.service_inherits = answer->service_inherits,
		.evidence =
			is_accepted(by, answer) ? evidence->finding : POLICY_EVIDENCE_NOT_ACCEPTED,
		.sharing = sharing_of(by),
		.mappings = answer->mappings,
		.mapping_count = answer->mapping_count,
		.has_more = answer->has_more,
		.may_stage = may_stage(request, answer),
		.match = request->mode != MODE_SET,
		.asked = request->user,
		.now_sec = wall_clock_sec(),
	};
	struct policy_verdict verdict;
	enum error error;

	for (size_t i = 0; i < answer->mapping_count; i++)
		answer->mappings[i].trust =
			answer->requires_trust ? MAPPING_TRUST_UNKNOWN : MAPPING_TRUST_NOT_REQUIRED;
	while ((verdict = policy_decide(&c)).needs_trust) {
		error = assurance_judge(lookup->assurance, lookup->store, &evidence->question,
			answer, &answer->mappings[verdict.mapping - answer->mappings], c.now_sec,
			&ret->concern, ret_trouble);
		if (error != OK)
			return error;
	}
	*ret_verdict = verdict;
	return OK;
}

/* Inside of a transaction of its own everything is asked once more: of two logins that come at once
 * the second one finds the mapping enabled. */
static enum error take_over(struct lookup *lookup, const struct request *request,
	const struct presented *evidence, struct store_answer *answer, struct lookup_outcome *ret,
	struct policy_verdict *verdict, struct store_trouble *ret_trouble)
{
	bool has_replaced;
	enum error error;

	if ((error = store_begin_edit(lookup->store, "certmapd", ret_trouble)) != OK ||
		(error = store_find(lookup->store, &evidence->question, answer, ret_trouble)) != OK)
		return error;
	/* What was read in memory before, because it could not be written, is not among the facts.
	 */
	if (!is_settled(evidence, answer))
		return ERROR_BUSY;
	if ((error = judge(lookup, request, evidence, answer, ret, verdict, ret_trouble)) != OK ||
		!verdict->stages)
		return error;
	error = store_take_over(lookup->store, verdict->mapping->id, &has_replaced, ret_trouble);
	if (error != OK)
		return error;
	ret->took_over = true;
	/* One who observes has seen by now that nothing refuses it; put_into_force() undoes it. */
	return lookup->use == LOOKUP_SERVES ? store_commit_edit(lookup->store, ret_trouble) : OK;
}

static enum error put_into_force(struct lookup *lookup, const struct request *request,
	const struct presented *evidence, struct store_answer *answer, struct lookup_outcome *ret,
	struct policy_verdict *verdict, struct store_trouble *ret_trouble)
{
	const struct mapping before = *verdict->mapping;
	enum error error = store_begin_change(lookup->store, ret_trouble);

	if (error != OK)
		return error;
	error = take_over(lookup, request, evidence, answer, ret, verdict, ret_trouble);
	store_end_change(lookup->store);
	if (error == ERROR_REFUSED) {
		/* The account got another certificate meanwhile: this one is no renewal any more.
		 */
		tell(lookup, ret_trouble->text);
		verdict->reason = REASON_MAPPING_DISABLED;
		verdict->gate = POLICY_GATE_MAPPING;
		ret->took_over = false;
		return OK;
	}
	/* The account was changed in between, and a credential may be that of the one before. */
	if (error == OK && verdict->mapping &&
		strcmp(before.account, verdict->mapping->account) != 0)
		return ERROR_BUSY;
	return error;
}

/* Everything that a login needs beside the verdict is found out before a renewal takes force: a
 * session that is promised a credential and can't have it would fail later, and say less. */
static enum error deliver(struct lookup *lookup, const struct request *request,
	struct lookup_outcome *ret, struct policy_verdict *verdict,
	struct store_trouble *ret_trouble)
{
	enum error error = delivery_open(lookup->store, lookup->key_path, request->service,
		verdict->mapping->account, ret->credential, &ret->credential_length, &ret->concern,
		ret_trouble);

	if (error == OK && ret->credential_length == 0) {
		verdict->reason = REASON_CREDENTIAL_UNAVAILABLE;
		verdict->stages = false;
	}
	return error;
}

static void describe(const struct policy_verdict *verdict, struct lookup_outcome *ret)
{
	ret->reason = verdict->reason;
	ret->gate = verdict->gate;
	ret->has_mapping = verdict->mapping != NULL;
	if (verdict->mapping) {
		ret->mapping = *verdict->mapping;
		hex_print(span_of(verdict->mapping->fingerprint, FINGERPRINT_BYTES),
			ret->fingerprint);
	}
	if (verdict->reason != REASON_ALLOWED) {
		explicit_bzero(ret->credential, sizeof ret->credential);
		ret->credential_length = 0;
	}
}

static enum error decide(struct lookup *lookup, const struct request *request,
	const struct presented *evidence, struct store_answer *answer, struct lookup_outcome *ret,
	struct store_trouble *ret_trouble)
{
	const bool is_login = request->phase == PHASE_AUTHENTICATE && !answer->is_shadow;
	struct policy_verdict verdict;
	enum error error;

	ret->is_shadow = request->phase == PHASE_AUTHENTICATE && answer->is_shadow;
	ret->requires_trust = answer->requires_trust;
	ret->revocation = answer->revocation;
	ret->delivers_credential = answer->delivers_credential;
	error = judge(lookup, request, evidence, answer, ret, &verdict, ret_trouble);
	if (error == OK && verdict.reason == REASON_ALLOWED && is_login &&
		answer->delivers_credential && request->credential_wanted)
		error = deliver(lookup, request, ret, &verdict, ret_trouble);
	if (error == OK && verdict.stages)
		error = put_into_force(
			lookup, request, evidence, answer, ret, &verdict, ret_trouble);
	if (error != OK)
		return error;
	describe(&verdict, ret);
	if (ret->reason == REASON_ALLOWED && is_login && lookup->use == LOOKUP_SERVES)
		usage_note(&lookup->usage, ret->mapping.id, wall_clock_sec());
	return OK;
}

/* Nothing was found out. One bad row is no reason to give up a good handle. */
static enum lookup_state give_up(struct lookup *lookup, enum error error,
	struct store_trouble *trouble, bool may_wait, struct lookup_outcome *ret)
{
	/* Also where it is asked again: a renewal may wait for a lock with its credential open. */
	explicit_bzero(ret->credential, sizeof ret->credential);
	ret->credential_length = 0;
	if (error == ERROR_BUSY && may_wait)
		return LOOKUP_WAITS;
	if (error != ERROR_BUSY) {
		if (trouble->text[0] == '\0')
			snprintf(trouble->text, sizeof trouble->text, "database %s: %s",
				lookup->path, error_text(error));
		note_trouble(lookup, &lookup->trouble, trouble);
	}
	if (error == ERROR_STORE)
		close_store(lookup);
	ret->reason = REASON_UNAVAILABLE;
	ret->has_mapping = ret->took_over = false;
	return LOOKUP_DONE;
}

enum lookup_state lookup_run(struct lookup *lookup, const struct request *request, bool may_wait,
	struct lookup_outcome *ret)
{
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	struct store_trouble trouble = { "" };
	struct presented evidence;
	struct store_answer answer;
	enum error error;

	*ret = (struct lookup_outcome){ 0 };
	if ((error = presented_open(request, der, &evidence)) != OK)
		return give_up(lookup, error, &trouble, may_wait, ret);
	if (evidence.question.by == STORE_BY_FINGERPRINT)
		hex_print(span_of(evidence.question.digest, FINGERPRINT_BYTES), ret->fingerprint);
	if ((error = ready_store(lookup, &trouble)) != OK ||
		(error = find(lookup, &evidence, may_wait, &answer, &trouble)) != OK ||
		(error = decide(lookup, request, &evidence, &answer, ret, &trouble)) != OK)
		return give_up(lookup, error, &trouble, may_wait, ret);

	note_recovery(lookup, &lookup->trouble, "is in use again");
	witness_history(lookup, answer.history_id);
	return LOOKUP_DONE;
}
