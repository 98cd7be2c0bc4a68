/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openmetrics.c owns the names of the metrics. They are stable: alerts are written against them. */
#include "openmetrics.h"

#include "store_migrate.h"

#include <inttypes.h>
#include <stdio.h>

/* Each line means the same in OpenMetrics 1.0 and in the text format 0.0.4 of the text collector. A
 * family's samples stand together, below its TYPE and HELP. */
static void begin(const char *name, const char *type, const char *help)
{
	printf("# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void print_gauge(const char *name, const char *help, int64_t value)
{
	begin(name, "gauge", help);
	printf("%s %" PRId64 "\n", name, value);
}

/* The words are our own: no quote, backslash or line feed stands in them. */
static void print_counts(
	const char *sample, const char *label, const struct health_count *counts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		printf("%s{%s=\"%s\"} %" PRId64 "\n", sample, label, counts[i].word,
			counts[i].count);
}

static void print_daemon(const struct health_report *report)
{
	if (!report->told.is_told)
		return;
	/* Not of the type info, which older parsers of text refuse with the whole file. */
	begin("certmap_daemon_version", "gauge", "The version of the daemon that answers.");
	printf("certmap_daemon_version{version=\"%.*s\"} 1\n",
		(int)report->told.status.version.length,
		(const char *)report->told.status.version.bytes);
	print_gauge("certmap_start_time_seconds", "When the daemon was started, in Unix seconds.",
		(int64_t)report->told.status.started_sec);
	/* A counter without saying so: the type stands with "certmap_lookups" in OpenMetrics, and
	 * with the whole name for the text collector, which drops what it finds with the other. */
	puts("# HELP certmap_lookups_total Lookups answered since the daemon's start, by reason.");
	print_counts("certmap_lookups_total", "reason", report->reasons, report->reason_count);
}

static void print_database(const struct health_report *report)
{
	print_gauge(
		"certmap_database_usable", "Whether the database can be used.", report->is_usable);
	if (!report->is_usable)
		return;
	print_gauge(
		"certmap_schema_version", "The version of the database's schema.", migration_count);
	begin("certmap_mappings", "gauge", "Mappings by state.");
	print_counts("certmap_mappings", "state", report->states, report->state_count);
	print_gauge("certmap_pending", "Mappings whose certificate nobody has read yet.",
		report->overview.pending);
	if (report->overview.has_not_after)
		print_gauge("certmap_certificate_not_after_seconds",
			"When the first certificate of an enabled mapping ends, in Unix seconds.",
			report->overview.not_after_sec);
}

void openmetrics_print(const struct health_report *report)
{
	print_gauge("certmap_up", "Whether lookups are answered from a usable database.",
		health_is_good(report));
	print_daemon(report);
	print_database(report);
	puts("# EOF");
}
