# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stored credential with what it is for: a real pam_unix below pam_certmap in ProFTPD's stack,
which takes the password from PAM_AUTHTOK, and the key as a real systemd hands it over."""
import pytest

from boxed import TREE, installed, log_in

PASSWORD, WRONG = "correct horse battery", "incorrect horse battery"
KEY = "/etc/credstore/certmap-key"
DENIED = 67


def ctl(box, *words, typed=""):
    return box.run(installed("certmapctl"), "credential", *words, text_in=typed)


def store(box, password, *words):
    return ctl(box, "set", "alice", *words, typed=password + "\n")


def restart(box):
    box.run("systemctl", "restart", "certmapd.service")


@pytest.fixture(scope="module", name="stack")
def stack_pam_unix_below(booted, ftps):
    """curl types a password that is not alice's; the certificate alone is not enough here."""
    line = "auth required pam_unix.so use_first_pass"
    booted.sh(f"echo 'alice:{PASSWORD}' | chpasswd; sed -i '/^auth/a {line}' /etc/pam.d/proftpd")
    yield
    booted.sh(f"sed -i '/^{line}$/d' /etc/pam.d/proftpd")


@pytest.fixture(name="people")
def fresh_credentials(box, stack):
    """Alice mapped, a service that delivers, a key, and no credential yet."""
    box.sql("DELETE FROM credential; DELETE FROM service WHERE name <> '*';"
            "INSERT INTO service (name, deliver_credential) VALUES ('proftpd', 1)")
    box.sh(f"rm -f {KEY} {KEY}.new")
    ctl(box, "new-key")
    restart(box)
    yield box
    box.sql("DELETE FROM credential; DELETE FROM service WHERE name <> '*'")
    box.sh(f"rm -f {KEY}")
    restart(box)


def reasons(box, mark):
    return [entry["CERTMAP_REASON"] for entry in box.since(mark, CERTMAP_PHASE="authenticate")]


def test_stored_password_opens_the_module_below(people):
    store(people, PASSWORD)
    mark = people.mark()
    done = log_in(people, "alice", "alice")
    assert done.stdout == "This is the home directory of alice.\n", done.stderr
    assert reasons(people, mark) == ["allowed"]


def test_wrong_stored_password_does_not(people):
    store(people, WRONG)
    mark = people.mark()
    assert log_in(people, "alice", "alice").returncode == DENIED
    # Certmap said yes; pam_unix looked at the password, and said no.
    assert reasons(people, mark) == ["allowed"]
    said = [entry["MESSAGE"] for entry in people.since(mark, _COMM="proftpd")]
    assert any("pam_unix" in line and "authentication failure" in line for line in said), said


def test_one_of_the_service_goes_before_the_one_of_every_service(people):
    store(people, WRONG)
    store(people, PASSWORD, "--service", "proftpd")
    assert log_in(people, "alice", "alice").returncode == 0
    store(people, PASSWORD)
    store(people, WRONG, "--service", "proftpd")
    assert log_in(people, "alice", "alice").returncode == DENIED


def test_service_that_does_not_deliver_gives_none(people):
    store(people, PASSWORD)
    people.sql("UPDATE service SET deliver_credential = 0 WHERE name = 'proftpd'")
    mark = people.mark()
    assert log_in(people, "alice", "alice").returncode == DENIED
    assert reasons(people, mark) == ["allowed"]


def refused(box):
    mark = box.mark()
    assert log_in(box, "alice", "alice").returncode == DENIED
    assert reasons(box, mark) == ["credential-unavailable"]
    return " ".join(entry["MESSAGE"] for entry in box.since(mark, _SYSTEMD_UNIT="certmapd.service"))


def test_account_without_one_is_refused(people):
    refused(people)


def test_one_of_another_account_is_refused(people):
    store(people, PASSWORD)
    people.sql("INSERT INTO credential SELECT service, 'bob', sealed FROM credential;"
               "DELETE FROM credential WHERE account = 'alice';"
               "INSERT INTO credential SELECT service, 'alice', sealed FROM credential")
    # Moved to bob and back again it is alice's.
    assert log_in(people, "alice", "alice").returncode == 0
    ctl(people, "set", "bob", typed=PASSWORD + "\n")
    people.sql("UPDATE credential SET sealed = (SELECT sealed FROM credential WHERE account = 'bob')"
               " WHERE account = 'alice'")
    refused(people)


