/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_json.c owns the reading of what `export --format=json' writes, by jansson: an array of
 * objects, each a row of the table that its member "object" names. They are read one by one, so
 * that a long file never stands in memory as a whole.
 */
#include "import.h"

#include "base64.h"
#include "print.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The schema takes revocation lists of as much. */
#define CONTENT_MAX_BYTES (16u << 20)

struct reading {
	struct import *import;
	FILE *in;
	size_t count; /* of the objects, for people */
	bool has_nul;
};

static enum ctl_status fail(const struct reading *reading, const char *what)
{
	return import_fail(reading->import, "object %zu: %s", reading->count, what);
}

/* The next byte that is no white space (RFC 8259 2); EOF. */
static int next_byte(FILE *in)
{
	int byte;

	do
		byte = getc(in);
	while (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r');
	return byte;
}

/* Whether a value of JSON can be a column; *ret_text is good until the next call. */
static bool read_value(const json_t *value, struct span *ret_text)
{
	static char number[24];

	switch (json_typeof(value)) {
	case JSON_NULL:
		*ret_text = (struct span){ 0 };
		return true;
	case JSON_TRUE:
	case JSON_FALSE:
		*ret_text = span_of_string(json_is_true(value) ? "1" : "0");
		return true;
	case JSON_INTEGER:
		snprintf(number, sizeof number, "%" PRId64, (int64_t)json_integer_value(value));
		*ret_text = span_of_string(number);
		return true;
	case JSON_STRING:
		*ret_text = span_of(json_string_value(value), json_string_length(value));
		return true;
	case JSON_OBJECT:
	case JSON_ARRAY:
	case JSON_REAL:
		break;
	}
	return false;
}

static enum ctl_status refuse_value(const struct reading *reading, const char *name)
{
	char shown[64], text[160];

	snprintf(text, sizeof text, "'%s' is of a type that no column has",
		print_shown(span_of_string(name), shown, sizeof shown));
	return fail(reading, text);
}

/* Left out, it might have said that the mapping counts less than it would without: what is newer
 * than the code is refused. */
static enum ctl_status refuse_column(const struct reading *reading, const char *name)
{
	char shown[64], text[256];

	snprintf(text, sizeof text,
		"the table mapping of this version has no column '%s': " IMPORT_OTHER_VERSION,
		print_shown(span_of_string(name), shown, sizeof shown));
	return fail(reading, text);
}

static enum ctl_status take_mapping(struct reading *reading, json_t *object)
{
	struct import_row *row = import_add_row(reading->import, "object %zu", reading->count);
	const char *name;
	struct span text;
	json_t *value;

	if (!row) {
		reading->import->is_short = true;
		return CTL_DONE;
	}
	json_object_foreach(object, name, value)
	{
		if (strcmp(name, "object") == 0)
			continue;
		if (!read_value(value, &text))
			return refuse_value(reading, name);
		if (!import_take_field(reading->import, row, name, text))
			return refuse_column(reading, name);
	}
	return CTL_DONE;
}

/* Bytes stand in JSON as base64; which columns hold bytes is known by their names. */
static bool is_binary(const char *column)
{
	return strcmp(column, "content") == 0 || strcmp(column, "sealed") == 0;
}

static bool read_cell(const char *name, const json_t *value, struct store_cell *ret)
{
	static uint8_t decoded[CONTENT_MAX_BYTES];
	struct span text;
	size_t length;

	*ret = (struct store_cell){ .name = name, .kind = STORE_CELL_NULL };
	if (!read_value(value, &text))
		return false;
	if (json_is_integer(value) || json_is_boolean(value)) {
		ret->kind = STORE_CELL_INTEGER;
		ret->number = json_is_true(value) ? 1 : json_integer_value(value);
	} else if (span_is_present(text) && is_binary(name)) {
		if (base64_decode(text, BASE64_PADDED, decoded, sizeof decoded, &length) !=
				BASE64_DECODED ||
			length == 0)
			return false;
		ret->kind = STORE_CELL_BLOB;
		ret->bytes = span_of(decoded, length);
	} else if (span_is_present(text)) {
		ret->kind = STORE_CELL_TEXT;
		ret->bytes = text;
	}
	return true;
}

static enum ctl_status take_object(struct reading *reading, json_t *json, enum store_table table)
{
	struct import_object *object;
	struct store_cell cell;
	const char *name;
	char origin[32];
	json_t *value;

	snprintf(origin, sizeof origin, "object %zu", reading->count);
	if (!(object = import_add_object(reading->import, table, origin))) {
		reading->import->is_short = true;
		return CTL_DONE;
	}
	json_object_foreach(json, name, value)
	{
		/* Numbers of rows are given anew. */
		if (strcmp(name, "object") == 0 || strcmp(name, "id") == 0)
			continue;
		if (!read_cell(name, value, &cell))
			return refuse_value(reading, name);
		if (object->row.count == STORE_CELLS_MAX)
			return fail(reading, "it has more members than any table has columns");
		if (import_add_cell(object, &cell) != OK)
			reading->import->is_short = true;
	}
	return CTL_DONE;
}

static enum ctl_status take_row(struct reading *reading, json_t *object)
{
	const json_t *kind = json_object_get(object, "object");
	enum store_table table = STORE_TABLE_MAPPING;

	if (!json_is_object(object))
		return fail(reading, "it is none, but the array must hold nothing else");
	if (kind && (!json_is_string(kind) || !store_table_of(span_of(json_string_value(kind),
								      json_string_length(kind)),
						      &table)))
		return fail(reading,
			"its \"object\" names no table that this version knows "
			"(mapping, service, trust, credential): " IMPORT_OTHER_VERSION);
	return table == STORE_TABLE_MAPPING ? take_mapping(reading, object)
					    : take_object(reading, object, table);
}

/* A byte at a time, as json_loadf() would take them, so that it takes none behind the object. But
 * jansson 2.14 loses a NUL behind a number, true, false or null, and goes on as if there were
 * none. */
static size_t give_byte(void *buffer, size_t capacity, void *context)
{
	struct reading *reading = context;
	const int byte = getc(reading->in);

	(void)capacity;
	if (byte == '\0')
		reading->has_nul = true;
	if (byte == '\0' || byte == EOF)
		return 0;
	*(char *)buffer = (char)byte;
	return 1;
}

static enum ctl_status read_object(struct reading *reading)
{
	json_error_t trouble;
	json_t *object = json_load_callback(
		give_byte, reading, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &trouble);
	enum ctl_status status;
	char text[JSON_ERROR_TEXT_LENGTH + 1];

	reading->count++;
	if (!object && reading->has_nul)
		return fail(reading, "a NUL stands in it, which JSON does not have");
	if (!object)
		return fail(reading, print_shown(span_of_string(trouble.text), text, sizeof text));
	status = take_row(reading, object);
	json_decref(object);
	return status;
}

static enum ctl_status read_array(struct reading *reading)
{
	int byte = next_byte(reading->in);

	if (byte != '[')
		return import_fail(reading->import,
			"it is no JSON array of objects, as `certmapctl export --format=json' "
			"writes it");
	if ((byte = next_byte(reading->in)) != ']')
		ungetc(byte, reading->in);
	while (byte != ']') {
		if (read_object(reading) != CTL_DONE)
			return CTL_REFUSED;
		byte = next_byte(reading->in);
		if (byte != ',' && byte != ']')
			return import_fail(reading->import,
				"it is cut short, or no JSON, behind object %zu", reading->count);
	}
	if (next_byte(reading->in) != EOF)
		return import_fail(reading->import, "something follows after the array");
	return CTL_DONE;
}

enum ctl_status import_json(struct import *import)
{
	struct reading reading = { .import = import, .in = import_open(import) };
	enum ctl_status status;

	if (!reading.in)
		return CTL_REFUSED;
	status = read_array(&reading);
	fclose(reading.in);
	return status;
}
