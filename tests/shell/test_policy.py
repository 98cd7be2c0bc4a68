# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_policy.py owns what the columns of `service`, `mapping` and `trust` do to a login: people
edit them with the stock sqlite3 shell, and the next lookup of a real certmapd has to obey."""
import os
import pathlib
import re
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time

import pytest

from shell_stage import CA_CONFIG, HOUR, Daemon, OpenShell, Refused, within

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "module"))
from pam_stage import AUTH_ERR, CRED_INSUFFICIENT, SUCCESS, Pam  # noqa: E402

root = pytest.mark.root
slow = pytest.mark.slow

# A login waits at most this long for the daemon, see timeout= in pam_certmap(8).
DEADLINE = 2.0


@pytest.fixture
def mapped(database, alice):
    """Alice is mapping 1."""
    assert database.map(alice) == 1
    return database


@pytest.fixture
def new(pki):
    """Alice's next certificate."""
    return pki.leaf("alice-new", subject="/CN=alice")


@pytest.fixture
def second_daemon(daemon, database):
    """Another certmapd on the same database."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
    directory.chmod(0o755)
    other = Daemon(directory, database.path).start()
    yield other
    other.stop()
    shutil.rmtree(directory)


def values_of(daemon, reply):
    """The key=value pairs of the one log line of this lookup."""
    line = daemon.wait_for_line(f"id={reply['correlation-id']}")
    found = re.findall(r' (\w+)=(?:"([^"]*)"|([^" ]*))(?= |$)', line)
    return {key: quoted or bare for key, quoted, bare in found}


def concern(daemon, evidence, user="alice", **fields):
    """The reason, and what the log line has to add to it."""
    reply = daemon.ask(evidence, user, **fields)
    return reply["reason"], values_of(daemon, reply).get("concern")


def account_phase(daemon, certificate, user="alice"):
    """The reply to the question whether the mapping still stands."""
    return daemon.ask(certificate.fingerprint, user, phase="account", kind="fingerprint")


def status(database, mapping_id):
    return database.value(f"SELECT state FROM mapping_status WHERE id = {mapping_id}")


def updates(database):
    """Who changed `enabled` of which mapping, from what to what, in their order."""
    return [tuple(row.values()) for row in database.rows(
        "SELECT who, mapping_id, old ->> 'enabled', new ->> 'enabled' FROM history"
        " WHERE object = 'mapping' AND change = 'update' ORDER BY id")]


def wait_until(is_true):
    deadline = time.monotonic() + Daemon.PATIENCE
    while not is_true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


# Scope -------------------------------------------------------------------------------------------

NAMES = {"kind": "names", "evidence_second": "CN=Test CA"}
# A column, two of its values, how a login looks that shows them, and its answers.
COLUMNS = {
    "enabled": (1, 0, {}, "allowed", "service-disabled"),
    "inherit": (1, 0, {}, "allowed", "unmapped"),
    "accept_names": (1, 0, NAMES, "allowed", "evidence-not-accepted"),
    "accept_name": (1, 0, {"kind": "name"}, "allowed", "evidence-not-accepted"),
    "require_trust": (0, 1, {}, "allowed", "revocation-unknown"),
    "revocation": ("'off'", "'require'", {}, "allowed", "revocation-unknown"),
    "deliver_credential": (0, 1, {"credential_wanted": 1}, "allowed", "credential-unavailable"),
    "shadow": (0, 1, {}, "allowed", "no-certificate"),
}


def test_every_column_of_policy_is_looked_at(database):
    columns = {row["name"] for row in
               database.rows("SELECT name FROM pragma_table_info('service')")}
    assert columns - {"name", "note", "certificates_per_account"} == set(COLUMNS)


@pytest.mark.parametrize("column", [
    pytest.param(column, marks=[root] if column == "deliver_credential" else [])
    for column in COLUMNS])
def test_null_means_as_in_the_row_of_all_services(mapped, daemon, alice, column):
    one, other, fields, reason_of_one, reason_of_other = COLUMNS[column]
    evidence = {"names": "CN=alice", "name": "alice"}.get(fields.get("kind"), alice.pem)
    if column in ("require_trust", "revocation"):
        mapped.trust("anchor", "ca.pem")
        mapped.sql("UPDATE service SET require_trust = 1;")

    def reasons():
        return [daemon.reason(evidence, service=service, **fields)
                for service in ("proftpd", "sshd")]

    def write(value, service):
        mapped.sql(f"UPDATE service SET {column} = {value} WHERE name = '{service}';")

    # sshd has no row at all.
    mapped.sql("INSERT INTO service (name) VALUES ('proftpd');")
    write(one, "*")
    assert reasons() == [reason_of_one, reason_of_one]
    write(other, "*")
    assert reasons() == [reason_of_other, reason_of_other]
    write(one, "proftpd")
    assert reasons() == [reason_of_one, reason_of_other]
    write("NULL", "proftpd")
    assert reasons() == [reason_of_other, reason_of_other]
    write(one, "*")
    write(other, "proftpd")
    assert reasons() == [reason_of_other, reason_of_one]


def test_null_means_as_many_certificates_as_in_the_row_of_all_services(database, alice, bob):
    database.sql("INSERT INTO service (name) VALUES ('proftpd');")
    database.map(alice, service="'proftpd'")
    with pytest.raises(Refused, match="certificates_per_account"):
        database.map(bob, account="alice", service="'proftpd'")
    database.sql("UPDATE service SET certificates_per_account = 2 WHERE name = '*';")
    database.map(bob, account="alice", service="'proftpd'")
    with pytest.raises(Refused, match="more enabled certificates"):
        database.sql("UPDATE service SET certificates_per_account = 1 WHERE name = 'proftpd';")


def test_a_service_without_inheritance_keeps_the_trust_policy(database, daemon, pki):
    """inherit = 0 drops the mappings of '*' and nothing else."""
    pki.intermediate("inter")
    leaf = pki.leaf("below-inter", issuer="inter")
    pki.revocation_list("clean")
    pki.revocation_list("inter-clean", issuer="inter")
    database.sql("INSERT INTO service (name, inherit) VALUES ('proftpd', 0);"
                 "UPDATE service SET require_trust = 1 WHERE name = '*';")
    database.map(leaf, account="alice")
    assert daemon.reason(leaf) == "unmapped"
    database.map(leaf, account="alice", service="'proftpd'")
    assert daemon.reason(leaf) == "untrusted-issuer"
    anchor = database.trust("anchor", "ca.pem")
    assert daemon.reason(leaf) == "untrusted-issuer"
    database.trust("intermediate", "inter.pem")
    assert daemon.reason(leaf) == "revocation-unknown"
    database.trust("crl", "clean.crl")
    database.trust("crl", "inter-clean.crl")
    assert daemon.reason(leaf) == "allowed"
    database.sql(f"DELETE FROM trust WHERE id = {anchor};")
    assert daemon.reason(leaf) == "untrusted-issuer"


# Trust -------------------------------------------------------------------------------------------


@pytest.fixture
def trusting(mapped):
    """Alice is mapped, and must be trusted; there is no anchor yet. Lists are not looked at."""
    mapped.sql("UPDATE service SET require_trust = 1, revocation = 'off';")
    return mapped


def test_without_an_anchor_nobody_passes(trusting, daemon, alice, bob):
    trusting.map(bob)
    assert daemon.reason(alice) == "untrusted-issuer"
    assert daemon.reason(bob, "bob") == "untrusted-issuer"
    assert account_phase(daemon, alice)["reason"] == "untrusted-issuer"
    assert daemon.reason(alice.fingerprint, kind="fingerprint") == "untrusted-issuer"


@pytest.mark.parametrize("name", ["ca.pem", "ca.cer", "ca-crlf.pem"])
def test_an_anchor_is_pem_or_der(trusting, daemon, alice, name):
    row = trusting.trust("anchor", name)
    assert daemon.reason(alice) == "allowed"
    # The bytes are the daemon's to find where the certificate itself is not presented.
    assert daemon.reason(alice.fingerprint, kind="fingerprint") == "allowed"
    trusting.sql(f"DELETE FROM trust WHERE id = {row};")
    assert daemon.reason(alice) == "untrusted-issuer"


def test_another_anchor_with_the_same_name_does_not_count(trusting, daemon, alice, pki):
    """The name of an issuer proves nothing."""
    pki.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "impostor.key",
                "-out", "impostor.pem", "-subj", "/CN=Test CA")
    trusting.trust("anchor", "impostor.pem")
    assert daemon.reason(alice) == "untrusted-issuer"
    trusting.trust("anchor", "ca.pem")
    assert daemon.reason(alice) == "allowed"


def test_anchors_of_a_service_take_the_place_of_those_of_all(trusting, daemon, alice, pki):
    pki.other_root("other-root")
    leaf = pki.leaf("of-other", issuer="other-root")
    trusting.map(leaf, account="bob")
    trusting.trust("anchor", "ca.pem")
    assert daemon.reason(leaf, "bob") == "untrusted-issuer"
    own = trusting.trust("anchor", "other-root.pem", service="proftpd")
    assert daemon.reason(alice) == "untrusted-issuer"
    assert daemon.reason(leaf, "bob") == "allowed"
    assert daemon.reason(alice, service="sshd") == "allowed"
    assert daemon.reason(leaf, "bob", service="sshd") == "untrusted-issuer"
    trusting.sql(f"DELETE FROM trust WHERE id = {own};")
    assert daemon.reason(alice) == "allowed"


def test_intermediates_and_lists_of_a_service_replace_nothing(trusting, daemon, alice, pki):
    """Only an anchor of its own makes a service forget the anchors of all."""
    pki.intermediate("inter")
    pki.revocation_list("clean")
    trusting.trust("anchor", "ca.pem")
    trusting.trust("intermediate", "inter.pem", service="proftpd")
    trusting.trust("crl", "clean.crl", service="proftpd")
    assert daemon.reason(alice) == "allowed"


def test_intermediates_and_lists_of_all_count_for_a_service_with_its_own_anchor(
        trusting, daemon, pki):
    pki.other_root("other-root")
    pki.intermediate("inter")
    leaf = pki.leaf("below-inter", issuer="inter")
    trusting.map(leaf, account="bob")
    trusting.trust("anchor", "other-root.pem")
    trusting.trust("anchor", "ca.pem", service="proftpd")
    assert daemon.reason(leaf, "bob") == "untrusted-issuer"
    trusting.trust("intermediate", "inter.pem")
    assert daemon.reason(leaf, "bob") == "allowed"
    assert daemon.reason(leaf, "bob", service="sshd") == "untrusted-issuer"
    trusting.sql("UPDATE service SET revocation = 'require';")
    assert daemon.reason(leaf, "bob") == "revocation-unknown"
    trusting.trust("crl", pki.revocation_list("clean") + ".crl")
    assert daemon.reason(leaf, "bob") == "revocation-unknown"
    trusting.trust("crl", pki.revocation_list("inter-names", [leaf], issuer="inter") + ".crl")
    assert daemon.reason(leaf, "bob") == "revoked"


def processor_sec(daemon):
    """What the daemon has used of the processor, proc(5)."""
    stat = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text(encoding="ascii")
    return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def long_list(pki, issuer):
    """Writes a list of this authority with 60,000 entries; its name."""
    name = f"long-{issuer}"
    (pki.directory / f"{name}.index").write_text("".join(
        f"R\t491231000000Z\t260101000000Z\t{2 ** 120 + i:032X}\tunknown\t/CN=x\n"
        for i in range(60000)), encoding="ascii")
    (pki.directory / f"{name}.cnf").write_text(
        CA_CONFIG.replace("index.txt", f"{name}.index"), encoding="ascii")
    pki.openssl("ca", "-batch", "-config", f"{name}.cnf", "-cert", f"{issuer}.pem",
                "-keyfile", f"{issuer}.key", "-gencrl", "-out", f"{name}.crl")
    pki.openssl("crl", "-in", f"{name}.crl", "-outform", "DER", "-out", f"{name}.crl.der")
    return f"{name}.crl.der"


def test_a_name_of_a_service_makes_no_long_list_be_read_again(trusting, daemon, alice, pki):
    """Any client may name any service; nobody else must wait for what that costs."""
    trusting.sql("UPDATE service SET revocation = 'require';")
    trusting.trust("anchor", "ca.pem")
    trusting.trust("crl", long_list(pki, "ca"))

    begun = processor_sec(daemon)
    assert daemon.reason(alice) == "allowed"
    once = processor_sec(daemon) - begun
    for i in range(40):
        assert daemon.reason(alice, service=f"service-{i}") == "allowed"
    assert processor_sec(daemon) - begun < 10 * max(once, 0.02)


def test_a_long_list_is_not_verified_again_where_an_authority_has_two_keys(
        trusting, daemon, alice, pki):
    """Both lists have the name of either. Two services that ask for revocation in two ways share no
    verdict, so that each lookup looks at the lists."""
    pki.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", "ca-next.key", "-out", "ca-next.pem", "-subj", "/CN=Test CA")
    leaf = pki.leaf("of-the-next-key", issuer="ca-next")
    trusting.map(leaf, account="bob")
    trusting.sql("INSERT INTO service (name, revocation) VALUES ('one', 'require'), "
                 "('other', 'prefer');")
    for name in ("ca", "ca-next"):
        trusting.trust("anchor", f"{name}.pem")
        trusting.trust("crl", long_list(pki, name))

    def ask_all():
        for service in ("one", "other"):
            assert daemon.reason(alice, service=service) == "allowed"
            assert daemon.reason(leaf, "bob", service=service) == "allowed"

    begun = processor_sec(daemon)
    ask_all()
    once = processor_sec(daemon) - begun
    for _ in range(25):
        ask_all()
    assert processor_sec(daemon) - begun < 3 * max(once, 0.05)


def test_a_key_that_many_certificates_hold_costs_no_more_than_one_of_them(database, daemon, alice):
    """Any client may ask by it, also where the service accepts none."""
    database.sql("BEGIN;" + "".join(
        "INSERT INTO mapping(account, certificate) "
        f"VALUES('device-{i}', x'{alice.der[:-4].hex()}{i:08x}');" for i in range(3000)) + "COMMIT;")
    deadline = time.monotonic() + 5 * Daemon.PATIENCE
    while daemon.reason("alice", kind="name") == "unavailable":
        assert time.monotonic() < deadline
    (fact,) = database.rows("SELECT lower(hex(key_fingerprint)) AS key, subject_line, issuer_line "
                            "FROM fact LIMIT 1;")

    def cost(reason, *evidence, **fields):
        begun = processor_sec(daemon)
        for _ in range(100):
            assert daemon.reason(*evidence, **fields) == reason
        return processor_sec(daemon) - begun

    one = cost("unmapped", "00" * 32, kind="fingerprint")
    assert cost("ambiguous", fact["key"], kind="key") < 3 * max(one, 0.05)
    assert cost("evidence-not-accepted", fact["subject_line"], kind="names",
                evidence_second=fact["issuer_line"]) < 3 * max(one, 0.05)


def test_an_intermediate_gives_no_trust(trusting, daemon, alice):
    trusting.trust("intermediate", "ca.pem")
    assert daemon.reason(alice) == "untrusted-issuer"


def test_a_certificate_for_servers_is_of_the_wrong_usage(trusting, daemon, pki):
    leaf = pki.leaf("server-only", profile="server")
    trusting.map(leaf, account="bob")
    assert daemon.reason(leaf, "bob") == "untrusted-issuer"
    trusting.trust("anchor", "ca.pem")
    assert daemon.reason(leaf, "bob") == "wrong-usage"
    trusting.sql("UPDATE service SET require_trust = 0;")
    assert daemon.reason(leaf, "bob") == "allowed"


@pytest.mark.parametrize("change, asked, reason", [
    ("UPDATE service SET enabled = 0;", "alice", "service-disabled"),
    ("UPDATE mapping SET enabled = 0;", "alice", "mapping-disabled"),
    ("UPDATE mapping SET valid_until = 1;", "alice", "mapping-expired"),
    ("UPDATE mapping SET valid_from = unixepoch() + 600;", "alice", "mapping-not-yet-valid"),
    ("DELETE FROM mapping;", "alice", "unmapped"),
    ("SELECT 1;", "bob", "untrusted-issuer"),
])
def test_trust_is_a_gate_in_its_place(trusting, daemon, alice, change, asked, reason):
    """What an earlier gate refuses is not looked at, and the log has no concern about it."""
    trusting.sql(change)
    got, words = concern(daemon, alice, asked)
    assert got == reason
    assert (words is not None) == (reason == "untrusted-issuer")


def test_the_validity_of_a_certificate_comes_before_its_trust(trusting, daemon, pki):
    leaf = pki.leaf("expired", start=-48 * HOUR, end=-1 * HOUR)
    trusting.map(leaf, account="bob")
    assert concern(daemon, leaf, "bob") == ("certificate-expired", None)


JUNK = [
    ("anchor", "'nonsense'"), ("anchor", "x'30820003010203'"), ("intermediate", "'nonsense'"),
    ("anchor", "readfile('alice.pem')"), ("anchor", "readfile('ca.pem') || readfile('ca.pem')"),
    ("anchor", "readfile('clean.crl')"), ("crl", "readfile('ca.pem')"),
    ("crl", "readfile('clean.crl') || readfile('clean.crl')"), ("crl", "x'300000'"),
    ("crl", "readfile('clean.crl.der') || x'00'"),
]


@pytest.mark.parametrize("kind, content", JUNK)
def test_a_refusal_names_the_row_of_trust_that_can_not_be_used(
        mapped, daemon, alice, pki, kind, content):
    pki.revocation_list("clean")
    mapped.sql("UPDATE service SET require_trust = 1;")
    if kind == "crl":
        mapped.trust("anchor", "ca.pem")
    row = int(mapped.sql(f"INSERT INTO trust (kind, content) VALUES ('{kind}', {content});"
                         "SELECT last_insert_rowid();"))
    for _ in range(2):
        reason, words = concern(daemon, alice)
        assert reason == ("revocation-unknown" if kind == "crl" else "untrusted-issuer")
        assert f"row {row} of trust: " in words
    mapped.sql(f"DELETE FROM trust WHERE id = {row};")
    assert "of trust" not in concern(daemon, alice)[1]


def test_a_row_that_can_not_be_used_stands_in_nobodys_way(trusting, daemon, alice):
    trusting.sql("INSERT INTO trust (kind, content) VALUES ('anchor', 'nonsense');")
    trusting.trust("anchor", "ca.pem")
    assert concern(daemon, alice) == ("allowed", None)


def test_more_services_than_are_remembered_at_a_time_are_told_apart(
        trusting, daemon, alice, pki):
    pki.other_root("other-root")
    trusting.trust("anchor", "ca.pem")
    services = [f"service{number}" for number in range(20)]
    for service in services[::2]:
        trusting.trust("anchor", "other-root.pem", service=service)
    for _ in range(2):
        assert [daemon.reason(alice, service=service) for service in services] == [
            "untrusted-issuer", "allowed"] * 10


def test_the_row_is_named_also_where_many_services_ask(trusting, daemon, alice):
    row = int(trusting.sql("INSERT INTO trust (kind, content) VALUES ('anchor', 'nonsense');"
                           "SELECT last_insert_rowid();"))
    services = [f"service{number}" for number in range(20)]
    for service in 2 * services:
        assert f"row {row} of trust" in concern(daemon, alice, service=service)[1]


@pytest.mark.parametrize("columns, values, words", [
    ("kind, content", "'anchor', NULL", "readfile() found no such file"),
    ("kind, content", "'anchor', readfile('no-such-file.pem')", "readfile() found no such file"),
    ("kind, content", "'anchor', readfile('ca.key')", "private key, which must stay"),
    ("kind, content", "'anchor', readfile('ca.pem') || readfile('ca.key')", "private key"),
    ("kind, content", "'root', readfile('ca.pem')", "kind is 'anchor', 'intermediate' or 'crl'"),
    ("kind, content", "'', readfile('ca.pem')", "kind is"),
    ("kind, content", "NULL, readfile('ca.pem')", "NOT NULL"),
    ("kind, content", "'anchor', 42", "must be the file itself"),
    ("kind, content", "'anchor', ''", "must be the file itself"),
    ("kind, content", "'anchor', zeroblob(16777217)", "at most 16 MiB"),
    ("service, kind, content", "'ProFTPD', 'anchor', readfile('ca.pem')", "lower case"),
    ("service, kind, content", "'', 'anchor', readfile('ca.pem')", "service must be"),
    ("id, kind, content", "1, 'anchor', readfile('ca.pem')", "row of trust with this id exists"),
])
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"])
def test_a_row_of_trust_that_can_not_be_meant_is_refused_in_words(
        database, verb, columns, values, words):
    database.trust("anchor", "ca.pem")
    statement = f"{verb} INTO trust ({columns}) VALUES ({values});"
    if verb == "INSERT OR IGNORE" and ("kind is" in words or words == "NOT NULL"):
        # SQLite leaves such a row out without a word, as it was asked to.
        database.sql(statement)
        assert database.value("SELECT count(*) FROM trust") == 1
        return
    assert words in database.refusal(statement)


@pytest.mark.parametrize("change, words", [
    ("UPDATE trust SET id = 9 WHERE id = 1;", "id of a row of trust can't be changed"),
    ("UPDATE OR REPLACE trust SET id = 2 WHERE id = 1;", "can't be changed"),
    ("UPDATE trust SET content = NULL WHERE id = 1;", "readfile() found no such file"),
    ("UPDATE trust SET content = readfile('ca.key') WHERE id = 1;", "private key"),
    ("UPDATE trust SET kind = 'ca' WHERE id = 1;", "kind is"),
    ("UPDATE trust SET service = 'X' WHERE id = 1;", "lower case"),
])
def test_a_change_of_trust_that_can_not_be_meant_is_refused_in_words(database, change, words):
    database.trust("anchor", "ca.pem")
    database.trust("anchor", "ca.cer")
    assert words in database.refusal(change)


# Revocation --------------------------------------------------------------------------------------


@pytest.fixture
def revoking(mapped):
    """Alice is mapped, and must be trusted and on no list; there is no list yet."""
    mapped.sql("UPDATE service SET require_trust = 1, revocation = 'require';")
    mapped.trust("anchor", "ca.pem")
    return mapped


def test_a_verdict_is_not_remembered_longer_than_it_holds(revoking, daemon, alice, pki):
    """Each edit is in force at the very next lookup, though chains are not looked at each time."""
    def reasons():
        return {daemon.reason(alice) for _ in range(3)}

    pki.revocation_list("clean")
    pki.revocation_list("names-alice", [alice], start=-60)
    assert reasons() == {"revocation-unknown"}
    clean = revoking.trust("crl", "clean.crl")
    assert reasons() == {"allowed"}
    names = revoking.trust("crl", "names-alice.crl")
    assert reasons() == {"revoked"}
    revoking.sql(f"DELETE FROM trust WHERE id = {names};")
    assert reasons() == {"allowed"}
    revoking.sql(f"UPDATE trust SET content = readfile('names-alice.crl') WHERE id = {clean};")
    assert reasons() == {"revoked"}
    revoking.sql("UPDATE service SET revocation = 'off';")
    assert reasons() == {"allowed"}
    revoking.sql("UPDATE service SET revocation = 'prefer';")
    assert reasons() == {"revoked"}
    revoking.sql(f"UPDATE trust SET service = 'sshd' WHERE id = {clean};")
    assert reasons() == {"allowed"}
    revoking.sql("DELETE FROM trust WHERE kind = 'anchor';")
    assert reasons() == {"untrusted-issuer"}
    revoking.sql("UPDATE service SET require_trust = 0;")
    assert reasons() == {"allowed"}


@pytest.mark.parametrize("ending", [".crl", ".crl.der"])
def test_a_list_is_pem_or_der_and_names_only_whom_it_names(revoking, daemon, alice, bob, pki,
                                                          ending):
    revoking.map(bob)
    pki.revocation_list("names-alice", [alice])
    revoking.trust("crl", f"names-alice{ending}")
    assert daemon.reason(alice) == "revoked"
    assert daemon.reason(bob, "bob") == "allowed"
    assert account_phase(daemon, alice)["reason"] == "revoked"


def test_an_edit_of_another_mapping_keeps_verdicts_right(revoking, daemon, alice, bob, carol, pki):
    """The daemon's own writing (facts, usage, a renewal) does not confuse it either."""
    revoking.trust("crl", pki.revocation_list("names-bob", [bob]) + ".crl")
    for certificate, name in ((bob, "bob"), (carol, "carol")):
        revoking.map(certificate)
        assert daemon.reason(alice) == "allowed"
        assert daemon.reason(certificate, name) == ("revoked" if name == "bob" else "allowed")
    assert daemon.reason(alice) == "allowed"


