# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_certmapctl.py owns the promises of certmapctl to people and programs: what each verb does to
the database, its exit status, its words where it refuses, and that no text from outside reaches a
terminal as anything but text. What is in the database is told by the stock sqlite3 shell, what is
in a certificate by the openssl command line.
"""
import fcntl
import json
import os
import pathlib
import pty
import pwd
import re
import shutil
import struct
import subprocess
import tempfile
import termios
import threading
import time

import pytest

from shell_stage import CERTMAPCTL, NOBODY, OpenShell, run

VERBS = ("init", "migrate", "add", "list", "remove")
ACCOUNT = pwd.getpwuid(NOBODY).pw_name  # one that every machine has
BUSY_WORDS = "somebody else is writing"


def ctl(*words, status=0, **options):
    """Runs certmapctl and asserts its exit status."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **options.pop("env", {})}
    done = subprocess.run([str(CERTMAPCTL), *map(str, words)], check=False, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          **{"stdin": subprocess.DEVNULL, **options})
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    return done


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
        return json.loads(self(verb, "--json", *words, **options).stdout)

    def refuses(self, verb, *words, **options):
        """Asserts exit status 1, a single line of words, and that nothing changed. The words."""
        before = dump(self.database)
        done = self(verb, *words, status=1, **options)
        assert dump(self.database) == before
        assert done.out == ""
        return done.err


@pytest.fixture
def tool(database):
    return Tool(database)


def history_names(database):
    return [row["who"] for row in database.rows("SELECT who FROM history ORDER BY id")]


# Wrong usage -------------------------------------------------------------------------------------

@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(verb):
    done = ctl(verb, "--help")
    assert f"Usage: certmapctl {verb}" in done.out
    assert "--database" in done.out and "--json" in done.out
    assert done.err == ""
    assert max(map(len, done.out.splitlines())) <= 80


def test_help_names_every_verb():
    assert all(re.search(rf"^  {verb} ", ctl("--help").out, re.MULTILINE) for verb in VERBS)


def test_version_is_shown():
    assert re.fullmatch(r"certmapctl \d+\.\d+\.\d+\n", ctl("--version").out)


@pytest.mark.parametrize("words", [
    (), ("frobnicate",), ("--frobnicate",), ("list", "--frobnicate"), ("list", "extra"),
    ("init", "extra"), ("migrate", "extra"), ("init", "--database"),
    ("add",), ("add", "alice"), ("add", "alice", "alice.cer", "more"),
    ("remove",), ("remove", "1", "2"), ("remove", "0"), ("remove", "-1"), ("remove", "x"),
    ("remove", "1x"), ("remove", ""), ("remove", " 1"), ("remove", "0x1"),
    ("remove", "9223372036854775808"),
])
def test_wrong_usage_is_status_2(words):
    done = ctl(*words, status=2)
    assert done.out == ""
    assert "--help" in done.err


def test_common_options_may_stand_before_the_verb(database):
    assert json.loads(ctl("--json", "--database", database.path, "list").out) == []


def test_answer_that_can_not_be_written_is_a_failure(tool):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(CERTMAPCTL), "list", "--json", "--database",
                               str(tool.database.path)], check=False, stdout=full,
                              stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"can't write the answer" in done.stderr


# init and migrate --------------------------------------------------------------------------------

def test_init_makes_what_the_stock_shell_makes_of_the_migrations(no_database, database):
    expected = dump(database)
    database.path.unlink()
    done = ctl("init", "--database", no_database.path)
    assert str(no_database.path) in done.out
    assert dump(no_database) == expected
    assert no_database.path.stat().st_mode & 0o7777 == 0o600
    assert no_database.value("PRAGMA journal_mode") == "wal"


def test_init_answers_programs(no_database):
    answer = Tool(no_database).json("init")
    assert answer == {"database": str(no_database.path), "schema_version":
                      no_database.value("PRAGMA user_version")}


def test_init_leaves_a_database_alone(tool, alice):
    tool.database.map(alice)
    assert "exists already" in tool.refuses("init")


def test_init_names_the_remedy_for_a_missing_directory(tmp_path):
    done = ctl("init", "--database", tmp_path / "none" / "mappings.db", status=1)
    assert "systemd-tmpfiles --create" in done.err and "install -d -m 0700" in done.err
    assert not (tmp_path / "none").exists()


def test_init_refuses_a_directory_that_anybody_can_write(no_database):
    no_database.directory.chmod(0o777)
    assert "writable by others" in ctl("init", "--database", no_database.path, status=1).err
    assert not no_database.path.exists()


