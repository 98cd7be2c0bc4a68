# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_sm_authenticate: evidence, options, gates, and what is left in the handle afterwards."""
import os
import pwd
import re

import pytest

from fake_daemon import FINGERPRINT, allowed
from pam_stage import (
    AUTH_ERR, AUTHINFO_UNAVAIL, CRED_INSUFFICIENT, LOG_DEBUG, LOG_ERR, LOG_INFO, LOG_NOTICE,
    PAM_DISALLOW_NULL_AUTHTOK, PAM_SILENT, SERVICE_ERR, SUCCESS, SYSTEM_ERR, USER_UNKNOWN)

# The module never decodes it, so any text will do; one that would show in a log.
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIISECRETBYTES\n-----END CERTIFICATE-----\n"
NOBODY_UID = pwd.getpwnam("nobody").pw_uid


def login(pam, *before, options="source=env:CERT", user="nobody", **environment):
    pam.service(options)
    return pam.run(
        f"start:svc:{user}", *before, "authenticate", "show",
        environment={"CERT": CERTIFICATE, **environment})


def test_allowed_certificate_logs_in(pam):
    with pam.says("nobody"):
        run = login(pam, "rhost:192.0.2.7")
    assert run.code == SUCCESS
    assert run.certmap_environment == {
        "CERTMAP_ACCOUNT": "nobody", "CERTMAP_FINGERPRINT": FINGERPRINT,
        "CERTMAP_SUBJECT": "CN=somebody", "CERTMAP_MAPPING": "7"}
    assert run.priorities == [LOG_INFO]
    assert re.fullmatch(
        'reason=allowed asked="nobody" account="nobody" mapping=7 '
        f'fingerprint={FINGERPRINT} rhost="192.0.2.7" id=[0-9a-f]{{32}}', run.line)


def test_request_carries_what_pam_knows_and_the_evidence_undecoded(pam):
    with pam.says("nobody") as daemon:
        run = login(pam, "rhost:192.0.2.7", "tty:ftpd123")
    request, = daemon.requests
    assert re.fullmatch(b"[0-9a-f]{32}", request.pop("correlation_id"))
    # See test_credential.
    assert (request.pop("credential_wanted", None) == b"\1") == (os.geteuid() == 0)
    assert request == {
        "phase": b"\1", "mode": b"\1", "service": b"svc", "user": b"nobody", "kind": b"\1",
        "evidence": CERTIFICATE.encode(), "remote_host": b"192.0.2.7", "tty": b"ftpd123"}
    assert run.code == SUCCESS


def test_correlation_id_is_another_one_each_time(pam):
    pam.service("source=env:CERT")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", "authenticate", "authenticate",
                      environment={"CERT": CERTIFICATE})
    ids = [request["correlation_id"].decode() for request in daemon.requests]
    assert len(set(ids)) == 2
    assert [re.search("id=([0-9a-f]+)", line).group(1) for line in run.log] == ids


# design.md 4
CODES = {
    "misconfigured": SERVICE_ERR, "no-certificate": CRED_INSUFFICIENT,
    "account-missing": USER_UNKNOWN, "credential-unavailable": AUTHINFO_UNAVAIL,
    "forbidden": AUTHINFO_UNAVAIL, "unavailable": AUTHINFO_UNAVAIL,
    **{reason: AUTH_ERR for reason in (
        "evidence-not-accepted", "malformed-certificate", "unmapped", "service-disabled",
        "mapping-disabled", "mapping-not-yet-valid", "mapping-expired",
        "certificate-not-yet-valid", "certificate-expired", "untrusted-issuer", "wrong-usage",
        "revoked", "revocation-unknown", "ambiguous", "account-mismatch", "account-changed",
        "root-refused")},
}


@pytest.mark.parametrize("reason", CODES)
def test_reason_of_the_daemon_becomes_its_code(pam, reason):
    with pam.refuses(reason):
        run = login(pam)
    assert run.code == CODES[reason]
    assert run.line.startswith(f"reason={reason} ")
    assert run.priorities == [
        LOG_ERR if CODES[reason] in (SERVICE_ERR, AUTHINFO_UNAVAIL) else LOG_NOTICE]
    assert run.certmap_environment == {}


