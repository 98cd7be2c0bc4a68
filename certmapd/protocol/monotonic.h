/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* monotonic.h owns the clock of every deadline: it counts on when somebody sets the wall clock. */
#pragma once

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC now, in microseconds; clock_gettime(2) can't fail for it. */
static inline uint64_t monotonic_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
