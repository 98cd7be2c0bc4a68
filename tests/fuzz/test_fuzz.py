# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_fuzz.py lets each libFuzzer program run for some seconds, in a build of its own."""
import json
import os
import pathlib
import subprocess

import pytest

RUN = pathlib.Path(__file__).resolve().parent / "run"
BUILD = pathlib.Path(os.environ.get("CERTMAP_BUILD_DIR", RUN.parents[2] / "build"))
SECONDS = 3
# The first sees sixteen programs being built, on a machine that has other things to do.
PATIENCE_SECONDS = 900


def run(*words):
    return subprocess.run([RUN, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=PATIENCE_SECONDS)


def is_sanitized():
    try:
        options = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())
    except OSError:
        return False
    return any(option["name"] == "b_sanitize" and option["value"] != "none" for option in options)


@pytest.fixture(scope="module")
def fuzzers():
    if is_sanitized():
        pytest.skip("ran with the build without sanitizers: the fuzzers have their own")
    built = run("--build")
    assert built.returncode == 0, built.stdout


@pytest.mark.parametrize("target", run("--list").stdout.split())
def test_no_input_of_some_seconds_breaks_a_promise(fuzzers, target):
    done = run("--short", str(SECONDS), "--no-build", "--target", target)
    assert done.returncode == 0, done.stdout
