# SPDX-License-Identifier: LGPL-2.1-or-later
"""guest_stage.py owns the host of the module that lives long (guest.c), and the hand that lets the
n-th call of a function fail in it or in certmapd (failing.c)."""
import ctypes
import errno
import mmap
import os
import pathlib
import re
import select
import shutil
import subprocess

import pytest

from shell_stage import CERTMAPD

BUILD = pathlib.Path(os.environ["CERTMAPD"]).resolve().parents[1]
GUEST = BUILD / "tests/faults/guest"
FAILING = BUILD / "tests/faults/failing.so"
MODULE = pathlib.Path(os.environ["CERTMAP_MODULE"])

IS_SANITIZED = re.search(rb"__[at]san_init", CERTMAPD.read_bytes()) is not None
# What replaces the allocator does not go together with another one that does.
plain = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer has its own allocator and libraries")

# security/_pam_types.h
SUCCESS, SERVICE_ERR, SYSTEM_ERR, BUF_ERR, PERM_DENIED = 0, 3, 4, 5, 6
AUTH_ERR, AUTHINFO_UNAVAIL, USER_UNKNOWN, ACCT_EXPIRED, IGNORE = 7, 9, 10, 13, 25
NOT_CALLED = -1

PATIENCE = 120  # seconds, for a guest under valgrind on a busy machine


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


class Page(ctypes.Structure):
    """struct faults_control of failing.h."""

    _fields_ = [("function", ctypes.c_char * 32),
                *((name, ctypes.c_int64)
                  for name in ("countdown", "calls", "failed", "live", "exit_handlers")),
                *((name, ctypes.c_int32)
                  for name in ("errno_value", "is_active", "is_lasting", "is_traced",
                               "is_from_module", "victim_pid"))]


class Failing:
    """Lets calls fail in the programs that are started with its environment, one at a time."""

    def __init__(self, path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.page = Page.from_buffer(mmap.mmap(file.fileno(), mmap.PAGESIZE))
        self.environment = {"LD_PRELOAD": str(FAILING), "CERTMAP_FAULTS_CONTROL": str(path)}

    def arm(self, function, n, errno_value=errno.ENOMEM, is_lasting=False):
        """The n-th call of this function fails, and where that is to last those after it."""
        page = self.page
        page.is_active = 0
        page.function, page.countdown, page.errno_value = function.encode(), n, errno_value
        page.calls = page.failed = page.is_from_module = 0
        page.is_lasting = is_lasting

    def go(self):
        """Calls count from now on. A guest says so itself, for the time of a life."""
        self.page.is_active = 1

    def stop(self):
        """Calls go well again; how many failed."""
        self.page.is_active = 0
        return self.page.failed


class Guest:
    """guest.c, kept running: life(), lives(COUNT) ... are its commands; the values that it prints
    are numbers where they look like some."""

    def __init__(self, pam, user="nobody", service="svc", before=(), program=GUEST, **environment):
        kept = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        self.process = subprocess.Popen(
            [*map(str, before), str(program), str(pam.services), service, user],
            env={**kept, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def __getattr__(self, command):
        def run(*arguments):
            print(command, *arguments, file=self.process.stdin, flush=True)
            readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            line = self.process.stdout.readline() if readable else ""
            assert line, (command, self.process.poll(), self.end())
            return {name: int(value) if re.fullmatch("-?[0-9]+", value) else value
                    for name, value in (word.split("=", 1) for word in line.split())}

        return run

    def end(self):
        """Ends it; its exit status, and what it said on standard error."""
        self.process.stdin.close()
        if not select.select([self.process.stderr], [], [], PATIENCE)[0]:
            self.process.kill()
        said = self.process.stderr.read()
        return self.process.wait(PATIENCE), said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None and not self.process.stdin.closed:
            assert self.end() == (0, "")


def is_whole(life, user="nobody"):
    """A life in which everything went well, and about whom it should be."""
    return ([life[call] for call in ("start", "authenticate", "account", "open", "close")]
            == [SUCCESS] * 5 and life["user"] == life["mapped"] == user)


def refusal(life):
    """The code of the call that ended a life early, of pam_start(3) and those after it."""
    codes = [life[call] for call in ("start", "authenticate", "account", "open", "close")]
    code = next(code for code in codes if code != SUCCESS)
    assert code not in (NOT_CALLED, IGNORE)
    return code
