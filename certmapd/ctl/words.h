/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* words.h owns a sentence that grows piece by piece, and how it is shown behind its label. */
#pragma once

#include <stddef.h>

/* The text is the caller's, empty to begin with; what does not fit into it is left out. */
struct words {
	char *text;
	size_t capacity;
	size_t used;
};

__attribute__((format(printf, 2, 3))) void words_say(struct words *words, const char *format, ...);
/* Text that came from outside, see print_shown(). */
void words_say_shown(struct words *words, const char *text);

/* Prints `text` behind a label of `indent` columns, broken at spaces to the width of the terminal;
 * what goes into a file or a pipe stays in one line. */
void words_print(const char *label, unsigned indent, const char *text);
