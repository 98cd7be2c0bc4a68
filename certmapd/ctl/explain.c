/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain.c owns the way from a service's name to the line that a login meets there, and the form
 * of an explanation. */
#include "explain.h"

#include "ask.h"
#include "json.h"
#include "kinfolk.h"
#include "narrate.h"
#include "pamstack.h"
#include "print.h"
#include "seal.h"
#include "trial.h"
#include "view.h"
#include "words.h"

#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODULE "pam_certmap.so"
#define WORDS_MAX 64
#define GROUPS_MAX 256
#define LABEL_COLUMNS 9u
#define GATE_COLUMNS 24u

struct explanation {
	const struct ctl *ctl;
	const struct explain_case *asked;
	struct store *store; /* NULL: it can't be read */
	struct exhibit exhibit;
	struct pamstack *stack;           /* NULL: the line was given */
	const struct pamstack_line *line; /* NULL: as above */
	size_t other_lines;               /* of this module in the same phase */
	char *words;                      /* what the given line's words live in */
	const char *argv[WORDS_MAX];
	struct trial_case c;
	struct trial trial;
	struct kinfolk kin;
};

static void done_explanation(struct explanation **explanation)
{
	struct explanation *e = *explanation;

	if (!e)
		return;
	exhibit_done(&e->exhibit);
	pamstack_free(e->stack);
	store_close(e->store);
	free(e->words);
	free(e);
}

static bool fits(const struct pamstack_line *line, const char *accept)
{
	struct options options;
	struct options_problem problem;
	char word[64] = "accept=certificate";

	if (!accept)
		return options_read(line->argc, line->argv, &options, &problem);
	for (int i = 0; i < line->argc; i++)
		if (strncmp(line->argv[i], "accept=", strlen("accept=")) == 0)
			snprintf(word, sizeof word, "%s", line->argv[i]);
	return strcmp(word + strlen("accept="), accept) == 0;
}

/* The first line that the evidence fits, else the first one, which says why none fits. */
static void choose_line(struct explanation *e)
{
	const struct pamstack_line *first = NULL, *fitting = NULL;

	for (size_t i = 0; i < e->stack->count; i++) {
		const struct pamstack_line *line = &e->stack->lines[i];

		if (line->phase != PAMSTACK_AUTH || !pamstack_calls(line, MODULE))
			continue;
		e->other_lines += first != NULL;
		if (!first)
			first = line;
		if (!fitting && fits(line, e->asked->accept))
			fitting = line;
	}
	e->line = fitting || e->asked->accept ? fitting : first;
}

static enum ctl_status use_stack(struct explanation *e)
{
	const struct explain_case *asked = e->asked;
	const struct store_trouble none = { "" };
	char service[96];
	enum error error = pamstack_read(asked->service, asked->confdir, &e->stack);

	print_shown(span_of_string(asked->service), service, sizeof service);
	if (error == ERROR_REFUSED) {
		ctl_warn("'%s' can't be the name of a PAM service", service);
		return CTL_REFUSED;
	}
	if (error != OK)
		return ctl_fail(e->ctl, error, &none);
	if (e->stack->abort) {
		ctl_warn("%s:%u: %s; libpam refuses everybody at this service",
			e->stack->abort_file, e->stack->abort_number, e->stack->abort);
		return CTL_REFUSED;
	}
	choose_line(e);
	if (!e->line) {
		ctl_warn("no auth line of " MODULE "%s%s in the stack of %s%s: logins by that "
			 "stack never ask certmap; where the service reads another one, or will, "
			 "--line 'source=...' explains with the options of a line, and --confdir "
			 "with another directory",
			asked->accept ? " with accept=" : "", asked->accept ? asked->accept : "",
			service,
			e->stack->has_file ? "" : ", which has no file of its own in /etc/pam.d");
		return CTL_REFUSED;
	}
	e->c.argc = e->line->argc;
	e->c.argv = e->line->argv;
	return CTL_DONE;
}

