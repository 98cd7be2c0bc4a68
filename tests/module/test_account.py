# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_sm_acct_mgmt, the session functions, setcred: in one process, and in several as in sshd."""
import pytest

from fake_daemon import FINGERPRINT, allowed, refused
from pam_stage import (
    AUTH_ERR, AUTHINFO_UNAVAIL, LOG_ERR, LOG_INFO, LOG_NOTICE, SESSION_ERR, SUCCESS)

CERTIFICATE = {"CERT": "x"}


def carried(**changes):
    """Commands that put the PAM environment of another process into this one."""
    values = {"ACCOUNT": "nobody", "FINGERPRINT": FINGERPRINT, "SUBJECT": "CN=somebody",
              "MAPPING": "7", **changes}
    return [f"pamenv:CERTMAP_{name}={value}" for name, value in values.items()
            if value is not None]


def later(answer):
    """Allows the first request, and answers the next ones with `answer`."""
    answers = iter([lambda request: allowed(request, "nobody")])
    return lambda request: next(answers, answer)(request)


def only_account(pam, options="source=env:CERT"):
    """A module that libpam must ignore has no say, so another one has to have it."""
    pam.service("", lines="".join([
        pam.line(options), pam.line(options, "account"), pam.line(options, "session")]))


def test_account_that_still_stands_is_allowed(pam):
    only_account(pam)
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", "authenticate", "account", "show",
                      environment=CERTIFICATE)
    assert run.codes == [SUCCESS, SUCCESS]
    assert run.priorities == [LOG_INFO, LOG_INFO]
    first, second = daemon.requests
    assert (second["phase"], second["mode"], second["kind"]) == (b"\2", b"\1", b"\2")
    assert (second["evidence"], second["user"]) == (FINGERPRINT.encode(), b"nobody")
    assert second["correlation_id"] != first["correlation_id"]
    assert run.certmap_environment["CERTMAP_ACCOUNT"] == "nobody"


def test_account_of_another_process_comes_from_the_pam_environment(pam):
    only_account(pam)
    with pam.says("nobody") as daemon:
        first = pam.run("start:svc:nobody", "authenticate", "show", environment=CERTIFICATE)
        commands = [f"pamenv:{name}={value}" for name, value in first.environment.items()]
        second = pam.run("start:svc:nobody", *commands, "setcred", "account", "open")
        third = pam.run("start:svc:nobody", *commands, "close")
    assert (second.codes, third.codes) == ([SUCCESS] * 3, [SUCCESS])
    assert [request["phase"] for request in daemon.requests] == [b"\1", b"\2"]
    for run, event in ((second, "opened"), (third, "closed")):
        assert run.log[-1] == (
            f'session {event}: account="nobody" mapping=7 fingerprint={FINGERPRINT}')


def test_login_that_came_another_way_is_no_business_of_ours(pam):
    pam.service("", lines=pam.line("source=env:CERT", "account") +
                "account required pam_permit.so\n" + pam.line("source=env:CERT", "session"))
    with pam.refuses("unmapped") as daemon:
        run = pam.run("start:svc:nobody", "account", "open", "close")
    assert run.codes == [SUCCESS, SUCCESS, SUCCESS]
    assert daemon.requests == []
    assert run.raw_log == []


def test_no_opinion_is_pam_ignore(pam):
    """Which libpam turns into a refusal where nobody else has an opinion."""
    stack = "account [ignore={} default=bad] {} source=env:CERT\naccount required pam_permit.so\n"
    pam.service("", lines=stack.format("die", pam.module))
    died = pam.run("start:svc:nobody", "account").code
    pam.service("", lines=stack.format("ignore", pam.module))
    assert (died != SUCCESS, pam.run("start:svc:nobody", "account").code) == (True, SUCCESS)


@pytest.mark.parametrize("reason, code", [
    ("unmapped", AUTH_ERR), ("mapping-disabled", AUTH_ERR), ("revoked", AUTH_ERR),
    ("no-certificate", AUTH_ERR), ("account-missing", AUTH_ERR),
    ("unavailable", AUTHINFO_UNAVAIL), ("forbidden", AUTHINFO_UNAVAIL),
    ("credential-unavailable", AUTHINFO_UNAVAIL)])
def test_mapping_that_no_longer_stands_is_refused(pam, reason, code):
    only_account(pam)
    with pam.daemon(later(lambda request: refused(request, reason))):
        run = pam.run("start:svc:nobody", "authenticate", "account", environment=CERTIFICATE)
    assert run.codes == [SUCCESS, code]
    assert run.log[1].startswith(f"reason={reason} ")
    assert run.priorities[1] == (LOG_NOTICE if code == AUTH_ERR else LOG_ERR)


def test_daemon_that_is_gone_is_unavailable(pam):
    only_account(pam)
    with pam.says("nobody"):
        first = pam.run("start:svc:nobody", "authenticate", "show", environment=CERTIFICATE)
    commands = [f"pamenv:{name}={value}" for name, value in first.environment.items()]
    run = pam.run("start:svc:nobody", *commands, "account")
    assert run.code == AUTHINFO_UNAVAIL


@pytest.mark.parametrize("user", ["root", "daemon", "nobody ", ""])
def test_name_that_changed_since_is_refused_unasked(pam, user):
    only_account(pam)
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", "authenticate", f"user:{user}", "account",
                      environment=CERTIFICATE)
    assert run.codes == [SUCCESS, AUTH_ERR]
    assert run.log[1].startswith("reason=account-mismatch")
    assert len(daemon.requests) == 1


