# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows C: what stands in certificates."""
import base64
import re

import pytest

from faults import fault
from pam_stage import AUTH_ERR, SUCCESS
from shell_stage import NEW_KEYS, Certificate

# Object identifiers as they stand in DER, each pair of one length.
EC_KEY, UNKNOWN_KEY = bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d027f")
RSA_KEY, ML_DSA_44 = (bytes.fromhex("06092a864886f70d010101"),
                      bytes.fromhex("0609608648016503040311"))
UNCOMPRESSED_POINT = bytes.fromhex("03420004")


def changed(certificate, old, new):
    """The certificate with other bytes in its key. Its signature is wrong then, which nobody looks
    at: the TLS service has."""
    assert certificate.der.count(old) == 1 and len(old) == len(new)
    return certificate.der.replace(old, new)


KEYS = {
    "ML-DSA": ("rsa", RSA_KEY, ML_DSA_44),
    "no known key": ("ec", EC_KEY, UNKNOWN_KEY),
    "off the curve": ("ec", UNCOMPRESSED_POINT, None),
}


@pytest.mark.parametrize("key, old, new", KEYS.values(), ids=KEYS)
@fault("C06")
def test_certificate_with_a_key_of_no_use_is_mapped_by_its_bytes(
        database, daemon, pki, key, old, new):
    certificate = pki.leaf(f"strange-{key}", key=key)
    if new is None:
        at = certificate.der.index(old) + len(old)
        old, new = certificate.der[at:at + 8], bytes(8)
    der = changed(certificate, old, new)
    database.sql(f"INSERT INTO mapping(account, certificate) VALUES('alice', x'{der.hex()}');")
    reply = daemon.ask(base64.b64encode(der).decode())
    assert (reply["reason"], reply.get("account")) == ("allowed", "alice")
    assert daemon.reason(certificate) == "unmapped"


# A common name has 64 characters at most (RFC 5280, appendix A.1) for the openssl command line, a
# `name` 32,768.
SUBJECTS = {
    "line": "/CN=x\r\ncertmapd: lookup reason=allowed user=root",
    "field": "/CN=x\nCERTMAP_REASON=forged\nMESSAGE=lookup reason=forged",
    "terminal": "/CN=\x1b[2J\x1b]0;x\x07\u009b31m\b\x7f reason=forged",
    "format": "/CN=%n%s%n%99999d%1$s",
    "direction": "/CN=x\u202e\u2028reason=forged\u0085\u2066",
    # As subject and issuer they make a PEM of 60 KB, where evidence is 64 KiB of text at most.
    "long": "/CN=x/name=" + "\r\nlookup reason=forged \x1b[2J%n" * 765,
}
# What a log makes of them: RFC 4514 escapes a control as \0A, where the name is read, and so are
# those that have no glyph; the backslash is escaped once more, where the line is written.
TRACES = {
    "line": rb"CN=x\x5c0D\x5c0Acertmapd: lookup",
    "field": rb"CN=x\x5c0ACERTMAP_REASON=forged\x5c0AMESSAGE=",
    "terminal": rb"CN=\x5c1B[2J\x5c1B]0",
    "format": rb"CN=%n%s%n%99999d%1$s",
    "direction": rb"CN=x\x5cE2\x5c80\x5cAE\x5cE2\x5c80\x5cA8reason=",
    "long": rb"\x5c0D\x5c0Alookup reason=forged \x5c1B[2J%n",
}
# `lookup key=value key="va lue" ...`, as certmapd(8) has it.
VALUE = rb'([a-z_]+)=("[^"]*"|[^" ]*)'
LOOKUP_LINE = re.compile(rb"certmapd: lookup(?: " + VALUE + rb")+")
LOG_LINE_MAX_BYTES = 1024
# How each certificate is asked for: user, whether an authority must have issued it, reason. The
# last one makes the log speak of names.
LOOKUPS = [("alice", 0, "allowed"), ("root", 0, "account-mismatch"),
           ("alice", 1, "untrusted-issuer")]
REASONS = [reason for _, _, reason in LOOKUPS]
REQUIRE_TRUST = "UPDATE service SET require_trust = {} WHERE name = '*';"


def hostile(pki, name):
    """Self-signed, so that the same stands in the issuer's name."""
    pki.openssl("req", "-x509", *NEW_KEYS["ec"], "-nodes", "-utf8", "-days", "30", "-subj",
                SUBJECTS[name], "-keyout", f"hostile-{name}.key", "-out", f"hostile-{name}.pem")
    return Certificate(pki.directory, f"hostile-{name}")


def assert_harmless(line):
    assert len(line) <= LOG_LINE_MAX_BYTES, line
    assert re.fullmatch(rb"[ -~]*", line), line


