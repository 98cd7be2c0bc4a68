# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_completion.py owns what bash offers while somebody types a certmapctl line. Which verbs
and options there are comes from --help, here as there, so that a new verb is tested with it."""
import os
import pathlib
import pwd
import re
import shlex
import shutil
import subprocess

import pytest

from ctl_stage import ACCOUNT, ctl
from shell_stage import CERTMAPCTL, TREE

SCRIPT = TREE / "certmapd" / "ctl" / "certmapctl.bash"

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")


def complete(*words, cwd="/", tool=CERTMAPCTL):
    """What is offered for the last word, as bash would split the line: `=' stands alone."""
    split = [str(tool)]
    for word in words:
        split += [piece for piece in re.split("(=)", word) if piece] or [""]
    script = (f"source {shlex.quote(str(SCRIPT))}; COMP_WORDS=({shlex.join(split)});"
              f" COMP_CWORD={len(split) - 1}; _certmapctl;"
              ' ((${#COMPREPLY[@]} == 0)) || printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script], check=True, cwd=cwd,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


def verbs_in_help(*family):
    text = ctl(*family, "--help").out
    if "Verbs:" not in text:
        return []
    return re.findall(r"^  ([a-z][a-z-]*) ", text.split("Verbs:")[1], re.M)


def every_verb():
    for verb in verbs_in_help():
        yield (verb,)
        for member in verbs_in_help(verb):
            yield (verb, member)


def test_verbs_are_those_of_the_help():
    verbs = verbs_in_help()
    assert {"list", "expiring", "status", "service", "trust", "crl", "credential"} <= set(verbs)
    assert complete("") == verbs
    assert complete("ex") == [verb for verb in verbs if verb.startswith("ex")]
    assert complete("--wait", "1", "-D", "x", "li") == ["list"]


@pytest.mark.parametrize("family", [v for v in ("service", "trust", "crl", "credential")])
def test_families_offer_their_verbs(family):
    assert complete(family, "") == verbs_in_help(family)
    assert complete("--database=x", family, "l") == ["list"]


def test_every_verb_offers_the_options_of_its_help():
    for verb in every_verb():
        named = set(re.findall(r"^ +(?:-., )?(--[a-z][a-z-]*)", ctl(*verb, "--help").out,
                               re.MULTILINE)) - {"--usage"}
        assert "--help" in named
        offered = complete(*verb, "--")
        assert named <= set(offered) and "--help" in offered, verb
        assert len(offered) == len(set(offered))


@pytest.fixture
def mapped(tool, alice, bob):
    tool("add", ACCOUNT, alice.path)
    tool.database.map(bob, account="zoe", service="'a-service-of-its-own'")
    return ("--database", str(tool.database.path))


def test_remembered_accounts_are_offered_from_the_database(mapped):
    assert complete(*mapped, "authorized-keys", "") == sorted([ACCOUNT, "zoe"])
    assert complete("authorized-keys", *mapped, "z") == ["zoe"]
    assert complete("list", f"--database={mapped[1]}", "--account=z") == ["zoe"]
    assert complete("list", f"-D{mapped[1]}", "-a", "z") == ["zoe"]
    assert complete("authorized-keys", *mapped, "zoe", "") == []


def test_add_offers_the_accounts_of_the_system_and_then_files(mapped, tmp_path):
    assert set(complete(*mapped, "add", "")) == {entry.pw_name for entry in pwd.getpwall()}
    (tmp_path / "alice.cer").touch()
    assert complete(*mapped, "add", ACCOUNT, "al", cwd=tmp_path) == ["alice.cer"]
    assert complete("add", ACCOUNT, "--note", "x", "al", cwd=tmp_path) == ["alice.cer"]


def test_services_are_those_of_the_database_and_of_pam(mapped):
    offered = complete(*mapped, "service", "show", "")
    assert {"a-service-of-its-own", "\\*"} <= set(offered)
    files = {path.name for path in pathlib.Path("/etc/pam.d").iterdir()}
    assert files <= set(offered) and len(offered) == len(set(offered))
    assert complete(*mapped, "list", "--service", "a-s") == ["a-service-of-its-own"]
    assert complete(*mapped, "list", "-s", "a-s") == ["a-service-of-its-own"]


def test_settings_are_offered_with_their_sign(mapped):
    assert complete(*mapped, "service", "set", "login", "accept_n") == [
        "accept_names=", "accept_name="]
    assert complete(*mapped, "service", "set", "login", "enabled=no", "sha") == ["shadow="]


def test_files_are_offered_where_a_file_is_meant(tmp_path):
    (tmp_path / "ca.pem").touch()
    for words in (("trust", "add", "c"), ("crl", "add", "c"), ("-D", "c"), ("list", "-D", "c"),
                  ("status", "--socket", "c"), ("credential", "set", "--key=c")):
        assert complete(*words, cwd=tmp_path) == ["ca.pem"]


@pytest.mark.parametrize("name", [
    "$(touch x)", "`touch x`", "a; touch x", "$x", "a b", "x\\x41", "a'b", 'a"b', "*", "\x7f",
])
def test_names_from_the_database_are_never_run_and_come_out_as_words(
        tool, alice, tmp_path, name):
    # A shell can switch the rules off, and a name is only a name to them.
    tool.database.map(alice, account="bad")
    tool.database.sql("DROP TRIGGER mapping_update; UPDATE mapping SET account = '"
                      + name.replace("'", "''") + "';")
    offered = complete("--database", str(tool.database.path), "authorized-keys", "", cwd=tmp_path)
    assert os.listdir(tmp_path) == []
    expected = [] if "\\" in name or name == "\x7f" else [name]
    assert [shlex.split(subprocess.run(["bash", "-c", f"printf %s {word} | sed \"s/.*/'&'/\""],
                                       check=True, stdout=subprocess.PIPE).stdout.decode())
            for word in offered if "'" not in name] == [[n] for n in expected if "'" not in n]
    assert len(offered) == len(expected)


def test_without_a_database_or_a_program_nothing_is_offered_and_nothing_is_said(tmp_path):
    assert complete("--database", "/nonexistent", "authorized-keys", "") == []
    assert complete("", tool="/nonexistent/certmapctl") == []


def test_a_verb_that_is_not_known_here_is_completed_from_its_help(tmp_path):
    """A later version's program: the script must not need to know it."""
    program = tmp_path / "certmapctl"
    program.write_text("""#!/bin/sh
case "$*" in
"--help") printf 'Usage: certmapctl [OPTION...] VERB\\nx\\n\\nVerbs:\\n  frobnicate  does it\\n\\n' ;;
"frobnicate --help") printf 'Usage: certmapctl frobnicate [OPTION...]\\n            ID|ACCOUNT\\nDoes it.\\n\\n  -l, --loudly=FILE          How\\n' ;;
*"list --names accounts") echo zoe ;;
esac
""", encoding="ascii")
    program.chmod(0o755)
    (tmp_path / "horn").touch()
    assert complete("", tool=program) == ["frobnicate"]
    assert complete("frobnicate", "--", tool=program) == ["--loudly"]
    assert complete("frobnicate", "z", tool=program) == ["zoe"]
    assert complete("frobnicate", "-l", "ho", tool=program, cwd=tmp_path) == ["horn"]


def test_bash_finds_the_function_for_the_name():
    done = subprocess.run(["bash", "--norc", "-c", f"source {SCRIPT}; complete -p certmapctl"],
                          check=True, stdout=subprocess.PIPE)
    assert done.stdout == b"complete -F _certmapctl certmapctl\n"
