# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fixtures that the tests of this directory share with those of tests/shell and tests/module."""
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "shell"), str(TESTS / "module")]
from daemon_fixtures import database, migrated, no_database, pki  # noqa: E402, F401
from pam_fixtures import pam  # noqa: E402, F401
