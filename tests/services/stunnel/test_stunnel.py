# SPDX-License-Identifier: LGPL-2.1-or-later
"""openssl s_client -> stunnel -> login -> libpam -> pam_certmap.so -> certmapd: a shell over TLS,
with the shipped configuration examples as they are."""
import itertools
import os
import pathlib
import re
import select
import signal
import subprocess
import time

import pytest

from boxed import LIB, PATIENCE_SEC, TREE, installed
from stage import host_environment

HERE = TREE / "tests/services/stunnel"
CLIENTS = "/root/clients"
ETC = "/etc/stunnel/login"
UNIT = "stunnel-login.service"

EXAMPLE = 992
# The example without the lines named, each a service of the instance "lax".
LAX = {
    "unverified": (9921, ["verifyChain", "verifyPeer"], ["requireCert = yes"]),
    "chain-alone": (9922, ["verifyPeer", "CAfile"], []),
    "peer-alone": (9923, ["verifyChain", "CApath"], []),
    "wiped": (9924, ["execArgs"], ["execArgs = setsid --ctty --fork --wait /bin/login"]),
    "resuming": (9925, [], ["sessionResume = yes"]),
}
UNVERIFIED, CHAIN_ALONE, PEER_ALONE, WIPED, RESUMING = (port for port, _, _ in LAX.values())

ODD_NAMES = {
    "every-kind": '/C=CZ/O=Svc Test/OU=Ľudia \\+ iní, "q"/CN=alice/emailAddress=alice@example.org',
    "several-values": "/O=certmap demo/CN=alice+UID=1001+serialNumber=7",
    "blanks": "/O= two  blanks /CN= alice ",
    "specials": "/O=a\\/b;c<d>e\\\\f=g#h/CN=#alice",
    "controls": "/O=tab\there/CN=alice\nCN=bob",
    "far-away": "/O=日本語 🎉/CN=مرحبا",
    "unknown-type": "/1.3.6.1.4.1.99999.1=thing/CN=alice",
    "quote-alone": '/O="/CN=\'; DROP TABLE mapping; --',
}

pytestmark = pytest.mark.skipif(bool(host_environment()), reason="login runs without a sanitizer")


def make_ca(box, name, subject):
    box.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "30", "-subj", subject, "-keyout", f"{CLIENTS}/{name}.key",
            "-out", f"{CLIENTS}/{name}.pem")


def make_client(box, name, subject, ca="ca", key=None, mask="utf8only"):
    """A certificate with this subject, of another one's key where that is named. The mask says in
    which type of string the names stand."""
    where = f"{CLIENTS}/{name}"
    box.write(f"{where}.cnf", f"[req]\ndistinguished_name = dn\nstring_mask = {mask}\n[dn]\n"
                              "[leaf]\nbasicConstraints = critical,CA:FALSE\n")
    if key:
        box.run("cp", f"{CLIENTS}/{key}.key", f"{where}.key")
    else:
        box.run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-out", f"{where}.key")
    box.run("openssl", "req", "-new", "-utf8", "-config", f"{where}.cnf", "-key", f"{where}.key",
            "-subj", subject, "-out", f"{where}.csr")
    serial = "0x4" + os.urandom(15).hex()
    box.run("openssl", "x509", "-req", "-in", f"{where}.csr", "-CA", f"{CLIENTS}/{ca}.pem",
            "-CAkey", f"{CLIENTS}/{ca}.key", "-days", "30", "-set_serial", serial,
            "-extfile", f"{where}.cnf", "-extensions", "leaf", "-out", f"{where}.pem")
    box.run("openssl", "x509", "-in", f"{where}.pem", "-outform", "DER", "-out", f"{where}.cer")


def names(box, name):
    """What openssl prints of them, with the type of each string."""
    return box.run("openssl", "x509", "-noout", "-subject", "-issuer", "-nameopt",
                   "oneline,show_type", "-in", f"{CLIENTS}/{name}.pem")


