# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_import.py owns what hostile, broken and very large inputs do to an import: they are refused
with a line that says where, quickly, and the database stays what it was."""
import base64
import csv
import json
import os
import pathlib
import pty
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from ctl_stage import dump, on_terminal
from shell_stage import CERTMAPCTL, OpenShell

MANY = 8_000
# Seconds: what is not linear takes longer than this, on a slow machine and with a sanitizer too.
FAR = 600 if "ASAN_OPTIONS" in os.environ else 120


@pytest.fixture
def room():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-"))
    yield directory
    shutil.rmtree(directory)


def one_line(certificate):
    return base64.b64encode(certificate.der_path.read_bytes()).decode()


def write_csv(path, header, *rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def synthetic(certificate, number):
    """A certificate like this one, with another signature: nobody verifies it here. The number stands
    where the index of the schema looks, 40 to 80 bytes before the end."""
    der = bytearray(certificate.der_path.read_bytes())
    der[-60:-52] = number.to_bytes(8, "big")
    return base64.b64encode(der).decode()


@pytest.fixture(scope="module")
def many(pki):
    """A CSV file of very many certificates."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-"))
    alice = pki.leaf("alice")
    yield write_csv(directory / "many.csv", ("account", "certificate"),
                    *((f"u{i}", synthetic(alice, i)) for i in range(MANY)))
    shutil.rmtree(directory)


def refused(tool, file, *words):
    """What an import of the file is refused with, on stderr and in the report. It must be quick, say
    nothing that moves a cursor, and change nothing."""
    before = dump(tool.database)
    started = time.monotonic()
    done = tool("import", file, *words, status=1,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
                if "ASAN_OPTIONS" not in os.environ else None)
    assert time.monotonic() - started < FAR
    assert dump(tool.database) == before
    said = done.out + done.err
    assert all(character.isprintable() or character == "\n" for character in said), said
    return said


def config(content, encoding="utf-8", declaration="UTF-8", doctype=""):
    return (f'<?xml version="1.0" encoding="{declaration}"?>{doctype}\r\n<configuration>\r\n'
            '<location path="Site"><system.webServer><security><authentication>\r\n'
            '<iisClientCertificateMappingAuthentication enabled="true"><oneToOneMappings>\r\n'
            f"{content}\r\n</oneToOneMappings></iisClientCertificateMappingAuthentication>\r\n"
            "</authentication></security></system.webServer></location></configuration>\r\n"
            ).encode(encoding)


AS_FTP = ("--location", "Site=ftp", "--lowercase")


# What Windows writes -----------------------------------------------------------------------------

@pytest.mark.parametrize("encoding, declaration, mark", [
    ("utf-16", "utf-16", b""), ("utf-16", "UTF-8", b""), ("utf-16-be", "utf-16", b"\xfe\xff"),
    ("utf-8", "UTF-8", b"\xef\xbb\xbf"), ("utf-8", "utf-8", b""),
    ("windows-1252", "windows-1252", b"")])
def test_config_in_the_encodings_of_windows_is_read(tool, room, alice, encoding, declaration, mark):
    file = room / "applicationHost.config"
    file.write_bytes(mark + config(f'<add userName="J&#xf6;rg" certificate="{one_line(alice)}" />'
                                   '<!-- Zürich -->', encoding, declaration))
    tool("import", file, *AS_FTP)
    assert tool.database.value("SELECT account FROM mapping") == "jörg"


def test_certificate_that_is_broken_over_lines_in_an_attribute_is_read(tool, room, alice):
    text = "\r\n   ".join(one_line(alice)[i:i + 64] for i in range(0, len(one_line(alice)), 64))
    file = room / "a.config"
    file.write_bytes(config(f'<add userName="alice" certificate="{text}" />'))
    tool("import", file, *AS_FTP)
    assert tool.database.value("SELECT count(*) FROM mapping") == 1


# Hostile XML -------------------------------------------------------------------------------------

LAUGHS = "<!DOCTYPE configuration [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{i} '{f'&a{i - 1};' * 10}'>" for i in range(1, 12)) + "]>"


