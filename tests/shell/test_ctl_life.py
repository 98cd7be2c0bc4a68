# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_life.py owns the life of a mapping after it was added: how it is named, shut out and put
into force again, and what certmapctl says of what it can not do."""
import json
import os
import subprocess

import pytest

from ctl_stage import ACCOUNT, dump, has_json, on_terminal
from shell_stage import CERTMAPCTL, NOBODY


@pytest.fixture
def three(tool, alice, bob, carol):
    """Mapping 1 of the account everywhere, 2 for ftp; 3 of nobody-knows."""
    tool("add", ACCOUNT, alice.path, "--note", "her laptop")
    tool("add", ACCOUNT, bob.path, "--service", "ftp")
    tool("add", "nobody-knows", carol.path)
    return tool


def enabled(tool):
    return [row["enabled"] for row in tool.database.rows("SELECT enabled FROM mapping ORDER BY id")]


def staged(tool, certificate, replaces=1, account=ACCOUNT):
    return tool.database.map(certificate, account=account, enabled=0, replaces=replaces)


# Names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [
    lambda c: "1", lambda c: "id:1", lambda c: c.fingerprint, lambda c: c.fingerprint[:8],
    lambda c: c.fingerprint[:9].upper(), lambda c: "sha256:" + c.fingerprint,
    lambda c: ":".join(c.fingerprint[i:i + 2] for i in range(0, 64, 2)).upper(),
    lambda c: c.fingerprint[:2] + ":" + c.fingerprint[2:11],
])
def test_a_mapping_is_named_by_id_and_fingerprint(three, alice, word):
    assert "Mapping 1 of" in three("disable", word(alice)).out
    assert enabled(three) == [0, 1, 1]


@pytest.mark.parametrize("word", ["nobody-knows", "account:nobody-knows"])
def test_a_mapping_is_named_by_its_account(three, word):
    three("disable", word)
    assert enabled(three) == [1, 1, 0]


@pytest.mark.parametrize("word", [
    "4", "0", "-1", "01x", "id:99", "nobody", "account:1", "sha256:" + "0" * 64, "0" * 64, "id:",
    "", "account:", "sha256:12", "nobody-know", "NOBODY-KNOWS", "%", " 1", "1x", "0x1",
    "9223372036854775808",
])
def test_what_names_nothing_is_refused_in_words(three, word):
    if word == "nobody":
        word = "no-such-account"
    said = three.refuses("disable", "--", word)
    assert "there is no mapping" in said and "certmapctl list" in said


def test_too_few_digits_name_nothing(three, alice):
    assert "there is no mapping" in three.refuses("disable", alice.fingerprint[:7])
    other = ("0" if alice.fingerprint[8] != "0" else "1")
    assert "there is no mapping" in three.refuses("disable", alice.fingerprint[:8] + other)
    assert "there is no mapping" in three.refuses("disable", alice.fingerprint + "0")


def test_a_word_that_is_two_things_is_refused_with_the_remedy(three, pki):
    three("add", "2", pki.leaf("seven").path)
    said = three.refuses("disable", "2")
    assert "id:2" in said and "account:2" in said
    three("disable", "account:2")
    assert enabled(three) == [1, 1, 1, 0]
    three("disable", "id:2")
    assert enabled(three) == [1, 0, 1, 0]


def test_an_account_with_several_mappings_is_listed_with_what_to_type(three, alice, bob):
    said = three.refuses("disable", ACCOUNT)
    assert f"mapping 1 of {ACCOUNT} (every service)" in said and "her laptop" in said
    assert f"mapping 2 of {ACCOUNT} (ftp)" in said
    assert alice.fingerprint[:12] in said and bob.fingerprint[:12] in said
    assert "certmapctl disable 1" in said and "--everywhere" in said


def test_a_service_narrows(three):
    three("disable", ACCOUNT, "--service", "ftp")
    assert enabled(three) == [1, 0, 1]
    three("disable", ACCOUNT, "--service", "*")
    assert enabled(three) == [0, 0, 1]
    assert "in the service sshd" in three.refuses("disable", ACCOUNT, "--service", "sshd")
    assert "--service" in three("disable", ACCOUNT, "--service", "ftp", "--everywhere",
                                status=2).err


def test_everywhere_takes_all_of_the_account_and_no_others(three):
    three("disable", ACCOUNT, "--everywhere")
    assert enabled(three) == [0, 0, 1]


def test_everywhere_takes_the_certificate_in_every_service(three, carol):
    three("add", "other", carol.path, "--service", "sshd")
    assert "--everywhere" in three.refuses("disable", carol.fingerprint)
    three("disable", carol.fingerprint, "--everywhere")
    assert enabled(three) == [1, 1, 0, 0]


def test_a_prefix_of_two_certificates_names_neither(three, tool):
    """Fingerprints that begin alike are written where certmapd writes them: none can be made."""
    three("list")
    tool.database.sql("UPDATE fact SET fingerprint ="
                      " CAST(x'12345678' || randomblob(28) AS BLOB);")
    said = three.refuses("disable", "12345678", "--everywhere")
    assert "3 mappings fit" in said and "--everywhere" not in said


@pytest.mark.parametrize("answer, expected", [
    ("2\n", [1, 0, 1]), ("all\n", [0, 0, 1]), ("\n", [1, 1, 1]), ("3\n", [1, 1, 1]),
    ("0\n", [1, 1, 1]), ("x\n", [1, 1, 1]), ("\x04", [1, 1, 1])])
def test_a_terminal_is_asked_which(three, answer, expected):
    status, screen = on_terminal(three, "disable", ACCOUNT, typed=answer)
    assert "Which one to disable?" in screen
    assert (status, enabled(three)) == (0 if expected != [1, 1, 1] else 1, expected)
    if status:
        assert "nothing was changed" in screen


def test_with_yes_nobody_is_asked_which(three):
    status, screen = on_terminal(three, "remove", ACCOUNT, "--yes")
    assert status == 1 and "Which" not in screen and "2 mappings fit" in screen
    assert enabled(three) == [1, 1, 1]


def test_what_is_disabled_already_is_not_in_the_way(three):
    """After a renewal the account's old mapping is there as well."""
    three("disable", "1")
    three("disable", ACCOUNT)
    assert enabled(three) == [0, 0, 1]


