/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_pamstack.c owns the promise that a stack is read and followed as libpam itself does it: the
 * real libpam runs the same files, with pam_debug.so, which answers what its arguments say.
 */
#include "../../certmapd/ctl/pamstack.h"

#include <security/pam_appl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define STACKS 1500
#define SERVICE "svc"

static char directory[] = "/tmp/certmap-XXXXXX";

const char *__lsan_default_suppressions(void);

/* libpam leaks the beginning of a stack that it gives up in pam_start(3). */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
	return "leak:libpam.so";
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", directory);
	return system(command);
}

/* "%" in a text stands for the directory: from another one than /etc/pam.d libpam itself includes
 * absolute paths alone. */
static void put(const char *name, const char *text)
{
	char path[64];
	FILE *out;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	assert_non_null(out = fopen(path, "w"));
	for (; *text; text++)
		if (*text == '%')
			fputs(directory, out);
		else
			putc(*text, out);
	fclose(out);
}

static void take_away(const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	unlink(path);
}

static int say_nothing(
	int count, const struct pam_message **messages, struct pam_response **ret, void *context)
{
	(void)messages;
	(void)context;
	*ret = calloc((size_t)count, sizeof **ret);
	return *ret ? PAM_SUCCESS : PAM_BUF_ERR;
}

/* What libpam makes of it. A failure is delayed by nothing: no module asks for a delay. */
static int code_of_libpam(void)
{
	const struct pam_conv conversation = { .conv = say_nothing };
	pam_handle_t *pamh = NULL;
	int code;

	if ((code = pam_start_confdir(SERVICE, "nobody", &conversation, directory, &pamh)) !=
		PAM_SUCCESS)
		return code;
	code = pam_authenticate(pamh, PAM_SILENT);
	pam_end(pamh, code);
	return code;
}

static const struct {
	const char *word;
	int code;
} codes[] = {
	{ "success", PAM_SUCCESS },
	{ "success", PAM_SUCCESS }, /* drawn more often */
	{ "success", PAM_SUCCESS },
	{ "auth_err", PAM_AUTH_ERR },
	{ "cred_insufficient", PAM_CRED_INSUFFICIENT },
	{ "ignore", PAM_IGNORE },
	{ "user_unknown", PAM_USER_UNKNOWN },
	{ "new_authtok_reqd", PAM_NEW_AUTHTOK_REQD },
};
#define CODES (sizeof codes / sizeof codes[0])

/* pam_debug(8). */
static int answer_as_pam_debug(const struct pamstack_line *line, void *context)
{
	(void)context;
	assert_true(pamstack_calls(line, "pam_debug.so"));
	for (int i = 0; i < line->argc; i++)
		for (size_t j = 0; j < CODES; j++)
			if (strncmp(line->argv[i], "auth=", 5) == 0 &&
				strcmp(line->argv[i] + 5, codes[j].word) == 0)
				return codes[j].code;
	return PAM_SUCCESS;
}

static int code_of_ours(void)
{
	struct pamstack *stack = NULL;
	int code;

	assert_int_equal(pamstack_read(SERVICE, directory, &stack), OK);
	code = pamstack_run(stack, PAMSTACK_AUTH, answer_as_pam_debug, NULL);
	pamstack_free(stack);
	return code;
}

/* The same numbers on every machine, whatever its C library's rand(3). */
static unsigned draw(unsigned below)
{
	static uint64_t seed = 20261122;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % below;
}

static const char *draw_control(void)
{
	static const char *const controls[] = { "required", "requisite", "sufficient", "optional",
		"[success=done cred_insufficient=ignore default=die]", "[success=1 default=ignore]",
		"[default=2]", "[success=ok default=bad auth_err=reset]", "[success=ok]",
		"[default=bad success=ok user_unknown=ignore]", "[success=done default=1]",
		"[ success=ok   default=reset ]", "[success=99 default=ok]", "nonsense",
		"[success=maybe]", "[success = ok]", "REQUIRED", "[ignore=done default=ok]" };

	return controls[draw(sizeof controls / sizeof controls[0])];
}

static void draw_line(FILE *out, bool is_inner)
{
	const unsigned kind = draw(is_inner ? 12 : 16);

	if (kind == 15)
		fputs("auth substack %/inner\n", out);
	else if (kind == 14)
		fputs("auth include %/inner\n", out);
	else if (kind == 13)
		fputs("@include %/inner\n", out);
	else if (kind == 12)
		fputs("# a comment \\\n\n   \nsession required pam_debug.so\n", out);
	else
		fprintf(out, "%sauth%s%s%s pam_debug.so %sauth=%s%s\n", kind == 1 ? "  " : "",
			kind == 2 ? "\t" : " ", draw_control(), kind == 3 ? " \\\n" : "",
			kind == 4 ? "\\\n   " : "", codes[draw(CODES)].word,
			kind == 5 ? " # why" : "");
}

static void draw_file(const char *name, unsigned lines, bool is_inner)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (unsigned i = 0; i < lines; i++)
		draw_line(out, is_inner);
	fclose(out);
	put(name, text);
	free(text);
}

