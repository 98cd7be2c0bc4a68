# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_renew.py owns the next certificate of an account: staged until it is used, or swapped at
once, and what makes no sense."""
import time

import pytest

from ctl_stage import ACCOUNT, dump, on_terminal


@pytest.fixture
def mapped(tool, alice):
    tool("add", ACCOUNT, alice.path, "--note", "n" * 300, "--valid-until", "2099-01-01")
    return tool


@pytest.fixture
def new(pki):
    return pki.leaf("renewed")


def rows(tool, columns="id, enabled, replaces"):
    return tool.database.rows(f"SELECT {columns} FROM mapping ORDER BY id")


STAGED = [{"id": 1, "enabled": 1, "replaces": None}, {"id": 2, "enabled": 0, "replaces": 1}]
SWAPPED = [{"id": 1, "enabled": 0, "replaces": None}, {"id": 2, "enabled": 1, "replaces": None}]


@pytest.mark.parametrize("word", [ACCOUNT, "1", "id:1"])
def test_a_renewal_waits_for_its_first_login(mapped, daemon, alice, new, word):
    said = mapped("renew", word, new.path).out
    assert new.fingerprint in said and "staged" in said and "first login disables mapping 1" in said
    assert rows(mapped) == STAGED
    ask = {"user": ACCOUNT, "service": "sshd"}
    assert daemon.ask(alice, **ask)["reason"] == "allowed"
    assert daemon.ask(new, **ask)["reason"] == "allowed"
    assert daemon.ask(alice, **ask)["reason"] == "mapping-disabled"
    assert rows(mapped) == SWAPPED


def test_a_renewal_has_all_of_the_old_mapping_but_the_certificate(mapped, new):
    mapped.database.sql("UPDATE mapping SET service = 'ftp', valid_from = 5, account_uid = 77;")
    mapped("renew", ACCOUNT, new.path)
    old, renewed = rows(mapped, "service, account, valid_from, valid_until, account_uid, note")
    assert old == renewed and len(renewed["note"]) == 300


def test_a_note_of_its_own(mapped, new):
    mapped("renew", ACCOUNT, new.path, "--note", "new laptop")
    assert [row["note"] for row in rows(mapped, "note")] == ["n" * 300, "new laptop"]


def test_now_swaps_at_once_and_in_one_go(mapped, daemon, alice, new):
    assert "mapping 1 is disabled" in mapped("renew", ACCOUNT, new.path, "--now").out
    assert rows(mapped) == SWAPPED
    ask = {"user": ACCOUNT, "service": "sshd"}
    assert daemon.ask(alice, **ask)["reason"] == "mapping-disabled"
    assert daemon.ask(new, **ask)["reason"] == "allowed"


def test_a_staging_lapses(mapped, new):
    said = mapped("renew", ACCOUNT, new.path, "--until", "2098-07-01 12:00").out
    assert "After 2098-07-01 12:00:00 UTC (in " in said  # that second belongs to it
    # date -u -d '2098-07-01 12:00' +%s
    assert rows(mapped, "staged_until")[1]["staged_until"] == 4055054400


def test_a_staging_lapses_after_a_span(mapped, new):
    mapped("renew", ACCOUNT, new.path, "--until", "30d")
    assert 0 <= time.time() + 30 * 86400 - rows(mapped, "staged_until")[1]["staged_until"] < 600


@pytest.mark.parametrize("words", [
    ("--until", "yesterday"), ("--until", "2001-01-01"), ("--until", "0d"), ("--now", "--until", "1d"),
    ("extra",), ("--everywhere",)])
def test_wrong_usage_of_renew(mapped, new, words):
    assert mapped("renew", ACCOUNT, new.path, *words, status=2).out == ""


def test_renew_needs_both_words(tool):
    assert "missing" in tool("renew", status=2).err
    assert "file" in tool("renew", ACCOUNT, status=2).err


def test_what_is_not_there_is_not_renewed(mapped, new):
    assert "there is no mapping" in mapped.refuses("renew", "nobody-knows", new.path)


@pytest.mark.parametrize("form", ["path", "der_path", "base64_path"])
def test_the_same_certificate_is_no_renewal(mapped, alice, form):
    assert "holds already" in mapped.refuses("renew", ACCOUNT, getattr(alice, form))


def test_a_certificate_that_is_mapped_already_is_none(mapped, bob):
    mapped("add", "other", bob.path, "--no-uid")
    assert "mapped already" in mapped.refuses("renew", ACCOUNT, bob.path)
    for path in (bob.path, bob.der_path):
        said = mapped.refuses("renew", ACCOUNT, path)
        assert "mapping 2 of other holds it" in said and "SELECT" not in said


def test_the_account_s_own_disabled_certificate_is_enabled_and_not_renewed(mapped, alice, new):
    mapped("renew", ACCOUNT, new.path, "--now")
    said = mapped.refuses("renew", ACCOUNT, alice.path)
    assert "mapping 1" in said and "disabled" in said and "`certmapctl enable id:1'" in said


def test_a_second_staging_names_the_first_and_the_remedies(mapped, new, bob):
    mapped("renew", ACCOUNT, new.path)
    said = mapped.refuses("renew", ACCOUNT, bob.path)
    assert "mapping 2" in said and "certmapctl remove 2" in said and "certmapctl enable 2" in said
    assert "staged to replace mapping 1" in mapped.refuses("renew", "2", bob.path)
    mapped("remove", "2")
    mapped("renew", ACCOUNT, bob.path)


def test_a_disabled_mapping_has_nothing_to_replace(mapped, new):
    mapped("disable", "1")
    assert "nothing to replace" in mapped.refuses("renew", ACCOUNT, new.path)


def test_after_a_renewal_the_account_names_the_new_one(mapped, new, bob):
    mapped("renew", ACCOUNT, new.path, "--now")
    mapped("renew", ACCOUNT, bob.path)
    assert rows(mapped)[2] == {"id": 3, "enabled": 0, "replaces": 2}


def test_of_several_mappings_one_is_chosen(mapped, new, bob):
    mapped("add", ACCOUNT, bob.path, "--service", "ftp")
    said = mapped.refuses("renew", ACCOUNT, new.path)
    assert "2 mappings fit" in said and "--everywhere" not in said
    before = dump(mapped.database)
    status, screen = on_terminal(mapped, "renew", ACCOUNT, str(new.path), typed="all\n")
    assert status == 1 and "all" not in screen.split("Which one")[1].split("]")[0]
    assert dump(mapped.database) == before
    status, screen = on_terminal(mapped, "renew", ACCOUNT, str(new.path), typed="2\n")
    assert status == 0
    assert rows(mapped)[2] == {"id": 3, "enabled": 0, "replaces": 2}


def test_a_dry_run_of_renew_says_what_would_be(mapped, new):
    before = dump(mapped.database)
    said = mapped("renew", ACCOUNT, new.path, "--now", "--dry-run").out
    assert "would be added" in said and "Nothing was changed." in said
    assert dump(mapped.database) == before


@pytest.mark.parametrize("words, expected", [((), STAGED), (("--now",), SWAPPED)])
def test_the_statements_of_renew_do_the_same_in_a_shell(mapped, new, words, expected):
    script = mapped("renew", ACCOUNT, new.path, "--sql", *words).out
    mapped.database.sql(script)
    assert rows(mapped) == expected


@pytest.mark.parametrize("words", [(), ("--now",)])
def test_the_statements_of_renew_touch_nothing_that_was_added_meanwhile(mapped, new, bob, words):
    script = mapped("renew", ACCOUNT, new.path, "--sql", *words).out
    mapped("add", "other", bob.path, "--disabled", "--no-uid")
    mapped.database.sql(script)
    assert rows(mapped)[1] == {"id": 2, "enabled": 0, "replaces": None}
    assert rows(mapped)[2] == {"id": 3, "enabled": int(bool(words)),
                               "replaces": None if words else 1}


def test_programs_get_the_new_mapping(mapped, new):
    row = mapped.json("renew", ACCOUNT, new.path)
    assert (row["id"], row["state"], row["replaces"], row["fingerprint"]) == (
        2, "staged", 1, new.fingerprint)


def test_a_bad_file_is_named_before_anything_else(mapped, tmp_path):
    (tmp_path / "x").write_bytes(b"")
    assert "empty" in mapped.refuses("renew", ACCOUNT, tmp_path / "x")
