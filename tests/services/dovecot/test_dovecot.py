# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mail reading by client certificate: imaplib -> Dovecot 2.3 or 2.4.1 (EXTERNAL) -> libpam ->
pam_certmap.so -> certmapd, with the shipped configuration as it is. What crosses is one name, so
that most of this is about who must not get in with it."""
import pathlib
import subprocess

import pytest

from boxed import LIB
from stage import fields, host_environment

HERE = pathlib.Path(__file__).resolve().parent
ALLOW_NAME = "INSERT INTO service(name, accept_name) VALUES('certmap-valid', 1)"
CONFIGURATION = "/etc/dovecot/dovecot.conf"

# For the tests alone: no waiting after a refusal.
IMPATIENT = """
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""

# Clients without a certificate, and PLAIN beside EXTERNAL: what people add for those who have none.
PASSWORDS_TOO = [("auth_ssl_require_client_cert = yes", "auth_ssl_require_client_cert = no"),
                 ("auth_mechanisms = external", "auth_mechanisms = external plain")]
# Dovecot 2.4 has other words for much of it, and an example of its own.
if subprocess.run(["dovecot", "--version"], capture_output=True, text=True,
                  check=True).stdout.startswith("2.3."):
    EXAMPLE = "dovecot.conf"
    ANY_MECHANISM = ("  mechanisms = external\n", "")
    ANY_CONNECTION = ("args = certmap-%k", "args = certmap-valid")
    ANY_CASE = ("auth_username_format = %u\n", "")
else:
    EXAMPLE = "dovecot-2.4.conf"
    ANY_MECHANISM = ("  mechanisms_filter = external\n", "")
    ANY_CONNECTION = ("service_name = certmap-%{cert}", "service_name = certmap-valid")
    ANY_CASE = ("auth_username_format = %{user}\n", "")
TYPED_NAME = ("auth_ssl_username_from_cert = yes", "auth_ssl_username_from_cert = no")

REFUSED = "[AUTHENTICATIONFAILED] Authentication failed."


def configure(box, replace=()):
    """Copies the example as a person would. `replace` are pairs: this text, which has to be there,
    becomes that one."""
    text = (HERE / EXAMPLE).read_text()
    for old, new in replace:
        assert old in text, old
        text = text.replace(old, new)
    box.write(CONFIGURATION, text + IMPATIENT)
    # Dovecot takes a second to stop in good order.
    box.call("systemctl", "kill", "--kill-whom=all", "--signal=KILL", "dovecot")
    box.call("systemctl", "stop", "dovecot")
    box.call("systemctl", "reset-failed", "dovecot")
    box.run("systemctl", "start", "dovecot")


def make_mail(box, account):
    box.sh(f"""
        runuser -u {account} -- mkdir -p /home/{account}/Maildir/{{new,cur,tmp}}
        printf 'Subject: mail of {account}\\n\\nHello.\\n' >/home/{account}/Maildir/new/1.box
        chown {account} /home/{account}/Maildir/new/1.box
    """)


@pytest.fixture(scope="module", name="dovecot")
def configured_dovecot(booted):
    if host_environment():
        pytest.skip("Dovecot clears its environment: no place for the sanitizer's runtime in it")
    for account in ("alice", "bob"):
        make_mail(booted, account)
    booted.sh("""
        cp /root/clients/server.pem /root/clients/server.key /etc/dovecot/private/
        cp /root/clients/ca.pem /etc/dovecot/private/clients-ca.pem
    """)
    booted.write("/etc/pam.d/certmap-valid", (HERE / "pam.d/certmap-valid").read_text())
    configure(booted)
    yield booted
    booted.run("systemctl", "stop", "dovecot")


@pytest.fixture(name="box")
def alice_is_mapped_and_names_are_accepted(dovecot, box):
    del dovecot
    box.sql(f"DELETE FROM service WHERE name = 'certmap-valid'; {ALLOW_NAME}")
    return box


@pytest.fixture(name="reconfigure")
def reconfigured(dovecot):
    """What makes another dovecot.conf for one test."""
    yield lambda *replace: configure(dovecot, replace)
    configure(dovecot)


class Session:
    """What the client saw, and what certmapd, the module and Dovecot logged of it."""

    def __init__(self, box, *arguments):
        mark = box.mark()
        done = box.call("python3", HERE / "read_mail.py", *arguments)
        assert done.returncode == 0, done.stderr
        self.answer = done.stdout.strip()
        entries = box.since(mark)
        self.verdicts = [entry for entry in entries if "CERTMAP_REASON" in entry]
        self.reasons = [entry["CERTMAP_REASON"] for entry in self.verdicts]
        self.module = [entry["MESSAGE"] for entry in entries
                       if entry["MESSAGE"].startswith("pam_certmap(")]
        self.log = [entry["MESSAGE"] for entry in entries
                    if entry.get("_SYSTEMD_UNIT") == "dovecot.service"]


