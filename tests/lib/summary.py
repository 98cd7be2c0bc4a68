#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""summary.py owns the count of a test run.

    summary.py BUILD_DIRECTORY
    summary.py --junit FILE

The second counts one pytest run alone.
Every TAP case and every pytest case counts as one. Prints what failed and what was skipped, with
the reasons, and ends with "N passed, N failed, N skipped". Exit status 1 where anything failed or
nothing passed.

meson's own junit file is not used: that of meson 1.0.1 counts a TAP program that aborts as passed.
Here a test that meson does not call OK, and whose cases show no failure, is a failed case of its
own.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree

TAP_CASE = re.compile(r"^(not )?ok\b\s*\d*\s*(?:-\s*)?(.*?)\s*(?:#\s*(skip|todo)\w*\s*(.*))?$",
                      re.IGNORECASE)
GOOD = ("OK", "SKIP", "EXPECTEDFAIL")


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self


def count_tap(name, output):
    count = Count()
    for line in output.splitlines():
        match = TAP_CASE.match(line)
        if not match:
            continue
        failed, case, directive, reason = match.groups()
        if directive and directive.lower() == "skip":
            count.skipped.append(f"{name}: {case}: {reason}".replace(": : ", ": "))
        elif failed:
            count.failed.append(f"{name}: {case}")
        else:
            count.passed += 1
    return count


def count_junit(path):
    """What a pytest run wrote; OSError or ParseError where it did not live to write it."""
    count = Count()
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        kinds = {child.tag: child for child in case}
        if "failure" in kinds or "error" in kinds:
            count.failed.append(name)
        elif "skipped" in kinds:
            count.skipped.append(f"{name}: {kinds['skipped'].get('message')}")
        else:
            count.passed += 1
    return count


def junit_of(command):
    for word in command:
        if word.startswith("--junit-xml=") or word.startswith("--junitxml="):
            return pathlib.Path(word.split("=", 1)[1])
    return None


def count_meson_test(test, seen):
    """One line of testlog-full.json."""
    name, result = test["name"], test["result"]
    junit = junit_of(test["command"])
    output = test.get("stdout", "")
    count = Count()
    if junit:
        seen.add(junit.resolve())
        try:
            count = count_junit(junit)
        except (OSError, xml.etree.ElementTree.ParseError) as problem:
            count.failed.append(f"{name}: wrote no result: {problem}")
    elif re.search(r"(?m)^(not )?ok\b|^1\.\.\d", output):
        count = count_tap(name, output)
    elif result == "SKIP":
        count.skipped.append(f"{name}: {output.strip() or 'the test program gave no reason'}")
    elif result in GOOD:
        count.passed = 1
    # cmocka says "not ok" before "# SKIP", and meson 1.0.1 takes that for a failure.
    only_skips = result == "FAIL" and test.get("returncode") == 0 and count.skipped
    if result not in GOOD and not count.failed and not only_skips:
        count.failed.append(f"{name}: ended with {result} (status {test.get('returncode')})")
    return count


def count_all(build):
    count, seen = Count(), set()
    try:
        with open(build / "meson-logs/testlog-full.json", encoding="utf-8", errors="replace") as log:
            for line in log:
                count += count_meson_test(json.loads(line), seen)
    except (OSError, ValueError) as problem:
        count.failed.append(f"meson test left no result: {problem}")
    if (build / "pytest-broken").exists():
        for name in (build / "pytest-broken").read_text().splitlines():
            count.failed.append(f"pytest itself could not run: {name}")
    for path in sorted(build.glob("pytest-*.xml")):
        if path.resolve() not in seen:
            try:
                count += count_junit(path)
            except xml.etree.ElementTree.ParseError as problem:
                count.failed.append(f"{path.name}: {problem}")
    return count


def count_one(path):
    try:
        return count_junit(path)
    except (OSError, xml.etree.ElementTree.ParseError) as problem:
        count = Count()
        count.failed.append(f"{path.name}: {problem}")
        return count


def main(first, *rest):
    count = count_one(pathlib.Path(*rest)) if first == "--junit" else count_all(pathlib.Path(first))
    for name in count.skipped:
        print(f"skipped: {name}")
    for name in count.failed:
        print(f"FAILED: {name}")
    print(f"{count.passed} passed, {len(count.failed)} failed, {len(count.skipped)} skipped")
    return 1 if count.failed or count.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
