# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is left when the daemon, the shell or the tool is killed at any moment."""
import os
import random
import subprocess
import time

from faults import fault, scaled
from looping import Loops, Truth
from shell_stage import CERTMAPCTL

# What a killed lookup may hear: the daemon went away, or holds the place of one that did.
EXCUSED = ("none", "unavailable")
PATIENCE_SEC = 10.0

# A transaction that is written out before it commits.
LARGE = ("PRAGMA cache_size = 1; BEGIN IMMEDIATE; {edit} CREATE TABLE spill AS SELECT"
         " randomblob(4000) AS b FROM generate_series(1, 200); DROP TABLE spill; COMMIT;")
EDITS = {
    True: "INSERT INTO mapping(account, certificate) VALUES('bob', readfile('bob.cer'));",
    False: "DELETE FROM mapping WHERE account = 'bob';",
}


def is_mapped(database):
    return database.value("SELECT count(*) FROM mapping WHERE account = 'bob'") == 1


def shell_command(database, wanted, template):
    return [*database.shell(), template.format(edit=EDITS[wanted])]


def tool_command(database, wanted):
    if wanted:
        return [CERTMAPCTL, "add", "--no-uid", "bob", "bob.pem", "--database", database.path]
    mapping = database.value("SELECT id FROM mapping WHERE account = 'bob'")
    return [CERTMAPCTL, "remove", str(mapping), "--yes", "--database", database.path]


def edit_command(chance, database, wanted):
    return chance.choice((
        lambda: shell_command(database, wanted, "{edit}"),
        lambda: shell_command(database, wanted, LARGE),
        lambda: tool_command(database, wanted),
    ))()


class Round:
    """One edit, during which some of those who take part are killed."""

    def __init__(self, chance, database, daemon, in_limbo):
        self.in_limbo = in_limbo
        self.before = is_mapped(database)
        self.command = edit_command(chance, database, not self.before)
        self.victims = chance.choice((("editor",), ("daemon",), ("editor", "daemon")))
        self.delay = chance.uniform(0, chance.choice((0.002, 0.008, 0.03)))
        self.database, self.daemon = database, daemon

    def play(self):
        self.begun = time.monotonic()
        editor = subprocess.Popen([str(word) for word in self.command], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  cwd=self.database.standing, env=self.database.environment)
        time.sleep(self.delay)
        if "editor" in self.victims:
            editor.kill()
        if "daemon" in self.victims and self.daemon.is_running:
            self.daemon.process.kill()
        said = editor.communicate(timeout=300)[1]
        self.status = editor.returncode
        self.after = is_mapped(self.database)
        self.ended = time.monotonic()
        # Killed between its last frame in the -wal file and the note of it in the -shm file, an edit
        # is seen by nobody until all have left the database: whoever comes then finds it there.
        came_to_light = self.in_limbo and self.status == 1 and self.after != self.before
        assert self.status in (0, -9) or came_to_light, (
            self.command, self.victims, self.delay, self.status, said)

    def note(self, truth):
        if self.after != self.before:
            truth.begins.append(self.begun)
            truth.reasons.append("allowed" if self.after else "unmapped")
            truth.ends.append(self.ended)


@fault("B14", slow=True)
def test_whoever_is_killed_the_edit_is_there_or_not_and_the_next_lookup_is_right(
        activated, given_away, alice, bob, figure):
    rounds, seed = scaled(100, 200), int.from_bytes(os.urandom(4), "big")
    chance, truth = random.Random(seed), Truth("unmapped")
    count, in_limbo = {"editor": 0, "daemon": 0, "undone": 0}, False
    targets = [(alice.path, "alice"), (bob.path, "bob")]
    with Loops(activated.socket, targets, clients=2, pause_msec=2, patience=PATIENCE_SEC) as loops:
        for number in range(rounds):
            this = Round(chance, given_away, activated, in_limbo)
            this.play()
            this.note(truth)
            where = (seed, number, this.command, this.victims, this.delay)
            if this.status == 0:
                assert this.after != this.before, where
            assert given_away.value("PRAGMA integrity_check") == "ok", where
            assert activated.reason(alice) == "allowed", where
            assert activated.reason(bob, "bob") == ("allowed" if this.after else "unmapped"), where
            undone = this.after == this.before
            in_limbo = undone and (in_limbo or this.status == -9)
            count["editor"] += this.status == -9
            count["daemon"] += "daemon" in this.victims
            count["undone"] += undone
    wrong = [answer for answer in loops.answers if answer.reason not in EXCUSED
             and not (answer.reason == "allowed" if answer.account == "alice"
                      else truth.is_right(answer))]
    assert wrong == [], seed
    # Each that took force is in the history, and nothing else is.
    changes = given_away.value("SELECT count(*) FROM history WHERE object = 'mapping'")
    assert changes == 1 + rounds - count["undone"], seed
    figure(f"{rounds} rounds (seed {seed}): {count['editor']} killed editors, {count['daemon']} "
           f"killed daemons, {activated.starts} starts, {count['undone']} edits undone, "
           f"{len(loops.answers)} answers beside, 0 wrong")
