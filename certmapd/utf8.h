/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* utf8.h owns what is a character in UTF-8 and what is not (RFC 3629). */
#pragma once

#include "span.h"

/* Decodes the character at the start of `text`, which is not empty, and returns its length in
 * bytes. 0: there is none. The shortest form alone counts, no surrogates, nothing past U+10FFFF. */
size_t utf8_read(struct span text, uint32_t *ret_code_point);
