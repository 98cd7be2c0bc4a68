/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* who.c owns where the name of the acting person is looked for. */
#include "who.h"

#include "escape.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longer than login names of useradd(8), 32 bytes; a directory service may have longer ones. */
#define NAME_MAX_BYTES 100

/* Who became root: sudo says so, else the login that the kernel and utmp remember (getlogin(3)).
 * NULL: nobody else is known. */
static const char *find_person(const char **ret_by)
{
	const char *name = getenv("SUDO_USER");

	*ret_by = "sudo";
	if (name && name[0] != '\0')
		return name;
	*ret_by = "login";
	return getlogin();
}

void who_am_i(char ret[WHO_MAX_BYTES + 1])
{
	char own[NAME_MAX_BYTES], person[NAME_MAX_BYTES];
	const struct passwd *account = getpwuid(getuid());
	const char *by, *name;

	if (account)
		escape_text(span_of_string(account->pw_name), own, sizeof own);
	else
		snprintf(own, sizeof own, "uid %u", (unsigned)getuid());
	snprintf(ret, WHO_MAX_BYTES + 1, "%s", own);
	if (getuid() != 0 || !(name = find_person(&by)))
		return;
	escape_text(span_of_string(name), person, sizeof person);
	if (strcmp(person, own) != 0)
		snprintf(ret, WHO_MAX_BYTES + 1, "%s (%s: %s)", own, by, person);
}
