/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export.h owns what the formats of an export share. A format (export_*.c) writes one stream from
 * one state of the database; export.c is the verb, which says where to.
 */
#pragma once

#include "ctl.h"
#include "store_table.h"

#include <stdio.h>

struct export
{
	struct ctl *ctl;
	const char *service; /* NULL: of all */
	const char *account; /* of the format authorized-keys */
	bool with_uids, with_credentials;
	struct store *store;
	FILE *out;
	size_t count;  /* of the mappings written */
	bool is_begun; /* something stands in the JSON array */
	struct store_trouble *trouble;
};

/* ERROR_SYSTEM: the stream did not take it; errno says why. Other errors are of the database. */
typedef enum error export_writer(struct export *export);

export_writer export_sql, export_json, export_csv, export_cafile, export_keys;

/* The DER of a mapping's row. False: it is none, and a warning has said that it was left out. */
WARN_UNUSED bool export_read_der(
	const struct store_row *row, uint8_t *der, size_t capacity, size_t *ret_length);

/* Is this a column that is written only when it is asked for? */
bool export_leaves_out(const struct export *export, const char *column);
