/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * attempt.c owns the gates. Each returns true to go on, and only after all of them the outcome
 * becomes `allowed`: success is earned, never the default.
 */
#include "attempt.h"

#include <security/pam_modules.h>
#include <string.h>
#include <unistd.h>

#include "account.h"
#include "evidence.h"
#include "report.h"
#include "session.h"
#include "verdict.h"

static bool refuse(struct attempt *attempt, enum reason reason, const char *what)
{
	return outcome_refuse(reason, what, &attempt->outcome);
}

static bool fail(struct attempt *attempt, enum error error, const char *what)
{
	return outcome_fail(error, what, 0, &attempt->outcome);
}

/* pam_get_item(3) and never pam_get_user(3): a client without a name is refused, not asked. */
static struct span find_user(const pam_handle_t *pamh)
{
	const void *item = NULL;

	if (pam_get_item(pamh, PAM_USER, &item) != PAM_SUCCESS)
		return (struct span){ 0 };
	return span_of_string(item);
}

static void note_user(struct attempt *attempt)
{
	const struct span user = find_user(attempt->pamh);
	struct attempt_user *asked = &attempt->asked;

	asked->is_sound = account_name_is_sound(user);
	asked->length = user.length > ACCOUNT_MAX_BYTES ? ACCOUNT_MAX_BYTES : user.length;
	if (asked->length > 0)
		memcpy(asked->text, user.bytes, asked->length);
}

static struct span asked_account(const struct attempt *attempt)
{
	return attempt->asked.is_sound ? span_of(attempt->asked.text, attempt->asked.length)
				       : (struct span){ 0 };
}

static bool gate_asked(struct attempt *attempt)
{
	if (attempt->options.mode == MODE_SET || attempt->asked.is_sound)
		return true;
	return refuse(attempt, REASON_ACCOUNT_MISMATCH,
		"the service asked for no account, or for a name that can be none");
}

/* The daemon gives a credential to root alone, and answers anybody else who wants one `forbidden'.
 * What later modules do with one, they do in this phase. */
static bool wants_credential(const struct attempt *attempt)
{
	return attempt->phase == PHASE_AUTHENTICATE && geteuid() == 0;
}

static bool gate_mapped(struct attempt *attempt, enum evidence_kind kind,
	const struct evidence *evidence, struct span user)
{
	const struct request request = {
		.phase = attempt->phase,
		.kind = kind,
		.user = user,
		.evidence = evidence->first,
		.evidence_second = evidence->second,
		.correlation_id = span_of_string(attempt->correlation_id),
		.credential_wanted = wants_credential(attempt),
	};

	report_question(attempt, evidence->first.length + evidence->second.length);
	return inquiry_ask(
		attempt->pamh, &attempt->options, &request, &attempt->answer, &attempt->outcome);
}

/* Byte for byte, and here once more, whatever the daemon compared: most services ignore a changed
 * PAM_USER, so an answer about another account would let the client in as the one it asked for. */
static bool gate_account_is(struct attempt *attempt, struct span expected)
{
	if (span_is_equal(attempt->answer.reply.account, expected))
		return true;
	return refuse(attempt, REASON_ACCOUNT_MISMATCH, "the daemon allowed another account");
}

static bool gate_same_account(struct attempt *attempt)
{
	if (attempt->options.mode == MODE_SET) {
		if (account_name_is_sound(attempt->answer.reply.account))
			return true;
		return refuse(
			attempt, REASON_ACCOUNT_MISMATCH, "the mapped account's name can be none");
	}
	return gate_account_is(attempt, asked_account(attempt));
}

static bool gate_known_account(struct attempt *attempt)
{
	const struct reply *reply = &attempt->answer.reply;
	char account[ACCOUNT_MAX_BYTES + 1] = { 0 };

	memcpy(account, reply->account.bytes, reply->account.length);
	return account_check(account, reply, attempt->options.allow_root, &attempt->outcome);
}

/* Somebody changed the name while we asked: the answer is about another login, CVE-2024-9313. */
static bool gate_user_unchanged(struct attempt *attempt)
{
	if (span_is_equal(find_user(attempt->pamh), asked_account(attempt)))
		return true;
	return refuse(attempt, REASON_ACCOUNT_MISMATCH, "PAM_USER changed during the lookup");
}

static bool gate_user_stands(struct attempt *attempt)
{
	return attempt->options.mode == MODE_SET || gate_user_unchanged(attempt);
}

/* None where nobody asked for it, whatever came. */
static struct span credential_of(const struct attempt *attempt)
{
	return wants_credential(attempt) ? attempt->answer.reply.credential : (struct span){ 0 };
}

/* An item of PAM ends at a NUL: a later module would see, and try, another password. */
static bool gate_credential(struct attempt *attempt)
{
	const struct span credential = credential_of(attempt);

	if (!span_is_present(credential) || !memchr(credential.bytes, 0, credential.length))
		return true;
	return refuse(attempt, REASON_CREDENTIAL_UNAVAILABLE, "there is a NUL in the credential");
}

static bool keep(struct attempt *attempt)
{
	const enum error err = session_keep(attempt->pamh, &attempt->answer.reply);

	return err == OK || fail(attempt, err, "cannot keep what was found in the PAM handle");
}

static bool fail_to_set(struct attempt *attempt, int code, const char *what)
{
	return fail(attempt, code == PAM_BUF_ERR ? ERROR_MEMORY : ERROR_SYSTEM, what);
}

