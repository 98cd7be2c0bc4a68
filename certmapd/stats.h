/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stats.h owns what the daemon counts of its answers, for `certmapctl status' and for monitoring. A
 * lookup costs an increment.
 */
#pragma once

#include "reason.h"

#include <stdbool.h>
#include <stdint.h>

/* By the number of the reason, the first of which is none. */
#define STATS_REASONS (REASON_UNAVAILABLE + 1)

struct stats {
	int64_t started_sec; /* Unix seconds */
	uint64_t by_reason[STATS_REASONS];
	uint64_t shadowed; /* of those: answered in shadow mode, as no-certificate */
};

/* Counts an answer by the reason that the client was told. */
void stats_count(struct stats *stats, enum reason reason, bool is_shadow);

/* "allowed=12 unmapped=3", all reasons in the order of their numbers, those without an answer too;
 * returns `buffer`. What does not fit is left out whole. */
char *stats_print(const struct stats *stats, char *buffer, size_t capacity);
