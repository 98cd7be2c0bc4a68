#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""looping.py owns lookup clients that ask again and again while something happens, and the
judgement of their answers.

    looping.py --socket PATH --clients N [--pause-msec N] [--patience SECONDS] FILE=ACCOUNT ...

asks until its standard input ends, each client with one of the certificates, and prints what came:
a line of JSON for each client, [[ACCOUNT, BEGIN, END, REASON], ...], times on CLOCK_MONOTONIC,
which all processes share. What is no usable answer has the reason "none"; an `allowed` that names
somebody else has the reason "WRONG".
"""
import argparse
import bisect
import collections
import json
import mmap
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "shell"))
import certmap_client  # noqa: E402

# The module's own deadline, pam_certmap(8).
MODULE_SEC = 2.0


class Answer(collections.namedtuple("Answer", "account begin end reason")):
    """What one lookup came to."""

    @property
    def seconds(self):
        return self.end - self.begin


def ask(socket, evidence, account, patience):
    request = {"service": "proftpd", "user": account, "evidence": evidence}
    try:
        reply = certmap_client.ask(socket, request, patience)
    except certmap_client.Unusable:
        return "none"
    if reply["reason"] == "allowed" and reply["account"] != account:
        return "WRONG"
    return reply["reason"]


def loop(options, evidence, account, stop):
    answers = []
    while not stop[0]:
        begin = time.monotonic()
        reason = ask(options.socket, evidence, account, options.patience)
        answers.append((account, begin, time.monotonic(), reason))
        time.sleep(options.pause_msec / 1000)
    return answers


def fork_client(options, evidence, account, stop):
    """The pipe on which a client of its own process tells its answers at the end."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            json.dump(loop(options, evidence, account, stop), pipe)
        os._exit(0)
    os.close(writing)
    return os.fdopen(reading)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--pause-msec", type=float, default=0)
    parser.add_argument("--patience", type=float, default=MODULE_SEC)
    parser.add_argument("targets", nargs="+")
    options = parser.parse_args()
    targets = [target.split("=", 1) for target in options.targets]
    stop = mmap.mmap(-1, 1)
    pipes = []
    for number in range(options.clients):
        path, account = targets[number % len(targets)]
        evidence = pathlib.Path(path).read_text(encoding="ascii")
        pipes.append(fork_client(options, evidence, account, stop))
    print("READY", flush=True)
    sys.stdin.read()
    stop[0] = 1
    for pipe in pipes:
        print(pipe.read())


class Loops:
    """Runs the program above beside what a test does; afterwards `answers` is there. `prefix`: how
    to get to where it runs, a list of words."""

    def __init__(self, socket, targets, clients=8, pause_msec=0, patience=MODULE_SEC, prefix=()):
        self.command = [*map(str, prefix), "/usr/bin/python3", __file__, f"--socket={socket}",
                        f"--clients={clients}", f"--pause-msec={pause_msec}",
                        f"--patience={patience}",
                        *(f"{path}={account}" for path, account in targets)]
        self.answers = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "READY\n"
        return self

    def __exit__(self, *_):
        output, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0
        self.answers = sorted((Answer(*answer) for line in output.splitlines()
                               for answer in json.loads(line)), key=lambda answer: answer.begin)

    def count(self):
        return collections.Counter(answer.reason for answer in self.answers)

    def slowest(self):
        return max(answer.seconds for answer in self.answers)

    def since(self, begin):
        """The answers to what was asked after that."""
        return [answer for answer in self.answers if answer.begin >= begin]


def percentile(answers, share):
    seconds = sorted(answer.seconds for answer in answers)
    return seconds[min(len(seconds) - 1, int(len(seconds) * share))]


def steady_percentile(answers, share, parts=5):
    """The middle one of those of so many equal parts of the time: a machine that stands still for a
    moment does so in one part or two, what is slow by itself is so in all of them."""
    begin, end = answers[0].begin, answers[-1].begin
    shares = [[] for _ in range(parts)]
    for answer in answers:
        part = int(parts * (answer.begin - begin) / (end - begin))
        shares[min(part, parts - 1)].append(answer)
    found = sorted(percentile(some, share) for some in shares if some)
    return found[len(found) // 2]


class Truth:
    """What was right when, of one account whose mapping one person edits."""

    def __init__(self, reason):
        self.begins, self.ends, self.reasons = [0.0], [], [reason]

    def changes(self, reason):
        """A `with` block around the edit after which `reason` is right. Within it both are."""
        return _Change(self, reason)

    def is_right(self, answer):
        """Whether the reason was right at any moment between the question and the answer."""
        first = bisect.bisect_left(self.ends, answer.begin)
        last = bisect.bisect_right(self.begins, answer.end)
        return answer.reason in self.reasons[first:last]


class _Change:
    def __init__(self, truth, reason):
        self.truth, self.reason = truth, reason

    def __enter__(self):
        self.truth.begins.append(time.monotonic())
        self.truth.reasons.append(self.reason)

    def __exit__(self, *_):
        self.truth.ends.append(time.monotonic())


if __name__ == "__main__":
    main()
