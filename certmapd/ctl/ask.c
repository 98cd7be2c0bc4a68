/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ask.c owns the waiting for a lookup's answer. */
#include "ask.h"

#include "certificate.h"
#include "hex.h"
#include "monotonic.h"

#include <stdio.h>
#include <unistd.h>

/* Between two looks whether the one who holds the lock is done. */
#define PAUSE_USEC 20000u

enum error ask_open(const struct ctl *ctl, struct lookup **ret)
{
	return lookup_new(ctl->database, ctl_owner(ctl), LOOKUP_OBSERVES, ret);
}

void ask_done(struct lookup **lookup)
{
	lookup_free(*lookup);
}

/* As the daemon does between two lookups. */
static void let_time_pass(struct lookup *lookup)
{
	if (lookup_due_usec(lookup) > 0 || !lookup_work(lookup))
		usleep(PAUSE_USEC);
}

static enum error explain(
	const struct ctl *ctl, struct lookup *lookup, struct store_trouble *ret_trouble)
{
	const char *news = lookup_take_news(lookup);

	if (lookup_is_usable(lookup)) {
		snprintf(ret_trouble->text, sizeof ret_trouble->text,
			"database %s is busy, or its new mappings are still being read: try again",
			ctl->database);
		return ERROR_DEADLINE;
	}
	snprintf(ret_trouble->text, sizeof ret_trouble->text, "%s", news ? news : "");
	return ERROR_STORE;
}

enum error ask_outcome(const struct ctl *ctl, struct lookup *lookup, const struct request *request,
	struct lookup_outcome *ret, struct store_trouble *ret_trouble)
{
	const uint64_t end_usec = monotonic_usec() + (uint64_t)ctl->wait_sec * 1000000;
	bool may_wait = true;

	while (lookup_run(lookup, request, may_wait, ret) == LOOKUP_WAITS) {
		may_wait = monotonic_usec() < end_usec;
		if (may_wait)
			let_time_pass(lookup);
	}
	return ret->reason == REASON_UNAVAILABLE ? explain(ctl, lookup, ret_trouble) : OK;
}

static enum error ask(const struct ctl *ctl, struct lookup *lookup, const struct request *request,
	struct lookup_outcome *ret, struct store_trouble *ret_trouble)
{
	struct lookup_outcome outcome;
	enum error error = ask_outcome(ctl, lookup, request, &outcome, ret_trouble);

	if (error != OK)
		return error;
	/* A service in shadow mode lets nobody in by certmap, whatever it would say. */
	if (outcome.is_shadow)
		outcome.reason = REASON_NO_CERTIFICATE;
	*ret = outcome;
	return OK;
}

enum error ask_digest(const struct ctl *ctl, struct lookup *lookup, struct request request,
	struct span digested, struct lookup_outcome *ret, struct store_trouble *ret_trouble)
{
	uint8_t digest[FINGERPRINT_BYTES];
	char hex[2 * FINGERPRINT_BYTES + 1];
	enum error error = certificate_fingerprint(digested, digest);

	if (error != OK)
		return error;
	request.evidence = span_of_string(hex_print(span_of(digest, sizeof digest), hex));
	return ask(ctl, lookup, &request, ret, ret_trouble);
}
