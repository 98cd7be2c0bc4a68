# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_fixtures.py owns the fixture of tests that put the module through libpam. A conftest.py that
has tests/module on its path imports it.
"""
import pathlib
import shutil
import tempfile

import pytest

from pam_stage import Pam


@pytest.fixture
def pam():
    # Not tmp_path: its mode 0700 would keep out the ordinary user of some tests, and a path of a
    # socket has 107 bytes. Not /tmp: Debian 13 mounts it so that no program is setuid there.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield Pam(directory)
    shutil.rmtree(directory)
