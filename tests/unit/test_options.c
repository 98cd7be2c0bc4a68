/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_options.c reads lines of /etc/pam.d as an administrator writes them, rightly and wrongly. */
#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MAX_ARGUMENTS 16
#define LONG_NAME_BYTES 300

/* Ends with a NULL. */
static bool read_line(const char *const *argv, struct options *ret, struct options_problem *problem)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return options_read(argc, argv, ret, problem);
}

static struct options options_of(const char *const *argv)
{
	struct options options;
	struct options_problem problem;

	assert_true(read_line(argv, &options, &problem));
	return options;
}

static void refuses(const char *const *argv, const char *option)
{
	struct options options;
	struct options before;
	struct options_problem problem = { 0 };

	memset(&options, 0x5a, sizeof(options));
	memcpy(&before, &options, sizeof(before));
	assert_false(read_line(argv, &options, &problem));
	assert_memory_equal(&options, &before, sizeof(before));
	assert_non_null(problem.why);
	assert_true(span_is_equal(problem.option, span_of_string(option)));
}

/* In the words of the log, both ways round: what contradicts does so whatever stands first. */
static void refuses_together(
	const char *one, const char *other, const char *option, const char *remedy)
{
	const char *const lines[][3] = { { one, other, NULL }, { other, one, NULL } };
	struct options options;
	struct options_problem problem = { 0 };

	for (size_t i = 0; i < 2; i++) {
		refuses(lines[i], option);
		assert_false(read_line(lines[i], &options, &problem));
		assert_non_null(strstr(problem.why, remedy));
	}
}

#define LINE(...) ((const char *const[MAX_ARGUMENTS]){ __VA_ARGS__, NULL })

static void source_alone_gets_the_defaults_of_the_manual(void **state)
{
	const struct options options = options_of(LINE("source=env:TLS_CLIENT_CERT"));

	(void)state;
	assert_int_equal(options.source, SOURCE_ENVIRONMENT);
	assert_string_equal(options.source_name, "TLS_CLIENT_CERT");
	assert_string_equal(options.source_second_name, "");
	assert_int_equal(options.accept, EVIDENCE_CERTIFICATE);
	assert_int_equal(options.mode, MODE_MATCH);
	assert_string_equal(options.require_name, "");
	assert_string_equal(options.socket_path, "/run/certmap/lookup");
	assert_int_equal(options.timeout_usec, 2000000);
	assert_false(options.allow_root);
	assert_false(options.debug);
}

static void every_option_is_read(void **state)
{
	const struct options options =
		options_of(LINE("debug", "source=pamenv:CERT", "accept=certificate", "user=set",
			"require_env=FTPS=1=2", "socket=/run/x", "timeout=250", "allow_root"));

	(void)state;
	assert_int_equal(options.source, SOURCE_PAM_ENVIRONMENT);
	assert_string_equal(options.source_name, "CERT");
	assert_int_equal(options.mode, MODE_SET);
	assert_string_equal(options.require_name, "FTPS");
	assert_string_equal(options.require_value, "1=2");
	assert_string_equal(options.socket_path, "/run/x");
	assert_int_equal(options.timeout_usec, 250000);
	assert_true(options.allow_root);
	assert_true(options.debug);
}

static void authtok_has_no_variable(void **state)
{
	const struct options options = options_of(LINE("source=authtok", "user=match"));

	(void)state;
	assert_int_equal(options.source, SOURCE_AUTHTOK);
	assert_string_equal(options.source_name, "");
	assert_int_equal(options.mode, MODE_MATCH);
}

static void required_value_may_be_empty(void **state)
{
	const struct options options = options_of(LINE("source=authtok", "require_env=A="));

	(void)state;
	assert_string_equal(options.require_name, "A");
	assert_string_equal(options.require_value, "");
}

static void line_without_a_source_is_refused(void **state)
{
	(void)state;
	refuses(LINE(NULL), "source");
	refuses(LINE("debug", "user=set"), "source");
}

static void unknown_and_misspelt_words_are_refused(void **state)
{
	(void)state;
	refuses(LINE("source=authtok", "tiemout=5"), "tiemout");
	refuses(LINE("source=authtok", "DEBUG"), "DEBUG");
	refuses(LINE("source=authtok", "debugs"), "debugs");
	refuses(LINE("source=authtok", "allow-root"), "allow-root");
	refuses(LINE("source=authtok", "timeou=5"), "timeou");
	refuses(LINE("source=authtok", ""), "");
	refuses(LINE("source=authtok", "=1"), "");
	refuses(LINE("source=authtok", "use_first_pass"), "use_first_pass");
}

