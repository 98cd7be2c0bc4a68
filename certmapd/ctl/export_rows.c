/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export_rows.c owns the formats that carry the rows themselves to another database: SQL for the
 * stock shell, which keeps every byte and the schema with them, and JSON for `certmapctl import'.
 */
#include "export.h"

#include "armour.h"
#include "json.h"
#include "migrations.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define DER_SEQUENCE 0x30 /* the first byte of what is not text, X.690 8.9 */

bool export_leaves_out(const struct export *export, const char *column)
{
	return !export->with_uids && strcmp(column, "account_uid") == 0;
}

bool export_read_der(const struct store_row *row, uint8_t *der, size_t capacity, size_t *ret_length)
{
	const struct store_cell *cell = store_row_cell(row, "certificate");
	enum armour_finding finding = ARMOUR_EMPTY;
	int64_t id = 0;

	if (cell && span_is_present(cell->bytes))
		finding = armour_open_stored(cell->bytes, der, capacity, ret_length);
	if (finding == ARMOUR_OPENED)
		return true;
	(void)!store_row_integer(row, "id", &id);
	ctl_warn("warning: mapping %" PRId64 " was left out: %s (--format=sql carries it)", id,
		armour_finding_text(finding));
	return false;
}

/* Rows of a service alone are chosen by its name, the defaults by '*'. */
static bool is_chosen(const struct export *export, const struct store_row *row)
{
	const char *column = row->table == STORE_TABLE_SERVICE ? "name" : "service";

	return !export->service ||
	       span_is_equal(store_row_text(row, column), span_of_string(export->service));
}

/* SQL ----------------------------------------------------------------------------------------- */

static enum error write_statement(const char *sql, void *context)
{
	const struct export *export = context;

	return fprintf(export->out, "%s;\n", sql) < 0 ? ERROR_SYSTEM : OK;
}

/* Bytes that somebody joined with || in a shell are a text to SQLite, of which a literal would lose
 * what follows a NUL. To certmap both are the same. */
static bool is_text_of_bytes(const struct store_cell *cell)
{
	return cell->kind == STORE_CELL_TEXT &&
	       (strcmp(cell->name, "certificate") == 0 || strcmp(cell->name, "content") == 0) &&
	       cell->bytes.length > 0 && cell->bytes.bytes[0] == DER_SEQUENCE;
}

static void drop_columns(const struct export *export, struct store_row *row)
{
	size_t kept = 0;

	for (size_t i = 0; i < row->count; i++) {
		if (export_leaves_out(export, row->cells[i].name))
			continue;
		row->cells[kept] = row->cells[i];
		if (is_text_of_bytes(&row->cells[kept]))
			row->cells[kept].kind = STORE_CELL_BLOB;
		kept++;
	}
	row->count = kept;
}

static enum error write_row(const struct store_row *row, void *context)
{
	struct export *export = context;
	struct store_row kept = *row;
	char *sql STORE_FREE_SQL = NULL;
	enum error error;

	drop_columns(export, &kept);
	export->count += row->table == STORE_TABLE_MAPPING;
	error = store_row_sql(export->store, &kept, &sql, export->trouble);
	return error == OK ? write_statement(sql, export) : error;
}

static enum error write_rows(struct export *export)
{
	enum error error = OK;

	for (size_t i = 0; i < STORE_TABLES && error == OK; i++)
		if (i != STORE_TABLE_CREDENTIAL || export->with_credentials)
			error = store_read_table(export->store, (enum store_table)i, write_row,
				export, export->trouble);
	return error;
}

/* No mapping here ever gets the id that another one had there: logs name it. */
static enum error write_last_ids(struct export *export)
{
	static const enum store_table numbered[] = { STORE_TABLE_MAPPING, STORE_TABLE_TRUST };
	int64_t id;
	enum error error = OK;

	for (size_t i = 0; i < sizeof numbered / sizeof numbered[0] && error == OK; i++) {
		error = store_last_id(export->store, numbered[i], &id, export->trouble);
		if (error == OK && id > 0)
			fprintf(export->out,
				"DELETE FROM sqlite_sequence WHERE name = '%s';\n"
				"INSERT INTO sqlite_sequence VALUES ('%s', %" PRId64 ");\n",
				store_table_name(numbered[i]), store_table_name(numbered[i]), id);
	}
	return error;
}

/* The rows stand before the triggers, as the shell's .dump has them, so that each comes back as it
 * was, whatever a trigger would say to it today. Facts are worked out again, and the history begins
 * anew. */
static enum error write_database(struct export *export)
{
	enum error error;

	fprintf(export->out,
		"-- A certmap database of schema version %u. Read it into a new, empty file:\n"
		"--   sqlite3 new.db < this\n"
		"%s"
		".bail on\n"
		"BEGIN IMMEDIATE;\n"
		"PRAGMA application_id = %d;\n"
		"PRAGMA user_version = %u;\n",
		migration_count,
		export->with_uids
			? ""
			: "-- No mapping in it is bound to a user ID (--uids keeps that); "
			  "`certmapctl verify' says\n-- how to bind them.\n",
		STORE_APPLICATION_ID, migration_count);
	if ((error = store_read_schema(
		     export->store, true, write_statement, export, export->trouble)) != OK ||
		(error = write_rows(export)) != OK || (error = write_last_ids(export)) != OK)
		return error;
	fputs("INSERT INTO pending SELECT id, service FROM mapping;\n", export->out);
	error = store_read_schema(export->store, false, write_statement, export, export->trouble);
	if (error == OK)
		fputs("COMMIT;\nPRAGMA journal_mode = WAL;\n", export->out);
	return error;
}