@pytest.mark.parametrize("name", SUBJECTS)
@fault("C05")
def test_hostile_names_make_one_harmless_line_per_event(database, daemon, pki, figure, name):
    certificate = hostile(pki, name)
    assert name != "long" or 60_000 < len(certificate.pem) < 65_536
    database.map(certificate, account="alice")
    database.trust("anchor", "ca.pem")
    replies = []
    for user, requires_trust, _ in LOOKUPS:
        database.sql(REQUIRE_TRUST.format(requires_trust))
        replies.append(daemon.ask(certificate, user=user))
    daemon.stop()
    assert [reply["reason"] for reply in replies] == REASONS
    log = daemon.log_path.read_bytes()
    assert log.endswith(b"\n")
    lines = log[:-1].split(b"\n")
    for line in lines:
        assert line.startswith(b"certmapd: ")
        assert_harmless(line.removeprefix(b"certmapd: "))
    lookups = [line for line in lines if line.startswith(b"certmapd: lookup ")]
    assert len(lookups) == len(LOOKUPS)
    for reply, line in zip(replies, lookups):
        assert LOOKUP_LINE.fullmatch(line), line
        words = dict(re.findall(VALUE, line))
        assert len(words) == len(re.findall(VALUE, line))
        assert words[b"reason"] == reply["reason"].encode()
        assert log.count(reply["correlation-id"].encode()) == 1
        assert reply["correlation-id"].encode() in line
    # The name does stand there: it is no log that leaves it out which passes here.
    assert TRACES[name] in lookups[-1]
    figure(f"{name} {max(map(len, lookups))} bytes")


@pytest.mark.parametrize("name", SUBJECTS)
@fault("C05")
def test_hostile_names_make_one_harmless_line_per_call_of_the_module(
        pam, database, daemon, pki, name):
    certificate = hostile(pki, name)
    database.map(certificate, account="nobody")
    pam.socket = daemon.socket
    pam.service("source=env:CERT")
    environment = {"CERT": certificate.pem}
    let_in = pam.run("start:svc:nobody", "authenticate", "account", "open", "close", "show",
                     environment=environment)
    refused = pam.run("start:svc:daemon", "authenticate", environment=environment)
    assert (let_in.codes, refused.code) == ([SUCCESS] * 4, AUTH_ERR)
    assert len(let_in.raw_log) == 4 and len(refused.raw_log) == 1
    for line in let_in.raw_log + refused.raw_log:
        assert_harmless(line.encode())
    # A line feed in a line would be one of the driver's own, of a kind that it has not.
    kinds = {event[0] for event in let_in.events + refused.events}
    assert kinds <= {"authenticate", "account", "open", "close", "log", "pamenv", "user", "prompts",
                     "messages", "authtok"}, kinds
    assert_harmless(let_in.environment["CERTMAP_SUBJECT"].encode())


def entries_of(box, mark):
    """What certmapd logged since then, and systemd about it did not."""
    return [entry for entry in box.since(mark, _SYSTEMD_UNIT="certmapd.service")
            if entry["_COMM"] == "certmapd"]


def assert_harmless_entry(entry):
    """journalctl(1) prints what is not text as an array of bytes, and a field that came twice as an
    array of both."""
    for field in ["MESSAGE", *(field for field in entry if field.startswith("CERTMAP_"))]:
        assert isinstance(entry[field], str), (field, entry[field])
        assert_harmless(entry[field].encode())
    assert entry["CERTMAP_REASON"] in REASONS


@fault("C05", slow=True)
def test_hostile_names_make_one_harmless_entry_of_the_journal_per_event(box, pki, figure):
    certificates = [hostile(pki, name) for name in SUBJECTS]
    for certificate in certificates:
        box.write(f"/root/clients/{certificate.name}.pem", certificate.pem)
    assert box.ask()["reason"] == "allowed"
    box.sql("INSERT INTO trust(service, kind, content)"
            " VALUES('*', 'anchor', readfile('/root/clients/ca.pem'));")
    mark = box.mark()
    replies = []
    for certificate in certificates:
        box.sql("DELETE FROM mapping; INSERT INTO mapping(account, certificate)"
                f" VALUES('alice', readfile('/root/clients/{certificate.name}.pem'))")
        for user, requires_trust, _ in LOOKUPS:
            box.sql(REQUIRE_TRUST.format(requires_trust))
            replies.append(box.ask(certificate.name, user))
    box.sql("DELETE FROM trust;" + REQUIRE_TRUST.format(0))
    assert [reply["reason"] for reply in replies] == REASONS * len(certificates)
    entries = entries_of(box, mark)
    lookups = [entry for entry in entries if "CERTMAP_ID" in entry]
    assert [entry["CERTMAP_ID"] for entry in lookups] == [
        reply["correlation-id"] for reply in replies]
    for entry in lookups:
        assert_harmless_entry(entry)
    for entry in entries:
        assert_harmless(entry["MESSAGE"].encode())
        assert entry["MESSAGE"].split(" ")[0] in ("lookup", "edit")
    figure(f"journal {len(lookups)} lookups, {len(entries) - len(lookups)} edits, "
           f"{max(len(entry['MESSAGE']) for entry in lookups)} bytes at most")
