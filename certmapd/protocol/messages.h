/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * messages.h owns the messages of the lookup protocol as structs, their limits and their way
 * to bytes and back. PROTOCOL.md beside this file is the description to the byte.
 *
 * Both directions check the same rules: what message_read_* would refuse, message_write_* does not
 * write. Nothing here allocates, logs or touches a descriptor.
 */
#pragma once

#include "errors.h"
#include "reason.h"
#include "span.h"

/* A frame is a header of fixed size and a payload of fields. */
#define MESSAGE_HEADER_BYTES 12u

/* Limits of single fields, in bytes. */
#define SERVICE_MAX_BYTES 64u            /* a file name in /etc/pam.d */
#define ACCOUNT_MAX_BYTES 256u           /* LOGIN_NAME_MAX of Linux, limits.h */
#define EVIDENCE_MAX_BYTES 65536u        /* before any parsing; a PEM of 48 KiB of DER */
#define EVIDENCE_SECOND_MAX_BYTES 16384u /* the issuer's name beside a subject's */
#define REMOTE_HOST_MAX_BYTES 256u       /* a DNS name is 255 octets at most, RFC 1035 2.3.4 */
#define TTY_MAX_BYTES 64u
#define CORRELATION_ID_MAX_BYTES 64u /* the module sends 32 hexadecimal digits */
#define REASON_MAX_BYTES 64u
#define FINGERPRINT_HEX_BYTES 64u /* SHA-256 in lower-case hexadecimal, always whole */
#define SUBJECT_MAX_BYTES 1024u   /* escaped, cut by the daemon where longer */
#define CREDENTIAL_MAX_BYTES 1024u

#define STATUS_VERSION_MAX_BYTES 64u
/* Every reason word with a number of 20 digits, more than twice over. */
#define STATUS_COUNTS_MAX_BYTES 4096u

/* Whole frames; both leave room for fields that a later minor change adds. */
#define REQUEST_MAX_BYTES 98304u
#define REPLY_MAX_BYTES 8192u

/* The type of a frame. A lookup's request is answered by a reply; a status request by a status, or
 * by a reply with the reason `forbidden' or `unavailable'. */
enum message_type {
	MESSAGE_REQUEST = 1,
	MESSAGE_REPLY = 2,
	MESSAGE_STATUS_REQUEST = 3,
	MESSAGE_STATUS = 4,
};

/* The PAM function that asks. */
enum phase {
	PHASE_AUTHENTICATE = 1, /* may stage a renewal */
	PHASE_ACCOUNT = 2,      /* "does it still stand?": changes nothing */
};

enum match_mode {
	MODE_MATCH = 1, /* the mapped account must be the one that was asked for */
	MODE_SET = 2,   /* the service adopts the mapped account */
};

enum evidence_kind {
	EVIDENCE_CERTIFICATE = 1, /* first: the certificate as the service supplied it, in armour */
	EVIDENCE_FINGERPRINT = 2, /* first: SHA-256 of the DER, 64 hexadecimal digits */
	EVIDENCE_KEY = 3,         /* first: an SSH public key line or a SubjectPublicKeyInfo hash */
	EVIDENCE_NAMES = 4,       /* first: subject, second: issuer */
	EVIDENCE_NAME = 5,        /* first: one attribute of the subject */
};

/* Spans are borrowed. Those marked optional may be "not there". */
struct request {
	enum phase phase;
	enum match_mode mode;
	enum evidence_kind kind;
	struct span service;
	struct span user; /* optional: the account that the service asked for (PAM_USER) */
	struct span evidence;
	struct span evidence_second; /* EVIDENCE_NAMES alone has it, and then must */
	struct span remote_host;     /* optional */
	struct span tty;             /* optional */
	struct span correlation_id;
	bool credential_wanted;
};

struct reply {
	enum reason reason;      /* REASON_UNKNOWN where the word is none that this code knows */
	struct span reason_word; /* as it came, for the log; ignored on writing */
	struct span account;     /* there where a mapping was found; always with REASON_ALLOWED */
	bool has_uid;            /* the mapping is bound to a uid */
	uint32_t uid;
	bool has_mapping_id;
	uint64_t mapping_id;
	struct span fingerprint; /* optional: 64 lower-case hexadecimal digits */
	struct span subject;     /* optional: escaped, printable ASCII */
	struct span credential;  /* optional: only ever sent to uid 0; wipe the buffer after use */
	struct span correlation_id; /* byte-equal to the request's */
	struct span shadow; /* optional, beside REASON_NO_CERTIFICATE alone: the reason word that
			     * the answer would have had, for the log */
};

/* What the daemon says of itself to root. */
struct status {
	struct span version;
	uint32_t pid;
	uint64_t started_sec; /* Unix seconds */
	bool is_usable;       /* the database, as of the last lookup */
	struct span counts;   /* "allowed=12 unmapped=3": lookups answered since the start */
	bool has_shadowed;
	uint64_t shadowed;          /* of those: answered in shadow mode, as no-certificate */
	struct span correlation_id; /* byte-equal to the request's */
};

/* What a header says, once it was checked. */
struct message_header {
	uint8_t version;
	uint8_t type;
	uint32_t payload_bytes;
};

/* Writes a whole frame to `buffer`. `ret_length` is its length in bytes. With a NULL `buffer`
 * nothing is written and the length alone is found, within `capacity` as before.
 * ERROR_TOO_LARGE: a field over its limit, or `capacity` too small. ERROR_MALFORMED: a field that
 * must be there is not, or breaks its rule. On failure *ret_length is untouched. */
WARN_UNUSED enum error message_write_request(
	const struct request *request, uint8_t *buffer, size_t capacity, size_t *ret_length);
WARN_UNUSED enum error message_write_reply(
	const struct reply *reply, uint8_t *buffer, size_t capacity, size_t *ret_length);

/* A status request holds nothing but its correlation id. */
WARN_UNUSED enum error message_write_status_request(
	struct span correlation_id, uint8_t *buffer, size_t capacity, size_t *ret_length);
WARN_UNUSED enum error message_write_status(
	const struct status *status, uint8_t *buffer, size_t capacity, size_t *ret_length);

/* Reads the first MESSAGE_HEADER_BYTES of a frame that a daemon (a request, a status request) or a
 * client (a reply, a status) gets; `type' of the header tells which.
 * ERROR_MALFORMED: not our magic or another type. ERROR_VERSION: a major version this code does
 * not speak. ERROR_TOO_LARGE: the frame would exceed REQUEST_MAX_BYTES or REPLY_MAX_BYTES. So a
 * reader knows how many bytes to wait for, and that they are bounded, before it waits. */
WARN_UNUSED enum error message_read_request_header(
	const uint8_t header[MESSAGE_HEADER_BYTES], struct message_header *ret);
WARN_UNUSED enum error message_read_reply_header(
	const uint8_t header[MESSAGE_HEADER_BYTES], struct message_header *ret);

/* Reads a whole frame of exactly `length` bytes; a byte more or less is ERROR_MALFORMED.
 * ERROR_VERSION: an unknown critical field, or a version as above. ERROR_TOO_LARGE: a field over
 * its limit. On failure *ret is untouched; on success its spans point into `frame`. */
WARN_UNUSED enum error message_read_request(
	const uint8_t *frame, size_t length, struct request *ret);
WARN_UNUSED enum error message_read_reply(const uint8_t *frame, size_t length, struct reply *ret);
WARN_UNUSED enum error message_read_status_request(
	const uint8_t *frame, size_t length, struct span *ret_correlation_id);
WARN_UNUSED enum error message_read_status(const uint8_t *frame, size_t length, struct status *ret);