def test_without_a_key_the_daemon_serves_and_only_the_credential_is_refused(people):
    store(people, PASSWORD)
    people.run("rm", KEY)
    restart(people)
    assert people.ask()["reason"] == "allowed"
    assert people.show("certmapd.service", "ActiveState") == "active"
    refused(people)
    people.sql("UPDATE service SET deliver_credential = 0 WHERE name = 'proftpd'")
    mark = people.mark()
    log_in(people, "alice", "alice")
    assert reasons(people, mark) == ["allowed"]


def test_key_of_somebody_else_is_refused(people):
    store(people, PASSWORD)
    people.run("rm", KEY)
    ctl(people, "new-key")
    restart(people)
    refused(people)


def test_key_rotates_without_a_refused_login(people):
    store(people, PASSWORD)
    ctl(people, "new-key", "--rotate")
    restart(people)
    assert log_in(people, "alice", "alice").returncode == 0
    ctl(people, "rotate")
    assert log_in(people, "alice", "alice").returncode == 0
    # The old key's line goes.
    people.sh(f"keys=$(grep -v '^#' {KEY} | head -n 1); echo $keys >{KEY}")
    restart(people)
    assert log_in(people, "alice", "alice").returncode == 0


def test_only_a_root_peer_may_ask(people):
    store(people, PASSWORD)
    client = ["python3", TREE / "tests/shell/certmap_client.py", "--service=proftpd",
              "--user=alice", "--evidence=/root/clients/alice.pem", "--credential-wanted"]
    said = people.call(*client).stdout
    assert "reason='allowed'" in said and "credential='" in said
    said = people.call(*client, user="www-data").stdout
    assert "reason='forbidden'" in said and "credential=" not in said


def test_key_is_handed_over_to_the_daemon_alone(people):
    store(people, PASSWORD)
    assert log_in(people, "alice", "alice").returncode == 0
    passed = "/run/credentials/certmapd.service/certmap-key"
    assert people.run("cat", passed) == people.run("cat", KEY)
    assert people.call("cat", passed, user="certmap").returncode == 0
    for name in ("alice", "www-data"):
        assert people.call("cat", passed, user=name).returncode != 0
        assert people.call("cat", KEY, user=name).returncode != 0
    assert people.call("cat", KEY, user="certmap").returncode != 0
    assert people.run("stat", "-c", "%U:%G %a", KEY, "/etc/credstore").split("\n")[:2] == \
        ["root:root 600", "root:root 700"]


def test_encrypted_key_works_as_well(people):
    store(people, PASSWORD)
    people.sh(f"""
        mkdir -p -m 0700 /etc/credstore.encrypted
        systemd-creds encrypt --with-key=host --name=certmap-key {KEY} \
            /etc/credstore.encrypted/certmap-key
        mv {KEY} /root/saved-key
        mkdir -p /etc/systemd/system/certmapd.service.d
        printf '[Service]\\nLoadCredential=\\nLoadCredentialEncrypted=certmap-key\\n' \
            >/etc/systemd/system/certmapd.service.d/key.conf
        systemctl daemon-reload""")
    restart(people)
    try:
        assert log_in(people, "alice", "alice").returncode == 0
    finally:
        people.sh(f"""
            rm -r /etc/credstore.encrypted /etc/systemd/system/certmapd.service.d/key.conf
            mv /root/saved-key {KEY}
            systemctl daemon-reload""")


def test_no_log_and_no_file_holds_the_password(people):
    store(people, PASSWORD)
    mark = people.mark()
    assert log_in(people, "alice", "alice").returncode == 0
    store(people, WRONG)
    log_in(people, "alice", "alice")
    ctl(people, "list")
    text = " ".join(str(entry) for entry in people.since(mark))
    assert "alice" in text
    assert "horse" not in text
    assert people.call("grep", "-rlaE", "(in)?correct horse", "/var/lib/certmap", "/var/log",
                       "/run/log", "/var/lib/systemd").stdout == ""
