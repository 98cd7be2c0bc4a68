/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* import_report.c owns what a person or a program is told about each row of an import. */
#include "import.h"

#include "edit.h"
#include "json.h"
#include "print.h"
#include "table.h"
#include "view.h"

#include <stdio.h>
#include <string.h>

#define CELL_MAX_BYTES 512u

/* A line of the report. */
struct line {
	const char *result, *object, *account, *service, *origin, *detail;
	int64_t id; /* 0: none */
};

static const char *word_result(enum import_result result)
{
	static const char *const texts[IMPORT_RESULTS] = {
		[IMPORT_UNDECIDED] = "undecided",
		[IMPORT_REFUSED] = "refused",
		[IMPORT_ADDED] = "added",
		[IMPORT_CHANGED] = "changed",
		[IMPORT_UNCHANGED] = "unchanged",
		[IMPORT_MISSING] = "missing",
	};

	return texts[result];
}

/* Of what would have been done, had nothing been refused: nothing was. */
static const char *result_text(const struct import_plan *plan, enum import_result result)
{
	if (plan->counts[IMPORT_REFUSED] > 0 && result == IMPORT_ADDED)
		return "not added";
	if (plan->counts[IMPORT_REFUSED] > 0 && result == IMPORT_CHANGED)
		return "not changed";
	return word_result(result);
}

typedef enum error line_taker(const struct line *line, void *context);

static bool is_dull(const struct import *import, enum import_result result)
{
	return import->is_quiet && (result == IMPORT_ADDED || result == IMPORT_UNCHANGED);
}

static enum error tell_rows(const struct import *import, const struct import_plan *plan,
	line_taker *take, void *context)
{
	enum error error = OK;

	for (size_t i = 0; i < import->row_count && error == OK; i++) {
		const struct import_row *row = &import->rows[i];
		const struct line line = { result_text(plan, row->result), "mapping", row->account,
			row->service, row->origin, row->detail, row->mapping_id };

		if (!is_dull(import, row->result) || row->detail)
			error = take(&line, context);
	}
	return error;
}

static enum error tell_objects(const struct import *import, const struct import_plan *plan,
	line_taker *take, void *context)
{
	enum error error = OK;

	for (size_t i = 0; i < import->object_count && error == OK; i++) {
		const struct import_object *object = &import->objects[i];
		const struct store_cell *name = store_row_cell(&object->row, "name");
		const struct store_cell *service = store_row_cell(&object->row, "service");
		const struct store_cell *account = store_row_cell(&object->row, "account");
		char service_text[CELL_MAX_BYTES], account_text[CELL_MAX_BYTES];
		const struct line line = {
			.result = result_text(plan, object->result),
			.object = store_table_name(object->row.table),
			.service = name || service
					   ? print_shown(name ? name->bytes : service->bytes,
						     service_text, sizeof service_text)
					   : NULL,
			.account = account ? print_shown(account->bytes, account_text,
						     sizeof account_text)
					   : NULL,
			.origin = object->origin,
			.detail = object->detail,
		};

		if (!is_dull(import, object->result) || object->detail)
			error = take(&line, context);
	}
	return error;
}

static enum error tell_missing(const struct import *import, const struct import_plan *plan,
	line_taker *take, void *context)
{
	const char *fate = import->removes_missing ? "removed" : "disabled";
	enum error error = OK;

	if (plan->counts[IMPORT_REFUSED] > 0)
		fate = import->removes_missing ? "not removed" : "not disabled";
	for (size_t i = 0; i < plan->missing_count && error == OK; i++) {
		const struct import_missing *missing = &plan->missing[i];
		const struct line line = { "missing", "mapping", missing->account, missing->service,
			NULL, fate, missing->id };

		error = take(&line, context);
	}
	return error;
}

