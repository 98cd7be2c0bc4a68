# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_edit.py owns what --sql and --dry-run promise for every change: nothing is changed, what
would be refused is refused, and the statements do in the stock sqlite3 shell what the verb does."""
from ctl_stage import ACCOUNT, Tool, dump
from shell_stage import DEFENCELESS


def mapping(database):
    return database.rows("SELECT *, hex(certificate) AS certificate FROM mapping")


def test_statements_of_sql_do_in_a_shell_what_the_verb_does(tool, alice):
    words = ("add", ACCOUNT, alice.path, "--note", "Ada's \\ \"laptop\"\n2", "--service", "ftp")
    before = dump(tool.database)
    script = tool(*words, "--sql").out
    assert dump(tool.database) == before
    tool(*words)
    by_verb = mapping(tool.database)
    assert len(by_verb) == 1
    removal = tool("remove", "1", "--sql").out
    assert mapping(tool.database) == by_verb
    tool.database.sql(removal)
    assert mapping(tool.database) == []
    tool.database.sql(script)
    assert mapping(tool.database) == [{**by_verb[0], "id": 2}]


def test_dry_run_says_what_would_be_and_changes_nothing(tool, alice):
    before = dump(tool.database)
    said = tool("add", ACCOUNT, alice.path, "--dry-run").out
    assert "would be added" in said and alice.fingerprint in said
    assert dump(tool.database) == before
    tool("add", ACCOUNT, alice.path)
    before = dump(tool.database)
    assert "would be removed" in tool("remove", "1", "--dry-run").out
    assert dump(tool.database) == before


def test_what_would_be_refused_is_refused_by_a_dry_run_and_never_committed_by_its_sql(tool, alice):
    tool("add", ACCOUNT, alice.path)
    assert "mapped already" in tool.refuses("add", ACCOUNT, alice.path, "--dry-run")
    script = tool("add", ACCOUNT, alice.path, "--sql", status=1).out
    assert "COMMIT" not in script and script.endswith("ROLLBACK;\n")


def test_sql_and_json_exclude_each_other(tool):
    assert "--sql and --json" in tool("remove", "1", "--sql", "--json", status=2).err


def test_init_can_be_tried_and_its_statements_make_the_same_database(no_database, database):
    tool = Tool(no_database)
    no_database.path.unlink()
    assert "would be made" in tool("init", "--dry-run").out
    script = tool("init", "--sql").out
    assert not no_database.path.exists()
    no_database.sql(script)
    by_shell = dump(no_database)
    no_database.path.unlink()
    tool("init")
    assert dump(no_database) == by_shell
    for option in ("--dry-run", "--sql"):
        assert "exists already" in tool.refuses("init", option)


def test_migrate_can_be_tried(tool):
    before = dump(tool.database)
    assert "nothing to do" in tool("migrate", "--dry-run").out
    assert tool("migrate", "--sql").out == ".bail on\n"
    assert dump(tool.database) == before


def test_what_somebody_wrote_into_the_schema_reaches_no_terminal(tool, alice):
    """SQLite's messages repeat the texts of triggers, and names."""
    tool("add", ACCOUNT, alice.path)
    tool.database.sql("CREATE TRIGGER t BEFORE UPDATE ON mapping BEGIN"
                      " SELECT RAISE(ABORT, '\x1b[31mred\n\u009b1mforged'); END")
    said = tool("disable", "1", status=1).err
    assert said == "certmapctl: \\x1b[31mred\\x0a\\xc2\\x9b1mforged\n"
    tool.database.sql("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
                      " replace(sql, 'in force', 'in\x1b\"} 1') WHERE name = 'mapping_status'",
                      *DEFENCELESS)
    for words in ((), ("--openmetrics",)):
        said = tool("status", *words, status=1).out
        assert "in\\x1b\\x22} 1" in said and "\x1b" not in said
    tool.database.sql("PRAGMA writable_schema = ON;"
                      "UPDATE sqlite_schema SET name = '\x1b[31m', sql = '\x1b' WHERE name = 't'",
                      *DEFENCELESS)
    for verb in ("list", "history"):
        said = tool(verb, status=1).err
        assert "malformed database schema (\\x1b[31m)" in said and "\x1b" not in said
    said = tool("status", status=1).out
    assert "malformed database schema (\\x1b[31m)" in said and "\x1b" not in said
