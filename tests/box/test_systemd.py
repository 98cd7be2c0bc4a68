# SPDX-License-Identifier: LGPL-2.1-or-later
"""certmapd as it is installed, under a real systemd that booted for this: its units, its users, its
sandbox, and how it comes back."""
import re

import pytest

from boxed import DATABASE, TREE, installed, log_in

SOCKET = "/run/certmap/lookup"


def status_of_process(box):
    pid = box.show("certmapd.service", "MainPID")
    text = box.run("cat", f"/proc/{pid}/status")
    return pid, dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def stop_daemon(box):
    box.run("systemctl", "stop", "certmapd.service")


def complaints(box, mark):
    """The daemon's lines that are no verdict and no edit: what it says about itself. systemd 257 has
    a line of its own in the unit's name, while it prepares the start: that there is no key."""
    return [entry["MESSAGE"] for entry in box.since(mark, _SYSTEMD_UNIT="certmapd.service",
                                                    _COMM="certmapd")
            if "CERTMAP_REASON" not in entry and "CERTMAP_HISTORY" not in entry]


def test_units_have_nothing_to_complain_about(box):
    units = [installed(name) for name in ("certmapd.socket", "certmapd.service",
                                          "certmap-expiring.service", "certmap-expiring.timer")]
    assert box.run("systemd-analyze", "verify", *units) == ""


def test_socket_and_database_belong_to_whom_they_should(box):
    assert box.run("stat", "-c", "%F %U:%G %a", SOCKET).strip() == "socket root:certmap-clients 660"
    assert box.run("stat", "-c", "%U:%G %a", "/run/certmap").strip() == "root:root 755"
    assert box.run("stat", "-c", "%U:%G %a", "/var/lib/certmap").strip() == "certmap:certmap 700"
    assert box.run("stat", "-c", "%U %a", DATABASE).strip() == "certmap 600"


def test_first_lookup_starts_the_daemon_under_its_unit(box):
    stop_daemon(box)
    assert box.show("certmapd.service", "ActiveState") == "inactive"
    assert box.ask()["reason"] == "allowed"
    assert box.show("certmapd.service", "ActiveState") == "active"
    assert box.show("certmapd.service", "StatusText") != ""
    pid, status = status_of_process(box)
    uid = box.run("id", "-u", "certmap").strip()
    assert status["Uid"].split() == [uid] * 4
    assert status["NoNewPrivs"] == "1"
    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    # 2 is SECCOMP_MODE_FILTER, proc(5).
    assert status["Seccomp"] == "2"
    assert box.run("readlink", f"/proc/{pid}/ns/net") != box.run("readlink", "/proc/1/ns/net")
    assert re.search(r"Max core file size +0 +0 ", box.run("cat", f"/proc/{pid}/limits"))


def test_starting_the_service_by_hand_waits_for_ready(box):
    stop_daemon(box)
    box.run("systemctl", "start", "certmapd.service")
    # Type=notify: systemctl came back because the daemon said READY, not because it forked.
    assert box.show("certmapd.service", "Type") == "notify"
    assert box.show("certmapd.service", "SubState") == "running"
    assert box.ask()["reason"] == "allowed"


def test_verdict_has_journal_fields(box):
    mark = box.mark()
    reply = box.ask()
    [entry] = box.since(mark, CERTMAP_REASON="allowed")
    assert entry["_SYSTEMD_UNIT"] == "certmapd.service"
    assert entry["CERTMAP_SERVICE"] == "proftpd"
    assert entry["CERTMAP_ASKED"] == entry["CERTMAP_ACCOUNT"] == "alice"
    assert entry["CERTMAP_MAPPING"] == reply["mapping-id"]
    assert entry["CERTMAP_ID"] == reply["correlation-id"]
    der = "openssl x509 -in /root/clients/alice.pem -outform DER"
    fingerprint = box.sh(der + " | sha256sum").split()[0]
    assert entry["CERTMAP_FINGERPRINT"] == fingerprint == reply["fingerprint"]
    box.ask("bob", "bob")
    assert [e["CERTMAP_ASKED"] for e in box.since(mark, CERTMAP_REASON="unmapped")] == ["bob"]


