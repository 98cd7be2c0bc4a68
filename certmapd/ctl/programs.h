/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* programs.h owns what is known of the programs behind the names of PAM services. */
#pragma once

#include <stdbool.h>

/* Why user=set is wrong for the service: its program goes on with the name that it asked for,
 * whatever PAM_USER says afterwards. NULL: nothing is known against it. */
const char *programs_ignore_user(const char *service);

/* The program is setuid: its environment is that of whoever starts it, and the module ignores it
 * (secure_getenv(3)) but where that is root. */
bool programs_are_setuid(const char *service);
