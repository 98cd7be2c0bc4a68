# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_protocol_page.py owns the proof that PROTOCOL.md says what the code does: its examples, its
tables and its words, against the headers and against a client written from the page alone."""

import pathlib
import re
import socket
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import certmap_client as client  # noqa: E402

PROTOCOL = pathlib.Path(__file__).resolve().parents[2] / "certmapd" / "protocol"
PAGE = (PROTOCOL / "PROTOCOL.md").read_text(encoding="utf-8")

REQUEST = {
    "phase": "authenticate", "mode": "match", "service": "proftpd", "user": "alice",
    "kind": "certificate", "evidence": b"MIIB", "remote-host": "192.0.2.7",
    "correlation-id": "00c0ffee",
}
REPLY = {
    "reason": "allowed", "account": "alice", "uid": 1000, "mapping-id": 7,
    "fingerprint": "0123456789abcdef" * 4, "subject": "CN=alice", "correlation-id": "00c0ffee",
}

STATUS = {
    "version": "0.1.0", "pid": 4242, "started": 1801353600, "database-usable": 1,
    "counts": "allowed=7 unmapped=3", "shadowed": 0, "correlation-id": "00c0ffee",
}


def example(name):
    """The bytes of a worked example: the pairs of digits that a line begins with."""
    text = re.search(rf"^```{name}\n(.*?)^```", PAGE, re.M | re.S).group(1)
    return bytes.fromhex("".join(re.match(r" *((?:[0-9a-f]{2} ?)+)", line).group(1)
                                 for line in text.splitlines()))


def section(title):
    return re.search(rf"^##+ (?:\d+\. )?{title}\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S).group(1)


def tables(text):
    """The tables of a piece of the page: lists of rows without their header."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.M)
    return [[[cell.strip() for cell in line.strip("|\n").split("|")]
             for line in table.splitlines()[2:]] for table in found]


def field_table(title):
    fields = {}
    for number, name, critical, required, content, size in tables(section(title))[0]:
        sizes = [int(n) for n in size.split(" to ")]
        fields[name] = (int(number), critical == "yes", required == "yes", content,
                        sizes[0], sizes[-1])
    return fields


def enum_of_header(name, prefix):
    text = (PROTOCOL / "messages.h").read_text(encoding="utf-8")
    body = re.search(rf"^enum {name} {{\n(.*?)^}};", text, re.M | re.S).group(1)
    return {word.lower(): int(value)
            for word, value in re.findall(rf"^\s*{prefix}_(\w+) = (\d+),", body, re.M)}


def test_worked_request_is_built_byte_for_byte():
    assert client.build_request(REQUEST) == example("request")


def test_worked_request_is_parsed():
    values = client.parse_message(client.REQUEST, client.REQUEST_FIELDS, example("request"))
    assert values == {**REQUEST, "phase": 1, "mode": 1, "kind": 1}


def test_worked_reply_is_parsed():
    assert client.parse_reply(example("reply")) == REPLY


def test_worked_reply_is_built_byte_for_byte():
    assert client.build_message(client.REPLY, client.REPLY_FIELDS, REPLY) == example("reply")


def test_reply_to_an_unreadable_request_is_of_the_stated_length_and_says_unavailable():
    assert len(example("unreadable")) == 29
    assert client.parse_reply(example("unreadable")) == {"reason": "unavailable"}


def test_worked_status_is_built_and_parsed():
    request = {"correlation-id": "00c0ffee"}
    for kind, fields, values, name in (
            (client.STATUS_REQUEST, client.STATUS_REQUEST_FIELDS, request, "status-request"),
            (client.STATUS, client.STATUS_FIELDS, STATUS, "status")):
        assert client.build_message(kind, fields, values) == example(name)
        assert client.parse_message(kind, fields, example(name)) == values


@pytest.mark.parametrize("name", ["request", "reply", "unreadable", "status-request", "status"])
def test_examples_stand_in_the_unit_tests_too(name):
    """The C code is tested with the same bytes: test_messages.c writes them as string literals."""
    source = (PROTOCOL.parents[1] / "tests" / "unit" / "test_messages.c").read_text()
    literal = re.search(rf"{name.replace('-', '_')}_example\[\] =(.*?);", source, re.S).group(1)
    literal = literal.replace("FINGERPRINT", '"' + "0123456789abcdef" * 4 + '"')
    text = "".join(re.findall(r'"(.*?)"', literal))
    escapes = re.compile(r"\\x([0-9a-f]{2})|\\([0-7])")
    unescaped = escapes.sub(lambda m: chr(int(m[1], 16) if m[1] else int(m[2], 8)), text)
    assert unescaped.encode("latin-1") == example(name)


