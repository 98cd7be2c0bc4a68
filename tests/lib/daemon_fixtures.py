# SPDX-License-Identifier: LGPL-2.1-or-later
"""daemon_fixtures.py owns the fixtures of tests that play with a certmapd, a database and the stock
sqlite3 shell. A conftest.py that has tests/shell on its path imports them.
"""
import pathlib
import shutil
import tempfile

import pytest

from shell_stage import Daemon, Database, Pki


def make_directory(mode):
    # Not tmp_path: its length does not fit a socket's path, unix(7), and its mode keeps others out.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
    directory.chmod(mode)
    return directory


# Not of the session: two files may call different certificates by one name.
@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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
