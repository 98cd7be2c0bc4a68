/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inquiry.h owns the question to the daemon: it puts what PAM knows around the evidence, asks once,
 * and turns what comes back into an outcome.
 */
#pragma once

#include <security/_pam_types.h>

#include "client.h"
#include "options.h"
#include "outcome.h"

#define INQUIRY_ID_DIGITS 32u

/* Makes a random correlation id, so that a line of the daemon's log finds the one of the module.
 * Terminated, lower-case hexadecimal. False: *ret_outcome says why. */
WARN_UNUSED bool inquiry_make_id(char ret[INQUIRY_ID_DIGITS + 1], struct outcome *ret_outcome);

/* Asks. The caller fills phase, kind, evidence, user and correlation id of `request`; the rest
 * comes from the PAM items and from `options`. True: the daemon says `allowed`, *ret is its answer.
 * False: *ret_outcome says why; *ret is the answer of a daemon that refused, else zero. */
WARN_UNUSED bool inquiry_ask(pam_handle_t *pamh, const struct options *options,
	const struct request *request, struct client_reply *ret, struct outcome *ret_outcome);
