/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_plan.c owns what an import does to the database: it compares the rows with the mappings by
 * service and certificate, and writes what differs, all of it or nothing. The rules of the schema
 * are asked by writing; here stands only what the schema can't know, the order of the changes.
 */
#include "import.h"

#include "accounts.h"
#include "monotonic.h"
#include "print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_USEC 200000u /* how often the line about the progress changes */

/* A mapping as the database has it. */
struct standing {
	int64_t id;
	char *service, *account, *note;
	struct import_number enabled, valid_from, valid_until, uid;
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
	memcpy(wanted.fingerprint, row->facts.fingerprint, FINGERPRINT_BYTES);
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

/* A staged row waits: whether it is enabled is not for the input to say. */
static bool is_same(const struct import_row *row, const struct standing *standing)
{
	return is_same_text(row->account, standing->account) &&
	       is_same_number(&row->enabled, &standing->enabled) &&
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
	const int order = memcmp(
		(*first)->facts.fingerprint, (*second)->facts.fingerprint, FINGERPRINT_BYTES);

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
			memcmp(sorted[i]->facts.fingerprint, sorted[i - 1]->facts.fingerprint,
				FINGERPRINT_BYTES) == 0 &&
			strcmp(sorted[i]->service, sorted[i - 1]->service) == 0)
			import_refuse(sorted[i],
				"the same certificate as in %s, for the same service",
				print_shown(span_of_string(sorted[i - 1]->origin), origin,
					sizeof origin));
	free(sorted);
	return OK;
}

static void check_row(struct import_row *row)
{
	if (!row->account || row->account[0] == '\0')
		import_refuse(row, "it names no account");
	else if (!row->der)
		import_refuse(row, "it has no certificate");
}

