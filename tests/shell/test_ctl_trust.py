# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_ctl_trust.py owns what `certmapctl trust' and `certmapctl crl' put in, show, refuse and
remove; the lists are made, and read for comparison, by the openssl command line."""
import re

import pytest

from ctl_stage import dump, on_terminal
from shell_stage import HOUR, run

DAY = 24 * HOUR


def said_by_openssl(pki, name, *options):
    text = run("openssl", "crl", "-noout", "-in", pki.directory / f"{name}.crl", "-nameopt",
               "RFC2253", "-dateopt", "iso_8601", *options).decode()
    return dict(line.split("=", 1) for line in text.splitlines())


def rows(tool):
    return tool.database.rows("SELECT id, service, kind, note, hex(content) AS content FROM trust")


@pytest.fixture
def trusted(tool, pki):
    tool("trust", "add", pki.root.path)
    return tool


# crl ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", [".crl", ".crl.der"])
def test_crl_add_stores_the_bytes_as_they_came_and_shows_what_openssl_shows(
        trusted, pki, bob, carol, form):
    name = pki.revocation_list("two", [bob, carol])
    path = pki.directory / (name + form)
    facts = said_by_openssl(pki, name, "-issuer", "-lastupdate", "-nextupdate")
    expected = {"id": 2, "service": "proftpd", "issuer": facts["issuer"], "number": None,
                "this_update": facts["lastUpdate"].rstrip("Z"),
                "next_update": facts["nextUpdate"].rstrip("Z"), "entries": 2, "state": "current",
                "problem": None, "note": "hourly"}
    words = ("crl", "add", "--service", "proftpd", "--note", "hourly", path)
    assert trusted.json(*words) == {**expected, "change": "added"}
    assert rows(trusted)[1] == {"id": 2, "service": "proftpd", "kind": "crl", "note": "hourly",
                                "content": path.read_bytes().hex().upper()}
    assert trusted.json("crl", "list") == [expected]
    assert trusted.json(*words)["change"] == "unchanged"


def test_crl_add_reads_the_standard_input(trusted, pki):
    with open(pki.directory / (pki.revocation_list("stdin") + ".crl"), "rb") as file:
        assert trusted.json("crl", "add", "-", stdin=file)["entries"] == 0


def test_newer_list_takes_the_place_of_the_older_one_and_keeps_its_id(trusted, pki, bob):
    old = pki.directory / (pki.revocation_list("old", start=-2 * HOUR) + ".crl")
    new = pki.directory / (pki.revocation_list("new", [bob], start=-HOUR) + ".crl")
    trusted("crl", "add", old, "--note", "from the CA")
    assert trusted.json("crl", "add", new)["change"] == "replaced"
    assert [(r["id"], r["note"], r["content"]) for r in rows(trusted)[1:]] == [
        (2, "from the CA", new.read_bytes().hex().upper())]
    said = trusted.refuses("crl", "add", old)
    for name in ("old", "new"):
        date = said_by_openssl(pki, name, "-lastupdate")["lastUpdate"].rstrip("Z")
        assert date in said
    trusted("crl", "remove", "2")
    trusted("crl", "add", old)


def test_number_decides_as_well(trusted, pki):
    def numbered(name, number):
        pki.revocation_list(name)
        cnf = pki.directory / f"{name}.cnf"
        (pki.directory / f"{name}.number").write_text(f"{number}\n", encoding="ascii")
        cnf.write_text(cnf.read_text().replace(
            "[here]\n", f"[here]\ncrlnumber = {name}.number\n"))
        pki.openssl("ca", "-batch", "-config", f"{name}.cnf", "-cert", "ca.pem", "-keyfile",
                    "ca.key", "-gencrl", "-crlexts", "list", "-out", f"{name}.crl")
        return pki.directory / f"{name}.crl"
    ninth, tenth = numbered("ninth", "FF"), numbered("tenth", "0100")
    assert trusted.json("crl", "add", tenth)["number"] == "100"
    assert "number FF" in trusted.refuses("crl", "add", ninth)
    assert "number 100" in trusted.refuses("crl", "add", ninth)


def test_lists_of_other_issuers_keys_and_services_stay_beside(trusted, pki):
    pki.other_root("elsewhere")
    first = pki.directory / (pki.revocation_list("first") + ".crl")
    other = pki.directory / (pki.revocation_list("other", issuer="elsewhere") + ".crl")
    trusted("crl", "add", first)
    trusted("crl", "add", first, "--service", "proftpd")
    trusted("crl", "add", other)
    assert [r["service"] for r in trusted.json("crl", "list")] == ["*", "*", "proftpd"]
    assert [r["id"] for r in trusted.json("crl", "list", "--service", "proftpd")] == [3]


def test_stale_list_and_one_of_an_unknown_issuer_are_warned_of(tool, pki):
    stale = pki.directory / (pki.revocation_list("stale", start=-DAY, end=-HOUR) + ".crl")
    said = tool("crl", "add", stale).err
    assert "the list is stale" in said and "no anchor or intermediate called CN=Test CA" in said
    assert tool.json("crl", "list")[0]["state"] == "stale"
    assert re.search(r"stale$", tool("crl", "list").out.splitlines()[1])
    tool("trust", "add", pki.root.path)
    assert "no anchor" not in tool("crl", "add", stale).err


@pytest.mark.parametrize("content, words", [
    (b"", "empty"), (b"hello", "neither DER nor PEM of a revocation list"),
    ("ca.pem", "a certificate: `certmapctl trust add'"), ("alice.cer", "not a revocation list"),
    ("twice", "more than one list"), ("longer", "bytes follow"),
])
def test_what_is_no_list_is_refused_by_what_it_is(tool, pki, alice, tmp_path, content, words):
    path = tmp_path / "brought"
    if content in ("twice", "longer"):
        name = pki.directory / pki.revocation_list("whole")
        content = (name.with_suffix(".crl").read_bytes() * 2 if content == "twice"
                   else (pki.directory / "whole.crl.der").read_bytes() + b"\0")
    elif isinstance(content, str):
        content = (pki.directory / content).read_bytes()
    path.write_bytes(content)
    said = tool.refuses("crl", "add", path)
    assert words in said and str(path) in said


def test_list_that_a_shell_put_in_wrong_is_shown_as_a_problem(tool, pki):
    tool.database.trust("crl", "ca.pem")
    row = tool.json("crl", "list")[0]
    assert row["state"] == "problem" and "a certificate" in row["problem"]
    assert "problem" in tool("crl", "list").out


# trust -------------------------------------------------------------------------------------------

def test_self_issued_is_an_anchor_and_anything_else_an_intermediate(tool, pki):
    middle = pki.intermediate("middle")
    assert tool.json("trust", "add", pki.root.path)["kind"] == "anchor"
    assert tool.json("trust", "add", middle.der_path)["kind"] == "intermediate"
    assert tool.json("trust", "add", middle.path, "--anchor", "--service", "a")["kind"] == "anchor"
    assert tool.json("trust", "add", pki.root.path, "--intermediate", "--service",
                     "b")["kind"] == "intermediate"
    assert [(r["kind"], r["service"], r["content"]) for r in rows(tool)] == [
        ("anchor", "*", pki.root.path.read_bytes().hex().upper()),
        ("intermediate", "*", middle.der_path.read_bytes().hex().upper()),
        ("anchor", "a", middle.path.read_bytes().hex().upper()),
        ("intermediate", "b", pki.root.path.read_bytes().hex().upper())]
    assert [r["fingerprint"] for r in tool.json("trust", "list")] == [
        pki.root.fingerprint, middle.fingerprint, middle.fingerprint, pki.root.fingerprint]
    assert [r["id"] for r in tool.json("trust", "list", "-s", "a")] == [3]


def test_what_can_be_no_authority_is_refused(tool, alice):
    assert "certificate authority" in tool.refuses("trust", "add", alice.path)
    assert "certificate authority" in tool.refuses("trust", "add", alice.path, "--anchor")


def test_same_certificate_for_the_same_service_is_refused(trusted, pki):
    assert "row 1, anchor" in trusted.refuses("trust", "add", pki.root.der_path, "--intermediate")
    trusted("trust", "add", pki.root.path, "--service", "proftpd")


def test_an_intermediate_alone_is_warned_of(tool, pki):
    middle = pki.intermediate("middle")
    assert "no anchor yet" in tool("trust", "add", middle.path).err
    assert tool("trust", "add", pki.root.path).err == ""
    assert tool("trust", "add", middle.path, "--service", "proftpd").err == ""


def test_added_anchor_and_list_decide_logins(daemon, database, tool, pki, alice):
    database.map(alice)
    tool("service", "set", "proftpd", "require_trust=yes")
    assert daemon.reason(alice) == "untrusted-issuer"
    tool("trust", "add", pki.root.path)
    assert daemon.reason(alice) == "revocation-unknown"
    tool("crl", "add", pki.directory / (pki.revocation_list("nobody") + ".crl"))
    assert daemon.reason(alice) == "allowed"
    tool("crl", "add", pki.directory / (pki.revocation_list("her", [alice], start=0) + ".crl"))
    assert daemon.reason(alice) == "revoked"


# remove ------------------------------------------------------------------------------------------

@pytest.fixture
def full(trusted, pki):
    """1: the one anchor, 2: a second for proftpd alone, 3: the one list, of every service."""
    trusted("trust", "add", pki.other_root("elsewhere").path, "--service", "proftpd")
    trusted("crl", "add", pki.directory / (pki.revocation_list("nobody") + ".crl"))
    return trusted


@pytest.mark.parametrize("policy, id, locked", [
    ((), 1, None),
    (("login require_trust=1",), 1, "login"),
    (("* require_trust=1",), 1, "every service without a row of its own"),
    (("* require_trust=1", "proftpd note=x"), 1, "every service without a row of its own"),
    (("* require_trust=1", "proftpd note=x"), 2, None),  # those of '*' are left
    (("login require_trust=1", "su require_trust=1"), 1, "login, su"),
    (("login require_trust=1",), 3, "login"),
    (("login require_trust=1 revocation=prefer",), 3, None),
])
def test_remove_says_whom_it_locks_out(full, policy, id, locked):
    for line in policy:
        full("service", "set", *line.split())
    family = "crl" if id == 3 else "trust"
    before = dump(full.database)
    done = full(family, "remove", id, "--dry-run")
    assert dump(full.database) == before and f"Row {id} would be removed" in done.out
    assert (f"of {locked}:" in done.err) if locked else (done.err == "")
    assert full.json(family, "remove", id)["locks_out"] == locked
    assert id not in [r["id"] for r in rows(full)]


def test_remove_asks_on_a_terminal(full):
    full("service", "set", "login", "require_trust=1")
    status, said = on_terminal(full, "trust", "remove", "1", typed="n\n")
    assert status == 1 and "everybody is refused" in said and "Remove anchor 1 of every" in said
    assert len(rows(full)) == 3
    assert on_terminal(full, "trust", "remove", "1", typed="y\n")[0] == 0
    assert len(rows(full)) == 2


def test_remove_names_the_other_family_and_what_is_not_there(full):
    assert "certmapctl crl remove 3" in full.refuses("trust", "remove", "3")
    assert "certmapctl trust remove 1" in full.refuses("crl", "remove", "1")
    assert "certmapctl crl list" in full.refuses("crl", "remove", "4")


@pytest.mark.parametrize("words", [
    ("crl",), ("crl", "add"), ("crl", "add", ""), ("crl", "add", "a", "b"), ("crl", "list", "a"),
    ("crl", "remove"), ("crl", "remove", "0"), ("crl", "remove", "x"), ("crl", "remove", "1", "2"),
    ("crl", "add", "a", "--anchor"), ("trust", "add"), ("trust", "remove", "-1"),
    ("trust", "add", "a", "--anchor", "--intermediate"), ("trust", "frobnicate"),
])
def test_wrong_usage_is_status_2(tool, words):
    assert "--help" in tool(*words, status=2).err


def test_statements_of_sql_do_in_a_shell_what_the_verbs_do(tool, pki):
    path = pki.directory / (pki.revocation_list("nobody") + ".crl")
    newer = pki.directory / (pki.revocation_list("newer", start=0) + ".crl")
    for words in (("trust", "add", pki.root.path, "--note", "it's"), ("crl", "add", path),
                  ("crl", "add", newer), ("trust", "remove", "1")):
        before = rows(tool)
        script = tool(*words, "--sql").out
        assert rows(tool) == before
        tool.database.sql(script)
        assert rows(tool) != before
    assert rows(tool) == [{"id": 2, "service": "*", "kind": "crl", "note": None,
                           "content": newer.read_bytes().hex().upper()}]


@pytest.mark.parametrize("width", [80, 200])
def test_tables_fit_the_terminal(full, width):
    for family in ("crl", "trust"):
        said = re.sub(r"\x1b\[\d*m", "", on_terminal(full, family, "list", width=width)[1])
        if "\t" in said:
            pytest.skip("built without libsmartcols: lines are not cut")
        assert max(map(len, said.splitlines())) <= width
