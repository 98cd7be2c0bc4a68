/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pamstack.h owns what the files in /etc/pam.d say for a service, read as libpam 1.5 reads them:
 * pam.conf(5), Debian's @include, and libpam's own source where the page is silent. libpam has no
 * public function for it.
 *
 * A name is a service's, never a path: nothing outside of the directories is read, except for what
 * a file there includes by its absolute path.
 */
#pragma once

#include "errors.h"

#include <stdbool.h>
#include <stddef.h>

#define PAMSTACK_CODES 32u /* PAM return values, _pam_types.h */

enum pamstack_phase {
	PAMSTACK_AUTH,
	PAMSTACK_ACCOUNT,
	PAMSTACK_SESSION,
	PAMSTACK_PASSWORD,
	PAMSTACK_PHASES,
};

/* What becomes of a return value. A positive number: so many lines are skipped. */
enum pamstack_action {
	PAMSTACK_IGNORE = 0,
	PAMSTACK_OK = -1,
	PAMSTACK_DONE = -2,
	PAMSTACK_BAD = -3,
	PAMSTACK_DIE = -4,
	PAMSTACK_RESET = -5,
};

/* Strings live as long as the stack. */
struct pamstack_line {
	enum pamstack_phase phase;
	const char *file;
	unsigned number;     /* of the line where it begins */
	const char *control; /* as written; without the brackets */
	int actions[PAMSTACK_CODES];
	const char *module; /* as written; NULL: of a substack, or libpam refuses in its place */
	const char *const *argv;
	int argc;
	unsigned level;     /* of substacks */
	bool is_substack;   /* stands for the beginning of one, and calls nothing */
	bool is_optional;   /* "-auth": a module that is not there is no matter */
	const char *broken; /* why no answer of the line is ever a success; NULL: one may be */
};

struct pamstack {
	struct pamstack_line *lines; /* in their order; those of all phases */
	size_t count;
	const char **files; /* that were read */
	size_t file_count;
	/* Why libpam gives up at once, in pam_start(3), and where; NULL: it does not. */
	const char *abort, *abort_file;
	unsigned abort_number;
	bool has_file;                     /* the service has a file of its own */
	bool is_of_other[PAMSTACK_PHASES]; /* the lines come from the file `other' */
	void *text;                        /* what the strings live in */
};

/* Reads the stack of `service`, which libpam takes in lower case. `directory` is where its file and
 * those that it includes are, in the place of /etc/pam.d and, after it, /usr/lib/pam.d (NULL). A
 * file that is not there makes a stack of the file `other', as it does for libpam. ERROR_MEMORY;
 * ERROR_REFUSED: the name can be no file's. */
WARN_UNUSED enum error pamstack_read(
	const char *service, const char *directory, struct pamstack **ret);
void pamstack_free(struct pamstack *stack);

/* Whether a line calls this module, "pam_unix.so", wherever it lies. */
bool pamstack_calls(const struct pamstack_line *line, const char *module);

/* The word of a return value in a control, "auth_err"; "?" of a number that is none. */
const char *pamstack_code_word(int code);

/* What a module returns at a line that has one. */
typedef int pamstack_answer(const struct pamstack_line *line, void *context);

/* The code that libpam makes of a phase where its modules answer so. */
WARN_UNUSED int pamstack_run(const struct pamstack *stack, enum pamstack_phase phase,
	pamstack_answer *answer, void *context);
