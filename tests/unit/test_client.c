/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test_client.c owns the proof that asking ends in time, with a whole answer of a trusted daemon or
 * with none, and leaves nothing behind.
 *
 * A real listener in a thread plays the daemon, well-behaved or hostile, in a directory of its own.
 */
#include "client.h"
#include "monotonic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h leans on the headers above. */
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FINGERPRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define STRANGER_UID 64321
#define MSEC 1000u

/* Nothing but a hang reaches it, also on a machine that stands still for seconds. */
#define PATIENCE_MSEC 20000u

/* What a deadline may be missed by, in one of so many tries: a machine may stand still for a while,
 * but not each time. */
#define LATE_MSEC 300u
#define TRIES 3

/* So many signals are a storm. */
#define STORM 10

/* What the playing daemon does, and sends piece by piece. */
struct script {
	const uint8_t *bytes;
	size_t length;
	size_t piece_bytes;  /* 0: all at once */
	unsigned gap_usec;   /* after each piece */
	unsigned delay_usec; /* before the first accept() */
	size_t drops;        /* connections to close before the one to answer */
	bool answers_unread; /* answers and closes without reading the request */
	bool keeps_open;     /* does not close until the client has gone */
	bool is_repeated;    /* sends `bytes` over and over, 1 MiB in all */
	bool awaits_alarm;   /* before each piece, one that the client's thread has met */
};

struct fixture {
	char directory[32];
	char path[64];
	int listener;
	size_t fds_before;
	pthread_t thread;
	bool has_thread;
	struct script script;
	bool was_cut; /* the client went before all was sent; to be read after finish() */
	uint8_t script_bytes[2 * REPLY_MAX_BYTES];
	struct client_reply reply;
	struct client_failure failure;
};

static size_t count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* --- the playing daemon --------------------------------------------------------------------- */

/* A client whose deadline passed before it came to send anything has gone: false. */
static bool read_request(int fd)
{
	uint8_t frame[REQUEST_MAX_BYTES];
	struct message_header header;
	struct request request;
	const ssize_t got = recv(fd, frame, MESSAGE_HEADER_BYTES, MSG_WAITALL);

	if (got == 0)
		return false;
	if (got != MESSAGE_HEADER_BYTES || message_read_request_header(frame, &header) != OK ||
		recv(fd, frame + MESSAGE_HEADER_BYTES, header.payload_bytes, MSG_WAITALL) !=
			(ssize_t)header.payload_bytes ||
		message_read_request(
			frame, MESSAGE_HEADER_BYTES + header.payload_bytes, &request) != OK)
		abort();
	return true;
}

static volatile sig_atomic_t alarms;

static void await_alarm(void)
{
	const uint64_t end_usec = monotonic_usec() + PATIENCE_MSEC * MSEC;
	const sig_atomic_t seen = alarms;

	while (alarms == seen && monotonic_usec() < end_usec)
		usleep(100);
}

/* False where the client goes before it has all. */
static bool send_script(int fd, const struct script *script)
{
	const size_t piece = script->piece_bytes ? script->piece_bytes : script->length;
	const size_t rounds = script->is_repeated ? 1024 * 1024 / script->length : 1;

	for (size_t round = 0; round < rounds; round++) {
		for (size_t at = 0; at < script->length; at += piece) {
			const size_t left = script->length - at;

			if (script->awaits_alarm)
				await_alarm();
			if (send(fd, script->bytes + at, left < piece ? left : piece,
				    MSG_NOSIGNAL) < 0)
				return false;
			if (script->gap_usec)
				usleep(script->gap_usec);
		}
	}
	return true;
}

static void *serve(void *argument)
{
	struct fixture *fixture = argument;
	const struct script *script = &fixture->script;

	if (script->delay_usec)
		usleep(script->delay_usec);
	for (size_t i = 0; i < script->drops; i++)
		close(accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC));
	const int fd = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (script->answers_unread || read_request(fd))
		fixture->was_cut = !send_script(fd, script);
	if (script->keeps_open)
		poll(&(struct pollfd){ .fd = fd, .events = POLLRDHUP }, 1, PATIENCE_MSEC);
	close(fd);
	return NULL;
}

