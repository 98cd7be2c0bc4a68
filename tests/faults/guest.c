/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest.c owns a host for the module that lives long: it runs whole lives of a PAM handle at the
 * commands of its standard input and prints a line of key=value for each.
 *
 *     guest CONFDIR SERVICE USER
 *
 *     life                  one life, from pam_start to pam_end, and what is left of it
 *     lives COUNT           as many, and how many of them ended with PAM_SUCCESS in every call
 *     threads THREADS COUNT as many lives in each thread, each with an account of its own
 *     hog COUNT             takes all descriptors below that number
 *
 * The certificate is CERT in its environment, or CERT in the PAM environment for `threads`, from
 * the file ACCOUNT in the directory that GUEST_CERTIFICATES names. What pam_syslog(3) writes is
 * dropped but for its reason. Under failing.so calls fail inside of lives alone.
 */
#include "failing.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREADS_MAX 64
#define CERTIFICATE_MAX_BYTES 65536

enum { NOT_CALLED = -1 };

/* PAM codes, in the order of the calls. */
struct life {
	int start, authenticate, account, open, close;
	bool has_kept_signals;
	char user[64], mapped[64], reason[64];
};

struct signals {
	sigset_t mask;
	struct sigaction actions[NSIG];
};

static const char *confdir, *service;
static struct faults_control *control;
static __thread char last_reason[64];

#define FORMAT(string, first) __attribute__((format(printf, string, first)))
#define EXPORT __attribute__((visibility("default")))

FORMAT(2, 3) void syslog(int priority, const char *format, ...);
FORMAT(3, 4) void __syslog_chk(int priority, int flag, const char *format, ...);

FORMAT(1, 0) static void note_reason(const char *format, va_list arguments)
{
	char line[4096];
	const char *reason;

	vsnprintf(line, sizeof line, format, arguments);
	if ((reason = strstr(line, "reason=")))
		sscanf(reason, "reason=%63s", last_reason);
}

EXPORT void syslog(int priority, const char *format, ...)
{
	va_list arguments;

	(void)priority;
	va_start(arguments, format);
	note_reason(format, arguments);
	va_end(arguments);
}

EXPORT void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list arguments;

	(void)priority;
	(void)flag;
	va_start(arguments, format);
	note_reason(format, arguments);
	va_end(arguments);
}

static void must(bool condition, const char *what)
{
	if (!condition) {
		fprintf(stderr, "guest: %s\n", what);
		exit(2);
	}
}

static void set_active(bool is_active)
{
	if (control)
		control->is_active = is_active;
}

/* The application's own memory is not what runs out. */
static int converse(
	int count, const struct pam_message **messages, struct pam_response **ret, void *context)
{
	const char *answer = getenv("GUEST_ANSWER");
	struct pam_response *responses;
	const bool was_active = control && control->is_active;

	(void)messages;
	(void)context;
	set_active(false);
	responses = calloc((size_t)count, sizeof *responses);
	must(responses, "out of memory");
	responses[0].resp = strdup(answer ? answer : "");
	*ret = responses;
	set_active(was_active);
	return PAM_SUCCESS;
}

static bool are_same_sets(const sigset_t *one, const sigset_t *other)
{
	for (int number = 1; number < NSIG; number++)
		if (sigismember(one, number) != sigismember(other, number))
			return false;
	return true;
}

static bool are_equal(const struct signals *one, const struct signals *other)
{
	for (int number = 1; number < NSIG; number++) {
		const struct sigaction *a = &one->actions[number], *b = &other->actions[number];

		if (a->sa_handler != b->sa_handler || a->sa_flags != b->sa_flags ||
			!are_same_sets(&a->sa_mask, &b->sa_mask))
			return false;
	}
	return are_same_sets(&one->mask, &other->mask);
}

static void read_signals(struct signals *ret)
{
	memset(ret, 0, sizeof *ret);
	sigprocmask(SIG_SETMASK, NULL, &ret->mask);
	for (int number = 1; number < NSIG; number++)
		sigaction(number, NULL, &ret->actions[number]);
}

static void call(pam_handle_t *pamh, struct life *life)
{
	if ((life->authenticate = pam_authenticate(pamh, 0)) == PAM_SUCCESS &&
		(life->account = pam_acct_mgmt(pamh, 0)) == PAM_SUCCESS &&
		(life->open = pam_open_session(pamh, 0)) == PAM_SUCCESS)
		life->close = pam_close_session(pamh, 0);
}

static void look(pam_handle_t *pamh, struct life *life)
{
	const void *user = NULL;
	const char *mapped = pam_getenv(pamh, "CERTMAP_ACCOUNT");

	pam_get_item(pamh, PAM_USER, &user);
	snprintf(life->user, sizeof life->user, "%s", user ? (const char *)user : "");
	snprintf(life->mapped, sizeof life->mapped, "%s", mapped ? mapped : "");
}

/* `certificate`: an assignment for the PAM environment, or NULL. */
static struct life live(const char *user, const char *certificate)
{
	const struct pam_conv conversation = { .conv = converse };
	struct life life = { NOT_CALLED, NOT_CALLED, NOT_CALLED, NOT_CALLED, NOT_CALLED, true, "",
		"", "" };
	pam_handle_t *pamh = NULL;

