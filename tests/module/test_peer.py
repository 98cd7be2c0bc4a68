# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_sm_authenticate against a daemon that is absent, slow, wrong or hostile."""
import os
import socket
import struct
import time

import pytest

from fake_daemon import FINGERPRINT, allowed, frame, payload_of, receive_request
from pam_stage import AUTH_ERR, AUTHINFO_UNAVAIL, LOG_ERR, SUCCESS

# What starting the driver may take on a slow machine; a timeout of the exchange would show.
AT_ONCE_SEC = 10


def login(pam, options="", user="nobody"):
    pam.service(f"source=env:CERT {options}")
    began = time.monotonic()
    run = pam.run(f"start:svc:{user}", "authenticate", "show", environment={"CERT": "x"})
    run.seconds = time.monotonic() - began
    return run


def is_unavailable(run):
    return (run.code == AUTHINFO_UNAVAIL and run.priorities == [LOG_ERR]
            and run.line.startswith("reason=unavailable ") and run.certmap_environment == {})


def bind(path, backlog=None):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(path))
    if backlog is not None:
        listener.listen(backlog)
    return listener


def test_socket_that_nobody_listens_to_is_unavailable_at_once(pam):
    with bind(pam.socket):
        run = login(pam)
    assert is_unavailable(run)
    assert run.seconds < AT_ONCE_SEC
    assert "refused" in run.line


@pytest.mark.parametrize("make", [
    lambda path: None,
    lambda path: path.write_text("not a socket"),
    lambda path: path.symlink_to("/run/elsewhere"),
    lambda path: path.mkdir(),
    lambda path: path.parent.rmdir(),
], ids=["missing", "file", "link", "directory", "no directory"])
def test_socket_that_is_none_is_unavailable_at_once(pam, make):
    make(pam.socket)
    run = login(pam)
    assert is_unavailable(run)
    assert run.seconds < AT_ONCE_SEC


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_socket_in_a_directory_that_others_write_is_not_trusted(pam, mode):
    pam.socket.parent.chmod(mode)
    with pam.says("nobody"):
        run = login(pam)
    assert is_unavailable(run)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize("mode, reachable", [(0o755, True), (0o711, True), (0o700, False)])
def test_ordinary_user_asks_the_daemon_of_root_where_it_can_be_reached(pam, mode, reachable):
    pam.become_nobody()
    pam.socket.parent.chmod(mode)
    with pam.says("nobody"):
        run = login(pam)
    assert run.code == SUCCESS if reachable else is_unavailable(run)
    assert reachable or "Permission denied" in run.line


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_socket_of_a_stranger_is_not_trusted(pam):
    with pam.says("nobody"):
        os.chown(pam.socket, 65534, 65534)
        run = login(pam)
    assert is_unavailable(run)


def test_full_backlog_ends_at_the_deadline(pam):
    """connect() to a full backlog blocks for ever; nobody ever accepts here."""
    listener = bind(pam.socket, backlog=0)
    waiting = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        waiting.append(client)
        try:
            client.connect(os.fspath(pam.socket))
        except BlockingIOError:
            break
    run = login(pam, "timeout=400")
    for each in [listener, *waiting]:
        each.close()
    assert is_unavailable(run)
    assert 0.4 <= run.seconds < 0.4 + AT_ONCE_SEC


def test_daemon_that_never_answers_ends_at_the_deadline(pam):
    with bind(pam.socket, backlog=4):
        run = login(pam, "timeout=300")
    assert is_unavailable(run)
    assert 0.3 <= run.seconds < 0.3 + AT_ONCE_SEC


@pytest.mark.parametrize("gap, timeout, in_time", [(0.001, 30000, True), (0.05, 300, False)])
def test_reply_byte_by_byte_counts_whole_or_not_at_all(pam, gap, timeout, in_time):
    def converse(connection):
        for byte in allowed(receive_request(connection), "nobody"):
            connection.send(bytes([byte]))
            time.sleep(gap)

    with pam.daemon(converse=converse):
        run = login(pam, f"timeout={timeout}")
    if in_time:
        assert run.code == SUCCESS
    else:
        assert is_unavailable(run)
        assert 0.3 <= run.seconds < 0.3 + AT_ONCE_SEC