static void option_given_twice_is_refused_even_if_it_says_the_same(void **state)
{
	(void)state;
	refuses(LINE("source=authtok", "source=authtok"), "source");
	refuses(LINE("source=authtok", "source=env:A"), "source");
	refuses(LINE("source=authtok", "timeout=1", "debug", "timeout=1"), "timeout");
	refuses(LINE("source=authtok", "allow_root", "allow_root"), "allow_root");
	refuses(LINE("source=authtok", "require_env=A=1", "require_env=B=1"), "require_env");
}

static void source_must_be_a_place(void **state)
{
	(void)state;
	refuses(LINE("source"), "source");
	refuses(LINE("source="), "source");
	refuses(LINE("source=env"), "source");
	refuses(LINE("source=env:"), "source");
	refuses(LINE("source=pamenv:"), "source");
	refuses(LINE("source=env:A=B"), "source");
	refuses(LINE("source=ENV:A"), "source");
	refuses(LINE("source=authtok:"), "source");
	refuses(LINE("source=TLS_CLIENT_CERT"), "source");
	refuses(LINE("source=user:", "user=set", "accept=name"), "source");
	refuses(LINE("source=USER", "user=set", "accept=name"), "source");
	refuses(LINE("source=ssh:X", "accept=key"), "source");
	refuses(LINE("source=sshd", "accept=key"), "source");
}

static void variable_name_has_255_bytes_at_most(void **state)
{
	char source[LONG_NAME_BYTES + 8] = "source=env:";
	char required[LONG_NAME_BYTES + 16] = "require_env=";

	(void)state;
	memset(source + strlen("source=env:"), 'N', 255);
	(void)options_of(LINE(source));
	source[strlen(source)] = 'N';
	refuses(LINE(source), "source");

	memset(required + strlen("require_env="), 'N', 255);
	memcpy(required + strlen(required), "=", 1);
	assert_int_equal(strlen(options_of(LINE("source=authtok", required)).require_name), 255);
	memcpy(required + strlen("require_env=") + 255, "N=", 3);
	refuses(LINE("source=authtok", required), "require_env");
}

static void kind_of_evidence_is_one_of_five_words(void **state)
{
	(void)state;
	assert_int_equal(options_of(LINE("source=authtok", "accept=certificate")).accept,
		EVIDENCE_CERTIFICATE);
	assert_int_equal(options_of(LINE("source=authtok", "accept=fingerprint")).accept,
		EVIDENCE_FINGERPRINT);
	assert_int_equal(options_of(LINE("source=authtok", "accept=key")).accept, EVIDENCE_KEY);
	assert_int_equal(options_of(LINE("source=env:S,I", "accept=names")).accept, EVIDENCE_NAMES);
	assert_int_equal(options_of(LINE("source=authtok", "accept=name")).accept, EVIDENCE_NAME);

	refuses(LINE("source=authtok", "accept"), "accept");
	refuses(LINE("source=authtok", "accept="), "accept");
	refuses(LINE("source=authtok", "accept=Fingerprint"), "accept");
	refuses(LINE("source=authtok", "accept=certificates"), "accept");
	refuses(LINE("source=authtok", "accept=certificate,name"), "accept");
	refuses(LINE("source=authtok", "accept=name", "accept=names"), "accept");
}

static void names_come_from_two_variables(void **state)
{
	static const char line[] = "source=env:SSL_CLIENT_DN,SSL_CLIENT_I_DN";
	const struct options options = options_of(LINE(line, "accept=names", "user=set"));
	const struct options turned = options_of(LINE("user=set", "accept=names", line));

	(void)state;
	assert_int_equal(options.source, SOURCE_ENVIRONMENT);
	assert_string_equal(options.source_name, "SSL_CLIENT_DN");
	assert_string_equal(options.source_second_name, "SSL_CLIENT_I_DN");
	assert_string_equal(turned.source_second_name, "SSL_CLIENT_I_DN");
	assert_int_equal(options_of(LINE("source=pamenv:S,I", "accept=names")).source,
		SOURCE_PAM_ENVIRONMENT);
}

