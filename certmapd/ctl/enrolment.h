/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * enrolment.h owns what a person brings where one certificate is wanted: the containers and
 * encodings of other programs are taken off, what is something else is called by its name, and a
 * certificate that is hardly the right one is doubted.
 *
 * It uses OpenSSL's parsers of whole structures, for a file that an administrator named. A lookup
 * never does: that is why it is certmapctl's, and no part of the daemon.
 */
#pragma once

#include "errors.h"
#include "span.h"

#define ENROLMENT_PROBLEM_BYTES 512u

/* Takes what armour_open_stored() takes; the same as UTF-16 or with a byte order mark, as Windows'
 * shells write text; and PKCS#7 in DER or PEM with exactly one certificate that is no CA's. Writes
 * that certificate's bytes to `der` of ARMOUR_DER_MAX_BYTES. *ret_is_whole: `bytes` are nothing but
 * this certificate in a form that can be stored as it is.
 * OK with an empty `ret_problem`: it is there. OK with words: it is not, and they say what was
 * found. They are not escaped. ERROR_MEMORY, ERROR_SYSTEM. */
WARN_UNUSED enum error enrolment_open(struct span bytes, uint8_t *der, size_t *ret_length,
	bool *ret_is_whole, char ret_problem[static ENROLMENT_PROBLEM_BYTES]);

/* What speaks against a certificate of a client; all false: nothing, or its key is unreadable, and
 * nothing can be said. */
struct enrolment_doubts {
	bool is_authority;     /* basicConstraints: a CA's */
	bool is_not_of_client; /* there is an extendedKeyUsage, without clientAuth */
	int weak_key_bits;     /* below 112 bits of security: the size of the key; else 0 */
	bool has_weak_signature;
};

WARN_UNUSED enum error enrolment_doubt(struct span der, struct enrolment_doubts *ret);
