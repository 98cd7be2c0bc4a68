/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * messages.c owns the tables of fields: number, need, limit and content of each.
 *
 * Both directions go through an array of values by field number. The same tables check it whether
 * it was just read or is about to be written, so that the two can't drift apart.
 */
#include "messages.h"

#include "wire.h"

#define VERSION 1u

static const uint8_t magic[4] = { 'C', 'M', 'A', 'P' };

enum request_field {
	REQUEST_PHASE = 1,
	REQUEST_MODE,
	REQUEST_SERVICE,
	REQUEST_USER,
	REQUEST_KIND,
	REQUEST_EVIDENCE,
	REQUEST_EVIDENCE_SECOND,
	REQUEST_REMOTE_HOST,
	REQUEST_TTY,
	REQUEST_CORRELATION_ID,
	REQUEST_CREDENTIAL_WANTED,
};

enum reply_field {
	REPLY_REASON = 1,
	REPLY_ACCOUNT,
	REPLY_UID,
	REPLY_MAPPING_ID,
	REPLY_FINGERPRINT,
	REPLY_SUBJECT,
	REPLY_CREDENTIAL,
	REPLY_CORRELATION_ID,
	REPLY_SHADOW,
};

enum status_request_field {
	STATUS_REQUEST_CORRELATION_ID = 1,
};

enum status_field {
	STATUS_VERSION = 1,
	STATUS_PID,
	STATUS_STARTED,
	STATUS_USABLE,
	STATUS_COUNTS,
	STATUS_SHADOWED,
	STATUS_CORRELATION_ID,
};

/* Values by field number. The request has the more fields; index 0 stays empty. */
#define VALUES (REQUEST_CREDENTIAL_WANTED + 1)

/* An unknown critical field refuses the frame; a required one must be there. */
#define CRITICAL 0x1u
#define REQUIRED 0x2u

struct field_rule {
	uint16_t number;
	uint16_t flags;
	uint32_t min_bytes;
	uint32_t max_bytes;
	bool (*accepts)(struct span value); /* NULL: any bytes */
};

struct message_kind {
	uint8_t type;
	uint32_t max_bytes; /* of the whole frame */
	const struct field_rule *rules;
	size_t rule_count;
	/* What fields ask of each other; NULL: nothing. */
	bool (*accepts)(const struct span values[VALUES]);
};

static bool all_bytes(struct span value, bool (*accepts)(uint8_t byte))
{
	for (size_t i = 0; i < value.length; i++)
		if (!accepts(value.bytes[i]))
			return false;
	return true;
}

static bool is_lower_or_digit(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
}

static bool is_text_byte(uint8_t byte)
{
	return byte >= 0x20 && byte != 0x7f;
}

static bool is_printable_byte(uint8_t byte)
{
	return byte >= 0x20 && byte <= 0x7e;
}

static bool is_service_byte(uint8_t byte)
{
	return byte > 0x20 && byte <= 0x7e && byte != '/' && !(byte >= 'A' && byte <= 'Z');
}

static bool is_word_byte(uint8_t byte)
{
	return is_lower_or_digit(byte) || byte == '-';
}

static bool is_correlation_byte(uint8_t byte)
{
	return is_word_byte(byte) || (byte >= 'A' && byte <= 'Z');
}

static bool is_hex_byte(uint8_t byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
}

static bool is_text(struct span value)
{
	return all_bytes(value, is_text_byte);
}

static bool is_printable(struct span value)
{
	return all_bytes(value, is_printable_byte);
}

/* "*" is the database's word for every service. Who asked for it would see the defaults alone,
 * past the rows of the service that really asks. */
static bool is_service(struct span value)
{
	return all_bytes(value, is_service_byte) && !span_is_equal(value, span_of_string("*"));
}

static bool is_word(struct span value)
{
	return all_bytes(value, is_word_byte);
}

static bool is_correlation_id(struct span value)
{
	return all_bytes(value, is_correlation_byte);
}

static bool is_fingerprint(struct span value)
{
	return all_bytes(value, is_hex_byte);
}