def test_word_of_a_newer_daemon_is_a_refusal(pam):
    with pam.refuses("allowed-differently", account="nobody", mapping_id=7,
                     fingerprint=FINGERPRINT):
        run = login(pam)
    assert run.code == AUTH_ERR
    assert run.line.startswith('reason=unknown word="allowed-differently" ')
    assert run.certmap_environment == {}


@pytest.mark.parametrize("shadow", ["allowed", "unmapped", "a-newer-word"])
def test_shadow_is_no_certificate_and_touches_nothing(pam, shadow):
    pam.service("source=env:CERT user=set")
    with pam.refuses("no-certificate", shadow=shadow):
        run = pam.run("start:svc", "authenticate", "show", environment={"CERT": "x"})
    assert run.code == CRED_INSUFFICIENT
    assert run.line.startswith("reason=no-certificate ") and f' shadow="{shadow}"' in run.line
    assert run.value("user") == ""
    assert run.certmap_environment == {}


def test_refusal_is_logged_with_what_the_daemon_found(pam):
    with pam.refuses("mapping-disabled", account="nobody", mapping_id=9, fingerprint=FINGERPRINT):
        run = login(pam)
    assert f'account="nobody" mapping=9 fingerprint={FINGERPRINT}' in run.line


# Evidence

@pytest.mark.parametrize("value", [None, ""])
def test_missing_or_empty_variable_is_no_certificate(pam, value):
    pam.service("source=env:CERT")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", "authenticate",
                      environment={} if value is None else {"CERT": value})
    assert run.code == CRED_INSUFFICIENT
    assert 'name="CERT"' in run.line
    assert run.priorities == [LOG_NOTICE]
    assert daemon.requests == []


@pytest.mark.parametrize("length, asked", [(65536, True), (65537, False), (1048576, False)])
def test_evidence_over_its_limit_is_malformed_and_not_sent(pam, length, asked):
    pam.service("source=env:CERT")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", f"fill:CERT:{length}", "authenticate")
    assert run.code == (SUCCESS if asked else AUTH_ERR)
    assert run.line.startswith("reason=" + ("allowed" if asked else "malformed-certificate"))
    assert len(daemon.requests) == asked


def test_null_in_words_is_the_daemons_to_refuse(pam):
    with pam.refuses("malformed-certificate") as daemon:
        run = login(pam, CERT="(null)")
    assert daemon.requests[0]["evidence"] == b"(null)"
    assert run.code == AUTH_ERR


def test_pam_environment_is_a_source_of_its_own(pam):
    pam.service("source=pamenv:CERT")
    with pam.says("nobody") as daemon:
        without = pam.run("start:svc:nobody", "authenticate", environment={"CERT": "process"})
        run = pam.run("start:svc:nobody", "pamenv:CERT=handle", "authenticate",
                      environment={"CERT": "process"})
    assert without.code == CRED_INSUFFICIENT
    assert run.code == SUCCESS
    assert [request["evidence"] for request in daemon.requests] == [b"handle"]


def test_process_environment_is_not_read_from_the_handle(pam):
    pam.service("source=env:CERT")
    with pam.says("nobody"):
        run = pam.run("start:svc:nobody", "pamenv:CERT=handle", "authenticate")
    assert run.code == CRED_INSUFFICIENT


@pytest.mark.parametrize("flags", [0, PAM_SILENT, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK])
def test_password_item_is_asked_for_once(pam, flags):
    """Also with PAM_SILENT: mod_authnz_pam passes it and answers."""
    pam.service("", lines=pam.line("source=authtok", control="optional") +
                pam.line("source=authtok"))
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", f"answer:{CERTIFICATE}", f"authenticate:{flags}", "show")
    assert run.code == SUCCESS
    assert [request["evidence"] for request in daemon.requests] == [CERTIFICATE.encode()] * 2
    assert (run.value("prompts"), run.value("messages")) == ("1", "0")


