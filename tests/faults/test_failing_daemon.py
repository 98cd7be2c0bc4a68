# SPDX-License-Identifier: LGPL-2.1-or-later
"""certmapd while the n-th allocation, the n-th system call or the n-th I/O of SQLite fails, until a
lookup passes in which none did. It answers rightly, or `unavailable`, or hangs up; it stays up; and
the next lookup is right without anybody's help."""
import errno
import os
import subprocess
import time

import pytest

from certmap_client import Unusable
from faults import fault, scaled
from guest_stage import Failing, plain
from shell_stage import CERTMAPCTL, OpenShell

CALLS_MAX = 20000
KEY = bytes(range(32))
PASSWORD = b"correct horse battery staple"


@pytest.fixture(name="failing")
def make_failing(stopped_daemon):
    return Failing(stopped_daemon.directory / "control")


@pytest.fixture(name="hurt")
def start_under_faults(mapped, stopped_daemon, failing):
    """A certmapd in which calls can be made to fail; it must end well. A key is where systemd would
    put it."""
    keys = stopped_daemon.directory / "keys"
    keys.mkdir(mode=0o700)
    (keys / "certmap-key").write_text(KEY.hex() + "\n")
    (keys / "certmap-key").chmod(0o600)
    stopped_daemon.environment = {**os.environ, **failing.environment,
                                  "CREDENTIALS_DIRECTORY": str(keys)}
    return stopped_daemon.start(env=stopped_daemon.environment)


class Lookup:
    """A kind of lookup: what is done before each, whose it is, and the one right answer."""

    right = "allowed"

    def __init__(self, database, daemon, pki):
        self.database, self.daemon, self.pki = database, daemon, pki
        self.shell = OpenShell(database)
        self.certificate = pki.leaf("alice")
        self.fields = {}
        self.slowest = 0.0
        self.begin()

    def begin(self):
        pass

    def prepare(self):
        pass

    def type(self, text):
        assert self.shell.type(text) == ""

    def ask(self):
        begun = time.monotonic()
        try:
            return self.daemon.ask(self.certificate, **self.fields)
        except Unusable:
            return {"reason": "unavailable"}
        finally:
            self.slowest = max(self.slowest, time.monotonic() - begun)

    def ask_again(self):
        return self.ask()

    def is_right(self, reply):
        return reply["reason"] == self.right and reply.get("account", "alice") == "alice"


class Hit(Lookup):
    """Nothing has changed since the last one."""


class Miss(Lookup):
    """Of a certificate that nobody mapped."""
    right = "unmapped"

    def begin(self):
        self.certificate = self.pki.leaf("carol")


class Edited(Lookup):
    """Right after an edit: the certificate has to be read."""
    forms = ("alice.pem", "alice.cer")

    def prepare(self):
        self.forms = self.forms[::-1]
        self.type(f"UPDATE mapping SET certificate = readfile('{self.forms[0]}');")


class Trusted(Lookup):
    """With a chain to be built, a list to be looked at, and nothing remembered of either."""
    forms = ("ca.pem", "ca.cer")

    def begin(self):
        self.pki.revocation_list("empty")
        self.database.sql("UPDATE service SET require_trust = 1, revocation = 'require';")
        self.row = self.database.trust("anchor", "ca.pem")
        self.database.trust("crl", "empty.crl")

    def prepare(self):
        self.forms = self.forms[::-1]
        self.type(f"UPDATE trust SET content = readfile('{self.forms[0]}') WHERE id = {self.row};")


class Revoked(Trusted):
    """Of a certificate that a list names, where it would be enough that no list does. What is made
    of the list is kept until the next edit, so that a list which is missed lets in for long."""
    right = "revoked"

    def begin(self):
        self.certificate = self.pki.leaf("alice-revoked", subject="/CN=alice")
        self.pki.revocation_list("names-alice", [self.certificate])
        self.database.sql("UPDATE service SET require_trust = 1, revocation = 'prefer';"
                          "UPDATE mapping SET certificate = readfile('alice-revoked.pem');")
        self.row = self.database.trust("anchor", "ca.pem")
        self.database.trust("crl", "names-alice.crl")


class Renewed(Lookup):
    """Of a staged certificate, which takes force with it."""

    def begin(self):
        self.certificate = self.pki.leaf("alice-new", subject="/CN=alice")
        if self.database.value("SELECT count(*) FROM mapping") == 1:
            self.database.map(self.certificate, account="alice", enabled=0, replaces=1)

    def prepare(self):
        self.type("UPDATE mapping SET enabled = 0 WHERE id = 2;"
                  "UPDATE mapping SET enabled = 1 WHERE id = 1;"
                  "UPDATE mapping SET replaces = 1 WHERE id = 2;")

    def is_right(self, reply):
        enabled = self.database.rows("SELECT id FROM mapping WHERE enabled ORDER BY id")
        assert len(enabled) == 1, enabled
        return super().is_right(reply) and enabled == [{"id": 2}]


