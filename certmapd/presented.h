/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * presented.h owns the way from what a service presented to the question that the store is asked:
 * armour off, hashed, never parsed.
 */
#pragma once

#include "armour.h"
#include "errors.h"
#include "messages.h"
#include "policy.h"
#include "store.h"

/* The evidence of a request, opened. */
struct presented {
	enum policy_evidence finding;
	struct store_question question; /* STORE_BY_NOTHING unless the evidence is whole */
};

/* Opens the evidence of a request. *ret borrows from the request and from `der`, the room for an
 * opened certificate. What is wrong with the evidence is an answer; ERROR_MEMORY and ERROR_SYSTEM:
 * we could not find out. */
WARN_UNUSED enum error presented_open(
	const struct request *request, uint8_t der[ARMOUR_DER_MAX_BYTES], struct presented *ret);