HOSTILE_XML = {
    "laughs in an attribute": ('<add userName="&a11;" certificate="x" />', LAUGHS),
    "laughs in a text": ("&a11;", LAUGHS),
    "a file as entity": ("&e;", '<!DOCTYPE c [<!ENTITY e SYSTEM "file:///etc/passwd">]>'),
    "deep": ("<a>" * 100_000 + "</a>" * 100_000, ""),
    "a huge attribute": (f'<add userName="alice" certificate="{"M" * (10 << 20)}" />', ""),
    "a huge name": (f'<add userName="{"a" * 1_000_000}" certificate="MIIB" />', ""),
    "a NUL": ('<add userName="a\0b" certificate="MIIB" />', ""),
    "no UTF-8": ('<add userName="a@@b" certificate="MIIB" />', ""),
}


@pytest.mark.parametrize("name", HOSTILE_XML)
def test_hostile_xml_is_refused(tool, room, name):
    content, doctype = HOSTILE_XML[name]
    file = room / "hostile.config"
    file.write_bytes(config(content, doctype=doctype).replace(b"@@", b"\xff"))
    said = refused(tool, file, *AS_FTP)
    assert len(said) < 8192 and "root:" not in said


def test_names_of_xml_can_not_command_a_terminal(tool, room, alice):
    """XML takes C1 controls and marks that turn the direction of writing."""
    file = room / "a.config"
    file.write_bytes(config(f'<add userName="DOM&#x9b;2J\\x&#x202e;y" certificate="{one_line(alice)}"'
                            "/>"))
    said = refused(tool, file, *AS_FTP)
    assert "\\xc2\\x9b" in said and "\\xe2\\x80\\xae" in said


# Hostile CSV and JSON ----------------------------------------------------------------------------

@pytest.mark.parametrize("text", [
    b"account,certificate\n" + b"a" * (30 << 20) + b",MIIB\n",
    b'account,certificate\n"' + b"a\n" * (5 << 20),
    b"account,certificate\nalice," + b"MIIB" * (3 << 20) + b"\n",
    b"account,certificate\n\x1b[2Jalice\x07,MIIB\n",
    b"account,certificate\nal\0ice,MIIB\n",
    b"account\0x,certificate\nalice,MIIB\n",
    b"account,account,certificate\na,b,MIIB\n",
    b"account,certificate\na,b,c\n",
    b"\x1b]0;x\x07,account,certificate\na,b,c\n",
    b"," * 100_000 + b"\n",
    b"\xff\xfea\0c\0c\0",
    b"account,certificate_file\nalice,/dev/zero\n",
    b"account,certificate_file\nalice,fifo\n",
    b"account,certificate_file\nalice,.\n",
], ids=["long-cell", "open-quote", "long-certificate", "escapes", "nul", "nul-in-header", "column-twice", "more-cells", "escapes-in-header", "many-columns", "utf-16", "endless-file", "fifo", "directory"])
def test_hostile_csv_is_refused(tool, room, text):
    os.mkfifo(room / "fifo")
    (room / "hostile.csv").write_bytes(text)
    assert len(refused(tool, room / "hostile.csv")) < 8192


