/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* edit.c owns the beginning and the end of a change. */
#include "edit.h"

#include "migrations.h"
#include "store_edit.h"
#include "who.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* `.bail' keeps a shell that reads this from going on to COMMIT after a refusal, and `.timeout'
 * lets it wait its turn beside certmapd. */
static const char sql_begin[] = ".bail on\n.timeout 5000\nBEGIN IMMEDIATE;\n";

static void print_statement(const char *sql, void *context)
{
	(void)context;
	printf("%s;\n", sql);
}

bool edit_is_dry(const struct ctl *ctl)
{
	return ctl->is_dry || ctl->prints_sql;
}

bool edit_may_talk(const struct ctl *ctl)
{
	return !ctl->prints_sql && !ctl->json;
}

enum error edit_begin(const struct ctl *ctl, struct store *store, struct store_trouble *ret_trouble)
{
	char who[WHO_MAX_BYTES + 1];
	enum error error;

	who_am_i(who);
	if ((error = store_begin_edit(store, who, ret_trouble)) != OK)
		return error;
	if (ctl->prints_sql) {
		fputs(sql_begin, stdout);
		store_watch_edits(store, print_statement, NULL);
	}
	return OK;
}

/* A script that was cut off undoes itself as well: the shell ends it without COMMIT. */
static void end_sql(struct store *store, enum error error)
{
	store_watch_edits(store, NULL, NULL);
	puts(error == OK ? "COMMIT;" : "ROLLBACK;");
}

enum error edit_end(const struct ctl *ctl, struct store *store, enum error error,
	struct store_trouble *ret_trouble)
{
	if (error == OK && !edit_is_dry(ctl))
		return store_commit_edit(store, ret_trouble);
	if (ctl->prints_sql)
		end_sql(store, error);
	store_rollback(store);
	return error;
}

/* Each is a transaction that checks where it starts from. */
void edit_print_migrations(unsigned from)
{
	puts(".bail on");
	for (unsigned i = from; i < migration_count; i++)
		fputs(migrations[i].sql, stdout);
}

static bool is_yes(void)
{
	char answer[16];

	return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

bool edit_confirm(const struct ctl *ctl, const char *question, ...)
{
	va_list arguments;

	if (ctl->is_sure || edit_is_dry(ctl) || !isatty(STDIN_FILENO))
		return true;
	fflush(stdout);
	va_start(arguments, question);
	vfprintf(stderr, question, arguments);
	va_end(arguments);
	fputs(" [y/N] ", stderr);
	if (is_yes())
		return true;
	ctl_warn("nothing was changed");
	return false;
}
