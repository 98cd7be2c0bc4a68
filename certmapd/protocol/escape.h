/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * escape.h owns the one form in which text from outside reaches a log, a PAM environment or a
 * terminal: printable ASCII, everything else as \xNN, so that it can't forge a line, a field, a
 * colour or a direction of writing.
 */
#pragma once

#include "span.h"

/* Writes `text` to `buffer` of `capacity` bytes (at least 1), terminated. Bytes outside of 0x20 to
 * 0x7e, the backslash and the double quote become \xNN in lower-case hexadecimal. What does not
 * fit is left out at a whole character and the result ends in "...", where there is room for it.
 * A span that is not there gives "-". Returns `buffer`. */
char *escape_text(struct span text, char *buffer, size_t capacity);