static enum error tell_all(const struct import *import, const struct import_plan *plan,
	line_taker *take, void *context)
{
	enum error error;

	if ((error = tell_objects(import, plan, take, context)) != OK ||
		(error = tell_rows(import, plan, take, context)) != OK ||
		(error = tell_missing(import, plan, take, context)) != OK)
		return error;
	for (size_t i = 0; i < import->note_count && error == OK; i++) {
		const struct line line = { .result = "note",
			.origin = import->notes[i].origin,
			.detail = import->notes[i].text };

		error = take(&line, context);
	}
	return error;
}

/* The table ----------------------------------------------------------------------------------- */

enum column { RESULT, ACCOUNT, SERVICE, ORIGIN, DETAIL, COLUMNS };

static const struct table_column columns[COLUMNS] = {
	[RESULT] = { .name = "RESULT" },
	[ACCOUNT] = { .name = "ACCOUNT" },
	[SERVICE] = { .name = "SERVICE" },
	[ORIGIN] = { .name = "FROM", .is_cuttable = true },
	[DETAIL] = { .name = "WHAT ABOUT IT" },
};

struct listing {
	struct table *table;
	size_t count;
};

static enum error add_to_table(const struct line *line, void *context)
{
	struct listing *listing = context;
	const char *const texts[COLUMNS] = { line->result, line->account, line->service,
		line->origin, line->detail };
	char shown[COLUMNS][CELL_MAX_BYTES];
	const char *values[COLUMNS];

	/* A dash in the widest column of most rows would be noise. */
	for (size_t i = 0; i < COLUMNS; i++)
		values[i] = texts[i] || i != DETAIL ? print_shown(span_of_string(texts[i]),
							      shown[i], sizeof shown[i])
						    : "";
	listing->count++;
	return table_add(listing->table, values);
}

static void summarise(const struct import *import, const struct import_plan *plan)
{
	/* The others were only tried, and the error says what comes of that. */
	if (plan->counts[IMPORT_REFUSED] > 0)
		return;
	printf("%zu added, %zu changed, %zu unchanged", plan->counts[IMPORT_ADDED],
		plan->counts[IMPORT_CHANGED], plan->counts[IMPORT_UNCHANGED]);
	if (import->is_sync)
		printf(", %zu missing", plan->counts[IMPORT_MISSING]);
	puts(edit_is_dry(import->ctl) ? ": nothing was changed, this was a dry run." : ".");
}

static enum error report_table(const struct import *import, const struct import_plan *plan)
{
	struct listing listing = { 0 };
	enum error error = table_new(columns, COLUMNS, &listing.table);

	if (error != OK)
		return error;
	error = tell_all(import, plan, add_to_table, &listing);
	if (error == OK && listing.count > 0)
		error = table_print(listing.table);
	table_free(listing.table);
	if (error == OK)
		summarise(import, plan);
	return error;
}

/* JSON ---------------------------------------------------------------------------------------- */

static enum error print_as_json(const struct line *line, void *context)
{
	size_t *count = context;
	const struct json_field fields[] = {
		{ .name = "result", .text = span_of_string(line->result) },
		{ .name = "object", .text = span_of_string(line->object) },
		{ .name = "id", .is_number = line->id > 0, .number = line->id },
		{ .name = "service", .text = span_of_string(line->service) },
		{ .name = "account", .text = span_of_string(line->account) },
		{ .name = "from", .text = span_of_string(line->origin) },
		{ .name = "detail", .text = span_of_string(line->detail) },
	};

	view_begin_row(count);
	return json_print(fields, sizeof fields / sizeof fields[0]);
}

static enum error report_json(const struct import *import, const struct import_plan *plan)
{
	size_t count = 0;
	enum error error;

	view_begin_array();
	error = tell_all(import, plan, print_as_json, &count);
	view_end_array(count);
	return error;
}

enum error import_report(const struct import *import, const struct import_plan *plan)
{
	if (import->ctl->prints_sql)
		return OK;
	return import->ctl->json ? report_json(import, plan) : report_table(import, plan);
}
