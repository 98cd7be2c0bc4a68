/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * select.h owns how a person names mappings on the command line: by an id, by a fingerprint or the
 * beginning of one, or by an account; and what happens where that fits several.
 */
#pragma once

#include "ctl.h"
#include "store_select.h"

/* What the verb's own parser hands on. */
struct selector {
	const char *word;
	const char *service; /* NULL: of all */
	bool takes_all;      /* --everywhere */
};

/* The options of a verb that selects, among its others, and what reads them and the word:
 * ARGP_ERR_UNKNOWN where the key is not one of these. */
#define SELECT_OPTION_EVERYWHERE 0x2000
/* clang-format off */
#define SELECT_SERVICE_OPTION                                                                      \
	{ "service", 's', "NAME", 0, "Only in this PAM service ('*': those of every service)", 0 }
#define SELECT_EVERYWHERE_OPTION                                                                   \
	{ "everywhere", SELECT_OPTION_EVERYWHERE, NULL, 0,                                         \
		"All mappings that it fits, in every service", 0 }
/* clang-format on */
error_t select_parse(struct selector *selector, int key, char *value, struct argp_state *state);

/* For the help of such a verb. */
#define SELECT_DOC                                                                                 \
	"A mapping is named by its id, by the SHA-256 of its certificate or at least the first "   \
	"8 digits of it, or by its account. What could be two of these is written as id:7, "       \
	"sha256:1234abcd or account:7."

/* What a verb wants of a mapping. */
struct select_want {
	const char *verb; /* for the words about what to type */
	/* Whether the verb has anything to do there; where several mappings fit what was typed,
	 * those with nothing to do are left out. NULL: always. */
	bool (*is_for_it)(const struct store_choice *choice);
	bool takes_one;  /* and never more */
	bool takes_many; /* without --everywhere too: it only shows them */
};

struct selected {
	struct store_choice *choices;
	size_t count; /* at least 1 after CTL_DONE */
};

void selected_done(struct selected *selected);
#define SELECTED_DONE __attribute__((cleanup(selected_done)))

/* Where several mappings fit and one is wanted, it asks on a terminal, and elsewhere lists them
 * with what to type. CTL_REFUSED: none was found or chosen, and that has been said. */
WARN_UNUSED enum ctl_status select_mappings(const struct ctl *ctl, struct store *store,
	const struct selector *selector, const struct select_want *want, struct selected *ret);

/* "mapping 7 of alice (every service)", escaped; returns `buffer`. */
#define SELECT_NAME_BYTES 512u
char *select_name(const struct store_choice *choice, char *buffer, size_t capacity);

/* Says on stderr which mappings of these accounts still let them in, or may, and which of their
 * sessions are open: who shuts somebody out must not overlook one. */
WARN_UNUSED enum error select_warn_rest(const struct ctl *ctl, const struct selected *selected,
	struct store *store, struct store_trouble *ret_trouble);
