# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mail by client certificate: smtplib -> Exim (AUTH EXTERNAL) -> libpam -> pam_certmap.so ->
certmapd, with the shipped configuration as it is, on Debian's own. In a booted systemd of its own,
because Exim has one fixed PAM service and one place for its configuration."""
import pathlib
import re

import pytest

from stage import fields, host_environment

HERE = pathlib.Path(__file__).resolve().parent
AUTHENTICATOR = "conf.d/auth/30_certmap"
EXAMPLES = ["conf.d/main/000_certmap", AUTHENTICATOR]

# Exim's words for an AUTH that its condition refused, and for a recipient that needs one.
REFUSED = "535 Incorrect authentication data"
# What PAM answers where it could not find out.
TRY_LATER = "435 Unable to authenticate at present"
NOT_OFFERED = "503 AUTH command used when not advertised"


def configure(box, replace=()):
    """Copies the examples as a person would. `replace` are pairs: this text of the authenticator,
    which has to be there, becomes that one."""
    for name in EXAMPLES:
        text = (HERE / name).read_text()
        for old, new in replace if name == AUTHENTICATOR else ():
            assert old in text, old
            text = text.replace(old, new)
        box.write(f"/etc/exim4/{name}", text)
    box.sh("""
        sed -i "s/^dc_use_split_config=.*/dc_use_split_config='true'/" \\
            /etc/exim4/update-exim4.conf.conf
        update-exim4.conf
    """)
    restart(box)


def restart(box):
    # More often than a person would: systemd counts.
    box.call("systemctl", "reset-failed", "exim4")
    box.run("systemctl", "restart", "exim4")


@pytest.fixture(scope="module", name="exim")
def configured_exim(booted):
    if host_environment():
        pytest.skip("Exim clears its environment: no place for the sanitizer's runtime in it")
    booted.sh("""
        install -d -m 0750 -g Debian-exim /etc/exim4/tls
        cp /root/clients/server.pem /etc/exim4/tls/
        cp /root/clients/ca.pem /etc/exim4/tls/clients-ca.pem
        install -m 0640 -g Debian-exim /root/clients/server.key /etc/exim4/tls/
        usermod --append --groups certmap-clients Debian-exim
    """)
    booted.write("/etc/pam.d/exim", (HERE / "pam.d/exim").read_text())
    configure(booted)
    yield booted
    booted.run("systemctl", "stop", "exim4")


@pytest.fixture(name="box")
def alice_is_mapped(exim, box):
    del exim
    return box


@pytest.fixture(name="reconfigure")
def reconfigured(exim):
    """What makes another authenticator for one test."""
    yield lambda *replace: configure(exim, replace)
    configure(exim)


class Session:
    """What the client saw, and what certmapd, the module and Exim logged of it."""

    def __init__(self, box, *arguments):
        mark = box.mark()
        log = box.call("cat", "/var/log/exim4/mainlog").stdout
        done = box.call("python3", HERE / "submit.py", *arguments)
        assert done.returncode == 0, done.stderr
        offered, *self.answers = done.stdout.splitlines()
        self.offered = offered.removeprefix("offered: ")
        entries = box.since(mark)
        self.verdicts = [entry for entry in entries if "CERTMAP_REASON" in entry]
        self.reasons = [entry["CERTMAP_REASON"] for entry in self.verdicts]
        self.module = [entry["MESSAGE"] for entry in entries
                       if "pam_certmap(exim:" in entry["MESSAGE"]]
        self.log = box.run("cat", "/var/log/exim4/mainlog")[len(log):]

    @property
    def answer(self):
        [answer] = self.answers
        return answer


def fingerprint(box, name):
    return box.sh(f"openssl x509 -in /root/clients/{name}.pem -outform DER | sha256sum").split()[0]


def test_mapped_certificate_may_send_mail_as_its_account(box):
    session = Session(box, "--certificate=alice", "alice")
    assert session.offered == "EXTERNAL"
    assert session.answer == "sent"
    # Authenticate, then the account phase.
    assert session.reasons == ["allowed"] * 2
    verdict = session.verdicts[0]
    assert verdict["CERTMAP_SERVICE"] == "exim"
    assert verdict["CERTMAP_ASKED"] == verdict["CERTMAP_ACCOUNT"] == "alice"
    assert verdict["CERTMAP_FINGERPRINT"] == fingerprint(box, "alice")
    assert verdict["CERTMAP_PEER_UID"] == box.run("id", "-u", "Debian-exim").strip()
    assert re.search(r" <= alice@\S+ .* A=certmap:alice ", session.log)


def test_mail_is_not_sent_on_without_a_login(box):
    """What the login is good for: else `sent` would prove nothing."""
    answer = box.run("python3", "-c", """if True:
        import smtplib
        smtp = smtplib.SMTP("localhost", 25, source_address=("127.0.0.2", 0))
        smtp.ehlo()
        smtp.mail("alice@localhost")
        print(smtp.rcpt("someone@example.net"))""")
    assert "550" in answer and "relay not permitted" in answer


def test_no_certificate_is_not_offered_the_mechanism_and_can_not_use_it(box):
    session = Session(box, "alice")
    assert session.offered == "nothing"
    assert session.answer.startswith(NOT_OFFERED)
    assert session.module == []


def test_certificate_of_another_ca_is_not_offered_the_mechanism_though_mapped(box, reconfigure):
    box.sh("""cd /root/clients
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout foreign.key \
            -subj '/O=certmap demo/CN=alice' -out foreign.pem 2>/dev/null""")
    box.sql("DELETE FROM mapping; INSERT INTO mapping(account, certificate)"
            " VALUES('alice', readfile('/root/clients/foreign.pem'))")
    session = Session(box, "--certificate=foreign", "alice")
    assert (session.offered, session.reasons) == ("nothing", [])
    assert session.answer.startswith(NOT_OFFERED)
    # It is this line that keeps it out.
    reconfigure(("${if eq{$tls_in_certificate_verified}{1}}", "*"))
    session = Session(box, "--certificate=foreign", "alice")
    assert (session.answer, session.reasons) == ("sent", ["allowed"] * 2)
    # No certificate at all has a fingerprint too, that of nothing; it gets no farther than Exim.
    session = Session(box, "alice")
    assert (session.answer, session.module) == (REFUSED, [])


def test_certificate_that_nobody_mapped_is_refused(box):
    session = Session(box, "--certificate=bob", "alice", "bob")
    assert session.offered == "EXTERNAL"
    assert session.answers == [REFUSED] * 2
    assert session.reasons == ["unmapped"] * 2


def test_mapped_certificate_opens_no_other_account(box):
    session = Session(box, "--certificate=alice", "bob", "root", "Alice")
    assert session.answers == [REFUSED] * 3
    assert session.reasons == ["account-mismatch"] * 3


def test_edit_is_in_force_at_the_very_next_login(box):
    box.sql("UPDATE mapping SET enabled = 0")
    session = Session(box, "--certificate=alice", "alice")
    assert (session.answer, session.reasons) == (REFUSED, ["mapping-disabled"])
    box.sql("UPDATE mapping SET enabled = 1")
    assert Session(box, "--certificate=alice", "alice").answer == "sent"


def test_root_stays_out_even_where_mapped(box):
    box.sql("INSERT INTO mapping(account, certificate)"
            " VALUES('root', readfile('/root/clients/bob.cer'))")
    session = Session(box, "--certificate=bob", "root")
    assert session.answer == REFUSED
    assert fields(session.module[0])["reason"] == "root-refused"


def forged_names(box):
    """Bob, with his own certificate, writes alice's fingerprint into the list that pam{} takes."""
    stolen = fingerprint(box, "alice")
    return {"colon": f"alice:{stolen}", "separator": f"<;alice;{stolen}"}


