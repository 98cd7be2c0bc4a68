/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify_stacks.h owns the look at the stacks that call the module. */
#pragma once

#include "verify_report.h"

void verify_stacks(struct verify *verify);

/* Whether the service has a file of its own. */
bool verify_has_stack(const struct verify *verify, const char *service);
