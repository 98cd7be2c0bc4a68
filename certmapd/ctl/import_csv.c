/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_csv.c owns the reading of CSV (RFC 4180), by libcsv. The first row names the columns; a
 * semicolon between them, as spreadsheets of some countries write it, is the separator then.
 */
#include "import.h"

#include "print.h"

#include <csv.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 32u
/* libcsv grows a cell by 128 bytes unless told: of a long one each byte is copied over and over. */
#define CELL_GROWTH_BYTES 65536u
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* with which spreadsheets begin a file */

struct reading {
	struct import *import;
	struct csv_parser parser;
	char *columns[COLUMNS_MAX];
	size_t column_count;
	bool is_past_header;
	size_t record; /* counted from 1, the header's */
	size_t cell;
	struct import_row *row; /* of this record; NULL: nothing of it was read yet */
	char problem[256];      /* "": none */
};

static void take_header_cell(struct reading *reading, struct span value)
{
	if (reading->column_count == COLUMNS_MAX) {
		snprintf(reading->problem, sizeof reading->problem, "more than %u columns",
			COLUMNS_MAX);
		return;
	}
	/* Cut there, it could be another column's name. */
	if (span_is_present(value) && memchr(value.bytes, '\0', value.length)) {
		snprintf(reading->problem, sizeof reading->problem,
			"the name of column %zu holds a NUL: is it UTF-16? Save it as UTF-8",
			reading->column_count + 1);
		return;
	}
	if (import_set(&reading->columns[reading->column_count++],
		    span_is_present(value) ? value : span_of("", 0)) != OK)
		reading->import->is_short = true;
}

static void take_cell(struct reading *reading, struct span value)
{
	const char *column;
	char name[64];

	if (reading->cell >= reading->column_count) {
		import_refuse(reading->row, "more cells than the header has columns");
		return;
	}
	column = reading->columns[reading->cell];
	if (!import_take_field(reading->import, reading->row, column, value))
		snprintf(reading->problem, sizeof reading->problem,
			"there is no column '%s': those of the table mapping of this version are "
			"known, and certificate_file; " IMPORT_OTHER_VERSION,
			print_shown(span_of_string(column), name, sizeof name));
}

/* libcsv's call for each cell; an empty one without quotes is NULL. */
static void end_cell(void *bytes, size_t length, void *context)
{
	struct reading *reading = context;
	const struct span value = span_of(bytes, length);

	if (reading->problem[0] != '\0' || reading->import->is_short)
		return;
	if (!reading->is_past_header) {
		take_header_cell(reading, value);
		return;
	}
	if (!reading->row)
		reading->row = import_add_row(reading->import, "row %zu", reading->record);
	if (!reading->row) {
		reading->import->is_short = true;
		return;
	}
	take_cell(reading, value);
	reading->cell++;
}

static bool has_column(const struct reading *reading, const char *name)
{
	for (size_t i = 0; i < reading->column_count; i++)
		if (strcmp(reading->columns[i], name) == 0)
			return true;
	return false;
}

/* NULL: none stands there twice. */
static const char *find_repeated(const struct reading *reading)
{
	for (size_t i = 0; i < reading->column_count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(reading->columns[i], reading->columns[j]) == 0)
				return reading->columns[i];
	return NULL;
}

static void check_header(struct reading *reading)
{
	const char *repeated = find_repeated(reading);
	char name[64];

	/* What stopped it in the middle says more than what is missing for that. */
	if (reading->problem[0] != '\0')
		return;
	if (repeated)
		snprintf(reading->problem, sizeof reading->problem,
			"the column '%s' stands in the first row twice",
			print_shown(span_of_string(repeated), name, sizeof name));
	else if (!has_column(reading, "account"))
		snprintf(reading->problem, sizeof reading->problem,
			"the first row must name the columns, and `account' is not among them");
	else if (has_column(reading, "certificate") == has_column(reading, "certificate_file"))
		snprintf(reading->problem, sizeof reading->problem,
			"one of the columns `certificate' and `certificate_file' is needed");
}

/* libcsv's call at the end of a record; empty lines make none. */
static void end_record(int terminator, void *context)
{
	struct reading *reading = context;

	(void)terminator;
	reading->record++;
	if (!reading->is_past_header)
		check_header(reading);
	else if (reading->row && reading->cell < reading->column_count)
		import_refuse(reading->row, "fewer cells than the header has columns");
	reading->is_past_header = true;
	reading->row = NULL;
	reading->cell = 0;
}

static size_t skip_mark(const char *bytes, size_t length)
{
	const size_t mark = sizeof BYTE_ORDER_MARK - 1;

	return length >= mark && memcmp(bytes, BYTE_ORDER_MARK, mark) == 0 ? mark : 0;
}

/* The header's line says which of the two stands between its names. */
static void choose_separator(struct reading *reading, const char *bytes, size_t length)
{
	const char *end = memchr(bytes, '\n', length);
	const size_t line = end ? (size_t)(end - bytes) : length;

	if (memchr(bytes, ';', line) && !memchr(bytes, ',', line))
		csv_set_delim(&reading->parser, ';');
}

static bool parse(struct reading *reading, const char *bytes, size_t length)
{
	if (csv_parse(&reading->parser, bytes, length, end_cell, end_record, reading) == length)
		return reading->problem[0] == '\0';
	if (csv_error(&reading->parser) == CSV_EPARSE)
		snprintf(reading->problem, sizeof reading->problem,
			"row %zu is not CSV: a quote stands inside of a cell, or is not closed",
			reading->record);
	else
		reading->import->is_short = true;
	return false;
}

static void read_stream(struct reading *reading, FILE *in)
{
	char bytes[65536];
	size_t length, skipped;
	bool is_first = true;

	while ((length = fread(bytes, 1, sizeof bytes, in)) > 0) {
		skipped = is_first ? skip_mark(bytes, length) : 0;
		if (is_first)
			choose_separator(reading, bytes, length);
		is_first = false;
		if (!parse(reading, bytes + skipped, length - skipped))
			return;
	}
	if (ferror(in))
		snprintf(reading->problem, sizeof reading->problem, "%s", strerror(errno));
	else if (csv_fini(&reading->parser, end_cell, end_record, reading) != 0)
		snprintf(reading->problem, sizeof reading->problem,
			"row %zu is cut short: its quote is not closed", reading->record);
	else if (is_first || !reading->is_past_header)
		snprintf(reading->problem, sizeof reading->problem, "it is empty");
}

enum ctl_status import_csv(struct import *import)
{
	struct reading reading = { .import = import, .record = 1 };
	FILE *in = import_open(import);

	if (!in)
		return CTL_REFUSED;
	if (csv_init(&reading.parser,
		    CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL | CSV_EMPTY_IS_NULL) != 0)
		import->is_short = true;
	else {
		csv_set_blk_size(&reading.parser, CELL_GROWTH_BYTES);
		read_stream(&reading, in);
	}
	csv_free(&reading.parser);
	fclose(in);
	for (size_t i = 0; i < reading.column_count; i++)
		free(reading.columns[i]);
	return reading.problem[0] != '\0' ? import_fail(import, "%s", reading.problem) : CTL_DONE;
}
