/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl.h owns what the verbs of certmapctl share: exit status, common options, the open store, and
 * the one way to say that something went wrong.
 */
#pragma once

#include "errors.h"
#include "store.h"

#include <argp.h>

#define CTL_DEFAULT_DATABASE "/var/lib/certmap/mappings.db"
#define CTL_DEFAULT_WAIT_SEC 5
#define CTL_WAIT_MAX_SEC 3600
#define CTL_CLIENTS_GROUP "certmap-clients" /* which may connect to the socket */

/* Exit status. */
enum ctl_status {
	CTL_DONE = 0,
	CTL_REFUSED = 1, /* refused, not found or failed; stderr says what */
	CTL_USAGE = 2,
};

/* The common options, and which of its verbs a family is to run. */
struct ctl {
	const char *database;
	bool json;
	unsigned wait_sec; /* for whoever holds a lock */
	bool is_dry;       /* of verbs that change something */
	bool prints_sql;
	bool is_sure;
	const void *detail; /* of the verb that was called, see struct verb */
};

/* The common options as a child of a verb's parser, whose child input is a struct ctl. */
extern const struct argp_child ctl_children[];
/* The same for a verb that changes something: --dry-run, --sql and --yes too, see edit.h. */
extern const struct argp_child ctl_change_children[];

/* A verb reads its own arguments, argv[0] being the words up to it, and does what they say. Wrong
 * usage ends the process. */
typedef enum ctl_status ctl_verb(struct ctl *ctl, int argc, char **argv);

ctl_verb ctl_init, ctl_migrate, ctl_add, ctl_show, ctl_renew, ctl_enable, ctl_disable, ctl_remove,
	ctl_list, ctl_history, ctl_expiring, ctl_service, ctl_trust, ctl_crl, ctl_explain,
	ctl_verify, ctl_credential, ctl_import, ctl_export, ctl_authorized_keys;
ctl_verb ctl_status_verb; /* enum ctl_status has the shorter name */

/* Decimal digits alone. False: no number from `lowest`, which is not negative, to `highest`. */
WARN_UNUSED bool ctl_read_number(const char *text, int64_t lowest, int64_t highest, int64_t *ret);

/* One line on stderr, behind the name of the program. */
__attribute__((format(printf, 1, 2))) void ctl_warn(const char *format, ...);

/* This user is kept from the database by its mode; what is said about its owner is then beside the
 * point. */
bool ctl_is_forbidden(const struct ctl *ctl);

/* The words of a struct store_trouble as a terminal may see them. */
#define CTL_TROUBLE_BYTES 2048u /* each byte may need an escape of four */
char *ctl_show_trouble(const char *text, char ret[CTL_TROUBLE_BYTES]);

/* Says what went wrong, in the words of `trouble` where the error has any, and with the remedy
 * where there is one; returns CTL_REFUSED. */
enum ctl_status ctl_fail(
	const struct ctl *ctl, enum error error, const struct store_trouble *trouble);

/* Whom the database may belong to: our own uid, or for root whoever owns the directory, who is the
 * one that runs the daemon. */
uid_t ctl_owner(const struct ctl *ctl);

/* Opens the database. CTL_REFUSED: it can't be, and that has been said. */
WARN_UNUSED enum ctl_status ctl_open(const struct ctl *ctl, struct store **ret);

void ctl_close(struct store **store);
#define CTL_CLOSE __attribute__((cleanup(ctl_close)))

/* How long a person waits for facts of mappings other than the one that he is at. */
#define CTL_SETTLE_USEC 2000000u

/* Works out the facts of queued mappings for up to CTL_SETTLE_USEC. Without queued mappings nothing
 * is written and nobody waited for. OK also where some are left: certmapd goes on with them. */
WARN_UNUSED enum error ctl_settle(struct store *store, struct store_trouble *ret_trouble);
/* The same for who can do without: on a full or read-only disk what is there can be shown, where
 * the state of a new mapping says pending, and what is written down already can be searched. */
void ctl_settle_if_possible(struct store *store);
