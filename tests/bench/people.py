# SPDX-License-Identifier: LGPL-2.1-or-later
"""people.py owns the data: certificates, databases of any size, and the questions about them.

A CA makes four real certificates with the openssl command line. A million would take it most of a
day, so the rest are copies with other bytes in the serial number, the common name, the key and the
signature: DER that is read like any other, each of its own, that no chain would verify. certmap
neither verifies nor decodes a key at a lookup, so that they cost it what real ones do.
"""
import base64
import collections
import hashlib
import pathlib
import random
import sqlite3
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "shell"))
import certmap_client  # pylint: disable=wrong-import-position

SQL_DIR = HERE.parent.parent / "sql"
TEMPLATES = 4
SERIAL = bytes.fromhex("4f" + "a5" * 15)
COMMON_NAME = b"u0000000"
# A login ends at an account that the system has. These come with every Debian, and none is root.
SYSTEM_ACCOUNTS = ("daemon", "bin", "sys", "games", "man", "lp", "mail", "news")
# Rows that are disabled, at the end of every database.
DISABLED_SHARE = 20
CASES_MAX = 10000
SERVICE = "bench"

# Offsets of what is exchanged in a template.
Template = collections.namedtuple("Template", "der serial name key signature")


def tool(*command, **options):
    """Runs a program that must succeed; its standard output."""
    return subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options).stdout


def _offset(der, part):
    if der.count(part) != 1:
        raise ValueError("a template does not hold what is to be exchanged, once")
    return der.index(part)


def _issue(directory, name, number):
    tool("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key",
         "-subj", f"/C=CZ/O=certmap bench {number}/OU=People/CN={COMMON_NAME.decode()}",
         "-out", f"{name}.csr")
    pathlib.Path(f"{name}.cnf").write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
        encoding="ascii")
    tool("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", directory / "ca.pem",
         "-CAkey", directory / "ca.key", "-days", "30", "-set_serial", f"0x{SERIAL.hex()}",
         "-extfile", f"{name}.cnf", "-out", f"{name}.pem")


def _template(directory, number):
    name = directory / f"template{number}"
    if not pathlib.Path(f"{name}.pem").exists():
        _issue(directory, name, number)
    der = tool("openssl", "x509", "-in", f"{name}.pem", "-outform", "DER")
    modulus = tool("openssl", "x509", "-in", f"{name}.pem", "-noout", "-modulus")
    key = bytes.fromhex(modulus.decode().strip().partition("=")[2])
    return Template(der, _offset(der, SERIAL), _offset(der, COMMON_NAME),
                    _offset(der, key) + 100, len(der) - 100)


class People:
    """The certificates, numbered from 0 on, and their accounts."""

    def __init__(self, directory):
        self.directory = directory
        if not (directory / "ca.pem").exists():
            tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                 "-subj", "/C=CZ/O=certmap bench/CN=CA", "-keyout", directory / "ca.key",
                 "-out", directory / "ca.pem")
        self.templates = [_template(directory, number) for number in range(TEMPLATES)]

    def certificate(self, number):
        """In DER."""
        template = self.templates[number % TEMPLATES]
        noise = hashlib.sha512(b"certmap bench %d" % number).digest()
        der = bytearray(template.der)
        der[template.serial + 1:template.serial + len(SERIAL)] = noise[:len(SERIAL) - 1]
        der[template.name:template.name + len(COMMON_NAME)] = b"u%07d" % number
        der[template.key:template.key + 32] = noise[16:48]
        # The schema finds the same bytes again by 40 that lie here.
        der[template.signature:template.signature + 64] = noise
        return bytes(der)

    def pem(self, number):
        """As a TLS service hands it over."""
        text = base64.encodebytes(self.certificate(number)).replace(b"\n", b"")
        lines = b"\n".join(text[i:i + 64] for i in range(0, len(text), 64))
        return b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"

    @staticmethod
    def account(number):
        return SYSTEM_ACCOUNTS[number] if number < len(SYSTEM_ACCOUNTS) else f"u{number:07d}"

    def write_source(self, path, count):
        """A database of others, from which the mappings are inserted."""
        with sqlite3.connect(path) as source:
            source.execute("PRAGMA journal_mode = OFF")
            source.execute("CREATE TABLE person (number INTEGER PRIMARY KEY, account, certificate)")
            source.executemany("INSERT INTO person VALUES (?, ?, ?)", (
                (number, self.account(number), self.certificate(number))
                for number in range(count)))
        source.close()

    def write_csv(self, path, count):
        """As people hand them to `certmapctl import`."""
        with open(path, "w", encoding="ascii") as table:
            table.write("account,certificate\n")
            for number in range(count):
                text = base64.b64encode(self.certificate(number)).decode()
                table.write(f"{self.account(number)},{text}\n")


