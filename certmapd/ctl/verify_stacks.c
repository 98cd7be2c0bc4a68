/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify_stacks.c owns the look at the stacks that call the module: is each line right, and does a
 * refusal of the module end as one? */
#include "verify_stacks.h"

#include "options.h"
#include "pamstack.h"
#include "programs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <security/_pam_types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULE "pam_certmap.so"
#define DEFAULT_DIRECTORY "/etc/pam.d"
#define THING_MAX_BYTES 512u

/* Modules that say yes to somebody who proved nothing, or may do so, in the type auth; and those
 * that have no opinion there: each one's manual page. All others are taken to ask for a proof of
 * their own, which a stranger does not have. */
static const char *const gullible[] = { "pam_permit.so", "pam_access.so", "pam_cap.so",
	"pam_debug.so", "pam_echo.so", "pam_exec.so", "pam_faillock.so", "pam_lastlog.so",
	"pam_listfile.so", "pam_localuser.so", "pam_securetty.so", "pam_shells.so",
	"pam_succeed_if.so", "pam_usertype.so" };
static const char *const mute[] = { "pam_env.so", "pam_faildelay.so", "pam_group.so",
	"pam_issue.so", "pam_keyinit.so", "pam_mail.so", "pam_nologin.so", "pam_warn.so" };

/* What pam_certmap answers where it does not let in, verdict.h, and what libpam says in its place
 * where the module is not there. */
static const int refusals[] = { PAM_CRED_INSUFFICIENT, PAM_AUTH_ERR, PAM_SERVICE_ERR,
	PAM_USER_UNKNOWN, PAM_AUTHINFO_UNAVAIL, PAM_BUF_ERR, PAM_SYSTEM_ERR, PAM_MODULE_UNKNOWN };

static const char *directory_of(const struct verify *verify)
{
	return verify->confdir ? verify->confdir : DEFAULT_DIRECTORY;
}

bool verify_has_stack(const struct verify *verify, const char *service)
{
	struct pamstack *stack = NULL;
	bool has_file = false;

	if (pamstack_read(service, verify->confdir, &stack) == OK) {
		has_file = stack->has_file;
		pamstack_free(stack);
	}
	return has_file;
}

static bool is_of(const struct pamstack_line *line, const char *const *modules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (pamstack_calls(line, modules[i]))
			return true;
	return false;
}

/* What a stranger gets from the modules. */
static int answer_to_stranger(const struct pamstack_line *line, void *context)
{
	const int *refusal = context;

	if (pamstack_calls(line, MODULE))
		return *refusal;
	if (is_of(line, gullible, sizeof gullible / sizeof gullible[0]))
		return PAM_SUCCESS;
	return is_of(line, mute, sizeof mute / sizeof mute[0]) ? PAM_IGNORE : PAM_AUTH_ERR;
}

/* In the account phase the others have no objection: the account is a sound one. */
static int answer_to_account(const struct pamstack_line *line, void *context)
{
	const int *refusal = context;

	if (pamstack_calls(line, "pam_deny.so"))
		return PAM_AUTH_ERR;
	return pamstack_calls(line, MODULE) ? *refusal : PAM_SUCCESS;
}

static const struct pamstack_line *find_line(
	const struct pamstack *stack, enum pamstack_phase phase)
{
	for (size_t i = 0; i < stack->count; i++)
		if (stack->lines[i].phase == phase && pamstack_calls(&stack->lines[i], MODULE))
			return &stack->lines[i];
	return NULL;
}

static char *place_of(const struct pamstack_line *line, char ret[THING_MAX_BYTES])
{
	snprintf(ret, THING_MAX_BYTES, "%s:%u", line->file, line->number);
	return ret;
}

static void check_outcome(struct verify *verify, const struct pamstack *stack, const char *service)
{
	const struct pamstack_line *line = find_line(stack, PAMSTACK_AUTH);
	char place[THING_MAX_BYTES], word[64];

	for (size_t i = 0; line && i < sizeof refusals / sizeof refusals[0]; i++) {
		int refusal = refusals[i];

		if (pamstack_run(stack, PAMSTACK_AUTH, answer_to_stranger, &refusal) != PAM_SUCCESS)
			continue;
		snprintf(word, sizeof word, "%s", pamstack_code_word(refusal));
		verify_report(verify, VERIFY_ERROR, place_of(line, place),
			"Write `required', or end the stack with pam_deny.so in the place of what "
			"lets everybody in.",
			"the service %s lets everybody in: where the module answers %s, the stack "
			"ends in success although nobody proved anything",
			service, word);
		return;
	}
}

static void check_account_phase(
	struct verify *verify, const struct pamstack *stack, const char *service)
{
	const struct pamstack_line *line = find_line(stack, PAMSTACK_ACCOUNT);
	const struct pamstack_line *auth = find_line(stack, PAMSTACK_AUTH);
	char place[THING_MAX_BYTES];
	int refusal = PAM_AUTH_ERR;