def assert_let_in(session, account):
    assert session.answer == f"Subject: mail of {account}", (session.answer, session.log)


def assert_refused(session, reason):
    assert (session.answer, session.reasons) == (REFUSED, [reason]), session.log


def assert_not_asked(session):
    """Refused by Dovecot itself, in whatever words."""
    assert "Subject" not in session.answer
    assert (session.module, session.reasons) == ([], [])


def make_certificate(box, name, common_name, subject=None):
    """Of the same CA. `subject` is a whole one, where a common name is not enough."""
    box.run(LIB / "certificates", "client", "/root/clients", name, common_name)
    if subject:
        box.sh(f"""cd /root/clients
            openssl req -new -utf8 -key {name}.key -subj "$1" |
                openssl x509 -req -CA ca.pem -CAkey ca.key -days 3 \
                    -set_serial 0x$(openssl rand -hex 8) -out {name}.pem
        """.replace("$1", subject))


def map_certificate(box, name, account):
    box.sql("INSERT INTO mapping(account, certificate)"
            f" VALUES('{account}', readfile('/root/clients/{name}.pem'))")


def test_name_of_a_mapped_certificate_opens_its_account(box):
    session = Session(box, "--certificate=alice")
    assert_let_in(session, "alice")
    # Authenticate, then the account phase.
    assert session.reasons == ["allowed"] * 2
    verdict = session.verdicts[0]
    assert verdict["CERTMAP_SERVICE"] == "certmap-valid"
    assert verdict["CERTMAP_ACCOUNT"] == "alice"
    assert "CERTMAP_ASKED" not in verdict or verdict["CERTMAP_ASKED"] in ("", "alice")


def test_account_is_the_mapped_one_and_not_the_name(box):
    """user=set: the certificate says alice, its mapping says bob, and there is an account alice."""
    box.sql("UPDATE mapping SET account = 'bob'")
    assert_let_in(Session(box, "--certificate=alice"), "bob")


def test_name_that_can_be_no_account_stands_for_one(box):
    make_certificate(box, "liddell", "Zoë Liddell, Ph.D.")
    map_certificate(box, "liddell", "bob")
    assert_let_in(Session(box, "--certificate=liddell"), "bob")


def test_weakness_is_as_the_example_says(box):
    """Certificates that nobody mapped, let in by a name: this is what "one name" means."""
    make_certificate(box, "namesake", "alice")
    assert_let_in(Session(box, "--certificate=namesake"), "alice")
    # Alice's certificate has O=certmap demo: what an organisation shares is nobody's name.
    make_certificate(box, "organisation", "certmap demo")
    assert_refused(Session(box, "--certificate=organisation"), "unmapped")


@pytest.mark.parametrize("row", [
    "DELETE FROM service WHERE name = 'certmap-valid'",
    "UPDATE service SET accept_name = 0 WHERE name = 'certmap-valid'",
    "UPDATE service SET accept_name = NULL, accept_names = 1 WHERE name = 'certmap-valid'"])
def test_name_counts_only_where_the_row_of_the_service_says_so(box, row):
    box.sql(row)
    assert_refused(Session(box, "--certificate=alice"), "evidence-not-accepted")


def test_name_of_two_mappings_is_ambiguous(box):
    make_certificate(box, "namesake", "alice")
    map_certificate(box, "namesake", "bob")
    assert_refused(Session(box, "--certificate=alice"), "ambiguous")
    # Not for the account alone: the name says as little about which of the two it is.
    box.sql("DELETE FROM mapping WHERE account = 'alice'")
    assert_let_in(Session(box, "--certificate=alice"), "bob")


def test_name_that_no_mapping_carries_is_refused(box):
    assert_refused(Session(box, "--certificate=bob"), "unmapped")


def test_edit_is_in_force_at_the_very_next_login(box):
    assert_let_in(Session(box, "--certificate=alice"), "alice")
    box.sql("UPDATE mapping SET enabled = 0")
    assert_refused(Session(box, "--certificate=alice"), "mapping-disabled")
    box.sql("UPDATE mapping SET enabled = 1")
    assert_let_in(Session(box, "--certificate=alice"), "alice")


def test_root_stays_out_even_where_mapped(box):
    map_certificate(box, "bob", "root")
    session = Session(box, "--certificate=bob")
    assert session.answer == REFUSED
    assert fields(session.module[0])["reason"] == "root-refused"


def test_expired_account_is_refused_though_its_certificate_is_mapped(box):
    box.run("chage", "-E", "1", "alice")
    try:
        session = Session(box, "--certificate=alice")
    finally:
        box.run("chage", "-E", "-1", "alice")
    # certmap said yes twice, and pam_unix.so no.
    assert (session.answer, session.reasons) == ("[EXPIRED] Password expired", ["allowed"] * 2)


