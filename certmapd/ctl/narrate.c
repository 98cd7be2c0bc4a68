/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* narrate.c owns the sentences. */
#include "narrate.h"

#include "armour.h"
#include "print.h"
#include "view.h"
#include "words.h"

#include <inttypes.h>

#define SHOWN_BYTES 300u

const char *narrate_gate(enum trial_gate gate)
{
	static const char *const names[TRIAL_GATES] = {
		[TRIAL_LINE] = "stack-line",
		[TRIAL_SUPPLIED] = "supplied",
		[TRIAL_PEER] = "daemon",
		[TRIAL_SERVICE] = "service",
		[TRIAL_EVIDENCE] = "evidence",
		[TRIAL_FOUND] = "found",
		[TRIAL_MAPPING] = "mapping",
		[TRIAL_CERTIFICATE] = "certificate",
		[TRIAL_TRUST] = "trust",
		[TRIAL_ASKED] = "asked",
		[TRIAL_CREDENTIAL] = "credential",
		[TRIAL_ACCOUNT] = "account",
	};

	return names[gate];
}

const char *narrate_finding(enum trial_finding finding)
{
	static const char *const words[] = {
		[TRIAL_NOT_REACHED] = "not-reached",
		[TRIAL_OK] = "ok",
		[TRIAL_FAILED] = "failed",
	};

	return words[finding];
}

char *narrate_time(int64_t time_sec, int64_t now_sec, char ret[NARRATE_TIME_BYTES])
{
	char date[WHEN_DATE_BYTES], relative[WHEN_RELATIVE_BYTES];

	snprintf(ret, NARRATE_TIME_BYTES, "%s UTC (%s)", when_date(time_sec, date, sizeof date),
		when_relative(time_sec, now_sec, relative, sizeof relative));
	return ret;
}

static void say_time(struct words *words, int64_t time_sec)
{
	char text[NARRATE_TIME_BYTES];

	words_say(words, "%s", narrate_time(time_sec, when_now(), text));
}

static bool has_failed(const struct trial *trial, enum trial_gate gate)
{
	return trial->findings[gate] == TRIAL_FAILED;
}

static void say_what(struct words *words, const struct trial *trial)
{
	char name[SHOWN_BYTES];

	if (span_is_present(trial->outcome.name) && trial->outcome.name.length > 0)
		words_say(words, "%s: ", print_shown(trial->outcome.name, name, sizeof name));
	words_say(words, "%s", trial->outcome.what ? trial->outcome.what : "");
}

static const char *kind_word(enum evidence_kind kind)
{
	switch (kind) {
	case EVIDENCE_CERTIFICATE:
		return "certificate";
	case EVIDENCE_FINGERPRINT:
		return "fingerprint";
	case EVIDENCE_KEY:
		return "key";
	case EVIDENCE_NAMES:
		return "names";
	case EVIDENCE_NAME:
		return "name";
	}
	return "?";
}

static void say_line(struct words *words, const struct trial *trial)
{
	if (has_failed(trial, TRIAL_LINE)) {
		say_what(words, trial);
		return;
	}
	words_say(words, "it accepts the kind `%s', and user=%s", kind_word(trial->options.accept),
		trial->options.mode == MODE_SET ? "set" : "match");
	if (trial->options.require_name[0]) {
		words_say(words, "; counts only where the service also sets ");
		words_say_shown(words, trial->options.require_name);
		/* Not its value, which may be a secret between the service and this line. */
		words_say(words, " to the value of the line");
	}
}

static void say_supplied(struct words *words, const struct trial_case *c, const struct trial *trial)
{
	if (has_failed(trial, TRIAL_SUPPLIED) && c->exhibit->is_none)
		words_say(words, "the client brings no certificate");
	else if (has_failed(trial, TRIAL_SUPPLIED))
		say_what(words, trial);
	else
		words_say(words, "%zu bytes of evidence, from %s",
			trial->evidence.length + trial->evidence_second.length, c->exhibit->origin);
}