@pytest.mark.parametrize("rule, reason", [
    ("require", "revocation-unknown"), ("prefer", "allowed"), ("off", "allowed")])
@pytest.mark.parametrize("name, start, end, words", [
    (None, 0, 0, "there is no revocation list"),
    ("stale", -48 * HOUR, -24 * HOUR, "is stale"),
    ("early", 24 * HOUR, 48 * HOUR, "not yet valid"),
])
def test_a_list_that_is_missing_or_stale(revoking, daemon, alice, pki, rule, reason, name, start,
                                         end, words):
    if name:
        revoking.trust("crl", pki.revocation_list(name, start=start, end=end) + ".crl")
    revoking.sql(f"UPDATE service SET revocation = '{rule}';")
    for _ in range(3):
        got, said = concern(daemon, alice)
        assert got == reason
        # Never silent, also where the verdict was remembered.
        assert (said is None) if rule == "off" else (words in said)
    assert account_phase(daemon, alice)["reason"] == reason


@slow
def test_systemctl_status_shows_that_lists_are_missing(revoking, stopped_daemon, alice):
    revoking.sql("UPDATE service SET revocation = 'prefer';")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        path = str(stopped_daemon.directory / "notify")
        told.bind(path)
        told.setblocking(False)
        daemon = stopped_daemon.start(env={**os.environ, "NOTIFY_SOCKET": path})
        message, end = "", time.monotonic() + Daemon.PATIENCE
        # The text is told at most every few seconds, with a lookup.
        while "missing or stale revocation list" not in message:
            assert time.monotonic() < end, message
            assert daemon.reason(alice) == "allowed"
            try:
                message = told.recv(4096).decode()
            except BlockingIOError:
                time.sleep(0.1)
        assert message.startswith("STATUS=")


