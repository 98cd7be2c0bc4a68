/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.c owns the two ways of a log line: journal fields, or a plain line. */
#include "log.h"

#include "escape.h"

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

/* The service manager names the journal's socket behind stderr, systemd.exec(5). Somebody who
 * redirected stderr in a shell wants to see the lines there. */
static bool stderr_is_journal(void)
{
	const char *named = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return named && sscanf(named, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

void log_begin(struct log_line *line, int priority, const char *event)
{
	line->priority = priority;
	line->field_count = 0;
	line->message_length = (size_t)snprintf(line->message, sizeof line->message, "%s", event);
}

/* A value with a space in it is quoted, so that a name like "x reason=allowed" stays one value;
 * escape_text() leaves no quote inside. */
static void add_escaped(struct log_line *line, const char *key, const char *value)
{
	size_t room = sizeof line->message - line->message_length;
	const char *quote = value[0] == '\0' || strpbrk(value, " =") ? "\"" : "";
	int length = snprintf(
		line->message + line->message_length, room, " %s=%s%s%s", key, quote, value, quote);

	/* A line that is full stays as it is: no half of a field. */
	if (length < 0 || (size_t)length >= room)
		line->message[line->message_length] = '\0';
	else
		line->message_length += (size_t)length;

	if (line->field_count == LOG_FIELDS_MAX)
		return;
	char *field = line->fields[line->field_count++];
	snprintf(field, LOG_FIELD_MAX_BYTES, "CERTMAP_%s=%s", key, value);
	for (char *c = field; *c && *c != '='; c++)
		*c = (char)toupper((unsigned char)*c);
}

void log_add(struct log_line *line, const char *key, struct span value)
{
	char escaped[LOG_FIELD_MAX_BYTES - 32];

	if (span_is_present(value))
		add_escaped(line, key, escape_text(value, escaped, sizeof escaped));
}

void log_add_number(struct log_line *line, const char *key, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof digits, "%" PRId64, value);
	add_escaped(line, key, digits);
}

static void send_to_journal(const struct log_line *line)
{
	char priority[16], message[LOG_LINE_MAX_BYTES + 16];
	struct iovec parts[LOG_FIELDS_MAX + 2];
	int count = 0;

	snprintf(priority, sizeof priority, "PRIORITY=%d", line->priority);
	snprintf(message, sizeof message, "MESSAGE=%s", line->message);
	parts[count++] = (struct iovec){ message, strlen(message) };
	parts[count++] = (struct iovec){ priority, strlen(priority) };
	for (size_t i = 0; i < line->field_count; i++)
		parts[count++] = (struct iovec){ (char *)line->fields[i], strlen(line->fields[i]) };
	sd_journal_sendv(parts, count);
}

void log_send(const struct log_line *line)
{
	if (stderr_is_journal())
		send_to_journal(line);
	else
		fprintf(stderr, "certmapd: %s\n", line->message);
}

void log_words(int priority, const char *format, ...)
{
	struct log_line line;
	char words[LOG_LINE_MAX_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(words, sizeof words, format, arguments);
	va_end(arguments);
	log_begin(&line, priority, "");
	escape_text(span_of_string(words), line.message, sizeof line.message);
	log_send(&line);
}
