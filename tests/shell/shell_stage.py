# SPDX-License-Identifier: LGPL-2.1-or-later
"""shell_stage.py owns what the tests of this directory stand on: a small CA made by the openssl
command line, a database made and edited by the stock sqlite3 shell, and a certmapd of one's own.

Nothing here imports sqlite3: what people do with the shell is done with the shell.
"""
import atexit
import base64
import functools
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import certmap_client

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
NOBODY = 65534
HOUR = 3600


@functools.cache
def programs_directory():
    """Where ordinary users reach programs, who may not look into a checkout below /root."""
    directory = tempfile.TemporaryDirectory(prefix="certmap-programs.")
    os.chmod(directory.name, 0o755)
    atexit.register(directory.cleanup)
    return pathlib.Path(directory.name)


def program(variable, name):
    """A built program: named by the environment, or in the build directory of the README."""
    built = pathlib.Path(os.environ.get(variable, TREE / "build" / "certmapd" / name))
    if os.geteuid() != 0 or not built.exists():
        return built
    return pathlib.Path(shutil.copy(built, programs_directory() / name))


CERTMAPD = program("CERTMAPD", "certmapd")
CERTMAPCTL = program("CERTMAPCTL", "certmapctl")
CERTMAPCTL_PLAIN = program("CERTMAPCTL_PLAIN", "certmapctl-plain")
CERTMAPCTL_NEXT = pathlib.Path(os.environ.get("CERTMAPCTL_NEXT", TREE / "build/tests/certmapctl-next"))
SQL_DIR = pathlib.Path(os.environ.get("SQL_DIR", TREE / "sql"))
MIGRATIONS = sorted(SQL_DIR.glob("[0-9]*.sql"))
SCHEMA_VERSION = len(MIGRATIONS)
# For what rewrites the schema itself: newer shells defend it unless they are told not to.
DEFENCELESS = ("-cmd", ".dbconfig defensive off")


def run(*command, **options):
    """Runs a tool that must succeed; its standard output, as bytes."""
    return subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options).stdout


class Certificate:
    """A certificate in every form that people have, beside each other as NAME.cer (DER), NAME.pem,
    NAME-crlf.pem and NAME.b64 (one line, without header lines)."""

    def __init__(self, directory, name):
        self.name = name
        self.path = directory / f"{name}.pem"
        self.key_path = directory / f"{name}.key"
        self.der_path = directory / f"{name}.cer"
        self.crlf_path = directory / f"{name}-crlf.pem"
        self.base64_path = directory / f"{name}.b64"

        self.pem = self.path.read_text(encoding="ascii")
        run("openssl", "x509", "-in", self.path, "-outform", "DER", "-out", self.der_path)
        self.der = self.der_path.read_bytes()
        self.base64 = base64.b64encode(self.der).decode()
        self.fingerprint = hashlib.sha256(self.der).hexdigest()
        self.crlf_path.write_bytes(self.pem.replace("\n", "\r\n").encode())
        self.base64_path.write_text(self.base64 + "\n", encoding="ascii")


CA_CONFIG = """
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = issued
rand_serial = yes
unique_subject = no
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
x509_extensions = client
[any]
commonName = supplied
[client]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[list]
authorityKeyIdentifier = keyid
"""

NEW_KEYS = {
    "ec": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "rsa": ("-newkey", "rsa:2048"),
    "p384": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "p521": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "ed25519": ("-newkey", "ed25519"),
    "ed448": ("-newkey", "ed448"),
}


