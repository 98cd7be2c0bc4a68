/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_select.h owns how mappings are found by what a person calls them or by their service, and
 * how one mapping stands to the others around it.
 */
#pragma once

#include "store_edit.h"

enum store_select_by {
	STORE_SELECT_BY_ID,
	STORE_SELECT_BY_ACCOUNT,     /* byte for byte */
	STORE_SELECT_BY_FINGERPRINT, /* between two, both of which belong to it: a prefix */
};

/* Borrowed. */
struct store_selection {
	enum store_select_by by;
	int64_t id;
	const char *account;
	uint8_t lowest[STORE_FINGERPRINT_BYTES], highest[STORE_FINGERPRINT_BYTES];
	const char *service; /* of this one alone; NULL: of all */
};

/* What has to be known of a mapping to choose it. Texts are as in the database, not escaped; those
 * that are longer than their place are cut. */
struct store_choice {
	int64_t id;
	bool enabled;
	int64_t replaces; /* 0: none */
	bool has_uid;
	uint32_t uid;
	struct store_limit valid_from, valid_until;
	char service[64 + 1];
	char account[MAPPING_ACCOUNT_MAX_BYTES + 1];
	char state[32];                                    /* of mapping_status */
	char fingerprint[2 * STORE_FINGERPRINT_BYTES + 1]; /* empty: none could be worked out */
	char subject[MAPPING_SUBJECT_MAX_BYTES + 1];
	char note[256];
};

/* The choice is lent out for the call; anything but OK ends the reading and is what it returns. */
typedef enum error store_choice_taker(const struct store_choice *choice, void *context);

/* Hands over what fits, in the order of the ids. */
WARN_UNUSED enum error store_select(struct store *store, const struct store_selection *selection,
	store_choice_taker *take, void *context, struct store_trouble *ret_trouble);

/* How another mapping, or a service, stands to a mapping. */
enum store_relation_kind {
	STORE_REPLACED,    /* the one that it is staged to replace */
	STORE_REPLACEMENT, /* staged to replace it */
	STORE_HIDDEN,      /* of '*', and hidden by it in its own service */
	STORE_HIDING,      /* of a service, where it hides it */
	STORE_SAME_KEY,    /* holds another certificate of the same key */
	STORE_UNSEEING, /* no mapping: a service that does not see it, since it does not inherit */
};

struct store_relation {
	enum store_relation_kind kind;
	int64_t id; /* 0: there is no such mapping, or none is meant */
	char service[64 + 1];
	char account[MAPPING_ACCOUNT_MAX_BYTES + 1]; /* empty where there is no mapping */
	char state[32];
};

typedef enum error store_relation_taker(const struct store_relation *relation, void *context);

/* Hands over how others stand to the mapping `id`. Also inside of an edit. */
WARN_UNUSED enum error store_list_relations(struct store *store, int64_t id,
	store_relation_taker *take, void *context, struct store_trouble *ret_trouble);

/* The fingerprint of its SubjectPublicKeyInfo in hexadecimal; empty: there is no such mapping, or
 * none could be worked out. */
WARN_UNUSED enum error store_find_key_fingerprint(struct store *store, int64_t id,
	char ret[2 * STORE_FINGERPRINT_BYTES + 1], struct store_trouble *ret_trouble);

/* A mapping's certificate as somebody stored it, in whatever armour and in whatever state. The
 * bytes are lent out for the call. */
struct store_enrolment {
	int64_t id;
	struct span certificate;
};

typedef enum error store_enrolment_taker(const struct store_enrolment *enrolment, void *context);

/* Hands over the certificates of the mappings of `service` and of '*' in the order of their ids,
 * those that a lookup for the service would not see among them. `account`: of this one alone, byte
 * for byte; not there: all. ERROR_STORE, ERROR_BUSY, ERROR_MEMORY. */
WARN_UNUSED enum error store_list_enrolments(struct store *store, struct span service,
	struct span account, store_enrolment_taker *take, void *context,
	struct store_trouble *ret_trouble);
