/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inquiry.c owns the items of PAM that go into a request, and the deadline.
 */
#include "inquiry.h"

#include <errno.h>
#include <security/pam_modules.h>
#include <sys/random.h>

#include "escape.h"
#include "hex.h"
#include "monotonic.h"

static const char *find_item(const pam_handle_t *pamh, int type)
{
	const void *item = NULL;

	return pam_get_item(pamh, type, &item) == PAM_SUCCESS ? item : NULL;
}

/* Optional, and only for logs: what the protocol would refuse must not refuse a login. */
static struct span find_escaped_item(
	const pam_handle_t *pamh, int type, char *buffer, size_t capacity)
{
	const char *item = find_item(pamh, type);

	if (!item || !item[0])
		return (struct span){ 0 };
	return span_of_string(escape_text(span_of_string(item), buffer, capacity));
}

bool inquiry_make_id(char ret[INQUIRY_ID_DIGITS + 1], struct outcome *ret_outcome)
{
	uint8_t bytes[INQUIRY_ID_DIGITS / 2];
	ssize_t got;

	/* Non-blocking: a login must not wait for a random generator that has not started. Up to
	 * 256 bytes come whole or not at all, getrandom(2). */
	do
		got = getrandom(bytes, sizeof(bytes), GRND_NONBLOCK);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(bytes))
		return outcome_fail(ERROR_SYSTEM, "getrandom", got < 0 ? errno : 0, ret_outcome);
	hex_print(span_of(bytes, sizeof(bytes)), ret);
	return true;
}

bool inquiry_ask(pam_handle_t *pamh, const struct options *options, const struct request *request,
	struct client_reply *ret, struct outcome *ret_outcome)
{
	char remote_host[REMOTE_HOST_MAX_BYTES + 1];
	char tty[TTY_MAX_BYTES + 1];
	struct client_failure failure = { 0 };
	struct request whole = *request;
	enum error err;

	whole.mode = options->mode;
	whole.service = span_of_string(find_item(pamh, PAM_SERVICE));
	whole.remote_host = find_escaped_item(pamh, PAM_RHOST, remote_host, sizeof(remote_host));
	whole.tty = find_escaped_item(pamh, PAM_TTY, tty, sizeof(tty));

	if (!span_is_present(whole.service) || whole.service.length > SERVICE_MAX_BYTES)
		return outcome_refuse(REASON_MISCONFIGURED,
			"the name of the PAM service is not of 1 to 64 bytes", ret_outcome);
	err = client_ask(options->socket_path, monotonic_usec() + options->timeout_usec, &whole,
		ret, &failure);
	if (err != OK)
		return outcome_fail(err, failure.what, failure.errno_value, ret_outcome);
	if (ret->reply.reason != REASON_ALLOWED)
		return outcome_refuse(ret->reply.reason, NULL, ret_outcome);
	return true;
}
