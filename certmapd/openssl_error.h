/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * openssl_error.h owns the one question that we ask OpenSSL's error queue: was memory short?
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
