/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_case.h owns what the targets of the import formats share: the input as a file that a
 * reader opens, a file beside it, and what must hold for whatever a reader made of them.
 */
#pragma once

#include "import.h"

#include "fuzz.h"

/* Descriptors that nobody else comes near, so that an input can name the files: a relative name
 * begins beside the input, and so IMPORT_CASE_BESIDE in digits is the other file. */
#define IMPORT_CASE_INPUT 100
#define IMPORT_CASE_BESIDE 101

/* Reads `content`, twice, with what `options` says about it; `beside` is what the file beside it
 * holds. Calls `check`, which may be NULL, for what came of it, and frees all. */
typedef void import_case_check(
	const struct import *import, enum ctl_status status, struct span content);
void import_case_run(import_reader *read, const struct import *options, struct span content,
	struct span beside, import_case_check *check);
