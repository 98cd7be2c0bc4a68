/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import.h owns what an import is made of: the rows that a reader found in its input, what stands
 * there beside them, and what became of each. Readers know one format each and fill it
 * (import_csv.c, import_directory.c, import_iis.c, import_json.c); import_plan.c decides, and
 * import_apply.c does it; import_report.c tells; import.c is the verb around them.
 *
 * Nothing that the input says is dropped in silence: it becomes a row, an object or a note.
 */
#pragma once

#include "ctl.h"
#include "armour.h"
#include "certificate.h"
#include "store_table.h"

#include <stdio.h>
#include <sys/types.h>

enum import_result {
	IMPORT_UNDECIDED = 0,
	IMPORT_REFUSED, /* `detail` says why: then nothing at all is changed */
	IMPORT_ADDED,
	IMPORT_CHANGED,
	IMPORT_UNCHANGED,
	IMPORT_MISSING, /* in the database, and not in the input: with --sync */
	IMPORT_RESULTS,
};

struct import_number {
	bool is_given; /* the input says something about it, */
	bool is_null;  /* that there is none */
	int64_t value;
};

/* One certificate for one account. Everything is owned, and comes from outside. */
struct import_row {
	char *origin; /* for people: "alice.pem", "line 7" */
	char *service, *account;
	char *note;
	bool has_note;
	struct import_number enabled, valid_from, valid_until, staged_until, uid;
	int64_t id, replaces; /* ids of the input, which are others here; 0: none */
	uint8_t *der;         /* NULL: no certificate; `detail` says why one could not be read */
	size_t der_length;
	uint8_t fingerprint[FINGERPRINT_BYTES];
	int64_t not_before_sec, not_after_sec; /* of the certificate */
	enum import_result result;
	int64_t mapping_id; /* of the mapping that it is here; 0: none yet */
	bool is_moved;      /* that mapping is another account's until now */
	bool is_unstaged;   /* that mapping waits to replace another, and shall not */
	char *detail;       /* what is to be said about it; NULL: nothing */
};

/* A row of another table than mapping, as it stands in the input. */
struct import_object {
	char *origin;
	struct store_row row; /* names and bytes are owned */
	enum import_result result;
	char *detail;
};

/* What the input says and an import can't carry over, or what it did beside the rows. */
struct import_note {
	char *origin, *text;
};

/* "Default Web Site=proftpd": the service that stands for a location of IIS. */
struct import_location {
	const char *name;    /* borrowed from argv; "" is the server itself */
	const char *service; /* "-": left out, as the person wants it */
	size_t length;       /* of the name */
	bool is_met;         /* in the input */
};

struct import_progress {
	uint64_t next_usec; /* when the line changes again; 0: it has not begun */
	bool is_shown;
};

#define IMPORT_LOCATIONS_MAX 256u
#define IMPORT_DOMAINS_MAX 32u

struct import {
	struct ctl *ctl;
	/* What the person said. */
	const char *source, *format;
	const char *service; /* for rows that name none; NULL: '*' */
	bool is_sync, removes_missing, is_unbound, is_quiet;
	bool enables;        /* as if IIS had the feature on */
	bool lowers;         /* user names of IIS */
	int64_t per_account; /* 0: as it is */
	struct import_location locations[IMPORT_LOCATIONS_MAX];
	size_t location_count;
	const char *domains[IMPORT_DOMAINS_MAX];
	size_t domain_count;
	/* What the input says. */
	struct import_row *rows;
	size_t row_count, row_capacity;
	struct import_object *objects;
	size_t object_count, object_capacity;
	struct import_note *notes;
	size_t note_count, note_capacity;
	bool is_short; /* of memory: something may be missing, and nothing is imported */
	struct import_progress progress;
};

/* Reads the whole of import->source. CTL_REFUSED: it could not be read as a whole, and that has
 * been said. What is wrong with one row stands in the row. */
typedef enum ctl_status import_reader(struct import *import);

import_reader import_directory, import_csv, import_json, import_iis;

