# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_sm_authenticate with evidence that is less than the certificate: fingerprint, key, names."""
import re

import pytest

from fake_daemon import FINGERPRINT, allowed
from pam_stage import (
    AUTH_ERR, CRED_INSUFFICIENT, LOG_NOTICE, SERVICE_ERR, SUCCESS, USER_UNKNOWN)

# PROTOCOL.md, section 3
CERTIFICATE, FINGERPRINT_KIND, KEY, NAMES, NAME = b"\1", b"\2", b"\3", b"\4", b"\5"
MATCH, SET = b"\1", b"\2"
ACCOUNT = b"\2"

# What Dovecot 2.4.2 puts into the user name, Exim into the password.
LOWER_DIGEST = "0123456789abcdef" * 4
UPPER_DIGEST = LOWER_DIGEST.upper()
SSH_INFO = "publickey ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF\n"
SUBJECT = 'C=CZ, O=Svc Test, OU="Ľudia + iní, \\"q\\"", CN=alice'
ISSUER = "C=CZ, CN=Test CA \\xff"


def evidence_of(request):
    return request["kind"], request["evidence"], request.get("evidence_second")


@pytest.mark.parametrize("accept, kind", [
    ("", CERTIFICATE), ("accept=certificate", CERTIFICATE),
    ("accept=fingerprint", FINGERPRINT_KIND), ("accept=key", KEY), ("accept=name", NAME)])
@pytest.mark.parametrize("source", ["env:E", "pamenv:E", "authtok"])
def test_kind_is_the_one_of_the_line_and_the_text_crosses_as_it_is(pam, source, accept, kind):
    """Whatever it looks like: nothing is inferred from the text."""
    text = " :AB:cd\t\\é%41 "
    pam.service(f"source={source} {accept}")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", f"pamenv:E={text}", f"answer:{text}", "authenticate",
                      environment={"E": text})
    request, = daemon.requests
    assert run.code == SUCCESS
    assert evidence_of(request) == (kind, text.encode(), None)
    assert (request["mode"], request["user"]) == (MATCH, b"nobody")


@pytest.mark.parametrize("options", [
    "source=authtok accept=fingerprint", "accept=fingerprint source=authtok"])
def test_digest_as_password_is_what_exim_sends(pam, options):
    pam.service(options)
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", f"answer:{UPPER_DIGEST}", "authenticate")
    assert run.code == SUCCESS
    assert evidence_of(daemon.requests[0]) == (FINGERPRINT_KIND, UPPER_DIGEST.encode(), None)


@pytest.mark.parametrize("reason", ["evidence-not-accepted", "malformed-certificate", "ambiguous"])
def test_kind_that_is_refused_is_not_tried_as_another_one(pam, reason):
    pam.service("source=env:E accept=name")
    with pam.refuses(reason) as daemon:
        run = pam.run("start:svc:nobody", "authenticate", environment={"E": "alice"})
    assert run.code == AUTH_ERR
    assert run.line.startswith(f"reason={reason} ")
    assert [request["kind"] for request in daemon.requests] == [NAME]


# Two names

NAMES_LINE = "source=env:SSL_CLIENT_DN,SSL_CLIENT_I_DN accept=names user=set"
NAMES_ENVIRONMENT = {"SSL_CLIENT_DN": SUBJECT, "SSL_CLIENT_I_DN": ISSUER}


def test_two_names_cross_as_stunnel_wrote_them(pam):
    pam.service(NAMES_LINE)
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc", "authenticate", "show", environment=NAMES_ENVIRONMENT)
    assert run.code == SUCCESS
    assert evidence_of(daemon.requests[0]) == (NAMES, SUBJECT.encode(), ISSUER.encode())
    assert run.value("user") == "nobody"
    assert run.certmap_environment["CERTMAP_FINGERPRINT"] == FINGERPRINT


def test_two_names_come_from_the_handle_as_well(pam):
    pam.service("source=pamenv:S,I accept=names")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", "pamenv:S=s", "pamenv:I=i", "authenticate",
                      environment={"S": "x", "I": "y"})
    assert run.code == SUCCESS
    assert evidence_of(daemon.requests[0]) == (NAMES, b"s", b"i")


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", NAMES_ENVIRONMENT)
def test_one_name_of_two_is_no_certificate(pam, name, value):
    pam.service(NAMES_LINE)
    environment = {**NAMES_ENVIRONMENT, name: value}
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc", "authenticate", "show", environment={
            name: value for name, value in environment.items() if value is not None})
    assert run.code == CRED_INSUFFICIENT
    assert f' name="{name}" ' in run.line
    assert run.priorities == [LOG_NOTICE]
    assert run.value("user") == ""
    assert daemon.requests == []


def test_second_name_is_not_taken_from_the_other_place(pam):
    pam.service("source=env:S,I accept=names")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", "pamenv:I=i", "authenticate", environment={"S": "s"})
    assert run.code == CRED_INSUFFICIENT
    assert daemon.requests == []


