/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json_jansson.c owns the use of jansson, which refuses what is not UTF-8. */
#include "json.h"

#include "utf8.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define DELETE 0x7f

const bool json_is_built = true;

/* The first character, or U+FFFD for a byte that begins none; *ret_taken bytes stood for it. */
static struct span sound_character(struct span text, size_t *ret_taken)
{
	uint32_t code_point;
	size_t length = utf8_read(text, &code_point);

	*ret_taken = length > 0 ? length : 1;
	return length > 0 ? span_of(text.bytes, length) : span_of_string(REPLACEMENT);
}

/* The text with U+FFFD for each byte that belongs to no character; NULL: out of memory. */
static json_t *mend_string(struct span text)
{
	char *mended = malloc(text.length * (sizeof REPLACEMENT - 1) + 1);
	size_t used = 0, taken;
	json_t *string;

	if (!mended)
		return NULL;
	for (size_t at = 0; at < text.length; at += taken) {
		struct span character =
			sound_character(span_of(text.bytes + at, text.length - at), &taken);

		memcpy(mended + used, character.bytes, character.length);
		used += character.length;
	}
	string = json_stringn(mended, used);
	free(mended);
	return string;
}

static enum error make_object(const struct json_field *fields, size_t count, json_t **ret);

/* NULL: out of memory. */
static json_t *make_array(const struct json_rows *rows)
{
	json_t *array = json_array(), *object;

	for (size_t i = 0; array && i < rows->count; i++)
		if (make_object(rows->fields + i * rows->width, rows->width, &object) != OK ||
			json_array_append_new(array, object) != 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *make_value(const struct json_field *field)
{
	json_t *string;

	if (field->rows)
		return make_array(field->rows);
	if (field->is_flag)
		return json_boolean(field->number != 0);
	if (field->is_number)
		return json_integer(field->number);
	if (!span_is_present(field->text))
		return json_null();
	string = json_stringn((const char *)field->text.bytes, field->text.length);
	return string ? string : mend_string(field->text);
}

static enum error make_object(const struct json_field *fields, size_t count, json_t **ret)
{
	json_t *object = json_object();

	if (!object)
		return ERROR_MEMORY;
	for (size_t i = 0; i < count; i++)
		if (json_object_set_new(object, fields[i].name, make_value(&fields[i])) != 0) {
			json_decref(object);
			return ERROR_MEMORY;
		}
	*ret = object;
	return OK;
}

/* JSON_ENSURE_ASCII takes DEL for an ordinary character. It can stand in a string alone, where the
 * escape means the same. Whether stdout took it all is seen at the end of the program. */
static int write_escaped(const char *text, size_t length, void *context)
{
	FILE *out = context;

	for (size_t i = 0; i < length; i++)
		if (text[i] == DELETE)
			fputs("\\u007f", out);
		else
			putc(text[i], out);
	return 0;
}

enum error json_print(const struct json_field *fields, size_t count)
{
	return json_write(stdout, fields, count);
}

enum error json_write(FILE *out, const struct json_field *fields, size_t count)
{
	json_t *object;
	enum error error = make_object(fields, count, &object);

	if (error != OK)
		return error;
	if (json_dump_callback(object, write_escaped, out, JSON_ENSURE_ASCII) != 0)
		error = ERROR_MEMORY;
	json_decref(object);
	return error;
}