def test_names_forge_nothing_on_a_terminal(three):
    three.database.sql("UPDATE mapping SET note = 'x' || char(27) || '[2J' || char(10) || 'y';")
    assert "\x1b" not in three.refuses("disable", ACCOUNT)
    assert "\x1b" not in three.refuses("disable", "\x1b[2J")


# In and out of force -----------------------------------------------------------------------------


def test_disable_keeps_the_row_and_is_in_force_at_the_next_lookup(three, daemon, alice):
    ask = {"user": ACCOUNT, "service": "sshd"}
    assert daemon.ask(alice, **ask)["reason"] == "allowed"
    assert three("disable", "1").out == f"Mapping 1 of {ACCOUNT} (every service) disabled.\n"
    assert daemon.ask(alice, **ask)["reason"] == "mapping-disabled"
    assert three("enable", "1").out == f"Mapping 1 of {ACCOUNT} (every service) enabled.\n"
    assert daemon.ask(alice, **ask)["reason"] == "allowed"


def test_what_is_not_even_enabled_by_the_rules_is_disabled(three):
    three.database.sql("PRAGMA ignore_check_constraints = ON;"
                       "UPDATE mapping SET enabled = 5 WHERE id = 1;")
    said = three("disable", "1")
    assert "(every service) disabled." in said.out and "still there is mapping 1" not in said.err
    assert enabled(three)[0] == 0


def test_what_is_so_already_is_no_failure_and_no_entry(three):
    before = dump(three.database)
    assert "is enabled already" in three("enable", "1").out
    assert dump(three.database) == before
    three("disable", "2")
    before = dump(three.database)
    assert "is disabled already" in three("disable", "2").out
    assert dump(three.database) == before


def test_enable_brings_the_words_of_what_stands_in_the_way(three, pki):
    three("add", ACCOUNT, pki.leaf("second").path, "--disabled")
    said = three.refuses("enable", "4")
    assert "has its enabled certificate for this service already" in said
    # The example of the schema, for a shell, names other people.
    assert "'alice'" not in said and f"`certmapctl list --account {ACCOUNT}' shows it" in said


def test_enable_of_an_account_with_several_asks_although_one_is_disabled(three, pki):
    """The certificate before the renewal does not come back by the account's name."""
    three.database.sql("UPDATE service SET certificates_per_account = 5;")
    three("disable", "1")
    assert "2 mappings fit" in three.refuses("enable", ACCOUNT)


