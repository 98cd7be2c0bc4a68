# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows P: the module as a guest, with the real daemon at the other end of its socket, while
memory, descriptors, the system's calls or the daemon go away."""
import contextlib
import errno
import os
import pathlib
import pwd
import re
import shutil
import socket
import struct
import subprocess
import time

import pytest

from fake_daemon import allowed, receive_request
from faults import fault
from guest_stage import (
    AUTH_ERR, AUTHINFO_UNAVAIL, BUF_ERR, BUILD, GUEST, IS_SANITIZED, MODULE, PATIENCE, SERVICE_ERR,
    SUCCESS, SYSTEM_ERR, USER_UNKNOWN, Failing, Guest, is_whole, needs, plain, refusal)
from pam_stage import (
    CRED_INSUFFICIENT, PAM_DISALLOW_NULL_AUTHTOK, PAM_SILENT, directory_of_modules)
from shell_stage import TREE


@pytest.fixture(name="failing")
def make_failing(pam):
    return Failing(pam.directory / "control")


@pytest.fixture(name="asked")
def stack_on_the_daemon(pam, database, daemon, alice):
    """The daemon knows alice's certificate as that of an account that each machine has."""
    database.map(alice, account="nobody")
    pam.socket = daemon.socket
    pam.service("source=env:CERT timeout=30000")
    return pam


def rounds_until_none_fails(failing, function, errno_value, run):
    """The outcomes of run() with the first, second, ... call failing, up to the one in which none
    did: [(n, outcome, whether the call that failed was in one of the module)]."""
    outcomes = []
    for n in range(1, 5000):
        failing.arm(function, n, errno_value)
        outcomes.append((n, run(), bool(failing.page.is_from_module)))
        if failing.stop() == 0:
            return outcomes
    raise AssertionError(f"{function} is called without end")


# Memory ------------------------------------------------------------------------------------------

def deny_the_rest_by_path(pam):
    """The libpam of Debian 12 and 13 (lib_security_multiarch_compat, a patch of Debian's) crashes,
    without any module of ours, where memory runs out for the path of a module that has a bare name:
    _pam_load_module() then takes a handle that it never wrote for one of dlopen(3), and gives it to
    dlsym(3). A module that is named by its path is loaded without that memory."""
    other = pam.services / "other"
    bare, by_path = "pam_deny.so", str(directory_of_modules() / "pam_deny.so")
    other.write_text(other.read_text().replace(bare, by_path))
    assert by_path in other.read_text()


LINES = {
    "a certificate in the environment": "source=env:CERT",
    "a typed one, the account set": "source=authtok user=set",
    "a fingerprint as the name": "source=env:FINGERPRINT accept=fingerprint",
}


@plain
@pytest.mark.parametrize("options", LINES.values(), ids=LINES)
@fault("P08")
def test_no_allocation_that_fails_lets_anybody_in(asked, failing, alice, figure, options):
    """A whole life of the handle. libpam and the C library get over some of them: they shrink a
    buffer, or read with a smaller one. A yes then must be the whole, right one."""
    asked.service(options)
    deny_the_rest_by_path(asked)
    from_module = []
    with Guest(asked, CERT=alice.pem, GUEST_ANSWER=alice.pem, FINGERPRINT=alice.fingerprint,
               **failing.environment) as guest:
        assert is_whole(guest.life())
        before = guest.life()
        *hurt, (last, unhurt, _) = rounds_until_none_fails(
            failing, "allocation", errno.ENOMEM, guest.life)
        for n, life, is_from_module in hurt:
            assert is_whole(life) or refusal(life), (n, life)
            # A refusal of the module takes back what it had put into the handle.
            assert (life["authenticate"] == SUCCESS or life["reason"] == "allowed"
                    or life["mapped"] == ""), (n, life)
            assert life["descriptors"] == before["descriptors"], (n, life)
            assert life["live"] == 0, (n, life)
            if is_from_module:
                from_module.append(n)
                assert is_whole(life) or refusal(life) in (BUF_ERR, SYSTEM_ERR), (n, life)
        assert is_whole(unhurt) and unhurt["live"] == 0
    refused = [life for _, life, is_from_module in hurt if is_from_module and not is_whole(life)]
    assert len(refused) > 8
    figure(f"{last - 1} allocations of a life, {len(from_module)} of them in the module's calls, "
           f"{len(refused)} of these an error")


