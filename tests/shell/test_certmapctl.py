# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_certmapctl.py owns the promises of certmapctl to people and programs: what each verb does to
the database, its exit status, its words where it refuses, and that no text from outside reaches a
terminal as anything but text. What is in the database is told by the stock sqlite3 shell, what is
in a certificate by the openssl command line.
"""
import base64
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from ctl_stage import ACCOUNT, ctl, dump, history_names, on_terminal, plain, Tool
from shell_stage import CERTMAPCTL, NOBODY, OpenShell, run, SCHEMA_VERSION, within

VERBS = ("init", "migrate", "add", "list", "remove", "export", "authorized-keys",
         "enable", "disable", "renew", "history", "show", "import",
         "expiring", "status", "service", "trust", "crl", "credential")
BUSY_WORDS = "somebody else is writing"


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
    ("remove",), ("remove", "1", "2"), ("remove", "-1"),
    ("list", "--wait"), ("list", "--wait", "-1"), ("list", "--wait", "x"), ("list", "--wait", ""),
    ("list", "--wait", "1.5"), ("list", "--wait", "3601"),
    ("authorized-keys",), ("authorized-keys", "alice", "bob"), ("authorized-keys", "-x"),
    ("export",), ("export", "--format"), ("export", "--format", "stunnel-cafile", "extra"),
    ("export", "--format", "stunnel-cafile", "--json"),
])
def test_wrong_usage_is_status_2(words):
    done = ctl(*words, status=2)
    assert done.out == ""
    assert "--help" in done.err


def test_common_options_may_stand_before_the_verb(database):
    assert ctl("--wait", "1", "--database", database.path, "list").err == "certmapctl: no mappings\n"


@pytest.mark.parametrize("verb", VERBS)
def test_a_build_without_json_refuses_it_in_words(database, verb):
    before = database.path.read_bytes()
    for words in (verb, "--json"), ("--json", verb):
        done = plain(*words, "--database", database.path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "without jansson" in done.stderr
    assert database.path.read_bytes() == before


def test_a_build_without_tables_writes_values_between_tabs(tool, alice):
    tool("add", ACCOUNT, alice.path)
    done = plain("list", "--database", tool.database.path)
    assert done.returncode == 0
    header, line = [text.split("\t") for text in done.stdout.splitlines()]
    assert dict(zip(header, line))["SUBJECT"] == "CN=alice" and len(header) == len(line) == 9


def test_answer_that_can_not_be_written_is_a_failure(tool, alice):
    tool("add", ACCOUNT, alice.path)
    with open("/dev/full", "wb") as full:
        for words in (("list",), ("authorized-keys", ACCOUNT),
                      ("export", "--format", "stunnel-cafile")):
            done = subprocess.run([str(CERTMAPCTL), *words, "--database", str(tool.database.path)],
                                  check=False, stdout=full, stderr=subprocess.PIPE)
            assert done.returncode == 1
            assert b"can't write the answer" in done.stderr


def test_an_answer_that_could_not_be_written_is_not_blamed_on_something_else(tool, alice):
    tool("add", ACCOUNT, alice.path)
    with open("/dev/full", "wb") as full:  # full(4): ENOSPC is all that it ever says
        done = subprocess.run(
            [str(CERTMAPCTL), "disable", ACCOUNT, "--sql", "--database", str(tool.database.path)],
            check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    (line,) = [line for line in done.stderr.splitlines() if "can't write the answer" in line]
    assert done.returncode == 1
    assert line.endswith(("can't write the answer", "No space left on device"))


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
    assert tool.json("migrate") == {"database": str(tool.database.path), "from": SCHEMA_VERSION,
                                    "to": SCHEMA_VERSION, "copy": None}
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
        "valid_from": None, "valid_until": None, "replaces": None, "staged_until": None,
        "account_uid": NOBODY, "note": "her laptop", "last_used": None, "uses": None}


def test_add_says_the_same_in_words(tool, alice):
    said = tool("add", ACCOUNT, alice.path, "--note", "her laptop").out
    for words in ("Mapping 1:", "Added.", f"{ACCOUNT} (uid {NOBODY})", "* (every service)", "in force",
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
        "a request": (request.read_bytes(), "certificate request"),
        "nothing": (b"", "empty"),
        "white space": (b" \r\n", "empty"),
        "prose": (b"alice.cer", "not a certificate"),
        "too long": (b"\n" * 65537, "too large"),
        "a SEQUENCE of something else": (b"\x30\x81\x80" + b"\x04\x7e" + bytes(126),
                                         "not an X.509 certificate"),
    }


@pytest.mark.parametrize("name", [
    "truncated DER", "bytes behind DER", "DER twice", "PEM without its end", "two in PEM",
    "the same twice in PEM", "key behind the certificate", "key alone", "a request", "nothing",
    "white space", "prose", "too long", "a SEQUENCE of something else"])
def test_add_names_what_is_wrong_with_a_file(tool, pki, alice, bob, tmp_path, name):
    data, words = bad_files(pki, alice, bob)[name]
    path = tmp_path / "bad.cer"
    path.write_bytes(data)
    said = tool.refuses("add", ACCOUNT, path)
    assert f"{path}: " in said and words in said
    assert "nothing was changed" in said
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
    # And by number and verb what stands in the way, without a SELECT to fill in.
    for path, account in ((alice.path, "daemon"), (bob.path, ACCOUNT)):
        assert "SELECT" not in tool.refuses("add", account, path)
    # What is wrong beside that is said first.
    assert "account must be" in tool.refuses("add", "a:b", alice.path)
    assert "`certmapctl show id:1'" in tool.refuses("add", "daemon", alice.path)
    assert "`certmapctl renew id:1 FILE'" in tool.refuses("add", ACCOUNT, bob.path)
    tool("add", ACCOUNT, bob.path, "--service", "svc")
    assert "id:" not in tool.refuses("add", "a:b", bob.path)
    assert "account must be the name" in tool.refuses("add", "a:b", bob.path)


def test_add_refuses_the_same_certificate_in_another_form(tool, alice):
    tool("add", ACCOUNT, alice.path)
    said = tool.refuses("add", "daemon", alice.der_path)
    assert f"mapping 1 of {ACCOUNT} holds it" in said and "nothing was changed" in said


def test_add_tells_the_account_s_own_mapping_from_another_certificate_in_the_way(tool, alice):
    """Neither a renewal nor a second device: it is there."""
    tool("add", ACCOUNT, alice.path)
    for path in (alice.path, alice.der_path, alice.base64_path):
        said = tool.refuses("add", ACCOUNT, path)
        assert f"mapping 1 of {ACCOUNT} holds it" in said and "renew" not in said
    tool("disable", "1")
    assert "`certmapctl enable id:1'" in tool.refuses("add", ACCOUNT, alice.path)


def test_add_settles_older_mappings_first(tool, alice):
    """A shell's insert that nobody has read yet was there first."""
    tool.database.map(alice)
    before = tool.database.value("SELECT count(*) FROM mapping")
    said = tool("add", "daemon", alice.path, status=1).err
    assert "mapping 1 of" in said
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
    assert header.split() == ["ID", "SERVICE", "ACCOUNT", "STATE", "SUBJECT", "EXPIRES", "LAST",
                              "USED", "NOTE", "SHA-256"]
    assert [line.split()[:3] for line in lines] == [
        ["1", "*", ACCOUNT], ["2", "proftpd", "daemon"], ["3", "sshd", "bin"]]
    expires = three.database.value("SELECT date(not_after, 'unixepoch') FROM fact"
                                   " WHERE mapping_id = 2")
    assert re.search(rf"in force\s+CN=bob\s+{expires}\s+-\s+-\s+{bob.fingerprint[:12]}$", lines[1])
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
        assert tool.json("list", "--wait", "0")[0]["state"] == "pending"
        shell.type("ROLLBACK;")