def test_name_can_not_bring_its_own_fingerprint(box):
    names = [*forged_names(box).values(), "", "<;", "alice:", "alice\n", " alice", "-", "alice;"]
    session = Session(box, "--certificate=bob", *[f"--account={name}" for name in names])
    assert session.answers == [REFUSED] * len(names)
    assert session.module == []


@pytest.mark.parametrize("guard, item, forgery", [
    ("none", "$auth1", "colon"), ("none", "$auth1", "separator"),
    ("doubled", "${sg{$auth1}{:}{::}}", "separator")])
def test_without_the_pattern_a_name_brings_its_own_fingerprint(
        box, reconfigure, guard, item, forgery):
    reconfigure((r"    {match{$auth1}{\N\A[A-Za-z_][A-Za-z0-9._-]*\z\N}}" + "\\\n", ""),
                ("{pam{$auth1:", "{pam{" + item + ":"))
    session = Session(box, "--certificate=bob", f"--account={forged_names(box)[forgery]}")
    assert session.answer == "sent", (session.module, session.log)
    assert session.verdicts[0]["CERTMAP_ACCOUNT"] == "alice"


def test_doubled_colons_stop_the_colon_alone(box, reconfigure):
    reconfigure((r"    {match{$auth1}{\N\A[A-Za-z_][A-Za-z0-9._-]*\z\N}}" + "\\\n", ""),
                ("{pam{$auth1:", "{pam{${sg{$auth1}{:}{::}}:"))
    session = Session(box, "--certificate=bob", f"--account={forged_names(box)['colon']}")
    assert (session.answer, session.reasons) == (REFUSED, ["unmapped"])


