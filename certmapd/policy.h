/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy.h owns the decision: which gate a lookup fails first, or that it fails none.
 *
 * Pure functions over plain structs: no clock, descriptor, SQL or X.509, so that one table of rows
 * can test every gate and every pair of them. certmapctl asks them through the same lookup.
 */
#pragma once

#include "mapping.h"
#include "reason.h"
#include "span.h"

#include <stddef.h>

enum policy_evidence {
	POLICY_EVIDENCE_NOT_ACCEPTED = 0, /* of a kind that the service may not use */
	POLICY_EVIDENCE_MALFORMED,        /* not whole */
	POLICY_EVIDENCE_WHOLE,
};

/* Whether mappings can share the evidence, and what then. */
enum policy_sharing {
	POLICY_NOT_SHARED = 0,        /* a certificate: one mapping per scope */
	POLICY_SHARED_BY_ONE_ACCOUNT, /* a key: its certificates must stand for one account */
	POLICY_SHARED_BY_NONE,        /* a name: nor may one account have two of them enabled */
};

/* The gates that are decided here, in their order. */
enum policy_gate {
	POLICY_GATE_SERVICE = 0, /* the service row is enabled */
	POLICY_GATE_EVIDENCE,    /* the evidence is of an accepted kind and whole */
	POLICY_GATE_FOUND,       /* a mapping is found, and it is one */
	POLICY_GATE_MAPPING,     /* it may be used now */
	POLICY_GATE_CERTIFICATE, /* so may its certificate */
	POLICY_GATE_TRUST,       /* that is trusted as the service wants it */
	POLICY_GATE_ACCOUNT,     /* it stands for the account that was asked for */
	POLICY_GATES,
};

/* Everything that a decision depends on. Borrowed; zero-initialised it denies. */
struct policy_case {
	bool service_enabled;
	bool service_inherits; /* sees the mappings of '*' */
	enum policy_evidence evidence;
	enum policy_sharing sharing;
	const struct mapping *mappings; /* that fit the evidence */
	size_t mapping_count;
	bool has_more;     /* there are more, so many that they were not read */
	bool may_stage;    /* this lookup may put a staged mapping into force */
	bool match;        /* the mapped account must equal `asked` */
	struct span asked; /* the account that the service asked for, where there is one */
	int64_t now_sec;   /* Unix seconds, UTC */
};

struct policy_verdict {
	enum reason reason;            /* zero-initialised: REASON_UNKNOWN, never a yes */
	enum policy_gate gate;         /* that gave the reason: all before it were passed, and
					* POLICY_GATES where all were */
	const struct mapping *mapping; /* the one that decided, NULL where none was found */
	/* Allowed, and the mapping is staged: it must be enabled, and the one that it replaces
	 * disabled, before anybody hears of it. */
	bool stages;
	/* Nothing is decided (the reason is none): find out mapping->trust, and decide again. */
	bool needs_trust;
};

/* The first gate that fails names the reason. */
struct policy_verdict policy_decide(const struct policy_case *c);
