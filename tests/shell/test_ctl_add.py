# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_add.py owns what people have in place of one certificate in PEM: the containers and
encodings of other programs, things that are no certificate, and certificates to be doubted."""
import re
import shlex
import time

import pytest

from ctl_stage import ACCOUNT
from shell_stage import run

HOUR = 3600
PASSWORD = ("-passout", "pass:secret")


def pkcs7(pki, path, *certificates, form="DER"):
    arguments = [part for c in certificates for part in ("-certfile", c.path)]
    run("openssl", "crl2pkcs7", "-nocrl", *arguments, "-outform", form, "-out", path)
    return path


def stored(tool):
    return bytes.fromhex(tool.database.value("SELECT hex(certificate) FROM mapping"))


# Taken -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_the_one_certificate_of_a_client_in_pkcs7_is_taken(tool, pki, alice, tmp_path, form):
    path = pkcs7(pki, tmp_path / "alice.p7b", pki.root, alice, pki.intermediate("middle"),
                 form=form)
    assert alice.fingerprint in tool("add", ACCOUNT, path).out
    assert stored(tool) == alice.der


def test_pkcs7_under_the_label_of_a_certificate_is_taken(tool, pki, alice, tmp_path):
    """As Windows' certificate services hand it out."""
    path = pkcs7(pki, tmp_path / "certnew.p7b", alice, pki.root, form="PEM")
    path.write_text(path.read_text().replace("PKCS7", "CERTIFICATE"))
    tool("add", ACCOUNT, path)
    assert stored(tool) == alice.der


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
@pytest.mark.parametrize("form", ["pem", "base64"])
def test_text_of_windows_with_its_byte_order_mark_is_taken(tool, alice, tmp_path, encoding, form):
    path = tmp_path / "alice.cer"
    path.write_bytes(("\ufeff" + getattr(alice, form).replace("\n", "\r\n")).encode(encoding))
    tool("add", ACCOUNT, path)
    assert stored(tool) == alice.der


def test_pkcs7_in_ber_is_taken(tool, pki, alice, tmp_path):
    """With lengths that are left open, as programs write it that stream."""
    whole = pkcs7(pki, tmp_path / "x", alice).read_bytes()
    assert whole[:2] == b"\x30\x82"  # of a length in two octets
    (tmp_path / "alice.p7b").write_bytes(b"\x30\x80" + whole[4:] + b"\0\0")
    tool("add", ACCOUNT, tmp_path / "alice.p7b")
    assert stored(tool) == alice.der


def test_pkcs7_is_read_from_the_standard_input(tool, pki, alice, tmp_path):
    path = pkcs7(pki, tmp_path / "alice.p7b", alice, pki.root)
    with path.open("rb") as file:
        tool("add", ACCOUNT, "-", stdin=file)
    assert stored(tool) == alice.der


# Not taken, and called by its name ---------------------------------------------------------------


@pytest.fixture
def things(pki, alice, bob, tmp_path):
    """name -> what a person may have there."""
    def made(name, *command):
        run("openssl", *command, "-out", tmp_path / name)
        return (tmp_path / name).read_bytes()

    key, request = alice.key_path, pki.directory / "alice.csr"
    pki.revocation_list("things")
    p12 = ("pkcs12", "-export", "-in", alice.path, "-inkey", key, *PASSWORD)
    whole = pkcs7(pki, tmp_path / "whole.p7b", alice, pki.root).read_bytes()
    return {
        "two clients in PKCS#7": lambda: pkcs7(pki, tmp_path / "a", alice, bob, pki.root).read_bytes(),
        "CAs in PKCS#7": lambda: pkcs7(pki, tmp_path / "b", pki.root).read_bytes(),
        "nothing in PKCS#7": lambda: made("c", "crl2pkcs7", "-nocrl", "-outform", "DER"),
        "PKCS#7 twice": lambda: 2 * pkcs7(pki, tmp_path / "d", alice, form="PEM").read_bytes(),
        "truncated PKCS#7": lambda: whole[:-100],
        "PKCS#12": lambda: made("e", *p12),
        "private key in DER": lambda: made("f", "pkey", "-in", key, "-outform", "DER"),
        "old private key in DER": lambda: made(
            "g", "rsa", "-in", bob.key_path, "-outform", "DER", "-traditional"),
        "sealed private key in DER": lambda: made(
            "h", "pkcs8", "-topk8", "-in", key, "-outform", "DER", *PASSWORD),
        "private key": key.read_bytes,
        "request in DER": lambda: made("i", "req", "-in", request, "-outform", "DER"),
        "request": request.read_bytes,
        "CRL": (pki.directory / "things.crl").read_bytes,
        "CRL in DER": (pki.directory / "things.crl.der").read_bytes,
        "public key": lambda: made("j", "pkey", "-in", key, "-pubout"),
        "public key in DER": lambda: made("k", "pkey", "-in", key, "-pubout", "-outform", "DER"),
        "SSH key": lambda: run("ssh-keygen", "-y", "-f", bob.key_path),
        "trusted": lambda: made("m", "x509", "-in", alice.path, "-trustout"),
        "other UTF-16": lambda: "\ufeffäöü".encode("utf-16-le"),
    }


