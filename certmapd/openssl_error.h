/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * openssl_error.h owns what we ask OpenSSL's error queue: was it memory, or was it the input?
 *
 * A certificate must not be called bad because the machine was out of memory for a moment; what
 * else OpenSSL complains about is told in words of our own.
 */
#pragma once

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdbool.h>

/* More than any single structure here needs. */
#define OPENSSL_ERROR_PROBE_BYTES 65536u

/* Empties the queue. Also tries for itself, because not every function of OpenSSL says that it is
 * memory that was short. */
static inline bool openssl_error_is_memory(void)
{
	void *probe = OPENSSL_malloc(OPENSSL_ERROR_PROBE_BYTES);
	bool is_memory = probe == NULL;
	unsigned long code;

	OPENSSL_free(probe);
	while ((code = ERR_get_error()) != 0)
		if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
			is_memory = true;
	return is_memory;
}

/* After something could not be read: is that its own fault? OpenSSL names what it dislikes, but 3.5
 * may fail for want of memory with nothing in its queue but the parts of the library that the
 * failure passed through, which are common codes. Empties the queue. */
static inline bool openssl_error_is_fault(void)
{
	bool is_memory = false, is_named = false;
	unsigned long code;

	while ((code = ERR_get_error()) != 0) {
		is_memory = is_memory || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
		is_named = is_named || !ERR_COMMON_ERROR(code);
	}
	return is_named && !is_memory;
}
