# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_restore.py owns what happens to mappings beyond one server and one day: a backup while the
daemon serves, a restore into the live file, a server whose uids differ, and versions of the schema
before and after this one. certmapctl-next is a certmapctl that knows one migration more."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

import pytest

from ctl_stage import ACCOUNT, Tool, dump, has_json
from shell_stage import CERTMAPCTL_NEXT, NOBODY, SCHEMA_VERSION, TREE, Database

sys.path.insert(0, str(TREE / "tests" / "module"))
from pam_stage import AUTH_ERR, SUCCESS, Pam  # noqa: E402

NEXT_VERSION = SCHEMA_VERSION + 1


@pytest.fixture
def fresh(no_database, migrated):
    """Makes further empty databases, each with its certmapctl."""
    made = []

    def make(content=migrated):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
        directory.chmod(0o700)
        made.append(directory)
        database = Database(directory, no_database.standing)
        database.path.write_bytes(content)
        database.path.chmod(0o600)
        return Tool(database)

    yield make
    for directory in made:
        shutil.rmtree(directory)


def next_version(tool, *words, status=0):
    """A verb of the next version's certmapctl, on the same database."""
    done = subprocess.run(
        [str(CERTMAPCTL_NEXT), *map(str, words), "--database", str(tool.database.path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        check=False)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done


def mapped(database, columns="service, account, enabled, valid_until, note"):
    return database.rows(f"SELECT {columns} FROM mapping ORDER BY id")


# Backup and restore ------------------------------------------------------------------------------

class Asker(threading.Thread):
    """Somebody who logs in all the time."""

    def __init__(self, daemon, certificate):
        super().__init__()
        self.daemon_, self.certificate = daemon, certificate
        self.reasons, self.ends = [], threading.Event()

    def run(self):
        while not self.ends.is_set():
            self.reasons.append(self.daemon_.reason(self.certificate))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join()


def test_backups_while_people_log_in_and_edit_are_whole(database, daemon, fresh, alice, bob):
    database.map(alice)
    with Asker(daemon, alice) as asker:
        for i in range(10):
            database.sql(".timeout 5000\nINSERT INTO mapping (account, certificate)"
                         " VALUES ('bob', readfile('bob.cer'));")
            copy = database.directory / "copy"
            database.sql(f".timeout 5000\n.backup {copy}")
            other = fresh(copy.read_bytes())
            assert other.database.value("PRAGMA integrity_check") == "ok"
            assert [row["account"] for row in mapped(other.database)] == ["alice", "bob"]
            database.sql(".timeout 5000\nDELETE FROM mapping WHERE account = 'bob';")
    assert set(asker.reasons) == {"allowed"}


def test_restores_while_people_log_in_are_seen_at_the_next_lookup(database, daemon, alice, bob):
    database.map(alice)
    copy = database.directory / "copy"
    database.sql(f".backup {copy}")
    database.map(bob)
    process = daemon.process.pid
    with Asker(daemon, alice) as asker:
        for _ in range(10):
            database.sql(".timeout 5000\nUPDATE mapping SET enabled = 0 WHERE account = 'alice';")
            assert daemon.reason(alice) == "mapping-disabled"
            database.sql(f".timeout 5000\n.restore {copy}")
            # Who was shut out since the backup is in again.
            assert daemon.reason(alice) == "allowed"
            assert daemon.reason(bob, user="bob") == "unmapped"
    # The asker may meet the moment of the restore itself, which holds the file for itself.
    assert set(asker.reasons) <= {"allowed", "mapping-disabled", "unavailable"}
    assert daemon.process.pid == process and daemon.is_running
    assert database.value("PRAGMA integrity_check") == "ok"
    assert database.value("PRAGMA journal_mode") == "wal"


def test_the_log_says_that_a_restore_went_back_and_goes_on_witnessing(database, daemon, alice,
                                                                      bob):
    database.map(alice)
    copy = database.directory / "copy"
    database.sql(f".backup {copy}")
    for enabled in (0, 1, 0):
        database.sql(f"UPDATE mapping SET enabled = {enabled};")
    assert daemon.reason(alice) == "mapping-disabled"
    database.sql(f".restore {copy}")
    assert daemon.reason(alice) == "allowed"
    daemon.wait_for_line("went back from history entry 4 to 1")
    database.map(bob)
    assert daemon.reason(bob, user="bob") == "allowed"
    daemon.wait_for_line("history=2", "object=mapping", "change=insert")
    assert sum("went back" in line for line in daemon.log()) == 1


def test_a_copy_over_the_live_file_is_not_mistaken_for_it(database, daemon, alice, bob):
    """Not how it is done. It must not do harm all the same: the daemon answers from the new file or
    says unavailable."""
    database.map(alice)
    database.sql("PRAGMA wal_checkpoint(TRUNCATE);")
    old = database.path.read_bytes()
    database.sql("UPDATE mapping SET enabled = 0;")
    assert daemon.reason(alice) == "mapping-disabled"
    new = database.directory / "new"
    new.write_bytes(old)
    new.chmod(0o600)
    new.rename(database.path)
    assert daemon.reason(alice) in ("allowed", "unavailable")


# Another server ----------------------------------------------------------------------------------

@pytest.fixture
def pam():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-"))
    directory.chmod(0o755)
    yield Pam(directory)
    shutil.rmtree(directory)


@pytest.fixture
def of_elsewhere(fresh, alice):
    """A server where ACCOUNT has another uid than here."""
    elsewhere = fresh()
    elsewhere.database.map(alice, account=ACCOUNT, account_uid=NOBODY - 7)
    return elsewhere


def log_in(pam, daemon, certificate):
    pam.service("", lines=f"auth required {pam.module} socket={daemon.socket} source=env:CERT\n")
    return pam.run(f"start:svc:{ACCOUNT}", "authenticate", environment={"CERT": certificate.pem})


@pytest.mark.parametrize("form", ["json", "csv"])
def test_uids_of_another_server_are_bound_anew(tool, daemon, of_elsewhere, pam, alice, form):
    file = tool.database.directory / f"moved.{form}"
    of_elsewhere("export", "--format", form, "--output", file)
    tool("import", file)
    assert mapped(tool.database, "account_uid") == [{"account_uid": NOBODY}]
    assert log_in(pam, daemon, alice).code == SUCCESS


@pytest.mark.parametrize("form", ["json", "csv"])
def test_uids_that_are_brought_along_are_refused_as_changed(tool, daemon, of_elsewhere, pam, alice,
                                                            form):
    file = tool.database.directory / f"moved.{form}"
    of_elsewhere("export", "--format", form, "--uids", "--output", file)
    tool("import", file)
    run = log_in(pam, daemon, alice)
    assert run.code == AUTH_ERR and "reason=account-changed" in run.line


# Versions of the schema --------------------------------------------------------------------------

@pytest.fixture
def filled(tool, alice, bob):
    tool.database.sql("""
        INSERT INTO service (name, inherit, note) VALUES ('ftp', 0, 'files');
        INSERT INTO mapping (service, account, certificate, valid_until, note)
            VALUES ('ftp', 'alice', readfile('alice.cer'), 4102444800, 'hers');
        INSERT INTO mapping (account, certificate, enabled) VALUES ('bob', readfile('bob.cer'), 0);
        """)
    return tool


@pytest.fixture
def newer(fresh, alice):
    """A database of the next version, with something in the column that is new there."""
    tool = fresh()
    next_version(tool, "migrate")
    tool.database.sql("INSERT INTO service (name, colour) VALUES ('ftp', 'blue');"
                      "INSERT INTO mapping (service, account, certificate, colour)"
                      " VALUES ('ftp', 'alice', readfile('alice.cer'), 'green');")
    return tool


def schema(database):
    return database.rows("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")


def content(database):
    """The rows of every table."""
    return {row["name"]: database.sql(f"SELECT * FROM {row['name']} ORDER BY 1, 2", "-quote")
            for row in database.rows("SELECT name FROM sqlite_schema WHERE type = 'table'"
                                     " AND name NOT LIKE 'sqlite_%' ORDER BY name")}


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_database_of_every_earlier_version_is_brought_up_under_the_daemon(
        no_database, fresh, stopped_daemon, alice, bob, version):
    """As that version's shell made it; the daemon answers at the next lookup, without a restart."""
    no_database.migrate(version)
    no_database.sql("""
        INSERT INTO service (name, inherit, note) VALUES ('ftp', 0, 'files');
        INSERT INTO credential VALUES ('ftp', 'alice', x'0102');
        INSERT INTO mapping (service, account, certificate, valid_until, note)
            VALUES ('ftp', 'alice', readfile('alice.cer'), 4102444800, 'hers');
        INSERT INTO mapping (account, certificate, enabled) VALUES ('bob', readfile('bob.cer'), 0);
        DELETE FROM mapping WHERE id = 2;
        """)
    no_database.path.chmod(0o600)
    tool, daemon = Tool(no_database), stopped_daemon.start()
    assert daemon.reason(alice, service="ftp") == "unavailable"
    before = content(no_database)
    assert before["mapping"].count("\n") == 1 and before["history"].count("\n") == 5
    assert tool.json("migrate") == {"database": str(no_database.path), "from": version,
                                    "to": SCHEMA_VERSION, "copy": f"{no_database.path}.v{version}"}
    assert schema(no_database) == schema(fresh().database)
    assert content(no_database) == before
    assert no_database.value("PRAGMA integrity_check") == "ok"
    copy = Database(no_database.directory, no_database.standing)
    copy.path = no_database.path.with_name(f"mappings.db.v{version}")
    assert content(copy) == before and copy.value("PRAGMA user_version") == version
    assert daemon.reason(alice, service="ftp") == "allowed"
    assert daemon.reason(bob, service="ftp") == "unmapped"
    assert tool.json("add", "bob", bob.path)["id"] == 3


def test_migration_keeps_every_row_and_a_copy(filled):
    before = mapped(filled.database)
    history = filled.database.rows("SELECT * FROM history")
    assert f"from schema version {SCHEMA_VERSION} to {NEXT_VERSION}" in \
        next_version(filled, "migrate").stdout
    assert filled.database.value("PRAGMA user_version") == NEXT_VERSION
    assert mapped(filled.database) == before
    assert filled.database.rows("SELECT * FROM history") == history
    copy = Database(filled.database.directory, filled.database.standing)
    copy.path = filled.database.path.with_name(f"mappings.db.v{SCHEMA_VERSION}")
    assert mapped(copy) == before and copy.value("PRAGMA user_version") == SCHEMA_VERSION


def test_restored_backup_of_an_older_schema_waits_for_migrate(filled, fresh):
    """To the next version's tool a restored file of this version is one of an older schema."""
    copy = filled.database.directory / "copy"
    filled.database.sql(f".backup {copy}")
    next_version(filled, "migrate")
    (filled.database.directory / f"mappings.db.v{SCHEMA_VERSION}").unlink()
    filled.database.sql(f".restore {copy}")
    assert "migrate" in next_version(filled, "list", status=1).stderr
    next_version(filled, "migrate")
    assert "alice" in next_version(filled, "list").stdout


def test_daemon_of_this_version_refuses_a_newer_schema_until_the_old_is_restored(
        filled, daemon, alice):
    copy = filled.database.directory / "copy"
    filled.database.sql(f".backup {copy}")
    assert daemon.reason(alice, service="ftp") == "allowed"
    next_version(filled, "migrate")
    assert daemon.reason(alice, service="ftp") == "unavailable"
    assert f"version {NEXT_VERSION}" in filled("list", status=1).err
    filled.database.sql(f".restore {copy}")
    assert daemon.reason(alice, service="ftp") == "allowed"


@pytest.mark.parametrize("form", ["json", "csv"])
def test_export_goes_into_a_newer_schema_and_back(filled, fresh, form):
    file = filled.database.directory / f"all.{form}"
    filled("export", "--format", form, "--output", file)
    newer = fresh()
    next_version(newer, "migrate")
    next_version(newer, "import", file)
    assert mapped(newer.database) == mapped(filled.database)
    assert newer.database.value("SELECT count(*) FROM mapping WHERE colour IS NULL") == 2
    again = next_version(newer, "import", file, "--sync")
    assert "0 added, 0 changed" in again.stdout


def test_sql_of_an_older_schema_is_brought_up_by_migrate(filled, fresh, no_database):
    script = filled("export", "--format", "sql").out
    newer = fresh(b"")
    newer.database.sql(script)
    assert newer.database.value("PRAGMA user_version") == SCHEMA_VERSION
    next_version(newer, "migrate")
    assert mapped(newer.database) == mapped(filled.database)


def test_sql_of_a_newer_schema_is_whole_there_and_refused_here(newer, fresh):
    script = next_version(newer, "export", "--format", "sql").stdout
    other = fresh(b"")
    other.database.sql(script)
    assert other.database.value("PRAGMA user_version") == NEXT_VERSION
    assert mapped(other.database, "account, colour") == [{"account": "alice", "colour": "green"}]
    assert "alice" in next_version(other, "list").stdout
    before = dump(other.database)
    assert f"version {NEXT_VERSION}" in other("list", status=1).err
    assert dump(other.database) == before


def test_json_of_a_newer_schema_is_refused_by_the_name_of_the_column(newer, tool):
    if not has_json():
        pytest.skip("built without jansson")
    file = tool.database.directory / "newer.json"
    next_version(newer, "export", "--format", "json", "--output", file)
    assert {line.get("colour") for line in json.loads(file.read_text())} == {None, "blue", "green"}
    done = tool("import", file, status=1)
    assert "colour" in done.out + done.err
    assert mapped(tool.database) == []


def test_csv_of_a_newer_schema_holds_what_this_version_knows(newer, tool):
    file = tool.database.directory / "newer.csv"
    next_version(newer, "export", "--format", "csv", "--output", file)
    tool("import", file)
    assert mapped(tool.database, "service, account") == [{"service": "ftp", "account": "alice"}]
