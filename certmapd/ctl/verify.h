/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verify.h owns the list of what is wrong: each finding has its severity, the thing that it is
 * about, and a remedy. Who looks for findings stands in the files verify_*.c.
 */
#pragma once

#include "ctl.h"

struct verify {
	const struct ctl *ctl;
	const char *confdir;  /* NULL: /etc/pam.d */
	const char *key_path; /* of credentials */
	size_t errors, warnings;
	enum error failure; /* of printing */
};

enum verify_severity {
	VERIFY_WARNING, /* will go wrong, or does where nobody notices */
	VERIFY_ERROR,   /* lets somebody in, or keeps those out who may come in */
};

/* Prints a finding. `thing` and the words are escaped here. */
__attribute__((format(printf, 5, 6))) void verify_report(struct verify *verify,
	enum verify_severity severity, const char *thing, const char *remedy, const char *format,
	...);

/* The database: the file, its rows, and what they point to. */
void verify_database(struct verify *verify);
/* The stacks that call the module. */
void verify_stacks(struct verify *verify);

/* Whether the service has a file of its own. */
bool verify_has_stack(const struct verify *verify, const char *service);