# The system's calls -------------------------------------------------------------------------------

# What the manual page of each lists, and what has to come of it in pam_authenticate(3). Some of it
# can't happen to this caller; then it must not be taken for a yes either.
AGAIN = (errno.EINTR, errno.EAGAIN)
CALLS = {
    "socket": (SYSTEM_ERR, "EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM "
                           "EPROTONOSUPPORT"),
    "connect": (AUTHINFO_UNAVAIL, "EACCES EPERM EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN "
                                  "EALREADY EBADF ECONNREFUSED EFAULT EINPROGRESS EINTR EISCONN "
                                  "ENETUNREACH ENOTSOCK EPROTOTYPE ETIMEDOUT"),
    "getsockopt": (SYSTEM_ERR, "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK"),
    "send": (AUTHINFO_UNAVAIL, "EACCES EAGAIN EALREADY EBADF ECONNRESET EDESTADDRREQ EFAULT EINTR "
                               "EINVAL EISCONN EMSGSIZE ENOBUFS ENOMEM ENOTCONN ENOTSOCK "
                               "EOPNOTSUPP EPIPE"),
    "recv": (AUTHINFO_UNAVAIL, "EAGAIN EBADF ECONNREFUSED ECONNRESET EFAULT EINTR EINVAL ENOMEM "
                               "ENOTCONN ENOTSOCK"),
    "poll": (SYSTEM_ERR, "EFAULT EINTR EINVAL ENOMEM"),
    "lstat": (AUTHINFO_UNAVAIL, "EACCES EBADF EFAULT ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR "
                                "EOVERFLOW"),
    "getrandom": (SYSTEM_ERR, "EAGAIN EFAULT EINTR EINVAL ENOSYS"),
    "getpwnam_r": (SYSTEM_ERR, "ENOENT ESRCH EBADF EPERM EINTR EIO EMFILE ENFILE ENOMEM ERANGE"),
    "close": (SUCCESS, "EBADF EINTR EIO ENOSPC EDQUOT"),
}
EXCEPTIONS = {
    ("getrandom", errno.EAGAIN): SYSTEM_ERR,  # the generator has not started: nothing to wait for
    ("getpwnam_r", errno.ENOENT): USER_UNKNOWN, ("getpwnam_r", errno.ESRCH): USER_UNKNOWN,
    ("getpwnam_r", errno.ENOMEM): BUF_ERR,
    ("getpwnam_r", errno.ERANGE): SUCCESS,  # a larger buffer
}
# The account phase has no such word.
OF_ACCOUNT = {USER_UNKNOWN: AUTH_ERR}


def expected(function, number):
    code = CALLS[function][0]
    return EXCEPTIONS.get((function, number), SUCCESS if number in AGAIN else code)


def assert_outcome(life, function, number, is_from_module):
    wanted = expected(function, number) if is_from_module else SUCCESS
    where = (function, errno.errorcode[number], life)
    assert life["kept_signals"], where
    if is_whole(life):
        # The end of the stream after the whole reply may be told in another way.
        assert wanted == SUCCESS or (function, number) == ("recv", errno.ECONNRESET), where
    elif not is_from_module:
        # libpam itself, which audits what the module has decided.
        assert life["reason"] == "allowed", where
    elif life["authenticate"] == SUCCESS:
        assert life["account"] == OF_ACCOUNT.get(wanted, wanted) != SUCCESS, where
    else:
        assert life["authenticate"] == wanted != SUCCESS and life["mapped"] == "", where


def wait_until_asleep(pid):
    """Until it has nothing to do before something happens, proc(5)."""
    deadline = time.monotonic() + PATIENCE
    # Behind the name of the program, which may have brackets and blanks in it.
    while pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "S":
        assert time.monotonic() < deadline, "the module neither waited nor went away"
        time.sleep(0.0005)