	last_reason[0] = '\0';
	life.start = pam_start_confdir(service, user, &conversation, confdir, &pamh);
	if (life.start != PAM_SUCCESS)
		return life;
	if (!certificate || pam_putenv(pamh, certificate) == PAM_SUCCESS)
		call(pamh, &life);
	look(pamh, &life);
	pam_end(pamh, life.authenticate);
	memcpy(life.reason, last_reason, sizeof life.reason);
	return life;
}

static unsigned int count_entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned int count = 0;

	must(directory, path);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static unsigned long resident_kib(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	must(file && fscanf(file, "%*u %lu", &pages) == 1, "/proc/self/statm");
	fclose(file);
	return pages * ((unsigned long)sysconf(_SC_PAGESIZE) / 1024);
}

static void print_rest(void)
{
	printf(" descriptors=%u threads=%u resident_kib=%lu live=%lld exit_handlers=%lld\n",
		count_entries("/proc/self/fd"), count_entries("/proc/self/task"), resident_kib(),
		control ? (long long)control->live : 0,
		control ? (long long)control->exit_handlers : 0);
}

static void run_life(const char *user)
{
	struct signals before, after;
	struct life life;

	read_signals(&before);
	set_active(true);
	life = live(user, NULL);
	set_active(false);
	read_signals(&after);
	printf("start=%d authenticate=%d account=%d open=%d close=%d user=%s mapped=%s reason=%s "
	       "kept_signals=%d",
		life.start, life.authenticate, life.account, life.open, life.close, life.user,
		life.mapped, life.reason, are_equal(&before, &after));
	print_rest();
}

static void run_lives(const char *user, unsigned long count)
{
	unsigned long right = 0, refused = 0, wrong = 0;

	for (unsigned long i = 0; i < count; i++) {
		struct life life = live(user, NULL);

		if (life.close == PAM_SUCCESS && strcmp(life.mapped, user) == 0)
			right++;
		else if (life.authenticate == PAM_SUCCESS || life.mapped[0])
			wrong++;
		else
			refused++;
	}
	printf("right=%lu refused=%lu wrong=%lu", right, refused, wrong);
	print_rest();
}

struct worker {
	pthread_t thread;
	char user[64];
	char certificate[CERTIFICATE_MAX_BYTES]; /* as an assignment */
	unsigned long rounds, right;
};

static void *work(void *context)
{
	struct worker *worker = context;

	for (unsigned long i = 0; i < worker->rounds; i++) {
		const struct life life = live(NULL, worker->certificate);

		worker->right += life.close == PAM_SUCCESS &&
				 strcmp(life.user, worker->user) == 0 &&
				 strcmp(life.mapped, worker->user) == 0;
	}
	return NULL;
}

static void read_certificate(const char *directory, const char *account, struct worker *worker)
{
	char path[4096];
	size_t length;
	FILE *file;

	snprintf(worker->user, sizeof worker->user, "%s", account);
	snprintf(path, sizeof path, "%s/%s", directory, account);
	must((file = fopen(path, "re")), path);
	strcpy(worker->certificate, "CERT=");
	length = fread(worker->certificate + 5, 1, sizeof worker->certificate - 6, file);
	worker->certificate[5 + length] = '\0';
	fclose(file);
}

static size_t find_workers(struct worker *workers, size_t wanted)
{
	const char *directory = getenv("GUEST_CERTIFICATES");
	struct dirent *entry;
	size_t count = 0;
	DIR *open;

	must(directory && (open = opendir(directory)), "GUEST_CERTIFICATES");
	while (count < wanted && (entry = readdir(open)))
		if (entry->d_name[0] != '.')
			read_certificate(directory, entry->d_name, &workers[count++]);
	closedir(open);
	return count;
}

static void run_threads(size_t wanted, unsigned long rounds)
{
	static struct worker workers[THREADS_MAX];
	const size_t count = find_workers(workers, wanted < THREADS_MAX ? wanted : THREADS_MAX);
	unsigned long right = 0;

	for (size_t i = 0; i < count; i++) {
		workers[i].rounds = rounds;
		must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
			"pthread_create");
	}
	for (size_t i = 0; i < count; i++) {
		pthread_join(workers[i].thread, NULL);
		right += workers[i].right;
	}
	printf("workers=%zu right=%lu", count, right);
	print_rest();
}

static void run_hog(int wanted)
{
	const struct rlimit limit = { (rlim_t)wanted + 64, (rlim_t)wanted + 64 };

	must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) < wanted)
		continue;
	printf("hogged=%d", wanted);
	print_rest();
}

int main(int argc, char **argv)
{
	char line[256], command[32];
	unsigned long first, second;
	struct faults_control **found;

	must(argc == 4, "usage: guest CONFDIR SERVICE USER");
	confdir = argv[1];
	service = argv[2];
	if ((found = dlsym(RTLD_DEFAULT, "faults_control")) && (control = *found)) {
		control->is_traced = true;
		control->live = 0;
	}
	/* glibc 2.36 crashes where memory runs out in the very first look-up of a process. */
	getpwnam("nobody");
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin)) {
		first = second = 0;
		must(sscanf(line, "%31s %lu %lu", command, &first, &second) >= 1, "empty command");
		if (strcmp(command, "life") == 0)
			run_life(argv[3]);
		else if (strcmp(command, "lives") == 0)
			run_lives(argv[3], first);
		else if (strcmp(command, "threads") == 0)
			run_threads(first, second);
		else if (strcmp(command, "hog") == 0)
			run_hog((int)first);
		else
			must(false, command);
	}
	return 0;
}