static enum ctl_status use_given_line(struct explanation *e)
{
	const struct store_trouble none = { "" };
	char *rest, *word;

	if (!(rest = e->words = strdup(e->asked->line)))
		return ctl_fail(e->ctl, ERROR_MEMORY, &none);
	while ((word = strsep(&rest, " \t")) && e->c.argc < WORDS_MAX)
		if (*word)
			e->argv[e->c.argc++] = word;
	e->c.argv = e->argv;
	return CTL_DONE;
}

/* The group that may connect to the socket: its own, where it is there. Where anybody else can, it
 * is the daemon who refuses him. */
static bool find_clients(const struct trial_case *c, gid_t *ret, bool *ret_is_open)
{
	struct options options;
	struct options_problem problem;
	struct stat status;
	const struct group *group;

	if (options_read(c->argc, c->argv, &options, &problem) &&
		lstat(options.socket_path, &status) == 0) {
		*ret = status.st_gid;
		*ret_is_open = status.st_mode & S_IWOTH;
		return true;
	}
	if (!(group = getgrnam(CTL_CLIENTS_GROUP)))
		return false;
	*ret = group->gr_gid;
	return true;
}

static enum ctl_status use_peer(struct explanation *e)
{
	const char *name = e->asked->run_as ? e->asked->run_as : "root";
	const struct passwd *account = getpwnam(name);
	gid_t groups[GROUPS_MAX], clients = 0;
	bool is_open = false;
	int count = GROUPS_MAX;
	char shown[96];

	e->c.peer = (struct peer){ .is_known = true, .is_client = !e->asked->run_as };
	if (!e->asked->run_as)
		return CTL_DONE;
	if (!account) {
		ctl_warn("there is no user %s",
			print_shown(span_of_string(name), shown, sizeof shown));
		return CTL_REFUSED;
	}
	e->c.peer.uid = account->pw_uid;
	e->c.peer.is_client = account->pw_uid == 0 || account->pw_uid == ctl_owner(e->ctl);
	if (!find_clients(&e->c, &clients, &is_open) ||
		getgrouplist(name, account->pw_gid, groups, &count) < 0)
		count = 0;
	for (int i = 0; i < count; i++)
		e->c.peer.is_client |= groups[i] == clients;
	e->c.may_not_connect = !e->c.peer.is_client && !is_open;
	return CTL_DONE;
}

static char *print_code(int code, char ret[40])
{
	size_t used = (size_t)snprintf(ret, 40, "PAM_%s", pamstack_code_word(code));

	for (size_t i = 0; i < used; i++)
		ret[i] = (char)toupper((unsigned char)ret[i]);
	return ret;
}

static void print_head(const struct explanation *e)
{
	const struct explain_case *asked = e->asked;
	char text[NARRATE_TEXT_BYTES];
	struct words head = { .text = text, .capacity = sizeof text };

	words_say_shown(&head, asked->user ? asked->user : "an account that --user does not name");
	words_say(&head, " at the service ");
	words_say_shown(&head, asked->service);
	words_print("login", LABEL_COLUMNS, text);
	head.used = 0;
	if (e->exhibit.is_none)
		words_say(&head, "none");
	else if (e->exhibit.has_facts)
		words_say_shown(&head, e->exhibit.facts.subject);
	else
		words_say(&head, e->exhibit.der_length > 0 || !e->asked->fingerprint
					 ? "not readable as a certificate"
					 : "a certificate that the database has never had");
	if (e->exhibit.fingerprint[0])
		words_say(&head, ", SHA-256 %.*s%s",
			asked->is_verbose ? (int)FINGERPRINT_HEX_BYTES : VIEW_FINGERPRINT_DIGITS,
			e->exhibit.fingerprint, asked->is_verbose ? "" : "...");
	words_print("shows", LABEL_COLUMNS, text);
	head.used = 0;
	if (e->line)
		words_say(&head, "%s:%u (%s)", e->line->file, e->line->number, e->line->control);
	else
		words_say(&head, "as given with --line");
	if (e->other_lines > 0)
		words_say(&head,
			"; %zu other lines of the module are there: --accept chooses among them",
			e->other_lines);
	words_print("line", LABEL_COLUMNS, text);
}