	if (auth && !line)
		verify_report(verify, VERIFY_WARNING, place_of(auth, place),
			"Add `account required pam_certmap.so' with the same options.",
			"the service %s has no account line of the module, which sees where "
			"PAM_USER was changed or the mapping disabled meanwhile",
			service);
	else if (line &&
		 pamstack_run(stack, PAMSTACK_ACCOUNT, answer_to_account, &refusal) == PAM_SUCCESS)
		verify_report(verify, VERIFY_WARNING, place_of(line, place), "Write `required'.",
			"a refusal in the account phase of %s has no effect", service);
}

static void check_mode(struct verify *verify, const struct options *options,
	const struct pamstack_line *line, const char *service)
{
	const char *why = options->mode == MODE_SET ? programs_ignore_user(service) : NULL;
	char place[THING_MAX_BYTES];

	if (why)
		verify_report(verify, VERIFY_ERROR, place_of(line, place), "Write user=match.",
			"user=set for the service %s, which ignores PAM_USER: a client is logged "
			"in under whatever name it asks for (%s)",
			service, why);
}

static void check_source(struct verify *verify, const struct options *options,
	const struct pamstack_line *line, const char *service)
{
	char place[THING_MAX_BYTES];

	if (line->phase == PAMSTACK_AUTH && options->source == SOURCE_ENVIRONMENT &&
		programs_are_setuid(service))
		verify_report(verify, VERIFY_WARNING, place_of(line, place),
			"Take the line out: such a program gets no certificate.",
			"the program of the service %s is setuid: its environment is its caller's, "
			"and nobody but root comes in by it",
			service);
}

static void check_line(struct verify *verify, const struct pamstack_line *line, const char *service)
{
	struct options options;
	struct options_problem problem;
	char place[THING_MAX_BYTES];

	if (options_read(line->argc, line->argv, &options, &problem)) {
		check_mode(verify, &options, line, service);
		check_source(verify, &options, line, service);
	} else {
		verify_report(verify, VERIFY_ERROR, place_of(line, place), "Mend the line.",
			"option %.*s: %s: every login is misconfigured", (int)problem.option.length,
			(const char *)problem.option.bytes, problem.why);
	}
}

static void check_file(struct verify *verify, const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 &&
		(status.st_mode & S_IWOTH || (status.st_uid != 0 && status.st_uid != geteuid())))
		verify_report(verify, VERIFY_ERROR, path,
			"Make it root's, and writable by nobody else: chown root, chmod go-w.",
			"others than root can write the stack");
}

static void check_stack(struct verify *verify, const struct pamstack *stack, const char *service)
{
	char place[THING_MAX_BYTES];

	if (stack->abort) {
		snprintf(place, sizeof place, "%s:%u", stack->abort_file, stack->abort_number);
		verify_report(verify, VERIFY_ERROR, place, "Mend the line.",
			"%s: libpam refuses everybody at the service %s", stack->abort, service);
	}
	for (size_t i = 0; i < stack->count; i++) {
		const struct pamstack_line *line = &stack->lines[i];

		if (line->broken)
			verify_report(verify, VERIFY_ERROR, place_of(line, place), "Mend the line.",
				"%s: libpam takes it for a refusal", line->broken);
		if (pamstack_calls(line, MODULE))
			check_line(verify, line, service);
	}
	for (size_t i = 0; i < stack->file_count; i++)
		check_file(verify, stack->files[i]);
	check_outcome(verify, stack, service);
	check_account_phase(verify, stack, service);
}

static bool calls_module(const struct pamstack *stack)
{
	for (size_t i = 0; i < stack->count; i++)
		if (pamstack_calls(&stack->lines[i], MODULE))
			return true;
	return false;
}

static void check_service(struct verify *verify, const char *service)
{
	struct pamstack *stack = NULL;
	enum error error = pamstack_read(service, verify->confdir, &stack);

	if (error != OK) {
		verify_report(verify, VERIFY_WARNING, service, "Look again.",
			"the stack can't be read: %s", error_text(error));
		return;
	}
	if (calls_module(stack))
		check_stack(verify, stack, service);
	pamstack_free(stack);
}

/* Files that others include are no services (Debian's common-auth), nor is what dpkg and editors
 * leave behind; libpam asks for names in lower case alone. */
static int is_service(const struct dirent *entry)
{
	const char *name = entry->d_name;

	for (const char *c = name; *c; c++)
		if (isupper((unsigned char)*c))
			return 0;
	return name[0] != '.' && !strchr(name, '~') && !strstr(name, ".dpkg-") &&
	       strncmp(name, "common-", strlen("common-")) != 0;
}

void verify_stacks(struct verify *verify)
{
	struct dirent **entries = NULL;
	const int count = scandir(directory_of(verify), &entries, is_service, alphasort);

	if (count < 0)
		verify_report(verify, VERIFY_ERROR, directory_of(verify), "Look again as root.",
			"the stacks can't be read: %s", strerror(errno));
	for (int i = 0; i < count; i++) {
		check_service(verify, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}
