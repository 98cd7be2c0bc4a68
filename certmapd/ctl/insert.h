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

/* Ends the edit in which it was inserted, as edit_end() does, and shows its row: after the commit,
 * because a disk that is full is found out there, but of a dry run nothing is left to be shown
 * after it. */
WARN_UNUSED enum error insert_end(const struct ctl *ctl, struct store *store,
	const struct inserted *inserted, enum error error, struct store_trouble *ret_trouble);

struct insert_refusal {
	enum error error;
	const struct store_trouble *trouble;
	const uint8_t *fingerprint; /* of the certificate */
};

/* Says why it was not inserted, and which mapping is in its way; returns CTL_REFUSED. */
enum ctl_status insert_fail(const struct ctl *ctl, struct store *store,
	const struct store_new_mapping *mapping, const struct insert_refusal *refusal);

/* The words of the schema without the SELECT, into which a person at a shell fills in his own. */
size_t insert_words_length(const char *words);

/* Says what a pending mapping means. */
void insert_warn_pending(const struct inserted *inserted);
