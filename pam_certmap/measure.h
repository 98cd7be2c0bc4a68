/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * measure.h owns the first look at evidence: is there any, and is it short enough for anybody to
 * look at. certmapctl asks the same of the certificate that it explains.
 */
#pragma once

#include "outcome.h"

/* `text` is terminated. True: *ret is all of it, 1 to `max_bytes`. False: *ret_outcome says why,
 * about `name`, with `too_long` as the words for more bytes. */
WARN_UNUSED bool measure(const char *text, size_t max_bytes, const char *too_long, const char *name,
	struct span *ret, struct outcome *ret_outcome);
