# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_service.py owns what `certmapctl service' shows, sets, refuses and warns of."""
import re

import pytest

from ctl_stage import dump, history_names, on_terminal

COLUMNS = ["enabled", "inherit", "certificates_per_account", "accept_names", "accept_name",
           "require_trust", "revocation", "deliver_credential", "shadow", "note"]


def row(tool, name):
    return tool.database.rows(f"SELECT * FROM service WHERE name = '{name}'")


def test_every_column_of_the_table_can_be_set(tool):
    assert ["name", *COLUMNS] == [
        column["name"] for column in tool.database.rows("PRAGMA table_info(service)")]
    values = ["no", "0", "3", "yes", "1", "yes", "prefer", "no", "0", "Ada's; = \\ \"note\""]
    tool("service", "set", "ftp", *map("=".join, zip(COLUMNS, values)))
    assert row(tool, "ftp") == [{
        "name": "ftp", "enabled": 0, "inherit": 0, "certificates_per_account": 3,
        "accept_names": 1, "accept_name": 1, "require_trust": 1, "revocation": "prefer",
        "deliver_credential": 0, "shadow": 0, "note": "Ada's; = \\ \"note\""}]
    tool("service", "set", "ftp", *(f"{column}=default" for column in COLUMNS[:5]),
         *(f"{column}=" for column in COLUMNS[5:]))
    assert row(tool, "ftp") == [{"name": "ftp", **dict.fromkeys(COLUMNS)}]
    assert None not in history_names(tool.database)


def test_set_changes_nothing_else(tool):
    tool("service", "set", "ftp", "shadow=yes", "note=one")
    tool("service", "set", "ftp", "shadow=no")
    assert [(r["shadow"], r["note"], r["enabled"]) for r in row(tool, "ftp")] == [(0, "one", None)]


def test_what_takes_all_mappings_of_every_service_away_is_warned_of(tool, daemon, alice):
    tool.database.map(alice)
    assert "warning: *: inherit=no" in tool("service", "set", "*", "inherit=no").err
    assert daemon.reason(alice) == "unmapped"
    assert "inherit" not in tool("service", "set", "ftp", "inherit=no").err
    assert "inherit" not in tool("service", "set", "*", "inherit=yes").err


@pytest.mark.parametrize("words, said", [
    (("*", "enabled="), "none of them can be NULL"),
    (("ftp", "certificates_per_account=0"), "1 to 1000"),
    (("ftp", "revocation=never"), "'require', 'prefer', 'off'"),
    (("FTP", "enabled=no"), "lower case"), (("a/b", "enabled=no"), "/etc/pam.d"),
])
def test_what_the_schema_refuses_is_refused_in_its_words(tool, words, said):
    assert said in tool.refuses("service", "set", *words)
    assert said in tool.refuses("service", "set", *words, "--dry-run")


def test_one_certificate_per_account_can_not_come_back_while_somebody_has_two(tool, alice, bob):
    tool("service", "set", "ftp", "certificates_per_account=2")
    tool.database.map(alice, service="'ftp'")
    second = tool.database.map(bob, account="alice", service="'ftp'")
    assert "more enabled certificates" in tool.refuses(
        "service", "set", "ftp", "certificates_per_account=default")
    assert "more enabled certificates" in tool.refuses("service", "remove", "ftp")
    tool.database.sql(f"UPDATE mapping SET enabled = 0 WHERE id = {second};")
    tool("service", "set", "ftp", "certificates_per_account=1")


@pytest.mark.parametrize("words", [
    (), ("show",), ("show", ""), ("show", "a", "b"), ("list", "a"), ("set",), ("set", "ftp"),
    ("set", "ftp", "enabled"), ("set", "ftp", "enable=no"), ("set", "ftp", "=no"),
    ("set", "ftp", "enabled=maybe"), ("set", "ftp", "shadow=2"),
    ("set", "ftp", "certificates_per_account=many"),
    ("set", "ftp", "certificates_per_account=-1"), ("set", "ftp", "enabled=no", "enabled=yes"),
    ("set", "ftp", "name=sftp"), ("remove",), ("remove", "a", "b"), ("frobnicate",),
])
def test_wrong_usage_is_status_2(tool, words):
    before = dump(tool.database)
    done = tool("service", *words, status=2)
    assert "--help" in done.err and done.out == "" and dump(tool.database) == before


