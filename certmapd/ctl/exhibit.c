/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exhibit.c owns the ways to a certificate. */
#include "exhibit.h"

#include "certfile.h"
#include "hex.h"
#include "print.h"
#include "store_kin.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DER_SEQUENCE 0x30

/* As a service has it, who never hands over DER: base64, in one line. */
static void armour(struct exhibit *exhibit)
{
	/* Four characters for three bytes. */
	const size_t fitting = EVIDENCE_MAX_BYTES / 4 * 3;

	/* One that is longer can't be presented at all: it fills the text, and is seen as such. */
	if (exhibit->der_length > fitting) {
		memset(exhibit->text, 'M', sizeof exhibit->text - 1);
		exhibit->text[sizeof exhibit->text - 1] = '\0';
		exhibit->text_length = sizeof exhibit->text - 1;
		return;
	}
	exhibit->text_length = (size_t)EVP_EncodeBlock(
		(unsigned char *)exhibit->text, exhibit->der, (int)exhibit->der_length);
}

static enum error read_facts(struct exhibit *exhibit)
{
	const struct span der = span_of(exhibit->der, exhibit->der_length);
	const char *problem = NULL;
	enum error error = certificate_read_names(der, &exhibit->facts, &exhibit->names, &problem);

	if (error != OK)
		return error;
	hex_print(span_of(exhibit->facts.fingerprint, FINGERPRINT_BYTES), exhibit->fingerprint);
	exhibit->has_facts = !problem;
	return OK;
}

static enum error open_text(struct exhibit *exhibit, struct span bytes)
{
	if (armour_open_stored(bytes, exhibit->der, sizeof exhibit->der, &exhibit->der_length) !=
		ARMOUR_OPENED) {
		exhibit->der_length = 0;
		return OK;
	}
	return read_facts(exhibit);
}

static enum ctl_status read_file(const struct ctl *ctl, const char *name, struct exhibit *exhibit)
{
	const struct store_trouble none = { "" };
	char shown[96];
	enum error error;

	if (certfile_load(name, (uint8_t *)exhibit->text, sizeof exhibit->text - 1,
		    &exhibit->text_length) != CTL_DONE)
		return CTL_REFUSED;
	snprintf(exhibit->origin, sizeof exhibit->origin, "the file %s",
		print_shown(span_of_string(name), shown, sizeof shown));
	error = open_text(exhibit, span_of(exhibit->text, exhibit->text_length));
	if (error == OK && exhibit->der_length > 0 && exhibit->text[0] == DER_SEQUENCE)
		armour(exhibit);
	return error == OK ? CTL_DONE : ctl_fail(ctl, error, &none);
}

/* The digits of a fingerprint without colons, in lower case. False: it is none. */
static bool read_digits(const char *name, char ret[FINGERPRINT_HEX_BYTES + 1])
{
	static const char upper[] = "ABCDEF", lower[] = "abcdef";
	size_t count = 0;

	for (; *name; name++) {
		const char *letter = strchr(upper, *name);

		if (*name == ':')
			continue;
		if (count == FINGERPRINT_HEX_BYTES ||
			(!letter && !strchr("0123456789abcdef", *name)))
			return false;
		ret[count++] = letter ? lower[letter - upper] : *name;
	}
	ret[count] = '\0';
	return count >= EXHIBIT_PREFIX_MIN_DIGITS;
}

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

struct search {
	struct exhibit *exhibit;
	const char *digits;
	bool wants_certificate; /* it is not known from a mapping */
};

static void note_former(struct exhibit *exhibit, const struct store_former *former)
{
	exhibit->former_mapping = former->mapping_id;
	exhibit->former_at_sec = former->at_sec;
	exhibit->former_was_deleted = former->was_deleted;
	snprintf(exhibit->former_account, sizeof exhibit->former_account, "%s", former->account);
	snprintf(exhibit->former_who, sizeof exhibit->former_who, "%s",
		former->who ? former->who : "");
}

static enum error take_former(const struct store_former *former, void *context, bool *ret_more)
{
	static uint8_t der[ARMOUR_DER_MAX_BYTES];
	struct search *search = context;
	struct exhibit *exhibit = search->exhibit;
	uint8_t digest[FINGERPRINT_BYTES];
	char hex[FINGERPRINT_HEX_BYTES + 1];
	size_t length;
	enum error error;

