# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happens to logins when people lock, edit, fill, break and bulk-load the database."""
import base64
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from activated import Activated, is_sanitized, resident_bytes, wait_for
from faults import fault, scaled
from looping import Loops, Truth, percentile
from shell_stage import CERTMAPCTL, NOBODY, Database, OpenShell, Refused

# server.c answers what waits for a lock after 1.5 s.
ANSWER_SEC = 1.5
SLACK_SEC = 5.0
PATIENCE_SEC = 10.0

INSERT = "INSERT INTO mapping(account, certificate) VALUES('{0}', readfile('{0}.cer'));"
DELETE = "DELETE FROM mapping WHERE account = '{0}';"


def wrong_answers(loops, truth, *excused):
    return [answer for answer in loops.answers
            if answer.reason not in excused and not truth.is_right(answer)]


def integrity(database):
    return database.value("PRAGMA integrity_check")


@fault("B01", slow=True)
def test_an_exclusive_lock_without_wal_is_unavailable_and_over_with_its_commit(
        activated, given_away, alice, figure):
    held_sec = scaled(4, 10)
    given_away.sql("PRAGMA journal_mode = DELETE;")
    assert activated.reason(alice) == "allowed"
    with OpenShell(given_away) as shell:
        with Loops(activated.socket, [(alice.path, "alice")], patience=PATIENCE_SEC) as loops:
            time.sleep(0.3)
            assert shell.type("BEGIN EXCLUSIVE; UPDATE mapping SET note = 'x';") == ""
            locked = time.monotonic()
            time.sleep(held_sec)
            released = time.monotonic()
            assert shell.type("COMMIT;") == ""
            committed = time.monotonic()
            time.sleep(0.5)
    assert set(loops.count()) == {"allowed", "unavailable"}, loops.count()
    during = [a for a in loops.answers if a.begin > locked and a.end < released]
    assert {answer.reason for answer in during} == {"unavailable"}
    assert max(answer.seconds for answer in during) < ANSWER_SEC + SLACK_SEC
    assert {answer.reason for answer in loops.since(committed)} == {"allowed"}
    figure(f"held {held_sec} s: {len(during)} unavailable after "
           f"{min(a.seconds for a in during):.2f} to {max(a.seconds for a in during):.2f} s, "
           f"{loops.count()['allowed']} right before and after")


@fault("B02", slow=True)
def test_a_lookup_sees_the_state_before_an_edit_or_after_it(activated, given_away, alice, bob,
                                                            figure):
    edits = scaled(200, 1000)
    targets = [(alice.path, "alice"), (bob.path, "bob")]
    truths = {"alice": Truth("allowed"), "bob": Truth("unmapped")}
    is_mapped = {"alice": True, "bob": False}
    with OpenShell(given_away) as shell, \
            Loops(activated.socket, targets, patience=PATIENCE_SEC) as loops:
        for number in range(edits):
            name = ("alice", "bob")[number % 2]
            is_mapped[name] = not is_mapped[name]
            with truths[name].changes("allowed" if is_mapped[name] else "unmapped"):
                assert shell.type((INSERT if is_mapped[name] else DELETE).format(name)) == ""
    wrong = [a for a in loops.answers if not truths[a.account].is_right(a)]
    assert wrong == []
    assert integrity(given_away) == "ok"
    figure(f"{edits} edits, {len(loops.answers)} answers, 0 wrong, slowest "
           f"{loops.slowest() * 1000:.0f} ms")


@fault("B03", slow=True)
def test_once_the_shell_has_returned_a_deleted_mapping_lets_nobody_in(
        activated, given_away, alice, figure):
    rounds = scaled(100, 1000)
    for _ in range(rounds):
        assert activated.reason(alice) == "allowed"
        given_away.sql(DELETE.format("alice"))
        assert activated.reason(alice) == "unmapped"
        given_away.sql(INSERT.format("alice"))
    assert activated.starts == 1
    figure(f"{rounds} times, 0 let in")


# More than the cache of the shell, so that it writes before it commits.
SPILL = ("PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE mapping SET account = 'mallory';"
         "CREATE TABLE spill AS SELECT randomblob(4000) AS b FROM generate_series(1, 500);"
         "UPDATE mapping SET note = 'spilled';")


