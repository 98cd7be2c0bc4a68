/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sessions.c owns where open sessions are looked for. */
#include "sessions.h"

#include "ctl.h"
#include "print.h"
#include "when.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-login.h>
#include <unistd.h>
#include <utmpx.h>

/* There exactly while systemd-logind runs: what sd-login(3) itself looks at. */
#define LOGIND_DIRECTORY "/run/systemd/seats"

#define SHOWN_BYTES 256u

/* What is known of one session; NULL: it is not. */
struct session {
	const char *name; /* what loginctl(1) calls it, or a terminal */
	const char *service, *host, *terminal;
	int64_t since_sec; /* 0: not known */
};

static void freep(char **text)
{
	free(*text);
}

static void strvp(char ***texts)
{
	for (char **text = *texts; text && *text; text++)
		free(*text);
	free(*texts);
}

/* Text that a client had a hand in: the name of its host. */
static void print_part(FILE *out, const char *before, const char *text)
{
	char shown[SHOWN_BYTES];

	if (text && text[0] != '\0')
		fprintf(out, "%s%s", before,
			print_shown(span_of_string(text), shown, sizeof shown));
}

static void print_session(const struct session *session)
{
	char date[WHEN_DATE_BYTES], relative[WHEN_RELATIVE_BYTES];

	print_part(stderr, "  ", session->name);
	print_part(stderr, ": ", session->service);
	print_part(stderr, " from ", session->host);
	print_part(stderr, " on ", session->terminal);
	if (session->since_sec != 0)
		fprintf(stderr, ", since %s UTC (%s)",
			when_date(session->since_sec, date, sizeof date),
			when_relative(session->since_sec, when_now(), relative, sizeof relative));
	fputc('\n', stderr);
}

static void warn_logind_session(const char *name)
{
	__attribute__((cleanup(freep))) char *service = NULL, *host = NULL, *terminal = NULL;
	struct session session = { .name = name };

	if (sd_session_get_service(name, &service) >= 0)
		session.service = service;
	if (sd_session_get_remote_host(name, &host) >= 0)
		session.host = host;
	if (sd_session_get_tty(name, &terminal) >= 0)
		session.terminal = terminal;
	print_session(&session);
}

/* False: it knows none. */
static bool warn_logind(const char *account, uid_t uid)
{
	__attribute__((cleanup(strvp))) char **names = NULL;
	/* Also those whose user has left, but not all of his processes. */
	const int count = sd_uid_get_sessions(uid, -1, &names);

	if (count <= 0)
		return false;
	ctl_warn("%s has %d open session%s, which %s not ended by this:", account, count,
		count == 1 ? "" : "s", count == 1 ? "is" : "are");
	for (int i = 0; i < count; i++)
		warn_logind_session(names[i]);
	fputs("  To end them: loginctl terminate-session", stderr);
	for (int i = 0; i < count; i++)
		fprintf(stderr, " %s", names[i]);
	fputc('\n', stderr);
	return true;
}

static void warn_utmp_session(const struct utmpx *entry)
{
	char line[sizeof entry->ut_line + 1], host[sizeof entry->ut_host + 1];
	const struct session session = {
		.name = line,
		.host = host,
		.since_sec = entry->ut_tv.tv_sec,
	};

	/* utmp(5): terminated only where they are shorter than their place. */
	snprintf(line, sizeof line, "%.*s", (int)sizeof entry->ut_line, entry->ut_line);
	snprintf(host, sizeof host, "%.*s", (int)sizeof entry->ut_host, entry->ut_host);
	print_session(&session);
	fprintf(stderr, "  To end it: kill -HUP %d\n", (int)entry->ut_pid);
}

static void warn_utmp(const char *shown, const char *account)
{
	const struct utmpx *entry;
	bool is_first = true;

	setutxent();
	while ((entry = getutxent()) != NULL) {
		if (entry->ut_type != USER_PROCESS ||
			strncmp(entry->ut_user, account, sizeof entry->ut_user) != 0)
			continue;
		if (is_first)
			ctl_warn("%s has open sessions, which are not ended by this:", shown);
		is_first = false;
		warn_utmp_session(entry);
	}
	endutxent();
}

void sessions_warn(const char *account, bool has_uid, uint32_t uid)
{
	const struct passwd *entry = getpwnam(account);
	char shown[SHOWN_BYTES];

	print_shown(span_of_string(account), shown, sizeof shown);
	if (entry) {
		has_uid = true;
		uid = entry->pw_uid;
	}
	/* It runs on many machines whose stacks lack pam_systemd, and then hears of no session. */
	if (access(LOGIND_DIRECTORY, F_OK) < 0 || !has_uid || !warn_logind(shown, uid))
		warn_utmp(shown, account);
	ctl_warn("connections of %s to services without login sessions, such as FTP and mail, go "
		 "on until they end: restarting the service cuts them",
		shown);
}