@pytest.mark.parametrize("name, words", [
    ("two clients in PKCS#7", ("2 certificates", "CN = alice" , "CN = bob")),
    ("CAs in PKCS#7", ("PKCS#7 with 1 certificate of CAs", "none of a client")),
    ("nothing in PKCS#7", ("PKCS#7 with 0 certificates",)),
    ("PKCS#7 twice", ("PKCS#7 beside something else",)),
    ("truncated PKCS#7", ("truncated",)),
    ("PKCS#12", ("PKCS#12", "openssl pkcs12", "-nokeys")),
    ("private key in DER", ("private key",)),
    ("old private key in DER", ("private key",)),
    ("sealed private key in DER", ("private key",)),
    ("private key", ("private key",)),
    ("request in DER", ("certificate request",)),
    ("request", ("certificate request",)),
    ("CRL", ("revocation list", "`certmapctl crl add'")),
    ("CRL in DER", ("revocation list",)),
    ("public key", ("public key alone",)),
    ("public key in DER", ("public key alone",)),
    ("SSH key", ("SSH public key",)),
    ("trusted", ("openssl x509",)),
    ("other UTF-16", ("UTF-16",)),
])
def test_what_is_no_certificate_is_called_by_its_name(tool, things, tmp_path, name, words):
    path = tmp_path / "thing"
    path.write_bytes(things[name]())
    said = tool.refuses("add", ACCOUNT, path)
    assert all(word.replace("CN = ", "CN=") in said for word in words), said
    assert "nothing was changed" in said and "Test CA" not in said


def test_a_directory_is_no_file(tool, tmp_path):
    assert "Is a directory: name the file in it" in tool.refuses("add", ACCOUNT, tmp_path)


def test_names_in_a_container_forge_nothing(tool, pki, alice, tmp_path):
    hostile = pki.leaf("hostile", subject="/CN=\x1b[2J\x07 mallory")
    said = tool.refuses("add", ACCOUNT, pkcs7(pki, tmp_path / "x", alice, hostile))
    assert "mallory" in said and "\x1b" not in said and "\x07" not in said


# Doubted -----------------------------------------------------------------------------------------


def selfsigned(path, *arguments):
    run("openssl", "req", "-x509", "-nodes", "-keyout", path.with_suffix(".key"), "-out", path,
        "-subj", "/CN=alice", *arguments)
    return path


def test_a_sound_certificate_makes_no_warning(tool, alice, tmp_path):
    assert tool("add", ACCOUNT, alice.path).err == ""
    # Without any extendedKeyUsage it is good for everything, RFC 5280 4.2.1.12.
    bare = selfsigned(tmp_path / "bare.pem", "-newkey", "rsa:2048", "-addext",
                      "basicConstraints=critical,CA:FALSE")
    assert tool("add", ACCOUNT, bare, "--service", "ftp").err == ""


def test_a_certificate_of_a_ca_makes_a_warning(tool, pki):
    assert "the certificate of a CA" in tool("add", ACCOUNT, pki.root.path).err


def test_a_certificate_of_a_server_makes_a_warning(tool, pki):
    said = tool("add", ACCOUNT, pki.leaf("server", profile="server").path).err
    assert "not made for clients" in said and "clientAuth" in said


def test_a_weak_key_and_a_weak_signature_make_a_warning(tool, tmp_path):
    weak = selfsigned(tmp_path / "weak.pem", "-newkey", "rsa:1024", "-sha1", "-addext",
                      "basicConstraints=critical,CA:FALSE")
    said = tool("add", ACCOUNT, weak).err
    assert "1024 bits is weak" in said and "weak digest" in said


def test_the_key_of_another_account_makes_a_warning_that_names_it(tool, pki, alice):
    again = pki.leaf("again", key_of="alice")
    tool("add", "somebody", alice.path, "--no-uid")
    said = tool("add", ACCOUNT, again.path).err
    assert "mapping 1 of somebody holds a certificate of the same key" in said
    assert "same key" in tool("add", ACCOUNT, again.path, "--service", "ftp").err


def test_the_key_of_the_accounts_own_other_certificate_makes_none(tool, pki, alice):
    again = pki.leaf("again", key_of="alice")
    tool("add", ACCOUNT, alice.path)
    assert tool("add", ACCOUNT, again.path, "--service", "ftp").err == ""


# Its own validity --------------------------------------------------------------------------------


def test_the_validity_of_a_mapping_is_given_as_people_write_it(tool, alice):
    said = tool("add", ACCOUNT, alice.path, "--valid-from", "2027-01-31", "--valid-until",
                "2027-02-01 18:00").out
    assert "2027-01-31 00:00:00 to 2027-02-01 18:00:00 UTC" in said
    assert "not yet valid" in said
    assert tool.database.rows("SELECT valid_from, valid_until FROM mapping") == [
        {"valid_from": 1801353600, "valid_until": 1801504800}]


def test_a_span_leads_from_now_on(tool, alice):
    tool("add", ACCOUNT, alice.path, "--valid-until", "30d")
    until = tool.database.value("SELECT valid_until FROM mapping")
    assert 0 <= time.time() + 30 * 24 * HOUR - until < 600


@pytest.mark.parametrize("option", ["--valid-from", "--valid-until"])
@pytest.mark.parametrize("value", ["tomorrow", "2027-02-30", "30", ""])
def test_a_time_that_is_none_is_wrong_usage(tool, alice, option, value):
    said = tool("add", ACCOUNT, alice.path, option, value, status=2).err
    assert option in said and "2027-01-31" in said


def test_an_end_before_the_beginning_is_refused_by_the_schema(tool, alice):
    assert "valid_until is before valid_from" in tool.refuses(
        "add", ACCOUNT, alice.path, "--valid-from", "2d", "--valid-until", "1d")


def test_one_more_certificate_is_let_in_by_the_command_that_is_named(tool, pki):
    """Also where the account has more than one already."""
    for count, name in enumerate(("first", "second", "third", "fourth")):
        if count > 0:
            said = tool.refuses("add", ACCOUNT, pki.leaf(name).path)
            command = re.search(r"one more beside it: `certmapctl (service set .*)'$", said, re.M)[1]
            tool(*shlex.split(command))
        tool("add", ACCOUNT, pki.leaf(name).path)
