/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* who.h owns the name under which the history keeps a change that certmapctl made. */
#pragma once

#include <stddef.h>

#define WHO_MAX_BYTES 256u

/* The acting person: "anna", "uid 1000" where that has no name, "root (sudo: anna)" or
 * "root (login: anna)". Escaped, terminated, never empty. A record of who did it for honest
 * people: root can give any name. */
void who_am_i(char ret[WHO_MAX_BYTES + 1]);