static void say_peer(struct words *words, const struct trial_case *c, const struct trial *trial)
{
	if (!has_failed(trial, TRIAL_PEER))
		words_say(words, "uid %u may ask the daemon", (unsigned)c->peer.uid);
	else if (c->may_not_connect || trial->outcome.reason == REASON_FORBIDDEN)
		words_say(words, "uid %u is neither root nor in the group of the socket%s",
			(unsigned)c->peer.uid,
			c->may_not_connect ? ", whose mode lets nobody else connect" : "");
	else
		words_say_shown(words, trial->trouble.text);
}

static void say_service(struct words *words, const struct trial_case *c, const struct trial *trial)
{
	words_say(words, "the service ");
	words_say_shown(words, c->service);
	words_say(words, has_failed(trial, TRIAL_SERVICE) ? " is disabled in the table service"
							  : " is enabled");
}

static void say_malformed(struct words *words, const struct trial *trial)
{
	static uint8_t der[ARMOUR_DER_MAX_BYTES];
	size_t length;

	if (trial->kind == EVIDENCE_CERTIFICATE)
		words_say(words, "%s",
			armour_finding_text(
				armour_open_text(trial->evidence, der, sizeof der, &length)));
	else
		words_say(words, "no %s of the form that certmap knows", kind_word(trial->kind));
}

static const char *whole_words(enum evidence_kind kind)
{
	switch (kind) {
	case EVIDENCE_CERTIFICATE:
		return "one whole certificate";
	case EVIDENCE_FINGERPRINT:
		return "one whole fingerprint";
	case EVIDENCE_KEY:
		return "one whole key";
	case EVIDENCE_NAMES:
		return "subject and issuer";
	case EVIDENCE_NAME:
		return "one name";
	}
	return "?";
}

static void say_evidence(struct words *words, const struct trial *trial)
{
	if (!has_failed(trial, TRIAL_EVIDENCE)) {
		words_say(words, "%s", whole_words(trial->kind));
		if (trial->answer.fingerprint[0])
			words_say(words, ", SHA-256 %.*s...", VIEW_FINGERPRINT_DIGITS,
				trial->answer.fingerprint);
	} else if (trial->answer.reason == REASON_EVIDENCE_NOT_ACCEPTED) {
		words_say(words, "the kind `%s' is weak, and accept_%s is 0 in the table service",
			kind_word(trial->kind), kind_word(trial->kind));
	} else {
		say_malformed(words, trial);
	}
}

static void say_found(struct words *words, const struct trial *trial)
{
	const struct lookup_outcome *answer = &trial->answer;

	if (answer->has_mapping) {
		words_say(words, "mapping %" PRId64 " of ", answer->mapping.id);
		words_say_shown(words, answer->mapping.account);
		words_say(words,
			answer->mapping.is_exact ? ", for this service" : ", for every service");
	} else if (answer->reason == REASON_AMBIGUOUS) {
		words_say(words, "several mappings fit it and stand for different certificates");
	} else {
		words_say(words, "no mapping that the service can see fits it");
	}
}

static void say_mapping(struct words *words, const struct lookup_outcome *answer)
{
	const struct mapping *m = &answer->mapping;

	if (answer->reason == REASON_MAPPING_NOT_YET_VALID) {
		words_say(words, "it is valid from ");
		say_time(words, m->valid_from_sec);
	} else if (answer->reason == REASON_MAPPING_EXPIRED) {
		words_say(words, "it was valid until ");
		say_time(words, m->valid_until_sec);
	} else if (answer->took_over) {
		words_say(words,
			"it is staged; the login would put it into force, in the place of the "
			"one that it replaces");
	} else if (m->is_staged && answer->reason != REASON_MAPPING_DISABLED) {
		words_say(words, "it is staged, and takes force once no gate refuses");
	} else if (m->is_staged) {
		words_say(words, "it is staged, and %s",
			answer->is_shadow ? "nothing is put into force in shadow mode"
			: !m->may_replace
				? "the mapping that it replaces is disabled, or not this account's"
				: "can't take force: the staging lapsed, the evidence is "
				  "no whole certificate, or the account has another one");
	} else {
		words_say(words, m->enabled ? "it is enabled" : "it is disabled");
	}
}

static void say_certificate(struct words *words, const struct mapping *m)
{
	words_say(words, "it is valid from ");
	say_time(words, m->not_before_sec);
	words_say(words, " to ");
	say_time(words, m->not_after_sec);
}

