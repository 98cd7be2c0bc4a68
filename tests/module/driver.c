/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * driver.c owns the application that the module tests play: it runs PAM calls in the order of its
 * arguments and prints what a service could see, a tab-separated line for each event.
 *
 * It stands in for three things of the C library, which the dynamic linker lets a program do:
 * syslog, to see what pam_syslog(3) writes; getpwnam_r, to fail or to interfere at the moment after
 * the lookup; and malloc, to run out of memory at a chosen call. libpam is the real one.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct {
	const char *confdir;
	pam_handle_t *pamh;
	int code;           /* of the last PAM call */
	const char *answer; /* what the conversation says; NULL: an empty reply */
	bool conversation_fails;
	const char *prompt_user; /* PAM_USER is set to it inside of the conversation */
	const char *nss_user;    /* PAM_USER is set to it inside of getpwnam_r() */
	int nss_errno;           /* getpwnam_r() fails with it */
	unsigned int prompts;    /* questions that the conversation was asked */
	unsigned int messages;   /* texts that it was told */
} driver;

/* The call of malloc, calloc or realloc that fails next in this thread; 0: none. */
static __thread unsigned long allocation_countdown;
static __thread bool has_allocation_failed;

#define FORMAT(string, first) __attribute__((format(printf, string, first)))

FORMAT(2, 3) void syslog(int priority, const char *format, ...);
FORMAT(3, 4) void __syslog_chk(int priority, int flag, const char *format, ...);

FORMAT(2, 0) static void print_log(int priority, const char *format, va_list arguments)
{
	char text[4096];

	/* All is decided once it is logged; what libpam allocates later, to audit, is its own. */
	allocation_countdown = 0;
	vsnprintf(text, sizeof(text), format, arguments);
	for (char *byte = text; *byte; byte++) {
		if (*byte == '\n' || *byte == '\t')
			*byte = '?';
	}
	printf("log\t%d\t%s\n", priority, text);
}

__attribute__((visibility("default"))) void syslog(int priority, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_log(priority, format, arguments);
	va_end(arguments);
}

__attribute__((visibility("default"))) void __syslog_chk(
	int priority, int flag, const char *format, ...)
{
	va_list arguments;

	(void)flag;
	va_start(arguments, format);
	print_log(priority, format, arguments);
	va_end(arguments);
}

typedef int getpwnam_r_function(const char *, struct passwd *, char *, size_t, struct passwd **);

__attribute__((visibility("default"))) int getpwnam_r(
	const char *name, struct passwd *entry, char *buffer, size_t capacity, struct passwd **ret)
{
	getpwnam_r_function *real =
		__extension__(getpwnam_r_function *) dlsym(RTLD_NEXT, "getpwnam_r");

	if (driver.nss_user)
		pam_set_item(driver.pamh, PAM_USER, driver.nss_user);
	if (driver.nss_errno) {
		*ret = NULL;
		return driver.nss_errno;
	}
	return real(name, entry, buffer, capacity, ret);
}

#if !SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

static bool is_failing_call(void)
{
	if (allocation_countdown == 0 || --allocation_countdown > 0)
		return false;
	has_allocation_failed = true;
	return true;
}

__attribute__((visibility("default"))) void *malloc(size_t size)
{
	if (is_failing_call()) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
	if (is_failing_call()) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_calloc(count, size);
}

__attribute__((visibility("default"))) void *realloc(void *pointer, size_t size)
{
	if (is_failing_call()) {
		errno = ENOMEM;
		return NULL;
	}
	return __libc_realloc(pointer, size);
}
#endif

int __lsan_is_turned_off(void);