/* The bytes are copied: the thread may outlive the test that wrote them to its stack. */
static void start(struct fixture *fixture, struct script script)
{
	assert_true(script.length <= sizeof fixture->script_bytes);
	if (script.length > 0)
		memcpy(fixture->script_bytes, script.bytes, script.length);
	script.bytes = fixture->script_bytes;
	fixture->script = script;
	assert_int_equal(pthread_create(&fixture->thread, NULL, serve, fixture), 0);
	fixture->has_thread = true;
}

/* After an exchange that came as far as accept(). */
static void finish(struct fixture *fixture)
{
	pthread_join(fixture->thread, NULL);
	fixture->has_thread = false;
}

/* A client that gave up before accept() leaves its connection in the queue, so the thread ends by
 * itself; one that never connected does not, and the shutdown wakes it. */
static void stop(struct fixture *fixture)
{
	if (!fixture->has_thread)
		return;
	shutdown(fixture->listener, SHUT_RDWR);
	finish(fixture);
}

static int listen_at(const char *path, int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* After close(): stop() leaves the listener of no use. */
static void listen_again(struct fixture *fixture)
{
	unlink(fixture->path);
	fixture->listener = listen_at(fixture->path, 16);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	fixture->fds_before = count_fds();
	strcpy(fixture->directory, "/tmp/certmap-client-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof fixture->path, "%s/lookup", fixture->directory);
	fixture->listener = listen_at(fixture->path, 16);
	*state = fixture;
	return 0;
}

/* Every test ends with the descriptors that it began with. */
static int teardown(void **state)
{
	struct fixture *fixture = *state;

	stop(fixture);
	close(fixture->listener);
	unlink(fixture->path);
	rmdir(fixture->directory);
	const size_t fds_after = count_fds();
	const size_t fds_before = fixture->fds_before;
	free(fixture);
	return fds_after == fds_before ? 0 : -1;
}

/* --- asking --------------------------------------------------------------------------------- */

static struct request good_request(void)
{
	return (struct request){
		.phase = PHASE_AUTHENTICATE,
		.mode = MODE_MATCH,
		.kind = EVIDENCE_CERTIFICATE,
		.service = span_of_string("proftpd"),
		.user = span_of_string("alice"),
		.evidence = span_of_string("MIIB"),
		.correlation_id = span_of_string("00c0ffee"),
	};
}

static size_t good_reply(uint8_t frame[REPLY_MAX_BYTES], const char *correlation_id)
{
	const struct reply reply = {
		.reason = REASON_ALLOWED,
		.account = span_of_string("alice"),
		.has_mapping_id = true,
		.mapping_id = 7,
		.fingerprint = span_of_string(FINGERPRINT),
		.credential = span_of_string("hunter2"),
		.correlation_id = span_of_string(correlation_id),
	};
	size_t length = 0;

	assert_int_equal(message_write_reply(&reply, frame, REPLY_MAX_BYTES, &length), OK);
	return length;
}

static enum error ask(struct fixture *fixture, const char *path, unsigned timeout_msec)
{
	const struct request request = good_request();

	return client_ask(path, monotonic_usec() + timeout_msec * MSEC, &request, &fixture->reply,
		&fixture->failure);
}

/* A refusal leaves no reply, above all no "allowed", and says what was wrong. */
static void assert_no_answer(struct fixture *fixture)
{
	static const uint8_t nothing[REPLY_MAX_BYTES];

	assert_int_equal(fixture->reply.reply.reason, REASON_UNKNOWN);
	assert_false(span_is_present(fixture->reply.reply.account));
	assert_memory_equal(fixture->reply.frame, nothing, sizeof nothing);
	assert_non_null(fixture->failure.what);
}

static void assert_refused(struct fixture *fixture, const char *path, enum error expected)
{
	memset(&fixture->reply, 0x55, sizeof fixture->reply);
	fixture->failure = (struct client_failure){ 0 };
	const enum error err = ask(fixture, path, PATIENCE_MSEC);
	if (err != expected)
		fail_msg("expected \"%s\", got \"%s\": %s", error_text(expected), error_text(err),
			fixture->failure.what);
	assert_no_answer(fixture);
}

static void assert_allowed(struct fixture *fixture, const char *path)
{
	const enum error err = ask(fixture, path, PATIENCE_MSEC);

	if (err != OK)
		fail_msg("%s: %s, %s", error_text(err), fixture->failure.what,
			strerror(fixture->failure.errno_value));
	assert_int_equal(fixture->reply.reply.reason, REASON_ALLOWED);
	assert_true(span_is_equal(fixture->reply.reply.account, span_of_string("alice")));
	assert_true(span_is_equal(fixture->reply.reply.correlation_id, span_of_string("00c0ffee")));
}

/* Asks somebody who does not answer in time; whether it ended soon after its deadline. It must not
 * end before. */
static bool ends_soon(struct fixture *fixture, unsigned deadline_msec)
{
	const uint64_t start_usec = monotonic_usec();
	const enum error err = ask(fixture, fixture->path, deadline_msec);
	const uint64_t took_usec = monotonic_usec() - start_usec;

	assert_int_equal(err, ERROR_DEADLINE);
	assert_no_answer(fixture);
	assert_true(took_usec >= deadline_msec * MSEC);
	return took_usec < (deadline_msec + LATE_MSEC) * MSEC;
}

/* A daemon that plays with one connection leaves the next ones in its queue, which is silence. */
static void assert_ends_soon(struct fixture *fixture, unsigned deadline_msec)
{
	unsigned tries = 1;

	while (!ends_soon(fixture, deadline_msec))
		assert_true(tries++ < TRIES);
}

/* --- answers -------------------------------------------------------------------------------- */

static void client_gives_the_reply(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];

	start(fixture, (struct script){ .bytes = frame, .length = good_reply(frame, "00c0ffee") });
	assert_allowed(fixture, fixture->path);
	/* The spans belong to the reply's own memory. */
	assert_ptr_equal(fixture->reply.reply.account.bytes, fixture->reply.frame + 12 + 6 + 7 + 6);
}

static void client_reads_a_reply_that_comes_byte_by_byte(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];

	start(fixture, (struct script){ .bytes = frame,
			       .length = good_reply(frame, "00c0ffee"),
			       .piece_bytes = 1,
			       .gap_usec = 500 });
	assert_allowed(fixture, fixture->path);
}

