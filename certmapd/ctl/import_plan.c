/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_plan.c owns what an import comes to: it compares the rows with the mappings by service and
 * certificate, and changes nothing. import_apply.c writes what differs.
 */
#include "import.h"

#include "accounts.h"
#include "print.h"
#include "when.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A mapping as the database has it. */
struct standing {
	int64_t id;
	char *service, *account, *note;
	struct import_number enabled, replaces, staged_until, valid_from, valid_until, uid;
	uint8_t fingerprint[FINGERPRINT_BYTES]; /* of its certificate */
	bool is_met;                            /* in the input */
};

struct standings {
	struct standing *all;
	size_t count, capacity;
};

static void done_standings(struct standings *standings)
{
	for (size_t i = 0; i < standings->count; i++) {
		free(standings->all[i].service);
		free(standings->all[i].account);
		free(standings->all[i].note);
	}
	free(standings->all);
}
#define STANDINGS_DONE __attribute__((cleanup(done_standings)))

/* The database -------------------------------------------------------------------------------- */

static struct import_number number_of(const struct store_row *row, const char *name)
{
	struct import_number number = { .is_given = true };

	number.is_null = !store_row_integer(row, name, &number.value);
	return number;
}

static char *copy_text(const struct store_row *row, const char *name)
{
	const struct span text = store_row_text(row, name);

	return span_is_present(text) ? strndup((const char *)text.bytes, text.length) : NULL;
}

/* The stored bytes of one that is not a certificate stand for themselves. */
static enum error read_fingerprint(const struct store_row *row, uint8_t ret[FINGERPRINT_BYTES])
{
	static uint8_t der[ARMOUR_DER_MAX_BYTES];
	const struct store_cell *cell = store_row_cell(row, "certificate");
	const struct span stored = cell ? cell->bytes : (struct span){ 0 };
	size_t length;

	if (span_is_present(stored) &&
		armour_open_stored(stored, der, sizeof der, &length) == ARMOUR_OPENED)
		return certificate_fingerprint(span_of(der, length), ret);
	return certificate_fingerprint(stored, ret);
}

static enum error grow(struct standings *standings)
{
	const size_t wanted = standings->capacity > 0 ? 2 * standings->capacity : 256;
	struct standing *grown;

	if (standings->count < standings->capacity)
		return OK;
	if (!(grown = reallocarray(standings->all, wanted, sizeof *grown)))
		return ERROR_MEMORY;
	standings->all = grown;
	standings->capacity = wanted;
	return OK;
}

static enum error take_standing(const struct store_row *row, void *context)
{
	struct standings *standings = context;
	struct standing *standing;
	enum error error = grow(standings);

	if (error != OK)
		return error;
	standing = &standings->all[standings->count];
	*standing = (struct standing){
		.service = copy_text(row, "service"),
		.account = copy_text(row, "account"),
		.note = copy_text(row, "note"),
		.enabled = number_of(row, "enabled"),
		.replaces = number_of(row, "replaces"),
		.staged_until = number_of(row, "staged_until"),
		.valid_from = number_of(row, "valid_from"),
		.valid_until = number_of(row, "valid_until"),
		.uid = number_of(row, "account_uid"),
	};
	standings->count++;
	if (!store_row_integer(row, "id", &standing->id) || !standing->service ||
		!standing->account)
		return ERROR_MEMORY;
	return read_fingerprint(row, standing->fingerprint);
}

static int compare_standings(const void *a, const void *b)
{
	const struct standing *first = a, *second = b;
	const int order = memcmp(first->fingerprint, second->fingerprint, FINGERPRINT_BYTES);

	return order != 0 ? order : strcmp(first->service, second->service);
}

static enum error read_standings(
	struct store *store, struct standings *ret, struct store_trouble *ret_trouble)
{
	enum error error =
		store_read_table(store, STORE_TABLE_MAPPING, take_standing, ret, ret_trouble);