@pytest.mark.root
def test_init_by_root_gives_the_database_to_the_owner_of_the_directory(no_database):
    os.chown(no_database.directory, NOBODY, NOBODY)
    ctl("init", "--database", no_database.path)
    assert no_database.path.stat().st_uid == NOBODY
    ctl("list", "--database", no_database.path)
    ctl("list", "--database", no_database.path, user=NOBODY, group=NOBODY, cwd="/")


def test_migrate_says_that_there_is_nothing_to_do(tool):
    before = tool.database.path.read_bytes()
    assert "nothing to do" in tool("migrate").out
    assert tool.json("migrate") == {"database": str(tool.database.path), "from": 1, "to": 1,
                                    "copy": None}
    assert tool.database.path.read_bytes() == before


@pytest.mark.parametrize("statement, words", [
    ("PRAGMA user_version = 999", "schema version 999"),
    ("PRAGMA application_id = 1", "not a certmap database"),
])
@pytest.mark.parametrize("verb", ["migrate", "list"])
def test_a_database_that_is_not_ours_is_left_alone(tool, verb, statement, words):
    tool.database.sql(statement)
    assert words in tool.refuses(verb)


@pytest.mark.parametrize("verb", ["migrate", "list"])
def test_a_missing_database_is_named_with_the_remedy(no_database, verb):
    done = ctl(verb, "--database", no_database.path, status=1)
    assert str(no_database.path) in done.err and "certmapctl init" in done.err
    assert not no_database.path.exists()


# add ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", ["der_path", "path", "crlf_path", "base64_path"])
def test_add_takes_every_form_and_stores_the_bytes_as_they_came(tool, alice, form):
    path = getattr(alice, form)
    row = tool.json("add", ACCOUNT, path)
    (stored,) = tool.database.rows(
        "SELECT id, service, account, enabled, account_uid, note, typeof(certificate) AS type,"
        " lower(hex(certificate)) AS bytes FROM mapping")
    assert stored == {"id": 1, "service": "*", "account": ACCOUNT, "enabled": 1,
                      "account_uid": NOBODY, "note": None, "type": "blob",
                      "bytes": path.read_bytes().hex()}
    assert (row["id"], row["state"], row["fingerprint"]) == (1, "in force", alice.fingerprint)


def test_add_reads_the_standard_input(tool, alice):
    with open(alice.der_path, "rb") as file:
        assert tool.json("add", ACCOUNT, "-", stdin=file)["fingerprint"] == alice.fingerprint


def test_add_shows_what_is_in_the_certificate(tool, alice):
    said = run("openssl", "x509", "-in", alice.path, "-noout", "-serial", "-dates", "-nameopt",
               "RFC2253", "-subject", "-issuer", "-dateopt", "iso_8601").decode()
    facts = dict(line.split("=", 1) for line in said.splitlines())
    row = tool.json("add", ACCOUNT, alice.path, "--note", "her laptop", "--service", "proftpd")
    assert row == {
        "id": 1, "service": "proftpd", "account": ACCOUNT, "state": "in force", "problem": None,
        "subject": facts["subject"], "issuer": facts["issuer"],
        "serial": facts["serial"].lower(), "fingerprint": alice.fingerprint,
        "not_before": facts["notBefore"].rstrip("Z"), "not_after": facts["notAfter"].rstrip("Z"),
        "valid_from": None, "valid_until": None, "replaces": None, "account_uid": NOBODY,
        "note": "her laptop"}


def test_add_says_the_same_in_words(tool, alice):
    said = tool("add", ACCOUNT, alice.path, "--note", "her laptop").out
    for words in ("Mapping 1 added", f"{ACCOUNT} (uid {NOBODY})", "* (every service)", "in force",
                  "CN=alice", "CN=Test CA", alice.fingerprint, "her laptop"):
        assert words in said
    assert max(map(len, said.splitlines())) <= 80


def test_add_is_in_force_at_the_next_lookup(tool, daemon, alice):
    # The account is the one that the client asks for; that it is not on this machine is not the
    # daemon's business.
    assert daemon.reason(alice) == "unmapped"
    tool("add", "alice", alice.path)
    assert daemon.reason(alice) == "allowed"
    tool("remove", "1")
    assert daemon.reason(alice) == "unmapped"


def test_add_disabled_is_not_in_force(tool, alice):
    assert tool.json("add", ACCOUNT, alice.path, "--disabled")["state"] == "disabled"
    assert tool.database.value("SELECT enabled FROM mapping") == 0


