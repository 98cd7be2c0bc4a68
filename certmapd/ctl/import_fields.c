/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_fields.c owns the columns that CSV and JSON have for a mapping: their names are those of
 * the table, and all of them come as text.
 */
#include "import.h"

#include "print.h"
#include "when.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UID_MAX 4294967294 /* (uid_t)-1 is nobody's, chown(2) */

struct field {
	struct import *import;
	struct import_row *row;
	const char *column;
	char *text; /* NULL: none */
};

static void refuse_value(const struct field *field, const char *wanted)
{
	char value[64];

	import_refuse(field->row, "%s: '%s' is not %s", field->column,
		print_shown(span_of_string(field->text), value, sizeof value), wanted);
}

static bool is_one_of(const char *text, const char *const words[])
{
	for (size_t i = 0; words[i]; i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	return false;
}

static void take_flag(const struct field *field, struct import_number *ret)
{
	static const char *const yes[] = { "1", "yes", "true", NULL };
	static const char *const no[] = { "0", "no", "false", NULL };

	if (!field->text)
		return;
	if (!is_one_of(field->text, yes) && !is_one_of(field->text, no)) {
		refuse_value(field, "yes or no");
		return;
	}
	*ret = (struct import_number){ .is_given = true, .value = is_one_of(field->text, yes) };
}

static void take_number(
	const struct field *field, int64_t highest, const char *wanted, struct import_number *ret)
{
	struct import_number number = { .is_given = true, .is_null = !field->text };

	if (field->text && !ctl_read_number(field->text, 0, highest, &number.value))
		refuse_value(field, wanted);
	else
		*ret = number;
}

static void take_time(const struct field *field, struct import_number *ret)
{
	struct import_number number = { .is_given = true, .is_null = !field->text };

	if (field->text && !ctl_read_number(field->text, 0, WHEN_MAX_SEC, &number.value) &&
		!when_read(field->text, when_now(), &number.value))
		refuse_value(field, WHEN_FORMS);
	else
		*ret = number;
}

static void take_id(const struct field *field, int64_t *ret)
{
	struct import_number number = { 0 };

	take_number(field, INT64_MAX, "the id of a mapping", &number);
	*ret = number.value;
}

/* The text itself is what the row keeps. */
static void take_name(struct field *field, char **ret)
{
	if (!field->text)
		return;
	free(*ret);
	*ret = field->text;
	field->text = NULL;
}

static void take_certificate(const struct field *field, struct span value)
{
	if (span_is_present(value) && import_set_certificate(field->row, value) != OK)
		field->import->is_short = true;
}

/* Beside the input where the name is relative, so that both can be moved together. To be freed;
 * NULL: out of memory. */
static char *path_beside(const struct import *import, const char *name)
{
	const char *slash = strrchr(import->source, '/');
	const int length = slash ? (int)(slash + 1 - import->source) : 0;
	char *path;

	if (name[0] == '/' || strcmp(import->source, "-") == 0)
		return strdup(name);
	return asprintf(&path, "%.*s%s", length, import->source, name) < 0 ? NULL : path;
}

static void take_certificate_file(const struct field *field)
{
	char *path;

	if (!field->text)
		return;
	path = path_beside(field->import, field->text);
	if (!path || import_read_certificate(field->row, AT_FDCWD, path) != OK)
		field->import->is_short = true;
	free(path);
}

static bool take(struct field *field, struct span value)
{
	struct import_row *row = field->row;
	const char *column = field->column;

	if (strcmp(column, "account") == 0)
		take_name(field, &row->account);
	else if (strcmp(column, "service") == 0)
		take_name(field, &row->service);
	else if (strcmp(column, "note") == 0)
		row->has_note = true, take_name(field, &row->note);
	else if (strcmp(column, "enabled") == 0)
		take_flag(field, &row->enabled);
	else if (strcmp(column, "valid_from") == 0)
		take_time(field, &row->valid_from);
	else if (strcmp(column, "valid_until") == 0)
		take_time(field, &row->valid_until);
	else if (strcmp(column, "staged_until") == 0)
		take_time(field, &row->staged_until);
	else if (strcmp(column, "account_uid") == 0)
		take_number(field, UID_MAX, "a uid", &row->uid);
	else if (strcmp(column, "id") == 0)
		take_id(field, &row->id);
	else if (strcmp(column, "replaces") == 0)
		take_id(field, &row->replaces);
	else if (strcmp(column, "certificate") == 0)
		take_certificate(field, value);
	else if (strcmp(column, "certificate_file") == 0)
		take_certificate_file(field);
	else
		return false;
	return true;
}

bool import_take_field(
	struct import *import, struct import_row *row, const char *column, struct span value)
{
	struct field field = { .import = import, .row = row, .column = column };
	bool is_known;

	if (span_is_present(value) && memchr(value.bytes, '\0', value.length)) {
		import_refuse(row, "%s holds a NUL", column);
		value = (struct span){ 0 };
	}
	if (span_is_present(value) && import_set(&field.text, value) != OK)
		import->is_short = true;
	is_known = take(&field, value);
	free(field.text);
	return is_known;
}