	if (armour_open_stored(former->certificate, der, sizeof der, &length) != ARMOUR_OPENED)
		return OK;
	if ((error = certificate_fingerprint(span_of(der, length), digest)) != OK)
		return error;
	hex_print(span_of(digest, sizeof digest), hex);
	if (!begins_with(hex, search->digits))
		return OK;
	note_former(exhibit, former);
	*ret_more = false;
	if (!search->wants_certificate)
		return OK;
	memcpy(exhibit->der, der, length);
	exhibit->der_length = length;
	snprintf(exhibit->origin, sizeof exhibit->origin, "the history, entry %" PRId64,
		former->history_id);
	return read_facts(exhibit);
}

static enum error find_former(struct store *store, const char *digits, struct exhibit *exhibit,
	bool wants_certificate, struct store_trouble *ret_trouble)
{
	struct search search = { exhibit, digits, wants_certificate };

	return store_list_former(store, take_former, &search, ret_trouble);
}

static enum error find_mapped(struct store *store, const char *digits, struct exhibit *exhibit,
	int64_t *ret_count, struct store_trouble *ret_trouble)
{
	enum error error = store_find_der(store, digits, exhibit->der, sizeof exhibit->der,
		&exhibit->der_length, ret_count, ret_trouble);

	if (error != OK || *ret_count != 1) {
		exhibit->der_length = 0;
		return error;
	}
	snprintf(exhibit->origin, sizeof exhibit->origin, "the database");
	return read_facts(exhibit);
}

static enum ctl_status find_fingerprint(
	const struct ctl *ctl, struct store *store, const char *digits, struct exhibit *exhibit)
{
	struct store_trouble trouble = { "" };
	int64_t count = 0;
	enum error error = OK;

	if (store)
		error = find_mapped(store, digits, exhibit, &count, &trouble);
	if (error == OK && store && count == 0)
		error = find_former(store, digits, exhibit, true, &trouble);
	if (error != OK)
		return ctl_fail(ctl, error, &trouble);
	if (exhibit->der_length > 0) {
		armour(exhibit);
		return CTL_DONE;
	}
	if (count > 1 || strlen(digits) < FINGERPRINT_HEX_BYTES) {
		ctl_warn("%s %s: give all 64 digits of the SHA-256", digits,
			count > 1 ? "begins the fingerprints of several certificates"
				  : "is no file, and begins the fingerprint of no certificate that "
				    "the database knows");
		return CTL_REFUSED;
	}
	snprintf(exhibit->fingerprint, sizeof exhibit->fingerprint, "%s", digits);
	snprintf(exhibit->origin, sizeof exhibit->origin, "its fingerprint alone");
	return CTL_DONE;
}

enum ctl_status exhibit_find_known(
	const struct ctl *ctl, struct store *store, const char *fingerprint, struct exhibit *ret)
{
	char digits[FINGERPRINT_HEX_BYTES + 1], shown[2 * FINGERPRINT_HEX_BYTES];

	memset(ret, 0, sizeof *ret);
	if (read_digits(fingerprint, digits))
		return find_fingerprint(ctl, store, digits, ret);
	ctl_warn("'%s' is no fingerprint: the line in the journal is not the module's own",
		print_shown(span_of_string(fingerprint), shown, sizeof shown));
	return CTL_REFUSED;
}

enum ctl_status exhibit_find(
	const struct ctl *ctl, struct store *store, const char *name, struct exhibit *ret)
{
	char digits[FINGERPRINT_HEX_BYTES + 1];
	struct store_trouble trouble = { "" };
	enum ctl_status status;

	memset(ret, 0, sizeof *ret);
	ret->is_none = name == NULL;
	if (!name)
		return CTL_DONE;
	if (access(name, F_OK) != 0 && read_digits(name, digits))
		return find_fingerprint(ctl, store, digits, ret);
	status = read_file(ctl, name, ret);
	/* Decoration: without the history the rest is as true. */
	if (status == CTL_DONE && store && ret->fingerprint[0])
		(void)!find_former(store, ret->fingerprint, ret, false, &trouble);
	return status;
}

void exhibit_done(struct exhibit *exhibit)
{
	certificate_names_done(&exhibit->names);
}
