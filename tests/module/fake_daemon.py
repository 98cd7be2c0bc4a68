# SPDX-License-Identifier: LGPL-2.1-or-later
"""A daemon that says what a test tells it to, right or wrong.

It speaks certmapd/protocol/PROTOCOL.md with the standard library alone, so that a mistake in the
project's own reader and writer of messages can't hide itself here.
"""
import os
import socket
import struct
import threading

MAGIC = b"CMAP"
REQUEST, REPLY = 1, 2
CRITICAL = 0x8000
REQUEST_FIELDS = {
    1: "phase", 2: "mode", 3: "service", 4: "user", 5: "kind", 6: "evidence",
    7: "evidence_second", 8: "remote_host", 9: "tty", 10: "correlation_id",
    11: "credential_wanted",
}
REPLY_FIELDS = {
    "reason": 1, "account": 2, "uid": 3, "mapping_id": 4, "fingerprint": 5, "subject": 6,
    "credential": 7, "correlation_id": 8, "shadow": 9,
}
CRITICAL_REPLY_FIELDS = ("reason", "account")
FINGERPRINT = "00112233445566778899aabbccddeeff" * 2


def receive_exactly(connection, length):
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def receive_request(connection):
    """The fields of a request by name, as bytes."""
    magic, version, kind, zero, length = struct.unpack(
        ">4sBBHI", receive_exactly(connection, 12))
    assert (magic, version, kind, zero) == (MAGIC, 1, REQUEST, 0)
    payload = receive_exactly(connection, length)
    request = {}
    while payload:
        tag, length = struct.unpack(">HI", payload[:6])
        request[REQUEST_FIELDS[tag & ~CRITICAL]] = payload[6:6 + length]
        payload = payload[6 + length:]
    return request


def field(number, value, critical=False):
    return struct.pack(">HI", number | (CRITICAL if critical else 0), len(value)) + value


def frame(payload):
    return struct.pack(">4sBBHI", MAGIC, 1, REPLY, 0, len(payload)) + payload


def payload_of(**values):
    encoded = dict(values)
    if encoded.get("uid") is not None:
        encoded["uid"] = struct.pack(">I", encoded["uid"])
    if encoded.get("mapping_id") is not None:
        encoded["mapping_id"] = struct.pack(">Q", encoded["mapping_id"])
    payload = b""
    for name, number in REPLY_FIELDS.items():
        value = encoded.get(name)
        if value is not None:
            value = value.encode() if isinstance(value, str) else value
            payload += field(number, value, name in CRITICAL_REPLY_FIELDS)
    return payload


def allowed(request, account, **changes):
    """The whole frame of an `allowed`, with some fields changed."""
    values = {
        "reason": "allowed", "account": account, "mapping_id": 7, "fingerprint": FINGERPRINT,
        "subject": "CN=somebody", "correlation_id": request["correlation_id"],
    }
    values.update(changes)
    return frame(payload_of(**values))


def refused(request, reason, **changes):
    values = {"reason": reason, "correlation_id": request["correlation_id"]}
    values.update(changes)
    return frame(payload_of(**values))


class FakeDaemon:
    """Listens at `path`; `answer(request)` gives the bytes of a reply, or `converse(connection)`
    does all of it. Keeps the requests it saw."""

    def __init__(self, path, answer=None, converse=None, backlog=64):
        self.requests = []
        self.answer = answer
        self.converse = converse or self.answer_once
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.fspath(path))
        os.chmod(path, 0o666)
        self.listener.listen(backlog)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def answer_once(self, connection):
        request = receive_request(connection)
        self.requests.append(request)
        connection.sendall(self.answer(request))

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.converse(connection)
                except (EOFError, OSError):
                    pass  # the module hung up first

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