static void stacks_end_as_libpam_ends_them(void **state)
{
	unsigned successes = 0;

	(void)state;
	put("other", "auth required pam_debug.so auth=user_unknown\n");
	for (unsigned i = 0; i < STACKS; i++) {
		int expected;

		draw_file("inner", draw(4), true);
		draw_file(SERVICE, draw(6), false);
		expected = code_of_libpam();
		successes += expected == PAM_SUCCESS;
		if (code_of_ours() != expected) {
			char command[96];

			snprintf(command, sizeof command, "cd %s; head -50 svc inner >&2",
				directory);
			assert_int_equal(system(command), 0);
			fail_msg(
				"stack %u: libpam says %d, we say %d", i, expected, code_of_ours());
		}
	}
	/* Neither outcome is so rare that the comparison would be empty. */
	assert_in_range(successes, STACKS / 20, STACKS - STACKS / 20);
}

static void expect_as_libpam(const char *text)
{
	put(SERVICE, text);
	if (code_of_libpam() != code_of_ours())
		fail_msg("libpam says %d, we say %d: %s", code_of_libpam(), code_of_ours(), text);
}

static void oddities_end_as_libpam_ends_them(void **state)
{
	char *longest = calloc(3000, 1);

	(void)state;
	assert_non_null(longest);
	put("other", "auth required pam_debug.so auth=user_unknown\n");
	take_away("inner");
	expect_as_libpam("auth include %/inner\nauth required pam_debug.so\n");
	expect_as_libpam("auth substack %/inner\nauth sufficient pam_debug.so\n");
	expect_as_libpam("@include %/inner\nauth sufficient pam_debug.so\n");
	expect_as_libpam("auth sufficient pam_debug.so\n@include %/inner\n");
	put("inner", "auth sufficient pam_debug.so \\\n");
	expect_as_libpam("auth include %/inner\nauth sufficient pam_debug.so\n");
	expect_as_libpam("@include %/inner\nauth sufficient pam_debug.so\n");
	expect_as_libpam("auth required\n");
	expect_as_libpam("auth\n");
	expect_as_libpam("auht required pam_debug.so\nauth sufficient pam_debug.so\n");
	expect_as_libpam("session required pam_debug.so\n");
	expect_as_libpam("");
	expect_as_libpam("auth required pam_debug.so \\");
	expect_as_libpam("auth required pam_debug.so \\\n");
	expect_as_libpam("auth required pam_debug.so auth=auth_err \\ # c\n");
	expect_as_libpam("auth required pam_debug.so [auth=auth_err]\n");
	expect_as_libpam("auth required pam_debug.so [auth=auth_err\n");
	expect_as_libpam("auth [success=ok default=bad pam_debug.so\n");
	expect_as_libpam("auth required pam_debug.so #");
	memset(longest, 'x', 2999);
	memcpy(longest, "auth required pam_debug.so ", 27);
	expect_as_libpam(longest);
	/* libpam recurses until its memory for calls is used up. */
	put("inner", "auth include %/inner\n");
	put(SERVICE, "auth include %/inner\n");
	assert_int_equal(code_of_ours(), PAM_PERM_DENIED);
	take_away(SERVICE);
	assert_int_equal(code_of_libpam(), PAM_USER_UNKNOWN);
	assert_int_equal(code_of_ours(), PAM_USER_UNKNOWN);
	free(longest);
}

static void a_line_knows_its_place_its_words_and_what_brackets_hold(void **state)
{
	struct pamstack *stack = NULL;
	const struct pamstack_line *line;

	(void)state;
	put("inner", "# first\n\naccount optional pam_permit.so\n"
		     "-auth\trequired  /x/pam_certmap.so source=env:A \\\n  [require_env=B=C \\] "
		     "D] debug\n");
	put(SERVICE, "@include inner\nauth required pam_certmap.so.bak\n");
	assert_int_equal(pamstack_read("SVC", directory, &stack), OK);
	assert_int_equal(stack->count, 3);
	assert_true(stack->has_file);
	line = &stack->lines[1];
	assert_int_equal(line->phase, PAMSTACK_AUTH);
	assert_int_equal(line->number, 4);
	assert_string_equal(strrchr(line->file, '/'), "/inner");
	assert_true(line->is_optional);
	assert_true(pamstack_calls(line, "pam_certmap.so"));
	assert_int_equal(line->argc, 3);
	assert_string_equal(line->argv[0], "source=env:A");
	assert_string_equal(line->argv[1], "require_env=B=C ] D");
	assert_string_equal(line->argv[2], "debug");
	assert_false(pamstack_calls(&stack->lines[2], "pam_certmap.so"));
	assert_true(stack->is_of_other[PAMSTACK_SESSION]);
	assert_false(stack->is_of_other[PAMSTACK_ACCOUNT]);
	pamstack_free(stack);
}

static void a_service_is_no_path(void **state)
{
	static const char *const names[] = { "", ".", "..", "../etc/shadow", "/etc/pam.d/login",
		"a/b" };
	struct pamstack *stack = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_int_equal(pamstack_read(names[i], directory, &stack), ERROR_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_end_as_libpam_ends_them),
		cmocka_unit_test(oddities_end_as_libpam_ends_them),
		cmocka_unit_test(a_line_knows_its_place_its_words_and_what_brackets_hold),
		cmocka_unit_test(a_service_is_no_path),
	};

	return cmocka_run_group_tests_name("pamstack", tests, set_up, tear_down);
}