/* LeakSanitizer traces its own process, which the kernel refuses to a setuid program; and from the
 * environment of one it takes no options. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
	return getauxval(AT_SECURE) != 0;
}

static void must(bool condition, const char *what)
{
	if (!condition) {
		fprintf(stderr, "driver: %s\n", what);
		exit(2);
	}
}

static int converse(
	int count, const struct pam_message **messages, struct pam_response **ret, void *context)
{
	const unsigned long countdown = allocation_countdown;
	struct pam_response *responses;

	(void)context;
	allocation_countdown = 0; /* what fails is the module's and libpam's memory, not ours */
	for (int i = 0; i < count; i++) {
		if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF ||
			messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
			driver.prompts++;
		else
			driver.messages++;
	}
	if (driver.prompt_user)
		pam_set_item(driver.pamh, PAM_USER, driver.prompt_user);
	if (driver.conversation_fails)
		return PAM_CONV_ERR;
	responses = calloc((size_t)count, sizeof(*responses));
	must(responses, "out of memory");
	if (driver.answer)
		responses[0].resp = strdup(driver.answer);
	*ret = responses;
	allocation_countdown = countdown;
	return PAM_SUCCESS;
}

static pam_handle_t *start(const char *service, const char *user)
{
	const struct pam_conv conversation = { .conv = converse };
	pam_handle_t *pamh = NULL;

	must(pam_start_confdir(service, user, &conversation, driver.confdir, &pamh) == PAM_SUCCESS,
		"pam_start_confdir failed");
	return pamh;
}

static void do_start(char *argument)
{
	const char *service = strsep(&argument, ":");

	driver.pamh = start(service, argument);
}

static void do_end(char *argument)
{
	(void)argument;
	pam_end(driver.pamh, driver.code);
	driver.pamh = NULL;
}

static void finish(const char *call, int code)
{
	driver.code = code;
	printf("%s\t%d\n", call, code);
}

static void do_authenticate(char *argument)
{
	finish("authenticate", pam_authenticate(driver.pamh, argument ? atoi(argument) : 0));
}

static void do_setcred(char *argument)
{
	(void)argument;
	finish("setcred", pam_setcred(driver.pamh, PAM_ESTABLISH_CRED));
}

static void do_account(char *argument)
{
	(void)argument;
	finish("account", pam_acct_mgmt(driver.pamh, 0));
}

static void do_open(char *argument)
{
	(void)argument;
	finish("open", pam_open_session(driver.pamh, 0));
}

static void do_close(char *argument)
{
	(void)argument;
	finish("close", pam_close_session(driver.pamh, 0));
}

static void set_item(int type, const void *value)
{
	must(pam_set_item(driver.pamh, type, value) == PAM_SUCCESS, "pam_set_item failed");
}

static void do_user(char *argument)
{
	set_item(PAM_USER, argument);
}

static void do_service(char *argument)
{
	set_item(PAM_SERVICE, argument);
}

static void do_rhost(char *argument)
{
	set_item(PAM_RHOST, argument);
}

static void do_tty(char *argument)
{
	set_item(PAM_TTY, argument);
}

static void do_pamenv(char *argument)
{
	must(pam_putenv(driver.pamh, argument) == PAM_SUCCESS, "pam_putenv failed");
}

/* For values that no argument of a program can carry. */
static void do_fill(char *argument)
{
	const char *name = strsep(&argument, ":");
	const size_t length = strtoul(argument, NULL, 10);
	char *value = calloc(length + 1, 1);

	must(value, "out of memory");
	memset(value, 'A', length);
	must(setenv(name, value, 1) == 0, "setenv failed");
	free(value);
}

/* A second variable of the same name, which setenv(3) never makes: at the end, as stunnel does. */
static void do_double(char *argument)
{
	size_t count = 0;
	char **longer;

	while (environ[count])
		count++;
	longer = calloc(count + 2, sizeof *longer);
	must(longer, "out of memory");
	memcpy(longer, environ, count * sizeof *longer);
	longer[count] = argument;
	environ = longer;
}

static void do_answer(char *argument)
{
	driver.answer = argument;
}

static void do_conversation(char *argument)
{
	const struct pam_conv none = { 0 };

	if (strcmp(argument, "none") == 0)
		set_item(PAM_CONV, &none);
	else if (strcmp(argument, "fails") == 0)
		driver.conversation_fails = true;
	else
		must(false, "conversation:none or conversation:fails");
}

static void do_prompt_user(char *argument)
{
	driver.prompt_user = argument;
}

static void do_nss_user(char *argument)
{
	driver.nss_user = argument;
}

static void do_nss_errno(char *argument)
{
	driver.nss_errno = atoi(argument);
}

