/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service_policy.h owns the policy that holds for a service, out of the two rows that make it, and
 * the warnings of what is allowed in it and weak.
 */
#pragma once

#include "store_service.h"

#define SERVICE_EVERY "*"
#define SERVICE_SHOWN_BYTES 256u /* for a name, as it is shown */

/* A row that outlives its reading. */
struct service_row {
	bool is_there;
	struct store_policy_value values[POLICIES];
	char *texts[POLICIES]; /* what the values point into */
};

/* The rows that make a policy. */
struct service_policy {
	struct service_row own, every;
};

/* *ret is zeroed before, and done with afterwards, also on failure. */
WARN_UNUSED enum error service_policy_read(struct store *store, const char *name,
	struct service_policy *ret, struct store_trouble *ret_trouble);
void service_policy_done(struct service_policy *policy);
#define SERVICE_POLICY_DONE __attribute__((cleanup(service_policy_done)))

/* Whether the service's own row says it. */
bool service_policy_is_own(const struct service_policy *policy, enum store_policy which);
/* What holds. A note is about its row, and holds for no other. */
const struct store_policy_value *service_policy_value(
	const struct service_policy *policy, enum store_policy which);

/* Warns where no service of PAM has the name; `shown` is the name for people. */
void service_warn_of_name(const char *name, const char *shown);
/* Warns of what the policy lets in, and of whom it locks out. */
WARN_UNUSED enum error service_warn_of_traps(
	struct store *store, const char *name, struct store_trouble *ret_trouble);
