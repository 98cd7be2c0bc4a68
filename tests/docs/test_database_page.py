# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_database_page.py owns the proof that certmap-database(5) has every table and column."""
import pytest

from manual import section, tagged, text_of

PAGE = text_of("sql/certmap-database.5")
# Each column of these has its item.
EXPLAINED = ("mapping", "service", "trust", "credential", "mapping_status", "history")


def columns(database, table):
    return {row["name"] for row in database.rows(f"SELECT name FROM pragma_table_info('{table}')")}


def documented(table):
    return tagged(section(PAGE, table, "Ss"), "Va")


@pytest.mark.parametrize("table", EXPLAINED)
def test_every_column_is_explained_once_and_no_other(database, table):
    words = documented(table)
    assert len(words) == len(set(words))
    assert set(words) == columns(database, table) != set()


def test_every_other_table_and_view_is_named(database):
    there = {row["name"] for row in database.rows(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
        " AND name NOT LIKE 'sqlite_%'")}
    daemons = section(PAGE, "TABLES OF THE DAEMON").split()
    assert there == {*EXPLAINED, "usage"} | (there & set(daemons))


def test_usage_has_the_columns_that_the_page_says(database):
    text = section(PAGE, "usage", "Ss")
    assert {word for line in text.splitlines() if line.startswith(".Va ")
            for word in line.split()[1:2]} == columns(database, "usage")


def test_defaults_of_services_are_what_the_page_says(database):
    [row] = database.rows("SELECT * FROM service WHERE name = '*'")
    text = section(PAGE, "service", "Ss")
    for column, value in row.items():
        if column in ("name", "note"):
            continue
        item = text.split(f".It Va {column}\n")[1].split("\n.It ")[0]
        said = (f".Ql {value} ,\nthe default" if isinstance(value, str) else f"Default {value}",
                f"{value}, the default")
        assert any(words in item for words in said), column
