/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* measure.c owns the bounds, which stand before anything else looks at the evidence. */
#include "measure.h"

static bool refuse(enum reason reason, const char *what, const char *name, struct outcome *ret)
{
	outcome_refuse(reason, what, ret);
	ret->name = span_of_string(name);
	return false;
}

bool measure(const char *text, size_t max_bytes, const char *too_long, const char *name,
	struct span *ret, struct outcome *ret_outcome)
{
	const size_t length = strnlen(text, max_bytes + 1);

	if (length == 0)
		return refuse(REASON_NO_CERTIFICATE, "the service supplied empty text", name,
			ret_outcome);
	if (length > max_bytes)
		return refuse(REASON_MALFORMED_CERTIFICATE, too_long, name, ret_outcome);
	*ret = span_of(text, length);
	return true;
}
