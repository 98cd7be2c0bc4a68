# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_status.py owns what `certmapctl status' says of a daemon that is there, gone, too old or
broken, and that its metrics are what both OpenMetrics 1.0 and the text format 0.0.4 allow."""
import json
import os
import re
import socket
import subprocess
import threading

import pytest

import certmap_client
from ctl_stage import has_json, on_terminal
from shell_stage import CERTMAPCTL, NOBODY, TREE, as_nobody, run


def status(tool, path, *words, code=0):
    return tool("status", "--socket", path, *words, status=code)


def as_json(tool, path, code=0):
    if not has_json():
        pytest.skip("built without jansson")
    return json.loads(status(tool, path, "--json", code=code).stdout)


@pytest.fixture
def asked(daemon, tool, alice, bob):
    """A daemon with three lookups behind it."""
    tool.database.map(alice)
    tool.database.map(bob, account="zoe", enabled=0)
    for evidence in (alice, alice, "junk"):
        daemon.ask(evidence)
    return daemon


@pytest.mark.root
def test_counts_are_those_of_the_daemon(asked, tool):
    said = as_json(tool, asked.socket)
    counts = {name: value for name, value in said.items() if name.startswith("lookups.") and value}
    assert counts == {"lookups.allowed": 2, "lookups.malformed-certificate": 1}
    assert (said["healthy"], said["reachable"], said["pid"]) == (1, 1, asked.process.pid)
    assert said["version"] == run(CERTMAPCTL, "--version").decode().split()[1]
    assert said["schema_version"] == tool.database.value("PRAGMA user_version")
    assert {name: value for name, value in said.items() if name.startswith("mappings.")} == {
        "mappings.in force": 1, "mappings.disabled": 1}
    assert said["pending"] == 0 and said["database_bytes"] == tool.database.path.stat().st_size
    words = status(tool, asked.socket).out
    assert re.search(r"^lookups +2  allowed\n +1  malformed-certificate$", words, re.M)
    assert re.search(rf"^daemon +running, version .*, process {asked.process.pid}, since", words,
                     re.M)
    assert "unmapped" not in words


@pytest.mark.root
def test_shadow_counts_as_what_the_client_was_told(asked, tool, alice):
    tool("service", "set", "*", "shadow=yes")
    asked.ask(alice)
    said = as_json(tool, asked.socket)
    assert (said["lookups.allowed"], said["lookups.no-certificate"]) == (2, 1)


def test_without_a_daemon_all_else_is_said_and_it_is_status_1(tool, alice, tmp_path):
    tool("add", "nobody", alice.path)
    done = status(tool, tmp_path / "lookup", code=1)
    assert re.search(r"^daemon +down, does not answer", done.out, re.M)
    assert "systemctl enable --now certmapd.socket" in done.out
    assert re.search(r"^mappings +1  in force$", done.out, re.M)
    said = as_json(tool, tmp_path / "lookup", code=1)
    assert (said["healthy"], said["reachable"], said["version"]) == (0, 0, None)
    assert said["mappings.in force"] == 1


def test_database_that_can_not_be_used_is_status_1(asked, tool):
    tool.database.path.chmod(0o666)
    done = status(tool, asked.socket, code=1)
    assert re.search(r"^database +not usable, .*writable by others", done.out, re.M)
    assert "mode 0666" in done.out


@pytest.mark.root
def test_daemon_that_can_not_use_its_database_is_status_1(stopped_daemon, database, tool, alice):
    tool.database.path.rename(tool.database.path.with_suffix(".away"))
    daemon = stopped_daemon.start()
    daemon.ask(alice)
    tool.database.path.with_suffix(".away").rename(tool.database.path)
    done = status(tool, daemon.socket, code=1)
    assert "it can't use its database" in done.out and "usable, " in done.out
    daemon.ask(alice)
    status(tool, daemon.socket)


def test_socket_that_does_not_belong_to_whom_it_should_is_named(asked, tool):
    assert "does not belong to root:certmap-clients" in as_json(
        tool, asked.socket)["socket_problem"]
    plain_file = asked.directory / "log"
    assert "is no socket" in as_json(tool, plain_file, code=1)["socket_problem"]


class OldDaemon:
    """Answers each request with `reply`, as a daemon that can't read it does."""

    def __init__(self, directory, reply):
        self.path = str(directory / "old")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        self.reply = reply
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(self.reply)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join()
        self.listener.close()


