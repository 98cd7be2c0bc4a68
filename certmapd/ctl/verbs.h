/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verbs.h owns the choice of a verb by its name, for certmapctl itself and for its families of
 * verbs: one table says which there are, and the help is made from it.
 */
#pragma once

#include "ctl.h"

struct verb {
	const char *name;
	ctl_verb *run;
	const char *summary; /* a line for the help */
	const void *detail;  /* ctl->detail of a run() that serves several verbs */
};

struct verbs {
	const char *program; /* "certmapctl", or the words up to the family's name */
	const char *doc;     /* what all of them are for, a sentence */
	const struct verb *table;
	size_t count;
};

/* Reads the common options and the verb's name, and runs the verb. Without a known verb, or with
 * --help, it ends the process. */
enum ctl_status verbs_run(const struct verbs *verbs, struct ctl *ctl, int argc, char **argv);