def make_clients(box):
    demo, alice = "/O=certmap demo/CN=demo CA", "/O=certmap demo/CN=alice"
    make_ca(box, "other-ca", "/O=other/CN=other CA")
    make_ca(box, "false-ca", demo)
    # In alice's name: by nobody, by the true CA with a new key, and by another CA that is true.
    make_client(box, "forged", alice, ca="false-ca")
    make_client(box, "reissued", alice)
    make_client(box, "namesake", alice, ca="other-ca")
    # What the namesake can make of its own key.
    make_client(box, "issuer-forged", alice, ca="false-ca", key="namesake")
    # Another type of string, the same text. 2: PrintableString alone.
    make_client(box, "printable", alice, mask="MASK:2")
    # 2048: BMPString, two bytes a character.
    make_client(box, "two-bytes", "/O=Přátelé/CN=Žofie", mask="MASK:2048")
    for name, subject in ODD_NAMES.items():
        make_client(box, f"odd-{name}", subject)


def example(name):
    """A shipped file, with certmap where this build installed it."""
    text = pathlib.Path(HERE, name).read_text()
    return text.replace("/usr/bin/certmapctl", installed("certmapctl")) \
               .replace("pam_certmap.so", installed("pam_certmap.so"))


def lax_configuration():
    start, service = example("login/stunnel.conf").split("[login]\n")
    for name, (port, left_out, added) in LAX.items():
        kept = [line for line in service.splitlines()
                if not line.startswith(tuple(left_out + ["accept"]))]
        assert len(service.splitlines()) == len(kept) + len(left_out) + 1, name
        start += "\n".join([f"[{name}]", f"accept = {port}", *added, *kept, ""])
    return start


def reload(box):
    """systemctl comes back when the signal is sent, which is before stunnel has read the files."""
    mark = box.mark()
    box.run("systemctl", "reload", UNIT)
    box.wait_for("stunnel's reload", lambda: [
        entry for entry in box.since(mark, SYSLOG_IDENTIFIER="stunnel")
        if "Configuration successful" in entry["MESSAGE"]])


def wait_for_port(box, port):
    box.wait_for(f"port {port}", lambda: box.run(
        "ss", "--no-header", "--listening", "--tcp", "--numeric", f"sport = :{port}"))


@pytest.fixture(scope="module", autouse=True, name="servers")
def start_stunnel(booted):
    make_clients(booted)
    booted.sh(f"""
        mkdir -p {ETC}/ca
        cp {CLIENTS}/server.pem {CLIENTS}/server.key {ETC}/
        cp {CLIENTS}/ca.pem {CLIENTS}/other-ca.pem {ETC}/ca/
        openssl rehash {ETC}/ca
        # Removes the /run/nologin of a machine that boots.
        systemctl start systemd-user-sessions.service
    """)
    booted.write(f"{ETC}/stunnel.conf", example("login/stunnel.conf"))
    booted.write(f"{ETC}/pam", example("login/pam"))
    booted.write(f"{ETC}/lax", lax_configuration())
    booted.write(f"/etc/systemd/system/{UNIT}", example(UNIT))
    booted.run("systemctl", "daemon-reload")
    booted.sql("DELETE FROM mapping")
    map_to(booted, "alice", "alice")
    map_to(booted, "bob", "namesake")
    booted.run("systemctl", "start", UNIT)
    booted.run("systemd-run", "--quiet", "--unit=stunnel-lax",
               f"--property=BindReadOnlyPaths={ETC}/pam:/etc/pam.d/login",
               "--property=CapabilityBoundingSet=~CAP_SYS_TTY_CONFIG",
               "/usr/bin/stunnel4", f"{ETC}/lax")
    for port in (EXAMPLE, *(port for port, _, _ in LAX.values())):
        wait_for_port(booted, port)
    yield
    booted.run("systemctl", "stop", UNIT, "stunnel-lax.service")


def map_to(box, account, certificate, service="*"):
    box.sql("INSERT INTO mapping(service, account, certificate)"
            f" VALUES('{service}', '{account}', readfile('{CLIENTS}/{certificate}.cer'))")


@pytest.fixture(name="box")
def alice_and_her_namesake(booted):
    """alice, and another alice of another CA, who is bob here; stunnel knows both."""
    booted.sql("DELETE FROM mapping; DELETE FROM service WHERE name <> '*';"
               "INSERT INTO service(name, accept_names) VALUES('login', 1)")
    map_to(booted, "alice", "alice")
    map_to(booted, "bob", "namesake")
    return booted