@pytest.mark.parametrize("options, environment, double", [
    ("source=env:CERT", {"CERT": "one"}, "CERT=another"),
    ("source=env:CERT", {"CERT": "one"}, "CERT=one"),
    ("source=env:S,I accept=names", {"S": "s", "I": "i"}, "I=another"),
    ("source=env:CERT require_env=FTPS=1", {"CERT": "one", "FTPS": "1"}, "FTPS=0"),
])
def test_variable_that_is_there_twice_is_malformed(pam, options, environment, double):
    pam.service(options)
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", f"double:{double}", "authenticate",
                      environment=environment)
    assert run.code == AUTH_ERR
    assert run.line.startswith("reason=malformed-certificate ")
    assert f' name="{double.split("=")[0]}" ' in run.line and "twice" in run.line
    assert daemon.requests == []


def test_variable_of_a_longer_name_is_another_one(pam):
    pam.service("source=env:CERT")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", "double:CERTIFICATE=another", "authenticate",
                      environment={"CERT": "one"})
    assert run.code == SUCCESS
    assert daemon.requests[0]["evidence"] == b"one"


@pytest.mark.parametrize("first, second, name", [
    (65536, 16384, None), (65537, 1, "S"), (1, 16385, "I"), (1, 65537, "I")])
def test_each_name_has_its_limit(pam, first, second, name):
    pam.service("source=env:S,I accept=names")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", f"fill:S:{first}", f"fill:I:{second}", "authenticate")
    assert run.code == (AUTH_ERR if name else SUCCESS)
    assert len(daemon.requests) == (0 if name else 1)
    if name:
        assert run.line.startswith("reason=malformed-certificate ")
        assert f' name="{name}" ' in run.line


def test_names_do_not_stand_in_the_log(pam):
    pam.service(NAMES_LINE + " debug")
    with pam.refuses("ambiguous"):
        run = pam.run("start:svc", "authenticate", environment=NAMES_ENVIRONMENT)
    assert "alice" not in "".join(run.raw_log)
    assert f"evidence_bytes={len(SUBJECT.encode()) + len(ISSUER.encode())} " in run.log[0]


# The key of sshd

SSH_LINE = "source=ssh accept=key"


def test_key_of_sshd_crosses_as_it_is(pam):
    pam.service(SSH_LINE)
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", f"pamenv:SSH_AUTH_INFO_0={SSH_INFO}", "authenticate",
                      environment={"SSH_AUTH_INFO_0": "of whoever started sshd"})
    request, = daemon.requests
    assert run.code == SUCCESS
    assert evidence_of(request) == (KEY, SSH_INFO.encode(), None)
    assert (request["mode"], request["user"]) == (MATCH, b"nobody")


@pytest.mark.parametrize("commands", [(), ("pamenv:SSH_AUTH_INFO_0=",)])
def test_sshd_that_tells_of_no_key_gets_a_hint(pam, commands):
    """A password leaves the variable out, keyboard-interactive alone leaves it empty."""
    pam.service(SSH_LINE)
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:nobody", *commands, "authenticate",
                      environment={"SSH_AUTH_INFO_0": SSH_INFO})
    assert run.code == CRED_INSUFFICIENT
    assert ' name="SSH_AUTH_INFO_0" ' in run.line
    assert "AuthenticationMethods publickey,keyboard-interactive:pam" in run.line
    assert daemon.requests == []


def test_required_variable_of_sshd_stands_beside_its_key(pam):
    pam.service(SSH_LINE + " require_env=PROOF=1")
    key = f"pamenv:SSH_AUTH_INFO_0={SSH_INFO}"
    with pam.says("nobody"):
        elsewhere = pam.run("start:svc:nobody", key, "authenticate", environment={"PROOF": "1"})
        there = pam.run("start:svc:nobody", key, "pamenv:PROOF=1", "authenticate")
    assert (elsewhere.code, there.code) == (CRED_INSUFFICIENT, SUCCESS)


# The user name as the evidence

DOVECOT_LINE = "source=user accept=fingerprint user=set"


def test_digest_as_user_name_becomes_the_account(pam):
    """Dovecot 2.4.2: user = %{ssl_client_cert_fp}"""
    pam.service(DOVECOT_LINE)
    with pam.says("nobody") as daemon:
        run = pam.run(f"start:svc:{LOWER_DIGEST}", "answer:typed", "authenticate", "account",
                      "show")
    first, second = daemon.requests
    assert run.codes == [SUCCESS, SUCCESS]
    assert evidence_of(first) == (FINGERPRINT_KIND, LOWER_DIGEST.encode(), None)
    assert first["mode"] == SET
    assert run.value("user") == "nobody"
    assert run.certmap_environment["CERTMAP_ACCOUNT"] == "nobody"
    assert run.value("prompts") == "0"
    # The account phase asks about the certificate that the reply named.
    assert second["phase"] == ACCOUNT
    assert evidence_of(second) == (FINGERPRINT_KIND, FINGERPRINT.encode(), None)
    assert second["user"] == b"nobody"


@pytest.mark.parametrize("accept, kind", [
    ("fingerprint", FINGERPRINT_KIND), ("key", KEY), ("name", NAME)])
