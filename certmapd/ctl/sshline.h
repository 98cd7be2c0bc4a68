/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sshline.h owns the way from the SubjectPublicKeyInfo of a certificate to the line that sshd takes
 * for the same key. sshkey.h has the way back.
 */
#pragma once

#include "errors.h"
#include "span.h"

#define SSHLINE_MAX_BYTES 5632u /* of 4,096 bytes in base64, behind the longest name */

/* "TYPE BASE64", terminated. Only a line that sshkey_read() reads as exactly the bytes of `key`:
 * what is let in by it is what a lookup finds later. False: there is none. */
WARN_UNUSED bool sshline_print(struct span key, char ret[SSHLINE_MAX_BYTES]);
