# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_show.py owns what certmapctl tells of one mapping and of those around it."""
import hashlib
import re

import pytest

from ctl_stage import ACCOUNT, dump
from shell_stage import run


@pytest.fixture
def around(tool, pki, alice, bob, carol):
    """1 is everybody's, 2 hides it for ftp, 3 is staged for it, 4 of another has its key."""
    tool("add", ACCOUNT, alice.path, "--valid-until", "2999-01-01")
    tool("add", ACCOUNT, bob.path, "--service", "ftp")
    tool("renew", "id:1", carol.path, "--until", "30d")
    tool("add", "other", pki.leaf("again", key_of="alice").path, "--no-uid")
    return tool


def test_show_tells_what_list_tells_and_the_key(around, alice):
    spki = run("openssl", "pkey", "-in", alice.key_path, "-pubout", "-outform", "DER")
    said = around("show", "1").out
    assert said.startswith("Mapping 1:\n") and alice.fingerprint in said
    assert hashlib.sha256(spki).hexdigest() in said
    assert re.search(r"valid +\d{4}-.* to \d{4}-.* UTC \(in \d+ (days|hours)\)", said)
    assert re.search(r"mapping +- to 2999-01-01 00:00:00 UTC \(in \d+ years\)", said)


def test_show_tells_when_a_mapping_was_used(around):
    around.database.sql("INSERT INTO usage VALUES(1, unixepoch() - 3 * 86400 - 600, 7);")
    assert "(3 days ago), the last of 7 times" in around("show", "1").out


def test_show_tells_what_stands_around(around):
    around.database.sql("INSERT INTO service(name, inherit) VALUES('login', 0), ('sshd', 1);")
    first, second, third, fourth = (around("show", f"id:{number}").out for number in (1, 2, 3, 4))
    assert f"next     mapping 3 of {ACCOUNT} (every service), staged" in first
    assert f"hidden by mapping 2 of {ACCOUNT} (ftp), in force" in first
    assert "same key mapping 4 of other (every service), in force" in first
    assert "unseen   by login" in first and "sshd" not in first
    assert f"hides    mapping 1 of {ACCOUNT}" in second and "unseen" not in second
    assert "same key" not in second and "next" not in second
    assert re.search(r"^  replaces +1$", third, re.MULTILINE)
    assert re.search(r"^  until .* \(in (29|30) days\), if it is not used before$", third, re.M)
    assert "same key mapping 1" in fourth and "hid" not in fourth


def test_a_mapping_of_the_same_certificate_hides_that_of_every_service(around, alice):
    around("add", "third", alice.path, "--service", "sshd", "--no-uid")
    assert "hidden by mapping 5 of third (sshd)" in around("show", "1").out
    assert f"hides    mapping 1 of {ACCOUNT}" in around("show", "5").out
    # One that hides for two reasons is told once.
    around("remove", "5")
    around("add", ACCOUNT, alice.path, "--service", "sshd")
    assert around("show", "1").out.count("mapping 6") == 1


@pytest.mark.parametrize("change, words", [
    ("enabled = 0", "the service is disabled"), ("shadow = 1", "only watched"),
    ("require_trust = 1", "lists must say"),
    ("require_trust = 1, revocation = 'off'", "lists are not looked at"),
    ("deliver_credential = 1", "stored password"), ("accept_name = 1", "weak"),
])
def test_show_tells_the_policy_that_matters(around, change, words):
    assert "policy" not in around("show", "2").out
    around.database.sql(f"INSERT INTO service(name) VALUES('ftp');"
                        f"UPDATE service SET {change} WHERE name = 'ftp';")
    assert words in around("show", "2").out
    assert "policy" not in around("show", "1").out


def test_show_fits_a_terminal_of_80_columns(around):
    around.database.sql("INSERT INTO service(name, inherit) VALUES('login', 0);"
                        "UPDATE service SET require_trust = 1, shadow = 1, accept_name = 1,"
                        " deliver_credential = 1;")
    assert max(map(len, around("show", ACCOUNT).out.splitlines())) <= 80


def test_show_of_an_account_tells_of_all_and_changes_nothing(around):
    before = dump(around.database)
    assert re.findall(r"^Mapping (\d+):$", around("show", ACCOUNT).out, re.M) == ["1", "2", "3"]
    assert re.findall(r"^Mapping (\d+):$", around("show", ACCOUNT, "-s", "ftp").out, re.M) == ["2"]
    assert dump(around.database) == before


def test_show_for_programs(around):
    rows = around.json("show", ACCOUNT)
    assert [(row["id"], row["replaced_by"], row["hides"], row["hidden_by"], row["same_key"])
            for row in rows] == [
        (1, "3", None, "2", "4"), (2, None, "1,3", None, None), (3, None, None, "2", None)]
    assert {**rows[0], **around.json("list")[0]} == rows[0]


def test_many_ids_are_all_there_and_none_is_cut(tool, alice):
    """What hides a mapping of every service: a row for each of a hundred services."""
    tool("add", ACCOUNT, alice.path)
    tool.database.sql("INSERT INTO mapping(id, service, account, certificate)"
                      " WITH RECURSIVE n(i) AS (SELECT 1000001 UNION ALL"
                      "  SELECT i + 1 FROM n WHERE i < 1000100)"
                      " SELECT n.i, 's' || n.i, account, certificate FROM mapping, n WHERE id = 1;")
    assert tool.json("show", "id:1")[0]["hidden_by"] == ",".join(
        str(1000000 + i) for i in range(1, 101))


@pytest.mark.parametrize("form", ["path", "der_path", "base64_path", "crlf_path"])
def test_the_certificate_comes_out_as_it_went_in(tool, alice, tmp_path, form):
    tool("add", ACCOUNT, getattr(alice, form))
    (tmp_path / "out.pem").write_text(tool("show", "1", "--pem").out)
    assert run("openssl", "x509", "-in", tmp_path / "out.pem", "-outform", "DER") == alice.der


def test_of_several_certificates_none_is_printed(around):
    assert "3 mappings fit" in around.refuses("show", ACCOUNT, "--pem")


def test_what_is_no_certificate_is_not_printed(tool):
    tool.database.sql("INSERT INTO mapping(account, certificate) VALUES('x', 'MIIBAAAA');")
    assert "problem" in tool("show", "1").out
    assert "no certificate that could be read" in tool.refuses("show", "1", "--pem")


@pytest.mark.parametrize("words", [(), ("1", "2"), ("1", "--pem", "--json"), ("1", "--sql")])
def test_wrong_usage_of_show(around, words):
    around("show", *words, status=2)
