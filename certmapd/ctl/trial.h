/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trial.h owns what a login would get: every gate of the module and of the daemon in their order,
 * each asked by the code that decides a login. Nothing is decided here, and nothing is changed.
 */
#pragma once

#include "exhibit.h"
#include "lookup.h"
#include "options.h"
#include "outcome.h"
#include "peer.h"

enum trial_gate {
	TRIAL_LINE = 0,    /* the stack line is right */
	TRIAL_SUPPLIED,    /* there is evidence, and it is not too long */
	TRIAL_PEER,        /* the service may ask the daemon, which can answer */
	TRIAL_SERVICE,     /* of the policy: the service is enabled */
	TRIAL_EVIDENCE,    /* the evidence is of an accepted kind and whole */
	TRIAL_FOUND,       /* a mapping is found, and it is one */
	TRIAL_MAPPING,     /* it may be used now */
	TRIAL_CERTIFICATE, /* so may its certificate */
	TRIAL_TRUST,       /* that is trusted as the service wants it */
	TRIAL_ASKED,       /* it stands for the account that was asked for */
	TRIAL_CREDENTIAL,  /* the session can have its credential */
	TRIAL_ACCOUNT,     /* the account exists, as the one that was mapped */
	TRIAL_GATES,
};

enum trial_finding {
	TRIAL_NOT_REACHED = 0,
	TRIAL_OK,
	TRIAL_FAILED,
};

/* What is asked. Borrowed. */
struct trial_case {
	int argc; /* the words of the stack line */
	const char *const *argv;
	struct exhibit *exhibit;
	const char *service;
	const char *user;     /* NULL: the service asks for none */
	struct peer peer;     /* as whom the service asks */
	bool may_not_connect; /* to the socket, whose mode keeps the service out */
};

struct trial {
	struct options options;
	struct options_problem problem; /* with TRIAL_LINE failed */
	enum evidence_kind kind;        /* that was asked about */
	struct span evidence, evidence_second;
	enum trial_finding findings[TRIAL_GATES];
	/* As the module's: what ended it, and what its log would say. */
	struct outcome outcome;
	enum reason shadow; /* what the reason would be without shadow mode; else unknown */
	bool has_answer;    /* of the database */
	struct lookup_outcome answer;
	struct store_trouble trouble; /* why there is none */
	int code;                     /* of PAM, from authenticate */
	char digest[FINGERPRINT_HEX_BYTES + 1];
};

/* Runs it. The credential of the answer is wiped before it returns. */
void trial_run(const struct ctl *ctl, struct lookup *lookup, const struct trial_case *c,
	struct trial *ret);