def test_user_name_is_of_the_kind_that_the_line_says(pam, accept, kind):
    pam.service(f"user=set accept={accept} source=user")
    with pam.says("nobody") as daemon:
        run = pam.run("start:svc:Zoë, 漢字", "authenticate", "show")
    assert run.code == SUCCESS
    assert evidence_of(daemon.requests[0]) == (kind, "Zoë, 漢字".encode(), None)
    assert run.value("user") == "nobody"


@pytest.mark.parametrize("start", ["start:svc", "start:svc:"])
def test_no_user_name_is_no_certificate_and_is_not_asked_for(pam, start):
    pam.service(DOVECOT_LINE)
    with pam.says("nobody") as daemon:
        run = pam.run(start, f"answer:{LOWER_DIGEST}", "authenticate", "show")
    assert run.code == CRED_INSUFFICIENT
    assert ' name="PAM_USER" ' in run.line
    assert run.value("prompts") == "0"
    assert daemon.requests == []


@pytest.mark.parametrize("name", ["n" * 257, "a\nb", "a\x7f"])
def test_user_name_that_can_be_no_account_is_evidence_all_the_same(pam, name):
    pam.service("source=user accept=name user=set")
    with pam.says("nobody") as daemon:
        run = pam.run(f"start:svc:{name}", "authenticate", "show")
    assert run.code == SUCCESS
    assert daemon.requests[0]["evidence"] == name.encode()
    assert "user" not in daemon.requests[0]
    assert run.value("user") == "nobody"


@pytest.mark.parametrize("length, code", [(65536, SUCCESS), (65537, AUTH_ERR)])
def test_user_name_has_the_limit_of_evidence(pam, length, code):
    pam.service("source=user accept=name user=set")
    with pam.says("nobody") as daemon:
        run = pam.run(f"start:svc:{'n' * length}", "authenticate")
    assert run.code == code
    assert len(daemon.requests) == (code == SUCCESS)


@pytest.mark.parametrize("account, code", [
    ("root", AUTH_ERR), ("certmap-test-no-such-account", USER_UNKNOWN)])
def test_user_name_stays_where_a_gate_refuses(pam, account, code):
    pam.service(DOVECOT_LINE)
    with pam.says(account):
        run = pam.run(f"start:svc:{LOWER_DIGEST}", "authenticate", "show")
    assert run.code == code
    assert run.value("user") == LOWER_DIGEST
    assert run.certmap_environment == {}


# The account phase

@pytest.mark.parametrize("line, commands", [
    (SSH_LINE, (f"pamenv:SSH_AUTH_INFO_0={SSH_INFO}",)),
    ("source=pamenv:S,I accept=names", ("pamenv:S=s", "pamenv:I=i")),
    ("source=pamenv:S accept=name", ("pamenv:S=s",)),
    ("source=pamenv:S accept=key", (f"pamenv:S={LOWER_DIGEST}",))])
def test_account_phase_asks_about_the_certificate_of_the_mapping(pam, line, commands):
    pam.service(line)
    answers = iter(["nobody", "nobody", "daemon"])
    with pam.daemon(lambda request: allowed(request, next(answers))) as daemon:
        run = pam.run("start:svc:nobody", *commands, "authenticate", "account", "account")
    assert run.codes == [SUCCESS, SUCCESS, AUTH_ERR]
    assert [evidence_of(request) for request in daemon.requests[1:]] == [
        (FINGERPRINT_KIND, FINGERPRINT.encode(), None)] * 2


# Lines that contradict themselves

@pytest.mark.parametrize("options, name, remedy", [
    ("source=env:S accept=names", "source", "source=env:SUBJECT,ISSUER"),
    ("source=env:S,I", "source", "accept=names"),
    ("source=env:S,I accept=name", "source", "accept=names"),
    ("source=authtok accept=names", "accept", "source=env:SUBJECT,ISSUER"),
    ("source=ssh", "accept", "accept=key"),
    ("source=ssh accept=fingerprint", "accept", "accept=key"),
    ("source=user accept=fingerprint", "user", "user=set"),
    ("source=user accept=fingerprint user=match", "user", "user=set"),
    ("source=user user=set", "accept", "accept=fingerprint"),
    ("source=user user=set accept=names", "accept", "accept=fingerprint"),
])
def test_line_that_contradicts_itself_refuses_and_names_the_remedy(pam, options, name, remedy):
    words = options.split()
    environment = {"S": "s", "I": "i"}
    for line in (words, words[::-1]):
        pam.service(" ".join(line))
        with pam.says("nobody") as daemon:
            runs = [pam.run("start:svc:nobody", f"pamenv:SSH_AUTH_INFO_0={SSH_INFO}", "answer:x",
                            call, environment=environment)
                    for call in ("authenticate", "account", "open")]
        pam.socket.unlink()
        assert daemon.requests == []
        for run in runs:
            assert run.code == SERVICE_ERR
            assert re.fullmatch(
                f'reason=misconfigured .*name="{name}" what="[^"]*{remedy}[^"]*"', run.line)
