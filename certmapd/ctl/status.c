/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status.c owns the verb that shows how the daemon and its database are, in words and as JSON. */
#include "health.h"
#include "json.h"
#include "openmetrics.h"
#include "options.h"
#include "paint.h"
#include "print.h"
#include "store_migrate.h"
#include "when.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct arguments {
	struct ctl *ctl;
	const char *socket_path;
	bool wants_metrics;
};

enum { OPTION_SOCKET = 0x100, OPTION_METRICS };

static const struct argp_option options[] = {
	{ "socket", OPTION_SOCKET, "PATH", 0, "The daemon's socket (" OPTIONS_SOCKET_PATH ")", 0 },
	{ "openmetrics", OPTION_METRICS, NULL, 0, "Print metrics for Prometheus", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPTION_SOCKET:
		arguments->socket_path = value;
		return 0;
	case OPTION_METRICS:
		arguments->wants_metrics = true;
		return 0;
	case ARGP_KEY_END:
		if (arguments->wants_metrics && arguments->ctl->json)
			argp_error(state, "--openmetrics and --json are two forms of one answer");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.options = options,
	.parser = parse,
	.children = ctl_children,
	.doc = "Shows how the daemon and the database are.\v"
	       "Only root hears the daemon's own counts. Asking starts the daemon where systemd "
	       "holds its socket. Exit status: 0 if lookups are answered from a usable database, "
	       "1 if not.",
};

/* Words ------------------------------------------------------------------------------------ */

static void print_label(const char *label)
{
	printf("%-10s", label);
}

static void print_finding(const char *label, bool is_good, const char *word, const char *rest)
{
	print_label(label);
	paint_words(stdout, is_good ? PAINT_GOOD : PAINT_BAD, word);
	printf("%s%s\n", rest[0] ? ", " : "", rest);
}

static void print_socket(const struct health_report *report)
{
	char shown[300], words[400];

	print_shown(span_of_string(report->socket_path), shown, sizeof shown);
	snprintf(words, sizeof words, "%s%s%s", shown, report->socket_problem ? " " : "",
		report->socket_problem ? report->socket_problem
				       : ", root:" CTL_CLIENTS_GROUP ", mode 0660");
	print_finding(
		"socket", !report->socket_problem, report->socket_problem ? "wrong" : "ok", words);
}

static void print_daemon(const struct health_report *report)
{
	const struct status *status = &report->told.status;
	char since[WHEN_DATE_BYTES], relative[WHEN_RELATIVE_BYTES], words[400];

	if (!report->told.is_told) {
		print_finding("daemon", report->is_reachable,
			report->is_reachable   ? "running"
			: report->is_forbidden ? "not known"
					       : "down",
			report->daemon_problem);
		return;
	}
	snprintf(words, sizeof words, "version %.*s, process %" PRIu32 ", since %s UTC (%s)%s",
		(int)status->version.length, (const char *)status->version.bytes, status->pid,
		when_date((int64_t)status->started_sec, since, sizeof since),
		when_relative((int64_t)status->started_sec, when_now(), relative, sizeof relative),
		status->is_usable ? "" : ": it can't use its database, see its log");
	print_finding("daemon", status->is_usable, "running", words);
}

static void print_database(const struct ctl *ctl, const struct health_report *report)
{
	char shown[CTL_TROUBLE_BYTES];

	print_finding("database", report->is_usable, report->is_usable ? "usable" : "not usable",
		ctl_show_trouble(
			report->is_usable ? ctl->database : report->database_problem, shown));
	if (report->has_file) {
		print_label("");
		printf("%" PRId64 " KiB, and %" PRId64 " KiB not yet merged into it, uid %u, mode "
		       "%04o\n",
			(int64_t)(report->file.st_size + 1023) / 1024,
			(report->log_bytes + 1023) / 1024, (unsigned)report->file.st_uid,
			(unsigned)report->file.st_mode & 07777);
	}
	if (report->is_usable) {
		print_label("schema");
		printf("version %u\n", migration_count);
	}
}

/* Those that are 0 say nothing to a person. */
static void print_counts(const char *label, const struct health_count *counts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (counts[i].count > 0) {
			print_label(label);
			printf("%10" PRId64 "  %s\n", counts[i].count, counts[i].word);
			label = "";
		}
	if (label[0]) {
		print_label(label);
		printf("%10d  none\n", 0);
	}
}

static void print_words_of(const struct ctl *ctl, const struct health_report *report)
{
	print_socket(report);
	print_daemon(report);
	print_database(ctl, report);
	if (report->is_usable) {
		print_counts("mappings", report->states, report->state_count);
		print_label("pending");
		printf("%10" PRId64 "%s\n", report->overview.pending,
			report->overview.pending > 0
				? "  certificates that the next lookup reads first"
				: "");
	}
	if (report->told.is_told)
		print_counts("lookups", report->reasons, report->reason_count);
}

/* JSON ------------------------------------------------------------------------------------- */

#define COUNTS_MAX (HEALTH_STATES_MAX + HEALTH_REASONS_MAX)

struct fields {
	struct json_field list[COUNTS_MAX + 24];
	size_t count;
	char names[COUNTS_MAX][HEALTH_WORD_BYTES + 16];
	size_t name_count;
};

static void add_text(struct fields *fields, const char *name, struct span text)
{
	fields->list[fields->count++] = (struct json_field){ .name = name, .text = text };
}

static void add_number(struct fields *fields, const char *name, bool is_known, int64_t number)
{
	fields->list[fields->count++] =
		(struct json_field){ .name = name, .is_number = is_known, .number = number };
}

/* "lookups.allowed": a flat object, since one line of `jq' finds it as well. */
static void add_counts(
	struct fields *fields, const char *prefix, const struct health_count *counts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *name = fields->names[fields->name_count++];

		snprintf(name, sizeof fields->names[0], "%s.%s", prefix, counts[i].word);
		add_number(fields, name, true, counts[i].count);
	}
}