static void remark_on_validity(struct import_row *row, int64_t now_sec)
{
	if (row->facts.not_after_sec < now_sec)
		import_remark(&row->detail, "the certificate has expired");
	else if (row->facts.not_before_sec > now_sec)
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

/* Services that the input is about. */
static bool is_in_scope(const struct import *import, const char *service)
{
	if (import->service)
		return strcmp(import->service, service) == 0;
	for (size_t i = 0; i < import->row_count; i++)
		if (import->rows[i].service && strcmp(import->rows[i].service, service) == 0)
			return true;
	return false;
}

/* Rows of one service stand together in most inputs, so that the last answer is the next one. */
static bool is_in_scope_again(
	const struct import *import, const char *service, const char **last, bool *last_answer)
{
	if (!*last || strcmp(*last, service) != 0) {
		*last = service;
		*last_answer = is_in_scope(import, service);
	}
	return *last_answer;
}

static bool is_gone(const struct import *import, const struct standing *standing)
{
	return !standing->is_met && (import->removes_missing || standing->enabled.value != 0);
}

static enum error find_missing(
	const struct import *import, const struct standings *standings, struct import_plan *plan)
{
	const char *last = NULL;
	bool last_answer = false;

	plan->missing = calloc(standings->count + 1, sizeof *plan->missing);
	if (!plan->missing)
		return ERROR_MEMORY;
	for (size_t i = 0; i < standings->count; i++) {
		const struct standing *standing = &standings->all[i];
		struct import_missing *missing = &plan->missing[plan->missing_count];

		if (!is_gone(import, standing) ||
			!is_in_scope_again(import, standing->service, &last, &last_answer))
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

static void count_results(const struct import *import, struct import_plan *plan)
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
	const int64_t now_sec = time(NULL);
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
	count_results(import, plan);
	return OK;
}

/* The newest entry of the history: as long as it is the same, nobody has edited anything. */
static enum error read_history_id(
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
	if ((error = read_history_id(store, &ret->history_id, ret_trouble)) == OK)
		error = read_standings(store, &standings, ret_trouble);
	store_rollback(store);
	return error == OK ? decide_all(import, &standings, ret) : error;
}

/* While a person thought, somebody else may have edited what the plan was made from. */
static enum error check_still(
	const struct import_plan *plan, struct store *store, struct store_trouble *ret_trouble)
{
	int64_t history_id;
	enum error error = read_history_id(store, &history_id, ret_trouble);

	if (error != OK || history_id == plan->history_id)
		return error;
	snprintf(ret_trouble->text, sizeof ret_trouble->text,
		"somebody else has edited the database meanwhile: nothing was changed, run it "
		"again");
	return ERROR_REFUSED;
}

/* The changes --------------------------------------------------------------------------------- */

struct run {
	struct import *import;
	struct store *store;
	struct import_plan *plan;
	struct store_trouble *trouble;
	struct import_row **by_id; /* the rows in the order of the input's ids */
	size_t done;
	uint64_t next_usec; /* when the line about the progress changes again */
};

static void tell_progress(struct run *run)
{
	const uint64_t now_usec = monotonic_usec();

	run->done++;
	if (now_usec < run->next_usec || !isatty(STDERR_FILENO))
		return;
	run->next_usec = now_usec + PROGRESS_USEC;
	fprintf(stderr, "\r%zu of %zu rows", run->done, run->import->row_count);
	fflush(stderr);
}

static void end_progress(const struct run *run)
{
	if (run->next_usec > 0 && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* What the database has against a row is told with the row, and the others are tried as well. */
static enum error put_up_with(
	struct run *run, enum error error, enum import_result *result, char **detail)
{
	if (error != ERROR_REFUSED)
		return error;
	*result = IMPORT_REFUSED;
	free(*detail);
	*detail = strdup(run->trouble->text);
	return *detail ? OK : ERROR_MEMORY;
}

static void add_cell(struct store_row *row, const char *name, struct store_cell cell)
{
	cell.name = name;
	row->cells[row->count++] = cell;
}

static struct store_cell integer(int64_t number)
{
	return (struct store_cell){ .kind = STORE_CELL_INTEGER, .number = number };
}

static struct store_cell text(const char *string)
{
	return (struct store_cell){
		.kind = string ? STORE_CELL_TEXT : STORE_CELL_NULL,
		.bytes = span_of_string(string),
	};
}

static void add_number(struct store_row *row, const char *name, const struct import_number *number)
{
	if (number->is_given)
		add_cell(row, name,
			number->is_null ? (struct store_cell){ .kind = STORE_CELL_NULL }
					: integer(number->value));
}

/* The columns that the input says something about. */
static void fill(const struct import_row *row, struct store_row *ret)
{
	ret->table = STORE_TABLE_MAPPING;
	ret->count = 0;
	add_cell(ret, "account", text(row->account));
	if (row->has_note)
		add_cell(ret, "note", text(row->note));
	add_number(ret, "enabled", &row->enabled);
	add_number(ret, "valid_from", &row->valid_from);
	add_number(ret, "valid_until", &row->valid_until);
	add_number(ret, "account_uid", &row->uid);
}

static int compare_ids(const void *a, const void *b)
{
	const struct import_row *const *first = a, *const *second = b;

	return (*first)->id < (*second)->id ? -1 : (*first)->id > (*second)->id;
}

/* The id here of the mapping that the input numbers so; 0: there is none. */
static int64_t translate(const struct run *run, int64_t id)
{
	const struct import_row wanted = { .id = id }, *key = &wanted;
	struct import_row *const *found = bsearch(
		&key, run->by_id, run->import->row_count, sizeof(struct import_row *), compare_ids);

	return found ? (*found)->mapping_id : 0;
}

static bool is_staged(const struct import_row *row)
{
	return row->replaces > 0 && row->enabled.is_given && row->enabled.value == 0;
}

static enum error insert(struct run *run, struct import_row *row)
{
	struct store_row cells;
	int64_t replaces = 0;
	enum error error;

	fill(row, &cells);
	add_cell(&cells, "service", text(row->service));
	add_cell(&cells, "certificate",
		(struct store_cell){
			.kind = STORE_CELL_BLOB, .bytes = span_of(row->der, row->der_length) });
	if (is_staged(row)) {
		replaces = translate(run, row->replaces);
		if (replaces == 0) {
			import_refuse(row, "it is staged to replace %" PRId64 ", which is not here",
				row->replaces);
			return OK;
		}
		add_cell(&cells, "replaces", integer(replaces));
		add_number(&cells, "staged_until", &row->staged_until);
	}
	error = store_insert_row(run->store, &cells, &row->mapping_id, run->trouble);
	return put_up_with(run, error, &row->result, &row->detail);
}

static enum error update(struct run *run, struct import_row *row)
{
	struct store_row cells;
	bool is_found;
	enum error error;

	fill(row, &cells);
	add_cell(&cells, "id", integer(row->mapping_id));
	error = store_update_row(run->store, &cells, &is_found, run->trouble);
	return put_up_with(run, error, &row->result, &row->detail);
}

static enum error set_enabled(struct run *run, int64_t id, bool enabled)
{
	const struct store_row row = {
		.table = STORE_TABLE_MAPPING,
		.count = 2,
		.cells = { { .name = "id", .kind = STORE_CELL_INTEGER, .number = id },
			{ .name = "enabled", .kind = STORE_CELL_INTEGER, .number = enabled } },
	};
	bool is_found;

	return store_update_row(run->store, &row, &is_found, run->trouble);
}

static enum error retire_missing(struct run *run)
{
	bool is_found;
	enum error error = OK;

	for (size_t i = 0; i < run->plan->missing_count && error == OK; i++) {
		const int64_t id = run->plan->missing[i].id;

		error = run->import->removes_missing
				? store_delete_mapping(run->store, id, &is_found, run->trouble)
				: set_enabled(run, id, false);
	}
	return error;
}

/* Of two mappings whose accounts are exchanged neither could be the first: all of them are disabled
 * before. */
static enum error change_rows(struct run *run)
{
	enum error error = OK;

	for (size_t i = 0; i < run->import->row_count && error == OK; i++)
		if (run->import->rows[i].result == IMPORT_CHANGED && run->import->rows[i].is_moved)
			error = set_enabled(run, run->import->rows[i].mapping_id, false);
	for (size_t i = 0; i < run->import->row_count && error == OK; i++)
		if (run->import->rows[i].result == IMPORT_CHANGED) {
			error = update(run, &run->import->rows[i]);
			tell_progress(run);
		}
	return error;
}

static enum error add_rows(struct run *run, bool staged)
{
	enum error error = OK;

	for (size_t i = 0; i < run->import->row_count && error == OK; i++)
		if (run->import->rows[i].result == IMPORT_ADDED &&
			is_staged(&run->import->rows[i]) == staged) {
			error = insert(run, &run->import->rows[i]);
			tell_progress(run);
		}
	return error;
}

/* The other tables ---------------------------------------------------------------------------- */

struct search {
	const struct import_object *object;
	bool is_found;
};

static bool is_same_cell(const struct store_cell *a, const struct store_cell *b)
{
	return a && b && a->kind == b->kind && a->number == b->number &&
	       (!span_is_present(a->bytes) || span_is_equal(a->bytes, b->bytes));
}

/* Bytes that stand there as text come out of JSON as bytes. */
static bool is_same_content(const struct store_cell *a, const struct store_cell *b)
{
	return a && b && span_is_equal(a->bytes, b->bytes);
}

static enum error compare_object(const struct store_row *row, void *context)
{
	struct search *search = context;
	const struct store_row *wanted = &search->object->row;

	for (size_t i = 0; i < wanted->count; i++) {
		const struct store_cell *cell = &wanted->cells[i];
		const struct store_cell *is = store_row_cell(row, cell->name);

		if (!is_same_cell(cell, is) &&
			!(strcmp(cell->name, "content") == 0 && is_same_content(cell, is)))
			return OK;
	}
	search->is_found = true;
	return OK;
}

static enum error put_object(struct run *run, struct import_object *object)
{
	struct search search = { .object = object };
	int64_t id;
	bool is_found = false;
	enum error error = store_read_table(
		run->store, object->row.table, compare_object, &search, run->trouble);

	if (error != OK)
		return error;
	object->result = search.is_found ? IMPORT_UNCHANGED : IMPORT_ADDED;
	if (search.is_found)
		return OK;
	if (object->row.table != STORE_TABLE_TRUST)
		error = store_update_row(run->store, &object->row, &is_found, run->trouble);
	if (error == OK && is_found)
		object->result = IMPORT_CHANGED;
	else if (error == OK)
		error = store_insert_row(run->store, &object->row, &id, run->trouble);
	return put_up_with(run, error, &object->result, &object->detail);
}

/* The services come first: what they allow the mappings need. */
static enum error put_objects(struct run *run)
{
	enum error error = OK;

	for (size_t i = 0; i < run->import->object_count && error == OK; i++)
		error = put_object(run, &run->import->objects[i]);
	return error;
}

void import_plan_done(struct import_plan *plan)
{
	for (size_t i = 0; i < plan->missing_count; i++) {
		free(plan->missing[i].service);
		free(plan->missing[i].account);
	}
	free(plan->missing);
}

static enum error sort_by_id(struct run *run)
{
	const size_t count = run->import->row_count;

	if (!(run->by_id = calloc(count + 1, sizeof(struct import_row *))))
		return ERROR_MEMORY;
	for (size_t i = 0; i < count; i++)
		run->by_id[i] = &run->import->rows[i];
	qsort(run->by_id, count, sizeof(struct import_row *), compare_ids);
	return OK;
}

static enum error run_all(struct run *run)
{
	enum error error;

	if ((error = put_objects(run)) != OK || (error = retire_missing(run)) != OK ||
		(error = change_rows(run)) != OK || (error = add_rows(run, false)) != OK ||
		(error = sort_by_id(run)) != OK)
		return error;
	return add_rows(run, true);
}

enum error import_apply(struct import *import, struct store *store, struct import_plan *plan,
	struct store_trouble *ret_trouble)
{
	struct run run = {
		.import = import,
		.store = store,
		.plan = plan,
		.trouble = ret_trouble,
	};
	enum error error = check_still(plan, store, ret_trouble);

	if (error == OK)
		error = run_all(&run);
	free(run.by_id);
	end_progress(&run);
	if (error != OK)
		return error;
	count_results(import, plan);
	if (plan->counts[IMPORT_REFUSED] == 0)
		return OK;
	snprintf(ret_trouble->text, sizeof ret_trouble->text,
		"%zu of %zu can't be imported: nothing was changed", plan->counts[IMPORT_REFUSED],
		import->row_count + import->object_count);
	return ERROR_REFUSED;
}
