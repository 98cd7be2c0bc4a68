/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_usage.h owns the writing of when mappings were last used. */
#pragma once

#include "store.h"

struct store_usage {
	int64_t mapping_id;
	int64_t last_used_sec; /* Unix seconds, UTC */
	uint64_t uses;         /* since it was last written */
};

/* Adds to what is written already, in one short transaction. ERROR_BUSY: somebody else writes. */
WARN_UNUSED enum error store_write_usage(struct store *store, const struct store_usage *usages,
	size_t count, struct store_trouble *ret_trouble);
