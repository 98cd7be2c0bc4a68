/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * assurance.h owns what is remembered of chains between lookups: the anchors, intermediates and
 * lists of a service as they were read, and the verdict on each certificate, until an edit of the
 * database or the clock makes them stale. store knows the rows, trust knows the chains; here they
 * meet.
 */
#pragma once

#include "store_trust.h"

struct assurance;

/* ERROR_MEMORY. */
WARN_UNUSED enum error assurance_new(struct assurance **ret);
void assurance_free(struct assurance *assurance);
/* The database is another one now. */
void assurance_forget(struct assurance *assurance);

/* Adds one row of `trust` to the material, as a chain's check would. OK with *ret_problem a
 * sentence: it is not what it should be, and left out. ERROR_MEMORY, ERROR_SYSTEM. */
struct trust_material;
WARN_UNUSED enum error assurance_add(struct trust_material *material, enum store_trust_kind kind,
	struct span content, const char **ret_problem);

/* Finds out `mapping->trust`. The question and the answer are those of the store_find() that
 * brought the mapping. *ret_concern is set where there is something to say (see lookup.h), and
 * lives until the next call. ERROR_BUSY, ERROR_MEMORY, ERROR_STORE, ERROR_MALFORMED, ERROR_SYSTEM:
 * nothing is known. */
WARN_UNUSED enum error assurance_judge(struct assurance *assurance, struct store *store,
	const struct store_question *question, const struct store_answer *answer,
	struct mapping *mapping, int64_t now_sec, const char **ret_concern,
	struct store_trouble *ret_trouble);
