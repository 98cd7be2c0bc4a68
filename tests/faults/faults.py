# SPDX-License-Identifier: LGPL-2.1-or-later
"""faults.py owns what ties a test to a row of faults.tsv, and how long the slow ones take.

    @fault("D01", slow=True)
    def test_lookups_in_flight_when_the_daemon_is_killed_end_in_time(daemon, figure):
        ...
        figure(f"{worst * 1000:.0f} ms at worst")

A row whose test stands elsewhere is named in COVERED instead. test_table.py sees that no row is
left without either.
"""
import csv
import os
import pathlib

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE / "faults.tsv"

# Both are for people who start pytest by hand: tests/run sets the first one, and the second one
# takes the durations and counts of the table, which are too long for every run.
IS_SLOW_WANTED = os.environ.get("CERTMAP_SLOW") == "1"
IS_LONG = os.environ.get("CERTMAP_FAULTS_LONG") == "1"

# Rows that tests outside of this folder run as the table says: file below tests/, and functions.
COVERED = {
    "D09": ("module/test_peer.py", "test_reply_byte_by_byte_counts_whole_or_not_at_all"),
    "D11": ("module/test_peer.py", "test_reply_that_breaks_a_rule_is_unavailable"),
    "D12": ("module/test_peer.py", "test_answer_about_another_account_is_a_mismatch"),
    "D17": ("box/test_systemd.py",
            "test_daemon_with_a_bad_database_stays_up_and_is_right_after_the_repair"),
    "B10": ("shell/test_daemon.py",
            "test_it_starts_on_a_bad_database_says_why_once_and_is_right_after_the_repair"),
    "B12": ("shell/test_daemon.py",
            "test_it_starts_on_a_bad_database_says_why_once_and_is_right_after_the_repair"),
    "B17": ("shell/test_schema.py", "test_no_kind_of_insert_breaks_one_to_one",
            "test_a_null_in_enabled_adds_no_second_certificate",
            "test_a_null_in_enabled_enables_no_second_certificate",
            "test_an_id_of_a_mapping_that_is_gone_is_refused",
            "test_an_id_does_not_change", "test_no_pragma_switches_the_rules_off",
            "test_a_credential_attaches_to_no_other_account",
            "test_history_has_every_change_of_a_mapping"),
}


def read_table():
    """The rows by id, as dictionaries, in their order."""
    with open(TABLE, encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True))
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows), "an id stands twice in faults.tsv"
    return by_id


ROWS = read_table()


def fault(row_id, slow=False):
    """Says which row of the table a test runs."""
    if row_id not in ROWS:
        raise LookupError(f"faults.tsv has no row {row_id}")

    def decorate(test):
        test = pytest.mark.fault(row_id)(test)
        if slow and not IS_SLOW_WANTED:
            test = pytest.mark.skip(reason="takes seconds: CERTMAP_SLOW=1 runs it")(test)
        return test

    return decorate


def scaled(short, long):
    """How long, or how often: the second one where CERTMAP_FAULTS_LONG=1 says so."""
    return long if IS_LONG else short