static void print_gates(const struct explanation *e)
{
	char text[NARRATE_TEXT_BYTES], label[64];

	puts("");
	for (int i = 0; i < TRIAL_GATES; i++) {
		const enum trial_gate gate = (enum trial_gate)i;
		const enum trial_finding finding = e->trial.findings[gate];

		snprintf(label, sizeof label, "%s  %s",
			finding == TRIAL_OK       ? "ok    "
			: finding == TRIAL_FAILED ? "FAILED"
						  : "-     ",
			narrate_gate(gate));
		narrate_text(&e->c, &e->trial, gate, text);
		words_print(
			label, GATE_COLUMNS, finding == TRIAL_NOT_REACHED ? "not reached" : text);
	}
	puts("");
}

static const char *next_step(const struct explanation *e)
{
	if (e->trial.shadow == REASON_UNKNOWN)
		return narrate_remedy(e->trial.outcome.reason);
	return e->trial.shadow == REASON_ALLOWED ? narrate_shadow()
						 : narrate_remedy(e->trial.shadow);
}

static void print_words_of(const struct explanation *e)
{
	char code[40], text[NARRATE_TEXT_BYTES];
	const enum reason reason = e->trial.outcome.reason;

	print_head(e);
	print_gates(e);
	snprintf(text, sizeof text, "%s (%s)%s%s", reason_word(reason),
		print_code(e->trial.code, code),
		e->trial.shadow != REASON_UNKNOWN
			? ": the service is in shadow mode; without it the answer would be "
			: "",
		e->trial.shadow != REASON_UNKNOWN ? reason_word(e->trial.shadow) : "");
	words_print("answer", LABEL_COLUMNS, text);
	for (size_t i = 0; i < e->kin.count; i++)
		words_print(i == 0 ? "near" : "", LABEL_COLUMNS, e->kin.list[i].text);
	if (next_step(e)[0])
		words_print("next", LABEL_COLUMNS, next_step(e));
}

static void list_kin(const struct explanation *e, struct json_field ret[][3])
{
	for (size_t i = 0; i < e->kin.count; i++) {
		ret[i][0] = (struct json_field){
			.name = "mapping", .is_number = true, .number = e->kin.list[i].id
		};
		ret[i][1] = (struct json_field){ .name = "relation",
			.text = span_of_string(e->kin.list[i].relation) };
		ret[i][2] = (struct json_field){ .name = "text",
			.text = span_of_string(e->kin.list[i].text) };
	}
}

static enum error print_object(const struct explanation *e)
{
	struct json_field gates[TRIAL_GATES][3], kin[KINFOLK_MAX][3];
	char texts[TRIAL_GATES][NARRATE_TEXT_BYTES], code[40], place[512] = "";
	const struct trial *trial = &e->trial;
	const bool is_shadow = trial->shadow != REASON_UNKNOWN;

	for (int i = 0; i < TRIAL_GATES; i++) {
		const enum trial_gate gate = (enum trial_gate)i;

		narrate_text(&e->c, trial, gate, texts[i]);
		gates[i][0] = (struct json_field){ .name = "name",
			.text = span_of_string(narrate_gate(gate)) };
		gates[i][1] = (struct json_field){ .name = "result",
			.text = span_of_string(narrate_finding(trial->findings[gate])) };
		gates[i][2] =
			(struct json_field){ .name = "text", .text = span_of_string(texts[i]) };
	}
	list_kin(e, kin);
	if (e->line)
		snprintf(place, sizeof place, "%s:%u", e->line->file, e->line->number);

