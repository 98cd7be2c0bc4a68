/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * evidence.h owns the way to what the service supplied: the bytes that stand for the client's
 * certificate, from the one place that the administrator named. There is no fallback from one place
 * to another, and nothing is decoded here.
 */
#pragma once

#include <security/_pam_types.h>

#include "options.h"
#include "outcome.h"

/* Obtains the evidence that `options` name. True: *ret is 1 to EVIDENCE_MAX_BYTES bytes, borrowed
 * from the environment or from the PAM handle until that item changes. False: *ret_outcome says
 * why, *ret is untouched; its name is borrowed from `options`.
 * SOURCE_AUTHTOK asks through the conversation, once, where the item is not set yet; also with
 * PAM_SILENT, which forbids messages, not the question (mod_authnz_pam sets it and answers). */
WARN_UNUSED bool evidence_obtain(pam_handle_t *pamh, const struct options *options,
	struct span *ret, struct outcome *ret_outcome);
