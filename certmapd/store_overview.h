/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_overview.h owns what is asked about all mappings together: how many there are in which
 * state, and what ends when.
 */
#pragma once

#include "store_edit.h"

/* Takes a state in the words of mapping_status, lent out for the call, and how many are in it. */
typedef enum error store_state_taker(struct span state, int64_t count, void *context);

WARN_UNUSED enum error store_count_states(struct store *store, store_state_taker *take,
	void *context, struct store_trouble *ret_trouble);

struct store_overview {
	int64_t pending;
	bool has_not_after;    /* there is an enabled mapping with a certificate */
	int64_t not_after_sec; /* of the one that ends first */
};

WARN_UNUSED enum error store_read_overview(
	struct store *store, struct store_overview *ret, struct store_trouble *ret_trouble);

/* An end of a mapping that somebody can use: enabled, or staged. */
struct store_end {
	const char *what; /* "certificate", "mapping" or "staging" */
	int64_t at_sec;   /* the last second of it */
	int64_t id;
	/* Lent out for the call. */
	struct span service, account, subject;
};

typedef enum error store_end_taker(const struct store_end *end, void *context);

/* Hands over those up to `until_sec`, in the order of time. */
WARN_UNUSED enum error store_list_ends(struct store *store, int64_t until_sec,
	store_end_taker *take, void *context, struct store_trouble *ret_trouble);