def answer_who_waits(connection):
    """The answer, and then the end, come when the module waits for them, and no earlier: each life
    must have the same calls at the same places, however slow this machine is, or the one that is to
    fail next may be one that there was only before. Past its request the module's process sleeps
    where it waits, or, where that failed, when its life is over."""
    request = receive_request(connection)
    pid, _, _ = struct.unpack("3i", connection.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    wait_until_asleep(pid)
    connection.sendall(allowed(request, "nobody"))
    wait_until_asleep(pid)


@plain
@pytest.mark.parametrize("function", CALLS)
@fault("P09", slow=True)
def test_no_call_that_fails_is_taken_for_a_yes(asked, failing, alice, figure, function):
    numbers = [getattr(errno, name) for name in CALLS[function][1].split()]
    calls = 0
    late = contextlib.nullcontext()
    if function == "poll":
        asked.socket = asked.directory / "run" / "lookup"
        asked.service("source=env:CERT timeout=30000")
        late = asked.daemon(converse=answer_who_waits)
    with late, Guest(asked, CERT=alice.pem, **failing.environment) as guest:
        assert is_whole(guest.life())
        before = guest.life()
        for number in numbers:
            rounds = rounds_until_none_fails(failing, function, number, guest.life)
            # In both phases.
            assert [is_from_module for _, _, is_from_module in rounds].count(True) >= 2
            for n, life, is_from_module in rounds:
                assert_outcome(life, function, number, is_from_module)
                assert life["descriptors"] == before["descriptors"], (function, n, life)
            calls += len(rounds) - 1
    figure(f"{function} {calls}")


# Lives and threads ---------------------------------------------------------------------------------


@fault("P01")
def test_more_descriptors_than_a_set_has_are_no_trouble(asked, alice):
    with Guest(asked, CERT=alice.pem) as guest:
        assert guest.hog(1100)["descriptors"] > 1100
        assert is_whole(guest.life())


@plain
@fault("P04", slow=True)
def test_daemon_that_dies_between_connect_and_send_kills_no_host(
        asked, failing, stopped_daemon, alice, figure):
    tries = 100
    with Guest(asked, CERT=alice.pem, **failing.environment) as guest:
        for _ in range(tries):
            assert is_whole(guest.life())
            failing.arm("", 0)
            failing.page.victim_pid = stopped_daemon.process.pid
            life = guest.life()
            assert failing.stop() == 1
            assert life["authenticate"] == AUTHINFO_UNAVAIL and life["kept_signals"], life
            stopped_daemon.kill()
            stopped_daemon.start()
    figure(f"{tries} deaths")


@plain
@fault("P05")
def test_a_thousand_lives_leave_nothing_behind(asked, failing, alice, figure):
    lives = 1000
    with Guest(asked, CERT=alice.pem, **failing.environment) as guest:
        before = guest.lives(100)
        after = guest.lives(lives)
    assert after["right"] == lives
    for name in ("descriptors", "threads", "exit_handlers"):
        assert after[name] == before[name], name
    growth = after["resident_kib"] - before["resident_kib"]
    # Half a byte of a leak in each life would be less than a page; this is 256 bytes in each.
    assert growth < 256
    figure(f"{lives} lives, {growth} KiB more")


@plain
@needs("valgrind")
@fault("P05", slow=True)
def test_valgrind_finds_nothing_in_whole_lives(asked, alice, figure):
    lives = 20
    valgrind = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full",
                "--errors-for-leak-kinds=definite", "--keep-debuginfo=yes"]
    asked.service("source=env:CERT timeout=30000")
    with Guest(asked, before=valgrind, CERT=alice.pem) as guest:
        assert guest.lives(lives)["right"] == lives
        assert guest.end() == (0, "")
    figure(f"{lives} under valgrind")


