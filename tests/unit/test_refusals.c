/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test_refusals.c owns the promise that a line of the module is read exactly, and nothing else that
 * stands in the journal for one. */
#include "../../certmapd/ctl/refusals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_line_of_the_module_is_read_whole(void **state)
{
	struct refusal r;

	(void)state;
	assert_true(refusals_parse(
		span_of_string("pam_certmap(proftpd:auth): reason=account-missing asked=\"al ice\""
			       " account=\"bob\" mapping=7 fingerprint=00ff rhost=\"::1\" id=ab12"
			       " what=\"the mapped account does not exist\""),
		&r));
	assert_string_equal(r.service, "proftpd");
	assert_string_equal(r.type, "auth");
	assert_string_equal(r.reason, "account-missing");
	assert_string_equal(r.asked, "al ice");
	assert_string_equal(r.account, "bob");
	assert_string_equal(r.fingerprint, "00ff");
	assert_string_equal(r.host, "::1");
	assert_string_equal(r.id, "ab12");
	assert_string_equal(r.what, "the mapped account does not exist");
	assert_string_equal(r.name, "");
}

static void the_cause_of_a_refusal_is_read_with_it(void **state)
{
	struct refusal r;

	(void)state;
	assert_true(refusals_parse(
		span_of_string("pam_certmap(svc:auth): reason=misconfigured asked=\"alice\""
			       " rhost=\"::1\" name=\"so\\x20rce\" what=\"unknown option\""),
		&r));
	assert_string_equal(r.name, "so rce");
	assert_string_equal(r.failure, "");
	assert_true(refusals_parse(
		span_of_string("pam_certmap(svc:auth): reason=unavailable asked=\"alice\" id=1"
			       " what=\"connect\" errno=\"Permission denied\""),
		&r));
	assert_string_equal(r.what, "connect");
	assert_string_equal(r.failure, "Permission denied");
	assert_true(refusals_parse(
		span_of_string("pam_certmap(svc:auth): reason=no-certificate asked=\"alice\""
			       " shadow=\"allowed\" id=1"),
		&r));
	assert_string_equal(r.shadow, "allowed");
}

static void a_value_can_forge_no_other_one(void **state)
{
	struct refusal r;

	(void)state;
	assert_true(refusals_parse(span_of_string("pam_certmap(svc:auth): reason=unmapped"
						  " asked=\"x reason=allowed service=root\" id=1"),
		&r));
	assert_string_equal(r.reason, "unmapped");
	assert_string_equal(r.service, "svc");
	assert_string_equal(r.asked, "x reason=allowed service=root");
	/* Escaped by the module, and what it was again here. */
	assert_true(refusals_parse(
		span_of_string(
			"pam_certmap(svc:auth): reason=unmapped asked=\"a\\x22\\x1b\\x5cx\""),
		&r));
	assert_string_equal(r.asked, "a\"\x1b\\x");
	assert_true(refusals_parse(
		span_of_string("pam_certmap(svc:auth): reason=unmapped asked=\"root\\x00x\""), &r));
	assert_string_equal(r.asked, "root?x");
}

static void what_is_no_such_line_is_not_taken(void **state)
{
	static const char *const lines[] = { "", "pam_certmap", "pam_certmap(", "pam_certmap(svc",
		"pam_certmap(svc:auth)", "pam_certmap(svc:auth):", "pam_certmap(svc:auth): ",
		"pam_certmap(svc:auth): session opened: account=\"alice\"",
		"pam_certmap(svc:auth): reason=", "pam_certmap(svc:auth): asked=\"alice\"",
		"pam_certmap(svc:auth): reason=x asked=\"alice",
		"pam_certmap(svc:auth): reason=x asked=\"a\"b",
		"pam_certmap(svc:auth): reason=x  id=1", "pam_certmap(svc:auth): =x",
		"pam_certmap(svc:auth): Reason=x", " pam_certmap(svc:auth): reason=x",
		"pam_unix(svc:auth): reason=x", "pam_certmap(svc:auth):reason=x",
		"pam_certmap(svc): reason=x" };
	struct refusal r = { .reason = "as before" };

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (refusals_parse(span_of_string(lines[i]), &r) ||
			strcmp(r.reason, "as before") != 0)
			fail_msg("taken: %s", lines[i]);
}

static void what_is_too_long_is_cut(void **state)
{
	char line[2000] = "pam_certmap(svc:auth): reason=x asked=\"";
	struct refusal r;
	size_t used = strlen(line);

	(void)state;
	memset(line + used, 'a', 1500);
	strcpy(line + used + 1500, "\"");
	assert_true(refusals_parse(span_of_string(line), &r));
	assert_int_equal(strlen(r.asked), ACCOUNT_MAX_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_of_the_module_is_read_whole),
		cmocka_unit_test(a_value_can_forge_no_other_one),
		cmocka_unit_test(the_cause_of_a_refusal_is_read_with_it),
		cmocka_unit_test(what_is_no_such_line_is_not_taken),
		cmocka_unit_test(what_is_too_long_is_cut),
	};

	return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
