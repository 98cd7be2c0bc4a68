# SPDX-License-Identifier: LGPL-2.1-or-later
"""The count of a test run is what a green light rests on: what dies must not count as passed."""
import json
import pathlib
import subprocess
import sys

import pytest

SUMMARY = pathlib.Path(__file__).resolve().with_name("summary.py")


@pytest.fixture(name="build")
def make_build(tmp_path):
    (tmp_path / "meson-logs").mkdir()
    return tmp_path


def write_log(build, *tests):
    usual = {"command": ["program"], "returncode": 0}
    lines = [json.dumps({"name": f"test-{number}", **usual, **test}) + "\n"
             for number, test in enumerate(tests)]
    (build / "meson-logs/testlog-full.json").write_text("".join(lines))


def write_junit(path, cases):
    path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")


def summarise(build):
    done = subprocess.run([sys.executable, SUMMARY, build], capture_output=True, text=True,
                          check=False)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    return lines[-1], done.returncode, lines[:-1]


def test_each_tap_case_counts(build):
    write_log(build,
              {"result": "OK", "stdout": "1..2\nok 1 - reads\nok 2 - writes\n# ok - tests\n"},
              {"result": "FAIL", "stdout": "1..2\nnot ok 1 - reads\nok 2 # SKIP writes\n"})
    assert summarise(build) == ("2 passed, 1 failed, 1 skipped", 1,
                                ["skipped: test-1: writes", "FAILED: test-1: reads"])


def test_skip_of_cmocka_is_no_failure_and_hides_none(build):
    skip = {"result": "FAIL", "stdout": "1..2\nok 1 - reads\nnot ok 2 # SKIP writes\n"}
    write_log(build, skip)
    assert summarise(build)[:2] == ("1 passed, 0 failed, 1 skipped", 0)
    write_log(build, {**skip, "returncode": 1})
    assert summarise(build)[:2] == ("1 passed, 1 failed, 1 skipped", 1)


def test_tap_program_that_aborts_has_failed(build):
    write_log(build, {"result": "ERROR", "returncode": -6, "stdout": "1..9\nok 1 - reads\n"})
    assert summarise(build) == ("1 passed, 1 failed, 0 skipped", 1,
                                ["FAILED: test-0: ended with ERROR (status -6)"])


def test_program_that_times_out_without_a_word_has_failed(build):
    write_log(build, {"result": "OK", "stdout": "ok 1 - x\n"},
              {"result": "TIMEOUT", "returncode": -15})
    assert summarise(build)[:2] == ("1 passed, 1 failed, 0 skipped", 1)


def test_pytest_under_meson_counts_by_its_file_once(build):
    junit = build / "pytest-module.xml"
    write_junit(junit, '<testcase classname="a" name="b"/>'
                '<testcase classname="a" name="c"><skipped message="no systemd"/></testcase>'
                '<testcase classname="a" name="d"><error/></testcase>')
    write_log(build, {"result": "FAIL", "returncode": 1, "stdout": "ok\n",
                      "command": ["python3", "-m", "pytest", f"--junit-xml={junit}"]})
    assert summarise(build) == ("1 passed, 1 failed, 1 skipped", 1,
                                ["skipped: a::c: no systemd", "FAILED: a::d"])


def test_pytest_under_meson_that_wrote_no_file_has_failed(build):
    write_log(build, {"result": "FAIL", "returncode": 2,
                      "command": ["python3", "-m", "pytest", f"--junit-xml={build}/pytest-x.xml"]})
    line, status, _ = summarise(build)
    assert (line, status) == ("0 passed, 1 failed, 0 skipped", 1)


def test_pytest_outside_of_meson_counts_as_well(build):
    write_log(build, {"result": "OK", "stdout": "ok 1 - x\n"})
    write_junit(build / "pytest-service.xml", '<testcase classname="a" name="b"/>')
    assert summarise(build) == ("2 passed, 0 failed, 0 skipped", 0, [])


def test_pytest_that_could_not_run_has_failed(build):
    write_log(build, {"result": "OK", "stdout": "ok 1 - x\n"})
    (build / "pytest-broken").write_text("shell\n")
    assert summarise(build) == ("1 passed, 1 failed, 0 skipped", 1,
                                ["FAILED: pytest itself could not run: shell"])


def test_run_without_a_result_has_failed(build):
    assert summarise(build)[:2] == ("0 passed, 1 failed, 0 skipped", 1)
    write_log(build)
    assert summarise(build)[:2] == ("0 passed, 0 failed, 0 skipped", 1)
    (build / "meson-logs/testlog-full.json").write_text('{"name": "cut off')
    assert summarise(build)[:2] == ("0 passed, 1 failed, 0 skipped", 1)
