/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * evidence.c owns the places: the process environment, the PAM environment, the password item, the
 * user name.
 */
#include "evidence.h"

#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"

static const char lacks_variable[] = "the variable is not set";
static const char ignored_variable[] =
	"the variable is ignored: this program runs with privileges that its caller lacks "
	"(AT_SECURE), so the caller may have written it";
static const char doubled_variable[] =
	"the variable is in the environment twice: one of them came from elsewhere than the "
	"service's own handshake, such as the environment that it was started with";
static const char left_out_variable[] =
	"the variable is not set although TLS_CLIENT_S_DN is: ProFTPD leaves out a certificate "
	"whose PEM is over 2048 bytes";
static const char lacks_key[] = "sshd tells of no public key; it does where a key comes first: "
				"AuthenticationMethods publickey,keyboard-interactive:pam";

static const char authtok_item[] = "PAM_AUTHTOK";
static const char user_item[] = "PAM_USER";

static bool refuse(enum reason reason, const char *what, const char *name, struct outcome *ret)
{
	outcome_refuse(reason, what, ret);
	ret->name = span_of_string(name);
	return false;
}

/* A program may append to the environment that it was given, as stunnel does: getenv(3) then finds
 * what was there before, which is not what its handshake found out. (Where another program stands
 * between, as login does, there may be one left, and it is for the unit to unset it.) */
static bool is_doubled(const char *name)
{
	const size_t length = strlen(name);
	unsigned int count = 0;

	for (char *const *variable = environ; variable && *variable; variable++)
		count += strncmp(*variable, name, length) == 0 && (*variable)[length] == '=';
	return count > 1;
}

/* The environment of a setuid or setcap program belongs to whoever started it: su, started by an
 * ordinary user, passed a forged certificate on. */
static const char *find_variable(const char *name, const char **ret_what)
{
	const char *value = secure_getenv(name);

	if (value && is_doubled(name)) {
		*ret_what = doubled_variable;
		return NULL;
	}
	if (value)
		return value;
	*ret_what = getenv(name) ? ignored_variable : lacks_variable;
	return NULL;
}

/* One thing that is there twice is not "no certificate", which would let an *accept* stack go on.
 */
static enum reason reason_of(const char *what)
{
	return what == doubled_variable ? REASON_MALFORMED_CERTIFICATE : REASON_NO_CERTIFICATE;
}

static const char *find_in(
	pam_handle_t *pamh, enum source source, const char *name, const char **ret_what)
{
	const char *value;

	if (source != SOURCE_PAM_ENVIRONMENT && source != SOURCE_SSH)
		return find_variable(name, ret_what);
	value = pam_getenv(pamh, name);
	if (!value)
		*ret_what = lacks_variable;
	return value;
}

/* ProFTPD leaves a variable of over 2,048 bytes out (PR_TUNABLE_ENV_MAX) and says nothing. */
static bool is_left_out_by_proftpd(const struct options *options)
{
	return options->source == SOURCE_ENVIRONMENT &&
	       strcmp(options->source_name, "TLS_CLIENT_CERT") == 0 &&
	       secure_getenv("TLS_CLIENT_S_DN");
}

static bool check_required(
	pam_handle_t *pamh, const struct options *options, struct outcome *ret_outcome)
{
	const char *what = "the variable has another value than require_env asks for";
	const char *value;

	if (!options->require_name[0])
		return true;
	value = find_in(pamh, options->source, options->require_name, &what);
	if (value && strcmp(value, options->require_value) == 0)
		return true;
	return refuse(reason_of(what), what, options->require_name, ret_outcome);
}

static bool obtain_variable(pam_handle_t *pamh, const struct options *options, const char *name,
	const char **ret, struct outcome *ret_outcome)
{
	const char *what = NULL;
	const char *value = find_in(pamh, options->source, name, &what);

	if (!value && what == lacks_variable && is_left_out_by_proftpd(options))
		what = left_out_variable;
	/* Before keyboard-interactive sshd sets it in any case, to nothing where no method came
	 * first; before a password it does not. */
	if (options->source == SOURCE_SSH && (!value || !value[0])) {
		value = NULL;
		what = lacks_key;
	}
	if (!value)
		return refuse(reason_of(what), what, name, ret_outcome);
	*ret = value;
	return true;
}

