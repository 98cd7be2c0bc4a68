# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_credential.py owns the promises of `certmapctl credential': what is sealed and what it opens
to is told by tests/lib/aes_gcm.py, which shares no code with it, and what is in the database by the
stock sqlite3 shell.
"""
import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import stat
import subprocess
import sys
import termios
import time

import pytest

from shell_stage import CERTMAPCTL, Daemon, OpenShell

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import aes_gcm  # noqa: E402

VERBS = ("set", "remove", "list", "rotate", "new-key")
KEY, OLD_KEY, LOST_KEY = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
PASSWORD = "correct horse battery staple"
ACCOUNT = "nobody"  # one that every machine has


class Tool:
    """`certmapctl credential' on one database and one key file."""

    def __init__(self, database):
        self.database = database
        self.key_path = database.directory.parent / (database.directory.name + ".key")

    def keys(self, *keys):
        self.key_path.write_text("".join(key.hex() + "\n" for key in keys))
        self.key_path.chmod(0o600)

    def command(self, verb, *words):
        key = ("--key", self.key_path) if verb in ("set", "list", "rotate") else ()
        return [str(word) for word in
                (CERTMAPCTL, "credential", verb, "--database", self.database.path, *key, *words)]

    def __call__(self, verb, *words, status=0, typed=b""):
        done = subprocess.run(self.command(verb, *words), input=typed, check=False,
                              env={**os.environ, "LC_ALL": "C.UTF-8"},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        done.out, done.err = done.stdout.decode(), done.stderr.decode()
        assert PASSWORD not in done.out + done.err
        return done

    def json(self, verb, *words, typed=b""):
        return json.loads(self(verb, "--json", *words, typed=typed).out)

    def set(self, account=ACCOUNT, password=PASSWORD, *words):
        return self("set", account, *words, typed=password.encode() + b"\n")

    def refuses(self, verb, *words, typed=b""):
        """Asserts exit status 1, and that nothing changed. The words."""
        before = self.database.dump()
        done = self(verb, *words, status=1, typed=typed)
        assert self.database.dump() == before
        assert done.out == ""
        return done.err

    def sealed(self, account=ACCOUNT, service="*"):
        return bytes.fromhex(self.database.value(
            "SELECT hex(sealed) AS sealed FROM credential"
            f" WHERE service = '{service}' AND account = '{account}'"))

    def insert(self, key, account, password=PASSWORD, service="*", nonce=bytes(12)):
        value = aes_gcm.seal(key, nonce, service, account, password.encode())
        self.database.sql("INSERT INTO credential VALUES"
                          f" ('{service}', '{account}', X'{value.hex()}')")
        return value


@pytest.fixture(name="tool")
def make_tool(database):
    made = Tool(database)
    made.keys(KEY)
    yield made
    made.key_path.unlink(missing_ok=True)


def count(database, table="credential"):
    return database.value(f"SELECT count(*) FROM {table}")


# The second implementation -----------------------------------------------------------------------

def test_second_aes_gives_the_known_answers():
    # FIPS 197 appendix C.3.
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert aes_gcm.encrypt_block(KEY, block).hex() == "8ea2b7ca516745bfeafc49904b496089"
    # McGrew and Viega, The Galois/Counter Mode of Operation, test case 16.
    ciphertext, tag = aes_gcm.encrypt(
        bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2),
        bytes.fromhex("cafebabefacedbaddecaf888"),
        bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
        bytes.fromhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"))
    assert ciphertext.hex() == (
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662")
    assert tag.hex() == "76fc6ece0f4e1768cddf8853bb2d551b"


# Wrong usage -------------------------------------------------------------------------------------

def run(*words):
    return subprocess.run([str(CERTMAPCTL), "credential", *words], check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(verb):
    done = run(verb, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert f"Usage: certmapctl credential {verb}" in done.stdout
    assert "--database" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert re.search(rf"^  {verb} ", run("--help").stdout, re.MULTILINE)


@pytest.mark.parametrize("words", [
    (), ("frobnicate",), ("set",), ("set", ""), ("set", "alice", "secret"), ("remove",),
    ("remove", "alice", "bob"), ("list", "alice"), ("rotate", "alice"), ("new-key", "a", "b"),
    ("remove", "--key", "k", "alice"), ("list", "--dry-run"), ("set", "--password", "x", "alice"),
])
def test_wrong_usage_is_status_2(words):
    done = run(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert "--help" in done.stderr


# set ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("service", ["*", "proftpd"])
def test_what_is_set_opens_to_the_password_for_that_row_alone(tool, service):
    where = () if service == "*" else ("--service", service)
    tool.set(ACCOUNT, PASSWORD, *where)
    sealed = tool.sealed(service=service)
    assert aes_gcm.unseal(KEY, service, ACCOUNT, sealed) == PASSWORD.encode()
    with pytest.raises(ValueError):
        aes_gcm.unseal(KEY, service, "alice", sealed)
    with pytest.raises(ValueError):
        aes_gcm.unseal(KEY, "sshd", ACCOUNT, sealed)


@pytest.mark.parametrize("typed, password", [
    (b"x", b"x"), (b"x\n", b"x"), (b" two words \n", b" two words "),
    ("hesl\u00f3\n".encode(), "hesl\u00f3".encode()), (b"\xff\xfe\n", b"\xff\xfe"),
    (b"-x\n", b"-x"), (b"y" * 1024 + b"\n", b"y" * 1024), (b"y" * 1024, b"y" * 1024),
])
def test_line_of_the_input_is_taken_byte_for_byte(tool, typed, password):
    tool("set", ACCOUNT, typed=typed)
    assert aes_gcm.unseal(KEY, "*", ACCOUNT, tool.sealed()) == password


@pytest.mark.parametrize("typed, words", [
    (b"", "no password"), (b"\n", "no password"), (b"a\nb\n", "more than one line"),
    (b"a\n\n", "more than one line"), (b"a\nb", "more than one line"),
    (b"a\r\n", "control character"), (b"a\0b\n", "control character"),
    (b"\x1b[A\n", "control character"), (b"a\x7f\n", "control character"),
    (b"y" * 1025 + b"\n", "1024 bytes"), (b"y" * 1025, "1024 bytes"),
    (b"y" * 100000, "1024 bytes"),
])
def test_what_is_no_password_is_refused(tool, typed, words):
    assert words in tool.refuses("set", ACCOUNT, typed=typed)


def test_second_line_that_comes_later_is_refused_too(tool):
    process = subprocess.Popen(tool.command("set", ACCOUNT), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"one\n")
    process.stdin.flush()
    time.sleep(0.2)
    _, said = process.communicate(b"two\n", timeout=Daemon.PATIENCE)
    assert process.returncode == 1 and b"more than one line" in said
    assert count(tool.database) == 0


def test_setting_again_replaces(tool):
    assert tool.json("set", ACCOUNT, typed=b"one\n")["change"] == "set"
    assert tool.json("set", ACCOUNT, typed=b"two\n") == {
        "service": "*", "account": ACCOUNT, "key_id": aes_gcm.key_id(KEY).hex(),
        "change": "replaced"}
    assert count(tool.database) == 1
    assert aes_gcm.unseal(KEY, "*", ACCOUNT, tool.sealed()) == b"two"


def test_dry_run_changes_nothing(tool):
    before = tool.database.dump()
    assert "would be set" in tool("set", ACCOUNT, "--dry-run", typed=b"one\n").out
    assert tool.json("set", ACCOUNT, "--dry-run", typed=b"one\n")["change"] == "none"
    assert tool.database.dump() == before


def test_history_knows_who_and_whose_and_nothing_of_the_secret(tool):
    tool.set()
    tool.set(ACCOUNT, "another")
    tool("remove", ACCOUNT)
    rows = tool.database.rows("SELECT * FROM history ORDER BY id")
    assert [(row["object"], row["change"]) for row in rows] == [
        ("credential", "insert"), ("credential", "update"), ("credential", "delete")]
    assert all(row["who"] for row in rows)
    assert all("sealed" not in json.dumps(row) for row in rows)


def test_database_holds_no_password_and_no_key(tool):
    tool.set()
    tool.set(ACCOUNT, PASSWORD, "--service", "proftpd")
    for path in tool.database.directory.iterdir():
        data = path.read_bytes()
        assert PASSWORD.encode() not in data and KEY not in data and KEY.hex().encode() not in data


def test_traps_are_warned_of(tool):
    said = tool.set("no-such-account").err
    assert "no account no-such-account" in said and "deliver_credential" in said
    said = tool.set(ACCOUNT, PASSWORD, "--service", "proftpd").err
    assert "no account" not in said and "the service proftpd delivers no credential" in said
    tool.database.sql("INSERT INTO service (name, deliver_credential) VALUES ('proftpd', 1)")
    assert tool.set(ACCOUNT, PASSWORD, "--service", "proftpd").err == ""


def test_account_over_its_limit_is_refused(tool):
    assert "256" in tool.refuses("set", "a" * 257, typed=b"x\n")


def test_lock_of_somebody_else_is_told(tool):
    with OpenShell(tool.database) as shell:
        shell.type("BEGIN IMMEDIATE;")
        said = tool("set", ACCOUNT, "--wait", "0", status=1, typed=b"x\n").err
        shell.type("ROLLBACK;")
    assert "somebody else is writing" in said


# A terminal --------------------------------------------------------------------------------------

class Terminal:
    """certmapctl on a terminal, and who sits there."""

    def __init__(self, command):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.shown = b""
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"}, preexec_fn=self.sit_down)

    @staticmethod
    def sit_down():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # In the background of a script it is ignored, and stays so.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def wait_for(self, text):
        deadline = time.monotonic() + Daemon.PATIENCE
        os.set_blocking(self.master, False)
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            try:
                self.shown += os.read(self.master, 4096)
            except BlockingIOError:
                time.sleep(0.01)

    def type(self, text):
        os.write(self.master, text)

    def end(self):
        """The exit status, or minus the signal; and whether the terminal is as it was."""
        status = self.process.wait(Daemon.PATIENCE)
        restored = termios.tcgetattr(self.slave)
        os.close(self.slave)
        try:
            while data := os.read(self.master, 4096):
                self.shown += data
        except OSError:
            pass
        os.close(self.master)
        assert restored == self.before
        return status


def test_terminal_asks_twice_and_shows_nothing(tool):
    terminal = Terminal(tool.command("set", ACCOUNT))
    terminal.wait_for(b"Password: ")
    terminal.type(PASSWORD.encode() + b"\n")
    terminal.wait_for(b"again: ")
    terminal.type(PASSWORD.encode() + b"\n")
    assert terminal.end() == 0
    assert PASSWORD.encode() not in terminal.shown
    assert aes_gcm.unseal(KEY, "*", ACCOUNT, tool.sealed()) == PASSWORD.encode()


def test_two_different_ones_are_refused(tool):
    terminal = Terminal(tool.command("set", ACCOUNT))
    terminal.wait_for(b"Password: ")
    terminal.type(b"one\n")
    terminal.wait_for(b"again: ")
    terminal.type(b"two\n")
    assert terminal.end() == 1
    assert b"not the same" in terminal.shown
    assert count(tool.database) == 0


@pytest.mark.parametrize("how, number", [
    ("key", signal.SIGINT), ("kill", signal.SIGTERM), ("kill", signal.SIGHUP)])
def test_interrupted_prompt_gives_the_terminal_back(tool, how, number):
    terminal = Terminal(tool.command("set", ACCOUNT))
    terminal.wait_for(b"Password: ")
    terminal.type(b"half a pass")
    if how == "key":
        terminal.type(b"\x03")
    else:
        terminal.process.send_signal(number)
    assert terminal.end() == -number
    assert count(tool.database) == 0


def test_prompt_can_not_be_left_behind_suspended(tool):
    terminal = Terminal(tool.command("set", ACCOUNT))
    terminal.wait_for(b"Password: ")
    terminal.type(b"\x1ax\n")
    terminal.wait_for(b"again: ")
    terminal.type(b"\x1ax\n")
    assert terminal.end() == 1
    assert b"control character" in terminal.shown


# remove ------------------------------------------------------------------------------------------

def test_remove_takes_away_that_one_alone(tool):
    tool.set()
    tool.set(ACCOUNT, PASSWORD, "--service", "proftpd")
    assert "would be" in tool("remove", ACCOUNT, "--dry-run").out
    assert count(tool.database) == 2
    tool("remove", ACCOUNT)
    assert tool.database.value("SELECT service FROM credential") == "proftpd"
    assert tool.json("remove", ACCOUNT, "--service", "proftpd")["change"] == "removed"
    assert count(tool.database) == 0


def test_remove_of_nothing_is_refused(tool):
    tool.set()
    assert "no credential of alice" in tool.refuses("remove", "alice")
    assert "in the service sshd" in tool.refuses("remove", ACCOUNT, "--service", "sshd")


@pytest.mark.parametrize("answer, left", [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
def test_remove_asks_on_a_terminal(tool, answer, left):
    tool.set()
    terminal = Terminal(tool.command("remove", ACCOUNT))
    terminal.wait_for(b"[y/N] ")
    terminal.type(answer)
    assert terminal.end() == (0 if left == 0 else 1)
    assert count(tool.database) == left


# list --------------------------------------------------------------------------------------------

def test_list_says_whose_and_by_which_key_and_whether_it_opens(tool):
    tool.keys(KEY, OLD_KEY)
    tool.insert(KEY, "alice")
    tool.insert(OLD_KEY, "bob", service="proftpd")
    tool.insert(LOST_KEY, "carol")
    moved = tool.insert(KEY, "dave")
    tool.database.sql(f"INSERT INTO credential VALUES ('*', 'erin', X'{moved.hex()}')")
    tool.database.sql("INSERT INTO credential VALUES ('*', 'frank', X'00')")
    listed = tool.json("list")
    problems = {row["account"]: row["problem"] for row in listed}
    assert list(problems) == ["alice", "carol", "dave", "erin", "frank", "bob"]
    assert problems["alice"] is problems["bob"] is problems["dave"] is None
    assert "not at hand" in problems["carol"]
    assert "another service or account" in problems["erin"]
    assert "not a sealed credential" in problems["frank"]
    ids = {row["account"]: row["key_id"] for row in listed}
    assert ids["alice"] == aes_gcm.key_id(KEY).hex()
    assert ids["bob"] == aes_gcm.key_id(OLD_KEY).hex()
    assert ids["carol"] == aes_gcm.key_id(LOST_KEY).hex()
    assert ids["frank"] is None
    table = tool("list").out
    assert table.count("opens") == 3 and PASSWORD not in table


def test_list_chooses(tool):
    tool.insert(KEY, "alice")
    tool.insert(KEY, "alice", service="proftpd")
    tool.insert(KEY, "bob", service="proftpd")
    assert len(tool.json("list", "--service", "proftpd")) == 2
    assert len(tool.json("list", "--account", "alice")) == 2
    assert len(tool.json("list", "--account", "alice", "--service", "proftpd")) == 1
    assert tool.json("list", "--account", "carol") == []


def test_list_works_without_a_key(tool):
    tool.insert(KEY, "alice")
    tool.key_path.unlink()
    (row,) = tool.json("list")
    assert row["account"] == "alice" and row["problem"] == "there is no key"


def test_names_from_a_shell_reach_no_terminal_as_commands(tool):
    # The schema refuses them; who owns the file can take its rules away.
    row = "INSERT INTO credential VALUES ('*', 'a' || char(27) || '[31m' || char(10), X'00');"
    assert "control character" in tool.database.refusal(row)
    tool.database.sql("DROP TRIGGER credential_insert;" + row)
    assert "\\x1b" in tool("list").out and "\x1b" not in tool("list").out
    assert "\x1b" not in tool.refuses("rotate")


# rotate ------------------------------------------------------------------------------------------

def test_rotate_seals_all_with_the_first_key(tool):
    tool.keys(KEY, OLD_KEY)
    tool.insert(OLD_KEY, "alice", "alice's")
    tool.insert(OLD_KEY, "bob", "bob's", service="proftpd")
    already = tool.insert(KEY, "carol", "carol's")
    done = tool.json("rotate")
    assert done == {"key_id": aes_gcm.key_id(KEY).hex(), "resealed": 2, "unchanged": 1}
    assert aes_gcm.unseal(KEY, "*", "alice", tool.sealed("alice")) == b"alice's"
    assert aes_gcm.unseal(KEY, "proftpd", "bob", tool.sealed("bob", "proftpd")) == b"bob's"
    assert tool.sealed("carol") == already
    tool.keys(KEY)
    assert all(row["problem"] is None for row in tool.json("list"))


def test_rotate_seals_many_once_each(tool):
    tool.keys(KEY, OLD_KEY)
    for number in range(60):
        tool.insert(OLD_KEY, f"user{number}", nonce=bytes([number] * 12))
    assert tool.json("rotate")["resealed"] == 60
    assert tool.database.value("SELECT count(*) FROM history WHERE change = 'update'") == 60
    assert tool.database.value("SELECT count(DISTINCT substr(sealed, 10, 12)) FROM credential") == 60
    assert tool.json("rotate") == {
        "key_id": aes_gcm.key_id(KEY).hex(), "resealed": 0, "unchanged": 60}


def test_rotate_dry_run_changes_nothing(tool):
    tool.keys(KEY, OLD_KEY)
    tool.insert(OLD_KEY, "alice")
    before = tool.database.dump()
    assert "1 would be sealed anew" in tool("rotate", "--dry-run").out
    assert tool.database.dump() == before


def test_one_that_does_not_open_stops_the_rotation_of_all(tool):
    tool.keys(KEY, OLD_KEY)
    tool.insert(OLD_KEY, "alice")
    tool.insert(LOST_KEY, "bob")
    tool.insert(LOST_KEY, "carol", service="proftpd")
    tool.insert(OLD_KEY, "dave", service="sshd")
    said = tool.refuses("rotate")
    assert "bob in every service" in said and "carol in the service proftpd" in said
    assert "2 of 4 credentials can't be opened: nothing was changed" in said


# Key files ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("verb", ["set", "rotate"])
def test_without_a_usable_key_nothing_is_done(tool, verb):
    words = (ACCOUNT,) if verb == "set" else ()
    tool.key_path.chmod(0o644)
    assert "nobody else can write or read" in tool.refuses(verb, *words, typed=b"x\n")
    tool.key_path.write_text("nonsense\n")
    tool.key_path.chmod(0o600)
    assert "64 hexadecimal digits" in tool.refuses(verb, *words, typed=b"x\n")
    tool.key_path.unlink()
    said = tool.refuses(verb, *words, typed=b"x\n")
    assert "there is no key" in said
    assert f"`certmapctl credential new-key {tool.key_path}' makes one" in said


