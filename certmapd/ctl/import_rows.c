/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* import_rows.c owns the memory of an import, and the reading of each row's certificate. */
#include "import.h"

#include "enrolment.h"
#include "print.h"
#include "store_pending.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for one more element of `size`, behind `count`. */
static bool make_room(void **elements, size_t count, size_t *capacity, size_t size)
{
	const size_t wanted = *capacity > 0 ? 2 * *capacity : 64;
	void *grown;

	if (count < *capacity)
		return true;
	if (!(grown = reallocarray(*elements, wanted, size)))
		return false;
	*elements = grown;
	*capacity = wanted;
	return true;
}

FILE *import_open(struct import *import)
{
	const bool is_input = strcmp(import->source, "-") == 0;
	FILE *in = is_input ? fdopen(dup(STDIN_FILENO), "r") : fopen(import->source, "re");

	if (!in)
		import_fail(import, "%s", strerror(errno));
	return in;
}

static void free_row(struct import_row *row)
{
	free(row->origin);
	free(row->service);
	free(row->account);
	free(row->note);
	free(row->der);
	free(row->detail);
}

void import_forget_rows(struct import *import, size_t first)
{
	while (import->row_count > first)
		free_row(&import->rows[--import->row_count]);
}

struct import_row *import_add_row(struct import *import, const char *origin, ...)
{
	struct import_row *row;
	va_list arguments;
	int length;

	if (!make_room((void **)&import->rows, import->row_count, &import->row_capacity,
		    sizeof *import->rows))
		return NULL;
	row = &import->rows[import->row_count];
	*row = (struct import_row){ 0 };
	va_start(arguments, origin);
	length = vasprintf(&row->origin, origin, arguments);
	va_end(arguments);
	if (length < 0)
		return NULL;
	import->row_count++;
	import_progress(import, "reading", import->row_count, 0);
	row->service = strdup(import->service ? import->service : "*");
	return row->service ? row : NULL;
}

enum error import_set(char **text, struct span value)
{
	char *copy = strndup((const char *)value.bytes, value.length);

	if (!copy)
		return ERROR_MEMORY;
	free(*text);
	*text = copy;
	return OK;
}

void import_remark(char **detail, const char *format, ...)
{
	char *text = NULL, *both = NULL;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	/* Out of memory: a remark less, about which the next allocation will say more. */
	if (length < 0)
		return;
	if (!*detail) {
		*detail = text;
		return;
	}
	if (asprintf(&both, "%s; %s", *detail, text) >= 0) {
		free(*detail);
		*detail = both;
	}
	free(text);
}

void import_refuse(struct import_row *row, const char *format, ...)
{
	char *text = NULL;
	va_list arguments;
	int length;

	if (row->result == IMPORT_REFUSED)
		return;
	row->result = IMPORT_REFUSED;
	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	free(row->detail);
	row->detail = length < 0 ? NULL : text;
}

/* What is stored as it came is taken first, and fast: of other things there are few. *ret_problem,
 * where it is not empty: why not. */
static enum error open_certificate(struct span bytes, uint8_t der[ARMOUR_DER_MAX_BYTES],
	size_t *ret_length, struct certificate_facts *ret_facts,
	char ret_problem[static ENROLMENT_PROBLEM_BYTES])
{
	const char *problem = NULL;
	bool is_whole;
	enum error error;

	ret_problem[0] = '\0';
	if (armour_open_stored(bytes, der, ARMOUR_DER_MAX_BYTES, ret_length) == ARMOUR_OPENED &&
		((error = certificate_read(span_of(der, *ret_length), ret_facts, &problem)) != OK ||
			!problem))
		return error;
	if ((error = enrolment_open(bytes, der, ret_length, &is_whole, ret_problem)) != OK ||
		ret_problem[0] != '\0' ||
		(error = certificate_read(span_of(der, *ret_length), ret_facts, &problem)) != OK)
		return error;
	snprintf(ret_problem, ENROLMENT_PROBLEM_BYTES, "%s", problem ? problem : "");
	return OK;
}

enum error import_set_certificate(struct import_row *row, struct span bytes)
{
	static uint8_t der[ARMOUR_DER_MAX_BYTES];
	struct certificate_facts facts;
	char problem[ENROLMENT_PROBLEM_BYTES];
	enum error error;
	size_t length;