def test_list_waits_for_nobody_where_nothing_is_pending(three):
    with OpenShell(three.database) as shell:
        shell.type("BEGIN IMMEDIATE;")
        assert len(within(3, lambda: three.json("list"))) == 3
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


@pytest.mark.parametrize("name", HOSTILE)
def test_json_reaches_a_terminal_as_printable_ascii_alone(tool, alice, name):
    note, _ = HOSTILE[name]
    assert tool.json("add", ACCOUNT, alice.path, "--note", note)["note"] == note
    as_json = tool("list", "--json").out
    assert json.loads(as_json)[0]["note"] == note
    assert as_json.isascii() and all(char == "\n" or char.isprintable() for char in as_json)


@pytest.mark.parametrize("name", HOSTILE)
def test_without_utf8_all_output_is_ascii(tool, alice, name):
    note, _ = HOSTILE[name]
    assert tool("add", ACCOUNT, alice.path, "--note", note, env={"LC_ALL": "C"}).out.isascii()


def test_bytes_that_are_not_utf8_leave_json_valid(tool, alice):
    tool.database.map(alice, note="CAST(x'61ff62c0af63eda08064f09080' AS TEXT)")
    # Each byte that belongs to no character by RFC 3629 stands as U+FFFD.
    assert tool.json("list")[0]["note"] == "a\ufffdb\ufffd\ufffdc\ufffd\ufffd\ufffdd" + "\ufffd" * 3


