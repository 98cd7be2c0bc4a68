# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a broken certmapd could still do: a program in its place, under its unit, tries it. The same
program as the same user outside of the unit shows that it is the unit that refuses."""
import pathlib
import re
import subprocess

import pytest

from boxed import TREE, host_environment, installed

UNITS = ["certmapd.service", "certmap-expiring.service"]
PROGRAMS = {"certmapd.service": "certmapd", "certmap-expiring.service": "certmapctl"}
DROP_IN = "/etc/systemd/system/{}.d/zz-probe.conf"

# What each attempt ends with: the error that stopped it.
CONFINED = {
    "unix": "done", "own-database": "done", "own-directory": "done",
    "ipv4": "EAFNOSUPPORT", "ipv6": "EAFNOSUPPORT", "netlink": "EAFNOSUPPORT",
    "shadow": "EACCES", "home": "EACCES", "root-home": "EACCES", "other-process": "ENOENT",
    "etc": "EROFS", "var": "EROFS", "socket-directory": "EACCES",
    "shell": "EACCES", "own-program": "EACCES", "temporary-program": "EACCES",
    "ptrace": "EPERM", "process_vm_readv": "EPERM",
    "user-namespace": "EPERM", "mount": "EPERM", "setuid": "EPERM", "raise-limit": "EPERM",
}
# MemoryDenyWriteExecute=: systemd 252 has a filter of its own for it, and 257 asks the kernel for
# PR_SET_MDWE, prctl(2), whose word is the other one.
WRITABLE_CODE = ("EPERM", "EACCES")
FREE = ["unix", "ipv4", "ipv6", "netlink", "other-process", "shell", "own-program", "ptrace",
        "process_vm_readv", "writable-code"]
DESCRIPTORS_MAX, TASKS_MAX = 1024, 16
MEMORY_MAX_BYTES = 256 * 2**20
REQUEST_MAX_BYTES = 98304  # PROTOCOL.md
CONNECTIONS_MAX = 512  # certmapd/server.c


@pytest.fixture(scope="module", name="probe")
def compile_probe(booted):
    """The path of the probe in the box."""
    path = pathlib.Path(f"/proc/{booted.leader}/root/usr/local/bin/probe")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-O1", "-o", path,
                    TREE / "tests/box/probe.c"], check=True)
    return "/usr/local/bin/probe"


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_rated_as_safe(box, unit):
    # In tenths: 0.5 of 10, where 10 is a service without any confinement.
    box.run("systemd-analyze", "security", "--offline=true", "--threshold=5", installed(unit))


def attempts(output):
    return dict(line.split() for line in output.splitlines())


def run_in_place_of(box, unit, probe):
    program, drop_in = installed(PROGRAMS[unit]), DROP_IN.format(unit)
    box.run("systemctl", "stop", "certmapd.service")
    box.sh(f"cp -p {program} /root/original; cp {probe} {program}.new; mv {program}.new {program}")
    box.run("mkdir", "-p", drop_in.rsplit("/", 1)[0])
    # The unit as it is, but that the program says nothing to systemd, and comes to an end.
    box.write(drop_in, "[Service]\nType=oneshot\nRestart=no\n")
    try:
        box.run("systemctl", "daemon-reload")
        mark = box.mark()
        box.run("systemctl", "start", unit)
        said = [entry["MESSAGE"] for entry in box.since(mark, _SYSTEMD_UNIT=unit)
                if entry["_TRANSPORT"] == "stdout"]
        return attempts("\n".join(said))
    finally:
        box.sh(f"mv /root/original {program}; rm {drop_in}")
        box.run("systemctl", "daemon-reload")


@pytest.mark.parametrize("unit", UNITS)
def test_whoever_breaks_the_program_of_a_unit_stays_inside_of_it(box, probe, unit):
    found = run_in_place_of(box, unit, probe)
    descriptors, tasks = int(found.pop("descriptors")), int(found.pop("tasks"))
    assert found.pop("writable-code") in WRITABLE_CODE
    assert found == CONFINED
    # It is one task itself, and has its standard streams open.
    assert 0 < descriptors < DESCRIPTORS_MAX
    assert int(box.show(unit, "TasksMax")) == TASKS_MAX
    # A box inside of a container may be without the kernel's means to count them.
    if "pids" in box.run("cat", "/sys/fs/cgroup/cgroup.controllers").split():
        assert 0 < tasks < TASKS_MAX
    assert box.ask()["reason"] == "allowed"


def test_it_is_the_unit_that_confines_it(box, probe):
    found = attempts(box.run(probe, user="certmap"))
    assert {name: found[name] for name in FREE} == dict.fromkeys(FREE, "done")
    assert int(found["tasks"]) > TASKS_MAX


def test_certificates_that_expire_are_a_warning_and_no_failure(box):
    """The contract of `certmapctl expiring`, whose exit status is 1 where there are any, is played by
    a program that has no shell either."""
    program, unit = installed("certmapctl"), "certmap-expiring.service"
    said = "mapping 7 of alice expires in 12 days"
    box.run("cp", "-p", program, "/root/original")
    try:
        for status, priority in ((1, ["4"]), (0, [])):
            text = f'puts("{said}");' if status else ""
            play(box, program, f"#include <stdio.h>\nint main(void) {{ {text} return {status}; }}")
            mark = box.mark()
            box.run("systemctl", "start", unit)
            assert box.show(unit, "Result") == "success"
            entries = box.since(mark, _SYSTEMD_UNIT=unit, MESSAGE=said)
            assert [entry["PRIORITY"] for entry in entries] == priority
        play(box, program, "int main(void) { return 2; }")
        assert box.call("systemctl", "start", unit).returncode != 0
        box.run("systemctl", "reset-failed", unit)
    finally:
        box.run("mv", "/root/original", program)


def play(box, program, text):
    path = f"/proc/{box.leader}/root{program}.new"
    subprocess.run(["cc", "-x", "c", "-o", path, "-"], input=text, text=True, check=True)
    box.run("mv", f"{program}.new", program)


def test_timer_is_there_for_whoever_wants_it(box):
    assert box.call("systemctl", "is-enabled", "certmap-expiring.timer").stdout == "disabled\n"
    box.run("systemctl", "start", "certmap-expiring.timer")
    assert box.show("certmap-expiring.timer", "NextElapseUSecRealtime") != ""
    box.run("systemctl", "stop", "certmap-expiring.timer")


# More connections than the daemon holds, as root, which has no quota, each with all but the last byte
# of the largest request. They wait for a stopped daemon, so that it meets them all at once, however
# slow this machine is; after a second it cuts what it took, and takes the rest. Prints the most
# descriptors that it had.
FLOOD = f"""
import os, signal, socket, sys, time
sys.path.insert(0, "{TREE}/tests/shell")
import certmap_client
request = certmap_client.frame(certmap_client.REQUEST, bytes({REQUEST_MAX_BYTES} - 12))[:-1]
pid, most = int(sys.argv[1]), 0
os.kill(pid, signal.SIGSTOP)
clients = [socket.socket(socket.AF_UNIX) for _ in range({2 * CONNECTIONS_MAX - 100})]
for client in clients:
    client.connect(certmap_client.DEFAULT_SOCKET)
    client.sendall(request)
os.kill(pid, signal.SIGCONT)
until = time.monotonic() + 4
while time.monotonic() < until:
    most = max(most, len(os.listdir(f"/proc/{{pid}}/fd")))
    time.sleep(0.01)
print(most)
"""


def test_limits_of_the_unit_hold_under_a_flood(box):
    box.run("systemctl", "stop", "certmapd.service")
    assert box.ask()["reason"] == "allowed"
    pid = box.show("certmapd.service", "MainPID")
    most = int(box.run("python3", "-c", FLOOD, pid))
    # It did hold as many as it takes, and no limit ended it.
    assert CONNECTIONS_MAX < most < DESCRIPTORS_MAX
    assert box.show("certmapd.service", "MainPID") == pid
    # A sanitizer's memory is not the daemon's.
    if not host_environment():
        assert int(box.show("certmapd.service", "MemoryMax")) == MEMORY_MAX_BYTES
        # The kernel of a box need not count memory per unit, but it does so per process.
        status = box.run("cat", f"/proc/{pid}/status")
        peak_kib = int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))
        assert peak_kib * 1024 < MEMORY_MAX_BYTES / 2
    assert box.ask()["reason"] == "allowed"
