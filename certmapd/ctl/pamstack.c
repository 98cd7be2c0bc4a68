/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pamstack.c owns the reading of lines, and what libpam does with them: _pam_parse_conf_file(),
 * _pam_assemble_line() and _pam_dispatch_aux() of Linux-PAM 1.5. */
#include "pamstack.h"

#include <ctype.h>
#include <limits.h>
#include <security/_pam_types.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(_PAM_RETURN_VALUES == PAMSTACK_CODES, "an action for every return value");

#define LINE_MAX_BYTES 1024u /* with its continuations, as libpam's buffer */
#define DEPTH_MAX 32u        /* of files that include each other, as in libpam */
#define LEVEL_MAX 16u        /* of substacks, as in libpam */
#define ARGUMENTS_MAX 128u
#define UNDEFINED INT_MIN /* an action that is not set yet */
#define BLANKS " \n\t"

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

static const char *const code_words[PAMSTACK_CODES] = {
	[PAM_SUCCESS] = "success",
	[PAM_OPEN_ERR] = "open_err",
	[PAM_SYMBOL_ERR] = "symbol_err",
	[PAM_SERVICE_ERR] = "service_err",
	[PAM_SYSTEM_ERR] = "system_err",
	[PAM_BUF_ERR] = "buf_err",
	[PAM_PERM_DENIED] = "perm_denied",
	[PAM_AUTH_ERR] = "auth_err",
	[PAM_CRED_INSUFFICIENT] = "cred_insufficient",
	[PAM_AUTHINFO_UNAVAIL] = "authinfo_unavail",
	[PAM_USER_UNKNOWN] = "user_unknown",
	[PAM_MAXTRIES] = "maxtries",
	[PAM_NEW_AUTHTOK_REQD] = "new_authtok_reqd",
	[PAM_ACCT_EXPIRED] = "acct_expired",
	[PAM_SESSION_ERR] = "session_err",
	[PAM_CRED_UNAVAIL] = "cred_unavail",
	[PAM_CRED_EXPIRED] = "cred_expired",
	[PAM_CRED_ERR] = "cred_err",
	[PAM_NO_MODULE_DATA] = "no_module_data",
	[PAM_CONV_ERR] = "conv_err",
	[PAM_AUTHTOK_ERR] = "authtok_err",
	[PAM_AUTHTOK_RECOVERY_ERR] = "authtok_recover_err",
	[PAM_AUTHTOK_LOCK_BUSY] = "authtok_lock_busy",
	[PAM_AUTHTOK_DISABLE_AGING] = "authtok_disable_aging",
	[PAM_TRY_AGAIN] = "try_again",
	[PAM_IGNORE] = "ignore",
	[PAM_ABORT] = "abort",
	[PAM_AUTHTOK_EXPIRED] = "authtok_expired",
	[PAM_MODULE_UNKNOWN] = "module_unknown",
	[PAM_BAD_ITEM] = "bad_item",
	[PAM_CONV_AGAIN] = "conv_again",
	[PAM_INCOMPLETE] = "incomplete",
};

static const struct {
	const char *word;
	int action;
} action_words[] = {
	{ "ignore", PAMSTACK_IGNORE },
	{ "ok", PAMSTACK_OK },
	{ "done", PAMSTACK_DONE },
	{ "bad", PAMSTACK_BAD },
	{ "die", PAMSTACK_DIE },
	{ "reset", PAMSTACK_RESET },
};

/* The words of a control that stand for a whole set, pam.conf(5). */
static const struct {
	const char *word, *meaning;
} control_words[] = {
	{ "required", "success=ok new_authtok_reqd=ok ignore=ignore default=bad" },
	{ "requisite", "success=ok new_authtok_reqd=ok ignore=ignore default=die" },
	{ "sufficient", "success=done new_authtok_reqd=done default=ignore" },
	{ "optional", "success=ok new_authtok_reqd=ok default=ignore" },
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
	char *from = *text + strspn(*text, BLANKS), *word = from, *to = from;

	if (*from == '\0')
		return NULL;
	if (*from != '[') {
		from += strcspn(from, BLANKS);
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

	while (end > 0 && strchr(BLANKS, line[end - 1]))
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
		blank = strspn(piece, BLANKS);
		if (piece[blank] == '\0' || piece[blank] == '#')
			continue;
		if (used == 0)
			*ret_first = *number;
		used += trim_line(piece, &more);
		if (!more)
			return LINE_WHOLE;
	}
}

