# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_history.py owns what certmapctl tells of the history, and how it is shortened."""
import re

import pytest

from ctl_stage import ACCOUNT, dump, on_terminal


@pytest.fixture
def lived(tool, alice, bob, carol):
    """Mapping 1 was disabled by certmapctl and noted by a shell, 2 is as it was, 3 is gone."""
    tool("add", ACCOUNT, alice.path)
    tool("add", "other", bob.path, "--no-uid", "--valid-until", "2027-01-31 18:00")
    tool("add", ACCOUNT, carol.path, "--service", "ftp")
    tool("disable", "1")
    tool.database.sql("UPDATE mapping SET note = 'her laptop' WHERE id = 1;")
    tool("remove", "3")
    return tool


def age(tool, entry, days):
    """No user can: the trigger is taken away as a person with the file could do it."""
    trigger = tool.database.value("SELECT sql FROM sqlite_schema WHERE name = 'history_update'")
    tool.database.sql(f"BEGIN; DROP TRIGGER history_update;"
                      f"UPDATE history SET at = unixepoch() - {days} * 86400 WHERE id = {entry};"
                      f"{trigger}; COMMIT;")


def ids(tool):
    return [row["id"] for row in tool.database.rows("SELECT id FROM history ORDER BY id")]


def test_history_tells_who_when_what_old_and_new(lived):
    said = lived("history").out
    who = lived.database.value("SELECT who FROM history WHERE id = 1")
    entries = re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \((?:now|\d+ seconds? ago)\)  (.*)$",
                         said, re.MULTILINE)
    assert entries == [
        f"mapping 1 of {ACCOUNT} added by {who}", f"mapping 2 of other added by {who}",
        f"mapping 3 of {ACCOUNT} added by {who}", f"mapping 1 of {ACCOUNT} changed by {who}",
        f"mapping 1 of {ACCOUNT} changed by a shell", f"mapping 3 of {ACCOUNT} removed by {who}"]
    assert "    enabled: 1 -> 0\n" in said and "    note: none -> her laptop\n" in said
    assert "valid_until: 2027-01-31 18:00:00" in said
    assert said.count("certificate that was there is kept") == 1


@pytest.mark.parametrize("words, expected", [
    ((), [1, 2, 3, 4, 5, 6]), (("1",), [1, 4, 5]), (("id:3",), [3, 6]), (("99",), []),
    ((ACCOUNT,), [1, 3, 4, 5, 6]), (("account:other",), [2]), (("nobody-knows",), []),
    (("--limit", "2"), [5, 6]), ((ACCOUNT, "--limit", "1"), [6]), (("account:1",), []),
    (("--since", "1h"), [1, 3, 4, 5, 6]), (("--since", "2001-01-01"), [1, 2, 3, 4, 5, 6]),
])
def test_history_chooses(lived, words, expected):
    age(lived, 2, 3)
    assert [row["id"] for row in lived.json("history", *words)] == expected
    done = lived("history", *words)
    assert len(re.findall(r"^\d{4}-", done.out, re.MULTILINE)) == len(expected)
    assert done.err == ("" if expected else "certmapctl: no entries\n")


def test_an_account_that_was_renamed_is_found_by_both_names(lived):
    lived.database.sql("UPDATE mapping SET account = 'third' WHERE id = 2;"
                       "INSERT INTO credential VALUES('*', 'third', x'01');")
    assert [row["object"] for row in lived.json("history", "third")] == ["mapping", "credential"]
    assert [row["id"] for row in lived.json("history", "other")] == [2, 7]
    assert "account: other -> third" in lived("history", "2").out


def test_history_for_programs_has_old_and_new(lived):
    row = lived.json("history", "1")[1]
    assert (row["change"], row["object"], row["mapping_id"], row["account"], row["words"]) == (
        "update", "mapping", 1, ACCOUNT, "enabled: 1 -> 0")
    assert '"enabled":1' in row["old"] and '"enabled":0' in row["new"]


def test_the_daemons_take_over_is_its_own(lived, daemon, pki):
    new = pki.leaf("renewed")
    lived("enable", "1")
    lived("renew", "1", new.path)
    assert daemon.ask(new, user=ACCOUNT, service="sshd")["reason"] == "allowed"
    said = lived("history").out
    assert f"mapping 4 of {ACCOUNT} changed by certmapd" in said
    assert "enabled: 0 -> 1, replaces: 1 -> none" in said