class Pki:
    """A CA and its certificates, in one directory. Each is made at its first use."""

    def __init__(self, directory):
        self.directory = directory
        self.made = {}
        self.wanted = {}  # how each was asked for
        (directory / "issued").mkdir()
        (directory / "index.txt").touch()
        (directory / "ca.cnf").write_text(CA_CONFIG, encoding="ascii")
        self.openssl("req", "-x509", *NEW_KEYS["ec"], "-nodes", "-keyout", "ca.key",
                     "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "3650")
        self.root = Certificate(directory, "ca")

    def openssl(self, *arguments):
        return run("openssl", *arguments, cwd=self.directory)

    def leaf(self, name, key="ec", subject=None, key_of=None, start=None, end=None, issuer="ca",
             profile="client"):
        """The client certificate called `name`. `key_of`: another one whose key it shares. `start`
        and `end` are its validity, in seconds from now; 30 days from now on where left out.
        `issuer` names an authority, `profile` a section of the configuration. Asked for again, it
        is the same one."""
        wanted = (key, subject, key_of, start, end, issuer, profile)
        if name in self.made:
            # Else it would depend on the order of the tests which of the two a name stands for.
            assert self.wanted[name] == wanted, f"two certificates are called {name}"
            return self.made[name]
        # Before anything takes its time.
        validity = ()
        if start is not None:
            validity += ("-startdate", _asn1_time(start))
        if end is not None:
            validity += ("-enddate", _asn1_time(end))
        new_key = ("-key", f"{key_of}.key") if key_of else (
            *NEW_KEYS[key], "-nodes", "-keyout", f"{name}.key")
        self.openssl("req", "-new", *new_key, "-out", f"{name}.csr",
                     "-subj", subject or f"/CN={name}")
        self.openssl("ca", "-batch", "-notext", "-config", "ca.cnf", *validity,
                     "-cert", f"{issuer}.pem", "-keyfile", f"{issuer}.key",
                     "-extensions", profile, "-in", f"{name}.csr", "-out", f"{name}.pem")
        self.wanted[name] = wanted
        self.made[name] = Certificate(self.directory, name)
        return self.made[name]

    def intermediate(self, name, issuer="ca"):
        """The authority called `name`, below another one."""
        return self.leaf(name, issuer=issuer, profile="authority")

    def other_root(self, name):
        """An authority that has nothing to do with the others."""
        if name not in self.made:
            self.openssl("req", "-x509", *NEW_KEYS["ec"], "-nodes", "-keyout", f"{name}.key",
                         "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "3650")
            self.made[name] = Certificate(self.directory, name)
        return self.made[name]

    def revocation_list(self, name, revoked=(), issuer="ca", start=-HOUR, end=24 * HOUR):
        """Writes a list with these certificates on it as NAME.crl (PEM) and NAME.crl.der; its
        name. `start` and `end`: when it was made and when the next one comes, in seconds from
        now."""
        # A book of its own: what one list names is not on the next.
        (self.directory / f"{name}.index").write_text("", encoding="ascii")
        (self.directory / f"{name}.cnf").write_text(
            CA_CONFIG.replace("index.txt", f"{name}.index"), encoding="ascii")
        as_issuer = ("ca", "-batch", "-config", f"{name}.cnf",
                     "-cert", f"{issuer}.pem", "-keyfile", f"{issuer}.key")
        for certificate in revoked:
            self.openssl(*as_issuer, "-revoke", certificate.path)
        self.openssl(*as_issuer, "-gencrl", "-crlexts", "list", "-out", f"{name}.crl",
                     "-crl_lastupdate", _asn1_time(start), "-crl_nextupdate", _asn1_time(end))
        self.openssl("crl", "-in", f"{name}.crl", "-outform", "DER", "-out", f"{name}.crl.der")
        return name


def _asn1_time(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))


def within(seconds, function):
    """The result of function(), which comes in less than so many seconds: in one of three tries,
    because a machine may stand still for a while, and not each time."""
    for _ in range(3):
        begun = time.monotonic()
        result = function()
        took = time.monotonic() - begun
        if took < seconds:
            return result
    raise AssertionError(f"{took:.1f} s, not less than {seconds}")


class Refused(Exception):
    """The sqlite3 shell ended with an error; its words are the text."""


class Database:
    """A database in a directory of its own, and a person with the stock sqlite3 shell, who stands
    in the directory of the certificates."""

    def __init__(self, directory, standing):
        self.directory = directory
        self.path = directory / "mappings.db"
        self.standing = standing
        # Somebody's ~/.sqliterc is not what is tested.
        self.environment = {**os.environ, "HOME": str(directory), "LC_ALL": "C.UTF-8"}

    def shell(self, *options):
        # It waits for its turn, as README tells people to: the daemon writes what was used.
        return ["sqlite3", "-batch", "-bail", "-cmd", ".timeout 5000", *options, str(self.path)]

    def sql(self, text, *options):
        """What the shell prints. Raises Refused."""
        done = subprocess.run(self.shell(*options), input=text.encode("utf-8", "surrogateescape"),
                              cwd=self.standing, env=self.environment, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0 or done.stderr:
            raise Refused(done.stderr.decode())
        return done.stdout.decode()

    def migrate(self, version=SCHEMA_VERSION):
        for migration in MIGRATIONS[:version]:
            self.sql(migration.read_text(encoding="utf-8"))

    def rows(self, query):
        """The rows of a query, as dictionaries."""
        return json.loads(self.sql(query, "-json") or "[]")

    def value(self, query):
        """The one value of a query."""
        (row,) = self.rows(query)
        (value,) = row.values()
        return value

    def refusal(self, text):
        """The words with which the shell's statements are refused. Asserts that they are, and that
        not a byte changed; nobody else may have the database open."""
        before = self.path.read_bytes()
        try:
            self.sql(text)
        except Refused as refused:
            assert self.path.read_bytes() == before
            assert list(self.directory.iterdir()) == [self.path]
            return str(refused)
        raise AssertionError(f"not refused: {text}")

    def dump(self):
        """Everything in it, as the shell writes it down."""
        return self.sql(".dump\nPRAGMA user_version; PRAGMA application_id;")

    def map(self, certificate, account=None, **columns):
        """Maps NAME.cer to the account of the same name, and returns the mapping's id. Further
        columns are SQL expressions."""
        columns = {"account": f"'{account or certificate.name}'",
                   "certificate": f"readfile('{certificate.name}.cer')", **columns}
        return int(self.sql(f"INSERT INTO mapping({', '.join(columns)}) "
                            f"VALUES({', '.join(map(str, columns.values()))});"
                            "SELECT last_insert_rowid();"))

    def trust(self, kind, name, service="*"):
        """Adds the file of this name to the table trust; the row's id."""
        return int(self.sql("INSERT INTO trust(service, kind, content) "
                            f"VALUES('{service}', '{kind}', readfile('{name}'));"
                            "SELECT last_insert_rowid();"))


class OpenShell:
    """A sqlite3 shell that somebody leaves open, perhaps inside of a transaction. It waits for its
    turn, as README tells people to: the daemon writes what was used, some seconds later."""

    def __init__(self, database):
        self.process = subprocess.Popen(
            ["sqlite3", "-batch", str(database.path)], cwd=database.standing,
            env=database.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.type(".timeout 5000")

    def type(self, text):
        """Types statements; what the shell prints until they are done, errors included."""
        self.process.stdin.write(f"{text}\n.print --done--\n")
        self.process.stdin.flush()
        printed = ""
        while (line := self.process.stdout.readline()) != "--done--\n":
            assert line, f"the shell ended: {printed}"
            printed += line
        return printed

    def close(self):
        self.process.stdin.close()
        self.process.wait(Daemon.PATIENCE)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait(Daemon.PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.close()


class Daemon:
    """A certmapd in the foreground, on a socket in a directory of its own."""

    PATIENCE = 60  # seconds; a sanitized daemon on a slow and busy machine

    def __init__(self, directory, database_path):
        self.directory = directory
        self.database_path = database_path
        self.socket = str(directory / "lookup")
        self.log_path = directory / "log"
        self.process = None

    def command(self):
        return [str(CERTMAPD), "--database", str(self.database_path), "--socket", self.socket]

    def spawn(self, command=None, **options):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command or self.command(), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, **options)

    def start(self, **options):
        self.spawn(**options)
        deadline = time.monotonic() + self.PATIENCE
        while not self._listens():
            assert self.process.poll() is None, f"certmapd ended: {self.log()}"
            assert time.monotonic() < deadline, "certmapd does not listen"
            time.sleep(0.002)
        return self

    def _listens(self):
        try:
            certmap_client.exchange(self.socket, b"", half_close=True)
        except certmap_client.Unusable:
            return False
        return True

    def stop(self):
        """Ends it as systemd does. Asserts that it ended well and said nothing but log lines, as a
        sanitizer would."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(self.PATIENCE)
        strange = [line for line in self.log() if not line.startswith("certmapd: ")]
        assert (status, strange) == (0, [])

    def kill(self):
        self.process.kill()
        self.process.wait(self.PATIENCE)

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        return self.log_path.read_text(encoding="utf-8").splitlines()

    def wait_for_line(self, *words):
        """The first log line that holds all the words."""
        deadline = time.monotonic() + self.PATIENCE
        while True:
            for line in self.log():
                if all(word in line for word in words):
                    return line
            assert time.monotonic() < deadline, f"no line with {words} in {self.log()}"
            time.sleep(0.002)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def ask(self, evidence, user="alice", service="proftpd", timeout=30.0, **fields):
        """One lookup; the reply. Evidence is a Certificate, text or bytes; a field's '-' is '_'."""
        if isinstance(evidence, Certificate):
            evidence = evidence.pem
        request = {"service": service, "user": user, "evidence": evidence,
                   **{name.replace("_", "-"): value for name, value in fields.items()}}
        return certmap_client.ask(self.socket, request, timeout)

    def reason(self, evidence, user="alice", service="proftpd", **fields):
        return self.ask(evidence, user, service, **fields)["reason"]


def as_nobody(function, groups=()):
    """The result of function(), called by an ordinary user in a process of its own: text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups(list(groups))
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(writing, str(function()).encode())
            status = 0
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0, said
    return said
