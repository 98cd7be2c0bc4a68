/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.h owns the open database: is the file safe to believe, is it ours and of our version, and
 * one prepared statement per question. The files store*.c are the ones that know SQLite.
 *
 * A store belongs to one thread. It never creates or migrates a database (store_migrate.h does),
 * and a text about what is wrong names the file and the remedy.
 */
#pragma once

#include "errors.h"
#include "mapping.h"
#include "span.h"

#include <sys/types.h>

#define STORE_FINGERPRINT_BYTES 32u
#define STORE_APPLICATION_ID 0x434d4150 /* 'CMAP', as in sql/0001-initial.sql */

/* Who works with the store. */
enum store_use {
	/* Waits for nobody's lock, since a whole event loop would wait. Its commits are safe from a
	 * crash of the process, and a power cut can only undo facts, which are worked out again. */
	STORE_USE_DAEMON,
	/* As the daemon, in a process that settles a long queue and ends: takes more memory, and
	 * fewer turns to write. */
	STORE_USE_BATCH,
	/* A person waits with it, for seconds, and what it commits stays. */
	STORE_USE_TOOL,
};

struct store;

/* How long a handle of STORE_USE_TOOL that is opened from now on waits for a lock: 5 s unless said,
 * INT_MAX ms at most. */
void store_set_patience(unsigned patience_msec);

/* What is wrong, for people: one line, no full stop at the end. Set with ERROR_STORE and
 * ERROR_REFUSED, and with ERROR_BUSY where it is known. */
struct store_trouble {
	char text[512];
};

/* Opens the database at `path`. The file must be a regular file, no symbolic link, that belongs to
 * root or to `owner` and is writable by nobody else, and so must its directory: whoever can write
 * them decides who logs in.
 *
 * ERROR_STORE: missing, unsafe, not a certmap database, of another schema version, or unreadable;
 * *ret_trouble says which. ERROR_BUSY: somebody holds it exclusively; try again. ERROR_MEMORY. */
WARN_UNUSED enum error store_open(const char *path, uid_t owner, enum store_use use,
	struct store **ret, struct store_trouble *ret_trouble);
void store_close(struct store *store);

/* Whether the path still names the file that is open, and that is still safe, and whether the files
 * that SQLite keeps beside it are those of the handle. An open handle goes on serving a file that
 * was moved, removed or replaced, goes on reading alone where it may write again, stays in a
 * transaction that could not be ended, with the state of its day, and keeps a lock that the system
 * did not end. To be called outside of one. ERROR_STORE: close and open again. */
WARN_UNUSED enum error store_check_place(struct store *store, struct store_trouble *ret_trouble);

/* Whether there may be such a lock, which keeps others from editing until the store is closed. */
bool store_keeps_lock(const struct store *store);

/* To be called before a store is closed because store_check_place() refused it. Where the path
 * names another file now, or none, it moves what the -wal file holds into the file that is open,
 * and empties it: SQLite finds a -wal by its name, and would read the changes of the old file into
 * the new one, and so give one account's certificate to another. ERROR_BUSY: another program uses
 * the old file; keep the store and try again. ERROR_SYSTEM: it can't be done; keep the store, and
 * refuse. store_close() tries it as well. */
WARN_UNUSED enum error store_leave(struct store *store, struct store_trouble *ret_trouble);

/* By what a lookup finds mappings. */
enum store_by {
	STORE_BY_NOTHING = 0, /* asks for the policy of the service alone */
	STORE_BY_FINGERPRINT, /* `digest`; and `der`, where it is there, is compared whole */
	STORE_BY_KEY,         /* `digest` of the SubjectPublicKeyInfo */
	STORE_BY_NAMES,       /* `first` is the subject's line, `second` the issuer's */
	STORE_BY_NAME,        /* `first` is the value of an attribute of the subject */
};

/* Borrowed. */
struct store_question {
	enum store_by by;
	struct span service;
	uint8_t digest[STORE_FINGERPRINT_BYTES];
	struct span der;
	struct span first, second;
};

/* service.revocation */
enum store_revocation {
	STORE_REVOCATION_REQUIRE = 0,
	STORE_REVOCATION_PREFER,
	STORE_REVOCATION_OFF,
};

/* What one statement finds out for a lookup. */
struct store_answer {
	bool service_enabled;
	bool service_inherits;
	bool accepts_names;
	bool accepts_name;
	bool requires_trust;
	enum store_revocation revocation;
	bool delivers_credential;
	bool is_shadow;
	bool has_own_trust;     /* where it requires trust: has rows of it beside those of '*' */
	bool has_pending;       /* some mapping's facts are not worked out yet, */
	bool has_exact_pending; /* one of the asking service among them */
	int64_t history_id;     /* of the newest entry; 0: none */
	struct mapping mappings[MAPPINGS_MAX];
	size_t mapping_count;
	bool has_more; /* than MAPPINGS_MAX */
};

/* Asks for the mappings that fit the question and that its service can see.
 * ERROR_BUSY, ERROR_MEMORY; ERROR_STORE: close and open again; ERROR_MALFORMED: a row that would
 * decide breaks the rules of the schema, whatever let it in. *ret_trouble is set with the last two.
 */
WARN_UNUSED enum error store_find(struct store *store, const struct store_question *question,
	struct store_answer *ret, struct store_trouble *ret_trouble);

/* What the daemon itself changes of what people wrote (a renewal that takes force) is committed for
 * good, and sets off the triggers of the history: between these two calls the store does as one of
 * STORE_USE_TOOL. */
WARN_UNUSED enum error store_begin_change(struct store *store, struct store_trouble *ret_trouble);
void store_end_change(struct store *store);

/* A read transaction: everything asked between sees one state of the database. */
WARN_UNUSED enum error store_begin_read(struct store *store, struct store_trouble *ret_trouble);
/* A write transaction. ERROR_BUSY: another writer; nothing is waited for. */
WARN_UNUSED enum error store_begin_write(struct store *store, struct store_trouble *ret_trouble);
WARN_UNUSED enum error store_commit(struct store *store, struct store_trouble *ret_trouble);
/* Ends either transaction and undoes what it wrote. Does nothing outside of one. */
void store_rollback(struct store *store);

/* Brings what is in the log into the file, as far as no reader is in the way; waits for nobody. */
void store_checkpoint(struct store *store);
