# SPDX-License-Identifier: LGPL-2.1-or-later
"""The module as a guest in somebody else's process, and as a file."""
import os
import re
import subprocess

import pytest

from fake_daemon import FINGERPRINT, allowed
from pam_stage import BUF_ERR, MODULE, SUCCESS, SYSTEM_ERR

SANITIZED = os.environ.get("CERTMAP_SANITIZE", "none") != "none"
CERTIFICATE = {"CERT": "x", "CERT2": "y"}


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(SANITIZED, reason="a sanitizer brings its own libraries")
def test_module_needs_libpam_and_libc_alone():
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output_of("readelf", "-d", MODULE))
    assert sorted(needed) == ["libc.so.6", "libpam.so.0"]


def test_module_exports_the_functions_of_pam_alone():
    exported = {line.split()[-1].split("@")[0]
                for line in output_of("nm", "-D", "--defined-only", MODULE).splitlines()}
    assert exported == {"pam_sm_authenticate", "pam_sm_setcred", "pam_sm_acct_mgmt",
                        "pam_sm_open_session", "pam_sm_close_session"}


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps tables in writable memory")
def test_module_has_no_writable_state():
    """What stands in .data and .bss belongs to the compiler's start files."""
    sections = output_of("readelf", "-SW", MODULE)
    start = int(re.search(r" \.data +\S+ +([0-9a-f]+)", sections)[1], 16)
    symbols = re.findall(r"^([0-9a-f]+) [bBdD] (\S+)$", output_of("nm", MODULE), re.MULTILINE)
    writable = {name for address, name in symbols if int(address, 16) >= start}
    assert symbols
    assert writable <= {"__dso_handle", "__TMC_END__", "completed.0"}


def test_fifty_lives_of_a_handle_leave_no_descriptor(pam):
    pam.service("source=env:CERT")
    with pam.says("nobody"):
        run = pam.run("cycles:1:svc:nobody", "descriptors", "cycles:50:svc:nobody", "descriptors",
                      environment=CERTIFICATE)
    counts = [event[1] for event in run.events if event[0] == "descriptors"]
    assert run.value("successes") == "50"
    assert counts[0] == counts[1]


def test_failures_leave_no_descriptor(pam):
    pam.service("source=env:CERT")
    with pam.daemon(lambda request: b"CMAP"):
        run = pam.run("cycles:1:svc:nobody", "descriptors", "cycles:50:svc:nobody", "descriptors",
                      environment=CERTIFICATE)
    counts = [event[1] for event in run.events if event[0] == "descriptors"]
    assert run.value("successes") == "0"
    assert counts[0] == counts[1]


def test_service_that_changes_its_name_outlives_the_module(pam):
    """libpam unloads the modules of the stack before, and pam_end() comes later."""
    pam.service("source=env:CERT")
    pam.service("", name="later", lines="account required pam_permit.so\n")
    with pam.says("nobody"):
        run = pam.run("start:svc:nobody", "authenticate", "service:later", "account", "end",
                      environment=CERTIFICATE)
    assert run.codes == [SUCCESS, SUCCESS]


def test_sixteen_threads_get_their_own_user_each(pam):
    pam.service("source=pamenv:CERT user=set timeout=30000")
    with pam.daemon(lambda request: allowed(request, request["evidence"].decode())):
        run = pam.run("threads:20:svc")
    assert run.value("right") == str(16 * 20)


def test_descriptor_past_1024_is_no_trouble(pam):
    """select() would write past its set, CVE-2013-0288."""
    pam.service("source=env:CERT")
    with pam.says("nobody"):
        run = pam.run("start:svc:nobody", "hog:1100", "authenticate", environment=CERTIFICATE)
    assert run.code == SUCCESS


def test_closed_standard_input_is_no_trouble(pam):
    """Then the module's socket is descriptor 0."""
    pam.service("source=env:CERT")
    with pam.says("nobody"):
        run = pam.run("start:svc:nobody", "close-stdin", "authenticate", environment=CERTIFICATE)
    assert run.code == SUCCESS


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has its own malloc")
@pytest.mark.parametrize("options", [
    "source=env:CERT", "source=authtok user=set", "source=user accept=name user=set",
    "source=env:CERT,CERT2 accept=names"])
def test_memory_that_runs_out_is_an_error_and_never_a_yes(pam, options):
    """Each allocation of a whole authenticate fails once. The C library gets over some of it (it
    shrinks a buffer, it reads with a smaller one): a yes then is the whole, right one."""
    pam.service(options)
    with pam.says("nobody"):
        run = pam.run("answer:x", "out-of-memory:svc:nobody", environment=CERTIFICATE)
    starts = [i for i, event in enumerate(run.events) if event[0] == "failing"]
    codes = []
    for begin, end in zip(starts, starts[1:] + [None]):
        failed, code = map(int, run.events[begin][1:])
        kept = [event[1] for event in run.events[begin:end] if event[0] == "pamenv"]
        assert failed or code == SUCCESS
        assert code in (SUCCESS, BUF_ERR, SYSTEM_ERR)
        assert kept == ([
            "CERTMAP_ACCOUNT=nobody", f"CERTMAP_FINGERPRINT={FINGERPRINT}",
            "CERTMAP_SUBJECT=CN=somebody", "CERTMAP_MAPPING=7"] if code == SUCCESS else [])
        codes.append(code)
    assert codes.count(BUF_ERR) > 8
    assert codes[-1] == SUCCESS