def build_with_thread_sanitizer(directory):
    """The module and the guest; skips where this compiler has none."""
    source = "int main(void) { return 0; }"
    probe = subprocess.run(["cc", "-fsanitize=thread", "-xc", "-", "-o", directory / "probe"],
                           input=source, text=True, capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("this compiler has no thread sanitizer")
    build = directory / "tsan"
    subprocess.run(["meson", "setup", "-Dtests=false", "-Db_sanitize=thread", "-Db_lundef=false",
                    build, TREE], check=True, capture_output=True)
    subprocess.run(["ninja", "-C", build, "pam_certmap/pam_certmap.so"], check=True,
                   capture_output=True)
    subprocess.run(["cc", "-fsanitize=thread", "-g", "-O1", "-D_GNU_SOURCE", "-rdynamic",
                    TREE / "tests/faults/guest.c", "-o", directory / "guest", "-lpam", "-ldl"],
                   check=True, capture_output=True)
    return build / "pam_certmap/pam_certmap.so", directory / "guest"


SUPPRESSIONS = pathlib.Path(__file__).with_name("tsan.suppressions")


@plain
@fault("P06", slow=True)
def test_threads_get_their_own_user_each_and_race_for_nothing(
        asked, pki, database, tmp_path, figure):
    threads, rounds = 16, 200
    asked.module, guest_program = build_with_thread_sanitizer(tmp_path)
    asked.service("source=pamenv:CERT user=set timeout=30000")
    certificates = asked.directory / "certificates"
    certificates.mkdir()
    users = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0][:threads]
    for user in users:
        certificate = pki.leaf(f"thread-{user}")
        (certificates / user).write_text(certificate.pem)
        database.map(certificate, account=user)
    # The runtime of gcc 12 does not know the addresses that newer kernels choose at random.
    with Guest(asked, before=["setarch", "--addr-no-randomize"], program=guest_program,
               GUEST_CERTIFICATES=str(certificates),
               TSAN_OPTIONS=f"exitcode=66 suppressions={SUPPRESSIONS}") as guest:
        done = guest.threads(threads, rounds)
        assert guest.end() == (0, "")
    assert (done["workers"], done["right"]) == (threads, threads * rounds)
    figure(f"{done['right']} lives in {threads} threads")


# What the caller says -------------------------------------------------------------------------------

HOSTILE_PATHS = (
    "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "OPENSSL_CONF", "OPENSSL_MODULES",
    "OPENSSL_ENGINES", "SSL_CERT_FILE", "SQLITE_TMPDIR", "TMPDIR", "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME", "LANG", "LC_ALL", "LOCPATH", "NLSPATH", "GCONV_PATH",
    "HOSTALIASES", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "CERTMAP_SOCKET", "CERTMAPD",
    "CERTMAP_DATABASE", "CERTMAP_FAULTS_CONTROL")


@needs("strace")
@pytest.mark.root
@pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer reads paths of its own")
@pytest.mark.parametrize("options, outcome", [
    ("source=env:SSL_CLIENT_CERT", (CRED_INSUFFICIENT, "no-certificate")),
    ("source=authtok", (SUCCESS, "allowed"))])
@fault("P11")
def test_environment_of_the_caller_of_a_setuid_program_opens_nothing(pam, options, outcome):
    hostile = pam.directory / "hostile"
    hostile.mkdir(mode=0o777)
    for source in (GUEST, MODULE):
        shutil.copy(source, pam.directory)
    guest, pam.module = pam.directory / GUEST.name, pam.directory / MODULE.name
    os.chown(guest, pwd.getpwnam("daemon").pw_uid, -1)
    os.chmod(guest, 0o4755)
    pam.service(options)
    environment = {
        "SSL_CLIENT_CERT": "x", "GUEST_ANSWER": "x", "CERTMAP_ACCOUNT": "root",
        "CERTMAP_FINGERPRINT": "00" * 32, **{name: str(hostile / name) for name in HOSTILE_PATHS}}
    trace = pam.directory / "trace"
    strace = ["strace", "-f", "-u", "nobody", "-e", "trace=%file,%network", "-s", "4096", "-o", trace,
              *(word for name, value in environment.items() for word in ("-E", f"{name}={value}"))]
    with pam.says("nobody") as daemon, Guest(pam, before=strace, program=guest) as process:
        life = process.life()
    assert (life["authenticate"], life["reason"]) == outcome
    # The program's own start names no path but in execve(2); and the trace is not an empty one.
    calls = [line for line in trace.read_text().splitlines() if "execve(" not in line]
    assert any(str(pam.services) in line for line in calls)
    assert [line for line in calls if str(hostile) in line] == []
    assert len(daemon.requests) == (2 if outcome[0] == SUCCESS else 0)


NAMES = {"another one": "start:svc:daemon", "empty": "start:svc:", "none": "start:svc",
         "a line feed": "start:svc:root\n", "a space": "start:svc:nobody ",
         "in capitals": "start:svc:NOBODY"}


@pytest.mark.parametrize("start", NAMES.values(), ids=NAMES)
@fault("P12")
def test_name_that_is_not_the_mapped_one_is_refused_and_left_alone(asked, alice, start):
    run = asked.run(start, "answer:nobody", "authenticate", "show", environment={"CERT": alice.pem})
    assert run.code == AUTH_ERR
    assert run.value("user") == (start.strip("\n").split(":") + [""])[2]
    assert run.value("prompts") == "0"


