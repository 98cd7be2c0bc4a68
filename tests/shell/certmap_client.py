#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""certmap_client.py owns a second client of the lookup protocol, written from
certmapd/protocol/PROTOCOL.md alone with python3's standard library, so that the page is known to
suffice and the daemon is tested by something that shares no code with it.

build_request() checks nothing on purpose: to see how the daemon refuses, one must be able to send
what breaks a rule. frame() and exchange() go further and send any bytes. parse_reply() checks
everything.
"""

import argparse
import os
import pathlib
import pwd
import re
import secrets
import socket
import stat
import struct
import sys
import time

DEFAULT_SOCKET = "/run/certmap/lookup"
DAEMON_USER = "certmap"
MAGIC = b"CMAP"
VERSION = 1
REQUEST, REPLY, STATUS_REQUEST, STATUS = 1, 2, 3, 4
CRITICAL = 0x8000
HEADER = struct.Struct(">4sBB2sI")
FIELD = struct.Struct(">HI")
REPLY_MAX_BYTES = 8192

PHASES = {"authenticate": 1, "account": 2}
MODES = {"match": 1, "set": 2}
KINDS = {"certificate": 1, "fingerprint": 2, "key": 3, "names": 4, "name": 5}

# name: (number, critical, required, content, least bytes, most bytes)
REQUEST_FIELDS = {
    "phase": (1, True, True, "u8", 1, 1),
    "mode": (2, True, True, "u8", 1, 1),
    "service": (3, True, True, "service", 1, 64),
    "user": (4, True, False, "text", 1, 256),
    "kind": (5, True, True, "u8", 1, 1),
    "evidence": (6, True, True, "bytes", 1, 65536),
    "evidence-second": (7, True, False, "bytes", 1, 16384),
    "remote-host": (8, False, False, "text", 0, 256),
    "tty": (9, False, False, "text", 0, 64),
    "correlation-id": (10, False, True, "id", 1, 64),
    "credential-wanted": (11, False, False, "u8", 1, 1),
}
REPLY_FIELDS = {
    "reason": (1, True, True, "word", 1, 64),
    "account": (2, True, False, "text", 1, 256),
    "uid": (3, False, False, "u32", 4, 4),
    "mapping-id": (4, False, False, "u64", 8, 8),
    "fingerprint": (5, False, False, "hex", 64, 64),
    "subject": (6, False, False, "printable", 0, 1024),
    "credential": (7, False, False, "bytes", 1, 1024),
    "correlation-id": (8, False, False, "id", 1, 64),
    "shadow": (9, False, False, "word", 1, 64),
}
STATUS_REQUEST_FIELDS = {
    "correlation-id": (1, False, True, "id", 1, 64),
}
STATUS_FIELDS = {
    "version": (1, False, True, "printable", 1, 64),
    "pid": (2, False, True, "u32", 4, 4),
    "started": (3, False, True, "u64", 8, 8),
    "database-usable": (4, False, True, "u8", 1, 1),
    "counts": (5, False, True, "printable", 0, 4096),
    "shadowed": (6, False, False, "u64", 8, 8),
    "correlation-id": (7, False, True, "id", 1, 64),
}

INTEGERS = {"u8": 1, "u32": 4, "u64": 8}
CONTENT = {
    "text": rb"[\x20-\x7e\x80-\xff]*",
    "printable": rb"[\x20-\x7e]*",
    "service": rb"(?!\*\Z)[\x21-\x2e\x30-\x40\x5b-\x7e]*",
    "word": rb"[a-z0-9-]*",
    "id": rb"[0-9A-Za-z-]*",
    "hex": rb"[0-9a-f]*",
}


class Unusable(Exception):
    """No usable answer: what a client calls "unavailable"."""


def field(tag, value):
    """One field; `tag` as it stands in the frame, critical bit included."""
    return FIELD.pack(tag, len(value)) + value


def frame(kind, payload, version=VERSION, magic=MAGIC, reserved=b"\0\0", length=None):
    """A frame, right unless told otherwise."""
    stated = len(payload) if length is None else length
    return HEADER.pack(magic, version, kind, reserved, stated) + payload


def _encode(content, value):
    if isinstance(value, bytes):
        return value
    if content in INTEGERS:
        return int(value).to_bytes(INTEGERS[content], "big")
    return value.encode("utf-8", "surrogateescape")


def build_message(kind, fields, values):
    """The frame with the fields of `values`, by name; bytes are sent as they are."""
    unknown = set(values) - set(fields)
    if unknown:
        raise ValueError(f"no such field: {', '.join(sorted(unknown))}")
    payload = b""
    for name, (number, critical, _, content, _, _) in fields.items():
        if values.get(name) is not None:
            tag = number | (CRITICAL if critical else 0)
            payload += field(tag, _encode(content, values[name]))
    return frame(kind, payload)


def build_request(values):
    """The frame of a request. Phase, mode and kind may be given as words."""
    values = dict(values)
    for name, words in (("phase", PHASES), ("mode", MODES), ("kind", KINDS)):
        values[name] = words.get(values.get(name), values.get(name))
    return build_message(REQUEST, REQUEST_FIELDS, values)


def parse_fields(payload):
    """The fields of a payload as (number, critical, value), in their order."""
    fields, last = [], 0
    while payload:
        if len(payload) < FIELD.size:
            raise Unusable("the payload ends inside of a field's header")
        tag, length = FIELD.unpack_from(payload)
        number = tag & ~CRITICAL
        value = payload[FIELD.size:FIELD.size + length]
        if len(value) != length:
            raise Unusable(f"field {number} passes the end")
        if number <= last:
            raise Unusable(f"field {number} after field {last}")
        fields.append((number, bool(tag & CRITICAL), value))
        payload, last = payload[FIELD.size + length:], number
    return fields


def _decode(name, rule, value):
    _, _, _, content, least, most = rule
    if not least <= len(value) <= most:
        raise Unusable(f"{name} has {len(value)} bytes")
    if content in INTEGERS:
        return int.from_bytes(value, "big")
    if content in CONTENT and not re.fullmatch(CONTENT[content], value):
        raise Unusable(f"{name} holds bytes that may not stand in it")
    return value if content == "bytes" else value.decode("utf-8", "surrogateescape")


def parse_message(kind, fields, data):
    """The values of a frame by the names of `fields`; checks the frame and each field."""
    if len(data) < HEADER.size:
        raise Unusable("the frame ends inside of its header")
    magic, version, got_kind, reserved, length = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Unusable("another magic")
    if version != VERSION:
        raise Unusable(f"version {version}")
    if got_kind != kind or reserved != b"\0\0":
        raise Unusable("another type, or reserved bytes that are not zero")
    if length != len(data) - HEADER.size:
        raise Unusable("the frame does not end with the stream")

    names = {rule[0]: name for name, rule in fields.items()}
    values = {}
    for number, critical, value in parse_fields(data[HEADER.size:]):
        if number in names:
            values[names[number]] = _decode(names[number], fields[names[number]], value)
        elif critical:
            raise Unusable(f"unknown critical field {number}")
    for name, rule in fields.items():
        if rule[2] and name not in values:
            raise Unusable(f"no {name}")
    return values


def parse_reply(data):
    """The values of a whole reply. Raises Unusable for whatever breaks the protocol."""
    if len(data) > REPLY_MAX_BYTES:
        raise Unusable("the reply is too large")
    reply = parse_message(REPLY, REPLY_FIELDS, data)
    if reply["reason"] == "allowed":
        if not {"account", "mapping-id", "fingerprint"} <= set(reply):
            raise Unusable("allowed without saying who")
    elif "credential" in reply:
        raise Unusable("a credential beside a refusal")
    if "shadow" in reply and reply["reason"] != "no-certificate":
        raise Unusable("a shadow beside a verdict")
    if "correlation-id" not in reply and reply["reason"] not in ("unavailable", "forbidden"):
        raise Unusable("no correlation-id")
    if reply.get("uid") == 2**32 - 1 or not 1 <= reply.get("mapping-id", 1) < 2**63:
        raise Unusable("a number out of its range")
    return reply


def _trusted_uids():
    return {0, os.geteuid()}


def check_place(path):
    """Refuses a socket that somebody else could have put there."""
    if not path.startswith("/"):
        raise Unusable("the socket's path is not absolute")
    try:
        directory, place = os.lstat(os.path.dirname(path)), os.lstat(path)
    except OSError as error:
        raise Unusable(str(error)) from error
    if not stat.S_ISDIR(directory.st_mode) or directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Unusable("the socket's directory is none, or others can write it")
    if not stat.S_ISSOCK(place.st_mode):
        raise Unusable("not a socket")
    if not {directory.st_uid, place.st_uid} <= _trusted_uids():
        raise Unusable("the socket or its directory belongs to somebody else")


def check_listener(connection):
    """Refuses a listener that is neither root, the daemon's user nor our own."""
    ucred = struct.Struct("iII")  # pid, uid, gid, unix(7)
    uid = ucred.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, ucred.size))[1]
    if uid in _trusted_uids():
        return
    try:
        if pwd.getpwnam(DAEMON_USER).pw_uid == uid:
            return
    except KeyError:
        pass
    raise Unusable(f"uid {uid} listens at the socket")


