/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_service.c owns the statements on the table service. */
#include "store_service.h"

#include "store_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct policy {
	const char *name;
	enum store_policy_kind kind;
} policies[POLICIES] = {
	[POLICY_ENABLED] = { "enabled", POLICY_IS_FLAG },
	[POLICY_INHERIT] = { "inherit", POLICY_IS_FLAG },
	[POLICY_CERTIFICATES] = { "certificates_per_account", POLICY_IS_NUMBER },
	[POLICY_ACCEPT_NAMES] = { "accept_names", POLICY_IS_FLAG },
	[POLICY_ACCEPT_NAME] = { "accept_name", POLICY_IS_FLAG },
	[POLICY_REQUIRE_TRUST] = { "require_trust", POLICY_IS_FLAG },
	[POLICY_REVOCATION] = { "revocation", POLICY_IS_TEXT },
	[POLICY_DELIVER_CREDENTIAL] = { "deliver_credential", POLICY_IS_FLAG },
	[POLICY_SHADOW] = { "shadow", POLICY_IS_FLAG },
	[POLICY_NOTE] = { "note", POLICY_IS_TEXT },
};

const char *store_policy_name(enum store_policy policy)
{
	return policies[policy].name;
}

enum store_policy_kind store_policy_kind(enum store_policy policy)
{
	return policies[policy].kind;
}

static void read_service(sqlite3_stmt *statement, struct store_service *ret)
{
	ret->name = store_read_span(statement, 0);
	for (int i = 0; i < POLICIES; i++) {
		struct store_policy_value *value = &ret->values[i];

		value->is_number = sqlite3_column_type(statement, i + 1) == SQLITE_INTEGER;
		value->number = value->is_number ? sqlite3_column_int64(statement, i + 1) : 0;
		value->text = store_read_span(statement, i + 1);
	}
}

enum error store_list_services(struct store *store, const char *name, store_service_taker *take,
	void *context, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	struct store_service service;
	enum error error = store_prepare(store, STORE_LIST_POLICIES,
		"SELECT name, enabled, inherit, certificates_per_account, accept_names,"
		" accept_name, require_trust, revocation, deliver_credential, shadow, note"
		" FROM service WHERE ?1 IS NULL OR name = ?1 ORDER BY name <> '*', name",
		&statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	if (sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		read_service(statement, &service);
		if ((error = take(&service, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

enum error store_list_demands(struct store *store, store_demand_taker *take, void *context,
	struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_LIST_DEMANDS,
		"SELECT s.name, s.name = '*', coalesce(s.require_trust, d.require_trust) = 1,"
		" coalesce(s.revocation, d.revocation) = 'require'"
		" FROM service AS s JOIN service AS d ON d.name = '*'"
		" ORDER BY s.name <> '*', s.name",
		&statement, ret_trouble);
	int result;

	if (error != OK)
		return error;
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		const bool is_trust = sqlite3_column_int(statement, 2) != 0;
		const struct store_demand demand = {
			.service = store_read_span(statement, 0),
			.is_every = sqlite3_column_int(statement, 1) != 0,
			.of_chains = is_trust,
			.of_lists = is_trust && sqlite3_column_int(statement, 3) != 0,
		};

		if ((error = take(&demand, context)) != OK)
			return error;
	}
	return result == SQLITE_DONE ? OK : store_failed(store, ret_trouble);
}

static void finalize(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
}

/* Room for the longest: an INSERT of every column. */
struct sql {
	char text[1024];
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void add_sql(struct sql *sql, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	sql->length += (size_t)vsnprintf(
		sql->text + sql->length, sizeof sql->text - sql->length, format, arguments);
	va_end(arguments);
}

/* Nothing but the names of columns above is put together here. The name of the service is ?1, and
 * a column's value the parameter of its number. */
static void word_insert(const struct store_policy_change changes[POLICIES], struct sql *ret)
{
	add_sql(ret, "INSERT INTO service (name");
	for (int i = 0; i < POLICIES; i++)
		if (changes[i].is_wanted)
			add_sql(ret, ", %s", policies[i].name);
	add_sql(ret, ") VALUES (?1");
	for (int i = 0; i < POLICIES; i++)
		if (changes[i].is_wanted)
			add_sql(ret, ", ?%d", i + 2);
	add_sql(ret, ")");
}

static void word_update(const struct store_policy_change changes[POLICIES], struct sql *ret)
{
	const char *before = "UPDATE service SET ";

	for (int i = 0; i < POLICIES; i++)
		if (changes[i].is_wanted) {
			add_sql(ret, "%s%s = ?%d", before, policies[i].name, i + 2);
			before = ", ";
		}
	add_sql(ret, " WHERE name = ?1");
}

static bool bind_value(
	sqlite3_stmt *statement, int parameter, const struct store_policy_value *value)
{
	if (value->is_number)
		return sqlite3_bind_int64(statement, parameter, value->number) == SQLITE_OK;
	return store_bind_span(statement, parameter, value->text);
}

static bool bind_changes(sqlite3_stmt *statement, const char *name,
	const struct store_policy_change changes[POLICIES])
{
	if (sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) != SQLITE_OK)
		return false;
	for (int i = 0; i < POLICIES; i++)
		if (changes[i].is_wanted && !bind_value(statement, i + 2, &changes[i].value))
			return false;
	return true;
}

static enum error note_found(const struct store_service *service, void *context)
{
	(void)service;
	*(bool *)context = true;
	return OK;
}

enum error store_write_service(struct store *store, const char *name,
	const struct store_policy_change changes[POLICIES], struct store_trouble *ret_trouble)
{
	__attribute__((cleanup(finalize))) sqlite3_stmt *statement = NULL;
	struct sql sql = { "", 0 };
	bool is_there = false;
	enum error error = store_list_services(store, name, note_found, &is_there, ret_trouble);

	if (error != OK)
		return error;
	if (is_there)
		word_update(changes, &sql);
	else
		word_insert(changes, &sql);
	if (sqlite3_prepare_v2(store->db, sql.text, -1, &statement, NULL) != SQLITE_OK ||
		!bind_changes(statement, name, changes))
		return store_failed(store, ret_trouble);
	return store_run_edit(store, statement, ret_trouble);
}

enum error store_delete_service(
	struct store *store, const char *name, bool *ret_found, struct store_trouble *ret_trouble)
{
	sqlite3_stmt *statement STORE_RESET = NULL;
	enum error error = store_prepare(store, STORE_DELETE_POLICY,
		"DELETE FROM service WHERE name = ?1", &statement, ret_trouble);

	if (error != OK)
		return error;
	if (sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) != SQLITE_OK)
		return store_failed(store, ret_trouble);
	if ((error = store_run_edit(store, statement, ret_trouble)) == OK)
		*ret_found = sqlite3_changes(store->db) > 0;
	return error;
}
