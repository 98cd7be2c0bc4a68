/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pamstack.c owns the reading of files and lines: _pam_parse_conf_file() and _pam_assemble_line()
 * of Linux-PAM 1.5 to 1.7. */
#include "pamstack_private.h"

#include <ctype.h>
#include <security/_pam_types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With its continuations. libpam's buffer has 1024 bytes; from Linux-PAM 1.6 on it grows, and ours
 * is larger than any line that somebody writes. */
#if __LINUX_PAM_MINOR__ < 6
#define LINE_MAX_BYTES 1024u
#define LINE_MAX_WORDS "1023 bytes"
#else
#define LINE_MAX_BYTES 65536u
#define LINE_MAX_WORDS "65535 bytes"
#endif
#define DEPTH_MAX 32u /* of files that include each other, as in libpam */
#define ARGUMENTS_MAX 128u

/* A piece of memory that lives as long as the stack. */
struct text {
	struct text *next;
	char bytes[];
};

struct reading {
	struct pamstack *stack;
	const char *directory;
	unsigned depth, level;
};

/* Where to put the lines of one file. */
struct place {
	const char *file;
	unsigned number;
	bool is_any; /* of every phase */
	enum pamstack_phase phase;
};

static const char *const phase_words[PAMSTACK_PHASES] = {
	[PAMSTACK_AUTH] = "auth",
	[PAMSTACK_ACCOUNT] = "account",
	[PAMSTACK_SESSION] = "session",
	[PAMSTACK_PASSWORD] = "password",
};

static char *keep_text(struct pamstack *stack, const char *value)
{
	const size_t size = strlen(value) + 1;
	struct text *text = malloc(sizeof *text + size);

	if (!text)
		return NULL;
	memcpy(text->bytes, value, size);
	text->next = stack->text;
	stack->text = text;
	return text->bytes;
}

/* The next word, in place; brackets hold several together, "\]" being one inside. NULL: none. */
static char *take_word(char **text)
{
	char *from = *text + strspn(*text, PAMSTACK_BLANKS), *word = from, *to = from;

	if (*from == '\0')
		return NULL;
	if (*from != '[') {
		from += strcspn(from, PAMSTACK_BLANKS);
		*text = *from ? from + 1 : from;
		*from = '\0';
		return word;
	}
	for (from++; *from && *from != ']'; from++) {
		if (from[0] == '\\' && from[1] == ']')
			from++;
		*to++ = *from;
	}
	*text = *from ? from + 1 : from;
	*to = '\0';
	return word;
}

/* What a line says once the comment and white space around it are gone; *ret_more: the next one
 * belongs to it. */
static size_t trim_line(char *line, bool *ret_more)
{
	const size_t length = strcspn(line, "#");
	const bool has_comment = line[length] == '#';
	size_t end = length;

	while (end > 0 && strchr(PAMSTACK_BLANKS, line[end - 1]))
		end--;
	/* A comment behind the backslash ends the line all the same. */
	*ret_more = !has_comment && end > 0 && line[end - 1] == '\\';
	if (*ret_more)
		line[end - 1] = ' ';
	line[*ret_more ? end : length] = '\0';
	return *ret_more ? end : length;
}

enum line_finding { LINE_NONE, LINE_WHOLE, LINE_BROKEN };

/* A whole line. Blank ones and comments in the middle of a continued one are none, as in libpam. */
static enum line_finding take_line(
	FILE *in, char line[LINE_MAX_BYTES], unsigned *number, unsigned *ret_first)
{
	size_t used = 0;
	bool more = false;

	for (;;) {
		char *piece = line + used;
		size_t blank;

		if (used + 1 >= LINE_MAX_BYTES)
			return LINE_BROKEN;
		if (!fgets(piece, (int)(LINE_MAX_BYTES - used), in))
			return used > 0 ? LINE_BROKEN : LINE_NONE;
		++*number;
		blank = strspn(piece, PAMSTACK_BLANKS);
		if (piece[blank] == '\0' || piece[blank] == '#')
			continue;
		if (used == 0)
			*ret_first = *number;
		used += trim_line(piece, &more);
		if (!more)
			return LINE_WHOLE;
	}
}

static enum error add_line(struct pamstack *stack, const struct pamstack_line *line)
{
	struct pamstack_line *lines = reallocarray(stack->lines, stack->count + 1, sizeof *lines);

	if (!lines)
		return ERROR_MEMORY;
	stack->lines = lines;
	lines[stack->count++] = *line;
	return OK;
}

static enum error add_broken(struct reading *reading, const struct place *place,
	enum pamstack_phase phase, const char *why)
{
	const struct pamstack_line line = {
		.phase = phase,
		.file = place->file,
		.number = place->number,
		.control = "",
		.level = reading->level,
		.broken = why,
	};

