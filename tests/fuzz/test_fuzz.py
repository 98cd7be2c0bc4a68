# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_fuzz.py lets each libFuzzer program run for some seconds, in a build of its own, and makes
the seeds anew."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

RUN = pathlib.Path(__file__).resolve().parent / "run"
BUILD = pathlib.Path(os.environ.get("CERTMAP_BUILD_DIR", RUN.parents[2] / "build"))
SECONDS = 3
# The first sees sixteen programs being built, on a machine that has other things to do.
PATIENCE_SECONDS = 3600


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


def seeds_of(directory):
    return {path.relative_to(directory) for path in directory.glob("*/seed-*")}


def replay(target, inputs):
    """What the program of every build says where one of the inputs breaks a promise."""
    program = BUILD / "tests" / "fuzz" / f"replay-{target}"
    if target.startswith("import_") and not program.exists():
        pytest.skip("this build has not the format's library")
    done = subprocess.run([program, inputs],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=600)
    return "" if done.returncode == 0 and "not ok" not in done.stdout else done.stdout


@pytest.fixture(scope="module", name="made")
def make_seeds_in_a_copy(tmp_path_factory):
    """With new keys, in a tree that has nothing but what make_seeds needs."""
    tests = tmp_path_factory.mktemp("seeds") / "tests"
    for path in ("fuzz/make_seeds", "shell/certmap_client.py"):
        (tests / path).parent.mkdir(parents=True)
        shutil.copy(RUN.parents[1] / path, tests / path)
    subprocess.run([tests / "fuzz" / "make_seeds"], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    return tests / "fuzz"


def test_seeds_that_are_made_anew_are_those_that_are_kept(made):
    assert seeds_of(made) == seeds_of(RUN.parent)


@pytest.mark.parametrize("target", sorted({path.parts[0] for path in seeds_of(RUN.parent)}))
def test_seeds_that_are_made_anew_break_no_promise(made, target):
    assert replay(target, made / target) == ""


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