/* One deadline in all: a byte now and then does not move it. */
static void client_keeps_its_deadline_against_a_slow_reply(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];
	const struct script script = { .bytes = frame,
		.length = good_reply(frame, "00c0ffee"),
		.piece_bytes = 1,
		.gap_usec = 5 * MSEC };
	unsigned tries = 1;

	start(fixture, script);
	while (!ends_soon(fixture, 100)) {
		assert_true(tries++ < TRIES);
		stop(fixture);
		close(fixture->listener);
		listen_again(fixture);
		start(fixture, script);
	}
}

static void client_waits_for_the_end_of_the_stream(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];

	start(fixture, (struct script){ .bytes = frame,
			       .length = good_reply(frame, "00c0ffee"),
			       .keeps_open = true });
	assert_int_equal(ask(fixture, fixture->path, 100), ERROR_DEADLINE);
	assert_no_answer(fixture);
}

static void client_reads_the_largest_reply(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];
	const size_t good = good_reply(frame, "00c0ffee");
	/* A later minor version's field fills the frame to its limit. */
	const size_t filler = REPLY_MAX_BYTES - good - 6;

	frame[good + 1] = 0x63;
	frame[good] = frame[good + 2] = frame[good + 3] = 0;
	frame[good + 4] = (uint8_t)(filler >> 8);
	frame[good + 5] = (uint8_t)filler;
	memset(frame + good + 6, 0, filler);
	frame[10] = (REPLY_MAX_BYTES - 12) >> 8;
	frame[11] = (REPLY_MAX_BYTES - 12) & 0xff;
	start(fixture, (struct script){ .bytes = frame, .length = sizeof frame });
	assert_allowed(fixture, fixture->path);
}

static void client_reads_the_answer_of_a_daemon_that_reads_no_further(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];
	struct request request = good_request();
	uint8_t *evidence = malloc(EVIDENCE_MAX_BYTES);

	assert_non_null(evidence);
	memset(evidence, 'a', EVIDENCE_MAX_BYTES);
	request.evidence = span_of(evidence, EVIDENCE_MAX_BYTES);
	start(fixture, (struct script){ .bytes = frame,
			       .length = good_reply(frame, "00c0ffee"),
			       .answers_unread = true });
	assert_int_equal(client_ask(fixture->path, monotonic_usec() + PATIENCE_MSEC * MSEC,
				 &request, &fixture->reply, &fixture->failure),
		OK);
	assert_int_equal(fixture->reply.reply.reason, REASON_ALLOWED);
	free(evidence);
}