@pytest.mark.parametrize("text", [
    b"[" * 1_000_000,
    b'[{"a":' * 100_000,
    b'[{"account": "' + b"a" * (20 << 20) + b'", "certificate": "MIIB"}]',
    b'[{"account": "\\u0000", "certificate": "MIIB"}]',
    b'[{"account": "\\u001b[2J", "certificate": "MIIB"}]',
    b'[{"account": "\xff", "certificate": "MIIB"}]',
    b'[{"\\u001b[2J": 1}]',
    b'[{"enabled": 99999999999999999999999}]',
    b'[{"object": "service", "note": "of which one?"}]',
    b'[{"object": "credential", "service": "*", "sealed": "AAAA"}]',
    b'[{"object": "trust", "kind": "anchor", "content": "nothing"}]',
    b'[{"object": "service", "name": "ftp", "\\" = 1; --": 1}]',
    b'[{"object": "service", "name": "ftp", "enabled": "maybe"}]',
    b'[' + b'{"object": "service", "name": "ftp", ' + b", ".join(
        b'"c%d": 1' % i for i in range(1000)) + b'}]',
], ids=["deep", "deep-objects", "long-text", "nul", "escapes", "no-utf-8", "escapes-in-name", "huge-number", "no-key", "half-a-key", "no-trust", "sql-in-name", "no-flag", "many-columns"])
def test_hostile_json_is_refused(tool, room, text):
    tool.database.sql("INSERT INTO credential VALUES ('*', 'alice', x'01'), ('*', 'bob', x'02');")
    (room / "hostile.json").write_bytes(text)
    assert len(refused(tool, room / "hostile.json")) < 8192


def test_nul_in_the_name_of_a_column_does_not_make_it_another(tool, room, alice):
    (room / "a.csv").write_bytes(b"account\0s,certificate\nalice," + one_line(alice).encode())
    assert "column 1 holds a NUL" in refused(tool, room / "a.csv")


def test_too_many_columns_are_called_so(tool, room):
    (room / "a.csv").write_text("," * 100 + "\n")
    assert "more than 32 columns" in refused(tool, room / "a.csv")


@pytest.mark.parametrize("value", ["1000", "null", "true"])
def test_nul_that_jansson_overlooks_is_no_white_space(tool, room, alice, value):
    (room / "a.json").write_text(
        f'[{{"account": "alice", "certificate": "{one_line(alice)}", "account_uid": {value}\0}}]')
    assert "object 1: a NUL stands in it" in refused(tool, room / "a.json")


def test_json_with_a_certificate_and_a_file_of_one_is_refused(tool, room, alice):
    (room / "a.json").write_text(json.dumps([{
        "account": "alice", "certificate": one_line(alice), "certificate_file": str(alice.path)}]))
    assert "more than one certificate" in refused(tool, room / "a.json")


def test_json_with_more_members_than_columns_is_not_called_short_of_memory(tool, room):
    (room / "a.json").write_text(json.dumps([{"object": "service", "name": "ftp"} |
                                             {f"c{number}": 1 for number in range(100)}]))
    assert "more members than any table has columns" in refused(tool, room / "a.json")


def test_json_service_of_a_name_alone_is_a_row(tool, room):
    (room / "a.json").write_text('[{"object": "service", "name": "ftp", "inherit": false},'
                                 ' {"object": "service", "name": "imap"}]')
    tool("import", room / "a.json")
    assert tool.database.rows("SELECT name, inherit FROM service WHERE name <> '*'") \
        == [{"name": "ftp", "inherit": 0}, {"name": "imap", "inherit": None}]
    assert "0 added, 0 changed, 2 unchanged" in tool("import", room / "a.json").out


def test_a_file_that_is_too_long_is_named_so(tool, room, alice):
    (room / "certs").mkdir()
    (room / "certs" / "alice.pem").write_bytes(alice.path.read_bytes() + b"\n" * 70_000)
    assert "alice.pem" in refused(tool, room / "certs")


# Many --------------------------------------------------------------------------------------------

def test_many_rows_take_time_in_proportion(tool, many):
    started = time.monotonic()
    assert f"{MANY} added" in tool("import", many, "--quiet", "--no-uid").out
    assert time.monotonic() - started < FAR
    assert f"{MANY} unchanged" in tool("import", many, "--quiet", "--no-uid", "--sync").out


def test_progress_on_a_terminal_ends_clean(tool, many):
    status, said = on_terminal(tool, "import", str(many), "--quiet", "--no-uid")
    assert status == 0
    lines = said.split("\r\x1b[K")
    assert len(lines) > 2 and lines[0] == ""
    assert all(line == "" or line.startswith(("reading: ", "writing: ")) for line in lines[:-1])
    counts = [int(line.split()[1]) for line in lines if line.startswith("writing: ")]
    assert counts == sorted(counts) and max(counts, default=0) <= MANY
    assert all(line.endswith(f"of {MANY}") for line in lines if line.startswith("writing: "))
    # What stays on the screen is the answer alone.
    assert lines[-1] == f"{MANY} added, 0 changed, 0 unchanged.\n"


