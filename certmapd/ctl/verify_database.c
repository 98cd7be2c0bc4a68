/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify_database.c owns what can be wrong in the database, and the remedies. */
#include "verify_database.h"

#include "assurance.h"
#include "index.h"
#include "narrate.h"
#include "print.h"
#include "seal.h"
#include "store_check.h"
#include "store_credential.h"
#include "store_service.h"
#include "store_status.h"
#include "trust.h"
#include "verify_stacks.h"
#include "view.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME_MAX_BYTES 300u

struct look {
	struct verify *verify;
	struct store *store;
	struct store_trouble *trouble;
	int64_t now_sec;
	bool requires_lists, has_credential;
};

/* Of a row that somebody wrote with `PRAGMA ignore_check_constraints = ON'. No page is broken, and
 * .recover would bring the row back as it is. */
static bool is_broken_rule(const char *words)
{
	static const char prefix[] = "CHECK constraint failed";

	return strncmp(words, prefix, strlen(prefix)) == 0;
}

static enum error take_damage(const char *words, void *context)
{
	struct look *look = context;

	if (is_broken_rule(words)) {
		verify_report(look->verify, VERIFY_ERROR, look->verify->ctl->database,
			"Logins that need it are unavailable. In the sqlite3 shell .schema shows "
			"the rules, and UPDATE mends the row.",
			"a row breaks a rule: %s", words);
		return OK;
	}
	verify_report(look->verify, VERIFY_ERROR, look->verify->ctl->database,
		"Restore it from a backup, or recover it with `sqlite3 FILE .recover'.",
		"it is damaged: %s", words);
	return OK;
}

/* Who could write the file once may have left a trigger that brings his mapping back, or taken out
 * a rule. A table or view of a person's own is in nobody's way. */
static enum error take_object(const struct store_object *object, void *context)
{
	struct look *look = context;
	const char *database = look->verify->ctl->database;

	if (object->difference == STORE_OBJECT_ADDED)
		verify_report(look->verify, object->is_trigger ? VERIFY_ERROR : VERIFY_WARNING,
			database, "Look at it with `.schema' in a sqlite3 shell, and DROP it.",
			"the %s %s is not of certmap's schema", object->type, object->name);
	else
		verify_report(look->verify, VERIFY_ERROR, database,
			"Bring the rows into a new database: `certmapctl export --format=json', "
			"`init', `import'.",
			object->difference == STORE_OBJECT_MISSING
				? "the %s %s of certmap's schema is missing"
				: "the %s %s is not as in certmap's schema",
			object->type, object->name);
	return OK;
}

/* Facts have no history: who could write the file may have put his own certificate there, and left
 * the mapping as it was. */
static enum error take_forged(int64_t mapping_id, void *context)
{
	struct look *look = context;
	char thing[64];

	snprintf(thing, sizeof thing, "mapping %" PRId64, mapping_id);
	verify_report(look->verify, VERIFY_ERROR, thing,
		"In a sqlite3 shell: DELETE FROM fact; INSERT OR IGNORE INTO pending SELECT id, "
		"service FROM mapping;",
		"lookups find it by facts that are not those of its certificate: another one may "
		"let somebody in");
	return OK;
}

static char *copy_text(struct span text, char ret[NAME_MAX_BYTES])
{
	snprintf(ret, NAME_MAX_BYTES, "%.*s", (int)text.length,
		text.bytes ? (const char *)text.bytes : "");
	return ret;
}

static bool is_text(struct span text, const char *word)
{
	return span_is_equal(text, span_of_string(word));
}

/* Before 1970 too, which when_read() takes for none: a certificate may have ended then. */
static bool read_time(struct span text, int64_t *ret)
{
	char copy[NAME_MAX_BYTES];
	struct tm parts = { 0 };

	if (!span_is_present(text) || !strptime(copy_text(text, copy), "%Y-%m-%d %H:%M:%S", &parts))
		return false;
	*ret = timegm(&parts);
	return true;
}

