/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verify_report.h owns the list of what is wrong: each finding has its severity, the thing that it
 * is about, and a remedy. verify.c is the verb; what looks for findings are the other verify_*.c.
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

/* Before the first finding, and after the last one. */
void verify_begin(const struct verify *verify);
void verify_end(const struct verify *verify);

/* Prints a finding. `thing` and the words are escaped here. */
__attribute__((format(printf, 5, 6))) void verify_report(struct verify *verify,
	enum verify_severity severity, const char *thing, const char *remedy, const char *format,
	...);
