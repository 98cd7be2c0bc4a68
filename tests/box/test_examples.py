# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_examples.py owns the running of every command that README.md and the manual pages tell root
to type, in a machine that is set up as the pages take it for granted, and anew for each example."""
import pathlib
import re
import sys

import pytest

from boxed import BUILD, DATABASE, TREE, booted_box, installed
from stage import host_environment

sys.path.insert(0, str(TREE / "tests/lib"))
import manual  # noqa: E402

HOME, SOURCE, KEY = "/root/examples", "/root/source", "/etc/credstore/certmap-key"
BACKUP = "/var/backups/certmap"
SECRET = "correct horse battery\n"
# What an example makes itself is not there before.
MAKES_DATABASE = r"certmapctl init"
MAKES_KEY = r"credential new-key(?! --rotate)"
MAKES_MAPPING = r"certmapctl add alice"
BUILDS = r"meson setup"
BUILD_SECONDS = 3600  # on two busy cores
# With these, exit status 1 is a finding; with the others, a failure.
FINDINGS = """
certmapctl() {
	local status=0
	command certmapctl "$@" || status=$?
	case $1:$status in expiring:1 | explain:1 | verify:1) return 0 ;; esac
	return $status
}
"""


def sh(box, script, **options):
    """Commands of root, who stands beside the files that the pages name."""
    place = SOURCE if re.search(BUILDS, script) else TREE if "tests/" in script else HOME
    path = pathlib.PurePath(installed("certmapctl")).parent
    return box.call("bash", "-euo", "pipefail", "-c", f"cd {place}; PATH={path}:$PATH\n{FINDINGS}\n{script}",
                    **options)


def must(box, script, **options):
    done = sh(box, script, **options)
    assert done.returncode == 0, (script, done.stdout, done.stderr)


def edit(box, statement):
    """By a shell that waits for its turn: the daemon writes what was used, seconds later."""
    box.run("sqlite3", "-bail", DATABASE, ".timeout 5000", statement)


@pytest.fixture(scope="module", name="machine")
def prepare_once():
    """The files that the pages name, a copy of the source, and a way to be refused by the module. A
    machine of its own: what the examples install and enable is not what others would find."""
    with booted_box() as box:
        prepare(box)
        yield box


def prepare(box):
    box.sh(f"""
        mkdir -p {HOME} {SOURCE} /etc/stunnel /var/lib/prometheus/node-exporter
        cp /root/clients/alice.cer /root/clients/ca.pem {HOME}/
        {TREE}/tests/lib/certificates client /root/clients carol
        cp /root/clients/carol.cer {HOME}/new.cer
        mkdir {HOME}/certificates
        cp /root/clients/bob.pem {HOME}/certificates/
        tar -C {TREE} --exclude=./.git --exclude='./build*' -c . | tar -C {SOURCE} -x
        echo 'auth required pam_certmap.so source=env:NOTHING' >/etc/pam.d/su
    """)


def set_up(box, script):
    # su has no sanitizer that the module may have.
    environment = " ".join(f"{name}={value}" for name, value in host_environment().items())
    must(box, f"""
        systemctl reset-failed certmapd.socket certmapd.service
        systemctl stop certmapd.service
        systemctl start certmapd.socket
        rm -rf {DATABASE}* /var/lib/certmap-damaged {BACKUP} {KEY}* /etc/credstore.encrypted
        ! env {environment} su alice -c true 2>/dev/null
    """)
    assert box.ask()["reason"] == "unavailable"
    must(box, f"""
        certmapctl init
        install -d -m 0700 /etc/credstore
        certmapctl credential new-key
        certmapctl credential set alice
    """, text_in=SECRET)
    if not re.search(MAKES_MAPPING, script):
        box.sql("INSERT INTO mapping (account, certificate)"
                " VALUES ('alice', readfile('/root/clients/alice.cer'))")
    must(box, f"""
        install -d -m 0700 {BACKUP}
        for name in mappings before-restore; do sqlite3 {DATABASE} ".backup {BACKUP}/$name.db"; done
        certmapctl export --format json >{HOME}/mappings.json
    """)
    # So that the journal has what the pages ask it for.
    box.ask()
    edit(box, "UPDATE mapping SET note = 'her laptop'")
    box.ask("bob", "bob")
    box.run("journalctl", "--sync")
    if re.search(MAKES_KEY, script):
        box.run("rm", KEY)
    if re.search(MAKES_DATABASE, script):
        must(box, f"systemctl stop certmapd.service; rm {DATABASE}*")


def fill_in(box, text):
    """With the values of this machine where a page shows somebody's own."""
    fingerprint = box.sql("SELECT fingerprint FROM mapping_status LIMIT 1").strip()
    return text.replace("sha256:1234abcd", f"sha256:{fingerprint[:8]}").replace(
        "$PWD/build", str(BUILD))