static void client_sends_the_largest_request(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];
	struct request request = good_request();
	uint8_t *evidence = malloc(EVIDENCE_MAX_BYTES);
	const int small = 4096;

	assert_non_null(evidence);
	memset(evidence, 'a', EVIDENCE_MAX_BYTES);
	request.evidence = span_of(evidence, EVIDENCE_MAX_BYTES);
	request.kind = EVIDENCE_NAMES;
	request.evidence_second = span_of(evidence, EVIDENCE_SECOND_MAX_BYTES);
	/* The daemon's buffer does not bound what a sender may queue; being late to read does. */
	assert_int_equal(
		setsockopt(fixture->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	start(fixture, (struct script){ .bytes = frame,
			       .length = good_reply(frame, "00c0ffee"),
			       .delay_usec = 20 * MSEC });
	assert_int_equal(client_ask(fixture->path, monotonic_usec() + PATIENCE_MSEC * MSEC,
				 &request, &fixture->reply, &fixture->failure),
		OK);
	free(evidence);
}

/* --- hostile and broken replies ------------------------------------------------------------- */

static void assert_reply_refused(
	void **state, const void *bytes, size_t length, enum error expected)
{
	struct fixture *fixture = *state;

	start(fixture, (struct script){ .bytes = bytes, .length = length });
	assert_refused(fixture, fixture->path, expected);
}

static void client_refuses_two_replies(void **state)
{
	uint8_t frames[2 * REPLY_MAX_BYTES];
	const size_t length = good_reply(frames, "00c0ffee");

	memcpy(frames + length, frames, length);
	assert_reply_refused(state, frames, 2 * length, ERROR_MALFORMED);
}

static void client_refuses_one_byte_after_the_reply(void **state)
{
	uint8_t frame[REPLY_MAX_BYTES + 1];
	const size_t length = good_reply(frame, "00c0ffee");

	frame[length] = '\n';
	assert_reply_refused(state, frame, length + 1, ERROR_MALFORMED);
}

static void client_refuses_a_byte_that_comes_later_than_the_reply(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES + 1];
	const size_t length = good_reply(frame, "00c0ffee");

	frame[length] = 0;
	start(fixture, (struct script){ .bytes = frame,
			       .length = length + 1,
			       .piece_bytes = length,
			       .gap_usec = 20 * MSEC });
	assert_refused(fixture, fixture->path, ERROR_MALFORMED);
}

static void client_refuses_the_reply_to_another_request(void **state)
{
	uint8_t frame[REPLY_MAX_BYTES];

	assert_reply_refused(state, frame, good_reply(frame, "00c0ffef"), ERROR_MALFORMED);
}

static void client_refuses_a_correlation_id_that_only_begins_alike(void **state)
{
	uint8_t frame[REPLY_MAX_BYTES];

	assert_reply_refused(state, frame, good_reply(frame, "00c0ffee0"), ERROR_MALFORMED);
}

static void client_takes_a_reply_without_correlation_id_for_none(void **state)
{
	struct fixture *fixture = *state;
	const struct reply unreadable = { .reason = REASON_UNAVAILABLE };
	uint8_t frame[REPLY_MAX_BYTES];
	size_t length = 0;

	assert_int_equal(message_write_reply(&unreadable, frame, sizeof frame, &length), OK);
	assert_reply_refused(state, frame, length, ERROR_MALFORMED);
	assert_string_equal(fixture->failure.what, "daemon did not read the request");
}

static void client_refuses_lengths_that_are_none(void **state)
{
	static const struct {
		const char *header;
		enum error expected;
	} rows[] = {
		{ "CMAP\x01\x02\0\0\0\0\0\0", ERROR_MALFORMED },
		{ "CMAP\x01\x02\0\0\x7f\xff\xff\xff", ERROR_MALFORMED },
		{ "CMAP\x01\x02\0\0\xff\xff\xff\xff", ERROR_MALFORMED },
		{ "CMAP\x01\x02\0\0\0\0\x1f\xf5", ERROR_MALFORMED },
		{ "CMAP\x02\x02\0\0\0\0\0\0", ERROR_VERSION },
		{ "CMAP\x01\x01\0\0\0\0\0\0", ERROR_MALFORMED },
		{ "HTTP/1.1 400", ERROR_MALFORMED },
		/* Says one byte more than there is. */
		{ "CMAP\x01\x02\0\0\0\0\0\x01", ERROR_PEER },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_reply_refused(state, rows[i].header, 12, rows[i].expected);
		finish(*state);
	}
}

