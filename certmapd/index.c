/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* index.c owns the reading of queued certificates: pending -> facts. */
#include "index.h"

#include "armour.h"
#include "certificate.h"
#include "monotonic.h"
#include "store_pending.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

_Static_assert(STORE_FINGERPRINT_BYTES == FINGERPRINT_BYTES, "one digest everywhere");
_Static_assert(STORE_CERTIFICATE_MAX_BYTES <= ARMOUR_DER_MAX_BYTES, "every stored one is opened");

/* A certificate under its armour and what was read in it, or why not. */
struct reading {
	const char *problem; /* NULL: none */
	bool has_facts;      /* facts is whole */
	bool has_fingerprint;
	struct span der;
	struct certificate_facts facts;
	struct certificate_names names;
};

static void done_reading(struct reading *reading)
{
	certificate_names_done(&reading->names);
}

/* `ret` of read_certificate() is initialised with {0} and carries this. */
#define READING __attribute__((cleanup(done_reading))) struct reading

/* `der` is the room for the bytes, of ARMOUR_DER_MAX_BYTES. */
static struct span open_armour(
	const struct store_pending *pending, uint8_t *der, const char **ret_problem)
{
	size_t length = 0;
	enum armour_finding finding =
		armour_open_stored(pending->certificate, der, ARMOUR_DER_MAX_BYTES, &length);

	*ret_problem = finding == ARMOUR_OPENED ? NULL : armour_finding_text(finding);
	return finding == ARMOUR_OPENED ? span_of(der, length) : (struct span){ 0 };
}

static enum error read_certificate(
	const struct store_pending *pending, uint8_t *der, struct reading *ret)
{
	struct reading reading = { 0 };
	enum error error;

	if (pending->is_broken) {
		reading.problem = "the row breaks the rules of the schema";
		*ret = reading;
		return OK;
	}
	reading.der = open_armour(pending, der, &reading.problem);
	if (!reading.problem) {
		error = certificate_read_names(
			reading.der, &reading.facts, &reading.names, &reading.problem);
		if (error != OK)
			return error;
		reading.has_fingerprint = true;
		reading.has_facts = !reading.problem;
	}
	*ret = reading;
	return OK;
}

/* Borrows from both. */
static struct store_fact fact_of(const struct store_pending *pending, const struct reading *reading)
{
	const struct certificate_facts *facts = &reading->facts;
	struct store_fact fact = {
		.mapping_id = pending->mapping_id,
		.service = pending->service,
		.der = reading->der,
		.problem = reading->problem,
	};

	if (reading->has_fingerprint)
		fact.fingerprint = facts->fingerprint;
	if (reading->has_facts) {
		fact.key_fingerprint = facts->key_fingerprint;
		fact.subject = facts->subject;
		fact.issuer = facts->issuer;
		fact.serial = facts->serial;
		fact.not_before_sec = facts->not_before_sec;
		fact.not_after_sec = facts->not_after_sec;
		fact.subject_line = reading->names.subject_line;
		fact.issuer_line = reading->names.issuer_line;
		fact.names = reading->names.values;
		fact.name_count = reading->names.value_count;
	}
	return fact;
}

/* The same certificate in another encoding gets past the triggers, which compare bytes. The row
 * that was there first stays in force; this one is told so. */
static enum error settle_one(
	struct store *store, const struct store_pending *pending, struct store_trouble *ret_trouble)
{
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	READING reading = { 0 };
	char duplicate[64];
	int64_t twin_id = 0;
	enum error error;

	if (pending->is_gone)
		return store_drop_pending(store, pending->mapping_id, ret_trouble);
	if ((error = read_certificate(pending, der, &reading)) != OK)
		return error;
	if (reading.has_facts &&
		(error = store_find_twin(store, pending->service, reading.facts.fingerprint,
			 pending->mapping_id, &twin_id, ret_trouble)) != OK)
		return error;
	if (twin_id != 0) {
		snprintf(duplicate, sizeof duplicate, "duplicate of mapping %" PRId64, twin_id);
		reading.problem = duplicate;
	}
	const struct store_fact fact = fact_of(pending, &reading);
	return store_settle_pending(store, &fact, ret_trouble);
}

