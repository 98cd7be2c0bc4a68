# SPDX-License-Identifier: LGPL-2.1-or-later
"""A setuid program with an environment that its caller forged: su, run by an ordinary user who
holds nothing but what is public, alice's certificate and its names."""
import pytest

from stage import fields, host_environment

SU = "/etc/pam.d/su"
CERTIFICATE = "source=env:TLS_CLIENT_CERT"
NAMES = "source=env:SSL_CLIENT_DN,SSL_CLIENT_I_DN accept=names user=match"
# No example to copy: su has no certificate to show. It is what an administrator might try.
STACK = """
auth     required  pam_certmap.so {0}
account  required  pam_certmap.so {0}
account  required  pam_unix.so
session  required  pam_certmap.so {0}
"""
ACCEPT_NAMES = "INSERT INTO service(name, accept_names) VALUES('su', 1)"
IGNORED = ("the variable is ignored: this program runs with privileges that its caller lacks "
           "(AT_SECURE), so the caller may have written it")


@pytest.fixture(scope="module", name="stack")
def prepared_stack(booted):
    """Writes the stack with another source of evidence, and puts Debian's own back in the end."""
    if host_environment():
        pytest.skip("su is setuid: the sanitizer's runtime can't be loaded into it first")
    shipped = booted.run("cat", SU)
    # The setuid program of before, without what makes it one.
    booted.run("install", "-m", "0755", "/bin/su", "/root/su-without-setuid")
    yield lambda evidence: booted.write(SU, STACK.format(evidence))
    booted.write(SU, shipped)


@pytest.fixture(name="box")
def row_of_su(box, stack):
    stack(CERTIFICATE)
    box.sql(f"DELETE FROM service WHERE name = 'su'; {ACCEPT_NAMES}")
    return box


class Session:
    """`su alice -c id` with these variables, and what the module and certmapd logged of it."""

    def __init__(self, box, forged, user=None, su="/bin/su", account="alice"):
        mark = box.mark()
        environment = [f"{name}={value}" for name, value in forged.items()]
        done = box.call("env", *environment, su, account, "-c", "id -un", user=user)
        self.status = done.returncode
        self.output = done.stdout + done.stderr
        entries = box.since(mark)
        self.reasons = [entry["CERTMAP_REASON"] for entry in entries if "CERTMAP_REASON" in entry]
        self.module = [fields(entry["MESSAGE"]) for entry in entries
                       if entry["MESSAGE"].startswith("pam_certmap(su:auth): ")]


def certificate(box, name="alice"):
    return {"TLS_CLIENT_CERT": box.run("cat", f"/root/clients/{name}.pem")}


def names(box):
    """As stunnel prints them."""
    def print_name(which):
        line = box.run("openssl", "x509", "-noout", f"-{which}", "-in", "/root/clients/alice.pem",
                       "-nameopt", "sep_comma_plus_space,esc_2253,utf8,sname,-dn_rev")
        return line.split("=", 1)[1].strip()

    return {"SSL_CLIENT_DN": print_name("subject"), "SSL_CLIENT_I_DN": print_name("issuer")}


def assert_ignored(session, variable):
    assert session.status == 1, session.output
    # pam_strerror(3) of PAM_CRED_INSUFFICIENT, and no shell.
    assert session.output.endswith(": Insufficient credentials to access authentication data\n")
    [line] = session.module
    assert (line["reason"], line["name"]) == ("no-certificate", variable)
    assert line["what"] == IGNORED
    assert session.reasons == []


@pytest.mark.parametrize("su", ["/bin/su", "/root/su-without-setuid"])
def test_same_stack_and_variable_let_in_where_root_wrote_it(box, su):
    """Else what follows would prove nothing."""
    session = Session(box, certificate(box), su=su)
    assert session.output == "alice\n"
    assert session.reasons == ["allowed"] * 2


@pytest.mark.parametrize("user", ["bob", "nobody", "alice", "www-data"])
def test_forged_certificate_of_an_ordinary_user_is_ignored(box, user):
    """Whoever it is: alice herself has to show more than her certificate, and to be in
    certmap-clients (www-data is) does not help."""
    assert_ignored(Session(box, certificate(box), user=user), "TLS_CLIENT_CERT")


def test_forged_certificate_opens_neither_root_nor_the_account_that_it_is_mapped_to(box):
    box.sql("INSERT INTO mapping(account, certificate)"
            " VALUES('root', readfile('/root/clients/bob.cer'))")
    session = Session(box, certificate(box, "bob"), user="bob", account="root")
    assert_ignored(session, "TLS_CLIENT_CERT")


def test_variable_that_is_not_there_is_not_called_ignored(box):
    session = Session(box, {}, user="bob")
    [line] = session.module
    assert (line["reason"], line["what"]) == ("no-certificate", "the variable is not set")
    assert session.status == 1


def test_forged_names_let_in_where_root_wrote_them(box, stack):
    stack(NAMES)
    session = Session(box, names(box))
    assert session.output == "alice\n", session.module


@pytest.mark.parametrize("user", ["bob", "nobody"])
def test_forged_names_of_an_ordinary_user_are_ignored(box, stack, user):
    stack(NAMES)
    assert_ignored(Session(box, names(box), user=user), "SSL_CLIENT_DN")


def test_forged_proof_of_tls_is_ignored(box, stack):
    stack(f"{CERTIFICATE} require_env=FTPS=1")
    forged = {**certificate(box), "FTPS": "1"}
    assert_ignored(Session(box, forged, user="bob"), "FTPS")
    assert Session(box, forged).output == "alice\n"


def test_file_capabilities_are_privileges_too(box):
    """No setuid bit, and the kernel sets AT_SECURE all the same."""
    capable = "/usr/local/bin/su-with-capabilities"
    box.run("install", "-m", "0755", "/bin/su", capable)
    box.run("setcap", "cap_setuid,cap_setgid,cap_audit_write=ep", capable)
    assert_ignored(Session(box, certificate(box), user="www-data", su=capable), "TLS_CLIENT_CERT")


@pytest.mark.parametrize("name", ["CERTMAP_ACCOUNT", "CERTMAP_FINGERPRINT"])
def test_other_variables_of_the_caller_change_nothing(box, name):
    session = Session(box, {**certificate(box), name: "alice"}, user="bob")
    assert_ignored(session, "TLS_CLIENT_CERT")