def test_all_or_none_is_enabled(three, pki):
    three("add", ACCOUNT, pki.leaf("second").path, "--disabled")
    three("disable", ACCOUNT, "--everywhere")
    assert "has its enabled certificate" in three.refuses("enable", ACCOUNT, "--everywhere")


def test_enable_of_a_staged_mapping_is_the_take_over(three, pki):
    assert staged(three, pki.leaf("renewed")) == 4
    said = three("enable", "4").out
    assert "Mapping 4 of" in said and "Mapping 1, which it replaces, is disabled." in said
    assert enabled(three) == [0, 1, 1, 1]


@pytest.mark.parametrize("before", ["DELETE FROM mapping WHERE id = 1",
                                    "UPDATE mapping SET enabled = 0 WHERE id = 1"])
def test_enable_does_not_claim_to_have_disabled_what_was_not_there(three, pki, before):
    staged(three, pki.leaf("renewed"))
    three.database.sql(before)
    dry = three("enable", "4", "--dry-run").out
    said = three("enable", "4").out
    assert "Mapping 4 of" in said and "disabled." not in said and "disabled." not in dry
    for words in (dry, said):
        assert "mapping 1, which is gone, or was not in force for this account" in words
    assert three.database.value("SELECT enabled FROM mapping WHERE id = 4") == 1


def test_disable_ends_a_staging(three, daemon, pki):
    new = pki.leaf("renewed")
    staged(three, new)
    said = three("disable", "4").out
    assert "not any more" in said
    assert three.database.value("SELECT replaces FROM mapping WHERE id = 4") is None
    reply = daemon.ask(new, user=ACCOUNT, service="sshd")
    assert (reply["reason"], enabled(three)) == ("mapping-disabled", [1, 1, 1, 0])


def test_everywhere_shuts_out_what_is_staged_too(three, pki):
    staged(three, pki.leaf("renewed"))
    assert "still there" not in three("disable", ACCOUNT, "--everywhere").err
    assert three.database.value("SELECT count(*) FROM mapping WHERE account <> 'nobody-knows'"
                                " AND (enabled OR replaces IS NOT NULL)") == 0


@pytest.mark.parametrize("verb", ["disable", "remove"])
def test_what_still_lets_the_account_in_is_named(three, pki, verb):
    staged(three, pki.leaf("renewed"))
    said = three(verb, "1").err
    assert f"still there is mapping 2 of {ACCOUNT} (ftp), in force" in said
    assert f"still there is mapping 4 of {ACCOUNT} (every service), staged" in said
    assert "still there is mapping 1" not in said and "mapping 3" not in said


def test_what_is_said_of_a_staged_mapping_is_what_a_login_finds(three, pki, daemon):
    new = pki.leaf("renewed")
    staged(three, new)
    assert "but not while mapping 1 is disabled" in three("disable", "1").err
    assert daemon.ask(new, user=ACCOUNT)["reason"] == "mapping-disabled"
    assert "takes force when it is first used" in three("remove", "1").err
    assert daemon.ask(new, user=ACCOUNT)["reason"] == "allowed"


@pytest.mark.parametrize("verb, words", [("enable", "would be enabled"),
                                         ("disable", "would be disabled"),
                                         ("remove", "would be removed")])
def test_a_dry_run_changes_nothing(three, verb, words):
    three.database.sql(f"UPDATE mapping SET enabled = {int(verb != 'enable')};")
    before = dump(three.database)
    assert words in three(verb, "1", "--dry-run").out
    assert dump(three.database) == before


@pytest.mark.parametrize("verb", ["enable", "disable", "remove"])
def test_the_statements_do_in_a_shell_what_the_verb_does(three, pki, verb):
    staged(three, pki.leaf("renewed"))
    words = ("4",) if verb == "enable" else (ACCOUNT, "--everywhere")
    script = three(verb, *words, "--sql").out
    columns = "SELECT id, enabled, replaces FROM mapping"
    before = three.database.rows(columns)
    three.database.sql(script)
    by_shell = three.database.rows(columns)
    assert by_shell != before
    assert by_shell == {
        "enable": [{"id": 1, "enabled": 0, "replaces": None}] + before[1:3] +
                  [{"id": 4, "enabled": 1, "replaces": None}],
        "disable": [{"id": 1, "enabled": 0, "replaces": None},
                    {"id": 2, "enabled": 0, "replaces": None}, before[2],
                    {"id": 4, "enabled": 0, "replaces": None}],
        "remove": [before[2]],
    }[verb]


