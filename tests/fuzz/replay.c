/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay.c owns the ordinary test of a fuzz target: every file of a directory, seeds and former
 * crashes, once. It needs no clang. One TAP case per file; where one does not hold, the program
 * aborts, which is a failure too.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static struct span read_file(const char *directory, const char *name)
{
	char path[4096];
	struct stat status;
	uint8_t *bytes;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!file || fstat(fileno(file), &status) < 0 ||
		!(bytes = malloc((size_t)status.st_size + 1)) ||
		fread(bytes, 1, (size_t)status.st_size, file) != (size_t)status.st_size) {
		perror(path);
		exit(1);
	}
	fclose(file);
	return span_of(bytes, (size_t)status.st_size);
}

/* A copy of the exact size: see fuzz_take_part(). */
static void run(struct span input)
{
	FUZZ_PART copy = fuzz_copy(input);

	(void)LLVMFuzzerTestOneInput(copy.bytes, copy.length);
}

static int replay(const char *directory, int number)
{
	struct dirent **entries;
	int count = scandir(directory, &entries, is_input, alphasort);

	for (int i = 0; i < count; i++) {
		FUZZ_PART input = read_file(directory, entries[i]->d_name);

		fflush(stdout);
		run(input);
		printf("ok %d - %s\n", ++number, entries[i]->d_name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	else
		printf("not ok %d - can't read %s\n", ++number, directory);
	return number;
}

int main(int argc, char **argv)
{
	int number = 1;

	if (argc < 2) {
		fprintf(stderr, "usage: %s DIRECTORY ...\n", argv[0]);
		return 2;
	}
	run(span_of("", 0));
	printf("ok 1 - nothing at all\n");
	for (int i = 1; i < argc; i++)
		number = replay(argv[i], number);
	/* Last, because only now it is known; a program that aborts before has not said it. */
	printf("1..%d\n", number);
	return 0;
}