def test_add_without_uid_binds_none(tool, alice):
    assert tool.json("add", ACCOUNT, alice.path, "--no-uid")["account_uid"] is None


def test_add_warns_of_an_account_that_is_not_there(tool, alice):
    done = tool("add", "nobody-of-this-name", alice.path)
    assert "no account nobody-of-this-name" in done.err and "not bound to a uid" in done.err
    assert tool.database.value("SELECT account_uid FROM mapping") is None


def test_add_warns_of_root(tool, alice):
    assert "unless its line says allow_root" in tool("add", "root", alice.path).err
    assert tool.database.value("SELECT account_uid FROM mapping") == 0


def test_add_warns_of_a_certificate_that_is_not_valid_now(tool, pki):
    expired = pki.leaf("expired", start=-7200, end=-3600)
    future = pki.leaf("future", start=3600)
    assert "expired on" in tool("add", ACCOUNT, expired.path).err
    assert "not valid before" in tool("add", ACCOUNT, future.path, "--service", "sshd").err
    assert tool.database.value("SELECT count(*) FROM mapping") == 2
    assert tool("add", "--help").err == ""


def bad_files(pki, alice, bob):
    request = pki.directory / "alice.csr"
    key = alice.key_path.read_bytes()
    return {
        "truncated DER": (alice.der[:-1], "truncated"),
        "bytes behind DER": (alice.der + b"\0", "bytes follow"),
        "DER twice": (alice.der * 2, "bytes follow"),
        "PEM without its end": (alice.pem[:-30].encode(), "broken PEM"),
        "two in PEM": ((alice.pem + bob.pem).encode(), "two certificates"),
        "the same twice in PEM": ((alice.pem * 2).encode(), "two certificates"),
        "key behind the certificate": (alice.pem.encode() + key, "private key"),
        "key alone": (key, "private key"),
        "a request": (request.read_bytes(), "PEM of something else"),
        "nothing": (b"", "empty"),
        "white space": (b" \r\n", "empty"),
        "prose": (b"alice.cer", "not a certificate"),
        "UTF-16": (alice.pem.encode("utf-16"), "byte order mark"),
        "too long": (b"\n" * 65537, "too large"),
        "a SEQUENCE of something else": (b"\x30\x81\x80" + b"\x04\x7e" + bytes(126),
                                         "not an X.509 certificate"),
    }


@pytest.mark.parametrize("name", [
    "truncated DER", "bytes behind DER", "DER twice", "PEM without its end", "two in PEM",
    "the same twice in PEM", "key behind the certificate", "key alone", "a request", "nothing",
    "white space", "prose", "UTF-16", "too long", "a SEQUENCE of something else"])
def test_add_names_what_is_wrong_with_a_file(tool, pki, alice, bob, tmp_path, name):
    data, words = bad_files(pki, alice, bob)[name]
    path = tmp_path / "bad.cer"
    path.write_bytes(data)
    said = tool.refuses("add", ACCOUNT, path)
    assert f"{path}: " in said and words in said
    assert "nothing was added" in said
    # Judged before the database is touched: without one the words are the same.
    tool.database.path.unlink()
    assert tool("add", ACCOUNT, path, status=1).err == said


def test_add_takes_a_file_of_just_the_longest_length(tool, alice, tmp_path):
    path = tmp_path / "long.pem"
    path.write_bytes(alice.pem.encode() + b"\n" * (65536 - len(alice.pem)))
    assert tool.json("add", ACCOUNT, path)["state"] == "in force"


@pytest.mark.parametrize("name", ["missing.cer", "."])
def test_add_says_that_a_file_can_not_be_read(tool, tmp_path, name):
    assert str(tmp_path / name) in tool.refuses("add", ACCOUNT, tmp_path / name)


def test_add_brings_the_words_of_the_schema(tool, alice, bob):
    tool("add", ACCOUNT, alice.path)
    assert "is mapped already for this service" in tool.refuses("add", "daemon", alice.path)
    assert "has its enabled certificate" in tool.refuses("add", ACCOUNT, bob.path)
    assert "lower case" in tool.refuses("add", "daemon", bob.path, "--service", "SSHD")
    assert "account must be the name" in tool.refuses("add", "a:b", bob.path)


def test_add_refuses_the_same_certificate_in_another_form(tool, alice):
    tool("add", ACCOUNT, alice.path)
    said = tool.refuses("add", "daemon", alice.der_path)
    assert "duplicate of mapping 1" in said and "nothing was added" in said


