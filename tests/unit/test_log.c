/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_log.c owns what a value from outside can do to a line of the log, which is nothing, and what
 * a reader of the log that hangs can do to the daemon, which is little. */
#include "log.h"

#include "monotonic.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

static void a_line_has_its_fields_in_order(void **state)
{
	struct log_line line;

	(void)state;
	log_begin(&line, LOG_INFO, "lookup");
	log_add(&line, "reason", span_of_string("allowed"));
	log_add_number(&line, "mapping", 7);
	assert_string_equal(line.message, "lookup reason=allowed mapping=7");
	assert_string_equal(line.fields, "\nCERTMAP_REASON=allowed\nCERTMAP_MAPPING=7");
	assert_int_equal(line.fields_length, strlen(line.fields));
	assert_int_equal(line.priority, LOG_INFO);
}

static void what_is_not_there_is_left_out(void **state)
{
	struct log_line line;

	(void)state;
	log_begin(&line, LOG_INFO, "lookup");
	log_add(&line, "rhost", (struct span){ 0 });
	assert_string_equal(line.message, "lookup");
	assert_int_equal(line.fields_length, 0);
}

static void a_value_cannot_forge_a_field_or_a_line(void **state)
{
	struct log_line line;

	(void)state;
	log_begin(&line, LOG_INFO, "lookup");
	log_add(&line, "asked", span_of_string("x reason=allowed"));
	log_add(&line, "asked", span_of_string("x\" reason=allowed"));
	log_add(&line, "asked", span_of_string("x\nforged"));
	log_add(&line, "asked", span_of_string("\033[31mred\xe2\x80\xae"));
	log_add(&line, "asked", span_of_string(""));
	log_add(&line, "asked", span_of_string("%n%s"));
	assert_string_equal(line.message,
		"lookup asked=\"x reason=allowed\" asked=\"x\\x22 reason=allowed\" "
		"asked=x\\x0aforged"
		" asked=\\x1b[31mred\\xe2\\x80\\xae asked=\"\" asked=%n%s");
	assert_string_equal(line.fields, "\nCERTMAP_ASKED=x reason=allowed"
					 "\nCERTMAP_ASKED=x\\x22 reason=allowed"
					 "\nCERTMAP_ASKED=x\\x0aforged"
					 "\nCERTMAP_ASKED=\\x1b[31mred\\xe2\\x80\\xae"
					 "\nCERTMAP_ASKED="
					 "\nCERTMAP_ASKED=%n%s");
}

static void a_line_stays_below_its_limit_and_keeps_whole_fields(void **state)
{
	struct log_line line;
	char big[5000];

	(void)state;
	memset(big, '\n', sizeof big);
	log_begin(&line, LOG_INFO, "lookup");
	for (unsigned i = 0; i < 3 * LOG_FIELDS_MAX_BYTES / LOG_VALUE_MAX_BYTES; i++)
		log_add(&line, "value", span_of(big, sizeof big));
	log_add_number(&line, "last", 1);
	assert_true(strlen(line.message) < LOG_LINE_MAX_BYTES);
	assert_int_equal(strlen(line.message), line.message_length);
	assert_true(strlen(line.fields) < LOG_FIELDS_MAX_BYTES);
	assert_int_equal(strlen(line.fields), line.fields_length);
	assert_true(line.fields_length > LOG_FIELDS_MAX_BYTES - LOG_VALUE_MAX_BYTES - 32);
	/* The last that fits may be a later, shorter one; nothing is cut in the middle. */
	assert_non_null(strstr(line.message, "..."));
	assert_string_equal(strrchr(line.fields, '\n'), "\nCERTMAP_LAST=1");
}

/* Takes what is in a pipe; the last bytes of it as a string. */
static void empty_pipe(int fd, char *ret, size_t capacity)
{
	ssize_t got;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((got = read(fd, ret, capacity - 1)) > 0)
		ret[got] = '\0';
}

static void a_reader_that_hangs_is_waited_for_once_and_told_what_it_missed(void **state)
{
	const uint64_t begun_usec = monotonic_usec();
	const unsigned lines = 4000; /* of some 30 bytes; a pipe holds 64 KiB, pipe(7) */
	char said[65537];
	int ends[2], own_stderr = dup(STDERR_FILENO);

	(void)state;
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	for (unsigned i = 0; i < lines; i++)
		log_words(LOG_INFO, "line %u of some, and no less", i);
	empty_pipe(ends[0], said, sizeof said);
	log_words(LOG_INFO, "the last one");
	empty_pipe(ends[0], said, sizeof said);
	dup2(own_stderr, STDERR_FILENO);
	close(own_stderr);
	close(ends[0]);
	close(ends[1]);

	unsigned lost = 0;
	char rest[32] = "";
	assert_int_equal(
		sscanf(said, "certmapd: log lines lost count=%u\n%31[^\n]", &lost, rest), 2);
	assert_string_equal(rest, "certmapd: the last one");
	assert_in_range(lost, lines / 4, lines - 1);
	/* Waiting for each of them would take minutes. */
	assert_true(monotonic_usec() - begun_usec < 20000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_its_fields_in_order),
		cmocka_unit_test(what_is_not_there_is_left_out),
		cmocka_unit_test(a_value_cannot_forge_a_field_or_a_line),
		cmocka_unit_test(a_line_stays_below_its_limit_and_keeps_whole_fields),
		cmocka_unit_test(a_reader_that_hangs_is_waited_for_once_and_told_what_it_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