	/* JSON can have `certificate' beside `certificate_file': which of them would count? */
	if (row->der) {
		import_refuse(row, "it has more than one certificate");
		return OK;
	}
	if ((error = open_certificate(bytes, der, &length, &facts, problem)) != OK)
		return error;
	if (problem[0] != '\0') {
		import_refuse(row, "%s", problem);
		return OK;
	}
	if (!(row->der = malloc(length)))
		return ERROR_MEMORY;
	memcpy(row->der, der, length);
	row->der_length = length;
	/* The names stay behind: they take five times as much as all the rest of a row. */
	memcpy(row->fingerprint, facts.fingerprint, FINGERPRINT_BYTES);
	row->not_before_sec = facts.not_before_sec;
	row->not_after_sec = facts.not_after_sec;
	return OK;
}

/* -1: errno says why not. */
static ssize_t read_all(int fd, uint8_t *bytes, size_t capacity)
{
	size_t length = 0;
	ssize_t got = 1;

	while (length < capacity && got != 0) {
		got = read(fd, bytes + length, capacity - length);
		if (got < 0 && errno != EINTR)
			return -1;
		length += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)length;
}

static bool is_file(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

enum error import_read_certificate(struct import_row *row, int directory, const char *name)
{
	/* One byte past the limit, so that what is too long is seen as such. */
	static uint8_t bytes[STORE_CERTIFICATE_MAX_BYTES + 1];
	/* Without O_NONBLOCK a FIFO would hold everything up. */
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t length = -1;
	enum error error = OK;
	char shown[256];

	print_shown(span_of_string(name), shown, sizeof shown);
	if (fd >= 0 && !is_file(fd))
		import_refuse(row, "%s: not a file", shown);
	else if (fd < 0 || (length = read_all(fd, bytes, sizeof bytes)) < 0)
		import_refuse(row, "%s: %s", shown, strerror(errno));
	else if (length == (ssize_t)sizeof bytes)
		import_refuse(row, "%s", armour_finding_text(ARMOUR_TOO_LARGE));
	else
		error = import_set_certificate(row, span_of(bytes, (size_t)length));
	if (fd >= 0)
		close(fd);
	return error;
}

enum ctl_status import_fail(struct import *import, const char *format, ...)
{
	char name[256], text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	import_end_progress(import);
	ctl_warn("%s: %s; nothing was changed",
		print_shown(span_of_string(import->source), name, sizeof name), text);
	return CTL_REFUSED;
}

struct import_object *import_add_object(
	struct import *import, enum store_table table, const char *origin)
{
	struct import_object *object;

	if (!make_room((void **)&import->objects, import->object_count, &import->object_capacity,
		    sizeof *import->objects))
		return NULL;
	object = &import->objects[import->object_count];
	*object = (struct import_object){ .row.table = table };
	if (!(object->origin = strdup(origin)))
		return NULL;
	import->object_count++;
	return object;
}

enum error import_add_cell(struct import_object *object, const struct store_cell *cell)
{
	struct store_cell *copy = &object->row.cells[object->row.count];
	uint8_t *bytes;

	if (object->row.count == STORE_CELLS_MAX)
		return ERROR_TOO_LARGE;
	*copy = *cell;
	if (!(copy->name = strdup(cell->name)))
		return ERROR_MEMORY;
	object->row.count++;
	copy->bytes = (struct span){ 0 };
	if (!span_is_present(cell->bytes))
		return OK;
	if (!(bytes = malloc(cell->bytes.length + 1)))
		return ERROR_MEMORY;
	memcpy(bytes, cell->bytes.bytes, cell->bytes.length);
	copy->bytes = span_of(bytes, cell->bytes.length);
	return OK;
}

void import_note(struct import *import, const char *origin, const char *format, ...)
{
	struct import_note *note;
	va_list arguments;

	if (!make_room((void **)&import->notes, import->note_count, &import->note_capacity,
		    sizeof *import->notes)) {
		import->is_short = true;
		return;
	}
	note = &import->notes[import->note_count];
	*note = (struct import_note){ 0 };
	va_start(arguments, format);
	if (vasprintf(&note->text, format, arguments) < 0 || !(note->origin = strdup(origin)))
		import->is_short = true;
	else
		import->note_count++;
	va_end(arguments);
}

static void free_object(struct import_object *object)
{
	for (size_t i = 0; i < object->row.count; i++) {
		free((char *)object->row.cells[i].name);
		free((uint8_t *)object->row.cells[i].bytes.bytes);
	}
	free(object->origin);
	free(object->detail);
}

void import_done(struct import *import)
{
	for (size_t i = 0; i < import->row_count; i++)
		free_row(&import->rows[i]);
	for (size_t i = 0; i < import->object_count; i++)
		free_object(&import->objects[i]);
	for (size_t i = 0; i < import->note_count; i++) {
		free(import->notes[i].origin);
		free(import->notes[i].text);
	}
	free(import->rows);
	free(import->objects);
	free(import->notes);
}