def test_add_settles_older_mappings_first(tool, alice):
    """A shell's insert that nobody has read yet was there first."""
    tool.database.map(alice)
    before = tool.database.value("SELECT count(*) FROM mapping")
    said = tool("add", "daemon", alice.path, status=1).err
    assert "duplicate of mapping 1" in said
    assert tool.database.value("SELECT count(*) FROM mapping") == before
    assert tool.database.value("SELECT state FROM mapping_status") == "in force"


# Who did it --------------------------------------------------------------------------------------

@pytest.mark.root
def test_history_knows_the_person_behind_sudo(tool, alice):
    tool("add", ACCOUNT, alice.path, env={"SUDO_USER": "anna"})
    tool("remove", "1", env={"SUDO_USER": "bert"})
    tool.database.map(alice)
    assert history_names(tool.database) == ["root (sudo: anna)", "root (sudo: bert)", None]
    assert tool.database.value("SELECT count(*) FROM actor") == 0


@pytest.mark.root
def test_history_takes_no_forged_name_from_an_ordinary_user(tool, alice):
    os.chown(tool.database.directory, NOBODY, NOBODY)
    os.chown(tool.database.path, NOBODY, NOBODY)
    with open(alice.path, "rb") as file:
        tool("add", ACCOUNT, "-", stdin=file, user=NOBODY, group=NOBODY, cwd="/",
             env={"SUDO_USER": "anna", "LOGNAME": "anna", "USER": "anna"})
    assert history_names(tool.database) == [ACCOUNT]


@pytest.mark.root
def test_history_takes_a_hostile_name_escaped_and_short(tool, alice):
    tool("add", ACCOUNT, alice.path, env={"SUDO_USER": "a\x1b[31m\n" + "x" * 5000})
    (name,) = history_names(tool.database)
    assert len(name.encode()) <= 256 and name.isprintable() and "\\x1b[31m\\x0a" in name


# list --------------------------------------------------------------------------------------------

@pytest.fixture
def three(tool, alice, bob, carol):
    tool("add", ACCOUNT, alice.path)
    tool("add", "daemon", bob.path, "--service", "proftpd")
    tool("add", "bin", carol.path, "--service", "sshd", "--disabled")
    return tool



def test_list_shows_every_mapping(three, bob):
    header, *lines = three("list").out.splitlines()
    assert header.split() == ["ID", "SERVICE", "ACCOUNT", "STATE", "SUBJECT", "EXPIRES", "SHA-256"]
    assert [line.split()[:3] for line in lines] == [
        ["1", "*", ACCOUNT], ["2", "proftpd", "daemon"], ["3", "sshd", "bin"]]
    expires = three.database.value("SELECT date(not_after, 'unixepoch') FROM fact"
                                   " WHERE mapping_id = 2")
    assert re.search(rf"in force\s+CN=bob\s+{expires}\s+{bob.fingerprint[:12]}$", lines[1])
    assert re.search(r"\sdisabled\s", lines[2])


def test_list_verbose_shows_fingerprints_whole(three, alice):
    assert three("list", "-v").out.splitlines()[1].split()[-1] == alice.fingerprint


def test_list_as_json_is_the_whole_view(three):
    assert three.json("list") == three.database.rows("SELECT * FROM mapping_status ORDER BY id")


@pytest.mark.parametrize("words, ids", [
    ((), [1, 2, 3]), (("--service", "sshd"), [3]), (("--service", "*"), [1]),
    (("--account", "daemon"), [2]), (("--service", "sshd", "--account", "daemon"), []),
    (("--service", "ssh"), []), (("--account", "' OR 1 --"), []),
])
def test_list_chooses(three, words, ids):
    assert [row["id"] for row in three.json("list", *words)] == ids


def test_list_of_nothing_is_an_answer(tool):
    done = tool("list")
    assert (done.out, done.err) == ("", "certmapctl: no mappings\n")
    assert tool.json("list") == []


def test_list_works_out_what_a_shell_inserted(tool, alice):
    tool.database.map(alice)
    assert tool.json("list")[0]["state"] == "in force"
    assert tool.database.value("SELECT count(*) FROM pending") == 0


def test_list_says_what_the_problem_is(tool, alice):
    tool.database.map(alice)
    tool.database.sql("INSERT INTO mapping(account, certificate)"
                      " VALUES('bob', readfile('alice.pem'));")
    assert re.search(r"bob\s+problem\s+duplicate of mapping 1", tool("list").out)