def test_a_list_signed_by_another_key_says_nothing(revoking, daemon, alice, pki):
    pki.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "impostor.key",
                "-out", "impostor.pem", "-subj", "/CN=Test CA")
    pki.revocation_list("impostor-list", [alice], issuer="impostor")
    revoking.trust("crl", "impostor-list.crl")
    reason, words = concern(daemon, alice)
    assert reason == "revocation-unknown" and "signed by another key" in words


def test_off_does_not_look_at_lists(revoking, daemon, alice, pki):
    revoking.trust("crl", pki.revocation_list("names-alice", [alice]) + ".crl")
    assert daemon.reason(alice) == "revoked"
    revoking.sql("UPDATE service SET revocation = 'off';")
    assert concern(daemon, alice) == ("allowed", None)


@slow
def test_a_verdict_does_not_outlive_the_list_that_it_comes_from(revoking, daemon, alice, pki):
    """Nobody edits anything: the clock alone makes it stale."""
    revoking.trust("crl", pki.revocation_list("short", end=6) + ".crl")
    told = pki.openssl("crl", "-in", "short.crl", "-noout", "-nextupdate").decode()
    last_second = ssl.cert_time_to_seconds(told.strip().removeprefix("nextUpdate="))
    seen = []
    while time.time() < last_second + 2.5:
        before = int(time.time())
        reason = daemon.reason(alice)
        after = int(time.time())
        if after <= last_second:
            assert reason == "allowed"
        elif before > last_second:
            assert reason == "revocation-unknown"
        seen.append(reason)
        time.sleep(0.05)
    assert set(seen) == {"allowed", "revocation-unknown"}


