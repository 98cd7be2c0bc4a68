# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole path of a login, real: curl -> ProFTPD (mod_tls, mod_auth_pam) -> libpam -> pam_certmap.so
-> certmapd -> SQLite, with the shipped configuration examples as they are.

ProFTPD runs in the tree that tests/lib/stage makes: the accounts alice and bob and the PAM service exist
only there."""
import contextlib
import ftplib
import pathlib
import re
import shutil
import ssl
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from stage import CURL_LOGIN_DENIED, Stage, fields, run, wait_for  # noqa: E402

MAP_ALICE = "INSERT INTO mapping(account, certificate) VALUES('alice', readfile('alice.cer'))"
# Lets a client without a certificate get as far as PAM.
OPTIONAL = ["TLSVerifyClient optional"]
SANITIZER_REPORT = re.compile("AddressSanitizer|LeakSanitizer|runtime error:")


@pytest.fixture(scope="module")
def stage():
    with Stage() as stage:
        for name in ("alice", "bob"):
            stage.certificate("client", name)
        shutil.copy(stage.clients / "alice.key", stage.clients / "reissued.key")
        stage.certificate("client", "reissued", "alice")
        with stage.syslog(), stage.daemon():
            yield stage
        for log in stage.directory.glob("*.log"):
            assert not SANITIZER_REPORT.search(log.read_text(errors="replace")), log.read_text()


@pytest.fixture(scope="module")
def proftpd(stage):
    """With the shipped configuration, but for its port."""
    with stage.proftpd() as server:
        yield server


@pytest.fixture(scope="module")
def lenient(stage):
    with stage.proftpd(OPTIONAL) as server:
        yield server


@pytest.fixture(autouse=True)
def alice_is_mapped(stage):
    stage.edit(f"DELETE FROM mapping; {MAP_ALICE}")


def assert_let_in(login, account="alice"):
    assert login.reason == "allowed", login.output
    assert login.status == 0, login.output
    assert login.output == f"This is the home directory of {account}.\n"


def assert_refused(login, reason):
    assert login.status == CURL_LOGIN_DENIED, login.output
    assert login.reason == reason
    assert "home directory" not in login.output


def test_mapped_certificate_opens_its_account(stage, proftpd, tmp_path):
    assert_let_in(proftpd.login("alice", "alice"))
    # Who the session really is shows in what it leaves on the disk.
    (tmp_path / "upload").write_text("hello")
    status = subprocess.run(
        ["curl", "-sS", "-4", "--ssl-reqd", "--cacert", stage.clients / "ca.pem", "-u", "alice:unused",
         "--cert", stage.clients / "alice.pem", "--key", stage.clients / "alice.key",
         "-T", tmp_path / "upload", f"ftp://localhost:{proftpd.port}/upload"], check=False).returncode
    assert status == 0
    assert (stage.root / "home/alice/upload").stat().st_uid == stage.uid("alice")
    (stage.root / "home/alice/upload").unlink()


def test_verdict_names_account_mapping_and_fingerprint(stage, proftpd):
    login = proftpd.login("alice", "alice")
    fingerprint = run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in",
                      stage.clients / "alice.pem").strip().split("=")[1].replace(":", "").lower()
    verdict = fields(login.verdict)
    assert verdict["fingerprint"] == fingerprint
    assert verdict["service"] == "proftpd"
    assert verdict["asked"] == verdict["account"] == "alice"
    assert verdict["mapping"] == stage.edit("SELECT id FROM mapping").strip()
    assert "127.0.0.1" in verdict["rhost"] or "localhost" in verdict["rhost"]
    module = fields(login.module[0])
    assert (module["id"], module["fingerprint"]) == (verdict["id"], fingerprint)


def test_client_without_certificate_fails_the_handshake_of_the_shipped_configuration(stage, proftpd):
    before = len(stage.logged())
    login = proftpd.login("alice")
    assert login.status not in (0, CURL_LOGIN_DENIED), login.output
    assert proftpd.module_lines(before) == []


def test_client_without_certificate_is_refused_by_the_module(lenient):
    assert_refused(lenient.login("alice"), "no-certificate")


def test_certificate_of_the_same_ca_that_nobody_mapped_is_refused(proftpd):
    assert_refused(proftpd.login("bob", "bob"), "unmapped")
    assert_refused(proftpd.login("alice", "bob"), "unmapped")


def test_reissued_certificate_with_the_same_names_and_key_is_refused(stage, proftpd):
    # What makes it a fair test: the two differ in nothing but serial number, dates and signature.
    subjects = {run("openssl", "x509", "-noout", "-subject", "-issuer", "-pubkey", "-in",
                    stage.clients / f"{name}.pem") for name in ("alice", "reissued")}
    assert len(subjects) == 1
    assert_refused(proftpd.login("alice", "reissued"), "unmapped")


def test_mapped_certificate_opens_no_other_account(proftpd):
    assert_refused(proftpd.login("bob", "alice"), "account-mismatch")
    # ProFTPD finds no such account, or lets it in on no condition: PAM is not even asked.
    for account in ("carol", "root"):
        login = proftpd.login(account, "alice", reaches_pam=False)
        assert (login.status, login.module) == (CURL_LOGIN_DENIED, []), login.output


def test_edit_is_in_force_at_the_very_next_login(stage, proftpd):
    assert_let_in(proftpd.login("alice", "alice"))
    stage.edit("UPDATE mapping SET enabled = 0")
    assert_refused(proftpd.login("alice", "alice"), "mapping-disabled")
    stage.edit("UPDATE mapping SET enabled = 1")
    assert_let_in(proftpd.login("alice", "alice"))
    stage.edit("DELETE FROM mapping")
    assert_refused(proftpd.login("alice", "alice"), "unmapped")
    stage.edit("INSERT INTO mapping(account, certificate) VALUES('bob', readfile('bob.pem'))")
    assert_let_in(proftpd.login("bob", "bob"), "bob")


def test_mapping_for_another_service_does_not_count(stage, proftpd):
    stage.edit(f"DELETE FROM mapping; {MAP_ALICE}; UPDATE mapping SET service = 'sshd'")
    assert_refused(proftpd.login("alice", "alice"), "unmapped")
    stage.edit("UPDATE mapping SET service = 'proftpd'")
    assert_let_in(proftpd.login("alice", "alice"))


def test_root_is_refused_even_where_mapped_and_welcome_to_proftpd(stage):
    stage.edit("INSERT INTO mapping(account, certificate) VALUES('root', readfile('bob.cer'))")
    with stage.proftpd(["RootLogin on"]) as server:
        login = server.login("root", "bob")
        assert_refused(server.login("root", "alice"), "account-mismatch")
    assert login.status == CURL_LOGIN_DENIED, login.output
    # The daemon knows of no uid; that root stays out is the module's own gate.
    assert fields(login.module[0])["reason"] == "root-refused"


def test_expired_account_is_refused_though_its_certificate_is_mapped(stage, proftpd):
    shadow = stage.root / "etc/shadow"
    text = shadow.read_text()
    # The eighth field of shadow(5): expired since 2 January 1970, what "chage -E 1 alice" writes.
    shadow.write_text(text.replace("alice:*:19000:0:99999:7:::", "alice:*:19000:0:99999:7::1:"))
    try:
        login = proftpd.login("alice", "alice")
    finally:
        shadow.write_text(text)
    assert (login.status, login.reason) == (CURL_LOGIN_DENIED, "allowed"), login.output
    assert "account alice has expired" in stage.logged()


def test_certificate_of_another_ca_fails_the_handshake(stage, proftpd):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/O=certmap demo/CN=alice", "-keyout", stage.clients / "foreign.key",
        "-out", stage.clients / "foreign.pem")
    login = proftpd.login("alice", "foreign")
    assert login.status not in (0, CURL_LOGIN_DENIED), login.output
    assert login.module == []


def test_certificate_too_long_for_proftpd_is_no_certificate(stage, proftpd, lenient):
    # ProFTPD leaves a PEM of more than 2,048 bytes out of the environment, and the names stay
    # there.
    (stage.clients / "big.cnf").write_text("subjectAltName=DNS:" + ",DNS:".join(
        f"{number}.a-long-name-that-fills-the-certificate.example" for number in range(40)))
    stage.certificate("client", "big", "alice", "-extfile", stage.clients / "big.cnf")
    assert (stage.clients / "big.pem").stat().st_size > 2048
    stage.edit("DELETE FROM mapping;"
               "INSERT INTO mapping(account, certificate) VALUES('alice', readfile('big.cer'))")
    login = proftpd.login("alice", "big")
    assert_refused(login, "no-certificate")
    # Who looks for the cause finds it, and finds nothing of the kind where there is no certificate.
    cause = "ProFTPD leaves out a certificate whose PEM is over 2048 bytes"
    assert cause in fields(login.module[0])["what"]
    assert cause not in fields(lenient.login("alice").module[0])["what"]


def test_environment_of_the_server_is_no_evidence(stage):
    poison = {"TLS_CLIENT_CERT": (stage.clients / "alice.pem").read_text()}
    with stage.proftpd(["TLSRequired off", *OPTIONAL], environment=poison) as server:
        # Without TLS it is require_env=FTPS=1 that guards, with TLS and no certificate UnsetEnv
        # does.
        assert_refused(server.login("alice", options=()), "no-certificate")
        assert_refused(server.login("alice"), "no-certificate")
        assert_let_in(server.login("alice", "alice"))


@contextlib.contextmanager
def pam_line(stage, old, new):
    path = stage.root / "etc/pam.d/proftpd"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        yield
    finally:
        path.write_text(text)


def test_each_guard_stops_a_poisoned_environment_that_lets_in_without_it(stage):
    poison = {"TLS_CLIENT_CERT": (stage.clients / "alice.pem").read_text()}
    without_tls, with_tls = (), ("--ssl-reqd",)
    kept = ["TLSRequired off", "UnsetEnv NOTHING", *OPTIONAL]
    with stage.proftpd(kept, environment=poison) as server:
        # require_env=FTPS=1 alone: nobody comes in without TLS, everybody with TLS alone.
        refused = server.login("alice", options=without_tls)
        assert_refused(refused, "no-certificate")
        assert fields(refused.module[0])["name"] == "FTPS"
        assert_let_in(server.login("alice", options=with_tls))
        with pam_line(stage, " require_env=FTPS=1", ""):
            assert_let_in(server.login("alice", options=without_tls))
    with stage.proftpd(["TLSRequired off", *OPTIONAL], environment=poison) as server:
        # UnsetEnv alone.
        with pam_line(stage, " require_env=FTPS=1", ""):
            assert_refused(server.login("alice", options=without_tls), "no-certificate")
            assert_refused(server.login("alice", options=with_tls), "no-certificate")


def test_start_up_environment_can_not_prove_tls_either(stage):
    poison = {"TLS_CLIENT_CERT": (stage.clients / "alice.pem").read_text(), "FTPS": "1"}
    with stage.proftpd(["TLSRequired off", "UnsetEnv NOTHING", *OPTIONAL],
                       environment=poison) as server:
        assert_let_in(server.login("alice", options=()))
    with stage.proftpd(["TLSRequired off", "UnsetEnv FTPS", *OPTIONAL],
                       environment=poison) as server:
        refused = server.login("alice", options=())
        assert_refused(refused, "no-certificate")
        assert fields(refused.module[0])["name"] == "FTPS"
        # What mod_tls sets after a handshake is another matter.
        assert_let_in(server.login("alice", "alice"))


def test_tls_1_2_and_an_rsa_key_do_as_well(stage, proftpd):
    run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048",
        "-out", stage.clients / "rsa.key")
    stage.certificate("client", "rsa", "alice")
    stage.edit("DELETE FROM mapping;"
               "INSERT INTO mapping(account, certificate) VALUES('alice', readfile('rsa.pem'))")
    assert_let_in(proftpd.login("alice", "rsa", options=("--ssl-reqd", "--tls-max", "1.2")))


def test_forty_logins_at_once_with_two_certificates_each_get_their_own_account(stage, proftpd):
    stage.edit("INSERT INTO mapping(account, certificate) VALUES('bob', readfile('bob.cer'))")
    before = len(stage.logged())
    clients = [(name, proftpd.start_login(name, name)) for name in ("alice", "bob") * 20]
    for name, client in clients:
        output, _ = client.communicate()
        assert (client.returncode, output) == (0, f"This is the home directory of {name}.\n")
    found = [fields(line) for line in proftpd.module_lines(before)]
    # Authenticate and the account phase; no two of them under one id.
    assert [line["reason"] for line in found] == ["allowed"] * 80
    assert len({line["id"] for line in found}) == 80
    pairs = {(line["asked"], line["account"], line["fingerprint"]) for line in found}
    assert {(asked, account) for asked, account, _ in pairs} == {("alice", "alice"), ("bob", "bob")}
    assert len(pairs) == 2


class Resuming(ftplib.FTP_TLS):
    """A client whose control connection goes on with the TLS session of an earlier one."""

    def __init__(self, *arguments, session, **options):
        self.session = session
        super().__init__(*arguments, **options)

    def auth(self):
        reply = self.voidcmd("AUTH TLS")
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.host,
                                             session=self.session)
        self.file = self.sock.makefile(mode="r", encoding=self.encoding)
        return reply


def log_in_by_session(stage, server, name, context, session=None):
    """One login as alice: whether the session was resumed, the session to go on with, and what the
    module logged. ftplib and not curl, whose control connections are all of the same process."""
    before = len(stage.logged())
    with Resuming(context=context, session=session, timeout=120) as client:
        client.connect("localhost", server.port)
        with contextlib.suppress(ftplib.error_perm):
            client.login(name, "unused")
        resumed, session = client.sock.session_reused, client.sock.session
        line = wait_for("the module's log line", lambda: server.module_lines(before))[0]
    return resumed, session, fields(line)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumed_session_is_its_certificate_and_no_more(stage, version):
    context = ssl.create_default_context(cafile=stage.clients / "ca.pem")
    context.load_cert_chain(stage.clients / "alice.pem", stage.clients / "alice.key")
    context.minimum_version = context.maximum_version = version
    # Off where nobody says otherwise.
    with stage.proftpd(["TLSSessionTickets on"]) as server:
        resumed, session, first = log_in_by_session(stage, server, "alice", context)
        assert (resumed, first["reason"]) == (False, "allowed")
        # No handshake with a certificate took place here, and certmap sees the same one.
        resumed, session, again = log_in_by_session(stage, server, "alice", context, session)
        assert (resumed, again["reason"]) == (True, "allowed")
        assert again["fingerprint"] == first["fingerprint"]
        # Nor does a session that began with a valid mapping outlive it.
        stage.edit("UPDATE mapping SET enabled = 0")
        resumed, session, refused = log_in_by_session(stage, server, "alice", context, session)
        assert (resumed, refused["reason"]) == (True, "mapping-disabled")
        stage.edit("UPDATE mapping SET enabled = 1")
        resumed, _, other = log_in_by_session(stage, server, "bob", context, session)
        assert (resumed, other["reason"]) == (True, "account-mismatch")


def test_thirty_logins_at_once_each_get_their_own_verdict(stage, proftpd):
    clients = [(name, proftpd.start_login("alice", name)) for name in ("alice", "bob", "reissued") * 10]
    for name, client in clients:
        output, _ = client.communicate()
        assert client.returncode == (0 if name == "alice" else CURL_LOGIN_DENIED), (name, output)


def test_session_is_logged_with_its_certificate(stage, proftpd):
    before = len(stage.logged())
    login = proftpd.login("alice", "alice")
    opened = [line for line in stage.logged()[before:].splitlines() if "session opened" in line]
    assert len(opened) == 1
    assert fields(opened[0])["fingerprint"] == fields(login.verdict)["fingerprint"]


def test_nobody_gets_in_while_certmapd_is_away(stage):
    aside = stage.socket.with_name("aside")
    stage.socket.rename(aside)
    try:
        with stage.proftpd() as server:
            login = server.login("alice", "alice")
    finally:
        aside.rename(stage.socket)
    assert_refused(login, "unavailable")
    assert login.verdict is None


def test_certificate_is_read_as_bytes_and_never_as_text(stage, proftpd):
    # A name full of what breaks logs and queries; the row is still found, the log line is one line.
    name = "alice' OR 1=1 -- %n \x1b[31m\t\nreason=allowed"
    stage.certificate("client", "hostile", "bob")
    run("openssl", "req", "-new", "-key", stage.clients / "hostile.key", "-utf8", "-subj",
        "/CN=" + name.replace("/", "\\/"), "-out", stage.clients / "hostile.csr")
    run("openssl", "x509", "-req", "-in", stage.clients / "hostile.csr", "-CA", stage.clients / "ca.pem",
        "-CAkey", stage.clients / "ca.key", "-set_serial", "77", "-days", "3",
        "-out", stage.clients / "hostile.pem")
    assert_refused(proftpd.login("alice", "hostile"), "unmapped")
    stage.edit("DELETE FROM mapping;"
               "INSERT INTO mapping(account, certificate) VALUES('alice', readfile('hostile.pem'))")
    before = len(stage.logged())
    assert_let_in(proftpd.login("alice", "hostile"))
    for line in stage.logged()[before:].splitlines():
        assert "\x1b" not in line and not line.startswith("reason=")
