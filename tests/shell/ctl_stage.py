# SPDX-License-Identifier: LGPL-2.1-or-later
"""certmapctl as the tests of its verbs call it: on a database of their own, by a program or by a
person on a terminal."""

import fcntl
import functools
import json
import os
import pty
import pwd
import struct
import subprocess
import termios

import pytest

from shell_stage import CERTMAPCTL, CERTMAPCTL_PLAIN, NOBODY

ACCOUNT = pwd.getpwuid(NOBODY).pw_name  # one that every machine has


def ctl(*words, status=0, **options):
    """Runs certmapctl and asserts its exit status."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **options.pop("env", {})}
    done = subprocess.run([str(CERTMAPCTL), *map(str, words)], check=False, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          **{"stdin": subprocess.DEVNULL, **options})
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    return done


@functools.cache
def has_json():
    return b"jansson" not in subprocess.run([str(CERTMAPCTL), "--json", "--version"], check=False,
                                            stderr=subprocess.PIPE).stderr


def dump(database):
    """Everything in the database, as the shell writes it down."""
    return database.sql(".dump\nPRAGMA user_version; PRAGMA application_id;")


class Tool:
    """certmapctl on one database."""

    def __init__(self, database):
        self.database = database

    def __call__(self, verb, *words, **options):
        return ctl(verb, "--database", self.database.path, *words, **options)

    def json(self, verb, *words, **options):
        if not has_json():
            pytest.skip("built without jansson")
        return json.loads(self(verb, "--json", *words, **options).stdout)

    def refuses(self, verb, *words, **options):
        """Asserts exit status 1, a single line of words, and that nothing changed. The words."""
        before = dump(self.database)
        done = self(verb, *words, status=1, **options)
        assert dump(self.database) == before
        assert done.out == ""
        return done.err


def plain(*words):
    """The certmapctl of a build without optional libraries."""
    return subprocess.run([str(CERTMAPCTL_PLAIN), *map(str, words)], check=False, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def on_terminal(tool, *words, typed="", width=80, look=None):
    """(exit status, what the terminal got). `look` is called with the process that has asked a
    question, before it gets its answer."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    process = subprocess.Popen(
        [str(CERTMAPCTL), *words, "--database", str(tool.database.path)], stdin=slave, stdout=slave,
        stderr=slave, env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": str(width)})
    os.close(slave)
    got = b""
    if not look:
        os.write(master, typed.encode())
    while True:
        try:
            got += os.read(master, 65536)
        except OSError:  # EIO: the other side is closed
            break
        if look and b"?" in got:
            look(process)
            os.write(master, typed.encode())
            look = None
    os.close(master)
    return process.wait(), got.decode().replace("\r\n", "\n")


def history_names(database):
    return [row["who"] for row in database.rows("SELECT who FROM history ORDER BY id")]
