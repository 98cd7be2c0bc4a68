/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_kin.h owns the reads for a person who wonders why a certificate was not accepted: the
 * mappings that are near to it, and the certificates that were mapped once. Nothing of it decides.
 */
#pragma once

#include "store.h"

/* In the order of nearness. */
enum store_kinship {
	STORE_KIN_CERTIFICATE, /* holds this very certificate, usable or not */
	STORE_KIN_KEY,         /* another certificate of the same key */
	STORE_KIN_NAMES,       /* another certificate of the same subject and issuer */
	STORE_KIN_ACCOUNT,     /* the account's own, in a scope that the service can see */
};

/* Borrowed; what is not there is not asked for. */
struct store_kin_question {
	struct span fingerprint, key_fingerprint; /* digests, STORE_FINGERPRINT_BYTES */
	struct span subject, issuer;              /* as certificate_facts prints them */
	struct span service, account;
};

/* Strings are lent out for the call. */
struct store_kin {
	enum store_kinship kinship;
	int64_t id;
	const char *service, *account;
	const char *problem; /* NULL: none */
	bool enabled, is_staged;
	int64_t not_before_sec; /* 0 where it is not known */
	int64_t hidden_by;      /* the mapping of the service that hides this one of '*'; 0: none */
};

typedef enum error store_kin_taker(const struct store_kin *kin, void *context);

/* Hands over up to `limit` of them, the nearest first. */
WARN_UNUSED enum error store_list_kin(struct store *store,
	const struct store_kin_question *question, int limit, store_kin_taker *take, void *context,
	struct store_trouble *ret_trouble);

/* A certificate that a change took away, as it was stored. Lent out for the call. */
struct store_former {
	int64_t history_id, mapping_id, at_sec;
	const char *who; /* NULL: a shell */
	const char *service, *account;
	bool was_deleted; /* with its mapping; else it was replaced in it */
	struct span certificate;
};

/* *ret_more false ends the reading. */
typedef enum error store_former_taker(
	const struct store_former *former, void *context, bool *ret_more);

/* Hands them over, the newest first. */
WARN_UNUSED enum error store_list_former(struct store *store, store_former_taker *take,
	void *context, struct store_trouble *ret_trouble);

/* The DER whose SHA-256 begins with `prefix`, lower-case hexadecimal digits, of whatever mapping
 * has worked-out facts. *ret_count: how many different ones there are; *ret_length and `der` are
 * set where it is 1. ERROR_MALFORMED: it is longer than `capacity`. */
WARN_UNUSED enum error store_find_der(struct store *store, const char *prefix, uint8_t *der,
	size_t capacity, size_t *ret_length, int64_t *ret_count, struct store_trouble *ret_trouble);