enum error index_settle_within(struct store *store, uint64_t budget_usec, bool *ret_more,
	struct store_trouble *ret_trouble)
{
	const uint64_t end_usec = monotonic_usec() + budget_usec;
	struct store_pending pending;
	bool is_found, is_first = true;
	enum error error;

	/* One row is read whatever it takes: a process that is kept from its processor for longer
	 * than the budget would take a queue that is empty for a long one. */
	while ((error = store_next_pending(
			store, 0, (struct span){ 0 }, &pending, &is_found, ret_trouble)) == OK &&
		is_found && (is_first || monotonic_usec() < end_usec)) {
		if ((error = settle_one(store, &pending, ret_trouble)) != OK)
			return error;
		is_first = false;
	}
	if (error == OK)
		*ret_more = is_found;
	return error;
}

enum error index_settle(struct store *store, uint64_t budget_usec, bool *ret_more,
	struct store_trouble *ret_trouble)
{
	bool more = false;
	enum error error = store_begin_write(store, ret_trouble);

	if (error != OK)
		return error;
	if ((error = index_settle_within(store, budget_usec, &more, ret_trouble)) != OK ||
		(error = store_commit(store, ret_trouble)) != OK) {
		store_rollback(store);
		return error;
	}
	*ret_more = more;
	return OK;
}

static bool is_string(struct span text, const char *string)
{
	return span_is_equal(text, span_of_string(string));
}

static bool has_value(const struct certificate_names *names, struct span value)
{
	for (size_t i = 0; i < names->value_count; i++)
		if (is_string(value, names->values[i]))
			return true;
	return false;
}

/* As the statements of store_find() compare. */
static bool fits(const struct reading *reading, const struct store_question *question)
{
	switch (question->by) {
	case STORE_BY_NOTHING:
		return false;
	case STORE_BY_FINGERPRINT:
		return memcmp(reading->facts.fingerprint, question->digest, FINGERPRINT_BYTES) == 0;
	case STORE_BY_KEY:
		return memcmp(reading->facts.key_fingerprint, question->digest,
			       FINGERPRINT_BYTES) == 0;
	case STORE_BY_NAMES:
		return is_string(question->first, reading->names.subject_line) &&
		       is_string(question->second, reading->names.issuer_line);
	case STORE_BY_NAME:
		return has_value(&reading->names, question->first);
	}
	return false;
}

/* The digest first where it decides: nearly every row is somebody else's, and needs no reading. */
static enum error may_fit(
	struct span opened, const struct store_question *question, bool *ret_may_fit)
{
	uint8_t fingerprint[FINGERPRINT_BYTES];
	enum error error = OK;

	*ret_may_fit = true;
	if (question->by != STORE_BY_FINGERPRINT)
		return OK;
	if ((error = certificate_fingerprint(opened, fingerprint)) == OK)
		*ret_may_fit = memcmp(fingerprint, question->digest, sizeof fingerprint) == 0;
	return error;
}

/* A certificate that is there already, in the facts or earlier in the queue, stays: settle_one()
 * decides alike. */
static bool is_duplicate(const struct store_answer *answer, const struct mapping *mapping)
{
	for (size_t i = 0; i < answer->mapping_count; i++) {
		const struct mapping *other = &answer->mappings[i];

		if (other->is_exact == mapping->is_exact &&
			memcmp(other->fingerprint, mapping->fingerprint,
				sizeof mapping->fingerprint) == 0)
			return true;
	}
	return false;
}

static void add_mapping(const struct store_pending *pending, const struct reading *reading,
	struct span der, struct store_answer *answer)
{
	struct mapping m = pending->mapping;

