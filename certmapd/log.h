/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.h owns the form of the daemon's log: one line per event of at most 1 KiB, key=value, with the
 * same values as journal fields CERTMAP_KEY; plain lines on stderr where that is no journal.
 *
 * Values from outside are escaped here and nowhere else, so that nobody can forget it.
 */
#pragma once

#include "span.h"

#include <inttypes.h>

#define LOG_LINE_MAX_BYTES 1024u
#define LOG_FIELDS_MAX_BYTES 5120u /* all fields of a line, each CERTMAP_KEY=value */
#define LOG_VALUE_MAX_BYTES 288u   /* escaped; what is longer is cut */

/* A line under construction; starts with log_begin(). */
struct log_line {
	int priority; /* syslog(3) */
	size_t message_length, fields_length;
	char message[LOG_LINE_MAX_BYTES];
	char fields[LOG_FIELDS_MAX_BYTES]; /* a line feed before each */
};

/* `event` opens the line, as in "lookup". */
void log_begin(struct log_line *line, int priority, const char *event);
/* Adds key=value, in order; a span that is not there adds nothing. `key` is lower case and '_'. */
void log_add(struct log_line *line, const char *key, struct span value);
void log_add_number(struct log_line *line, const char *key, int64_t value);
/* Waits a moment for a reader of the log that is slow, and for one that hangs no more than once:
 * what is lost then is counted in the log. */
void log_send(const struct log_line *line);

/* A line of our own words. */
__attribute__((format(printf, 2, 3))) void log_words(int priority, const char *format, ...);