@fault("B04")
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
@pytest.mark.parametrize("first", ["running", "started by it"])
def test_what_a_killed_shell_had_written_and_not_committed_is_never_seen(
        activated, given_away, alice, mode, first, figure):
    given_away.sql(f"PRAGMA journal_mode = {mode};")
    left = given_away.path.with_name("mappings.db-" + {"WAL": "wal", "DELETE": "journal"}[mode])
    if first == "running":
        assert activated.reason(alice) == "allowed"
    with OpenShell(given_away) as shell:
        shell.type(SPILL)
        written = left.stat().st_size
        shell.kill()
    # With a rollback journal the new pages are in the database already, and here are the old ones.
    assert written > 1 << 14
    for user in ("mallory", "alice"):
        reply = activated.ask(alice, user, mode="match")
        assert reply["account"] == "alice"
    assert activated.reason(alice) == "allowed"
    assert integrity(given_away) == "ok"
    assert given_away.value("SELECT account FROM mapping") == "alice"
    figure(f"{mode}: {written >> 10} KiB left, answered at once")


def lose_shared_memory(database):
    database.path.with_name("mappings.db-shm").unlink(missing_ok=True)


def lose_log(database):
    """With the shared memory, as somebody does who tidies up."""
    database.sql("PRAGMA wal_checkpoint(TRUNCATE);")
    for suffix in ("-shm", "-wal"):
        database.path.with_name("mappings.db" + suffix).unlink(missing_ok=True)


def edit_as_root_with_umask(database):
    subprocess.run(["sh", "-c", 'umask 077; exec "$@"', "sh", *database.shell(),
                    "UPDATE mapping SET note = 'x';"], check=True, stdin=subprocess.DEVNULL)


@fault("B05")
@pytest.mark.parametrize("first", ["running", "away", "ending"])
@pytest.mark.parametrize("damage", [lose_shared_memory, lose_log, edit_as_root_with_umask])
def test_an_edit_counts_also_where_the_files_beside_the_database_went(
        activated, given_away, alice, bob, damage, first, figure):
    """The next lookup is right, or unavailable with a line that names a file; never as before."""
    assert activated.reason(alice) == "allowed"
    given_away.sql("UPDATE mapping SET note = 'in the log';")
    if first == "away":
        activated.process.kill()
        activated.process.wait(10)
    damage(given_away)
    if first != "ending":
        assert activated.reason(alice) in ("allowed", "unavailable")
    given_away.sql(DELETE.format("alice") + INSERT.format("bob"))
    if first == "ending":
        # It has not looked again, and must not take along what others wrote into new files.
        activated.process.terminate()
        activated.process.wait(10)
    reasons = [(activated.reason(alice), activated.reason(bob, "bob")) for _ in range(3)]
    for reason in reasons:
        assert reason in (("unmapped", "allowed"), ("unavailable", "unavailable"))
    if ("unavailable", "unavailable") in reasons:
        activated.wait_for_line(str(given_away.path))
    assert integrity(given_away) == "ok"
    figure(f"{damage.__name__} {first}: {reasons[-1][1]}")


@fault("B05")
@pytest.mark.parametrize("first", ["running", "away"])
def test_in_a_read_only_directory_it_works_or_says_why(activated, given_away, alice, first, figure):
    if first == "running":
        assert activated.reason(alice) == "allowed"
    given_away.directory.chmod(0o500)
    reason = activated.reason(alice)
    if reason != "allowed":
        assert reason == "unavailable"
        activated.wait_for_line(str(given_away.path))
    given_away.directory.chmod(0o700)
    assert activated.reason(alice) == "allowed"
    figure(f"read-only directory, {first}: {reason}")


@fault("B05")
def test_a_file_that_may_be_written_again_is_written(activated, given_away, alice, pki, figure):
    """Also by a daemon that could only read it when it opened it."""
    renewed = pki.leaf("alice-new", subject="/CN=alice")
    given_away.map(renewed, account="alice", enabled=0, replaces=1)
    for path in given_away.directory.iterdir():
        path.chmod(0o444)
    reason = activated.reason(alice)
    assert reason in ("allowed", "unavailable")
    assert activated.reason(renewed, "alice") == "unavailable"
    reason_again = activated.reason(alice)
    for path in given_away.directory.iterdir():
        path.chmod(0o644)
    assert activated.reason(renewed, "alice") == "allowed"
    assert given_away.value("SELECT id FROM mapping WHERE enabled") == 2
    figure(f"read-only file: {reason}, {reason_again}, and then a renewal")