static void second_variable_is_held_to_the_same_rules(void **state)
{
	char source[2 * LONG_NAME_BYTES + 16] = "source=env:S,";

	(void)state;
	refuses(LINE("source=env:S,", "accept=names"), "source");
	refuses(LINE("source=env:,I", "accept=names"), "source");
	refuses(LINE("source=env:,", "accept=names"), "source");
	refuses(LINE("source=env:S,I=", "accept=names"), "source");
	refuses(LINE("source=env:S=,I", "accept=names"), "source");
	refuses(LINE("source=env:S,I,X", "accept=names"), "source");
	refuses(LINE("source=env:S,I,", "accept=names"), "source");
	refuses(LINE("source=pamenv:S,,I", "accept=names"), "source");

	memset(source + strlen("source=env:S,"), 'N', 255);
	assert_int_equal(strlen(options_of(LINE(source, "accept=names")).source_second_name), 255);
	source[strlen(source)] = 'N';
	refuses(LINE(source, "accept=names"), "source");
	memset(source + strlen("source=env:"), 'N', 256);
	memcpy(source + strlen("source=env:") + 256, ",I", 3);
	refuses(LINE(source, "accept=names"), "source");
}

static void ssh_has_its_own_variable(void **state)
{
	const struct options options = options_of(LINE("accept=key", "source=ssh"));

	(void)state;
	assert_int_equal(options.source, SOURCE_SSH);
	assert_string_equal(options.source_name, "SSH_AUTH_INFO_0");
	assert_string_equal(options.source_second_name, "");
	assert_int_equal(options.mode, MODE_MATCH);
}

static void user_name_may_be_a_digest_or_one_name_in_set_mode(void **state)
{
	static const char *const accepts[] = { "accept=fingerprint", "accept=key", "accept=name" };

	(void)state;
	for (size_t i = 0; i < sizeof(accepts) / sizeof(accepts[0]); i++) {
		const struct options options =
			options_of(LINE("user=set", accepts[i], "source=user"));

		assert_int_equal(options.source, SOURCE_USER);
		assert_string_equal(options.source_name, "");
		assert_int_equal(options.mode, MODE_SET);
	}
}

static void names_need_two_variables_and_nothing_else_may_have_two(void **state)
{
	static const char *const others[] = { "accept=certificate", "accept=fingerprint",
		"accept=key", "accept=name" };

	(void)state;
	refuses_together("source=env:S", "accept=names", "source", "source=env:SUBJECT,ISSUER");
	refuses_together("source=pamenv:S", "accept=names", "source", "two variables");
	refuses_together("source=env:S,S", "accept=names", "source", "twice");
	refuses_together("source=authtok", "accept=names", "accept", "source=env:SUBJECT,ISSUER");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		refuses_together("source=env:S,I", others[i], "source", "accept=names");
		refuses_together("source=pamenv:S,I", others[i], "source", "accept=names");
	}
	/* The default is a certificate. */
	refuses_together("source=env:S,I", "user=set", "source", "accept=names");
}

static void ssh_needs_a_key(void **state)
{
	static const char *const others[] = { "accept=certificate", "accept=fingerprint",
		"accept=names", "accept=name", "user=match" };

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		refuses_together("source=ssh", others[i], "accept", "accept=key");
	refuses(LINE("source=ssh"), "accept");
}

static void user_name_that_is_evidence_has_nobody_to_match(void **state)
{
	(void)state;
	refuses_together("source=user", "accept=fingerprint", "user", "user=set");
	refuses_together("source=user", "user=match", "user", "user=set");
	refuses(LINE("source=user", "accept=name", "user=match"), "user");
	refuses(LINE("user=match", "accept=name", "source=user"), "user");
	refuses(LINE("source=user"), "user");
}

static void user_name_holds_no_certificate_and_no_two_names(void **state)
{
	(void)state;
	refuses_together("source=user", "user=set", "accept", "accept=fingerprint");
	refuses(LINE("source=user", "user=set", "accept=certificate"), "accept");
	refuses(LINE("accept=certificate", "user=set", "source=user"), "accept");
	refuses(LINE("source=user", "user=set", "accept=names"), "accept");
	refuses(LINE("accept=names", "source=user", "user=set"), "accept");
}

