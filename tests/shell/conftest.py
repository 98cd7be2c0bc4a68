# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fixtures that the tests of this directory share. They are in
tests/lib/daemon_fixtures.py, and what stands behind them is in shell_stage.

CERTMAPD, CERTMAPCTL and SQL_DIR name what is tested; left out, it is ../../build and ../../sql.
"""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from daemon_fixtures import (  # noqa: E402, F401
    alice, bob, carol, daemon, database, migrated, no_database, pki, stopped_daemon)
from ctl_stage import Tool  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests marked `slow` as well")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes seconds; runs with --slow or CERTMAP_SLOW=1")
    config.addinivalue_line("markers", "root: needs root, to act for other users")


def pytest_collection_modifyitems(config, items):
    with_slow = config.getoption("--slow") or os.environ.get("CERTMAP_SLOW") == "1"
    # Not skipped: nothing that belongs to a run is left out of it.
    left_out = [item for item in items if "slow" in item.keywords and not with_slow]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if "root" in item.keywords and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def tool(database):
    """certmapctl on that database."""
    return Tool(database)
