# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_transfer.py owns import and export: what people bring in many pieces at once comes in
whole or not at all, every row is reported, and what was written down comes back as it was."""
import base64
import csv
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from ctl_stage import ACCOUNT, Tool, ctl, dump, on_terminal
from shell_stage import CERTMAPCTL, NOBODY, Database, Refused, run

COLUMNS = "id, service, account, enabled, replaces, staged_until, valid_from, valid_until, note"


@pytest.fixture
def room():
    """A directory for what is imported."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def fresh(no_database, migrated):
    """Makes further empty databases."""
    made = []

    def make():
        directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-", dir="/tmp"))
        directory.chmod(0o700)
        made.append(directory)
        database = Database(directory, no_database.standing)
        database.path.write_bytes(migrated)
        database.path.chmod(0o600)
        return Tool(database)

    yield make
    for directory in made:
        shutil.rmtree(directory)


def der(certificate):
    return certificate.der_path.read_bytes()


def one_line(certificate):
    """The form that IIS uses."""
    return base64.b64encode(der(certificate)).decode()


def mappings(tool, columns=COLUMNS):
    return tool.database.rows(f"SELECT {columns} FROM mapping ORDER BY id")


def accounts(tool):
    return [row["account"] for row in mappings(tool)]


def report(tool, *words, status=0):
    """What is said of each row: {from: (result, detail)}."""
    done = tool("import", "--json", *words, status=status)
    return {line["from"] or line["account"]: (line["result"], line["detail"])
            for line in json.loads(done.out)}


# A directory -------------------------------------------------------------------------------------

@pytest.fixture
def three_files(room, alice, bob, carol):
    (room / "alice.pem").write_bytes(alice.path.read_bytes())
    (room / "bob.cer").write_bytes(der(bob))
    (room / "carol.b64").write_text(one_line(carol))
    return room


def test_a_directory_maps_each_file_to_the_account_of_its_name(tool, daemon, three_files, alice,
                                                               bob, carol):
    said = report(tool, three_files)
    assert {name: result for name, (result, _) in said.items()} == {
        "alice.pem": "added", "bob.cer": "added", "carol.b64": "added"}
    assert accounts(tool) == ["alice", "bob", "carol"]
    for certificate in (alice, bob, carol):
        assert daemon.reason(certificate, user=certificate.name) == "allowed"


def test_a_second_import_changes_nothing(tool, three_files):
    tool("import", three_files)
    before = dump(tool.database)
    assert {result for result, _ in report(tool, three_files).values()} == {"unchanged"}
    assert dump(tool.database) == before


def test_one_bad_file_stops_all_and_each_row_is_reported(tool, three_files, alice):
    (three_files / "mallory.pem").write_bytes(alice.key_path.read_bytes())
    (three_files / "empty.pem").write_bytes(b"")
    (three_files / "pipe.pem").mkdir()
    before = dump(tool.database)
    said = report(tool, three_files, status=1)
    assert dump(tool.database) == before
    assert said["mallory.pem"][0] == "refused" and "a private key" in said["mallory.pem"][1]
    assert said["empty.pem"][0] == said["pipe.pem"][0] == "refused"
    assert said["alice.pem"][0] == "not added"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
def test_a_directory_takes_the_text_that_windows_writes(tool, room, alice, encoding):
    (room / "alice.cer").write_bytes(
        ("\ufeff" + alice.pem.replace("\n", "\r\n")).encode(encoding))
    tool("import", room)
    assert tool.database.value("SELECT hex(certificate) FROM mapping") == der(alice).hex().upper()


def test_a_directory_and_a_list_take_the_client_s_certificate_out_of_pkcs7(tool, pki, room, alice,
                                                                           bob):
    for name, certificate in (("alice.p7b", alice), ("bob.p7c", bob)):
        run("openssl", "crl2pkcs7", "-nocrl", "-certfile", certificate.path, "-certfile",
            pki.root.path, "-outform", "DER", "-out", room / name)
    tool("import", room)
    assert accounts(tool) == ["alice", "bob"]
    (room / "list.csv").write_text("account,certificate_file,service\nalice,alice.p7b,ftp\n")
    tool("import", room / "list.csv")
    assert accounts(tool) == ["alice", "bob", "alice"]


