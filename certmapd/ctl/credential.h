/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * credential.h owns what the verbs of the family `credential' share: their options, and the keys at
 * hand.
 */
#pragma once

#include "ctl.h"
#include "seal.h"
#include "store_credential.h"

#define CREDENTIAL_ID_DIGITS (2 * SEAL_KEY_ID_BYTES)

struct credential_arguments {
	struct ctl *ctl;
	const struct credential_verb *verb;
	const char *operand; /* the account or the file; NULL: none was given */
	const char *service; /* NULL: none was given */
	const char *account; /* of --account; NULL: none was given */
	const char *key_path;
	bool is_rotation;
};

/* Does what its arguments say. */
typedef enum ctl_status credential_run(struct credential_arguments *arguments);

credential_run credential_list, credential_rotate, credential_new_key;

/* Reads the key file that the arguments name. CTL_REFUSED: it can't be used, and that has been
 * said, with the remedy. */
WARN_UNUSED enum ctl_status credential_load_keys(const char *path, struct seal_keys **ret);

/* The same, for who can do without: OK with *ret_finding not SEAL_OPENED is said as well. */
WARN_UNUSED enum error credential_find_keys(
	const char *path, struct seal_keys **ret, enum seal_finding *ret_finding);

void credential_free_keys(struct seal_keys **keys);
#define CREDENTIAL_FREE_KEYS __attribute__((cleanup(credential_free_keys)))

/* In lower-case hexadecimal, terminated. */
void credential_print_id(const uint8_t id[SEAL_KEY_ID_BYTES], char ret[CREDENTIAL_ID_DIGITS + 1]);
/* The id of the key that seals. */
void credential_print_key_id(const struct seal_keys *keys, char ret[CREDENTIAL_ID_DIGITS + 1]);

/* "alice in the service proftpd", "alice in every service"; fits CREDENTIAL_WHOSE_BYTES. */
#define CREDENTIAL_WHOSE_BYTES 160u
void credential_print_whose(struct span service, struct span account, char *ret, size_t capacity);

/* Seals `plain` for the service and account of the row, whose `sealed` then points into `sealed`.
 * ERROR_TOO_LARGE, ERROR_MEMORY, ERROR_SYSTEM: *ret_trouble says why. */
WARN_UNUSED enum error credential_seal(const struct seal_keys *keys, struct store_credential *row,
	struct span plain, uint8_t sealed[SEAL_MAX_BYTES], struct store_trouble *ret_trouble);
