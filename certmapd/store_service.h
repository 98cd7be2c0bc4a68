/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_service.h owns the rows of the table service as people see and change them, and what they
 * demand of chains. (What a lookup needs of them comes with store_find().)
 */
#pragma once

#include "store_edit.h"

/* What a service's row says beside its name. */
enum store_policy {
	POLICY_ENABLED,
	POLICY_INHERIT,
	POLICY_CERTIFICATES,
	POLICY_ACCEPT_NAMES,
	POLICY_ACCEPT_NAME,
	POLICY_REQUIRE_TRUST,
	POLICY_REVOCATION,
	POLICY_DELIVER_CREDENTIAL,
	POLICY_SHADOW,
	POLICY_NOTE,
	POLICIES,
};

enum store_policy_kind {
	POLICY_IS_FLAG, /* 0 or 1 */
	POLICY_IS_NUMBER,
	POLICY_IS_TEXT,
};

/* The column's name in SQL, and what stands in it. */
const char *store_policy_name(enum store_policy policy);
enum store_policy_kind store_policy_kind(enum store_policy policy);

struct store_policy_value {
	bool is_number;
	int64_t number;
	struct span text; /* also of a number; not there: NULL, which means "as in the row '*'" */
};

/* A row, lent out for the call. */
struct store_service {
	struct span name;
	struct store_policy_value values[POLICIES];
};

typedef enum error store_service_taker(const struct store_service *service, void *context);

/* Hands over the rows by their names, '*' first; `name`: this one alone, NULL: all. */
WARN_UNUSED enum error store_list_services(struct store *store, const char *name,
	store_service_taker *take, void *context, struct store_trouble *ret_trouble);

/* What holds for a service about the chains of its certificates, NULLs filled from the row '*'.
 * Lent out for the call. */
struct store_demand {
	struct span service;
	bool is_every;  /* the row '*' itself: what holds for a service without a row */
	bool of_chains; /* require_trust */
	bool of_lists;  /* and with it revocation = require */
};

typedef enum error store_demand_taker(const struct store_demand *demand, void *context);

/* Hands them over as store_list_services() does, '*' first. */
WARN_UNUSED enum error store_list_demands(struct store *store, store_demand_taker *take,
	void *context, struct store_trouble *ret_trouble);

struct store_policy_change {
	bool is_wanted;
	struct store_policy_value value;
};

/* Inside of an edit: makes the row where there is none, and sets what is wanted of it.
 * ERROR_REFUSED, ERROR_STORE, ERROR_MEMORY. */
WARN_UNUSED enum error store_write_service(struct store *store, const char *name,
	const struct store_policy_change changes[POLICIES], struct store_trouble *ret_trouble);

/* Inside of an edit. *ret_found is false where there is no such row. */
WARN_UNUSED enum error store_delete_service(
	struct store *store, const char *name, bool *ret_found, struct store_trouble *ret_trouble);