/* Whether `word` stands at *at, which is moved past it. libpam looks no further, so that an
 * "=" may follow without white space. */
static bool skip_word(const char **at, const char *word)
{
	const size_t length = strlen(word);

	if (strncmp(*at, word, length) != 0)
		return false;
	*at += length;
	return true;
}

static void skip_blanks(const char **at)
{
	*at += strspn(*at, BLANKS);
}

static bool read_action(const char **at, int *ret)
{
	int jump = 0;

	for (size_t i = 0; i < sizeof action_words / sizeof action_words[0]; i++)
		if (skip_word(at, action_words[i].word)) {
			*ret = action_words[i].action;
			return true;
		}
	for (; **at >= '0' && **at <= '9' && jump <= INT16_MAX; (*at)++)
		jump = jump * 10 + (**at - '0');
	*ret = jump;
	return jump > 0;
}

/* The code at *at; PAMSTACK_CODES: `default', every one that is not set yet. */
static bool read_code(const char **at, size_t *ret)
{
	for (size_t i = 0; i < PAMSTACK_CODES; i++)
		if (skip_word(at, code_words[i])) {
			*ret = i;
			return true;
		}
	*ret = PAMSTACK_CODES;
	return skip_word(at, "default");
}

static void apply_action(size_t code, int action, int actions[PAMSTACK_CODES])
{
	for (size_t i = 0; i < PAMSTACK_CODES; i++)
		if (i == code || (code == PAMSTACK_CODES && actions[i] == UNDEFINED))
			actions[i] = action;
}

static bool read_actions(const char *at, int actions[PAMSTACK_CODES])
{
	size_t code;
	int action;

	for (size_t i = 0; i < PAMSTACK_CODES; i++)
		actions[i] = UNDEFINED;
	for (skip_blanks(&at); *at; skip_blanks(&at)) {
		if (!read_code(&at, &code))
			return false;
		skip_blanks(&at);
		if (!skip_word(&at, "="))
			return false;
		skip_blanks(&at);
		if (!read_action(&at, &action))
			return false;
		apply_action(code, action, actions);
	}
	/* What the line says nothing about is a refusal. */
	apply_action(PAMSTACK_CODES, PAMSTACK_BAD, actions);
	return true;
}