class Delivered(Lookup):
    """With a password that is stored for the session."""

    def begin(self):
        key = self.daemon.directory / "keys" / "certmap-key"
        self.database.sql("INSERT INTO service(name, deliver_credential) VALUES('proftpd', 1);")
        subprocess.run([CERTMAPCTL, "credential", "set", "--database", self.database.path,
                        "--key", key, "alice"], input=PASSWORD + b"\n", check=True,
                       capture_output=True)
        self.fields = {"credential_wanted": 1}

    def is_right(self, reply):
        return super().is_right(reply) and reply["credential"] == PASSWORD


class First(Lookup):
    """The first one of a daemon that has just started: the database has to be opened."""

    def prepare(self):
        self.daemon.kill()
        self.daemon.start(env=self.daemon.environment)


class RenewedNext(First, Renewed):
    """The first one, of the certificate in force; and the next one is of the staged one. Where
    SQLite can't open a file for writing it is content with reading, and says so to nobody."""

    def prepare(self):
        Renewed.prepare(self)
        First.prepare(self)
        self.staged = self.pki.leaf("alice-new", subject="/CN=alice")
        self.certificate = self.pki.leaf("alice")

    def ask_again(self):
        self.certificate = self.staged
        return self.ask()

    def is_right(self, reply):
        enabled = self.database.rows("SELECT id FROM mapping WHERE enabled")
        in_force = 2 if self.certificate is self.staged else 1
        return Lookup.is_right(self, reply) and enabled == [{"id": in_force}]


LOOKUPS = (Hit, Miss, Edited, Trusted, Revoked, Renewed, Delivered, First)


def wait_for_a_wait(failing):
    """The daemon is in epoll_wait(2) when it is asked, and answers before it calls that again."""
    deadline = time.monotonic() + 3
    while failing.page.failed == 0 and time.monotonic() < deadline:
        time.sleep(0.001)


