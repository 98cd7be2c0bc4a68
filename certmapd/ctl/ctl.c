/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl.c owns the start of certmapctl: the table of verbs, and the options common to them. */
#include "ctl.h"

#include "certificate.h"
#include "index.h"
#include "json.h"
#include "monotonic.h"
#include "store_pending.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each slice is a transaction, between two of which a waiting writer gets its turn. */
#define SETTLE_SLICE_USEC 50000u

static const struct verb {
	const char *name;
	ctl_verb *run;
} verbs[] = {
	{ "init", ctl_init },
	{ "migrate", ctl_migrate },
	{ "add", ctl_add },
	{ "list", ctl_list },
	{ "remove", ctl_remove },
	{ "export", ctl_export },
	{ "credential", ctl_credential },
	{ "authorized-keys", ctl_authorized_keys },
};

struct arguments {
	struct ctl ctl;
	const struct verb *verb;
	int verb_index; /* in argv */
};

const char *argp_program_version = "certmapctl " CERTMAP_VERSION;

enum { OPTION_WAIT = 0x1000 };

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

bool ctl_read_number(const char *text, int64_t lowest, int64_t highest, int64_t *ret)
{
	char *end;
	long long number;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || number < lowest || number > highest)
		return false;
	*ret = number;
	return true;
}

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

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->ctl;
		return 0;
	case ARGP_KEY_ARG:
		if (!(arguments->verb = find_verb(value)))
			argp_error(state, "unknown verb '%s'", value);
		arguments->verb_index = state->next - 1;
		state->next = state->argc; /* the rest is the verb's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "a verb is missing");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.parser = parse,
	.children = ctl_children,
	.args_doc = "VERB [ARGUMENT...]",
	.doc = "Maps individual client certificates to accounts.\v"
	       "Verbs:\n"
	       "  init             make a new database\n"
	       "  migrate          bring a database up to this version\n"
	       "  add              map a certificate to an account\n"
	       "  list             show the mappings\n"
	       "  remove           remove a mapping\n"
	       "  credential       store the passwords that sessions get\n"
	       "  export           write mappings down for another program\n"
	       "  authorized-keys  print the SSH keys of an account, for sshd\n"
	       "\n"
	       "`certmapctl VERB --help' says more. Exit status: 0 done, 1 refused or not found, "
	       "2 wrong usage.",
};

void ctl_warn(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("certmapctl: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

static bool is_forbidden(const struct ctl *ctl)
{
	return geteuid() != 0 && access(ctl->database, R_OK | W_OK) < 0 && errno == EACCES;
}

enum ctl_status ctl_fail(
	const struct ctl *ctl, enum error error, const struct store_trouble *trouble)
{
	if (error == ERROR_BUSY)
		ctl_warn("somebody else is writing to %s, perhaps a sqlite3 shell with an open "
			 "transaction: nothing was changed, try again",
			ctl->database);
	else if (trouble->text[0] != '\0')
		ctl_warn("%s%s", trouble->text,
			error == ERROR_STORE && is_forbidden(ctl) ? " (this needs root)" : "");
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

/* The verb's own parser calls itself "certmapctl VERB" in its messages. */
static enum ctl_status run_verb(struct arguments *arguments, int argc, char **argv)
{
	char name[64];
	char **own = argv + arguments->verb_index;

	snprintf(name, sizeof name, "certmapctl %s", arguments->verb->name);
	own[0] = name;
	return arguments->verb->run(&arguments->ctl, argc - arguments->verb_index, own);
}

int main(int argc, char **argv)
{
	struct arguments arguments = {
		.ctl = {
			.database = CTL_DEFAULT_DATABASE,
			.wait_sec = CTL_DEFAULT_WAIT_SEC,
		},
	};
	enum ctl_status status;

	/* Which letters a terminal shows; numbers and messages stay as they are. */
	setlocale(LC_CTYPE, "");
	umask(0077);
	argp_err_exit_status = CTL_USAGE;
	if (argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &arguments) != 0)
		return CTL_USAGE;
	if (certificate_init() != OK) {
		ctl_warn("OpenSSL offers no SHA-256");
		return CTL_REFUSED;
	}
	status = run_verb(&arguments, argc, argv);
	certificate_done();
	if (fflush(stdout) != 0 || ferror(stdout)) {
		ctl_warn("can't write the answer: %s", strerror(errno));
		return CTL_REFUSED;
	}
	return status;
}
