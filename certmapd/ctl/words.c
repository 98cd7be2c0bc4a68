/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* words.c owns the end of the room for a sentence, and of the line that it is printed in. */
#include "words.h"

#include "print.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SHOWN_BYTES 300u
#define DEFAULT_WIDTH 80u

void words_say(struct words *words, const char *format, ...)
{
	const size_t room = words->capacity - words->used;
	va_list arguments;
	int wanted;

	va_start(arguments, format);
	wanted = vsnprintf(words->text + words->used, room, format, arguments);
	va_end(arguments);
	if (wanted > 0)
		words->used += (size_t)wanted < room ? (size_t)wanted : room - 1;
}

void words_say_shown(struct words *words, const char *text)
{
	char shown[SHOWN_BYTES];

	words_say(words, "%s", print_shown(span_of_string(text), shown, sizeof shown));
}

/* 0: no terminal. */
static unsigned terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return DEFAULT_WIDTH;
}

/* Letters, of which each takes a place; print_shown() leaves none that take none. */
static unsigned width_of(const char *word, size_t length)
{
	unsigned width = 0;

	for (size_t i = 0; i < length; i++)
		width += (word[i] & 0xc0) != 0x80;
	return width;
}

void words_print(const char *label, unsigned indent, const char *text)
{
	const unsigned width = terminal_width();
	unsigned column = indent;

	printf("%-*s", (int)indent, label);
	while (*text) {
		const size_t length = strcspn(text, " ");
		const unsigned wanted = width_of(text, length);

		if (width > 0 && column > indent && column + 1 + wanted > width) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		fwrite(text, 1, length, stdout);
		column += wanted;
		text += length + (text[length] == ' ');
	}
	putchar('\n');
}
