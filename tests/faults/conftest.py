# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of this folder share: where the build is, the fixtures of tests/lib and
tests/module, `figure`, and the table of figures at the end of a run.

CERTMAP_BUILD_DIR names the build; left out, it is ../../build.
"""
import os
import pathlib
import shutil
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("CERTMAP_BUILD_DIR", TESTS.parent / "build")).resolve()
for variable, place in (("CERTMAPD", "certmapd/certmapd"), ("CERTMAPCTL", "certmapd/certmapctl"),
                        ("CERTMAP_MODULE", "pam_certmap/pam_certmap.so"),
                        ("CERTMAP_MODULE_DRIVER", "tests/module/module-driver")):
    os.environ.setdefault(variable, str(BUILD / place))
sys.path[:0] = [str(TESTS / folder) for folder in ("lib", "shell", "module")]

import faults  # noqa: E402
from activated import Activated  # noqa: E402
from boxed import boot_once, fresh_mapping  # noqa: E402, F401
from daemon_fixtures import (  # noqa: E402, F401
    alice, bob, carol, daemon, database, make_directory, migrated, no_database, pki,
    stopped_daemon)
from pam_fixtures import pam  # noqa: E402, F401
from shell_stage import NOBODY  # noqa: E402

# The worst one stands for a row of several tests.
RESULTS = ("passed", "skipped", "failed")


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(id): runs this row of faults.tsv")
    config.addinivalue_line("markers", "root: needs root, to act for other users")


def pytest_collection_modifyitems(items):
    for item in items:
        if {"root", "activated"} & {*item.keywords, *item.fixturenames} and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root, to act for other uids"))
        item.user_properties += [("fault", mark.args[0]) for mark in item.iter_markers("fault")]


@pytest.fixture
def figure(request):
    """figure(TEXT) puts a measured figure into the table at the end."""
    def record(text):
        request.node.user_properties.append(("figure", text))

    return record


@pytest.fixture
def mapped(database, alice):
    """Alice is mapping 1."""
    assert database.map(alice) == 1
    return database


@pytest.fixture
def given_away(mapped):
    """Such a database, which belongs to an ordinary uid, as that of an installed certmap does."""
    for path in (mapped.directory, *mapped.directory.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    return mapped


@pytest.fixture
def activated(given_away):
    """A certmapd of that uid, which lookups start."""
    directory = make_directory(0o755)
    with Activated(directory, given_away.path) as daemon:
        yield daemon
    assert daemon.strange_lines() == []
    shutil.rmtree(directory)


class Row:
    """What the tests of one row came to."""

    def __init__(self):
        self.result, self.seconds, self.figures = "passed", 0.0, []

    def add(self, report):
        self.seconds += report.duration
        self.result = max(self.result, report.outcome, key=RESULTS.index)
        if report.when == "call":
            self.figures += [text for name, text in report.user_properties
                             if name == "figure" and text not in self.figures]
        elif report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            self.figures += [reason] if reason not in self.figures else []


def rows_of(reports):
    rows = {}
    for report in reports:
        for name, row_id in getattr(report, "user_properties", ()):
            if name == "fault":
                rows.setdefault(row_id, Row()).add(report)
    return rows


def lines_of(rows):
    """(id, result, seconds, figure) in the order of the table."""
    for row_id in faults.ROWS:
        if row_id in rows:
            row = rows[row_id]
            yield row_id, row.result, f"{row.seconds:.1f}", "; ".join(row.figures)
        elif row_id in faults.COVERED:
            file, *names = faults.COVERED[row_id]
            yield row_id, "elsewhere", "", f"tests/{file}: {', '.join(names)}"


def pytest_terminal_summary(terminalreporter):
    reports = [report for kind in terminalreporter.stats.values() for report in kind
               if isinstance(report, pytest.TestReport)]
    # Also the set-up and the end of tests that passed, which stand below "".
    lines = [("id", "result", "seconds", "figure"), *lines_of(rows_of(reports))]
    terminalreporter.section("faults")
    for row_id, result, seconds, text in lines:
        terminalreporter.write_line(f"{row_id:<5}{result:<11}{seconds:>8}  {text}".rstrip())
    if "CERTMAP_BUILD_DIR" in os.environ:
        (BUILD / "faults.tsv").write_text(
            "".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