# Staged renewal ----------------------------------------------------------------------------------


@pytest.fixture
def staged(mapped, new):
    """Alice's next certificate waits as mapping 2."""
    assert stage(mapped, new) == 2
    return mapped


def stage(database, certificate, replaces=1, **columns):
    return database.map(certificate, account="alice", enabled=0, replaces=replaces, **columns)


def is_still_staged(database, old_is="in force"):
    # Not by mapping_status: the daemon may answer before it has written the facts down.
    enabled = [row["enabled"] for row in database.rows("SELECT enabled FROM mapping ORDER BY id")]
    return enabled == [old_is == "in force", 0] and not [
        update for update in updates(database) if update[0] == "certmapd"]


def test_the_first_login_puts_a_renewal_into_force(staged, daemon, alice, new):
    assert daemon.reason(alice) == "allowed"
    assert is_still_staged(staged)
    reply = daemon.ask(new)
    assert (reply["reason"], reply["mapping-id"]) == ("allowed", 2)
    assert values_of(daemon, reply)["took_over"] == "1"
    assert updates(staged) == [("certmapd", 1, 1, 0), ("certmapd", 2, 0, 1)]
    assert (status(staged, 1), status(staged, 2)) == ("disabled", "in force")
    assert daemon.reason(alice) == "mapping-disabled"
    reply = daemon.ask(new)
    assert reply["reason"] == "allowed" and "took_over" not in values_of(daemon, reply)
    assert len(updates(staged)) == 2
    assert staged.value("SELECT count(*) FROM actor") == 0


