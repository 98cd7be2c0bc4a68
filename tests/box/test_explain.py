# SPDX-License-Identifier: LGPL-2.1-or-later
"""certmapctl explain --last in a booted system: refused logins of a real service, from a real
journal."""
import json

import pytest

from boxed import installed, log_in
from stage import host_environment

CURL_LOGIN_DENIED = 67


def explain(box, *words, status=0):
    done = box.call(installed("certmapctl"), "explain", *words)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout


def refusals(box, *words):
    return json.loads(explain(box, "--last", "--json", "--since=1h", *words))


def by_reason(box, reason):
    """The newest refusal for it, once the journal has it."""
    def look():
        box.run("journalctl", "--sync")
        return [row for row in refusals(box) if row["reason"] == reason]
    return box.wait_for(reason, look)[0]


def fingerprint(box, name):
    return box.sh(f"sha256sum /root/clients/{name}.cer").split()[0]


def test_a_refusal_of_the_daemon_is_shown_with_the_module_s_and_explained(box, ftps):
    assert log_in(box, "alice", "bob").returncode == CURL_LOGIN_DENIED
    row = by_reason(box, "unmapped")
    assert (row["service"], row["user"], row["type"]) == ("proftpd", "alice", "auth")
    assert row["fingerprint"] == fingerprint(box, "bob")
    # Both lines are one refusal.
    assert [r["id"] for r in refusals(box)].count(row["id"]) == 1
    said = json.loads(explain(box, "--json", f"--id={row['id'][:8]}", status=1))
    assert (said["reason"], said["service"], said["user"]) == ("unmapped", "proftpd", "alice")
    assert said["fingerprint"] == row["fingerprint"] and said["line"] == "/etc/pam.d/proftpd:" + (
        said["line"].split(":")[1])


def test_a_refusal_that_never_reached_the_daemon_is_shown(box, ftps):
    box.run("systemctl", "stop", "certmapd.socket", "certmapd.service")
    try:
        assert log_in(box, "alice", "alice").returncode == CURL_LOGIN_DENIED
    finally:
        box.run("systemctl", "start", "certmapd.socket")
    row = by_reason(box, "unavailable")
    assert (row["service"], row["user"], row["fingerprint"]) == ("proftpd", "alice", None)
    assert row["errno"] == "No such file or directory"
    # Which certificate it was nobody knows: that there was none would be a wrong trail.
    screen = explain(box, f"--id={row['id']}", status=1)
    assert "socket file: No such file or directory" in screen and "certmapctl status" in screen
    assert "no certificate" not in screen and "The log does not say which" in screen


STACK = "/etc/pam.d/proftpd"

# What the stack's line says instead; the reason, and words of the cause or the remedy.
LINES = (
    ("sorce=x source=env:TLS_CLIENT_CERT", "misconfigured", ("sorce: unknown option", "verify")),
    ("source=env:TLS_CLIENT_CERT require_env=FTPS=2", "no-certificate",
     ("FTPS: ", "require_env")),
    ("source=env:TLS_CLIENT_S_DN", "malformed-certificate", ("one in PEM or base64",)),
    ("source=env:TLS_CLIENT_CERT accept=fingerprint", "malformed-certificate", ("accept=",)),
    ("source=env:TLS_CLIENT_S_DN,TLS_CLIENT_I_DN accept=names", "evidence-not-accepted",
     ("accept_names=yes",)),
)


@pytest.mark.parametrize("line, reason, words", LINES, ids=lambda value: str(value)[:40])
def test_a_refusal_without_a_certificate_is_told_by_its_own_cause(box, ftps, line, reason, words):
    """Not tried again without one, which comes out as no-certificate whatever it was."""
    box.sh(f"cp {STACK} /root/stack && echo 'auth required pam_certmap.so {line}' >{STACK}")
    try:
        assert log_in(box, "alice", "alice").returncode == CURL_LOGIN_DENIED
    finally:
        box.sh(f"cp /root/stack {STACK}")
    by_reason(box, reason)
    screen = explain(box, "--last=1", status=1)
    assert reason in screen and all(word in screen for word in words), screen
    assert "client brings no certificate" not in screen
    said = json.loads(explain(box, "--json", "--last=1", status=1))
    assert said["reason"] == reason and words[-1] in f"{said['next']} {said['name']}: {said['what']}"


