/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refusals.c owns the matches in the journal, and the form of the two kinds of lines. */
#include "refusals.h"

#include "hex.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>

/* Fields that the journal's index finds: the daemon's unit, which nobody else can forge, and
 * LOG_AUTHPRIV, to which pam_syslog(3) writes. */
#define MATCH_DAEMON "_SYSTEMD_UNIT=certmapd.service"
#define MATCH_AUTHPRIV "SYSLOG_FACILITY=10"
#define MODULE_PREFIX "pam_certmap("
/* The daemon's line stands right before the module's. */
#define TOGETHER_USEC UINT64_C(600000000)

/* Where the value of a key goes. */
static const struct {
	const char *key, *field;
	size_t offset, capacity;
} values[] = {
	{ "id", "CERTMAP_ID", offsetof(struct refusal, id), CORRELATION_ID_MAX_BYTES + 1 },
	{ "service", "CERTMAP_SERVICE", offsetof(struct refusal, service), SERVICE_MAX_BYTES + 1 },
	{ "asked", "CERTMAP_ASKED", offsetof(struct refusal, asked), ACCOUNT_MAX_BYTES + 1 },
	{ "account", "CERTMAP_ACCOUNT", offsetof(struct refusal, account), ACCOUNT_MAX_BYTES + 1 },
	{ "reason", "CERTMAP_REASON", offsetof(struct refusal, reason), REASON_MAX_BYTES + 1 },
	{ "fingerprint", "CERTMAP_FINGERPRINT", offsetof(struct refusal, fingerprint),
		FINGERPRINT_HEX_BYTES + 1 },
	{ "rhost", "CERTMAP_RHOST", offsetof(struct refusal, host), REMOTE_HOST_MAX_BYTES + 1 },
	{ "what", "CERTMAP_CONCERN", offsetof(struct refusal, what),
		sizeof(((struct refusal *)NULL)->what) },
	/* The module's line alone has these: no field of the daemon's has such a name. */
	{ "name", "", offsetof(struct refusal, name), sizeof(((struct refusal *)NULL)->name) },
	{ "errno", "", offsetof(struct refusal, failure),
		sizeof(((struct refusal *)NULL)->failure) },
	{ "shadow", "", offsetof(struct refusal, shadow), REASON_MAX_BYTES + 1 },
};
#define VALUES (sizeof values / sizeof values[0])

/* The reverse of escape_text(); what was cut there ends in "..." here. */
static void copy_unescaped(struct span text, char *ret, size_t capacity)
{
	size_t used = 0;

	for (size_t i = 0; i < text.length && used + 1 < capacity; i++) {
		const uint8_t *at = text.bytes + i;
		const bool is_escape = text.length - i >= 4 && at[0] == '\\' && at[1] == 'x' &&
				       hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0;
		const int byte = is_escape ? hex_digit(at[2]) << 4 | hex_digit(at[3]) : at[0];

		/* No string holds it; so a name with a NUL stays another name. */
		ret[used++] = (char)(byte == 0 ? '?' : byte);
		i += is_escape ? 3 : 0;
	}
	ret[used] = '\0';
}

static void keep(struct refusal *refusal, struct span key, struct span value)
{
	for (size_t i = 0; i < VALUES; i++)
		if (span_is_equal(key, span_of_string(values[i].key)))
			copy_unescaped(
				value, (char *)refusal + values[i].offset, values[i].capacity);
}

/* As far as `end`, which is not part of it. False: it is not there. */
static bool take_until(struct span *rest, char end, struct span *ret)
{
	const uint8_t *at = rest->length > 0 ? memchr(rest->bytes, end, rest->length) : NULL;

	if (!at)
		return false;
	*ret = span_of(rest->bytes, (size_t)(at - rest->bytes));
	*rest = span_of(at + 1, rest->length - ret->length - 1);
	return true;
}

/* key=value or key="value", and the space behind it. False: something else. */
static bool take_pair(struct span *rest, struct span *ret_key, struct span *ret_value)
{
	if (!take_until(rest, '=', ret_key) || ret_key->length == 0)
		return false;
	for (size_t i = 0; i < ret_key->length; i++)
		if (ret_key->bytes[i] < 'a' || ret_key->bytes[i] > 'z')
			return false;
	if (rest->length > 0 && rest->bytes[0] == '"') {
		*rest = span_of(rest->bytes + 1, rest->length - 1);
		if (!take_until(rest, '"', ret_value))
			return false;
		if (rest->length > 0 && rest->bytes[0] != ' ')
			return false;
		*rest = span_of(
			rest->bytes + (rest->length > 0), rest->length - (rest->length > 0));
		return true;
	}
	if (!take_until(rest, ' ', ret_value)) {
		*ret_value = *rest;
		*rest = span_of(rest->bytes + rest->length, 0);
	}
	return true;
}

bool refusals_parse(struct span message, struct refusal *ret)
{
	const size_t prefix = strlen(MODULE_PREFIX);
	struct refusal refusal = { 0 };
	struct span rest, key, value;

	if (message.length < prefix || memcmp(message.bytes, MODULE_PREFIX, prefix) != 0)
		return false;
	rest = span_of(message.bytes + prefix, message.length - prefix);
	if (!take_until(&rest, ':', &value))
		return false;
	copy_unescaped(value, refusal.service, sizeof refusal.service);
	if (!take_until(&rest, ')', &value) || rest.length < 2 || memcmp(rest.bytes, ": ", 2) != 0)
		return false;
	copy_unescaped(value, refusal.type, sizeof refusal.type);
	rest = span_of(rest.bytes + 2, rest.length - 2);
	while (rest.length > 0) {
		if (!take_pair(&rest, &key, &value))
			return false;
		/* The service stands in front, and nowhere else. */
		if (!span_is_equal(key, span_of_string("service")))
			keep(&refusal, key, value);
	}
	if (refusal.reason[0] == '\0')
		return false;
	*ret = refusal;
	return true;
}