static void client_reads_no_more_than_the_header_of_a_megabyte(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, (struct script){ .bytes = (const uint8_t *)"CMAP\x01\x02\0\0\0\x10\0\0zzzz",
			       .length = 16,
			       .is_repeated = true });
	assert_refused(fixture, fixture->path, ERROR_MALFORMED);
	finish(fixture);
	/* What a socket holds is a part of it. */
	assert_true(fixture->was_cut);
}

static void client_refuses_every_reply_that_ends_early(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];
	const size_t length = good_reply(frame, "00c0ffee");

	/* Length 0 is a daemon that closes at once. */
	for (size_t cut = 0; cut < length; cut++) {
		start(fixture, (struct script){ .bytes = frame, .length = cut });
		assert_refused(fixture, fixture->path, ERROR_PEER);
		finish(fixture);
	}
}

/* The kernel makes this a reset, not an end: our request was not read. */
static void client_survives_a_daemon_that_closes_without_reading(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, (struct script){ .answers_unread = true });
	assert_refused(fixture, fixture->path, ERROR_PEER);
}

static void client_keeps_its_deadline_against_silence(void **state)
{
	struct fixture *fixture = *state;

	start(fixture, (struct script){ .keeps_open = true });
	assert_ends_soon(fixture, 60);
}

static void client_does_not_begin_after_its_deadline(void **state)
{
	struct fixture *fixture = *state;
	const struct request request = good_request();

	assert_int_equal(client_ask(fixture->path, monotonic_usec(), &request, &fixture->reply,
				 &fixture->failure),
		ERROR_DEADLINE);
	assert_no_answer(fixture);
	assert_int_equal(client_ask(fixture->path, 0, &request, &fixture->reply, &fixture->failure),
		ERROR_DEADLINE);
}

/* --- the backlog ---------------------------------------------------------------------------- */

/* Connects without waiting until the kernel says that the queue is full. */
static size_t fill_backlog(const struct fixture *fixture, int fds[], size_t capacity)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, fixture->path);
	for (size_t count = 0; count < capacity; count++) {
		fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(fds[count] >= 0);
		if (connect(fds[count], (struct sockaddr *)&address, sizeof address) != 0) {
			assert_int_equal(errno, EAGAIN);
			return count + 1;
		}
	}
	fail_msg("the backlog never filled");
	return 0;
}