def test_programs_get_each_mapping_as_a_line(three):
    if not has_json():
        pytest.skip("built without jansson")
    rows = [json.loads(line) for line in
            three("disable", ACCOUNT, "--everywhere", "--json").out.splitlines()]
    assert [(row["id"], row["state"]) for row in rows] == [(1, "disabled"), (2, "disabled")]


def test_removing_many_shows_all_and_asks_once(three):
    status, screen = on_terminal(three, "remove", ACCOUNT, "--everywhere", typed="y\n")
    assert status == 0 and screen.count("[y/N]") == 1
    assert screen.index("her laptop") < screen.index("Remove these 2 mappings?")
    assert [row["id"] for row in three.database.rows("SELECT id FROM mapping")] == [3]


# Open sessions -----------------------------------------------------------------------------------


def in_namespace(tool, prepare, *words):
    """certmapctl where /run and what `prepare` does to it are seen by nobody else."""
    script = (f"mount -t tmpfs tmpfs /run && {prepare} && "
              f"exec {CERTMAPCTL} {' '.join(words)} --database {tool.database.path}")
    return subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"})


LOGIND = f"""mkdir -p /run/systemd/seats /run/systemd/users /run/systemd/sessions &&
printf 'NAME={ACCOUNT}\\nSTATE=active\\nSESSIONS=c3 7\\n' > /run/systemd/users/{NOBODY} &&
printf 'UID={NOBODY}\\nSERVICE=sshd\\nREMOTE=1\\nREMOTE_HOST=host\\\\033.example\\nTTY=pts/4\\n' \
    > /run/systemd/sessions/c3 &&
printf 'UID={NOBODY}\\nSERVICE=login\\n' > /run/systemd/sessions/7"""


@pytest.mark.root
@pytest.mark.parametrize("words", [("disable", "1"), ("remove", "1"), ("disable", "1", "--sql")])
def test_sessions_that_logind_knows_are_named_with_what_ends_them(three, words):
    said = in_namespace(three, LOGIND, *words).stderr
    assert f"{ACCOUNT} has 2 open sessions, which are not ended by this" in said
    assert "c3: sshd from host" in said and "on pts/4" in said and "7: login" in said
    assert "loginctl terminate-session c3 7" in said or "terminate-session 7 c3" in said
    assert "without login sessions" in said
    assert "\x1b" not in said


@pytest.mark.root
def test_an_account_without_sessions_has_none_named(three):
    said = in_namespace(three, LOGIND, "disable", "3").stderr
    assert "open session" not in said and "without login sessions" in said


@pytest.mark.root
def test_enable_names_no_sessions(three):
    assert "session" not in in_namespace(three, LOGIND, "enable", "1").stderr


# ut_type, ut_pid, ut_line, ut_id, ut_user, ut_host, ... of utmp(5) on x86-64, 384 bytes.
UTMP = f"""/usr/bin/python3 -c '
import struct, sys
sys.stdout.buffer.write(struct.pack("<hxxi32s4s32s256shhiii16s20x", 7, 4711, b"pts/9", b"9",
    b"{ACCOUNT}", b"192.0.2.7", 0, 0, 0, 1801440000, 0, b""))' > /run/utmp"""


@pytest.mark.root
def test_without_logind_the_sessions_are_those_of_utmp(three):
    said = in_namespace(three, UTMP, "disable", "1").stderr
    assert "pts/9 from 192.0.2.7, since 2027-02-01 00:00:00 UTC" in said
    assert "kill -HUP 4711" in said
    assert "pts/9" not in in_namespace(three, UTMP, "disable", "3").stderr


@pytest.mark.root
def test_a_logind_that_no_stack_tells_of_sessions_hides_none(three):
    """As on a Debian without libpam-systemd: it runs, and knows nobody."""
    said = in_namespace(three, f"mkdir -p /run/systemd/seats && {UTMP}", "disable", "1").stderr
    assert "pts/9 from 192.0.2.7" in said and "kill -HUP 4711" in said
