/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl.c owns the start of certmapctl: the table of verbs, and the options common to them. */
#include "ctl.h"

#include "certificate.h"
#include "index.h"
#include "json.h"
#include "monotonic.h"
#include "print.h"
#include "store_pending.h"
#include "verbs.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each slice is a transaction, between two of which a waiting writer gets its turn. */
#define SETTLE_SLICE_USEC 50000u

static const struct verb table[] = {
	{ "init", ctl_init, "make a new database", NULL },
	{ "migrate", ctl_migrate, "bring a database up to this version", NULL },
	{ "add", ctl_add, "map a certificate to an account", NULL },
	{ "show", ctl_show, "tell all there is to know of a mapping", NULL },
	{ "renew", ctl_renew, "bring the next certificate of a mapping", NULL },
	{ "enable", ctl_enable, "put a disabled mapping into force", NULL },
	{ "disable", ctl_disable, "shut a certificate out, and keep its mapping", NULL },
	{ "remove", ctl_remove, "remove a mapping", NULL },
	{ "list", ctl_list, "show the mappings", NULL },
	{ "history", ctl_history, "tell who changed what", NULL },
	{ "expiring", ctl_expiring, "show what ends soon, for people and for timers", NULL },
	{ "status", ctl_status_verb, "show how the daemon and the database are", NULL },
	{ "service", ctl_service, "show and set the policy of services", NULL },
	{ "trust", ctl_trust, "keep the authorities that certificates must come from", NULL },
	{ "crl", ctl_crl, "keep the revocation lists", NULL },
	{ "explain", ctl_explain, "say why a login would be refused, gate by gate", NULL },
	{ "verify", ctl_verify, "look for what is wrong, in the database and in /etc/pam.d", NULL },
	{ "credential", ctl_credential, "store the passwords that sessions get", NULL },
	{ "import", ctl_import, "map many certificates at once", NULL },
	{ "export", ctl_export, "write mappings down for another program", NULL },
	{ "authorized-keys", ctl_authorized_keys, "print the SSH keys of an account, for sshd",
		NULL },
};

static const struct verbs verbs = {
	.program = "certmapctl",
	.doc = "Maps individual client certificates to accounts.",
	.table = table,
	.count = sizeof table / sizeof table[0],
};

const char *argp_program_version = "certmapctl " CERTMAP_VERSION;

enum { OPTION_WAIT = 0x1000, OPTION_DRY_RUN, OPTION_SQL };

#define TEXT(value) #value
#define TEXT_OF(macro) TEXT(macro)

static const struct argp_option common_options[] = {
	{ NULL, 0, NULL, 0, "Common options:", -2 },
	{ "database", 'D', "PATH", 0, "The database (" CTL_DEFAULT_DATABASE ")", -2 },
	{ "json", 'j', NULL, 0, "Print JSON for programs", -2 },
	{ "wait", OPTION_WAIT, "SECONDS", 0,
		"How long to wait for others who write (" TEXT_OF(CTL_DEFAULT_WAIT_SEC) ")", -2 },
	{ 0 },
};

static void take_wait(struct ctl *ctl, const char *value, const struct argp_state *state)
{
	int64_t wait_sec;

	if (!ctl_read_number(value, 0, CTL_WAIT_MAX_SEC, &wait_sec)) {
		argp_error(state, "--wait: '%s' is no number of seconds from 0 to %d", value,
			CTL_WAIT_MAX_SEC);
		return;
	}
	ctl->wait_sec = (unsigned)wait_sec;
	store_set_patience(ctl->wait_sec * 1000);
}

