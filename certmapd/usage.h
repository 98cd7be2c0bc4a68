/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage.h owns what was used and is not written down yet. It is written in batches and seconds
 * later, so that no lookup waits for a write, and no shell for the daemon.
 */
#pragma once

#include "store_usage.h"

/* Many at a time: rows that lie on one page of the file are then written together. */
#define USAGE_MAX 1024u
/* Of those in one transaction: a login that comes meanwhile waits for no more. */
#define USAGE_SLICE 64u

/* Embedded, zero-initialised. */
struct usage {
	struct store_usage entries[USAGE_MAX];
	size_t count;
	size_t draining;   /* of them, the first ones: in the order of ids, being written */
	uint64_t due_usec; /* CLOCK_MONOTONIC; of the oldest entry */
};

/* Notes one use. Where the batch is full of others, and could not be written for long, it is lost:
 * that it was used somebody will see at the next one. */
void usage_note(struct usage *usage, int64_t mapping_id, int64_t now_sec);

/* When usage_write() should be called; UINT64_MAX: there is nothing to write. */
uint64_t usage_due_usec(const struct usage *usage);

/* Writes a slice of the batch; while more of it is left it is due at once. ERROR_BUSY: somebody
 * else writes, it is kept, and due again in a while. Any other failure drops it. */
WARN_UNUSED enum error usage_write(struct usage *usage, struct store *store);

void usage_forget(struct usage *usage);
