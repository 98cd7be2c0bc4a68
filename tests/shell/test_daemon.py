# SPDX-License-Identifier: LGPL-2.1-or-later
"""certmapd from outside: what it answers to what stands in the database, and that neither people
with a sqlite3 shell nor peers with bad manners bring it down."""
import base64
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

import certmap_client
from shell_stage import (
    CERTMAPD, NOBODY, SCHEMA_VERSION, TREE, Daemon, Database, OpenShell, as_nobody, run, within)

HOUR = 3600
root = pytest.mark.root
slow = pytest.mark.slow


@pytest.fixture
def mapped(database, alice):
    """Alice is mapping 1."""
    assert database.map(alice) == 1
    return database


def status(database, mapping_id):
    (row,) = database.rows(f"SELECT state, problem FROM mapping_status WHERE id = {mapping_id}")
    return row["state"], row["problem"]


# The gates -----------------------------------------------------------------------------------


def test_alice_is_allowed_and_the_reply_says_who_she_is(mapped, daemon, alice):
    reply = daemon.ask(alice)
    del reply["correlation-id"]
    assert reply == {"reason": "allowed", "account": "alice", "mapping-id": 1,
                     "fingerprint": alice.fingerprint, "subject": "CN=alice"}


def test_the_uid_that_a_mapping_is_bound_to_is_told(mapped, daemon, alice):
    mapped.sql("UPDATE mapping SET account_uid = 4294967294;")
    assert daemon.ask(alice)["uid"] == 4294967294
    mapped.sql("UPDATE mapping SET account_uid = 0;")
    assert daemon.ask(alice)["uid"] == 0


def test_nobody_is_mapped_by_default(mapped, daemon, bob):
    reply = daemon.ask(bob, "bob")
    assert reply["reason"] == "unmapped" and reply["fingerprint"] == bob.fingerprint
    assert not {"account", "mapping-id", "uid"} & set(reply)


@pytest.mark.parametrize("asked", ["bob", "Alice", "alic", "alicex", "alice ", " alice", "root",
                                   None])
def test_another_account_than_the_mapped_one_is_a_mismatch(mapped, daemon, alice, asked):
    reply = daemon.ask(alice, asked)
    assert (reply["reason"], reply["account"]) == ("account-mismatch", "alice")


@pytest.mark.parametrize("asked", ["bob", None])
def test_in_set_mode_the_certificate_names_the_account(mapped, daemon, alice, asked):
    reply = daemon.ask(alice, asked, mode="set")
    assert (reply["reason"], reply["account"]) == ("allowed", "alice")


@pytest.mark.parametrize("change, reason", [
    ("enabled = 0", "mapping-disabled"),
    ("valid_from = unixepoch() + 600", "mapping-not-yet-valid"),
    ("valid_from = unixepoch() - 600", "allowed"),
    ("valid_until = unixepoch() - 600", "mapping-expired"),
    ("valid_until = unixepoch() + 600", "allowed"),
    ("enabled = 0, valid_until = 1", "mapping-disabled"),
])
def test_a_mapping_must_be_enabled_and_valid_now(mapped, daemon, alice, change, reason):
    mapped.sql(f"UPDATE mapping SET {change};")
    assert daemon.reason(alice) == reason
    assert daemon.ask(alice)["mapping-id"] == 1


@pytest.mark.parametrize("name, start, end, reason", [
    ("expired", -48 * HOUR, -1 * HOUR, "certificate-expired"),
    ("just-expired", -48 * HOUR, -2, "certificate-expired"),
    ("early", 1 * HOUR, 48 * HOUR, "certificate-not-yet-valid"),
    ("in-time", -1 * HOUR, 1 * HOUR, "allowed"),
])
def test_a_certificate_must_be_valid_now(database, daemon, pki, name, start, end, reason):
    certificate = pki.leaf(name, start=start, end=end)
    database.map(certificate, account="alice")
    assert daemon.reason(certificate) == reason


def test_the_first_gate_that_fails_names_the_reason(mapped, daemon, alice):
    for change, reason in (("SELECT 1;", "account-mismatch"),
                           ("UPDATE mapping SET valid_until = 1;", "mapping-expired"),
                           ("UPDATE mapping SET enabled = 0;", "mapping-disabled"),
                           ("UPDATE service SET enabled = 0;", "service-disabled")):
        mapped.sql(change)
        assert daemon.reason(alice, "bob") == reason


@pytest.mark.parametrize("phase, kind", [
    ("authenticate", "names"), ("authenticate", "name"),
    ("account", "certificate"), ("account", "key"), ("account", "names"), ("account", "name"),
])
def test_weak_evidence_is_not_accepted_unless_the_service_says_so(mapped, daemon, alice, phase,
                                                                  kind):
    second = "CN=Test CA" if kind == "names" else None
    assert daemon.reason(alice.pem, phase=phase, kind=kind,
                         evidence_second=second) == "evidence-not-accepted"


@pytest.mark.parametrize("kind", ["fingerprint", "key"])
def test_a_certificate_is_no_fingerprint_and_no_key(mapped, daemon, alice, kind):
    assert daemon.reason(alice.pem, kind=kind) == "malformed-certificate"


def test_a_fingerprint_is_evidence_of_its_own(mapped, daemon, alice, bob):
    digits = alice.fingerprint
    colons = ":".join(digits[i:i + 2] for i in range(0, 64, 2))
    for form in (digits, digits.upper(), colons, colons.upper()):
        assert daemon.reason(form, kind="fingerprint") == "allowed"
    assert daemon.reason(bob.fingerprint, kind="fingerprint") == "unmapped"
    for form in (digits[:-1], digits + "0", colons.replace(":", "-"), "x" + digits[1:]):
        assert daemon.reason(form, kind="fingerprint") == "malformed-certificate"


def test_the_account_phase_asks_by_fingerprint_whether_the_mapping_stands(mapped, daemon, alice):
    def still_stands(user="alice"):
        return daemon.reason(alice.fingerprint, user, phase="account", kind="fingerprint")

    assert still_stands() == "allowed"
    assert still_stands("bob") == "account-mismatch"
    mapped.sql("UPDATE mapping SET enabled = 0;")
    assert still_stands() == "mapping-disabled"
    mapped.sql("DELETE FROM mapping;")
    assert still_stands() == "unmapped"


@pytest.mark.parametrize("evidence", ["00" * 31, "00" * 33, "zz" * 32, "(null)"])
def test_a_fingerprint_that_is_none_is_malformed(mapped, daemon, evidence):
    assert daemon.reason(evidence, phase="account",
                         kind="fingerprint") == "malformed-certificate"


# Services ------------------------------------------------------------------------------------


def test_a_disabled_service_refuses_everybody(mapped, daemon, alice):
    mapped.sql("INSERT INTO service(name, enabled) VALUES('proftpd', 0);")
    assert daemon.reason(alice) == "service-disabled"
    assert daemon.reason(alice, service="sshd") == "allowed"


def test_a_service_may_be_enabled_where_the_others_are_not(mapped, daemon, alice):
    mapped.sql("INSERT INTO service(name, enabled) VALUES('sshd', 1), ('login', NULL);"
               "UPDATE service SET enabled = 0 WHERE name = '*';")
    assert [daemon.reason(alice, service=service) for service in ("sshd", "login", "proftpd")] == [
        "allowed", "service-disabled", "service-disabled"]


def test_a_mapping_of_a_service_is_not_seen_by_another_one(database, daemon, alice):
    database.map(alice, service="'sshd'")
    assert daemon.reason(alice, service="sshd") == "allowed"
    assert daemon.reason(alice, service="sshd2") == "unmapped"


