# SPDX-License-Identifier: LGPL-2.1-or-later
"""peers.py owns other programs of Debian that can find an account by a certificate's digest, each
asked as a login would: connect, ask, read, close. load speaks their protocols in bytes made here,
so that no client library is measured; the sqlite3 shell is a process for each question.

A peer that Debian has but this machine has not is told, never installed.
"""
import os
import pathlib
import pwd
import shutil
import sqlite3
import struct
import subprocess

import people
import servers

SLAPD = pathlib.Path("/usr/sbin/slapd")
POSTGRESQL = pathlib.Path("/usr/lib/postgresql")
SUFFIX = "dc=bench"
# LDAPMessage 1, searchResDone with success (RFC 4511 4.5.2): the end of an answer.
LDAP_END = "300c02010165070a010004000400"


def _write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


class Peer:
    """One of them, started, with `rows` pairs of digest and account in it."""

    name = ""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.server = None

    def end(self):
        if self.server:
            self.server.end()

    def cases(self, asked):
        return people.write_cases(self.directory / "cases", (
            (self.question(digest), account.encode()) for digest, account in asked))

    def question(self, digest):
        raise NotImplementedError

    def load_arguments(self):
        """The kind of load, and what follows CASES."""
        raise NotImplementedError


def _ber(tag, content):
    length = len(content)
    if length < 128:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


class OpenLdap(Peer):
    """slapd with its own database and an equality index on the attribute asked for."""

    name = "OpenLDAP slapd, equality index"

    @staticmethod
    def is_there():
        return SLAPD.exists()

    def __init__(self, directory, rows):
        super().__init__(directory)
        (directory / "data").mkdir()
        configuration = _write(directory / "slapd.conf", f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/pid
loglevel 0
database mdb
suffix {SUFFIX}
directory {directory}/data
maxsize 4294967296
dbnosync
index objectClass eq
index employeeNumber eq
access to * by * read
""")
        with open(directory / "data.ldif", "w", encoding="ascii") as out:
            out.write(f"dn: {SUFFIX}\nobjectClass: domain\ndc: bench\n\n")
            for digest, account in rows:
                out.write(f"dn: uid={account},{SUFFIX}\nobjectClass: inetOrgPerson\ncn: {account}\n"
                          f"sn: {account}\nuid: {account}\nemployeeNumber: {digest}\n\n")
        people.tool("slapadd", "-q", "-f", configuration, "-l", directory / "data.ldif")
        self.socket = directory / "ldapi"
        url = "ldapi://" + str(self.socket).replace("/", "%2F")
        self.server = servers.Process([SLAPD, "-f", configuration, "-h", url, "-d", "0"],
                                      directory / "log", lambda: servers.accepts(self.socket))

    def question(self, digest):
        """An anonymous search (RFC 4511 4.5.1) for `uid` below the suffix."""
        equality = _ber(0xa3, _ber(4, b"employeeNumber") + _ber(4, digest.encode()))
        search = (_ber(4, SUFFIX.encode()) + _ber(10, b"\2") + _ber(10, b"\0") + _ber(2, b"\1") +
                  _ber(2, b"\0") + _ber(1, b"\0") + equality + _ber(0x30, _ber(4, b"uid")))
        return _ber(0x30, _ber(2, b"\1") + _ber(0x63, search))

    def load_arguments(self):
        return "exchange", (self.socket, LDAP_END)


class PostgreSql(Peer):
    """A server with the digest as the primary key, of type bytea."""

    name = "PostgreSQL, by bytea"

    @staticmethod
    def binaries():
        return sorted(POSTGRESQL.glob("*/bin/initdb"))

    @classmethod
    def is_there(cls):
        return bool(cls.binaries())

    def __init__(self, directory, rows):
        super().__init__(directory)
        binaries = self.binaries()[-1].parent
        data = directory / "data"
        # It refuses to run as root.
        user = {}
        if os.geteuid() == 0:
            user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(directory, "postgres")
        self.user = pwd.getpwuid(os.geteuid()).pw_name if not user else "postgres"
        people.tool(binaries / "initdb", "-D", data, "-A", "trust", "-U", self.user, "-E", "UTF8",
                    "--no-sync", cwd=directory, **user)
        self.socket = directory / ".s.PGSQL.5432"
        self.server = servers.Process(
            [binaries / "postgres", "-D", data, "-k", directory, "-c", "listen_addresses="],
            directory / "log", lambda: servers.accepts(self.socket), cwd=directory, **user)
        self._load(binaries, rows)

    def _load(self, binaries, rows):
        text = ("CREATE TABLE mapping (fingerprint bytea PRIMARY KEY, account text NOT NULL);\n"
                "COPY mapping FROM stdin;\n" +
                "".join(f"\\\\x{digest}\t{account}\n" for digest, account in rows) +
                "\\.\nVACUUM ANALYZE mapping;\n")
        servers.wait_for(lambda: subprocess.run(
            [binaries / "pg_isready", "-q", "-h", self.directory], check=False).returncode == 0,
            "PostgreSQL")
        subprocess.run([binaries / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.directory,
                        "-U", self.user, "postgres"], input=text.encode(), check=True,
                       cwd=self.directory, stdout=subprocess.DEVNULL)

    def question(self, digest):
        """Start, question and farewell in one send (PostgreSQL, "Message Formats"): the server
        answers them in order and closes."""
        start = struct.pack(">I", 196608) + b"user\0" + self.user.encode() + b"\0"
        start += b"database\0postgres\0\0"
        query = f"SELECT account FROM mapping WHERE fingerprint = '\\x{digest}'".encode() + b"\0"
        return (struct.pack(">I", len(start) + 4) + start +
                b"Q" + struct.pack(">I", len(query) + 4) + query + b"X" + struct.pack(">I", 4))

    def load_arguments(self):
        return "exchange", (self.socket,)


class Shell(Peer):
    """The sqlite3 shell on a table of digests: what a script in pam_exec would do."""

    name = "sqlite3 shell"

    @staticmethod
    def is_there():
        return shutil.which("sqlite3") is not None

    def __init__(self, directory, rows):
        super().__init__(directory)
        self.path = directory / "rows.db"
        with sqlite3.connect(self.path) as database:
            database.execute("CREATE TABLE mapping (fingerprint BLOB PRIMARY KEY, account)"
                             " WITHOUT ROWID")
            database.executemany("INSERT INTO mapping VALUES (?, ?)", (
                (bytes.fromhex(digest), account) for digest, account in rows))
        database.close()

    def question(self, digest):
        return f"SELECT account FROM mapping WHERE fingerprint = x'{digest}'".encode()

    def load_arguments(self):
        return "spawn", ("sqlite3", "-batch", "-init", "/dev/null", self.path)


ALL = (OpenLdap, PostgreSql, Shell)
