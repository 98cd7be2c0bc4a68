/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service_policy.c owns which of the two rows holds, and what is worth a warning. */
#include "service_policy.h"

#include "ctl.h"
#include "print.h"
#include "store_trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void service_policy_done(struct service_policy *policy)
{
	for (int i = 0; i < POLICIES; i++) {
		free(policy->own.texts[i]);
		free(policy->every.texts[i]);
	}
}

static enum error keep_row(const struct store_service *service, void *context)
{
	struct service_row *row = context;

	row->is_there = true;
	for (int i = 0; i < POLICIES; i++) {
		const struct span text = service->values[i].text;

		row->values[i] = service->values[i];
		if (!span_is_present(text))
			continue;
		if (!(row->texts[i] = malloc(text.length + 1)))
			return ERROR_MEMORY;
		memcpy(row->texts[i], text.bytes, text.length);
		row->values[i].text.bytes = (const uint8_t *)row->texts[i];
	}
	return OK;
}

enum error service_policy_read(struct store *store, const char *name, struct service_policy *ret,
	struct store_trouble *ret_trouble)
{
	enum error error = store_list_services(store, name, keep_row, &ret->own, ret_trouble);

	if (error != OK)
		return error;
	return store_list_services(store, SERVICE_EVERY, keep_row, &ret->every, ret_trouble);
}

bool service_policy_is_own(const struct service_policy *policy, enum store_policy which)
{
	return span_is_present(policy->own.values[which].text);
}

const struct store_policy_value *service_policy_value(
	const struct service_policy *policy, enum store_policy which)
{
	return service_policy_is_own(policy, which) || which == POLICY_NOTE
		       ? &policy->own.values[which]
		       : &policy->every.values[which];
}

static bool is_on(const struct service_policy *policy, enum store_policy which)
{
	return service_policy_value(policy, which)->number != 0;
}

static bool requires_lists(const struct service_policy *policy)
{
	return is_on(policy, POLICY_REQUIRE_TRUST) &&
	       span_is_equal(service_policy_value(policy, POLICY_REVOCATION)->text,
		       span_of_string("require"));
}

static void warn_of_weakness(const char *name, const struct service_policy *policy)
{
	if (is_on(policy, POLICY_ACCEPT_NAME))
		ctl_warn("warning: %s: accept_name=yes is the weakest evidence: whoever gets a "
			 "certificate with that one attribute from any issuer that the TLS service "
			 "trusts comes in",
			name);
	if (is_on(policy, POLICY_ACCEPT_NAMES))
		ctl_warn("warning: %s: accept_names=yes is weak: whoever gets a certificate of "
			 "these names from any issuer that the TLS service trusts comes in",
			name);
	if (!is_on(policy, POLICY_ENABLED))
		ctl_warn("warning: %s: enabled=no refuses every lookup", name);
	if (strcmp(name, SERVICE_EVERY) == 0 && !is_on(policy, POLICY_INHERIT))
		ctl_warn("warning: *: inherit=no leaves the mappings of every service without any, "
			 "but for services that have inherit=yes");
	if (is_on(policy, POLICY_SHADOW))
		ctl_warn("warning: %s: shadow=yes lets nobody in by a certificate; the log says "
			 "who would have been",
			name);
}

static enum error warn_of_trust(struct store *store, const char *name, const char *shown,
	const struct service_policy *policy, struct store_trouble *ret_trouble)
{
	struct store_trust_count count = { 0 };
	enum error error;

	if (!is_on(policy, POLICY_REQUIRE_TRUST))
		return OK;
	error = store_count_trust(store, span_of_string(name), 0, &count, ret_trouble);
	if (error != OK)
		return error;
	if (count.anchors == 0)
		ctl_warn("warning: %s: require_trust=yes, and there is no anchor: everybody is "
			 "refused until `certmapctl trust add' adds one",
			shown);
	if (count.lists == 0 && requires_lists(policy))
		ctl_warn("warning: %s: revocation=require, and there is no revocation list: "
			 "everybody is refused until `certmapctl crl add' adds one",
			shown);
	return OK;
}

void service_warn_of_name(const char *name, const char *shown)
{
	char path[sizeof "/etc/pam.d/" + SERVICE_SHOWN_BYTES];

	snprintf(path, sizeof path, "/etc/pam.d/%s", name);
	if (strcmp(name, SERVICE_EVERY) != 0 && access(path, F_OK) != 0)
		ctl_warn(
			"warning: there is no /etc/pam.d/%s on this machine: no service of PAM has "
			"that name",
			shown);
}

enum error service_warn_of_traps(
	struct store *store, const char *name, struct store_trouble *ret_trouble)
{
	struct service_policy policy SERVICE_POLICY_DONE = { 0 };
	char shown[SERVICE_SHOWN_BYTES];
	enum error error = service_policy_read(store, name, &policy, ret_trouble);

	if (error != OK)
		return error;
	print_shown(span_of_string(name), shown, sizeof shown);
	warn_of_weakness(shown, &policy);
	return warn_of_trust(store, name, shown, &policy, ret_trouble);
}
