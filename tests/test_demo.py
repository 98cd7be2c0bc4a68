# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo is a promise: it shows six logins, and leaves a machine as it was."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

DEMO = pathlib.Path(__file__).resolve().with_name("demo")
REASONS = ["allowed", "no-certificate", "unmapped", "unmapped", "account-mismatch", "mapping-disabled"]


@pytest.fixture(name="scratch")
def make_scratch():
    """Where this demo puts its files, so that its processes can be told from those of another one."""
    directory = tempfile.mkdtemp(prefix="certmap-demo-test.", dir="/var/tmp")
    os.chmod(directory, 0o711)
    yield directory
    shutil.rmtree(directory)


def state_of_machine(scratch):
    """What the demo must leave alone, and what must be gone again."""
    etc = {}
    for directory, _, names in os.walk("/etc"):
        for name in names:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            etc[path] = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode)
    return {
        "etc": etc,
        "scratch": os.listdir(scratch),
        "processes": processes_of_demo(scratch),
        "mounts": pathlib.Path("/proc/self/mounts").read_text(),
        "run": os.path.exists("/run/certmap"),
        "units": [name for name in listdir("/run/systemd/transient") if "certmap-demo" in name],
        "policy": os.path.exists("/usr/sbin/policy-rc.d"),
    }


def listdir(path):
    return os.listdir(path) if os.path.isdir(path) else []


def processes_of_demo(scratch):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if scratch.encode() in command:
            found.append(command)
    return found


def start_demo(scratch):
    # In the background of a script SIGINT is ignored, and a shell can't undo that.
    return subprocess.Popen([DEMO], env={**os.environ, "TMPDIR": scratch},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, start_new_session=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def test_demo_shows_six_logins_and_leaves_nothing(scratch):
    before = state_of_machine(scratch)
    demo = start_demo(scratch)
    output, _ = demo.communicate(timeout=1200)
    assert demo.returncode == 0, output
    reasons = re.findall(r"(?m)^    (?:let in|refused)  +([a-z-]+) ", output)
    assert reasons == REASONS, output
    assert "All six logins ended as they should." in output
    assert state_of_machine(scratch) == before


def test_demo_that_is_interrupted_leaves_nothing(scratch):
    before = state_of_machine(scratch)
    demo = start_demo(scratch)
    shown = ""
    for line in demo.stdout:
        shown += line
        if "ProFTPD" in line and "listens" in line:
            break
    assert processes_of_demo(scratch) != [], shown
    # As a terminal does it: everything in the foreground gets it.
    os.killpg(demo.pid, signal.SIGINT)
    demo.stdout.read()
    assert demo.wait(120) == 130
    deadline = time.monotonic() + 60
    while processes_of_demo(scratch) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state_of_machine(scratch) == before
