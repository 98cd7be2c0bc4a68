/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_module.c: the module itself, in the real libpam, with evidence and a daemon's reply from the
 * input. Whatever both are, a login succeeds only with a reply that says "allowed", and in match
 * mode only for the very account that was asked for; a refusal leaves nothing behind.
 *
 * An input: the stack line, the account that is asked for, a part of evidence, a second one, and
 * the reply. The program stands in for syslog(3), to keep millions of lines out of the journal.
 */
#include "fake_daemon.h"
#include "fuzz.h"
#include "messages.h"

#include <dlfcn.h>
#include <security/pam_appl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EVIDENCE_VARIABLE "CERTMAP_FUZZ_EVIDENCE"
#define SECOND_VARIABLE "CERTMAP_FUZZ_SECOND"
#define SSH_VARIABLE "SSH_AUTH_INFO_0"

struct line {
	const char *options;
	bool is_set; /* user=set */
};

/* Services are called by their number. */
static const struct line lines[] = {
	{ "source=env:" EVIDENCE_VARIABLE, false },
	{ "source=env:" EVIDENCE_VARIABLE " user=set", true },
	{ "source=pamenv:" EVIDENCE_VARIABLE " accept=fingerprint", false },
	{ "source=authtok", false },
	{ "source=user accept=fingerprint user=set", true },
	{ "source=ssh accept=key", false },
	{ "source=env:" EVIDENCE_VARIABLE "," SECOND_VARIABLE " accept=names", false },
	{ "source=env:" EVIDENCE_VARIABLE " accept=name user=set allow_root", true },
};
#define LINES (sizeof(lines) / sizeof(lines[0]))

/* Accounts that every system has. */
static const char *const accounts[] = { "daemon", "root", "nobody", "no-such-account" };
#define ACCOUNTS (sizeof(accounts) / sizeof(accounts[0]))

static char directory[64];
static const char *answer; /* of the conversation */

__attribute__((visibility("default"), format(printf, 2, 3))) void syslog(
	int priority, const char *format, ...);
__attribute__((visibility("default"), format(printf, 3, 4))) void __syslog_chk(
	int priority, int flag, const char *format, ...);

/* The line is made all the same: that is where a format string would go wrong. */
__attribute__((format(printf, 1, 0))) static void make_line(const char *format, va_list arguments)
{
	char text[4096];

	vsnprintf(text, sizeof(text), format, arguments);
	for (const char *byte = text; *byte; byte++)
		MUST((unsigned char)*byte >= 0x20);
}

void syslog(int priority, const char *format, ...)
{
	va_list arguments;

	(void)priority;
	va_start(arguments, format);
	make_line(format, arguments);
	va_end(arguments);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list arguments;

	(void)priority;
	(void)flag;
	va_start(arguments, format);
	make_line(format, arguments);
	va_end(arguments);
}

static int converse(
	int count, const struct pam_message **messages, struct pam_response **ret, void *unused)
{
	struct pam_response *responses = calloc((size_t)count, sizeof(*responses));

	(void)messages;
	(void)unused;
	MUST(responses && count == 1 && (responses->resp = strdup(answer)));
	*ret = responses;
	return PAM_SUCCESS;
}

static void write_line(size_t number, const char *socket_path)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%zu", directory, number);
	file = fopen(path, "w");
	MUST(file);
	fprintf(file, "auth required %s %s socket=%s timeout=600000 debug\n", FUZZ_MODULE,
		lines[number].options, socket_path);
	fclose(file);
}

static void remove_lines(void)
{
	char path[96];

	for (size_t i = 0; i < LINES; i++) {
		snprintf(path, sizeof(path), "%s/%zu", directory, i);
		unlink(path);
	}
	rmdir(directory);
}

/* The module stays loaded: a fuzzer reads its counters after pam_end(3) has closed it. */
static void set_up(void)
{
	const char *socket_path = fake_daemon_start();

	if (directory[0])
		return;
	snprintf(directory, sizeof(directory), "/dev/shm/certmap-fuzz-XXXXXX");
	MUST(mkdtemp(directory));
	for (size_t i = 0; i < LINES; i++)
		write_line(i, socket_path);
	atexit(remove_lines);
	if (!dlopen(FUZZ_MODULE, RTLD_NOW | RTLD_NODELETE)) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
}