def test_edit_is_logged_by_the_daemon_too(box):
    box.ask()
    mark = box.mark()
    box.sql("UPDATE mapping SET enabled = 0")
    assert box.ask()["reason"] == "mapping-disabled"
    history = box.sql("SELECT max(id) FROM history").strip()
    edits = [e for e in box.since(mark, _SYSTEMD_UNIT="certmapd.service") if "CERTMAP_HISTORY" in e]
    assert [e["CERTMAP_HISTORY"] for e in edits] == [history]


def test_peers_are_told_apart_by_their_real_uids(box):
    mark = box.mark()
    assert box.ask(user="www-data")["reason"] == "allowed"
    [entry] = box.since(mark, CERTMAP_REASON="allowed")
    assert entry["CERTMAP_PEER_UID"] == box.run("id", "-u", "www-data").strip()
    # connect(2) itself: the mode of the socket, before the daemon is asked anything.
    refused = box.ask(user="nobody")
    assert refused["reason"] == "unavailable"
    assert "Permission denied" in refused["error"]


def test_status_tells_how_many_were_answered(box):
    stop_daemon(box)
    box.ask()
    box.ask("bob", "bob")

    def counted():
        # The status follows within seconds, and a lookup is what makes it.
        box.ask("bob", "bob")
        status = box.show("certmapd.service", "StatusText")
        found = re.search(r"(\d+) lookups, (\d+) allowed", status)
        return found and int(found.group(1)) >= 2 and int(found.group(2)) == 1

    box.wait_for("the status", counted)


def test_stopping_the_service_keeps_the_socket(box):
    box.ask()
    stop_daemon(box)
    assert box.show("certmapd.socket", "ActiveState") == "active"
    box.run("test", "-S", SOCKET)
    assert box.ask()["reason"] == "allowed"


def test_stopping_the_socket_leaves_no_file_and_no_yes(box):
    box.run("systemctl", "stop", "certmapd.socket")
    try:
        assert box.show("certmapd.service", "ActiveState") == "inactive"
        assert box.call("test", "-e", SOCKET).returncode == 1
        assert box.ask()["reason"] == "unavailable"
    finally:
        box.run("systemctl", "start", "certmapd.socket")
    assert box.ask()["reason"] == "allowed"


def test_killed_daemon_comes_back_for_the_next_lookup_every_time(box):
    # More often, and faster, than systemd's default start limit (5 in 10 s) would forgive.
    for _ in range(12):
        assert box.ask()["reason"] == "allowed"
        box.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL",
                "certmapd.service")
    assert box.ask()["reason"] == "allowed"
    assert box.show("certmapd.socket", "ActiveState") == "active"


def missing(box):
    box.run("rm", DATABASE)


def foreign(box):
    box.run("rm", DATABASE)
    box.sql("CREATE TABLE mapping(id INTEGER PRIMARY KEY, account TEXT); PRAGMA user_version = 1")
    box.run("chown", "certmap:certmap", DATABASE)


def corrupt(box):
    box.sh(f"head -c 20000 /dev/urandom >{DATABASE}")


def unmigrated(box):
    box.sql("PRAGMA user_version = 0")


def newer(box):
    box.sql("PRAGMA user_version = 999")


def writable_by_others(box):
    box.run("chmod", "0666", DATABASE)


def somebody_elses(box):
    box.run("chown", "alice", DATABASE)


def symbolic_link(box):
    box.sh(f"cp -p {DATABASE} /var/lib/certmap/other.db; ln -sf other.db {DATABASE}")


DAMAGES = [missing, foreign, corrupt, unmigrated, newer, writable_by_others, somebody_elses,
           symbolic_link]


