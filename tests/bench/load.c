/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load.c owns the measured loops: clients that ask one after the other, and how long each answer
 * took. Every answer is checked: a fast wrong one is no figure.
 *
 *     load exchange CLIENTS MSEC CASES SOCKET [END]     one connection for each request
 *     load login    CLIENTS MSEC CASES CONFDIR SERVICE  pam_start() to pam_end()
 *     load spawn    CLIENTS MSEC CASES PROGRAM [ARG]... one process for each request
 *
 * A client is a process of its own, as a login is. CASES is a file of cases, each two lengths (32
 * bits, little-endian), what is sent, and what must be found in the answer. They are taken in turn,
 * each client starting elsewhere. A login sends the text as CERT in the PAM environment and expects
 * that user. END, in hexadecimal, are the bytes that end an answer where the server does not close.
 *
 * Prints one line of key=value; times are in nanoseconds. Exit status 1: an answer was wrong.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define CLIENTS_MAX 1024u
/* Of one client; two seconds at the speed of the raw exchange. What comes after is not kept. */
#define SAMPLES_MAX 200000u
#define ANSWER_MAX_BYTES 65536u
#define END_MAX_BYTES 64u
#define ARGUMENTS_MAX 32u
/* Not counted: caches and branch predictors of both sides are warm after it. */
#define WARM_UP_MSEC 50u
/* A server that stands still fails the run instead of hanging it. */
#define PATIENCE_SEC 30u
#define NSEC_PER_SEC 1000000000u

struct test_case {
	const uint8_t *sent, *expected;
	size_t sent_bytes, expected_bytes;
};

/* Shared with the parent. */
struct client {
	_Atomic uint64_t count;
	uint64_t wrong;
	uint32_t nsec[SAMPLES_MAX];       /* of what is measured, */
	uint32_t whole_nsec[SAMPLES_MAX]; /* and of a login from pam_start() to pam_end() */
};

struct control {
	atomic_uint ready;
	atomic_bool starts, records, stops;
	struct client clients[];
};

struct load {
	unsigned client_count, msec;
	struct test_case *cases;
	size_t case_count;
	char **arguments; /* what the kind of load needs */
	int argument_count;
	struct sockaddr_un address;
	uint8_t end[END_MAX_BYTES];
	size_t end_bytes;
	struct control *control;
};

struct timing {
	uint64_t nsec, whole_nsec;
};

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
	exit(2);
}

static uint64_t now_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static void sleep_msec(unsigned msec)
{
	struct timespec left = { msec / 1000, (long)(msec % 1000) * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		continue;
}

/* The cases ------------------------------------------------------------------------------- */

static uint32_t take_length(const uint8_t **at)
{
	uint32_t length;

	memcpy(&length, *at, sizeof length);
	*at += sizeof length;
	return le32toh(length);
}

static const uint8_t *take_case(const uint8_t *at, struct test_case *ret)
{
	struct test_case read = { .sent_bytes = take_length(&at) };

	read.expected_bytes = take_length(&at);
	read.sent = at;
	read.expected = at + read.sent_bytes;
	*ret = read;
	return read.expected + read.expected_bytes;
}

static void read_cases(struct load *load, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct test_case ignored;
	struct stat status;
	const uint8_t *bytes, *at;
	size_t count = 0;

	must(fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0, path);
	bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	must(bytes != MAP_FAILED, path);
	close(fd);
	for (at = bytes; at < bytes + status.st_size; at = take_case(at, &ignored))
		count++;
	load->cases = calloc(count, sizeof *load->cases);
	must(load->cases != NULL, "out of memory");
	for (at = bytes; at < bytes + status.st_size; load->case_count++)
		at = take_case(at, &load->cases[load->case_count]);
}

/* The kinds of load. Each is one request, and tells whether the answer was right. ----------- */

static bool is_ended(const struct load *load, const uint8_t *answer, size_t length)
{
	return load->end_bytes > 0 && length >= load->end_bytes &&
	       memcmp(answer + length - load->end_bytes, load->end, load->end_bytes) == 0;
}

static bool exchange(const struct load *load, const struct test_case *c, struct timing *ret)
{
	const uint64_t start_nsec = now_nsec();
	uint8_t answer[ANSWER_MAX_BYTES];
	size_t length = 0;
	ssize_t got;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0, "socket");
	must(connect(fd, (const struct sockaddr *)&load->address, sizeof load->address) == 0,
		"connect");
	must(send(fd, c->sent, c->sent_bytes, MSG_NOSIGNAL) == (ssize_t)c->sent_bytes, "send");
	while (length < sizeof answer && !is_ended(load, answer, length) &&
		(got = recv(fd, answer + length, sizeof answer - length, 0)) > 0)
		length += (size_t)got;
	close(fd);
	*ret = (struct timing){ .nsec = now_nsec() - start_nsec };
	return memmem(answer, length, c->expected, c->expected_bytes) != NULL;
}

