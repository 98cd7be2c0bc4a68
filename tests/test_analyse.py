# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_analyse.py asks the analysers that are quick; tests/analyse asks all of them."""
import json
import os
import pathlib
import subprocess

import pytest

TREE = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("CERTMAP_BUILD_DIR", TREE / "build"))
PATIENCE_SECONDS = 3600


def is_sanitized():
    try:
        options = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())
    except OSError:
        return False
    return any(option["name"] == "b_sanitize" and option["value"] != "none" for option in options)


@pytest.mark.parametrize("tool", ("fanalyzer", "cppcheck"))
def test_no_analyser_has_a_finding_that_nobody_explained(tool):
    if is_sanitized():
        pytest.skip("ran with the build without sanitizers: the sources are the same")
    done = subprocess.run([TREE / "tests" / "analyse", tool], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stdout