def test_a_later_edit_of_a_shell_is_not_the_daemons(staged, daemon, new):
    assert daemon.reason(new) == "allowed"
    staged.sql("UPDATE mapping SET note = 'x' WHERE id = 2;")
    assert updates(staged)[-1] == (None, 2, 1, 1)


@pytest.mark.parametrize("phase, kind", [
    ("account", "fingerprint"), ("account", "certificate"), ("authenticate", "fingerprint"),
    ("authenticate", "names"), ("authenticate", "name"),
])
def test_neither_the_account_phase_nor_weaker_evidence_puts_it_into_force(
        staged, daemon, alice, new, phase, kind):
    staged.sql("UPDATE service SET accept_names = 1, accept_name = 1;")
    evidence = {"certificate": new.pem, "fingerprint": new.fingerprint, "names": "CN=alice",
                "name": "alice"}[kind]
    second = "CN=Test CA" if kind == "names" else None
    reply = daemon.ask(evidence, phase=phase, kind=kind, evidence_second=second)
    if kind == "fingerprint":
        assert (reply["reason"], reply["mapping-id"]) == ("mapping-disabled", 2)
    elif kind == "certificate":
        assert reply["reason"] == "evidence-not-accepted"
    else:
        # Both have the names, and one is in force.
        assert (reply["reason"], reply["mapping-id"]) == ("allowed", 1)
    assert daemon.reason(alice) == "allowed"
    assert is_still_staged(staged)