static int converse(
	int count, const struct pam_message **messages, struct pam_response **ret, void *context)
{
	(void)count;
	(void)messages;
	(void)ret;
	(void)context;
	return PAM_CONV_ERR;
}

/* The account phase and the session are left out: they are other modules' as much as ours. */
static bool log_in(const struct load *load, const struct test_case *c, struct timing *ret)
{
	static const struct pam_conv conversation = { .conv = converse };
	char user[256], certificate[ANSWER_MAX_BYTES];
	uint64_t start_nsec, before_nsec, after_nsec;
	pam_handle_t *pamh = NULL;
	int code;

	snprintf(user, sizeof user, "%.*s", (int)c->expected_bytes, (const char *)c->expected);
	snprintf(certificate, sizeof certificate, "CERT=%.*s", (int)c->sent_bytes,
		(const char *)c->sent);
	start_nsec = now_nsec();
	must(pam_start_confdir(load->arguments[1], user, &conversation, load->arguments[0],
		     &pamh) == PAM_SUCCESS &&
			pam_putenv(pamh, certificate) == PAM_SUCCESS,
		"pam_start_confdir");
	before_nsec = now_nsec();
	code = pam_authenticate(pamh, PAM_SILENT);
	after_nsec = now_nsec();
	pam_end(pamh, code);
	*ret = (struct timing){
		.nsec = after_nsec - before_nsec,
		.whole_nsec = now_nsec() - start_nsec,
	};
	return code == PAM_SUCCESS;
}

static bool spawn(const struct load *load, const struct test_case *c, struct timing *ret)
{
	const uint64_t start_nsec = now_nsec();
	char *argv[ARGUMENTS_MAX + 2] = { 0 };
	char answer[ANSWER_MAX_BYTES], last[ANSWER_MAX_BYTES];
	posix_spawn_file_actions_t actions;
	size_t length = 0;
	ssize_t got;
	int output[2], status;
	pid_t pid;

	memcpy(argv, load->arguments, sizeof *argv * (size_t)load->argument_count);
	snprintf(last, sizeof last, "%.*s", (int)c->sent_bytes, (const char *)c->sent);
	argv[load->argument_count] = last;
	must(pipe2(output, O_CLOEXEC) == 0, "pipe2");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
	errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	must(errno == 0, argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	close(output[1]);
	while ((got = read(output[0], answer + length, sizeof answer - length)) > 0)
		length += (size_t)got;
	close(output[0]);
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	*ret = (struct timing){ .nsec = now_nsec() - start_nsec };
	return status == 0 && memmem(answer, length, c->expected, c->expected_bytes);
}

static const struct {
	const char *name;
	bool (*ask)(const struct load *load, const struct test_case *c, struct timing *ret);
	int arguments_min;
} kinds[] = {
	{ "exchange", exchange, 1 },
	{ "login", log_in, 2 },
	{ "spawn", spawn, 1 },
};

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

/* Clients ----------------------------------------------------------------------------------- */

static void run_client(const struct load *load, size_t kind, unsigned index)
{
	struct control *control = load->control;
	struct client *client = &control->clients[index];
	/* Spread over the cases, so that no two clients ask for the same rows at the same time. */
	size_t next = index * load->case_count / load->client_count;
	struct timing timing;
	uint64_t count = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(PATIENCE_SEC + load->msec / 1000);
	atomic_fetch_add(&control->ready, 1);
	while (!atomic_load(&control->starts))
		usleep(100);
	while (!atomic_load_explicit(&control->stops, memory_order_relaxed)) {
		bool is_right = kinds[kind].ask(load, &load->cases[next], &timing);

		next = (next + 1) % load->case_count;
		client->wrong += !is_right;
		if (!atomic_load_explicit(&control->records, memory_order_relaxed) ||
			count == SAMPLES_MAX)
			continue;
		client->nsec[count] = (uint32_t)timing.nsec;
		client->whole_nsec[count++] = (uint32_t)timing.whole_nsec;
		atomic_store_explicit(&client->count, count, memory_order_relaxed);
	}
}

static void start_clients(const struct load *load, size_t kind)
{
	for (unsigned i = 0; i < load->client_count; i++) {
		pid_t pid = fork();

		must(pid >= 0, "fork");
		if (pid == 0) {
			run_client(load, kind, i);
			_exit(0);
		}
	}
	while (atomic_load(&load->control->ready) < load->client_count)
		usleep(100);
}

static uint64_t count_answers(const struct load *load)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < load->client_count; i++)
		count += atomic_load(&load->control->clients[i].count);
	return count;
}