	const struct json_rows gate_rows = { &gates[0][0], 3, TRIAL_GATES };
	const struct json_rows kin_rows = { &kin[0][0], 3, e->kin.count };
	const struct json_field fields[] = {
		{ .name = "service", .text = span_of_string(e->asked->service) },
		{ .name = "user", .text = span_of_string(e->asked->user) },
		{ .name = "allowed",
			.is_flag = true,
			.number = trial->outcome.reason == REASON_ALLOWED },
		{ .name = "reason", .text = span_of_string(reason_word(trial->outcome.reason)) },
		{ .name = "shadow",
			.text = span_of_string(is_shadow ? reason_word(trial->shadow) : NULL) },
		{ .name = "pam_code", .text = span_of_string(print_code(trial->code, code)) },
		{ .name = "line", .text = span_of_string(e->line ? place : NULL) },
		{ .name = "fingerprint",
			.text = span_of_string(
				e->exhibit.fingerprint[0] ? e->exhibit.fingerprint : NULL) },
		{ .name = "subject",
			.text = span_of_string(
				e->exhibit.has_facts ? e->exhibit.facts.subject : NULL) },
		{ .name = "account",
			.text = span_of_string(
				trial->answer.has_mapping ? trial->answer.mapping.account : NULL) },
		{ .name = "mapping",
			.is_number = trial->answer.has_mapping,
			.number = trial->answer.mapping.id },
		{ .name = "takes_over", .is_flag = true, .number = trial->answer.took_over },
		{ .name = "gates", .rows = &gate_rows },
		{ .name = "nearest", .rows = &kin_rows },
		{ .name = "next", .text = span_of_string(next_step(e)) },
	};
	enum error error = json_print(fields, sizeof fields / sizeof fields[0]);

	if (error == OK)
		putchar('\n');
	return error;
}

static enum ctl_status try_it(struct explanation *e)
{
	const struct ctl *ctl = e->ctl;
	const struct store_trouble none = { "" };
	struct lookup *lookup ASK_DONE = NULL;
	enum error error = ask_open(ctl, &lookup);

	if (error != OK)
		return ctl_fail(ctl, error, &none);
	lookup_set_key(lookup, e->asked->key_path ? e->asked->key_path : SEAL_KEY_DEFAULT_PATH);
	trial_run(ctl, lookup, &e->c, &e->trial);
	if (e->store && e->trial.outcome.reason != REASON_ALLOWED)
		kinfolk_find(e->store, &e->c, &e->trial, &e->kin);
	if (!ctl->json)
		print_words_of(e);
	else if ((error = print_object(e)) != OK)
		return ctl_fail(ctl, error, &none);
	return e->trial.outcome.reason == REASON_ALLOWED ? CTL_DONE : CTL_REFUSED;
}

static enum ctl_status find_exhibit(struct explanation *e)
{
	const struct explain_case *asked = e->asked;

	if (asked->fingerprint)
		return exhibit_find_known(e->ctl, e->store, asked->fingerprint, &e->exhibit);
	return exhibit_find(e->ctl, e->store, asked->certificate, &e->exhibit);
}

enum ctl_status explain_case(const struct ctl *ctl, const struct explain_case *asked)
{
	__attribute__((cleanup(done_explanation))) struct explanation *e = calloc(1, sizeof *e);
	struct store_trouble trouble = { "" };
	enum ctl_status status;

	if (!e)
		return ctl_fail(ctl, ERROR_MEMORY, &trouble);
	e->ctl = ctl;
	e->asked = asked;
	/* Where it can't be opened, that is what the daemon finds as well, and the answer. */
	if (store_open(ctl->database, ctl_owner(ctl), STORE_USE_TOOL, &e->store, &trouble) != OK)
		e->store = NULL;
	else
		ctl_settle_if_possible(e->store);
	e->c.service = asked->service;
	e->c.user = asked->user;
	e->c.exhibit = &e->exhibit;
	if ((status = find_exhibit(e)) != CTL_DONE ||
		(status = asked->line ? use_given_line(e) : use_stack(e)) != CTL_DONE ||
		(status = use_peer(e)) != CTL_DONE)
		return status;
	return try_it(e);
}
