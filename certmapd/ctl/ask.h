/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ask.h owns how a verb asks what a lookup of certmapd would answer now: by the same code, on a
 * handle of its own, and with a person's patience.
 */
#pragma once

#include "ctl.h"
#include "lookup.h"

/* A lookup that changes nothing. ERROR_MEMORY; a database that can't be used is the answer of each
 * question. */
WARN_UNUSED enum error ask_open(const struct ctl *ctl, struct lookup **ret);

/* *ret is filled in any case. OK: with a reason that was found out. ERROR_DEADLINE: not within the
 * time of --wait; ERROR_STORE: the database can't be used; *ret is `unavailable` then, which is
 * what a login would get, and *ret_trouble says why. */
WARN_UNUSED enum error ask_outcome(const struct ctl *ctl, struct lookup *lookup,
	const struct request *request, struct lookup_outcome *ret,
	struct store_trouble *ret_trouble);

/* Asks by a digest of the kind that the request says: a certificate's or a key's. OK: *ret holds a
 * reason that was found out, never `unavailable`, and `no-certificate` of a service in shadow mode.
 * ERROR_DEADLINE: not within the time of --wait. ERROR_STORE, ERROR_MEMORY. *ret_trouble says why.
 */
WARN_UNUSED enum error ask_digest(const struct ctl *ctl, struct lookup *lookup,
	struct request request, struct span digested, struct lookup_outcome *ret,
	struct store_trouble *ret_trouble);

void ask_done(struct lookup **lookup);
#define ASK_DONE __attribute__((cleanup(ask_done)))
