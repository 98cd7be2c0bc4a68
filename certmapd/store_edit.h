/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_edit.h owns the changes that certmapctl makes in the place of a person, and the reading of
 * what a person wants to see, the view mapping_status.
 *
 * The rules of a change stand in the triggers of the schema and nowhere else: ERROR_REFUSED brings
 * their words.
 */
#pragma once

#include "store.h"

/* A write transaction whose changes the history ascribes to `who` (1 to 256 bytes). It ends with
 * store_commit_edit() or store_rollback(). ERROR_BUSY: another writer, for all our patience. */
WARN_UNUSED enum error store_begin_edit(
	struct store *store, const char *who, struct store_trouble *ret_trouble);
WARN_UNUSED enum error store_commit_edit(struct store *store, struct store_trouble *ret_trouble);

/* From now on each statement that changes what people write is shown to `watcher` after it went
 * well: as SQL text with its values in place, without the semicolon, lent out for the call. What
 * certmap works out by itself is not shown. NULL: to nobody. */
typedef void store_edit_watcher(const char *sql, void *context);
void store_watch_edits(struct store *store, store_edit_watcher *watcher, void *context);

/* A point in time, Unix seconds, that may be left out. */
struct store_limit {
	bool is_set;
	int64_t sec;
};

/* What a person gives for a new mapping. Everything is borrowed. */
struct store_new_mapping {
	const char *service;
	const char *account;
	struct span certificate; /* as it came; stored as the same bytes */
	bool enabled;
	bool has_uid;
	uint32_t uid;
	const char *note; /* NULL: none */
	int64_t replaces; /* 0: none */
	struct store_limit staged_until, valid_from, valid_until;
};

/* Inside of an edit. *ret_id is the id that SQLite gave. ERROR_REFUSED, ERROR_STORE, ERROR_MEMORY.
 */
WARN_UNUSED enum error store_insert_mapping(struct store *store,
	const struct store_new_mapping *mapping, int64_t *ret_id,
	struct store_trouble *ret_trouble);

/* Inside of an edit. *ret_found is false where there is no such mapping. */
WARN_UNUSED enum error store_delete_mapping(
	struct store *store, int64_t id, bool *ret_found, struct store_trouble *ret_trouble);

/* Inside of an edit. *ret_changed is false where there is no such mapping, or it is enabled. */
WARN_UNUSED enum error store_enable_mapping(
	struct store *store, int64_t id, bool *ret_changed, struct store_trouble *ret_trouble);

/* Inside of an edit. Ends a staging as well: a staged mapping is not in force, but would be at its
 * first login. *ret_changed is false where there is no such mapping, or it is disabled for good. */
WARN_UNUSED enum error store_disable_mapping(
	struct store *store, int64_t id, bool *ret_changed, struct store_trouble *ret_trouble);

/* Inside of an edit: enables a staged mapping and disables the one that it replaces. ERROR_REFUSED:
 * the schema does not let it, for instance because the account has another certificate by now. */
WARN_UNUSED enum error store_take_over(
	struct store *store, int64_t id, struct store_trouble *ret_trouble);

/* The columns of the view mapping_status, in its order. */
enum store_status_column {
	STATUS_ID,
	STATUS_SERVICE,
	STATUS_ACCOUNT,
	STATUS_STATE,
	STATUS_PROBLEM,
	STATUS_SUBJECT,
	STATUS_ISSUER,
	STATUS_SERIAL,
	STATUS_FINGERPRINT,
	STATUS_NOT_BEFORE,
	STATUS_NOT_AFTER,
	STATUS_VALID_FROM,
	STATUS_VALID_UNTIL,
	STATUS_REPLACES,
	STATUS_STAGED_UNTIL,
	STATUS_ACCOUNT_UID,
	STATUS_NOTE,
	STATUS_LAST_USED,
	STATUS_USES,
	STATUS_COLUMNS,
};

/* The column's name in SQL. */
const char *store_status_name(enum store_status_column column);

/* One row as text, not escaped. It is lent out for the call that it is given to. */
struct store_status {
	struct span text[STATUS_COLUMNS]; /* not there: NULL */
	bool is_number[STATUS_COLUMNS];
	int64_t number[STATUS_COLUMNS]; /* 0 where it is none */
};

/* Takes a row; anything but OK ends the reading and is what the reader returns. */
typedef enum error store_status_taker(const struct store_status *row, void *context);

/* Hands over the mapping `id`, unless there is none. Also inside of an edit. */
WARN_UNUSED enum error store_find_status(struct store *store, int64_t id, store_status_taker *take,
	void *context, bool *ret_found, struct store_trouble *ret_trouble);

/* Hands over the mappings in the order of their ids, of one state of the database. `service` and
 * `account` choose, byte for byte; NULL: all. */
WARN_UNUSED enum error store_list_status(struct store *store, const char *service,
	const char *account, store_status_taker *take, void *context,
	struct store_trouble *ret_trouble);

/* Which mappings a person wants to see. NULL and false choose nothing out. */
struct store_filter {
	const char *service;
	const char *account;
	const char *state; /* a word of mapping_status.state */
	/* Not used since this second: neither by a login, nor, where there was none, is the mapping
	 * itself younger. */
	bool has_unused_since;
	int64_t unused_since_sec;
};

/* Hands over those chosen by service, account and id, of one state of the database. */
WARN_UNUSED enum error store_filter_status(struct store *store, const struct store_filter *filter,
	store_status_taker *take, void *context, struct store_trouble *ret_trouble);

/* Takes a name, lent out for the call. */
typedef enum error store_name_taker(struct span name, void *context);

/* Hands over each account, or else each service, that has a mapping, once. */
WARN_UNUSED enum error store_list_names(struct store *store, bool accounts, store_name_taker *take,
	void *context, struct store_trouble *ret_trouble);

/* A mapping's certificate as somebody stored it, in whatever armour and in whatever state. The
 * bytes are lent out for the call. */
struct store_enrolment {
	int64_t id;
	struct span certificate;
};

typedef enum error store_enrolment_taker(const struct store_enrolment *enrolment, void *context);

/* Hands over the certificates of the mappings of `service` and of '*' in the order of their ids,
 * those that a lookup for the service would not see among them. `account`: of this one alone, byte
 * for byte; not there: all. Errors as store_list_status(). */
WARN_UNUSED enum error store_list_enrolments(struct store *store, struct span service,
	struct span account, store_enrolment_taker *take, void *context,
	struct store_trouble *ret_trouble);
