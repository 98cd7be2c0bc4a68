/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_directory.c owns the reading of a directory whose files are certificates and are named
 * after the accounts: alice.pem, bob.cer.
 */
#include "import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const suffixes[] = { ".pem", ".cer", ".crt", ".der", ".b64", ".p7b", ".p7c" };

/* The length of the account's name; 0: no certificate by its name. */
static size_t account_length(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof suffixes / sizeof suffixes[0]; i++)
		if (strcasecmp(dot, suffixes[i]) == 0)
			return (size_t)(dot - name);
	return 0;
}

/* Windows' wizard offers to export the key as well, and then writes this. */
static const char *why_left_out(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (dot && (strcasecmp(dot, ".pfx") == 0 || strcasecmp(dot, ".p12") == 0))
		return "left out: PKCS#12 holds the private key too; `openssl pkcs12 -in FILE "
		       "-clcerts -nokeys -out ACCOUNT.pem' takes the certificate out";
	return "left out: the name is not ACCOUNT.pem, .cer, .crt, .der, .b64, .p7b or .p7c";
}

static void take_file(struct import *import, int directory, const char *name)
{
	const size_t length = account_length(name);
	struct import_row *row;

	if (length == 0) {
		import_note(import, name, "%s", why_left_out(name));
		return;
	}
	row = import_add_row(import, "%s", name);
	if (!row || import_set(&row->account, span_of(name, length)) != OK ||
		import_read_certificate(row, directory, name) != OK)
		import->is_short = true;
}

static int is_entry(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

enum ctl_status import_directory(struct import *import)
{
	struct dirent **entries;
	int directory = open(import->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int count = directory < 0 ? -1 : scandirat(directory, ".", &entries, is_entry, alphasort);

	if (count < 0) {
		int failure = errno;

		if (directory >= 0)
			close(directory);
		return import_fail(import, "%s", strerror(failure));
	}
	for (int i = 0; i < count; i++) {
		take_file(import, directory, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	close(directory);
	return CTL_DONE;
}