static void say_trust(struct words *words, const struct trial *trial)
{
	static const char *const words_of[] = {
		[STORE_REVOCATION_REQUIRE] = "require",
		[STORE_REVOCATION_PREFER] = "prefer",
		[STORE_REVOCATION_OFF] = "off",
	};
	const struct lookup_outcome *answer = &trial->answer;

	if (!answer->requires_trust) {
		words_say(words, "not asked for (require_trust is 0)");
		return;
	}
	if (!has_failed(trial, TRIAL_TRUST))
		words_say(words, "it chains to an anchor (revocation: %s)",
			words_of[answer->revocation]);
	else if (!answer->concern)
		words_say(words, "%s", reason_word(answer->reason));
	/* That of a gate behind this one is told there. */
	if (answer->concern && !has_failed(trial, TRIAL_CREDENTIAL)) {
		words_say(words, has_failed(trial, TRIAL_TRUST) ? "" : ": ");
		words_say_shown(words, answer->concern);
	}
}

static void say_asked(struct words *words, const struct trial_case *c, const struct trial *trial)
{
	if (has_failed(trial, TRIAL_ASKED) && trial->outcome.what) {
		say_what(words, trial);
		return;
	}
	words_say(words, "the certificate stands for ");
	words_say_shown(words, trial->answer.mapping.account);
	if (trial->options.mode == MODE_SET) {
		words_say(words, ", whom the service adopts (user=set)");
		return;
	}
	words_say(words, ", and the service asks for ");
	words_say_shown(words, c->user);
}

static void say_credential(
	struct words *words, const struct trial_case *c, const struct trial *trial)
{
	if (has_failed(trial, TRIAL_CREDENTIAL))
		words_say_shown(words, trial->answer.concern ? trial->answer.concern : "");
	else if (!trial->answer.delivers_credential)
		words_say(words, "none is delivered (deliver_credential is 0)");
	else if (c->peer.uid != 0)
		words_say(words, "none is delivered to a service that does not ask as root");
	else
		words_say(words, trial->answer.is_shadow ? "none is delivered in shadow mode"
							 : "it is there, and the session gets it");
}

static void say_account(struct words *words, const struct trial *trial)
{
	const struct mapping *m = &trial->answer.mapping;

	words_say_shown(words, m->account);
	if (has_failed(trial, TRIAL_ACCOUNT)) {
		words_say(words, ": ");
		say_what(words, trial);
	} else {
		words_say(words, " exists");
	}
	if (m->has_uid)
		words_say(words, " (mapped with uid %" PRIu32 ")", m->uid);
}

char *narrate_text(const struct trial_case *c, const struct trial *trial, enum trial_gate gate,
	char ret[NARRATE_TEXT_BYTES])
{
	struct words words = { .text = ret, .capacity = NARRATE_TEXT_BYTES };

	ret[0] = '\0';
	if (trial->findings[gate] == TRIAL_NOT_REACHED)
		return ret;
	switch (gate) {
	case TRIAL_LINE:
		say_line(&words, trial);
		break;
	case TRIAL_SUPPLIED:
		say_supplied(&words, c, trial);
		break;
	case TRIAL_PEER:
		say_peer(&words, c, trial);
		break;
	case TRIAL_SERVICE:
		say_service(&words, c, trial);
		break;
	case TRIAL_EVIDENCE:
		say_evidence(&words, trial);
		break;
	case TRIAL_FOUND:
		say_found(&words, trial);
		break;
	case TRIAL_MAPPING:
		say_mapping(&words, &trial->answer);
		break;
	case TRIAL_CERTIFICATE:
		say_certificate(&words, &trial->answer.mapping);
		break;
	case TRIAL_TRUST:
		say_trust(&words, trial);
		break;
	case TRIAL_ASKED:
		say_asked(&words, c, trial);
		break;
	case TRIAL_CREDENTIAL:
		say_credential(&words, c, trial);
		break;
	case TRIAL_ACCOUNT:
		say_account(&words, trial);
		break;
	case TRIAL_GATES:
		break;
	}
	return ret;
}

