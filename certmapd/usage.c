/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usage.c owns the batch of what was used. */
#include "usage.h"

#include "monotonic.h"

#include <stdlib.h>
#include <string.h>

/* An administrator who looks for mappings that nobody uses looks at days. */
#define WRITE_DELAY_USEC 5000000u
/* Between two slices, so that few of the logins beside them meet one: of those that come one after
 * the other as fast as they can, less than one in a hundred. */
#define SLICE_PAUSE_USEC 10000u
/* After somebody else's transaction was in the way. */
#define WRITE_AGAIN_USEC 200000u
#define CROWD_SLICE (4 * USAGE_SLICE)

static int compare_ids(const void *a, const void *b)
{
	const int64_t x = ((const struct store_usage *)a)->mapping_id;
	const int64_t y = ((const struct store_usage *)b)->mapping_id;

	return (x > y) - (x < y);
}

/* Ids are given one after the other, and so are the places; USAGE_PLACES is a power of two. */
static struct store_usage *find_place(struct usage *usage, int64_t mapping_id)
{
	size_t place = (size_t)mapping_id % USAGE_PLACES;

	while (usage->noted[place].mapping_id != 0 && usage->noted[place].mapping_id != mapping_id)
		place = (place + 1) % USAGE_PLACES;
	return &usage->noted[place];
}

void usage_note(struct usage *usage, int64_t mapping_id, int64_t now_sec)
{
	struct store_usage *place = find_place(usage, mapping_id);

	if (place->mapping_id == 0) {
		if (usage->noted_count == USAGE_MAX)
			return;
		if (usage_is_empty(usage))
			usage->due_usec = monotonic_usec() + WRITE_DELAY_USEC;
		place->mapping_id = mapping_id;
		if (++usage->noted_count == USAGE_CROWD && usage->batch_count == 0)
			usage->due_usec = 0;
	}
	place->last_used_sec = now_sec;
	place->uses++;
}

bool usage_is_empty(const struct usage *usage)
{
	return usage->noted_count == 0 && usage->batch_count == 0;
}

uint64_t usage_due_usec(const struct usage *usage)
{
	return usage_is_empty(usage) ? UINT64_MAX : usage->due_usec;
}

static void begin_batch(struct usage *usage)
{
	for (size_t i = 0; i < USAGE_PLACES; i++)
		if (usage->noted[i].mapping_id != 0)
			usage->batch[usage->batch_count++] = usage->noted[i];
	/* Rows that lie on one page of the file are written together. */
	qsort(usage->batch, usage->batch_count, sizeof usage->batch[0], compare_ids);
	memset(usage->noted, 0, sizeof usage->noted);
	usage->noted_count = 0;
}

enum error usage_write(struct usage *usage, struct store *store)
{
	const bool is_crowd = usage->noted_count >= USAGE_CROWD;
	size_t count = is_crowd ? CROWD_SLICE : USAGE_SLICE;
	struct store_trouble trouble;
	enum error error;

	if (usage->batch_count == 0)
		begin_batch(usage);
	if (usage->batch_count == 0)
		return OK;
	if (count > usage->batch_count)
		count = usage->batch_count;
	error = store_write_usage(
		store, usage->batch + usage->batch_count - count, count, &trouble);
	if (error == OK) {
		usage->batch_count -= count;
		usage->due_usec =
			monotonic_usec() +
			(usage->batch_count > 0 || is_crowd ? SLICE_PAUSE_USEC : WRITE_DELAY_USEC);
	} else if (error == ERROR_BUSY) {
		usage->due_usec = monotonic_usec() + WRITE_AGAIN_USEC;
	} else {
		usage_forget(usage);
	}
	return error;
}

void usage_forget(struct usage *usage)
{
	memset(usage->noted, 0, sizeof usage->noted);
	usage->noted_count = usage->batch_count = 0;
}