def test_a_file_that_is_something_else_is_called_by_its_name_in_an_import(tool, room, alice, bob):
    pfx = ("-export", "-in", alice.path, "-inkey", alice.key_path, "-passout", "pass:x")
    run("openssl", "pkcs12", *pfx, "-out", room / "alice.cer")
    run("openssl", "pkcs12", *pfx, "-out", room / "left.pfx")
    run("openssl", "req", "-new", "-key", alice.key_path, "-subj", "/CN=x", "-out",
        room / "bob.cer")
    (room / "carol.pem").write_text(alice.pem + bob.pem)
    said = report(tool, room, status=1)
    assert "PKCS#12" in said["alice.cer"][1] and "openssl pkcs12" in said["alice.cer"][1]
    assert said["left.pfx"][0] == "note" and "openssl pkcs12" in said["left.pfx"][1]
    assert "certificate request" in said["bob.cer"][1]
    assert "two certificates" in said["carol.pem"][1] and "openssl x509" in said["carol.pem"][1]


def test_a_list_in_utf_16_is_named_as_such(tool, room, alice):
    """As PowerShell's > writes it."""
    (room / "list.csv").write_bytes(
        f"account,certificate\nalice,{one_line(alice)}\n".encode("utf-16"))
    said = tool.refuses("import", room / "list.csv")
    assert "UTF-16" in said and "Save it as UTF-8" in said


def test_whoever_has_a_certificate_already_is_told_where_it_comes_from(tool, room, alice, bob,
                                                                       carol):
    """And not by a SELECT to fill in, which shows nothing of what the source itself says."""
    tool("add", "bob", bob.path, "--service", "ftp", "--no-uid")
    (room / "list.csv").write_text("account,service,certificate\n" + "".join(
        f"{account},ftp,{one_line(certificate)}\n"
        for account, certificate in (("alice", alice), ("alice", bob), ("bob", carol))))
    said = report(tool, room / "list.csv", status=1)
    assert said["row 2"][0] == "not added"
    assert "--sync" in said["row 3"][1]
    assert "certmapctl list" in said["row 4"][1] and "SELECT" not in said["row 4"][1]
    (room / "list.csv").write_text("account,service,certificate\n" + "".join(
        f"alice,ftp,{one_line(certificate)}\n" for certificate in (alice, carol)))
    said = report(tool, room / "list.csv", status=1)
    assert "that of row 2" in said["row 3"][1]
    assert "--certificates-per-account" in said["row 3"][1]
    tool("import", room / "list.csv", "--certificates-per-account", "2")


def test_files_that_name_no_account_are_named(tool, three_files):
    (three_files / "README").write_text("hello")
    (three_files / ".pem").write_text("hello")
    said = report(tool, three_files)
    assert said["README"][0] == said[".pem"][0] == "note"
    assert len(accounts(tool)) == 3


def test_the_same_certificate_twice_names_the_other_file(tool, three_files, alice):
    (three_files / "zoe.pem").write_bytes(alice.path.read_bytes())
    result, detail = report(tool, three_files, status=1)["zoe.pem"]
    assert result == "refused" and "alice.pem" in detail
    assert accounts(tool) == []


def test_a_second_certificate_of_an_account_needs_to_be_allowed(tool, three_files, pki):
    (three_files / "alice.crt").write_bytes(pki.leaf("alice-phone").path.read_bytes())
    said = report(tool, three_files, status=1)
    assert "certificates_per_account" in said["alice.pem"][1]
    assert accounts(tool) == []
    report(tool, three_files, "--certificates-per-account", "2")
    assert accounts(tool).count("alice") == 2
    assert tool.database.value("SELECT certificates_per_account FROM service") == 2


def test_rows_are_bound_to_the_uids_of_this_machine(tool, room, alice, bob):
    (room / f"{ACCOUNT}.pem").write_bytes(alice.path.read_bytes())
    (room / "nobody-here.pem").write_bytes(bob.path.read_bytes())
    said = report(tool, room)
    assert "not bound to a uid" in said["nobody-here.pem"][1]
    assert {row["account"]: row["account_uid"] for row in mappings(tool, "account, account_uid")} \
        == {ACCOUNT: NOBODY, "nobody-here": None}


def test_service_is_that_of_the_option(tool, three_files):
    tool("import", three_files, "--service", "ftp", "--no-uid")
    assert {row["service"] for row in mappings(tool)} == {"ftp"}


def test_sql_of_an_import_does_it_in_a_shell(tool, fresh, three_files):
    script = tool("import", three_files, "--sql").out
    assert accounts(tool) == []
    tool.database.sql(script)
    other = fresh()
    other("import", three_files)
    assert rows(tool.database, "mapping") == rows(other.database, "mapping") != []


# --sync ------------------------------------------------------------------------------------------