static bool is_phase(struct span value)
{
	return value.bytes[0] == PHASE_AUTHENTICATE || value.bytes[0] == PHASE_ACCOUNT;
}

static bool is_mode(struct span value)
{
	return value.bytes[0] == MODE_MATCH || value.bytes[0] == MODE_SET;
}

static bool is_kind(struct span value)
{
	return value.bytes[0] >= EVIDENCE_CERTIFICATE && value.bytes[0] <= EVIDENCE_NAME;
}

static bool is_flag(struct span value)
{
	return value.bytes[0] <= 1;
}

/* (uid_t)-1 means "no uid" to chown(2) and setreuid(2), so it is nobody's. */
static bool is_uid(struct span value)
{
	return wire_load_u32(value.bytes) != UINT32_MAX;
}

/* SQLite's row ids are signed and AUTOINCREMENT starts at 1. */
static bool is_mapping_id(struct span value)
{
	const uint64_t id = wire_load_u64(value.bytes);

	return id >= 1 && id <= INT64_MAX;
}

static bool is_reason(struct span word, enum reason reason)
{
	return reason_find((const char *)word.bytes, word.length) == reason;
}

static bool request_accepts(const struct span values[VALUES])
{
	return span_is_present(values[REQUEST_EVIDENCE_SECOND]) ==
	       (values[REQUEST_KIND].bytes[0] == EVIDENCE_NAMES);
}

/* What would have been answered stands only where nothing was. */
static bool shadow_accepts(const struct span values[VALUES])
{
	return !span_is_present(values[REPLY_SHADOW]) ||
	       is_reason(values[REPLY_REASON], REASON_NO_CERTIFICATE);
}

/* An "allowed" that does not say who is no answer, and a refusal never carries a secret. Only who
 * could not read the request, or would not, may leave its correlation id out. */
static bool reply_accepts(const struct span values[VALUES])
{
	const struct span word = values[REPLY_REASON];

	if (is_reason(word, REASON_ALLOWED)) {
		if (!span_is_present(values[REPLY_ACCOUNT]) ||
			!span_is_present(values[REPLY_MAPPING_ID]) ||
			!span_is_present(values[REPLY_FINGERPRINT]))
			return false;
	} else if (span_is_present(values[REPLY_CREDENTIAL])) {
		return false;
	}
	if (!shadow_accepts(values))
		return false;
	return span_is_present(values[REPLY_CORRELATION_ID]) ||
	       is_reason(word, REASON_UNAVAILABLE) || is_reason(word, REASON_FORBIDDEN);
}

/* clang-format off */
static const struct field_rule request_rules[] = {
	{ REQUEST_PHASE,             CRITICAL | REQUIRED, 1, 1, is_phase },
	{ REQUEST_MODE,              CRITICAL | REQUIRED, 1, 1, is_mode },
	{ REQUEST_SERVICE,           CRITICAL | REQUIRED, 1, SERVICE_MAX_BYTES, is_service },
	{ REQUEST_USER,              CRITICAL,            1, ACCOUNT_MAX_BYTES, is_text },
	{ REQUEST_KIND,              CRITICAL | REQUIRED, 1, 1, is_kind },
	{ REQUEST_EVIDENCE,          CRITICAL | REQUIRED, 1, EVIDENCE_MAX_BYTES, NULL },
	{ REQUEST_EVIDENCE_SECOND,   CRITICAL,            1, EVIDENCE_SECOND_MAX_BYTES, NULL },
	{ REQUEST_REMOTE_HOST,       0,                   0, REMOTE_HOST_MAX_BYTES, is_text },
	{ REQUEST_TTY,               0,                   0, TTY_MAX_BYTES, is_text },
	{ REQUEST_CORRELATION_ID,    REQUIRED,            1, CORRELATION_ID_MAX_BYTES,
		is_correlation_id },
	{ REQUEST_CREDENTIAL_WANTED, 0,                   1, 1, is_flag },
};

