/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * failing.h owns the page of memory through which a test tells a preloaded failing.so what has to
 * fail, and hears what did. guest_stage.py writes the same layout.
 */
#pragma once

#include <stdint.h>

#define FAULTS_FUNCTION_BYTES 32

struct faults_control {
	char function[FAULTS_FUNCTION_BYTES]; /* "allocation", or the name of a function */
	int64_t countdown;                    /* the call that fails; 0: none */
	int64_t calls;                        /* of that function, since it was armed */
	int64_t failed;                       /* how many of them failed */
	int64_t live;           /* blocks that are not free yet; of the module's calls, if traced */
	int64_t exit_handlers;  /* that were registered, in all */
	int32_t errno_value;    /* what the call fails with */
	int32_t is_active;      /* calls count */
	int32_t is_lasting;     /* all calls fail after the first one that does */
	int32_t is_traced;      /* it is looked at whose calls they are */
	int32_t is_from_module; /* the one that failed is the module's */
	int32_t victim_pid;     /* killed right before the next send(2) */
};
