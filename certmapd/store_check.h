/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_check.h owns the reads for a person who wants to know whether the database is sound, and
 * whether what is staged in it can take force.
 */
#pragma once

#include "migrations.h"
#include "store.h"

/* A staged mapping. */
struct store_staged {
	int64_t id, replaces;
	const char *account;
	bool has_lapsed;
	bool is_shut_out;    /* the mapping that it replaces is disabled, or another's by now */
	bool is_crowded_out; /* nothing to replace, and the account has its certificates */
};

/* An account with more enabled mappings in a scope than its policy allows. */
struct store_crowd {
	const char *service, *account;
	int64_t count, limit;
};

/* How an object of the schema differs from what the migrations make. */
enum store_difference {
	STORE_OBJECT_ADDED,
	STORE_OBJECT_MISSING,
	STORE_OBJECT_CHANGED,
};

/* Lent out for the call. */
struct store_object {
	enum store_difference difference;
	bool is_trigger;
	const char *type, *name;
};

typedef enum error store_words_taker(const char *words, void *context);
typedef enum error store_object_taker(const struct store_object *object, void *context);
typedef enum error store_staged_taker(const struct store_staged *staged, void *context);
typedef enum error store_crowd_taker(const struct store_crowd *crowd, void *context);

/* What PRAGMA integrity_check (sqlite.org) finds; nothing where the file is sound. */
WARN_UNUSED enum error store_check_integrity(struct store *store, store_words_taker *take,
	void *context, struct store_trouble *ret_trouble);

/* Tables, indexes, views and triggers that are not as the first `count` migrations of `list` make
 * them, in an order of their own. */
WARN_UNUSED enum error store_check_schema(struct store *store, const struct migration *list,
	unsigned count, store_object_taker *take, void *context, struct store_trouble *ret_trouble);

WARN_UNUSED enum error store_list_staged(struct store *store, store_staged_taker *take,
	void *context, struct store_trouble *ret_trouble);

/* None where every edit went by the rules of today's schema. */
WARN_UNUSED enum error store_list_crowded(struct store *store, store_crowd_taker *take,
	void *context, struct store_trouble *ret_trouble);
