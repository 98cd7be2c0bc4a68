#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""stateful.py owns the long story: random edits by the stock sqlite3 shell, lookups, restarts and
kill -9 of daemon and shell, against a simple model of what must be answered.

    tests/fuzz/stateful.py [--seconds N] [--seed N]

The model is a dictionary of rows and the rules of the schema's comments; it shares nothing with the
daemon. It foretells every answer, every refused edit, and which mappings wait for their facts, and
at each restart the database is compared with it, row by row. A failure prints the seed and the last
steps. The same seed tells the same story, except that whether an edit was committed before its
shell was killed is the machine's to say: the model takes either, and goes on with what there is.
"""
import argparse
import copy
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "shell"))
from shell_stage import Daemon, Database, OpenShell, Pki, Refused  # noqa: E402

SCOPES = ("*", "proftpd", "sshd")
SERVICES = ("proftpd", "sshd", "imap")  # imap has no mapping and no policy of its own
ACCOUNTS = ("alice", "bob", "carol")
NAMES = ("c0", "c1", "c2", "c3", "old")
FORMS = ("cer", "pem", "b64")
DAY = 24 * 3600
LAST_STEPS = 25
# A kill comes at a random moment of what a shell does from its start to its end.
SHELL_SECONDS = 0.012


class Impossible(Exception):
    """The schema must refuse it."""


class Model:
    """What is in the database. `facts` are (certificate, service, is_problem) of rows that were
    read; a row in `pending` was not since it was changed."""

    def __init__(self):
        self.rows, self.facts, self.pending, self.next_id = {}, {}, set(), 1
        self.services = {"*": {"enabled": 1, "inherit": 1, "certificates_per_account": 1}}

    def policy(self, service, column):
        value = self.services.get(service, {}).get(column)
        return self.services["*"][column] if value is None else value

    # Edits --------------------------------------------------------------------------------------

    def check_row(self, row, own_id, old_replaces):
        others = {number: other for number, other in self.rows.items() if number != own_id}
        for other in others.values():
            if (other["name"], other["form"], other["service"]) == (
                    row["name"], row["form"], row["service"]):
                raise Impossible("the same bytes twice")
        if row["enabled"]:
            rivals = [other for other in others.values() if other["enabled"] and
                      (other["service"], other["account"]) == (row["service"], row["account"])]
            if len(rivals) >= self.policy(row["service"], "certificates_per_account"):
                raise Impossible("too many certificates of an account")
        if row["replaces"] is not None and row["replaces"] != old_replaces:
            before = others.get(row["replaces"])
            if row["enabled"] or not before or (before["service"], before["account"]) != (
                    row["service"], row["account"]):
                raise Impossible("replaces what it can't")

    def release(self, number):
        if number in self.facts:
            name = self.facts[number][0]
            self.pending |= {other for other, (its_name, _, is_problem) in self.facts.items()
                             if is_problem and other != number and its_name == name}
            del self.facts[number]
        self.pending.discard(number)

    def insert(self, row):
        self.check_row(row, None, None)
        self.rows[self.next_id] = row
        self.pending.add(self.next_id)
        self.next_id += 1

    def update(self, number, **columns):
        if number not in self.rows:
            return
        old, new = self.rows[number], {**self.rows[number], **columns}
        if (new["valid_until"] or 2**40) < (new["valid_from"] or 0):
            raise Impossible("ends before it begins")
        self.check_row(new, number, old["replaces"])
        # A staging is used up when it takes force.
        if new["enabled"]:
            new["replaces"] = None
        self.rows[number] = new
        if any(old[column] != new[column] for column in ("name", "form", "service")):
            self.release(number)
            self.pending.add(number)
        elif number in self.facts and self.facts[number][2]:
            self.pending.add(number)

    def delete(self, number):
        if self.rows.pop(number, None):
            self.release(number)

    def set_policy(self, service, columns):
        """None for the columns: the row goes."""
        if columns is None:
            self.services.pop(service, None)
        else:
            self.services[service] = columns
        for row in self.rows.values():
            fellows = [other for other in self.rows.values() if other["enabled"] and
                       (other["service"], other["account"]) == (row["service"], row["account"])]
            if len(fellows) > self.policy(row["service"], "certificates_per_account"):
                raise Impossible("an account has more than that already")

    # Answers ------------------------------------------------------------------------------------

    def settle(self, numbers):
        """Reads the certificates of these rows, lowest first: of two in one scope, the one that was
        there stays."""
        for number in sorted(numbers):
            row = self.rows[number]
            key = (row["name"], row["service"])
            is_duplicate = any((fact[0], fact[1]) == key and not fact[2]
                               for other, fact in self.facts.items() if other != number)
            self.facts[number] = (*key, is_duplicate)
            self.pending.discard(number)

    def find(self, name, service):
        """The one row that a certificate stands for in a service, or None."""
        in_force = {fact[1]: number for number, fact in self.facts.items()
                    if fact[0] == name and not fact[2]}
        if service in in_force:
            return in_force[service]
        number = in_force.get("*")
        if number is None or not self.policy(service, "inherit"):
            return None
        account = self.rows[number]["account"]
        hides = any((row["service"], row["account"]) == (service, account)
                    for row in self.rows.values())
        return None if hides else number

    def answer(self, name, service, user, may_stage, now):
        """(reason, id of the mapping, whether a renewal takes force)."""
        if not self.policy(service, "enabled"):
            return "service-disabled", None, False
        number = self.find(name, service)
        if number is None:
            return "unmapped", None, False
        row = self.rows[number]
        before = self.rows.get(row["replaces"])
        # By then it may be somebody else's.
        stages = not row["enabled"] and may_stage and row["replaces"] is not None and (
            before is None or (before["enabled"], before["service"], before["account"]) ==
            (1, row["service"], row["account"]))
        if not row["enabled"] and not stages:
            return "mapping-disabled", number, False
        if now < (row["valid_from"] or 0):
            return "mapping-not-yet-valid", number, False
        if now > (row["valid_until"] or 2**40):
            return "mapping-expired", number, False
        if name == "old":
            return "certificate-expired", number, False
        if row["account"] != user:
            return "account-mismatch", number, False
        return "allowed", number, stages

    def take_over(self, number):
        """False: the account has too many certificates by now."""
        after = copy.deepcopy(self)
        before = after.rows.get(after.rows[number]["replaces"])
        if before:
            before["enabled"] = 0
        try:
            after.update(number, enabled=1)
        except Impossible:
            return False
        self.__dict__ = after.__dict__
        return True


def literal(value):
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def certificate_of(row):
    return f"readfile('{row['name']}.{row['form']}')"


class Story:
    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.pki = Pki(directory / "pki")
        self.certificates = {name: self.pki.leaf(name, start=-2 * DAY, end=-DAY)
                             if name == "old" else self.pki.leaf(name) for name in NAMES}
        self.database = Database(directory / "database", self.pki.directory)
        self.database.migrate()
        self.database.path.chmod(0o600)
        self.daemon = Daemon(directory / "run", self.database.path).start()
        self.model = Model()
        self.began_sec = int(time.time())  # no step draws another number when it is drawn again
        self.drawn = []  # what the statements that were drawn last do to a model
        self.limbo = []  # the same of shells that were killed, while nothing was written since
        self.steps, self.counts = [], {}

    def note(self, text):
        self.steps.append(text)
        word = text.split()[0]
        self.counts[word] = self.counts.get(word, 0) + 1

    # Edits --------------------------------------------------------------------------------------

    def choose_row(self):
        """Nearly always one that is there."""
        numbers = sorted(self.model.rows) or [1]
        return self.random.choice(numbers + [self.model.next_id])

    def draw_row(self):
        row = {"service": self.random.choice(SCOPES), "account": self.random.choice(ACCOUNTS),
               "name": self.random.choice(NAMES), "form": self.random.choice(FORMS),
               "enabled": self.random.choice((1, 1, 1, 0)), "replaces": None,
               "valid_from": None, "valid_until": None}
        if self.random.random() < 0.25 and self.model.rows:
            before = self.model.rows[self.random.choice(sorted(self.model.rows))]
            number = [key for key, value in self.model.rows.items() if value is before][0]
            row.update(service=before["service"], account=before["account"], enabled=0,
                       replaces=number)
        return row

    def draw_insert(self):
        row = self.draw_row()
        columns = ("service", "account", "enabled", "replaces")
        return (f"INSERT INTO mapping({', '.join(columns)}, certificate) VALUES("
                f"{', '.join(literal(row[column]) for column in columns)}, "
                f"{certificate_of(row)})", lambda model: model.insert(row))

    def draw_update(self):
        number, row, now = self.choose_row(), self.draw_row(), self.began_sec
        change = self.random.choice((
            {"enabled": 0}, {"enabled": 1}, {"account": row["account"]},
            {"service": row["service"]}, {"name": row["name"], "form": row["form"]},
            {"valid_from": None, "valid_until": None}, {"valid_from": now + DAY},
            {"valid_until": now - DAY}))
        columns = {**change, "certificate": None}
        for column in ("name", "form"):
            columns.pop(column, None)
        words = [f"{column} = {literal(value)}" for column, value in columns.items()
                 if column != "certificate"]
        if "name" in change:
            words.append(f"certificate = {certificate_of(row)}")
        return (f"UPDATE mapping SET {', '.join(words)} WHERE id = {number}",
                lambda model: model.update(number, **change))

    def draw_delete(self):
        number = self.choose_row()
        return f"DELETE FROM mapping WHERE id = {number}", lambda model: model.delete(number)

    def draw_policy(self):
        name = self.random.choice(SCOPES)
        spare = () if name == "*" else (None,)
        columns = {"enabled": self.random.choice((1, 1, 1, 0, *spare)),
                   "inherit": self.random.choice((1, 1, 0, *spare)),
                   "certificates_per_account": self.random.choice((1, 2, *spare))}
        if name != "*" and name in self.model.services and self.random.random() < 0.4:
            return (f"DELETE FROM service WHERE name = '{name}'",
                    lambda model: model.set_policy(name, None))
        if name in self.model.services:
            words = ", ".join(f"{key} = {literal(value)}" for key, value in columns.items())
            # The statement before may have deleted it.
            return (f"UPDATE service SET {words} WHERE name = '{name}'",
                    lambda model: name in model.services and model.set_policy(name, columns))
        return (f"INSERT INTO service(name, {', '.join(columns)}) VALUES('{name}', "
                f"{', '.join(map(literal, columns.values()))})",
                lambda model: model.set_policy(name, columns))

    def draw_edits(self):
        """Statements, and the model as they would leave it; None where they are refused."""
        kinds = self.random.choices(
            (self.draw_insert, self.draw_update, self.draw_delete, self.draw_policy),
            (5, 6, 3, 1), k=self.random.choice((1, 1, 1, 2)))
        drawn = [draw() for draw in kinds]
        if len({statement.split()[2] for statement, _ in drawn}) < len(drawn):
            drawn = drawn[:1]
        self.drawn = [apply for _, apply in drawn]
        return [statement for statement, _ in drawn], self.after(self.drawn)

    def after(self, edits):
        """The model as they would leave it; None where they are refused."""
        model = copy.deepcopy(self.model)
        try:
            for apply in edits:
                apply(model)
        except Impossible:
            return None
        return model

    def take_pending(self, observed):
        """What the daemon has read since the last look, it has read in the order of the ids."""
        for number in observed - self.model.pending:
            assert self.model.facts[number][2], f"mapping {number} waits, and nobody knows why"
        self.model.settle(self.model.pending - observed)
        self.model.pending = observed

    def look_and_edit(self, statements):
        """Runs them in one transaction, after a look at what waits; what waited and what waits."""
        look = "SELECT '-'; SELECT mapping_id FROM pending;"
        printed = self.database.sql(".timeout 10000\nBEGIN IMMEDIATE;" + look +
                                    ";".join(statements) + ";" + look + "COMMIT;")
        _, before, after = printed.split("-\n")
        return {int(word) for word in before.split()}, {int(word) for word in after.split()}

    def observe_pending(self):
        before, _ = self.look_and_edit([])
        self.take_pending(before)

    def edit(self):
        # What waits decides what an edit does to the facts: looked at first, then foretold. The
        # daemon reads on between the two, so that the second look is what counts.
        state = self.random.getstate()
        statements, after = self.draw_edits()
        self.note(f"edit {'; '.join(statements)}{'' if after else ' (to be refused)'}")
        try:
            waited, waits = self.look_and_edit(statements)
        except Refused as refused:
            assert after is None, f"refused: {refused}"
            return
        assert after is not None, "not refused"
        self.take_pending(waited)
        self.random.setstate(state)
        _, after = self.draw_edits()
        self.go_on_with(after)
        assert waits == self.model.pending, f"{waits} wait, not {self.model.pending}"

    def edit_and_kill(self):
        """A shell that is killed at a random moment: before or after, nothing between."""
        self.observe_pending()
        statements, after = self.draw_edits()
        self.note(f"kill-shell in: {'; '.join(statements)}")
        with subprocess.Popen(self.database.shell(), cwd=self.database.standing,
                              env=self.database.environment, stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as shell:
            shell.stdin.write((".timeout 10000\nBEGIN IMMEDIATE;" + ";".join(statements) +
                               ";COMMIT;\n").encode())
            shell.stdin.flush()
            time.sleep(self.random.random() * SHELL_SECONDS)
            shell.kill()
        if after and self.is_like(after):
            self.go_on_with(after)
        else:
            self.limbo.append(self.drawn)
        self.compare()
        self.observe_pending()

    def take_from_limbo(self):
        """A shell that is killed when its commit stands in the -wal file, but not yet in its index,
        was not told that it was done, and nobody sees it. Where nothing is written until the last
        program that has the database open ends without closing it, the next one finds it there."""
        late = (self.after(edits) for edits in self.limbo)
        self.model = next((model for model in late if model and self.is_like(model)), self.model)
        self.limbo = []

    def go_on_with(self, model):
        """An edit was committed. One that changes nothing, of a row that is not there, writes
        nothing either, and what is in limbo stays there."""
        if (model.rows, model.services, model.next_id) != (
                self.model.rows, self.model.services, self.model.next_id):
            self.limbo = []
        self.model = model

    def is_like(self, model):
        # A row that came and went in one edit is told by the next id alone.
        given = self.database.rows("SELECT seq FROM sqlite_sequence WHERE name = 'mapping'")
        return (self.read_rows() == self.expected_rows(model) and
                self.read_services() == model.services and
                sum(row["seq"] for row in given) + 1 == model.next_id)

    def hold_and_leave(self):
        """A shell with an open transaction: what it did is not there for anybody, and while it
        holds the lock every answer is as before, but for a renewal that can't be written."""
        self.observe_pending()
        statements, after = self.draw_edits()
        end = self.random.choice(("COMMIT", "ROLLBACK", "kill"))
        self.note(f"hold {'; '.join(statements)}, then {end}")
        shell = OpenShell(self.database)
        try:
            # Nothing of its statements stays where one is refused.
            printed = shell.type("BEGIN IMMEDIATE;\nSAVEPOINT all_of_them;\n" +
                                 "".join(f"{statement};\n" for statement in statements))
            assert ("rror" in printed) == (after is None), printed
            for _ in range(self.random.randrange(3)):
                self.look_up(is_locked=True)
            if end != "kill":
                if after is None:
                    shell.type("ROLLBACK TO all_of_them;")
                printed = shell.type(f"{end};")
                assert printed == "", printed
        finally:
            shell.kill() if end == "kill" else shell.close()
        if end == "COMMIT" and after is not None:
            self.go_on_with(after)

    # Lookups ------------------------------------------------------------------------------------

    def look_up(self, is_locked=False):
        if not self.daemon.is_running:
            return
        name, service = self.random.choice(NAMES), self.random.choice(SERVICES)
        user, kind = self.random.choice(ACCOUNTS), self.random.choice(("certificate", "fingerprint"))
        phase = "account" if kind == "fingerprint" and self.random.random() < 0.5 else "authenticate"
        certificate = self.certificates[name]
        evidence = certificate.pem if kind == "certificate" else certificate.fingerprint
        self.note(f"look up {name} as {user} for {service} ({kind}, {phase})")

        settled = copy.deepcopy(self.model)
        settled.settle(set(settled.pending))
        reason, number, stages = settled.answer(
            name, service, user, kind == "certificate", time.time())
        if stages and is_locked:
            reason = "unavailable"
        elif stages:
            reason = self.renew(settled, number)
        reply = self.daemon.ask(evidence, user, service, timeout=30, kind=kind, phase=phase)
        assert reply["reason"] == reason, f"{reply['reason']}, not {reason} (mapping {number})"
        if reason == "allowed":
            assert (reply["account"], reply["mapping-id"]) == (user, number), reply

    def renew(self, settled, number):
        """A renewal takes force once the facts are settled: then the model is as settled."""
        if not settled.take_over(number):
            return "mapping-disabled"
        self.note(f"renewal {number} takes force")
        # The daemon may have read some of what waits, or all; the next look tells.
        for key, row in settled.rows.items():
            self.model.rows[key] = row
        return "allowed"

    # Lives --------------------------------------------------------------------------------------

    def restart(self):
        how = self.random.choice(("stop", "kill", "kill"))
        self.note(f"restart after {how}")
        if self.daemon.is_running:
            self.daemon.stop() if how == "stop" else self.daemon.kill()
        self.take_from_limbo()
        self.compare()
        for _ in range(self.random.randrange(3)):
            self.edit()
        if os.path.exists(self.daemon.socket):
            os.unlink(self.daemon.socket)
        self.daemon.start()

    def read_rows(self):
        return {row["id"]: (row["service"], row["account"], row["enabled"], row["replaces"],
                            row["valid_from"], row["valid_until"], row["hex"])
                for row in self.database.rows(
                    "SELECT id, service, account, enabled, replaces, valid_from, valid_until, "
                    "hex(substr(certificate, 1, 400)) AS hex FROM mapping")}

    def read_services(self):
        return {row.pop("name"): row for row in self.database.rows(
            "SELECT name, enabled, inherit, certificates_per_account FROM service")}

    def expected_rows(self, model):
        def start_of(row):
            path = self.pki.directory / f"{row['name']}.{row['form']}"
            return path.read_bytes()[:400].hex().upper()

        return {number: (row["service"], row["account"], row["enabled"], row["replaces"],
                         row["valid_from"], row["valid_until"], start_of(row)) for number, row in model.rows.items()}

    def compare(self):
        """Nothing that was committed is lost, and nothing else is there."""
        for is_there, expected in ((self.read_rows(), self.expected_rows(self.model)),
                                   (self.read_services(), self.model.services)):
            for key in is_there.keys() | expected.keys():
                assert is_there.get(key) == expected.get(key), (
                    f"{key} is {is_there.get(key)}, not {expected.get(key)}")
        integrity = self.database.value("PRAGMA integrity_check")
        assert integrity == "ok", integrity

    def step(self):
        self.random.choices((self.look_up, self.edit, self.hold_and_leave, self.edit_and_kill,
                             self.restart), (60, 30, 4, 4, 2))[0]()

    def end(self):
        if self.daemon.is_running:
            self.daemon.stop()
        self.take_from_limbo()
        self.compare()


def run(seconds, seed, say=print, steps_min=0):
    """Tells a story of so many seconds, and of so many steps at least; raises AssertionError with the
    seed and the last steps."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-story-", dir="/tmp"))
    directory.chmod(0o755)
    for name, mode in (("pki", 0o700), ("database", 0o700), ("run", 0o755)):
        (directory / name).mkdir(mode=mode)
    story = Story(directory, seed)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(story.steps) < steps_min:
            story.step()
        story.end()
    except Exception as problem:
        steps = "\n".join(story.steps[-LAST_STEPS:])
        raise AssertionError(f"{type(problem).__name__}: {problem}\nseed {seed}, step "
                             f"{len(story.steps)}; the last of them:\n{steps}") from problem
    finally:
        if story.daemon.is_running:
            story.daemon.kill()
        shutil.rmtree(directory)
    say(f"seed {seed}: {len(story.steps)} steps: " + ", ".join(
        f"{count} {word}" for word, count in sorted(story.counts.items())))
    return story


def main():
    parser = argparse.ArgumentParser(description="A random life of a certmap database.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    run(options.seconds, options.seed)


if __name__ == "__main__":
    main()
