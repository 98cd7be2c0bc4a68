/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* print.c owns which characters a terminal gets to see, and the lines about one mapping. */
#include "print.h"

#include "escape.h"

#include <langinfo.h>
#include <stdbool.h>
#include <string.h>
#include <wchar.h>

#define REPLACEMENT 0xfffdu

/* Of a value in words: a name of CERTIFICATE_NAME_MAX_BYTES fits unless it is all escapes. */
#define VALUE_MAX_BYTES 2048u

struct character {
	uint32_t code;
	size_t length; /* in bytes */
};

static struct span rest_of(struct span text, size_t from)
{
	return span_of(text.bytes + from, text.length - from);
}

/* What the first byte of a character announces (RFC 3629 3); 0: it can't begin one. */
static size_t announced_length(uint8_t byte)
{
	if (byte < 0x80)
		return 1;
	if (byte >= 0xc2 && byte <= 0xdf)
		return 2;
	if ((byte & 0xf0) == 0xe0)
		return 3;
	return byte >= 0xf0 && byte <= 0xf4 ? 4 : 0;
}

/* The character at the start. The shortest form alone, no surrogates, nothing past U+10FFFF:
 * RFC 3629 3. False: there is none. */
static bool read_character(struct span text, struct character *ret)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = announced_length(text.bytes[0]);
	uint32_t code;

	if (length == 0 || length > text.length)
		return false;
	code = length == 1 ? text.bytes[0] : text.bytes[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((text.bytes[i] & 0xc0) != 0x80)
			return false;
		code = code << 6 | (text.bytes[i] & 0x3fu);
	}
	if (code < lowest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return false;
	*ret = (struct character){ .code = code, .length = length };
	return true;
}

/* A letter beyond ASCII takes a place. What takes none could change those beside it: marks that
 * combine, and those that turn the direction of writing. wcwidth(3) knows, in glibc by the number
 * of Unicode. */
static bool is_shown(const struct character *character)
{
	return character->length > 1 && strcmp(nl_langinfo(CODESET), "UTF-8") == 0 &&
	       wcwidth((wchar_t)character->code) > 0;
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
	struct character character = { .length = 1 };

	if (is_plain(text) || (read_character(text, &character) && is_shown(&character))) {
		memcpy(ret, text.bytes, character.length);
		ret[character.length] = '\0';
		return character.length;
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

static void print_json_code(FILE *out, uint32_t code)
{
	if (code > 0xffff) {
		print_json_code(out, 0xd800 + ((code - 0x10000) >> 10));
		print_json_code(out, 0xdc00 + (code & 0x3ff));
	} else {
		fprintf(out, "\\u%04x", code);
	}
}

static void print_json_character(FILE *out, struct span text, const struct character *character)
{
	if (character->code == '"' || character->code == '\\')
		fprintf(out, "\\%c", (char)character->code);
	else if ((character->code >= 0x20 && character->code <= 0x7e) || is_shown(character))
		fwrite(text.bytes, 1, character->length, out);
	else
		print_json_code(out, character->code);
}

void print_json_string(FILE *out, struct span text)
{
	struct character character;

	fputc('"', out);
	for (size_t at = 0; at < text.length; at += character.length) {
		if (!read_character(rest_of(text, at), &character))
			character = (struct character){ .code = REPLACEMENT, .length = 1 };
		if (character.code == REPLACEMENT)
			print_json_code(out, REPLACEMENT);
		else
			print_json_character(out, rest_of(text, at), &character);
	}
	fputc('"', out);
}

static void print_json_value(FILE *out, const struct store_status *row, size_t column)
{
	struct span text = row->text[column];

	if (!span_is_present(text))
		fputs("null", out);
	else if (row->is_number[column])
		fwrite(text.bytes, 1, text.length, out);
	else
		print_json_string(out, text);
}

void print_json_row(FILE *out, const struct store_status *row, const char *indent)
{
	fprintf(out, "%s{", indent);
	for (size_t i = 0; i < STATUS_COLUMNS; i++) {
		fprintf(out, "%s\n%s  \"%s\": ", i > 0 ? "," : "", indent,
			store_status_name((enum store_status_column)i));
		print_json_value(out, row, i);
	}
	fprintf(out, "\n%s}", indent);
}

static void print_line(FILE *out, const char *label, struct span text, const char *after)
{
	char value[VALUE_MAX_BYTES];

	if (span_is_present(text))
		fprintf(out, "  %-8s %s%s\n", label, print_shown(text, value, sizeof value), after);
}

static void print_range(FILE *out, const char *label, struct span from, struct span until)
{
	char first[64], last[64];

	if (span_is_present(from) || span_is_present(until))
		fprintf(out, "  %-8s %s to %s UTC\n", label, print_shown(from, first, sizeof first),
			print_shown(until, last, sizeof last));
}

void print_words(FILE *out, const struct store_status *row)
{
	const struct span *text = row->text;
	char uid[64], after[80] = "";

	if (span_is_present(text[STATUS_ACCOUNT_UID]))
		snprintf(after, sizeof after, " (uid %s)",
			print_shown(text[STATUS_ACCOUNT_UID], uid, sizeof uid));
	print_line(out, "account", text[STATUS_ACCOUNT], after);
	print_line(out, "service", text[STATUS_SERVICE],
		span_is_equal(text[STATUS_SERVICE], span_of_string("*")) ? " (every service)" : "");
	print_line(out, "state", text[STATUS_STATE], "");
	print_line(out, "problem", text[STATUS_PROBLEM], "");
	print_line(out, "replaces", text[STATUS_REPLACES], "");
	print_range(out, "mapping", text[STATUS_VALID_FROM], text[STATUS_VALID_UNTIL]);
	print_line(out, "subject", text[STATUS_SUBJECT], "");
	print_line(out, "issuer", text[STATUS_ISSUER], "");
	print_line(out, "serial", text[STATUS_SERIAL], "");
	print_range(out, "valid", text[STATUS_NOT_BEFORE], text[STATUS_NOT_AFTER]);
	print_line(out, "SHA-256", text[STATUS_FINGERPRINT], "");
	print_line(out, "note", text[STATUS_NOTE], "");
}