@pytest.mark.parametrize("change, asked, reason", [
    ("SELECT 1;", "bob", "account-mismatch"),
    ("UPDATE mapping SET staged_until = unixepoch() - 1 WHERE id = 2;", "alice",
     "mapping-disabled"),
    ("UPDATE mapping SET valid_from = unixepoch() + 600 WHERE id = 2;", "alice",
     "mapping-not-yet-valid"),
    ("UPDATE mapping SET valid_until = 1 WHERE id = 2;", "alice", "mapping-expired"),
    ("UPDATE service SET require_trust = 1;", "alice", "untrusted-issuer"),
    ("UPDATE service SET enabled = 0;", "alice", "service-disabled"),
    ("UPDATE mapping SET replaces = NULL WHERE id = 2;", "alice", "mapping-disabled"),
    # Nobody's login disables the mapping of somebody else.
    ("UPDATE mapping SET account = 'bob' WHERE id = 1;", "alice", "mapping-disabled"),
    ("UPDATE mapping SET service = 'sshd' WHERE id = 1;", "alice", "mapping-disabled"),
    ("UPDATE mapping SET account = 'bob' WHERE id = 2;", "bob", "mapping-disabled"),
])
def test_a_login_that_a_gate_refuses_puts_nothing_into_force(
        staged, daemon, new, change, asked, reason):
    staged.sql(change)
    before = staged.rows("SELECT id, enabled FROM mapping")
    assert daemon.reason(new, asked) == reason
    assert staged.rows("SELECT id, enabled FROM mapping") == before
    assert "certmapd" not in [who for who, *_ in updates(staged)]


def test_it_can_be_put_into_force_until_it_lapses(staged, daemon, new):
    staged.sql("UPDATE mapping SET staged_until = unixepoch() + 600 WHERE id = 2;")
    assert daemon.reason(new) == "allowed"
    # Then the staging is over, and has no end.
    with pytest.raises(Refused, match="valid_until"):
        staged.sql("UPDATE mapping SET staged_until = 1 WHERE id = 2;")
    assert daemon.reason(new) == "allowed"


def test_who_was_shut_out_is_not_let_in_by_the_next_certificate(staged, daemon, alice, new):
    staged.sql("UPDATE mapping SET enabled = 0 WHERE id = 1;")
    assert daemon.reason(new) == "mapping-disabled"
    assert daemon.reason(alice) == "mapping-disabled"
    assert is_still_staged(staged, old_is="disabled")
    staged.sql("UPDATE mapping SET enabled = 1 WHERE id = 1;")
    assert daemon.reason(new) == "allowed"


def test_a_row_that_is_gone_is_in_nobodys_way(staged, daemon, new):
    staged.sql("DELETE FROM mapping WHERE id = 1;")
    assert daemon.reason(new) == "allowed"
    assert updates(staged) == [("certmapd", 2, 0, 1)]


def test_it_does_not_become_a_second_certificate_of_its_account(staged, daemon, new, carol):
    """The row it replaces is gone, and the account got another certificate meanwhile."""
    staged.sql("DELETE FROM mapping WHERE id = 1;")
    staged.map(carol, account="alice")
    assert daemon.reason(new) == "mapping-disabled"
    assert updates(staged) == []
    assert daemon.reason(carol) == "allowed"
    daemon.wait_for_line("certificates_per_account")