@pytest.mark.parametrize("conversation", ["conversation:none", "conversation:fails", None])
@pytest.mark.parametrize("flags", [0, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK])
def test_conversation_without_an_answer_is_no_certificate(pam, conversation, flags):
    pam.service("source=authtok")
    commands = [conversation] if conversation else []
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", *commands, f"authenticate:{flags}", "show")
    assert run.code == CRED_INSUFFICIENT
    assert run.value("messages") == "0"
    assert daemon.requests == []
    # libpam says that a conversation failed in a line of its own.
    assert [line.split()[0] for line in run.log if line != "conversation failed"] == [
        "reason=no-certificate"]


def test_empty_password_item_is_no_certificate(pam):
    pam.service("source=authtok")
    run = pam.run("start:svc:nobody", "answer:", "authenticate")
    assert run.code == CRED_INSUFFICIENT


@pytest.mark.parametrize("value, code", [
    ("1", SUCCESS), (None, CRED_INSUFFICIENT), ("0", CRED_INSUFFICIENT), ("", CRED_INSUFFICIENT),
    ("11", CRED_INSUFFICIENT)])
def test_required_variable_must_have_its_value(pam, value, code):
    environment = {} if value is None else {"FTPS": value}
    with pam.says("nobody"):
        run = login(pam, options="source=env:CERT require_env=FTPS=1", **environment)
    assert run.code == code
    if code != SUCCESS:
        assert 'name="FTPS"' in run.line


def test_required_variable_stands_where_the_evidence_stands(pam):
    pam.service("source=pamenv:CERT require_env=PROOF=a=secret")
    start = ("start:svc:nobody", "pamenv:CERT=x")
    with pam.says("nobody"):
        elsewhere = pam.run(*start, "authenticate", environment={"PROOF": "a=secret"})
        there = pam.run(*start, "pamenv:PROOF=a=secret", "authenticate")
    assert elsewhere.code == CRED_INSUFFICIENT
    assert "secret" not in elsewhere.line
    assert there.code == SUCCESS


def test_proftpd_that_left_the_certificate_out_gets_a_hint(pam):
    pam.service("source=env:TLS_CLIENT_CERT")
    with_names = pam.run("start:svc:nobody", "authenticate",
                         environment={"TLS_CLIENT_S_DN": "CN=nobody"})
    without = pam.run("start:svc:nobody", "authenticate")
    assert with_names.code == without.code == CRED_INSUFFICIENT
    assert "over 2048 bytes" in with_names.line
    assert "2048" not in without.line


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a setuid program")
@pytest.mark.parametrize("options, name", [
    ("source=env:CERT", "CERT"), ("source=pamenv:CERT require_env=X=1", "X"),
    ("source=authtok require_env=PROOF=1", "PROOF"),
    ("source=env:CERT,PROOF accept=names", "CERT"),
    ("source=ssh accept=key", "SSH_AUTH_INFO_0")])
def test_environment_of_a_setuid_program_is_its_callers_and_ignored(pam, options, name):
    pam.become_nobody()
    os.chown(pam.driver[0], pwd.getpwnam("daemon").pw_uid, -1)
    os.chmod(pam.driver[0], 0o4755)
    pam.service(options)
    hostile = {"CERT": CERTIFICATE, "PROOF": "1", "X": "1", "CERTMAP_ACCOUNT": "nobody",
               "CERTMAP_FINGERPRINT": FINGERPRINT, "SSH_AUTH_INFO_0": "publickey ssh-rsa AAAA"}

    if pam.run("secure").value("secure") != "1":
        pytest.skip("this file system ignores setuid bits")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", "answer:x", "authenticate", "account",
                      environment=hostile)
    assert run.codes[0] == CRED_INSUFFICIENT
    assert daemon.requests == []
    assert f'name="{name}"' in run.log[0]
    assert ("AT_SECURE" in run.log[0]) == ("pamenv" not in options and "ssh" not in options)


