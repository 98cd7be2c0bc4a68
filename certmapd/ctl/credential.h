/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * credential.h owns what the verbs of the family `credential' share: their options, and the keys at
 * hand.
 */
#pragma once

#include "ctl.h"
#include "seal.h"

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

credential_run credential_new_key;

/* Reads the key file that the arguments name. CTL_REFUSED: it can't be used, and that has been
 * said, with the remedy. */
WARN_UNUSED enum ctl_status credential_load_keys(const char *path, struct seal_keys **ret);

void credential_free_keys(struct seal_keys **keys);
#define CREDENTIAL_FREE_KEYS __attribute__((cleanup(credential_free_keys)))

/* In lower-case hexadecimal, terminated. */
void credential_print_id(const uint8_t id[SEAL_KEY_ID_BYTES], char ret[CREDENTIAL_ID_DIGITS + 1]);