static void do_show(char *argument)
{
	char **list = pam_getenvlist(driver.pamh);
	const void *user = NULL;

	(void)argument;
	must(list, "pam_getenvlist failed");
	for (char **variable = list; *variable; variable++) {
		printf("pamenv\t%s\n", *variable);
		free(*variable);
	}
	free(list);
	pam_get_item(driver.pamh, PAM_USER, &user);
	printf("user\t%s\n", user ? (const char *)user : "");
	printf("prompts\t%u\nmessages\t%u\n", driver.prompts, driver.messages);
}

static void do_secure(char *argument)
{
	(void)argument;
	printf("secure\t%lu\n", getauxval(AT_SECURE));
}

static unsigned int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	must(directory, "/proc/self/fd");
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void do_descriptors(char *argument)
{
	(void)argument;
	printf("descriptors\t%u\n", count_descriptors());
}

static void do_close_stdin(char *argument)
{
	(void)argument;
	close(STDIN_FILENO);
}

/* Takes every number below `argument`, so that the module's descriptor lies above. */
static void do_hog(char *argument)
{
	const int wanted = atoi(argument);
	const struct rlimit limit = { (rlim_t)wanted + 64, (rlim_t)wanted + 64 };

	must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit failed");
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) < wanted)
		continue;
}

/* Whole lives of a handle: libpam opens the module for each and closes it again. */
static void do_cycles(char *argument)
{
	const unsigned long cycles = strtoul(strsep(&argument, ":"), NULL, 10);
	const char *service = strsep(&argument, ":");
	unsigned long successes = 0;

	for (unsigned long i = 0; i < cycles; i++) {
		pam_handle_t *pamh = start(service, argument);
		const int code = pam_authenticate(pamh, 0);

		successes += code == PAM_SUCCESS;
		pam_end(pamh, code);
	}
	printf("successes\t%lu\n", successes);
}

struct worker {
	pthread_t thread;
	const char *service;
	const char *user;
	unsigned long rounds;
	unsigned long right;
};

static bool is_user(pam_handle_t *pamh, const char *user)
{
	const void *item = NULL;
	const char *account = pam_getenv(pamh, "CERTMAP_ACCOUNT");

	pam_get_item(pamh, PAM_USER, &item);
	return item && strcmp(item, user) == 0 && account && strcmp(account, user) == 0;
}

static long now_msec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct tally {
	unsigned long count;
	long least_msec;
	long most_msec;
};

static void tally_add(struct tally *tally, long msec)
{
	if (tally->count == 0 || msec < tally->least_msec)
		tally->least_msec = msec;
	if (msec > tally->most_msec)
		tally->most_msec = msec;
	tally->count++;
}

/* Logins one after the other for so many milliseconds, at least one: how often each code came, and
 * how soon and how late. One that succeeds as somebody else ends the program. */
static void do_loop(char *argument)
{
	struct tally tallies[32] = { 0 };
	const long end_msec = now_msec() + atol(strsep(&argument, ":"));
	const char *service = strsep(&argument, ":");

	do {
		const long begin_msec = now_msec();
		pam_handle_t *pamh = start(service, argument);
		const int code = pam_authenticate(pamh, 0);

		must(code >= 0 && code < 32, "a code that PAM does not have");
		must(code != PAM_SUCCESS || is_user(pamh, argument), "somebody else's answer");
		pam_end(pamh, code);
		tally_add(&tallies[code], now_msec() - begin_msec);
	} while (now_msec() < end_msec);
	for (int code = 0; code < 32; code++)
		if (tallies[code].count > 0)
			printf("tally\t%d\t%lu\t%ld\t%ld\n", code, tallies[code].count,
				tallies[code].least_msec, tallies[code].most_msec);
}

/* The certificate is the account's name in set mode: whose answer it was shows in PAM_USER. */
static void *work(void *context)
{
	struct worker *worker = context;
	char certificate[256];

	snprintf(certificate, sizeof(certificate), "CERT=%s", worker->user);
	for (unsigned long i = 0; i < worker->rounds; i++) {
		pam_handle_t *pamh = start(worker->service, NULL);
		int code;

		pam_putenv(pamh, certificate);
		code = pam_authenticate(pamh, 0);
		worker->right += code == PAM_SUCCESS && is_user(pamh, worker->user);
		pam_end(pamh, code);
	}
	return NULL;
}

