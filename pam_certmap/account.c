/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * account.c owns the dealings with NSS.
 */
#include "account.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>

#define ENTRY_FIRST_BYTES 1024u
#define ENTRY_MAX_BYTES 1048576u /* no passwd line is that long; an NSS module gone mad is */

static void free_buffer(char **buffer)
{
	free(*buffer);
}

bool account_name_is_sound(struct span name)
{
	if (!name.bytes || name.length == 0 || name.length > ACCOUNT_MAX_BYTES)
		return false;
	for (size_t i = 0; i < name.length; i++) {
		if (name.bytes[i] < 0x20 || name.bytes[i] == 0x7f)
			return false;
	}
	return true;
}

static int get_entry(
	const char *account, char *buffer, size_t capacity, bool *ret_exists, uid_t *ret_uid)
{
	struct passwd entry;
	struct passwd *found = NULL;
	int errno_value;

	do
		errno_value = getpwnam_r(account, &entry, buffer, capacity, &found);
	while (errno_value == EINTR);
	/* getpwnam_r(3): an unknown name is 0 and no entry, but some NSS modules say these. EPERM
	 * and EBADF, which the page also lists, are as likely a sandbox: not "unknown". */
	if (errno_value == ENOENT || errno_value == ESRCH)
		errno_value = 0;
	if (errno_value)
		return errno_value;
	*ret_exists = found != NULL;
	if (found)
		*ret_uid = found->pw_uid;
	return 0;
}

static enum error find_uid(
	const char *account, bool *ret_exists, uid_t *ret_uid, int *ret_errno_value)
{
	__attribute__((cleanup(free_buffer))) char *buffer = NULL;

	for (size_t capacity = ENTRY_FIRST_BYTES; capacity <= ENTRY_MAX_BYTES; capacity *= 2) {
		int errno_value;

		free(buffer);
		buffer = malloc(capacity);
		if (!buffer)
			return ERROR_MEMORY;
		errno_value = get_entry(account, buffer, capacity, ret_exists, ret_uid);
		if (errno_value == 0)
			return OK;
		if (errno_value != ERANGE) {
			*ret_errno_value = errno_value;
			return errno_value == ENOMEM ? ERROR_MEMORY : ERROR_SYSTEM;
		}
	}
	*ret_errno_value = ERANGE;
	return ERROR_SYSTEM;
}

bool account_check(const char *account, const struct reply *reply, bool allow_root,
	struct outcome *ret_outcome)
{
	bool exists = false;
	uid_t uid = 0;
	int errno_value = 0;
	const enum error error = find_uid(account, &exists, &uid, &errno_value);

	if (error != OK)
		return outcome_fail(error, "cannot look the account up", errno_value, ret_outcome);
	if (!exists)
		return outcome_refuse(
			REASON_ACCOUNT_MISSING, "the mapped account does not exist", ret_outcome);
	if (reply->has_uid && uid != reply->uid)
		return outcome_refuse(REASON_ACCOUNT_CHANGED,
			"the account has another uid than when it was mapped", ret_outcome);
	if (uid == 0 && !allow_root)
		return outcome_refuse(
			REASON_ROOT_REFUSED, "uid 0 needs the option allow_root", ret_outcome);
	return true;
}
