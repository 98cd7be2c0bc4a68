# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_list.py owns what `certmapctl list' chooses, in what order, and how it looks on
terminals."""
import json
import re

import pytest

from ctl_stage import ACCOUNT, on_terminal, plain

DAY = 24 * 3600


@pytest.fixture
def five(tool, pki):
    """One mapping for most states; ids by name."""
    database = tool.database
    ids = {
        "old": database.map(pki.leaf("alice"), service="'proftpd'"),
        "young": database.map(pki.leaf("bob"), service="'*'"),
        "off": database.map(pki.leaf("carol"), enabled=0),
        "over": database.map(pki.leaf("dave"), valid_until="unixepoch() - 60"),
        "twin": database.map(pki.leaf("alice"), account="zoe"),
    }
    database.sql("INSERT INTO mapping(service, account, certificate)"
                 " VALUES ('proftpd', 'eve', readfile('alice.pem'));")
    ids["double"] = database.value("SELECT max(id) FROM mapping")
    tool("list")
    # Only a database that is older than it is has old mappings.
    database.sql("DROP TRIGGER history_update;"
                 f"UPDATE history SET at = at - {100 * DAY} WHERE mapping_id <> {ids['young']};"
                 f"INSERT INTO usage VALUES ({ids['off']}, unixepoch() - {5 * DAY}, 3);"
                 f"INSERT INTO usage VALUES ({ids['over']}, unixepoch() - {95 * DAY}, 1);")
    return ids


def listed(tool, *words):
    return [row["id"] for row in tool.json("list", *words)]


def test_order_is_service_then_account_then_id(tool, five):
    rows = tool.json("list")
    keys = [(row["service"], row["account"], row["id"]) for row in rows]
    assert keys == sorted(keys) and len(keys) == 6
    assert [row["id"] for row in rows] != sorted(five.values())


@pytest.mark.parametrize("state, names", [
    ("in-force", {"old", "young", "twin"}), ("in force", {"old", "young", "twin"}),
    ("disabled", {"off"}), ("expired", {"over"}), ("problem", {"double"}), ("staged", set()),
])
def test_state_chooses(tool, five, state, names):
    assert set(listed(tool, "--state", state)) == {five[name] for name in names}


def test_every_state_of_the_view_can_be_chosen(tool):
    view = tool.database.value("SELECT sql FROM sqlite_schema WHERE name = 'mapping_status'")
    states = re.findall(r"(?:THEN|ELSE) '([a-z ]+)'", view)
    assert len(states) == 10
    for state in states:
        assert listed(tool, "--state", state.replace(" ", "-")) == []


@pytest.mark.parametrize("since, names", [
    ("90d", {"old", "twin", "double", "over"}),
    ("4d", {"old", "twin", "double", "over", "off"}),
    ("96d", {"old", "twin", "double"}),
    ("101d", set()),
])
def test_unused_since_takes_what_was_never_used_unless_it_is_younger(tool, five, since, names):
    assert set(listed(tool, "--unused-since", since)) == {five[name] for name in names}


def test_unused_since_takes_a_date(tool, five):
    tomorrow = tool.database.value("SELECT date('now', '+1 day')")
    assert len(listed(tool, "--unused-since", tomorrow)) == 6


def test_unused_since_counts_a_mapping_whose_beginning_was_pruned_as_old(tool, five):
    tool.database.sql("DROP TRIGGER history_delete;"
                      f"DELETE FROM history WHERE mapping_id = {five['young']};")
    assert five["young"] in listed(tool, "--unused-since", "90d")


@pytest.mark.parametrize("words", [
    ("--state", "in-forc"), ("--state", "in-force-"), ("--state", ""), ("--unused-since", "soon"),
    ("--unused-since", ""), ("--names", "all"), ("--names", "accounts", "--json"),
])
def test_wrong_choices_are_status_2(tool, words):
    assert "--help" in tool("list", *words, status=2).err


def test_names_stand_once_and_can_not_reach_a_terminal_as_commands(tool, five, pki):
    tool.database.map(pki.leaf("frank"), account="$(touch x) \udcc2\udc9b2J")
    assert tool("list", "--names", "accounts").out.splitlines() == [
        "$(touch x) \\xc2\\x9b2J", "alice", "bob", "carol", "dave", "eve", "zoe"]
    assert tool("list", "--names", "services").out.splitlines() == ["*", "proftpd"]


def test_expires_is_the_first_end(tool, five):
    shown = {int(line.split()[0]): line for line in tool("list").out.splitlines()[1:]}
    ends = tool.database.value("SELECT date(valid_until, 'unixepoch') FROM mapping"
                               f" WHERE id = {five['over']}")
    assert f" {ends} " in shown[five["over"]]
    assert tool.database.value("SELECT date(not_after, 'unixepoch') FROM fact WHERE mapping_id = "
                               f"{five['old']}") in shown[five["old"]]



@pytest.fixture
def wide(tool, five, pki):
    """The same with what makes lines long."""
    long = pki.leaf("long", subject="/O=" + 60 * "x" + "/OU=" + 60 * "y" + "/CN=long")
    tool("add", ACCOUNT, long.path, "--note", 100 * "n", "--service", "a-service-of-its-own")
    tool.database.sql("UPDATE mapping SET service = 'proftpd-on-another-port-for-partners'"
                      f" WHERE id = {five['over']};")
    return tool


def without_paint(said):
    return re.sub(r"\x1b\[\d*m", "", said)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_table_fits_the_terminal(wide, width):
    status, said = on_terminal(wide, "list", width=width)
    if "\t" in said:
        pytest.skip("built without libsmartcols: lines are not cut")
    lines = without_paint(said).splitlines()
    assert status == 0 and len(lines) == 8
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:5] == ["ID", "SERVICE", "ACCOUNT", "STATE", "SUBJECT"]


def test_wide_terminal_has_every_column_and_how_far_away_dates_are(wide):
    said = without_paint(on_terminal(wide, "list", width=200)[1])
    if "\t" in said:
        pytest.skip("built without libsmartcols")
    assert re.search(r"LAST USED.* NOTE .*SHA-256", said)
    assert re.search(r"\d{4}-\d\d-\d\d \(in 29 days\)", said)
    assert re.search(r"\d{4}-\d\d-\d\d \(95 days ago\)", said)


def test_columns_without_values_are_left_out_on_a_terminal(tool, alice):
    tool("add", ACCOUNT, alice.path)
    said = on_terminal(tool, "list")[1]
    if "\t" in said:
        pytest.skip("built without libsmartcols")
    assert "NOTE" not in said and "LAST USED" not in said and "SHA-256" in said


def test_colour_stands_on_a_terminal_alone_and_no_color_takes_it_away(tool, five, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in tool("list").out
    painted = on_terminal(tool, "list")[1]
    if "\t" in painted:
        pytest.skip("built without libsmartcols: there is no colour")
    assert "\x1b[32min force" in painted and "\x1b[31mproblem" in painted
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "")):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            assert on_terminal(tool, "list")[1] == without_paint(painted)


def test_json_of_many_rows_is_one_whole_array(tool, five):
    assert len(json.loads(tool("list", "--json").stdout)) == 6


def test_a_build_without_tables_has_the_same_columns(tool, five):
    done = plain("list", "--database", tool.database.path)
    assert {line.count("\t") for line in done.stdout.splitlines()} == {8}