def _left(deadline):
    left = deadline - time.monotonic()
    if left <= 0:
        raise Unusable("no answer in time")
    return left


def _connect(connection, path, deadline):
    while True:
        connection.settimeout(0)
        try:
            return connection.connect(path)
        except BlockingIOError:
            time.sleep(min(0.005, _left(deadline)))


def _receive_all(connection, deadline, most):
    received = b""
    while len(received) <= most:
        connection.settimeout(_left(deadline))
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            return received
        received += piece
    raise Unusable("the reply is too large")


def exchange(path, data, timeout=2.0, check=True, half_close=False, most=REPLY_MAX_BYTES):
    """Sends any bytes and returns all that comes back up to the end of the stream, perhaps
    nothing. Raises Unusable where the exchange itself fails or `timeout` seconds are over."""
    deadline = time.monotonic() + timeout
    if check:
        check_place(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            _connect(connection, path, deadline)
            if check:
                check_listener(connection)
            connection.settimeout(_left(deadline))
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the daemon may have answered before it closed
            return _receive_all(connection, deadline, most)
        except TimeoutError as error:
            raise Unusable("no answer in time") from error
        except OSError as error:
            raise Unusable(str(error)) from error


def new_correlation_id():
    return secrets.token_hex(16)


def ask(socket_path, request, timeout=2.0, check=True):
    """One lookup. `request` is as for build_request(); phase, mode, kind and correlation-id may be
    left out. Returns the reply's values or raises Unusable."""
    defaults = {"phase": "authenticate", "mode": "match", "kind": "certificate",
                "correlation-id": new_correlation_id()}
    request = {**defaults, **request}
    received = exchange(socket_path, build_request(request), timeout, check)
    if not received:
        raise Unusable("closed without a reply")
    reply = parse_reply(received)
    if "correlation-id" not in reply:
        raise Unusable(f"the daemon did not read the request: {reply['reason']}")
    if reply["correlation-id"] != request["correlation-id"]:
        raise Unusable("the reply belongs to another request")
    return reply


def _read_argument(path):
    return sys.stdin.buffer.read() if path == "-" else pathlib.Path(path).read_bytes()


def _parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        description="Ask certmapd once. Exit status: 0 allowed, 1 refused, 2 wrong usage, "
                    "3 no usable answer.")
    parser.add_argument("--socket", default=DEFAULT_SOCKET)
    parser.add_argument("--timeout", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--no-check", action="store_true",
                        help="do not check who owns the socket and listens at it")
    parser.add_argument("--raw", metavar="FILE",
                        help="send these bytes instead of a request and print, in hexadecimal, "
                             "what comes back; - is the standard input")
    parser.add_argument("--phase", choices=PHASES, default="authenticate")
    parser.add_argument("--mode", choices=MODES, default="match")
    parser.add_argument("--kind", choices=KINDS, default="certificate")
    parser.add_argument("--service")
    parser.add_argument("--user")
    parser.add_argument("--evidence", metavar="FILE", help="- is the standard input")
    parser.add_argument("--evidence-second", metavar="TEXT")
    parser.add_argument("--remote-host")
    parser.add_argument("--tty")
    parser.add_argument("--correlation-id", default=new_correlation_id())
    parser.add_argument("--credential-wanted", action="store_true")
    options = parser.parse_args(arguments)
    if not options.raw and not (options.service and options.evidence):
        parser.error("--service and --evidence are needed, or --raw")
    return options


def _request_of(options):
    request = {name: getattr(options, name.replace("-", "_")) for name in REQUEST_FIELDS}
    request["evidence"] = _read_argument(options.evidence)
    request["credential-wanted"] = 1 if options.credential_wanted else None
    return request


def main(arguments=None):
    options = _parse_arguments(arguments)
    try:
        if options.raw:
            print(exchange(options.socket, _read_argument(options.raw), options.timeout,
                           not options.no_check).hex())
            return 0
        reply = ask(options.socket, _request_of(options), options.timeout, not options.no_check)
    except Unusable as error:
        print(f"reason=unavailable error=\"{error}\"")
        return 3
    for name, value in reply.items():
        shown = "(not shown)" if name == "credential" else value
        print(f"{name}={shown!r}" if isinstance(shown, str) else f"{name}={shown}")
    return 0 if reply["reason"] == "allowed" else 1


if __name__ == "__main__":
    sys.exit(main())
