/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* replace.c owns the order of write, sync and rename. */
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum error replace_begin(const char *path, mode_t mode, struct replacement *ret)
{
	struct replacement made = { .path = path };
	int fd;

	if ((size_t)snprintf(made.temporary, sizeof made.temporary, "%s.XXXXXX", path) >=
		sizeof made.temporary) {
		errno = ENAMETOOLONG;
		return ERROR_SYSTEM;
	}
	if ((fd = mkostemp(made.temporary, O_CLOEXEC)) < 0)
		return ERROR_SYSTEM;
	if (fchmod(fd, mode) < 0 || !(made.stream = fdopen(fd, "w"))) {
		int failure = errno;

		close(fd);
		unlink(made.temporary);
		errno = failure;
		return ERROR_SYSTEM;
	}
	*ret = made;
	return OK;
}

/* A rename that the disk does not know yet is undone by a power cut. Nothing is lost then but time,
 * so that a file system which can't sync a directory is none the worse. */
static void sync_directory(const char *path)
{
	char copy[PATH_MAX];
	int fd;

	snprintf(copy, sizeof copy, "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!fsync(fd);
	close(fd);
}

enum error replace_commit(struct replacement *replacement)
{
	if (fflush(replacement->stream) != 0 || ferror(replacement->stream) ||
		fsync(fileno(replacement->stream)) < 0 ||
		rename(replacement->temporary, replacement->path) < 0)
		return ERROR_SYSTEM;
	fclose(replacement->stream);
	replacement->stream = NULL;
	sync_directory(replacement->path);
	return OK;
}

void replace_done(struct replacement *replacement)
{
	int failure = errno;

	if (!replacement->stream)
		return;
	fclose(replacement->stream);
	unlink(replacement->temporary);
	errno = failure;
}