static const struct field_rule reply_rules[] = {
	{ REPLY_REASON,         CRITICAL | REQUIRED, 1, REASON_MAX_BYTES, is_word },
	{ REPLY_ACCOUNT,        CRITICAL,            1, ACCOUNT_MAX_BYTES, is_text },
	{ REPLY_UID,            0,                   4, 4, is_uid },
	{ REPLY_MAPPING_ID,     0,                   8, 8, is_mapping_id },
	{ REPLY_FINGERPRINT,    0,                   FINGERPRINT_HEX_BYTES, FINGERPRINT_HEX_BYTES,
		is_fingerprint },
	{ REPLY_SUBJECT,        0,                   0, SUBJECT_MAX_BYTES, is_printable },
	{ REPLY_CREDENTIAL,     0,                   1, CREDENTIAL_MAX_BYTES, NULL },
	{ REPLY_CORRELATION_ID, 0,                   1, CORRELATION_ID_MAX_BYTES,
		is_correlation_id },
	{ REPLY_SHADOW,         0,                   1, REASON_MAX_BYTES, is_word },
};
/* clang-format on */

/* clang-format off */
static const struct field_rule status_request_rules[] = {
	{ STATUS_REQUEST_CORRELATION_ID, REQUIRED, 1, CORRELATION_ID_MAX_BYTES, is_correlation_id },
};

/* Nothing here decides anything, so that a reader may skip whatever it does not know. */
static const struct field_rule status_rules[] = {
	{ STATUS_VERSION,        REQUIRED, 1, STATUS_VERSION_MAX_BYTES, is_printable },
	{ STATUS_PID,            REQUIRED, 4, 4, NULL },
	{ STATUS_STARTED,        REQUIRED, 8, 8, NULL },
	{ STATUS_USABLE,         REQUIRED, 1, 1, is_flag },
	{ STATUS_COUNTS,         REQUIRED, 0, STATUS_COUNTS_MAX_BYTES, is_printable },
	{ STATUS_SHADOWED,       0,        8, 8, NULL },
	{ STATUS_CORRELATION_ID, REQUIRED, 1, CORRELATION_ID_MAX_BYTES, is_correlation_id },
};
/* clang-format on */

static const struct message_kind request_kind = {
	.type = MESSAGE_REQUEST,
	.max_bytes = REQUEST_MAX_BYTES,
	.rules = request_rules,
	.rule_count = sizeof request_rules / sizeof request_rules[0],
	.accepts = request_accepts,
};

static const struct message_kind reply_kind = {
	.type = MESSAGE_REPLY,
	.max_bytes = REPLY_MAX_BYTES,
	.rules = reply_rules,
	.rule_count = sizeof reply_rules / sizeof reply_rules[0],
	.accepts = reply_accepts,
};

static const struct message_kind status_request_kind = {
	.type = MESSAGE_STATUS_REQUEST,
	.max_bytes = REQUEST_MAX_BYTES,
	.rules = status_request_rules,
	.rule_count = sizeof status_request_rules / sizeof status_request_rules[0],
};

static const struct message_kind status_kind = {
	.type = MESSAGE_STATUS,
	.max_bytes = REPLY_MAX_BYTES,
	.rules = status_rules,
	.rule_count = sizeof status_rules / sizeof status_rules[0],
};

static const struct field_rule *rule_find(const struct message_kind *kind, uint16_t number)
{
	for (size_t i = 0; i < kind->rule_count; i++)
		if (kind->rules[i].number == number)
			return &kind->rules[i];
	return NULL;
}

static enum error rule_check(const struct field_rule *rule, struct span value)
{
	if (!span_is_present(value))
		return rule->flags & REQUIRED ? ERROR_MALFORMED : OK;
	if (value.length < rule->min_bytes)
		return ERROR_MALFORMED;
	/* A length that is fixed is part of the format; only the others are limits. */
	if (value.length > rule->max_bytes)
		return rule->min_bytes == rule->max_bytes ? ERROR_MALFORMED : ERROR_TOO_LARGE;
	return rule->accepts && !rule->accepts(value) ? ERROR_MALFORMED : OK;
}

