/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_case.c owns the promises of every import format:
 *
 * - a source is read as a whole, or refused with one message that says why;
 * - a row that has a certificate has one that certificate_read() takes, with its facts;
 * - a refused row says why, and what is no refusal is within the limits of its column;
 * - no text of another table holds a NUL;
 * - nothing is opened but the input and the files that it names as certificate_file;
 * - nothing is left in memory (LeakSanitizer), and the second reading finds the same.
 */
#include "import_case.h"

#include "when.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT(value) #value
#define TEXT_OF(macro) TEXT(macro)
#define SOURCE "/proc/self/fd/" TEXT_OF(IMPORT_CASE_INPUT)
#define BESIDE "/proc/self/fd/" TEXT_OF(IMPORT_CASE_BESIDE)
#define MESSAGE_MAX_BYTES 1024

static size_t warning_count;
static bool is_reading;

/* In the place of ctl.c's, which would fill the terminal. */
void ctl_warn(const char *format, ...)
{
	char message[MESSAGE_MAX_BYTES];
	va_list arguments;

	va_start(arguments, format);
	MUST(vsnprintf(message, sizeof message, format, arguments) > 0);
	va_end(arguments);
	warning_count++;
}

/* The linker sends the readers here (--wrap): a mutated name must not reach a device of this
 * machine, some of which act on being opened. Those that pass show what becomes of files without
 * an end. */
int __real_openat64(int directory, const char *name, int flags, ...);
int __wrap_openat64(int directory, const char *name, int flags, ...);
FILE *__real_fopen64(const char *name, const char *mode);
FILE *__wrap_fopen64(const char *name, const char *mode);

int __wrap_openat64(int directory, const char *name, int flags, ...)
{
	static const char *const passing[] = { SOURCE, BESIDE, "/dev/zero", "/proc/self/fd/" };

	MUST(directory == AT_FDCWD && name[0] == '/');
	MUST((flags & O_ACCMODE) == O_RDONLY && (flags & O_NONBLOCK) && (flags & O_CLOEXEC));
	for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
		if (strcmp(name, passing[i]) == 0)
			return __real_openat64(directory, name, flags);
	errno = ENOENT;
	return -1;
}

FILE *__wrap_fopen64(const char *name, const char *mode)
{
	/* Elsewhere it is replay.c that opens an input. */
	MUST(!is_reading || (strcmp(name, SOURCE) == 0 && mode[0] == 'r'));
	return __real_fopen64(name, mode);
}

static void make_file(int wanted)
{
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);

	MUST(fd >= 0 && dup3(fd, wanted, O_CLOEXEC) == wanted && close(fd) == 0);
}

static void fill_file(int fd, struct span content)
{
	MUST(ftruncate(fd, 0) == 0);
	MUST(content.length == 0 ||
		pwrite(fd, content.bytes, content.length, 0) == (ssize_t)content.length);
}

static void fill_files(struct span content, struct span beside)
{
	static bool are_made;

	if (!are_made) {
		make_file(IMPORT_CASE_INPUT);
		make_file(IMPORT_CASE_BESIDE);
		are_made = true;
	}
	fill_file(IMPORT_CASE_INPUT, content);
	fill_file(IMPORT_CASE_BESIDE, beside);
}

static void check_certificate(const struct import_row *row)
{
	FUZZ_PART der = fuzz_copy(span_of(row->der, row->der_length));
	struct certificate_facts facts;
	const char *problem = "";

	MUST(certificate_read(der, &facts, &problem) == OK && !problem);
	MUST(memcmp(facts.fingerprint, row->fingerprint, FINGERPRINT_BYTES) == 0);
	MUST(facts.not_before_sec == row->not_before_sec);
	MUST(facts.not_after_sec == row->not_after_sec);
}

static void check_number(const struct import_number *number, int64_t highest)
{
	MUST(number->is_given || (!number->is_null && number->value == 0));
	MUST(!number->is_null || number->value == 0);
	MUST(number->value >= 0 && number->value <= highest);
}

static void check_row(const struct import_row *row)
{
	MUST(row->origin && row->origin[0] != '\0' && row->service);
	MUST(row->result == IMPORT_UNDECIDED || row->result == IMPORT_REFUSED);
	MUST(row->result != IMPORT_REFUSED || (row->detail && row->detail[0] != '\0'));
	MUST(row->has_note || !row->note);
	MUST(row->id >= 0 && row->replaces >= 0);
	check_number(&row->enabled, 1);
	check_number(&row->uid, UINT32_MAX - 1);
	check_number(&row->valid_from, WHEN_MAX_SEC);
	check_number(&row->valid_until, WHEN_MAX_SEC);
	check_number(&row->staged_until, WHEN_MAX_SEC);
	if (row->der)
		check_certificate(row);
}

static void check_object(const struct import_object *object)
{
	MUST(object->origin && object->row.table != STORE_TABLE_MAPPING);
	MUST(object->row.count <= STORE_CELLS_MAX);
	for (size_t i = 0; i < object->row.count; i++) {
		const struct store_cell *cell = &object->row.cells[i];

		MUST(cell->name);
		MUST(cell->kind != STORE_CELL_TEXT || span_is_present(cell->bytes));
		MUST(cell->kind != STORE_CELL_TEXT || cell->bytes.length == 0 ||
			!memchr(cell->bytes.bytes, '\0', cell->bytes.length));
	}
}

static void check_import(const struct import *import)
{
	MUST(!import->is_short);
	for (size_t i = 0; i < import->row_count; i++)
		check_row(&import->rows[i]);
	for (size_t i = 0; i < import->object_count; i++)
		check_object(&import->objects[i]);
	for (size_t i = 0; i < import->note_count; i++)
		MUST(import->notes[i].origin && import->notes[i].text[0] != '\0');
}

static enum ctl_status read_once(import_reader *read, struct import *import)
{
	enum ctl_status status;

	warning_count = 0;
	is_reading = true;
	status = read(import);
	is_reading = false;
	MUST(status == CTL_DONE || status == CTL_REFUSED);
	MUST(warning_count == (status == CTL_REFUSED ? 1 : 0));
	return status;
}

void import_case_run(import_reader *read, const struct import *options, struct span content,
	struct span beside, import_case_check *check)
{
	struct import import __attribute__((cleanup(import_done))) = *options;
	struct import again __attribute__((cleanup(import_done))) = *options;
	enum ctl_status status;

	MUST(certificate_init() == OK);
	fill_files(content, beside);
	import.source = again.source = SOURCE;
	status = read_once(read, &import);
	check_import(&import);
	if (check)
		check(&import, status, content);
	MUST(read_once(read, &again) == status);
	MUST(again.row_count == import.row_count && again.object_count == import.object_count &&
		again.note_count == import.note_count);
}