	return add_line(reading->stack, &line);
}

/* libpam gives up a file where it can't go on, and with it the one that has it with @include. */
static void give_up(struct reading *reading, const struct place *place, const char *why)
{
	struct pamstack *stack = reading->stack;

	if (stack->abort)
		return;
	stack->abort = why;
	stack->abort_file = place->file;
	stack->abort_number = place->number;
}

/* *ret_loaded is false where the file could not be opened, or was given up. */
static enum error read_named(struct reading *reading, const char *name, bool is_any,
	enum pamstack_phase phase, bool *ret_loaded);

static enum error include(struct reading *reading, const struct place *place, const char *name,
	bool is_substack, bool *ret_loaded)
{
	enum error error;

	*ret_loaded = false;
	if (!name || reading->depth >= DEPTH_MAX ||
		reading->level + is_substack >= PAMSTACK_LEVEL_MAX)
		return OK;
	reading->depth++;
	reading->level += is_substack;
	error = read_named(reading, name, place->is_any, place->phase, ret_loaded);
	reading->level -= is_substack;
	reading->depth--;
	return error;
}

static enum error take_arguments(struct pamstack *stack, char *rest, struct pamstack_line *line)
{
	const char *arguments[ARGUMENTS_MAX];
	const char **kept;
	const char *word;

	while ((word = take_word(&rest)) && line->argc < (int)ARGUMENTS_MAX)
		arguments[line->argc++] = word;
	/* Room for the array in the same list of texts, at the alignment of malloc(3). */
	struct text *text = malloc(sizeof *text + sizeof(arguments));

	if (!text)
		return ERROR_MEMORY;
	text->next = stack->text;
	stack->text = text;
	kept = (const char **)(void *)text->bytes;
	memcpy(kept, arguments, (size_t)line->argc * sizeof *kept);
	line->argv = kept;
	return OK;
}

static enum error read_module(
	struct reading *reading, struct pamstack_line *line, char *control, char *rest)
{
	enum error error;

	line->control = control;
	/* The module is called all the same, and whatever it answers is a refusal. */
	if (!pamstack_read_control(control, line->actions)) {
		line->broken = "its control is none that libpam knows";
		for (size_t i = 0; i < PAMSTACK_CODES; i++)
			line->actions[i] = PAMSTACK_BAD;
	}
	if (!(line->module = take_word(&rest)))
		return add_broken(reading,
			&(struct place){ .file = line->file, .number = line->number }, line->phase,
			"the module is missing");
	error = take_arguments(reading->stack, rest, line);
	return error == OK ? add_line(reading->stack, line) : error;
}

/* A file that can't be included leaves a refusal behind, which is not the end of the stack. */
static enum error include_by_control(
	struct reading *reading, const struct pamstack_line *line, char *rest, bool is_substack)
{
	const struct place place = {
		.file = line->file, .number = line->number, .phase = line->phase
	};
	struct pamstack_line marker = *line;
	bool is_loaded = false;
	enum error error = OK;

	if (is_substack) {
		marker.is_substack = true;
		marker.control = "substack";
		error = add_line(reading->stack, &marker);
	}
	if (error == OK)
		error = include(reading, &place, take_word(&rest), is_substack, &is_loaded);
	if (error != OK || is_loaded)
		return error;
	reading->stack->abort = NULL;
	return add_broken(reading, &place, line->phase, "it includes a file that can't be read");
}

static bool find_phase(const char *word, enum pamstack_phase *ret)
{
	for (int i = 0; i < PAMSTACK_PHASES; i++)
		if (strcasecmp(word, phase_words[i]) == 0) {
			*ret = (enum pamstack_phase)i;
			return true;
		}
	return false;
}

static enum error read_line(
	struct reading *reading, const struct place *place, char *text, bool *ret_loaded)
{
	struct pamstack_line line = {
		.file = place->file, .number = place->number, .level = reading->level
	};
	char *word = take_word(&text), *control;

	if (!word)
		return OK;
	if (strcmp(word, "@include") == 0) {
		enum error error = include(reading, place, take_word(&text), false, ret_loaded);

		if (!*ret_loaded)
			give_up(reading, place, "it includes a file that can't be read");
		return error;
	}
	line.is_optional = word[0] == '-';
	/* libpam takes what it does not know for the most sensitive phase. */
	if (!find_phase(word + line.is_optional, &line.phase))
		return add_broken(
			reading, place, PAMSTACK_AUTH, "its type is none that libpam knows");
	if (!place->is_any && line.phase != place->phase)
		return OK;
	if (!(control = take_word(&text)))
		return add_broken(reading, place, line.phase, "the control is missing");
	if (strcasecmp(control, "include") == 0)
		return include_by_control(reading, &line, text, false);
	if (strcasecmp(control, "substack") == 0)
		return include_by_control(reading, &line, text, true);
	return read_module(reading, &line, control, text);
}