static void user_is_match_or_set(void **state)
{
	(void)state;
	refuses(LINE("source=authtok", "user"), "user");
	refuses(LINE("source=authtok", "user="), "user");
	refuses(LINE("source=authtok", "user=Set"), "user");
	refuses(LINE("source=authtok", "user=alice"), "user");
}

static void required_variable_needs_a_name_and_a_value(void **state)
{
	(void)state;
	refuses(LINE("source=authtok", "require_env"), "require_env");
	refuses(LINE("source=authtok", "require_env="), "require_env");
	refuses(LINE("source=authtok", "require_env=FTPS"), "require_env");
	refuses(LINE("source=authtok", "require_env==1"), "require_env");
}

static void timeout_is_a_whole_number_of_milliseconds_within_ten_minutes(void **state)
{
	static const char *const wrong[] = { "timeout", "timeout=", "timeout=0", "timeout=00",
		"timeout=abc", "timeout=1s", "timeout=-1", "timeout=+1", "timeout= 1", "timeout=1 ",
		"timeout=0x10", "timeout=1.5", "timeout=600001", "timeout=18446744073709551617",
		"timeout=99999999999999999999999999999999" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refuses(LINE("source=authtok", wrong[i]), "timeout");
	assert_int_equal(options_of(LINE("source=authtok", "timeout=1")).timeout_usec, 1000);
	assert_int_equal(
		options_of(LINE("source=authtok", "timeout=600000")).timeout_usec, 600000000);
	assert_int_equal(options_of(LINE("source=authtok", "timeout=0250")).timeout_usec, 250000);
}

static void socket_is_an_absolute_path_that_fits_an_address(void **state)
{
	/* unix(7): sun_path has 108 bytes, the terminator among them. */
	char path[128] = "socket=/";

	(void)state;
	memset(path + strlen("socket=/"), 'x', 106);
	assert_int_equal(strlen(options_of(LINE("source=authtok", path)).socket_path), 107);
	path[strlen(path)] = 'x';
	refuses(LINE("source=authtok", path), "socket");
	refuses(LINE("source=authtok", "socket"), "socket");
	refuses(LINE("source=authtok", "socket="), "socket");
	refuses(LINE("source=authtok", "socket=run/certmap/lookup"), "socket");
	refuses(LINE("source=authtok", "socket=@abstract"), "socket");
}

static void switch_takes_no_value(void **state)
{
	(void)state;
	refuses(LINE("source=authtok", "debug=0"), "debug");
	refuses(LINE("source=authtok", "debug="), "debug");
	refuses(LINE("source=authtok", "allow_root=no"), "allow_root");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(source_alone_gets_the_defaults_of_the_manual),
		cmocka_unit_test(every_option_is_read),
		cmocka_unit_test(authtok_has_no_variable),
		cmocka_unit_test(required_value_may_be_empty),
		cmocka_unit_test(line_without_a_source_is_refused),
		cmocka_unit_test(unknown_and_misspelt_words_are_refused),
		cmocka_unit_test(option_given_twice_is_refused_even_if_it_says_the_same),
		cmocka_unit_test(source_must_be_a_place),
		cmocka_unit_test(variable_name_has_255_bytes_at_most),
		cmocka_unit_test(kind_of_evidence_is_one_of_five_words),
		cmocka_unit_test(names_come_from_two_variables),
		cmocka_unit_test(second_variable_is_held_to_the_same_rules),
		cmocka_unit_test(ssh_has_its_own_variable),
		cmocka_unit_test(user_name_may_be_a_digest_or_one_name_in_set_mode),
		cmocka_unit_test(names_need_two_variables_and_nothing_else_may_have_two),
		cmocka_unit_test(ssh_needs_a_key),
		cmocka_unit_test(user_name_that_is_evidence_has_nobody_to_match),
		cmocka_unit_test(user_name_holds_no_certificate_and_no_two_names),
		cmocka_unit_test(user_is_match_or_set),
		cmocka_unit_test(required_variable_needs_a_name_and_a_value),
		cmocka_unit_test(timeout_is_a_whole_number_of_milliseconds_within_ten_minutes),
		cmocka_unit_test(socket_is_an_absolute_path_that_fits_an_address),
		cmocka_unit_test(switch_takes_no_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
