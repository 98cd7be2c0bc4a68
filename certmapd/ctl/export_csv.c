/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export_csv.c owns the mappings as CSV (RFC 4180), by libcsv: a row for people and spreadsheets,
 * with the columns that `certmapctl import' takes.
 */
#include "export.h"

#include "armour.h"
#include "when.h"

#include <csv.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#define ENCODED_MAX_BYTES (4 * ((ARMOUR_DER_MAX_BYTES + 2) / 3) + 1)

static const char *const columns[] = { "id", "service", "account", "enabled", "replaces",
	"staged_until", "valid_from", "valid_until", "account_uid", "note", "certificate" };
#define COLUMNS (sizeof columns / sizeof columns[0])

static bool is_time(const char *column)
{
	return strcmp(column, "valid_from") == 0 || strcmp(column, "valid_until") == 0 ||
	       strcmp(column, "staged_until") == 0;
}

static void write_text(FILE *out, struct span text)
{
	csv_fwrite(out, text.bytes, text.length);
}

static void write_cell(FILE *out, const struct store_cell *cell)
{
	char text[WHEN_DATE_BYTES + 8];

	if (cell->kind == STORE_CELL_TEXT)
		write_text(out, cell->bytes);
	if (cell->kind != STORE_CELL_INTEGER)
		return;
	if (is_time(cell->name))
		when_date(cell->number, text, sizeof text);
	else
		snprintf(text, sizeof text, "%" PRId64, cell->number);
	write_text(out, span_of_string(text));
}

static void write_certificate(FILE *out, struct span der)
{
	static char text[ENCODED_MAX_BYTES];

	EVP_EncodeBlock((unsigned char *)text, der.bytes, (int)der.length);
	write_text(out, span_of_string(text));
}

static enum error take(const struct store_row *row, void *context)
{
	static uint8_t der[ARMOUR_DER_MAX_BYTES];
	struct export *export = context;
	const struct span service = store_row_text(row, "service");
	const char *separator = "";
	size_t length;

	if (export->service && !span_is_equal(service, span_of_string(export->service)))
		return OK;
	if (!export_read_der(row, der, sizeof der, &length))
		return OK;
	export->count++;
	for (size_t i = 0; i < COLUMNS; i++) {
		if (export_leaves_out(export, columns[i]))
			continue;
		fputs(separator, export->out);
		separator = ",";
		if (strcmp(columns[i], "certificate") == 0)
			write_certificate(export->out, span_of(der, length));
		else if (store_row_cell(row, columns[i]))
			write_cell(export->out, store_row_cell(row, columns[i]));
	}
	fputs("\r\n", export->out); /* RFC 4180 2.1 */
	return ferror(export->out) ? ERROR_SYSTEM : OK;
}

enum error export_csv(struct export *export)
{
	const char *separator = "";

	for (size_t i = 0; i < COLUMNS; i++) {
		if (export_leaves_out(export, columns[i]))
			continue;
		fprintf(export->out, "%s%s", separator, columns[i]);
		separator = ",";
	}
	fputs("\r\n", export->out);
	return store_read_table(export->store, STORE_TABLE_MAPPING, take, export, export->trouble);
}
