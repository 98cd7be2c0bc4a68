/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* accounts.c owns the sorted list of accounts. */
#include "accounts.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

struct account {
	char *name;
	uid_t uid;
	size_t place; /* in the order of the sources, of which the first counts */
};

struct accounts {
	struct account *all;
	size_t count, capacity;
};

static int compare(const void *a, const void *b)
{
	const struct account *first = a, *second = b;
	const int order = strcmp(first->name, second->name);

	if (order != 0)
		return order;
	return first->place < second->place ? -1 : first->place > second->place;
}

static bool add(struct accounts *accounts, const struct passwd *entry)
{
	const size_t wanted = accounts->capacity > 0 ? 2 * accounts->capacity : 256;
	struct account *grown;

	if (accounts->count == accounts->capacity) {
		if (!(grown = reallocarray(accounts->all, wanted, sizeof *grown)))
			return false;
		accounts->all = grown;
		accounts->capacity = wanted;
	}
	accounts->all[accounts->count] = (struct account){
		.name = strdup(entry->pw_name),
		.uid = entry->pw_uid,
		.place = accounts->count,
	};
	return accounts->all[accounts->count].name && ++accounts->count;
}

enum error accounts_new(struct accounts **ret)
{
	struct accounts *accounts = calloc(1, sizeof *accounts);
	const struct passwd *entry;
	bool is_whole = accounts;

	setpwent();
	while (is_whole && (entry = getpwent()))
		is_whole = add(accounts, entry);
	endpwent();
	if (!is_whole) {
		accounts_free(accounts);
		return ERROR_MEMORY;
	}
	if (accounts->count > 0)
		qsort(accounts->all, accounts->count, sizeof *accounts->all, compare);
	*ret = accounts;
	return OK;
}

void accounts_free(struct accounts *accounts)
{
	if (!accounts)
		return;
	for (size_t i = 0; i < accounts->count; i++)
		free(accounts->all[i].name);
	free(accounts->all);
	free(accounts);
}

/* The first of those of the name, since the sort keeps their order. */
static const struct account *find(const struct accounts *accounts, const char *name)
{
	size_t low = 0, high = accounts->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (strcmp(accounts->all[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < accounts->count && strcmp(accounts->all[low].name, name) == 0
		       ? &accounts->all[low]
		       : NULL;
}

bool accounts_find(const struct accounts *accounts, const char *name, uid_t *ret_uid)
{
	const struct account *account = find(accounts, name);
	const struct passwd *entry;

	if (account) {
		*ret_uid = account->uid;
		return true;
	}
	/* The place in a list of names that can't be listed costs a round trip; those of a file
	 * that is not theirs a reading of it. */
	if (!(entry = getpwnam(name)))
		return false;
	*ret_uid = entry->pw_uid;
	return true;
}
