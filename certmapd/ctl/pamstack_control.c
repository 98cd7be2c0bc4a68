/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pamstack_control.c owns the words of a control, and the names of the codes in it: what
 * _pam_parse_control() and _pam_set_default_control() of Linux-PAM 1.5 make of them. */
#include "pamstack_private.h"

#include <limits.h>
#include <security/_pam_types.h>
#include <stdint.h>
#include <string.h>

_Static_assert(_PAM_RETURN_VALUES == PAMSTACK_CODES, "an action for every return value");

#define UNDEFINED INT_MIN /* an action that is not set yet */

static const char *const code_words[PAMSTACK_CODES] = {
	[PAM_SUCCESS] = "success",
	[PAM_OPEN_ERR] = "open_err",
	[PAM_SYMBOL_ERR] = "symbol_err",
	[PAM_SERVICE_ERR] = "service_err",
	[PAM_SYSTEM_ERR] = "system_err",
	[PAM_BUF_ERR] = "buf_err",
	[PAM_PERM_DENIED] = "perm_denied",
	[PAM_AUTH_ERR] = "auth_err",
	[PAM_CRED_INSUFFICIENT] = "cred_insufficient",
	[PAM_AUTHINFO_UNAVAIL] = "authinfo_unavail",
	[PAM_USER_UNKNOWN] = "user_unknown",
	[PAM_MAXTRIES] = "maxtries",
	[PAM_NEW_AUTHTOK_REQD] = "new_authtok_reqd",
	[PAM_ACCT_EXPIRED] = "acct_expired",
	[PAM_SESSION_ERR] = "session_err",
	[PAM_CRED_UNAVAIL] = "cred_unavail",
	[PAM_CRED_EXPIRED] = "cred_expired",
	[PAM_CRED_ERR] = "cred_err",
	[PAM_NO_MODULE_DATA] = "no_module_data",
	[PAM_CONV_ERR] = "conv_err",
	[PAM_AUTHTOK_ERR] = "authtok_err",
	[PAM_AUTHTOK_RECOVERY_ERR] = "authtok_recover_err",
	[PAM_AUTHTOK_LOCK_BUSY] = "authtok_lock_busy",
	[PAM_AUTHTOK_DISABLE_AGING] = "authtok_disable_aging",
	[PAM_TRY_AGAIN] = "try_again",
	[PAM_IGNORE] = "ignore",
	[PAM_ABORT] = "abort",
	[PAM_AUTHTOK_EXPIRED] = "authtok_expired",
	[PAM_MODULE_UNKNOWN] = "module_unknown",
	[PAM_BAD_ITEM] = "bad_item",
	[PAM_CONV_AGAIN] = "conv_again",
	[PAM_INCOMPLETE] = "incomplete",
};

static const struct {
	const char *word;
	int action;
} action_words[] = {
	{ "ignore", PAMSTACK_IGNORE },
	{ "ok", PAMSTACK_OK },
	{ "done", PAMSTACK_DONE },
	{ "bad", PAMSTACK_BAD },
	{ "die", PAMSTACK_DIE },
	{ "reset", PAMSTACK_RESET },
};

/* The words of a control that stand for a whole set, pam.conf(5). */
static const struct {
	const char *word, *meaning;
} control_words[] = {
	{ "required", "success=ok new_authtok_reqd=ok ignore=ignore default=bad" },
	{ "requisite", "success=ok new_authtok_reqd=ok ignore=ignore default=die" },
	{ "sufficient", "success=done new_authtok_reqd=done default=ignore" },
	{ "optional", "success=ok new_authtok_reqd=ok default=ignore" },
};

const char *pamstack_code_word(int code)
{
	return code >= 0 && code < (int)PAMSTACK_CODES ? code_words[code] : "?";
}

/* Whether `word` stands at *at, which is moved past it. libpam looks no further, so that an
 * "=" may follow without white space. */
static bool skip_word(const char **at, const char *word)
{
	const size_t length = strlen(word);

	if (strncmp(*at, word, length) != 0)
		return false;
	*at += length;
	return true;
}

static void skip_blanks(const char **at)
{
	*at += strspn(*at, PAMSTACK_BLANKS);
}

static bool read_action(const char **at, int *ret)
{
	int jump = 0;

	for (size_t i = 0; i < sizeof action_words / sizeof action_words[0]; i++)
		if (skip_word(at, action_words[i].word)) {
			*ret = action_words[i].action;
			return true;
		}
	for (; **at >= '0' && **at <= '9' && jump <= INT16_MAX; (*at)++)
		jump = jump * 10 + (**at - '0');
	*ret = jump;
	return jump > 0;
}

/* The code at *at; PAMSTACK_CODES: `default', every one that is not set yet. */
static bool read_code(const char **at, size_t *ret)
{
	for (size_t i = 0; i < PAMSTACK_CODES; i++)
		if (skip_word(at, code_words[i])) {
			*ret = i;
			return true;
		}
	*ret = PAMSTACK_CODES;
	return skip_word(at, "default");
}

static void apply_action(size_t code, int action, int actions[PAMSTACK_CODES])
{
	for (size_t i = 0; i < PAMSTACK_CODES; i++)
		if (i == code || (code == PAMSTACK_CODES && actions[i] == UNDEFINED))
			actions[i] = action;
}

static bool read_actions(const char *at, int actions[PAMSTACK_CODES])
{
	size_t code;
	int action;

	for (size_t i = 0; i < PAMSTACK_CODES; i++)
		actions[i] = UNDEFINED;
	for (skip_blanks(&at); *at; skip_blanks(&at)) {
		if (!read_code(&at, &code))
			return false;
		skip_blanks(&at);
		if (!skip_word(&at, "="))
			return false;
		skip_blanks(&at);
		if (!read_action(&at, &action))
			return false;
		apply_action(code, action, actions);
	}
	/* What the line says nothing about is a refusal. */
	apply_action(PAMSTACK_CODES, PAMSTACK_BAD, actions);
	return true;
}

bool pamstack_read_control(const char *control, int actions[PAMSTACK_CODES])
{
	for (size_t i = 0; i < sizeof control_words / sizeof control_words[0]; i++)
		if (strcasecmp(control, control_words[i].word) == 0)
			return read_actions(control_words[i].meaning, actions);
	return read_actions(control, actions);
}
