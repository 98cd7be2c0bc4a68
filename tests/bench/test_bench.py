# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bench runs, every answer that it measures is right, and its table has every part. No time is
asserted: the machine that runs this may be slow, or busy with something else."""
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUILD = os.environ.get("CERTMAP_BUILD_DIR", str(HERE.parent.parent / "build"))
SECTIONS = {"Insert in bulk", "Lookup through the protocol", "A login through libpam", "Memory",
            "Cold start", "An edit", "Four good clients", "Peers"}


def bench(*arguments):
    return subprocess.run([HERE / "run", "--quick", "--build", BUILD, *arguments], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=600)


def test_quick_run_prints_every_part_of_the_table():
    done = bench()
    assert done.returncode == 0, done.stderr
    headings = [line for line in done.stdout.splitlines() if line and not line.startswith("|")]
    assert not [name for name in SECTIONS
                if not any(heading.startswith(name) for heading in headings)]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in done.stdout.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0] != "what"]
    assert len(rows) > 30
    # A row says something, if only that a peer is not there.
    assert not [row for row in rows if len(row) != 5 or not row[1] + row[2]]


def test_unknown_section_is_refused_by_its_name():
    done = bench("--only", "lookup,nonsense")
    assert done.returncode == 2
    assert "no such section: nonsense" in done.stderr


def test_wrong_answer_gives_no_figure(tmp_path):
    """load compares each answer: this server gives none that is expected."""
    (tmp_path / "cases").write_bytes(b"\1\0\0\0\7\0\0\0xallowed")
    done = subprocess.run(
        [pathlib.Path(BUILD) / "tests/bench/bench-load", "spawn", "1", "20", tmp_path / "cases",
         sys.executable, "-c", "print('unmapped')"],
        check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 1
    assert re.search(r"wrong=[1-9]", done.stdout)