def header(length, magic=b"CMAP", version=1, kind=2, zero=0):
    return struct.pack(">4sBBHI", magic, version, kind, zero, length)


def without(request, name):
    values = {"reason": "allowed", "account": "nobody", "mapping_id": 7,
              "fingerprint": FINGERPRINT, "correlation_id": request["correlation_id"]}
    del values[name]
    return frame(payload_of(**values))


REPLIES = {
    "nothing": lambda request: b"",
    "half a header": lambda request: b"CMAP\1",
    "length 0": lambda request: header(0),
    "length 2^31-1": lambda request: header(2**31 - 1) + b"x" * 4096,
    "length 2^32-1": lambda request: header(2**32 - 1) + b"x" * 4096,
    "a megabyte": lambda request: header(2**20) + b"x" * 2**20,
    "no end": lambda request: allowed(request, "nobody")[:-1],
    "a byte more": lambda request: allowed(request, "nobody") + b"\0",
    "two replies": lambda request: allowed(request, "nobody") * 2,
    "another magic": lambda request: b"XMAP" + allowed(request, "nobody")[4:],
    "a later version": lambda request: b"CMAP\2" + allowed(request, "nobody")[5:],
    "its own request back": lambda request: b"CMAP\1\1" + allowed(request, "nobody")[6:],
    "NUL in the account": lambda request: allowed(request, "nobody\0x"),
    "an empty account": lambda request: allowed(request, ""),
    "line feed in the account": lambda request: allowed(request, "nobody\n"),
    "a long account": lambda request: allowed(request, "n" * 257),
    "no account": lambda request: without(request, "account"),
    "no mapping": lambda request: without(request, "mapping_id"),
    "no fingerprint": lambda request: without(request, "fingerprint"),
    "no correlation id": lambda request: without(request, "correlation_id"),
    "no reason": lambda request: without(request, "reason"),
    "another correlation id":
        lambda request: allowed(request, "nobody", correlation_id="0" * 32),
    "half a fingerprint": lambda request: allowed(request, "nobody", fingerprint="00" * 16),
    "a control in the subject": lambda request: allowed(request, "nobody", subject="CN=\x1b[2J"),
    "an unknown critical field": lambda request: frame(
        payload_of(reason="allowed", account="nobody", mapping_id=7, fingerprint=FINGERPRINT,
                   correlation_id=request["correlation_id"]) +
        struct.pack(">HI", 0x8000 | 99, 1) + b"x"),
}


@pytest.mark.parametrize("name", REPLIES)
def test_reply_that_breaks_a_rule_is_unavailable(pam, name):
    with pam.daemon(REPLIES[name]):
        run = login(pam)
    assert is_unavailable(run)
    assert run.seconds < AT_ONCE_SEC


def test_unknown_field_that_is_not_critical_is_skipped(pam):
    def answer(request):
        whole = allowed(request, "nobody")
        return frame(whole[12:] + struct.pack(">HI", 99, 1) + b"x")

    with pam.daemon(answer):
        assert login(pam).code == SUCCESS


@pytest.mark.parametrize("account", [
    "daemon", "root", "nobody ", " nobody", "NOBODY", "nobod", "nobodyx", "nоbody"])
def test_answer_about_another_account_is_a_mismatch(pam, account):
    """Byte by byte, the last one has a Cyrillic letter."""
    with pam.says(account):
        run = login(pam)
    assert run.code == AUTH_ERR
    assert run.line.startswith("reason=account-mismatch ")
    assert run.certmap_environment == {}


def test_daemon_that_hangs_up_on_us_is_unavailable(pam):
    """No SIGPIPE either: the driver would not end with 0."""
    with pam.daemon(converse=lambda connection: None):
        runs = [login(pam) for _ in range(3)]
    assert all(is_unavailable(run) for run in runs)


def test_answer_that_comes_before_the_request_was_read_is_about_no_request(pam):
    def converse(connection):
        connection.sendall(allowed({"correlation_id": b"0" * 32}, "nobody"))

    with pam.daemon(converse=converse):
        assert is_unavailable(login(pam))
