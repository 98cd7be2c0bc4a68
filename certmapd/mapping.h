/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mapping.h owns the plain picture of one mapping as a lookup sees it: its row, its facts, and how
 * it stands to the service that asks. The store fills it, policy judges it; it knows neither.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MAPPING_ACCOUNT_MAX_BYTES 256u
#define MAPPING_SUBJECT_MAX_BYTES 1024u
#define MAPPING_FINGERPRINT_BYTES 32u

/* For a limit that is not set. */
#define MAPPING_NO_LIMIT INT64_MIN

/* What its chain came to, where the service asks for one. */
enum mapping_trust {
	MAPPING_TRUST_UNKNOWN = 0, /* not looked at yet: never a yes */
	MAPPING_TRUST_NOT_REQUIRED,
	MAPPING_TRUSTED,
	MAPPING_UNTRUSTED,
	MAPPING_WRONG_USAGE,
	MAPPING_REVOKED,
	MAPPING_REVOCATION_UNKNOWN,
};

struct mapping {
	int64_t id;
	char account[MAPPING_ACCOUNT_MAX_BYTES + 1];    /* terminated, checked to hold no NUL */
	uint8_t fingerprint[MAPPING_FINGERPRINT_BYTES]; /* of its certificate */
	bool is_exact;     /* of the service that asks; otherwise of '*' */
	bool is_identical; /* the stored DER equals the presented bytes, compared whole; true where
			    * the evidence is no certificate */
	bool is_hidden;    /* of '*', and the service has a row of its own for this account */
	bool enabled;
	bool is_staged;           /* not enabled, and waits to replace another mapping */
	bool may_replace;         /* the other mapping is the account's and enabled, or no more */
	int64_t staged_until_sec; /* as below */
	enum mapping_trust trust;
	bool has_uid;
	uint32_t uid;
	int64_t valid_from_sec;  /* Unix seconds, UTC; MAPPING_NO_LIMIT: none. */
	int64_t valid_until_sec; /* Both ends belong to the validity, here and below. */
	int64_t not_before_sec;  /* the certificate's own, always there */
	int64_t not_after_sec;
	char subject[MAPPING_SUBJECT_MAX_BYTES + 1]; /* UTF-8, not escaped: decoration */
};

/* So many mappings are looked at for one piece of evidence. A certificate stands once in a scope,
 * so it has two at most; a key or a name that fits more than these is ambiguous anyhow. */
#define MAPPINGS_MAX 8u