def test_short_import_shows_no_progress(tool, room, alice):
    file = write_csv(room / "a.csv", ("account", "certificate"), ("alice", one_line(alice)))
    # What lasts for 0.2 s is not short, and on a slow machine the first try may.
    for answer in ("1 added, 0 changed, 0 unchanged.\n", *3 * ["0 added, 0 changed, 1 unchanged.\n"]):
        _, said = on_terminal(tool, "import", str(file), "--quiet", "--no-uid")
        assert said.endswith(answer)
        if said == answer:
            break
    assert said == answer


def test_killed_import_leaves_nothing_and_the_next_one_works(tool, many):
    for delay in (0.2, 0.6, 1.0):
        process = subprocess.Popen([CERTMAPCTL, "import", "--database", tool.database.path, many,
                                    "--quiet", "--no-uid"], stdout=subprocess.DEVNULL)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        if process.wait() == -signal.SIGKILL:
            assert tool.database.value("SELECT count(*) FROM mapping") in (0, MANY)
    assert tool.database.value("PRAGMA integrity_check") == "ok"
    tool("import", many, "--quiet", "--no-uid")
    assert tool.database.value("SELECT count(*) FROM mapping") == MANY


def test_another_writer_is_waited_for_and_then_named(tool, room, alice):
    file = write_csv(room / "a.csv", ("account", "certificate"), ("alice", one_line(alice)))
    with OpenShell(tool.database) as shell:
        shell.type("BEGIN IMMEDIATE;")
        done = tool("import", file, "--wait", "0", status=1)
        assert "somebody else is writing" in done.err and done.out == ""
        shell.type("COMMIT;")
    tool("import", file, "--wait", "0")


def test_edit_between_plan_and_change_stops_a_sync(tool, room, alice, bob, carol):
    """The question on the terminal is asked from a plan; who answers late must not overwrite."""
    for name, certificate in (("alice", alice), ("bob", bob)):
        tool.database.map(certificate, account=name)
    file = write_csv(room / "a.csv", ("account", "certificate"), ("alice", one_line(alice)))
    writer = subprocess.Popen(
        ["/bin/sh", "-c", "read go; sqlite3 -cmd '.timeout 9000' \"$0\" \"DELETE FROM mapping WHERE"
         " account = 'alice'\"", str(tool.database.path)], stdin=subprocess.PIPE)
    # The question is asked of a terminal alone.
    master, slave = pty.openpty()
    process = subprocess.Popen([CERTMAPCTL, "import", "--database", tool.database.path, file,
                                "--sync"], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(master, 4096)
    writer.communicate(b"go\n")
    os.write(master, b"y\n")
    said = b""
    while True:
        try:
            said += os.read(master, 4096)
        except OSError:
            break
    os.close(master)
    assert process.wait() == 1 and b"somebody else has edited" in said
    assert tool.database.rows("SELECT account, enabled FROM mapping") \
        == [{"account": "bob", "enabled": 1}]


@pytest.mark.root
def test_full_disk_stops_an_import_and_keeps_what_was(tool, many, alice):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", directory],
                             check=False, stderr=subprocess.DEVNULL)
    if mounted.returncode != 0:
        directory.rmdir()
        pytest.skip("nothing can be mounted here")
    try:
        tool.database.map(alice)
        shutil.copy(tool.database.path, directory / "m.db")
        tool.database.path = directory / "m.db"
        done = tool("import", many, "--quiet", "--no-uid", status=1)
        assert "full" in done.err and done.out == ""
        assert [row["account"] for row in tool.database.rows("SELECT account FROM mapping")] \
            == ["alice"]
        assert tool.database.value("PRAGMA integrity_check") == "ok"
    finally:
        subprocess.run(["umount", directory], check=True)
        directory.rmdir()