def test_limits_equal_the_constants_of_the_header():
    text = (PROTOCOL / "messages.h").read_text(encoding="utf-8")
    header = {name: int(value) for name, value in
              re.findall(r"^#define (\w+_BYTES) (\d+)u\b", text, re.M)}
    page = {name.strip("`"): int(value) for name, value in tables(section("Limits"))[0]}
    assert len(header) == 16
    assert page == header


@pytest.mark.parametrize("title, fields", [
    ("The request", client.REQUEST_FIELDS), ("The reply", client.REPLY_FIELDS)])
def test_field_tables_equal_those_of_the_client(title, fields):
    page = field_table(title)
    assert page == fields
    assert [rule[0] for rule in page.values()] == list(range(1, len(page) + 1))


@pytest.mark.parametrize("table, fields", [
    (0, client.STATUS_REQUEST_FIELDS), (1, client.STATUS_FIELDS)])
def test_field_tables_of_the_status_equal_those_of_the_client(table, fields):
    rows = tables(section("The status"))[table]
    assert [[str(number), name, "no", "yes" if required else "no", content,
             str(most) if least == most else f"{least} to {most}"]
            for name, (number, _, required, content, least, most) in fields.items()] == rows


@pytest.mark.parametrize("title, name, limit", [
    ("The request", "service", "SERVICE_MAX_BYTES"),
    ("The request", "user", "ACCOUNT_MAX_BYTES"),
    ("The request", "evidence", "EVIDENCE_MAX_BYTES"),
    ("The request", "evidence-second", "EVIDENCE_SECOND_MAX_BYTES"),
    ("The request", "remote-host", "REMOTE_HOST_MAX_BYTES"),
    ("The request", "tty", "TTY_MAX_BYTES"),
    ("The request", "correlation-id", "CORRELATION_ID_MAX_BYTES"),
    ("The reply", "reason", "REASON_MAX_BYTES"),
    ("The reply", "account", "ACCOUNT_MAX_BYTES"),
    ("The reply", "fingerprint", "FINGERPRINT_HEX_BYTES"),
    ("The reply", "subject", "SUBJECT_MAX_BYTES"),
    ("The reply", "credential", "CREDENTIAL_MAX_BYTES"),
    ("The reply", "correlation-id", "CORRELATION_ID_MAX_BYTES"),
    ("The reply", "shadow", "REASON_MAX_BYTES"),
])
def test_field_tables_equal_the_table_of_limits(title, name, limit):
    limits = {name.strip("`"): int(value) for name, value in tables(section("Limits"))[0]}
    assert field_table(title)[name][5] == limits[limit]


@pytest.mark.parametrize("table, enum, prefix, words", [
    (1, "phase", "PHASE", client.PHASES),
    (2, "match_mode", "MODE", client.MODES),
    (3, "evidence_kind", "EVIDENCE", client.KINDS),
])
def test_enumerations_equal_those_of_the_header(table, enum, prefix, words):
    page = {row[1]: int(row[0]) for row in tables(section("The request"))[table]}
    assert page == words == enum_of_header(enum, prefix)


def test_reason_words_equal_those_of_the_code():
    source = (PROTOCOL / "reason.c").read_text(encoding="utf-8")
    words = re.findall(r'^\t\[REASON_\w+\] = "([a-z-]+)",', source, re.M)
    assert words[0] == "unknown"
    assert [row[0].strip("`") for row in tables(section("Reason words"))[0]] == words[1:]


