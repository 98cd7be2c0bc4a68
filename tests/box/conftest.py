# SPDX-License-Identifier: LGPL-2.1-or-later
"""One booted systemd for all tests here."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from boxed import boot_once, fresh_mapping, start_proftpd  # noqa: E402, F401