class Visit:
    """A client, from the handshake to the shell's end."""

    def __init__(self, box, certificate=None, port=EXAMPLE, options=()):
        key = [] if certificate is None else [
            "-cert", f"{CLIENTS}/{certificate}.pem", "-key", f"{CLIENTS}/{certificate}.key"]
        self.process = subprocess.Popen(
            ["nsenter", f"--target={box.leader}", "--all", "--root",
             "openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}",
             "-CAfile", f"{CLIENTS}/ca.pem", "-verify_return_error", *key, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # nsenter, and its child in the box.
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def complaint(self):
        """What openssl says once the connection has ended."""
        return self.process.communicate(timeout=PATIENCE_SEC)[1].decode()

    def wait_for(self, pattern):
        """Reads until the text is there; None at the connection's end."""
        deadline = time.monotonic() + PATIENCE_SEC
        while not (found := re.search(pattern, self.seen)):
            left = max(0, deadline - time.monotonic())
            ready = select.select([self.process.stdout], [], [], left)[0]
            assert ready, f"waited for {pattern!r}, and saw {self.seen!r}"
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return None
            self.seen += data.decode(errors="replace")
        return found

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


def shell_of(box, certificate, port=EXAMPLE, options=()):
    """Who one is in the shell, and the mapping that opened it."""
    with Visit(box, certificate, port, options) as visit:
        assert visit.wait_for(r"\$ $"), visit.complaint()
        visit.type('echo "[$(id -un) $CERTMAP_ACCOUNT $CERTMAP_MAPPING $(tty)]"; exit')
        found = visit.wait_for(r"\[(\w+) (\w+) (\d+) (\S+)\]")
        assert found, visit.seen
        visit.wait_for("never")  # the shell's end closes the connection
        user, account, mapping, tty = found.groups()
    assert tty.startswith("/dev/pts/")
    assert user == account
    # Of the session's own: Ctrl-C and the end of the connection reach what runs in it.
    assert "can't access tty" not in visit.seen
    return user, mapping


def login_keeps_the_environment(box):
    """Debian 13's login is util-linux's: PAM sees all of it, without -p too, and what is in it twice
    twice."""
    return "util-linux" in box.call("login", "--version").stdout


def assert_no_handshake(box, certificate, port=EXAMPLE):
    """stunnel refuses; nobody asks PAM, or certmap."""
    mark = box.mark()
    with Visit(box, certificate, port) as visit:
        assert visit.wait_for(".") is None, visit.seen
        assert "alert" in visit.complaint()
    assert [entry["MESSAGE"] for entry in box.since(mark, SYSLOG_IDENTIFIER="login")] == []


def refusal(box, certificate, port=EXAMPLE):
    """login says no; the reason is for the log alone."""
    mark = box.mark()
    with Visit(box, certificate, port) as visit:
        assert visit.wait_for("Login incorrect"), visit.seen
        assert "$ " not in visit.seen
    said = [entry["MESSAGE"] for entry in box.since(mark, SYSLOG_IDENTIFIER="login")
            if "pam_certmap" in entry["MESSAGE"]]
    reason = re.search(r"reason=(\S+)", said[0]).group(1)
    verdicts = [entry["CERTMAP_REASON"] for entry in box.since(mark, CERTMAP_PHASE="authenticate")]
    by_the_module = ("no-certificate", "malformed-certificate", "unavailable")
    assert verdicts[:1] == ([] if reason in by_the_module else [reason])
    assert reason not in visit.seen
    return reason


def mapping_of(box, account):
    return box.sql(f"SELECT id FROM mapping WHERE account = '{account}'").strip()


def test_mapped_certificate_opens_a_shell_of_its_account(box):
    mark = box.mark()
    assert shell_of(box, "alice") == ("alice", mapping_of(box, "alice"))
    assert shell_of(box, "namesake") == ("bob", mapping_of(box, "bob"))
    verdicts = box.since(mark, CERTMAP_PHASE="authenticate")
    assert [entry["CERTMAP_ACCOUNT"] for entry in verdicts] == ["alice", "bob"]
    assert verdicts[0]["CERTMAP_SERVICE"] == "login"
    assert verdicts[0]["CERTMAP_FINGERPRINT"] == \
        box.run("sha256sum", f"{CLIENTS}/alice.cer").split()[0]


def test_session_is_logged_with_its_certificate(box):
    mark = box.mark()
    shell_of(box, "alice")
    fingerprint = box.run("sha256sum", f"{CLIENTS}/alice.cer").split()[0]

    def told():
        lines = [entry["MESSAGE"] for entry in box.since(mark, SYSLOG_IDENTIFIER="login")
                 if "login:session" in entry["MESSAGE"] and "pam_certmap" in entry["MESSAGE"]]
        # A session of the test before may end late.
        own = list(itertools.dropwhile(lambda line: "opened" not in line, lines))
        return len(own) == 2 and own

    opened, closed = box.wait_for("the session's end", told)
    assert "opened" in opened and f"fingerprint={fingerprint}" in opened
    assert "closed" in closed and f"fingerprint={fingerprint}" in closed


def test_console_keeps_its_login(box):
    main = box.show(UNIT, "MainPID")
    inside = ["nsenter", f"--target={main}", "--mount", "--root", "cat",
              "/etc/pam.d/login"]
    assert "pam_certmap.so" in box.run(*inside)
    assert "pam_certmap.so" not in box.run("cat", "/etc/pam.d/login")
    assert "common-auth" in box.run("cat", "/etc/pam.d/login")


def test_names_count_only_where_the_service_accepts_them(box):
    box.sql("UPDATE service SET accept_names = NULL WHERE name = 'login'")
    assert refusal(box, "alice") == "evidence-not-accepted"
    box.sql("UPDATE service SET accept_names = 1 WHERE name = 'login'")
    assert shell_of(box, "alice")[0] == "alice"


def test_mapping_that_is_not_in_force_is_refused_at_once_without_a_reload(box):
    for change, reason in (("enabled = 0", "mapping-disabled"),
                           ("enabled = 1, valid_until = unixepoch() - 1", "mapping-expired")):
        box.sql(f"UPDATE mapping SET {change} WHERE account = 'alice'")
        assert refusal(box, "alice") == reason
    box.sql("DELETE FROM mapping WHERE account = 'alice'")
    assert refusal(box, "alice") == "unmapped"


def test_certificate_that_nobody_mapped_ends_at_the_handshake(box):
    # Of the right CA; where the export is left out of the example, certmap refuses it.
    assert_no_handshake(box, "bob")
    assert refusal(box, "bob", CHAIN_ALONE) == "unmapped"
    assert_no_handshake(box, None)


def test_new_mapping_counts_from_the_reload_on(box):
    box.sql("DELETE FROM mapping WHERE account = 'bob'")
    map_to(box, "bob", "bob")
    assert_no_handshake(box, "bob")
    reload(box)
    try:
        assert shell_of(box, "bob")[0] == "bob"
        # The export holds what is in force, and that is bob's old one no more.
        assert_no_handshake(box, "namesake")
    finally:
        box.sql("DELETE FROM mapping WHERE account = 'bob'")
        map_to(box, "bob", "namesake")
        reload(box)


def test_forged_names_come_through_a_stunnel_that_verifies_nothing(box):
    assert names(box, "forged") == names(box, "alice")
    assert shell_of(box, "forged", UNVERIFIED)[0] == "alice"
    assert_no_handshake(box, "forged")
    assert_no_handshake(box, "forged", CHAIN_ALONE)
    assert_no_handshake(box, "forged", PEER_ALONE)


def test_same_names_with_another_key_come_through_without_the_export(box):
    assert names(box, "reissued") == names(box, "alice")
    assert shell_of(box, "reissued", CHAIN_ALONE)[0] == "alice"
    assert_no_handshake(box, "reissued")


def test_mapped_client_forges_another_ones_issuer_without_the_chain(box):
    assert names(box, "issuer-forged") == names(box, "alice")
    assert shell_of(box, "namesake", PEER_ALONE)[0] == "bob"
    assert shell_of(box, "issuer-forged", PEER_ALONE)[0] == "alice"
    assert_no_handshake(box, "issuer-forged")


@pytest.fixture(name="poisoned")
def poison(box):
    """alice's names in the environment of every service that systemd starts. What starts the unit
    without the line against that, and what starts it with it."""
    unguarded = [line for line in example(UNIT).splitlines() if "UnsetEnvironment=" not in line]
    assert len(unguarded) == len(example(UNIT).splitlines()) - 1
    box.run("systemctl", "set-environment", "SSL_CLIENT_DN=O=certmap demo, CN=alice",
            "SSL_CLIENT_I_DN=O=certmap demo, CN=demo CA")

    def start(text):
        box.write(f"/etc/systemd/system/{UNIT}", text)
        box.run("systemctl", "daemon-reload")
        box.run("systemctl", "restart", UNIT)
        wait_for_port(box, EXAMPLE)

    yield lambda: start("\n".join(unguarded)), lambda: start(example(UNIT))
    box.run("systemctl", "unset-environment", "SSL_CLIENT_DN", "SSL_CLIENT_I_DN")
    start(example(UNIT))


def test_names_of_the_start_up_environment_win_or_shut_out_unless_the_unit_unsets_them(box, poisoned):
    without_guard, with_guard = poisoned
    without_guard()
    if login_keeps_the_environment(box):
        assert refusal(box, "namesake") == "malformed-certificate"
    else:
        assert shell_of(box, "namesake")[0] == "alice"
    with_guard()
    assert shell_of(box, "namesake")[0] == "bob"


def test_kept_session_opens_no_further_one_without_the_key(box):
    kept = f"{CLIENTS}/kept-session"
    assert shell_of(box, "alice", RESUMING, ["-sess_out", kept])[0] == "alice"
    assert shell_of(box, None, RESUMING, ["-sess_in", kept])[0] == "alice"
    box.run("rm", kept)
    # Nothing to keep is handed out here.
    for version in ("-tls1_2", "-tls1_3"):
        assert shell_of(box, "alice", EXAMPLE, [version, "-sess_out", kept])[0] == "alice"
        assert box.call("test", "-e", kept).returncode == 1


def test_login_that_wipes_the_environment_has_no_evidence(box):
    if login_keeps_the_environment(box):
        assert shell_of(box, "alice", WIPED)[0] == "alice"
    else:
        assert refusal(box, "alice", WIPED) == "no-certificate"


def test_two_mappings_with_the_same_names_are_ambiguous(box):
    # Not the same bytes: the one has UTF8Strings, the other PrintableStrings. The text is the same.
    assert names(box, "printable") != names(box, "alice")
    box.sql("DELETE FROM mapping WHERE account = 'bob'")
    map_to(box, "bob", "printable")
    assert refusal(box, "alice") == "ambiguous"
    assert refusal(box, "printable", CHAIN_ALONE) == "ambiguous"
    box.sql("UPDATE mapping SET enabled = 0 WHERE account = 'bob'")
    assert refusal(box, "alice") == "ambiguous"
    box.sql("DELETE FROM mapping WHERE account = 'bob'")
    assert shell_of(box, "alice")[0] == "alice"


def test_odd_names_compare_right(box):
    odd = [f"odd-{name}" for name in ODD_NAMES] + ["two-bytes"]
    box.sql("UPDATE service SET certificates_per_account = 50 WHERE name = 'login'")
    for name in odd:
        map_to(box, "bob", name, service="login")
    # What makes it a fair test: no two of them look alike, and each is its own mapping's.
    assert len({names(box, name) for name in odd}) == len(odd)
    rows = box.sql("SELECT id FROM mapping WHERE service = 'login' ORDER BY id").split()
    ids = dict(zip(odd, rows, strict=True))
    reload(box)
    try:
        for name in odd:
            assert shell_of(box, name) == ("bob", ids[name]), name
        box.sql("DELETE FROM mapping WHERE service = 'login'")
        assert refusal(box, "odd-every-kind") == "unmapped"
    finally:
        box.sql("DELETE FROM mapping WHERE service = 'login'")
        reload(box)


def test_expired_account_is_refused_though_its_certificate_is_mapped(box):
    box.run("chage", "-E", "0", "alice")
    try:
        mark = box.mark()
        with Visit(box, "alice") as visit:
            assert visit.wait_for(r"\$ $") is None, visit.seen
        verdicts = box.since(mark, CERTMAP_PHASE="authenticate")
        assert [entry["CERTMAP_REASON"] for entry in verdicts] == ["allowed"]
    finally:
        box.run("chage", "-E", "-1", "alice")
    assert shell_of(box, "alice")[0] == "alice"


def test_root_stays_out_even_where_mapped(box):
    box.sql("UPDATE mapping SET account = 'root' WHERE account = 'alice'")
    mark = box.mark()
    with Visit(box, "alice") as visit:
        assert visit.wait_for("Login incorrect"), visit.seen
    assert any("reason=root-refused" in entry["MESSAGE"]
               for entry in box.since(mark, SYSLOG_IDENTIFIER="login"))


def test_nobody_gets_in_while_certmapd_is_away(box):
    box.run("systemctl", "stop", "certmapd.socket", "certmapd.service")
    try:
        assert refusal(box, "alice") == "unavailable"
    finally:
        box.run("systemctl", "start", "certmapd.socket")
    assert shell_of(box, "alice")[0] == "alice"
