/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota.h owns what one uid may take of the daemon: connections at a time, and log lines.
 *
 * Root is always served and always logged: it runs most services, and could stop the daemon
 * anyhow.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QUOTA_CONNECTIONS_PER_UID 64u /* of 8 services with 8 workers each */
#define QUOTA_LOG_BURST 200u          /* lines at once, */
#define QUOTA_LOG_PER_SEC 50u         /* and lines per second after that */
#define QUOTA_UIDS 64u                /* uids told apart at a time; further ones share one slot */

struct quota_uid {
	uid_t uid;
	unsigned connections;
	unsigned lines;      /* that may still be logged */
	unsigned suppressed; /* lines since the last one that was logged */
	uint64_t refilled_usec;
	bool is_used;
};

/* Embedded, zero-initialised. */
struct quota {
	struct quota_uid uids[QUOTA_UIDS];
	struct quota_uid others;
};

/* Takes a connection's place; false: this uid has its share. Each success is given back once. */
bool quota_take_connection(struct quota *quota, uid_t uid, uint64_t now_usec);
void quota_give_connection(struct quota *quota, uid_t uid);

/* Whether a line may be logged now; *ret_suppressed tells how many were not, since the last. */
bool quota_take_line(struct quota *quota, uid_t uid, uint64_t now_usec, unsigned *ret_suppressed);