@pytest.mark.parametrize("first", ["running", "stopped"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_daemon_with_a_bad_database_stays_up_and_is_right_after_the_repair(box, damage, first):
    assert box.ask()["reason"] == "allowed"
    # In one file, without a log beside it; and a copy that the repair puts back.
    stop_daemon(box)
    box.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    box.run("cp", "-p", DATABASE, "/var/lib/certmap/saved")
    if first == "running":
        assert box.ask()["reason"] == "allowed"
    mark = box.mark()
    try:
        damage(box)
        for _ in range(3):
            assert box.ask()["reason"] == "unavailable"
        assert box.show("certmapd.service", "ActiveState") == "active"
        assert box.show("certmapd.socket", "ActiveState") == "active"
        said = complaints(box, mark)
        # Each cause once. Overwritten under an open handle, a file is first malformed and then
        # none.
        assert len(said) == len(set(said)), said
        assert len(said) == 1 or damage is corrupt, said
        assert all(DATABASE in line for line in said), said
        pid = box.show("certmapd.service", "MainPID")
    finally:
        box.sh(f"rm -f {DATABASE} {DATABASE}-wal {DATABASE}-shm /var/lib/certmap/other.db;"
               f" mv /var/lib/certmap/saved {DATABASE}")
    assert box.ask()["reason"] == "allowed"
    # The same process: nobody restarted anything.
    assert box.show("certmapd.service", "MainPID") == pid


def test_directory_that_others_can_write_is_unsafe(box):
    assert box.ask()["reason"] == "allowed"
    box.run("chmod", "0777", "/var/lib/certmap")
    try:
        assert box.ask()["reason"] == "unavailable"
    finally:
        box.run("chmod", "0700", "/var/lib/certmap")
    assert box.ask()["reason"] == "allowed"


def test_edits_by_root_in_a_shell_leave_files_that_the_daemon_can_read(box):
    # WAL and shared memory that root's shell makes anew, while the daemon is away.
    stop_daemon(box)
    box.run("rm", "-f", f"{DATABASE}-wal", f"{DATABASE}-shm")
    box.sh(f"umask 077; sqlite3 {DATABASE} \"UPDATE mapping SET note = 'by root'\"")
    assert box.ask()["reason"] == "allowed"


def test_bulk_load_is_read_by_a_process_of_its_own_in_the_sandbox(box):
    """4,000 copies of a certificate, as base64, that differ in the signature, which nobody verifies
    here."""
    assert box.ask()["reason"] == "allowed"
    pid, _ = status_of_process(box)
    mark = box.mark()
    box.sh("base64 -w 0 /root/clients/bob.cer >/root/bob.b64")
    box.sql("PRAGMA busy_timeout = 10000; INSERT INTO mapping(account, certificate)"
            " WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)"
            " SELECT 'user' || i, substr(t, 1, length(t) - 60) || i || substr(t, -56) FROM n,"
            " (SELECT CAST(readfile('/root/bob.b64') AS TEXT) AS t)")

    def is_settled():
        assert box.ask()["reason"] == "allowed"
        return box.sql("SELECT count(*) FROM pending").strip() == "0"

    box.wait_for("the queue to be worked off", is_settled)
    assert box.sql("SELECT count(*) FROM fact WHERE problem IS NULL").strip() == "4001"
    # Page faults of children that were waited for, proc(5).
    text = box.run("cat", f"/proc/{pid}/stat")
    assert int(text.rpartition(")")[2].split()[8]) > 0
    assert [line for line in complaints(box, mark) if "edits not shown" not in line] == []
    box.sql("PRAGMA busy_timeout = 10000; DELETE FROM mapping WHERE account LIKE 'user%'")


def test_login_through_the_installed_services(box, ftps):
    stop_daemon(box)
    mark = box.mark()
    done = log_in(box, "alice", "alice")
    assert done.stdout == "This is the home directory of alice.\n", done.stderr
    # The module and the daemon tell the same story, under one correlation id.
    verdict = box.since(mark, CERTMAP_REASON="allowed", CERTMAP_PHASE="authenticate")
    assert [entry["CERTMAP_ASKED"] for entry in verdict] == ["alice"]
    module = [entry["MESSAGE"] for entry in box.since(mark, _COMM="proftpd")
              if f"id={verdict[0]['CERTMAP_ID']}" in entry["MESSAGE"]]
    assert len(module) == 1 and "reason=allowed" in module[0]


def test_refusals_through_the_installed_services(box, ftps):
    mark = box.mark()
    assert log_in(box, "bob", "bob").returncode == 67
    assert log_in(box, "bob", "alice").returncode == 67
    box.sql("UPDATE mapping SET enabled = 0")
    assert log_in(box, "alice", "alice").returncode == 67
    verdicts = box.since(mark, _SYSTEMD_UNIT="certmapd.service")
    assert [entry["CERTMAP_REASON"] for entry in verdicts if "CERTMAP_REASON" in entry] == \
        ["unmapped", "account-mismatch", "mapping-disabled"]


def test_demo_lets_this_systemd_start_the_daemon(box):
    done = box.call(TREE / "tests/demo", timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "systemd listens (unit certmap-demo-" in done.stdout
    assert "All six logins ended as they should." in done.stdout
    assert "certmap-demo" not in box.run("systemctl", "list-units", "--all", "--no-pager")