	if (error == OK && ret->count > 0)
		qsort(ret->all, ret->count, sizeof *ret->all, compare_standings);
	return error;
}

static struct standing *find_standing(
	const struct standings *standings, const struct import_row *row)
{
	struct standing wanted = { .service = row->service };

	if (standings->count == 0)
		return NULL;
	memcpy(wanted.fingerprint, row->fingerprint, FINGERPRINT_BYTES);
	return bsearch(&wanted, standings->all, standings->count, sizeof wanted, compare_standings);
}

/* The comparison ------------------------------------------------------------------------------ */

static bool is_same_number(const struct import_number *wanted, const struct import_number *is)
{
	if (!wanted->is_given)
		return true;
	return wanted->is_null == is->is_null && (wanted->is_null || wanted->value == is->value);
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool import_is_staged(const struct import_row *row)
{
	return row->replaces > 0 && row->enabled.is_given && row->enabled.value == 0;
}

/* It can come into force by itself. */
static bool is_waiting(const struct standing *standing)
{
	return !standing->replaces.is_null && standing->enabled.value == 0;
}

/* An input that does not speak of `enabled' says nothing about staging either. */
static bool is_same_staging(const struct import_row *row, const struct standing *standing)
{
	if (!row->enabled.is_given || row->enabled.value != 0)
		return true;
	return import_is_staged(row) == is_waiting(standing) &&
	       (!import_is_staged(row) ||
		       is_same_number(&row->staged_until, &standing->staged_until));
}

static bool is_same(const struct import_row *row, const struct standing *standing)
{
	return is_same_text(row->account, standing->account) &&
	       is_same_number(&row->enabled, &standing->enabled) &&
	       is_same_staging(row, standing) &&
	       is_same_number(&row->valid_from, &standing->valid_from) &&
	       is_same_number(&row->valid_until, &standing->valid_until) &&
	       is_same_number(&row->uid, &standing->uid) &&
	       (!row->has_note || is_same_text(row->note, standing->note));
}

/* It is disabled while its account changes, so that what it is in the end has to be said. */
static void change(struct import_row *row, const struct standing *standing)
{
	row->result = IMPORT_CHANGED;
	row->is_moved = !is_same_text(row->account, standing->account);
	row->is_unstaged = is_waiting(standing) && row->enabled.is_given && !import_is_staged(row);
	if (!row->enabled.is_given)
		row->enabled = standing->enabled;
	/* The uid of the account before is wrong for the one after. */
	if (row->is_moved && !row->uid.is_given)
		row->uid = (struct import_number){ .is_given = true, .is_null = true };
}

static void meet(const struct import *import, struct import_row *row, struct standing *standing)
{
	char account[128];

	standing->is_met = true;
	row->mapping_id = standing->id;
	/* Somebody shut it out here, perhaps because it was stolen. */
	if (!row->enabled.is_given && standing->enabled.value == 0)
		import_remark(&row->detail, "mapping %" PRId64 " is disabled, and stays so",
			standing->id);
	if (is_same(row, standing))
		row->result = IMPORT_UNCHANGED;
	else if (import->is_sync)
		change(row, standing);
	else if (!is_same_text(row->account, standing->account))
		import_refuse(row,
			"mapping %" PRId64 " gives this certificate to %s; --sync "
			"would change it",
			standing->id,
			print_shown(span_of_string(standing->account), account, sizeof account));
	else
		import_refuse(row,
			"mapping %" PRId64 " has it with other values; --sync would "
			"change it",
			standing->id);
}

/* Rows are compared in the order of their certificates, and stay where they are. */
static int compare_rows(const void *a, const void *b)
{
	const struct import_row *const *first = a, *const *second = b;
	const int order = memcmp((*first)->fingerprint, (*second)->fingerprint, FINGERPRINT_BYTES);

	if (order != 0)
		return order;
	if ((*first)->der && (*second)->der && strcmp((*first)->service, (*second)->service) != 0)
		return strcmp((*first)->service, (*second)->service);
	return *first < *second ? -1 : *first > *second;
}

static enum error refuse_duplicates(struct import *import)
{
	struct import_row **sorted = calloc(import->row_count + 1, sizeof(struct import_row *));
	char origin[256];

	if (!sorted)
		return ERROR_MEMORY;
	for (size_t i = 0; i < import->row_count; i++)
		sorted[i] = &import->rows[i];
	qsort(sorted, import->row_count, sizeof *sorted, compare_rows);
	for (size_t i = 1; i < import->row_count; i++)
		if (sorted[i]->der && sorted[i - 1]->der &&
			memcmp(sorted[i]->fingerprint, sorted[i - 1]->fingerprint,
				FINGERPRINT_BYTES) == 0 &&
			strcmp(sorted[i]->service, sorted[i - 1]->service) == 0)
			import_refuse(sorted[i],
				"the same certificate as in %s, for the same service",
				print_shown(span_of_string(sorted[i - 1]->origin), origin,
					sizeof origin));
	free(sorted);
	return OK;
}

/* What is said of a staging that is none would be dropped: who takes staged_until for valid_until
 * would have a mapping that never ends. One that was called off may have kept its end, which does
 * no harm. */
static bool speaks_of_no_staging(const struct import_row *row)
{
	const bool is_disabled = row->enabled.is_given && row->enabled.value == 0;

	return !is_disabled &&
	       (row->replaces > 0 || (row->staged_until.is_given && !row->staged_until.is_null));
}

static void check_row(struct import_row *row)
{
	if (!row->account || row->account[0] == '\0')
		import_refuse(row, "it names no account");
	else if (!row->der)
		import_refuse(row, "it has no certificate");
	else if (speaks_of_no_staging(row))
		import_refuse(row, "replaces and staged_until are for a staged mapping, which has "
				   "enabled = 0; valid_until ends one that is in force");
}

static void remark_on_validity(struct import_row *row, int64_t now_sec)
{
	if (row->not_after_sec < now_sec)
		import_remark(&row->detail, "the certificate has expired");
	else if (row->not_before_sec > now_sec)
		import_remark(&row->detail, "the certificate is not valid yet");
}

/* A name that is given to somebody else later must not take the certificate along. */
static void bind_account(
	const struct import *import, const struct accounts *accounts, struct import_row *row)
{
	uid_t uid;

	if (import->is_unbound || row->uid.is_given)
		return;
	if (accounts_find(accounts, row->account, &uid))
		row->uid = (struct import_number){ .is_given = true, .value = uid };
	else
		import_remark(&row->detail, "no such account here: it is not bound to a uid");
	if (row->uid.is_given && uid == 0)
		import_remark(&row->detail, "root, whom pam_certmap.so refuses without allow_root");
}

/* The services that the input is about. The names are borrowed. */
struct scope {
	const char **services; /* sorted */
	size_t count;
};

static void done_scope(struct scope *scope)
{
	free(scope->services);
}
#define SCOPE_DONE __attribute__((cleanup(done_scope)))

static int compare_names(const void *a, const void *b)
{
	const char *const *first = a, *const *second = b;

	return strcmp(*first, *second);
}

static enum error read_scope(const struct import *import, struct scope *ret)
{
	const size_t count = import->service ? 1 : import->row_count;

	if (!(ret->services = calloc(count + 1, sizeof *ret->services)))
		return ERROR_MEMORY;
	for (size_t i = 0; i < count; i++)
		ret->services[i] = import->service ? import->service : import->rows[i].service;
	qsort(ret->services, count, sizeof *ret->services, compare_names);
	ret->count = count;
	return OK;
}

static bool is_in_scope(const struct scope *scope, const char *service)
{
	return bsearch(
		&service, scope->services, scope->count, sizeof *scope->services, compare_names);
}

static bool is_gone(const struct import *import, const struct standing *standing)
{
	return !standing->is_met &&
	       (import->removes_missing || standing->enabled.value != 0 || is_waiting(standing));
}

static enum error find_missing(
	const struct import *import, const struct standings *standings, struct import_plan *plan)
{
	struct scope scope SCOPE_DONE = { 0 };
	enum error error = read_scope(import, &scope);

	if (error != OK)
		return error;
	if (!(plan->missing = calloc(standings->count + 1, sizeof *plan->missing)))
		return ERROR_MEMORY;
	for (size_t i = 0; i < standings->count; i++) {
		const struct standing *standing = &standings->all[i];
		struct import_missing *missing = &plan->missing[plan->missing_count];

		if (!is_gone(import, standing) || !is_in_scope(&scope, standing->service))
			continue;
		*missing = (struct import_missing){
			.id = standing->id,
			.service = strdup(standing->service),
			.account = strdup(standing->account),
		};
		plan->missing_count++;
		if (!missing->service || !missing->account)
			return ERROR_MEMORY;
	}
	return OK;
}

static void decide(const struct import *import, const struct standings *standings,
	const struct accounts *accounts, struct import_row *row, int64_t now_sec)
{
	struct standing *standing;

	check_row(row);
	if (row->result == IMPORT_REFUSED)
		return;
	remark_on_validity(row, now_sec);
	standing = find_standing(standings, row);
	/* What stands there keeps its uid, unless the input names one. */
	if (!standing || strcmp(standing->account, row->account) != 0)
		bind_account(import, accounts, row);
	if (standing)
		meet(import, row, standing);
	else
		row->result = IMPORT_ADDED;
}

void import_count(const struct import *import, struct import_plan *plan)
{
	memset(plan->counts, 0, sizeof plan->counts);
	for (size_t i = 0; i < import->row_count; i++)
		plan->counts[import->rows[i].result]++;
	for (size_t i = 0; i < import->object_count; i++)
		plan->counts[import->objects[i].result]++;
	plan->counts[IMPORT_MISSING] = plan->missing_count;
}

static enum error decide_all(
	struct import *import, const struct standings *standings, struct import_plan *plan)
{
	const int64_t now_sec = when_now();
	struct accounts *accounts = NULL;
	enum error error;

	if ((error = accounts_new(&accounts)) != OK || (error = refuse_duplicates(import)) != OK) {
		accounts_free(accounts);
		return error;
	}
	for (size_t i = 0; i < import->row_count; i++)
		decide(import, standings, accounts, &import->rows[i], now_sec);
	accounts_free(accounts);
	if (import->is_sync && (error = find_missing(import, standings, plan)) != OK)
		return error;
	import_count(import, plan);
	return OK;
}

enum error import_read_history_id(
	struct store *store, int64_t *ret, struct store_trouble *ret_trouble)
{
	const struct store_question question = {
		.by = STORE_BY_NOTHING,
		.service = span_of_string("*"),
	};
	struct store_answer answer;
	enum error error = store_find(store, &question, &answer, ret_trouble);

	if (error == OK)
		*ret = answer.history_id;
	return error;
}

enum error import_plan(struct import *import, struct store *store, struct import_plan *ret,
	struct store_trouble *ret_trouble)
{
	struct standings standings STANDINGS_DONE = { 0 };
	enum error error = store_begin_read(store, ret_trouble);

	if (error != OK)
		return error;
	if ((error = import_read_history_id(store, &ret->history_id, ret_trouble)) == OK)
		error = read_standings(store, &standings, ret_trouble);
	store_rollback(store);
	return error == OK ? decide_all(import, &standings, ret) : error;
}

void import_plan_done(struct import_plan *plan)
{
	for (size_t i = 0; i < plan->missing_count; i++) {
		free(plan->missing[i].service);
		free(plan->missing[i].account);
	}
	free(plan->missing);
}
