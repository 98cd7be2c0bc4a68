/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * armour.h owns the way from the text that people and services have to the bytes of one
 * certificate: it takes the armour off and looks at the outermost length, nothing more.
 *
 * Exactly one certificate in exactly one encoding, or it is malformed: never "the first one".
 * Nothing is ever re-encoded; what comes out are the bytes that went in. No ASN.1 beyond the
 * outermost tag and length is looked at, because presented bytes come from strangers.
 */
#pragma once

#include "errors.h"
#include "span.h"

#define ARMOUR_DER_MAX_BYTES 65536u

/* What was found. Everything but ARMOUR_OPENED is "malformed" to a lookup; certmapctl, the facts
 * of a row (its `problem`) and explain say which. */
enum armour_finding {
	ARMOUR_OPENED = 0,
	ARMOUR_EMPTY,             /* nothing, or only white space */
	ARMOUR_TOO_LARGE,         /* over EVIDENCE_MAX_BYTES of text or ARMOUR_DER_MAX_BYTES */
	ARMOUR_NUL,               /* a NUL byte inside of text */
	ARMOUR_BYTE_ORDER_MARK,   /* UTF-8 or UTF-16 */
	ARMOUR_NOT_A_CERTIFICATE, /* none of the forms we know */
	ARMOUR_OTHER_PEM,         /* PEM of something else: TRUSTED CERTIFICATE, PKCS7, a request */
	ARMOUR_PRIVATE_KEY,       /* PEM that holds a private key, alone or beside a certificate */
	ARMOUR_TWO_CERTIFICATES,  /* more than one */
	ARMOUR_BROKEN_PEM,        /* no END line, text or headers inside, ... */
	ARMOUR_BROKEN_BASE64,     /* a wrong character, length, padding or stray bits */
	ARMOUR_BROKEN_URL_ENCODING, /* a broken or double percent encoding */
	ARMOUR_NOT_DER,             /* the outermost tag or length is not that of DER */
	ARMOUR_TRUNCATED,           /* the outermost length exceeds what is there */
	ARMOUR_TRAILING_BYTES,      /* bytes follow after the outermost length */
};

/* A sentence for people without a full stop, such as "two certificates in one text". Never NULL. */
const char *armour_finding_text(enum armour_finding finding);

/* What a service presents: text only. PEM with LF, CRLF, lines folded by tabs or spaces, or line
 * feeds turned into spaces, of any line length, with printable text around it; PEM percent-encoded
 * once (RFC 3986 2.1; a "+" stands for itself); base64 without header lines, in one line or
 * several; base64 between colons (RFC 9440 2.1), whose padding may be missing (RFC 8941 4.2.7).
 * White space is space, tab, CR and LF, and may surround every form.
 *
 * Writes the DER to `der` of `capacity` bytes; ARMOUR_DER_MAX_BYTES always suffice, and
 * text.length bytes do as well. *ret_length is set only with ARMOUR_OPENED. May use `der` as its
 * scratch space, so its content after a refusal means nothing. Never allocates. */
WARN_UNUSED enum armour_finding armour_open_text(
	struct span text, uint8_t *der, size_t capacity, size_t *ret_length);

/* What an administrator stored: as above, or DER itself. */
WARN_UNUSED enum armour_finding armour_open_stored(
	struct span stored, uint8_t *der, size_t capacity, size_t *ret_length);

/* The outermost tag and length of a certificate in DER (X.690 8.1.3, 10.1): a SEQUENCE whose
 * length is definite, of the fewest octets, and ends exactly with the bytes. */
WARN_UNUSED enum armour_finding armour_check_outer(struct span der);
