/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* print.c owns which characters a terminal gets to see, and the lines about one mapping. */
#include "print.h"

#include "escape.h"
#include "json.h"
#include "utf8.h"
#include "when.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdbool.h>
#include <string.h>
#include <wchar.h>

/* Of a value in words: a name of CERTIFICATE_NAME_MAX_BYTES fits unless it is all escapes. */
#define VALUE_MAX_BYTES 2048u

static struct span rest_of(struct span text, size_t from)
{
	return span_of(text.bytes + from, text.length - from);
}

/* A letter beyond ASCII takes a place. What takes none could change those beside it: marks that
 * combine, and those that turn the direction of writing. wcwidth(3) knows, in glibc by the number
 * of Unicode. */
static bool is_shown(uint32_t code_point)
{
	return code_point > 0x7f && strcmp(nl_langinfo(CODESET), "UTF-8") == 0 &&
	       wcwidth((wchar_t)code_point) > 0;
}

/* No value stands in quotes here. A backslash belongs to many a name (RFC 4514 2.4), and forges
 * nothing unless it would look like an escape of ours. */
static bool is_plain(struct span text)
{
	return text.bytes[0] == '"' ||
	       (text.bytes[0] == '\\' && (text.length < 2 || text.bytes[1] != 'x'));
}

/* The form of the first character; returns how many bytes it was. */
static size_t show_character(struct span text, char ret[static sizeof "\\xNN"])
{
	uint32_t code_point;
	size_t length = is_plain(text) ? 1 : utf8_read(text, &code_point);

	if (is_plain(text) || (length > 0 && is_shown(code_point))) {
		memcpy(ret, text.bytes, length);
		ret[length] = '\0';
		return length;
	}
	escape_text(span_of(text.bytes, 1), ret, sizeof "\\xNN");
	return 1;
}

char *print_shown(struct span text, char *buffer, size_t capacity)
{
	static const char ellipsis[] = "...";
	char piece[sizeof "\\xNN"];
	size_t used = 0, at = 0;

	if (!span_is_present(text))
		text = span_of_string("-");
	while (at < text.length) {
		size_t taken = show_character(rest_of(text, at), piece);

		if (used + strlen(piece) + sizeof ellipsis > capacity)
			break;
		memcpy(buffer + used, piece, strlen(piece));
		used += strlen(piece);
		at += taken;
	}
	if (at < text.length) {
		memcpy(buffer + used, ellipsis, strlen(ellipsis));
		used += strlen(ellipsis);
	}
	buffer[used] = '\0';
	return buffer;
}

size_t print_json_fields(const struct store_status *row, struct json_field *ret)
{
	for (size_t i = 0; i < STATUS_COLUMNS; i++)
		ret[i] = (struct json_field){
			.name = store_status_name((enum store_status_column)i),
			.text = row->text[i],
			.is_number = row->is_number[i],
			.number = row->number[i],
		};
	return STATUS_COLUMNS;
}

enum error print_json_row(const struct store_status *row)
{
	struct json_field fields[STATUS_COLUMNS];
	const size_t count = print_json_fields(row, fields);

	return json_print(fields, count);
}

enum error print_json_line(const struct store_status *row)
{
	enum error error = print_json_row(row);

	if (error == OK)
		putchar('\n');
	return error;
}

static void print_line(FILE *out, const char *label, struct span text, const char *after)
{
	char value[VALUE_MAX_BYTES];

	if (span_is_present(text))
		fprintf(out, "  %-8s %s%s\n", label, print_shown(text, value, sizeof value), after);
}

/* " (in 12 days)"; nothing where the text is no date. */
static char *print_distance(struct span date, char *buffer, size_t capacity)
{
	char text[64], relative[WHEN_RELATIVE_BYTES];
	const int64_t now_sec = when_now();
	int64_t sec;

	buffer[0] = '\0';
	if (!span_is_present(date))
		return buffer;
	print_shown(date, text, sizeof text);
	if (when_read(text, now_sec, &sec))
		snprintf(buffer, capacity, " (%s)",
			when_relative(sec, now_sec, relative, sizeof relative));
	return buffer;
}

static void print_range(FILE *out, const char *label, struct span from, struct span until)
{
	char first[64], last[64], distance[WHEN_RELATIVE_BYTES + sizeof " ()"];

	if (span_is_present(from) || span_is_present(until))
		fprintf(out, "  %-8s %s to %s UTC%s\n", label,
			print_shown(from, first, sizeof first),
			print_shown(until, last, sizeof last),
			print_distance(until, distance, sizeof distance));
}

void print_words(FILE *out, const struct store_status *row)
{
	const struct span *text = row->text;
	char uid[64], after[80] = "", distance[WHEN_RELATIVE_BYTES + sizeof " ()"];
	char staged[128], used[128];

	if (span_is_present(text[STATUS_ACCOUNT_UID]))
		snprintf(after, sizeof after, " (uid %s)",
			print_shown(text[STATUS_ACCOUNT_UID], uid, sizeof uid));
	print_line(out, "account", text[STATUS_ACCOUNT], after);
	print_line(out, "service", text[STATUS_SERVICE],
		span_is_equal(text[STATUS_SERVICE], span_of_string("*")) ? " (every service)" : "");
	print_line(out, "state", text[STATUS_STATE], "");
	print_line(out, "problem", text[STATUS_PROBLEM], "");
	print_line(out, "replaces", text[STATUS_REPLACES], "");
	snprintf(staged, sizeof staged, " UTC%s, if it is not used before",
		print_distance(text[STATUS_STAGED_UNTIL], distance, sizeof distance));
	print_line(out, "until", text[STATUS_STAGED_UNTIL], staged);
	print_range(out, "mapping", text[STATUS_VALID_FROM], text[STATUS_VALID_UNTIL]);
	print_line(out, "subject", text[STATUS_SUBJECT], "");
	print_line(out, "issuer", text[STATUS_ISSUER], "");
	print_line(out, "serial", text[STATUS_SERIAL], "");
	print_range(out, "valid", text[STATUS_NOT_BEFORE], text[STATUS_NOT_AFTER]);
	print_line(out, "SHA-256", text[STATUS_FINGERPRINT], "");
	print_line(out, "note", text[STATUS_NOTE], "");
	snprintf(used, sizeof used, " UTC%s, the last of %" PRId64 " times",
		print_distance(text[STATUS_LAST_USED], distance, sizeof distance),
		row->number[STATUS_USES]);
	print_line(out, "used", text[STATUS_LAST_USED], used);
}
