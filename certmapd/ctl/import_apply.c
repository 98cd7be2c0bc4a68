/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_apply.c owns what an import does to the database, all of it or nothing. The rules of the
 * schema are asked by writing; here stands only what the schema can't know, the order of the
 * changes.
 */
#include "import.h"

#include "insert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* While a person thought, somebody else may have edited what the plan was made from. */
static enum error check_still(
	const struct import_plan *plan, struct store *store, struct store_trouble *ret_trouble)
{
	int64_t history_id;
	enum error error = import_read_history_id(store, &history_id, ret_trouble);

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
	size_t done, crowded;
};

static void tell_progress(struct run *run)
{
	import_progress(run->import, "writing", ++run->done,
		run->plan->counts[IMPORT_ADDED] + run->plan->counts[IMPORT_CHANGED]);
}

/* The words of the schema when an account has as many as it may. */
#define CROWDED_WORDS "this account has its enabled certificate"
/* Each of these looks through all rows. */
#define CROWDED_MAX 100u

/* What the database has against a row is told with the row, and the others are tried as well. */
static enum error put_up_with(
	struct run *run, enum error error, enum import_result *result, char **detail)
{
	if (error != ERROR_REFUSED)
		return error;
	*result = IMPORT_REFUSED;
	free(*detail);
	*detail = strndup(run->trouble->text, insert_words_length(run->trouble->text));
	return *detail ? OK : ERROR_MEMORY;
}

/* The enabled mapping of the same account and service that was written before; NULL: it stood in
 * the database. */
static const struct import_row *find_occupant(struct run *run, const struct import_row *row)
{
	const struct import *import = run->import;

	if (run->crowded++ >= CROWDED_MAX)
		return NULL;
	for (size_t i = 0; i < import->row_count; i++) {
		const struct import_row *other = &import->rows[i];

		if (other != row && other->mapping_id != 0 && other->result != IMPORT_REFUSED &&
			(!other->enabled.is_given || other->enabled.value != 0) &&
			strcmp(other->service, row->service) == 0 &&
			strcmp(other->account, row->account) == 0)
			return other;
	}
	return NULL;
}

/* Which mapping is in the way, in place of the SELECT that would show it to a shell. */
static void name_occupant(struct run *run, struct import_row *row)
{
	const struct import_row *occupant;

	if (row->result != IMPORT_REFUSED || !row->detail ||
		strncmp(row->detail, CROWDED_WORDS, strlen(CROWDED_WORDS)) != 0)
		return;
	occupant = find_occupant(run, row);
	free(row->detail);
	row->detail = NULL;
	import_remark(&row->detail,
		"its account has an enabled certificate in this service already, %s%s: "
		"--certificates-per-account raises its certificates_per_account",
		occupant ? "that of " : "which `certmapctl list --account' shows",
		occupant ? occupant->origin : "");
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

/* A staged row is told which mapping here it waits to replace. False: that one is not here. */
static bool add_staging(struct run *run, struct import_row *row, struct store_row *cells)
{
	int64_t replaces;

	if (row->is_unstaged)
		add_cell(cells, "replaces", (struct store_cell){ .kind = STORE_CELL_NULL });
	if (!import_is_staged(row))
		return true;
	replaces = translate(run, row->replaces);
	add_cell(cells, "replaces", integer(replaces));
	add_number(cells, "staged_until", &row->staged_until);
	if (replaces == 0)
		import_refuse(row, "it is staged to replace %" PRId64 ", which is not here",
			row->replaces);
	return replaces != 0;
}

static enum error insert(struct run *run, struct import_row *row)
{
	struct store_row cells;
	enum error error;

	fill(row, &cells);
	add_cell(&cells, "service", text(row->service));
	add_cell(&cells, "certificate",
		(struct store_cell){
			.kind = STORE_CELL_BLOB, .bytes = span_of(row->der, row->der_length) });
	if (!add_staging(run, row, &cells))
		return OK;
	error = store_insert_row(run->store, &cells, &row->mapping_id, run->trouble);
	error = put_up_with(run, error, &row->result, &row->detail);
	name_occupant(run, row);
	return error;
}

static enum error update(struct run *run, struct import_row *row)
{
	struct store_row cells;
	bool is_found;
	enum error error;

	fill(row, &cells);
	add_cell(&cells, "id", integer(row->mapping_id));
	if (!add_staging(run, row, &cells))
		return OK;
	error = store_update_row(run->store, &cells, &is_found, run->trouble);
	error = put_up_with(run, error, &row->result, &row->detail);
	name_occupant(run, row);
	return error;
}

/* Not in force, and nothing that could come into force by itself. */
static enum error disable(struct run *run, int64_t id)
{
	struct store_row row = { .table = STORE_TABLE_MAPPING };
	bool is_found;

	add_cell(&row, "id", integer(id));
	add_cell(&row, "enabled", integer(0));
	add_cell(&row, "replaces", (struct store_cell){ .kind = STORE_CELL_NULL });
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
				: disable(run, id);
	}
	return error;
}

/* What happens to the rows, one step after the other. */
enum step { STEP_DISABLE, STEP_ENABLE, STEP_ADD, STEP_STAGE };

static enum step step_of(const struct import_row *row)
{
	if (import_is_staged(row))
		return STEP_STAGE;
	if (row->result == IMPORT_ADDED)
		return STEP_ADD;
	return row->enabled.value == 0 ? STEP_DISABLE : STEP_ENABLE;
}

static enum error take_step(struct run *run, enum step step)
{
	enum error error = OK;

	for (size_t i = 0; i < run->import->row_count && error == OK; i++) {
		struct import_row *row = &run->import->rows[i];

		if ((row->result != IMPORT_ADDED && row->result != IMPORT_CHANGED) ||
			step_of(row) != step)
			continue;
		error = row->result == IMPORT_ADDED ? insert(run, row) : update(run, row);
		tell_progress(run);
	}
	return error;
}

/* Of two mappings whose accounts are exchanged neither could be the first, and one that goes back
 * to being staged is written last. */
static enum error make_room(struct run *run)
{
	enum error error = OK;

	for (size_t i = 0; i < run->import->row_count && error == OK; i++) {
		const struct import_row *row = &run->import->rows[i];

		if (row->result == IMPORT_CHANGED && (row->is_moved || import_is_staged(row)))
			error = disable(run, row->mapping_id);
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

/* An account has room for a certificate only after another one was disabled, and what a staged row
 * waits to replace must be there. */
static enum error run_all(struct run *run)
{
	enum error error;

	if ((error = put_objects(run)) != OK || (error = retire_missing(run)) != OK ||
		(error = make_room(run)) != OK || (error = take_step(run, STEP_DISABLE)) != OK ||
		(error = take_step(run, STEP_ENABLE)) != OK ||
		(error = take_step(run, STEP_ADD)) != OK || (error = sort_by_id(run)) != OK)
		return error;
	return take_step(run, STEP_STAGE);
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
	import_end_progress(import);
	if (error != OK)
		return error;
	import_count(import, plan);
	if (plan->counts[IMPORT_REFUSED] == 0)
		return OK;
	snprintf(ret_trouble->text, sizeof ret_trouble->text,
		"%zu of %zu can't be imported: nothing was changed", plan->counts[IMPORT_REFUSED],
		import->row_count + import->object_count);
	return ERROR_REFUSED;
}