@pytest.mark.parametrize("change, reason", [
    ("SELECT 1", "allowed"), ("UPDATE mapping SET enabled = 0 WHERE id = 2", "mapping-disabled"),
    ("UPDATE mapping SET valid_until = 1 WHERE id = 2", "mapping-expired"),
])
def test_an_exact_row_hides_the_row_of_all_services_for_its_certificate(
        mapped, daemon, alice, change, reason):
    mapped.map(alice, account="bob", service="'proftpd'")
    mapped.sql(change)
    assert daemon.reason(alice, "bob") == reason
    assert daemon.reason(alice, "alice") != "allowed"
    assert daemon.reason(alice, "alice", service="sshd") == "allowed"


@pytest.mark.parametrize("change, reason", [
    ("SELECT 1", "allowed"), ("UPDATE mapping SET enabled = 0 WHERE id = 2", "mapping-disabled"),
    ("UPDATE mapping SET valid_until = 1 WHERE id = 2", "mapping-expired"),
])
def test_an_exact_row_hides_the_row_of_all_services_for_its_account(
        mapped, daemon, alice, bob, change, reason):
    mapped.map(bob, account="alice", service="'proftpd'")
    mapped.sql(change)
    assert daemon.reason(bob) == reason
    assert daemon.reason(alice) == "unmapped"
    assert daemon.reason(alice, service="sshd") == "allowed"


def test_a_service_that_does_not_inherit_sees_its_own_rows_alone(mapped, daemon, alice, bob):
    mapped.sql("INSERT INTO service(name, inherit) VALUES('proftpd', 0), ('login', NULL);")
    mapped.map(bob, service="'proftpd'")
    assert daemon.reason(alice) == "unmapped"
    assert daemon.reason(bob, "bob") == "allowed"
    assert daemon.reason(alice, service="login") == "allowed"
    mapped.sql("UPDATE service SET inherit = 0 WHERE name = '*';")
    assert daemon.reason(alice, service="login") == "unmapped"
    mapped.sql("UPDATE service SET inherit = 1 WHERE name = 'login';")
    assert daemon.reason(alice, service="login") == "allowed"


# Duplicates and rows that can't be used --------------------------------------------------------


@pytest.mark.parametrize("second", ["alice.pem", "alice-crlf.pem", "alice.b64"])
def test_of_one_certificate_in_two_encodings_the_row_in_force_stays(mapped, daemon, alice, second):
    mapped.sql(f"INSERT INTO mapping(account, certificate) VALUES('bob', readfile('{second}'));")
    assert daemon.reason(alice, "bob") == "account-mismatch"
    assert daemon.ask(alice)["mapping-id"] == 1
    assert status(mapped, 1) == ("in force", None)
    assert status(mapped, 2) == ("problem", "duplicate of mapping 1")


@pytest.mark.parametrize("release", [
    "DELETE FROM mapping WHERE id = 1;",
    "UPDATE mapping SET certificate = readfile('carol.cer') WHERE id = 1;",
    "UPDATE mapping SET service = 'sshd' WHERE id = 1;",
])
def test_a_duplicate_comes_into_force_when_the_row_in_its_way_goes(
        mapped, daemon, alice, carol, release):
    assert carol.der_path.exists()
    mapped.sql("INSERT INTO mapping(account, certificate) VALUES('bob', readfile('alice.pem'));")
    assert daemon.reason(alice, "bob") == "account-mismatch"
    mapped.sql(release)
    assert daemon.reason(alice, "bob") == "allowed"
    # Written down, and not worked out of the queue at each lookup.
    assert status(mapped, 2) == ("in force", None)
    assert mapped.rows("SELECT value FROM fact_name WHERE mapping_id = 2") == [{"value": "alice"}]


def test_a_lower_id_does_not_displace_the_row_in_force(mapped, daemon, alice, bob):
    mapped.map(bob)
    assert daemon.reason(bob, "bob") == "allowed"
    mapped.sql("UPDATE mapping SET certificate = readfile('bob.pem') WHERE id = 1;")
    assert daemon.ask(bob, "bob")["mapping-id"] == 2
    assert status(mapped, 1) == ("problem", "duplicate of mapping 2")


@pytest.mark.parametrize("expression", [
    "x'3082ffff00'", "x'30820003010203'", "readfile('alice.cer') || x'00'",
    "substr(readfile('alice.cer'), 1, 300)", "char(65279) || readfile('alice.pem')",
    "'MIIB'", "replace(CAST(readfile('alice.b64') AS TEXT), 'A', '=')",
])
def test_a_row_that_can_not_be_read_has_a_problem_in_words(
        database, daemon, alice, bob, expression):
    database.sql(f"INSERT INTO mapping(account, certificate) VALUES('alice', {expression});")
    database.map(bob)
    assert daemon.reason(alice) == "unmapped"
    assert daemon.reason(bob, "bob") == "allowed"
    state, problem = status(database, 1)
    assert state == "problem" and re.search("[a-z]{3}", problem)
    database.sql("UPDATE mapping SET certificate = readfile('alice.cer') WHERE id = 1;")
    assert daemon.reason(alice) == "allowed"


PAST_THE_CHECKS = [("enabled", 2), ("valid_from", -1), ("valid_until", 2**63 - 1),
                   ("account_uid", 4294967295), ("account_uid", -5)]


@pytest.mark.parametrize("column, value", PAST_THE_CHECKS)
@pytest.mark.parametrize("is_settled", [True, False])
def test_a_row_that_got_past_the_checks_refuses_until_it_is_mended(
        mapped, daemon, alice, bob, column, value, is_settled):
    if is_settled:
        assert daemon.reason(alice) == "allowed"
    mapped.map(bob)
    good = mapped.value(f"SELECT quote({column}) FROM mapping WHERE id = 1")
    mapped.sql("PRAGMA ignore_check_constraints = ON;"
               f"UPDATE mapping SET {column} = {value} WHERE id = 1;")
    assert daemon.reason(alice) == ("unavailable" if is_settled else "unmapped")
    assert daemon.reason(bob, "bob") == "allowed"
    if is_settled:
        daemon.wait_for_line("mapping 1 breaks the rules of the schema")
    else:
        assert status(mapped, 1) == ("problem", "the row breaks the rules of the schema")
    mapped.sql(f"UPDATE mapping SET {column} = {good} WHERE id = 1;")
    assert daemon.reason(alice) == "allowed"


@pytest.mark.parametrize("change", ["enabled = 5", "enabled = NULL", "inherit = NULL"])
def test_a_policy_that_got_past_the_checks_refuses(mapped, daemon, alice, change):
    mapped.sql(f"PRAGMA ignore_check_constraints = ON; UPDATE service SET {change};")
    assert daemon.reason(alice) == "unavailable"
    daemon.wait_for_line("policy of the service breaks the rules of the schema")
    mapped.sql("UPDATE service SET enabled = 1, inherit = 1;")
    assert daemon.reason(alice) == "allowed"


# What a service may hand over ------------------------------------------------------------------


def wrapped(text, width, ends="\n"):
    return ends.join(text[at:at + width] for at in range(0, len(text), width))


def body(certificate):
    return "".join(certificate.pem.splitlines()[1:-1])


def armour(certificate, text):
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"


