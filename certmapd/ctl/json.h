/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json.h owns JSON for programs. Whether a build has it is the build's choice: json_jansson.c or
 * json_none.c.
 */
#pragma once

#include "errors.h"
#include "span.h"

#include <stdio.h>

/* Without it `--json' is wrong usage, and nothing else here is called. */
extern const bool json_is_built;

struct json_rows;

struct json_field {
	const char *name;
	struct span text; /* not there, and nothing of what follows: null */
	bool is_number;
	int64_t number;
	bool is_flag;                 /* true or false, whether `number` is 1 or 0 */
	const struct json_rows *rows; /* an array of objects; NULL: it is none */
};

/* `count` objects of `width` fields, one behind the other. Borrowed. */
struct json_rows {
	const struct json_field *fields;
	size_t width, count;
};

/* Prints an object of these fields to stdout, in one line without its end. It is ASCII without
 * control characters, so that a terminal takes none of it for a command, and always valid: bytes of
 * `text` that are not UTF-8 stand as U+FFFD. ERROR_MEMORY. */
WARN_UNUSED enum error json_print(const struct json_field *fields, size_t count);
/* The same, to another stream; whether that took it all is for the caller to see. */
WARN_UNUSED enum error json_write(FILE *out, const struct json_field *fields, size_t count);
