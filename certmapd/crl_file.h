/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crl_file.h owns a revocation list as somebody stores it: what comes off before the DER, and what
 * people are told about it. What it means for a certificate is crl.h's.
 */
#pragma once

#include "certificate.h"

/* RFC 5280 5.2.3: at most 20 octets, in hexadecimal. */
#define CRL_NUMBER_MAX_BYTES 41u

struct crl_facts {
	char issuer[CERTIFICATE_NAME_MAX_BYTES]; /* RFC 4514, UTF-8, not escaped for a terminal */
	/* The same for two lists of which the newer one replaces the older: of one issuer, key
	 * (RFC 5280 5.2.1) and scope (5.2.5). */
	uint8_t source[FINGERPRINT_BYTES];
	char number[CRL_NUMBER_MAX_BYTES]; /* hexadecimal, without zeros in front; "": none */
	int64_t this_update_sec;
	bool has_next_update;
	int64_t next_update_sec; /* it is stale after this second */
	size_t entry_count;
};

/* Finds the DER in `content`, which is DER, or PEM of one list (RFC 7468 6) and of nothing else.
 * *ret points into `content`, or at *ret_room, which is the caller's to crl_file_free().
 * OK with *ret_problem a sentence for people: it is neither. ERROR_MEMORY. */
WARN_UNUSED enum error crl_file_open(
	struct span content, struct span *ret, uint8_t **ret_room, const char **ret_problem);
void crl_file_free(uint8_t **room);
#define CRL_FILE_FREE __attribute__((cleanup(crl_file_free)))

/* Opens and reads it. OK with *ret_problem a sentence: it is no list that can be used. */
WARN_UNUSED enum error crl_file_read(
	struct span content, struct crl_facts *ret, const char **ret_problem);

/* Whether `one` was made before `other`, by its number or by its date. */
bool crl_file_is_older(const struct crl_facts *one, const struct crl_facts *other);
