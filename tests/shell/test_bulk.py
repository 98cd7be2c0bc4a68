# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bulk load through the bare shell: a process of its own reads the new certificates, and logins
go on beside it."""
import pathlib
import subprocess
import time

from shell_stage import CERTMAPD, Daemon, OpenShell

# More than a lookup settles in passing.
MANY = 4000
# Of /proc/PID/stat after the command's name, proc(5): page faults of children that were waited for.
CHILDREN_FAULTS = 8


def insert_many(database, certificate):
    """Copies of a certificate that differ in a byte or two of the signature, which nobody verifies:
    all but the last 40 bytes of it."""
    rows = []
    for number in range(MANY):
        der = bytearray(certificate.der)
        der[-60:-56] = number.to_bytes(4, "big")
        rows.append(f"('user{number}', x'{der.hex()}')")
    database.sql(f"INSERT INTO mapping(account, certificate) VALUES {', '.join(rows)};")


def settle(database, **options):
    return subprocess.Popen([str(CERTMAPD), "--settle", "--database", str(database.path)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def pending(database):
    return database.value("SELECT count(*) FROM pending")


def wait_until_settled(database):
    deadline = time.monotonic() + 5 * Daemon.PATIENCE
    while pending(database) > 0:
        assert time.monotonic() < deadline, "the queue is not worked off"
        time.sleep(0.02)


def children_faults(process):
    text = pathlib.Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    return int(text.rpartition(")")[2].split()[CHILDREN_FAULTS])


def wait_for_child(daemon):
    """Until a child has ended and was waited for."""
    deadline = time.monotonic() + Daemon.PATIENCE
    while children_faults(daemon.process) == 0:
        assert time.monotonic() < deadline, "no process of its own settled the queue"
        time.sleep(0.02)


def test_a_long_queue_is_settled_by_a_process_of_its_own_while_logins_go_on(
        database, daemon, alice, bob, carol):
    database.map(alice)
    assert daemon.reason(alice) == "allowed"
    insert_many(database, bob)
    while pending(database) > 0:
        assert daemon.reason(alice) == "allowed"
    wait_for_child(daemon)
    assert database.value("SELECT count(*) FROM fact WHERE problem IS NULL") == MANY + 1
    assert daemon.reason(carol) == "unmapped"
    # Somebody edits after it, and the next lookup knows.
    database.map(carol)
    assert daemon.reason(carol, "carol") == "allowed"


def test_a_miss_waits_for_the_queue_or_is_unavailable(database, daemon, bob, carol):
    insert_many(database, bob)
    reasons = {daemon.reason(carol) for _ in range(3)}
    assert reasons <= {"unmapped", "unavailable"}
    wait_until_settled(database)
    assert daemon.reason(carol) == "unmapped"


def test_settling_by_hand_ends_with_everything_in_force(database, bob):
    insert_many(database, bob)
    process = settle(database)
    output = process.communicate(timeout=5 * Daemon.PATIENCE)
    assert (process.returncode, output) == (0, (b"", b""))
    assert pending(database) == 0
    assert database.value("SELECT count(*) FROM mapping_status WHERE state = 'in force'") == MANY


def test_settling_waits_for_the_turn_of_a_shell(database, bob):
    insert_many(database, bob)
    with OpenShell(database) as shell:
        shell.type("BEGIN IMMEDIATE;")
        process = settle(database)
        time.sleep(0.3)
        assert process.poll() is None
        assert pending(database) == MANY
        shell.type("COMMIT;")
    process.communicate(timeout=5 * Daemon.PATIENCE)
    assert process.returncode == 0
    assert pending(database) == 0


def test_settling_without_a_database_fails(no_database):
    process = settle(no_database)
    process.communicate(timeout=Daemon.PATIENCE)
    assert process.returncode == 1
    assert not no_database.path.exists()
