/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trial.c owns the sequence of pass_gates() in the module, without a PAM handle. */
#include "trial.h"

#include "account.h"
#include "ask.h"
#include "dispatch.h"
#include "hex.h"
#include "measure.h"
#include "programs.h"
#include "verdict.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

_Static_assert(TRIAL_ASKED - TRIAL_SERVICE == POLICY_GATE_ACCOUNT, "the gates of the policy");

static bool end(struct trial *trial, enum trial_gate gate, bool is_passed)
{
	trial->findings[gate] = is_passed ? TRIAL_OK : TRIAL_FAILED;
	return is_passed;
}

static bool gate_line(const struct trial_case *c, struct trial *trial)
{
	if (options_read(c->argc, c->argv, &trial->options, &trial->problem))
		return end(trial, TRIAL_LINE, true);
	outcome_refuse(REASON_MISCONFIGURED, trial->problem.why, &trial->outcome);
	trial->outcome.name = trial->problem.option;
	return end(trial, TRIAL_LINE, false);
}

/* SHA-256 of the public key, as an application that hands over a digest has it; the key itself
 * gives the same one. */
static void digest_key(const struct exhibit *exhibit, struct trial *trial)
{
	trial->evidence = span_of_string(hex_print(
		span_of(exhibit->facts.key_fingerprint, FINGERPRINT_BYTES), trial->digest));
}

static const char *text_for(const struct exhibit *exhibit, struct trial *trial)
{
	const char *name = exhibit->names.value_count > 0 ? exhibit->names.values[0] : "";

	if (exhibit->is_none)
		return "";
	switch (trial->options.accept) {
	case EVIDENCE_CERTIFICATE:
		if (exhibit->text_length > 0 || exhibit->fingerprint[0] == '\0')
			return exhibit->text;
		/* Nobody has the certificate, so nobody mapped it: its fingerprint says as much. */
		trial->kind = EVIDENCE_FINGERPRINT;
		return exhibit->fingerprint;
	case EVIDENCE_FINGERPRINT:
		return exhibit->fingerprint[0] ? exhibit->fingerprint : exhibit->text;
	case EVIDENCE_KEY:
		if (exhibit->has_facts)
			digest_key(exhibit, trial);
		return exhibit->has_facts ? trial->digest : "?";
	case EVIDENCE_NAMES:
		trial->evidence_second = span_of_string(
			exhibit->names.issuer_line ? exhibit->names.issuer_line : "?");
		return exhibit->names.subject_line ? exhibit->names.subject_line : "?";
	case EVIDENCE_NAME:
		return exhibit->has_facts ? name : "?";
	}
	return "";
}

static bool gate_supplied(const struct trial_case *c, struct trial *trial)
{
	trial->kind = trial->options.accept;
	if (trial->options.source == SOURCE_ENVIRONMENT && !c->exhibit->is_none &&
		programs_are_setuid(c->service)) {
		outcome_refuse(REASON_NO_CERTIFICATE,
			"the program of this service is setuid, so that its environment is its "
			"caller's and ignored",
			&trial->outcome);
		return end(trial, TRIAL_SUPPLIED, false);
	}
	return end(trial, TRIAL_SUPPLIED,
		measure(text_for(c->exhibit, trial), EVIDENCE_MAX_BYTES, "longer than 65536 bytes",
			"", &trial->evidence, &trial->outcome));
}

static bool gate_user(const struct trial_case *c, struct trial *trial)
{
	if (trial->options.mode == MODE_SET || account_name_is_sound(span_of_string(c->user)))
		return true;
	outcome_refuse(REASON_ACCOUNT_MISMATCH,
		"the service asked for no account, or for a name that can be none",
		&trial->outcome);
	return end(trial, TRIAL_ASKED, false);
}

static struct span sound_user(const struct trial_case *c)
{
	const struct span user = span_of_string(c->user);

	return account_name_is_sound(user) ? user : (struct span){ 0 };
}