UNREADABLE = bytes.fromhex("434d415001020000000000118001 0000000b756e617661696c61626c65")


def reply(**values):
    return certmap_client.build_message(
        certmap_client.REPLY, certmap_client.REPLY_FIELDS,
        {name.replace("_", "-"): value for name, value in values.items()})


@pytest.mark.parametrize("answer, code, words", [
    (UNREADABLE, 0, "older version"),
    (reply(reason="allowed", account="a", mapping_id=1, fingerprint=64 * "a", correlation_id="x"),
     1, "malformed reply"),
    (reply(reason="forbidden", correlation_id="x"), 1, "belongs to another request"),
    (certmap_client.build_message(
        certmap_client.STATUS, certmap_client.STATUS_FIELDS,
        {"version": "9", "pid": 1, "started": 0, "database-usable": 1, "counts": "",
         "correlation-id": "x"}), 1, "belongs to another request"),
    (b"", 1, "connection ended before the reply"),
    (UNREADABLE + b"x", 1, "bytes after the reply"),
])
def test_what_is_no_status_is_named(tool, tmp_path, answer, code, words):
    tmp_path.chmod(0o755)
    with OldDaemon(tmp_path, answer) as daemon:
        assert words in status(tool, daemon.path, code=code).out


@pytest.mark.root
def test_who_is_not_root_hears_that_it_runs(asked, tool):
    os.chmod(asked.socket, 0o666)
    os.chown(asked.socket, 0, NOBODY)
    said = as_nobody(lambda: subprocess.run(
        [str(CERTMAPCTL), "status", "--socket", asked.socket, "--database", "/nonexistent/x"],
        check=False, stdout=-1, stderr=-1).stdout.decode())
    assert re.search(r"^daemon +running, runs, and tells root alone", said, re.M)