PLAIN_BY_PAM = """
passwords:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if pam{$auth2:$auth3}}
  server_set_id = $auth2

certmap:
"""


def test_fingerprint_can_not_be_typed_as_a_password(box, reconfigure):
    typed = f"alice:{fingerprint(box, 'alice')}"
    session = Session(box, "--plain", "--certificate=bob", typed)
    assert session.module == []
    assert session.answer.startswith("504 PLAIN authentication mechanism not supported")
    # Which is what the example warns of: another authenticator that asks PAM opens the door.
    reconfigure(("\ncertmap:\n", PLAIN_BY_PAM))
    session = Session(box, "--plain", typed)
    assert (session.answer, session.reasons) == ("sent", ["allowed"] * 2)


def test_line_that_does_not_accept_a_fingerprint_refuses_it(box):
    """Evidence of another kind than the line says is refused, never read as that kind."""
    shipped = (HERE / "pam.d/exim").read_text()
    try:
        box.write("/etc/pam.d/exim", shipped.replace(" accept=fingerprint", ""))
        session = Session(box, "--certificate=alice", "alice")
        box.write("/etc/pam.d/exim", shipped.replace("accept=fingerprint", "accept=key"))
        as_key = Session(box, "--certificate=alice", "alice")
    finally:
        box.write("/etc/pam.d/exim", shipped)
    assert (session.answer, session.reasons) == (REFUSED, ["malformed-certificate"])
    assert (as_key.answer, as_key.reasons) == (REFUSED, ["unmapped"])


def test_exim_outside_of_the_group_gets_no_answer(box):
    box.run("gpasswd", "--delete", "Debian-exim", "certmap-clients")
    try:
        restart(box)
        session = Session(box, "--certificate=alice", "alice")
    finally:
        box.run("gpasswd", "--add", "Debian-exim", "certmap-clients")
        restart(box)
    assert (session.answer, session.reasons) == (TRY_LATER, [])
    assert fields(session.module[0])["reason"] == "unavailable"


def test_nobody_gets_in_while_certmapd_is_away(box):
    box.run("systemctl", "stop", "certmapd.socket")
    try:
        session = Session(box, "--certificate=alice", "alice")
    finally:
        box.run("systemctl", "start", "certmapd.socket")
    assert session.answer == TRY_LATER
    assert fields(session.module[0])["reason"] == "unavailable"
