/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks certmapd whether a certificate is allowed for an account: a client of the lookup protocol,
 * written from PROTOCOL.md alone, with the C library alone. As root or in group certmap-clients:
 *
 *     cc -o ask ask.c && ./ask proftpd alice < alice.pem      (a third argument is the socket)
 *
 * Prints the reason; exit status 0 for "allowed", 1 for every other.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <libgen.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { REASON = 1, ACCOUNT, UID, MAPPING_ID, FINGERPRINT, SUBJECT, CREDENTIAL, ID, SHADOW };
enum { HEADER = 12, EVIDENCE_MAX = 65536, REPLY_MAX = 8192, DEADLINE_SEC = 2 };
static const uint16_t least[] = { 0, 1, 1, 4, 8, 64, 0, 1, 1, 1 }; /* section 4 */
static const uint16_t most[] = { 0, 64, 256, 4, 8, 64, 1024, 1024, 64, 64 };

struct field {
	const uint8_t *bytes;
	uint32_t length;
};

/* One deadline for all of it, which no single byte extends. */
static void end_late(int signal)
{
	(void)signal;
	_exit(write(STDOUT_FILENO, "unavailable\n", strlen("unavailable\n")) > 0 ? 1 : 2);
}

static size_t put(uint8_t *at, unsigned number, const void *value, size_t length)
{
	const uint16_t tag = htons(number == 10 ? 10 : number | 0x8000); /* an id is not critical */
	const uint32_t size = htonl(length);

	memcpy(at, &tag, 2), memcpy(at + 2, &size, 4), memcpy(at + 6, value, length);
	return 6 + length;
}

static bool is_mine(const struct stat *status)
{
	return status->st_uid == 0 || status->st_uid == geteuid();
}

/* Whoever answers decides: the place, and whoever listens there, must be the administrator's. */
static bool is_trusted(int fd, const char *path)
{
	const struct passwd *daemon = getpwnam("certmap");
	struct stat directory, file;
	struct ucred peer;
	socklen_t size = sizeof peer;
	char copy[128];

	snprintf(copy, sizeof copy, "%s", path);
	return path[0] == '/' && lstat(dirname(copy), &directory) == 0 && lstat(path, &file) == 0 &&
	       S_ISDIR(directory.st_mode) && is_mine(&directory) && !(directory.st_mode & 022) &&
	       S_ISSOCK(file.st_mode) && is_mine(&file) &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid() || (daemon && peer.uid == daemon->pw_uid));
}

/* The length of what came back; 0: nothing that counts. */
static size_t exchange(const char *path, const uint8_t *request, size_t length, uint8_t *reply)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t got = 0;
	ssize_t count;

	if (fd < 0 || strlen(path) >= sizeof address.sun_path)
		return 0;
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 || !is_trusted(fd, path))
		return 0;
	for (size_t sent = 0; sent < length; sent += (size_t)count)
		if ((count = send(fd, request + sent, length - sent, MSG_NOSIGNAL)) < 0)
			break; /* it may have answered and closed already */
	while ((count = recv(fd, reply + got, REPLY_MAX + 1 - got, 0)) > 0)
		got += (size_t)count;
	return got <= REPLY_MAX && (count == 0 || errno == ECONNRESET) ? got : 0;
}

static bool parse(const uint8_t *at, size_t length, struct field fields[SHADOW + 1])
{
	const uint8_t *end = at + length;
	uint32_t size = 0, last = 0;
	uint16_t tag = 0;

	if (length < HEADER || memcmp(at, "CMAP\1\2\0\0", 8) != 0 ||
		(memcpy(&size, at + 8, 4), ntohl(size) != length - HEADER))
		return false;
	for (at += HEADER; at < end; at += size) {
		if (end - at < 6)
			return false;
		memcpy(&tag, at, 2), memcpy(&size, at + 2, 4), at += 6;
		const unsigned number = ntohs(tag) & 0x7fff;
		if ((size = ntohl(size)) > (size_t)(end - at) || number <= last ||
			(number > SHADOW ? ntohs(tag) >= 0x8000
					 : size < least[number] || size > most[number]))
			return false;
		if (number <= SHADOW)
			fields[number] = (struct field){ at, size };
		last = number;
	}
	return fields[REASON].bytes;
}

static bool is(struct field field, const char *text)
{
	return field.length == strlen(text) && memcmp(field.bytes, text, field.length) == 0;
}

/* The reason that a reply to this request comes to. */
static const char *judge(const struct field *fields, const char *account, const char *id)
{
	static char word[64 + 1];
	const struct passwd *entry = getpwnam(account);
	uint32_t uid;

	memcpy(word, fields[REASON].bytes, fields[REASON].length);
	if (strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") != fields[REASON].length ||
		!(is(fields[ID], id) || (!fields[ID].bytes && strcmp(word, "forbidden") == 0)))
		return "unavailable";
	if (strcmp(word, "allowed") != 0)
		return word;
	if (!fields[MAPPING_ID].bytes || !fields[FINGERPRINT].bytes || fields[SHADOW].bytes ||
		!is(fields[ACCOUNT], account))
		return "unavailable";
	if (!entry || entry->pw_uid == 0)
		return entry ? "root-refused" : "account-missing";
	if (fields[UID].bytes && (memcpy(&uid, fields[UID].bytes, 4), ntohl(uid) != entry->pw_uid))
		return "account-changed";
	return word;
}

int main(int argc, char **argv)
{
	static uint8_t evidence[EVIDENCE_MAX], request[EVIDENCE_MAX + 1024], reply[REPLY_MAX + 1];
	const uint8_t one = 1; /* phase: authenticate; mode: match; kind: certificate */
	const size_t length = fread(evidence, 1, sizeof evidence, stdin);
	struct field fields[SHADOW + 1] = { 0 };
	const char *reason = "unavailable";
	size_t end = HEADER;
	uint64_t random[2];
	char id[33];

	if (argc < 3 || length == 0 || strlen(argv[1]) > 64 || strlen(argv[2]) > 256 ||
		getrandom(random, sizeof random, 0) != sizeof random)
		return fputs("usage: ask SERVICE ACCOUNT [SOCKET] < CERTIFICATE\n", stderr), 2;
	signal(SIGALRM, end_late), alarm(DEADLINE_SEC);
	snprintf(id, sizeof id, "%016jx%016jx", (uintmax_t)random[0], (uintmax_t)random[1]);
	end += put(request + end, 1, &one, 1);
	end += put(request + end, 2, &one, 1);
	end += put(request + end, 3, argv[1], strlen(argv[1]));
	end += put(request + end, 4, argv[2], strlen(argv[2]));
	end += put(request + end, 5, &one, 1);
	end += put(request + end, 6, evidence, length);
	end += put(request + end, 10, id, strlen(id));
	memcpy(request, "CMAP\1\1\0\0", 8);
	memcpy(request + 8, &(uint32_t){ htonl(end - HEADER) }, 4);
	if (parse(reply, exchange(argc > 3 ? argv[3] : "/run/certmap/lookup", request, end, reply),
		    fields))
		reason = judge(fields, argv[2], id);
	puts(reason);
	return strcmp(reason, "allowed") != 0;
}