def test_variable_of_the_process_can_not_stand_for_a_session(pam):
    """CERTMAP_* count in the PAM environment alone."""
    pam.service("source=env:CERT")
    with pam.says("nobody") as daemon:
        pam.run("start:svc:nobody", "account", "open", environment={
            "CERTMAP_ACCOUNT": "nobody", "CERTMAP_FINGERPRINT": FINGERPRINT})
    assert daemon.requests == []


# Options

@pytest.mark.parametrize("options, name", [
    ("source=env:CERT tiemout=5", "tiemout"),
    ("source=env:CERT Debug", "Debug"),
    ("source=env:CERT timeout=100 timeout=100", "timeout"),
    ("source=env:CERT source=env:CERT", "source"),
    ("source=env:CERT debug debug", "debug"),
    ("source=env:CERT allow_root=yes", "allow_root"),
    ("source=env:CERT timeout", "timeout"),
    ("source=env:CERT timeout=0", "timeout"),
    ("source=env:CERT timeout=abc", "timeout"),
    ("source=env:CERT timeout=600001", "timeout"),
    ("source=env:", "source"),
    ("source=env:A,B", "source"),
    ("source=env:A,B,C accept=names", "source"),
    ("source=header:CERT", "source"),
    ("source=env:CERT accept=anything", "accept"),
    ("source=env:CERT user=any", "user"),
    ("source=env:CERT require_env=FTPS", "require_env"),
    ("debug", "source"),
    ("", "source"),
])
def test_line_that_is_not_understood_refuses_everything(pam, options, name):
    pam.service(options)
    with pam.says("nobody") as daemon:
        runs = [pam.run("start:svc:nobody", call, environment={"CERT": CERTIFICATE})
                for call in ("authenticate", "account", "open", "close")]
        setcred = pam.run("start:svc:nobody", "setcred")
    assert [run.code for run in runs] == [SERVICE_ERR] * 4
    for run in runs:
        assert run.line.startswith("reason=misconfigured ")
        assert f'name="{name}"' in run.line
        assert run.priorities == [LOG_ERR]
    assert setcred.code == SUCCESS
    assert daemon.requests == []


def test_misconfigured_line_shows_no_value(pam):
    run = login(pam, options="source=env:CERT require_env=A=hush require_env=A=hush")
    assert run.code == SERVICE_ERR
    assert "hush" not in run.line


def test_debug_adds_lines_and_no_certificate(pam):
    with pam.says("nobody"):
        run = login(pam, options="source=env:CERT debug")
    assert run.code == SUCCESS
    assert run.priorities == [LOG_DEBUG, LOG_INFO]
    assert "SECRETBYTES" not in "".join(run.raw_log)
    assert f"evidence_bytes={len(CERTIFICATE)}" in run.log[0]


def test_service_name_over_its_limit_is_misconfigured(pam):
    name = "s" * 65
    pam.service("source=env:CERT", name=name)
    run = pam.run(f"start:{name}:nobody", "authenticate", environment={"CERT": "x"})
    assert run.code == SERVICE_ERR


# Whose account

@pytest.mark.parametrize("user", ["", "root\n", "no\x01body", "n" * 257, "nobody\x7f"])
def test_name_that_can_be_no_account_is_refused_unasked(pam, user):
    with pam.says("nobody") as daemon:
        run = login(pam, user=user)
    assert run.code == AUTH_ERR
    assert run.line.startswith("reason=account-mismatch")
    assert run.certmap_environment == {}
    assert daemon.requests == []


def test_client_without_a_name_is_refused_and_not_asked_for_one(pam):
    pam.service("source=env:CERT")
    with pam.says("nobody"):
        run = pam.run("start:svc", "answer:nobody", "authenticate", "show",
                      environment={"CERT": CERTIFICATE})
    assert run.code == AUTH_ERR
    assert run.line.startswith("reason=account-mismatch")
    assert run.value("prompts") == "0"


