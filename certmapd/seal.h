/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * seal.h owns the seal of a credential, the optional password that a session gets: AES-256-GCM
 * under a key that is not in the database, over the bytes of the password, bound to its service and
 * account. Whoever reads the database learns nothing from it but that there is one, and whoever
 * writes it can't give one account's password to another.
 *
 * A sealed value, all of it in one run of bytes:
 *
 *   version     1 byte, 1
 *   key id      8 bytes: the first of SHA-256 over "certmap credential key" and the key
 *   nonce       12 bytes, random (NIST SP 800-38D 8.2.2)
 *   ciphertext  a multiple of 64 bytes, see below
 *   tag         16 bytes
 *
 * The plaintext is the length of the password (u16, big endian), the password, and zeros up to the
 * next multiple of 64 bytes, so that the length of a password does not show. The additional
 * authenticated data are "certmap credential", the version, and the service and the account, each
 * behind its length (u16, big endian).
 */
#pragma once

#include "errors.h"
#include "messages.h"
#include "span.h"

#define SEAL_KEY_BYTES 32u
#define SEAL_KEY_ID_BYTES 8u
/* The key in use, and those before it while a rotation is not through. */
#define SEAL_KEYS_MAX 16u
#define SEAL_KEY_FILE_MAX_BYTES 4096u
#define SEAL_PLAIN_MAX_BYTES CREDENTIAL_MAX_BYTES
#define SEAL_MIN_BYTES (1u + 8u + 12u + 64u + 16u)
#define SEAL_MAX_BYTES (1u + 8u + 12u + 1088u + 16u)

/* The name of the key as a credential of systemd, systemd.exec(5), and of the file in the store
 * where systemd looks for it. */
#define SEAL_KEY_NAME "certmap-key"
#define SEAL_KEY_DEFAULT_PATH "/etc/credstore/" SEAL_KEY_NAME

/* What was found. To a lookup everything but SEAL_OPENED is credential-unavailable. */
enum seal_finding {
	SEAL_OPENED = 1,
	SEAL_NO_KEY,          /* there is no key file */
	SEAL_UNSAFE_KEY_FILE, /* not a regular file, not root's or ours, or open to others */
	SEAL_BAD_KEY_FILE,    /* not of the form below */
	SEAL_OTHER_KEY,       /* sealed with a key that is none of ours */
	SEAL_MALFORMED,       /* not a sealed credential of a version that we know */
	SEAL_CHANGED,         /* changed, or sealed for another service or account */
};

/* What is wrong, for people, without a full stop; "" for SEAL_OPENED. Never NULL. */
const char *seal_finding_text(enum seal_finding finding);

/* Everything below that works with a key is called after certificate_init(), which keeps OpenSSL
 * from its configuration file.
 *
 * The keys at hand, 1 to SEAL_KEYS_MAX: the first seals, all of them open. */
struct seal_keys;

/* Reads a key file: lines of 64 hexadecimal digits, one key each, and lines that are empty or begin
 * with '#'. It must be a regular file of root or of our effective uid, which nobody else can write,
 * and none but its group read (systemd gives a service its credentials by ACL, which shows as
 * that).
 *
 * OK: *ret_finding is SEAL_OPENED and *ret the keys, to be freed; or it is one of the first three
 * others, and *ret is untouched. ERROR_MEMORY; ERROR_SYSTEM: errno says why it can't be read. */
WARN_UNUSED enum error seal_keys_load(
	const char *path, struct seal_keys **ret, enum seal_finding *ret_finding);

/* The same for the file SEAL_KEY_NAME in $CREDENTIALS_DIRECTORY, where systemd puts it. SEAL_NO_KEY
 * also where systemd handed over nothing at all. */
WARN_UNUSED enum error seal_keys_load_passed(
	struct seal_keys **ret, enum seal_finding *ret_finding);

/* Wipes them. Accepts NULL. */
void seal_keys_free(struct seal_keys *keys);

/* The id of the key that seals. */
void seal_keys_id(const struct seal_keys *keys, uint8_t ret[SEAL_KEY_ID_BYTES]);

/* The id of the key that sealed a value. False: the value is malformed. */
WARN_UNUSED bool seal_find_key_id(struct span sealed, uint8_t ret[SEAL_KEY_ID_BYTES]);

/* Seals `plain` (1 to SEAL_PLAIN_MAX_BYTES) with the first key. `service` and `account` are those
 * of the row that will hold it. ERROR_TOO_LARGE: a limit, also SERVICE_MAX_BYTES and
 * ACCOUNT_MAX_BYTES; ERROR_MALFORMED: nothing to seal; ERROR_MEMORY; ERROR_SYSTEM: OpenSSL has no
 * random bytes or no AES. */
WARN_UNUSED enum error seal_close(const struct seal_keys *keys, struct span service,
	struct span account, struct span plain, uint8_t ret[SEAL_MAX_BYTES], size_t *ret_length);

/* Opens what stands in the row of `service` and `account`. With NULL keys the finding is
 * SEAL_NO_KEY. OK with SEAL_OPENED: `ret` holds *ret_length bytes of password, which are the
 * caller's to wipe. With any other finding, and on failure, `ret` and *ret_length are untouched.
 * ERROR_MEMORY, ERROR_SYSTEM: as above. */
WARN_UNUSED enum error seal_open(const struct seal_keys *keys, struct span service,
	struct span account, struct span sealed, uint8_t ret[SEAL_PLAIN_MAX_BYTES],
	size_t *ret_length, enum seal_finding *ret_finding);

/* A new key at random, as a line of a key file without its end. Wipe it after use. */
#define SEAL_KEY_LINE_BYTES (2u * SEAL_KEY_BYTES)
WARN_UNUSED enum error seal_make_key_line(char ret[SEAL_KEY_LINE_BYTES + 1]);