const char *narrate_shadow(void)
{
	return "`certmapctl service set SERVICE shadow=no' ends shadow mode.";
}

const char *narrate_remedy(enum reason reason)
{
	switch (reason) {
	case REASON_ALLOWED:
		return "";
	case REASON_MISCONFIGURED:
		return "Mend the line of pam_certmap.so in the service's file, which `certmapctl "
		       "verify' names; pam_certmap(8) explains the options.";
	case REASON_NO_CERTIFICATE:
		return "Have the client present its certificate, and the TLS service ask for one "
		       "and hand it over where the line's source= says, beside what require_env= "
		       "names.";
	case REASON_EVIDENCE_NOT_ACCEPTED:
		return "Hand over the whole certificate if the service can; else accept the weak "
		       "kind: `certmapctl service set SERVICE accept_names=yes', or accept_name.";
	case REASON_MALFORMED_CERTIFICATE:
		return "Look at what the service hands over, and whether the line's accept= is "
		       "that kind: for a certificate, one in PEM or base64.";
	case REASON_UNMAPPED:
		return "If this certificate shall stand for the account, map it: `certmapctl add "
		       "ACCOUNT FILE', or `certmapctl renew ACCOUNT FILE' in the place of "
		       "another.";
	case REASON_SERVICE_DISABLED:
		return "`certmapctl service show SERVICE' tells whether its own row or that of "
		       "every "
		       "service says so; `certmapctl service set SERVICE enabled=yes' ends it.";
	case REASON_MAPPING_DISABLED:
		return "`certmapctl history ID' tells who disabled it; if that was not on purpose, "
		       "`certmapctl enable ID'.";
	case REASON_MAPPING_NOT_YET_VALID:
	case REASON_MAPPING_EXPIRED:
		return "Change valid_from or valid_until of the mapping with sqlite3, see "
		       "certmap-database(5), or wait.";
	case REASON_CERTIFICATE_NOT_YET_VALID:
		return "Look at the clock of this machine, or wait.";
	case REASON_CERTIFICATE_EXPIRED:
		return "The client needs a new certificate; `certmapctl renew ID FILE --now' maps "
		       "it "
		       "in the place of this one.";
	case REASON_UNTRUSTED_ISSUER:
		return "Add the authority's certificate, and those between, with `certmapctl trust "
		       "add FILE', or have the client present a certificate of a trusted one.";
	case REASON_WRONG_USAGE:
		return "The client needs a certificate for TLS clients (clientAuth).";
	case REASON_REVOKED:
		return "The client needs another certificate: this one was revoked. `certmapctl "
		       "disable ID' shuts it out everywhere.";
	case REASON_REVOCATION_UNKNOWN:
		return "Add a current revocation list of each authority: `certmapctl crl add "
		       "FILE'.";
	case REASON_AMBIGUOUS:
		return "Have the service hand over the whole certificate, or remove all but one of "
		       "the mappings.";
	case REASON_ACCOUNT_MISMATCH:
		return "Log in with the account that the certificate stands for. To give it to the "
		       "other one: `certmapctl remove ID', then `add'; where the account was "
		       "renamed, `certmapctl verify' has the statement.";
	case REASON_ACCOUNT_MISSING:
		return "Make the account, or remove the mapping; where the account was renamed, "
		       "`certmapctl verify' has the statement.";
	case REASON_ACCOUNT_CHANGED:
		return "If the name was given to another user, remove the mapping. If the same "
		       "user has another uid, `certmapctl verify' has the statement that binds the "
		       "mapping to it.";
	case REASON_ROOT_REFUSED:
		return "Map another account; allow_root in the line lets uid 0 in.";
	case REASON_CREDENTIAL_UNAVAILABLE:
		return "Store the credential (`certmapctl credential set'), or mend its key.";
	case REASON_FORBIDDEN:
		return "Put the user that the service runs as into the group certmap-clients, and "
		       "start the service anew.";
	case REASON_UNAVAILABLE:
		return "Mend what is named above; `certmapctl status' shows whether the daemon can "
		       "be reached, and --run-as whether a service that is not root may: it has to "
		       "be in the group certmap-clients.";
	case REASON_UNKNOWN:
		break;
	}
	return "";
}