def rounds_until_none_fails(lookup, failing, function, number, is_lasting=False):
    """How many of them there were; each has been checked."""
    n = rounds = 0
    while n < CALLS_MAX:
        # Of many calls each one by command alone: a lookup that opens the database makes thousands.
        n += scaled(1 + n // 50, 1)
        rounds += 1
        failing.arm(function, n, number, is_lasting)
        lookup.prepare()
        failing.go()
        reply = lookup.ask()
        if function == "epoll_wait":
            wait_for_a_wait(failing)
        failed = failing.stop()
        where = (type(lookup).__name__, function, errno.errorcode[number], n, reply)
        assert lookup.daemon.is_running, where
        is_right = lookup.is_right(reply)
        assert is_right or reply["reason"] in ("unavailable", "credential-unavailable"), where
        if failed == 0:
            assert is_right, (where, lookup.daemon.log()[-5:])
            return rounds - 1
        again = lookup.ask_again()
        assert lookup.is_right(again), (where, again, lookup.daemon.log()[-5:])
    raise AssertionError(f"{function} is called without end")


ONCE_OR_LASTING = pytest.mark.parametrize("is_lasting", [
    pytest.param(False, id="once"), pytest.param(True, id="from then on")])


@plain
@ONCE_OR_LASTING
@pytest.mark.parametrize("kind", LOOKUPS)
@fault("P18", slow=True)
def test_no_allocation_of_the_daemon_that_fails_makes_a_wrong_answer(
        mapped, hurt, failing, pki, figure, kind, is_lasting):
    lookup = kind(mapped, hurt, pki)
    lookup.prepare()
    assert lookup.is_right(lookup.ask())
    descriptors, blocks = hurt.descriptors(), failing.page.live
    rounds = rounds_until_none_fails(lookup, failing, "allocation", errno.ENOMEM, is_lasting)
    lookup.shell.close()
    assert hurt.descriptors() == descriptors
    # What SQLite and OpenSSL keep grows with the first uses; a leak in each round would be more.
    assert kind is First or failing.page.live - blocks < 100 + rounds // 4
    figure(f"{kind.__name__.lower()} {rounds}{' lasting' * is_lasting}")


@plain
@fault("P20", slow=True)
def test_no_lock_that_the_system_does_not_end_keeps_others_from_editing(
        mapped, hurt, failing, pki, figure):
    """Though nobody asks the daemon anything after the lookup that left the lock."""
    lookup = Edited(mapped, hurt, pki)
    for n in range(1, CALLS_MAX):
        lookup.prepare()
        failing.arm("fcntl", n, errno.ENOLCK, is_lasting=True)
        failing.go()
        lookup.ask()
        if failing.stop() == 0:
            break
    lookup.prepare()
    lookup.shell.close()
    assert n > 10
    assert [line for line in lookup.daemon.log() if "did not end a lock" in line]
    figure(f"{n - 1} locks")


# What the manual pages list and a kernel may say to this caller. With another error epoll_wait(2)
# would tell of a descriptor that is none, which ends the loop and is a bug of ours, not a fault.
CALLS = {
    "accept4": "EAGAIN ECONNABORTED EINTR EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTO ENETDOWN "
               "EHOSTUNREACH",
    "recv": "EAGAIN ECONNREFUSED ECONNRESET EINTR EIO ENOMEM ENOTCONN ETIMEDOUT",
    "send": "EAGAIN ECONNRESET EINTR EMSGSIZE ENOBUFS ENOMEM ENOTCONN EPIPE",
    "getsockopt": "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK",
    "epoll_wait": "EINTR",
}


# For ever these say "later": one that lasts would be waited for until the deadline, as it should.
AGAIN = {"EAGAIN", "EINTR"}


def numbers_of(names, is_lasting):
    """The errors of a list; of those that last one stands for all, but in the long run."""
    lasting = [name for name in names.split() if name not in AGAIN]
    chosen = lasting[:scaled(1, len(lasting))] if is_lasting else names.split()
    return [getattr(errno, name) for name in chosen]


@plain
@pytest.mark.parametrize("function, is_lasting", [
    pytest.param(function, is_lasting, id=f"{function}-{'from then on' if is_lasting else 'once'}")
    for function in CALLS for is_lasting in (False, True)
    if numbers_of(CALLS[function], is_lasting)])
@fault("P19", slow=True)
def test_no_call_of_the_daemon_that_fails_makes_a_wrong_answer(
        mapped, hurt, failing, pki, figure, function, is_lasting):
    lookup = Hit(mapped, hurt, pki)
    assert lookup.is_right(lookup.ask())
    descriptors = hurt.descriptors()
    numbers = numbers_of(CALLS[function], is_lasting)
    rounds = sum(rounds_until_none_fails(lookup, failing, function, number, is_lasting)
                 for number in numbers)
    assert rounds >= len(numbers)
    lookup.shell.close()
    # An answer comes before the end of its connection.
    deadline = time.monotonic() + 10
    while hurt.descriptors() != descriptors:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    figure(f"{function} {rounds}{' lasting' * is_lasting}")


FILE_CALLS = {
    "open": "EIO EACCES EMFILE ENOSPC ENOMEM EINTR",
    "stat": "EACCES EIO ENOMEM",
    "lstat": "EACCES EIO ENOMEM",
    "fstat": "EIO ENOMEM",
    "read": "EIO EINTR",
    "pread": "EIO EINTR",
    "pwrite": "EIO ENOSPC EDQUOT EINTR",
    "fsync": "EIO ENOSPC EDQUOT",
    "fdatasync": "EIO ENOSPC EDQUOT",
    "ftruncate": "EIO ENOSPC EFBIG",
    "mmap": "ENOMEM EACCES ENODEV",
    "fcntl": "EIO ENOLCK EACCES EINTR",
}
# Whether the call is made at all is SQLite's to know: these are, in one lookup or the other.
SURE_CALLS = {"open", "stat", "fstat", "pread", "pwrite", "mmap", "fcntl"}


@plain
@ONCE_OR_LASTING
@pytest.mark.parametrize("function", FILE_CALLS)
@fault("P20", slow=True)
def test_no_input_or_output_of_the_database_that_fails_makes_a_wrong_answer(
        mapped, hurt, failing, pki, figure, function, is_lasting):
    rounds, slowest = 0, 0.0
    kinds = (Edited, First, Renewed, RenewedNext)
    # Each wait for a lock that never comes takes as long as an answer may: not in every run.
    for kind in kinds[:scaled(1, None)] if is_lasting else kinds:
        lookup = kind(mapped, hurt, pki)
        for number in numbers_of(FILE_CALLS[function], is_lasting):
            rounds += rounds_until_none_fails(lookup, failing, function, number, is_lasting)
        slowest = max(slowest, lookup.slowest)
        lookup.shell.close()
        assert mapped.value("PRAGMA integrity_check") == "ok"
    assert rounds > 0 or function not in SURE_CALLS
    figure(f"{function} {rounds}{' lasting' * is_lasting}, {slowest * 1000:.0f} ms at worst")
