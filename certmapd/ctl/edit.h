/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * edit.h owns the frame of every change that certmapctl makes: one transaction in the name of the
 * acting person, the question before something is destroyed, and --dry-run and --sql, with which
 * everything is done but the last step, so that what would be refused is refused.
 */
#pragma once

#include "ctl.h"

/* Begins a change. ERROR_BUSY, ERROR_STORE, ERROR_MEMORY. */
WARN_UNUSED enum error edit_begin(
	const struct ctl *ctl, struct store *store, struct store_trouble *ret_trouble);

/* Ends it. `error` is what the change came to: unless it is OK, and with --dry-run or --sql, all of
 * it is undone. Returns `error`, or what the commit came to. */
WARN_UNUSED enum error edit_end(const struct ctl *ctl, struct store *store, enum error error,
	struct store_trouble *ret_trouble);

/* Whether edit_end() leaves everything as it was. */
bool edit_is_dry(const struct ctl *ctl);

/* Whether words about a change may stand on stdout: with --sql the statements stand there alone,
 * and with --json what a program reads. */
bool edit_may_talk(const struct ctl *ctl);

/* Prints the migrations that bring a database up from this version, 0 being none, for a shell. */
void edit_print_migrations(unsigned from);

/* Asks on the terminal, on stderr; `question` is a sentence with its question mark. True also where
 * nobody has to be asked: with --yes, where nothing will be changed, and where the standard input
 * is no terminal. False: no, and it has been said that nothing was changed. */
__attribute__((format(printf, 2, 3))) WARN_UNUSED bool edit_confirm(
	const struct ctl *ctl, const char *question, ...);
