/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_private.h owns what the files store*.c share: the handle, its prepared statements, and the
 * one translation of SQLite's result codes.
 */
#pragma once

#include "store_edit.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* One slot for each statement. A statement is prepared at its first use, beside the code that
 * binds it, and lives as long as the store. */
enum store_slot {
	STORE_FIND_SERVICE,
	STORE_FIND_FINGERPRINT,
	STORE_FIND_KEY,
	STORE_FIND_NAMES,
	STORE_FIND_NAME,
	STORE_VERSION,
	STORE_BEGIN_READ,
	STORE_BEGIN_WRITE,
	STORE_COMMIT,
	STORE_ROLLBACK,
	STORE_NEXT_EDIT,
	STORE_NEXT_PENDING,
	STORE_NEXT_SETTLED,
	STORE_HAS_FACT,
	STORE_HAS_NAME,
	STORE_FIND_TWIN,
	STORE_WRITE_FACT,
	STORE_FORGET_FACT,
	STORE_WRITE_NAME,
	STORE_DROP_PENDING,
	STORE_WRITE_ACTOR,
	STORE_CLEAR_ACTOR,
	STORE_INSERT_MAPPING,
	STORE_DELETE_MAPPING,
	STORE_ENABLE_MAPPING,
	STORE_DISABLE_MAPPING,
	STORE_FIND_STATUS,
	STORE_LIST_STATUS,
	STORE_FILTER_STATUS,
	STORE_LIST_ACCOUNTS,
	STORE_LIST_SERVICES,
	STORE_LIST_TRUST,
	STORE_READ_DER,
	STORE_UPDATE_USAGE,
	STORE_INSERT_USAGE,
	STORE_DISABLE_REPLACED,
	STORE_ENABLE_STAGED,
	STORE_FIND_CREDENTIAL,
	STORE_LIST_CREDENTIALS,
	STORE_INSERT_CREDENTIAL,
	STORE_UPDATE_CREDENTIAL,
	STORE_DELETE_CREDENTIAL,
	STORE_LIST_OF_ACCOUNT,
	STORE_LIST_ALL,
	STORE_ROW, /* of store_table.c; the one that is not fixed */
	STORE_SELECT_ID,
	STORE_SELECT_ACCOUNT,
	STORE_SELECT_FINGERPRINT,
	STORE_LIST_RELATIONS,
	STORE_FIND_KEY_FINGERPRINT,
	STORE_LIST_HISTORY,
	STORE_COUNT_PRUNABLE,
	STORE_PRUNE_BEGIN,
	STORE_PRUNE,
	STORE_PRUNE_NOTE,
	STORE_PRUNE_END,
	STORE_LIST_POLICIES,
	STORE_DELETE_POLICY,
	STORE_COUNT_TRUST,
	STORE_LIST_TRUST_ROWS,
	STORE_INSERT_TRUST,
	STORE_REPLACE_TRUST,
	STORE_DELETE_TRUST,
	STORE_COUNT_STATES,
	STORE_READ_OVERVIEW,
	STORE_LIST_ENDS,
	STORE_LIST_KIN,
	STORE_LIST_FORMER,
	STORE_FIND_DER,
	STORE_CHECK_INTEGRITY,
	STORE_LIST_DEMANDS,
	STORE_LIST_STAGED,
	STORE_LIST_CROWDED,
	STORE_LIST_EVERY_TRUST,
	STORE_SLOTS,
};

/* A file beside the database, as the handle has it open. */
struct store_companion {
	char *path;
	bool is_known; /* there was one: */
	dev_t device;
	ino_t inode;
};
#define STORE_COMPANIONS 2

struct store {
	sqlite3 *db;
	char *path;
	uid_t owner;
	dev_t device; /* of the file that is open, */
	ino_t inode;  /* see store_check_place() */
	struct store_companion companions[STORE_COMPANIONS];
	unsigned long unended_locks; /* when it was opened */
	bool is_barred;              /* opened for reading alone, since nothing else was allowed */
	unsigned data_version;
	uint8_t *lent; /* the certificate that store_next_pending() lends out */
	store_edit_watcher *watcher;
	void *watcher_context;
	sqlite3_stmt *statements[STORE_SLOTS];
};

/* store_open() without a look at what the database is: for making and migrating one. */
WARN_UNUSED enum error store_open_file(const char *path, uid_t owner, enum store_use use,
	struct store **ret, struct store_trouble *ret_trouble);

/* Whether the directory of `path` is there and safe; ERROR_STORE says what is wrong. */
WARN_UNUSED enum error store_check_directory(
	const char *path, uid_t owner, struct stat *ret_status, struct store_trouble *ret_trouble);

/* Makes SQLite end a lock again where that fails, in every handle of the process. To be called
 * before one is opened; again does no harm. */
void store_insist_on_unlocking(void);

/* How many locks the system did not end in spite of that, in the life of the process. */
unsigned long store_unended_locks(void);