def test_characters_beyond_the_basic_plane_are_whole_in_json(tool, alice):
    note = "\U0001f600\U000e0041\ufffd\U0010ffff"
    tool.database.map(alice, note=f"'{note}'")
    for locale in "C", "C.UTF-8":
        assert tool.json("list", env={"LC_ALL": locale})[0]["note"] == note


def test_a_nul_in_a_text_is_a_character_of_json(tool, alice):
    tool.database.map(alice, note="'a' || char(0) || 'b'")
    assert tool.json("list")[0]["note"] == "a\0b"


def test_a_hostile_subject_forges_nothing(tool, pki):
    certificate = pki.leaf("hostile", subject="/CN=a\n1 * root in force\x1b[2J")
    tool("add", ACCOUNT, certificate.path)
    said = tool("list").out
    assert len(said.splitlines()) == 2 and "\x1b" not in said


# On a terminal -----------------------------------------------------------------------------------

def test_table_fits_a_terminal_of_80_columns(three, pki):
    long = pki.leaf("long", subject="/O=" + 60 * "x" + "/OU=" + 60 * "y" + "/CN=long")
    three("add", "games", long.path)
    status, said = on_terminal(three, "list")
    said = re.sub(r"\x1b\[\d*m", "", said)
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
    assert status == 1 and "Remove mapping 1?" in said and "nothing was changed" in said
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
            done = three(*words, "--wait", "0", status=1)
            assert BUSY_WORDS in done.err and "try again" in done.err
            assert "removed" not in done.out and "added" not in done.out
        shell.type("ROLLBACK;")
    assert [row["id"] for row in three.json("list")] == [1, 2, 3]


def test_wait_says_for_how_long(three):
    with OpenShell(three.database) as shell:
        shell.type("BEGIN IMMEDIATE;")
        for seconds in 0, 1:
            start = time.monotonic()
            done = within(seconds + 3,
                          lambda wait=seconds: three("remove", "1", "--wait", wait, status=1))
            assert seconds <= time.monotonic() - start
            assert BUSY_WORDS in done.err
        shell.type("ROLLBACK;")


