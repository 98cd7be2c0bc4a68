/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_daemon.c owns the listener's thread. */
#include "fake_daemon.h"

#include "fuzz.h"
#include "messages.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A reply of this size is beyond every limit; what is longer says nothing new. */
#define SENT_MAX_BYTES (4 * REPLY_MAX_BYTES)

static struct {
	pthread_mutex_t lock;
	char directory[64];
	char path[96];
	int listener;
	struct span reply;
	bool was_asked;
	size_t request_length, sent_length;
	uint8_t request[REQUEST_MAX_BYTES];
	uint8_t sent[SENT_MAX_BYTES];
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool receive(int fd, uint8_t *bytes, size_t length)
{
	return recv(fd, bytes, length, MSG_WAITALL) == (ssize_t)length;
}

/* The client's own words, which must be a request whatever it was told to ask. */
static void receive_request(int fd)
{
	struct message_header header;

	MUST(receive(fd, fake.request, MESSAGE_HEADER_BYTES));
	MUST(message_read_request_header(fake.request, &header) == OK);
	MUST(receive(fd, fake.request + MESSAGE_HEADER_BYTES, header.payload_bytes));
	fake.request_length = MESSAGE_HEADER_BYTES + header.payload_bytes;
	fake.was_asked = true;
}

static struct span find_id(void)
{
	struct request request;

	MUST(message_read_request(fake.request, fake.request_length, &request) == OK);
	return request.correlation_id;
}

static void fill_in_id(void)
{
	const struct span id = find_id();
	uint8_t *place =
		memmem(fake.sent, fake.sent_length, FAKE_DAEMON_ID, sizeof(FAKE_DAEMON_ID) - 1);

	if (place && id.length == sizeof(FAKE_DAEMON_ID) - 1)
		memcpy(place, id.bytes, id.length);
}

static void answer(int fd)
{
	receive_request(fd);
	fake.sent_length = fake.reply.length < SENT_MAX_BYTES ? fake.reply.length : SENT_MAX_BYTES;
	if (fake.sent_length > 0)
		memcpy(fake.sent, fake.reply.bytes, fake.sent_length);
	fill_in_id();
	/* The client may have heard enough, and have closed. */
	(void)!send(fd, fake.sent, fake.sent_length, MSG_NOSIGNAL);
}

static void *serve(void *unused)
{
	(void)unused;
	for (;;) {
		int fd = accept(fake.listener, NULL, NULL);

		MUST(fd >= 0);
		pthread_mutex_lock(&fake.lock);
		answer(fd);
		pthread_mutex_unlock(&fake.lock);
		close(fd);
	}
	return NULL;
}

static void clean_up(void)
{
	unlink(fake.path);
	rmdir(fake.directory);
}

const char *fake_daemon_start(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	pthread_t thread;

	if (fake.path[0])
		return fake.path;
	snprintf(fake.directory, sizeof(fake.directory), "/dev/shm/certmap-fuzz-XXXXXX");
	MUST(mkdtemp(fake.directory));
	snprintf(fake.path, sizeof(fake.path), "%s/lookup", fake.directory);
	memcpy(address.sun_path, fake.path, sizeof(fake.path));
	fake.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(fake.listener >= 0 &&
		bind(fake.listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		listen(fake.listener, 1) == 0);
	MUST(pthread_create(&thread, NULL, serve, NULL) == 0);
	atexit(clean_up);
	return fake.path;
}

void fake_daemon_set_reply(struct span reply)
{
	pthread_mutex_lock(&fake.lock);
	fake.reply = reply;
	fake.was_asked = false;
	pthread_mutex_unlock(&fake.lock);
}

bool fake_daemon_take_exchange(struct span *ret_request, struct span *ret_reply)
{
	bool was_asked;

	pthread_mutex_lock(&fake.lock);
	was_asked = fake.was_asked;
	*ret_request = span_of(fake.request, fake.request_length);
	*ret_reply = span_of(fake.sent, fake.sent_length);
	fake.reply = (struct span){ 0 };
	pthread_mutex_unlock(&fake.lock);
	return was_asked;
}
