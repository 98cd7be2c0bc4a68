/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage.h owns what was used and is not written down yet. It is written in batches and seconds
 * later, so that no lookup waits for a write, and no shell for the daemon.
 */
#pragma once

#include "store_usage.h"

/* Different mappings between two batches: of a storm of logins most come again within one. */
#define USAGE_MAX 16384u
/* Half of the places stay free, so that a search is short. */
#define USAGE_PLACES (2 * USAGE_MAX)
/* From so many on they are written at once, and faster than lookups can note them. */
#define USAGE_CROWD (USAGE_MAX / 4 * 3)
/* Of those in one transaction: a login that comes meanwhile waits for no more. In a crowd it is
 * four times as many, so that few logins wait, if for longer. */
#define USAGE_SLICE 64u

/* Embedded, zero-initialised. */
struct usage {
	struct store_usage noted[USAGE_PLACES]; /* by mapping_id; 0: the place is free */
	size_t noted_count;
	struct store_usage batch[USAGE_MAX]; /* being written, in the order of ids, from its end */
	size_t batch_count;
	uint64_t due_usec; /* CLOCK_MONOTONIC */
};

/* Notes one use. Where there are too many others, which could not be written for long, it is lost:
 * that the mapping was used somebody will see at the next one. */
void usage_note(struct usage *usage, int64_t mapping_id, int64_t now_sec);

bool usage_is_empty(const struct usage *usage);

/* When usage_write() should be called; UINT64_MAX: there is nothing to write. */
uint64_t usage_due_usec(const struct usage *usage);

/* Writes a slice; the next one is due soon after. ERROR_BUSY: somebody else writes, it is kept, and
 * due again in a while. Any other failure drops it all. */
WARN_UNUSED enum error usage_write(struct usage *usage, struct store *store);

void usage_forget(struct usage *usage);
