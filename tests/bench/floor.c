/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * floor.c owns what certmapd is measured against: a server that does nothing but move the bytes,
 * and the reader of log lines that stands in for journald.
 *
 *     floor serve SOCKET REPLY      answers each request with the bytes of the file REPLY, and
 * closes floor block SOCKET REPLY      the same, blocking in accept(): one idle client stops all
 * others floor activated REPLY         the same once, on the socket that systemd passes: a cold
 * start floor drain SOCKET...         takes datagrams away, and does nothing with them
 *
 * `serve` waits for its listener with epoll, as a server must that looks after more than one
 * client. A request ends where the length in its header says, as PROTOCOL.md has it.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HEADER_BYTES 12u
#define LENGTH_OFFSET 8u
#define REQUEST_MAX_BYTES 98304u
#define REPLY_MAX_BYTES 8192u
#define DATAGRAM_MAX_BYTES 65536u
#define BACKLOG 4096
#define SOCKETS_MAX 8
/* The first descriptor that systemd passes, sd_listen_fds(3). */
#define PASSED_FD 3
/* As systemd gives its journal socket (ReceiveBuffer=8M). */
#define RECEIVE_BUFFER_BYTES (8 * 1024 * 1024)

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int bind_socket(int type, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	must(fd >= 0, "socket");
	must(strlen(path) < sizeof address.sun_path, "the path of the socket is too long");
	strcpy(address.sun_path, path);
	must(bind(fd, (const struct sockaddr *)&address, sizeof address) == 0, path);
	return fd;
}

static size_t read_reply(const char *path, uint8_t reply[REPLY_MAX_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	must(fd >= 0, path);
	length = read(fd, reply, REPLY_MAX_BYTES);
	must(length > 0, path);
	close(fd);
	return (size_t)length;
}

static size_t wanted_bytes(const uint8_t *frame, size_t have)
{
	uint32_t payload_bytes;

	if (have < HEADER_BYTES)
		return HEADER_BYTES;
	memcpy(&payload_bytes, frame + LENGTH_OFFSET, sizeof payload_bytes);
	return HEADER_BYTES + be32toh(payload_bytes);
}

static void answer_one(int listen_fd, const uint8_t *reply, size_t reply_bytes)
{
	static uint8_t frame[REQUEST_MAX_BYTES];
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	size_t have = 0;
	ssize_t got;

	if (fd < 0)
		return;
	while (have < wanted_bytes(frame, have) &&
		(got = recv(fd, frame + have, sizeof frame - have, 0)) > 0)
		have += (size_t)got;
	(void)!send(fd, reply, reply_bytes, MSG_NOSIGNAL);
	close(fd);
}

static void serve(const char *path, const char *reply_path, bool blocks)
{
	static uint8_t reply[REPLY_MAX_BYTES];
	const size_t reply_bytes = read_reply(reply_path, reply);
	int fd = bind_socket(SOCK_STREAM, path), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };

	must(listen(fd, BACKLOG) == 0, "listen");
	must(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll");
	for (;;)
		if (blocks || epoll_wait(epoll, &event, 1, -1) == 1)
			answer_one(fd, reply, reply_bytes);
}

static void drain(int count, char **paths)
{
	static char datagram[DATAGRAM_MAX_BYTES];
	struct pollfd sockets[SOCKETS_MAX];
	const int bytes = RECEIVE_BUFFER_BYTES;

	for (int i = 0; i < count; i++) {
		sockets[i] = (struct pollfd){ .fd = bind_socket(SOCK_DGRAM, paths[i]),
			.events = POLLIN };
		setsockopt(sockets[i].fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
		chmod(paths[i], 0666);
	}
	for (;;) {
		must(poll(sockets, (nfds_t)count, -1) > 0 || errno == EINTR, "poll");
		for (int i = 0; i < count; i++)
			while (recv(sockets[i].fd, datagram, sizeof datagram, MSG_DONTWAIT) >= 0)
				continue;
	}
}

int main(int argc, char **argv)
{
	static uint8_t reply[REPLY_MAX_BYTES];
	const char *verb = argc > 1 ? argv[1] : "";

	if ((strcmp(verb, "serve") == 0 || strcmp(verb, "block") == 0) && argc == 4)
		serve(argv[2], argv[3], strcmp(verb, "block") == 0);
	if (strcmp(verb, "activated") == 0 && argc == 3) {
		answer_one(PASSED_FD, reply, read_reply(argv[2], reply));
		return 0;
	}
	if (strcmp(verb, "drain") == 0 && argc > 2 && argc - 2 <= SOCKETS_MAX)
		drain(argc - 2, argv + 2);
	fprintf(stderr,
		"usage: floor serve|block SOCKET REPLY | activated REPLY | drain SOCKET...\n");
	return 2;
}