def test_list_shows_pending_while_a_shell_holds_the_lock(tool, alice):
    tool.database.map(alice)
    with OpenShell(tool.database) as shell:
        shell.type("BEGIN IMMEDIATE;")
        assert tool.json("list")[0]["state"] == "pending"
        shell.type("ROLLBACK;")


def test_list_waits_for_nobody_where_nothing_is_pending(three):
    with OpenShell(three.database) as shell:
        shell.type("BEGIN IMMEDIATE;")
        start = time.monotonic()
        assert len(three.json("list")) == 3
        assert time.monotonic() - start < 3
        shell.type("ROLLBACK;")


# Text from outside -------------------------------------------------------------------------------

HOSTILE = {
    "colour": ("\x1b[31mred", "\\x1b[31mred"),
    "line": ("one\ntwo\ttab\r", "one\\x0atwo\\x09tab\\x0d"),
    "C1": ("\u009b31m", "\\xc2\\x9b31m"),
    "direction": ("a\u202egpj.exe", "a\\xe2\\x80\\xaegpj.exe"),
    "isolate": ("\u2066x\u2069", "\\xe2\\x81\\xa6x\\xe2\\x81\\xa9"),
    "no width": ("a\u200bb", "a\\xe2\\x80\\x8bb"),
    "delete": ("a\x7f", "a\\x7f"),
    "forged escape": ("\\x41", "\\x5cx41"),
    "letters": ("Ľudia \"q\" \\, č 中", "Ľudia \"q\" \\, č 中"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_notes_reach_a_terminal_as_text_alone(tool, alice, name):
    note, shown = HOSTILE[name]
    said = tool("add", ACCOUNT, alice.path, "--note", note).out
    assert re.search(r"^  note +(.*)$", said, re.MULTILINE).group(1) == shown
    as_json = tool("list", "--json").out
    assert json.loads(as_json)[0]["note"] == note
    assert all(char == "\n" or char.isprintable() for char in as_json)
    assert "\u202e" not in as_json and "\u200b" not in as_json


@pytest.mark.parametrize("name", HOSTILE)
def test_without_utf8_all_output_is_ascii(tool, alice, name):
    note, _ = HOSTILE[name]
    assert tool("add", ACCOUNT, alice.path, "--note", note, env={"LC_ALL": "C"}).out.isascii()
    as_json = tool("list", "--json", env={"LC_ALL": "C"}).out
    assert as_json.isascii() and json.loads(as_json)[0]["note"] == note


def test_bytes_that_are_not_utf8_leave_json_valid(tool, alice):
    tool.database.map(alice, note="CAST(x'61ff62c0af63eda08064f09080' AS TEXT)")
    # Each byte that belongs to no character by RFC 3629 stands as U+FFFD.
    assert tool.json("list")[0]["note"] == "a\ufffdb\ufffd\ufffdc\ufffd\ufffd\ufffdd" + "\ufffd" * 3


def test_characters_beyond_the_basic_plane_are_whole_in_json(tool, alice):
    for locale in "C", "C.UTF-8":
        note = "\U0001f600\U000e0041"
        tool.database.sql("DELETE FROM mapping")
        tool.database.map(alice, note=f"'{note}'")
        assert tool.json("list", env={"LC_ALL": locale})[0]["note"] == note


def test_a_hostile_subject_forges_nothing(tool, pki):
    certificate = pki.leaf("hostile", subject="/CN=a\n1 * root in force\x1b[2J")
    tool("add", ACCOUNT, certificate.path)
    said = tool("list").out
    assert len(said.splitlines()) == 2 and "\x1b" not in said


# On a terminal -----------------------------------------------------------------------------------

def on_terminal(tool, *words, typed="", width=80):
    """(exit status, what the terminal got)."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    process = subprocess.Popen(
        [str(CERTMAPCTL), *words, "--database", str(tool.database.path)], stdin=slave, stdout=slave,
        stderr=slave, env={**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": str(width)})
    os.close(slave)
    os.write(master, typed.encode())
    got = b""
    while True:
        try:
            got += os.read(master, 65536)
        except OSError:  # EIO: the other side is closed
            break
    os.close(master)
    return process.wait(), got.decode().replace("\r\n", "\n")


def test_table_fits_a_terminal_of_80_columns(three, pki):
    long = pki.leaf("long", subject="/O=" + 60 * "x" + "/OU=" + 60 * "y" + "/CN=long")
    three("add", "games", long.path)
    status, said = on_terminal(three, "list")
    assert status == 0
    if "\t" in said:
        pytest.skip("built without libsmartcols: lines are not cut")
    assert len(said.splitlines()) == 5
    assert max(map(len, said.splitlines())) <= 80
    # Nothing but the subject is cut.
    assert re.search(rf"4 +\* +games +in force +.* +\d{{4}}-\d\d-\d\d +"
                     + long.fingerprint[:12], said)


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04", "no, yes\n"])
def test_remove_asks_on_a_terminal_and_takes_anything_but_yes_for_no(three, answer):
    status, said = on_terminal(three, "remove", "1", typed=answer)
    assert status == 1 and "Remove mapping 1?" in said and "nothing was removed" in said
    assert three.database.value("SELECT count(*) FROM mapping") == 3


def test_remove_removes_after_a_yes(three):
    status, said = on_terminal(three, "remove", "1", typed="y\n")
    assert status == 0 and f"account  {ACCOUNT}" in said
    assert three.database.value("SELECT group_concat(id) FROM mapping") == "2,3"


def test_remove_with_yes_does_not_ask(three):
    status, said = on_terminal(three, "remove", "1", "--yes")
    assert status == 0 and "Remove mapping 1?" not in said
    assert three.database.value("SELECT count(*) FROM mapping") == 2


# remove ------------------------------------------------------------------------------------------

def test_remove_shows_what_it_removed(three, bob):
    expected = three.json("list")[1]
    assert three.json("remove", "2") == expected
    assert [row["id"] for row in three.json("list")] == [1, 3]
    said = three("remove", "3").out
    assert "bin" in said and "Mapping 3 removed." in said


def test_remove_of_an_unknown_id_is_not_found(three):
    assert "no mapping 9" in three.refuses("remove", "9")


def test_remove_leaves_the_certificate_in_the_history(three, alice):
    three("remove", "1")
    assert three.database.value("SELECT hex(old_certificate) FROM history"
                                " WHERE change = 'delete'") \
        == alice.path.read_bytes().hex().upper()


# Others at the same database ---------------------------------------------------------------------

def test_add_waits_for_a_shell_that_is_about_to_commit(tool, alice, bob):
    with OpenShell(tool.database) as shell:
        shell.type("BEGIN IMMEDIATE; INSERT INTO mapping(account, certificate)"
                   " VALUES('bob', readfile('bob.cer'));")
        later = threading.Timer(1, lambda: shell.type("COMMIT;"))
        later.start()
        tool("add", ACCOUNT, alice.path)
        later.join()
    assert tool.database.value("SELECT count(*) FROM mapping") == 2


def test_add_and_remove_say_that_somebody_else_is_writing(three, pki):
    dave = pki.leaf("dave")
    with OpenShell(three.database) as shell:
        shell.type("BEGIN IMMEDIATE;")
        for words in ("add", "games", dave.path), ("remove", "1"):
            done = three(*words, status=1)
            assert BUSY_WORDS in done.err and "try again" in done.err
            assert "removed" not in done.out and "added" not in done.out
        shell.type("ROLLBACK;")
    assert [row["id"] for row in three.json("list")] == [1, 2, 3]


@pytest.fixture
def small_disk():
    """A file system of 192 KiB."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k,mode=0700", "tmpfs",
                              str(directory)], check=False, stderr=subprocess.PIPE)
    if mounted.returncode != 0:
        directory.rmdir()
        pytest.skip("no file system can be mounted here: " + mounted.stderr.decode().strip())
    yield directory
    run("umount", directory)
    directory.rmdir()


def fill(directory):
    """Takes what room there is."""
    path = directory / "filler"
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        return path


@pytest.mark.root
def test_init_on_a_full_disk_leaves_nothing_behind(small_disk):
    filler = fill(small_disk)
    done = ctl("init", "--database", small_disk / "mappings.db", status=1)
    assert "full" in done.err or "space" in done.err
    assert list(small_disk.iterdir()) == [filler]


@pytest.mark.root
def test_add_on_a_full_disk_loses_nothing(small_disk, database, alice, bob):
    shutil.copy(database.path, small_disk / "mappings.db")
    database.path = small_disk / "mappings.db"
    tool = Tool(database)
    tool("add", ACCOUNT, alice.path)
    before = dump(database)
    filler = fill(small_disk)
    done = tool("add", "daemon", bob.path, status=1)
    assert "added" not in done.out and done.err != ""
    filler.unlink()
    assert dump(database) == before
    tool("add", "daemon", bob.path)