def test_match_mode_never_touches_the_name(pam):
    with pam.says("daemon"):
        run = login(pam, user="nobody")
    assert run.code == AUTH_ERR
    assert run.line.startswith('reason=account-mismatch asked="nobody" account="daemon"')
    assert run.value("user") == "nobody"
    assert run.certmap_environment == {}


@pytest.mark.parametrize("name", ["root", "daemon", ""])
def test_name_that_changes_during_the_lookup_is_refused(pam, name):
    with pam.says("nobody"):
        run = login(pam, f"nss-user:{name}")
    assert run.code == AUTH_ERR
    assert "PAM_USER changed" in run.line
    assert run.certmap_environment == {}


def test_name_that_changes_in_the_conversation_is_refused(pam):
    pam.service("source=authtok")
    with pam.says("daemon"):
        to_mapped = pam.run("start:svc:nobody", "answer:x", "prompt-user:daemon", "authenticate")
    assert to_mapped.code == AUTH_ERR


def test_set_mode_adopts_the_mapped_account(pam):
    pam.service("source=env:CERT user=set")
    with pam.says("daemon") as daemon:
        run = pam.run("start:svc", "answer:root", "authenticate", "show",
                      environment={"CERT": CERTIFICATE})
        renamed = pam.run("start:svc:nobody", "authenticate", "show",
                          environment={"CERT": CERTIFICATE})
    assert [run.code, renamed.code] == [SUCCESS, SUCCESS]
    assert [run.value("user"), renamed.value("user")] == ["daemon", "daemon"]
    assert run.value("prompts") == "0"
    assert [request.get("user") for request in daemon.requests] == [None, b"nobody"]
    assert [request["mode"] for request in daemon.requests] == [b"\2", b"\2"]
    assert renamed.certmap_environment["CERTMAP_ACCOUNT"] == "daemon"


@pytest.mark.parametrize("reply", ["root", "certmap-test-no-such-account"])
def test_set_mode_sets_no_name_before_every_gate_is_passed(pam, reply):
    with pam.says(reply):
        run = login(pam, options="source=env:CERT user=set", user="nobody")
    assert run.code == (AUTH_ERR if reply == "root" else USER_UNKNOWN)
    assert run.value("user") == "nobody"


def test_name_that_can_be_no_account_is_left_out_in_set_mode(pam):
    with pam.says("nobody") as daemon:
        run = login(pam, options="source=env:CERT user=set", user="x\x01y")
    assert run.code == SUCCESS
    assert "user" not in daemon.requests[0]


# What the system says of the account

def test_account_that_is_gone_is_missing(pam):
    name = "certmap-test-no-such-account"
    with pam.says(name):
        run = login(pam, user=name)
    assert run.code == USER_UNKNOWN
    assert run.line.startswith("reason=account-missing ")
    assert run.certmap_environment == {}


@pytest.mark.parametrize("uid, code", [(NOBODY_UID, SUCCESS), (NOBODY_UID - 1, AUTH_ERR),
                                       (0, AUTH_ERR)])
def test_account_with_another_uid_is_changed(pam, uid, code):
    with pam.says("nobody", uid=uid):
        run = login(pam)
    assert run.code == code
    assert run.line.startswith("reason=" + ("allowed" if code == SUCCESS else "account-changed"))


@pytest.mark.parametrize("option, code", [("", AUTH_ERR), ("allow_root", SUCCESS)])
def test_root_needs_an_option_of_its_own(pam, option, code):
    with pam.says("root", uid=0):
        run = login(pam, options=f"source=env:CERT {option}", user="root")
    assert run.code == code
    assert run.line.startswith("reason=" + ("allowed" if option else "root-refused"))


@pytest.mark.parametrize("number, code", [
    (0, USER_UNKNOWN), (2, USER_UNKNOWN), (3, USER_UNKNOWN),  # ENOENT, ESRCH
    (1, SYSTEM_ERR), (5, SYSTEM_ERR), (24, SYSTEM_ERR), (23, SYSTEM_ERR), (34, SYSTEM_ERR),
    (12, 5)])  # EPERM, EIO, EMFILE, ENFILE, ERANGE without end; ENOMEM