FORMS = {
    "pem": lambda c: c.pem,
    "without the last line feed": lambda c: c.pem.rstrip("\n"),
    "crlf": lambda c: c.pem.replace("\n", "\r\n"),
    "folded by tabs": lambda c: c.pem.rstrip("\n").replace("\n", "\n\t"),
    "folded by spaces": lambda c: c.pem.rstrip("\n").replace("\n", "\r\n "),
    "line feeds as spaces": lambda c: c.pem.rstrip("\n").replace("\n", " "),
    "one long line": lambda c: armour(c, body(c)),
    "76 to a line": lambda c: armour(c, wrapped(body(c), 76)),
    "3 to a line": lambda c: armour(c, wrapped(body(c), 3)),
    "openssl x509 -text": lambda c: run("openssl", "x509", "-text", "-in", c.path).decode(),
    "text after it": lambda c: c.pem + "That was all.\n",
    "percent-encoded": lambda c: urllib.parse.quote(c.pem, safe=""),
    "percent-encoded, plus and slash not": lambda c: urllib.parse.quote(c.pem, safe="+/=-"),
    "base64 in one line": lambda c: c.base64,
    "base64 in several lines": lambda c: wrapped(c.base64, 64) + "\n",
    "base64 in several lines with crlf": lambda c: wrapped(c.base64, 64, "\r\n"),
    "between colons": lambda c: f":{c.base64}:",
}
NO_FORMS = {
    "white space": lambda c: " \n",
    "(null)": lambda c: "(null)",
    "DER": lambda c: c.der,
    "two": lambda c: c.pem + c.pem,
    "two in one line": lambda c: c.base64 + c.base64,
    "between colons twice": lambda c: f":{c.base64}:, :{c.base64}:",
    "NUL at the end": lambda c: c.pem + "\0",
    "NUL inside": lambda c: c.pem[:100] + "\0" + c.pem[100:],
    "byte order mark": lambda c: "\ufeff" + c.pem,
    "UTF-16": lambda c: c.pem.encode("utf-16"),
    "trusted": lambda c: c.pem.replace(" CERTIFICATE", " TRUSTED CERTIFICATE"),
    "PKCS7": lambda c: c.pem.replace(" CERTIFICATE", " PKCS7"),
    "private key beside it": lambda c: c.pem + c.key_path.read_text(),
    "no end": lambda c: c.pem[:-30],
    "no begin": lambda c: c.pem[10:],
    "percent-encoded twice": lambda c: urllib.parse.quote(urllib.parse.quote(c.pem, safe=""),
                                                          safe=""),
    "cut base64": lambda c: c.base64[:-8],
    "base64 with a wrong character": lambda c: c.base64[:40] + "*" + c.base64[41:],
    "base64 of base64": lambda c: base64.b64encode(c.base64.encode()),
    "a file's name": lambda c: str(c.path),
    "a fingerprint": lambda c: c.fingerprint,
}


def test_each_textual_form_is_read(mapped, daemon, alice):
    assert {name: daemon.reason(form(alice)) for name, form in FORMS.items()} == (
        dict.fromkeys(FORMS, "allowed"))


def test_what_is_not_exactly_one_certificate_in_one_encoding_is_malformed(mapped, daemon, alice):
    assert {name: daemon.reason(form(alice)) for name, form in NO_FORMS.items()} == (
        dict.fromkeys(NO_FORMS, "malformed-certificate"))


def test_an_rsa_certificate_stored_as_text_is_found(database, daemon, bob):
    database.sql("INSERT INTO mapping(account, certificate) VALUES('bob', readfile('bob.b64'));")
    assert {daemon.reason(form(bob), "bob") for form in FORMS.values()} == {"allowed"}


def test_a_key_that_openssl_need_not_know_maps_like_any_other(database, daemon):
    """ML-DSA-87, made by OpenSSL 3.5: what an older one can't decode, and 7,480 bytes."""
    der = (TREE / "tests" / "fuzz" / "certificate" / "kept-ml-dsa-87").read_bytes()
    database.sql(f"INSERT INTO mapping(account, certificate) VALUES('alice', x'{der.hex()}')")
    reply = daemon.ask(base64.b64encode(der))
    assert (reply["reason"], reply["subject"]) == ("allowed", "CN=alice")
    assert reply["fingerprint"] == hashlib.sha256(der).hexdigest()
    assert daemon.reason(base64.b64encode(der[:-1] + b"\0")) == "unmapped"
    assert daemon.reason(base64.b64encode(der), "bob") == "account-mismatch"
    key = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-pubkey"], input=der,
                         capture_output=True, check=False)
    if key.returncode == 0:
        spki = base64.b64decode(b"".join(key.stdout.splitlines()[1:-1]))
        assert daemon.reason(hashlib.sha256(spki).hexdigest(), kind="key") == "allowed"


# Identity is the exact bytes -------------------------------------------------------------------


def as_pem(der):
    return ("-----BEGIN CERTIFICATE-----\n"
            + wrapped(base64.b64encode(der).decode(), 64) + "\n-----END CERTIFICATE-----\n")


