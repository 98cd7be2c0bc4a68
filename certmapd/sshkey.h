/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sshkey.h owns the way from an SSH public key to the SubjectPublicKeyInfo that an X.509
 * certificate holds for the same key. It rewrites bytes and never decodes a key: the bytes are the
 * client's, and decoding them is what hostile keys attack.
 */
#pragma once

#include "errors.h"
#include "span.h"

#define SSHKEY_MAX_BYTES 4096u /* of a SubjectPublicKeyInfo: RSA with 16,384 bits has 2.1 KB */

/* Reads what sshd hands over in SSH_AUTH_INFO_0 (sshd_config(5), ExposeAuthInfo): lines, of which
 * exactly one says "publickey TYPE BASE64". A key line, "TYPE BASE64 [comment]", does as well.
 * Types: ssh-rsa, ecdsa-sha2-nistp256/384/521, ssh-ed25519. A certificate of OpenSSH's own is none.
 *
 * Writes the DER of the SubjectPublicKeyInfo to `der`, whose content after a refusal means nothing.
 * False: malformed, of another type, or larger than SSHKEY_MAX_BYTES. */
WARN_UNUSED bool sshkey_read(struct span text, uint8_t der[SSHKEY_MAX_BYTES], size_t *ret_length);
