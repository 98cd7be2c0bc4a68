/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* import.c owns the verb that brings many mappings in at once: all of them, or none. */
#include "import.h"

#include "edit.h"
#include "print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PER_ACCOUNT_MAX 1000 /* of the schema */

enum {
	OPTION_SYNC = 0x100,
	OPTION_REMOVE_MISSING,
	OPTION_NO_UID,
	OPTION_ENABLE,
	OPTION_LOWER,
	OPTION_LOCATION,
	OPTION_DOMAIN,
	OPTION_PER_ACCOUNT,
};

/* What a build without a library knows the format by. */
static const struct format {
	const char *name, *suffix;
	import_reader *read; /* NULL: this build can't */
	const char *library;
} formats[] = {
	{ "directory", NULL, import_directory, NULL },
#ifdef WITH_CSV
	{ "csv", ".csv", import_csv, "libcsv" },
#else
	{ "csv", ".csv", NULL, "libcsv" },
#endif
#ifdef WITH_JSON
	{ "json", ".json", import_json, "jansson" },
#else
	{ "json", ".json", NULL, "jansson" },
#endif
#ifdef WITH_IIS
	{ "iis", ".config", import_iis, "libxml2" },
#else
	{ "iis", ".config", NULL, "libxml2" },
#endif
};
#define FORMATS "directory, csv, json, iis"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct argp_option options[] = {
	{ "format", 'f', "FORMAT", 0, "What SOURCE is (by its name): " FORMATS, 0 },
	{ "service", 's', "NAME", 0,
		"The PAM service of rows that name none (default: every service)", 0 },
	{ "sync", OPTION_SYNC, NULL, 0,
		"Make the mappings of these services what SOURCE says: change those that differ, "
		"disable those that it does not have",
		0 },
	{ "remove-missing", OPTION_REMOVE_MISSING, NULL, 0,
		"With --sync: remove them instead of disabling them", 0 },
	{ "certificates-per-account", OPTION_PER_ACCOUNT, "N", 0,
		"Let an account have as many certificates in these services", 0 },
	{ "no-uid", OPTION_NO_UID, NULL, 0,
		"Don't bind the mappings to the uids that the accounts have now", 0 },
	{ "quiet", 'q', NULL, 0, "Leave out rows that are just added or unchanged", 0 },
	{ NULL, 0, NULL, 0, "For applicationHost.config of IIS:", 1 },
	{ "location", OPTION_LOCATION, "PATH=SERVICE", 0,
		"The PAM service that stands for a location; PATH empty: the server itself; "
		"SERVICE `-': left out",
		1 },
	{ "domain", OPTION_DOMAIN, "DOMAIN", 0,
		"Users of this domain are accounts of the same name without it", 1 },
	{ "lowercase", OPTION_LOWER, NULL, 0, "Write user names in lower case", 1 },
	{ "enable", OPTION_ENABLE, NULL, 0, "As if the feature were on in every location", 1 },
	{ 0 },
};

static void take_location(struct import *import, char *value, struct argp_state *state)
{
	const char *equals = strrchr(value, '=');

	if (import->location_count == IMPORT_LOCATIONS_MAX)
		argp_error(state, "more than %u locations", IMPORT_LOCATIONS_MAX);
	if (!equals || equals[1] == '\0') {
		argp_error(state, "--location: '%s' is not PATH=SERVICE", value);
		return;
	}
	import->locations[import->location_count++] = (struct import_location){
		.name = value,
		.length = (size_t)(equals - value),
		.service = equals + 1,
	};
}

static void take_domain(struct import *import, const char *value, struct argp_state *state)
{
	if (import->domain_count == IMPORT_DOMAINS_MAX)
		argp_error(state, "more than %u domains", IMPORT_DOMAINS_MAX);
	import->domains[import->domain_count++] = value;
}