class Database:
    """A database of certmap, and the stock sqlite3 shell."""

    def __init__(self, directory, count=0):
        self.count = count
        self.path = directory / "mappings.db"
        self.is_new = not self.path.exists()
        if self.is_new:
            directory.mkdir(mode=0o700, exist_ok=True)
            for migration in sorted(SQL_DIR.glob("[0-9]*.sql")):
                self.shell(migration.read_text(encoding="utf-8"))

    def command(self):
        return ["sqlite3", "-batch", "-bail", "-init", "/dev/null", str(self.path)]

    def shell(self, text):
        done = subprocess.run(self.command(), input=text.encode(), check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError(f"sqlite3: {done.stderr.decode()}")
        return done.stdout.decode()

    @staticmethod
    def insert_statement(source, first, end):
        """The mappings of these people, in one transaction."""
        return (f".timeout 60000\nATTACH 'file:{source}?mode=ro' AS source;\n"
                "INSERT INTO mapping(account, certificate) SELECT account, certificate"
                f" FROM source.person WHERE number >= {first} AND number < {end}"
                " ORDER BY number;\n")

    def disable_last(self):
        """Those that are asked for to be refused."""
        first = self.count - self.count // DISABLED_SHARE
        self.shell(f".timeout 60000\nUPDATE mapping SET enabled = 0 WHERE id > {first};")

    def has_pending(self):
        reader = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=60)
        try:
            return reader.execute("SELECT EXISTS (SELECT 1 FROM pending)").fetchone()[0] == 1
        finally:
            reader.close()


def _reason(word):
    return certmap_client.field(0x8001, word)


def allowed(account):
    """The first bytes of a reply's payload that allows this account."""
    return _reason(b"allowed") + certmap_client.field(0x8002, account.encode())


def request(evidence, account, correlation_id="0123456789abcdef0123456789abcdef"):
    """A request as pam_certmap sends it."""
    return certmap_client.build_request({
        "phase": "authenticate", "mode": "match", "kind": "certificate", "service": SERVICE,
        "user": account, "evidence": evidence, "remote-host": "192.0.2.7",
        "correlation-id": correlation_id})


def write_cases(path, cases):
    """Pairs of what is sent and what must be found in the answer, as load reads them."""
    with open(path, "wb") as out:
        for sent, expected in cases:
            out.write(struct.pack("<II", len(sent), len(expected)) + sent + expected)
    return path


class Questions:
    """The files of cases about one database, each made when it is first asked for."""

    def __init__(self, people, count, directory):
        self.people = people
        self.count = count
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.random = random.Random(count)

    def _numbers(self, first, end):
        most = min(CASES_MAX, end - first)
        return self.random.sample(range(first, end), most)

    def enabled_numbers(self):
        return self._numbers(0, self.count - self.count // DISABLED_SHARE)

    def disabled_numbers(self):
        return self._numbers(self.count - self.count // DISABLED_SHARE, self.count)

    def strangers(self):
        """Those that no database holds."""
        return self._numbers(9_000_000, 9_000_000 + CASES_MAX)

    def path(self, name, cases):
        path = self.directory / name
        return path if path.exists() else write_cases(path, cases())

    def _asked(self, numbers, reason):
        account = self.people.account
        return [(request(self.people.pem(n), account(n)), reason or allowed(account(n)))
                for n in numbers]

    def hit(self):
        return self.path("hit", lambda: self._asked(self.enabled_numbers(), None))

    def miss(self):
        return self.path("miss", lambda: self._asked(self.strangers(), _reason(b"unmapped")))

    def disabled(self):
        return self.path("disabled", lambda: self._asked(
            self.disabled_numbers(), _reason(b"mapping-disabled")))

    def malformed(self):
        """A line in the middle has a character that is none of base64."""
        return self.path("malformed", lambda: [
            (request(self.people.pem(n).replace(b"A", b"*", 1), self.people.account(n)),
             _reason(b"malformed-certificate")) for n in self.enabled_numbers()])

    def floor(self):
        """What is asked in hit(), of a server that gives every question one answer."""
        return self.path("floor", lambda: self._asked(self.enabled_numbers(), _reason(b"allowed")))

    def login(self):
        """For accounts of the system alone."""
        return self.path("login", lambda: [
            (self.people.pem(n), account.encode()) for n, account in enumerate(SYSTEM_ACCOUNTS)])

    def fingerprints(self):
        """For peers, which are asked by digest: (hexadecimal, account)."""
        return [(hashlib.sha256(self.people.certificate(n)).hexdigest(), self.people.account(n))
                for n in self.enabled_numbers()]
