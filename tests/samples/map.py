#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Maps a certificate to an account for one service, with the standard library alone.

    map.py SERVICE ACCOUNT CERTIFICATE [DATABASE]

As root. CERTIFICATE is a file in DER, PEM or one-line base64, and is stored as it is. Exit status
1: the database refused it, in words, and nothing was changed.
"""
import pathlib
import pwd
import sqlite3
import sys
from contextlib import closing


def map_certificate(database, service, account, certificate):
    """Adds the mapping, enabled, and returns its id. Raises sqlite3.Error with the words of the
    rule that is in the way, and then leaves everything as it was."""
    # mode=rw: a path with a slip of the pen must not make a new, empty database.
    uri = pathlib.Path(database).resolve().as_uri() + "?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection, connection:
        connection.execute("INSERT INTO service (name) SELECT :name WHERE NOT EXISTS"
                           " (SELECT 1 FROM service WHERE name = :name)", {"name": service})
        connection.execute("UPDATE service SET enabled = 1 WHERE name = ?", (service,))
        # Bound to the uid of today: who gets the name later does not get the certificate.
        cursor = connection.execute(
            "INSERT INTO mapping (service, account, enabled, certificate, account_uid)"
            " VALUES (?, ?, 1, ?, ?)",
            (service, account, certificate, pwd.getpwnam(account).pw_uid))
        return cursor.lastrowid


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    service, account, certificate, *rest = sys.argv[1:]
    database = rest[0] if rest else "/var/lib/certmap/mappings.db"
    try:
        mapping = map_certificate(database, service, account,
                                  pathlib.Path(certificate).read_bytes())
    except (OSError, KeyError, sqlite3.Error) as error:
        sys.exit(f"map.py: {error}")
    print(f"mapping {mapping}: {account} for {service}")


if __name__ == "__main__":
    main()
