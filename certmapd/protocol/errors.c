/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* errors.c owns the words for the project's errors. */
#include "errors.h"

const char *error_text(enum error error)
{
	switch (error) {
	case OK:
		return "no error";
	case ERROR_MEMORY:
		return "out of memory";
	case ERROR_SYSTEM:
		return "a system call failed";
	case ERROR_DEADLINE:
		return "no answer in time";
	case ERROR_PEER:
		return "no trusted peer";
	case ERROR_MALFORMED:
		return "malformed message";
	case ERROR_TOO_LARGE:
		return "too large";
	case ERROR_VERSION:
		return "unknown version or critical field";
	case ERROR_BUSY:
		return "busy";
	case ERROR_STORE:
		return "database not usable";
	case ERROR_REFUSED:
		return "refused by the database";
	}
	return "unknown error";
}
