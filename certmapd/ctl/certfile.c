/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* certfile.c owns the reading of a certificate from a file. */
#include "certfile.h"

#include "enrolment.h"
#include "print.h"
#include "when.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

/* What can't be stored as it came is stored as DER. */
static void keep(struct span bytes, bool is_whole, struct certfile *file)
{
	if (!is_whole)
		bytes = span_of(file->der, file->der_length);
	memcpy(file->stored, bytes.bytes, bytes.length);
	file->stored_length = bytes.length;
}

/* OK with an empty `ret_problem`: it is read. */
static enum error open_certificate(
	struct span bytes, struct certfile *file, char ret_problem[static ENROLMENT_PROBLEM_BYTES])
{
	const char *problem = NULL;
	bool is_whole = false;
	enum error error;

	if (bytes.length > sizeof file->stored) {
		snprintf(ret_problem, ENROLMENT_PROBLEM_BYTES, "%s",
			armour_finding_text(ARMOUR_TOO_LARGE));
		return OK;
	}
	if ((error = enrolment_open(bytes, file->der, &file->der_length, &is_whole, ret_problem)) !=
			OK ||
		ret_problem[0] != '\0' ||
		(error = certificate_read(
			 span_of(file->der, file->der_length), &file->facts, &problem)) != OK)
		return error;
	snprintf(ret_problem, ENROLMENT_PROBLEM_BYTES, "%s", problem ? problem : "");
	if (!problem)
		keep(bytes, is_whole, file);
	return OK;
}

enum ctl_status certfile_load(const char *name, uint8_t *bytes, size_t capacity, size_t *ret_length)
{
	char shown[256];
	const ssize_t length = read_file(name, bytes, capacity);

	if (length < 0) {
		ctl_warn("%s: %s%s", print_shown(span_of_string(name), shown, sizeof shown),
			strerror(errno), errno == EISDIR ? ": name the file in it" : "");
		return CTL_REFUSED;
	}
	*ret_length = (size_t)length;
	return CTL_DONE;
}

enum ctl_status certfile_read(const char *name, struct certfile *ret)
{
	static uint8_t bytes[STORE_CERTIFICATE_MAX_BYTES + 1];
	char problem[ENROLMENT_PROBLEM_BYTES], shown[256], words[ENROLMENT_PROBLEM_BYTES];
	size_t length;
	enum error error;

	if (certfile_load(name, bytes, sizeof bytes, &length) != CTL_DONE)
		return CTL_REFUSED;
	print_shown(span_of_string(name), shown, sizeof shown);
	if ((error = open_certificate(span_of(bytes, length), ret, problem)) != OK)
		ctl_warn("%s: %s", shown, error_text(error));
	else if (problem[0] != '\0')
		ctl_warn("%s: %s; nothing was changed", shown,
			print_shown(span_of_string(problem), words, sizeof words));
	else
		return CTL_DONE;
	return CTL_REFUSED;
}

static void warn_validity(const struct certificate_facts *facts)
{
	const int64_t now_sec = when_now();
	char date[WHEN_DATE_BYTES], relative[WHEN_RELATIVE_BYTES];

	if (facts->not_before_sec > now_sec)
		ctl_warn("warning: the certificate is not valid before %s UTC (%s)",
			when_date(facts->not_before_sec, date, sizeof date),
			when_relative(facts->not_before_sec, now_sec, relative, sizeof relative));
	else if (facts->not_after_sec < now_sec)
		ctl_warn("warning: the certificate expired on %s UTC (%s)",
			when_date(facts->not_after_sec, date, sizeof date),
			when_relative(facts->not_after_sec, now_sec, relative, sizeof relative));
}

void certfile_warn(const struct certfile *file)
{
	struct enrolment_doubts doubts;

	warn_validity(&file->facts);
	if (enrolment_doubt(span_of(file->der, file->der_length), &doubts) != OK)
		return;
	if (doubts.is_authority)
		ctl_warn("warning: this is the certificate of a CA, not of a client");
	if (doubts.is_not_of_client)
		ctl_warn("warning: the certificate is not made for clients (extendedKeyUsage has "
			 "no clientAuth): TLS services refuse it, and so does require_trust");
	if (doubts.weak_key_bits != 0)
		ctl_warn("warning: its key of %d bits is weak: whoever computes it can log in",
			doubts.weak_key_bits);
	if (doubts.has_weak_signature)
		ctl_warn("warning: the certificate is signed with a weak digest: TLS services "
			 "may refuse it");
}
