/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* programs.c owns the two tables. */
#include "programs.h"

#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct {
	const char *service, *why;
} ignoring[] = {
	{ "proftpd", "ProFTPD 1.3.8 goes on with the name of USER" },
	{ "ftp", "ProFTPD 1.3.8 goes on with the name of USER" },
	{ "sshd", "OpenSSH 9.2 goes on with the name of the client, 10.1 fails the login" },
	{ "apache", "mod_authnz_pam goes on with the name of the Authorization header" },
	{ "apache2", "mod_authnz_pam goes on with the name of the Authorization header" },
	{ "nginx", "ngx_http_auth_pam goes on with the name of the Authorization header" },
	{ "exim", "Exim 4.96 asks PAM yes or no alone" },
	{ "exim4", "Exim 4.96 asks PAM yes or no alone" },
	{ "postgresql", "PostgreSQL goes on with the name of the connection" },
	{ "openvpn", "OpenVPN's plugin asks PAM yes or no alone" },
};

/* The files in /etc/pam.d of what Debian installs with the setuid bit: util-linux, passwd, sudo,
 * polkitd (its helper). */
static const char *const setuid[] = { "su", "su-l", "sudo", "sudo-i", "passwd", "chfn", "chsh",
	"polkit-1" };

const char *programs_ignore_user(const char *service)
{
	for (size_t i = 0; i < COUNT(ignoring); i++)
		if (strcmp(service, ignoring[i].service) == 0)
			return ignoring[i].why;
	return NULL;
}

bool programs_are_setuid(const char *service)
{
	for (size_t i = 0; i < COUNT(setuid); i++)
		if (strcmp(service, setuid[i]) == 0)
			return true;
	return false;
}
