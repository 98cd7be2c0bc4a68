/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report.c owns the words and the limits of the lines.
 */
#include "report.h"

#include <inttypes.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "escape.h"

/* Leaves room in 1 KiB for "pam_certmap(SERVICE:account): " with a service of 64 bytes. */
#define LINE_MAX_BYTES 900u
#define VALUE_MAX_BYTES 96u

struct line {
	size_t length;
	char text[LINE_MAX_BYTES + 1];
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
	const size_t room = sizeof(line->text) - line->length;
	va_list arguments;
	int wanted;

	va_start(arguments, format);
	wanted = vsnprintf(line->text + line->length, room, format, arguments);
	va_end(arguments);
	if (wanted > 0)
		line->length += (size_t)wanted < room ? (size_t)wanted : room - 1;
}

static void add_value(struct line *line, const char *key, struct span value)
{
	char escaped[VALUE_MAX_BYTES + 1];

	if (span_is_present(value))
		add(line, " %s=\"%s\"", key, escape_text(value, escaped, sizeof(escaped)));
}

static void add_item(struct line *line, const char *key, const pam_handle_t *pamh, int type)
{
	const void *item = NULL;

	if (pam_get_item(pamh, type, &item) == PAM_SUCCESS)
		add_value(line, key, span_of_string(item));
}

static void add_reply(struct line *line, const struct reply *reply)
{
	add_value(line, "account", reply->account);
	add_value(line, "shadow", reply->shadow);
	if (reply->has_mapping_id)
		add(line, " mapping=%" PRIu64, reply->mapping_id);
	if (span_is_present(reply->fingerprint))
		add(line, " fingerprint=%.*s", (int)reply->fingerprint.length,
			(const char *)reply->fingerprint.bytes);
}

static void add_failure(struct line *line, const struct outcome *outcome)
{
	char buffer[VALUE_MAX_BYTES];

	add_value(line, "name", outcome->name);
	if (outcome->what)
		add(line, " what=\"%s\"", outcome->what);
	if (outcome->errno_value)
		add(line, " errno=\"%s\"",
			strerror_r(outcome->errno_value, buffer, sizeof(buffer)));
	else if (outcome->error != OK)
		add(line, " error=\"%s\"", error_text(outcome->error));
}

static int priority_of(const struct outcome *outcome)
{
	if (outcome->error != OK || outcome->reason == REASON_MISCONFIGURED ||
		outcome->reason == REASON_UNAVAILABLE || outcome->reason == REASON_FORBIDDEN ||
		outcome->reason == REASON_CREDENTIAL_UNAVAILABLE)
		return LOG_ERR;
	return outcome->reason == REASON_ALLOWED ? LOG_INFO : LOG_NOTICE;
}

void report_outcome(const struct attempt *attempt)
{
	const struct outcome *outcome = &attempt->outcome;
	const struct reply *reply = &attempt->answer.reply;
	struct line line = { 0 };

	add(&line, "reason=%s", reason_word(outcome->reason));
	if (outcome->reason == REASON_UNKNOWN)
		add_value(&line, "word", reply->reason_word);
	if (attempt->asked.length > 0)
		add_value(&line, "asked", span_of(attempt->asked.text, attempt->asked.length));
	add_reply(&line, reply);
	add_item(&line, "rhost", attempt->pamh, PAM_RHOST);
	if (attempt->correlation_id[0])
		add(&line, " id=%s", attempt->correlation_id);
	add_failure(&line, outcome);
	pam_syslog(attempt->pamh, priority_of(outcome), "%s", line.text);
}

void report_question(const struct attempt *attempt, size_t evidence_bytes)
{
	if (attempt->options.debug)
		pam_syslog(attempt->pamh, LOG_DEBUG,
			"asking socket=\"%s\" mode=%s evidence_bytes=%zu timeout_msec=%" PRIu64
			" id=%s",
			attempt->options.socket_path,
			attempt->options.mode == MODE_SET ? "set" : "match", evidence_bytes,
			attempt->options.timeout_usec / 1000, attempt->correlation_id);
}

void report_no_opinion(const struct attempt *attempt)
{
	if (attempt->options.debug)
		pam_syslog(attempt->pamh, LOG_DEBUG,
			"no opinion: this login did not come through pam_certmap");
}

void report_session(const struct attempt *attempt, const char *event, const struct session *session)
{
	struct line line = { 0 };

	add(&line, "session %s:", event);
	add_value(&line, "account", span_of_string(session->account));
	if (session->mapping[0])
		add(&line, " mapping=%s", session->mapping);
	add(&line, " fingerprint=%s", session->fingerprint);
	add_item(&line, "rhost", attempt->pamh, PAM_RHOST);
	pam_syslog(attempt->pamh, LOG_INFO, "%s", line.text);
}