def test_sync_adds_changes_keeps_and_disables(tool, three_files, alice, bob, carol, pki):
    tool("import", three_files)
    tool("import", three_files, "--service", "ftp")
    (three_files / "alice.pem").unlink()
    (three_files / "bob.cer").rename(three_files / "robert.cer")
    (three_files / "dora.pem").write_bytes(pki.leaf("dora").path.read_bytes())
    before = dump(tool.database)
    expected = {"robert.cer": "changed", "carol.b64": "unchanged", "dora.pem": "added",
                "alice": "missing"}
    words = (three_files, "--sync", "--service", "*")
    dry = report(tool, *words, "--dry-run")
    assert dump(tool.database) == before
    assert {name: result for name, (result, _) in dry.items()} == expected
    assert report(tool, *words) == dry
    assert {row["account"]: row["enabled"] for row in mappings(tool) if row["service"] == "*"} \
        == {"alice": 0, "robert": 1, "carol": 1, "dora": 1}
    # Those of another service are not what the input is about.
    assert {row["account"]: row["enabled"] for row in mappings(tool) if row["service"] == "ftp"} \
        == {"alice": 1, "bob": 1, "carol": 1}


def test_sync_can_exchange_two_accounts(tool, three_files):
    tool("import", three_files)
    (three_files / "alice.pem").rename(three_files / "x.pem")
    (three_files / "bob.cer").rename(three_files / "alice.cer")
    (three_files / "x.pem").rename(three_files / "bob.pem")
    report(tool, three_files, "--sync")
    assert [(row["id"], row["account"], row["enabled"]) for row in mappings(tool)] \
        == [(1, "bob", 1), (2, "alice", 1), (3, "carol", 1)]


def test_sync_gives_the_uid_of_the_account_before_to_nobody(tool, room, alice):
    (room / f"{ACCOUNT}.pem").write_bytes(alice.path.read_bytes())
    tool("import", room)
    (room / f"{ACCOUNT}.pem").rename(room / "nobody-here.pem")
    tool("import", room, "--sync")
    assert mappings(tool, "account, account_uid") == [{"account": "nobody-here",
                                                       "account_uid": None}]


def test_sync_removes_what_is_missing_when_told_so(tool, three_files):
    tool("import", three_files)
    (three_files / "alice.pem").unlink()
    report(tool, three_files, "--sync", "--remove-missing")
    assert accounts(tool) == ["bob", "carol"]


def test_sync_with_an_empty_source_is_refused(tool, room, three_files):
    tool("import", three_files)
    for file in room.iterdir():
        file.unlink()
    assert "would retire them all" in tool.refuses("import", room, "--sync")


def test_sync_asks_on_a_terminal_before_it_takes_anything_away(tool, three_files):
    tool("import", three_files)
    (three_files / "alice.pem").unlink()
    status, said = on_terminal(tool, "import", str(three_files), "--sync", typed="n\n")
    assert status == 1 and "Disable 1 mappings" in said and "nothing was changed" in said
    assert tool.database.value("SELECT sum(enabled) FROM mapping") == 3


def test_without_sync_a_difference_is_refused_with_the_mapping(tool, three_files):
    tool("import", three_files)
    (three_files / "alice.pem").rename(three_files / "zoe.pem")
    result, detail = report(tool, three_files, status=1)["zoe.pem"]
    assert result == "refused" and "mapping 1" in detail and "alice" in detail


# CSV ---------------------------------------------------------------------------------------------

def write_csv(path, header, *rows, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])
    return path


def test_csv_takes_every_column(tool, room, alice, bob):
    file = write_csv(room / "all.csv",
                     ("certificate", "account", "service", "enabled", "valid_from", "valid_until",
                      "account_uid", "note"),
                     (one_line(alice), "alice", "ftp", "no", "2026-01-31", "2027-01-31 18:00",
                      "1234", 'her "laptop", new'),
                     (alice.path.read_text(), "bob", "imap", "", "", "4102444800", "", ""))
    report(tool, file)
    assert mappings(tool, "account, service, enabled, valid_from, valid_until, account_uid, note") \
        == [{"account": "alice", "service": "ftp", "enabled": 0, "valid_from": 1769817600,
             "valid_until": 1801418400, "account_uid": 1234, "note": 'her "laptop", new'},
            {"account": "bob", "service": "imap", "enabled": 1, "valid_from": None,
             "valid_until": 4102444800, "account_uid": None, "note": None}]