@pytest.mark.parametrize("old", ["DELETE FROM mapping WHERE id = 1;",
                                 "UPDATE mapping SET enabled = 1 WHERE id = 1;"])
@pytest.mark.parametrize("by", ["login", "shell"])
def test_a_renewal_that_was_in_force_and_is_disabled_stays_so(staged, daemon, new, by, old):
    """The stolen laptop: nobody staged its certificate for a second time."""
    if by == "login":
        assert daemon.reason(new) == "allowed"
    else:
        staged.sql("UPDATE mapping SET enabled = 0 WHERE id = 1;"
                   "UPDATE mapping SET enabled = 1 WHERE id = 2;")
    staged.sql("UPDATE mapping SET enabled = 0 WHERE id = 2;" + old)
    assert daemon.reason(new) == "mapping-disabled"
    assert staged.value("SELECT enabled FROM mapping WHERE id = 2") == 0
    assert status(staged, 2) == "disabled"


def test_of_several_certificates_only_the_replaced_one_is_disabled(
        mapped, daemon, alice, new, bob, carol):
    mapped.sql("UPDATE service SET certificates_per_account = 3;")
    mapped.map(bob, account="alice")
    mapped.map(carol, account="alice")
    stage(mapped, new, replaces=2)
    assert daemon.reason(new) == "allowed"
    assert updates(mapped) == [("certmapd", 2, 1, 0), ("certmapd", 4, 0, 1)]
    assert [daemon.reason(certificate) for certificate in (alice, bob, carol, new)] == [
        "allowed", "mapping-disabled", "allowed", "allowed"]


def test_a_renewal_of_a_renewal(staged, daemon, alice, new, carol):
    """What waits for what waits itself is not put into force first."""
    stage(staged, carol, replaces=2)
    assert daemon.reason(carol) == "mapping-disabled"
    assert daemon.reason(new) == "allowed"
    assert daemon.reason(carol) == "allowed"
    assert [daemon.reason(certificate) for certificate in (alice, new, carol)] == [
        "mapping-disabled", "mapping-disabled", "allowed"]