static void check_arguments(const struct import *import, struct argp_state *state)
{
	if (!import->source)
		argp_error(state, "the source is missing: a directory, a file, or `-'");
	if (import->removes_missing && !import->is_sync)
		argp_error(state, "--remove-missing belongs to --sync");
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct import *import = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = import->ctl;
		return 0;
	case 'f':
		import->format = value;
		return 0;
	case 's':
		import->service = value;
		return 0;
	case 'q':
		import->is_quiet = true;
		return 0;
	case OPTION_SYNC:
		import->is_sync = true;
		return 0;
	case OPTION_REMOVE_MISSING:
		import->removes_missing = true;
		return 0;
	case OPTION_NO_UID:
		import->is_unbound = true;
		return 0;
	case OPTION_ENABLE:
		import->enables = true;
		return 0;
	case OPTION_LOWER:
		import->lowers = true;
		return 0;
	case OPTION_LOCATION:
		take_location(import, value, state);
		return 0;
	case OPTION_DOMAIN:
		take_domain(import, value, state);
		return 0;
	case OPTION_PER_ACCOUNT:
		if (!ctl_read_number(value, 1, PER_ACCOUNT_MAX, &import->per_account))
			argp_error(state, "--certificates-per-account: '%s' is not 1 to %d", value,
				PER_ACCOUNT_MAX);
		return 0;
	case ARGP_KEY_ARG:
		if (import->source)
			argp_error(state, "too many arguments: '%s'", value);
		import->source = value;
		return 0;
	case ARGP_KEY_END:
		check_arguments(import, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_change_children,
	.args_doc = "SOURCE",
	.doc = "Maps many certificates at once: all of them, or none.\v"
	       "SOURCE is a directory of ACCOUNT.pem (or .cer, .crt, .der, .b64, .p7b), a CSV file "
	       "whose first row names the columns (account, certificate or certificate_file, "
	       "service, "
	       "enabled, valid_from, valid_until, note ...), JSON as `certmapctl export' writes "
	       "it, or applicationHost.config of IIS with its oneToOneMappings. Each row is "
	       "reported. A mapping that is there already is left as it is.",
};

/* The format ---------------------------------------------------------------------------------- */

static bool is_directory(const char *name)
{
	struct stat status;

	return stat(name, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool fits(const struct format *format, const struct import *import)
{
	const char *dot = strrchr(import->source, '.');

	if (import->format)
		return strcmp(import->format, format->name) == 0;
	if (!format->suffix)
		return is_directory(import->source);
	return dot && strcmp(dot, format->suffix) == 0;
}

static bool has_iis_options(const struct import *import)
{
	return import->location_count > 0 || import->domain_count > 0 || import->lowers ||
	       import->enables;
}

static enum ctl_status read_format(const struct format *format, struct import *import)
{
	/* Who asks for lower case and gets what stands there would map names that nobody has. */
	if (strcmp(format->name, "iis") != 0 && has_iis_options(import)) {
		ctl_warn("--location, --domain, --lowercase and --enable belong to the format iis, "
			 "and the source is of the format %s",
			format->name);
		return CTL_USAGE;
	}
	if (format->read)
		return format->read(import);
	ctl_warn("this build can't read the format %s (it was made without %s)", format->name,
		format->library);
	return CTL_REFUSED;
}

static enum ctl_status read_source(struct import *import)
{
	char name[128];

	for (size_t i = 0; i < COUNT(formats); i++)
		if (fits(&formats[i], import))
			return read_format(&formats[i], import);
	if (import->format)
		ctl_warn("unknown format '%s'; there are: " FORMATS,
			print_shown(span_of_string(import->format), name, sizeof name));
	else
		ctl_warn("%s: what is it? --format says so: " FORMATS,
			print_shown(span_of_string(import->source), name, sizeof name));
	return CTL_USAGE;
}

/* The change ---------------------------------------------------------------------------------- */

static enum error set_limit(struct import *import, const char *service)
{
	const struct store_cell name = {
		.name = "name", .kind = STORE_CELL_TEXT, .bytes = span_of_string(service)
	};
	const struct store_cell limit = { .name = "certificates_per_account",
		.kind = STORE_CELL_INTEGER,
		.number = import->per_account };
	struct import_object *object;

	for (size_t i = 0; i < import->object_count; i++)
		if (span_is_equal(store_row_text(&import->objects[i].row, "name"), name.bytes) &&
			store_row_cell(&import->objects[i].row, limit.name))
			return OK;
	object = import_add_object(import, STORE_TABLE_SERVICE, "--certificates-per-account");
	if (!object)
		return ERROR_MEMORY;
	return import_add_cell(object, &name) == OK && import_add_cell(object, &limit) == OK
		       ? OK
		       : ERROR_MEMORY;
}

/* For each service that the rows are of. */
static enum error set_limits(struct import *import)
{
	enum error error = OK;

	for (size_t i = 0; import->per_account > 0 && i < import->row_count && error == OK; i++)
		if (i == 0 || strcmp(import->rows[i].service, import->rows[i - 1].service) != 0)
			error = set_limit(import, import->rows[i].service);
	return error;
}

static enum error change(struct import *import, struct store *store, struct import_plan *plan,
	struct store_trouble *ret_trouble)
{
	enum error error = edit_begin(import->ctl, store, ret_trouble);

	if (error != OK)
		return error;
	error = import_apply(import, store, plan, ret_trouble);
	return edit_end(import->ctl, store, error, ret_trouble);
}

static bool may_retire(const struct import *import, const struct import_plan *plan)
{
	char name[128];

	return plan->missing_count == 0 ||
	       edit_confirm(import->ctl, "%s %zu mappings that %s does not have?",
		       import->removes_missing ? "Remove" : "Disable", plan->missing_count,
		       print_shown(span_of_string(import->source), name, sizeof name));
}

static enum ctl_status run(struct import *import, struct store *store, struct import_plan *plan)
{
	struct store_trouble trouble = { "" };
	enum error error;

	if (import->row_count == 0 && import->is_sync)
		return import_fail(import, "it has no mapping, and --sync would retire them all");
	if ((error = import_plan(import, store, plan, &trouble)) != OK)
		return ctl_fail(import->ctl, error, &trouble);
	if (!may_retire(import, plan))
		return CTL_REFUSED;
	error = change(import, store, plan, &trouble);
	/* Of a long import certmapd reads the rest at its next lookup. */
	if (error == OK && !edit_is_dry(import->ctl))
		error = ctl_settle(store, &trouble);
	/* Told also where it was refused: that is when each row matters most. */
	if (error == OK || error == ERROR_REFUSED) {
		enum error report = import_report(import, plan);

		error = error == OK ? report : error;
	}
	return error == OK ? CTL_DONE : ctl_fail(import->ctl, error, &trouble);
}

enum ctl_status ctl_import(struct ctl *ctl, int argc, char **argv)
{
	struct import import __attribute__((cleanup(import_done))) = { .ctl = ctl };
	struct import_plan plan __attribute__((cleanup(import_plan_done))) = { 0 };
	struct store *store CTL_CLOSE = NULL;
	enum ctl_status status;

	argp_parse(&parser, argc, argv, 0, NULL, &import);
	status = read_source(&import);
	import_end_progress(&import);
	if (status != CTL_DONE)
		return status;
	if (import.is_short || set_limits(&import) != OK) {
		ctl_warn("%s", error_text(ERROR_MEMORY));
		return CTL_REFUSED;
	}
	status = ctl_open(ctl, &store);
	return status == CTL_DONE ? run(&import, store, &plan) : status;
}