@pytest.fixture
def small_disk():
    """A file system of 320 KiB."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320k,mode=0700", "tmpfs",
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
    for words in (("add", "daemon", bob.path), ("renew", ACCOUNT, bob.path, "--now")):
        done = tool(*words, status=1)
        # Not a word as if it were there.
        assert done.out == ""
        assert "full" in done.err and "make room" in done.err and "nothing was changed" in done.err
    filler.unlink()
    assert dump(database) == before
    tool("add", "daemon", bob.path)


# authorized-keys ---------------------------------------------------------------------------------

def keys(tool, account=ACCOUNT, *words, **options):
    """The lines that sshd gets, and why others are left out."""
    done = tool("authorized-keys", "-v", *words, "--", account, **options)
    assert done.out == "" or done.out.endswith("\n")
    return done.out.splitlines(), done.err


def ssh_line(certificate):
    """The key of a certificate as OpenSSH writes it; where its tool can't, by RFC 8709 4."""
    public = certificate.path.with_suffix(".pub")
    public.write_bytes(run("openssl", "x509", "-in", certificate.path, "-noout", "-pubkey"))
    if "ed25519" not in certificate.name:
        return run("ssh-keygen", "-i", "-m", "PKCS8", "-f", public).decode().strip()
    der = run("openssl", "pkey", "-pubin", "-in", public, "-outform", "DER")
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", der[-32:]))
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


KEY_TYPES = {"rsa": "RSA", "ec": "ECDSA", "p384": "ECDSA", "p521": "ECDSA", "ed25519": "ED25519"}


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_the_key_of_a_mapped_certificate_is_the_line_of_openssh(tool, pki, tmp_path, kind):
    certificate = pki.leaf(f"key-{kind}", key=kind)
    tool("add", ACCOUNT, certificate.path)
    assert keys(tool) == ([ssh_line(certificate)], "")
    (tmp_path / "line").write_text(keys(tool)[0][0] + "\n", encoding="ascii")
    assert f"({KEY_TYPES[kind]})" in run("ssh-keygen", "-l", "-f", tmp_path / "line").decode()


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_a_printed_key_is_allowed_by_the_daemon(tool, pki, daemon, kind):
    """What sshd lets in by it, it hands over as this line, and the module asks about it."""
    certificate = pki.leaf(f"key-{kind}", key=kind)
    tool("add", ACCOUNT, certificate.path)
    (line,), _ = keys(tool)
    assert daemon.reason(f"publickey {line}\n", ACCOUNT, "sshd", kind="key") == "allowed"


@pytest.mark.parametrize("form", ["der_path", "crlf_path", "base64_path"])
def test_keys_are_read_through_every_armour(tool, alice, form):
    tool("add", ACCOUNT, getattr(alice, form))
    assert keys(tool) == ([ssh_line(alice)], "")


def test_an_account_without_a_mapping_has_no_keys(tool, alice):
    assert keys(tool) == ([], "certmapctl: no mapping of this account for this service\n")
    tool("add", "daemon", alice.path)
    assert tool("authorized-keys", ACCOUNT).out == ""


