/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log.c owns the two ways of a log line: journal fields, or a plain line. */
#include "log.h"

#include "escape.h"

#include <ctype.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

/* Who reads the log may be slow, and is waited for; or hangs, and then no login waits for it: after
 * one line that found no room for so long, lines are lost until there is room again. */
#define ROOM_MSEC 100

/* Of the one log that a process has. */
static struct {
	int journal_fd; /* -1: not open yet */
	unsigned lost;  /* lines since the last one that was taken */
} sink = { .journal_fd = -1 };

/* The service manager names the journal's socket behind stderr, systemd.exec(5). Somebody who
 * redirected stderr in a shell wants to see the lines there. */
static bool find_journal(void)
{
	const char *named = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return named && sscanf(named, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

/* Asked once: a line is written for every login, and nobody exchanges stderr meanwhile. */
static bool stderr_is_journal(void)
{
	static enum { UNKNOWN, NO, YES } is_journal;

	if (is_journal == UNKNOWN)
		is_journal = find_journal() ? YES : NO;
	return is_journal == YES;
}

void log_begin(struct log_line *line, int priority, const char *event)
{
	line->priority = priority;
	line->fields_length = 0;
	line->message_length = (size_t)snprintf(line->message, sizeof line->message, "%s", event);
}

/* A value with a space in it is quoted, so that a name like "x reason=allowed" stays one value;
 * escape_text() leaves no quote inside. */
static void add_to_message(struct log_line *line, const char *key, const char *value)
{
	const char *quote = value[0] == '\0' || strpbrk(value, " =") ? "\"" : "";
	const size_t room = sizeof line->message - line->message_length;
	char *end = line->message + line->message_length;

	/* A line that is full stays as it is: no half of a field. */
	if (strlen(key) + strlen(value) + 2 * strlen(quote) + strlen(" =") >= room)
		return;
	end = stpcpy(stpcpy(stpcpy(end, " "), key), "=");
	end = stpcpy(stpcpy(stpcpy(end, quote), value), quote);
	line->message_length = (size_t)(end - line->message);
}

static void add_field(struct log_line *line, const char *key, const char *value)
{
	static const char prefix[] = "\nCERTMAP_";
	char *end = line->fields + line->fields_length;

	if (sizeof prefix + strlen(key) + strlen("=") + strlen(value) >
		sizeof line->fields - line->fields_length)
		return;
	for (end = stpcpy(end, prefix); *key; key++)
		*end++ = (char)toupper((unsigned char)*key);
	*end++ = '=';
	line->fields_length = (size_t)(stpcpy(end, value) - line->fields);
}

static void add_escaped(struct log_line *line, const char *key, const char *value)
{
	add_to_message(line, key, value);
	add_field(line, key, value);
}

void log_add(struct log_line *line, const char *key, struct span value)
{
	char escaped[LOG_VALUE_MAX_BYTES];

	if (span_is_present(value))
		add_escaped(line, key, escape_text(value, escaped, sizeof escaped));
}

void log_add_number(struct log_line *line, const char *key, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof digits, "%" PRId64, value);
	add_escaped(line, key, digits);
}

static int open_journal(void)
{
	const struct timeval patience = { .tv_usec = ROOM_MSEC * 1000 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		(void)!setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	return fd;
}

/* The datagram of sd_journal_sendv(3), which waits without an end where the journal does not read:
 * https://systemd.io/JOURNAL_NATIVE_PROTOCOL/. Nothing in a line holds a line feed. */
static bool send_to_journal(const struct log_line *line, bool may_wait)
{
	struct sockaddr_un address = { AF_UNIX, "/run/systemd/journal/socket" };
	char head[128], line_feed[] = "\n";
	struct iovec parts[] = {
		{ head, 0 },
		{ (char *)line->message, line->message_length },
		{ (char *)line->fields, line->fields_length },
		{ line_feed, 1 },
	};
	const struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = sizeof address,
		.msg_iov = parts,
		.msg_iovlen = sizeof parts / sizeof parts[0],
	};

	if (sink.journal_fd < 0 && (sink.journal_fd = open_journal()) < 0)
		return false;
	parts[0].iov_len = (size_t)snprintf(head, sizeof head,
		"SYSLOG_IDENTIFIER=certmapd\nPRIORITY=%d\nMESSAGE=", line->priority);
	return sendmsg(sink.journal_fd, &message, MSG_NOSIGNAL | (may_wait ? 0 : MSG_DONTWAIT)) >=
	       0;
}

/* A pipe that is ready has room for PIPE_BUF bytes, poll(2), and a line is shorter. */
static bool print_line(const struct log_line *line, bool may_wait)
{
	struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&room, 1, may_wait ? ROOM_MSEC : 0) != 1 || !(room.revents & POLLOUT))
		return false;
	return fprintf(stderr, "certmapd: %s\n", line->message) > 0;
}

static bool deliver(const struct log_line *line, bool may_wait)
{
	return stderr_is_journal() ? send_to_journal(line, may_wait) : print_line(line, may_wait);
}

/* How many are missing is told in their place. */
static bool tell_lost(void)
{
	struct log_line line;

	log_begin(&line, LOG_WARNING, "log lines lost");
	log_add_number(&line, "count", sink.lost);
	return deliver(&line, false);
}

void log_send(const struct log_line *line)
{
	if (sink.lost > 0 && tell_lost())
		sink.lost = 0;
	if (!deliver(line, sink.lost == 0))
		sink.lost++;
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
	line.message_length =
		strlen(escape_text(span_of_string(words), line.message, sizeof line.message));
	log_send(&line);
}