# --sync ------------------------------------------------------------------------------------------

def sync(tool, room, *rows, header=("account", "certificate", "enabled"), words=()):
    file = write_csv(room / "sync.csv", header, *rows)
    done = tool("import", "--json", file, "--sync", "--no-uid", "--yes", *words)
    return [(line["account"], line["result"]) for line in json.loads(done.out)]


def states(tool):
    return tool.database.rows("SELECT account, enabled, replaces FROM mapping ORDER BY id")


@pytest.fixture
def staged(tool, pki, alice):
    """Alice is mapping 1, and her next certificate, 2, waits to replace it."""
    pki.leaf("alice-new")
    tool.database.map(alice)
    tool.database.sql("INSERT INTO mapping (account, certificate, enabled, replaces)"
                      " VALUES ('alice', readfile('alice-new.cer'), 0, 1);")
    return pki.leaf("alice-new")


def test_sync_retires_a_staged_mapping_that_the_source_does_not_have(tool, room, daemon, alice,
                                                                     staged):
    assert sync(tool, room, ("alice", one_line(alice), "yes")) \
        == [("alice", "unchanged"), ("alice", "missing")]
    assert daemon.reason(staged) == "mapping-disabled"
    assert daemon.reason(alice) == "allowed"


def test_sync_keeps_a_staged_mapping_that_the_source_stages(tool, room, alice, staged):
    file = room / "all.json"
    tool("export", "--format", "json", "--output", file)
    assert "0 added, 0 changed, 3 unchanged, 0 missing" in tool("import", file, "--sync").out
    assert states(tool)[1] == {"account": "alice", "enabled": 0, "replaces": 1}


def test_sync_disarms_a_staged_mapping_that_the_source_calls_disabled(tool, room, alice, staged):
    sync(tool, room, ("alice", one_line(alice), "yes"), ("alice", one_line(staged), "no"))
    assert states(tool)[1] == {"account": "alice", "enabled": 0, "replaces": None}


def test_sync_stages_what_the_source_stages(tool, room, alice, staged):
    file = room / "all.json"
    tool("export", "--format", "json", "--output", file)
    tool.database.sql("UPDATE mapping SET replaces = NULL WHERE id = 2;")
    assert "1 changed" in tool("import", file, "--sync").out
    assert states(tool)[1]["replaces"] == 1


def test_sync_takes_a_renewal_back_whatever_stands_first(tool, room, daemon, alice, staged):
    """The source is older than the renewal: what is to be enabled stands before what is not."""
    file = room / "all.json"
    tool("export", "--format", "json", "--output", file)
    assert daemon.reason(staged) == "allowed"
    assert daemon.reason(alice) == "mapping-disabled"
    tool("import", file, "--sync")
    assert daemon.reason(alice) == "allowed"


def test_sync_leaves_shut_out_who_was_shut_out_here_and_says_so(tool, room, alice, bob):
    tool.database.map(alice, enabled=0)
    file = write_csv(room / "a.csv", ("account", "certificate"), ("alice", one_line(alice)))
    said = tool("import", file, "--sync", "--no-uid", "--quiet").out
    assert "mapping 1 is disabled, and stays so" in said
    assert states(tool)[0]["enabled"] == 0
    assert sync(tool, room, ("alice", one_line(alice), "yes")) == [("alice", "changed")]
    assert states(tool)[0]["enabled"] == 1


def test_sync_takes_the_same_certificate_in_two_services_for_two(tool, room, alice):
    rows = [(service, "alice", one_line(alice)) for service in ("ftp", "imap")]
    header = ("service", "account", "certificate")
    assert sync(tool, room, *rows, header=header) == [("alice", "added")] * 2
    assert sync(tool, room, rows[0], header=header, words=("--service", "ftp")) \
        == [("alice", "unchanged")]
    # Services that the source does not speak of are not its business.
    assert sync(tool, room, rows[1], header=header) == [("alice", "unchanged")]
    assert [row["enabled"] for row in states(tool)] == [1, 1]