def read_tlv(der, at):
    """The content of the element at an offset, and where it ends."""
    length, at = der[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7f
        length, at = int.from_bytes(der[at:at + octets], "big"), at + octets
    return der[at:at + length], at + length


def tlv(tag, content):
    octets = b""
    if len(content) > 127:
        octets = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    head = 0x80 | len(octets) if octets else len(content)
    return bytes([tag, head]) + octets + content


def integer(number):
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551


def with_other_signature(der):
    """(r, s) -> (r, n - s): anybody can do it, and it still verifies."""
    inside = read_tlv(der, 0)[0]
    _, body_end = read_tlv(inside, 0)
    _, algorithm_end = read_tlv(inside, body_end)
    signature = read_tlv(inside, algorithm_end)[0][1:]
    numbers = read_tlv(signature, 0)[0]
    r, r_end = read_tlv(numbers, 0)
    s, _ = read_tlv(numbers, r_end)
    changed = tlv(0x30, integer(int.from_bytes(r, "big"))
                  + integer(P256_ORDER - int.from_bytes(s, "big")))
    return tlv(0x30, inside[:algorithm_end] + tlv(3, b"\0" + changed))


def test_a_signature_that_was_altered_and_still_verifies_does_not_map(mapped, daemon, pki, alice):
    other = with_other_signature(alice.der)
    (pki.directory / "altered.pem").write_text(as_pem(other))
    assert pki.openssl("verify", "-CAfile", "ca.pem", "altered.pem") == b"altered.pem: OK\n"
    assert other != alice.der
    assert daemon.reason(as_pem(other)) == "unmapped"
    assert daemon.reason(as_pem(with_other_signature(other))) == "allowed"


def test_a_reissued_certificate_does_not_map(mapped, daemon, pki):
    again = pki.leaf("alice-again", key_of="alice", subject="/CN=alice")
    assert daemon.reason(again) == "unmapped"


def test_an_equal_fingerprint_alone_does_not_map(mapped, daemon, alice, bob):
    assert daemon.reason(alice) == "allowed"
    mapped.sql("UPDATE fact SET der = readfile('bob.cer');")
    assert daemon.reason(alice) == "unmapped"
    assert daemon.reason(bob) == "unmapped"


BYTES = {
    "a longer outer length": (
        lambda der: b"\x30\x83\0" + der[2:], "malformed-certificate"),
    "an indefinite outer length": (
        lambda der: b"\x30\x80" + der[4:] + b"\0\0", "malformed-certificate"),
    "a trailing byte": (lambda der: der + b"\0", "malformed-certificate"),
    "a missing byte": (lambda der: der[:-1], "malformed-certificate"),
    "another outer tag": (lambda der: b"\x31" + der[1:], "malformed-certificate"),
    "another last bit": (lambda der: der[:-1] + bytes([der[-1] ^ 1]), "unmapped"),
    "junk inside": (lambda der: b"\x30\x82\x01\x00" + b"\xff" * 256, "unmapped"),
    "zeros inside": (lambda der: b"\x30\x82\x01\x00" + b"\0" * 256, "unmapped"),
}


@pytest.mark.parametrize("name", BYTES)
def test_other_bytes_do_not_map(mapped, daemon, alice, name):
    change, reason = BYTES[name]
    assert alice.der[:2] == b"\x30\x82"
    assert daemon.reason(as_pem(change(alice.der))) == reason


# Edits -----------------------------------------------------------------------------------------


def test_each_of_300_edits_is_in_force_at_the_next_lookup(database, daemon, alice):
    edits = (
        ("INSERT INTO mapping(account, certificate) VALUES('alice', readfile('alice.cer'));",
         "allowed"),
        ("UPDATE mapping SET enabled = 0;", "mapping-disabled"),
        ("UPDATE mapping SET enabled = 1;", "allowed"),
        ("UPDATE mapping SET account = 'bob';", "account-mismatch"),
        ("DELETE FROM mapping;", "unmapped"),
    )
    with OpenShell(database) as shell:
        for _ in range(60):
            for edit, reason in edits:
                assert shell.type(edit) == ""
                assert daemon.reason(alice) == reason


def test_edits_of_shells_that_come_and_go_are_in_force_at_once(database, daemon, alice, bob):
    for _ in range(5):
        database.map(alice)
        assert daemon.reason(alice) == "allowed"
        database.sql("UPDATE mapping SET certificate = readfile('bob.cer');")
        assert [daemon.reason(alice), daemon.reason(bob)] == ["unmapped", "allowed"]
        database.sql("DELETE FROM mapping;")
        assert daemon.reason(bob) == "unmapped"


@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE;", "BEGIN EXCLUSIVE;"])
def test_while_a_shell_holds_the_lock_what_was_committed_counts(
        mapped, daemon, alice, bob, carol, begin):
    """No row is worked out when the lock is taken."""
    mapped.sql("INSERT INTO mapping(account, certificate) VALUES('mallory', readfile('alice.pem'))")
    mapped.map(bob, enabled=0)
    with OpenShell(mapped) as shell:
        assert shell.type(begin + "UPDATE mapping SET account = 'dave' WHERE id = 1;"
                          "UPDATE mapping SET enabled = 1 WHERE id = 3;"
                          "INSERT INTO mapping(account, certificate)"
                          " VALUES('carol', readfile('carol.cer'));") == ""
        assert daemon.ask(alice)["mapping-id"] == 1
        assert daemon.reason(alice, "mallory") == "account-mismatch"
        assert daemon.reason(alice, "dave") == "account-mismatch"
        assert daemon.reason(bob, "bob") == "mapping-disabled"
        assert daemon.reason(carol, "carol") == "unmapped"
        assert daemon.reason(alice.fingerprint, phase="account", kind="fingerprint") == "allowed"
        assert shell.type("COMMIT;") == ""
        assert daemon.reason(alice, "dave") == "allowed"
        assert daemon.reason(bob, "bob") == "allowed"
        assert daemon.reason(carol, "carol") == "allowed"


@pytest.mark.parametrize("is_settled", [True, False])
def test_while_a_shell_holds_the_lock_an_exact_row_that_is_queued_hides_as_well(
        mapped, daemon, alice, bob, is_settled):
    if is_settled:
        assert daemon.reason(alice) == "allowed"
    mapped.map(alice, account="dave", service="'proftpd'")
    mapped.map(bob, account="alice", service="'sshd'")
    with OpenShell(mapped) as shell:
        shell.type("BEGIN IMMEDIATE;")
        assert daemon.reason(alice) == "account-mismatch"
        assert daemon.reason(alice, "dave") == "allowed"
        assert daemon.reason(alice, service="sshd") == "unmapped"
        assert daemon.reason(alice, service="login") == "allowed"


def test_what_a_killed_shell_did_not_commit_is_never_seen(mapped, daemon, alice, carol):
    with OpenShell(mapped) as shell:
        shell.type("PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE mapping SET account = 'mallory';"
                   "INSERT INTO mapping(account, certificate)"
                   " VALUES('carol', readfile('carol.cer'));"
                   "CREATE TABLE spill AS SELECT randomblob(4000) FROM generate_series(1, 500);")
        assert daemon.reason(alice) == "allowed"
        shell.kill()
    assert daemon.reason(alice) == "allowed"
    assert daemon.reason(carol, "carol") == "unmapped"
    mapped.sql("UPDATE mapping SET account = 'bob';")
    assert daemon.reason(alice, "bob") == "allowed"
    assert mapped.value("PRAGMA integrity_check") == "ok"


@slow
def test_without_wal_an_exclusive_lock_is_unavailable_and_never_unmapped(mapped, daemon, alice):
    mapped.sql("PRAGMA journal_mode = DELETE;")
    with OpenShell(mapped) as shell:
        shell.type("BEGIN EXCLUSIVE;")
        assert within(2, lambda: daemon.reason(alice)) == "unavailable"
        shell.type("COMMIT;")
        assert daemon.reason(alice) == "allowed"


def test_the_log_witnesses_each_edit(database, daemon, alice):
    assert daemon.reason(alice) == "unmapped"
    database.map(alice)
    assert daemon.reason(alice) == "allowed"
    daemon.wait_for_line("edit ", "object=mapping", "change=insert", "mapping=1", "alice")
    database.sql("UPDATE mapping SET note = 'x' || char(10) || 'certmapd: lookup reason=allowed';"
                 "UPDATE service SET inherit = 0;")
    daemon.reason(alice)
    daemon.wait_for_line("edit ", "object=service", "change=update", "inherit: 1 -> 0")
    (line,) = [line for line in daemon.log() if "change=update" in line and "mapping=1" in line]
    assert "note: NULL -> x" in line and "certmapd: lookup reason=allowed" in line


# Databases that can't be believed --------------------------------------------------------------


def overwrite_pages(path):
    """Garbage in every page but the first."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def replace(path, change):
    """Puts a changed copy into the place of a file, as an editor or `mv` does."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.chmod(0o600)
    change(other)
    os.rename(other, path)


def to_symlink(path):
    path.rename(path.with_name("real"))
    path.symlink_to("real")


def from_symlink(path):
    path.unlink()
    path.with_name("real").rename(path)


def to_directory(path):
    path.rename(path.with_name("real"))
    path.mkdir(0o700)


def from_directory(path):
    path.rmdir()
    path.with_name("real").rename(path)


def mode(bits, parent=False):
    return lambda database: (database.path.parent if parent else database.path).chmod(bits)


def owner(uid, parent=False):
    return lambda database: os.chown(database.path.parent if parent else database.path, uid, 0)


def sql(text):
    return lambda database: database.sql(text)


def away(database):
    database.path.rename(database.path.with_name("away"))


def back(database):
    database.path.with_name("away").rename(database.path)


def from_good(database):
    """Repairs with the shell alone, from the copy that the test keeps."""
    database.sql(f".restore {database.directory / 'good.db'}")


def file_change(change):
    return lambda database: change(database.path)


# name: what happens, a word of the one log line, the repair
BAD = {
    "missing": (away, "is missing", back),
    "writable by the group": (mode(0o660), "writable by others", mode(0o600)),
    "writable by others": (mode(0o602), "writable by others", mode(0o600)),
    "its directory writable by the group":
        (mode(0o770, True), "writable by others", mode(0o700, True)),
    "its directory writable by others":
        (mode(0o707, True), "writable by others", mode(0o700, True)),
    "a symbolic link": (file_change(to_symlink), "symbolic link", file_change(from_symlink)),
    "a directory": (file_change(to_directory), "not a regular file", file_change(from_directory)),
    "of version 0": (sql("PRAGMA user_version = 0;"), "certmapctl migrate",
                     sql(f"PRAGMA user_version = {SCHEMA_VERSION};")),
    "of the next version": (sql(f"PRAGMA user_version = {SCHEMA_VERSION + 1};"), "too old",
                            sql(f"PRAGMA user_version = {SCHEMA_VERSION};")),
    "of version 999": (sql("PRAGMA user_version = 999;"), "too old",
                       sql(f"PRAGMA user_version = {SCHEMA_VERSION};")),
    "of another application": (sql("PRAGMA application_id = 7;"), "not a certmap database",
                               sql(f"PRAGMA application_id = {0x434d4150};")),
    "without its table of facts": (sql("DROP TABLE fact;"), "no such table", from_good),
    "without its table of services": (sql("DROP TABLE service;"), "no such table", from_good),
    "with another column": (sql("ALTER TABLE mapping RENAME COLUMN account_uid TO uid;"),
                            "no such column", from_good),
}
BAD_FILES = {
    "no database": (lambda path: path.write_text("What is this?" * 400), "not a database"),
    "empty": (lambda path: path.write_bytes(b""), "not a certmap database"),
    "corrupt": (overwrite_pages, "malformed"),
}
BAD_OWNERS = {
    "somebody else's": (owner(1000), "belongs to uid 1000", owner(0)),
    "in somebody else's directory": (owner(1000, True), "belongs to uid 1000", owner(0, True)),
}


def cases():
    return ([pytest.param(*case, id=name) for name, case in BAD.items()]
            + [pytest.param(*case, id=name, marks=root) for name, case in BAD_OWNERS.items()]
            + [pytest.param(lambda database, change=change: replace(database.path, change), words,
                            lambda database: replace(database.path, lambda path: path.write_bytes(
                                (database.directory / "good.db").read_bytes())), id=name)
               for name, (change, words) in BAD_FILES.items()])


@pytest.fixture
def kept(mapped):
    """Alice's database, of which a good copy is kept beside it."""
    mapped.sql(f".backup {mapped.directory / 'good.db'}")
    return mapped


def said(daemon):
    """The log without lookups and edits."""
    return [line for line in daemon.log()
            if not re.match("certmapd: (lookup|edit) ", line)]


def test_without_trouble_the_log_says_nothing_but_lookups(mapped, daemon, alice):
    assert daemon.reason(alice) == "allowed"
    daemon.stop()
    assert said(daemon) == []


@pytest.mark.parametrize("damage, words, repair", cases())
def test_it_starts_on_a_bad_database_says_why_once_and_is_right_after_the_repair(
        kept, stopped_daemon, alice, damage, words, repair):
    damage(kept)
    daemon = stopped_daemon.start()
    assert [daemon.reason(alice) for _ in range(5)] == ["unavailable"] * 5
    repair(kept)
    assert [daemon.reason(alice) for _ in range(2)] == ["allowed"] * 2
    daemon.stop()
    cause, recovery = said(daemon)
    assert words in cause and str(kept.directory) in cause
    assert "in use again" in recovery


@pytest.mark.parametrize("damage, words, repair", cases())
def test_a_database_that_turns_bad_is_noticed_at_the_next_lookup(
        kept, daemon, alice, damage, words, repair):
    assert daemon.reason(alice) == "allowed"
    descriptors = daemon.descriptors()
    for _ in range(2):
        damage(kept)
        assert [daemon.reason(alice) for _ in range(3)] == ["unavailable"] * 3
        repair(kept)
        assert [daemon.reason(alice) for _ in range(2)] == ["allowed"] * 2
    assert daemon.descriptors() <= descriptors
    daemon.stop()
    lines = said(daemon)
    assert len([line for line in lines if words in line]) == 2
    assert len([line for line in lines if "in use again" in line]) == 2


def test_a_missing_database_is_never_created(no_database, stopped_daemon, alice):
    daemon = stopped_daemon.start()
    assert daemon.reason(alice) == "unavailable"
    daemon.stop()
    assert list(no_database.directory.iterdir()) == []


def test_a_missing_directory_is_said_so(stopped_daemon, alice):
    stopped_daemon.database_path = "/nonexistent/certmap/mappings.db"
    daemon = stopped_daemon.start()
    assert daemon.reason(alice) == "unavailable"
    daemon.wait_for_line("directory /nonexistent/certmap is missing")


@pytest.fixture
def other_database(pki, tmp_path, migrated):
    """Another database: bob is mapping 1."""
    tmp_path.chmod(0o700)
    other = Database(tmp_path, pki.directory)
    other.path.write_bytes(migrated)
    other.path.chmod(0o600)
    other.map(pki.leaf("bob", key="rsa"))
    return other


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_database_that_takes_the_place_is_seen_at_the_next_lookup_and_alone(
        mapped, daemon, other_database, alice, bob, is_settled):
    """The -wal file of the old one stays behind: its pages must not be read into the new one, where
    alice's fact would stand for bob."""
    if is_settled:
        assert daemon.reason(alice) == "allowed"
    assert daemon.reason(bob, "bob") == "unmapped"
    os.rename(other_database.path, mapped.path)
    assert daemon.reason(alice, "bob") == "unmapped"
    assert daemon.reason(alice) == "unmapped"
    assert daemon.reason(bob, "bob") == "allowed"
    daemon.wait_for_line("another file now")
    assert mapped.value("PRAGMA integrity_check") == "ok"
    assert mapped.value("SELECT group_concat(account) FROM mapping") == "bob"


@slow
def test_a_database_that_takes_the_place_while_a_shell_reads_the_old_one_is_not_mixed(
        mapped, daemon, other_database, alice, bob):
    assert daemon.reason(alice) == "allowed"
    with OpenShell(mapped) as shell:
        shell.type("BEGIN; SELECT count(*) FROM mapping;")
        os.rename(other_database.path, mapped.path)
        assert daemon.reason(alice, "bob") == "unavailable"
        shell.type("COMMIT;")
    assert daemon.reason(alice, "bob") == "unmapped"
    assert daemon.reason(bob, "bob") == "allowed"


def test_a_database_replaced_before_the_daemon_ends_is_not_mixed_either(
        mapped, daemon, other_database, alice, bob):
    assert daemon.reason(alice) == "allowed"
    os.rename(other_database.path, mapped.path)
    daemon.stop()
    daemon.start()
    assert daemon.reason(alice, "bob") == "unmapped"
    assert daemon.reason(bob, "bob") == "allowed"


def test_a_database_moved_away_and_back_lost_nothing(mapped, daemon, alice):
    assert daemon.reason(alice) == "allowed"
    mapped.sql("UPDATE mapping SET account = 'bob';")
    away(mapped)
    assert daemon.reason(alice, "bob") == "unavailable"
    back(mapped)
    assert daemon.reason(alice, "bob") == "allowed"


# Peers with bad manners --------------------------------------------------------------------------

# "These 29 bytes are the same in every version, for ever" (PROTOCOL.md, 4).
UNREADABLE = bytes.fromhex("434d41500102000000000011 80010000000b 756e617661696c61626c65")


def request(certificate, **fields):
    values = {"phase": "authenticate", "mode": "match", "service": "proftpd", "user": "alice",
              "kind": "certificate", "evidence": certificate.pem, "correlation-id": "abc"}
    values.update({name.replace("_", "-"): value for name, value in fields.items()})
    return certmap_client.build_request(values)


def send(daemon, data, **options):
    return certmap_client.exchange(daemon.socket, data, timeout=30, **options)


def wait_until(condition):
    deadline = time.monotonic() + Daemon.PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def unharmed(mapped, daemon, alice):
    """Whatever the test does to it, the daemon answers afterwards and kept no descriptor."""
    assert daemon.reason(alice) == "allowed"
    before = daemon.descriptors()
    yield daemon
    assert daemon.reason(alice) == "allowed"
    wait_until(lambda: daemon.descriptors() == before)


def test_no_truncated_frame_gets_a_verdict(unharmed, alice):
    whole = request(alice)
    assert certmap_client.parse_reply(send(unharmed, whole))["reason"] == "allowed"
    for length in range(len(whole)):
        assert send(unharmed, whole[:length], half_close=True) == b""


def test_no_payload_that_ends_early_is_read(unharmed, alice):
    payload = request(alice)[certmap_client.HEADER.size:]
    for length in range(len(payload)):
        frame = certmap_client.frame(certmap_client.REQUEST, payload[:length])
        # Without the last field alone it would be whole, were that field not required.
        assert send(unharmed, frame) == UNREADABLE


def payload_of(alice):
    return request(alice)[certmap_client.HEADER.size:]


def framed(payload, **options):
    return certmap_client.frame(certmap_client.REQUEST, payload, **options)


FRAMES = {
    "version 0": lambda p: framed(p, version=0),
    "version 2": lambda p: framed(p, version=2),
    "version 255": lambda p: framed(p, version=255),
    "another magic": lambda p: framed(p, magic=b"GET "),
    "a reply": lambda p: certmap_client.frame(certmap_client.REPLY, p),
    "type 0": lambda p: certmap_client.frame(0, p),
    "reserved bytes": lambda p: framed(p, reserved=b"\0\1"),
    "no payload": lambda p: framed(b""),
    "a trailing byte": lambda p: framed(p) + b"\0",
    "two requests": lambda p: framed(p) + framed(p),
    "a length one too short": lambda p: framed(p, length=len(p) - 1),
    "an unknown critical field": lambda p: framed(p + certmap_client.field(0x8000 | 99, b"x")),
    "field 0": lambda p: framed(certmap_client.field(0, b"x") + p),
    "a field twice": lambda p: framed(p + certmap_client.field(10, b"abc")),
    "fields in disorder": lambda p: framed(p + certmap_client.field(9, b"tty")),
    "a field that passes the end": lambda p: framed(
        p + certmap_client.FIELD.pack(99, 2) + b"x"),
    "a field of 4 GiB": lambda p: framed(p + certmap_client.FIELD.pack(99, 2**32 - 1)),
    "an over-long frame": lambda p: framed(p, length=98304 - 12 + 1),
    "a frame of 2 GiB": lambda p: framed(p, length=2**31 - 1),
    "a frame of 4 GiB": lambda p: framed(p, length=2**32 - 1),
    "HTTP": lambda p: b"GET / HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("name", FRAMES)
def test_what_is_no_request_is_unavailable_and_nothing_else(unharmed, alice, name):
    assert send(unharmed, FRAMES[name](payload_of(alice))) == UNREADABLE
    unharmed.wait_for_line("request refused")


@pytest.mark.parametrize("field, value", [
    ("phase", b"\0"), ("phase", b"\3"), ("phase", b"\1\1"), ("phase", None), ("mode", b"\3"),
    ("mode", None), ("kind", b"\6"), ("kind", None), ("service", None), ("service", "ProFTPD"),
    ("service", "*"), ("service", ""), ("service", "a/b"), ("service", "a b"),
    ("service", "s" * 65), ("user", ""), ("user", "u" * 257), ("user", "a\nb"), ("user", "a\0"),
    ("user", "a\x7f"), ("evidence", None), ("evidence", ""), ("evidence", b"A" * 65537),
    ("evidence_second", "CN=x"), ("correlation_id", None), ("correlation_id", ""),
    ("correlation_id", "a b"), ("correlation_id", "c" * 65), ("remote_host", "r" * 257),
    ("remote_host", "a\x1b[2J"), ("tty", "t" * 65), ("credential_wanted", 2),
])
def test_a_request_with_a_wrong_field_is_unavailable_and_nothing_else(
        unharmed, alice, field, value):
    assert send(unharmed, request(alice, **{field: value})) == UNREADABLE


def test_an_unknown_field_that_is_not_critical_is_skipped(unharmed, alice):
    frame = framed(payload_of(alice) + certmap_client.field(99, b"news"))
    assert certmap_client.parse_reply(send(unharmed, frame))["reason"] == "allowed"


def test_the_longest_fields_are_read(unharmed, alice):
    frame = request(alice, evidence=alice.pem + "x" * (65536 - len(alice.pem)), user="u" * 256,
                    service="s" * 64, remote_host="r" * 256, tty="t" * 64,
                    correlation_id="c" * 64)
    assert certmap_client.parse_reply(send(unharmed, frame))["reason"] == "account-mismatch"


def test_the_daemon_answers_while_many_connect_and_close(unharmed, alice):
    for _ in range(100):
        for _ in range(5):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(unharmed.socket)
        assert unharmed.reason(alice) == "allowed"


def test_a_peer_that_does_not_read_its_reply_harms_nobody(unharmed, alice):
    for _ in range(50):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(unharmed.socket)
            connection.sendall(request(alice))
            connection.shutdown(socket.SHUT_RD)
    assert unharmed.reason(alice) == "allowed"


def beside_slow_and_silent_peers(daemon, alice):
    """After how many seconds each of them was cut, and the slowest answer to others meanwhile."""
    frame = request(alice)
    begun = time.monotonic()
    peers = [socket.socket(socket.AF_UNIX) for _ in range(6)]
    for peer in peers:
        peer.connect(daemon.socket)
    silent, halved, *dribbling = peers
    halved.sendall(frame[:len(frame) // 2])
    unsent = {peer: iter(frame[:-1]) for peer in dribbling}

    cut_after, slowest = {}, 0.0
    while len(cut_after) < len(peers):
        assert time.monotonic() - begun < Daemon.PATIENCE
        asked = time.monotonic()
        assert daemon.reason(alice) == "allowed"
        slowest = max(slowest, time.monotonic() - asked)
        for peer in peers:
            if peer in cut_after:
                continue
            try:
                if peer in dribbling:
                    peer.sendall(bytes([next(unsent[peer])]))
                assert peer.recv(1, socket.MSG_DONTWAIT) == b""
                cut_after[peer] = time.monotonic() - begun
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                cut_after[peer] = time.monotonic() - begun
        time.sleep(0.01)
    for peer in peers:
        peer.close()
    return cut_after.values(), slowest


def test_slow_and_silent_peers_are_cut_while_others_are_answered(unharmed, alice):
    """One deadline of a second for a whole request, however it dribbles in (PROTOCOL.md, 1). The
    machine itself may stand still, but not in each of three tries."""
    for _ in range(3):
        cut_after, slowest = beside_slow_and_silent_peers(unharmed, alice)
        assert 0.9 < min(cut_after)
        if max(cut_after) < 2.5 and slowest < 0.8:
            break
    assert max(cut_after) < 2.5
    assert slowest < 0.8
    unharmed.wait_for_line("not whole in time")


def is_closed(connection):
    try:
        return connection.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@root
def test_one_uid_can_not_take_all_places(unharmed, alice):
    """quota.h: 64 connections at a time for any uid but root's."""
    os.chmod(unharmed.socket, 0o666)
    are_there, tell = os.pipe()

    def hold_many():
        held = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        for connection in held:
            connection.connect(unharmed.socket)
        os.write(tell, b".")
        wait_until(lambda: sum(is_closed(connection) for connection in held) >= 36)

    # It meets all of them at once: after a second it cuts who is silent, and has places again.
    unharmed.process.send_signal(signal.SIGSTOP)
    go_on = threading.Thread(target=lambda: (
        os.read(are_there, 1), unharmed.process.send_signal(signal.SIGCONT)))
    go_on.start()
    try:
        as_nobody(hold_many)
    finally:
        # Also where nobody came as far as telling.
        os.write(tell, b".")
        go_on.join()
        os.close(are_there)
        os.close(tell)
    assert unharmed.reason(alice) == "allowed"
    refused = [line for line in unharmed.log()
               if "connection refused" in line and f"peer_uid={NOBODY}" in line]
    assert len(refused) == 36


# Who may ask -------------------------------------------------------------------------------------


@pytest.fixture
def open_to_nobody(mapped, stopped_daemon):
    """Its socket belongs to the group of nobody: bind(2) takes it from the directory."""
    os.chown(stopped_daemon.directory, 0, NOBODY)
    stopped_daemon.directory.chmod(0o2755)
    return stopped_daemon.start()


@root
def test_a_member_of_the_group_may_ask(open_to_nobody, alice):
    daemon = open_to_nobody
    assert os.stat(daemon.socket).st_mode & 0o777 == 0o660
    assert as_nobody(lambda: daemon.reason(alice)) == "allowed"
    daemon.wait_for_line("reason=allowed", f"peer_uid={NOBODY}")


@root
def test_a_member_by_a_further_group_may_ask(mapped, stopped_daemon, alice):
    os.chown(stopped_daemon.directory, 0, 4242)
    stopped_daemon.directory.chmod(0o2755)
    daemon = stopped_daemon.start()
    assert as_nobody(lambda: daemon.reason(alice), groups=[7, 4242, 9]) == "allowed"
    os.chmod(daemon.socket, 0o666)
    assert as_nobody(lambda: daemon.reason(alice), groups=[7, 4243]) == "forbidden"


@root
def test_a_stranger_may_not_ask_even_at_an_open_door(mapped, daemon, alice):
    with pytest.raises(AssertionError, match="Permission denied"):
        as_nobody(lambda: daemon.reason(alice))
    os.chmod(daemon.socket, 0o666)
    reply = json.loads(as_nobody(lambda: json.dumps(daemon.ask(alice))))
    del reply["correlation-id"]
    assert reply == {"reason": "forbidden"}
    daemon.wait_for_line("reason=forbidden", f"peer_uid={NOBODY}")


@root
def test_a_stored_password_is_for_root_alone(open_to_nobody, alice):
    daemon = open_to_nobody
    assert as_nobody(lambda: daemon.reason(alice, credential_wanted=1)) == "forbidden"
    assert as_nobody(lambda: daemon.reason(alice, credential_wanted=0)) == "allowed"
    assert daemon.reason(alice, credential_wanted=1) == "allowed"


def test_a_service_that_delivers_passwords_lets_nobody_in_without_his(mapped, daemon, alice):
    mapped.sql("UPDATE service SET deliver_credential = 1;")
    assert daemon.reason(alice, credential_wanted=1) == "credential-unavailable"
    # Who can't have one does not ask.
    assert daemon.reason(alice, credential_wanted=0) == "allowed"


def test_a_service_in_shadow_mode_hears_of_no_certificate(mapped, daemon, alice, bob):
    mapped.sql("INSERT INTO service (name, shadow) VALUES ('proftpd', 1);")
    for evidence, user, reason in ((alice, "alice", "allowed"), (alice, "bob", "account-mismatch"),
                                   (bob, "bob", "unmapped"), ("junk", "bob",
                                                              "malformed-certificate")):
        reply = daemon.ask(evidence, user, service="proftpd")
        assert (reply["reason"], reply["shadow"]) == ("no-certificate", reason)
        assert not {"account", "mapping-id", "fingerprint", "credential"} & set(reply)
    assert daemon.reason(alice, "alice", service="other") == "allowed"


# Start and end -----------------------------------------------------------------------------------


def outcome(*arguments, **options):
    done = subprocess.run([str(CERTMAPD), *arguments], stdin=subprocess.DEVNULL, timeout=Daemon.PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          **options)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments, words", [
    (["--databse", "/x"], "unrecognized option '--databse'"),
    (["-d", "/x"], "invalid option"),
    (["--database"], "requires an argument"),
    (["--database", "x.db"], "must be absolute: x.db"),
    (["--database", ""], "must be absolute"),
    (["--socket", "lookup"], "must be absolute: lookup"),
    (["--socket", "/x", "more"], "unexpected argument more"),
    (["--help=x"], "doesn't allow an argument"),
])
def test_wrong_usage_exits_with_2_and_words(arguments, words):
    code, out, err = outcome(*arguments)
    assert (code, out) == (2, "") and words in err and "--help" in err


def test_help_and_version_are_told_on_stdout():
    assert outcome("--help")[0::2] == (0, "") and "--database PATH" in outcome("--help")[1]
    assert re.fullmatch(r"certmapd \S+\n", outcome("--version")[1])


def test_without_a_socket_it_says_what_to_do():
    code, _, err = outcome()
    assert code == 1 and "certmapd.socket" in err and "--socket" in err


@pytest.mark.parametrize("path, words", [
    ("/nonexistent/lookup", "No such file or directory"), ("/" + "x" * 200, "too long")])
def test_a_socket_that_can_not_be_made_is_said_so(path, words):
    code, _, err = outcome("--socket", path)
    assert code == 1 and words in err


def test_a_file_that_is_no_socket_is_not_removed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("data")
    assert outcome("--socket", str(precious))[0] == 1
    assert precious.read_text() == "data"


def test_it_ends_well_and_takes_its_socket_along(mapped, daemon, alice):
    assert daemon.reason(alice) == "allowed"
    daemon.stop()
    assert not os.path.lexists(daemon.socket)


def test_who_is_connected_at_the_end_still_gets_an_answer(mapped, daemon, alice):
    frame = request(alice)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(Daemon.PATIENCE)
        connection.connect(daemon.socket)
        connection.sendall(frame[:100])
        wait_until(lambda: daemon.descriptors() > 0 and daemon.reason(alice) == "allowed")
        daemon.process.terminate()
        time.sleep(0.05)
        connection.sendall(frame[100:])
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    assert certmap_client.parse_reply(reply)["reason"] == "allowed"
    assert daemon.process.wait(Daemon.PATIENCE) == 0


def test_the_socket_of_a_killed_daemon_is_taken_over(mapped, daemon, alice):
    assert daemon.reason(alice) == "allowed"
    daemon.kill()
    assert os.path.lexists(daemon.socket)
    daemon.start()
    assert daemon.reason(alice) == "allowed"


def test_the_socket_of_a_living_daemon_is_not_taken_over(mapped, daemon, alice):
    code, _, err = outcome("--database", str(mapped.path), "--socket", daemon.socket)
    assert code == 1 and "in use" in err
    assert daemon.reason(alice) == "allowed"


def test_the_socket_of_a_living_daemon_with_a_full_queue_is_not_taken_over(mapped, daemon, alice):
    daemon.process.send_signal(signal.SIGSTOP)
    queued = []
    try:
        with pytest.raises(BlockingIOError):
            while True:
                queued.append(socket.socket(socket.AF_UNIX))
                queued[-1].setblocking(False)
                queued[-1].connect(daemon.socket)
        assert outcome("--socket", daemon.socket)[0] == 1
    finally:
        daemon.process.send_signal(signal.SIGCONT)
        for connection in queued:
            connection.close()
    assert daemon.reason(alice) == "allowed"


@pytest.fixture
def listening_for_it(stopped_daemon):
    """systemd-socket-activate, which starts certmapd at the first connection, in its own place."""
    daemon = stopped_daemon
    command = ["systemd-socket-activate", "-l", daemon.socket, str(CERTMAPD),
               "--database", str(daemon.database_path)]
    if os.environ.get("ASAN_OPTIONS"):
        command[1:1] = ["-E", "ASAN_OPTIONS"]
    daemon.spawn(command)
    wait_until(lambda: os.path.lexists(daemon.socket))
    yield daemon
    daemon.process.terminate()
    assert daemon.process.wait(Daemon.PATIENCE) == 0


def test_it_takes_the_socket_that_systemd_passes(mapped, listening_for_it, alice):
    assert listening_for_it.reason(alice) == "allowed"
    assert listening_for_it.reason(alice) == "allowed"
    listening_for_it.process.terminate()
    assert listening_for_it.process.wait(Daemon.PATIENCE) == 0
    assert os.path.lexists(listening_for_it.socket), "it is systemd's"


def test_started_by_a_lookup_on_a_missing_database_it_stays(
        no_database, migrated, listening_for_it, alice):
    assert listening_for_it.reason(alice) == "unavailable"
    no_database.path.write_bytes(migrated)
    no_database.map(alice)
    assert listening_for_it.reason(alice) == "allowed"


def test_it_tells_systemd_when_it_is_ready_and_how_it_is(mapped, stopped_daemon, alice, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(stopped_daemon.directory / "notify"))
        told.settimeout(Daemon.PATIENCE)
        daemon = stopped_daemon.start(env={
            **os.environ, "NOTIFY_SOCKET": str(stopped_daemon.directory / "notify")})
        assert "READY=1" in told.recv(4096).decode().splitlines()
        mapped.path.chmod(0o666)
        assert daemon.reason(alice) == "unavailable"
        message = ""
        while "not usable" not in message:
            message = told.recv(4096).decode()
        assert message.startswith("STATUS=")
        daemon.stop()
        while "STOPPING=1" not in message:
            message = told.recv(4096).decode()


# The log -----------------------------------------------------------------------------------------


def values(line):
    """The key=value pairs of a log line, as somebody's program reads them."""
    found = re.findall(r' (\w+)=(?:"([^"]*)"|([^" ]*))(?= |$)', line)
    return [(key, quoted or bare) for key, quoted, bare in found]


def line_of(daemon, reply):
    return daemon.wait_for_line(f"id={reply['correlation-id']}")


def test_a_lookup_is_one_line_with_everything_that_decided(mapped, daemon, alice):
    reply = daemon.ask(alice, "bob", remote_host="192.0.2.7", tty="ftpd17")
    assert dict(values(line_of(daemon, reply))) == {
        "reason": "account-mismatch", "phase": "authenticate", "service": "proftpd",
        "asked": "bob", "account": "alice", "mapping": "1", "fingerprint": alice.fingerprint,
        "rhost": "192.0.2.7", "tty": "ftpd17", "id": reply["correlation-id"],
        "peer_uid": str(os.getuid()), "peer_pid": str(os.getpid())}


@pytest.mark.parametrize("name", [
    "x reason=allowed", 'x" reason="allowed', "x\\", 'x\\" reason=allowed', "=", "a=b", "",
    "x\u2028reason=allowed", "x\u202ereason=allowed", "\u00e5lice", "x'y", "%n%s",
])
def test_no_name_forges_a_part_of_a_line(mapped, daemon, alice, name):
    reply = daemon.ask(alice, name or None, remote_host=name, tty=name)
    line = line_of(daemon, reply)
    assert [key for key, _ in values(line)].count("reason") == 1
    assert dict(values(line))["reason"] == "account-mismatch"
    assert {"service", "id", "peer_uid"} <= set(dict(values(line)))
    assert line.isascii() and line.isprintable()


@pytest.mark.parametrize("byte", ["x", '"', "\\", "\u00e5", " "])
def test_a_line_has_at_most_a_kibibyte(mapped, daemon, alice, byte):
    size = len(byte.encode())
    reply = daemon.ask(alice, byte * (256 // size), remote_host=byte * (256 // size),
                       tty=byte * (64 // size), service="s" * 64, correlation_id="c" * 64)
    assert reply["reason"] == "account-mismatch"
    line = daemon.wait_for_line("lookup reason=account-mismatch")
    assert len(line.encode()) <= 1024 and line.startswith("certmapd: lookup ")


def test_each_event_is_one_line(mapped, daemon, alice):
    count = 20
    for _ in range(count):
        daemon.ask(alice, "a reason=allowed")
    daemon.stop()
    assert len([line for line in daemon.log() if "lookup reason=" in line]) == count
    assert len(daemon.log()) == count


def test_a_hostile_subject_stays_printable(database, daemon, pki):
    certificate = pki.leaf("hostile", subject="/CN=a\x1b[2J\nreason=allowed\u202e%n")
    database.map(certificate, account="alice")
    reply = daemon.ask(certificate)
    assert reply["reason"] == "allowed"
    assert reply["subject"].isascii() and reply["subject"].isprintable()


def test_a_hostile_account_stays_one_value(database, daemon, alice):
    database.map(alice, account="x reason=allowed")
    reply = daemon.ask(alice)
    assert reply["account"] == "x reason=allowed"
    assert dict(values(line_of(daemon, reply)))["reason"] == "account-mismatch"


# The status --------------------------------------------------------------------------------------

def ask_status(daemon, **options):
    frame = certmap_client.build_message(
        certmap_client.STATUS_REQUEST, certmap_client.STATUS_REQUEST_FIELDS,
        {"correlation-id": "00c0ffee"})
    return certmap_client.exchange(daemon.socket, frame, **options)


def parse_status(data):
    return certmap_client.parse_message(
        certmap_client.STATUS, certmap_client.STATUS_FIELDS, data)


@pytest.mark.root
def test_root_hears_the_status_and_asking_is_not_counted(daemon, database, alice, bob):
    database.map(alice)
    for evidence in (alice, alice, bob, "junk"):
        daemon.ask(evidence)
    first = parse_status(ask_status(daemon))
    second = parse_status(ask_status(daemon))
    counts = dict(pair.split("=") for pair in first["counts"].split(" "))
    assert {word: count for word, count in counts.items() if count != "0"} == {
        "allowed": "2", "unmapped": "1", "malformed-certificate": "1"}
    assert first == second
    assert first["pid"] == daemon.process.pid
    assert abs(first["started"] - time.time()) < 60
    assert (first["database-usable"], first["shadowed"]) == (1, 0)


@pytest.mark.root
def test_nobody_else_hears_the_status(daemon):
    os.chmod(daemon.socket, 0o666)
    os.chown(daemon.socket, 0, NOBODY)
    reply = certmap_client.parse_reply(bytes.fromhex(as_nobody(lambda: ask_status(daemon).hex())))
    assert reply == {"reason": "forbidden", "correlation-id": "00c0ffee"}
    daemon.wait_for_line("the status is for root alone")
