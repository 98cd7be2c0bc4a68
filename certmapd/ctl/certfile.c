/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* certfile.c owns the reading of a certificate from a file. */
#include "certfile.h"

#include "print.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads one byte past the limit, so that what is too long is seen as such. */
static ssize_t read_file(const char *name, uint8_t *bytes, size_t capacity)
{
	int fd = strcmp(name, "-") == 0 ? dup(STDIN_FILENO)
					: open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t length = 0;
	ssize_t got = -1;
	int failure;

	while (fd >= 0 && length < capacity) {
		got = read(fd, bytes + length, capacity - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	failure = errno;
	if (fd >= 0)
		close(fd);
	errno = failure;
	return got < 0 ? -1 : (ssize_t)length;
}

/* The words for what is wrong; NULL: nothing. */
static const char *open_certificate(struct span bytes, struct certfile *file)
{
	const char *problem = NULL;
	enum armour_finding finding;
	enum error error;

	if (bytes.length > sizeof file->stored)
		return armour_finding_text(ARMOUR_TOO_LARGE);
	finding = armour_open_stored(bytes, file->der, sizeof file->der, &file->der_length);
	if (finding != ARMOUR_OPENED)
		return armour_finding_text(finding);
	error = certificate_read(span_of(file->der, file->der_length), &file->facts, &problem);
	if (error != OK)
		return error_text(error);
	memcpy(file->stored, bytes.bytes, bytes.length);
	file->stored_length = bytes.length;
	return problem;
}

enum ctl_status certfile_read(const char *name, struct certfile *ret)
{
	static uint8_t bytes[STORE_CERTIFICATE_MAX_BYTES + 1];
	const char *problem;
	char shown[256];
	ssize_t length;

	print_shown(span_of_string(name), shown, sizeof shown);
	if ((length = read_file(name, bytes, sizeof bytes)) < 0) {
		ctl_warn("%s: %s", shown, strerror(errno));
		return CTL_REFUSED;
	}
	if ((problem = open_certificate(span_of(bytes, (size_t)length), ret)) != NULL) {
		ctl_warn("%s: %s; nothing was changed", shown, problem);
		return CTL_REFUSED;
	}
	return CTL_DONE;
}
