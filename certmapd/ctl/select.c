/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * select.c owns the reading of what a person typed. It is looked up as everything that it could be,
 * and refused where it is two things: of a script that ran for years nobody expects that an account
 * called "7" makes it disable mapping 7.
 */
#include "select.h"

#include "edit.h"
#include "hex.h"
#include "print.h"
#include "sessions.h"
#include "view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX_MIN_DIGITS 8u

enum meaning { MEANING_ID, MEANING_FINGERPRINT, MEANING_ACCOUNT, MEANINGS };

static const char *const prefixes[MEANINGS] = {
	[MEANING_ID] = "id:",
	[MEANING_FINGERPRINT] = "sha256:",
	[MEANING_ACCOUNT] = "account:",
};

static const char *const meaning_words[MEANINGS] = {
	[MEANING_ID] = "the id of a mapping",
	[MEANING_FINGERPRINT] = "the beginning of a fingerprint",
	[MEANING_ACCOUNT] = "an account",
};

error_t select_parse(struct selector *selector, int key, char *value, struct argp_state *state)
{
	switch (key) {
	case 's':
		selector->service = value;
		return 0;
	case SELECT_OPTION_EVERYWHERE:
		selector->takes_all = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "one id, fingerprint or account at a time");
		selector->word = value;
		return 0;
	case ARGP_KEY_END:
		if (!selector->word)
			argp_error(state, "the id, fingerprint or account is missing");
		if (selector->takes_all && selector->service)
			argp_error(state, "--everywhere and --service exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void selected_done(struct selected *selected)
{
	free(selected->choices);
	*selected = (struct selected){ 0 };
}

static enum error add_choice(const struct store_choice *choice, void *context)
{
	struct selected *selected = context;
	struct store_choice *grown =
		reallocarray(selected->choices, selected->count + 1, sizeof selected->choices[0]);

	if (!grown)
		return ERROR_MEMORY;
	selected->choices = grown;
	selected->choices[selected->count++] = *choice;
	return OK;
}

/* Digits with or without colons between the pairs. What a prefix leaves open is 0 in the lowest
 * fingerprint that it fits, and f in the highest. */
static bool read_fingerprint(const char *text, struct store_selection *ret)
{
	struct store_selection read = *ret;
	size_t digits = 0;

	memset(read.lowest, 0, sizeof read.lowest);
	memset(read.highest, 0xff, sizeof read.highest);
	for (; *text != '\0'; text++) {
		const int digit = hex_digit((uint8_t)*text);
		const unsigned shift = digits % 2 == 0 ? 4 : 0;

		if (*text == ':' && digits > 0 && digits % 2 == 0 && text[1] != '\0')
			continue;
		if (digit < 0 || digits == 2 * sizeof read.lowest)
			return false;
		read.lowest[digits / 2] |= (uint8_t)((unsigned)digit << shift);
		read.highest[digits / 2] &= (uint8_t) ~((0xfu ^ (unsigned)digit) << shift);
		digits++;
	}
	if (digits < PREFIX_MIN_DIGITS)
		return false;
	read.by = STORE_SELECT_BY_FINGERPRINT;
	*ret = read;
	return true;
}

/* False: it can't be that. */
static bool read_as(enum meaning meaning, const char *text, struct store_selection *ret)
{
	switch (meaning) {
	case MEANING_ID:
		ret->by = STORE_SELECT_BY_ID;
		return ctl_read_number(text, 1, INT64_MAX, &ret->id);
	case MEANING_FINGERPRINT:
		return read_fingerprint(text, ret);
	case MEANING_ACCOUNT:
		ret->by = STORE_SELECT_BY_ACCOUNT;
		ret->account = text;
		return text[0] != '\0';
	case MEANINGS:
		break;
	}
	return false;
}

static enum ctl_status refuse_unknown(const struct selector *selector, enum meaning only)
{
	char word[256], service[128];
	int64_t id;

	print_shown(span_of_string(selector->word), word, sizeof word);
	print_shown(span_of_string(selector->service), service, sizeof service);
	if (ctl_read_number(selector->word, 1, INT64_MAX, &id) && !selector->service)
		ctl_warn("there is no mapping %s: `certmapctl list' shows those there are", word);
	else
		ctl_warn("there is no mapping with %s%s%s%s: `certmapctl list' shows those there "
			 "are",
			only == MEANINGS ? "this id, fingerprint or account: " : "", word,
			selector->service ? " in the service " : "",
			selector->service ? service : "");
	return CTL_REFUSED;
}

static enum ctl_status refuse_two(const char *word, enum meaning first, enum meaning second)
{
	char shown[256];

	print_shown(span_of_string(word), shown, sizeof shown);
	ctl_warn("%s is %s and %s: say which one you mean as %s%s or %s%s", shown,
		meaning_words[first], meaning_words[second], prefixes[first], shown,
		prefixes[second], shown);
	return CTL_REFUSED;
}

static enum ctl_status find_as(const struct ctl *ctl, struct store *store,
	const struct selector *selector, enum meaning meaning, const char *text,
	struct selected *ret)
{
	struct store_selection selection = { .service = selector->service };
	struct store_trouble trouble = { "" };
	enum error error;

	if (!read_as(meaning, text, &selection))
		return CTL_DONE;
	error = store_select(store, &selection, add_choice, ret, &trouble);
	return error == OK ? CTL_DONE : ctl_fail(ctl, error, &trouble);
}

/* `account:' can't be the beginning of an account's name: the schema lets none have a colon. */
static enum meaning find_prefix(const char *word, const char **ret_text)
{
	for (enum meaning m = 0; m < MEANINGS; m++)
		if (strncmp(word, prefixes[m], strlen(prefixes[m])) == 0) {
			*ret_text = word + strlen(prefixes[m]);
			return m;
		}
	*ret_text = word;
	return MEANINGS;
}

/* Everything that it fits, as the one thing that it is. */
static enum ctl_status find_all(const struct ctl *ctl, struct store *store,
	const struct selector *selector, struct selected *ret)
{
	const char *text;
	const enum meaning only = find_prefix(selector->word, &text);
	enum meaning found = MEANINGS;
	enum ctl_status status;

	for (enum meaning m = 0; m < MEANINGS; m++) {
		struct selected selected SELECTED_DONE = { 0 };

		if (only != MEANINGS && only != m)
			continue;
		if ((status = find_as(ctl, store, selector, m, text, &selected)) != CTL_DONE)
			return status;
		if (selected.count == 0)
			continue;
		if (found != MEANINGS)
			return refuse_two(selector->word, found, m);
		found = m;
		*ret = selected;
		selected = (struct selected){ 0 };
	}
	return found == MEANINGS ? refuse_unknown(selector, only) : CTL_DONE;
}

char *select_name(const struct store_choice *choice, char *buffer, size_t capacity)
{
	char account[256], service[128];

	print_shown(span_of_string(choice->account), account, sizeof account);
	if (strcmp(choice->service, "*") == 0)
		snprintf(service, sizeof service, "every service");
	else
		print_shown(span_of_string(choice->service), service, sizeof service);
	snprintf(buffer, capacity, "mapping %" PRId64 " of %s (%s)", choice->id, account, service);
	return buffer;
}

/* One line of a list from which somebody chooses. */
static void print_choice(const struct store_choice *choice)
{
	char name[SELECT_NAME_BYTES], subject[512], note[256];

	print_shown(span_of_string(choice->subject), subject, sizeof subject);
	print_shown(span_of_string(choice->note), note, sizeof note);
	fprintf(stderr, "%s: %s, %.*s, %s%s%s\n", select_name(choice, name, sizeof name),
		choice->state, VIEW_FINGERPRINT_DIGITS, choice->fingerprint, subject,
		choice->note[0] != '\0' ? ", " : "", choice->note[0] != '\0' ? note : "");
}

static enum ctl_status refuse_many(
	const struct selected *selected, const struct select_want *want, bool is_whole)
{
	for (size_t i = 0; i < selected->count; i++) {
		fputs("  ", stderr);
		print_choice(&selected->choices[i]);
	}
	ctl_warn("%zu mappings fit: say which one by its id, as in `certmapctl %s %" PRId64 "'%s",
		selected->count, want->verb, selected->choices[0].id,
		is_whole && !want->takes_one ? ", or take all of them with --everywhere" : "");
	return CTL_REFUSED;
}

/* Keeps the one choice, or none. */
static enum ctl_status ask_which(struct selected *selected, const struct select_want *want)
{
	char answer[32];
	int64_t number;

	fflush(stdout);
	for (size_t i = 0; i < selected->count; i++) {
		fprintf(stderr, "%3zu  ", i + 1);
		print_choice(&selected->choices[i]);
	}
	fprintf(stderr, "Which one to %s? [1-%zu,%s Enter for none] ", want->verb, selected->count,
		want->takes_one ? "" : " all,");
	if (fgets(answer, sizeof answer, stdin)) {
		answer[strcspn(answer, "\n")] = '\0';
		if (strcmp(answer, "all") == 0 && !want->takes_one)
			return CTL_DONE;
		if (ctl_read_number(answer, 1, (int64_t)selected->count, &number)) {
			selected->choices[0] = selected->choices[number - 1];
			selected->count = 1;
			return CTL_DONE;
		}
	}
	ctl_warn("nothing was changed");
	return CTL_REFUSED;
}

static bool is_one_certificate(const struct selected *selected)
{
	for (size_t i = 1; i < selected->count; i++)
		if (strcmp(selected->choices[i].fingerprint, selected->choices[0].fingerprint) != 0)
			return false;
	return true;
}

static bool is_one_account(const struct selected *selected)
{
	for (size_t i = 1; i < selected->count; i++)
		if (strcmp(selected->choices[i].account, selected->choices[0].account) != 0)
			return false;
	return true;
}

/* Unless there would be none left. */
static void leave_out_the_done(struct selected *selected, const struct select_want *want)
{
	size_t kept = 0;

	for (size_t i = 0; want->is_for_it && i < selected->count; i++)
		kept += want->is_for_it(&selected->choices[i]);
	if (kept == 0)
		return;
	kept = 0;
	for (size_t i = 0; i < selected->count; i++)
		if (want->is_for_it(&selected->choices[i]))
			selected->choices[kept++] = selected->choices[i];
	selected->count = kept;
}

enum ctl_status select_mappings(const struct ctl *ctl, struct store *store,
	const struct selector *selector, const struct select_want *want, struct selected *ret)
{
	struct selected selected SELECTED_DONE = { 0 };
	enum ctl_status status = find_all(ctl, store, selector, &selected);
	/* A prefix of two certificates of two accounts names nothing; all of it is not meant. */
	const bool is_whole = is_one_account(&selected) || is_one_certificate(&selected);

	if (status != CTL_DONE)
		return status;
	leave_out_the_done(&selected, want);
	if (selected.count > 1 && !want->takes_many && !(selector->takes_all && is_whole)) {
		if (ctl->is_sure || !isatty(STDIN_FILENO))
			return refuse_many(&selected, want, is_whole);
		if ((status = ask_which(&selected, want)) != CTL_DONE)
			return status;
	}
	*ret = selected;
	selected = (struct selected){ 0 };
	return CTL_DONE;
}

/* A staged one waits where the mapping that it replaces was disabled, and does not where that one
 * was removed. */
static enum error warn_rest_of_one(const struct store_choice *choice, void *context)
{
	char name[SELECT_NAME_BYTES];

	(void)context;
	select_name(choice, name, sizeof name);
	if (choice->enabled)
		ctl_warn("still there is %s, %s: `certmapctl disable %" PRId64
			 "' shuts it out as well",
			name, choice->state, choice->id);
	else if (choice->replaces != 0)
		ctl_warn("still there is %s, %s, which takes force when it is first used, but not "
			 "while mapping %" PRId64 " is disabled: `certmapctl disable %" PRId64
			 "' shuts it out as well",
			name, choice->state, choice->replaces, choice->id);
	return OK;
}

static bool is_first_of_account(const struct selected *selected, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(selected->choices[i].account, selected->choices[index].account) == 0)
			return false;
	return true;
}

/* After a dry run the mappings themselves are still there. */
enum error select_warn_rest(const struct ctl *ctl, const struct selected *selected,
	struct store *store, struct store_trouble *ret_trouble)
{
	enum error error = OK;

	fflush(stdout);
	for (size_t i = 0; i < selected->count && error == OK; i++) {
		const struct store_choice *choice = &selected->choices[i];
		const struct store_selection selection = { .by = STORE_SELECT_BY_ACCOUNT,
			.account = choice->account };

		if (!is_first_of_account(selected, i))
			continue;
		if (!edit_is_dry(ctl))
			error = store_select(
				store, &selection, warn_rest_of_one, NULL, ret_trouble);
		sessions_warn(choice->account, choice->has_uid, choice->uid);
	}
	return error;
}