def test_csv_reads_certificates_beside_it(tool, room, alice, monkeypatch):
    (room / "certs").mkdir()
    (room / "certs" / "a.cer").write_bytes(der(alice))
    file = write_csv(room / "files.csv", ("account", "certificate_file"), ("alice", "certs/a.cer"))
    monkeypatch.chdir("/")
    report(tool, file)
    assert accounts(tool) == ["alice"]


def test_csv_of_a_spreadsheet_is_understood(tool, room, alice):
    file = write_csv(room / "excel.csv", ("account", "certificate"), ("alice", one_line(alice)),
                     delimiter=";")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    report(tool, file)
    assert accounts(tool) == ["alice"]


@pytest.mark.parametrize("text, words", [
    ("", "empty"),
    ("user,certificate\n", "`account' is not among them"),
    ("account\nalice\n", "certificate_file"),
    ("account,certificate,colour\na,b,c\n", "'colour'"),
    ('account,certificate\nalice,"abc\n', "not closed"),
    ('account,certificate\nalice,a"b"c\n', "not CSV"),
])
def test_csv_that_is_none_is_refused_with_the_place(tool, room, text, words):
    (room / "bad.csv").write_text(text)
    said = tool.refuses("import", room / "bad.csv")
    assert words in said and "bad.csv" in said


@pytest.mark.parametrize("column, value, words", [
    ("enabled", "maybe", "yes or no"), ("valid_until", "tomorrow", "'tomorrow'"),
    ("account_uid", "-1", "a uid"), ("account_uid", "4294967295", "a uid"),
    ("account", "", "no account"), ("account", "-x", "account must be"),
    ("certificate", "hello", "certificate"), ("service", "FTP", "lower case"),
    ("staged_until", "2099-01-31", "valid_until ends"), ("replaces", "7", "a staged mapping"),
])
def test_csv_row_with_a_bad_value_is_refused_by_name(tool, room, alice, column, value, words):
    row = {"account": "alice", "certificate": one_line(alice), column: value}
    file = write_csv(room / "row.csv", tuple(row), tuple(row.values()))
    result, detail = report(tool, file, status=1)["row 2"]
    assert result == "refused" and words in detail
    assert accounts(tool) == []


# IIS ---------------------------------------------------------------------------------------------

def section(content, attributes='enabled="true"', access=""):
    return (f"<system.webServer><security>{access}<authentication>"
            f"<iisClientCertificateMappingAuthentication {attributes}>{content}"
            "</iisClientCertificateMappingAuthentication></authentication></security>"
            "</system.webServer>")


def location(path, *words, **named):
    return f'<location path="{path}">{section(*words, **named)}</location>'


def configuration(room, *parts):
    file = room / "applicationHost.config"
    file.write_text('<?xml version="1.0" encoding="UTF-8"?>\n<configuration>'
                    '<configSections><section name="x" /></configSections>'
                    + "\n".join(parts) + "</configuration>")
    return file


def one_to_one(*mappings_, rest=""):
    return f"<oneToOneMappings>{''.join(mappings_)}</oneToOneMappings>{rest}"


def add(user, certificate, extra=""):
    return f'<add userName="{user}" certificate="{one_line(certificate)}" {extra}/>'


def test_iis_mappings_of_a_location_become_those_of_a_service(tool, room, alice, bob):
    file = configuration(room, location("Default Web Site", one_to_one(
        add("alice", alice), add("bob", bob, 'enabled="false"'))))
    report(tool, file, "--location", "Default Web Site=apache2")
    assert mappings(tool, "service, account, enabled") == [
        {"service": "apache2", "account": "alice", "enabled": 1},
        {"service": "apache2", "account": "bob", "enabled": 0}]


def test_iis_location_without_a_service_is_refused_with_the_option(tool, room, alice, bob):
    file = configuration(room, section(one_to_one(add("alice", alice))),
                         location("Site", one_to_one(add("bob", bob))))
    details = [detail for _, detail in report(tool, file, status=1).values()]
    assert any("--location='Site=SERVICE'" in detail for detail in details)
    assert any("--location='=SERVICE'" in detail for detail in details)
    said = report(tool, file, "--location", "=*", "--location", "Site=-")
    assert accounts(tool) == ["alice"]
    assert any("left out" in (detail or "") for _, detail in said.values())


@pytest.mark.parametrize("attributes", [
    "", 'enabled="false"', 'enabled="true" oneToOneCertificateMappingsEnabled="false"'])
