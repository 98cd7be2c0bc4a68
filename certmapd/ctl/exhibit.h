/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exhibit.h owns the certificate that a question is about, however it was named: a file, or a
 * fingerprint that the database knows, or one that nobody knows.
 */
#pragma once

#include "armour.h"
#include "certificate.h"
#include "ctl.h"
#include "messages.h"
#include "view.h"

/* What a person may leave out of a fingerprint: as much as tables do. */
#define EXHIBIT_PREFIX_MIN_DIGITS VIEW_FINGERPRINT_DIGITS

struct exhibit {
	bool is_none; /* nobody named one */
	/* The file, or what a service would hand over of the certificate: terminated. */
	size_t text_length;
	char text[EVIDENCE_MAX_BYTES + 2];
	size_t der_length; /* 0: the armour could not be taken off, or only a fingerprint is known
			    */
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	char fingerprint[FINGERPRINT_HEX_BYTES + 1]; /* "": as above */
	bool has_facts;
	struct certificate_facts facts;
	struct certificate_names names;
	char origin[128]; /* where it was found, in words */
	/* The mapping that held it once, from the history. */
	int64_t former_mapping; /* 0: none */
	int64_t former_at_sec;
	bool former_was_deleted;
	char former_account[MAPPING_ACCOUNT_MAX_BYTES + 1];
	char former_who[MAPPING_ACCOUNT_MAX_BYTES + 1]; /* "": a shell */
};

/* Finds what `name` stands for, NULL: nothing. `store` is where fingerprints are looked up, NULL:
 * it can't be read. CTL_REFUSED: no such file and no fingerprint, and that has been said. */
WARN_UNUSED enum ctl_status exhibit_find(
	const struct ctl *ctl, struct store *store, const char *name, struct exhibit *ret);
/* Finds the certificate of a fingerprint that stands somewhere as text, and never opens a file.
 * CTL_REFUSED: it is no fingerprint, or of several, and that has been said. */
WARN_UNUSED enum ctl_status exhibit_find_known(
	const struct ctl *ctl, struct store *store, const char *fingerprint, struct exhibit *ret);
void exhibit_done(struct exhibit *exhibit);
