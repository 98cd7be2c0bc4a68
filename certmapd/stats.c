/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stats.c owns the counting of answers. */
#include "stats.h"

#include <inttypes.h>
#include <stdio.h>

void stats_count(struct stats *stats, enum reason reason, bool is_shadow)
{
	/* The client hears of no certificate, and the stack goes on: see dispatch.c. */
	const enum reason told = is_shadow ? REASON_NO_CERTIFICATE : reason;

	if ((size_t)told < STATS_REASONS)
		stats->by_reason[told]++;
	stats->shadowed += is_shadow;
}

char *stats_print(const struct stats *stats, char *buffer, size_t capacity)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (size_t i = REASON_UNKNOWN + 1; i < STATS_REASONS; i++) {
		const int length = snprintf(buffer + used, capacity - used, "%s%s=%" PRIu64,
			used > 0 ? " " : "", reason_word((enum reason)i), stats->by_reason[i]);

		if (length < 0 || (size_t)length >= capacity - used) {
			buffer[used] = '\0';
			break;
		}
		used += (size_t)length;
	}
	return buffer;
}