def test_iis_switch_that_is_off_disables_the_service(tool, room, alice, attributes):
    file = configuration(room, location("Site", one_to_one(add("alice", alice)), attributes))
    report(tool, file, "--location", "Site=ftp", "--dry-run")
    report(tool, file, "--location", "Site=ftp")
    assert tool.database.value("SELECT enabled FROM service WHERE name = 'ftp'") == 0
    assert tool.database.value("SELECT state FROM mapping_status") == "service disabled"


def test_iis_switch_of_every_service_disables_the_rows_alone(tool, room, alice):
    file = configuration(room, section(one_to_one(add("alice", alice)), 'enabled="false"'))
    report(tool, file, "--location", "=*")
    assert tool.database.value("SELECT enabled FROM service WHERE name = '*'") == 1
    assert tool.database.value("SELECT enabled FROM mapping") == 0


def test_iis_switch_is_inherited_from_the_level_above(tool, room, alice):
    file = configuration(room, section("", 'enabled="true"'),
                         location("Site/app", one_to_one(add("alice", alice)), ""))
    report(tool, file, "--location", "Site/app=ftp")
    assert tool.database.value("SELECT state FROM mapping_status") == "in force"


def test_iis_enable_overrules_the_switches(tool, room, alice):
    file = configuration(room, location("Site", one_to_one(add("alice", alice)), ""))
    report(tool, file, "--location", "Site=ftp", "--enable")
    assert tool.database.value("SELECT state FROM mapping_status") == "in force"


def test_iis_clear_cuts_a_service_off(tool, room, daemon, alice, bob, carol):
    file = configuration(room, section(one_to_one(add("alice", alice))), location(
        "Site", one_to_one(add("carol", carol), "<clear />", add("bob", bob))))
    said = report(tool, file, "--location", "=*", "--location", "Site=ftp")
    assert accounts(tool) == ["alice", "bob"]
    assert any("<clear/>" in (detail or "") and "1 mappings" in detail
               for _, detail in said.values())
    assert daemon.reason(alice, service="imap") == "allowed"
    assert daemon.reason(alice, service="ftp") == "unmapped"


def test_iis_remove_takes_one_away_from_a_service(tool, room, daemon, alice):
    file = configuration(room, section(one_to_one(add("alice", alice))), location(
        "Site", one_to_one(f'<remove certificate="{one_line(alice)}" />')))
    report(tool, file, "--location", "=*", "--location", "Site=ftp")
    assert daemon.reason(alice, service="imap") == "allowed"
    assert daemon.reason(alice, service="ftp") == "mapping-disabled"


@pytest.mark.parametrize("user, account", [
    ("CONTOSO\\alice", "alice"), ("contoso\\alice", "alice"), (".\\alice", "alice"),
    ("alice@contoso.example", "alice"), ("alice", "alice")])
def test_iis_user_loses_its_domain(tool, room, alice, user, account):
    file = configuration(room, location("Site", one_to_one(add(user, alice)),
                                        'enabled="true" defaultLogonDomain="CONTOSO"'))
    report(tool, file, "--location", "Site=ftp", "--domain", "Contoso.example")
    assert accounts(tool) == [account]


def test_iis_user_of_an_unknown_domain_is_refused_with_the_option(tool, room, alice):
    file = configuration(room, location("Site", one_to_one(add("FABRIKAM\\Alice", alice))))
    ((result, detail),) = report(tool, file, "--location", "Site=ftp", status=1).values()
    assert result == "refused" and "--domain=FABRIKAM" in detail
    report(tool, file, "--location", "Site=ftp", "--domain", "FABRIKAM", "--lowercase")
    assert accounts(tool) == ["alice"]


def test_iis_what_has_no_counterpart_is_reported_and_no_password_shown(tool, room, alice, bob):
    file = configuration(room, location(
        "Site", one_to_one(add("alice", alice, 'password="[enc:AesProvider:57686f:enc]"'),
                           add("bob", bob, 'password="Tr0ub4dor"'),
                           rest="<manyToOneMappings><add name='x' /></manyToOneMappings>"),
        'enabled="true" logonMethod="Batch"',
        access='<access sslFlags="Ssl, SslNegotiateCert, SslRequireCert" />'))
    done = tool("import", "--json", file, "--location", "Site=ftp")
    notes = [line["detail"] for line in json.loads(done.out) if line["result"] == "note"]
    for words in ("password of alice is encrypted", "password of bob stands there in clear text",
                  "1 many-to-one rules", "logonMethod Batch", "auth required pam_certmap.so"):
        assert any(words in note for note in notes), words
    assert "Tr0ub4dor" not in done.out + done.err and "57686f" not in done.out + done.err


