/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pamstack_private.h owns what the files pamstack*.c share and nobody else may use. */
#pragma once

#include "pamstack.h"

#define PAMSTACK_LEVEL_MAX 16u /* of substacks, as in libpam */
#define PAMSTACK_BLANKS " \n\t"

/* Reads a control, a word or what stands between brackets: an action for each code. False: it is
 * none, and libpam takes every answer for a refusal. */
WARN_UNUSED bool pamstack_read_control(const char *control, int ret_actions[PAMSTACK_CODES]);
