/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * evidence.h owns the way to what the service supplied: the bytes that stand for the client's
 * certificate, from the one place that the administrator named. There is no fallback from one place
 * or one kind to another, and nothing is decoded here.
 */
#pragma once

#include <security/_pam_types.h>

#include "options.h"
#include "outcome.h"

/* Borrowed from the environment or from the PAM handle until that item changes. */
struct evidence {
	struct span first;  /* 1 to EVIDENCE_MAX_BYTES */
	struct span second; /* with EVIDENCE_NAMES 1 to EVIDENCE_SECOND_MAX_BYTES, else not there */
};

/* Obtains the evidence that `options` name. True: *ret is all of it. False: *ret_outcome says why,
 * *ret is untouched; the name in it is fixed or borrowed from `options`.
 * SOURCE_AUTHTOK asks through the conversation, once, where the item is not set yet; also with
 * PAM_SILENT, which forbids messages, not the question (mod_authnz_pam sets it and answers). */
WARN_UNUSED bool evidence_obtain(pam_handle_t *pamh, const struct options *options,
	struct evidence *ret, struct outcome *ret_outcome);