@pytest.mark.root
def test_who_may_not_ask_is_told_so_and_not_that_it_is_down(asked, tool):
    os.chmod(asked.socket, 0o600)
    for words in (["status", "--socket", asked.socket], ["list"]):
        said = as_nobody(lambda words=words: subprocess.run(
            [str(CERTMAPCTL), *words, "--database", tool.database.path],
            check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode())
        assert "as root" in said and " down" not in said and "belongs to uid" not in said


# OpenMetrics -------------------------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'


def parse_metrics(text):
    """{family: (type, {sample: value})}, by the rules of the OpenMetrics 1.0 specification's
    sections on the text format: one TYPE and HELP before the samples of a family, families that
    stand together, no series twice, # EOF at the end. Of its types it knows only the one that the
    text format 0.0.4 has too, with samples of the same name; none is "unknown" there and "untyped"
    here. To that format # EOF is a comment."""
    assert text.endswith("# EOF\n")
    families, current = {}, None
    for line in text[:-len("# EOF\n")].splitlines():
        assert line and line == line.strip()
        if meta := re.fullmatch(rf"# (TYPE|HELP) ({NAME}) (.+)", line):
            word, name, rest = meta.groups()
            if name != current:
                assert name not in families, f"{name} stands apart"
                families[name] = {"samples": {}}
                current = name
            assert word not in families[name] and not families[name]["samples"]
            families[name][word] = rest
            continue
        sample, labels, value = re.fullmatch(
            rf"({NAME})(\{{{LABEL}(?:,{LABEL})*\}})? (-?\d+(?:\.\d+)?)", line).groups()
        family = families[current]
        assert family.get("TYPE", "gauge") == "gauge"
        assert sample == current
        key = sample + (labels or "")
        assert key not in family["samples"]
        family["samples"][key] = float(value)
    assert all(family["samples"] and family["HELP"] for family in families.values())
    return {name: (family.get("TYPE"), family["samples"]) for name, family in families.items()}


@pytest.mark.root
def test_metrics_are_of_both_formats_and_say_what_status_says(asked, tool):
    metrics = parse_metrics(status(tool, asked.socket, "--openmetrics").out)
    assert metrics["certmap_up"] == ("gauge", {"certmap_up": 1})
    _, lookups = metrics["certmap_lookups_total"]
    assert lookups['certmap_lookups_total{reason="allowed"}'] == 2
    assert lookups['certmap_lookups_total{reason="unmapped"}'] == 0
    assert metrics["certmap_mappings"][1] == {
        'certmap_mappings{state="in force"}': 1, 'certmap_mappings{state="disabled"}': 1}
    assert metrics["certmap_pending"][1] == {"certmap_pending": 0}
    assert metrics["certmap_schema_version"][1] == {
        "certmap_schema_version": tool.database.value("PRAGMA user_version")}
    assert metrics["certmap_certificate_not_after_seconds"][1] == {
        "certmap_certificate_not_after_seconds": tool.database.value(
            "SELECT not_after FROM fact WHERE mapping_id = 1")}


def test_every_reason_of_the_protocol_is_a_series(asked, tool):
    page = (TREE / "certmapd/protocol/reason.c").read_text()
    words = re.findall(r'^\t\[REASON_\w+\] = "([a-z-]+)",', page, re.M)[1:]
    text = status(tool, asked.socket, "--openmetrics").out
    if os.geteuid() == 0:
        assert re.findall(r'reason="([a-z-]+)"', text) == words


def test_metrics_of_what_is_down_are_whole(tool, tmp_path):
    text = tool("status", "--openmetrics", "--socket", tmp_path / "x", "--database",
                tmp_path / "y", status=1).out
    metrics = parse_metrics(text)
    assert metrics == {"certmap_up": ("gauge", {"certmap_up": 0}),
                       "certmap_database_usable": ("gauge", {"certmap_database_usable": 0})}


def test_parser_of_this_test_refuses_what_the_specification_forbids():
    for broken in ("a 1\n# EOF\n", "# TYPE a gauge\n# HELP a x\na 1\n",
                   "# TYPE a counter\n# HELP a x\na_total 1\n# EOF\n",
                   "# TYPE a unknown\n# HELP a x\na 1\n# EOF\n",
                   "# TYPE a untyped\n# HELP a x\na 1\n# EOF\n",
                   "# TYPE a gauge\na 1\n# EOF\n",
                   "# TYPE a gauge\n# HELP a x\na 1\na 2\n# EOF\n",
                   '# TYPE a gauge\n# HELP a x\na{b="\\x"} 1\n# EOF\n'):
        with pytest.raises((AssertionError, AttributeError, KeyError)):
            parse_metrics(broken)


@pytest.mark.parametrize("words", [("x",), ("--openmetrics", "--json"), ("--socket",)])
def test_wrong_usage_is_status_2(tool, words):
    assert "--help" in tool("status", *words, status=2).err


def test_colour_is_never_the_only_sign(asked, tool, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    painted = on_terminal(tool, "status", "--socket", asked.socket)[1]
    assert "\x1b[32mrunning\x1b[0m" in painted
    monkeypatch.setenv("NO_COLOR", "1")
    # But for the numbers, which go on: seconds, and what the daemon writes down meanwhile.
    shown = on_terminal(tool, "status", "--socket", asked.socket)[1]
    assert re.sub(r"\d+", "N", re.sub(r"\((?:now|.*? ago)\)", "", shown)) == re.sub(
        r"\d+", "N", re.sub(r"\((?:now|.*? ago)\)", "", re.sub(r"\x1b\[\d*m", "", painted)))