static void do_threads(char *argument)
{
	static const char *const users[] = { "nobody", "daemon", "bin", "sys" };
	struct worker workers[16];
	const unsigned long rounds = strtoul(strsep(&argument, ":"), NULL, 10);
	unsigned long right = 0;

	for (size_t i = 0; i < 16; i++) {
		workers[i] = (struct worker){
			.service = argument,
			.user = users[i % 4],
			.rounds = rounds,
		};
		must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
			"pthread_create failed");
	}
	for (size_t i = 0; i < 16; i++) {
		pthread_join(workers[i].thread, NULL);
		right += workers[i].right;
	}
	printf("right\t%lu\n", right);
}

/* A whole authenticate with the n-th allocation failing, n = 1, 2, ..., until none is left. */
static void do_out_of_memory(char *argument)
{
	const char *service = strsep(&argument, ":");

	/* glibc 2.36 crashes where memory runs out in the very first look-up of a process
	 * (nss_database_check_reload_and_get takes NULL). */
	must(getpwnam("nobody"), "no user nobody");
	has_allocation_failed = !SANITIZED;
	for (unsigned long n = 1; has_allocation_failed && n < 1000; n++) {
		driver.pamh = start(service, argument);
		has_allocation_failed = false;
		allocation_countdown = n;
		driver.code = pam_authenticate(driver.pamh, 0);
		allocation_countdown = 0;
		printf("failing\t%d\t%d\n", has_allocation_failed, driver.code);
		do_show(NULL);
		do_end(NULL);
	}
}

/* How often a text, given backwards, stands in memory. Never forwards: this would find itself. */
__attribute__((no_sanitize("address"))) static unsigned long count_in(
	const volatile char *from, const volatile char *end, const char *backwards, size_t length)
{
	unsigned long found = 0;

	for (; from + length <= end; from++) {
		size_t i = 0;

		while (i < length && from[i] == backwards[length - 1 - i])
			i++;
		found += i == length;
	}
	return found;
}

static void do_search(char *argument)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, end, found = 0;
	char rights[5], line[512];

	must(maps, "no /proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %4s", &from, &end, rights) == 3 &&
			strncmp(rights, "rw", 2) == 0)
			found += count_in(
				(const char *)from, (const char *)end, argument, strlen(argument));
	fclose(maps);
	printf("found\t%lu\n", found);
}

static const struct {
	const char *name;
	void (*run)(char *argument);
} commands[] = {
	{ "start", do_start },
	{ "end", do_end },
	{ "authenticate", do_authenticate },
	{ "setcred", do_setcred },
	{ "account", do_account },
	{ "open", do_open },
	{ "close", do_close },
	{ "user", do_user },
	{ "service", do_service },
	{ "rhost", do_rhost },
	{ "tty", do_tty },
	{ "pamenv", do_pamenv },
	{ "fill", do_fill },
	{ "double", do_double },
	{ "answer", do_answer },
	{ "conversation", do_conversation },
	{ "prompt-user", do_prompt_user },
	{ "nss-user", do_nss_user },
	{ "nss-errno", do_nss_errno },
	{ "show", do_show },
	{ "secure", do_secure },
	{ "descriptors", do_descriptors },
	{ "close-stdin", do_close_stdin },
	{ "hog", do_hog },
	{ "cycles", do_cycles },
	{ "loop", do_loop },
	{ "threads", do_threads },
	{ "out-of-memory", do_out_of_memory },
	{ "search", do_search },
};

static void run(char *command)
{
	const char *name = strsep(&command, ":");

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].run(command);
			return;
		}
	}
	must(false, name);
}

int main(int argc, char **argv)
{
	must(argc > 1, "usage: driver CONFDIR COMMAND[:ARGUMENT] ...");
	driver.confdir = argv[1];
	for (int i = 2; i < argc; i++)
		run(argv[i]);
	if (driver.pamh)
		do_end(NULL);
	return 0;
}
