/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * credential_new_key.c owns the verb that makes a key file. Whoever looks finds the old file or the
 * new one, whole: half a key file would refuse every login that needs a credential.
 */
#include "credential.h"

#include "json.h"
#include "print.h"
#include "when.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COMMENT_MAX_BYTES 128u

/* As a package leaves it. Who only wants a key has one. */
static const char there_already[] = "there already, and `certmapctl credential set' seals with it; "
				    "--rotate puts a new key before those in it";

/* The text of the file that is being made. Wiped by wipe_text(). */
struct text {
	size_t length;
	char bytes[SEAL_KEY_FILE_MAX_BYTES + COMMENT_MAX_BYTES + SEAL_KEY_LINE_BYTES + 2];
};

/* Beside the file, and taken away again. It also keeps two that work at once apart. */
struct draft {
	const char *path;
	char name[PATH_MAX];
	int fd;       /* -1: there is none */
	bool is_gone; /* its name is not ours any more */
};

static void wipe_text(struct text *text)
{
	explicit_bzero(text, sizeof *text);
}

static void drop_draft(struct draft *draft)
{
	if (draft->fd < 0)
		return;
	close(draft->fd);
	if (!draft->is_gone)
		unlink(draft->name);
}

static enum ctl_status fail_on(const char *path, const char *why)
{
	char name[256];

	ctl_warn("%s: %s", print_shown(span_of_string(path), name, sizeof name), why);
	return CTL_REFUSED;
}

/* The directory where systemd looks is not there until somebody puts something into it. */
static void make_default_directory(const char *path)
{
	char directory[] = SEAL_KEY_DEFAULT_PATH;

	if (strcmp(path, SEAL_KEY_DEFAULT_PATH) == 0)
		mkdir(dirname(directory), 0700);
}

static enum ctl_status begin_draft(const char *path, struct draft *draft)
{
	draft->path = path;
	if ((size_t)snprintf(draft->name, sizeof draft->name, "%s.new", path) >= sizeof draft->name)
		return fail_on(path, strerror(ENAMETOOLONG));
	make_default_directory(path);
	draft->fd = open(draft->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (draft->fd >= 0)
		return CTL_DONE;
	return fail_on(draft->name,
		errno == EEXIST ? "in the way: somebody else makes a key now, or was interrupted; "
				  "remove it in that case"
				: strerror(errno));
}

static enum ctl_status add_new_key(struct text *text)
{
	char line[SEAL_KEY_LINE_BYTES + 1], date[32] = "";
	const time_t now = when_now();
	struct tm parts;

	if (seal_make_key_line(line) != OK) {
		ctl_warn("OpenSSL has no random bytes");
		return CTL_REFUSED;
	}
	if (gmtime_r(&now, &parts))
		strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts);
	text->length = (size_t)snprintf(text->bytes, sizeof text->bytes,
		"# Made %s. The first key seals, all of them open.\n%s\n", date, line);
	explicit_bzero(line, sizeof line);
	return CTL_DONE;
}

/* With its comments: they say how old a key is. Bounded by seal_keys_load(), and here again because
 * the file is opened a second time. */