def test_a_forged_entry_hides_no_other_and_forges_nothing(lived):
    lived.database.sql("INSERT INTO history(object, change, new, who) VALUES"
                       " ('x', 'update', '{', char(27) || '[2J' || char(10) || '2026-01-01 root');")
    said = lived("history").out
    assert "\x1b" not in said and len(re.findall(r"^\d{4}-", said, re.MULTILINE)) == 7


@pytest.mark.parametrize("words", [
    ("1", "2"), ("--since", "x"), ("--limit", "0"), ("--limit", "x"), ("id:x",),
    ("prune",), ("prune", "--before"), ("prune", "--before", "x"), ("prune", "1", "--before", "1d"),
    ("prune", "--before", "2999-01-01"), ("--limit", "1", "prune", "--before", "1d")])
def test_wrong_usage_of_history(lived, words):
    before = dump(lived.database)
    assert lived("history", *words, status=2).out == ""
    assert dump(lived.database) == before


# Shortened ---------------------------------------------------------------------------------------


@pytest.fixture
def old(lived):
    """All but the last entry are 100 days old."""
    for entry in range(1, 6):
        age(lived, entry, 100)
    return lived


def test_prune_deletes_what_is_older_and_says_so(old):
    assert old("history", "prune", "--before", "99d").out.startswith("3 entries from before ")
    # Those by which the mappings 1 and 2 were added stay, since the mappings are there.
    assert ids(old) == [1, 2, 6, 7]
    assert old.database.value("SELECT count(*) FROM actor") == 0
    note = old.json("history")[-1]
    assert note["who"] == old.database.value("SELECT who FROM history WHERE id = 1")
    assert (note["object"], note["change"]) == ("history", "delete")
    assert note["words"].startswith("entries: 3, before: ")
    assert "history shortened by" in old("history").out


def test_prune_leaves_what_is_younger(old):
    assert old("history", "prune", "--before", "101d").out.startswith("0 entries")
    assert ids(old) == [1, 2, 3, 4, 5, 6]


def test_a_certificate_goes_with_its_entry(old):
    age(old, 6, 50)
    old("history", "prune", "--before", "40d")
    assert ids(old) == [1, 2, 7]
    assert old.database.value("SELECT count(*) FROM history WHERE old_certificate IS NOT NULL") == 0


def test_a_dry_run_of_prune_says_how_many(old):
    before = dump(old.database)
    assert "3 entries" in old("history", "prune", "--before", "99d", "--dry-run").out
    assert dump(old.database) == before
    assert old.json("history", "prune", "--before", "99d", "--dry-run")["entries"] == 3
    assert dump(old.database) == before


def test_the_statements_of_prune_do_it_in_a_shell(old):
    script = old("history", "prune", "--before", "99d", "--sql").out
    old.database.sql(script)
    assert ids(old) == [1, 2, 6, 7]
    assert old.database.value("SELECT count(*) FROM actor") == 0
    assert old.database.rows("SELECT who, json_extract(old, '$.entries') AS entries FROM history"
                             " WHERE id = 7") == [{"who": None, "entries": 3}]


@pytest.mark.parametrize("answer, expected", [("n\n", [1, 2, 3, 4, 5, 6]), ("y\n", [1, 2, 6, 7])])
def test_prune_asks_on_a_terminal(old, answer, expected):
    status, screen = on_terminal(old, "history", "prune", "--before", "99d", typed=answer)
    assert "Delete 3 entries of the history" in screen
    assert (status, ids(old)) == (int(answer == "n\n"), expected)


def test_the_daemon_sees_what_happens_after_a_pruning(old, daemon, alice):
    assert daemon.ask(alice, user=ACCOUNT, service="sshd")["reason"] == "mapping-disabled"
    old("history", "prune", "--before", "0d")
    old("enable", "1")
    assert daemon.ask(alice, user=ACCOUNT, service="sshd")["reason"] == "allowed"
    daemon.wait_for_line("enabled: 0 -> 1")