@pytest.mark.parametrize("mode", ["match", "set"])
def test_name_that_changes_during_the_second_lookup_is_refused(pam, mode):
    only_account(pam, f"source=env:CERT user={mode}")
    with pam.says("nobody"):
        run = pam.run("start:svc:nobody", *carried(), "nss-user:root", "account")
    assert run.code == AUTH_ERR
    assert "PAM_USER changed" in run.line


@pytest.mark.parametrize("mode", ["match", "set"])
@pytest.mark.parametrize("account", ["daemon", "NOBODY"])
def test_other_account_for_the_same_certificate_is_refused(pam, mode, account):
    only_account(pam, f"source=env:CERT user={mode}")
    with pam.daemon(later(lambda request: allowed(request, account))):
        run = pam.run("start:svc:nobody", "authenticate", "account", "show",
                      environment=CERTIFICATE)
    assert run.codes == [SUCCESS, AUTH_ERR]
    assert run.value("user") == "nobody"


def test_answer_about_another_certificate_is_refused(pam):
    only_account(pam)
    with pam.daemon(later(lambda request: allowed(request, "nobody", fingerprint="ff" * 32))):
        run = pam.run("start:svc:nobody", "authenticate", "account", environment=CERTIFICATE)
    assert run.codes == [SUCCESS, AUTH_ERR]


def test_account_in_set_mode_is_the_adopted_one(pam):
    only_account(pam, "source=env:CERT user=set")
    with pam.says("daemon") as daemon:
        run = pam.run("start:svc", "authenticate", "account", environment=CERTIFICATE)
    assert run.codes == [SUCCESS, SUCCESS]
    assert (daemon.requests[1]["user"], daemon.requests[1]["mode"]) == (b"daemon", b"\2")


@pytest.mark.parametrize("account, uid, options, reason", [
    ("nobody", 1, "", "account-changed"), ("root", None, "", "root-refused"),
    ("root", 0, "allow_root", "allowed"),
    ("certmap-test-no-such-account", None, "", "account-missing")])
def test_system_is_asked_about_the_account_again(pam, account, uid, options, reason):
    only_account(pam, f"source=env:CERT {options}")
    with pam.says(account, uid=uid) if uid is not None else pam.says(account):
        run = pam.run(f"start:svc:{account}", *carried(ACCOUNT=account), "account")
    assert run.code == (SUCCESS if reason == "allowed" else AUTH_ERR)
    assert run.line.startswith(f"reason={reason} ")


@pytest.mark.parametrize("changes", [
    {"FINGERPRINT": None}, {"ACCOUNT": None}, {"FINGERPRINT": ""}, {"ACCOUNT": ""},
    {"FINGERPRINT": FINGERPRINT[:-1]}, {"FINGERPRINT": FINGERPRINT + "0"},
    {"FINGERPRINT": FINGERPRINT.upper()}, {"FINGERPRINT": "g" * 64},
    {"ACCOUNT": "n" * 257}, {"ACCOUNT": "nobody\nreason=allowed"},
    {"MAPPING": "7x"}, {"MAPPING": "1" * 21}, {"MAPPING": ""}],
    ids=lambda changes: "=".join(str(part)[:12] for pair in changes.items() for part in pair))
def test_environment_that_somebody_else_wrote_is_refused_unasked(pam, changes):
    only_account(pam)
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", *carried(**changes), "account", "open", "close")
    assert run.codes == [AUTH_ERR, SESSION_ERR, SESSION_ERR]
    assert len(run.log) == 3
    assert all(line.startswith("reason=malformed-certificate ") for line in run.log)
    assert daemon.requests == []


@pytest.mark.parametrize("change", [
    f"CERTMAP_FINGERPRINT={'ff' * 32}", f"CERTMAP_FINGERPRINT={FINGERPRINT[:-1]}0",
    "CERTMAP_FINGERPRINT", "CERTMAP_ACCOUNT"])
def test_environment_that_another_module_changed_since_is_refused(pam, change):
    """Nobody but the module can write PAM data. Its daemon knows no certificate but the one."""
    only_account(pam)
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", "authenticate", f"pamenv:{change}", "account",
                      environment=CERTIFICATE)
    assert run.codes == [SUCCESS, AUTH_ERR]
    if change.endswith("0"):  # more than PAM data tells apart is for the daemon
        assert daemon.requests[1]["evidence"] == FINGERPRINT[:-1].encode() + b"0"
    else:
        assert len(daemon.requests) == 1


def test_environment_that_was_removed_since_is_no_login_of_another_kind(pam):
    """An account phase without an opinion would let a disabled mapping pass."""
    only_account(pam)
    with pam.says("nobody"):
        run = pam.run("start:svc:nobody", "authenticate", "pamenv:CERTMAP_ACCOUNT",
                      "pamenv:CERTMAP_FINGERPRINT", "account", environment=CERTIFICATE)
    assert run.codes == [SUCCESS, AUTH_ERR]


def test_refused_second_authenticate_leaves_nothing_for_the_account_phase(pam):
    only_account(pam)
    pam.service("", lines=pam.line("source=env:CERT") + pam.line("source=env:CERT", "account") +
                "account required pam_permit.so\n")
    with pam.daemon(later(lambda request: refused(request, "unmapped"))) as daemon:
        run = pam.run("start:svc:nobody", "authenticate", "authenticate", "account",
                      environment=CERTIFICATE)
    assert run.codes == [SUCCESS, AUTH_ERR, SUCCESS]
    assert len(daemon.requests) == 2  # the account phase had no opinion


def test_close_session_never_asks(pam):
    only_account(pam)
    with pam.refuses("unmapped") as daemon:
        run = pam.run("start:svc:nobody", *carried(), "open", "close")
    assert run.codes == [SUCCESS, SUCCESS]
    assert daemon.requests == []
