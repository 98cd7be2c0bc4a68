/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_messages.c owns the proof that the messages are what PROTOCOL.md says, field by field.
 *
 * Frames are put together here by hand, not with wire.c, so that a mistake there can't hide itself.
 */
#include "messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka.h leans on the headers above. */
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FINGERPRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BYTES(literal) literal, sizeof(literal) - 1

/* The worked examples of PROTOCOL.md. */
static const char request_example[] = "CMAP\x01\x01\0\0\0\0\0\x54"
				      "\x80\x01\0\0\0\x01\x01"
				      "\x80\x02\0\0\0\x01\x01"
				      "\x80\x03\0\0\0\x07proftpd"
				      "\x80\x04\0\0\0\x05"
				      "alice"
				      "\x80\x05\0\0\0\x01\x01"
				      "\x80\x06\0\0\0\x04MIIB"
				      "\x00\x08\0\0\0\x09"
				      "192.0.2.7"
				      "\x00\x0a\0\0\0\x08"
				      "00c0ffee";
static const char reply_example[] = "CMAP\x01\x02\0\0\0\0\0\x92"
				    "\x80\x01\0\0\0\x07"
				    "allowed"
				    "\x80\x02\0\0\0\x05"
				    "alice"
				    "\x00\x03\0\0\0\x04\0\0\x03\xe8"
				    "\x00\x04\0\0\0\x08\0\0\0\0\0\0\0\x07"
				    "\x00\x05\0\0\0\x40" FINGERPRINT "\x00\x06\0\0\0\x08"
				    "CN=alice"
				    "\x00\x08\0\0\0\x08"
				    "00c0ffee";
static const char unreadable_example[] = "CMAP\x01\x02\0\0\0\0\0\x11"
					 "\x80\x01\0\0\0\x0b"
					 "unavailable";

static const char status_request_example[] = "CMAP\x01\x03\0\0\0\0\0\x0e"
					     "\x00\x01\0\0\0\x08"
					     "00c0ffee";
static const char status_example[] = "CMAP\x01\x04\0\0\0\0\0\x60"
				     "\x00\x01\0\0\0\x05"
				     "0.1.0"
				     "\x00\x02\0\0\0\x04\0\0\x10\x92"
				     "\x00\x03\0\0\0\x08\0\0\0\0\x6b\x5e\x79\x80"
				     "\x00\x04\0\0\0\x01\x01"
				     "\x00\x05\0\0\0\x14"
				     "allowed=7 unmapped=3"
				     "\x00\x06\0\0\0\x08\0\0\0\0\0\0\0\0"
				     "\x00\x07\0\0\0\x08"
				     "00c0ffee";

struct frame {
	uint8_t *bytes;
	size_t length;
};

static struct frame frame_new(uint8_t type)
{
	struct frame frame = { .bytes = malloc(200000), .length = 12 };

	assert_non_null(frame.bytes);
	memcpy(frame.bytes, "CMAP\x01\0\0\0\0\0\0\0", 12);
	frame.bytes[5] = type;
	return frame;
}