static bool has_conversation(pam_handle_t *pamh)
{
	const void *item = NULL;
	const struct pam_conv *conversation;

	if (pam_get_item(pamh, PAM_CONV, &item) != PAM_SUCCESS)
		return false;
	conversation = item;
	return conversation && conversation->conv;
}

/* What was typed may have been a password for another module. */
static void wipe_and_free(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

/* pam_get_authtok(3) would do, but where the conversation fails it may print a message of its own
 * in spite of PAM_SILENT, and it does not tell want of memory from want of an answer. */
static bool prompt_authtok(pam_handle_t *pamh, struct outcome *ret_outcome)
{
	__attribute__((cleanup(wipe_and_free))) char *answer = NULL;
	int code;

	if (!has_conversation(pamh))
		return refuse(REASON_NO_CERTIFICATE,
			"the password item is not set and there is no conversation to ask for it",
			authtok_item, ret_outcome);
	code = pam_prompt(pamh, PAM_PROMPT_ECHO_OFF, &answer, "%s", "Password: ");
	if (code == PAM_BUF_ERR)
		return outcome_fail(ERROR_MEMORY, "the password item", 0, ret_outcome);
	if (code != PAM_SUCCESS || !answer)
		return refuse(REASON_NO_CERTIFICATE, "the conversation gave no answer",
			authtok_item, ret_outcome);
	if (pam_set_item(pamh, PAM_AUTHTOK, answer) != PAM_SUCCESS)
		return outcome_fail(ERROR_MEMORY, "the password item", 0, ret_outcome);
	return true;
}

static bool obtain_authtok(pam_handle_t *pamh, const char **ret, struct outcome *ret_outcome)
{
	const void *item = NULL;

	if (pam_get_item(pamh, PAM_AUTHTOK, &item) != PAM_SUCCESS || !item) {
		if (!prompt_authtok(pamh, ret_outcome))
			return false;
		if (pam_get_item(pamh, PAM_AUTHTOK, &item) != PAM_SUCCESS || !item)
			return outcome_fail(ERROR_SYSTEM, "the password item", 0, ret_outcome);
	}
	*ret = item;
	return true;
}

static bool obtain_user(const pam_handle_t *pamh, const char **ret, struct outcome *ret_outcome)
{
	const void *item = NULL;

	/* Not pam_get_user(3), which would ask: what a client types is no evidence. */
	if (pam_get_item(pamh, PAM_USER, &item) != PAM_SUCCESS || !item)
		return refuse(REASON_NO_CERTIFICATE, "the item is not set", user_item, ret_outcome);
	*ret = item;
	return true;
}

static bool obtain_first(pam_handle_t *pamh, const struct options *options, const char **ret,
	struct outcome *ret_outcome)
{
	switch (options->source) {
	case SOURCE_ENVIRONMENT:
	case SOURCE_PAM_ENVIRONMENT:
	case SOURCE_SSH:
		return obtain_variable(pamh, options, options->source_name, ret, ret_outcome);
	case SOURCE_AUTHTOK:
		return obtain_authtok(pamh, ret, ret_outcome);
	case SOURCE_USER:
		return obtain_user(pamh, ret, ret_outcome);
	}
	return outcome_refuse(REASON_MISCONFIGURED, "no source of evidence", ret_outcome);
}

static const char *name_of_first(const struct options *options)
{
	if (options->source == SOURCE_AUTHTOK)
		return authtok_item;
	return options->source == SOURCE_USER ? user_item : options->source_name;
}

static bool read_second(pam_handle_t *pamh, const struct options *options, struct span *ret,
	struct outcome *ret_outcome)
{
	const char *text;

	if (options->accept != EVIDENCE_NAMES)
		return true;
	return obtain_variable(pamh, options, options->source_second_name, &text, ret_outcome) &&
	       measure(text, EVIDENCE_SECOND_MAX_BYTES, "longer than 16384 bytes",
		       options->source_second_name, ret, ret_outcome);
}

bool evidence_obtain(pam_handle_t *pamh, const struct options *options, struct evidence *ret,
	struct outcome *ret_outcome)
{
	struct evidence evidence = { 0 };
	const char *text;

	if (!check_required(pamh, options, ret_outcome) ||
		!obtain_first(pamh, options, &text, ret_outcome) ||
		!measure(text, EVIDENCE_MAX_BYTES, "longer than 65536 bytes",
			name_of_first(options), &evidence.first, ret_outcome) ||
		!read_second(pamh, options, &evidence.second, ret_outcome))
		return false;
	*ret = evidence;
	return true;
}