static bool refuse_answer(struct trial *trial, enum reason reason)
{
	outcome_refuse(reason, NULL, &trial->outcome);
	return false;
}

/* The findings of the daemon's gates, from the one that decided. */
static void note_gates(struct trial *trial)
{
	const struct lookup_outcome *answer = &trial->answer;

	for (int i = POLICY_GATE_SERVICE; i < (int)answer->gate; i++)
		trial->findings[TRIAL_SERVICE + i] = TRIAL_OK;
	if (answer->gate < POLICY_GATES)
		trial->findings[TRIAL_SERVICE + (int)answer->gate] = TRIAL_FAILED;
	else
		trial->findings[TRIAL_CREDENTIAL] =
			answer->reason == REASON_ALLOWED ? TRIAL_OK : TRIAL_FAILED;
}

static bool ask(const struct ctl *ctl, struct lookup *lookup, const struct request *request,
	struct trial *trial)
{
	struct lookup_outcome *answer = &trial->answer;

	trial->has_answer = ask_outcome(ctl, lookup, request, answer, &trial->trouble) == OK;
	explicit_bzero(answer->credential, sizeof answer->credential);
	if (!end(trial, TRIAL_PEER, trial->has_answer))
		return refuse_answer(trial, REASON_UNAVAILABLE);
	note_gates(trial);
	if (answer->is_shadow) {
		trial->shadow = answer->reason;
		return refuse_answer(trial, REASON_NO_CERTIFICATE);
	}
	return answer->reason == REASON_ALLOWED || refuse_answer(trial, answer->reason);
}

static bool gate_service_name(const struct trial_case *c, struct trial *trial)
{
	const size_t length = strlen(c->service);

	if (length > 0 && length <= SERVICE_MAX_BYTES)
		return true;
	outcome_refuse(REASON_MISCONFIGURED, "the name of the PAM service is not of 1 to 64 bytes",
		&trial->outcome);
	return end(trial, TRIAL_LINE, false);
}

static bool gates_of_daemon(const struct ctl *ctl, struct lookup *lookup,
	const struct trial_case *c, struct trial *trial)
{
	const struct request request = {
		.phase = PHASE_AUTHENTICATE,
		.mode = trial->options.mode,
		.kind = trial->kind,
		.service = span_of_string(c->service),
		.user = sound_user(c),
		.evidence = trial->evidence,
		.evidence_second = trial->evidence_second,
		.credential_wanted = c->peer.uid == 0,
	};

	if (c->may_not_connect) {
		end(trial, TRIAL_PEER, false);
		return outcome_fail(ERROR_PEER, "connect", EACCES, &trial->outcome);
	}
	if (dispatch_may_ask(&c->peer, &request))
		return ask(ctl, lookup, &request, trial);
	end(trial, TRIAL_PEER, false);
	return refuse_answer(trial, REASON_FORBIDDEN);
}

static bool gate_account(struct trial *trial)
{
	const struct mapping *mapping = &trial->answer.mapping;
	const struct reply reply = { .has_uid = mapping->has_uid, .uid = mapping->uid };

	return end(trial, TRIAL_ACCOUNT,
		account_check(
			mapping->account, &reply, trial->options.allow_root, &trial->outcome));
}

static int code_of(const struct trial *trial)
{
	return trial->outcome.error != OK ? verdict_error(trial->outcome.error)
					  : verdict_authenticate(trial->outcome.reason);
}

void trial_run(
	const struct ctl *ctl, struct lookup *lookup, const struct trial_case *c, struct trial *ret)
{
	memset(ret, 0, sizeof *ret);
	if (gate_line(c, ret) && gate_supplied(c, ret) && gate_user(c, ret) &&
		gate_service_name(c, ret) && gates_of_daemon(ctl, lookup, c, ret) &&
		gate_account(ret))
		ret->outcome = (struct outcome){ .reason = REASON_ALLOWED };
	ret->code = code_of(ret);
}
