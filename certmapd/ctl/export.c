/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c owns the verb that writes mappings down for other programs and other servers. */
#include "export.h"

#include "print.h"
#include "replace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MODE_PUBLIC 0644
#define MODE_PRIVATE 0600 /* what may hold sealed credentials is nobody else's business */

static const struct format {
	const char *name;
	export_writer *write; /* NULL: this build can't */
	bool is_private;
	const char *library;
} formats[] = {
	{ "sql", export_sql, true, NULL },
#ifdef WITH_JSON
	{ "json", export_json, true, "jansson" },
#else
	{ "json", NULL, true, "jansson" },
#endif
#ifdef WITH_CSV
	{ "csv", export_csv, true, "libcsv" },
#else
	{ "csv", NULL, true, "libcsv" },
#endif
	{ "stunnel-cafile", export_cafile, false, NULL },
	{ "authorized-keys", export_keys, false, NULL },
};
#define FORMATS "sql, json, csv, stunnel-cafile, authorized-keys"

struct arguments {
	struct export export;
	struct ctl *ctl;
	const struct format *format;
	const char *output;
};

enum { OPTION_UIDS = 0x100, OPTION_CREDENTIALS };

static const struct argp_option options[] = {
	{ "format", 'f', "FORMAT", 0, "What for: " FORMATS, 0 },
	{ "service", 's', "NAME", 0, "What concerns this PAM service (default: all of it)", 0 },
	{ "account", 'a', "NAME", 0, "Whose keys: of the format authorized-keys", 0 },
	{ "uids", OPTION_UIDS, NULL, 0,
		"With the uids that the mappings are bound to: for a server of the same accounts",
		0 },
	{ "credentials", OPTION_CREDENTIALS, NULL, 0,
		"With the sealed credentials: for a server that has the key file too", 0 },
	{ "output", 'o', "FILE", 0, "To this file, which is replaced as a whole", 0 },
	{ 0 },
};

static void take_format(struct arguments *arguments, const char *name, struct argp_state *state)
{
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (strcmp(formats[i].name, name) == 0)
			arguments->format = &formats[i];
	if (!arguments->format)
		argp_error(state, "unknown format '%s'; there are: " FORMATS, name);
	else if (!arguments->format->write)
		argp_error(state, "this build can't write %s (it was made without %s)", name,
			arguments->format->library);
}

static void check_arguments(const struct arguments *arguments, struct argp_state *state)
{
	const struct format *format = arguments->format;
	const bool is_of_keys = format && format->write == export_keys;

	if (!format)
		argp_error(state, "--format is missing; there are: " FORMATS);
	else if (arguments->ctl->json)
		argp_error(state, "--json: the format of an export is what --format says");
	else if (is_of_keys != (arguments->export.account != NULL))
		argp_error(state, "--account belongs to the format authorized-keys, and is needed "
				  "there: such a file lets everybody in who stands in it");
	else if (format->write == export_sql && arguments->export.service)
		argp_error(state, "--service: the format sql is the whole database");
	else if ((format->write != export_sql && format->write != export_json) &&
		 arguments->export.with_credentials)
		argp_error(state, "--credentials belongs to the formats sql and json");
	else if (!format->is_private && arguments->export.with_uids)
		argp_error(state, "--uids belongs to the formats sql, json and csv");
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 'f':
		take_format(arguments, value, state);
		return 0;
	case 's':
		arguments->export.service = value;
		return 0;
	case 'a':
		arguments->export.account = value;
		return 0;
	case 'o':
		arguments->output = value;
		return 0;
	case OPTION_UIDS:
		arguments->export.with_uids = true;
		return 0;
	case OPTION_CREDENTIALS:
		arguments->export.with_credentials = true;
		return 0;
	case ARGP_KEY_END:
		check_arguments(arguments, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.doc = "Writes mappings down for other servers and other programs.\v"
	       "sql is the whole database for the sqlite3 shell, json and csv are for `certmapctl "
	       "import'. Two formats hold only what is in force: stunnel-cafile is the "
	       "certificates in PEM, for CAfile with `verifyPeer = yes', beside `verifyChain = "
	       "yes' and the CAs in CApath; authorized-keys is the keys of one account, for sshd.",
};

/* errno is that of the file. */
static enum ctl_status fail_file(const struct arguments *arguments)
{
	char name[256];
	int failure = errno;

	ctl_warn("%s: %s", print_shown(span_of_string(arguments->output), name, sizeof name),
		strerror(failure));
	return CTL_REFUSED;
}

static enum ctl_status export_to_file(struct arguments *arguments)
{
	struct replacement replacement REPLACE_DONE = { 0 };
	struct export *export = &arguments->export;
	enum error error;

	if (replace_begin(arguments->output,
		    arguments->format->is_private ? MODE_PRIVATE : MODE_PUBLIC, &replacement) != OK)
		return fail_file(arguments);
	export->out = replacement.stream;
	error = arguments->format->write(export);
	if (error == ERROR_SYSTEM)
		return fail_file(arguments);
	if (error != OK)
		return ctl_fail(arguments->ctl, error, export->trouble);
	return replace_commit(&replacement) == OK ? CTL_DONE : fail_file(arguments);
}

static enum ctl_status export_to_stdout(struct arguments *arguments)
{
	struct export *export = &arguments->export;
	enum error error;

	export->out = stdout;
	error = arguments->format->write(export);
	/* What is wrong with stdout is said at the end of the program. */
	if (error == ERROR_SYSTEM && ferror(stdout))
		return CTL_REFUSED;
	return error == OK ? CTL_DONE : ctl_fail(arguments->ctl, error, export->trouble);
}

enum ctl_status ctl_export(struct ctl *ctl, int argc, char **argv)
{
	struct store_trouble trouble = { "" };
	struct arguments arguments = {
		.ctl = ctl,
		.export = { .ctl = ctl, .trouble = &trouble },
	};
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	if ((status = ctl_open(ctl, &store)) != CTL_DONE)
		return status;
	arguments.export.store = store;
	return arguments.output ? export_to_file(&arguments) : export_to_stdout(&arguments);
}