@pytest.fixture
def small_disk(given_away):
    """The database on a file system of its own that is nearly full."""
    room = 160 << 10
    size = given_away.path.stat().st_size + room
    place = pathlib.Path(tempfile.mkdtemp(prefix="certmap-full.", dir="/tmp"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700",
                              "certmap-full", place], capture_output=True, text=True)
    if mounted.returncode != 0:
        place.rmdir()
        pytest.skip(f"no mounts here: {mounted.stderr}")
    try:
        shutil.copy(given_away.path, place)
        for path in (place, place / "mappings.db"):
            os.chown(path, NOBODY, NOBODY)
        yield Database(place, given_away.standing)
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()


@fault("B08")
@pytest.mark.root
def test_on_a_full_disk_the_edit_fails_and_the_old_mappings_are_answered(
        small_disk, alice, bob, figure):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
    directory.chmod(0o755)
    with Activated(directory, small_disk.path) as daemon:
        assert daemon.reason(alice) == "allowed"
        with pytest.raises(Refused, match="full"):
            small_disk.sql("BEGIN; UPDATE mapping SET account = 'mallory';"
                           "CREATE TABLE t AS SELECT randomblob(4000) FROM"
                           " generate_series(1, 200); COMMIT;")
        assert daemon.reason(alice) == "allowed"
        # Nothing fits any more, also not what the daemon would work out.
        small_disk.sql(INSERT.format("bob"))
        filler = small_disk.directory / "filler"
        with open(filler, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
        assert daemon.reason(alice) == "allowed"
        reason = daemon.reason(bob, "bob")
        assert reason in ("allowed", "unavailable")
        filler.unlink()
        assert daemon.reason(bob, "bob") == "allowed"
        assert daemon.reason(alice) == "allowed"
    assert integrity(small_disk) == "ok"
    assert daemon.strange_lines() == []
    shutil.rmtree(directory)
    figure(f"old mapping allowed, one that was queued {reason}, all right with room again")


HOSTILE_ROWS = {
    "NULL": "INSERT INTO mapping(account, certificate) VALUES('mallory', NULL);",
    "a number": "INSERT INTO mapping(account, certificate) VALUES('mallory', 7);",
    "upper case": "INSERT INTO mapping(account, service, certificate)"
                  " VALUES('mallory', 'PROFTPD', readfile('alice.cer'));",
    "spaces": "INSERT INTO mapping(account, certificate)"
              " VALUES('mallory', readfile('alice.b64') || '    ');",
    "NUL after": "INSERT INTO mapping(account, certificate)"
                 " VALUES('mallory', readfile('alice.b64') || char(0) || 'a');",
    "NUL in the account": "INSERT INTO mapping(account, certificate)"
                          " VALUES('mallory' || char(0) || 'x', readfile('alice.pem'));",
    "a second account": INSERT.format("alice").replace("'alice',", "'mallory',"),
    "a second certificate": INSERT.format("bob").replace("'bob',", "'alice',"),
    "OR REPLACE": "INSERT OR REPLACE INTO mapping(id, account, certificate)"
                  " VALUES(1, 'mallory', readfile('alice.cer'));",
    "UPDATE OR REPLACE": INSERT.format("bob") + "UPDATE OR REPLACE mapping"
                         " SET id = 1, account = 'mallory' WHERE id = 2;",
    "no checks": "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF;"
                 "PRAGMA recursive_triggers = OFF;"
                 "INSERT OR REPLACE INTO mapping(id, account, enabled, certificate)"
                 " VALUES(1, 'mallory', 2, readfile('alice.cer'));",
    "a forged fact": "INSERT INTO mapping(account, certificate)"
                     " VALUES('mallory', readfile('bob.cer')); UPDATE fact SET fingerprint ="
                     " (SELECT fingerprint FROM fact WHERE mapping_id = 1), mapping_id = 99;",
}


@fault("B11")
@pytest.mark.parametrize("name", HOSTILE_ROWS)
def test_no_row_makes_a_certificate_somebody_elses(activated, given_away, alice, bob, name, figure):
    assert bob.der_path.exists()
    assert activated.reason(alice) == "allowed"
    try:
        given_away.sql(HOSTILE_ROWS[name])
        figure(f"{name}: taken, and lets nobody in")
    except Refused as refused:
        # In words of the schema, or of SQLite.
        assert "rror" in str(refused)
        figure(f"{name}: refused")
    for user in ("mallory", "alice"):
        reply = activated.ask(alice, user)
        assert reply["reason"] != "allowed" or (user, reply["account"]) == ("alice", "alice")
    assert activated.reason(alice, "mallory") != "allowed"
    assert given_away.value("SELECT count(*) FROM mapping WHERE id = 1") == 1


@fault("B13", slow=True)
def test_edits_while_the_daemon_restarts_are_all_in_force(activated, given_away, alice, bob,
                                                          figure):
    restarts = scaled(15, 50)
    truth = Truth("allowed")
    is_mapped, edits = True, 0
    is_ending = threading.Event()

    def restart():
        for _ in range(restarts):
            wait_for("the daemon", lambda: activated.is_running)
            time.sleep(0.05)
            activated.process.terminate()
            activated.process.wait(60)
        is_ending.set()

    thread = threading.Thread(target=restart)
    targets = [(alice.path, "alice")]
    with OpenShell(given_away) as shell:
        with Loops(activated.socket, targets, patience=PATIENCE_SEC) as loops:
            thread.start()
            while not is_ending.is_set() or not is_mapped:
                is_mapped = not is_mapped
                with truth.changes("allowed" if is_mapped else "unmapped"):
                    assert shell.type((INSERT if is_mapped else DELETE).format("alice")) == ""
                edits += 1
            thread.join()
    assert wrong_answers(loops, truth) == []
    # Each insert and each delete.
    assert given_away.value("SELECT count(*) FROM history WHERE object = 'mapping'") == 1 + edits
    assert integrity(given_away) == "ok"
    assert activated.reason(alice) == "allowed"
    figure(f"{activated.starts} starts, {edits} edits, {len(loops.answers)} answers, 0 wrong or "
           f"lost, slowest {loops.slowest() * 1000:.0f} ms")


class Many:
    """Any number of certificates of the same length, all different: digits in the signature, which
    nobody checks here."""

    def __init__(self, certificate):
        self.der = certificate.der
        self.at = len(self.der) - 60  # inside of the signature

    def write(self, first, last):
        """One statement: accounts u1, u2, ... in the words of a person."""
        return (f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n"
                f" WHERE i < {last}), c(der) AS (SELECT x'{self.der.hex()}')"
                " INSERT INTO mapping(account, certificate) SELECT 'u' || i,"
                f" CAST(substr(der, 1, {self.at}) || printf('%08d', i) ||"
                f" substr(der, {self.at + 9}) AS BLOB) FROM n, c;")

    def base64(self, number):
        digits = b"%08d" % number
        whole = self.der[:self.at] + digits + self.der[self.at + 8:]
        return base64.b64encode(whole).decode()


def wait_until_settled(database, daemon, certificate, seconds):
    daemon.ask(certificate)
    begun = time.monotonic()
    wait_for("the facts", lambda: database.value("SELECT count(*) FROM pending") == 0
             or time.sleep(0.2), seconds)
    return time.monotonic() - begun


@fault("B15", slow=True)
def test_lookups_among_many_mappings_stay_quick_and_the_daemon_small(
        activated, given_away, alice, figure):
    count, lookups = scaled(10_000, 1_000_000), 1000
    many = Many(alice)
    begun = time.monotonic()
    given_away.sql(many.write(1, count))
    written = time.monotonic() - begun
    settled = wait_until_settled(given_away, activated, alice, scaled(300, 3000))
    chance = random.Random(15)
    seconds = []
    for _ in range(lookups):
        number = chance.randrange(1, count + 1)
        evidence = many.base64(number)
        begun = time.monotonic()
        reply = activated.ask(evidence, f"u{number}")
        seconds.append(time.monotonic() - begun)
        assert (reply["reason"], reply["account"]) == ("allowed", f"u{number}")
    p99 = sorted(seconds)[int(lookups * 0.99)]
    resident = resident_bytes(activated.process.pid)
    plan = given_away.sql("EXPLAIN QUERY PLAN SELECT mapping_id FROM fact"
                          " WHERE fingerprint = x'00' AND service = '*' AND problem IS NULL;")
    assert "INDEX fact_certificate (fingerprint=? AND service=?)" in plan
    # The table says 5 ms; a scan of the table takes a hundred times that.
    assert p99 < 0.1
    assert is_sanitized() or resident < 64 << 20
    figure(f"{count} mappings (written in {written:.1f} s, worked out in {settled:.1f} s): p99 "
           f"{p99 * 1000:.2f} ms, resident {resident >> 20} MiB")


@fault("B18", slow=True)
def test_logins_go_on_beside_a_bulk_insert(activated, given_away, alice, bob, figure):
    """A hit is answered at once. A miss may be one of the rows that are not worked out: it is
    unavailable then, never somebody."""
    count = scaled(5_000, 200_000)
    many = Many(alice)
    assert bob.path.exists()
    targets = [(alice.path, "alice"), (bob.path, "bob")]
    with Loops(activated.socket, targets, patience=PATIENCE_SEC, pause_msec=1) as loops:
        time.sleep(0.3)
        given_away.sql(many.write(1, count))
        wrote = time.monotonic()
        settled = wait_until_settled(given_away, activated, alice, scaled(120, 1200))
    hits = [answer for answer in loops.answers if answer.account == "alice"]
    misses = [answer for answer in loops.answers if answer.account == "bob"]
    assert {answer.reason for answer in hits} == {"allowed"}
    assert {answer.reason for answer in misses} <= {"unmapped", "unavailable"}
    for number in random.Random(18).sample(range(1, count + 1), 100):
        assert activated.reason(many.base64(number), f"u{number}") == "allowed"
    assert activated.starts == 1
    unavailable = sum(answer.reason == "unavailable" for answer in misses)
    figure(f"{count} rows, worked out {settled:.1f} s after the commit: {len(hits)} hits, p99 "
           f"{percentile(hits, 0.99) * 1000:.1f} ms, slowest "
           f"{max(a.seconds for a in hits) * 1000:.0f} ms; {len(misses)} misses, {unavailable} "
           f"of them unavailable; 0 wrong")


# https://www.sqlite.org/fileformat2.html, 3: the rollback journal. What follows the last page is
# not in there, but in the comment before readSuperJournal() of SQLite's pager.c.
JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
SECTOR_BYTES = 512
LOCK_BYTE = 0x40000000


def journal_naming(file, database):
    """A hot journal of no pages for the database, which belongs to a transaction over several."""
    page_bytes = int.from_bytes(database[16:18], "big")
    pages = len(database) // page_bytes
    head = JOURNAL_MAGIC + struct.pack(">5I", 0, 0x1234, pages, SECTOR_BYTES, page_bytes)
    name = str(file).encode()
    return head.ljust(SECTOR_BYTES, b"\0") + struct.pack(
        f">I{len(name)}sII", LOCK_BYTE // page_bytes + 1, name, len(name), sum(name)) + (
            JOURNAL_MAGIC)


@fault("B20")
@pytest.mark.root
def test_a_journal_beside_the_database_makes_root_delete_nothing_elsewhere(
        activated, given_away, alice, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")  # SQLite takes an empty one for none
    given_away.sql("PRAGMA wal_checkpoint(TRUNCATE);")
    journal = pathlib.Path(f"{given_away.path}-journal")
    journal.write_bytes(journal_naming(precious, given_away.path.read_bytes()))
    os.chown(journal, NOBODY, NOBODY)
    listed = [subprocess.run([CERTMAPCTL, "list", "--database", given_away.path], check=False,
                             stdin=subprocess.DEVNULL, capture_output=True) for _ in range(2)]
    assert precious.exists()
    # It was taken for hot, or this shows nothing; once rolled back it is no more.
    assert [done.returncode for done in listed] == [1, 0] and not journal.exists()
    assert activated.reason(alice) == "allowed"
