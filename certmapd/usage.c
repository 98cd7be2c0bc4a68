/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usage.c owns the batch of what was used. */
#include "usage.h"

#include "monotonic.h"

#include <stdlib.h>
#include <string.h>

/* An administrator who looks for mappings that nobody uses looks at days. */
#define WRITE_DELAY_USEC 5000000u
/* After somebody else's transaction was in the way. */
#define WRITE_AGAIN_USEC 200000u

static int compare_ids(const void *a, const void *b)
{
	const int64_t x = ((const struct store_usage *)a)->mapping_id;
	const int64_t y = ((const struct store_usage *)b)->mapping_id;

	return (x > y) - (x < y);
}

static struct store_usage *find_entry(struct usage *usage, int64_t mapping_id)
{
	for (size_t i = 0; i < usage->count; i++)
		if (usage->entries[i].mapping_id == mapping_id)
			return &usage->entries[i];
	if (usage->count == USAGE_MAX)
		return NULL;
	usage->entries[usage->count] = (struct store_usage){ .mapping_id = mapping_id };
	return &usage->entries[usage->count++];
}

void usage_note(struct usage *usage, int64_t mapping_id, int64_t now_sec)
{
	struct store_usage *entry;

	if (usage->count == 0)
		usage->due_usec = monotonic_usec() + WRITE_DELAY_USEC;
	entry = find_entry(usage, mapping_id);
	if (!entry)
		return;
	entry->last_used_sec = now_sec;
	entry->uses++;
}

uint64_t usage_due_usec(const struct usage *usage)
{
	if (usage->count == 0)
		return UINT64_MAX;
	return usage->draining > 0 || usage->count < USAGE_MAX / 2 ? usage->due_usec : 0;
}

static void begin_draining(struct usage *usage)
{
	qsort(usage->entries, usage->count, sizeof usage->entries[0], compare_ids);
	usage->draining = usage->count;
	usage->due_usec = 0;
}

/* What was noted meanwhile stands behind, and has its own time. */
static void remove_written(struct usage *usage, size_t count)
{
	struct store_usage *end = usage->entries + usage->draining;

	memmove(end - count, end, (usage->count - usage->draining) * sizeof *end);
	usage->count -= count;
	usage->draining -= count;
	if (usage->draining == 0)
		usage->due_usec = monotonic_usec() + WRITE_DELAY_USEC;
}

enum error usage_write(struct usage *usage, struct store *store)
{
	struct store_trouble trouble;
	enum error error;
	size_t count;

	if (usage->count == 0)
		return OK;
	if (usage->draining == 0)
		begin_draining(usage);
	count = usage->draining < USAGE_SLICE ? usage->draining : USAGE_SLICE;
	error = store_write_usage(store, usage->entries + usage->draining - count, count, &trouble);
	if (error == OK)
		remove_written(usage, count);
	else if (error == ERROR_BUSY)
		usage->due_usec = monotonic_usec() + WRITE_AGAIN_USEC;
	else
		usage_forget(usage);
	return error;
}

void usage_forget(struct usage *usage)
{
	usage->count = usage->draining = 0;
}