def new_key(*words, status=0):
    done = run("new-key", *map(str, words))
    assert done.returncode == status, (done.stdout, done.stderr)
    return done


def keys_in(path):
    return [bytes.fromhex(line) for line in path.read_text().splitlines()
            if not line.startswith("#")]


def test_new_key_makes_a_private_file_and_overwrites_none(tmp_path):
    path = tmp_path / "key"
    done = new_key(path)
    (key,) = keys_in(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert aes_gcm.key_id(key).hex() in done.stdout
    assert key.hex() not in done.stdout + done.stderr
    before = path.read_bytes()
    assert "there already" in new_key(path, status=1).stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_new_key_overwrites_no_symbolic_link_either(tmp_path):
    path = tmp_path / "key"
    path.symlink_to(tmp_path / "elsewhere")
    assert "there already" in new_key(path, status=1).stderr
    assert list(tmp_path.iterdir()) == [path]


def test_keys_are_random(tmp_path):
    new_key(tmp_path / "one")
    new_key(tmp_path / "two")
    assert keys_in(tmp_path / "one") != keys_in(tmp_path / "two")


def test_rotated_key_file_seals_with_the_new_key_and_opens_with_both(tool):
    tool.key_path.unlink()
    new_key(tool.key_path)
    (old,) = keys_in(tool.key_path)
    tool.set()
    said = json.loads(new_key("--json", "--rotate", tool.key_path).stdout)
    fresh, kept = keys_in(tool.key_path)
    assert kept == old and fresh != old
    assert said == {"file": str(tool.key_path), "key_id": aes_gcm.key_id(fresh).hex()}
    assert stat.S_IMODE(tool.key_path.stat().st_mode) == 0o600
    assert tool.json("list")[0]["problem"] is None
    tool("rotate")
    assert aes_gcm.unseal(fresh, "*", ACCOUNT, tool.sealed()) == PASSWORD.encode()


def test_rotation_needs_a_key_file_and_has_an_end(tmp_path):
    path = tmp_path / "key"
    assert "there is no key" in new_key("--rotate", path, status=1).stderr
    new_key(path)
    for _ in range(15):
        new_key("--rotate", path)
    before = path.read_bytes()
    assert len(keys_in(path)) == 16
    assert "at most 16" in new_key("--rotate", path, status=1).stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_rotation_follows_a_symbolic_link(tmp_path):
    new_key(tmp_path / "real")
    (tmp_path / "key").symlink_to("real")
    new_key("--rotate", tmp_path / "key")
    assert (tmp_path / "key").is_symlink()
    assert len(keys_in(tmp_path / "real")) == 2


def test_interrupted_making_is_in_nobodys_way_unseen(tmp_path):
    (tmp_path / "key.new").write_text("")
    assert "in the way" in new_key(tmp_path / "key", status=1).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["key.new"]


# Memory ------------------------------------------------------------------------------------------

def test_no_core_file_of_it_can_hold_a_password(tool):
    process = subprocess.Popen(tool.command("set", ACCOUNT), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + Daemon.PATIENCE
        while True:
            # proc(5): the files of a process that is not dumpable belong to root; its limit shows
            # where we are root ourselves.
            limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
            if re.search(r"Max core file size +0 +0 ", limits):
                break
            assert time.monotonic() < deadline, limits
            time.sleep(0.01)
    finally:
        process.communicate(b"x\n", timeout=Daemon.PATIENCE)
    assert process.returncode == 0
