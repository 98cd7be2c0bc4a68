/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz.h owns what the fuzz targets share: how an input is cut into parts, and how a property that
 * does not hold ends the program.
 *
 * A target is one function that libFuzzer calls with millions of inputs, and replay.c with the kept
 * ones. It must not depend on inputs before, nor on random numbers, or a crash can't be had again.
 */
#pragma once

#include "span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where a property must hold: a fuzzer takes the abort for a crash and keeps the input. */
#define MUST(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))
__attribute__((noreturn)) void fuzz_fail(const char *condition, const char *file, int line);

/* What is left of an input. */
struct fuzz_input {
	struct span left;
};

/* 0 where nothing is left. */
uint8_t fuzz_take_byte(struct fuzz_input *input);
/* Eight bytes, big endian; those that are missing are 0. */
uint64_t fuzz_take_u64(struct fuzz_input *input);

/* A part is a length of two bytes, big endian, and so many bytes, or what there is. Parts are
 * copies of exactly their size, so that AddressSanitizer sees a read past the end. */
#define FUZZ_PART __attribute__((cleanup(fuzz_free))) struct span
struct span fuzz_take_part(struct fuzz_input *input);
struct span fuzz_take_rest(struct fuzz_input *input);
struct span fuzz_copy(struct span bytes);
void fuzz_free(struct span *part);

/* A part up to its first NUL, terminated. */
#define FUZZ_STRING __attribute__((cleanup(fuzz_free_string))) char *
char *fuzz_take_string(struct fuzz_input *input);
void fuzz_free_string(char **string);

/* Whether so many bytes lie inside of others. */
bool fuzz_is_inside(struct span inner, struct span outer);
