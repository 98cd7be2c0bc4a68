/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* number.c owns the reading of numbers, as people write them and imports have them. */
#include "ctl.h"

#include <errno.h>
#include <stdlib.h>

bool ctl_read_number(const char *text, int64_t lowest, int64_t highest, int64_t *ret)
{
	char *end;
	long long number;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || number < lowest || number > highest)
		return false;
	*ret = number;
	return true;
}