def test_name_service_that_fails_is_not_a_missing_account(pam, number, code):
    user = "nobody" if number else "certmap-test-no-such-account"
    with pam.says(user):
        run = login(pam, f"nss-errno:{number}", user=user)
    assert run.code == code
    assert run.certmap_environment == {}


# What is left behind

def test_refusal_removes_what_an_earlier_success_left(pam):
    pam.service("source=env:CERT")
    answers = iter([True, False])

    def answer(request):
        return allowed(request, "nobody" if next(answers) else "daemon")

    with pam.daemon(answer):
        run = pam.run("start:svc:nobody", "authenticate", "authenticate", "show", "account",
                      environment={"CERT": CERTIFICATE})
    assert run.codes[:2] == [SUCCESS, AUTH_ERR]
    assert run.certmap_environment == {}
    assert len(run.log) == 2  # the account phase found nothing to decide about


def test_misconfigured_line_removes_it_too(pam):
    pam.service("source=env:CERT")
    pam.service("source=env:CERT typo", name="wrong")
    with pam.says("nobody"):
        run = pam.run("start:wrong:nobody", "pamenv:CERTMAP_ACCOUNT=nobody",
                      f"pamenv:CERTMAP_FINGERPRINT={FINGERPRINT}", "pamenv:CERTMAP_SUBJECT=x",
                      "pamenv:CERTMAP_MAPPING=1", "pamenv:OTHER=stays", "authenticate", "show")
    assert run.code == SERVICE_ERR
    assert run.environment == {"OTHER": "stays"}


def test_success_replaces_all_of_it(pam):
    pam.service("source=env:CERT")
    with pam.says("nobody", subject=None):
        run = pam.run("start:svc:nobody", "pamenv:CERTMAP_SUBJECT=CN=forged",
                      "pamenv:CERTMAP_MAPPING=1", "authenticate", "show",
                      environment={"CERT": CERTIFICATE})
    assert run.code == SUCCESS
    assert run.certmap_environment == {
        "CERTMAP_ACCOUNT": "nobody", "CERTMAP_FINGERPRINT": FINGERPRINT, "CERTMAP_MAPPING": "7"}


def test_text_from_outside_forges_no_line_and_breaks_no_request(pam):
    host = "h\n\x1b[31m\" reason=allowed " + "x" * 3000
    with pam.says("daemon") as daemon:
        run = login(pam, f"rhost:{host}", "tty:a\nb")
    assert run.code == AUTH_ERR
    assert re.search(r' rhost="h\\x0a\\x1b\[31m\\x22 reason=allowed x+\.\.\." id=', run.line)
    assert daemon.requests[0]["tty"] == b"a\\x0ab"
    assert len(daemon.requests[0]["remote_host"]) <= 256


def test_required_stack_with_permit_below_lets_no_refusal_through(pam):
    """authenticate never answers PAM_IGNORE (CVE-2025-24531, CVE-2025-23013)."""
    permit = "auth required pam_permit.so\n"
    for options, environment in (
            ("source=env:CERT", {}), ("source=env:CERT typo", {}),
            ("source=env:CERT", {"CERT": CERTIFICATE})):
        pam.service("", lines=pam.line(options) + permit)
        assert pam.run("start:svc:nobody", "authenticate", environment=environment).code in (
            CRED_INSUFFICIENT, SERVICE_ERR, AUTHINFO_UNAVAIL)


def test_accept_stack_goes_on_without_a_certificate_alone(pam):
    stack = (pam.line("source=env:CERT",
                      control="[success=done cred_insufficient=ignore default=die]") +
             "auth required pam_permit.so\n")
    pam.service("", lines=stack)
    nothing = pam.run("start:svc:nobody", "authenticate")
    with pam.refuses("unmapped"):
        refused = pam.run("start:svc:nobody", "authenticate", environment={"CERT": CERTIFICATE})
    assert (nothing.code, refused.code) == (SUCCESS, AUTH_ERR)