static void check_end(const struct look *look, const char *thing, struct span text,
	const char *what, const char *remedy)
{
	int64_t end_sec;
	char when[NARRATE_TIME_BYTES];

	if (!read_time(text, &end_sec) || end_sec - look->now_sec > VIEW_SOON_SEC)
		return;
	narrate_time(end_sec, look->now_sec, when);
	verify_report(look->verify, VERIFY_WARNING, thing, remedy,
		end_sec < look->now_sec ? "%s expired on %s" : "%s expires on %s", what, when);
}

/* A bare shell does not bind, and no verb does so afterwards. */
static void report_unbound(
	const struct look *look, const char *thing, int64_t id, const struct passwd *account)
{
	char remedy[NAME_MAX_BYTES];

	snprintf(remedy, sizeof remedy,
		"UPDATE mapping SET account_uid = %u WHERE id = %" PRId64
		"; keeps the certificate from the name's next owner.",
		(unsigned)account->pw_uid, id);
	verify_report(look->verify, VERIFY_WARNING, thing, remedy,
		"it is not bound to the uid of %s", account->pw_name);
}

static const char *rename_remedy(int64_t id, char ret[NAME_MAX_BYTES])
{
	snprintf(ret, NAME_MAX_BYTES,
		"Remove the mapping, before the name is given to somebody else. Where the account "
		"was renamed: UPDATE mapping SET account = 'NEW' WHERE id = %" PRId64 ";",
		id);
	return ret;
}

static const char *uid_remedy(int64_t id, const struct passwd *account, char ret[NAME_MAX_BYTES])
{
	snprintf(ret, NAME_MAX_BYTES,
		"Remove it if the name is somebody else's. If the same person has another uid: "
		"UPDATE mapping SET account_uid = %u WHERE id = %" PRId64 ";",
		(unsigned)account->pw_uid, id);
	return ret;
}

