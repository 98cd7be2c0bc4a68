# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_samples.py owns the promise that the samples do what they say: each is run as its first lines
tell, and then somebody logs in, through the module and the lines for /etc/pam.d that stand beside
them."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from ctl_stage import ACCOUNT
from shell_stage import CERTMAPCTL, NOBODY, TREE

sys.path.insert(0, str(TREE / "tests" / "module"))
import fake_daemon  # noqa: E402
from pam_stage import AUTH_ERR, CRED_INSUFFICIENT, SUCCESS, Pam  # noqa: E402

SAMPLES = TREE / "tests" / "samples"
WRITERS = ("map.sql", "map-certmapctl.sh", "map.sh", "map.py")
DEFAULT_DATABASE = "/var/lib/certmap/mappings.db"


@pytest.fixture
def room(alice):
    """Where a person stands who tries the samples, with the files that they name."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-"))
    shutil.copytree(SAMPLES, directory / "samples")
    shutil.copy(alice.der_path, directory / "alice.cer")
    os.symlink(CERTMAPCTL, directory / "certmapctl")
    # alice is no account of this machine; the samples speak of one that is.
    for file in (directory / "samples").glob("map*"):
        file.write_text(file.read_text().replace("'alice'", f"'{ACCOUNT}'")
                        .replace(" alice ", f" {ACCOUNT} "))
    yield directory
    shutil.rmtree(directory)


def run(room, *command, status=0, **options):
    done = subprocess.run([str(word) for word in command], cwd=room, check=False, text=True,
                          env={**os.environ, "PATH": f"{room}:{os.environ['PATH']}",
                               "HOME": str(room)},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          **({"stdin": subprocess.DEVNULL} | options))
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def write(room, sample, database, account=ACCOUNT, certificate="alice.cer", status=0):
    path = room / "samples" / sample
    if sample == "map.sql":
        with open(path) as script:
            return run(room, "sqlite3", "-bail", database.path, stdin=script, status=status)
    if sample == "map-certmapctl.sh":
        return run(room, path, f"--database={database.path}", status=status)
    return run(room, path, "proftpd", account, certificate, database.path, status=status)


@pytest.mark.parametrize("sample", WRITERS)
def test_writer_makes_the_change_in_force_at_once(room, database, daemon, alice, bob, sample):
    assert daemon.reason(alice, user=ACCOUNT) == "unmapped"
    write(room, sample, database)
    assert daemon.reason(alice, user=ACCOUNT) == "allowed"
    assert daemon.reason(bob, user=ACCOUNT) == "unmapped"
    assert daemon.reason(alice, user=ACCOUNT, service="imap") == "unmapped"
    assert database.rows("SELECT service, account, enabled FROM mapping") \
        == [{"service": "proftpd", "account": ACCOUNT, "enabled": 1}]


@pytest.mark.parametrize("sample", WRITERS)
def test_writer_switches_a_service_on_that_was_off(room, database, daemon, alice, sample):
    database.sql("INSERT INTO service (name, enabled, note) VALUES ('proftpd', 0, 'closed');")
    write(room, sample, database)
    assert daemon.reason(alice, user=ACCOUNT) == "allowed"
    assert database.value("SELECT note FROM service WHERE name = 'proftpd'") == "closed"


@pytest.mark.parametrize("sample", WRITERS)
def test_writer_is_refused_in_words_and_changes_nothing(room, database, alice, sample):
    database.map(alice, account="bob", service="'proftpd'")
    # What is worked out may be written down meanwhile; this is what people write.
    written = "SELECT * FROM history; SELECT count(*) FROM mapping; SELECT count(*) FROM service;"
    before = database.sql(written)
    done = write(room, sample, database, status=1)
    assert "mapped already for this service" in done.stderr
    assert database.sql(written) == before


def test_two_of_the_writers_bind_to_the_uid(room, database):
    write(room, "map.py", database)
    assert database.value("SELECT account_uid FROM mapping") == NOBODY


@pytest.mark.parametrize("sample", ("map.sh", "map.py"))
def test_arguments_are_never_code(room, database, alice, sample):
    hostile = "x', 1, NULL); DELETE FROM service; --"
    shutil.copy(alice.der_path, room / "it's alice's.cer")
    if sample == "map.sh":
        # The database takes any name that getpwnam(3) might know.
        write(room, sample, database, account=hostile, certificate="it's alice's.cer")
        assert database.value("SELECT account FROM mapping") == hostile
    else:
        write(room, sample, database, account=hostile, certificate="it's alice's.cer", status=1)
    assert database.value("SELECT count(*) FROM service WHERE name = '*'") == 1


@pytest.mark.parametrize("sample", ("map.sh", "map.py"))
def test_a_database_that_is_not_there_is_not_made(room, no_database, sample):
    write(room, sample, no_database, status=1)
    assert not no_database.path.exists()


@pytest.mark.parametrize("sample", ("map.sh", "map.py"))
def test_missing_arguments_are_wrong_usage(room, sample):
    done = subprocess.run([room / "samples" / sample], check=False, capture_output=True, text=True)
    assert done.returncode != 0 and f"{sample} SERVICE ACCOUNT" in done.stderr


def test_samples_name_the_default_database():
    for name in ("map.sql", "map.sh", "map.py"):
        assert DEFAULT_DATABASE in (SAMPLES / name).read_text(), name


def test_readme_lists_every_sample():
    listed = set(re.findall(r"\]\(([a-z./-]+)\)", (SAMPLES / "README.md").read_text()))
    there = {str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*") if path.is_file()}
    assert listed == there - {"README.md"}


# ask.c -------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def ask():
    """The program, built as its first lines say, with every warning an error."""
    directory = tempfile.mkdtemp(prefix="certmap-")
    program = pathlib.Path(directory, "ask")
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", program, SAMPLES / "ask.c"],
                   check=True)
    yield program
    shutil.rmtree(directory)


def answer(ask, socket, certificate, account=ACCOUNT, service="proftpd"):
    with open(certificate.path) as pem:
        done = subprocess.run([ask, service, account, socket], stdin=pem, check=False, text=True,
                              stdout=subprocess.PIPE)
    assert done.returncode == (0 if done.stdout == "allowed\n" else 1)
    return done.stdout.strip()


def test_c_client_is_told_what_the_daemon_decides(ask, database, daemon, alice, bob, carol):
    database.map(alice, account=ACCOUNT, account_uid=NOBODY)
    database.map(bob, account="root")
    assert answer(ask, daemon.socket, alice) == "allowed"
    assert answer(ask, daemon.socket, alice, account="bob") == "account-mismatch"
    assert answer(ask, daemon.socket, carol) == "unmapped"
    assert answer(ask, daemon.socket, bob, account="root") == "root-refused"
    database.sql(f"UPDATE mapping SET account_uid = {NOBODY - 1} WHERE account = '{ACCOUNT}';")
    assert answer(ask, daemon.socket, alice) == "account-changed"
    database.sql(f"UPDATE mapping SET enabled = 0 WHERE account = '{ACCOUNT}';")
    assert answer(ask, daemon.socket, alice) == "mapping-disabled"


def test_c_client_takes_an_unknown_account_for_a_refusal(ask, database, daemon, alice):
    database.map(alice, account="nobody-here")
    assert answer(ask, daemon.socket, alice, account="nobody-here") == "account-missing"


def test_c_client_without_a_daemon_it_can_trust_says_unavailable(ask, database, stopped_daemon,
                                                                 alice):
    assert answer(ask, stopped_daemon.socket, alice) == "unavailable"
    database.map(alice, account=ACCOUNT)
    stopped_daemon.start()
    stopped_daemon.directory.chmod(0o777)
    assert answer(ask, stopped_daemon.socket, alice) == "unavailable"
    stopped_daemon.directory.chmod(0o755)
    assert answer(ask, stopped_daemon.socket, alice) == "allowed"


def yes(request, more=b"", account=ACCOUNT, **changes):
    """The frame of a yes to this request, with fields changed or left out (None), and more."""
    right = fake_daemon.allowed(request, account, **changes)
    return fake_daemon.frame(right[12:] + more)


REPLIES = {
    "that is right": (yes, "allowed"),
    "of an unknown field": (lambda r: yes(r, fake_daemon.field(99, b"x")), "allowed"),
    "of an unknown critical field":
        (lambda r: yes(r, fake_daemon.field(99, b"x", critical=True)), "unavailable"),
    "that is cut": (lambda r: yes(r)[:-1], "unavailable"),
    "with a byte behind it": (lambda r: yes(r) + b"x", "unavailable"),
    "of nothing": (lambda r: b"", "unavailable"),
    "of another id": (lambda r: yes(r, correlation_id="x"), "unavailable"),
    "without an id": (lambda r: yes(r, correlation_id=None), "unavailable"),
    "without a mapping": (lambda r: yes(r, mapping_id=None), "unavailable"),
    "without a fingerprint": (lambda r: yes(r, fingerprint=None), "unavailable"),
    "for another account": (lambda r: yes(r, account=ACCOUNT + "x"), "unavailable"),
    "for an account and a NUL": (lambda r: yes(r, account=ACCOUNT + "\0"), "unavailable"),
    "without an account": (lambda r: yes(r, account=None), "unavailable"),
    "in shadow mode": (lambda r: yes(r, shadow="allowed"), "unavailable"),
    "of an unknown word": (lambda r: yes(r, reason="moon-phase"), "moon-phase"),
    "of no word": (lambda r: yes(r, reason="Allowed\n"), "unavailable"),
    "of a word and a NUL": (lambda r: yes(r, reason="allowed\0"), "unavailable"),
    "of a field twice": (lambda r: yes(r, fake_daemon.field(8, b"x")), "unavailable"),
    "of another uid": (lambda r: yes(r, uid=NOBODY - 1), "account-changed"),
    "of another version": (lambda r: b"CMAP\2" + yes(r)[5:], "unavailable"),
    "of 1 MiB": (lambda r: yes(r) + bytes(1 << 20), "unavailable"),
    "that did not read the request":
        (lambda r: fake_daemon.refused(r, "forbidden", correlation_id=None), "forbidden"),
}


@pytest.mark.parametrize("case", REPLIES)
def test_c_client_believes_only_a_whole_reply_to_its_request(ask, pam_room, alice, case):
    make, expected = REPLIES[case]
    with pam_room.daemon(make):
        assert answer(ask, str(pam_room.socket), alice) == expected


def test_c_client_waits_no_longer_than_its_deadline(ask, pam_room, alice):
    released = threading.Event()
    with pam_room.daemon(lambda request: released.wait(60) and b"" or b""):
        started = time.monotonic()
        assert answer(ask, str(pam_room.socket), alice) == "unavailable"
        assert 1 <= time.monotonic() - started < 30
        released.set()


# The lines for /etc/pam.d ------------------------------------------------------------------------

@pytest.fixture
def pam_room():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-"))
    directory.chmod(0o755)
    yield Pam(directory)
    shutil.rmtree(directory)


def log_in(pam, daemon, name, **environment):
    text = (SAMPLES / "pam.d" / name).read_text()
    text = text.replace("pam_certmap.so", f"{pam.module} socket={daemon.socket}")
    # Whoever has no password comes in nowhere; what stands below must be seen to be asked.
    text = text.replace("auth     required  pam_unix.so", "auth     required  pam_deny.so")
    (pam.services / "proftpd").write_text(text)
    return pam.run(f"start:proftpd:{ACCOUNT}", "authenticate", environment=environment)


@pytest.mark.parametrize("name, without", [("require", CRED_INSUFFICIENT), ("accept", AUTH_ERR)])
def test_login_with_the_lines_for_pam(room, database, daemon, pam_room, alice, bob, name, without):
    write(room, "map.sh", database)
    assert log_in(pam_room, daemon, name, FTPS="1", TLS_CLIENT_CERT=alice.pem).code == SUCCESS
    assert log_in(pam_room, daemon, name, FTPS="1", TLS_CLIENT_CERT=bob.pem).code == AUTH_ERR
    assert log_in(pam_room, daemon, name, FTPS="1").code == without
    assert log_in(pam_room, daemon, name, TLS_CLIENT_CERT=alice.pem).code == without
