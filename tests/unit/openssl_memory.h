/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openssl_memory.h owns OpenSSL's memory in a unit test: which of its allocations fails. */
#pragma once

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>

static struct {
	size_t left; /* allocations, the failing one included; 0: none fails */
	bool is_on;  /* all that follow fail as well */
	bool has_failed;
} openssl_memory;

/* The `n`th allocation from now on fails, and with `is_on` all that follow; 0: none. */
static inline void openssl_memory_fail(size_t n, bool is_on)
{
	openssl_memory.left = n;
	openssl_memory.is_on = is_on;
	openssl_memory.has_failed = false;
}

/* Whether one has failed since. */
static inline bool openssl_memory_has_failed(void)
{
	return openssl_memory.has_failed;
}

static inline bool openssl_memory_is_refused(void)
{
	if (openssl_memory.left == 0 || --openssl_memory.left > 0)
		return false;
	openssl_memory.left = openssl_memory.is_on;
	openssl_memory.has_failed = true;
	return true;
}

static inline void *openssl_memory_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return openssl_memory_is_refused() ? NULL : malloc(size);
}

static inline void *openssl_memory_realloc(void *from, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return openssl_memory_is_refused() ? NULL : realloc(from, size);
}

static inline void openssl_memory_free(void *from, const char *file, int line)
{
	(void)file;
	(void)line;
	free(from);
}

/* To be called before OpenSSL's first allocation: afterwards it hands them over no more. */
static inline bool openssl_memory_take(void)
{
	return CRYPTO_set_mem_functions(
		openssl_memory_malloc, openssl_memory_realloc, openssl_memory_free);
}
