# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the schema refuses from a bare sqlite3 shell and what it notes, without certmapd: people
must not be able to break one-to-one, and must be told in words why not."""
import json
import re
import sqlite3

import pytest

from shell_stage import MIGRATIONS, SCHEMA_VERSION, Refused

ALICE = "INSERT INTO mapping(account, certificate) VALUES('alice', readfile('alice.cer'));"

# Words of the refusals, each in one place.
SAME_CERTIFICATE = "mapped already for this service"
SAME_ACCOUNT = "has its enabled certificate for this service already"
ID_EXISTS = "a mapping with this id exists"
ID_CHANGED = "can't be changed"
ID_GONE = "that is gone had this id"
ENABLED_NULL = "enabled is NULL"
NOT_STAGED = "staged_until is for a staged mapping"
OVER_LIMIT = "more enabled certificates than certificates_per_account"


@pytest.fixture(autouse=True)
def certificates(alice, bob, carol):
    """Everything here may read alice.cer, bob.cer and carol.cer."""


@pytest.fixture
def mapped(database, alice):
    """Alice is mapping 1."""
    assert database.map(alice) == 1
    return database


def settle(database, mapping_id, digest="a1", problem=None):
    """Writes facts as certmapd does, with a made-up fingerprint."""
    words = "NULL" if problem is None else f"'{problem}'"
    database.sql(
        "INSERT OR REPLACE INTO fact(mapping_id, service, fingerprint, key_fingerprint, subject,"
        " issuer, serial, not_before, not_after, der, problem)"
        f" SELECT id, service, x'{digest * 32}', x'{'55' * 32}', '', '', '', 1, 2, x'30', {words}"
        f" FROM mapping WHERE id = {mapping_id};"
        f" DELETE FROM pending WHERE mapping_id = {mapping_id};")


def pending(database):
    return [row["mapping_id"] for row in database.rows("SELECT mapping_id FROM pending ORDER BY 1")]


def settled(database):
    return [row["mapping_id"] for row in database.rows("SELECT mapping_id FROM fact ORDER BY 1")]


# One-to-one ----------------------------------------------------------------------------------


def test_one_certificate_maps_with_one_plain_statement(database):
    database.sql(ALICE)
    assert database.rows("SELECT id, service, account, enabled, replaces FROM mapping") == [
        {"id": 1, "service": "*", "account": "alice", "enabled": 1, "replaces": None}]
    assert database.value("SELECT state FROM mapping_status") == "pending"


def test_a_certificate_stands_for_one_account(mapped):
    words = mapped.refusal(
        "INSERT INTO mapping(account, certificate) VALUES('bob', readfile('alice.cer'));")
    assert SAME_CERTIFICATE in words and "SELECT id, service, account" in words


@pytest.mark.parametrize("stored, given", [
    ("readfile('alice.pem')", "readfile('alice.pem')"),
    ("CAST(readfile('alice.pem') AS TEXT)", "readfile('alice.pem')"),
    ("readfile('alice.pem')", "CAST(readfile('alice.pem') AS TEXT)"),
])
def test_the_select_of_the_refusal_shows_the_row_in_the_way(database, stored, given):
    insert = "INSERT INTO mapping(account, certificate) VALUES('{}', {});"
    database.sql(insert.format("alice", stored))
    words = database.refusal(insert.format("bob", given))
    select = re.search(r"It is: (SELECT .*?;)", words)[1].replace("alice.cer", "alice.pem")
    assert [row["account"] for row in database.rows(select)] == ["alice"]


@pytest.mark.parametrize("how", ["INSERT", "INSERT OR REPLACE", "REPLACE"])
def test_a_null_in_enabled_adds_no_second_certificate(mapped, how):
    """REPLACE writes the default, 1, in the place of a NULL, when the rules have been looked at."""
    assert ENABLED_NULL in mapped.refusal(
        f"{how} INTO mapping(account, certificate, enabled)"
        " VALUES('alice', readfile('bob.cer'), NULL);")


@pytest.mark.parametrize("how", ["UPDATE", "UPDATE OR REPLACE"])
def test_a_null_in_enabled_enables_no_second_certificate(mapped, how):
    mapped.sql("INSERT INTO mapping(account, certificate, enabled)"
               " VALUES('alice', readfile('bob.cer'), 0);")
    assert ENABLED_NULL in mapped.refusal(f"{how} mapping SET enabled = NULL WHERE id = 2;")


def test_a_disabled_mapping_still_holds_its_certificate(mapped):
    mapped.sql("UPDATE mapping SET enabled = 0")
    assert SAME_CERTIFICATE in mapped.refusal(
        "INSERT INTO mapping(account, certificate) VALUES('bob', readfile('alice.cer'));")


def test_the_same_text_as_blob_and_as_text_is_the_same_certificate(database):
    database.sql("INSERT INTO mapping(account, certificate) VALUES('alice', readfile('alice.pem'))")
    assert SAME_CERTIFICATE in database.refusal(
        "INSERT INTO mapping(account, certificate)"
        " VALUES('bob', CAST(readfile('alice.pem') AS TEXT));")


def test_a_certificate_may_stand_for_two_accounts_in_two_services(mapped):
    mapped.sql("INSERT INTO mapping(service, account, certificate)"
               " VALUES('proftpd', 'bob', readfile('alice.cer'));")
    assert mapped.value("SELECT count(*) FROM mapping") == 2


def test_an_account_has_one_enabled_certificate(mapped):
    words = mapped.refusal(
        "INSERT INTO mapping(account, certificate) VALUES('alice', readfile('bob.cer'));")
    assert SAME_ACCOUNT in words and "SELECT * FROM mapping_status" in words


def test_a_disabled_second_certificate_waits_until_the_first_is_disabled(mapped):
    mapped.sql("INSERT INTO mapping(account, certificate, enabled)"
               " VALUES('alice', readfile('bob.cer'), 0);")
    assert SAME_ACCOUNT in mapped.refusal("UPDATE mapping SET enabled = 1 WHERE id = 2;")
    mapped.sql("UPDATE mapping SET enabled = 0 WHERE id = 1;"
               "UPDATE mapping SET enabled = 1 WHERE id = 2;")


def test_one_update_does_not_enable_two_rows_of_an_account(database):
    for name in "alice", "bob":
        database.sql("INSERT INTO mapping(account, certificate, enabled)"
                     f" VALUES('alice', readfile('{name}.cer'), 0);")
    assert SAME_ACCOUNT in database.refusal("UPDATE mapping SET enabled = 1;")


@pytest.mark.parametrize("change, words", [
    ("account = 'alice'", SAME_ACCOUNT),
    ("certificate = readfile('alice.cer')", SAME_CERTIFICATE),
])
def test_an_update_is_held_to_the_same_rules(mapped, bob, change, words):
    mapped.map(bob)
    for how in "UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE", "UPDATE OR FAIL":
        assert words in mapped.refusal(f"{how} mapping SET {change} WHERE account = 'bob';")


def test_an_update_into_another_service_is_held_to_its_rules(mapped, alice, bob):
    mapped.map(alice, service="'sshd'")
    assert SAME_CERTIFICATE in mapped.refusal("UPDATE mapping SET service = '*' WHERE id = 2;")
    mapped.map(bob, account="alice", service="'login'")
    assert SAME_ACCOUNT in mapped.refusal("UPDATE mapping SET service = 'sshd' WHERE id = 3;")


@pytest.mark.parametrize("how", ["INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE",
                                 "INSERT OR FAIL", "INSERT OR ROLLBACK"])
@pytest.mark.parametrize("account, certificate, words", [
    ("bob", "alice", SAME_CERTIFICATE), ("alice", "bob", SAME_ACCOUNT)])
def test_no_kind_of_insert_breaks_one_to_one(mapped, how, account, certificate, words):
    assert words in mapped.refusal(f"{how} INTO mapping(account, certificate)"
                                   f" VALUES('{account}', readfile('{certificate}.cer'));")


def test_the_limit_can_be_raised_for_all_services_and_not_lowered_below_what_is_there(mapped, bob):
    mapped.sql("UPDATE service SET certificates_per_account = 2 WHERE name = '*';")
    mapped.map(bob, account="alice")
    assert SAME_ACCOUNT in mapped.refusal(
        "INSERT INTO mapping(account, certificate) VALUES('alice', readfile('carol.cer'));")
    assert OVER_LIMIT in mapped.refusal(
        "UPDATE service SET certificates_per_account = 1 WHERE name = '*';")
    mapped.sql("UPDATE mapping SET enabled = 0 WHERE id = 2;"
               "UPDATE service SET certificates_per_account = 1 WHERE name = '*';")


def test_a_service_has_a_limit_of_its_own(database, alice, bob, carol):
    database.sql("INSERT INTO service(name, certificates_per_account) VALUES('sshd', 2);")
    database.map(alice, service="'sshd'")
    database.map(bob, account="alice", service="'sshd'")
    insert = ("INSERT INTO mapping(service, account, certificate)"
              " VALUES('{}', 'alice', readfile('{}.cer'));")
    assert SAME_ACCOUNT in database.refusal(insert.format("sshd", "carol"))
    database.sql(insert.format("login", "alice"))
    assert SAME_ACCOUNT in database.refusal(insert.format("login", "bob"))
    for change in ("UPDATE service SET certificates_per_account = NULL WHERE name = 'sshd';",
                   "UPDATE service SET certificates_per_account = 1 WHERE name = 'sshd';",
                   "DELETE FROM service WHERE name = 'sshd';"):
        assert OVER_LIMIT in database.refusal(change)


def test_a_new_service_row_does_not_undercut_what_is_there(mapped, bob):
    mapped.sql("UPDATE service SET certificates_per_account = 2 WHERE name = '*';")
    mapped.map(bob, account="alice", service="'sshd'")
    mapped.sql("INSERT INTO mapping(service, account, certificate)"
               " VALUES('sshd', 'alice', readfile('carol.cer'));")
    assert OVER_LIMIT in mapped.refusal(
        "INSERT INTO service(name, certificates_per_account) VALUES('sshd', 1);")


# Ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["INSERT", "INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE"])
@pytest.mark.parametrize("name", ["id", "rowid", "_rowid_", "oid"])
def test_an_existing_id_is_refused(mapped, how, name):
    assert ID_EXISTS in mapped.refusal(
        f"{how} INTO mapping({name}, account, certificate) VALUES(1, 'bob', readfile('bob.cer'));")


def test_an_upsert_on_an_existing_id_is_refused(mapped):
    assert ID_EXISTS in mapped.refusal(
        "INSERT INTO mapping(id, account, certificate) VALUES(1, 'bob', readfile('bob.cer'))"
        " ON CONFLICT(id) DO UPDATE SET account = 'bob';")


@pytest.mark.parametrize("how", ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
@pytest.mark.parametrize("name", ["id", "rowid", "_rowid_", "oid"])
@pytest.mark.parametrize("target", [2, 77])
def test_an_id_does_not_change(mapped, bob, how, name, target):
    mapped.map(bob)
    assert ID_CHANGED in mapped.refusal(f"{how} mapping SET {name} = {target} WHERE id = 1;")


def test_an_id_is_never_given_again(mapped, bob):
    mapped.sql("DELETE FROM mapping;")
    assert mapped.map(bob) == 2


@pytest.mark.parametrize("how", ["INSERT", "INSERT OR REPLACE"])
def test_an_id_of_a_mapping_that_is_gone_is_refused(mapped, bob, how):
    assert mapped.map(bob) == 2
    mapped.sql("DELETE FROM mapping WHERE id = 1;")
    assert ID_GONE in mapped.refusal(
        f"{how} INTO mapping(id, account, certificate) VALUES(1, 'carol', readfile('carol.cer'));")
    mapped.sql("INSERT INTO mapping(id, account, certificate)"
               " VALUES(3, 'carol', readfile('carol.cer'));")


def test_an_id_of_a_row_of_trust_that_is_gone_is_refused(database):
    insert = "INSERT INTO trust(id, kind, content) VALUES({}, 'anchor', readfile('alice.pem'));"
    database.sql(insert.format(7) + "DELETE FROM trust;")
    for number in (1, 7):
        assert ID_GONE in database.refusal(insert.format(number))
    database.sql(insert.format(8))


@pytest.mark.parametrize("number", [0, -1, 2**53])
def test_an_id_is_a_positive_number_that_every_program_can_hold(database, number):
    assert "CHECK constraint failed" in database.refusal(
        "INSERT INTO mapping(id, account, certificate)"
        f" VALUES({number}, 'alice', readfile('alice.cer'));")


# What is a certificate -----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["alice.cer", "alice.pem", "alice-crlf.pem", "alice.b64"])
def test_a_file_in_each_form_is_taken(database, form):
    database.sql("INSERT INTO mapping(account, certificate)"
                 f" VALUES('alice', readfile('{form}'));")


def test_pasted_text_in_each_form_is_taken(database, alice, bob, carol):
    for account, text in (("alice", alice.pem), ("bob", bob.base64),
                          ("carol", f"\n  {carol.base64[:700]}\r\n\t{carol.base64[700:]} \n"),
                          ("dave", "a note on top\n" + bob.pem)):
        database.sql(f"INSERT INTO mapping(account, certificate) VALUES('{account}', '{text}');")


BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@pytest.mark.parametrize("expression, words", [
    ("NULL", "found no such file"),
    ("readfile('no-such-file.cer')", "found no such file"),
    ("''", "certificate is none"),
    ("x''", "certificate is none"),
    ("'   '", "certificate is none"),
    ("'junk'", "certificate is none"),
    ("x'ffd8ffe0'", "certificate is none"),
    ("'alice.cer'", "Was it the name of a file?"),
    ("'/etc/certs/alice.pem'", "Was it the name of a file?"),
    ("42", "must be the file itself"),
    ("4.5", "must be the file itself"),
    ("zeroblob(65537)", "over 65536 bytes"),
    ("readfile('alice.key')", "holds a private key"),
    ("readfile('alice.pem') || readfile('alice.key')", "holds a private key"),
    ("readfile('alice.csr')", "PEM of something else"),
    ("replace(readfile('alice.pem'), ' CERTIFICATE', ' TRUSTED CERTIFICATE')",
     "PEM of something else"),
    ("replace(readfile('alice.pem'), ' CERTIFICATE', ' PKCS7')", "PEM of something else"),
    ("readfile('alice.pem') || readfile('bob.pem')", "two certificates"),
    ("readfile('alice.pem') || readfile('alice.pem')", "two certificates"),
    ("substr(readfile('alice.pem'), 1, 300)", "cut short"),
    (f"'{BEGIN}'", "cut short"),
    ("x'fffe2d002d002d00'", "holds a NUL byte"),
    ("readfile('alice-utf16.pem')", "holds a NUL byte"),
    ("readfile('alice.pem') || char(0)", "holds a NUL byte"),
    ("'MIIB' || char(0) || 'AAAA'", "holds a NUL byte"),
    ("'MIIB~AAAA'", "certificate is none"),
    ("'(null)'", "certificate is none"),
])
def test_what_is_no_certificate_is_refused_in_words(database, pki, alice, expression, words):
    (pki.directory / "alice-utf16.pem").write_bytes(alice.pem.encode("utf-16"))
    assert words in database.refusal(
        f"INSERT INTO mapping(account, certificate) VALUES('alice', {expression});")


def test_an_update_to_what_is_no_certificate_is_refused_in_words(mapped):
    assert "found no such file" in mapped.refusal(
        "UPDATE mapping SET certificate = readfile('no-such-file.cer');")
    assert "certificate is none" in mapped.refusal("UPDATE mapping SET certificate = 'bob.cer';")


# Names and numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("expression, words", [
    ("NULL", "account must be"),
    ("''", "account must be"),
    ("x'616c696365'", "cannot store BLOB"),
    ("replace(hex(zeroblob(129)), '00', 'aa')", "account must be"),
    ("' alice'", "no white space"),
    ("'alice '", "no white space"),
    ("'-alice'", "no '-' in front"),
    ("'a:b'", "no colon"),
    ("'alice' || char(10)", "no control character"),
    ("'al' || char(27) || '[1m'", "no control character"),
    ("'alice' || char(127)", "no control character"),
    ("'alice' || char(0)", "no control character"),
    ("'alice' || char(0) || 'x'", "no control character"),
])
def test_what_is_no_account_is_refused_in_words(mapped, expression, words):
    assert words in mapped.refusal("INSERT INTO mapping(account, certificate)"
                                   f" VALUES({expression}, readfile('bob.cer'));")
    assert words in mapped.refusal(f"UPDATE mapping SET account = {expression};")


@pytest.mark.parametrize("name", ["alice", "a", "Alice", "DOM\\alice", "alice@example.org",
                                  "al ice", "ålice", "a" * 256])
def test_an_account_is_any_name_that_a_system_may_have(database, name):
    database.sql("INSERT INTO mapping(account, certificate)"
                 f" VALUES('{name}', readfile('alice.cer'));")
    assert database.value("SELECT account FROM mapping") == name


@pytest.mark.parametrize("expression, words", [
    ("NULL", "service must be"),
    ("''", "service must be"),
    ("x'73736864'", "cannot store BLOB"),
    ("replace(hex(zeroblob(33)), '00', 'aa')", "service must be"),
    ("'ProFTPD'", "lower case"),
    ("'*x'", "service must be"),
    ("'**'", "service must be"),
    ("'../x'", "service must be"),
    ("'a/b'", "service must be"),
    ("'.hidden'", "service must be"),
    ("'-x'", "service must be"),
    ("'a b'", "service must be"),
    ("' sshd'", "service must be"),
    ("'sshd' || char(10)", "service must be"),
    ("'sshd' || char(0)", "service must be"),
    ("'*' || char(0)", "service must be"),
    ("'sshd' || char(0) || 'x'", "service must be"),
    ("'dïenst'", "service must be"),
])
def test_what_is_no_service_is_refused_in_words(mapped, expression, words):
    assert words in mapped.refusal("INSERT INTO mapping(service, account, certificate)"
                                   f" VALUES({expression}, 'bob', readfile('bob.cer'));")
    assert words in mapped.refusal(f"UPDATE mapping SET service = {expression};")


@pytest.mark.parametrize("change, words", [
    ("enabled = 2", "enabled is 0 or 1"),
    ("enabled = NULL", ENABLED_NULL),
    ("enabled = 'yes'", "cannot store TEXT"),
    ("valid_from = '2027-01-31'", "cannot store TEXT"),
    ("valid_from = -1", "valid_from is in Unix seconds"),
    ("valid_until = 99999999999999", "valid_until is in Unix seconds"),
    ("valid_from = 100, valid_until = 99", "valid_until is before valid_from"),
    ("valid_from = 100, valid_until = 100", None),
    ("account_uid = -1", "account_uid is a uid"),
    ("account_uid = 4294967295", "account_uid is a uid"),
    ("account_uid = 4294967294", None),
])
def test_numbers_stay_in_their_bounds(mapped, change, words):
    if words:
        assert words in mapped.refusal(f"UPDATE mapping SET {change};")
    else:
        mapped.sql(f"UPDATE mapping SET {change};")


# Renewal -------------------------------------------------------------------------------------

MUST_BE_STAGED = "is staged with enabled = 0"
MUST_BE_SIBLING = "must be the id of another mapping of the same service and account"


def test_a_renewal_is_staged_beside_what_it_replaces(mapped):
    mapped.sql("INSERT INTO mapping(account, certificate, enabled, replaces)"
               " VALUES('alice', readfile('bob.cer'), 0, 1);")
    settle(mapped, 2, "b2")
    assert mapped.value("SELECT state FROM mapping_status WHERE id = 2") == "staged"


def test_a_staging_is_used_up_when_it_takes_force(mapped):
    mapped.sql("INSERT INTO mapping(account, certificate, enabled, replaces, staged_until)"
               " VALUES('alice', readfile('bob.cer'), 0, 1, 2000000000);"
               "UPDATE mapping SET enabled = 0 WHERE id = 1;"
               "UPDATE mapping SET enabled = 1, note = 'x' WHERE id = 2;")
    assert mapped.rows("SELECT enabled, replaces, staged_until, note FROM mapping WHERE id = 2") == [
        {"enabled": 1, "replaces": None, "staged_until": None, "note": "x"}]
    changes = [(json.loads(row["old"]), json.loads(row["new"])) for row in history(mapped)
               if (row["mapping_id"], row["change"]) == (2, "update")]
    assert [(old["enabled"], new["enabled"], old["replaces"], new["replaces"])
            for old, new in changes] == [(0, 1, 1, 1), (1, 1, 1, None)]


@pytest.mark.parametrize("change", [
    "UPDATE mapping SET staged_until = 2000000000;",
    "UPDATE mapping SET enabled = 0, staged_until = 2000000000;",
    "INSERT INTO mapping(account, certificate, staged_until)"
    " VALUES('bob', readfile('bob.cer'), 2000000000);",
    "INSERT INTO mapping(account, certificate, enabled, staged_until)"
    " VALUES('bob', readfile('bob.cer'), 0, 2000000000);",
])
def test_what_is_not_staged_has_no_end_of_a_staging(mapped, change):
    words = mapped.refusal(change)
    assert NOT_STAGED in words and "valid_until" in words


def test_a_staging_can_be_put_off_and_called_off(mapped):
    mapped.sql("INSERT INTO mapping(account, certificate, enabled, replaces, staged_until)"
               " VALUES('alice', readfile('bob.cer'), 0, 1, 2000000000);"
               "UPDATE mapping SET staged_until = 2000000001 WHERE id = 2;"
               "UPDATE mapping SET replaces = NULL WHERE id = 2;"
               "UPDATE mapping SET note = 'x' WHERE id = 2;"
               "UPDATE mapping SET staged_until = NULL WHERE id = 2;")
    assert mapped.value("SELECT note FROM mapping WHERE staged_until IS NULL AND id = 2") == "x"


@pytest.mark.parametrize("account, enabled, replaces, words", [
    ("alice", 1, 1, SAME_ACCOUNT),
    ("carol", 1, 1, MUST_BE_STAGED),
    ("alice", 0, 99, MUST_BE_SIBLING),
    ("carol", 0, 1, MUST_BE_SIBLING),
    ("alice", 0, 3, MUST_BE_SIBLING),
])
def test_a_renewal_must_fit_what_it_replaces(mapped, account, enabled, replaces, words):
    mapped.sql("INSERT INTO mapping(id, service, account, certificate)"
               " VALUES(3, 'sshd', 'alice', readfile('carol.cer'));")
    assert words in mapped.refusal(
        "INSERT INTO mapping(account, certificate, enabled, replaces)"
        f" VALUES('{account}', readfile('bob.cer'), {enabled}, {replaces});")


def test_a_mapping_does_not_replace_itself(mapped):
    mapped.sql("UPDATE mapping SET enabled = 0;")
    assert MUST_BE_SIBLING in mapped.refusal("UPDATE mapping SET replaces = 1;")
    assert MUST_BE_SIBLING in mapped.refusal(
        "INSERT INTO mapping(id, account, certificate, enabled, replaces)"
        " VALUES(7, 'alice', readfile('bob.cer'), 0, 7);")


def test_a_renewal_is_put_into_force_by_hand_in_two_steps(mapped):
    mapped.sql("INSERT INTO mapping(account, certificate, enabled, replaces)"
               " VALUES('alice', readfile('bob.cer'), 0, 1);"
               "UPDATE mapping SET enabled = 0 WHERE id = 1;"
               "UPDATE mapping SET enabled = 1 WHERE id = 2;")
    assert mapped.value("SELECT enabled FROM mapping WHERE id = 2") == 1


# Pragmas -------------------------------------------------------------------------------------

PRAGMAS = ["foreign_keys = OFF", "foreign_keys = ON", "recursive_triggers = ON",
           "recursive_triggers = OFF", "ignore_check_constraints = ON"]
ATTACKS = [
    ("INSERT INTO mapping(account, certificate) VALUES('bob', readfile('alice.cer'));",
     SAME_CERTIFICATE),
    ("INSERT INTO mapping(account, certificate) VALUES('alice', readfile('carol.cer'));",
     SAME_ACCOUNT),
    ("INSERT OR REPLACE INTO mapping(id, account, certificate)"
     " VALUES(1, 'carol', readfile('carol.cer'));", ID_EXISTS),
    ("UPDATE OR REPLACE mapping SET rowid = 2 WHERE id = 1;", ID_CHANGED),
    ("REPLACE INTO service(name) VALUES('*');", "has its row"),
    ("REPLACE INTO service(name, enabled, inherit, certificates_per_account)"
     " VALUES('*', 0, 0, 9);", "has its row"),
    ("DELETE FROM service;", "can't be deleted"),
    ("REPLACE INTO credential VALUES('*', 'alice', x'00');", "has its credential"),
    ("UPDATE OR REPLACE credential SET account = 'bob';", "sealed for its service and account"),
    ("DELETE FROM history;", "not deleted"),
    ("UPDATE history SET who = 'mallory';", "not rewritten"),
    ("REPLACE INTO history(id, object, change) VALUES(1, 'mapping', 'insert');", "written once"),
]


@pytest.mark.parametrize("pragma", PRAGMAS)
def test_no_pragma_switches_the_rules_off(mapped, bob, pragma):
    mapped.map(bob)
    mapped.sql("INSERT INTO credential VALUES('*', 'alice', x'0102');"
               "INSERT INTO credential VALUES('*', 'bob', x'0304');")
    for attack, words in ATTACKS:
        assert words in mapped.refusal(f"PRAGMA {pragma};\n{attack}")


def test_without_checks_strict_types_still_hold(mapped):
    for change in "enabled = 'x'", "enabled = NULL", "valid_from = 'soon'", "account = x'00'":
        mapped.refusal(f"PRAGMA ignore_check_constraints = ON; UPDATE mapping SET {change};")


@pytest.mark.parametrize("pragma", PRAGMAS)
def test_deleting_takes_facts_and_queue_along_under_every_pragma(mapped, bob, pragma):
    settle(mapped, 1)
    mapped.map(bob)
    mapped.sql(f"PRAGMA {pragma}; DELETE FROM mapping;")
    assert (settled(mapped), pending(mapped)) == ([], [])


# Services ------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement, words", [
    ("DELETE FROM service WHERE name = '*';", "can't be deleted"),
    ("UPDATE service SET name = 'x' WHERE name = '*';", "name of a service can't be changed"),
    ("UPDATE OR REPLACE service SET name = '*' WHERE name = 'sshd';",
     "name of a service can't be changed"),
    ("UPDATE service SET enabled = NULL WHERE name = '*';", "none of them can be NULL"),
    ("UPDATE service SET inherit = NULL WHERE name = '*';", "none of them can be NULL"),
    ("UPDATE service SET certificates_per_account = NULL WHERE name = '*';",
     "none of them can be NULL"),
    ("INSERT INTO service(name) VALUES('*');", "has its row"),
    ("INSERT INTO service(name) VALUES('sshd');", "has its row"),
    ("REPLACE INTO service(name, enabled) VALUES('sshd', 1);", "has its row"),
    ("INSERT OR IGNORE INTO service(name, enabled) VALUES('sshd', 1);", "has its row"),
    ("INSERT INTO service(name, enabled) VALUES('sshd', 1) ON CONFLICT(name) DO UPDATE"
     " SET enabled = 1;", "has its row"),
    ("INSERT INTO service(name) VALUES('ProFTPD');", "lower case"),
    ("INSERT INTO service(name) VALUES('');", "service must be"),
    ("INSERT INTO service(name) VALUES(x'78');", "cannot store BLOB"),
    ("INSERT INTO service(name) VALUES('**');", "service must be"),
    ("INSERT INTO service(name) VALUES('a*');", "service must be"),
    ("INSERT INTO service(name) VALUES('a/b');", "service must be"),
    ("INSERT INTO service(name) VALUES('x' || char(0));", "service must be"),
    ("INSERT INTO service(name) VALUES('*' || char(0));", "service must be"),
    ("UPDATE service SET enabled = 2;", "enabled is 0, 1 or NULL"),
    ("UPDATE service SET inherit = 2;", "inherit is 0, 1 or NULL"),
    ("UPDATE service SET certificates_per_account = 0;", "1 to 1000"),
    ("UPDATE service SET certificates_per_account = 1001;", "1 to 1000"),
])
def test_the_policy_of_services_stays_whole(database, statement, words):
    database.sql("INSERT INTO service(name, enabled) VALUES('sshd', 0);")
    assert words in database.refusal(statement)


# Credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize("statement, words", [
    ("INSERT INTO credential VALUES('*', 'alice', x'09');", "has its credential"),
    ("REPLACE INTO credential VALUES('*', 'alice', x'09');", "has its credential"),
    ("INSERT OR IGNORE INTO credential VALUES('*', 'alice', x'09');", "has its credential"),
    ("INSERT INTO credential VALUES('*', 'alice', x'09')"
     " ON CONFLICT DO UPDATE SET sealed = x'09';", "has its credential"),
    ("UPDATE credential SET account = 'carol' WHERE account = 'alice';", "sealed for its service"),
    ("UPDATE OR REPLACE credential SET account = 'bob' WHERE account = 'alice';",
     "sealed for its service"),
    ("UPDATE credential SET service = 'sshd' WHERE account = 'alice';", "sealed for its service"),
    ("UPDATE credential SET sealed = NULL;", "NOT NULL"),
    ("UPDATE credential SET sealed = 'text';", "cannot store TEXT"),
])
def test_a_credential_attaches_to_no_other_account(database, statement, words):
    database.sql("INSERT INTO credential VALUES('*', 'alice', x'0102'), ('*', 'bob', x'0304');")
    assert words in database.refusal(statement)


def test_a_credential_stays_with_its_account_through_every_change_of_a_mapping(mapped):
    mapped.sql("INSERT INTO credential VALUES('*', 'alice', x'0102');"
               "UPDATE mapping SET account = 'carol';"
               "DELETE FROM mapping;")
    assert mapped.rows("SELECT account, hex(sealed) AS sealed FROM credential") == [
        {"account": "alice", "sealed": "0102"}]


# History -------------------------------------------------------------------------------------


def history(database):
    return database.rows("SELECT who, object, change, mapping_id, old, new,"
                         " hex(old_certificate) AS old_certificate, abs(unixepoch() - at) < 60"
                         " AS is_now FROM history ORDER BY id")


def test_history_has_every_change_of_a_mapping(mapped, alice, bob):
    mapped.sql("UPDATE mapping SET note = 'laptop';"
               "UPDATE mapping SET certificate = readfile('bob.cer');"
               "UPDATE mapping SET account = 'carol', enabled = 0, account_uid = 7;"
               "DELETE FROM mapping;")
    rows = history(mapped)
    assert [row["change"] for row in rows] == ["insert", "update", "update", "update", "delete"]
    for row in rows:
        assert (row["who"], row["object"], row["mapping_id"], row["is_now"]) == (
            None, "mapping", 1, 1)
    bare = {"service": "*", "account": "alice", "enabled": 1, "replaces": None,
            "staged_until": None, "valid_from": None, "valid_until": None, "account_uid": None,
            "note": None}
    noted = {**bare, "note": "laptop"}
    last = {**noted, "account": "carol", "enabled": 0, "account_uid": 7}
    assert [(row["old"] and json.loads(row["old"]), row["new"] and json.loads(row["new"]))
            for row in rows] == [(None, bare), (bare, noted), (noted, noted), (noted, last),
                                 (last, None)]
    assert [row["old_certificate"].lower() for row in rows] == [
        "", "", alice.der.hex(), "", bob.der.hex()]


def test_history_has_every_row_of_a_change_of_many(mapped, bob, carol):
    mapped.map(bob)
    mapped.map(carol)
    before = len(history(mapped))
    mapped.sql("UPDATE mapping SET note = 'x';")
    assert [row["mapping_id"] for row in history(mapped)[before:]] == [1, 2, 3]


def test_history_has_every_change_of_services_and_credentials(database):
    database.sql("INSERT INTO service(name, inherit) VALUES('sshd', 0);"
                 "UPDATE service SET enabled = 0 WHERE name = 'sshd';"
                 "DELETE FROM service WHERE name = 'sshd';"
                 "INSERT INTO credential VALUES('sshd', 'alice', x'5ec4e7');"
                 "UPDATE credential SET sealed = x'5ec4e8';"
                 "DELETE FROM credential;")
    rows = history(database)
    assert [(row["object"], row["change"]) for row in rows] == [
        (table, change) for table in ("service", "credential")
        for change in ("insert", "update", "delete")]
    assert json.loads(rows[1]["old"])["enabled"] is None
    assert json.loads(rows[1]["new"])["enabled"] == 0
    assert json.loads(rows[5]["old"]) == {"service": "sshd", "account": "alice"}
    assert all("5ec4e" not in json.dumps(row).lower() for row in rows)


def test_history_names_who_where_certmapctl_did_it(database, alice):
    database.sql("BEGIN; INSERT INTO actor(name) VALUES('root');" + ALICE + "DELETE FROM actor; COMMIT;")
    assert history(database)[-1]["who"] == "root"
    database.sql("DELETE FROM mapping;")
    assert history(database)[-1]["who"] is None


def test_a_refused_change_leaves_no_history(mapped):
    before = history(mapped)
    mapped.refusal("UPDATE mapping SET account = '';")
    mapped.refusal(ALICE)
    assert history(mapped) == before


def test_a_change_that_is_rolled_back_leaves_no_history(mapped):
    before = history(mapped)
    mapped.sql("BEGIN; DELETE FROM mapping; ROLLBACK;")
    assert history(mapped) == before


@pytest.mark.parametrize("statement, words", [
    ("UPDATE history SET new = '{}';", "not rewritten"),
    ("UPDATE history SET id = 99;", "not rewritten"),
    ("UPDATE OR REPLACE history SET rowid = 2 WHERE id = 1;", "not rewritten"),
    ("DELETE FROM history;", "not deleted"),
    ("DELETE FROM history WHERE id = 1;", "not deleted"),
    ("REPLACE INTO history(id, object, change) VALUES(1, 'x', 'y');", "written once"),
    ("INSERT OR REPLACE INTO history(rowid, object, change) VALUES(1, 'x', 'y');", "written once"),
])
def test_history_is_not_rewritten(mapped, statement, words):
    assert words in mapped.refusal(statement)


@pytest.mark.parametrize("number", [-1, 0, 3, 2**53, 2**63 - 1])
def test_no_forged_entry_of_the_history_stops_later_changes(mapped, number):
    assert "numbers its entries itself" in mapped.refusal(
        f"INSERT INTO history(id, object, change) VALUES({number}, 'x', 'y');")
    mapped.sql("UPDATE mapping SET note = 'still possible';")


def test_history_is_let_go_by_its_age_alone(mapped):
    mapped.sql("UPDATE mapping SET note = 'x';")
    before = history(mapped)
    with pytest.raises(Refused, match="certmapctl history prune"):
        mapped.sql("BEGIN; INSERT INTO actor VALUES('x', (SELECT max(at) FROM history));"
                   "DELETE FROM history; COMMIT;")
    assert history(mapped) == before
    # Whoever acts for a person, as certmapctl does for each change, may not delete by that.
    with pytest.raises(Refused, match="certmapctl history prune"):
        mapped.sql("BEGIN; INSERT INTO actor(name) VALUES('x'); DELETE FROM history; COMMIT;")
    assert history(mapped) == before
    mapped.sql("BEGIN; INSERT INTO actor VALUES('x', 1 + (SELECT max(at) FROM history));"
               "DELETE FROM history; DELETE FROM actor; COMMIT;")
    assert history(mapped) == []


def test_history_numbers_on_after_it_was_pruned(mapped):
    mapped.sql("UPDATE mapping SET note = 'x';")
    mapped.sql("BEGIN; DROP TRIGGER history_delete; DELETE FROM history; COMMIT;")
    mapped.sql("UPDATE mapping SET note = 'y'; UPDATE mapping SET note = 'z';")
    assert [row["id"] for row in mapped.rows("SELECT id FROM history")] == [3, 4]


# Facts and the queue -------------------------------------------------------------------------


def test_a_new_mapping_is_queued_with_its_service(database, alice, bob):
    database.map(alice)
    database.map(bob, service="'sshd'")
    assert database.rows("SELECT * FROM pending ORDER BY 1") == [
        {"mapping_id": 1, "service": "*"}, {"mapping_id": 2, "service": "sshd"}]


@pytest.mark.parametrize("change", ["certificate = readfile('carol.cer')", "service = 'sshd'",
                                    "certificate = CAST(certificate AS TEXT) || char(10)"])
def test_a_changed_certificate_or_service_loses_its_facts_and_is_queued(database, change):
    database.sql("INSERT INTO mapping(account, certificate) VALUES('alice', readfile('alice.pem'))")
    settle(database, 1)
    database.sql(f"UPDATE mapping SET {change};")
    assert (settled(database), pending(database)) == ([], [1])
    assert database.value("SELECT service FROM pending") == (
        database.value("SELECT service FROM mapping"))


@pytest.mark.parametrize("change", ["enabled = 0", "account = 'carol'", "note = 'x'",
                                    "valid_until = 5", "account_uid = 1000", "service = service",
                                    "certificate = certificate"])
def test_any_other_change_keeps_the_facts(mapped, change):
    settle(mapped, 1)
    mapped.sql(f"UPDATE mapping SET {change};")
    assert (settled(mapped), pending(mapped)) == ([1], [])


def test_a_mapping_that_is_queued_already_may_change_again(mapped):
    mapped.sql("UPDATE mapping SET certificate = readfile('bob.cer');"
               "UPDATE mapping SET certificate = readfile('carol.cer'), service = 'sshd';")
    assert mapped.rows("SELECT * FROM pending") == [{"mapping_id": 1, "service": "sshd"}]


@pytest.mark.parametrize("release", [
    "DELETE FROM mapping WHERE id = 1;",
    "UPDATE mapping SET certificate = readfile('carol.cer') WHERE id = 1;",
    "UPDATE mapping SET service = 'sshd' WHERE id = 1;",
])
def test_a_duplicate_is_queued_again_when_the_row_in_its_way_goes(mapped, release):
    mapped.sql("INSERT INTO mapping(account, certificate) VALUES('bob', readfile('alice.pem'));"
               "INSERT INTO mapping(account, certificate) VALUES('dave', readfile('bob.pem'));")
    settle(mapped, 1, "a1")
    settle(mapped, 2, "a1", problem="duplicate of mapping 1")
    settle(mapped, 3, "b2", problem="of another kind")
    mapped.sql(release)
    assert 2 in pending(mapped) and 3 not in pending(mapped)


@pytest.mark.parametrize("change", ["enabled = 0", "note = 'tried again'", "valid_from = NULL",
                                    "service = 'sshd'", "certificate = readfile('bob.cer')"])
def test_a_problem_is_looked_at_again_when_its_row_changes(mapped, change):
    settle(mapped, 1, problem="duplicate of mapping 7")
    assert pending(mapped) == []
    mapped.sql(f"UPDATE mapping SET {change};")
    assert pending(mapped) == [1]


def test_two_usable_facts_of_one_certificate_do_not_stand_in_one_service(mapped, bob):
    mapped.map(bob)
    settle(mapped, 1, "a1")
    with pytest.raises(Refused, match="UNIQUE"):
        mapped.sql("INSERT INTO fact SELECT 2, service, fingerprint, key_fingerprint, subject,"
                   " issuer, subject_line, issuer_line, serial, not_before, not_after, problem,"
                   " der FROM fact;")


@pytest.mark.parametrize("change", ["fingerprint = x'11'", "fingerprint = NULL",
                                    "key_fingerprint = x''", "not_after = NULL", "der = NULL"])
def test_facts_without_a_problem_are_whole(mapped, change):
    settle(mapped, 1)
    assert "CHECK constraint failed" in mapped.refusal(f"UPDATE fact SET {change};")


def test_the_status_tells_each_state_in_words(database, alice, bob, carol):
    database.map(alice)
    state = "SELECT state FROM mapping_status"
    assert database.value(state) == "pending"
    settle(database, 1, problem="two certificates in one text")
    assert database.rows("SELECT state, problem FROM mapping_status") == [
        {"state": "problem", "problem": "two certificates in one text"}]
    settle(database, 1)
    assert database.value(state) == "certificate expired"
    for change, word in (
            ("UPDATE fact SET not_after = unixepoch() + 99;", "in force"),
            ("UPDATE fact SET not_before = unixepoch() + 98;", "certificate not yet valid"),
            ("UPDATE mapping SET valid_from = 1, valid_until = 2;", "expired"),
            ("UPDATE mapping SET valid_until = NULL, valid_from = unixepoch() + 50;",
             "not yet valid"),
            ("UPDATE service SET enabled = 0;", "service disabled"),
            ("UPDATE mapping SET enabled = 0;", "disabled")):
        database.sql(change)
        assert database.value(state) == word


def test_the_status_has_dates_and_no_blobs(mapped, alice):
    settle(mapped, 1)
    mapped.sql("UPDATE fact SET not_before = 86400;")
    (row,) = mapped.rows("SELECT * FROM mapping_status")
    assert row["not_before"] == "1970-01-02 00:00:00"
    assert row["fingerprint"] == "a1" * 32
    assert mapped.rows("SELECT 1 FROM mapping_status WHERE 'blob' IN (typeof(fingerprint),"
                       " typeof(subject), typeof(issuer), typeof(serial))") == []


# The migrations ------------------------------------------------------------------------------


def test_a_new_database_is_ours_of_the_last_version_and_in_wal(database):
    assert database.value("PRAGMA user_version") == SCHEMA_VERSION
    assert database.value("PRAGMA application_id") == int.from_bytes(b"CMAP", "big")
    assert database.value("PRAGMA journal_mode") == "wal"
    assert database.value("PRAGMA integrity_check") == "ok"


each_migration = pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda path: path.stem)


@each_migration
@pytest.mark.parametrize("before", [
    "CREATE TABLE mapping(x);",
    "CREATE TABLE other(x); INSERT INTO other VALUES(1);",
    "CREATE VIEW v AS SELECT 1;",
    *(f"PRAGMA user_version = {version};" for version in range(1, SCHEMA_VERSION + 1)),
    "PRAGMA user_version = 7;",
    "PRAGMA application_id = 1196444487; PRAGMA user_version = 1;",  # GeoPackage
])
def test_a_migration_leaves_a_database_of_somebody_else_alone(no_database, before, migration):
    no_database.sql(before)
    content = no_database.path.read_bytes()
    with pytest.raises(Refused, match=f"{migration.name} starts from .*: nothing was changed"):
        no_database.sql(migration.read_text(encoding="utf-8"))
    assert no_database.path.read_bytes() == content
    assert list(no_database.directory.iterdir()) == [no_database.path]


@each_migration
def test_a_migration_does_not_run_twice(mapped, migration):
    assert f"{migration.name} starts from" in mapped.refusal(migration.read_text(encoding="utf-8"))


def test_the_migrations_load_in_memory_too():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for migration in MIGRATIONS:
        connection.executescript(migration.read_text(encoding="utf-8"))
    assert connection.execute("SELECT count(*) FROM service").fetchone() == (1,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with pytest.raises(sqlite3.IntegrityError, match="found no such file"):
        connection.execute("INSERT INTO mapping(account, certificate) VALUES('alice', NULL)")


def test_every_table_is_strict(database):
    tables = database.rows("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"
                           " AND type = 'table' AND name NOT LIKE 'sqlite%'")
    assert {row["name"] for row in tables} >= {"mapping", "service", "credential", "history",
                                               "fact", "pending"}
    assert [row["name"] for row in tables if not row["strict"]] == []


def commented_columns(body):
    """The columns of a CREATE TABLE's body that have a comment before them, or whose neighbour
    above has: a pair may share one."""
    found, comment_stands, shared = set(), False, 0
    for line in body.splitlines():
        words = line.strip()
        if words.startswith("--"):
            comment_stands, shared = True, 0
        elif match := re.match(r"([a-z_]+) (TEXT|INTEGER|BLOB|ANY|REAL)\b", words):
            shared += 1
            if comment_stands and shared <= 2:
                found.add(match[1])
    return found


def test_every_column_is_commented(database):
    text = "".join(migration.read_text(encoding="utf-8") for migration in MIGRATIONS)
    bodies = dict(re.findall(r"^CREATE TABLE (\w+) \(\n(.*?)^\)", text, re.MULTILINE | re.DOTALL))
    tables = database.rows("SELECT name FROM pragma_table_list WHERE schema = 'main'"
                           " AND type = 'table' AND name NOT LIKE 'sqlite%'")
    assert {row["name"] for row in tables} == set(bodies)
    for table, body in bodies.items():
        columns = {row["name"] for row in database.rows(
            f"SELECT name FROM pragma_table_info('{table}')")}
        assert columns - commented_columns(body) == set(), table
