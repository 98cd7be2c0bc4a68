/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * secret.c owns the terminal while a password is typed. read(2) and no stdio: that would keep a
 * copy in a buffer which nobody can wipe.
 */
#include "secret.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* What ends a program at a prompt. Suspending is turned off meanwhile: a shell would get a terminal
 * that shows nothing. */
static const int ending_signals[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP };
#define ENDING_SIGNALS (sizeof ending_signals / sizeof ending_signals[0])

static volatile sig_atomic_t caught_signal;

static void catch_signal(int number)
{
	caught_signal = number;
}

void secret_wipe(struct secret *secret)
{
	explicit_bzero(secret, sizeof *secret);
}

/* The signals of `mask` get through while it waits, and only then, so that none comes between a
 * look and the wait. A process that was stopped and goes on is interrupted as well, and goes on. */
static ssize_t read_some(const sigset_t *mask, uint8_t *at, size_t room)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t got;

	do
		got = ppoll(&input, 1, NULL, mask) < 0 ? -1 : read(STDIN_FILENO, at, room);
	while (got < 0 && errno == EINTR && !caught_signal);
	return got;
}

/* Up to a line's end, the end of the input, or more than a password may have. */
static bool read_line(const sigset_t *mask, struct secret *ret)
{
	const uint8_t *end = NULL;
	ssize_t got = 1;

	ret->length = 0;
	while (got > 0 && !end && ret->length < sizeof ret->bytes) {
		uint8_t *at = ret->bytes + ret->length;

		got = read_some(mask, at, sizeof ret->bytes - ret->length);
		if (got > 0) {
			end = memchr(at, '\n', (size_t)got);
			ret->length += (size_t)got;
		}
	}
	return got >= 0;
}

/* TCSAFLUSH: what was typed before the prompt, or behind a line that is too long, is thrown away
 * and not left to the shell. */
static bool hide_typing(const struct termios *shown)
{
	struct termios hidden = *shown;

	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
	hidden.c_lflag |= ICANON | ISIG | ECHONL;
	hidden.c_cc[VSUSP] = _POSIX_VDISABLE;
	return tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
}

static bool read_hidden(const char *prompt, const sigset_t *mask, struct secret *ret)
{
	struct termios shown;
	bool is_read;

	if (tcgetattr(STDIN_FILENO, &shown) < 0 || !hide_typing(&shown))
		return false;
	fputs(prompt, stderr);
	is_read = read_line(mask, ret);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	return is_read;
}

/* Holds the ending signals back, and lets them through with `ret_open` alone. */
static void hold_signals(struct sigaction ret_before[ENDING_SIGNALS], sigset_t *ret_open)
{
	const struct sigaction action = { .sa_handler = catch_signal };
	sigset_t held;

	sigemptyset(&held);
	for (size_t i = 0; i < ENDING_SIGNALS; i++)
		sigaddset(&held, ending_signals[i]);
	sigprocmask(SIG_BLOCK, &held, ret_open);
	for (size_t i = 0; i < ENDING_SIGNALS; i++)
		sigaction(ending_signals[i], &action, &ret_before[i]);
}

static void release_signals(const struct sigaction before[ENDING_SIGNALS], const sigset_t *open)
{
	for (size_t i = 0; i < ENDING_SIGNALS; i++)
		sigaction(ending_signals[i], &before[i], NULL);
	sigprocmask(SIG_SETMASK, open, NULL);
	if (caught_signal)
		raise(caught_signal);
}

static bool read_twice(struct secret *ret, struct secret *again)
{
	struct sigaction before[ENDING_SIGNALS];
	sigset_t open;
	bool is_read;

	hold_signals(before, &open);
	is_read = read_hidden("Password: ", &open, ret) &&
		  read_hidden("The same again: ", &open, again);
	if (caught_signal) {
		secret_wipe(ret);
		secret_wipe(again);
	}
	release_signals(before, &open);
	return is_read;
}

/* The words for what is wrong with what was read; NULL: nothing, and the line's end is off. */
static const char *judge(struct secret *secret)
{
	const uint8_t *end = memchr(secret->bytes, '\n', secret->length);

	if (end && end + 1 != secret->bytes + secret->length)
		return "there is more than one line";
	if (end)
		secret->length--;
	if (secret->length == 0)
		return "there is no password";
	if (secret->length > SEAL_PLAIN_MAX_BYTES)
		return "a password has at most 1024 bytes";
	/* Nobody can type one: it came with the input, as the CR of a file from elsewhere does. */
	for (size_t i = 0; i < secret->length; i++)
		if (secret->bytes[i] < 0x20 || secret->bytes[i] == 0x7f)
			return "there is a control character in the password";
	return NULL;
}

static bool is_same(const struct secret *one, const struct secret *other)
{
	return span_is_equal(
		span_of(one->bytes, one->length), span_of(other->bytes, other->length));
}

/* A second line may come in a write of its own. */
static bool has_more(void)
{
	uint8_t byte;
	ssize_t got;

	do
		got = read(STDIN_FILENO, &byte, sizeof byte);
	while (got < 0 && errno == EINTR);
	return got > 0;
}

static const char *ask_terminal(struct secret *ret)
{
	struct secret again SECRET_WIPE = { 0 };
	const char *problem;

	if (!read_twice(ret, &again))
		return strerror(errno);
	if ((problem = judge(ret)) == NULL && (judge(&again) != NULL || !is_same(ret, &again)))
		problem = "the two passwords are not the same";
	return problem;
}

static const char *read_input(struct secret *ret)
{
	const char *problem;

	if (!read_line(NULL, ret))
		return strerror(errno);
	if ((problem = judge(ret)) == NULL && has_more())
		problem = "there is more than one line";
	return problem;
}

enum ctl_status secret_ask(struct secret *ret)
{
	const char *problem = isatty(STDIN_FILENO) ? ask_terminal(ret) : read_input(ret);

	if (!problem)
		return CTL_DONE;
	ctl_warn("no password was taken: %s", problem);
	return CTL_REFUSED;
}
