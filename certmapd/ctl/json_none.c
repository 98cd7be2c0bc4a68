/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json_none.c owns the answer of a build without jansson, which is that there is no JSON. */
#include "json.h"

const bool json_is_built = false;

enum error json_write(FILE *out, const struct json_field *fields, size_t count)
{
	(void)out;
	return json_print(fields, count);
}

enum error json_print(const struct json_field *fields, size_t count)
{
	(void)fields;
	(void)count;
	return ERROR_SYSTEM;
}