/* The name of the system's way to files, which deletes nothing that a journal names. Where it can't
 * be had, nothing can be opened by it. */
const char *store_vfs(void);
/* The same, in which SQLite waits half a second at most for a lock that may be its own, and
 * not ten. */
const char *store_sleepless_vfs(void);

/* The files that SQLite keeps beside a database in WAL. ERROR_MEMORY. */
WARN_UNUSED enum error store_companions_init(struct store *store);
void store_companions_done(struct store *store);
/* Notes which they are when they are first seen, right after a read. Afterwards ERROR_STORE where
 * one is no longer there, or is another file: the handle reads and writes what nobody else does. */
WARN_UNUSED enum error store_check_companions(
	struct store *store, struct store_trouble *ret_trouble);
/* Whether the rights on the database and these files let it be written. */
bool store_may_write(const struct store *store);
/* Whether somebody else made new ones: then this handle must leave them alone. */
bool store_companions_are_foreign(const struct store *store);

WARN_UNUSED enum error store_read_versions(struct store *store, int64_t *ret_application_id,
	int64_t *ret_user_version, struct store_trouble *ret_trouble);

WARN_UNUSED enum error store_prepare(struct store *store, enum store_slot slot, const char *sql,
	sqlite3_stmt **ret, struct store_trouble *ret_trouble);

/* Runs a statement that yields no row. */
WARN_UNUSED enum error store_run(
	struct store *store, sqlite3_stmt *statement, struct store_trouble *ret_trouble);

/* The same for a statement that changes what people write; the watcher is shown it. */
WARN_UNUSED enum error store_run_edit(
	struct store *store, sqlite3_stmt *statement, struct store_trouble *ret_trouble);

/* The error that stands for SQLite's last result code on this handle, with its text. */
enum error store_failed(struct store *store, struct store_trouble *ret_trouble);

/* Writes a text about what is wrong; returns ERROR_STORE. */
__attribute__((format(printf, 2, 3))) enum error store_explain(
	struct store_trouble *ret_trouble, const char *format, ...);

/* Ends a statement's read and forgets what was bound: borrowed bytes must not outlive their call.
 */
void store_reset(sqlite3_stmt **statement);
#define STORE_RESET __attribute__((cleanup(store_reset)))

/* Column readers that believe nothing: CHECK and triggers can be switched off in a shell.
 * Each returns false where the column is not of the type, size or shape asked for. */
bool store_read_flag(sqlite3_stmt *statement, int column, bool *ret);
bool store_read_integer(
	sqlite3_stmt *statement, int column, int64_t lowest, int64_t highest, int64_t *ret);
/* 0 to `highest`; a NULL gives `none`. */
bool store_read_limit(
	sqlite3_stmt *statement, int column, int64_t highest, int64_t none, int64_t *ret);
/* Text without NUL and other control characters, 1 to capacity - 1 bytes, terminated. */
bool store_read_text(sqlite3_stmt *statement, int column, char *ret, size_t capacity);
/* Decoration for people: NULL gives "", what is too long or not text is cut or left out. */
void store_read_note(sqlite3_stmt *statement, int column, char *ret, size_t capacity);

/* Lent out until the next step. The text of a column, not checked; not there: NULL. */
struct span store_read_span(sqlite3_stmt *statement, int column);
/* The bytes of a column; always there. */
struct span store_read_bytes(sqlite3_stmt *statement, int column);
/* A text that the query itself makes, or that only people read: never NULL. */
const char *store_read_word(sqlite3_stmt *statement, int column);

/* Borrows the text until the statement is reset; what is not there becomes NULL. */
bool store_bind_span(sqlite3_stmt *statement, int parameter, struct span text);

/* Looks at the version again where somebody has committed since; inside of a read. */
WARN_UNUSED enum error store_check_version(struct store *store, struct store_trouble *ret_trouble);

/* A mapping's columns as a lookup and the queue read them alike: `m` is the row, `service` the
 * parameter that names the asking service. */
#define STORE_MAPPING_COLUMNS(service)                                                             \
	"m.id, m.service IS " service ", m.account, m.enabled, m.valid_from, m.valid_until,"       \
	" m.account_uid,"                                                                          \
	" m.service = '*' AND EXISTS (SELECT 1 FROM mapping AS x WHERE x.service = " service       \
	"  AND x.account = m.account),"                                                            \
	" m.replaces IS NOT NULL,"                                                                 \
	" NOT EXISTS (SELECT 1 FROM mapping AS x WHERE x.id = m.replaces AND"                      \
	"  (x.enabled, x.service, x.account) <> (1, m.service, m.account)),"                       \
	" m.staged_until"
#define STORE_MAPPING_COLUMN_COUNT 11

/* Reads them; `first` is the column of m.id. */
bool store_read_mapping(sqlite3_stmt *statement, int first, struct mapping *ret);