static error_t parse_common(int key, char *value, struct argp_state *state)
{
	struct ctl *ctl = state->input;

	switch (key) {
	case 'D':
		ctl->database = value;
		return 0;
	case 'j':
		if (!json_is_built)
			argp_error(
				state, "--json: this build has none (it was made without jansson)");
		ctl->json = true;
		return 0;
	case OPTION_WAIT:
		take_wait(ctl, value, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp common = { .options = common_options, .parser = parse_common };

const struct argp_child ctl_children[] = { { .argp = &common }, { 0 } };

static const struct argp_option change_options[] = {
	{ NULL, 0, NULL, 0, "Options of a change:", -3 },
	{ "dry-run", OPTION_DRY_RUN, NULL, 0, "Say what would be done, and change nothing", -3 },
	{ "sql", OPTION_SQL, NULL, 0,
		"Change nothing, and print the statements for a sqlite3 shell that do it", -3 },
	{ "yes", 'y', NULL, 0, "Don't ask", -3 },
	{ 0 },
};

static error_t parse_change(int key, char *value, struct argp_state *state)
{
	struct ctl *ctl = state->input;

	(void)value;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = ctl;
		return 0;
	case OPTION_DRY_RUN:
		ctl->is_dry = true;
		return 0;
	case OPTION_SQL:
		ctl->prints_sql = true;
		return 0;
	case 'y':
		ctl->is_sure = true;
		return 0;
	case ARGP_KEY_SUCCESS:
		if (ctl->prints_sql && ctl->json)
			argp_error(state, "--sql and --json are two forms of one answer");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp change = {
	.options = change_options,
	.parser = parse_change,
	.children = ctl_children,
};

const struct argp_child ctl_change_children[] = { { .argp = &change }, { 0 } };

void ctl_warn(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("certmapctl: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

bool ctl_is_forbidden(const struct ctl *ctl)
{
	return geteuid() != 0 && access(ctl->database, R_OK | W_OK) < 0 && errno == EACCES;
}

/* Names and texts of the schema, which SQLite's messages repeat, are whatever somebody wrote. */
char *ctl_show_trouble(const char *text, char ret[CTL_TROUBLE_BYTES])
{
	return print_shown(span_of_string(text), ret, CTL_TROUBLE_BYTES);
}

enum ctl_status ctl_fail(
	const struct ctl *ctl, enum error error, const struct store_trouble *trouble)
{
	char shown[CTL_TROUBLE_BYTES];

	if (error == ERROR_BUSY)
		ctl_warn("somebody else is writing to %s, perhaps a sqlite3 shell with an open "
			 "transaction: nothing was changed, try again",
			ctl->database);
	else if (error == ERROR_STORE && ctl_is_forbidden(ctl))
		ctl_warn("%s: this user may not use it: run certmapctl as root", ctl->database);
	else if (trouble->text[0] != '\0')
		ctl_warn("%s", ctl_show_trouble(trouble->text, shown));
	else
		ctl_warn("%s: %s", ctl->database, error_text(error));
	return CTL_REFUSED;
}

uid_t ctl_owner(const struct ctl *ctl)
{
	char copy[PATH_MAX];
	struct stat status;

	if (geteuid() != 0)
		return geteuid();
	snprintf(copy, sizeof copy, "%s", ctl->database);
	return lstat(dirname(copy), &status) == 0 ? status.st_uid : 0;
}

enum ctl_status ctl_open(const struct ctl *ctl, struct store **ret)
{
	struct store_trouble trouble = { "" };
	enum error error = store_open(ctl->database, ctl_owner(ctl), STORE_USE_TOOL, ret, &trouble);

	return error == OK ? CTL_DONE : ctl_fail(ctl, error, &trouble);
}

void ctl_close(struct store **store)
{
	store_close(*store);
}

static enum error has_queue(
	struct store *store, bool *ret_queued, struct store_trouble *ret_trouble)
{
	struct store_pending pending;

	return store_next_pending(store, 0, (struct span){ 0 }, &pending, ret_queued, ret_trouble);
}

enum error ctl_settle(struct store *store, struct store_trouble *ret_trouble)
{
	const uint64_t end_usec = monotonic_usec() + CTL_SETTLE_USEC;
	bool more = false;
	enum error error = has_queue(store, &more, ret_trouble);

	while (error == OK && more && monotonic_usec() < end_usec)
		error = index_settle(store, SETTLE_SLICE_USEC, &more, ret_trouble);
	return error;
}

void ctl_settle_if_possible(struct store *store)
{
	struct store_trouble trouble;

	(void)!ctl_settle(store, &trouble);
}

static bool end_answer(void)
{
	if (fflush(stdout) != 0) {
		ctl_warn("can't write the answer: %s", strerror(errno));
		return false;
	}
	/* An earlier write failed, and what is in errno by now is about something else. */
	if (ferror(stdout)) {
		ctl_warn("can't write the answer");
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .database = CTL_DEFAULT_DATABASE, .wait_sec = CTL_DEFAULT_WAIT_SEC };
	enum ctl_status status;

	/* Which letters a terminal shows; numbers and messages stay as they are. */
	setlocale(LC_CTYPE, "");
	umask(0077);
	argp_err_exit_status = CTL_USAGE;
	if (certificate_init() != OK) {
		ctl_warn("OpenSSL offers no SHA-256");
		return CTL_REFUSED;
	}
	status = verbs_run(&verbs, &ctl, argc, argv);
	certificate_done();
	return end_answer() ? status : CTL_REFUSED;
}