REFUSALS = {
    "a disabled mapping": ("UPDATE mapping SET enabled = 0", "mapping-disabled"),
    "a mapping before its time": ("UPDATE mapping SET valid_from = unixepoch() + 600",
                                  "mapping-not-yet-valid"),
    "a mapping past its time": ("UPDATE mapping SET valid_until = unixepoch() - 600",
                                "mapping-expired"),
    "a disabled service": ("INSERT INTO service(name, enabled) VALUES('sshd', 0)",
                           "service-disabled"),
    "no services at all": ("UPDATE service SET enabled = 0", "service-disabled"),
    "a service with mappings of its own": ("INSERT INTO service(name, inherit) VALUES('sshd', 0)",
                                           "unmapped"),
    "a disabled mapping that hides this one": (
        "INSERT INTO mapping(service, account, enabled, certificate)"
        f" VALUES('sshd', '{ACCOUNT}', 0, readfile('bob.cer'))", "unmapped"),
    "another account's certificate with the key": (
        "INSERT INTO mapping(account, certificate) VALUES('daemon', readfile('twin.cer'))",
        "ambiguous"),
    "the same, disabled": (
        "INSERT INTO mapping(account, enabled, certificate)"
        " VALUES('daemon', 0, readfile('twin.cer'))", "ambiguous"),
    "another uid": ("UPDATE mapping SET account_uid = 4242", "account-changed"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_key_that_a_lookup_refuses_is_left_out(tool, pki, alice, bob, name):
    pki.leaf("twin", key_of="alice")
    tool("add", ACCOUNT, alice.path)
    assert keys(tool) == ([ssh_line(alice)], "")
    change, reason = REFUSALS[name]
    tool.database.sql(change)
    lines, said = keys(tool)
    assert lines == [] and f"certmapctl: mapping 1: {reason}\n" in said
    assert (tool("authorized-keys", ACCOUNT).out, tool("authorized-keys", ACCOUNT).err) == ("", "")


def test_a_key_comes_back_with_its_mapping(tool, alice):
    tool("add", ACCOUNT, alice.path, "--disabled")
    for enabled, lines in (1, [ssh_line(alice)]), (0, []), (1, [ssh_line(alice)]):
        tool.database.sql(f"UPDATE mapping SET enabled = {enabled}")
        assert keys(tool)[0] == lines
    tool("remove", "1")
    assert keys(tool)[0] == []


def test_the_key_of_an_expired_certificate_is_left_out(tool, pki):
    tool("add", ACCOUNT, pki.leaf("expired", start=-7200, end=-3600).path)
    assert keys(tool) == ([], "certmapctl: mapping 1: certificate-expired\n")


def test_the_keys_are_those_of_the_service(tool, alice, bob):
    tool("add", ACCOUNT, alice.path, "--service", "proftpd")
    assert keys(tool)[0] == []
    assert keys(tool, ACCOUNT, "--service", "proftpd")[0] == [ssh_line(alice)]
    tool("add", ACCOUNT, bob.path)
    assert keys(tool)[0] == [ssh_line(bob)]
    assert keys(tool, ACCOUNT, "--service", "proftpd")[0] == [ssh_line(alice)]


def test_an_account_with_more_certificates_has_the_key_of_each_once(tool, pki, alice, bob):
    twin = pki.leaf("twin", key_of="alice")
    tool.database.sql("UPDATE service SET certificates_per_account = 3 WHERE name = '*'")
    for certificate in alice, bob, twin:
        tool("add", ACCOUNT, certificate.path)
    assert keys(tool) == ([ssh_line(alice), ssh_line(bob)], "")


def test_a_key_of_a_type_that_ssh_lacks_is_skipped(tool, pki, alice):
    tool.database.sql("UPDATE service SET certificates_per_account = 2 WHERE name = '*'")
    tool("add", ACCOUNT, pki.leaf("ed448", key="ed448").path)
    tool("add", ACCOUNT, alice.path)
    lines, said = keys(tool)
    assert lines == [ssh_line(alice)] and "mapping 1: its key is of no type" in said


def test_a_certificate_that_can_not_be_used_is_skipped(tool, alice, bob):
    tool.database.sql("INSERT INTO mapping(account, certificate)"
                      f" VALUES('{ACCOUNT}', substr(readfile('alice.cer'), 1, 300))")
    lines, said = keys(tool)
    assert lines == [] and "mapping 1: " in said and "truncated" in said
    tool.database.sql("DELETE FROM mapping")
    tool("add", "daemon", alice.path)
    tool.database.sql("INSERT INTO mapping(account, certificate)"
                      f" VALUES('{ACCOUNT}', readfile('alice.cer'))")
    assert keys(tool) == ([], "certmapctl: mapping 3: account-mismatch\n")


def test_an_account_that_is_not_there_has_no_keys(tool, alice):
    tool("add", "nobody-of-this-name", alice.path)
    assert keys(tool, "nobody-of-this-name") == ([], "certmapctl: mapping 1: account-missing\n")


def test_root_has_keys_only_where_that_is_said(tool, alice):
    tool("add", "root", alice.path)
    assert keys(tool, "root") == ([], "certmapctl: mapping 1: root-refused\n")
    assert keys(tool, "root", "--allow-root") == ([ssh_line(alice)], "")


@pytest.mark.parametrize("user", [
    "", " ", "*", "%", "' OR 1 --", ACCOUNT.upper(), ACCOUNT + " ", ACCOUNT + "\n", "-j", "--help",
    "--database=/dev/null", "\x1b[31m", b"\xff\xfe", "a" * 100_000, "$(id)", "../" + ACCOUNT])
def test_a_hostile_account_name_has_no_keys(tool, alice, user):
    tool("add", ACCOUNT, alice.path)
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [str(CERTMAPCTL), "authorized-keys", "-D", str(tool.database.path), "-v", "--", user],
        check=False, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().isprintable() or done.stderr.count(b"\n") == 1


def test_keys_for_programs_say_why_others_are_left_out(tool, pki, alice, bob):
    tool("add", ACCOUNT, alice.path)
    tool("add", ACCOUNT, bob.path, "--disabled")
    tool("add", ACCOUNT, pki.leaf("ed448", key="ed448").path, "--disabled")
    allowed, disabled, unknown = tool.json("authorized-keys", ACCOUNT)
    assert allowed == {"id": 1, "key": ssh_line(alice), "reason": "allowed", "problem": None}
    assert disabled == {"id": 2, "key": None, "reason": "mapping-disabled", "problem": None}
    assert (unknown["id"], unknown["key"], unknown["reason"]) == (3, None, None)
    assert "type" in unknown["problem"]
    assert tool.json("authorized-keys", "daemon") == []


def test_keys_of_what_a_shell_inserted_are_there_at_once(tool, alice):
    tool.database.map(alice, ACCOUNT)
    assert keys(tool) == ([ssh_line(alice)], "")
    assert tool.database.value("SELECT count(*) FROM pending") == 0


def test_keys_do_not_wait_for_a_shell_that_holds_the_lock(tool, alice):
    tool.database.map(alice, ACCOUNT)
    with OpenShell(tool.database) as shell:
        shell.type("BEGIN IMMEDIATE; UPDATE mapping SET enabled = 0;")
        assert within(3, lambda: keys(tool))[0] == [ssh_line(alice)]
        shell.type("COMMIT;")
    assert keys(tool)[0] == []


def test_without_a_usable_database_no_key_is_printed(tool, no_database, alice):
    tool("add", ACCOUNT, alice.path)
    with OpenShell(tool.database) as shell:
        shell.type("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT;")
        assert tool("authorized-keys", "--wait", "0", ACCOUNT, status=1).out == ""
    assert keys(tool)[0] == [ssh_line(alice)]
    tool.database.sql("PRAGMA user_version = 999")
    assert tool("authorized-keys", ACCOUNT, status=1).out == ""
    tool.database.path.unlink()
    assert "certmapctl init" in tool("authorized-keys", ACCOUNT, status=1).err


def test_one_broken_row_keeps_all_keys_back(tool, alice, bob):
    """What breaks the rules of the schema is not passed over: nobody knows what it was to mean."""
    tool.database.sql("UPDATE service SET certificates_per_account = 2 WHERE name = '*'")
    for certificate in alice, bob:
        tool("add", ACCOUNT, certificate.path)
    tool.database.sql("PRAGMA ignore_check_constraints = ON;"
                      "UPDATE mapping SET valid_from = -1 WHERE id = 2")
    done = tool("authorized-keys", ACCOUNT, status=1)
    assert done.out == "" and "mapping 2 breaks the rules" in done.err


@pytest.mark.root
def test_keys_are_for_the_owner_of_the_database_and_no_other_user(tool, alice):
    tool("add", "daemon", alice.path)
    as_nobody = {"user": NOBODY, "group": NOBODY, "cwd": "/"}
    done = tool("authorized-keys", "daemon", status=1, **as_nobody)
    assert done.out == "" and done.err != ""
    for path in tool.database.directory, *tool.database.directory.iterdir():
        os.chown(path, NOBODY, NOBODY)
    assert keys(tool, "daemon", **as_nobody) == ([ssh_line(alice)], "")


# export ------------------------------------------------------------------------------------------

CAFILE = ("export", "--format", "stunnel-cafile")
PEM_BLOCK = re.compile("-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", re.DOTALL)


def certificates_in(path):
    """The certificates that openssl finds in a file, in their order, as DER."""
    bundle = run("openssl", "crl2pkcs7", "-nocrl", "-certfile", path)
    printed = subprocess.run(["openssl", "pkcs7", "-print_certs"], check=True, input=bundle,
                             stdout=subprocess.PIPE).stdout.decode()
    loaded = run("openssl", "storeutl", "-noout", "-certs", path).decode()
    blocks = PEM_BLOCK.findall(printed)
    assert f"Total found: {len(blocks)}\n" in loaded
    return [base64.b64decode("".join(block.splitlines()[1:-1])) for block in blocks]


@pytest.fixture
def exported(tool, tmp_path):
    """The certificates that an export holds, as DER."""
    def export(*words):
        path = tmp_path / "export.pem"
        path.write_text(tool(*CAFILE, *words).out, encoding="ascii")
        return certificates_in(path) if path.read_bytes() else []
    return export


def test_a_cafile_holds_the_mapped_certificates_byte_for_byte(three, tmp_path, alice, pki):
    three("add", "games", pki.leaf("dave").der_path)
    path = tmp_path / "ca.pem"
    assert three(*CAFILE, "--output", path).out == ""
    assert certificates_in(path) == [alice.der, pki.leaf("dave").der]
    text = path.read_text(encoding="ascii")
    assert text == (f"# mapping 1, account {ACCOUNT}\n{alice.pem}"
                    f"# mapping 4, account games\n{pki.leaf('dave').pem}")
    assert three(*CAFILE).out == text


@pytest.mark.parametrize("change, general, sshd", [
    ("", ["alice", "carol"], ["alice", "bob", "carol"]),
    ("UPDATE mapping SET enabled = 0 WHERE id = 1", ["carol"], ["bob", "carol"]),
    ("UPDATE mapping SET valid_until = unixepoch() - 9 WHERE id = 2", ["alice", "carol"],
     ["alice", "carol"]),
    ("UPDATE mapping SET valid_from = unixepoch() + 600 WHERE id = 3", ["alice"], ["alice", "bob"]),
    ("INSERT INTO service(name, inherit) VALUES('sshd', 0)", ["alice", "carol"], ["bob"]),
    ("INSERT INTO service(name, enabled) VALUES('sshd', 0)", ["alice", "carol"], []),
    ("UPDATE service SET enabled = 0", [], []),
    # A row of the service hides those of every service: of the certificate, and of the account.
    ("INSERT INTO mapping(service, account, enabled, certificate)"
     " VALUES('sshd', 'bin', 0, readfile('alice.pem'))", ["alice", "carol"], ["bob", "carol"]),
    (f"UPDATE mapping SET account = '{ACCOUNT}' WHERE id = 2", ["alice", "carol"],
     ["bob", "carol"]),
    ("INSERT INTO mapping(service, account, certificate)"
     " VALUES('sshd', 'bin', readfile('alice.cer'))", ["alice", "carol"],
     ["bob", "carol", "alice"]),
    # The second encoding of a certificate is a duplicate.
    ("INSERT INTO mapping(account, certificate) VALUES('bin', readfile('alice.cer'))",
     ["alice", "carol"], ["alice", "bob", "carol"]),
])
def test_an_export_is_what_a_service_would_let_in(tool, exported, alice, bob, carol, change,
                                                  general, sshd):
    tool("add", ACCOUNT, alice.path)
    tool("add", "daemon", bob.path, "--service", "sshd")
    tool("add", "games", carol.path)
    tool.database.sql(change)
    der = {"alice": alice.der, "bob": bob.der, "carol": carol.der}
    assert exported() == [der[name] for name in general]
    assert exported("--service", "*") == exported("--service", "login") == exported()
    assert exported("--service", "sshd") == [der[name] for name in sshd]


def test_an_expired_certificate_is_not_exported(tool, pki, exported):
    tool("add", ACCOUNT, pki.leaf("expired", start=-7200, end=-3600).path)
    assert exported() == []


def test_an_export_of_nothing_says_so(tool, tmp_path):
    done = tool(*CAFILE, "--output", tmp_path / "ca.pem")
    assert (tmp_path / "ca.pem").read_bytes() == b"" and "the export is empty" in done.err


def test_an_export_holds_what_a_shell_just_inserted(tool, exported, alice):
    tool.database.map(alice)
    assert exported() == [alice.der]
    with OpenShell(tool.database) as shell:
        tool.database.sql("DELETE FROM mapping")
        tool.database.map(alice)
        shell.type("BEGIN IMMEDIATE;")
        assert exported("--wait", "0") == [alice.der]
        shell.type("ROLLBACK;")


def test_names_of_accounts_forge_no_line_in_an_export(tool, tmp_path, alice):
    tool.database.map(alice, "-----BEGIN CERTIFICATE-----".strip("-") + "č\u2028x")
    tool(*CAFILE, "--output", tmp_path / "ca.pem")
    assert certificates_in(tmp_path / "ca.pem") == [alice.der]
    first = (tmp_path / "ca.pem").read_text(encoding="ascii").splitlines()[0]
    assert first == r"# mapping 1, account BEGIN CERTIFICATE\xc4\x8d\xe2\x80\xa8x"


@pytest.mark.parametrize("words", [("--format", "pem"), ("--format", ""), ()])
def test_formats_that_there_are_are_listed(tool, words):
    done = tool("export", *words, status=2)
    assert done.out == "" and "there are: sql, json, csv, stunnel-cafile" in done.err


def test_an_export_replaces_its_file_as_a_whole(tool, tmp_path, alice):
    tool("add", ACCOUNT, alice.path)
    directory = tmp_path / "stunnel"
    directory.mkdir()
    path, other_name = directory / "ca.pem", directory / "old.pem"
    path.write_text("old", encoding="ascii")
    path.chmod(0o600)
    other_name.hardlink_to(path)
    tool(*CAFILE, "--output", path)
    assert certificates_in(path) == [alice.der] and path.stat().st_mode & 0o7777 == 0o644
    # Who reads the old file goes on to read the old file.
    assert other_name.read_text(encoding="ascii") == "old"


def test_a_failed_export_leaves_the_old_file(tool, tmp_path, alice):
    tool("add", ACCOUNT, alice.path)
    path = tmp_path / "ca.pem"
    path.write_text("old", encoding="ascii")
    with OpenShell(tool.database) as shell:
        shell.type("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT;")
        tool(*CAFILE, "--output", path, "--wait", "0", status=1)
    tool.database.sql("PRAGMA ignore_check_constraints = ON; UPDATE mapping SET valid_from = -1")
    assert "breaks the rules" in tool(*CAFILE, "--output", path, status=1).err
    assert path.read_text(encoding="ascii") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["none/ca.pem", "."])
def test_an_export_names_the_file_that_it_can_not_write(tool, tmp_path, alice, name):
    tool("add", ACCOUNT, alice.path)
    path = f"{tmp_path}/{name}"
    assert tool(*CAFILE, "--output", path, status=1).err.startswith(f"certmapctl: {path}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_an_export_to_a_full_disk_leaves_the_old_file(tool, small_disk, alice):
    tool("add", ACCOUNT, alice.path)
    path = small_disk / "ca.pem"
    path.write_text("old", encoding="ascii")
    filler = fill(small_disk)
    assert "No space left" in tool(*CAFILE, "--output", path, status=1).err
    assert path.read_text(encoding="ascii") == "old"
    assert sorted(small_disk.iterdir()) == [path, filler]