static enum error values_check(const struct message_kind *kind, const struct span values[VALUES])
{
	for (size_t i = 0; i < kind->rule_count; i++) {
		const struct field_rule *rule = &kind->rules[i];
		const enum error err = rule_check(rule, values[rule->number]);

		if (err != OK)
			return err;
	}
	return !kind->accepts || kind->accepts(values) ? OK : ERROR_MALFORMED;
}

static enum error values_read(
	const struct message_kind *kind, struct span payload, struct span values[VALUES])
{
	struct wire_reader reader = wire_reader_of(payload);

	while (!wire_reader_is_done(&reader)) {
		struct wire_field field;
		const enum error err = wire_get_field(&reader, &field);

		if (err != OK)
			return err;
		if (rule_find(kind, field.number))
			values[field.number] = field.value;
		else if (field.is_critical)
			return ERROR_VERSION;
	}
	return OK;
}

static enum error values_write(const struct message_kind *kind, const struct span values[VALUES],
	struct wire_writer *writer)
{
	for (size_t i = 0; i < kind->rule_count; i++) {
		const struct field_rule *rule = &kind->rules[i];
		const struct span value = values[rule->number];

		if (!span_is_present(value))
			continue;
		const enum error err =
			wire_put_field(writer, rule->number, rule->flags & CRITICAL, value);
		if (err != OK)
			return err;
	}
	return OK;
}

static enum error header_write(
	const struct message_kind *kind, size_t payload_bytes, struct wire_writer *writer)
{
	uint8_t header[MESSAGE_HEADER_BYTES] = { 0 };

	memcpy(header, magic, sizeof magic);
	header[4] = VERSION;
	header[5] = kind->type;
	wire_store_u32((uint32_t)payload_bytes, header + 8);
	return wire_put_bytes(writer, span_of(header, sizeof header));
}

/* `other` is a second kind that may be there as well, with the same limit; NULL: none. */
static enum error header_read(const struct message_kind *kind, const struct message_kind *other,
	const uint8_t header[MESSAGE_HEADER_BYTES], struct message_header *ret)
{
	const uint32_t payload_bytes = wire_load_u32(header + 8);

	if (memcmp(header, magic, sizeof magic) != 0)
		return ERROR_MALFORMED;
	/* Before all the rest, whose meaning is the version's to say. */
	if (header[4] != VERSION)
		return ERROR_VERSION;
	if ((header[5] != kind->type && !(other && header[5] == other->type)) || header[6] != 0 ||
		header[7] != 0)
		return ERROR_MALFORMED;
	if (payload_bytes > kind->max_bytes - MESSAGE_HEADER_BYTES)
		return ERROR_TOO_LARGE;

	*ret = (struct message_header){
		.version = header[4],
		.type = header[5],
		.payload_bytes = payload_bytes,
	};
	return OK;
}

static enum error frame_write(const struct message_kind *kind, const struct span values[VALUES],
	uint8_t *buffer, size_t capacity, size_t *ret_length)
{
	struct wire_writer measure = { .capacity = kind->max_bytes - MESSAGE_HEADER_BYTES };
	struct wire_writer writer = { .bytes = buffer, .capacity = capacity };
	enum error err;

	if ((err = values_check(kind, values)) != OK ||
		(err = values_write(kind, values, &measure)) != OK ||
		(err = header_write(kind, measure.length, &writer)) != OK ||
		(err = values_write(kind, values, &writer)) != OK)
		return err;
	*ret_length = writer.length;
	return OK;
}

static enum error frame_read(const struct message_kind *kind, const uint8_t *frame, size_t length,
	struct span values[VALUES])
{
	struct message_header header;
	enum error err;

	if (length < MESSAGE_HEADER_BYTES)
		return ERROR_MALFORMED;
	if ((err = header_read(kind, NULL, frame, &header)) != OK)
		return err;
	if (header.payload_bytes != length - MESSAGE_HEADER_BYTES)
		return ERROR_MALFORMED;

	const struct span payload = span_of(frame + MESSAGE_HEADER_BYTES, header.payload_bytes);
	if ((err = values_read(kind, payload, values)) != OK)
		return err;
	return values_check(kind, values);
}