static void check_account(
	const struct look *look, const char *thing, const struct store_status *row)
{
	char name[NAME_MAX_BYTES], remedy[NAME_MAX_BYTES];
	const struct passwd *account;

	errno = 0;
	account = getpwnam(copy_text(row->text[STATUS_ACCOUNT], name));
	if (!account && (errno == EIO || errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		verify_report(look->verify, VERIFY_WARNING, thing, "Look again later.",
			"the account %s can't be looked up: %s", name, strerror(errno));
	else if (!account)
		verify_report(look->verify, VERIFY_WARNING, thing,
			rename_remedy(row->number[STATUS_ID], remedy),
			"the account %s does not exist", name);
	else if (span_is_present(row->text[STATUS_ACCOUNT_UID]) &&
		 row->number[STATUS_ACCOUNT_UID] != account->pw_uid)
		verify_report(look->verify, VERIFY_ERROR, thing,
			uid_remedy(row->number[STATUS_ID], account, remedy),
			"%s has uid %u, and was mapped with uid %" PRId64 ": the name is somebody "
			"else's by now, or the uid was changed",
			name, (unsigned)account->pw_uid, row->number[STATUS_ACCOUNT_UID]);
	else if (account->pw_uid == 0)
		verify_report(look->verify, VERIFY_WARNING, thing,
			"Map another account; lines with allow_root alone let it in.", "%s is root",
			name);
	else if (!span_is_present(row->text[STATUS_ACCOUNT_UID]))
		report_unbound(look, thing, row->number[STATUS_ID], account);
}

static void check_service(const struct look *look, const char *thing, const char *service)
{
	if (strcmp(service, "*") != 0 && !verify_has_stack(look->verify, service))
		verify_report(look->verify, VERIFY_WARNING, thing,
			"Mend the name, or remove the row.", "there is no service %s in /etc/pam.d",
			service);
}

static enum error take_mapping(const struct store_status *row, void *context)
{
	const struct look *look = context;
	const struct span *text = row->text;
	char thing[64], words[NAME_MAX_BYTES];

	snprintf(thing, sizeof thing, "mapping %" PRId64, row->number[STATUS_ID]);
	if (span_is_present(text[STATUS_PROBLEM]))
		verify_report(look->verify, VERIFY_ERROR, thing,
			"Replace its certificate, or remove it.", "it can't be used: %s",
			copy_text(text[STATUS_PROBLEM], words));
	else if (is_text(text[STATUS_STATE], "pending"))
		verify_report(look->verify, VERIFY_WARNING, thing,
			"See whether certmapd runs and can write the database.",
			"its certificate has not been read yet");
	check_service(look, thing, copy_text(text[STATUS_SERVICE], words));
	/* Who is disabled lets nobody in, whatever else is the matter. */
	if (is_text(text[STATUS_STATE], "disabled"))
		return OK;
	check_account(look, thing, row);
	check_end(look, thing, text[STATUS_NOT_AFTER], "its certificate",
		"Bring the next one with `certmapctl renew', or remove the mapping.");
	check_end(look, thing, text[STATUS_VALID_UNTIL], "it",
		"Change its valid_until, or remove it.");
	return OK;
}

/* Of an older schema, which took a NULL for enabled, or of one without its triggers. */
static enum error take_crowd(const struct store_crowd *crowd, void *context)
{
	const struct look *look = context;
	char thing[NAME_MAX_BYTES], account[NAME_MAX_BYTES], remedy[2 * NAME_MAX_BYTES];

	snprintf(thing, sizeof thing, "account %s", crowd->account);
	snprintf(remedy, sizeof remedy,
		"`certmapctl list --account %s' shows them: disable what is too many, or raise "
		"certificates_per_account.",
		print_shown(span_of_string(crowd->account), account, sizeof account));
	verify_report(look->verify, VERIFY_ERROR, thing, remedy,
		"it has %" PRId64 " enabled mappings for %s, and %" PRId64 " would be allowed",
		crowd->count, strcmp(crowd->service, "*") == 0 ? "every service" : crowd->service,
		crowd->limit);
	return OK;
}

static enum error take_staged(const struct store_staged *row, void *context)
{
	const struct look *look = context;
	char thing[64];

	snprintf(thing, sizeof thing, "mapping %" PRId64, row->id);
	if (row->has_lapsed)
		verify_report(look->verify, VERIFY_WARNING, thing, "Stage it anew, or remove it.",
			"its staging lapsed before it was used");
	else if (row->is_shut_out)
		verify_report(look->verify, VERIFY_WARNING, thing,
			"Enable it in person, or remove it.",
			"it can't take force: mapping %" PRId64
			", which it replaces, is disabled, or not this account's",
			row->replaces);
	else if (row->is_crowded_out)
		verify_report(look->verify, VERIFY_WARNING, thing,
			"Disable the account's other mapping, or remove this one.",
			"it can't take force: %s has another certificate by now", row->account);
	return OK;
}

static enum error take_demand(const struct store_demand *demand, void *context)
{
	struct look *look = context;
	char thing[NAME_MAX_BYTES + sizeof "service "], service[NAME_MAX_BYTES];
	struct store_trust_count count;
	enum error error =
		store_count_trust(look->store, demand->service, 0, &count, look->trouble);

	if (error != OK)
		return error;
	snprintf(thing, sizeof thing, "service %s", copy_text(demand->service, service));
	look->requires_lists |= demand->of_lists;
	if (demand->of_chains && count.anchors == 0)
		verify_report(look->verify, VERIFY_ERROR, thing,
			"Add the authority's certificate with `certmapctl trust add', or set "
			"require_trust = 0.",
			"require_trust is 1 and there is no trust anchor: nobody is let in");
	else if (demand->of_lists && count.lists == 0)
		verify_report(look->verify, VERIFY_ERROR, thing,
			"Add the authority's list with `certmapctl crl add', or set revocation to "
			"prefer or off.",
			"revocation is require and there is no revocation list: nobody is let in");
	check_service(look, thing, service);
	return OK;
}

static const char *kind_word(enum store_trust_kind kind)
{
	switch (kind) {
	case STORE_TRUST_ANCHOR:
		return "the trust anchor";
	case STORE_TRUST_INTERMEDIATE:
		return "the intermediate certificate";
	case STORE_TRUST_CRL:
		return "the revocation list";
	}
	return "it";
}

static void free_material(struct trust_material **material)
{
	trust_material_free(*material);
}

static enum error take_trust(
	int64_t id, enum store_trust_kind kind, struct span content, void *context)
{
	const struct look *look = context;
	struct trust_material *material __attribute__((cleanup(free_material))) = NULL;
	const char *problem = NULL;
	char thing[64], when[NARRATE_TIME_BYTES];
	int64_t end_sec;
	enum error error;

	if ((error = trust_material_new(&material)) != OK ||
		(error = assurance_add(material, kind, content, &problem)) != OK)
		return error;
	snprintf(thing, sizeof thing, "row %" PRId64 " of trust", id);
	if (problem)
		verify_report(look->verify, VERIFY_ERROR, thing, "Put a sound one in its place.",
			"%s can't be used: %s", kind_word(kind), problem);
	else if ((end_sec = trust_lists_end_sec(material)) < look->now_sec)
		verify_report(look->verify, look->requires_lists ? VERIFY_ERROR : VERIFY_WARNING,
			thing, "Put the authority's current list in its place.",
			"the revocation list is stale: the next one was due on %s",
			narrate_time(end_sec, look->now_sec, when));
	return OK;
}

static enum error take_credential(const struct store_credential *row, void *context)
{
	struct look *look = context;

	(void)row;
	look->has_credential = true;
	return OK;
}

static void check_key(const struct look *look)
{
	const char *path = look->verify->key_path;
	struct seal_keys *keys = NULL;
	enum seal_finding finding = SEAL_OPENED;
	enum error error;

	if (!look->has_credential)
		return;
	error = seal_keys_load(path, &keys, &finding);
	seal_keys_free(keys);
	if (error != OK)
		verify_report(look->verify, VERIFY_ERROR, path, "Make it readable to root.",
			"the key of the stored credentials can't be read: %s",
			error == ERROR_SYSTEM ? strerror(errno) : error_text(error));
	else if (finding != SEAL_OPENED)
		verify_report(look->verify, VERIFY_ERROR, path,
			"See `certmapctl credential new-key' in certmapctl(1).",
			"credentials are stored, and can't be opened: %s",
			seal_finding_text(finding));
}

static enum error look_at(struct look *look, struct store *store, struct store_trouble *ret_trouble)
{
	enum error error;

	/* First, before a trigger of somebody else's is set off. */
	if ((error = store_check_schema(
		     store, migrations, migration_count, take_object, look, ret_trouble)) != OK)
		return error;
	/* What of it fails is told; the rest is as true as the file is sound. */
	if ((error = store_check_integrity(store, take_damage, look, ret_trouble)) != OK ||
		(error = index_check(store, take_forged, look, ret_trouble)) != OK ||
		(error = ctl_settle(store, ret_trouble)) != OK ||
		(error = store_list_demands(store, take_demand, look, ret_trouble)) != OK ||
		(error = store_list_status(store, NULL, NULL, take_mapping, look, ret_trouble)) !=
			OK ||
		(error = store_list_crowded(store, take_crowd, look, ret_trouble)) != OK ||
		(error = store_list_staged(store, take_staged, look, ret_trouble)) != OK ||
		(error = store_list_every_trust(store, take_trust, look, ret_trouble)) != OK ||
		(error = store_list_credentials(
			 store, NULL, NULL, take_credential, look, ret_trouble)) != OK)
		return error;
	check_key(look);
	return OK;
}

void verify_database(struct verify *verify)
{
	const struct ctl *ctl = verify->ctl;
	struct store_trouble trouble = { "" };
	struct look look = { .verify = verify, .trouble = &trouble, .now_sec = when_now() };
	struct store *store CTL_CLOSE = NULL;
	enum error error =
		store_open(ctl->database, ctl_owner(ctl), STORE_USE_TOOL, &store, &trouble);

	look.store = store;
	if (error == OK)
		error = look_at(&look, store, &trouble);
	if (error == ERROR_STORE && ctl_is_forbidden(ctl))
		verify_report(verify, VERIFY_ERROR, ctl->database, "Run certmapctl as root.",
			"this user may not use it");
	else if (error != OK)
		verify_report(verify, VERIFY_ERROR, ctl->database,
			"Until then nobody is let in by certmap.", "%s",
			trouble.text[0] ? trouble.text : error_text(error));
}
