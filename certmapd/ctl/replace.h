/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replace.h owns files that others read while they are made anew: at every moment the name stands
 * for the old file or for the new one, whole.
 */
#pragma once

#include "errors.h"

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

struct replacement {
	const char *path; /* borrowed */
	char temporary[PATH_MAX];
	FILE *stream; /* to be written to; NULL: there is none */
};

/* Errors are ERROR_SYSTEM, and errno says which way. */

/* Makes an empty file of this mode beside `path`. */
WARN_UNUSED enum error replace_begin(const char *path, mode_t mode, struct replacement *ret);
/* Brings it to the disk and gives it the name. After a failure the old file stands. */
WARN_UNUSED enum error replace_commit(struct replacement *replacement);
/* Removes what was begun and not brought to its end. */
void replace_done(struct replacement *replacement);
#define REPLACE_DONE __attribute__((cleanup(replace_done)))