/* What to do about a column or table that is not known. */
#define IMPORT_OTHER_VERSION                                                                       \
	"take it out, or import with a certmapctl as new as the one that exported it"

/* Opens the source, "-" being the standard input. NULL: it can't be, and that has been said. */
FILE *import_open(struct import *import);

/* A new row with its origin in words, and what all readers say alike: the service, enabled. It dies
 * with the import; the pointer is good until the next one. NULL: out of memory. */
__attribute__((format(printf, 2, 3))) struct import_row *import_add_row(
	struct import *import, const char *origin, ...);
/* Takes the rows from `first` on out again. */
void import_forget_rows(struct import *import, size_t first);
/* Sets a text of a row. ERROR_MEMORY. */
WARN_UNUSED enum error import_set(char **text, struct span value);
/* Reads the certificate of a row in any of the forms that `add' takes; what it is else, the row
 * says by its name. */
WARN_UNUSED enum error import_set_certificate(struct import_row *row, struct span bytes);
/* The same from a file; a relative name begins at this directory, which may be AT_FDCWD. */
WARN_UNUSED enum error import_read_certificate(
	struct import_row *row, int directory, const char *name);
/* The row can't be taken, and why. The first reason stays. */
__attribute__((format(printf, 2, 3))) void import_refuse(
	struct import_row *row, const char *format, ...);
/* The reader can't go on: says so about import->source, and returns CTL_REFUSED. */
__attribute__((format(printf, 2, 3))) enum ctl_status import_fail(
	struct import *import, const char *format, ...);
/* Something that a person should know about the row. */
__attribute__((format(printf, 2, 3))) void import_remark(char **detail, const char *format, ...);

/* Sets a column of the row to a text, as CSV and JSON have it; `value` is not there for "none".
 * What is wrong with it refuses the row. False: there is no such column. */
WARN_UNUSED bool import_take_field(
	struct import *import, struct import_row *row, const char *column, struct span value);

/* A new row of another table; its cells are added by import_add_cell(), which copies them. */
struct import_object *import_add_object(
	struct import *import, enum store_table table, const char *origin);
WARN_UNUSED enum error import_add_cell(struct import_object *object, const struct store_cell *cell);

__attribute__((format(printf, 3, 4))) void import_note(
	struct import *import, const char *origin, const char *format, ...);

void import_done(struct import *import);

/* Shows on a terminal, once in a while, how many rows are done; `total` 0: nobody knows of how
 * many. import_end_progress() takes the line away, before anything else is said. */
void import_progress(struct import *import, const char *doing, size_t done, size_t total);
void import_end_progress(struct import *import);

/* A mapping of the database that the input does not have. */
struct import_missing {
	int64_t id;
	char *service, *account;
};

struct import_plan {
	struct import_missing *missing;
	size_t missing_count;
	size_t counts[IMPORT_RESULTS];
	int64_t history_id; /* of the database that it was made from */
};

/* Decides what becomes of each row, from the database as it is. */
WARN_UNUSED enum error import_plan(struct import *import, struct store *store,
	struct import_plan *ret, struct store_trouble *ret_trouble);
/* Inside of an edit: does it. ERROR_REFUSED: some row or object says what is in its way. */
WARN_UNUSED enum error import_apply(struct import *import, struct store *store,
	struct import_plan *plan, struct store_trouble *ret_trouble);
void import_plan_done(struct import_plan *plan);

/* Counts what became of the rows and objects by now. */
void import_count(const struct import *import, struct import_plan *plan);
/* The newest entry of the history: as long as it is the same, nobody has edited anything. */
WARN_UNUSED enum error import_read_history_id(
	struct store *store, int64_t *ret, struct store_trouble *ret_trouble);
/* Whether the row waits for its first login, to take the place of another mapping. */
bool import_is_staged(const struct import_row *row);

/* Prints what became of everything: a table, or JSON. */
WARN_UNUSED enum error import_report(const struct import *import, const struct import_plan *plan);
