# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happens to the units, under a real systemd that booted for this, while clients loop."""
import subprocess
import time

from faults import fault, scaled
from looping import MODULE_SEC, Loops, percentile

SOCKET = "/run/certmap/lookup"
UNIT = "certmapd.service"
SLACK_SEC = 5.0
PATIENCE_SEC = 10.0

# connect(2) and close(2), as fast as one process can or as the seconds allow.
FLOOD = """
import socket, sys, time
count, seconds, begun = int(sys.argv[1]), float(sys.argv[2]), time.monotonic()
for number in range(count):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("/run/certmap/lookup")
    time.sleep(max(0, begun + seconds * number / count - time.monotonic()))
print(time.monotonic() - begun)
"""


def loops_in(box, **options):
    return Loops(SOCKET, [("/root/clients/alice.pem", "alice")], prefix=box.prefix(), **options)


def assert_units_live(box):
    assert box.show("certmapd.socket", "ActiveState") == "active"
    assert box.show("certmapd.socket", "Result") == "success"
    assert box.ask()["reason"] == "allowed"


def restarts(box):
    return int(box.show(UNIT, "NRestarts"))


def main_pid(box):
    return int(box.show(UNIT, "MainPID"))


@fault("D07", slow=True)
def test_a_flood_of_connections_leaves_the_socket_unit_alive(box, figure):
    assert box.ask()["reason"] == "allowed"
    before = main_pid(box)
    with loops_in(box, pause_msec=5, patience=PATIENCE_SEC) as loops:
        seconds = float(box.run("python3", "-c", FLOOD, 5000, 5))
    assert set(loops.count()) == {"allowed"}, loops.count()
    assert main_pid(box) == before
    assert_units_live(box)
    figure(f"5000 connects in {seconds:.1f} s: {len(loops.answers)} good answers, p99 "
           f"{percentile(loops.answers, 0.99) * 1000:.1f} ms, slowest "
           f"{loops.slowest() * 1000:.0f} ms, no restart")


@fault("D07", slow=True)
def test_a_flood_at_a_stopped_daemon_starts_it_once(box, figure):
    """Each connection would trigger a start: TriggerLimit of systemd.socket(5)."""
    box.run("systemctl", "stop", UNIT)
    flood = subprocess.Popen([*box.prefix(), "python3", "-c", FLOOD, "1000", "1"],
                             stdout=subprocess.DEVNULL)
    assert flood.wait(300) == 0
    assert_units_live(box)
    figure("1000 connects at a stopped daemon: socket active")


# sd-messages.h
UNIT_STARTED = "39f53479d3a045ac8e11786248231fbf"
UNIT_STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
UNIT_SUCCESS = "7ad2d189f7e94e70a38c781354912448"


def longest_absence(box, mark):
    """How long there was no daemon, by the service manager's own words, in seconds."""
    longest, gone = 0.0, None
    for entry in box.since(mark, UNIT=UNIT):
        now = int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
        message = entry.get("MESSAGE_ID")
        if message == UNIT_STARTED:
            longest, gone = max(longest, now - (gone or now)), None
        elif message in (UNIT_STOPPING, UNIT_SUCCESS):
            gone = gone or now
    return longest


@fault("D18", slow=True)
def test_restarts_under_load_lose_no_answer(box, figure):
    """Those who are connected are answered first; the others wait in the socket's queue for the
    next start. A restart that comes while one is under way begins it anew: on a machine that takes
    seconds for one, a lookup here waits for two."""
    rounds = scaled(5, 30)
    assert box.ask()["reason"] == "allowed"
    mark = box.mark()
    with loops_in(box, patience=60) as loops:
        for number in range(rounds):
            time.sleep(0.2)
            box.run("systemctl", *(["restart", UNIT] if number % 2 else
                                   ["kill", "--kill-whom=main", "--signal=TERM", UNIT]))
    assert set(loops.count()) == {"allowed"}, loops.count()
    assert_units_live(box)
    absence = longest_absence(box, mark)
    # What a lookup waits for is the service manager, and nothing of ours.
    assert 0 < absence and loops.slowest() < absence + SLACK_SEC
    figure(f"{rounds} restarts: {len(loops.answers)} answers, none lost, slowest "
           f"{loops.slowest() * 1000:.0f} ms, of {absence * 1000:.0f} ms without a daemon")


@fault("D20", slow=True)
def test_a_daemon_that_is_killed_as_fast_as_it_comes_back_leaves_the_units_alive(box, figure):
    kills = scaled(30, 100)
    with loops_in(box) as loops:
        killed, pid = 0, 0
        end = time.monotonic() + 10 * kills
        while killed < kills and time.monotonic() < end:
            now = main_pid(box)
            if now not in (0, pid):
                box.call("kill", "-KILL", str(now))
                pid, killed = now, killed + 1
    assert killed == kills
    assert set(loops.count()) <= {"allowed", "none"}, loops.count()
    assert loops.slowest() < MODULE_SEC + SLACK_SEC
    assert_units_live(box)
    figure(f"{kills} kills: {loops.count()['allowed']} right, {loops.count()['none']} without an "
           f"answer, 0 wrong, slowest {loops.slowest() * 1000:.0f} ms; both units alive")


@fault("D21", slow=True)
def test_a_journal_that_hangs_does_not_hang_logins(box, figure):
    """A log that can't be written must not stop who is let in, and who is not."""
    assert box.ask()["reason"] == "allowed"
    mark = box.mark()
    journal = box.show("systemd-journald.service", "MainPID")
    box.run("kill", "-STOP", journal)
    try:
        with loops_in(box, clients=4, patience=PATIENCE_SEC) as loops:
            time.sleep(scaled(4, 20))
        answer = box.ask()
    finally:
        box.run("kill", "-CONT", journal)
    assert answer["reason"] == "allowed"
    assert set(loops.count()) == {"allowed"}, loops.count()

    def lost():
        box.ask()
        told = [entry for entry in box.since(mark, _SYSTEMD_UNIT=UNIT) if "CERTMAP_COUNT" in entry]
        return sum(int(entry["CERTMAP_COUNT"]) for entry in told)

    box.wait_for("the count of the lines that are missing", lost)
    figure(f"{len(loops.answers)} answers while journald was stopped, slowest "
           f"{loops.slowest() * 1000:.0f} ms; {lost()} lines lost, as the log says")
