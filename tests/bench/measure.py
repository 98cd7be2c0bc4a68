# SPDX-License-Identifier: LGPL-2.1-or-later
"""measure.py owns the way to a figure: variants take turns, round after round, and what is told is
the median of the rounds, and of the ratios within a round. Whatever else the machine does meets all
of them alike."""
import statistics
import subprocess


class Wrong(Exception):
    """Something measured did not do what it should: there is no figure."""


def run_load(program, kind, clients, msec, cases, *arguments):
    """One slice; what load prints, as a dictionary. Times are in nanoseconds."""
    done = subprocess.run([str(word) for word in (program, kind, clients, msec, cases, *arguments)],
                          check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise Wrong(f"{kind} {cases}: {done.stdout.decode()}{done.stderr.decode()}")
    return {key: float(value) for key, value in
            (word.split("=") for word in done.stdout.decode().split())}


class Rounds:
    """What some variants gave, a dictionary of figures for each round."""

    def __init__(self, variants, count):
        """`variants`: functions by name. Each round begins with another one."""
        self.results = {name: [] for name in variants}
        names = list(variants)
        for number in range(count):
            start = number % len(names)
            for name in names[start:] + names[:start]:
                self.results[name].append(variants[name]())

    def median(self, name, figure):
        return statistics.median(result[figure] for result in self.results[name])

    def ratio(self, name, other, figure, less=None):
        """The median of the ratios of a round. `less` is a variant that is taken off before."""
        rounds = zip(self.results[name], self.results[other],
                     self.results[less or name])
        return statistics.median(
            (a[figure] - (c[figure] if less else 0)) / b[figure] for a, b, c in rounds)
