/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrations.h owns the list of migrations that the build embedded, in their order. migrations[n]
 * brings a database from user_version n to n + 1.
 */
#pragma once

struct migration {
	const char *name; /* of its file in sql/ */
	const char *sql;  /* its whole text: one transaction that checks where it starts from */
};

extern const struct migration migrations[];
extern const unsigned migration_count; /* the schema version that this build works with */
