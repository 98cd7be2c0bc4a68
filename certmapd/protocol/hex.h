/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hex.h owns the hexadecimal digits of fingerprints, keys and correlation ids: as they are written,
 * and what one is worth.
 */
#pragma once

#include "span.h"

/* Two lower-case digits for each byte, and a NUL behind. Returns `ret`. */
char *hex_print(struct span bytes, char *ret);

/* 0 to 15, of either case; -1: it is no digit. Not for secrets: the time that it takes tells what
 * it read. */
int hex_digit(uint8_t byte);
