/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain_verb.c owns the arguments of the verb that answers: why was I refused? */
#include "ctl.h"

#include "explain_last.h"
#include "options.h"
#include "when.h"

/* A screenful; and as far back as somebody remembers what he did. */
#define LAST_DEFAULT 20u
#define LAST_MAX 10000
#define SINCE_DEFAULT_SEC (7 * 86400)

struct arguments {
	struct ctl *ctl;
	struct explain_case asked;
	struct refusals_question last;
	bool wants_last, has_since;
};

enum {
	OPTION_LINE = 0x100,
	OPTION_ACCEPT,
	OPTION_CONFDIR,
	OPTION_RUN_AS,
	OPTION_KEY,
	OPTION_LAST,
	OPTION_ID,
	OPTION_SINCE,
	OPTION_JOURNAL,
};

static const struct argp_option options[] = {
	{ "service", 's', "NAME", 0, "At this PAM service", 0 },
	{ "user", 'u', "NAME", 0, "With this account asked for; without it, with none", 0 },
	{ "verbose", 'v', NULL, 0, "Show fingerprints whole", 0 },
	{ "accept", OPTION_ACCEPT, "KIND", 0,
		"By the line with this accept=, where there are several", 0 },
	{ "line", OPTION_LINE, "WORDS", 0,
		"By a line with these options in place of the one of the service's stack", 0 },
	{ "confdir", OPTION_CONFDIR, "DIRECTORY", 0, "Read stacks here and not in /etc/pam.d", 0 },
	{ "run-as", OPTION_RUN_AS, "USER", 0, "With a service that runs as this user (root)", 0 },
	{ "key", OPTION_KEY, "FILE", 0, "The key of stored credentials, see `credential'", 0 },
	{ "last", OPTION_LAST, "N", OPTION_ARG_OPTIONAL,
		"Show the last N refusals of the journal (20); with --last=1, explain it", 1 },
	{ "id", OPTION_ID, "ID", 0, "Explain the refusal with this correlation id", 1 },
	{ "since", OPTION_SINCE, "TIME", 0, "Look no further back (7d); " WHEN_FORMS " ago", 1 },
	{ "journal", OPTION_JOURNAL, "DIRECTORY", 0, "Read the journal in this directory", 1 },
	{ 0 },
};

static uint64_t usec_of(int64_t time_sec)
{
	return time_sec > 0 ? (uint64_t)time_sec * REFUSALS_USEC_PER_SEC : 0;
}

static void take_since(
	struct arguments *arguments, const char *value, const struct argp_state *state)
{
	int64_t since_sec = 0;

	if (!when_read_past(value, when_now(), &since_sec))
		argp_error(state, "--since: '%s' is none of these: " WHEN_FORMS " ago", value);
	arguments->last.since_usec = usec_of(since_sec);
	arguments->has_since = true;
}

static void take_limit(
	struct arguments *arguments, const char *value, const struct argp_state *state)
{
	int64_t limit = LAST_DEFAULT;

	if (value && !ctl_read_number(value, 1, LAST_MAX, &limit))
		argp_error(state, "--last: '%s' is no number from 1 to %d", value, LAST_MAX);
	arguments->last.limit = (size_t)limit;
	arguments->wants_last = true;
}

/* `--last 5': what looks like a certificate's name is the number. */
static void check_last(struct arguments *arguments, const struct argp_state *state)
{
	struct explain_case *asked = &arguments->asked;

	if (asked->certificate && !arguments->last.id)
		take_limit(arguments, asked->certificate, state);
	else if (asked->certificate)
		argp_error(state, "--id names what is explained, and no certificate goes with it");
	arguments->last.service = asked->service;
	arguments->last.user = asked->user;
}

/* The words of the kinds are the module's: its reader takes one with one variable, or with two. */
static bool is_kind(const char *word)
{
	static const char *const sources[] = { "source=pamenv:A", "source=pamenv:A,B" };
	struct options ignored;
	struct options_problem problem;
	char accept[64];
	bool is_taken = false;

	if ((size_t)snprintf(accept, sizeof accept, "accept=%s", word) >= sizeof accept)
		return false;
	for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
		const char *const words[] = { sources[i], accept };

		is_taken = is_taken || options_read(2, words, &ignored, &problem);
	}
	return is_taken;
}

static void check(const struct arguments *arguments, const struct argp_state *state)
{
	if (arguments->has_since || arguments->last.directory)
		argp_error(state, "--since and --journal belong to --last or --id");
	else if (!arguments->asked.service)
		argp_error(state, "--service is missing: at which PAM service?");
	else if (arguments->asked.line && arguments->asked.accept)
		argp_error(state, "--accept chooses among the lines of a stack, and --line is one");
	else if (arguments->asked.accept && !is_kind(arguments->asked.accept))
		argp_error(state,
			"--accept: '%s' is not certificate, fingerprint, key, names or name",
			arguments->asked.accept);
}

/* Where an option goes that is taken as it is; NULL: it is none of these. */
static const char **place_of(struct arguments *arguments, int key)
{
	switch (key) {
	case 's':
		return &arguments->asked.service;
	case 'u':
		return &arguments->asked.user;
	case OPTION_ACCEPT:
		return &arguments->asked.accept;
	case OPTION_LINE:
		return &arguments->asked.line;
	case OPTION_CONFDIR:
		return &arguments->asked.confdir;
	case OPTION_RUN_AS:
		return &arguments->asked.run_as;
	case OPTION_KEY:
		return &arguments->asked.key_path;
	case OPTION_JOURNAL:
		return &arguments->last.directory;
	default:
		return NULL;
	}
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	const char **place = place_of(arguments, key);

	if (place) {
		*place = value;
		return 0;
	}
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 'v':
		arguments->asked.is_verbose = true;
		return 0;
	case OPTION_LAST:
		take_limit(arguments, value, state);
		return 0;
	case OPTION_ID:
		arguments->last.id = value;
		arguments->last.limit = 1;
		arguments->wants_last = true;
		return 0;
	case OPTION_SINCE:
		take_since(arguments, value, state);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "one certificate at a time");
		arguments->asked.certificate = value;
		return 0;
	case ARGP_KEY_END:
		if (arguments->wants_last)
			check_last(arguments, state);
		else
			check(arguments, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.args_doc = "[FILE|FINGERPRINT]",
	.doc = "Says what a login would get, gate by gate, and why.\v"
	       "FILE holds the certificate that the client shows, `-' is the standard input; "
	       "FINGERPRINT is the SHA-256 of one that the database knows, or its first twelve "
	       "digits. Without either, a client that shows none. Nothing is changed. Exit status: "
	       "0 allowed, 1 refused.",
};

enum ctl_status ctl_explain(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = { .ctl = ctl };

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if (arguments.wants_last && !arguments.has_since)
		arguments.last.since_usec = usec_of(when_now() - SINCE_DEFAULT_SEC);
	if (arguments.wants_last)
		return explain_last(ctl, &arguments.last, &arguments.asked);
	return explain_case(ctl, &arguments.asked);
}
