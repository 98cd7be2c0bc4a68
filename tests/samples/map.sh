#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Maps a certificate to an account for one service, with the stock sqlite3 shell:
#
#     map.sh SERVICE ACCOUNT CERTIFICATE [DATABASE]
#
# As root. CERTIFICATE is a file in DER, PEM or one-line base64. Exit status 1: the database refused
# it, in words, and nothing was changed.
set -eu

if [ $# -lt 3 ] || [ $# -gt 4 ]; then
	echo "usage: map.sh SERVICE ACCOUNT CERTIFICATE [DATABASE]" >&2
	exit 2
fi

database=${4:-/var/lib/certmap/mappings.db}
if [ ! -f "$database" ]; then
	echo "map.sh: there is no database $database; certmapctl init makes one" >&2
	exit 1
fi

# A text of SQL: what comes from outside is never code.
quote() {
	printf "'"
	printf '%s' "$1" | sed "s/'/''/g"
	printf "'"
}

service=$(quote "$1")
account=$(quote "$2")
certificate=$(quote "$3")

# The whole script is one argument, so that no line of a name can be one of the shell's commands.
sqlite3 -batch -bail -cmd '.timeout 5000' "$database" "
	BEGIN IMMEDIATE;
	INSERT INTO service (name) SELECT $service
		WHERE NOT EXISTS (SELECT 1 FROM service WHERE name = $service);
	UPDATE service SET enabled = 1 WHERE name = $service;
	INSERT INTO mapping (service, account, enabled, certificate)
		VALUES ($service, $account, 1, readfile($certificate));
	COMMIT;" || exit 1
