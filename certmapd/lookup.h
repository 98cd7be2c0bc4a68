/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lookup.h owns the use case: from a request to a reason. It opens the evidence, asks the store,
 * sees to it that an edit is in force at the next lookup, and lets policy decide.
 *
 * It keeps the database open, or finds out again at each lookup why it can't be: a daemon that
 * exits because of a bad database takes its socket unit down with it. It never logs; what is worth
 * a line comes out once as news.
 */
#pragma once

#include "errors.h"
#include "mapping.h"
#include "messages.h"
#include "policy.h"
#include "reason.h"
#include "store_history.h"

struct lookup;

/* Who asks. */
enum lookup_use {
	LOOKUP_SERVES, /* the daemon, for logins: puts renewals into force, and notes what was used
			*/
	LOOKUP_OBSERVES, /* a tool that wants to know what a login would get: does neither, and
			  * tries the renewal in a transaction that it undoes */
};

/* `owner` is the uid beside root that may own and write the database. ERROR_MEMORY. */
WARN_UNUSED enum error lookup_new(
	const char *database_path, uid_t owner, enum lookup_use use, struct lookup **ret);
void lookup_free(struct lookup *lookup);

/* The file with the keys of credentials, in place of the one that systemd passes to the daemon.
 * Borrowed for the life of the lookup. */
void lookup_set_key(struct lookup *lookup, const char *path);

enum lookup_state {
	LOOKUP_DONE,
	LOOKUP_WAITS, /* facts are still being worked out, or a lock is held: run it again later */
};

struct lookup_outcome {
	enum reason reason;
	enum policy_gate gate; /* as in the policy's verdict, of what a database answered */
	bool has_mapping;      /* the one that decided, also where the answer is no */
	struct mapping mapping;
	/* Of the mapping that decided, else of the evidence; "": none of them has one. */
	char fingerprint[FINGERPRINT_HEX_BYTES + 1];
	bool is_shadow;      /* the service is in shadow mode: the reason is for the log alone */
	bool took_over;      /* a staged mapping was enabled by this lookup, or would be */
	bool requires_trust; /* what the service asks for, where a database answered */
	enum store_revocation revocation;
	bool delivers_credential;
	const char *concern; /* what let the certificate pass with a missing or stale list, or why
			      * its chain does not hold, in words; NULL: nothing. Lives until the
			      * next lookup */
	size_t credential_length;                 /* 0: the session gets none */
	uint8_t credential[CREDENTIAL_MAX_BYTES]; /* wipe the outcome after use */
};

/* Decides. With `may_wait` false it is answered now: what can't be known is `unavailable`, never
 * `unmapped`. *ret is filled with LOOKUP_DONE alone. The clock is read here. */
enum lookup_state lookup_run(struct lookup *lookup, const struct request *request, bool may_wait,
	struct lookup_outcome *ret);

/* When lookup_work() has something to do, as a point of CLOCK_MONOTONIC in microseconds; 0: now;
 * UINT64_MAX: nothing. Queued mappings are settled, and what was used is written down. */
uint64_t lookup_due_usec(const struct lookup *lookup);
/* Works for a short while. False: not now, somebody else writes. */
bool lookup_work(struct lookup *lookup);

/* A queue that is longer than a slice is for a process of its own, settler.h. True: start one now;
 * until lookup_end_settler() tells how it ended, lookup_work() writes nothing. Where it failed,
 * the rest of the queue is lookup_work()'s. */
bool lookup_begin_settler(struct lookup *lookup);
void lookup_end_settler(struct lookup *lookup, bool is_settled);
/* Of the database. Lives as long as the lookup. */
const char *lookup_path(const struct lookup *lookup);

/* What happened to the database since the last call, once: "database ... is missing", "... is in
 * use again". NULL: nothing new. Dies with the next call to the lookup. */
const char *lookup_take_news(struct lookup *lookup);
/* Whether the last lookup found the database usable. */
bool lookup_is_usable(const struct lookup *lookup);

/* The next edit of the database that was committed since the daemon opened it: a witness outside of
 * the file. False: none. */
bool lookup_take_edit(struct lookup *lookup, struct store_logged_edit *ret);
/* Leaves the rest of them out, and tells how many that are: a bulk load would drown the log, and
 * stands in the history. */
int64_t lookup_skip_edits(struct lookup *lookup);