@pytest.mark.parametrize("example", manual.examples("sh"), ids=str)
def test_commands_do_what_they_are_for(machine, example):
    set_up(machine, example.text)
    script = example.text if re.search(MAKES_DATABASE, example.text) else \
        fill_in(machine, example.text)
    done = sh(machine, script, text_in=SECRET if "credential set" in example.text else "",
              timeout=BUILD_SECONDS)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "No entries" not in done.stdout
    assert machine.ask()["reason"] == reason_after(script)


def reason_after(script):
    """What alice's login is answered then: logins go on, whatever was done."""
    last = re.findall(r"certmapctl (init(?!\ncertmapctl import)|add|remove|disable)"
                      r"(?!.* --(?:dry-run|sql))", script)[-1:]
    return {"init": "unmapped", "remove": "unmapped", "disable": "mapping-disabled"}.get(
        last[0] if last else "add", "allowed")


def example_with(words):
    [example] = [example for example in manual.examples("sh") if words in example.text]
    return example.text


def change_after_backup(machine):
    """alice's mapping is shut out, mapping 2 comes and goes, and a service is switched off."""
    edit(machine, "UPDATE mapping SET enabled = 0;"
                  "INSERT INTO mapping (account, certificate)"
                  " VALUES ('bob', readfile('/root/clients/bob.cer'));"
                  "DELETE FROM mapping WHERE account = 'bob';"
                  "UPDATE service SET enabled = 0 WHERE name = 'exim'")


def what_stands(machine):
    """alice's answer, whether exim is on, and the number of the next mapping."""
    edit(machine, "INSERT INTO mapping (account, certificate)"
                  " VALUES ('bob', readfile('/root/clients/bob.cer'))")
    return (machine.ask()["reason"],
            machine.sql("SELECT enabled FROM service WHERE name = 'exim'").strip(),
            machine.sql("SELECT max(id) FROM mapping").strip())


@pytest.mark.parametrize("shuts_out, standing", ((False, ("allowed", "1", "2")),
                                                 (True, ("mapping-disabled", "0", "3"))))
def test_restore_brings_back_what_was_not_shut_out_first(machine, shuts_out, standing):
    restore, shut_out = example_with("'.restore "), example_with("sqlite_sequence")
    set_up(machine, restore)
    edit(machine, "INSERT INTO service (name, enabled) VALUES ('exim', 1)")
    must(machine, f"sqlite3 {DATABASE} '.backup {BACKUP}/mappings.db'")
    change_after_backup(machine)
    assert machine.ask()["reason"] == "mapping-disabled"
    assert sh(machine, example_with("before-restore.db'\n")).stdout == "1|*|alice\n"
    if shuts_out:
        must(machine, shut_out)
    must(machine, restore)
    assert what_stands(machine) == standing
    # And the daemon sees the next edits, although the history has gone back.
    mark = machine.mark()
    edit(machine, "UPDATE mapping SET note = 'hers' WHERE id = 1")
    machine.ask()
    [entry] = machine.since(mark, CERTMAP_OBJECT="mapping")
    assert entry["CERTMAP_MAPPING"] == "1"


@pytest.mark.parametrize("example", manual.examples("unit"), ids=str)
def test_drop_in_is_understood(machine, example):
    unit = example.kind.split()[1]
    directory = f"/etc/systemd/system/{unit}.d"
    machine.run("mkdir", "-p", directory)
    machine.write(f"{directory}/example.conf", example.text)
    try:
        assert machine.run("systemd-analyze", "verify", installed(unit)) == ""
        done = machine.call("systemd-analyze", "verify", unit)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    finally:
        machine.run("rm", f"{directory}/example.conf")


def test_a_wrong_drop_in_would_be_seen(machine):
    machine.sh("mkdir -p /etc/systemd/system/certmapd.service.d")
    machine.write("/etc/systemd/system/certmapd.service.d/example.conf",
                  "[Service]\nLoadCredentials=certmap-key\n")
    try:
        done = machine.call("systemd-analyze", "verify", "certmapd.service")
        assert "LoadCredentials" in done.stderr
    finally:
        machine.run("rm", "/etc/systemd/system/certmapd.service.d/example.conf")