static enum error read_stream(
	struct reading *reading, FILE *in, struct place *place, bool *ret_loaded)
{
	char line[LINE_MAX_BYTES];
	unsigned number = 0;
	enum line_finding finding;
	enum error error = OK;

	*ret_loaded = true;
	while (error == OK && *ret_loaded &&
		(finding = take_line(in, line, &number, &place->number)) != LINE_NONE) {
		char *kept = keep_text(reading->stack, line);

		if (!kept)
			return ERROR_MEMORY;
		if (finding == LINE_WHOLE) {
			error = read_line(reading, place, kept, ret_loaded);
			continue;
		}
		place->number = number;
		*ret_loaded = false;
		give_up(reading, place,
			"a line is over " LINE_MAX_WORDS ", or continued past the end of the file");
	}
	return error;
}

static FILE *open_named(const char *name, const char *directory, char *path, size_t capacity)
{
	static const char *const system_directories[] = { "/etc/pam.d", "/usr/lib/pam.d" };
	FILE *in = NULL;

	if (name[0] == '/') {
		snprintf(path, capacity, "%s", name);
		return fopen(path, "re");
	}
	if (directory) {
		snprintf(path, capacity, "%s/%s", directory, name);
		return fopen(path, "re");
	}
	for (size_t i = 0; i < 2 && !in; i++) {
		snprintf(path, capacity, "%s/%s", system_directories[i], name);
		in = fopen(path, "re");
	}
	return in;
}

static const char *note_file(struct pamstack *stack, const char *path)
{
	const char **files;

	for (size_t i = 0; i < stack->file_count; i++)
		if (strcmp(stack->files[i], path) == 0)
			return stack->files[i];
	files = reallocarray(stack->files, stack->file_count + 1, sizeof *files);
	if (!files)
		return NULL;
	stack->files = files;
	if (!(files[stack->file_count] = keep_text(stack, path)))
		return NULL;
	return files[stack->file_count++];
}

static enum error read_named(struct reading *reading, const char *name, bool is_any,
	enum pamstack_phase phase, bool *ret_loaded)
{
	char path[4096];
	struct place place = { .is_any = is_any, .phase = phase };
	FILE *in = open_named(name, reading->directory, path, sizeof path);
	enum error error = ERROR_MEMORY;

	if (!in) {
		*ret_loaded = false;
		return OK;
	}
	if ((place.file = note_file(reading->stack, path)))
		error = read_stream(reading, in, &place, ret_loaded);
	fclose(in);
	return error;
}

static bool has_lines(const struct pamstack *stack, enum pamstack_phase phase)
{
	for (size_t i = 0; i < stack->count; i++)
		if (stack->lines[i].phase == phase)
			return true;
	return false;
}

/* Each phase of which the service's file says nothing is that of `other', pam.conf(5). */
static enum error read_other(struct reading *reading)
{
	enum error error = OK;
	bool is_loaded;

	for (int i = 0; i < PAMSTACK_PHASES && error == OK; i++) {
		const enum pamstack_phase phase = (enum pamstack_phase)i;

		if (has_lines(reading->stack, phase))
			continue;
		reading->stack->is_of_other[phase] = true;
		error = read_named(reading, "other", false, phase, &is_loaded);
	}
	return error;
}

static bool is_file_name(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/');
}

enum error pamstack_read(const char *service, const char *directory, struct pamstack **ret)
{
	struct reading reading = { .directory = directory };
	char name[256];
	size_t length = strlen(service);
	bool is_loaded;
	enum error error;

	if (!is_file_name(service) || length >= sizeof name)
		return ERROR_REFUSED;
	for (size_t i = 0; i <= length; i++)
		name[i] = (char)tolower((unsigned char)service[i]);
	if (!(reading.stack = calloc(1, sizeof *reading.stack)))
		return ERROR_MEMORY;
	error = read_named(&reading, name, true, PAMSTACK_AUTH, &is_loaded);
	reading.stack->has_file = reading.stack->file_count > 0;
	if (error == OK)
		error = read_other(&reading);
	if (error != OK) {
		pamstack_free(reading.stack);
		return error;
	}
	*ret = reading.stack;
	return OK;
}

void pamstack_free(struct pamstack *stack)
{
	struct text *text = stack ? stack->text : NULL;

	while (text) {
		struct text *next = text->next;

		free(text);
		text = next;
	}
	if (stack) {
		free(stack->lines);
		free(stack->files);
	}
	free(stack);
}

bool pamstack_calls(const struct pamstack_line *line, const char *module)
{
	const char *slash = line->module ? strrchr(line->module, '/') : NULL;

	return line->module && strcmp(slash ? slash + 1 : line->module, module) == 0;
}