static bool read_field(sd_journal *journal, const char *name, struct span *ret)
{
	const void *data;
	size_t length;
	const size_t skipped = strlen(name) + 1;

	if (sd_journal_get_data(journal, name, &data, &length) < 0 || length < skipped)
		return false;
	*ret = span_of((const uint8_t *)data + skipped, length - skipped);
	return true;
}

static bool read_daemon(sd_journal *journal, struct refusal *ret)
{
	struct refusal refusal = { 0 };
	struct span text;

	for (size_t i = 0; i < VALUES; i++)
		if (values[i].field[0] && read_field(journal, values[i].field, &text))
			copy_unescaped(
				text, (char *)&refusal + values[i].offset, values[i].capacity);
	if (refusal.reason[0] == '\0' || refusal.id[0] == '\0')
		return false;
	*ret = refusal;
	return true;
}

static bool is_daemon(sd_journal *journal)
{
	struct span unit;

	return read_field(journal, "_SYSTEMD_UNIT", &unit) &&
	       span_is_equal(unit, span_of_string("certmapd.service"));
}

static bool read_entry(sd_journal *journal, struct refusal *ret)
{
	struct span message;
	bool is_read;

	if (is_daemon(journal))
		is_read = read_daemon(journal, ret);
	else
		is_read = read_field(journal, "MESSAGE", &message) && refusals_parse(message, ret);
	return is_read && sd_journal_get_realtime_usec(journal, &ret->at_usec) >= 0;
}

/* What the one line did not say, the other one does; a reason is the module's, who has the last
 * word. */
static void join(struct refusal *into, const struct refusal *other)
{
	const bool takes_reason = into->type[0] == '\0' && other->type[0] != '\0';

	if (takes_reason) {
		memcpy(into->reason, other->reason, sizeof into->reason);
		memcpy(into->type, other->type, sizeof into->type);
	}
	for (size_t i = 0; i < VALUES; i++) {
		char *text = (char *)into + values[i].offset;

		if (text[0] == '\0')
			memcpy(text, (const char *)other + values[i].offset, values[i].capacity);
	}
}

struct gathering {
	const struct refusals_question *question;
	struct refusal *list;
	size_t count;
};

static bool is_wanted(const struct refusals_question *question, const struct refusal *refusal)
{
	return strcmp(refusal->reason, "allowed") != 0 &&
	       (!question->service || strcmp(question->service, refusal->service) == 0) &&
	       (!question->user || strcmp(question->user, refusal->asked) == 0) &&
	       (!question->id || strncmp(question->id, refusal->id, strlen(question->id)) == 0);
}

static enum error add(struct gathering *gathering, const struct refusal *refusal)
{
	struct refusal *longer;

	for (size_t i = gathering->count; refusal->id[0] && i-- > 0;)
		if (strcmp(gathering->list[i].id, refusal->id) == 0) {
			join(&gathering->list[i], refusal);
			return OK;
		}
	if (!is_wanted(gathering->question, refusal) ||
		gathering->count == gathering->question->limit)
		return OK;
	longer = reallocarray(gathering->list, gathering->count + 1, sizeof *longer);
	if (!longer)
		return ERROR_MEMORY;
	gathering->list = longer;
	longer[gathering->count++] = *refusal;
	return OK;
}

static bool is_over(const struct gathering *gathering, uint64_t at_usec)
{
	if (at_usec < gathering->question->since_usec)
		return true;
	return gathering->count > 0 && gathering->count == gathering->question->limit &&
	       at_usec + TOGETHER_USEC < gathering->list[gathering->count - 1].at_usec;
}

static enum error gather(sd_journal *journal, struct gathering *gathering)
{
	struct refusal refusal;
	uint64_t at_usec;
	enum error error = OK;
	int result = sd_journal_seek_tail(journal);

	while (error == OK && result >= 0 && (result = sd_journal_previous(journal)) > 0) {
		if (sd_journal_get_realtime_usec(journal, &at_usec) < 0)
			continue;
		if (is_over(gathering, at_usec))
			break;
		if (read_entry(journal, &refusal))
			error = add(gathering, &refusal);
	}
	if (error == OK && result < 0) {
		errno = -result;
		return ERROR_SYSTEM;
	}
	return error;
}

static void close_journal(sd_journal **journal)
{
	sd_journal_close(*journal);
}

enum error refusals_read(
	const struct refusals_question *question, struct refusal **ret, size_t *ret_count)
{
	sd_journal *journal __attribute__((cleanup(close_journal))) = NULL;
	struct gathering gathering = { .question = question };
	enum error error;
	int result = question->directory
			     ? sd_journal_open_directory(&journal, question->directory, 0)
			     : sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY);

	if (result >= 0 && (result = sd_journal_add_match(journal, MATCH_DAEMON, 0)) >= 0 &&
		(result = sd_journal_add_disjunction(journal)) >= 0)
		result = sd_journal_add_match(journal, MATCH_AUTHPRIV, 0);
	if (result < 0) {
		errno = -result;
		return ERROR_SYSTEM;
	}
	if ((error = gather(journal, &gathering)) != OK) {
		free(gathering.list);
		return error;
	}
	*ret = gathering.list;
	*ret_count = gathering.count;
	return OK;
}
