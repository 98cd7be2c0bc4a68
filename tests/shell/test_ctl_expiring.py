# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_expiring.py owns what `certmapctl expiring' takes for worth a look, and in what order."""
import json
import re

import pytest

from ctl_stage import has_json, on_terminal
from shell_stage import HOUR, run

DAY = 24 * HOUR


def expiring(tool, *words):
    """The rows. Asserts that the exit status says whether there are any."""
    if not has_json():
        pytest.skip("built without jansson")
    try:
        done = tool("expiring", "--json", *words, status=1)
    except AssertionError:
        done = tool("expiring", "--json", *words)
    rows = json.loads(done.stdout)
    assert done.returncode == (1 if rows else 0)
    return rows


def ends(tool, *words):
    return [(row["what"], row["id"]) for row in expiring(tool, *words)]


@pytest.fixture
def mapped(tool, pki):
    """1: certificate in 10 days; 2: the mapping since an hour; 3: certificate in 60 days, mapping
    in 20; 4: disabled; 5: staged for 3, lapses in 5 days, its certificate in 40."""
    database = tool.database
    soon = pki.leaf("soon", end=10 * DAY)
    database.map(soon, account="a")
    database.map(pki.leaf("late", end=60 * DAY), account="b", valid_until=f"unixepoch() - {HOUR}")
    database.map(pki.leaf("later", end=60 * DAY), account="c",
                 valid_until=f"unixepoch() + {20 * DAY}")
    database.map(pki.leaf("off", end=DAY), account="d", enabled=0)
    database.map(pki.leaf("next", end=40 * DAY), account="c", enabled=0, replaces=3,
                 staged_until=f"unixepoch() + {5 * DAY}")
    return tool


@pytest.mark.parametrize("within, rows", [
    (("--within", "12h"), [("mapping", 2)]),
    (("--within", "6d"), [("mapping", 2), ("staging", 5)]),
    ((), [("mapping", 2), ("staging", 5), ("certificate", 1), ("mapping", 3)]),
    (("--within", "45d"), [("mapping", 2), ("staging", 5), ("certificate", 1), ("mapping", 3),
                           ("certificate", 5)]),
])
def test_what_ends_first_stands_first_and_what_nobody_can_use_is_left_out(mapped, within, rows):
    assert ends(mapped, *within) == rows


def test_row_says_what_ends_and_when(mapped, pki):
    row = expiring(mapped)[2]
    not_after = run("openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601",
                    "-in", pki.directory / "soon.pem").decode().strip().split("=")[1].rstrip("Z")
    assert row == {"what": "certificate", "ends": not_after, "ended": 0, "id": 1, "service": "*",
                   "account": "a", "subject": "CN=soon"}
    assert expiring(mapped)[0]["ended"] == 1


def test_nothing_is_status_0_and_silence(tool, pki):
    tool.database.map(pki.leaf("late", end=60 * DAY))
    done = tool("expiring")
    assert (done.out, done.err) == ("", "")
    assert expiring(tool) == []


@pytest.mark.parametrize("policy, rows", [
    ([], []),
    (["* require_trust=1"], ["intermediate 2", "revocation list 3", "revocation list 4"]),
    (["* require_trust=1", "proftpd require_trust=0"], ["intermediate 2", "revocation list 3"]),
    (["* require_trust=1 revocation=prefer"], ["intermediate 2"]),
    (["login require_trust=1"], ["intermediate 2", "revocation list 3"]),
    (["login require_trust=1 revocation=off"], ["intermediate 2"]),
    (["* require_trust=1", "login require_trust=0"],
     ["intermediate 2", "revocation list 3", "revocation list 4"]),
    (["proftpd require_trust=1"], ["intermediate 2", "revocation list 3", "revocation list 4"]),
])
def test_authorities_and_lists_count_where_they_are_asked_for(tool, pki, policy, rows):
    pki.leaf("fading", profile="authority", end=5 * DAY)
    database = tool.database
    assert database.trust("anchor", "ca.pem") == 1
    assert database.trust("intermediate", "fading.pem") == 2
    assert database.trust("crl", pki.revocation_list("week", end=7 * DAY) + ".crl") == 3
    assert database.trust("crl", pki.revocation_list("fortnight", end=14 * DAY) + ".crl",
                          "proftpd") == 4
    for line in policy:
        tool("service", "set", *line.split())
    assert [f"{what} {id}" for what, id in ends(tool, "--within", "30d")] == rows


@pytest.mark.parametrize("start, end, is_shown", [
    (-1, 6, False),     # a weekly list, as it stands every day
    (-6, 1, True),      # the next one should be there by now: a fifth of a week is 34 hours
    (-8, -1, True),     # stale
    (-10, 355, False),  # of a year
    (-340, 25, True),   # a fifth of it is more than 30 days, which hold then
    (-310, 55, False),
])
def test_a_list_that_is_not_due_is_in_no_daily_report(tool, pki, start, end, is_shown):
    """What is shown every day nobody reads, and the day before nobody gets in least of all."""
    tool("service", "set", "*", "require_trust=1")
    name = pki.revocation_list(f"list{start}", start=start * DAY, end=end * DAY)
    tool.database.trust("crl", name + ".crl")
    assert ends(tool) == ([("revocation list", 1)] if is_shown else [])
    # Who asks for a span gets it.
    assert ends(tool, "--within", "400d") == [("revocation list", 1)]


def test_authorities_stand_between_the_mappings_by_time(mapped, pki):
    mapped("service", "set", "*", "require_trust=1", "revocation=require")
    mapped.database.trust("crl", pki.revocation_list("week", end=7 * DAY) + ".crl")
    assert ends(mapped, "--within", "30d") == [
        ("mapping", 2), ("staging", 5), ("revocation list", 1), ("certificate", 1), ("mapping", 3)]


@pytest.mark.parametrize("words", [
    ("--within", "soon"), ("--within", ""), ("--within", "2027-01-31"), ("--within", "-1d"), ("x",),
])
def test_wrong_usage_is_status_2(tool, words):
    assert "--help" in tool("expiring", *words, status=2).err


def test_table_says_how_far_away_it_is_and_fits(mapped):
    said = mapped("expiring", status=1).out
    assert re.search(r"\d{4}-\d\d-\d\d \(\d+ minutes ago\) +mapping +2 ", said.replace("\t", " "))
    status, said = on_terminal(mapped, "expiring")
    assert status == 1
    if "\t" not in said:
        assert max(map(len, re.sub(r"\x1b\[\d*m", "", said).splitlines())) <= 80
