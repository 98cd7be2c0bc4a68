/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify.c owns the verb that looks for what is wrong: its arguments, and where it looks. */
#include "ctl.h"

#include "seal.h"
#include "verify_database.h"
#include "verify_report.h"
#include "verify_stacks.h"

#include <errno.h>

struct arguments {
	struct ctl *ctl;
	struct verify verify;
};

enum { OPTION_CONFDIR = 0x100, OPTION_KEY };

static const struct argp_option options[] = {
	{ "confdir", OPTION_CONFDIR, "DIRECTORY", 0, "Read stacks here and not in /etc/pam.d", 0 },
	{ "key", OPTION_KEY, "FILE", 0, "The key of stored credentials, see `credential'", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPTION_CONFDIR:
		arguments->verify.confdir = value;
		return 0;
	case OPTION_KEY:
		arguments->verify.key_path = value;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "there is nothing to name: everything is looked at");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.doc = "Looks for what is wrong, in the database and in the stacks of /etc/pam.d.\v"
	       "Exit status: 0 nothing or warnings alone, 1 an error.",
};

enum ctl_status ctl_verify(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = {
		.ctl = ctl,
		.verify = { .ctl = ctl, .key_path = SEAL_KEY_DEFAULT_PATH },
	};
	struct verify *verify = &arguments.verify;
	const struct store_trouble none = { "" };

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	verify_begin(verify);
	verify_database(verify);
	verify_stacks(verify);
	verify_end(verify);
	if (verify->failure != OK)
		return ctl_fail(ctl, verify->failure, &none);
	return verify->errors > 0 ? CTL_REFUSED : CTL_DONE;
}
