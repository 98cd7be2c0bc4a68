/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_progress.c owns the line that says on a terminal how far a long import is. Short ones show
 * none, and nothing of it is left when something else is said.
 */
#include "import.h"

#include "monotonic.h"

#include <stdio.h>
#include <unistd.h>

#define INTERVAL_USEC 200000u /* how often the line changes */
#define LINE_START "\r\033[K" /* the beginning of the line, which is cleared: ECMA-48 8.3.41 */

void import_progress(struct import *import, const char *doing, size_t done, size_t total)
{
	struct import_progress *progress = &import->progress;
	const uint64_t now_usec = monotonic_usec();

	if (progress->next_usec == 0)
		progress->next_usec = now_usec + INTERVAL_USEC;
	if (now_usec < progress->next_usec)
		return;
	progress->next_usec = now_usec + INTERVAL_USEC;
	if (!isatty(STDERR_FILENO))
		return;
	progress->is_shown = true;
	fprintf(stderr, LINE_START "%s: %zu", doing, done);
	if (total > 0)
		fprintf(stderr, " of %zu", total);
	fflush(stderr);
}

void import_end_progress(struct import *import)
{
	if (import->progress.is_shown)
		fputs(LINE_START, stderr);
	import->progress.is_shown = false;
}
