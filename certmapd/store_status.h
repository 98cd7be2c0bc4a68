/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_status.h owns the reading of what a person wants to see of mappings: mapping_status. */
#pragma once

#include "store.h"

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