def test_show_says_what_holds_and_where_it_comes_from(tool):
    tool("service", "set", "login", "shadow=yes", "require_trust=no")
    tool("service", "set", "*", "certificates_per_account=4")
    shown = tool.json("service", "show", "login")
    assert [shown[c] for c in COLUMNS] == [1, 1, 4, 0, 0, 0, "require", 0, 1, None]
    assert {c: shown[f"{c}_from"] for c in COLUMNS} == {
        **dict.fromkeys(COLUMNS, "*"), "shadow": "login", "require_trust": "login", "note": None}
    text = tool("service", "show", "login").out
    assert re.search(r"^shadow\s+yes\s+own row", text, re.M)
    assert re.search(r"^certificates_per_account\s+4\s+row '\*'", text, re.M)
    assert "has no row of its own" in tool("service", "show", "su").out


@pytest.mark.parametrize("note, shown", [
    ("n" * 3000, "n" * 3000), ("\x1b" * 3000, r"\x1b" * 3000), ("\u4e2d" * 100, "\u4e2d" * 100)])
def test_show_cuts_no_note(tool, note, shown):
    tool("service", "set", "login", f"note={note}")
    assert re.search(r"^note\s+(\S+)", tool("service", "show", "login").out, re.M).group(1) == shown
    assert tool.json("service", "show", "login")["note"] == note


def test_list_shows_the_rows_as_they_are(tool):
    tool("service", "set", "ftp", "inherit=no")
    assert tool.json("service", "list") == tool.database.rows("SELECT * FROM service")
    lines = [line.split() for line in tool("service", "list").out.splitlines()]
    assert lines[1][:3] == ["*", "yes", "yes"] and lines[2][:3] == ["ftp", "-", "no"]


@pytest.mark.parametrize("setting, words", [
    ("accept_name=1", ["weakest"]), ("accept_names=1", ["is weak"]),
    ("enabled=0", ["refuses every lookup"]), ("shadow=1", ["lets nobody in"]),
    ("require_trust=1", ["there is no anchor", "there is no revocation list"]),
    ("inherit=0", []),
])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_is_weak_or_refuses_everybody_is_warned_of(tool, setting, words, dry):
    lines = tool("service", "set", "login", setting, *dry).err.splitlines()
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines))


def test_an_anchor_of_every_service_is_enough(tool, pki):
    tool.database.trust("anchor", "ca.pem")
    assert tool("service", "set", "login", "require_trust=1", "revocation=off").err == ""
    assert "no revocation list" in tool("service", "set", "login", "revocation=require").err
    assert tool("service", "set", "login", "revocation=prefer").err == ""


def test_a_name_that_no_service_has_is_warned_of(tool):
    assert "/etc/pam.d/logn" in tool("service", "set", "logn", "enabled=yes").err
    assert tool("service", "set", "*", "enabled=yes").err == ""


def test_remove_lets_the_row_of_every_service_hold(tool):
    tool("service", "set", "ftp", "enabled=no")
    status, said = on_terminal(tool, "service", "remove", "ftp", typed="n\n")
    assert status == 1 and "nothing was changed" in said and row(tool, "ftp")
    status, said = on_terminal(tool, "service", "remove", "ftp", typed="y\n")
    assert status == 0 and not row(tool, "ftp")
    assert "service list" in tool.refuses("service", "remove", "ftp")
    assert "can't be deleted" in tool.refuses("service", "remove", "*")


def test_statements_of_sql_do_in_a_shell_what_the_verb_does(tool):
    for words in (("set", "ftp", "shadow=0", "note=it's"), ("set", "ftp", "note=", "inherit=0"),
                  ("remove", "ftp")):
        before = dump(tool.database)
        script = tool("service", *words, "--sql").out
        assert dump(tool.database) == before
        tool("service", *words)
        by_verb = row(tool, "ftp")
        tool.database.sql("DELETE FROM service WHERE name <> '*';")
        if words[0] == "set":
            if "note=" in words:
                tool("service", "set", "ftp", "shadow=0", "note=it's")
            tool.database.sql(script)
            assert row(tool, "ftp") == by_verb != []
        else:
            tool("service", "set", "ftp", "shadow=0")
            tool.database.sql(script)
            assert row(tool, "ftp") == by_verb == []


def test_refused_statements_are_never_committed(tool):
    done = tool("service", "set", "*", "enabled=", "--sql", status=1)
    assert done.out.endswith("ROLLBACK;\n") and "COMMIT" not in done.out
    assert tool("service", "remove", "ftp", "--sql", status=1).out.endswith("ROLLBACK;\n")
