# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_pages.py owns the promise that the pages for administrators are true: it runs their commands
in the order of the page, against a database and a daemon of its own, and compares what they print.

The convention of a page: ```sh is run; ```text right behind it is what it prints; ```pam is a piece of
a service's file; ```xml is applicationHost.config."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from ctl_stage import ACCOUNT, Tool
from shell_stage import CERTMAPCTL, TREE

sys.path.insert(0, str(TREE / "tests" / "module"))
from pam_stage import CRED_INSUFFICIENT, SUCCESS, Pam  # noqa: E402

PAGES = TREE / "certmapd" / "ctl"
DEFAULT_DATABASE = "/var/lib/certmap/mappings.db"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def page(name):
    return (PAGES / name).read_text(encoding="utf-8")


def blocks(name):
    """[(language, text)] in the order of the page."""
    return [match.groups() for match in FENCE.finditer(page(name))]


def steps(name):
    """[(commands, what they print or None)]."""
    found = blocks(name)
    return [(text, found[i + 1][1] if found[i + 1:] and found[i + 1][0] == "text" else None)
            for i, (language, text) in enumerate(found) if language == "sh"]


class Person:
    """Somebody who types what a page says, on a server whose database is this one."""

    def __init__(self, room, database, socket):
        self.room, self.database = room, database
        self.programs = database.directory / "bin"
        self.programs.mkdir()
        self.program("certmapctl", f'exec {CERTMAPCTL} "$@" --database {database.path}')
        self.program("ask", f'exec {room}/ask.built "$@" {socket}')

    def program(self, name, text):
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)

    def type(self, commands):
        """What they print. Asserts that each of them succeeds."""
        done = subprocess.run(
            ["/bin/sh", "-euc", commands.replace(DEFAULT_DATABASE, str(self.database.path))],
            cwd=self.room, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(self.room),
                 "PATH": f"{self.programs}:{os.environ['PATH']}"})
        assert done.returncode == 0, (commands, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture
def room(pki):
    """A person's directory, with the files that the pages speak of."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-"))
    for name in ("alice", "bob", "carol", "dora", "mallory"):
        shutil.copy(pki.leaf(name).path, directory / f"{name}.cer")
    # The samples' client refuses accounts that do not exist; alice need not be one of ours.
    source = (TREE / "tests" / "samples" / "ask.c").read_text()
    source = source.replace("getpwnam(account)", f'getpwnam("{ACCOUNT}")')
    (directory / "ask.c").write_text(source)
    subprocess.run(["cc", "-o", directory / "ask.built", directory / "ask.c"], check=True)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def person(room, database, daemon):
    return Person(room, database, daemon.socket)


def follow(name, person):
    for commands, printed in steps(name):
        said = person.type(commands)
        # A table on no terminal ends its lines without filling them up.
        said = re.sub(r" +$", "", said, flags=re.M)
        if printed is not None:
            assert said == printed, commands


def test_from_iis_is_true_from_the_first_command_to_the_last(person, pki):
    (xml,) = [text for language, text in blocks("FROM-IIS.md") if language == "xml"]
    xml = re.sub(r"MIIB\.\.\.(\w+)", lambda match: pki.leaf(match[1]).base64, xml)
    (person.room / "applicationHost.config").write_text(xml)
    assert len(steps("FROM-IIS.md")) > 10
    follow("FROM-IIS.md", person)


def test_all_that_looks_like_a_command_is_run():
    fences = re.findall(r"^```(.*)$", page("FROM-IIS.md"), re.M)[::2]
    assert set(fences) <= {"sh", "text", "pam", "xml"}


@pytest.fixture
def pam():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-"))
    directory.chmod(0o755)
    yield Pam(directory)
    shutil.rmtree(directory)


def log_in(pam, daemon, text, **environment):
    text = text.replace("pam_certmap.so", f"{pam.module} socket={daemon.socket}")
    text = text.replace("auth     required  pam_unix.so", "auth     required  pam_deny.so")
    if "auth " not in text:
        text = f"auth required {pam.module} socket={daemon.socket} source=env:TLS_CLIENT_CERT\n" + text
    (pam.services / "proftpd").write_text(text)
    return pam.run(f"start:proftpd:{ACCOUNT}", "authenticate", "account", environment=environment)


def test_lines_for_pam_let_in_with_the_certificate_alone(database, daemon, pam, alice):
    database.map(alice, account=ACCOUNT)
    lines = [text for language, text in blocks("FROM-IIS.md") if language == "pam"]
    assert len(lines) == 3
    for text in lines:
        run = log_in(pam, daemon, text, FTPS="1", TLS_CLIENT_CERT=alice.pem)
        assert run.codes == [SUCCESS, SUCCESS], text
    assert log_in(pam, daemon, lines[0], FTPS="1").codes[0] == CRED_INSUFFICIENT
    # The rule of a group that the account is not in.
    other = lines[2].replace("nogroup", "shadow")
    assert other != lines[2]
    run = log_in(pam, daemon, other, FTPS="1", TLS_CLIENT_CERT=alice.pem)
    assert run.codes[0] == SUCCESS and run.codes[1] != SUCCESS


# Attributes and codes ----------------------------------------------------------------------------

def words_of(pattern, *parts):
    return set(re.findall(pattern, TREE.joinpath(*parts).read_text(encoding="utf-8")))


def test_every_reason_stands_beside_a_status_code_once():
    table = page("FROM-IIS.md").split("## Status codes")[1]
    named = [word for row in re.findall(r"^\|.*?\|(.*)\|$", table, re.M)
             for word in re.findall(r"`([a-z-]+)`", row)]
    reasons = words_of(r'\] = "([a-z-]+)",', "certmapd", "protocol", "reason.c") - {"unknown"}
    assert set(named) == reasons
    # Once, but for the one that IIS tells apart by whether certificates are required.
    assert sorted(named) == sorted([*reasons, "no-certificate"])


def test_every_attribute_of_the_schema_is_in_the_table():
    table = page("FROM-IIS.md").split("## Every attribute")[1].split("\n## ")[0]
    for name in ("enabled", "oneToOneCertificateMappingsEnabled",
                 "manyToOneCertificateMappingsEnabled", "logonMethod", "defaultLogonDomain",
                 "userName", "password", "certificate", "clear", "name", "description",
                 "permissionMode", "certificateField", "certificateSubField", "matchCriteria",
                 "compareCaseSensitive", "sslFlags", "SslNegotiateCert", "SslRequireCert",
                 "SslMapCert", "Ssl128"):
        assert re.search(rf"\b{name}\b", table), name


def test_columns_that_the_page_names_are_columns():
    schema = (TREE / "sql" / "0001-initial.sql").read_text(encoding="utf-8")
    for table, column in re.findall(r"`(mapping|service)\.(\w+)", page("FROM-IIS.md")):
        body = re.search(rf"^CREATE TABLE {table} \((.*?)^\)", schema, re.M | re.S).group(1)
        assert re.search(rf"^\t{column} ", body, re.M), f"{table}.{column}"
