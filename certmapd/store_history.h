/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_history.h owns the reading of the history, for people and for the daemon's log, and the one
 * way to shorten it.
 */
#pragma once

#include "store_edit.h"

/* Borrowed. */
struct store_history_choice {
	int64_t mapping_id;  /* 0: all */
	const char *account; /* entries that name it before or after; NULL: all */
	struct store_limit since;
	int64_t limit; /* so many, the newest; 0: all */
};

/* Lent out for the call, not escaped. What is not there was NULL. */
struct store_history_entry {
	int64_t id, at_sec;
	int64_t mapping_id; /* 0: none */
	struct span who;    /* not there: a shell */
	struct span object, change, account;
	struct span old, new; /* JSON */
	bool has_certificate; /* the one that was taken away is kept in it */
	struct span words;    /* "enabled: 1 -> 0"; an entry that a shell forged may have none */
};

typedef enum error store_history_taker(const struct store_history_entry *entry, void *context);

/* Hands over the entries, the newest last. */
WARN_UNUSED enum error store_list_history(struct store *store,
	const struct store_history_choice *choice, store_history_taker *take, void *context,
	struct store_trouble *ret_trouble);

/* How many entries store_prune_history() would delete. */
WARN_UNUSED enum error store_count_prunable(struct store *store, int64_t before_sec,
	int64_t *ret_count, struct store_trouble *ret_trouble);

/* Inside of an edit: deletes the entries before that second with the certificates in them, but not
 * those by which mappings that are still there were added, and adds an entry that says so. */
WARN_UNUSED enum error store_prune_history(
	struct store *store, int64_t before_sec, struct store_trouble *ret_trouble);

/* One entry as the daemon logs it: a copy, in few words. */
struct store_logged_edit {
	int64_t id;
	int64_t mapping_id;                      /* 0: of another table */
	char object[16];                         /* table */
	char change[16];                         /* insert, update, delete */
	char who[MAPPING_ACCOUNT_MAX_BYTES + 1]; /* empty: a shell */
	char words[512]; /* "enabled: 1 -> 0", or the columns of a new or deleted row; may be cut */
};

/* The first entry after `after_id`; *ret_found says whether there is one. */
WARN_UNUSED enum error store_next_edit(struct store *store, int64_t after_id,
	struct store_logged_edit *ret, bool *ret_found, struct store_trouble *ret_trouble);