def reply_with(**changes):
    values = {**REPLY, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return client.build_message(client.REPLY, client.REPLY_FIELDS, values)


@pytest.mark.parametrize("data", [
    b"", b"CMAP", example("reply")[:-1], example("reply") + b"\0", example("reply") * 2,
    b"X" + example("reply")[1:], client.frame(client.REPLY, b"", version=2),
    client.frame(client.REQUEST, example("reply")[12:]),
    client.frame(client.REPLY, example("reply")[12:], reserved=b"\0\1"),
    client.frame(client.REPLY, example("reply")[12:] + client.field(0x800a, b"")),
    client.frame(client.REPLY, example("reply")[12:] + client.field(8, b"00c0ffee")),
    client.frame(client.REPLY, example("reply")[12:] + client.field(0, b"")),
    reply_with(account=None), reply_with(mapping_id=None), reply_with(fingerprint=None),
    reply_with(mapping_id=0), reply_with(mapping_id=2**63), reply_with(uid=2**32 - 1),
    reply_with(uid=b"\0\0\1"), reply_with(account=b"alice\0x"), reply_with(account=b"a" * 257),
    reply_with(reason=None), reply_with(reason="Allowed"), reply_with(fingerprint="A" * 64),
    reply_with(subject=b"CN=\xc3\xa4"), reply_with(correlation_id=None),
    reply_with(reason="unmapped", credential=b"hunter2"),
    reply_with(shadow="unmapped"),
], ids=range(28))
def test_client_refuses_what_the_page_forbids(data):
    with pytest.raises(client.Unusable):
        client.parse_reply(data)


@pytest.mark.parametrize("data", [
    client.frame(client.REPLY, example("reply")[12:] + client.field(10, b"newer")),
    reply_with(uid=None), reply_with(subject=None), reply_with(subject=""),
    reply_with(credential=b"\0\xff"), reply_with(reason="quota-exceeded"),
], ids=range(6))
def test_client_takes_what_the_page_allows(data):
    client.parse_reply(data)


class PlayedDaemon:
    """Reads one request, as long as its header says, and sends `reply`."""

    def __init__(self, directory, reply):
        self.path = str(directory / "lookup")
        self.reply = reply
        self.request = b""
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return  # nobody came before the end
        with connection:
            header = connection.recv(client.HEADER.size, socket.MSG_WAITALL)
            length = client.HEADER.unpack(header)[4]
            self.request = header + connection.recv(length, socket.MSG_WAITALL)
            connection.sendall(self.reply)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


@pytest.fixture
def directory(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


def test_client_asks_with_the_worked_request_and_takes_the_worked_reply(directory):
    with PlayedDaemon(directory, example("reply")) as daemon:
        assert client.ask(daemon.path, REQUEST) == REPLY
    assert daemon.request == example("request")


@pytest.mark.parametrize("reply", [
    example("reply") + b"\n", example("reply")[:-1], b"", example("unreadable"),
    reply_with(correlation_id="00c0ffef"), example("reply") + b"\0" * 100000,
], ids=["byte after", "cut", "closed", "unreadable", "another id", "too large"])
def test_client_has_no_answer_where_the_reply_is_not_whole_and_its_own(directory, reply):
    with PlayedDaemon(directory, reply) as daemon, pytest.raises(client.Unusable):
        client.ask(daemon.path, REQUEST)


def test_client_refuses_a_directory_that_others_can_write(directory):
    directory.chmod(0o770)
    with PlayedDaemon(directory, example("reply")) as daemon, pytest.raises(client.Unusable):
        client.ask(daemon.path, REQUEST)


def test_command_line_prints_the_reply_and_its_status(directory, capsys):
    evidence = directory / "alice.cer"
    evidence.write_bytes(b"MIIB")
    with PlayedDaemon(directory, example("reply")) as daemon:
        status = client.main(["--socket", daemon.path, "--service", "proftpd", "--user", "alice",
                              "--evidence", str(evidence), "--remote-host", "192.0.2.7",
                              "--correlation-id", "00c0ffee"])
    assert status == 0
    assert daemon.request == example("request")
    assert "reason='allowed'" in capsys.readouterr().out


def test_command_line_sends_raw_bytes(directory, capsys):
    broken = directory / "broken"
    broken.write_bytes(client.frame(client.REQUEST, b"junk", version=9))
    with PlayedDaemon(directory, example("unreadable")) as daemon:
        assert client.main(["--socket", daemon.path, "--raw", str(broken)]) == 0
    assert daemon.request == broken.read_bytes()
    assert capsys.readouterr().out.strip() == example("unreadable").hex()