def test_shadow_mode_is_named_with_the_way_out_of_it(box, ftps):
    box.sql("INSERT INTO service (name, shadow) VALUES ('proftpd', 1)")
    try:
        assert log_in(box, "alice", "alice").returncode == CURL_LOGIN_DENIED
        by_reason(box, "no-certificate")
        screen = explain(box, "--last=1", status=1)
    finally:
        box.sql("DELETE FROM service WHERE name = 'proftpd'")
    assert "without it the answer would be allowed" in screen and "shadow=no" in screen


def test_a_changed_account_is_the_module_s_word_over_the_daemon_s(box, ftps):
    box.sql("UPDATE mapping SET account_uid = 4242")
    assert log_in(box, "alice", "alice").returncode == CURL_LOGIN_DENIED
    row = by_reason(box, "account-changed")
    assert (row["user"], row["account"]) == ("alice", "alice")
    assert row["fingerprint"] == fingerprint(box, "alice")
    screen = explain(box, "--last=1", "--user=alice", status=1)
    assert "FAILED  account" in screen and "account-changed (PAM_AUTH_ERR)" in screen


def test_the_choice_of_user_service_and_number_is_obeyed(box, ftps):
    for account in ("alice", "bob", "alice"):
        log_in(box, account, "bob")
    by_reason(box, "unmapped")
    assert {row["user"] for row in refusals(box, "--user=bob")} <= {"bob"}
    assert refusals(box, "--service=nosuchservice") == []
    assert len(json.loads(explain(box, "--json", "--last", "2"))) == 2
    times = [row["at"] for row in refusals(box)]
    assert times == sorted(times, reverse=True)


def test_the_table_of_refusals_is_made_of_nothing_that_nobody_wrote(box, ftps):
    if host_environment():
        pytest.skip("a sanitizer does not go together with valgrind")
    log_in(box, "alice", "bob")
    by_reason(box, "unmapped")
    done = box.call("valgrind", "--quiet", "--error-exitcode=9", installed("certmapctl"), "explain",
                    "--last")
    assert (done.returncode, done.stderr) == (0, "") and "unmapped" in done.stdout


def explain_forged(box, forged, name, directory="/"):
    """What root gets to see of a line that any user can write, where its fingerprint is `name`."""
    box.run("logger", "-p", "authpriv.notice", f"pam_certmap(proftpd:auth): reason=unmapped"
            f" asked=alice fingerprint={name} id={forged}", user="nobody")
    box.wait_for(forged, lambda: box.run("journalctl", "--sync") == "" and [
        row for row in refusals(box) if row["id"] == forged])
    return box.call("timeout", "60", "env", f"--chdir={directory}", installed("certmapctl"),
                    "explain", "--json", f"--id={forged}")


def test_a_forged_line_makes_root_open_no_file(box, ftps):
    """A FIFO would hold root up for ever, a device may do anything, and somebody's file would be
    shown in place of the certificate that was refused."""
    box.run("mkfifo", "/tmp/trap")
    for forged, name in (("beefbeef01", "/tmp/trap"), ("beefbeef02", "/root/clients/bob.pem")):
        done = explain_forged(box, forged, name)
        assert done.returncode == 1 and "is no fingerprint" in done.stderr, done
    known = fingerprint(box, "bob")
    box.run("cp", "/root/clients/alice.cer", f"/tmp/{known}")
    done = explain_forged(box, "beefbeef03", known, "/tmp")
    assert json.loads(done.stdout)["fingerprint"] == known


def test_a_forged_line_reaches_no_terminal_and_hides_nothing(box):
    box.run("logger", "-p", "authpriv.notice",
            'pam_certmap(svc:auth): reason=unmapped asked="\\x1b[31mred" id=feedfeedfeed')
    by_reason(box, "unmapped")
    screen = explain(box, "--last", "--service=svc")
    assert "\x1b" not in screen and "\\x1b[31mred" in screen and "feedfeed" in screen
    assert screen.splitlines()[0].split() == [
        "WHEN", "SERVICE", "USER", "ACCOUNT", "REASON", "SHA-256", "HOST", "ID"]
