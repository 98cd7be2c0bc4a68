/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * insert.h owns how a new mapping comes into the database: its certificate is read at once, so that
 * one which could not be used is not added at all.
 */
#pragma once

#include "ctl.h"
#include "store_edit.h"

struct inserted {
	int64_t id;
	bool is_pending; /* too much else waited to be read before it */
};

/* Inside of an edit. ERROR_REFUSED also where the certificate can't be used, such as one that is
 * mapped already in another encoding. A key that another account has too makes a warning. */
WARN_UNUSED enum error insert_mapping(struct store *store, const struct store_new_mapping *mapping,
	struct inserted *ret, struct store_trouble *ret_trouble);

/* Says what a pending mapping means. */
void insert_warn_pending(const struct inserted *inserted);
