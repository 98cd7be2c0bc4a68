# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_examples.py owns the trying of what the pages tell people to type into the sqlite3 shell
and into /etc/pam.d. What they tell root to run is tried in tests/box/test_examples.py."""
import re
import shutil

import pytest

import manual
from pam_stage import SERVICE_ERR, directory_of_modules

# What an example maps itself is not there before.
MAPS_ALICE = r"INSERT INTO mapping \(account, certificate\)\s+VALUES \('alice', readfile\('alice"


@pytest.fixture
def prepared(database, pki):
    """A database and a directory as the pages take them for granted: alice and bob are mapped, and
    the files that are named are there."""
    for name in ("alice", "bob", "carol", "new"):
        pki.leaf(name)
    pki.revocation_list("list")
    shutil.copy(pki.directory / "list.crl", pki.directory / "ca.crl")
    return database


@pytest.mark.parametrize("example", manual.examples("sql"), ids=str)
def test_statements_are_taken_by_the_shell(prepared, example):
    if not re.search(MAPS_ALICE, example.text):
        for name in ("alice", "bob"):
            prepared.sql("INSERT INTO mapping (account, certificate)"
                         f" VALUES ('{name}', readfile('{name}.cer'))")
    # Refused raises, with the words of the database.
    prepared.sql(example.text)


STAGINGS = [example for example in manual.examples("sql")
            if re.search(r"INSERT INTO mapping \([^)]*\breplaces\b", example.text)]


@pytest.mark.parametrize("example", STAGINGS, ids=str)
def test_a_staging_keeps_the_uid_and_the_service_of_what_it_replaces(prepared, example):
    prepared.sql("INSERT INTO mapping (account, certificate, account_uid)"
                 " VALUES ('alice', readfile('alice.cer'), 1001)")
    prepared.sql(example.text)
    assert prepared.rows("SELECT account_uid, service, replaces FROM mapping WHERE id = 2") == [
        {"account_uid": 1001, "service": "*", "replaces": 1}]


def test_there_are_examples_of_a_staging():
    assert len(STAGINGS) == 2


def test_a_wrong_statement_would_be_seen(prepared):
    with pytest.raises(Exception, match="no such table"):
        prepared.sql("SELECT id FROM mappings")


def stack_lines(text):
    """The lines of a stack, in the words that libpam splits them into."""
    joined = text.replace("\\\n", " ")
    return [re.findall(r"\[[^]]*\]|\S+", line) for line in joined.splitlines()]


@pytest.mark.parametrize("example", manual.examples("pam"), ids=str)
def test_stack_is_read_by_libpam_and_its_options_by_the_module(pam, example):
    lines = stack_lines(example.text)
    assert any("pam_certmap.so" in line for line in lines)
    for number, (phase, control, module, *options) in enumerate(lines):
        if module != "pam_certmap.so":
            assert (directory_of_modules() / module).is_file()
            continue
        # Each line in each type of the stack: the options are the same for all.
        service = f"example{number}"
        pam.service("", service, "".join(
            f"{phase} {control} {pam.module} socket={pam.socket} {' '.join(options)}\n"
            for phase in ("auth", "account", "session")))
        run = pam.run(f"start:{service}:alice", "authenticate", "account", "open")
        assert SERVICE_ERR not in run.codes and "misconfigured" not in str(run.raw_log)
        # libpam's own complaints about a control, a type or a module.
        assert not [line for line in run.raw_log if "PAM " in line or "unable" in line]


def test_a_wrong_option_would_be_seen(pam):
    pam.service("source=env:TLS_CLIENT_CERT user=any")
    assert pam.run("start:svc:alice", "authenticate").code == SERVICE_ERR


def squeezed(text):
    """Its lines without white space at the ends, and single spaces inside."""
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize("example", manual.examples("lines"), ids=str)
def test_lines_stand_in_the_file_that_a_service_is_tried_with(example):
    path = manual.TREE / example.kind.removeprefix("lines of ")
    there = squeezed(path.read_text(encoding="utf-8"))
    assert [line for line in squeezed(example.text) if line not in there] == []