/* Everywhere at once: the stack line says which of them counts. */
static void place_evidence(pam_handle_t *pamh, const char *first, const char *second)
{
	char *assignment;

	setenv(EVIDENCE_VARIABLE, first, 1);
	setenv(SECOND_VARIABLE, second, 1);
	answer = first;
	MUST(asprintf(&assignment, EVIDENCE_VARIABLE "=%s", first) > 0);
	MUST(pam_putenv(pamh, assignment) == PAM_SUCCESS);
	free(assignment);
	MUST(asprintf(&assignment, SSH_VARIABLE "=%s", first) > 0);
	MUST(pam_putenv(pamh, assignment) == PAM_SUCCESS);
	free(assignment);
}

static const char *user_of(pam_handle_t *pamh)
{
	const void *item = NULL;

	MUST(pam_get_item(pamh, PAM_USER, &item) == PAM_SUCCESS);
	return item;
}

/* What the daemon said, read from the bytes that it sent. */
static void must_be_earned(pam_handle_t *pamh, const struct line *line, const char *asked)
{
	struct span request_bytes, sent, account;
	struct request request;
	struct reply reply;

	MUST(fake_daemon_take_exchange(&request_bytes, &sent));
	MUST(message_read_request(request_bytes.bytes, request_bytes.length, &request) == OK);
	MUST(message_read_reply(sent.bytes, sent.length, &reply) == OK);
	MUST(span_is_equal(reply.reason_word, span_of_string("allowed")));
	MUST(span_is_equal(reply.correlation_id, request.correlation_id));
	account = span_of_string(user_of(pamh));
	MUST(span_is_equal(account, reply.account));
	MUST(span_is_equal(span_of_string(pam_getenv(pamh, "CERTMAP_ACCOUNT")), reply.account));
	if (!line->is_set)
		MUST(strcmp(user_of(pamh), asked) == 0);
	MUST(strcmp(user_of(pamh), "no-such-account") != 0);
	MUST(strstr(line->options, "allow_root") || strcmp(user_of(pamh), "root") != 0);
}

static void must_leave_nothing(pam_handle_t *pamh, const char *asked)
{
	MUST(strcmp(user_of(pamh), asked) == 0);
	MUST(!pam_getenv(pamh, "CERTMAP_ACCOUNT") && !pam_getenv(pamh, "CERTMAP_FINGERPRINT") &&
		!pam_getenv(pamh, "CERTMAP_SUBJECT") && !pam_getenv(pamh, "CERTMAP_MAPPING"));
}

static void log_in(
	const struct line *line, const char *asked, const char *first, const char *second)
{
	const struct pam_conv conversation = { .conv = converse };
	pam_handle_t *pamh = NULL;
	char service[8];
	int code;

	snprintf(service, sizeof(service), "%d", (int)(line - lines));
	MUST(pam_start_confdir(service, asked, &conversation, directory, &pamh) == PAM_SUCCESS);
	place_evidence(pamh, first, second);
	code = pam_authenticate(pamh, 0);
	MUST(code != PAM_IGNORE);
	if (code == PAM_SUCCESS)
		must_be_earned(pamh, line, asked);
	else
		must_leave_nothing(pamh, asked);
	pam_end(pamh, code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { span_of(data, size) };
	const struct line *line = &lines[fuzz_take_byte(&input) % LINES];
	const char *account = accounts[fuzz_take_byte(&input) % ACCOUNTS];
	FUZZ_STRING first = fuzz_take_string(&input);
	FUZZ_STRING second = fuzz_take_string(&input);
	FUZZ_PART reply = fuzz_take_rest(&input);
	struct span request_bytes, sent;

	set_up();
	fake_daemon_set_reply(reply);
	/* With source=user the evidence is PAM_USER. */
	log_in(line, strstr(line->options, "source=user") ? first : account, first, second);
	(void)fake_daemon_take_exchange(&request_bytes, &sent);
	return 0;
}