def count_in_memory(process, *words):
    """How often each stands in what the process may write to."""
    counts = [0] * len(words)
    with open(f"/proc/{process.pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{process.pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, mode = line.split()[:2]
            first, last = (int(end, 16) for end in place.split("-"))
            # A sanitizer's shadow is larger than any machine, and has no copies.
            if mode.startswith("rw") and last - first < 2 ** 30:
                memory.seek(first)
                part = memory.read(last - first)
                counts = [count + part.count(word) for count, word in zip(counts, words)]
    return counts


def test_iis_password_is_gone_from_memory_once_the_file_is_read(tool, room, alice, bob):
    tool.database.map(alice, "alice")
    # Of many lengths, since the next use of freed memory overwrites some by chance.
    file = configuration(room, location("Site", one_to_one(*(
        add("bob", bob, f'password="{"Tr0ub4dor" * 2 ** (i % 8)}"') for i in range(24)))))
    counts = []
    status, said = on_terminal(
        tool, "import", "--location=Site=*", "--sync", str(file), typed="n\n",
        look=lambda process: counts.extend(count_in_memory(process, b"Tr0ub4dor", b"of bob")))
    assert status == 1 and "Disable 1 mappings" in said
    assert counts[0] == 0 and counts[1] >= 24  # its notes, which show that the reading found them


def test_iis_user_with_many_certificates_needs_to_be_allowed(tool, room, alice, bob):
    file = configuration(room, location("Site", one_to_one(add("alice", alice),
                                                           add("alice", bob))))
    said = report(tool, file, "--location", "Site=ftp", status=1)
    assert any("certificates_per_account" in (detail or "") for _, detail in said.values())
    report(tool, file, "--location", "Site=ftp", "--certificates-per-account", "2")
    assert accounts(tool) == ["alice", "alice"]


@pytest.mark.parametrize("text, words", [
    ("", "line"), ("<configuration>", "line 1"), ("<other/>", "<configuration>"),
    ('<!DOCTYPE configuration [<!ENTITY a "b">]><configuration/>', "document type"),
    ('<!DOCTYPE c SYSTEM "file:///etc/passwd"><configuration/>', "document type"),
    ("<configuration/>", "location"),
])
def test_iis_file_that_is_none_is_refused(tool, room, text, words):
    file = room / "bad.config"
    file.write_text(text)
    said = tool.refuses("import", file, "--location", "Site=ftp")
    assert words in said and "bad.config" in said


def test_iis_entities_never_reach_a_file_or_the_network(tool, room, alice):
    file = room / "hostile.config"
    file.write_text('<!DOCTYPE configuration [<!ENTITY % remote SYSTEM "http://127.0.0.1:9/x">'
                    "%remote;]><configuration/>")
    log = room / "trace"
    traced = subprocess.run(
        ["strace", "-f", "-e", "trace=openat,connect", "-o", log, CERTMAPCTL,
         "--database", tool.database.path, "import", file], check=False,
        # The leak check of a sanitizer needs ptrace(2) for itself.
        env={**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE) if shutil.which("strace") else None
    assert "document type" in tool.refuses("import", file)
    if traced:
        assert traced.returncode == 1 and "connect(" not in log.read_text()


# Round trips -------------------------------------------------------------------------------------

@pytest.fixture
def full(tool, pki, alice, bob, carol):
    """A database with something in every column that people write."""
    tool.database.sql(f"""
        INSERT INTO service (name, inherit, certificates_per_account, note)
            VALUES ('ftp', 0, 2, 'it''s');
        INSERT INTO mapping (service, account, certificate, valid_from, valid_until, account_uid,
            note) VALUES ('ftp', 'alice', readfile('alice.pem'), 1, 4102444800, {NOBODY},
            'two' || char(10) || '"lines", one'';');
        INSERT INTO mapping (account, certificate, enabled) VALUES ('bob', readfile('bob.cer'), 0);
        INSERT INTO mapping (account, certificate) VALUES ('carol', readfile('carol.cer'));
        INSERT INTO mapping (account, certificate) VALUES ('gone', readfile('carol.cer') || x'00');
        DELETE FROM mapping WHERE account = 'gone';""")
    pki.leaf("carol-new")
    tool.database.sql("""
        INSERT INTO mapping (account, certificate, enabled, replaces, staged_until)
            VALUES ('carol', readfile('carol-new.cer'), 0, 3, 4102444800);
        INSERT INTO trust (kind, content, note) VALUES ('anchor', readfile('ca.pem'), 'our CA');
        INSERT INTO credential VALUES ('*', 'alice', x'0102030405');""")
    return tool


def rows(database, table, but=()):
    """The rows of a table without these columns, bytes in hexadecimal."""
    names = [row["name"] for row in database.rows(f"SELECT name FROM pragma_table_info('{table}')")
             if row["name"] not in but]
    return database.rows(
        "SELECT " + ", ".join(f'quote("{name}") AS "{name}"' for name in names) + f" FROM {table}")


def test_sql_comes_back_to_the_same_rows_and_schema_in_the_stock_shell(full, no_database, room):
    script = full("export", "--format", "sql", "--uids", "--credentials").out
    other = Database(room, no_database.standing)
    assert other.sql(script) == "wal\n"
    for table in ("mapping", "service", "trust", "credential"):
        assert rows(other, table) == rows(full.database, table), table
        assert rows(other, table) != []
    for value in ("PRAGMA user_version", "PRAGMA application_id",
                  "SELECT seq FROM sqlite_sequence WHERE name = 'mapping'"):
        assert other.value(value) == full.database.value(value)
    schema = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY 1, 2"
    assert other.rows(schema) == full.database.rows(schema)
    room.chmod(0o700)
    other.path.chmod(0o600)
    assert Tool(other)("export", "--format", "csv").out == full("export", "--format", "csv").out
    with pytest.raises(Refused):
        other.sql(script)


def test_sql_cuts_no_text_at_a_nul(full, no_database, room):
    """quote() and a literal end there."""
    full.database.sql("UPDATE mapping SET note = 'a' || char(0) || 'b' || char(39) WHERE id = 1;"
                      "UPDATE trust SET note = char(0);")
    other = Database(room, no_database.standing)
    assert other.sql(full("export", "--format", "sql").out) == "wal\n"
    for table, note in (("mapping", "61006227"), ("trust", "00")):
        found = f"SELECT typeof(note) || ' ' || hex(note) FROM {table} ORDER BY id LIMIT 1"
        assert other.value(found) == f"text {note}"


def test_sql_holds_uids_and_credentials_only_when_asked(full, no_database, room):
    script = full("export", "--format", "sql").out
    assert "-- No mapping in it is bound to a user ID" in script
    assert "bound to a user ID" not in full("export", "--format", "sql", "--uids").out
    other = Database(room, no_database.standing)
    other.sql(script)
    assert rows(other, "credential") == []
    assert {row["account_uid"] for row in rows(other, "mapping")} == {"NULL"}
    assert rows(other, "mapping", but=("account_uid",)) \
        == rows(full.database, "mapping", but=("account_uid",))


def certificates(tool):
    """What each mapping is, whatever it was stored as."""
    found = {}
    for row in tool.database.rows("SELECT id, hex(certificate) AS bytes FROM mapping"):
        stored = bytes.fromhex(row["bytes"])
        form = "der" if stored[:1] == b"\x30" else "pem"
        found[row["id"]] = subprocess.run(
            ["openssl", "x509", "-inform", form, "-outform", "der"], input=stored, check=True,
            stdout=subprocess.PIPE).stdout
    return found


@pytest.mark.parametrize("form", ["json", "csv"])
def test_mappings_come_back_from(full, fresh, room, form):
    file = room / f"all.{form}"
    full("export", "--format", form, "--uids", "--output", file)
    assert file.stat().st_mode & 0o777 == 0o600
    other = fresh()
    options = () if form == "json" else ("--certificates-per-account", "2")
    other("import", file, *options)
    assert mappings(other, "service, account, enabled, valid_from, valid_until, staged_until,"
                           " account_uid, note") \
        == mappings(full, "service, account, enabled, valid_from, valid_until, staged_until,"
                          " account_uid, note")
    assert list(certificates(other).values()) == list(certificates(full).values())
    staged = other.database.rows("SELECT m.account, n.account AS of FROM mapping AS m JOIN"
                                 " mapping AS n ON n.id = m.replaces")
    assert staged == [{"account": "carol", "of": "carol"}]
    assert {result for result, _ in report(other, file, "--sync").values()} == {"unchanged"}


def test_json_carries_services_and_trust_and_credentials_when_asked(full, fresh, room):
    file = room / "all.json"
    for options, expected in (((), []), (("--credentials",), rows(full.database, "credential"))):
        full("export", "--format", "json", *options, "--output", file)
        other = fresh()
        other("import", file)
        assert rows(other.database, "service") == rows(full.database, "service")
        assert rows(other.database, "trust") == rows(full.database, "trust")
        assert rows(other.database, "credential") == expected


def test_json_of_a_newer_version_is_refused_by_the_name_that_is_not_known(full, fresh, room):
    text = full("export", "--format", "json").out
    other = fresh()
    for new in (text.replace('"account":', '"colour": 7, "account":', 1),
                text.replace('"inherit":', '"colour": 7, "inherit":', 1)):
        (room / "new.json").write_text(new)
        done = other("import", room / "new.json", status=1)
        said = " ".join((done.out + done.err).split())
        assert "colour" in said and "of this version" in said and "take it out, or" in said
        assert accounts(other) == []


@pytest.mark.parametrize("text, words", [
    ("", "no JSON array"), ("{}", "no JSON array"), ("[", "object 1"), ("[1]", "object 1"),
    ('[{"account": "a"} {}]', "behind object 1"), ('[{"account": "a"}', "cut short"),
    ('[{"account": "a"}] x', "follows after"), ('[{"object": "history"}]', "names no table"),
    ('[{"account": {"a": 1}}]', "'account'"), ('[{"account": 1.5}]', "'account'"),
    ('[{"account": "a", "account": "b"}]', "object 1"),
])
def test_json_that_is_none_of_ours_is_refused_with_the_place(tool, room, text, words):
    (room / "bad.json").write_text(text)
    said = tool.refuses("import", room / "bad.json")
    assert words in said and "bad.json" in said


def test_csv_carries_every_column_of_the_table(tool, alice):
    tool.database.map(alice, ACCOUNT)
    rows = list(csv.reader(tool("export", "--format=csv", "--uids").out.splitlines()))
    assert set(rows[0]) == {row["name"] for row in tool.database.rows("PRAGMA table_info(mapping)")}
    assert [len(row) for row in rows] == [len(rows[0])] * 2


def test_a_mapping_that_is_no_certificate_is_left_out_aloud(tool, alice):
    tool.database.sql("INSERT INTO mapping (account, certificate)"
                      " VALUES ('broken', readfile('alice.cer') || x'00');")
    for form in ("json", "csv"):
        done = tool("export", "--format", form)
        assert "mapping 1 was left out" in done.err and "broken" not in done.out
    assert f"{der(alice).hex()}00" in tool("export", "--format", "sql").out.lower()


def test_export_of_one_service_holds_its_rows_alone(full):
    said = json.loads(full("export", "--format", "json", "--service", "ftp").out)
    assert [(line["object"], line.get("service", line.get("name"))) for line in said] \
        == [("service", "ftp"), ("mapping", "ftp")]


def test_authorized_keys_are_those_that_the_verb_prints(tool, alice):
    tool("add", ACCOUNT, alice.path)
    said = tool("export", "--format", "authorized-keys", "--account", ACCOUNT).out
    assert said == tool("authorized-keys", ACCOUNT).out and said.startswith("ecdsa-sha2-nistp256 ")


@pytest.mark.parametrize("words", [
    ("import",), ("import", "a", "b"), ("import", "a", "--remove-missing"),
    ("import", "a", "--location", "x"), ("import", "a", "--certificates-per-account", "0"),
    ("export", "--format", "authorized-keys"), ("export", "--format", "csv", "--account", "x"),
    ("export", "--format", "sql", "--service", "x"), ("export", "--format", "csv", "--credentials"),
    ("export", "--format", "stunnel-cafile", "--uids"),
    ("export", "--format", "authorized-keys", "--account", "x", "--uids"),
])
def test_wrong_usage_is_status_2(words):
    assert "--help" in ctl(*words, status=2).err


@pytest.mark.parametrize("words", [("--lowercase",), ("--enable",), ("--domain", "x"),
                                   ("--location", "x=sshd")])
@pytest.mark.parametrize("source", [".", "x.csv", "x.json"])
def test_what_belongs_to_iis_is_refused_of_other_sources(tool, room, source, words):
    assert "belong to the format iis" in tool("import", room / source, *words, status=2).err


def test_a_source_of_unknown_kind_is_asked_for(tool, room):
    assert "--format" in tool("import", room / "x.txt", status=2).err
    assert "there are" in tool("import", room, "--format", "yaml", status=2).err


def test_an_import_that_can_not_be_read_says_why(tool, room):
    assert "No such file" in tool.refuses("import", room / "none.csv")
    assert os.path.basename(room / "none.csv") in tool.refuses("import", room / "none.csv")