/* For the modules below: pam_unix use_first_pass, a keyring, a mount. libpam wipes the item before
 * pam_authenticate(3) returns, so that the service never sees it. */
static bool deliver(struct attempt *attempt)
{
	const struct span credential = credential_of(attempt);
	char secret[CREDENTIAL_MAX_BYTES + 1] = { 0 };
	int code;

	if (!span_is_present(credential))
		return true;
	memcpy(secret, credential.bytes, credential.length);
	code = pam_set_item(attempt->pamh, PAM_AUTHTOK, secret);
	explicit_bzero(secret, sizeof(secret));
	attempt->has_delivered = code == PAM_SUCCESS;
	return attempt->has_delivered || fail_to_set(attempt, code, "cannot set PAM_AUTHTOK");
}

static bool adopt(struct attempt *attempt)
{
	const struct span account = attempt->answer.reply.account;
	char name[ACCOUNT_MAX_BYTES + 1] = { 0 };
	int code;

	if (attempt->options.mode != MODE_SET)
		return true;
	memcpy(name, account.bytes, account.length);
	code = pam_set_item(attempt->pamh, PAM_USER, name);
	return code == PAM_SUCCESS || fail_to_set(attempt, code, "cannot set PAM_USER");
}

static bool configure(struct attempt *attempt, int argc, const char *const *argv)
{
	struct options_problem problem;

	if (options_read(argc, argv, &attempt->options, &problem))
		return true;
	refuse(attempt, REASON_MISCONFIGURED, problem.why);
	attempt->outcome.name = problem.option;
	return false;
}

static bool pass_gates(struct attempt *attempt, int argc, const char *const *argv)
{
	struct evidence evidence;

	return configure(attempt, argc, argv) &&
	       inquiry_make_id(attempt->correlation_id, &attempt->outcome) &&
	       evidence_obtain(attempt->pamh, &attempt->options, &evidence, &attempt->outcome) &&
	       gate_asked(attempt) &&
	       gate_mapped(attempt, attempt->options.accept, &evidence, asked_account(attempt)) &&
	       gate_same_account(attempt) && gate_known_account(attempt) &&
	       gate_user_stands(attempt) && gate_credential(attempt) && keep(attempt) &&
	       deliver(attempt) && adopt(attempt);
}

static void take_back(struct attempt *attempt)
{
	session_forget(attempt->pamh);
	if (attempt->has_delivered)
		pam_set_item(attempt->pamh, PAM_AUTHTOK, NULL);
}

void attempt_authenticate(struct attempt *attempt, int argc, const char *const *argv)
{
	session_forget(attempt->pamh);
	note_user(attempt);
	if (pass_gates(attempt, argc, argv))
		attempt->outcome = (struct outcome){ .reason = REASON_ALLOWED };
	else
		take_back(attempt);
}

void attempt_done(struct attempt *attempt)
{
	explicit_bzero(&attempt->answer, sizeof(attempt->answer));
}

static bool gate_same_user(struct attempt *attempt, struct span account)
{
	if (span_is_equal(asked_account(attempt), account))
		return true;
	return refuse(attempt, REASON_ACCOUNT_MISMATCH,
		"PAM_USER is not the account that the certificate stands for");
}

static bool gate_same_certificate(struct attempt *attempt, struct span fingerprint)
{
	if (span_is_equal(attempt->answer.reply.fingerprint, fingerprint))
		return true;
	return refuse(attempt, REASON_UNMAPPED, "the daemon allowed another certificate");
}

static bool stands(struct attempt *attempt, const struct session *session)
{
	const struct span account = span_of_string(session->account);
	const struct span fingerprint = span_of_string(session->fingerprint);
	const struct evidence evidence = { .first = fingerprint };

	return inquiry_make_id(attempt->correlation_id, &attempt->outcome) &&
	       gate_same_user(attempt, account) &&
	       gate_mapped(attempt, EVIDENCE_FINGERPRINT, &evidence, account) &&
	       gate_account_is(attempt, account) && gate_same_certificate(attempt, fingerprint) &&
	       gate_known_account(attempt) && gate_user_unchanged(attempt);
}

static bool refuse_malformed(struct attempt *attempt)
{
	return refuse(attempt, REASON_MALFORMED_CERTIFICATE,
		"CERTMAP_* in the PAM environment is not what pam_certmap put there");
}

bool attempt_account(struct attempt *attempt, int argc, const char *const *argv)
{
	struct session session;

	note_user(attempt);
	if (!configure(attempt, argc, argv))
		return true;
	switch (session_find(attempt->pamh, &session)) {
	case SESSION_NONE:
		return false;
	case SESSION_MALFORMED:
		refuse_malformed(attempt);
		return true;
	case SESSION_FOUND:
		break;
	}
	if (stands(attempt, &session))
		attempt->outcome = (struct outcome){ .reason = REASON_ALLOWED };
	return true;
}

bool attempt_session(
	struct attempt *attempt, int argc, const char *const *argv, struct session *ret)
{
	return configure(attempt, argc, argv) &&
	       (session_find_published(attempt->pamh, ret) != SESSION_MALFORMED ||
		       refuse_malformed(attempt));
}

int attempt_code(const struct attempt *attempt)
{
	if (attempt->outcome.error != OK)
		return verdict_error(attempt->outcome.error);
	if (attempt->phase == PHASE_ACCOUNT)
		return verdict_account(attempt->outcome.reason);
	return verdict_authenticate(attempt->outcome.reason);
}