static void close_all(const int fds[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

static void client_keeps_its_deadline_at_a_full_backlog(void **state)
{
	struct fixture *fixture = *state;
	int fds[16];

	assert_int_equal(listen(fixture->listener, 4), 0);
	const size_t count = fill_backlog(fixture, fds, COUNT(fds));
	assert_ends_soon(fixture, 120);
	assert_string_equal(fixture->failure.what, "connect");
	close_all(fds, count);
}

static void client_gets_in_once_the_backlog_empties(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];
	int fds[16];

	assert_int_equal(listen(fixture->listener, 2), 0);
	const size_t count = fill_backlog(fixture, fds, COUNT(fds));
	start(fixture, (struct script){ .bytes = frame,
			       .length = good_reply(frame, "00c0ffee"),
			       .delay_usec = 30 * MSEC,
			       .drops = count - 1 });
	assert_allowed(fixture, fixture->path);
	close_all(fds, count);
}

/* --- the place and the peer ----------------------------------------------------------------- */

static void client_refuses_what_is_no_socket_of_a_daemon(void **state)
{
	struct fixture *fixture = *state;
	char missing[80];

	snprintf(missing, sizeof missing, "%s/missing", fixture->directory);
	assert_refused(fixture, missing, ERROR_PEER);
	assert_int_equal(fixture->failure.errno_value, ENOENT);

	assert_int_equal(mkdir(missing, 0700), 0);
	assert_refused(fixture, missing, ERROR_PEER);
	rmdir(missing);

	close(open(missing, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_refused(fixture, missing, ERROR_PEER);
	unlink(missing);

	assert_int_equal(symlink(fixture->path, missing), 0);
	assert_refused(fixture, missing, ERROR_PEER);
	unlink(missing);
}

static void client_refuses_a_socket_that_nobody_listens_on(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t start_usec = monotonic_usec();

	close(fixture->listener);
	assert_refused(fixture, fixture->path, ERROR_PEER);
	assert_int_equal(fixture->failure.errno_value, ECONNREFUSED);
	/* The deadline is not waited for. */
	assert_in_range(monotonic_usec() - start_usec, 0, PATIENCE_MSEC * MSEC / 2);
	listen_again(fixture);
}

static void client_refuses_a_directory_that_others_can_write(void **state)
{
	static const mode_t modes[] = { 0720, 0702, 01777 };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < COUNT(modes); i++) {
		assert_int_equal(chmod(fixture->directory, modes[i]), 0);
		assert_refused(fixture, fixture->path, ERROR_PEER);
		assert_non_null(strstr(fixture->failure.what, "writable"));
	}
	assert_int_equal(chmod(fixture->directory, 0755), 0);
}

static void client_refuses_a_directory_behind_a_symbolic_link(void **state)
{
	struct fixture *fixture = *state;
	char link[80];
	char path[96];

	snprintf(link, sizeof link, "%s-link", fixture->directory);
	snprintf(path, sizeof path, "%s/lookup", link);
	assert_int_equal(symlink(fixture->directory, link), 0);
	assert_refused(fixture, path, ERROR_PEER);
	assert_non_null(strstr(fixture->failure.what, "symbolic link"));
	unlink(link);
}

static void client_refuses_paths_that_are_none(void **state)
{
	struct fixture *fixture = *state;
	char path[120] = "/";

	assert_refused(fixture, "", ERROR_PEER);
	assert_refused(fixture, "lookup", ERROR_PEER);
	assert_refused(fixture, "/", ERROR_PEER);
	/* sun_path has 108 bytes, unix(7), and one is the terminator's. */
	memset(path + 1, 'a', 106);
	assert_refused(fixture, path, ERROR_PEER);
	path[107] = 'a';
	assert_refused(fixture, path, ERROR_TOO_LARGE);
}

static void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void client_refuses_foreign_owners(void **state)
{
	struct fixture *fixture = *state;

	skip_unless_root();
	assert_int_equal(chown(fixture->path, STRANGER_UID, 0), 0);
	assert_refused(fixture, fixture->path, ERROR_PEER);
	assert_non_null(strstr(fixture->failure.what, "socket file is owned"));
	assert_int_equal(chown(fixture->path, 0, 0), 0);

	assert_int_equal(chown(fixture->directory, STRANGER_UID, 0), 0);
	assert_refused(fixture, fixture->path, ERROR_PEER);
	assert_non_null(strstr(fixture->failure.what, "directory of the socket is owned"));
	assert_int_equal(chown(fixture->directory, 0, 0), 0);
}

/* What the peer sees is who called listen(), unix(7), so the socket may be root's and yet not. */
static void listen_as(const struct fixture *fixture, uid_t uid)
{
	assert_int_equal(seteuid(uid), 0);
	const int failed = listen(fixture->listener, 16);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(failed, 0);
}

static void client_refuses_a_squatter(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];

	skip_unless_root();
	listen_as(fixture, STRANGER_UID);
	start(fixture, (struct script){ .bytes = frame,
			       .length = good_reply(frame, "00c0ffee"),
			       .answers_unread = true });
	assert_refused(fixture, fixture->path, ERROR_PEER);
	assert_non_null(strstr(fixture->failure.what, "listener is neither"));
}

/* A passwd file of our own, seen by this process alone. False where that is not allowed. */
static bool give_the_daemon_a_user(const struct fixture *fixture)
{
	char path[80];
	FILE *file;

	snprintf(path, sizeof path, "%s/passwd", fixture->directory);
	if (!(file = fopen(path, "we")))
		return false;
	/* The files backend of NSS wants a line's room even for entries that it passes over. */
	fprintf(file, "root:x:0:0:%01500d:/root:/bin/sh\n", 0);
	fprintf(file, "certmap:x:%d:%d::/:/usr/sbin/nologin\n", STRANGER_UID, STRANGER_UID);
	fclose(file);
	const bool bound = unshare(CLONE_NEWNS) == 0 &&
			   mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			   mount(path, "/etc/passwd", NULL, MS_BIND, NULL) == 0;
	unlink(path);
	return bound;
}

static int ask_in_a_child(struct fixture *fixture)
{
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(!give_the_daemon_a_user(fixture)                     ? 77
			: ask(fixture, fixture->path, PATIENCE_MSEC) == OK ? 0
									   : 1);
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void client_trusts_the_daemons_own_user(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];

	skip_unless_root();
	listen_as(fixture, STRANGER_UID);
	start(fixture, (struct script){ .bytes = frame,
			       .length = good_reply(frame, "00c0ffee"),
			       .answers_unread = true });
	const int status = ask_in_a_child(fixture);
	stop(fixture);
	if (status == 77)
		skip(); /* a container without mounts */
	assert_int_equal(status, 0);
}

static void client_does_not_trust_another_user_for_the_daemons(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];

	skip_unless_root();
	listen_as(fixture, STRANGER_UID + 1);
	start(fixture, (struct script){ .bytes = frame,
			       .length = good_reply(frame, "00c0ffee"),
			       .answers_unread = true });
	const int status = ask_in_a_child(fixture);
	stop(fixture);
	if (status == 77)
		skip(); /* a container without mounts */
	assert_int_equal(status, 1);
}