/* 0 is no value of any of our enumerations, so a number that does not fit is refused as one. */
static uint8_t u8_of(unsigned value)
{
	return value <= UINT8_MAX ? (uint8_t)value : 0;
}

enum error message_write_request(
	const struct request *request, uint8_t *buffer, size_t capacity, size_t *ret_length)
{
	const uint8_t phase = u8_of(request->phase);
	const uint8_t mode = u8_of(request->mode);
	const uint8_t kind = u8_of(request->kind);
	const uint8_t wanted = 1;
	const struct span values[VALUES] = {
		[REQUEST_PHASE] = span_of(&phase, sizeof phase),
		[REQUEST_MODE] = span_of(&mode, sizeof mode),
		[REQUEST_SERVICE] = request->service,
		[REQUEST_USER] = request->user,
		[REQUEST_KIND] = span_of(&kind, sizeof kind),
		[REQUEST_EVIDENCE] = request->evidence,
		[REQUEST_EVIDENCE_SECOND] = request->evidence_second,
		[REQUEST_REMOTE_HOST] = request->remote_host,
		[REQUEST_TTY] = request->tty,
		[REQUEST_CORRELATION_ID] = request->correlation_id,
		[REQUEST_CREDENTIAL_WANTED] =
			span_of(request->credential_wanted ? &wanted : NULL, sizeof wanted),
	};

	return frame_write(&request_kind, values, buffer, capacity, ret_length);
}

/* REASON_UNKNOWN, and a number that is none, have no word to send. */
static struct span reason_span(enum reason reason)
{
	const struct span word = span_of_string(reason_word(reason));

	return reason != REASON_UNKNOWN && is_reason(word, reason) ? word : (struct span){ 0 };
}

enum error message_write_reply(
	const struct reply *reply, uint8_t *buffer, size_t capacity, size_t *ret_length)
{
	uint8_t uid[4];
	uint8_t mapping_id[8];

	wire_store_u32(reply->uid, uid);
	wire_store_u64(reply->mapping_id, mapping_id);
	const struct span values[VALUES] = {
		[REPLY_REASON] = reason_span(reply->reason),
		[REPLY_ACCOUNT] = reply->account,
		[REPLY_UID] = span_of(reply->has_uid ? uid : NULL, sizeof uid),
		[REPLY_MAPPING_ID] =
			span_of(reply->has_mapping_id ? mapping_id : NULL, sizeof mapping_id),
		[REPLY_FINGERPRINT] = reply->fingerprint,
		[REPLY_SUBJECT] = reply->subject,
		[REPLY_CREDENTIAL] = reply->credential,
		[REPLY_CORRELATION_ID] = reply->correlation_id,
		[REPLY_SHADOW] = reply->shadow,
	};

	return frame_write(&reply_kind, values, buffer, capacity, ret_length);
}

enum error message_read_request_header(
	const uint8_t header[MESSAGE_HEADER_BYTES], struct message_header *ret)
{
	return header_read(&request_kind, &status_request_kind, header, ret);
}

enum error message_read_reply_header(
	const uint8_t header[MESSAGE_HEADER_BYTES], struct message_header *ret)
{
	return header_read(&reply_kind, &status_kind, header, ret);
}

enum error message_read_request(const uint8_t *frame, size_t length, struct request *ret)
{
	struct span values[VALUES] = { 0 };
	const enum error err = frame_read(&request_kind, frame, length, values);

	if (err != OK)
		return err;

	const struct span wanted = values[REQUEST_CREDENTIAL_WANTED];
	*ret = (struct request){
		.phase = (enum phase)values[REQUEST_PHASE].bytes[0],
		.mode = (enum match_mode)values[REQUEST_MODE].bytes[0],
		.kind = (enum evidence_kind)values[REQUEST_KIND].bytes[0],
		.service = values[REQUEST_SERVICE],
		.user = values[REQUEST_USER],
		.evidence = values[REQUEST_EVIDENCE],
		.evidence_second = values[REQUEST_EVIDENCE_SECOND],
		.remote_host = values[REQUEST_REMOTE_HOST],
		.tty = values[REQUEST_TTY],
		.correlation_id = values[REQUEST_CORRELATION_ID],
		.credential_wanted = span_is_present(wanted) && wanted.bytes[0] == 1,
	};
	return OK;
}

