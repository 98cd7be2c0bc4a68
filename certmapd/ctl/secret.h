/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * secret.h owns how a password gets into certmapctl: typed twice at a terminal that does not show
 * it, or as the one line of the standard input. Never as an argument, which everybody on the
 * machine can read while the program runs.
 */
#pragma once

#include "ctl.h"
#include "seal.h"

/* Wipe it with SECRET_WIPE. */
struct secret {
	size_t length;
	uint8_t bytes[SEAL_PLAIN_MAX_BYTES + 2]; /* room for the end of a line that is too long */
};

/* Reads a password of 1 to SEAL_PLAIN_MAX_BYTES bytes without control characters. CTL_REFUSED:
 * there is none, and that has been said. A signal that ends the process does so after the terminal
 * shows again what is typed. */
WARN_UNUSED enum ctl_status secret_ask(struct secret *ret);

void secret_wipe(struct secret *secret);
#define SECRET_WIPE __attribute__((cleanup(secret_wipe)))