/* --- the request ---------------------------------------------------------------------------- */

static void client_sends_nothing_that_breaks_the_protocol(void **state)
{
	struct fixture *fixture = *state;
	struct request request = good_request();
	struct pollfd listener = { .fd = fixture->listener, .events = POLLIN };

	request.user = span_of_string("root\n");
	assert_int_equal(client_ask(fixture->path, monotonic_usec() + PATIENCE_MSEC * MSEC,
				 &request, &fixture->reply, &fixture->failure),
		ERROR_MALFORMED);
	assert_no_answer(fixture);
	request = good_request();
	request.evidence.length = EVIDENCE_MAX_BYTES + 1;
	assert_int_equal(client_ask(fixture->path, monotonic_usec() + PATIENCE_MSEC * MSEC,
				 &request, &fixture->reply, &fixture->failure),
		ERROR_TOO_LARGE);
	assert_no_answer(fixture);
	assert_int_equal(poll(&listener, 1, 0), 0);
}

/* --- the host ------------------------------------------------------------------------------- */

static void client_works_beyond_1024_descriptors(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];
	struct rlimit before;
	int fds[1100];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit more = { .rlim_cur = 2048, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	start(fixture, (struct script){ .bytes = frame,
			       .length = good_reply(frame, "00c0ffee"),
			       .delay_usec = 5 * MSEC });
	assert_allowed(fixture, fixture->path);
	close_all(fds, COUNT(fds));
	setrlimit(RLIMIT_NOFILE, &before);
}

static void client_says_when_the_process_has_no_descriptor_left(void **state)
{
	struct fixture *fixture = *state;
	struct rlimit before;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit none = { .rlim_cur = 3, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	const enum error err = ask(fixture, fixture->path, PATIENCE_MSEC);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(err, ERROR_SYSTEM);
	assert_int_equal(fixture->failure.errno_value, EMFILE);
	assert_no_answer(fixture);
}

static void on_alarm(int signal_number)
{
	(void)signal_number;
	alarms++;
}

/* Signals come as fast as the kernel gives them, to a handler without SA_RESTART. */
static void set_alarms(bool on)
{
	const struct sigaction action = { .sa_handler = on ? on_alarm : SIG_DFL };
	const struct itimerval timer = { .it_interval = { .tv_usec = on ? 200 : 0 },
		.it_value = { .tv_usec = on ? 200 : 0 } };

	/* The handler stays until the last signal has come. */
	if (on)
		sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	if (!on) {
		usleep(1000);
		sigaction(SIGALRM, &action, NULL);
	}
}

/* The thread of the playing daemon blocks the signal, so that all of them meet the client. */
static void start_without_alarms(struct fixture *fixture, struct script script)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	start(fixture, script);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void client_answers_in_a_storm_of_signals(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];

	start_without_alarms(fixture, (struct script){ .bytes = frame,
					      .length = good_reply(frame, "00c0ffee"),
					      .piece_bytes = 8,
					      .awaits_alarm = true });
	alarms = 0;
	set_alarms(true);
	const enum error err = ask(fixture, fixture->path, PATIENCE_MSEC);
	set_alarms(false);
	assert_int_equal(err, OK);
	assert_int_equal(fixture->reply.reply.reason, REASON_ALLOWED);
	assert_true(alarms > STORM);
}