	memcpy(m.fingerprint, reading->facts.fingerprint, sizeof m.fingerprint);
	m.is_identical = !span_is_present(der) || span_is_equal(der, reading->der);
	m.not_before_sec = reading->facts.not_before_sec;
	m.not_after_sec = reading->facts.not_after_sec;
	snprintf(m.subject, sizeof m.subject, "%s", reading->facts.subject);
	if (is_duplicate(answer, &m))
		return;
	if (answer->mapping_count == MAPPINGS_MAX)
		answer->has_more = true;
	else
		answer->mappings[answer->mapping_count++] = m;
}

/* Adds a queued row to the answer if it fits the question. */
static enum error consider(const struct store_pending *pending,
	const struct store_question *question, struct store_answer *answer)
{
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	READING reading = { 0 };
	const char *problem;
	bool is_worth_reading;
	enum error error;

	if (pending->is_broken || pending->is_gone)
		return OK;
	struct span opened = open_armour(pending, der, &problem);
	if (problem)
		return OK;
	if ((error = may_fit(opened, question, &is_worth_reading)) != OK || !is_worth_reading)
		return error;
	if ((error = read_certificate(pending, der, &reading)) != OK)
		return error;
	if (!reading.problem && fits(&reading, question))
		add_mapping(pending, &reading, question->der, answer);
	return OK;
}

static enum error find_in_queue(struct store *store, uint64_t budget_usec,
	const struct store_question *question, struct store_answer *answer, bool *ret_complete,
	struct store_trouble *ret_trouble)
{
	const uint64_t end_usec = monotonic_usec() + budget_usec;
	struct store_pending pending = { 0 };
	bool is_found, is_first = true;
	enum error error;

	while ((error = store_next_pending(store, pending.mapping_id, question->service, &pending,
			&is_found, ret_trouble)) == OK &&
		is_found && (is_first || monotonic_usec() < end_usec)) {
		if ((error = consider(&pending, question, answer)) != OK)
			return error;
		is_first = false;
	}
	if (error == OK)
		*ret_complete = !is_found;
	return error;
}

enum error index_find(struct store *store, uint64_t budget_usec,
	const struct store_question *question, struct store_answer *ret, bool *ret_complete,
	struct store_trouble *ret_trouble)
{
	struct store_answer answer;
	bool complete = false;
	enum error error = store_begin_read(store, ret_trouble);

	if (error != OK)
		return error;
	if ((error = store_find(store, question, &answer, ret_trouble)) == OK)
		error = find_in_queue(
			store, budget_usec, question, &answer, &complete, ret_trouble);
	store_rollback(store);
	if (error != OK)
		return error;
	if (complete)
		answer.has_pending = answer.has_exact_pending = false;
	*ret = answer;
	*ret_complete = complete;
	return OK;
}

static enum error check_one(struct store *store, const struct store_pending *settled,
	bool *ret_is_right, struct store_trouble *ret_trouble)
{
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	READING reading = { 0 };
	enum error error = read_certificate(settled, der, &reading);

	if (error != OK)
		return error;
	const struct store_fact fact = fact_of(settled, &reading);
	*ret_is_right = false;
	return reading.problem ? OK : store_has_fact(store, &fact, ret_is_right, ret_trouble);
}

static enum error check_all(
	struct store *store, index_taker *take, void *context, struct store_trouble *ret_trouble)
{
	struct store_pending settled = { 0 };
	bool is_found = false, is_right = true;
	enum error error;

	while ((error = store_next_settled(
			store, settled.mapping_id, &settled, &is_found, ret_trouble)) == OK &&
		is_found) {
		/* Without a mapping a fact is found by nobody. */
		if (settled.is_gone)
			continue;
		if ((error = check_one(store, &settled, &is_right, ret_trouble)) != OK ||
			(!is_right && (error = take(settled.mapping_id, context)) != OK))
			break;
	}
	return error;
}

enum error index_check(
	struct store *store, index_taker *take, void *context, struct store_trouble *ret_trouble)
{
	enum error error = store_begin_read(store, ret_trouble);

	if (error != OK)
		return error;
	error = check_all(store, take, context, ret_trouble);
	store_rollback(store);
	return error;
}
