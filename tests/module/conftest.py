# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one fixture of the module tests, which tests/lib/pam_fixtures.py owns."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from pam_fixtures import pam  # noqa: E402, F401
