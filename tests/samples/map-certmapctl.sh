#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Maps the certificate in alice.cer to the account alice, for the service proftpd, with certmapctl.
# As root, in the directory of alice.cer. Further arguments go to certmapctl, such as
# --database=/tmp/try.db.
set -eu

# Each of these lines also takes --dry-run, which changes nothing, and --sql, which prints the
# change as statements for the sqlite3 shell.
certmapctl add --service proftpd alice alice.cer "$@"
certmapctl service set proftpd enabled=yes "$@"
certmapctl list --service proftpd "$@"
