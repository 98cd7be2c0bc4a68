# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows A: accounts that go, come back and are locked, in an /etc of their own; secrets in
memory; and a day of work in less than a minute."""
import os
import re
import resource
import signal
import subprocess

import pytest

from faults import fault, scaled
from guest_stage import (
    ACCT_EXPIRED, AUTH_ERR, SUCCESS, USER_UNKNOWN, Failing, Guest, plain)
from shell_stage import OpenShell


class OwnEtc:
    """A mount name space in which /etc is written to memory: useradd(8) and its like are the real
    ones, and this machine's accounts stay as they are."""

    def __init__(self, directory):
        script = (f"mount -t tmpfs certmap-test {directory} && mkdir {directory}/u {directory}/w && "
                  f"mount -t overlay certmap-test -o lowerdir=/etc,upperdir={directory}/u,"
                  f"workdir={directory}/w /etc && echo ready && exec sleep infinity")
        self.process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = self.process.stdout.readline()
        if said != "ready\n":
            self.process.wait()
            pytest.skip(f"no private mounts here: {said}")
        # In a chroot, without its root, the commands would work on the /etc of the machine around.
        self.enter = ["nsenter", f"--target={self.process.pid}", "--mount", "--root"]

    def run(self, *command):
        return subprocess.run([*self.enter, *command], check=True, capture_output=True,
                              text=True).stdout

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(name="etc")
def make_etc(tmp_path):
    own = OwnEtc(tmp_path)
    yield own
    own.end()


NAME = "certmap-alice"


@pytest.fixture(name="asked")
def stack_on_the_daemon(pam, database, daemon, alice):
    database.map(alice, account=NAME)
    pam.socket = daemon.socket
    pam.service("source=env:CERT")
    return pam


def log_in(pam, etc, alice, service="svc"):
    with Guest(pam, NAME, service, before=etc.enter, CERT=alice.pem) as guest:
        return guest.life()


def codes(life):
    return life["authenticate"], life["reason"]


@pytest.mark.root
@fault("A01")
def test_account_that_is_removed_and_made_again_is_the_one_that_was_bound(
        asked, etc, database, alice):
    def make(*options):
        etc.run("useradd", "--no-create-home", *options, NAME)

    make("--uid", "54321")
    assert codes(log_in(asked, etc, alice)) == (SUCCESS, "allowed")
    etc.run("userdel", NAME)
    assert codes(log_in(asked, etc, alice)) == (USER_UNKNOWN, "account-missing")
    # The name alone is bound unless the mapping names a uid.
    make("--uid", "54322")
    assert codes(log_in(asked, etc, alice)) == (SUCCESS, "allowed")
    database.sql("UPDATE mapping SET account_uid = 54321;")
    assert codes(log_in(asked, etc, alice)) == (AUTH_ERR, "account-changed")
    database.sql("UPDATE mapping SET account_uid = 54322;")
    assert codes(log_in(asked, etc, alice)) == (SUCCESS, "allowed")
    etc.run("userdel", NAME)
    make("--uid", "0", "--non-unique")
    database.sql("UPDATE mapping SET account_uid = NULL;")
    assert codes(log_in(asked, etc, alice)) == (AUTH_ERR, "root-refused")
    assert NAME not in open("/etc/passwd", encoding="utf-8").read()


@pytest.mark.root
@fault("A02")
def test_locked_account_passes_here_and_is_for_the_account_stack_to_refuse(asked, etc, alice):
    asked.service("", name="whole", lines=asked.line("source=env:CERT") +
                  asked.line("source=env:CERT", "account") +
                  "account requisite pam_nologin.so\naccount required pam_unix.so\n"
                  "session required pam_permit.so\n")
    etc.run("useradd", "--no-create-home", "--uid", "54321", NAME)
    assert log_in(asked, etc, alice, "whole")["close"] == SUCCESS

    etc.run("passwd", "--lock", NAME)
    # passwd(1): that locks the password, and not the account.
    assert log_in(asked, etc, alice, "whole")["account"] == SUCCESS
    etc.run("chage", "--expiredate", "0", NAME)
    life = log_in(asked, etc, alice, "whole")
    assert (life["authenticate"], life["account"]) == (SUCCESS, ACCT_EXPIRED)
    # Without a module that looks, nobody does.
    assert log_in(asked, etc, alice, "svc")["close"] == SUCCESS

    etc.run("chage", "--expiredate", "-1", NAME)
    etc.run("touch", "/etc/nologin")
    life = log_in(asked, etc, alice, "whole")
    assert life["authenticate"] == SUCCESS and life["account"] not in (SUCCESS, -1)


# Memory ------------------------------------------------------------------------------------------