static enum error print_json(const struct ctl *ctl, const struct health_report *report)
{
	const struct status *status = &report->told.status;
	const bool is_told = report->told.is_told;
	char since[WHEN_DATE_BYTES];
	struct fields fields = { .count = 0 };
	enum error error;

	add_number(&fields, "healthy", true, health_is_good(report));
	add_text(&fields, "socket", span_of_string(report->socket_path));
	add_text(&fields, "socket_problem", span_of_string(report->socket_problem));
	add_number(&fields, "reachable", true, report->is_reachable);
	add_text(&fields, "daemon_problem",
		span_of_string(report->daemon_problem[0] ? report->daemon_problem : NULL));
	add_text(&fields, "version", is_told ? status->version : (struct span){ 0 });
	add_number(&fields, "pid", is_told, status->pid);
	add_text(&fields, "started",
		span_of_string(
			is_told ? when_date((int64_t)status->started_sec, since, sizeof since)
				: NULL));
	add_text(&fields, "database", span_of_string(ctl->database));
	add_number(&fields, "database_usable", true, report->is_usable);
	add_text(&fields, "database_problem",
		span_of_string(report->is_usable ? NULL : report->database_problem));
	add_number(&fields, "database_bytes", report->has_file, report->file.st_size);
	add_number(&fields, "schema_version", report->is_usable, migration_count);
	add_number(&fields, "pending", report->is_usable, report->overview.pending);
	add_counts(&fields, "mappings", report->states, report->state_count);
	add_counts(&fields, "lookups", report->reasons, report->reason_count);
	if ((error = json_print(fields.list, fields.count)) == OK)
		putchar('\n');
	return error;
}

enum ctl_status ctl_status_verb(struct ctl *ctl, int argc, char **argv)
{
	static struct health_report report;
	struct arguments arguments = { .ctl = ctl, .socket_path = OPTIONS_SOCKET_PATH };
	const struct store_trouble trouble = { "" };
	enum error error = OK;

	argp_parse(&parser, argc, argv, 0, NULL, &arguments);
	health_look(ctl, arguments.socket_path, &report);
	if (arguments.wants_metrics)
		openmetrics_print(&report);
	else if (ctl->json)
		error = print_json(ctl, &report);
	else
		print_words_of(ctl, &report);
	if (error != OK)
		return ctl_fail(ctl, error, &trouble);
	return health_is_good(&report) ? CTL_DONE : CTL_REFUSED;
}
