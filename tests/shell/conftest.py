# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fixtures that the tests of this directory share. What stands behind them is in shell_stage.

CERTMAPD, CERTMAPCTL and SQL_DIR name what is tested; left out, it is ../../build and ../../sql.
"""
import os
import pathlib
import shutil
import tempfile

import pytest

from ctl_stage import Tool
from shell_stage import Daemon, Database, Pki


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


def make_directory(mode):
    # Not tmp_path: its length does not fit a socket's path, unix(7), and its mode keeps others out.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
    directory.chmod(mode)
    return directory


@pytest.fixture(scope="session")
def pki():
    """The CA; pki.leaf(NAME) makes a client certificate."""
    directory = make_directory(0o700)
    yield Pki(directory)
    shutil.rmtree(directory)


@pytest.fixture
def alice(pki):
    return pki.leaf("alice")


@pytest.fixture
def bob(pki):
    return pki.leaf("bob", key="rsa")


@pytest.fixture
def carol(pki):
    return pki.leaf("carol")


@pytest.fixture
def no_database(pki):
    """A Database whose file is not there yet, in a private directory."""
    directory = make_directory(0o700)
    yield Database(directory, pki.directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def migrated(pki):
    """The bytes of an empty certmap database. Making it anew would cost each test a disk's sync."""
    directory = make_directory(0o700)
    database = Database(directory, pki.directory)
    database.migrate()
    yield database.path.read_bytes()
    shutil.rmtree(directory)


@pytest.fixture
def database(no_database, migrated):
    """An empty certmap database."""
    no_database.path.write_bytes(migrated)
    no_database.path.chmod(0o600)
    return no_database


@pytest.fixture
def stopped_daemon(no_database):
    """A certmapd that is not started yet, for the database's path."""
    directory = make_directory(0o755)
    daemon = Daemon(directory, no_database.path)
    yield daemon
    if daemon.is_running:
        daemon.stop()
    shutil.rmtree(directory)


@pytest.fixture
def daemon(database, stopped_daemon):
    """A certmapd that answers from the database; must end well."""
    return stopped_daemon.start()


@pytest.fixture
def tool(database):
    """certmapctl on that database."""
    return Tool(database)
