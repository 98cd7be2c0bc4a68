/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service_show.h owns how the policy of services is shown: in tables, and as JSON. */
#pragma once

#include "ctl.h"

/* The rows as they are. */
WARN_UNUSED enum error service_list(
	const struct ctl *ctl, struct store *store, struct store_trouble *ret_trouble);
/* What holds for one, and whose row says it; with warnings where a person reads it. */
WARN_UNUSED enum error service_show(const struct ctl *ctl, struct store *store, const char *name,
	struct store_trouble *ret_trouble);