@pytest.mark.parametrize("change", ["user:daemon", "user:root", "user:", "nss-user:root"])
@fault("P12")
def test_name_that_changes_after_the_lookup_is_refused(asked, alice, change):
    environment = {"CERT": alice.pem}
    if change.startswith("nss"):
        run = asked.run("start:svc:nobody", change, "authenticate", environment=environment)
        assert run.code == AUTH_ERR
    else:
        run = asked.run("start:svc:nobody", "authenticate", change, "account", "show",
                        environment=environment)
        assert run.codes == [SUCCESS, AUTH_ERR]
        assert run.value("user") == change.split(":")[1]


@pytest.mark.parametrize("mapped, name", [("nobody", "daemon"), ("daemon", "daemon")])
@fault("P12")
def test_name_that_the_conversation_brings_is_not_the_one_asked_for(
        asked, database, alice, mapped, name):
    """Also where it would be the mapped one by then: the service lets in whom it asked for."""
    database.sql(f"UPDATE mapping SET account = '{mapped}';")
    asked.service("source=authtok")
    run = asked.run("start:svc:nobody", f"answer:{alice.pem}", f"prompt-user:{name}",
                    "authenticate")
    assert run.code == AUTH_ERR


EVIDENCE = {
    "none": ((), {}, CRED_INSUFFICIENT),
    "empty": ((), {"CERT": ""}, CRED_INSUFFICIENT),
    "null in words": ((), {"CERT": "(null)"}, AUTH_ERR),
    "64 KiB": (("fill:CERT:65536",), {}, AUTH_ERR),
    "1 MiB": (("fill:CERT:1048576",), {}, AUTH_ERR),
}


@pytest.mark.parametrize("commands, environment, code", EVIDENCE.values(), ids=EVIDENCE)
@fault("P13")
def test_evidence_that_is_none_is_refused(asked, commands, environment, code):
    run = asked.run("start:svc:nobody", *commands, "authenticate", environment=environment)
    assert run.code == code


@fault("P13")
def test_certificate_ends_at_a_nul_and_nowhere_else(asked, daemon, alice):
    cut = alice.pem[:len(alice.pem) // 2]
    run = asked.run("start:svc:nobody", "authenticate", environment={"CERT": cut})
    assert run.code == AUTH_ERR
    for evidence in (f"{cut}\0{alice.pem}", f"{alice.pem}\0", f"\0{alice.pem}"):
        assert daemon.reason(evidence, "nobody") == "malformed-certificate"


@pytest.mark.parametrize("options", [
    "source=env:CERT tiemout=5", "source=env:CERT unknown", "source=env:CERT source=env:CERT",
    "source=env:CERT debug debug", "source=env:CERT accept=", "accept=certificate"])
@fault("P14")
def test_stack_line_that_is_not_understood_lets_nobody_in(asked, alice, options):
    asked.service(options)
    run = asked.run("start:svc:nobody", "authenticate", environment={"CERT": alice.pem})
    assert run.code == SERVICE_ERR
    assert run.line.startswith("reason=misconfigured ") and 'name="' in run.line


@pytest.mark.root
@fault("P14")
def test_stack_that_can_not_be_read_lets_nobody_in(pam):
    """libpam takes that of `other` then, which denies."""
    pam.become_nobody()
    pam.service("source=env:CERT")
    with pam.says("nobody") as daemon:
        readable = pam.run("start:svc:nobody", "authenticate", environment={"CERT": "x"})
        (pam.services / "svc").chmod(0)
        unreadable = pam.run("start:svc:nobody", "authenticate", environment={"CERT": "x"})
    assert (readable.code, unreadable.code, len(daemon.requests)) == (SUCCESS, AUTH_ERR, 1)


@pytest.mark.parametrize("flags", [PAM_SILENT, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK])
@pytest.mark.parametrize("options, code", [("source=env:CERT", SUCCESS),
                                           ("source=authtok", CRED_INSUFFICIENT)])
@fault("P17")
def test_silence_and_no_conversation_are_no_trouble(asked, alice, options, code, flags):
    asked.service(options)
    run = asked.run("start:svc:nobody", "conversation:none", f"authenticate:{flags}", "show",
                    environment={"CERT": alice.pem})
    assert run.code == code
    assert (run.value("prompts"), run.value("messages")) == ("0", "0")