static void frame_add(struct frame *frame, unsigned tag, const void *value, size_t length)
{
	const uint8_t header[] = { (uint8_t)(tag >> 8), (uint8_t)tag, (uint8_t)(length >> 24),
		(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length };

	memcpy(frame->bytes + frame->length, header, 6);
	memcpy(frame->bytes + frame->length + 6, value, length);
	frame->length += 6 + length;
}

/* Writes the payload's length and cuts the memory to size, for the sanitizer. */
static void frame_finish(struct frame *frame)
{
	const size_t payload = frame->length - 12;

	frame->bytes[8] = (uint8_t)(payload >> 24);
	frame->bytes[9] = (uint8_t)(payload >> 16);
	frame->bytes[10] = (uint8_t)(payload >> 8);
	frame->bytes[11] = (uint8_t)payload;
	frame->bytes = realloc(frame->bytes, frame->length);
	assert_non_null(frame->bytes);
}

struct field {
	unsigned tag;
	const void *value;
	size_t length;
};

/* A row changes one field of a good message: another value, or left out where `value` is NULL, or
 * one more. Which rule it speaks of stands in `what`, which a failure shows. */
struct row {
	const char *what;
	struct field field;
	enum error expected;
};

static const struct field good_request[] = {
	{ 0x8001, BYTES("\x01") },
	{ 0x8002, BYTES("\x01") },
	{ 0x8003, BYTES("proftpd") },
	{ 0x8004, BYTES("alice") },
	{ 0x8005, BYTES("\x01") },
	{ 0x8006, BYTES("MIIB") },
	{ 0x0008, BYTES("192.0.2.7") },
	{ 0x0009, BYTES("pts/0") },
	{ 0x000a, BYTES("00c0ffee") },
	{ 0x000b, BYTES("\x01") },
};

static const struct field good_reply[] = {
	{ 0x8001, BYTES("allowed") },
	{ 0x8002, BYTES("alice") },
	{ 0x0003, BYTES("\0\0\x03\xe8") },
	{ 0x0004, BYTES("\0\0\0\0\0\0\0\x07") },
	{ 0x0005, BYTES(FINGERPRINT) },
	{ 0x0006, BYTES("CN=alice") },
	{ 0x0007, BYTES("hunter2") },
	{ 0x0008, BYTES("00c0ffee") },
};

static struct frame frame_with(
	uint8_t type, const struct field *good, size_t count, const struct field *other)
{
	const unsigned number = other->tag & 0x7fff;
	struct frame frame = frame_new(type);
	bool placed = other->value == NULL;

	for (size_t i = 0; i < count; i++) {
		if (!placed && (good[i].tag & 0x7fff) >= number) {
			frame_add(&frame, other->tag, other->value, other->length);
			placed = true;
		}
		if ((good[i].tag & 0x7fff) != number)
			frame_add(&frame, good[i].tag, good[i].value, good[i].length);
	}
	if (!placed)
		frame_add(&frame, other->tag, other->value, other->length);
	frame_finish(&frame);
	return frame;
}

static const struct field no_change = { .tag = 0x7fff };

static void check_request_row(const struct row *row)
{
	struct frame frame = frame_with(1, good_request, COUNT(good_request), &row->field);
	struct request request = { .tty = { (const uint8_t *)"untouched", 9 } };
	const enum error err = message_read_request(frame.bytes, frame.length, &request);

	if (err != row->expected)
		fail_msg("%s: got \"%s\"", row->what, error_text(err));
	if (err != OK)
		assert_true(span_is_equal(request.tty, span_of_string("untouched")));
	free(frame.bytes);
}

static void check_reply_row(const struct row *row)
{
	struct frame frame = frame_with(2, good_reply, COUNT(good_reply), &row->field);
	struct reply reply = { .uid = 4711 };
	const enum error err = message_read_reply(frame.bytes, frame.length, &reply);

	if (err != row->expected)
		fail_msg("%s: got \"%s\"", row->what, error_text(err));
	if (err != OK)
		assert_int_equal(reply.uid, 4711);
	free(frame.bytes);
}

static char filler[131072];

static int fill(void **state)
{
	(void)state;
	memset(filler, 'a', sizeof filler);
	return 0;
}

static void request_of_the_page_is_read(void **state)
{
	struct request request;

	(void)state;
	assert_int_equal(message_read_request((const uint8_t *)request_example,
				 sizeof request_example - 1, &request),
		OK);
	assert_int_equal(request.phase, PHASE_AUTHENTICATE);
	assert_int_equal(request.mode, MODE_MATCH);
	assert_int_equal(request.kind, EVIDENCE_CERTIFICATE);
	assert_true(span_is_equal(request.service, span_of_string("proftpd")));
	assert_true(span_is_equal(request.user, span_of_string("alice")));
	assert_true(span_is_equal(request.evidence, span_of_string("MIIB")));
	assert_true(span_is_equal(request.remote_host, span_of_string("192.0.2.7")));
	assert_true(span_is_equal(request.correlation_id, span_of_string("00c0ffee")));
	assert_false(span_is_present(request.evidence_second));
	assert_false(span_is_present(request.tty));
	assert_false(request.credential_wanted);
}

static struct request example_request(void)
{
	return (struct request){
		.phase = PHASE_AUTHENTICATE,
		.mode = MODE_MATCH,
		.kind = EVIDENCE_CERTIFICATE,
		.service = span_of_string("proftpd"),
		.user = span_of_string("alice"),
		.evidence = span_of_string("MIIB"),
		.remote_host = span_of_string("192.0.2.7"),
		.correlation_id = span_of_string("00c0ffee"),
	};
}

static struct reply example_reply(void)
{
	return (struct reply){
		.reason = REASON_ALLOWED,
		.account = span_of_string("alice"),
		.has_uid = true,
		.uid = 1000,
		.has_mapping_id = true,
		.mapping_id = 7,
		.fingerprint = span_of_string(FINGERPRINT),
		.subject = span_of_string("CN=alice"),
		.correlation_id = span_of_string("00c0ffee"),
	};
}

static void request_of_the_page_is_written(void **state)
{
	const struct request request = example_request();
	uint8_t buffer[sizeof request_example - 1];
	size_t length = 0;

	(void)state;
	assert_int_equal(message_write_request(&request, NULL, sizeof buffer, &length), OK);
	assert_int_equal(length, sizeof buffer);
	assert_int_equal(message_write_request(&request, buffer, sizeof buffer, &length), OK);
	assert_int_equal(length, sizeof buffer);
	assert_memory_equal(buffer, request_example, sizeof buffer);
}

static void reply_of_the_page_is_read(void **state)
{
	struct reply reply;

	(void)state;
	assert_int_equal(message_read_reply(
				 (const uint8_t *)reply_example, sizeof reply_example - 1, &reply),
		OK);
	assert_int_equal(reply.reason, REASON_ALLOWED);
	assert_true(span_is_equal(reply.reason_word, span_of_string("allowed")));
	assert_true(span_is_equal(reply.account, span_of_string("alice")));
	assert_true(reply.has_uid);
	assert_int_equal(reply.uid, 1000);
	assert_true(reply.has_mapping_id);
	assert_int_equal(reply.mapping_id, 7);
	assert_true(span_is_equal(reply.fingerprint, span_of_string(FINGERPRINT)));
	assert_true(span_is_equal(reply.subject, span_of_string("CN=alice")));
	assert_true(span_is_equal(reply.correlation_id, span_of_string("00c0ffee")));
	assert_false(span_is_present(reply.credential));
}

static void reply_of_the_page_is_written(void **state)
{
	const struct reply reply = example_reply();
	uint8_t buffer[sizeof reply_example - 1];
	size_t length = 0;

	(void)state;
	assert_int_equal(message_write_reply(&reply, buffer, sizeof buffer, &length), OK);
	assert_int_equal(length, sizeof buffer);
	assert_memory_equal(buffer, reply_example, sizeof buffer);
}

static void reply_to_an_unreadable_request_is_that_of_the_page(void **state)
{
	const struct reply unreadable = { .reason = REASON_UNAVAILABLE };
	uint8_t buffer[REPLY_MAX_BYTES];
	struct reply reply;
	size_t length = 0;

	(void)state;
	assert_int_equal(message_write_reply(&unreadable, buffer, sizeof buffer, &length), OK);
	assert_int_equal(length, sizeof unreadable_example - 1);
	assert_memory_equal(buffer, unreadable_example, length);
	assert_int_equal(message_read_reply(buffer, length, &reply), OK);
	assert_int_equal(reply.reason, REASON_UNAVAILABLE);
	assert_false(span_is_present(reply.correlation_id));
	assert_false(reply.has_uid || reply.has_mapping_id);
}

static void request_fields_keep_their_rules(void **state)
{
	static const struct row rows[] = {
		{ "unchanged", { 0x7fff, NULL, 0 }, OK },
		{ "phase left out", { 0x8001, NULL, 0 }, ERROR_MALFORMED },
		{ "phase empty", { 0x8001, BYTES("") }, ERROR_MALFORMED },
		{ "phase of two bytes", { 0x8001, BYTES("\0\x01") }, ERROR_MALFORMED },
		{ "phase 0", { 0x8001, BYTES("\0") }, ERROR_MALFORMED },
		{ "phase 2", { 0x8001, BYTES("\x02") }, OK },
		{ "phase 3", { 0x8001, BYTES("\x03") }, ERROR_MALFORMED },
		{ "phase without its critical bit", { 0x0001, BYTES("\x01") }, OK },
		{ "mode left out", { 0x8002, NULL, 0 }, ERROR_MALFORMED },
		{ "mode 0", { 0x8002, BYTES("\0") }, ERROR_MALFORMED },
		{ "mode 2", { 0x8002, BYTES("\x02") }, OK },
		{ "mode 3", { 0x8002, BYTES("\x03") }, ERROR_MALFORMED },
		{ "service left out", { 0x8003, NULL, 0 }, ERROR_MALFORMED },
		{ "service empty", { 0x8003, BYTES("") }, ERROR_MALFORMED },
		{ "service of 64 bytes", { 0x8003, filler, 64 }, OK },
		{ "service of 65 bytes", { 0x8003, filler, 65 }, ERROR_TOO_LARGE },
		{ "service with marks", { 0x8003, BYTES("a-b_c.d+e@f:1") }, OK },
		{ "service with a space", { 0x8003, BYTES("pro ftpd") }, ERROR_MALFORMED },
		{ "service with a slash", { 0x8003, BYTES("../passwd") }, ERROR_MALFORMED },
		{ "service in upper case", { 0x8003, BYTES("proFtpd") }, ERROR_MALFORMED },
		{ "service with NUL", { 0x8003, BYTES("ftp\0d") }, ERROR_MALFORMED },
		{ "service with DEL", { 0x8003, BYTES("ftp\x7f") }, ERROR_MALFORMED },
		{ "service beyond ASCII", { 0x8003, BYTES("ftp\xc3\xa4") }, ERROR_MALFORMED },
		{ "service of every service", { 0x8003, BYTES("*") }, ERROR_MALFORMED },
		{ "user left out", { 0x8004, NULL, 0 }, OK },
		{ "user empty", { 0x8004, BYTES("") }, ERROR_MALFORMED },
		{ "user of 256 bytes", { 0x8004, filler, 256 }, OK },
		{ "user of 257 bytes", { 0x8004, filler, 257 }, ERROR_TOO_LARGE },
		{ "user beyond ASCII", { 0x8004, BYTES("DOM\\j\xc3\xb6rg ") }, OK },
		{ "user with NUL", { 0x8004, BYTES("root\0x") }, ERROR_MALFORMED },
		{ "user with a line feed", { 0x8004, BYTES("root\n") }, ERROR_MALFORMED },
		{ "user with 0x1f", { 0x8004, BYTES("root\x1f") }, ERROR_MALFORMED },
		{ "user with DEL", { 0x8004, BYTES("root\x7f") }, ERROR_MALFORMED },
		{ "kind left out", { 0x8005, NULL, 0 }, ERROR_MALFORMED },
		{ "kind 0", { 0x8005, BYTES("\0") }, ERROR_MALFORMED },
		{ "kind 2", { 0x8005, BYTES("\x02") }, OK },
		{ "kind 3", { 0x8005, BYTES("\x03") }, OK },
		{ "kind 4 without the second part", { 0x8005, BYTES("\x04") }, ERROR_MALFORMED },
		{ "kind 5", { 0x8005, BYTES("\x05") }, OK },
		{ "kind 6", { 0x8005, BYTES("\x06") }, ERROR_MALFORMED },
		{ "kind of two bytes", { 0x8005, BYTES("\x01\x01") }, ERROR_MALFORMED },
		{ "evidence left out", { 0x8006, NULL, 0 }, ERROR_MALFORMED },
		{ "evidence empty", { 0x8006, BYTES("") }, ERROR_MALFORMED },
		{ "evidence of any bytes", { 0x8006, BYTES("\0\n\x7f\xff") }, OK },
		{ "evidence of 65536 bytes", { 0x8006, filler, 65536 }, OK },
		{ "evidence of 65537 bytes", { 0x8006, filler, 65537 }, ERROR_TOO_LARGE },
		{ "second part of another kind", { 0x8007, BYTES("CN=CA") }, ERROR_MALFORMED },
		{ "remote host left out", { 0x0008, NULL, 0 }, OK },
		{ "remote host empty", { 0x0008, BYTES("") }, OK },
		{ "remote host of 256 bytes", { 0x0008, filler, 256 }, OK },
		{ "remote host of 257 bytes", { 0x0008, filler, 257 }, ERROR_TOO_LARGE },
		{ "remote host with ESC", { 0x0008, BYTES("\033[2J") }, ERROR_MALFORMED },
		{ "remote host with the critical bit", { 0x8008, BYTES("::1") }, OK },
		{ "tty left out", { 0x0009, NULL, 0 }, OK },
		{ "tty of 64 bytes", { 0x0009, filler, 64 }, OK },
		{ "tty of 65 bytes", { 0x0009, filler, 65 }, ERROR_TOO_LARGE },
		{ "tty with a line feed", { 0x0009, BYTES("tty1\n") }, ERROR_MALFORMED },
		{ "correlation id left out", { 0x000a, NULL, 0 }, ERROR_MALFORMED },
		{ "correlation id empty", { 0x000a, BYTES("") }, ERROR_MALFORMED },
		{ "correlation id of 64 bytes", { 0x000a, filler, 64 }, OK },
		{ "correlation id of 65 bytes", { 0x000a, filler, 65 }, ERROR_TOO_LARGE },
		{ "correlation id of all sorts", { 0x000a, BYTES("azAZ09-") }, OK },
		{ "correlation id with a space", { 0x000a, BYTES("a b") }, ERROR_MALFORMED },
		{ "correlation id with an underscore", { 0x000a, BYTES("a_b") }, ERROR_MALFORMED },
		{ "credential wanted left out", { 0x000b, NULL, 0 }, OK },
		{ "credential wanted 0", { 0x000b, BYTES("\0") }, OK },
		{ "credential wanted 2", { 0x000b, BYTES("\x02") }, ERROR_MALFORMED },
		{ "credential wanted empty", { 0x000b, BYTES("") }, ERROR_MALFORMED },
		{ "unknown field", { 0x000c, BYTES("new") }, OK },
		{ "unknown critical field", { 0x800c, BYTES("new") }, ERROR_VERSION },
		{ "highest unknown field", { 0x7fff, BYTES("") }, OK },
		{ "highest unknown critical field", { 0xffff, BYTES("") }, ERROR_VERSION },
		{ "field 0", { 0x0000, BYTES("") }, ERROR_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check_request_row(&rows[i]);
}

static void reply_fields_keep_their_rules(void **state)
{
	static const struct row rows[] = {
		{ "unchanged", { 0x7fff, NULL, 0 }, OK },
		{ "reason left out", { 0x8001, NULL, 0 }, ERROR_MALFORMED },
		{ "reason empty", { 0x8001, BYTES("") }, ERROR_MALFORMED },
		{ "reason of 65 bytes", { 0x8001, filler, 65 }, ERROR_TOO_LARGE },
		{ "reason in upper case", { 0x8001, BYTES("Allowed") }, ERROR_MALFORMED },
		{ "reason with NUL", { 0x8001, BYTES("allowed\0") }, ERROR_MALFORMED },
		{ "reason with a space", { 0x8001, BYTES("allowed ") }, ERROR_MALFORMED },
		{ "refusal with a credential", { 0x8001, BYTES("unmapped") }, ERROR_MALFORMED },
		{ "unknown reason with a credential", { 0x8001, BYTES("new") }, ERROR_MALFORMED },
		{ "allowed without account", { 0x8002, NULL, 0 }, ERROR_MALFORMED },
		{ "account empty", { 0x8002, BYTES("") }, ERROR_MALFORMED },
		{ "account of 256 bytes", { 0x8002, filler, 256 }, OK },
		{ "account of 257 bytes", { 0x8002, filler, 257 }, ERROR_TOO_LARGE },
		{ "account with NUL", { 0x8002, BYTES("alice\0x") }, ERROR_MALFORMED },
		{ "account with a line feed", { 0x8002, BYTES("alice\n") }, ERROR_MALFORMED },
		{ "uid left out", { 0x0003, NULL, 0 }, OK },
		{ "uid of 3 bytes", { 0x0003, BYTES("\0\0\x01") }, ERROR_MALFORMED },
		{ "uid of 5 bytes", { 0x0003, BYTES("\0\0\0\0\x01") }, ERROR_MALFORMED },
		{ "uid 0", { 0x0003, BYTES("\0\0\0\0") }, OK },
		{ "uid 2^32 - 2", { 0x0003, BYTES("\xff\xff\xff\xfe") }, OK },
		{ "uid that means none", { 0x0003, BYTES("\xff\xff\xff\xff") }, ERROR_MALFORMED },
		{ "allowed without mapping id", { 0x0004, NULL, 0 }, ERROR_MALFORMED },
		{ "mapping id of 4 bytes", { 0x0004, BYTES("\0\0\0\x07") }, ERROR_MALFORMED },
		{ "mapping id 0", { 0x0004, BYTES("\0\0\0\0\0\0\0\0") }, ERROR_MALFORMED },
		{ "mapping id 2^63 - 1", { 0x0004, BYTES("\x7f\xff\xff\xff\xff\xff\xff\xff") },
			OK },
		{ "mapping id 2^63", { 0x0004, BYTES("\x80\0\0\0\0\0\0\0") }, ERROR_MALFORMED },
		{ "allowed without fingerprint", { 0x0005, NULL, 0 }, ERROR_MALFORMED },
		{ "fingerprint of 63 digits", { 0x0005, filler, 63 }, ERROR_MALFORMED },
		{ "fingerprint of 64 digits", { 0x0005, filler, 64 }, OK },
		{ "fingerprint of 65 digits", { 0x0005, filler, 65 }, ERROR_MALFORMED },
		{ "fingerprint in upper case",
			{ 0x0005,
				"ABCDEF6789abcdef0123456789abcdef"
				"0123456789abcdef0123456789abcdef",
				64 },
			ERROR_MALFORMED },
		{ "fingerprint with another letter",
			{ 0x0005,
				"g123456789abcdef0123456789abcdef"
				"0123456789abcdef0123456789abcdef",
				64 },
			ERROR_MALFORMED },
		{ "subject left out", { 0x0006, NULL, 0 }, OK },
		{ "subject empty", { 0x0006, BYTES("") }, OK },
		{ "subject of 1024 bytes", { 0x0006, filler, 1024 }, OK },
		{ "subject of 1025 bytes", { 0x0006, filler, 1025 }, ERROR_TOO_LARGE },
		{ "subject beyond ASCII", { 0x0006, BYTES("CN=\xc3\xa4") }, ERROR_MALFORMED },
		{ "subject with a line feed", { 0x0006, BYTES("CN=a\n") }, ERROR_MALFORMED },
		{ "credential left out", { 0x0007, NULL, 0 }, OK },
		{ "credential empty", { 0x0007, BYTES("") }, ERROR_MALFORMED },
		{ "credential of any bytes", { 0x0007, BYTES("\0\xff\n") }, OK },
		{ "credential of 1024 bytes", { 0x0007, filler, 1024 }, OK },
		{ "credential of 1025 bytes", { 0x0007, filler, 1025 }, ERROR_TOO_LARGE },
		{ "allowed without correlation id", { 0x0008, NULL, 0 }, ERROR_MALFORMED },
		{ "correlation id of 65 bytes", { 0x0008, filler, 65 }, ERROR_TOO_LARGE },
		{ "correlation id with a dot", { 0x0008, BYTES("a.b") }, ERROR_MALFORMED },
		{ "shadow beside allowed", { 0x0009, BYTES("unmapped") }, ERROR_MALFORMED },
		{ "shadow empty", { 0x0009, BYTES("") }, ERROR_MALFORMED },
		{ "shadow of 65 bytes", { 0x0009, filler, 65 }, ERROR_TOO_LARGE },
		{ "unknown field", { 0x000a, BYTES("new") }, OK },
		{ "unknown critical field", { 0x800a, BYTES("new") }, ERROR_VERSION },
		{ "a request's number", { 0x800b, BYTES("\x01") }, ERROR_VERSION },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		check_reply_row(&rows[i]);
}

static void names_need_a_second_part_within_its_limit(void **state)
{
	static const struct row rows[] = {
		{ "there", { 0x8007, BYTES("CN=CA") }, OK },
		{ "not there", { 0x8007, NULL, 0 }, ERROR_MALFORMED },
		{ "empty", { 0x8007, BYTES("") }, ERROR_MALFORMED },
		{ "of 16384 bytes", { 0x8007, filler, 16384 }, OK },
		{ "of 16385 bytes", { 0x8007, filler, 16385 }, ERROR_TOO_LARGE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct field fields[COUNT(good_request)];
		memcpy(fields, good_request, sizeof fields);
		fields[4].value = "\x04";
		struct frame frame = frame_with(1, fields, COUNT(fields), &rows[i].field);
		struct request request;
		const enum error err = message_read_request(frame.bytes, frame.length, &request);

		if (err != rows[i].expected)
			fail_msg("%s: got \"%s\"", rows[i].what, error_text(err));
		if (err == OK)
			assert_int_equal(request.evidence_second.length, rows[i].field.length);
		free(frame.bytes);
	}
}

static void reply_has_a_shadow_beside_no_certificate_alone(void **state)
{
	uint8_t frame[REPLY_MAX_BYTES];
	struct reply reply = {
		.reason = REASON_NO_CERTIFICATE,
		.shadow = span_of_string("allowed"),
		.correlation_id = span_of_string("1"),
	}, read = { 0 };
	size_t length;

	(void)state;
	assert_int_equal(message_write_reply(&reply, frame, sizeof frame, &length), OK);
	assert_int_equal(message_read_reply(frame, length, &read), OK);
	assert_int_equal(read.reason, REASON_NO_CERTIFICATE);
	assert_true(span_is_equal(read.shadow, span_of_string("allowed")));
	reply.reason = REASON_UNMAPPED;
	assert_int_equal(
		message_write_reply(&reply, frame, sizeof frame, &length), ERROR_MALFORMED);
}

static void reply_with_a_newer_reason_is_read_and_is_no_yes(void **state)
{
	struct frame frame = frame_new(2);
	struct reply reply;

	(void)state;
	frame_add(&frame, 0x8001, BYTES("quota-exceeded"));
	frame_add(&frame, 0x0008, BYTES("00c0ffee"));
	frame_finish(&frame);
	assert_int_equal(message_read_reply(frame.bytes, frame.length, &reply), OK);
	assert_int_equal(reply.reason, REASON_UNKNOWN);
	assert_true(span_is_equal(reply.reason_word, span_of_string("quota-exceeded")));
	free(frame.bytes);
}

static void reply_may_lack_its_correlation_id_only_where_nothing_was_read(void **state)
{
	static const struct {
		const char *word;
		enum error expected;
	} rows[] = {
		{ "unavailable", OK },
		{ "forbidden", OK },
		{ "unmapped", ERROR_MALFORMED },
		{ "no-certificate", ERROR_MALFORMED },
		{ "quota-exceeded", ERROR_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct frame frame = frame_new(2);
		struct reply reply;

		frame_add(&frame, 0x8001, rows[i].word, strlen(rows[i].word));
		frame_finish(&frame);
		assert_int_equal(
			message_read_reply(frame.bytes, frame.length, &reply), rows[i].expected);
		free(frame.bytes);
	}
}

static void frames_of_another_length_than_they_say_are_refused(void **state)
{
	struct frame frame = frame_with(1, good_request, COUNT(good_request), &no_change);
	struct request request;

	(void)state;
	for (size_t length = 0; length < frame.length; length++) {
		uint8_t *part = malloc(length ? length : 1);
		assert_non_null(part);
		memcpy(part, frame.bytes, length);
		assert_int_equal(message_read_request(part, length, &request), ERROR_MALFORMED);
		free(part);
	}
	frame.bytes = realloc(frame.bytes, frame.length + 1);
	frame.bytes[frame.length] = 0;
	assert_int_equal(
		message_read_request(frame.bytes, frame.length + 1, &request), ERROR_MALFORMED);
	free(frame.bytes);
}

/* Every cut of the payload whose header tells the truth: the last field is broken, or a field that
 * must be there is missing. Only without its last field, which is optional, is it whole again. */
static void payloads_that_end_inside_of_a_field_are_refused(void **state)
{
	struct frame whole = frame_with(1, good_request, COUNT(good_request), &no_change);
	const size_t before_credential_wanted = whole.length - 7;

	(void)state;
	for (size_t length = 12; length < whole.length; length++) {
		struct frame frame = { .bytes = malloc(whole.length), .length = length };
		struct request request;
		assert_non_null(frame.bytes);
		memcpy(frame.bytes, whole.bytes, length);
		frame_finish(&frame);
		assert_int_equal(message_read_request(frame.bytes, frame.length, &request),
			length == before_credential_wanted ? OK : ERROR_MALFORMED);
		free(frame.bytes);
	}
	free(whole.bytes);
}

static void headers_are_checked_before_anything_is_waited_for(void **state)
{
	static const struct {
		const char *what;
		const char *header;
		enum error request;
		enum error reply;
	} rows[] = {
		{ "request", "CMAP\x01\x01\0\0\0\0\0\0", OK, ERROR_MALFORMED },
		{ "reply", "CMAP\x01\x02\0\0\0\0\0\0", ERROR_MALFORMED, OK },
		{ "no type", "CMAP\x01\0\0\0\0\0\0\0", ERROR_MALFORMED, ERROR_MALFORMED },
		{ "other magic", "CMAQ\x01\x01\0\0\0\0\0\0", ERROR_MALFORMED, ERROR_MALFORMED },
		{ "HTTP", "GET / HTTP/1", ERROR_MALFORMED, ERROR_MALFORMED },
		{ "version 0", "CMAP\0\x01\0\0\0\0\0\0", ERROR_VERSION, ERROR_VERSION },
		{ "version 2", "CMAP\x02\x01\0\0\0\0\0\0", ERROR_VERSION, ERROR_VERSION },
		{ "version 2 of another shape", "CMAP\x02\x09zz\xff\xff\xff\xff", ERROR_VERSION,
			ERROR_VERSION },
		{ "reserved 1", "CMAP\x01\x01\x01\0\0\0\0\0", ERROR_MALFORMED, ERROR_MALFORMED },
		{ "reserved 2", "CMAP\x01\x02\0\x01\0\0\0\0", ERROR_MALFORMED, ERROR_MALFORMED },
		/* 98304 - 12 = 0x17ff4 and 8192 - 12 = 0x1ff4. */
		{ "largest request", "CMAP\x01\x01\0\0\0\x01\x7f\xf4", OK, ERROR_MALFORMED },
		{ "request too large", "CMAP\x01\x01\0\0\0\x01\x7f\xf5", ERROR_TOO_LARGE,
			ERROR_MALFORMED },
		{ "largest reply", "CMAP\x01\x02\0\0\0\0\x1f\xf4", ERROR_MALFORMED, OK },
		{ "reply too large", "CMAP\x01\x02\0\0\0\0\x1f\xf5", ERROR_MALFORMED,
			ERROR_TOO_LARGE },
		{ "2^31 - 1", "CMAP\x01\x02\0\0\x7f\xff\xff\xff", ERROR_MALFORMED,
			ERROR_TOO_LARGE },
		{ "2^32 - 1", "CMAP\x01\x02\0\0\xff\xff\xff\xff", ERROR_MALFORMED,
			ERROR_TOO_LARGE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const uint8_t *header = (const uint8_t *)rows[i].header;
		struct message_header ret = { 0 };
		enum error err = message_read_request_header(header, &ret);

		if (err != rows[i].request)
			fail_msg("%s as a request: \"%s\"", rows[i].what, error_text(err));
		err = message_read_reply_header(header, &ret);
		if (err != rows[i].reply)
			fail_msg("%s as a reply: \"%s\"", rows[i].what, error_text(err));
	}
}

static void header_says_how_many_bytes_follow(void **state)
{
	struct message_header header = { 0 };

	(void)state;
	assert_int_equal(message_read_request_header(
				 (const uint8_t *)"CMAP\x01\x01\0\0\0\x01\x02\x03", &header),
		OK);
	assert_int_equal(header.version, 1);
	assert_int_equal(header.type, 1);
	assert_int_equal(header.payload_bytes, 0x010203);
}

static void assert_request_not_written(const struct request *request, enum error expected)
{
	static uint8_t buffer[REQUEST_MAX_BYTES];
	size_t length = 4711;

	assert_int_equal(message_write_request(request, buffer, sizeof buffer, &length), expected);
	assert_int_equal(length, 4711);
}

static void writer_does_not_write_a_request_that_would_not_be_read(void **state)
{
	struct request request = example_request();

	(void)state;
	request.phase = (enum phase)0;
	assert_request_not_written(&request, ERROR_MALFORMED);
	request.phase = (enum phase)257; /* cut to a byte it would be PHASE_AUTHENTICATE */
	assert_request_not_written(&request, ERROR_MALFORMED);

	request = example_request();
	request.user = span_of_string("root\n");
	assert_request_not_written(&request, ERROR_MALFORMED);
	request.user = span_of(filler, ACCOUNT_MAX_BYTES + 1);
	assert_request_not_written(&request, ERROR_TOO_LARGE);

	request = example_request();
	request.kind = EVIDENCE_NAMES;
	assert_request_not_written(&request, ERROR_MALFORMED);

	request = example_request();
	request.evidence = (struct span){ 0 };
	assert_request_not_written(&request, ERROR_MALFORMED);
	request.evidence = span_of(filler, EVIDENCE_MAX_BYTES + 1);
	assert_request_not_written(&request, ERROR_TOO_LARGE);
	request.evidence = span_of(filler, SIZE_MAX);
	assert_request_not_written(&request, ERROR_TOO_LARGE);

	request = example_request();
	request.correlation_id = (struct span){ 0 };
	assert_request_not_written(&request, ERROR_MALFORMED);
}

static void assert_reply_not_written(const struct reply *reply, enum error expected)
{
	uint8_t buffer[REPLY_MAX_BYTES];
	size_t length = 4711;

	assert_int_equal(message_write_reply(reply, buffer, sizeof buffer, &length), expected);
	assert_int_equal(length, 4711);
}

static void writer_does_not_write_a_reply_that_would_not_be_read(void **state)
{
	struct reply reply = example_reply();

	(void)state;
	reply.reason = REASON_UNKNOWN;
	assert_reply_not_written(&reply, ERROR_MALFORMED);
	reply.reason = (enum reason)(REASON_UNAVAILABLE + 1);
	assert_reply_not_written(&reply, ERROR_MALFORMED);

	reply = example_reply();
	reply.has_mapping_id = false;
	assert_reply_not_written(&reply, ERROR_MALFORMED);
	reply.has_mapping_id = true;
	reply.mapping_id = 0;
	assert_reply_not_written(&reply, ERROR_MALFORMED);

	reply = example_reply();
	reply.uid = UINT32_MAX;
	assert_reply_not_written(&reply, ERROR_MALFORMED);

	reply = example_reply();
	reply.reason = REASON_MAPPING_DISABLED;
	reply.credential = span_of_string("hunter2");
	assert_reply_not_written(&reply, ERROR_MALFORMED);

	reply = example_reply();
	reply.subject = span_of(filler, SUBJECT_MAX_BYTES + 1);
	assert_reply_not_written(&reply, ERROR_TOO_LARGE);
}

static void writer_refuses_every_buffer_that_is_too_small(void **state)
{
	const struct reply reply = example_reply();

	(void)state;
	for (size_t capacity = 0; capacity < sizeof reply_example - 1; capacity++) {
		uint8_t *buffer = malloc(capacity ? capacity : 1);
		size_t length = 4711;

		assert_non_null(buffer);
		assert_int_equal(
			message_write_reply(&reply, buffer, capacity, &length), ERROR_TOO_LARGE);
		assert_int_equal(length, 4711);
		free(buffer);
	}
}

static void largest_messages_fit_their_frames(void **state)
{
	static uint8_t buffer[REQUEST_MAX_BYTES];
	struct request request = {
		.phase = PHASE_ACCOUNT,
		.mode = MODE_SET,
		.kind = EVIDENCE_NAMES,
		.service = span_of(filler, SERVICE_MAX_BYTES),
		.user = span_of(filler, ACCOUNT_MAX_BYTES),
		.evidence = span_of(filler, EVIDENCE_MAX_BYTES),
		.evidence_second = span_of(filler, EVIDENCE_SECOND_MAX_BYTES),
		.remote_host = span_of(filler, REMOTE_HOST_MAX_BYTES),
		.tty = span_of(filler, TTY_MAX_BYTES),
		.correlation_id = span_of(filler, CORRELATION_ID_MAX_BYTES),
		.credential_wanted = true,
	};
	struct reply reply = {
		.reason = REASON_ALLOWED,
		.account = span_of(filler, ACCOUNT_MAX_BYTES),
		.has_uid = true,
		.uid = UINT32_MAX - 1,
		.has_mapping_id = true,
		.mapping_id = INT64_MAX,
		.fingerprint = span_of(filler, FINGERPRINT_HEX_BYTES),
		.subject = span_of(filler, SUBJECT_MAX_BYTES),
		.credential = span_of(filler, CREDENTIAL_MAX_BYTES),
		.correlation_id = span_of(filler, CORRELATION_ID_MAX_BYTES),
	};
	size_t length = 0;

	(void)state;
	assert_int_equal(message_write_request(&request, buffer, sizeof buffer, &length), OK);
	assert_int_equal(message_read_request(buffer, length, &request), OK);
	assert_int_equal(request.phase, PHASE_ACCOUNT);
	assert_int_equal(request.mode, MODE_SET);
	assert_int_equal(request.kind, EVIDENCE_NAMES);
	assert_true(request.credential_wanted);

	assert_int_equal(message_write_reply(&reply, buffer, REPLY_MAX_BYTES, &length), OK);
	assert_int_equal(message_read_reply(buffer, length, &reply), OK);
	assert_true(reply.uid == UINT32_MAX - 1);
	assert_true(reply.mapping_id == INT64_MAX);
	assert_int_equal(reply.credential.length, CREDENTIAL_MAX_BYTES);
}

/* Whatever one changed byte makes of a good frame: it is refused, or it is a message that is
 * written and read again as the same. */
static void changed_bytes_are_refused_or_make_another_whole_message(void **state)
{
	struct frame frame = frame_with(1, good_request, COUNT(good_request), &no_change);
	uint8_t written[512];
	size_t refused = 0;

	(void)state;
	for (size_t at = 0; at < frame.length; at++) {
		const uint8_t before = frame.bytes[at];

		for (unsigned value = 0; value <= 0xff; value++) {
			struct request first;
			struct request second;
			size_t length = 0;

			frame.bytes[at] = (uint8_t)value;
			if (message_read_request(frame.bytes, frame.length, &first) != OK) {
				refused++;
				continue;
			}
			assert_int_equal(
				message_write_request(&first, written, sizeof written, &length),
				OK);
			assert_int_equal(message_read_request(written, length, &second), OK);
			assert_int_equal(first.phase, second.phase);
			assert_true(span_is_equal(first.service, second.service));
			assert_true(span_is_equal(first.evidence, second.evidence));
			assert_true(span_is_equal(first.correlation_id, second.correlation_id));
		}
		frame.bytes[at] = before;
	}
	/* Each of the header's twelve bytes has one right value. */
	assert_true(refused > 12 * 255);
	free(frame.bytes);
}

/* The status ----------------------------------------------------------------------------------- */

static const struct status *example_status(void)
{
	static struct status status;

	status = (struct status){
		.version = span_of_string("0.1.0"),
		.pid = 4242,
		.started_sec = 1801353600,
		.is_usable = true,
		.counts = span_of_string("allowed=7 unmapped=3"),
		.has_shadowed = true,
		.correlation_id = span_of_string("00c0ffee"),
	};
	return &status;
}

static void status_is_written_as_the_page_says(void **state)
{
	uint8_t buffer[REPLY_MAX_BYTES];
	size_t length;

	(void)state;
	assert_int_equal(message_write_status_request(
				 span_of_string("00c0ffee"), buffer, sizeof buffer, &length),
		OK);
	assert_int_equal(length, sizeof status_request_example - 1);
	assert_memory_equal(buffer, status_request_example, length);
	assert_int_equal(
		message_write_status(example_status(), buffer, sizeof buffer, &length), OK);
	assert_int_equal(length, sizeof status_example - 1);
	assert_memory_equal(buffer, status_example, length);
}

static void status_is_read_as_the_page_says(void **state)
{
	const struct status *expected = example_status();
	struct status status;
	struct span id;

	(void)state;
	assert_int_equal(message_read_status_request((const uint8_t *)status_request_example,
				 sizeof status_request_example - 1, &id),
		OK);
	assert_true(span_is_equal(id, expected->correlation_id));
	assert_int_equal(message_read_status((const uint8_t *)status_example,
				 sizeof status_example - 1, &status),
		OK);
	assert_true(span_is_equal(status.version, expected->version));
	assert_true(span_is_equal(status.counts, expected->counts));
	assert_true(span_is_equal(status.correlation_id, expected->correlation_id));
	assert_int_equal(status.pid, 4242);
	assert_int_equal(status.started_sec, 1801353600);
	assert_true(status.is_usable && status.has_shadowed && status.shadowed == 0);
}

/* Each is a whole frame, but of another type than the reader is for. */
static void no_message_is_taken_for_one_of_another_type(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} frames[] = {
		{ BYTES(request_example) },
		{ BYTES(reply_example) },
		{ BYTES(status_request_example) },
		{ BYTES(status_example) },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(frames); i++) {
		const uint8_t *frame = (const uint8_t *)frames[i].bytes;
		const size_t length = frames[i].length;
		struct message_header header;
		struct request request;
		struct reply reply;
		struct status status;
		struct span id;

		assert_int_equal(message_read_request(frame, length, &request),
			i == 0 ? OK : ERROR_MALFORMED);
		assert_int_equal(
			message_read_reply(frame, length, &reply), i == 1 ? OK : ERROR_MALFORMED);
		assert_int_equal(message_read_status_request(frame, length, &id),
			i == 2 ? OK : ERROR_MALFORMED);
		assert_int_equal(
			message_read_status(frame, length, &status), i == 3 ? OK : ERROR_MALFORMED);
		/* The first two readers of a header tell who is spoken to. */
		assert_int_equal(message_read_request_header(frame, &header),
			i % 2 == 0 ? OK : ERROR_MALFORMED);
		assert_int_equal(message_read_reply_header(frame, &header),
			i % 2 == 1 ? OK : ERROR_MALFORMED);
	}
}

static void status_refuses_what_breaks_its_rules(void **state)
{
	uint8_t frame[sizeof status_example - 1];
	struct status status, broken = *example_status();
	uint8_t buffer[REPLY_MAX_BYTES];
	size_t length;

	(void)state;
	memcpy(frame, status_example, sizeof frame);
	frame[12 + 11 + 10 + 14 + 6] = 2; /* database-usable */
	assert_int_equal(message_read_status(frame, sizeof frame, &status), ERROR_MALFORMED);
	broken.version = span_of_string("0.1.0\n");
	assert_int_equal(
		message_write_status(&broken, buffer, sizeof buffer, &length), ERROR_MALFORMED);
	broken.version = (struct span){ 0 };
	assert_int_equal(
		message_write_status(&broken, buffer, sizeof buffer, &length), ERROR_MALFORMED);
	broken = *example_status();
	broken.counts = span_of(buffer, STATUS_COUNTS_MAX_BYTES + 1);
	assert_int_equal(
		message_write_status(&broken, buffer, sizeof buffer, &length), ERROR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_is_written_as_the_page_says),
		cmocka_unit_test(status_is_read_as_the_page_says),
		cmocka_unit_test(no_message_is_taken_for_one_of_another_type),
		cmocka_unit_test(status_refuses_what_breaks_its_rules),
		cmocka_unit_test(request_of_the_page_is_read),
		cmocka_unit_test(request_of_the_page_is_written),
		cmocka_unit_test(reply_of_the_page_is_read),
		cmocka_unit_test(reply_of_the_page_is_written),
		cmocka_unit_test(reply_to_an_unreadable_request_is_that_of_the_page),
		cmocka_unit_test(request_fields_keep_their_rules),
		cmocka_unit_test(reply_fields_keep_their_rules),
		cmocka_unit_test(names_need_a_second_part_within_its_limit),
		cmocka_unit_test(reply_has_a_shadow_beside_no_certificate_alone),
		cmocka_unit_test(reply_with_a_newer_reason_is_read_and_is_no_yes),
		cmocka_unit_test(reply_may_lack_its_correlation_id_only_where_nothing_was_read),
		cmocka_unit_test(frames_of_another_length_than_they_say_are_refused),
		cmocka_unit_test(payloads_that_end_inside_of_a_field_are_refused),
		cmocka_unit_test(headers_are_checked_before_anything_is_waited_for),
		cmocka_unit_test(header_says_how_many_bytes_follow),
		cmocka_unit_test(writer_does_not_write_a_request_that_would_not_be_read),
		cmocka_unit_test(writer_does_not_write_a_reply_that_would_not_be_read),
		cmocka_unit_test(writer_refuses_every_buffer_that_is_too_small),
		cmocka_unit_test(largest_messages_fit_their_frames),
		cmocka_unit_test(changed_bytes_are_refused_or_make_another_whole_message),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