def test_many_logins_at_once_on_two_daemons_make_one_change(
        staged, daemon, second_daemon, alice, new):
    answers, problems = [], []
    start = threading.Barrier(16)

    def log_in(number):
        asked = (daemon, second_daemon)[number % 2]
        certificate = alice if number % 4 == 3 else new
        start.wait()
        try:
            for _ in range(8):
                began = time.monotonic()
                reason = asked.reason(certificate)
                answers.append((certificate, began, time.monotonic(), reason))
        except Exception as error:  # a thread's exception is nobody's else
            problems.append(error)

    threads = [threading.Thread(target=log_in, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert {reason for certificate, *_, reason in answers if certificate is new} == {"allowed"}, (
        daemon.log(), second_daemon.log())
    in_force = min(end for certificate, _, end, _ in answers if certificate is new)
    for certificate, began, _, reason in answers:
        if certificate is alice:
            assert reason in ("allowed", "mapping-disabled")
            assert began < in_force or reason == "mapping-disabled"
    assert updates(staged) == [("certmapd", 1, 1, 0), ("certmapd", 2, 0, 1)]
    logs = daemon.log() + second_daemon.log()
    assert len([line for line in logs if "took_over=1" in line]) == 1


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_shell_that_holds_the_lock_makes_it_wait(staged, daemon, alice, new, is_settled):
    if is_settled:
        assert daemon.reason(alice) == "allowed"
    with OpenShell(staged) as shell:
        assert shell.type("BEGIN IMMEDIATE;") == ""
        assert within(DEADLINE, lambda: daemon.reason(new)) == "unavailable"
        assert daemon.reason(alice) == "allowed"
        assert shell.type("COMMIT;") == ""
        assert daemon.reason(new) == "allowed"
    assert updates(staged) == [("certmapd", 1, 1, 0), ("certmapd", 2, 0, 1)]


def reason_beside(database, daemon, certificate, statements):
    """The reason that is told to one who asks while a shell has typed this, which it commits soon.
    Where the machine stands still the daemon's time is over before: three tries."""
    for _ in range(3):
        with OpenShell(database) as shell:
            assert shell.type(statements) == ""
            free = threading.Timer(0.3, lambda: shell.type("COMMIT;"))
            free.start()
            reason = daemon.reason(certificate)
            free.join()
        if reason != "unavailable":
            break
    return reason


def test_who_waits_for_the_lock_is_answered_when_it_is_free(staged, daemon, new):
    assert reason_beside(staged, daemon, new, "BEGIN IMMEDIATE;") == "allowed"


def test_what_the_shell_changes_meanwhile_counts(staged, daemon, new):
    """Everything is asked once more when the lock is free."""
    assert reason_beside(
        staged, daemon, new, "UPDATE mapping SET enabled = 1 WHERE id = 1;"
        "BEGIN IMMEDIATE; UPDATE mapping SET enabled = 0 WHERE id = 1;") == "mapping-disabled"
    assert is_still_staged(staged, old_is="disabled")


# Shadow ------------------------------------------------------------------------------------------


def test_the_log_says_what_a_watched_service_would_have_heard(mapped, daemon, alice, bob):
    mapped.sql("UPDATE service SET shadow = 1;")
    for evidence, user, reason in ((alice, "alice", "allowed"), (alice, "bob", "account-mismatch"),
                                   (bob, "bob", "unmapped")):
        reply = daemon.ask(evidence, user)
        assert (reply["reason"], reply["shadow"]) == ("no-certificate", reason)
        values = values_of(daemon, reply)
        assert (values["reason"], values["shadow"]) == (reason, "1")
    mapped.sql("UPDATE service SET shadow = 0;")
    reply = daemon.ask(alice)
    assert reply["reason"] == "allowed" and "shadow" not in reply
    assert "shadow" not in values_of(daemon, reply)


def test_a_watched_service_tells_of_trust_too(mapped, daemon, alice):
    mapped.sql("UPDATE service SET shadow = 1, require_trust = 1;")
    reply = daemon.ask(alice)
    assert (reply["reason"], reply["shadow"]) == ("no-certificate", "untrusted-issuer")
    assert "concern" in values_of(daemon, reply)


def test_a_watched_service_puts_nothing_into_force_and_counts_nothing(
        staged, daemon, alice, new):
    staged.sql("UPDATE service SET shadow = 1;")
    assert daemon.ask(alice)["shadow"] == "allowed"
    assert daemon.ask(new)["shadow"] == "mapping-disabled"
    daemon.stop()
    assert is_still_staged(staged)
    assert staged.value("SELECT count(*) FROM usage") == 0


ACCEPT = "[success=done cred_insufficient=ignore default=die]"


@pytest.fixture
def pam(daemon):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
    directory.chmod(0o755)
    made = Pam(directory)
    made.socket = daemon.socket
    yield made
    shutil.rmtree(directory)


def log_in(pam, certificate, control=ACCEPT, below="pam_permit.so"):
    """A login as nobody, an account of every machine, through a stack of two methods."""
    pam.service("", lines=pam.line("source=env:CERT", control=control)
                + (f"auth required {below}\n" if below else ""))
    return pam.run("start:svc:nobody", "authenticate", "show",
                   environment={"CERT": certificate.pem})


def test_the_stack_of_a_watched_service_goes_on_to_the_method_below(
        database, daemon, pam, alice, bob):
    database.map(alice, account="nobody")
    database.sql("UPDATE service SET shadow = 1;")
    for certificate, word in ((alice, "allowed"), (bob, "unmapped")):
        run = log_in(pam, certificate)
        assert run.code == SUCCESS and run.certmap_environment == {}
        assert f'shadow="{word}"' in run.line or f"shadow={word}" in run.line
        # It is the method below that let in.
        assert log_in(pam, certificate, below="pam_deny.so").code == AUTH_ERR
        assert log_in(pam, certificate, control="required", below=None).code == CRED_INSUFFICIENT


def test_without_shadow_the_certificate_decides(database, daemon, pam, alice, bob):
    database.map(alice, account="nobody")
    run = log_in(pam, alice, below="pam_deny.so")
    assert run.code == SUCCESS
    assert run.certmap_environment["CERTMAP_ACCOUNT"] == "nobody"
    run = log_in(pam, bob)
    assert run.code == AUTH_ERR and run.certmap_environment == {}


# Last use ----------------------------------------------------------------------------------------


def usage(database):
    return {row["id"]: (row["uses"], row["last_used"]) for row in database.rows(
        "SELECT id, uses, unixepoch(last_used) AS last_used FROM mapping_status")}


def test_logins_are_counted_and_make_no_history(mapped, daemon, alice, bob):
    mapped.map(bob)
    before = mapped.rows("SELECT * FROM history")
    began = int(time.time())
    for _ in range(3):
        assert daemon.reason(alice) == "allowed"
    # None of these is a login.
    assert daemon.reason(alice, "bob") == "account-mismatch"
    assert account_phase(daemon, alice)["reason"] == "allowed"
    assert daemon.reason(bob, "alice") == "account-mismatch"
    daemon.stop()
    counted = usage(mapped)
    assert counted[1][0] == 3 and began <= counted[1][1] <= time.time()
    assert counted[2] == (None, None)
    assert mapped.rows("SELECT * FROM history") == before
    daemon.start()
    assert daemon.reason(alice) == "allowed"
    daemon.stop()
    assert usage(mapped)[1][0] == 4


def test_a_mapping_that_is_deleted_leaves_no_count(mapped, daemon, alice):
    assert daemon.reason(alice) == "allowed"
    mapped.sql("DELETE FROM mapping;")
    daemon.stop()
    assert mapped.value("SELECT count(*) FROM usage") == 0


def slowest_answer(daemon, alice, seconds):
    """Of lookups for so long, as somebody else, so that nothing more is counted."""
    slowest, end = 0.0, time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        assert daemon.reason(alice, "bob") == "account-mismatch"
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.1)
    return slowest


@slow
def test_logins_are_counted_within_seconds_and_no_lock_loses_them(mapped, daemon, alice):
    assert daemon.reason(alice) == "allowed"
    wait_until(lambda: usage(mapped)[1][0] == 1)
    with OpenShell(mapped) as shell:
        assert daemon.reason(alice) == "allowed"
        assert shell.type("BEGIN IMMEDIATE;") == ""
        # None waits for the lock. The machine itself may stand still, but not in each of three tries.
        assert any(slowest_answer(daemon, alice, 6.5) < 1 for _ in range(3))
        assert usage(mapped)[1][0] == 1
        assert shell.type("COMMIT;") == ""
    wait_until(lambda: usage(mapped)[1][0] == 2)


# The account's uid -------------------------------------------------------------------------------


def test_a_reply_has_the_uid_only_where_the_mapping_has_one(mapped, daemon, alice):
    assert "uid" not in daemon.ask(alice)
    mapped.sql("UPDATE mapping SET account_uid = 1234;")
    assert daemon.ask(alice)["uid"] == 1234
    assert account_phase(daemon, alice)["uid"] == 1234
    mapped.sql("UPDATE mapping SET account_uid = NULL;")
    assert "uid" not in daemon.ask(alice)


def test_the_module_refuses_an_account_that_came_to_another_uid(database, daemon, pam, alice):
    uid = os.stat("/etc/passwd").st_uid  # any that nobody has not
    database.map(alice, account="nobody", account_uid=uid)
    run = log_in(pam, alice)
    assert run.code == AUTH_ERR and "reason=account-changed" in run.line
    database.sql("UPDATE mapping SET account_uid = 65534;")
    assert log_in(pam, alice).code == SUCCESS