static enum ctl_status add_old_text(const char *path, struct text *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t room = sizeof text->bytes - text->length;
	ssize_t got = -1;

	while (fd >= 0 && (got = read(fd, text->bytes + text->length, room)) > 0) {
		text->length += (size_t)got;
		room -= (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	if (got < 0)
		return fail_on(path, strerror(errno));
	if (text->length > SEAL_KEY_FILE_MAX_BYTES)
		return fail_on(path, "no room for another key: remove old ones first");
	return CTL_DONE;
}

static bool write_all(int fd, const struct text *text)
{
	size_t written = 0;

	while (written < text->length) {
		ssize_t now = write(fd, text->bytes + written, text->length - written);

		if (now < 0 && errno != EINTR)
			return false;
		if (now > 0)
			written += (size_t)now;
	}
	return fsync(fd) == 0;
}

/* A name that the disk does not know yet is gone after a power cut, and with it the key of all that
 * was sealed since. */
static bool sync_directory(const char *path)
{
	char copy[PATH_MAX];
	bool is_synced;
	int fd;

	snprintf(copy, sizeof copy, "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	is_synced = fsync(fd) == 0;
	close(fd);
	return is_synced;
}

/* link(2) makes a name and never takes one; rename(2) takes the one of the file that was read. */
static bool publish(struct draft *draft, bool is_rotation)
{
	if (is_rotation)
		draft->is_gone = rename(draft->name, draft->path) == 0;
	else if (link(draft->name, draft->path) < 0)
		return false;
	return draft->is_gone == is_rotation && sync_directory(draft->path);
}

static enum ctl_status make(
	const struct credential_arguments *arguments, struct draft *draft, struct seal_keys **ret)
{
	struct text text __attribute__((cleanup(wipe_text))) = { 0 };
	enum ctl_status status;

	if ((status = begin_draft(arguments->operand, draft)) != CTL_DONE ||
		(status = add_new_key(&text)) != CTL_DONE ||
		(arguments->is_rotation &&
			(status = add_old_text(arguments->operand, &text)) != CTL_DONE))
		return status;
	if (!write_all(draft->fd, &text))
		return fail_on(draft->name, strerror(errno));
	/* Whether the daemon will read it is found out by reading it as the daemon does. */
	if ((status = credential_load_keys(draft->name, ret)) != CTL_DONE)
		return status;
	if (!publish(draft, arguments->is_rotation))
		return fail_on(
			arguments->operand, errno == EEXIST ? there_already : strerror(errno));
	return CTL_DONE;
}

static enum ctl_status tell(
	const struct credential_arguments *arguments, const struct seal_keys *keys)
{
	char key_id[CREDENTIAL_ID_DIGITS + 1], name[256];
	uint8_t id[SEAL_KEY_ID_BYTES];

	seal_keys_id(keys, id);
	credential_print_id(id, key_id);
	if (arguments->ctl->json) {
		const struct json_field fields[] = {
			{ .name = "file", .text = span_of_string(arguments->operand) },
			{ .name = "key_id", .text = span_of(key_id, CREDENTIAL_ID_DIGITS) },
		};

		if (json_print(fields, sizeof fields / sizeof fields[0]) != OK)
			return CTL_REFUSED;
		putchar('\n');
		return CTL_DONE;
	}
	print_shown(span_of_string(arguments->operand), name, sizeof name);
	printf("Key %s written to %s. certmapd reads it when it starts:\n"
	       "systemctl try-restart certmapd.service\n",
		key_id, name);
	if (arguments->is_rotation)
		puts("Then `certmapctl credential rotate' seals everything with it.");
	return CTL_DONE;
}

static enum ctl_status refuse_existing(const char *path)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? CTL_DONE : fail_on(path, strerror(errno));
	return fail_on(path, there_already);
}

enum ctl_status credential_new_key(struct credential_arguments *given)
{
	struct credential_arguments arguments = *given;
	struct draft draft __attribute__((cleanup(drop_draft))) = { .fd = -1 };
	struct seal_keys *keys CREDENTIAL_FREE_KEYS = NULL, *old CREDENTIAL_FREE_KEYS = NULL;
	char resolved[PATH_MAX];
	enum ctl_status status;

	if (!arguments.operand)
		arguments.operand = SEAL_KEY_DEFAULT_PATH;
	/* The file itself is replaced, and not a symbolic link to it. */
	if (arguments.is_rotation && realpath(arguments.operand, resolved))
		arguments.operand = resolved;
	status = arguments.is_rotation ? credential_load_keys(arguments.operand, &old)
				       : refuse_existing(arguments.operand);
	if (status != CTL_DONE || (status = make(&arguments, &draft, &keys)) != CTL_DONE)
		return status;
	return tell(&arguments, keys);
}
