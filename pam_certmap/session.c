/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session.c owns the names of the variables and of the PAM data, and the strict reading of what
 * comes back from them.
 */
#include "session.h"

#include <inttypes.h>
#include <security/pam_appl.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "hex.h"

#define DATA_NAME "certmap"

static const char variable_account[] = "CERTMAP_ACCOUNT";
static const char variable_fingerprint[] = "CERTMAP_FINGERPRINT";
static const char variable_subject[] = "CERTMAP_SUBJECT";
static const char variable_mapping[] = "CERTMAP_MAPPING";

static void free_text(char **text)
{
	free(*text);
}

static enum error error_of(int code)
{
	if (code == PAM_SUCCESS)
		return OK;
	return code == PAM_BUF_ERR ? ERROR_MEMORY : ERROR_SYSTEM;
}

static enum error publish(pam_handle_t *pamh, const char *name, struct span value)
{
	__attribute__((cleanup(free_text))) char *assignment = NULL;

	if (!span_is_present(value))
		return OK;
	if (asprintf(&assignment, "%s=%.*s", name, (int)value.length, (const char *)value.bytes) <
		0) {
		assignment = NULL;
		return ERROR_MEMORY;
	}
	return error_of(pam_putenv(pamh, assignment));
}

/* libpam logs an error where a variable to be removed is not there. */
static void unpublish(pam_handle_t *pamh, const char *name)
{
	if (pam_getenv(pamh, name))
		(void)pam_putenv(pamh, name);
}

static void copy_text(struct span text, char *buffer)
{
	memcpy(buffer, text.bytes, text.length);
	buffer[text.length] = '\0';
}

/* What tells one certificate from another: as much of its fingerprint as a pointer holds. */
static void *mark_of(const char *fingerprint)
{
	uintptr_t mark = 0;

	for (size_t i = 0; i < 2 * sizeof(mark); i++)
		mark = mark << 4 | (uintptr_t)hex_digit((uint8_t)fingerprint[i]);
	return (void *)mark;
}

/* The pointer itself is all that is kept: libpam unloads the modules where an application changes
 * PAM_SERVICE, and pam_end(3) would call a function of ours that is no longer there. */
static enum error keep_mark(pam_handle_t *pamh, const struct session *session)
{
	return error_of(pam_set_data(pamh, DATA_NAME, mark_of(session->fingerprint), NULL));
}

enum error session_keep(pam_handle_t *pamh, const struct reply *reply)
{
	struct session session = { 0 };
	enum error err;

	copy_text(reply->account, session.account);
	copy_text(reply->fingerprint, session.fingerprint);
	snprintf(session.mapping, sizeof(session.mapping), "%" PRIu64, reply->mapping_id);

	if ((err = publish(pamh, variable_account, reply->account)) != OK ||
		(err = publish(pamh, variable_fingerprint, reply->fingerprint)) != OK ||
		(err = publish(pamh, variable_subject, reply->subject)) != OK ||
		(err = publish(pamh, variable_mapping, span_of_string(session.mapping))) != OK ||
		(err = keep_mark(pamh, &session)) != OK)
		session_forget(pamh);
	return err;
}

static const void *find_mark(pam_handle_t *pamh)
{
	const void *data = NULL;

	if (pam_get_data(pamh, DATA_NAME, &data) != PAM_SUCCESS)
		return NULL;
	return data;
}

void session_forget(pam_handle_t *pamh)
{
	unpublish(pamh, variable_account);
	unpublish(pamh, variable_fingerprint);
	unpublish(pamh, variable_subject);
	unpublish(pamh, variable_mapping);
	if (find_mark(pamh))
		(void)pam_set_data(pamh, DATA_NAME, NULL, NULL);
}

static bool is_made_of(struct span text, const char *alphabet)
{
	for (size_t i = 0; i < text.length; i++) {
		if (!text.bytes[i] || !strchr(alphabet, text.bytes[i]))
			return false;
	}
	return true;
}

static bool is_fingerprint(struct span text)
{
	return text.length == FINGERPRINT_HEX_BYTES && is_made_of(text, "0123456789abcdef");
}

static bool is_mapping(struct span text)
{
	return text.length >= 1 && text.length <= SESSION_MAPPING_MAX_BYTES &&
	       is_made_of(text, "0123456789");
}

enum session_state session_find_published(pam_handle_t *pamh, struct session *ret)
{
	const struct span account = span_of_string(pam_getenv(pamh, variable_account));
	const struct span fingerprint = span_of_string(pam_getenv(pamh, variable_fingerprint));
	const struct span mapping = span_of_string(pam_getenv(pamh, variable_mapping));
	struct session session = { 0 };

	if (!span_is_present(account) && !span_is_present(fingerprint))
		return SESSION_NONE;
	if (!account_name_is_sound(account) || !is_fingerprint(fingerprint) ||
		(span_is_present(mapping) && !is_mapping(mapping)))
		return SESSION_MALFORMED;
	copy_text(account, session.account);
	copy_text(fingerprint, session.fingerprint);
	if (span_is_present(mapping))
		copy_text(mapping, session.mapping);
	*ret = session;
	return SESSION_FOUND;
}

enum session_state session_find(pam_handle_t *pamh, struct session *ret)
{
	const void *mark = find_mark(pamh);
	struct session session;
	const enum session_state state = session_find_published(pamh, &session);

	if (mark && (state != SESSION_FOUND || mark_of(session.fingerprint) != mark))
		return SESSION_MALFORMED;
	if (state == SESSION_FOUND)
		*ret = session;
	return state;
}