/* The time that was recorded: longer than asked for where nothing was answered in it. Clients end
 * themselves when their patience is over. */
static uint64_t conduct(const struct load *load)
{
	struct control *control = load->control;
	uint64_t start_nsec, end_nsec;
	int status;

	atomic_store(&control->starts, true);
	sleep_msec(WARM_UP_MSEC);
	start_nsec = now_nsec();
	atomic_store(&control->records, true);
	sleep_msec(load->msec);
	while (count_answers(load) == 0 &&
		now_nsec() - start_nsec < PATIENCE_SEC * (uint64_t)NSEC_PER_SEC)
		sleep_msec(1);
	atomic_store(&control->records, false);
	end_nsec = now_nsec();
	atomic_store(&control->stops, true);
	for (unsigned i = 0; i < load->client_count; i++) {
		must(wait(&status) > 0, "wait");
		errno = 0;
		must(status == 0, "a client failed");
	}
	return end_nsec - start_nsec;
}

/* The figures ------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t *gather(const struct load *load, bool is_whole, size_t *ret_count)
{
	uint32_t *all;
	size_t count = count_answers(load);

	errno = 0;
	must(count > 0, "no request was answered in time");
	all = malloc(count * sizeof *all);
	must(all != NULL, "out of memory");
	*ret_count = count;
	count = 0;
	for (unsigned i = 0; i < load->client_count; i++) {
		const struct client *client = &load->control->clients[i];

		memcpy(all + count, is_whole ? client->whole_nsec : client->nsec,
			client->count * sizeof *all);
		count += client->count;
	}
	qsort(all, count, sizeof *all, compare);
	return all;
}

static void print_figures(const struct load *load, uint64_t elapsed_nsec)
{
	uint64_t wrong = 0;
	size_t count;
	uint32_t *nsec = gather(load, false, &count);
	uint32_t *whole_nsec = gather(load, true, &count);

	for (unsigned i = 0; i < load->client_count; i++)
		wrong += load->control->clients[i].wrong;
	printf("count=%zu wrong=%lu per_sec=%.1f p50=%u p90=%u p99=%u max=%u whole_p50=%u\n", count,
		wrong, (double)count * NSEC_PER_SEC / (double)elapsed_nsec, nsec[count / 2],
		nsec[count * 9 / 10], nsec[count * 99 / 100], nsec[count - 1],
		whole_nsec[count / 2]);
	free(nsec);
	free(whole_nsec);
	exit(wrong > 0);
}

/* Start ------------------------------------------------------------------------------------- */

static void set_address(struct load *load)
{
	const char *path = load->arguments[0],
		   *end = load->argument_count > 1 ? load->arguments[1] : "";
	unsigned byte;

	load->address.sun_family = AF_UNIX;
	must(strlen(path) < sizeof load->address.sun_path, "the path of the socket is too long");
	strcpy(load->address.sun_path, path);
	for (; load->end_bytes < END_MAX_BYTES && sscanf(end, "%2x", &byte) == 1; end += 2)
		load->end[load->end_bytes++] = (uint8_t)byte;
}

static struct control *share(unsigned client_count)
{
	const size_t bytes = sizeof(struct control) + client_count * sizeof(struct client);
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(memory != MAP_FAILED, "mmap");
	return memory;
}

int main(int argc, char **argv)
{
	struct load load = { 0 };
	size_t kind = 0;

	while (kind < KIND_COUNT && (argc < 2 || strcmp(kinds[kind].name, argv[1]) != 0))
		kind++;
	errno = 0;
	must(kind < KIND_COUNT && argc >= 5 + kinds[kind].arguments_min &&
			argc <= 5 + (int)ARGUMENTS_MAX,
		"usage: load exchange|login|spawn CLIENTS MSEC CASES ARGUMENT...");
	load.client_count = (unsigned)atoi(argv[2]);
	load.msec = (unsigned)atoi(argv[3]);
	must(load.client_count >= 1 && load.client_count <= CLIENTS_MAX && load.msec > 0,
		"CLIENTS are 1 to 1024, MSEC are over 0");
	load.arguments = argv + 5;
	load.argument_count = argc - 5;
	read_cases(&load, argv[4]);
	if (kinds[kind].ask == exchange)
		set_address(&load);
	load.control = share(load.client_count);
	start_clients(&load, kind);
	print_figures(&load, conduct(&load));
}
