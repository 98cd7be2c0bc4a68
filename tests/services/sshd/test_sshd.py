# SPDX-License-Identifier: LGPL-2.1-or-later
"""ssh -> sshd -> libpam -> pam_certmap.so -> certmapd, with the key of a mapped certificate, and
sshd -> certmapctl, with the shipped configuration examples as they are."""
import base64
import itertools
import pathlib
import struct

import pytest

from boxed import LIB, TREE, installed
from stage import host_environment

HERE = TREE / "tests/services/sshd"
CLIENTS = "/root/clients"

# openssl genpkey's options -> what the key is called in SSH
TYPES = {
    "rsa": (["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ssh-rsa"),
    "p256": (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ecdsa-sha2-nistp256"),
    "p384": (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], "ecdsa-sha2-nistp384"),
    "p521": (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"], "ecdsa-sha2-nistp521"),
    "ed25519": (["-algorithm", "ED25519"], "ssh-ed25519"),
}

TWO_GATES = 22  # certmap.conf, under Debian's own unit
KEYS_ALONE = 2201  # certmap-keys-alone.conf
OWN_KEYS = 2202  # certmap-keys-alone.conf without "AuthorizedKeysFile none"
PAM_ALONE = 2203  # certmap.conf with every key of this test let through the first gate
ONLY_PAM = 2204  # certmap.conf without the first gate
BOTH_EXAMPLES = pytest.mark.parametrize("port", [TWO_GATES, KEYS_ALONE], ids=["two-gates", "alone"])

# sshd confines itself before the login with a filter that AddressSanitizer does not survive.
pytestmark = pytest.mark.skipif(bool(host_environment()), reason="sshd runs no sanitizer")


def openssh_private_key(seed, public):
    """The form of PROTOCOL.key in OpenSSH's source, not encrypted. ssh reads the other types as
    openssl writes them, but Ed25519 only since 9.6."""
    def string(data):
        return struct.pack(">I", len(data)) + data

    blob = string(b"ssh-ed25519") + string(public)
    private = bytes(8) + blob + string(seed + public) + string(b"")
    private += bytes(range(1, -len(private) % 8 + 1))
    whole = b"openssh-key-v1\0" + string(b"none") + string(b"none") + string(b"") + \
        struct.pack(">I", 1) + string(blob) + string(private)
    return ("-----BEGIN OPENSSH PRIVATE KEY-----\n" + base64.encodebytes(whole).decode() +
            "-----END OPENSSH PRIVATE KEY-----\n")


def make_ssh_key(box, name):
    """NAME.ssh: the private key of the certificate, as ssh reads it."""
    def der(*what):
        command = f"openssl pkey -in {CLIENTS}/{name}.key -outform DER {' '.join(what)} | base64"
        return base64.b64decode(box.sh(command))

    box.run("cp", f"{CLIENTS}/{name}.key", f"{CLIENTS}/{name}.ssh")
    if "ED25519" in box.run("openssl", "pkey", "-noout", "-text", "-in", f"{CLIENTS}/{name}.key"):
        # RFC 8410: both encodings end with the 32 bytes themselves.
        box.write(f"{CLIENTS}/{name}.ssh", openssh_private_key(der()[-32:], der("-pubout")[-32:]))
    box.run("chmod", "0600", f"{CLIENTS}/{name}.ssh")
    box.sh(f"ssh-keygen -y -f {CLIENTS}/{name}.ssh >{CLIENTS}/{name}.pub")


def make_client(box, name, key=None, key_options=None):
    """A certificate, with the key of another one where that is named."""
    if key:
        box.run("cp", f"{CLIENTS}/{key}.key", f"{CLIENTS}/{name}.key")
    elif key_options:
        box.run("openssl", "genpkey", *key_options, "-out", f"{CLIENTS}/{name}.key")
    box.run(LIB / "certificates", "client", CLIENTS, name)
    make_ssh_key(box, name)


def example(name):
    """A shipped file, with certmap where this build installed it."""
    text = pathlib.Path(HERE, name).read_text()
    return text.replace("/usr/bin/certmapctl", installed("certmapctl")) \
               .replace("pam_certmap.so", installed("pam_certmap.so"))


def without(text, line):
    kept = [kept for kept in text.splitlines() if not kept.startswith(line)]
    assert len(kept) == len(text.splitlines()) - 1, line
    return "\n".join(kept) + "\n"


def start_sshd(box, port, configuration):
    """One more, beside Debian's unit; it says to systemd when it listens."""
    box.write(f"/etc/ssh/{port}", f"Port {port}\nPidFile none\n{configuration}")
    box.run("systemd-run", "--quiet", f"--unit=sshd-{port}", "--service-type=notify",
            "/usr/sbin/sshd", "-D", "-f", f"/etc/ssh/{port}")


def untiring(box):
    """For the tests alone: from OpenSSH 9.8 on an address that was refused a few times is shut out
    for a while."""
    line = "PerSourcePenalties no\n"
    box.write("/root/sshd.try", line)
    tried = box.call("/usr/sbin/sshd", "-T", "-f", "/root/sshd.try")
    return "" if "Bad configuration option" in tried.stderr else line


@pytest.fixture(scope="module", autouse=True, name="servers")
def start_all(booted):
    for name, (options, _) in TYPES.items():
        make_client(booted, f"alice-{name}", key_options=options)
    make_client(booted, "shared-bob", key="alice-p256")
    make_client(booted, "renewed", key="alice-p256")
    make_client(booted, "bob-own")
    booted.sh("""
        rm -f /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/* && ssh-keygen -A
        cat /root/clients/*.pub >/etc/ssh/every-key
        echo 'alice:the password' | chpasswd
    """)
    # Removes the /run/nologin of a machine that boots.
    booted.run("systemctl", "start", "systemd-user-sessions.service")
    booted.write("/etc/pam.d/sshd", example("pam.d/sshd"))
    two_gates = example("sshd_config.d/certmap.conf")
    alone = example("sshd_config.d/certmap-keys-alone.conf")
    patience = untiring(booted)
    alone = patience + alone
    two_gates = patience + two_gates
    booted.write("/etc/ssh/sshd_config.d/certmap.conf", two_gates)
    booted.run("systemctl", "start", "ssh.service")
    start_sshd(booted, KEYS_ALONE, alone)
    start_sshd(booted, OWN_KEYS, without(alone, "AuthorizedKeysFile"))
    start_sshd(booted, PAM_ALONE,
               "AuthorizedKeysFile /etc/ssh/every-key\nPermitRootLogin yes\n" +
               without(without(without(without(two_gates, "AuthorizedKeysFile"), "PermitRootLogin"),
                               "AuthorizedKeysCommand\t"), "AuthorizedKeysCommandUser"))
    start_sshd(booted, ONLY_PAM, "AuthenticationMethods keyboard-interactive:pam\n" +
               without(two_gates, "AuthenticationMethods"))
    yield
    for port in (KEYS_ALONE, OWN_KEYS, PAM_ALONE, ONLY_PAM):
        booted.run("systemctl", "stop", f"sshd-{port}.service")
    booted.run("systemctl", "stop", "ssh.service")


def map_to(box, account, certificate):
    box.sql("INSERT INTO mapping(account, certificate)"
            f" VALUES('{account}', readfile('{CLIENTS}/{certificate}.cer'))")


@pytest.fixture(name="box")
def alice_has_a_p256_key(booted):
    booted.sql("DELETE FROM mapping; DELETE FROM service WHERE name <> '*'")
    map_to(booted, "alice", "alice-p256")
    return booted


def ssh(box, account, key, port=TWO_GATES, command="id -un", options=()):
    return box.call("ssh", "-F", "none", "-i", f"{CLIENTS}/{key}.ssh", "-p", port,
                    *(part for option in (
                        "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "LogLevel=ERROR",
                        "UserKnownHostsFile=/dev/null", "NumberOfPasswordPrompts=1", *options)
                      for part in ("-o", option)),
                    f"{account}@127.0.0.1", command)


def said(box, mark):
    """What sshd and the module in it logged. From OpenSSH 9.8 on most of it is sshd-session's."""
    return [entry["MESSAGE"] for entry in box.since(mark)
            if entry.get("SYSLOG_IDENTIFIER") in ("sshd", "sshd-session")]


def reasons(box, mark):
    """What the daemon decided, lookup by lookup."""
    return [entry["CERTMAP_REASON"] for entry in box.since(mark, CERTMAP_PHASE="authenticate")]


def assert_let_in(done, account="alice"):
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{account}\n"


def assert_refused(done):
    assert done.returncode == 255, done.stdout
    assert "Permission denied" in done.stderr
    assert done.stdout == ""


def assert_shut_out_of_both(box, account, key):
    """Not let through the first gate of either example, and PAM is not even asked."""
    mark = box.mark()
    for port in (TWO_GATES, KEYS_ALONE):
        assert_refused(ssh(box, account, key, port))
    assert reasons(box, mark) == []


def assert_second_gate_refuses(box, account, key, reason):
    """The module's own line says so as well, with the same correlation id."""
    mark = box.mark()
    assert_refused(ssh(box, account, key, PAM_ALONE))
    [verdict] = box.since(mark, CERTMAP_PHASE="authenticate")
    assert verdict["CERTMAP_REASON"] == reason
    assert (verdict["CERTMAP_SERVICE"], verdict["CERTMAP_ASKED"]) == ("sshd", account)
    [line] = [line for line in said(box, mark) if f"id={verdict['CERTMAP_ID']}" in line]
    assert f"reason={reason}" in line


@pytest.mark.parametrize("kind", TYPES)
def test_key_of_a_mapped_certificate_opens_its_account(box, kind):
    box.sql("DELETE FROM mapping")
    map_to(box, "alice", f"alice-{kind}")
    # What makes it a fair test: it is this type's login and no other's.
    assert box.run("cat", f"{CLIENTS}/alice-{kind}.pub").split()[0] == TYPES[kind][1]
    mark = box.mark()
    assert_let_in(ssh(box, "alice", f"alice-{kind}"))
    [verdict] = box.since(mark, CERTMAP_PHASE="authenticate")
    assert verdict["CERTMAP_REASON"] == "allowed"
    assert verdict["CERTMAP_MAPPING"] == box.sql("SELECT id FROM mapping").strip()
    assert verdict["CERTMAP_FINGERPRINT"] == \
        box.run("sha256sum", f"{CLIENTS}/alice-{kind}.cer").split()[0]
    assert_let_in(ssh(box, "alice", f"alice-{kind}", KEYS_ALONE))


def test_both_gates_are_asked_by_one_example_and_the_first_alone_by_the_other(box):
    mark = box.mark()
    assert_let_in(ssh(box, "alice", "alice-p256", KEYS_ALONE))
    assert reasons(box, mark) == []
    assert_let_in(ssh(box, "alice", "alice-p256"))
    assert reasons(box, mark) == ["allowed"]


def test_other_keys_are_refused(box):
    for key in ("alice-p384", "alice-rsa", "alice-ed25519", "bob-own"):
        assert_shut_out_of_both(box, "alice", key)
    assert_second_gate_refuses(box, "alice", "alice-p384", "unmapped")


def test_key_opens_no_other_account(box):
    map_to(box, "bob", "bob-own")
    assert_shut_out_of_both(box, "bob", "alice-p256")
    assert_second_gate_refuses(box, "bob", "alice-p256", "account-mismatch")
    assert_let_in(ssh(box, "bob", "bob-own"), "bob")


@pytest.mark.parametrize("change, reason", [
    ("enabled = 0", "mapping-disabled"),
    ("valid_until = unixepoch() - 1", "mapping-expired"),
    ("valid_from = unixepoch() + 1000", "mapping-not-yet-valid"),
])
def test_mapping_that_is_not_in_force_shuts_the_key_out_at_both_gates(box, change, reason):
    assert_let_in(ssh(box, "alice", "alice-p256", PAM_ALONE))
    box.sql(f"UPDATE mapping SET {change}")
    assert_shut_out_of_both(box, "alice", "alice-p256")
    assert_second_gate_refuses(box, "alice", "alice-p256", reason)


def test_mapping_and_disabling_is_all_it_takes(box):
    box.sql("DELETE FROM mapping")
    for change in ("INSERT INTO mapping(account, certificate)"
                   f" VALUES('alice', readfile('{CLIENTS}/alice-p256.pem'))",
                   "UPDATE mapping SET enabled = 1"):
        assert_refused(ssh(box, "alice", "alice-p256"))
        assert_refused(ssh(box, "alice", "alice-p256", KEYS_ALONE))
        box.sql(change)
        assert_let_in(ssh(box, "alice", "alice-p256"))
        assert_let_in(ssh(box, "alice", "alice-p256", KEYS_ALONE))
        box.sql("UPDATE mapping SET enabled = 0")


def test_key_of_two_accounts_certificates_is_ambiguous_for_both(box):
    map_to(box, "bob", "shared-bob")
    for account in ("alice", "bob"):
        assert_shut_out_of_both(box, account, "alice-p256")
        assert_second_gate_refuses(box, account, "alice-p256", "ambiguous")
    # Disabling one of them decides nothing: whose key was it?
    box.sql("UPDATE mapping SET enabled = 0 WHERE account = 'bob'")
    assert_second_gate_refuses(box, "alice", "alice-p256", "ambiguous")
    assert_shut_out_of_both(box, "alice", "alice-p256")
    box.sql("DELETE FROM mapping WHERE account = 'bob'")
    assert_let_in(ssh(box, "alice", "alice-p256"))


def test_renewed_certificate_with_the_same_key_goes_on(box):
    box.sql("UPDATE mapping SET enabled = 0")
    map_to(box, "alice", "renewed")
    mark = box.mark()
    assert_let_in(ssh(box, "alice", "alice-p256"))
    [verdict] = box.since(mark, CERTMAP_PHASE="authenticate")
    assert verdict["CERTMAP_FINGERPRINT"] == \
        box.run("sha256sum", f"{CLIENTS}/renewed.cer").split()[0]


def test_disabled_service_shuts_everybody_out(box):
    box.sql("INSERT INTO service(name, enabled) VALUES('sshd', 0)")
    assert_shut_out_of_both(box, "alice", "alice-p256")
    assert_second_gate_refuses(box, "alice", "alice-p256", "service-disabled")


def test_without_a_key_before_it_pam_has_no_evidence(box):
    mark = box.mark()
    assert_refused(ssh(box, "alice", "alice-p256", ONLY_PAM))
    [line] = [line for line in said(box, mark) if "pam_certmap" in line]
    assert "reason=no-certificate" in line and "AuthenticationMethods" in line
    assert reasons(box, mark) == []


@BOTH_EXAMPLES
def test_nothing_but_a_key_is_offered_at_first(box, port):
    done = ssh(box, "alice", "alice-p256", port, options=["PreferredAuthentications=none"])
    assert done.returncode == 255
    assert "Permission denied (publickey)." in done.stderr


def test_key_in_the_home_directory_opens_nothing_unless_the_line_none_is_missing(box):
    box.sh(f"""
        install -d -o alice -m 0700 /home/alice/.ssh
        install -o alice -m 0600 {CLIENTS}/alice-rsa.pub /home/alice/.ssh/authorized_keys
    """)
    try:
        assert_shut_out_of_both(box, "alice", "alice-rsa")
        assert_let_in(ssh(box, "alice", "alice-rsa", OWN_KEYS))
    finally:
        box.run("rm", "-r", "/home/alice/.ssh")


def test_program_gets_in_by_its_key_alone_and_not_past_two_gates(box):
    batch = ["BatchMode=yes"]
    assert_let_in(ssh(box, "alice", "alice-p256", KEYS_ALONE, options=batch))
    assert_refused(ssh(box, "alice", "alice-p256", options=batch))


@BOTH_EXAMPLES
def test_expired_account_is_refused_though_its_certificate_is_mapped(box, port):
    box.run("chage", "-E", "0", "alice")
    try:
        done = ssh(box, "alice", "alice-p256", port)
    finally:
        box.run("chage", "-E", "-1", "alice")
    # Over a key alone sshd closes the connection, over PAM's own method it denies.
    assert done.returncode == 255
    assert done.stdout == ""
    assert_let_in(ssh(box, "alice", "alice-p256", port))


def test_root_stays_out_even_where_mapped_and_welcome_to_sshd(box):
    map_to(box, "root", "bob-own")
    assert_shut_out_of_both(box, "root", "bob-own")
    mark = box.mark()
    assert_refused(ssh(box, "root", "bob-own", PAM_ALONE))
    # The daemon knows of no uid; that root stays out is the module's own gate, and certmapctl's.
    [line] = [line for line in said(box, mark) if "reason=root-refused" in line]
    assert 'asked="root"' in line
    assert box.run(installed("certmapctl"), "authorized-keys", "root") == ""


def test_session_knows_its_certificate_whatever_the_home_directory_says(box):
    box.write("/home/alice/.pam_environment",
              f"CERTMAP_ACCOUNT=bob\nCERTMAP_FINGERPRINT={'0' * 64}\n")
    fingerprint = box.run("sha256sum", f"{CLIENTS}/alice-p256.cer").split()[0]
    mark = box.mark()
    try:
        done = ssh(box, "alice", "alice-p256", command="echo $CERTMAP_ACCOUNT $CERTMAP_FINGERPRINT")
    finally:
        box.run("rm", "/home/alice/.pam_environment")
    assert done.stdout.split() == ["alice", fingerprint]

    def told():
        lines = [line for line in said(box, mark)
                 if "session" in line and "fingerprint=" in line]
        # A session of the test before may end late.
        own = list(itertools.dropwhile(lambda line: "opened" not in line, lines))
        return len(own) == 2 and own

    opened, closed = box.wait_for("the session's end", told)
    assert "opened" in opened and "closed" in closed
    assert f"fingerprint={fingerprint}" in opened and f"fingerprint={fingerprint}" in closed


def test_nobody_gets_past_two_gates_while_certmapd_is_away(box):
    box.run("systemctl", "stop", "certmapd.socket", "certmapd.service")
    try:
        assert_refused(ssh(box, "alice", "alice-p256"))
        # certmapctl reads the database itself.
        assert_let_in(ssh(box, "alice", "alice-p256", KEYS_ALONE))
    finally:
        box.run("systemctl", "start", "certmapd.socket")
    assert_let_in(ssh(box, "alice", "alice-p256"))


def test_nobody_gets_in_while_the_database_is_away(box):
    box.run("mv", "/var/lib/certmap", "/var/lib/aside")
    try:
        for port in (TWO_GATES, KEYS_ALONE, PAM_ALONE):
            assert_refused(ssh(box, "alice", "alice-p256", port))
    finally:
        box.run("mv", "/var/lib/aside", "/var/lib/certmap")
    assert_let_in(ssh(box, "alice", "alice-p256"))