def count_in_memory(pid, marker):
    """How often the bytes stand in what the process can write."""
    found = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            begin, end, rights = re.match("([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
            if not rights.startswith("rw") or "[vvar" in line:
                continue
            mem.seek(int(begin, 16))
            try:
                found += mem.read(int(end, 16) - int(begin, 16)).count(marker)
            except OSError:
                pass  # a mapping that has no bytes behind it
    return found


MARKER = "correct-horse-battery-staple-0123456789"


class Hosts:
    """A daemon and a host of the module in which explicit_bzero(3) can be made to do nothing."""

    def __init__(self, pam, daemon):
        self.pam = pam
        self.of_guest = Failing(daemon.directory / "guest")
        self.of_daemon = Failing(daemon.directory / "daemon")
        self.daemon = daemon.start(env={**os.environ, **self.of_daemon.environment})
        pam.socket = daemon.socket
        pam.service("source=authtok timeout=30000")

    def stop_wiping(self):
        for failing in (self.of_guest, self.of_daemon):
            failing.arm("explicit_bzero", 1, is_lasting=True)
        # A guest says so itself, for the time of a life.
        self.of_daemon.go()

    def count_left_by_a_login(self):
        """A client types its password where a certificate should be: how many more copies of it
        there are afterwards in the host of the module, and how many in the daemon."""
        with Guest(self.pam, GUEST_ANSWER=MARKER, **self.of_guest.environment) as guest:
            before = count_in_memory(guest.process.pid, MARKER.encode())
            assert before > 0  # its environment
            assert guest.life()["reason"] == "malformed-certificate"
            after = count_in_memory(guest.process.pid, MARKER.encode())
        return after - before, count_in_memory(self.daemon.process.pid, MARKER.encode())


@plain
@pytest.mark.root
@fault("A04")
def test_typed_secret_is_left_in_no_memory(pam, database, stopped_daemon, figure):
    hosts = Hosts(pam, stopped_daemon)
    assert hosts.count_left_by_a_login() == (0, 0)
    # The same looks in the same programs, but nothing is wiped: then it is found in both.
    hosts.stop_wiping()
    in_host, in_daemon = hosts.count_left_by_a_login()
    assert in_host > 0 and in_daemon > 0
    figure(f"0 copies in host and daemon; unwiped {in_host} and {in_daemon}")


def abort(process):
    """Ends it by SIGABRT; whether the kernel wrote a core, core(5), wherever that went."""
    process.send_signal(signal.SIGABRT)
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process.wait(10) == -signal.SIGABRT
    return ended.si_code == os.CLD_DUMPED


def with_cores():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def skip_without_cores(directory):
    """A control: of an ordinary program in the same place there is one, and the secret in it."""
    control = subprocess.Popen(["sleep", "60"], env={"SECRET": MARKER}, cwd=directory,
                               preexec_fn=with_cores)
    if not abort(control):
        pytest.skip("this machine writes no core of any program: core(5)")
    cores = list(directory.glob("core*"))
    # Where they go to a program or another directory the kernel's word is all there is.
    assert not cores or MARKER.encode() in cores[0].read_bytes()
    for core in cores:
        core.unlink()


@pytest.mark.root
@fault("A04")
def test_daemon_leaves_no_core(database, stopped_daemon, alice, figure):
    """Whatever the limit is that it was started with."""
    directory = stopped_daemon.directory
    skip_without_cores(directory)
    database.map(alice)
    stopped_daemon.start(cwd=directory, preexec_fn=with_cores)
    assert stopped_daemon.reason(alice) == "allowed"
    assert not abort(stopped_daemon.process)
    assert list(directory.glob("core*")) == []
    figure("a core of another program, none of the daemon")


# A day ---------------------------------------------------------------------------------------------


@plain
@fault("A05", slow=True)
def test_a_day_of_lookups_and_edits_stays_flat_and_right(
        pam, database, daemon, alice, bob, pki, figure):
    lookups, edits = scaled(20_000, 300_000), scaled(60, 300)
    database.map(alice, account="nobody")
    database.map(bob, account="bob")
    pam.socket = daemon.socket
    pam.service("source=env:CERT timeout=30000")
    per_edit = lookups // edits
    with Guest(pam, CERT=alice.pem) as one, Guest(pam, CERT=alice.pem) as other:
        guests = (one, other)
        with OpenShell(database) as shell:
            for n in range(edits):
                assert shell.type(f"UPDATE mapping SET enabled = {n % 2} WHERE id = 2;") == ""
                assert daemon.reason(bob, "bob") == ("allowed" if n % 2 else "mapping-disabled")
                # Two lookups in a life: the account phase asks too.
                done = [guest.lives(per_edit // 4) for guest in guests]
                assert [life["right"] for life in done] == [per_edit // 4] * 2, done
                if n == edits // 4:
                    early, early_kib = done, resident_kib(daemon.process.pid)
                    descriptors = daemon.descriptors()
    growth = resident_kib(daemon.process.pid) - early_kib
    assert daemon.descriptors() == descriptors and growth < 1024
    for first, last in zip(early, done):
        assert last["descriptors"] == first["descriptors"]
        assert last["resident_kib"] - first["resident_kib"] < 512
    figure(f"{edits * (per_edit // 4) * 4 + edits} lookups, {edits} edits, 0 wrong, "
           f"daemon {growth:+} KiB")


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