/* False: libpam takes every answer for a refusal. */
static bool read_control(const char *control, int actions[PAMSTACK_CODES])
{
	for (size_t i = 0; i < sizeof control_words / sizeof control_words[0]; i++)
		if (strcasecmp(control, control_words[i].word) == 0)
			return read_actions(control_words[i].meaning, actions);
	return read_actions(control, actions);
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
	if (!name || reading->depth >= DEPTH_MAX || reading->level + is_substack >= LEVEL_MAX)
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
	if (!read_control(control, line->actions)) {
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
			"a line is over 1023 bytes, or continued past the end of the file");
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

const char *pamstack_code_word(int code)
{
	return code >= 0 && code < (int)PAMSTACK_CODES ? code_words[code] : "?";
}

bool pamstack_calls(const struct pamstack_line *line, const char *module)
{
	const char *slash = line->module ? strrchr(line->module, '/') : NULL;

	return line->module && strcmp(slash ? slash + 1 : line->module, module) == 0;
}

/* The state of libpam's _pam_dispatch_aux() between two lines. */
struct impression {
	enum { UNDECIDED, POSITIVE, NEGATIVE } of;
	int status;
};

#define MUST_FAIL PAM_PERM_DENIED /* PAM_MUST_FAIL_CODE of libpam's pam_private.h */

static void fail(struct impression *impression, int code)
{
	if (impression->of == NEGATIVE)
		return;
	impression->of = NEGATIVE;
	impression->status = code == PAM_IGNORE ? MUST_FAIL : code;
}

static void pass(struct impression *impression, int code)
{
	if (impression->of == UNDECIDED ||
		(impression->of == POSITIVE && impression->status == PAM_SUCCESS))
		*impression = (struct impression){ POSITIVE, code };
}

/* The next line of the phase. */
static size_t next_line(const struct pamstack *stack, enum pamstack_phase phase, size_t from)
{
	while (from < stack->count && stack->lines[from].phase != phase)
		from++;
	return from;
}

/* Past the rest of this level and everything below it. */
static size_t leave_level(
	const struct pamstack *stack, enum pamstack_phase phase, size_t at, unsigned level)
{
	size_t next = next_line(stack, phase, at + 1);

	while (next < stack->count && stack->lines[next].level >= level)
		next = next_line(stack, phase, next + 1);
	return next;
}

/* Past `count` lines of this level, a substack being one. *ret_ok is false where there are fewer.
 */
static size_t jump(
	const struct pamstack *stack, enum pamstack_phase phase, size_t at, int count, bool *ret_ok)
{
	const unsigned level = stack->lines[at].level;
	size_t next = next_line(stack, phase, at + 1);

	while (count > 0 && next < stack->count && stack->lines[next].level >= level) {
		do
			next = next_line(stack, phase, next + 1);
		while (next < stack->count && stack->lines[next].level > level);
		count--;
	}
	*ret_ok = count == 0;
	return next;
}

static int code_of(const struct pamstack_line *line, pamstack_answer *answer, void *context)
{
	const int code = !line->module ? MUST_FAIL : answer(line, context);

	return code < 0 || code >= (int)PAMSTACK_CODES ? MUST_FAIL : code;
}

/* What an action does to the impression. */
static void act(
	struct impression *impression, const struct impression *entered, int action, int code)
{
	if (action == PAMSTACK_RESET)
		*impression = *entered;
	else if (action == PAMSTACK_OK || action == PAMSTACK_DONE)
		pass(impression, code);
	else if (action == PAMSTACK_BAD || action == PAMSTACK_DIE)
		fail(impression, code);
}

/* The next line after an action. */
static size_t follow(const struct pamstack *stack, enum pamstack_phase phase, size_t at, int action,
	struct impression *impression)
{
	bool is_whole = true;
	size_t next;

	if (action == PAMSTACK_DIE || (action == PAMSTACK_DONE && impression->of == POSITIVE))
		return leave_level(stack, phase, at, stack->lines[at].level);
	if (action <= 0)
		return next_line(stack, phase, at + 1);
	next = jump(stack, phase, at, action, &is_whole);
	if (!is_whole)
		*impression = (struct impression){ NEGATIVE, MUST_FAIL };
	return next;
}

int pamstack_run(const struct pamstack *stack, enum pamstack_phase phase, pamstack_answer *answer,
	void *context)
{
	struct impression impression = { UNDECIDED, MUST_FAIL };
	struct impression entered[LEVEL_MAX + 1] = { { UNDECIDED, MUST_FAIL } };
	unsigned level = 0;
	size_t at = next_line(stack, phase, 0);

	if (stack->abort)
		return PAM_ABORT;
	while (at < stack->count) {
		const struct pamstack_line *line = &stack->lines[at];
		int code, action;

		if (line->level > level)
			entered[line->level] = impression;
		level = line->level;
		if (line->is_substack) {
			at = next_line(stack, phase, at + 1);
			continue;
		}
		code = code_of(line, answer, context);
		action = !line->module ? PAMSTACK_BAD : line->actions[code];
		act(&impression, &entered[level], action, code);
		at = follow(stack, phase, at, action, &impression);
	}
	return impression.status == PAM_SUCCESS && impression.of != POSITIVE ? MUST_FAIL
									     : impression.status;
}
