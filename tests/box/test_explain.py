# SPDX-License-Identifier: LGPL-2.1-or-later
"""certmapctl explain --last in a booted system: refused logins of a real service, from a real
journal."""
import json

from boxed import installed, log_in

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


def explain_forged(box, forged, name, directory="/"):
    """What root gets to see of a line that any user can write, where its fingerprint is `name`."""
    box.run("logger", "-p", "authpriv.notice", f"pam_certmap(proftpd:auth): reason=unmapped"
            f" asked=alice fingerprint={name} id={forged}", user="nobody")
    box.wait_for(forged, lambda: box.run("journalctl", "--sync") == "" and [
        row for row in refusals(box) if row["id"] == forged])
    return box.call("timeout", "10", "env", f"--chdir={directory}", installed("certmapctl"),
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
