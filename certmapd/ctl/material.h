/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * material.h owns what the families `trust' and `crl' share, whose rows stand in one table: their
 * arguments, the frame of a list, the reading of a file, and the removal of a row, with what
 * follows from it.
 */
#pragma once

#include "certificate.h"
#include "ctl.h"
#include "store_trust.h"
#include "table.h"

#define MATERIAL_NAME_MAX_BYTES 300u /* a printed service or file */

struct material_arguments {
	struct ctl *ctl;
	const struct material_verb *verb;
	const char *service; /* '*' where none was given */
	const char *file;
	const char *note;
	bool is_anchor, is_intermediate; /* what the options say */
	int64_t id;
	int64_t now_sec;
	bool is_refused; /* and that has been said */
};

typedef enum error material_run(struct material_arguments *arguments, struct store *store,
	struct store_trouble *ret_trouble);

struct material_verb {
	material_run *run;
	bool has_file, has_id;
	bool is_of_lists; /* of the family crl */
	struct argp parser;
};

/* Of the verb's parser. */
error_t material_parse(int key, char *value, struct argp_state *state);
extern const struct argp_option material_list_options[];
extern const struct argp_option material_add_list_options[];
extern const struct argp_option material_add_certificate_options[];

/* Reads the arguments, opens the database and runs the struct material_verb of ctl->detail. */
ctl_verb material_main;

/* Reads the certificate of a row. OK with *ret_problem a sentence: it is none. */
WARN_UNUSED enum error material_read_certificate(
	const struct store_trust_row *row, struct certificate_facts *ret, const char **ret_problem);

/* What the taker of a row gets as its context. It counts each row that it shows. */
struct material_listing {
	const struct material_arguments *arguments;
	struct table *table; /* NULL: JSON */
	bool is_roomy;
	size_t count;
};

/* Shows the rows that are chosen, in a table or as JSON; `none` says that there are none. */
WARN_UNUSED enum error material_list(const struct material_arguments *arguments,
	struct store *store, const struct table_column *columns, size_t column_count,
	store_trust_row_taker *take, const char *none, struct store_trouble *ret_trouble);
/* Whether a row of this service and kind is to be listed. */
bool material_is_chosen(
	const struct material_arguments *arguments, const struct store_trust_row *row);

/* Reads the file that the arguments name, "-" being the standard input. *ret is free(3)d by the
 * caller. ERROR_REFUSED: it can't be read or is longer than the schema takes. */
WARN_UNUSED enum error material_read(const struct material_arguments *arguments, uint8_t **ret,
	size_t *ret_length, struct store_trouble *ret_trouble);
void material_free(uint8_t **bytes);
#define MATERIAL_FREE __attribute__((cleanup(material_free)))

/* Shows the row and what follows from its removal, asks, and removes it. */
material_run material_remove;