enum error export_sql(struct export *export)
{
	enum error error = store_begin_read(export->store, export->trouble);

	if (error != OK)
		return error;
	error = write_database(export);
	store_rollback(export->store);
	return error;
}

/* JSON ---------------------------------------------------------------------------------------- */

/* Base64 in one line, to be freed; NULL: out of memory. */
static char *encode(struct span bytes)
{
	char *text = malloc(4 * ((bytes.length + 2) / 3) + 1);

	if (text)
		EVP_EncodeBlock((unsigned char *)text, bytes.bytes, (int)bytes.length);
	return text;
}

struct json_row {
	struct json_field fields[STORE_CELLS_MAX + 1];
	size_t count;
	char *encoded; /* of the one column that holds bytes */
};

static enum error add_field(struct json_row *json, const struct store_cell *cell)
{
	struct json_field *field = &json->fields[json->count++];

	*field = (struct json_field){
		.name = cell->name,
		.is_number = cell->kind == STORE_CELL_INTEGER,
		.number = cell->number,
		.text = cell->kind == STORE_CELL_TEXT ? cell->bytes : (struct span){ 0 },
	};
	if (strcmp(cell->name, "content") != 0 && cell->kind != STORE_CELL_BLOB)
		return OK;
	free(json->encoded);
	if (!(json->encoded = encode(cell->bytes)))
		return ERROR_MEMORY;
	field->text = span_of_string(json->encoded);
	return OK;
}

static enum error add_fields(
	const struct export *export, const struct store_row *row, struct json_row *json)
{
	enum error error = OK;

	json->fields[json->count++] = (struct json_field){
		.name = "object",
		.text = span_of_string(store_table_name(row->table)),
	};
	for (size_t i = 0; i < row->count && error == OK; i++)
		if (!export_leaves_out(export, row->cells[i].name))
			error = add_field(json, &row->cells[i]);
	return error;
}

/* The certificate itself, not the armour that it was stored in. */
static enum error write_object(struct export *export, const struct store_row *row)
{
	struct json_row json = { 0 };
	enum error error = add_fields(export, row, &json);

	if (error == OK) {
		fputs(export->is_begun ? ",\n" : "\n", export->out);
		export->is_begun = true;
		error = json_write(export->out, json.fields, json.count);
	}
	free(json.encoded);
	return error;
}

static enum error take_object(const struct store_row *row, void *context)
{
	static uint8_t der[ARMOUR_DER_MAX_BYTES];
	struct export *export = context;
	struct store_row kept = *row;
	size_t length;

	if (!is_chosen(export, row))
		return OK;
	if (row->table != STORE_TABLE_MAPPING)
		return write_object(export, row);
	if (!export_read_der(row, der, sizeof der, &length))
		return OK;
	export->count++;
	for (size_t i = 0; i < kept.count; i++)
		if (strcmp(kept.cells[i].name, "certificate") == 0) {
			kept.cells[i].kind = STORE_CELL_BLOB;
			kept.cells[i].bytes = span_of(der, length);
		}
	return write_object(export, &kept);
}

enum error export_json(struct export *export)
{
	enum error error = store_begin_read(export->store, export->trouble);

	if (error != OK)
		return error;
	putc('[', export->out);
	for (size_t i = 0; i < STORE_TABLES && error == OK; i++)
		if (i != STORE_TABLE_CREDENTIAL || export->with_credentials)
			error = store_read_table(export->store, (enum store_table)i, take_object,
				export, export->trouble);
	fputs(export->is_begun ? "\n]\n" : "]\n", export->out);
	store_rollback(export->store);
	return error;
}