enum error message_read_reply(const uint8_t *frame, size_t length, struct reply *ret)
{
	struct span values[VALUES] = { 0 };
	const enum error err = frame_read(&reply_kind, frame, length, values);

	if (err != OK)
		return err;

	const struct span word = values[REPLY_REASON];
	const uint8_t *uid = values[REPLY_UID].bytes;
	const uint8_t *mapping_id = values[REPLY_MAPPING_ID].bytes;
	*ret = (struct reply){
		.reason = reason_find((const char *)word.bytes, word.length),
		.reason_word = word,
		.account = values[REPLY_ACCOUNT],
		.has_uid = uid,
		.uid = uid ? wire_load_u32(uid) : 0,
		.has_mapping_id = mapping_id,
		.mapping_id = mapping_id ? wire_load_u64(mapping_id) : 0,
		.fingerprint = values[REPLY_FINGERPRINT],
		.subject = values[REPLY_SUBJECT],
		.credential = values[REPLY_CREDENTIAL],
		.correlation_id = values[REPLY_CORRELATION_ID],
		.shadow = values[REPLY_SHADOW],
	};
	return OK;
}

enum error message_write_status_request(
	struct span correlation_id, uint8_t *buffer, size_t capacity, size_t *ret_length)
{
	const struct span values[VALUES] = { [STATUS_REQUEST_CORRELATION_ID] = correlation_id };

	return frame_write(&status_request_kind, values, buffer, capacity, ret_length);
}

enum error message_write_status(
	const struct status *status, uint8_t *buffer, size_t capacity, size_t *ret_length)
{
	const uint8_t usable = status->is_usable;
	uint8_t pid[4], started[8], shadowed[8];

	wire_store_u32(status->pid, pid);
	wire_store_u64(status->started_sec, started);
	wire_store_u64(status->shadowed, shadowed);
	const struct span values[VALUES] = {
		[STATUS_VERSION] = status->version,
		[STATUS_PID] = span_of(pid, sizeof pid),
		[STATUS_STARTED] = span_of(started, sizeof started),
		[STATUS_USABLE] = span_of(&usable, sizeof usable),
		[STATUS_COUNTS] = status->counts,
		[STATUS_SHADOWED] =
			span_of(status->has_shadowed ? shadowed : NULL, sizeof shadowed),
		[STATUS_CORRELATION_ID] = status->correlation_id,
	};

	return frame_write(&status_kind, values, buffer, capacity, ret_length);
}

enum error message_read_status_request(
	const uint8_t *frame, size_t length, struct span *ret_correlation_id)
{
	struct span values[VALUES] = { 0 };
	const enum error err = frame_read(&status_request_kind, frame, length, values);

	if (err == OK)
		*ret_correlation_id = values[STATUS_REQUEST_CORRELATION_ID];
	return err;
}

enum error message_read_status(const uint8_t *frame, size_t length, struct status *ret)
{
	struct span values[VALUES] = { 0 };
	const enum error err = frame_read(&status_kind, frame, length, values);

	if (err != OK)
		return err;

	const uint8_t *shadowed = values[STATUS_SHADOWED].bytes;
	*ret = (struct status){
		.version = values[STATUS_VERSION],
		.pid = wire_load_u32(values[STATUS_PID].bytes),
		.started_sec = wire_load_u64(values[STATUS_STARTED].bytes),
		.is_usable = values[STATUS_USABLE].bytes[0] == 1,
		.counts = values[STATUS_COUNTS],
		.has_shadowed = shadowed,
		.shadowed = shadowed ? wire_load_u64(shadowed) : 0,
		.correlation_id = values[STATUS_CORRELATION_ID],
	};
	return OK;
}
