# SPDX-License-Identifier: LGPL-2.1-or-later
"""What many clients get beside steady edits, and what that takes of the daemon."""
import time

from activated import is_sanitized, resident_bytes, wait_for
from faults import fault, scaled
from looping import Loops, Truth, percentile
from shell_stage import OpenShell

EDITS_PER_SEC = 50
PATIENCE_SEC = 10.0
# What SQLite, OpenSSL and the allocator may still take after they were warmed up.
GROWTH_BYTES = 2 << 20

STATES = [
    ("INSERT INTO mapping(account, certificate) VALUES('bob', readfile('bob.cer'));", "allowed"),
    ("UPDATE mapping SET enabled = 0 WHERE account = 'bob';", "mapping-disabled"),
    ("UPDATE mapping SET enabled = 1 WHERE account = 'bob';", "allowed"),
    ("DELETE FROM mapping WHERE account = 'bob';", "unmapped"),
]


@fault("B19", slow=True)
def test_many_clients_beside_edits_hear_nothing_wrong_and_the_daemon_stays_as_it_is(
        activated, given_away, alice, bob, figure):
    seconds = scaled(10, 60)
    truth = Truth("unmapped")
    targets = [(alice.path, "alice"), (bob.path, "bob")]
    edits, samples = 0, []
    with OpenShell(given_away) as shell:
        with Loops(activated.socket, targets, clients=32, patience=PATIENCE_SEC) as loops:
            begun = time.monotonic()
            while (now := time.monotonic()) < begun + seconds:
                statement, reason = STATES[edits % len(STATES)]
                with truth.changes(reason):
                    assert shell.type(statement) == ""
                edits += 1
                if now > begun + seconds / 5:
                    samples.append((resident_bytes(activated.process.pid),
                                    activated.descriptors()))
                time.sleep(max(0, begun + edits / EDITS_PER_SEC - time.monotonic()))
    wrong = [answer for answer in loops.answers
             if not (answer.reason == "allowed" if answer.account == "alice"
                     else truth.is_right(answer))]
    assert wrong == []
    assert activated.starts == 1
    resident, descriptors = zip(*samples)
    assert is_sanitized() or max(resident) - resident[0] < GROWTH_BYTES
    # The 32, and what it has open itself.
    assert max(descriptors) < 32 + 20
    idle = activated.descriptors
    wait_for("the descriptors", lambda: idle() < 20)
    assert given_away.value("PRAGMA integrity_check") == "ok"
    figure(f"{seconds} s: {len(loops.answers)} answers ({len(loops.answers) / seconds:.0f}/s), "
           f"{edits} edits ({edits / seconds:.0f}/s), 0 wrong, p99 "
           f"{percentile(loops.answers, 0.99) * 1000:.0f} ms; resident "
           f"{resident[0] >> 10} to {max(resident) >> 10} KiB, descriptors at most "
           f"{max(descriptors)}, then {idle()}")
