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
};

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
		error = certificate_read(reading.der, &reading.facts, &reading.problem);
		if (error != OK)
			return error;
		reading.has_fingerprint = true;
		reading.has_facts = !reading.problem;
	}
	*ret = reading;
	return OK;
}

static enum error write_fact(struct store *store, const struct store_pending *pending,
	const struct reading *reading, struct store_trouble *ret_trouble)
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
	}
	return store_settle_pending(store, &fact, ret_trouble);
}

/* The same certificate in another encoding gets past the triggers, which compare bytes. The row
 * that was there first stays in force; this one is told so. */
static enum error settle_one(struct store *store, const struct store_pending *pending,
	struct store_trouble *ret_trouble)
{
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	struct reading reading;
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
	return write_fact(store, pending, &reading, ret_trouble);
}

enum error index_settle_within(struct store *store, uint64_t budget_usec, bool *ret_more,
	struct store_trouble *ret_trouble)
{
	const uint64_t end_usec = monotonic_usec() + budget_usec;
	struct store_pending pending;
	bool is_found;
	enum error error;

	while ((error = store_next_pending(store, 0, (struct span){ 0 }, &pending, &is_found,
			ret_trouble)) == OK &&
		is_found) {
		if ((error = settle_one(store, &pending, ret_trouble)) != OK)
			return error;
		if (monotonic_usec() >= end_usec)
			break;
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

/* Adds a queued row to the answer if it holds the certificate that is asked for. A row that is
 * there already, in the facts or earlier in the queue, stays: settle_one() decides alike. */
static enum error consider(const struct store_pending *pending,
	const uint8_t fingerprint[STORE_FINGERPRINT_BYTES], struct span der,
	struct store_answer *answer)
{
	uint8_t own_der[ARMOUR_DER_MAX_BYTES];
	uint8_t own_fingerprint[FINGERPRINT_BYTES];
	struct reading reading;
	const char *problem;
	enum error error;

	if (pending->is_broken || pending->is_gone)
		return OK;
	struct span opened = open_armour(pending, own_der, &problem);
	if (problem)
		return OK;
	/* The digest first: nearly every row is somebody else's, and needs no reading. */
	if ((error = certificate_fingerprint(opened, own_fingerprint)) != OK)
		return error;
	if (memcmp(own_fingerprint, fingerprint, sizeof own_fingerprint) != 0)
		return OK;
	if ((error = read_certificate(pending, own_der, &reading)) != OK || reading.problem)
		return error;

	for (size_t i = 0; i < answer->mapping_count; i++)
		if (answer->mappings[i].is_exact == pending->mapping.is_exact)
			return OK;
	if (answer->mapping_count == MAPPING_SCOPES)
		return OK;
	struct mapping *m = &answer->mappings[answer->mapping_count++];
	*m = pending->mapping;
	m->is_identical = !span_is_present(der) || span_is_equal(der, reading.der);
	m->not_before_sec = reading.facts.not_before_sec;
	m->not_after_sec = reading.facts.not_after_sec;
	snprintf(m->subject, sizeof m->subject, "%s", reading.facts.subject);
	return OK;
}

static enum error find_in_queue(struct store *store, uint64_t budget_usec, struct span service,
	const uint8_t fingerprint[STORE_FINGERPRINT_BYTES], struct span der,
	struct store_answer *answer, bool *ret_complete, struct store_trouble *ret_trouble)
{
	const uint64_t end_usec = monotonic_usec() + budget_usec;
	struct store_pending pending = { 0 };
	bool is_found;
	enum error error;

	while ((error = store_next_pending(store, pending.mapping_id, service, &pending, &is_found,
			ret_trouble)) == OK &&
		is_found) {
		if ((error = consider(&pending, fingerprint, der, answer)) != OK)
			return error;
		if (monotonic_usec() >= end_usec)
			break;
	}
	if (error == OK)
		*ret_complete = !is_found;
	return error;
}

enum error index_find(struct store *store, uint64_t budget_usec, struct span service,
	const uint8_t fingerprint[STORE_FINGERPRINT_BYTES], struct span der,
	struct store_answer *ret, bool *ret_complete, struct store_trouble *ret_trouble)
{
	struct store_answer answer;
	bool complete = false;
	enum error error = store_begin_read(store, ret_trouble);

	if (error != OK)
		return error;
	if ((error = store_find(store, service, fingerprint, der, &answer, ret_trouble)) == OK)
		error = find_in_queue(store, budget_usec, service, fingerprint, der, &answer,
			&complete, ret_trouble);
	store_rollback(store);
	if (error != OK)
		return error;
	if (complete)
		answer.has_pending = answer.has_exact_pending = false;
	*ret = answer;
	*ret_complete = complete;
	return OK;
}