def test_client_can_not_ask_for_another_name(box):
    map_certificate(box, "bob", "bob")
    session = Session(box, "--certificate=alice", "--ask-for=bob")
    assert_not_asked(session)
    assert_let_in(Session(box, "--certificate=alice", "--ask-for=alice"), "alice")


def test_name_is_compared_as_it_stands(box, reconfigure):
    make_certificate(box, "upper", "ALICE")
    assert_refused(Session(box, "--certificate=upper"), "unmapped")
    # It is this line that keeps it out: what Dovecot does by default makes the two one.
    reconfigure(ANY_CASE)
    assert_let_in(Session(box, "--certificate=upper"), "alice")


@pytest.mark.parametrize("subject", ["/O=alice/CN=bob", "/O=certmap demo/CN=bob/UID=alice"])
def test_name_in_another_attribute_of_the_presented_certificate_does_not_count(box, subject):
    make_certificate(box, "elsewhere", "bob", subject)
    assert_refused(Session(box, "--certificate=elsewhere"), "unmapped")


def test_certificate_of_another_ca_is_refused_before_pam_is_asked(box):
    box.sh("""cd /root/clients
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout foreign.key \
            -subj '/O=certmap demo/CN=alice' -out foreign.pem 2>/dev/null""")
    session = Session(box, "--certificate=foreign")
    assert_not_asked(session)


def test_client_without_a_certificate_is_refused_before_pam_is_asked(box):
    session = Session(box, "--ask-for=alice")
    assert_not_asked(session)


ASK_AUTH = """if True:
    import socket
    auth = socket.socket(socket.AF_UNIX)
    auth.settimeout(60)
    auth.connect("/run/dovecot/auth-client")
    lines = auth.makefile("rw", newline="\\n")
    lines.write("VERSION\\t1\\t1\\nCPID\\t99999\\n")
    lines.write("AUTH\\t1\\tEXTERNAL\\tservice=imap\\tsecured\\tvalid-client-cert"
                "\\tcert_username=alice\\n")
    lines.write("CONT\\t1\\t\\n")
    lines.flush()
    print(next(line for line in lines if line.startswith(("OK", "FAIL"))).split()[:3])
"""


def test_auth_client_socket_believes_whoever_may_connect_and_that_is_root_alone(box):
    assert box.run("python3", "-c", ASK_AUTH) == "['OK', '1', 'user=alice']\n"
    for user in ("nobody", "bob", "www-data", "dovenull"):
        refused = box.call("python3", "-c", ASK_AUTH, user=user)
        assert "PermissionError" in refused.stderr


# PLAIN with an empty password

def test_plain_is_not_offered_by_the_example(box):
    for arguments in (("--plain=alice:",), ("--certificate=bob", "--plain=alice:")):
        session = Session(box, *arguments)
        assert "Unsupported authentication mechanism" in session.answer
        assert session.module == []


@pytest.mark.parametrize("replace", [
    PASSWORDS_TOO, [*PASSWORDS_TOO, ANY_MECHANISM], [*PASSWORDS_TOO, ANY_CONNECTION]],
    ids=["as shipped", "%k alone", "mechanisms alone"])
def test_plain_without_a_certificate_gets_nothing_where_it_is_offered(
        box, reconfigure, replace):
    reconfigure(*replace)
    for password in ("", "anything"):
        assert_not_asked(Session(box, f"--plain=alice:{password}"))
    assert_let_in(Session(box, "--certificate=alice"), "alice")


def test_plain_without_both_guards_is_a_login_without_any_proof(box, reconfigure):
    reconfigure(*PASSWORDS_TOO, ANY_MECHANISM, ANY_CONNECTION)
    assert_let_in(Session(box, "--plain=alice:"), "alice")


def test_plain_with_the_certificate_of_another_gets_nothing(box, reconfigure):
    """%k is "valid" then; the name is the certificate's all the same."""
    reconfigure(*PASSWORDS_TOO, ANY_MECHANISM)
    assert_refused(Session(box, "--certificate=bob", "--plain=alice:"), "unmapped")
    # It is this line that makes it so, and "mechanisms = external" once more.
    reconfigure(*PASSWORDS_TOO, ANY_MECHANISM, TYPED_NAME)
    assert_let_in(Session(box, "--certificate=bob", "--plain=alice:"), "alice")
    reconfigure(*PASSWORDS_TOO, TYPED_NAME)
    assert_not_asked(Session(box, "--certificate=bob", "--plain=alice:"))


def test_nobody_gets_in_while_certmapd_is_away(box):
    box.run("systemctl", "stop", "certmapd.socket")
    try:
        session = Session(box, "--certificate=alice")
    finally:
        box.run("systemctl", "start", "certmapd.socket")
    assert "Subject" not in session.answer
    assert fields(session.module[0])["reason"] == "unavailable"
