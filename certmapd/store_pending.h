/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_pending.h owns the queue of mappings whose facts are not worked out, and the writing of
 * facts. The bytes are the caller's to understand: see index.h.
 */
#pragma once

#include "store.h"

#define STORE_CERTIFICATE_MAX_BYTES 65536u /* the limit of the schema */

/* A queued mapping. `certificate` is lent out until the next call of store_next_pending(). Where
 * somebody got a longer one past the schema it is one byte over the limit, to be seen as such. */
struct store_pending {
	int64_t mapping_id;
	bool is_gone;   /* queued, but the mapping is no more: nothing else is set */
	bool is_broken; /* the row breaks the rules of the schema: only service is set, perhaps
			   empty */
	char service[64 + 1];
	struct span certificate;
	struct mapping
		mapping; /* without facts: the certificate's validity, subject, is_identical */
};

/* The first queued mapping after `after_id` (0: of all), where `service` is there only of that
 * service and of '*'. Scope (is_exact, is_hidden) is told as that service sees it. */
WARN_UNUSED enum error store_next_pending(struct store *store, int64_t after_id,
	struct span service, struct store_pending *ret, bool *ret_found,
	struct store_trouble *ret_trouble);

/* The same of the mappings that lookups can find by their facts. */
WARN_UNUSED enum error store_next_settled(struct store *store, int64_t after_id,
	struct store_pending *ret, bool *ret_found, struct store_trouble *ret_trouble);

/* What is written for one mapping. Strings and spans are borrowed. */
struct store_fact {
	int64_t mapping_id;
	const char *service;
	const uint8_t *fingerprint; /* STORE_FINGERPRINT_BYTES; NULL: the armour stayed on */
	const uint8_t *key_fingerprint;
	const char *subject, *issuer, *serial;
	const char *subject_line, *issuer_line; /* NULL: too long to compare */
	char *const *names;                     /* attributes of the subject */
	size_t name_count;
	int64_t not_before_sec, not_after_sec;
	struct span der;
	const char *problem; /* NULL: none, and then all of the above is there; a problem may leave
			      * out key_fingerprint and what follows */
};

/* The mapping other than `mapping_id` that holds this certificate in this service's scope;
 * 0: none does. */
WARN_UNUSED enum error store_find_twin(struct store *store, const char *service,
	const uint8_t fingerprint[STORE_FINGERPRINT_BYTES], int64_t mapping_id, int64_t *ret_id,
	struct store_trouble *ret_trouble);

/* Writes the fact and takes the mapping out of the queue. Inside of a write transaction. */
WARN_UNUSED enum error store_settle_pending(
	struct store *store, const struct store_fact *fact, struct store_trouble *ret_trouble);
/* Takes a mapping that is gone out of the queue. */
WARN_UNUSED enum error store_drop_pending(
	struct store *store, int64_t mapping_id, struct store_trouble *ret_trouble);

/* Whether exactly this is written of the mapping, as far as it decides anything. */
WARN_UNUSED enum error store_has_fact(struct store *store, const struct store_fact *fact, bool *ret,
	struct store_trouble *ret_trouble);