/* A loaded machine delivers few signals in a short time. */
static void client_keeps_its_deadline_in_a_storm_of_signals(void **state)
{
	struct fixture *fixture = *state;
	unsigned deadline_msec = 30;
	unsigned late = 0;
	bool is_soon;

	start_without_alarms(fixture, (struct script){ .keeps_open = true });
	do {
		deadline_msec *= 2;
		assert_true(deadline_msec < PATIENCE_MSEC);
		alarms = 0;
		set_alarms(true);
		is_soon = ends_soon(fixture, deadline_msec);
		set_alarms(false);
		late += !is_soon;
		assert_true(late < TRIES);
	} while (!is_soon || alarms <= STORM);
}

static void *ask_in_a_thread(void *argument)
{
	struct fixture *fixture = argument;
	static enum error err;

	err = ask(fixture, fixture->path, PATIENCE_MSEC);
	return &err;
}

/* A login process may give its threads little more than PTHREAD_STACK_MIN; the largest request
 * would not fit. glibc's NSS is not asked here. */
static void client_needs_little_stack(void **state)
{
	struct fixture *fixture = *state;
	uint8_t frame[REPLY_MAX_BYTES];
	pthread_attr_t attributes;
	pthread_t thread;
	void *err = NULL;

	start(fixture, (struct script){ .bytes = frame, .length = good_reply(frame, "00c0ffee") });
	pthread_attr_init(&attributes);
	assert_int_equal(pthread_attr_setstacksize(&attributes, 32768), 0);
	assert_int_equal(pthread_create(&thread, &attributes, ask_in_a_thread, fixture), 0);
	pthread_attr_destroy(&attributes);
	pthread_join(thread, &err);
	assert_int_equal(*(enum error *)err, OK);
}

#define CLIENT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(client_gives_the_reply),
		CLIENT_TEST(client_reads_a_reply_that_comes_byte_by_byte),
		CLIENT_TEST(client_keeps_its_deadline_against_a_slow_reply),
		CLIENT_TEST(client_waits_for_the_end_of_the_stream),
		CLIENT_TEST(client_reads_the_largest_reply),
		CLIENT_TEST(client_reads_the_answer_of_a_daemon_that_reads_no_further),
		CLIENT_TEST(client_sends_the_largest_request),
		CLIENT_TEST(client_refuses_two_replies),
		CLIENT_TEST(client_refuses_one_byte_after_the_reply),
		CLIENT_TEST(client_refuses_a_byte_that_comes_later_than_the_reply),
		CLIENT_TEST(client_refuses_the_reply_to_another_request),
		CLIENT_TEST(client_refuses_a_correlation_id_that_only_begins_alike),
		CLIENT_TEST(client_takes_a_reply_without_correlation_id_for_none),
		CLIENT_TEST(client_refuses_lengths_that_are_none),
		CLIENT_TEST(client_reads_no_more_than_the_header_of_a_megabyte),
		CLIENT_TEST(client_refuses_every_reply_that_ends_early),
		CLIENT_TEST(client_survives_a_daemon_that_closes_without_reading),
		CLIENT_TEST(client_keeps_its_deadline_against_silence),
		CLIENT_TEST(client_does_not_begin_after_its_deadline),
		CLIENT_TEST(client_keeps_its_deadline_at_a_full_backlog),
		CLIENT_TEST(client_gets_in_once_the_backlog_empties),
		CLIENT_TEST(client_refuses_what_is_no_socket_of_a_daemon),
		CLIENT_TEST(client_refuses_a_socket_that_nobody_listens_on),
		CLIENT_TEST(client_refuses_a_directory_that_others_can_write),
		CLIENT_TEST(client_refuses_a_directory_behind_a_symbolic_link),
		CLIENT_TEST(client_refuses_paths_that_are_none),
		CLIENT_TEST(client_refuses_foreign_owners),
		CLIENT_TEST(client_refuses_a_squatter),
		CLIENT_TEST(client_trusts_the_daemons_own_user),
		CLIENT_TEST(client_does_not_trust_another_user_for_the_daemons),
		CLIENT_TEST(client_sends_nothing_that_breaks_the_protocol),
		CLIENT_TEST(client_works_beyond_1024_descriptors),
		CLIENT_TEST(client_says_when_the_process_has_no_descriptor_left),
		CLIENT_TEST(client_answers_in_a_storm_of_signals),
		CLIENT_TEST(client_keeps_its_deadline_in_a_storm_of_signals),
		CLIENT_TEST(client_needs_little_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
