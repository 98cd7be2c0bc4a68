# SPDX-License-Identifier: LGPL-2.1-or-later
"""certmapctl explain beside real logins: whatever the reason, it says the one that the module logs
for a login through libpam and a running certmapd, and changes nothing."""

import os
import pathlib
import re
import subprocess
import time

import pytest

from ctl_stage import ACCOUNT, ctl, on_terminal, plain
from shell_stage import HOUR, NOBODY, program
from test_reasons import codes_of_the_module

# security/_pam_types.h
PAM_CODES = {"PAM_SUCCESS": 0, "PAM_SERVICE_ERR": 3, "PAM_AUTH_ERR": 7, "PAM_CRED_INSUFFICIENT": 8,
             "PAM_AUTHINFO_UNAVAIL": 9, "PAM_USER_UNKNOWN": 10}

DRIVER = program("CERTMAP_MODULE_DRIVER", "module-driver")
MODULE = program("CERTMAP_MODULE", "pam_certmap.so")


def written(database):
    """What people and the triggers wrote; facts are worked out by whoever comes first."""
    return database.sql("".join(f"SELECT * FROM {table};" for table in (
        "mapping", "service", "trust", "credential", "history", "usage", "actor")), "-quote")


class Scene:
    """A service's stack, a daemon and a database; logins and explanations of them."""

    def __init__(self, tool, daemon):
        self.tool, self.daemon, self.database = tool, daemon, tool.database
        self.confdir = daemon.directory / "pam.d"
        self.confdir.mkdir(mode=0o755)
        (self.confdir / "other").write_text("auth required pam_deny.so\n")
        self.stack("source=env:CERT")

    def stack(self, words, service="svc"):
        (self.confdir / service).write_text(
            f"auth required {MODULE} socket={self.daemon.socket} {words}\n")

    def login(self, evidence, user=ACCOUNT, uid=None, service="svc", **variables):
        """(reason, code, shadow) of a login, as the module logs it."""
        environment = {n: v for n, v in os.environ.items() if n.endswith("SAN_OPTIONS")}
        environment.update(variables)
        if evidence is not None:
            environment["CERT"] = evidence
        identity = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        done = subprocess.run(
            [str(DRIVER), str(self.confdir), f"start:{service}:{user}", "authenticate"],
            env=environment, check=True, stdout=subprocess.PIPE, timeout=60, **identity)
        said = done.stdout.decode()
        shadow = re.search(r'shadow="([a-z-]+)"', said)
        return (re.search(r"\breason=([a-z-]+)", said).group(1),
                int(re.search(r"^authenticate\t(\d+)$", said, re.M).group(1)),
                shadow.group(1) if shadow else None)

    def explain(self, *words, user=ACCOUNT, service="svc", **options):
        """What explain says as JSON. Asserts its exit status, and that nothing changed."""
        before = written(self.database) if self.database.path.exists() else None
        words = ("--service", service, "--confdir", self.confdir, "--user", user, *words)
        try:
            said = self.tool.json("explain", *words, status=0, **options)
        except AssertionError:
            said = self.tool.json("explain", *words, status=1, **options)
            assert not said["allowed"]
        else:
            assert said["allowed"]
        if before:
            assert written(self.database) == before
        return said


@pytest.fixture(name="scene")
def make_scene(tool, daemon):
    return Scene(tool, daemon)


# Each brings the database and the stack into the state that gives its reason, and returns
# (certificate or None, the account asked for, further words of explain, who logs in).

def allowed(scene, pki):
    scene.database.map(pki.leaf("alice"), ACCOUNT)
    return pki.leaf("alice")


def misconfigured(scene, pki):
    scene.stack("source=env:CERT sorce=env:CERT")
    return pki.leaf("alice")


def no_certificate(scene, pki):
    return None


def evidence_not_accepted(scene, pki):
    scene.stack("source=env:CERT accept=name")
    scene.database.map(pki.leaf("alice"), ACCOUNT)
    return pki.leaf("alice")


def malformed_certificate(scene, pki):
    scene.database.map(pki.leaf("alice"), ACCOUNT)
    return "-----BEGIN CERTIFICATE-----\n"


def unmapped(scene, pki):
    return pki.leaf("alice")


def service_disabled(scene, pki):
    scene.database.map(pki.leaf("alice"), ACCOUNT)
    scene.database.sql("INSERT INTO service(name, enabled) VALUES('svc', 0)")
    return pki.leaf("alice")


def mapping_disabled(scene, pki):
    scene.database.map(pki.leaf("alice"), ACCOUNT, enabled=0)
    return pki.leaf("alice")


def mapping_not_yet_valid(scene, pki):
    scene.database.map(pki.leaf("alice"), ACCOUNT, valid_from="unixepoch() + 999999")
    return pki.leaf("alice")


def mapping_expired(scene, pki):
    scene.database.map(pki.leaf("alice"), ACCOUNT, valid_until="unixepoch() - 9")
    return pki.leaf("alice")


def certificate_not_yet_valid(scene, pki):
    certificate = pki.leaf("early", start=HOUR)
    scene.database.map(certificate, ACCOUNT)
    return certificate


def certificate_expired(scene, pki):
    certificate = pki.leaf("late", start=-9 * HOUR, end=-HOUR)
    scene.database.map(certificate, ACCOUNT)
    return certificate


def trusted(scene, pki, certificate, revocation="off"):
    scene.database.map(certificate, ACCOUNT)
    scene.database.trust("anchor", "ca.pem")
    scene.database.sql(
        f"UPDATE service SET require_trust = 1, revocation = '{revocation}' WHERE name = '*'")
    return certificate


def untrusted_issuer(scene, pki):
    pki.other_root("stranger")
    return trusted(scene, pki, pki.leaf("foreign", issuer="stranger"))


def wrong_usage(scene, pki):
    return trusted(scene, pki, pki.leaf("server", profile="server"))


def revoked(scene, pki):
    pki.revocation_list("gone", [pki.leaf("alice")])
    scene.database.trust("crl", "gone.crl")
    return trusted(scene, pki, pki.leaf("alice"), "require")


def revocation_unknown(scene, pki):
    return trusted(scene, pki, pki.leaf("alice"), "require")


def ambiguous(scene, pki):
    scene.stack("source=env:CERT accept=key")
    scene.database.map(pki.leaf("alice"), ACCOUNT)
    scene.database.map(pki.leaf("twin", key_of="alice"), "daemon")
    return pki.leaf("alice")


def account_mismatch(scene, pki):
    scene.database.map(pki.leaf("alice"), "daemon")
    return pki.leaf("alice")


def account_missing(scene, pki):
    scene.database.map(pki.leaf("alice"), "nosuchaccount")
    return pki.leaf("alice"), "nosuchaccount"


def account_changed(scene, pki):
    scene.database.map(pki.leaf("alice"), ACCOUNT, account_uid=NOBODY - 1)
    return pki.leaf("alice")


def root_refused(scene, pki):
    scene.database.map(pki.leaf("alice"), "root")
    return pki.leaf("alice"), "root"


def credential_unavailable(scene, pki):
    scene.database.map(pki.leaf("alice"), ACCOUNT)
    scene.database.sql("UPDATE service SET deliver_credential = 1 WHERE name = '*'")
    return pki.leaf("alice")


def forbidden(scene, pki):
    # As systemd makes it, those that it keeps out never come to the daemon.
    os.chmod(scene.daemon.socket, 0o666)
    scene.database.map(pki.leaf("alice"), ACCOUNT)
    return pki.leaf("alice"), ACCOUNT, ("--run-as", ACCOUNT), NOBODY


def unavailable(scene, pki):
    scene.database.path.unlink()
    return pki.leaf("alice")


SCENES = (allowed, misconfigured, no_certificate, evidence_not_accepted, malformed_certificate,
          unmapped, service_disabled, mapping_disabled, mapping_not_yet_valid, mapping_expired,
          certificate_not_yet_valid, certificate_expired, untrusted_issuer, wrong_usage, revoked,
          revocation_unknown, ambiguous, account_mismatch, account_missing, account_changed,
          root_refused, credential_unavailable, forbidden, unavailable)


def word_of(scene):
    return scene.__name__.replace("_", "-")


def key_digest(pki, certificate):
    """SHA-256 of the SubjectPublicKeyInfo, by the openssl command line."""
    pem = pki.openssl("x509", "-in", certificate.path, "-noout", "-pubkey").decode()
    (pki.directory / "key.pem").write_text(pem)
    pki.openssl("pkey", "-pubin", "-in", "key.pem", "-outform", "DER", "-out", "key.der")
    return pki.openssl("dgst", "-sha256", "-r", "key.der").split()[0].decode()


def what_the_service_hands_over(name, pki, certificate):
    if certificate is None or isinstance(certificate, str):
        return certificate
    if name == "ambiguous":
        return key_digest(pki, certificate)
    return certificate.name if name == "evidence-not-accepted" else certificate.pem


def as_played(played):
    """What a scene returns, with what it left out."""
    played = played if isinstance(played, tuple) else (played,)
    return (*played, *(None, ACCOUNT, (), None)[len(played):])


def test_there_is_a_scene_for_each_reason():
    assert {word_of(scene) for scene in SCENES} == set(codes_of_the_module()) - {"unknown"}


@pytest.mark.root
@pytest.mark.parametrize("play", SCENES, ids=word_of)
def test_explain_says_what_a_login_gets(scene, pki, play):
    certificate, user, words, uid = as_played(play(scene, pki))
    if isinstance(certificate, str):
        (pki.directory / "broken").write_text(certificate)
        words += (pki.directory / "broken",)
    elif certificate is not None:
        words += (certificate.path,)

    said = scene.explain(*words, user=user)
    evidence = what_the_service_hands_over(word_of(play), pki, certificate)
    reason, code, _ = scene.login(evidence, user, uid)

    assert (said["reason"], PAM_CODES[said["pam_code"]]) == (reason, code)
    assert reason == word_of(play)
    results = [gate["result"] for gate in said["gates"]]
    assert results.count("failed") == (reason != "allowed")
    # In their order: passed, then the one that fails, then those that nobody came to.
    if reason != "allowed":
        assert said["next"]
        failed = results.index("failed")
        assert set(results[:failed]) <= {"ok"} and set(results[failed + 1:]) <= {"not-reached"}
        assert said["gates"][failed]["text"]


@pytest.mark.root
def test_every_kind_of_evidence_is_explained_as_it_is_looked_up(scene, pki, alice):
    scene.database.map(alice, ACCOUNT)
    scene.database.sql("UPDATE service SET accept_names = 1, accept_name = 1 WHERE name = '*'")
    lines = {"certificate": alice.pem, "fingerprint": alice.fingerprint.upper(),
             "key": key_digest(pki, alice), "name": "alice"}
    for kind, evidence in lines.items():
        scene.stack(f"source=env:CERT accept={kind}")
        assert scene.login(evidence)[0] == scene.explain(alice.path)["reason"] == "allowed", kind


@pytest.mark.root
def test_shadow_mode_is_told_with_what_the_answer_would_be(scene, pki, alice):
    scene.database.map(alice, ACCOUNT, enabled=0)
    scene.database.sql("UPDATE service SET shadow = 1 WHERE name = '*'")
    said = scene.explain(alice.path)
    assert (said["reason"], said["shadow"]) == ("no-certificate", "mapping-disabled")
    assert scene.login(alice.pem) == ("no-certificate", 8, "mapping-disabled")


@pytest.mark.root
def test_a_staged_mapping_is_explained_as_in_force_and_stays_staged(scene, pki, alice):
    old = scene.database.map(alice, ACCOUNT)
    renewed = pki.leaf("alice2", subject="/CN=alice")
    new = scene.database.map(renewed, ACCOUNT, enabled=0, replaces=old)
    said = scene.explain(renewed.path)
    assert (said["reason"], said["takes_over"], said["mapping"]) == ("allowed", True, new)
    assert scene.database.value(f"SELECT enabled FROM mapping WHERE id = {new}") == 0
    assert scene.login(renewed.pem)[0] == "allowed"
    assert scene.database.value(f"SELECT enabled FROM mapping WHERE id = {new}") == 1
    assert scene.explain(renewed.path)["takes_over"] is False

    # Where the schema would refuse it, so does explain.
    third = scene.database.map(pki.leaf("alice3"), ACCOUNT, enabled=0, replaces=new)
    scene.database.sql(f"DELETE FROM mapping WHERE id = {new};"
                       f"UPDATE mapping SET enabled = 1 WHERE id = {old}")
    said = scene.explain(pki.leaf("alice3").path)
    assert (said["reason"], said["mapping"]) == ("mapping-disabled", third)
    assert scene.login(pki.leaf("alice3").pem)[0] == "mapping-disabled"


def test_a_staged_mapping_that_a_later_gate_refuses_is_not_called_unable(scene, pki, alice):
    old = scene.database.map(alice, ACCOUNT)
    renewed = pki.leaf("alice2", subject="/CN=alice")
    scene.database.map(renewed, ACCOUNT, enabled=0, replaces=old)
    said = scene.explain(renewed.path, user="nobody-knows")
    gates = {gate["name"]: gate for gate in said["gates"]}
    assert (gates["mapping"]["result"], gates["asked"]["result"]) == ("ok", "failed")
    assert gates["mapping"]["text"] == "it is staged, and takes force once no gate refuses"


def nearest(scene, *words, **options):
    return [(kin["relation"], kin["mapping"], kin["text"])
            for kin in scene.explain(*words, **options)["nearest"]]


def test_the_nearest_mappings_are_named_with_how_they_are_near(scene, pki, alice):
    older = pki.leaf("older", start=-30 * 24 * HOUR)
    renewed = pki.leaf("renewed", key_of="older")
    namesake = pki.leaf("namesake", subject="/CN=older")
    first = scene.database.map(older, ACCOUNT)
    (kin,) = nearest(scene, renewed.path)
    assert kin[:2] == ("same-key", first)
    assert "same key" in kin[2] and "the certificate before this one" in kin[2]
    # Of two that begin at once none is the next one.
    begin = int(time.time()) - HOUR + 0.5
    twins = [pki.leaf(name, subject="/CN=twin", start=begin - time.time())
             for name in ("twin1", "twin2")]
    scene.database.map(twins[0], "twin", enabled=0)
    assert any("another one of the same time" in text
               for _, _, text in nearest(scene, twins[1].path))
    (kin,) = nearest(scene, namesake.path)
    assert kin[:2] == ("same-names", first) and "subject and issuer" in kin[2]
    (kin,) = nearest(scene, alice.path)
    assert kin[:2] == ("account", first)

    second = scene.database.map(alice, ACCOUNT, service="'ftp'")
    assert ("same-certificate", second) == nearest(scene, alice.path)[0][:2]
    assert "only for the service ftp" in nearest(scene, alice.path)[0][2]
    third = scene.database.map(alice, "daemon", service="'*'")
    hiding = scene.database.map(pki.leaf("hides"), "daemon", service="'svc'", enabled=0)
    kins = nearest(scene, alice.path)
    assert any(f"by mapping {hiding}" in text for _, number, text in kins if number == third)
    scene.database.sql(f"DELETE FROM mapping WHERE id = {hiding};"
                       "INSERT INTO service(name, inherit) VALUES('svc', 0)")
    assert any("inherit is 0" in text for _, number, text in nearest(scene, alice.path)
               if number == third)


def test_a_removed_certificate_is_known_from_the_history_by_its_fingerprint(scene, alice):
    number = scene.database.map(alice, ACCOUNT)
    scene.database.sql(f"DELETE FROM mapping WHERE id = {number}")
    for name in (alice.fingerprint, alice.fingerprint[:12], alice.path,
                 ":".join(re.findall("..", alice.fingerprint.upper()))):
        said = scene.explain(name)
        assert (said["reason"], said["fingerprint"]) == ("unmapped", alice.fingerprint)
        assert said["subject"] == "CN=alice"
        kin = said["nearest"][-1]
        assert (kin["relation"], kin["mapping"]) == ("former", number)
        assert "removed" in kin["text"] and "sqlite3 shell" in kin["text"]


def test_a_fingerprint_that_nobody_knows_is_unmapped(scene):
    said = scene.explain("ab" * 32)
    assert (said["reason"], said["fingerprint"], said["subject"]) == ("unmapped", "ab" * 32, None)


def test_a_stack_is_searched_for_the_line_that_the_certificate_fits(scene, alice):
    scene.database.map(alice, ACCOUNT)
    (scene.confdir / "svc").write_text(
        f"# pam_certmap.so source=nothing\nauth required \\\n pam_permit.so\n"
        f"account required {MODULE} source=env:X\n@include inner\n")
    (scene.confdir / "inner").write_text(
        f"auth sufficient {MODULE} bad\nauth [success=done default=die] {MODULE} source=env:CERT\n")
    said = scene.explain(alice.path)
    assert (said["reason"], pathlib.Path(said["line"]).name) == ("allowed", "inner:2")
    # libpam takes the name in lower case.
    assert scene.explain(alice.path, service="SVC")["line"] == said["line"]
    said = scene.explain(alice.path, "--line", "source=env:A user=set sorce=x")
    assert (said["reason"], said["line"]) == ("misconfigured", None)
    assert "sorce" in said["gates"][0]["text"]


def test_a_setuid_program_gets_no_certificate_by_its_environment(scene, alice):
    scene.database.map(alice, ACCOUNT)
    for service, allowed in (("svc", True), ("su", False)):
        scene.stack("source=env:CERT", service)
        said = scene.explain(alice.path, service=service)
        assert said["allowed"] == allowed
    assert said["reason"] == "no-certificate" and "setuid" in said["gates"][1]["text"]


def test_a_missing_credential_is_told_by_its_own_gate_alone(scene, pki):
    """The trust was in order, and says nothing of passwords."""
    alice = pki.leaf("alice")
    scene.database.map(alice, ACCOUNT)
    scene.database.trust("anchor", "ca.pem")
    scene.database.sql("UPDATE service SET deliver_credential = 1, require_trust = 1,"
                       " revocation = 'off' WHERE name = '*'")
    gates = {gate["name"]: gate for gate in scene.explain(alice.path)["gates"]}
    assert gates["trust"]["result"] == "ok" and gates["credential"]["result"] == "failed"
    assert "credential" in gates["credential"]["text"]
    assert "credential" not in gates["trust"]["text"]


@pytest.mark.root
def test_a_service_that_can_t_connect_to_the_socket_is_told_so(scene, alice):
    scene.database.map(alice, ACCOUNT)
    os.chmod(scene.daemon.socket, 0o660)
    said = scene.explain(alice.path, "--run-as", ACCOUNT)
    assert scene.login(alice.pem, uid=NOBODY)[:2] == ("unavailable", 9)
    assert (said["reason"], said["pam_code"]) == ("unavailable", "PAM_AUTHINFO_UNAVAIL")
    assert "mode lets nobody else connect" in said["gates"][2]["text"]


def refused(scene, *words, status=1):
    return ctl("explain", "--database", scene.database.path, "--confdir", scene.confdir, *words,
               status=status).err


def test_what_can_t_be_explained_is_said_with_the_remedy(scene, alice, tmp_path):
    (scene.confdir / "svc").write_text("auth required pam_unix.so\n")
    assert "--line" in refused(scene, "--service=svc", alice.path)
    for kind in ("certificate", "fingerprint", "key", "names", "name"):
        assert f"with accept={kind} " in refused(
            scene, "--service=svc", f"--accept={kind}", alice.path)
    assert "'keys' is not certificate" in refused(
        scene, "--service=svc", "--accept=keys", alice.path, status=2)
    assert "can't be the name" in refused(scene, "--service=../svc", alice.path)
    (scene.confdir / "svc").write_text("auth required pam_unix.so\n@include nothing\n")
    assert "svc:2" in refused(scene, "--service=svc", alice.path)
    assert "No such file" in refused(scene, "--service=svc", tmp_path / "none")
    assert "all 64 digits" in refused(scene, "--service=svc", "0123456789abcdef")
    assert "--service is missing" in refused(scene, alice.path, status=2)
    assert "one certificate" in refused(scene, "--service=svc", "a", "b", status=2)


def test_the_screen_fits_eighty_columns_and_hides_what_a_line_keeps_secret(scene, alice):
    scene.database.map(alice, ACCOUNT, valid_until="unixepoch() - 9", note="'x'")
    scene.stack("source=env:CERT require_env=TOKEN=hunter2")
    status, screen = on_terminal(scene.tool, "explain", "--service", "svc", "--user", ACCOUNT,
                                 "--confdir", str(scene.confdir), str(alice.path))
    assert status == 1
    assert max(map(len, screen.splitlines())) <= 80
    assert "mapping-expired (PAM_AUTH_ERR)" in screen and "FAILED  mapping" in screen
    assert "hunter2" not in screen and "TOKEN" in screen
    assert screen.index("ok      service") < screen.index("FAILED  mapping") < screen.index(
        "-       certificate")


def test_an_end_is_as_far_away_as_the_other_verbs_say(scene, alice):
    scene.database.map(alice, ACCOUNT, valid_until="unixepoch() - 5 * 3600 - 600")
    screen = on_terminal(scene.tool, "explain", "--service", "svc", "--user", ACCOUNT,
                         "--confdir", str(scene.confdir), str(alice.path))[1]
    assert re.search(r"it was valid until [0-9-]{10} [0-9:]{8} UTC \(5 hours ago\)",
                     " ".join(screen.split()))


def test_hostile_text_of_a_certificate_reaches_no_terminal(scene, pki):
    evil = pki.leaf("evil", subject="/CN=\x1b]0;pwned\x07")
    scene.database.map(evil, ACCOUNT, enabled=0)
    _, screen = on_terminal(scene.tool, "explain", "--service", "svc", "--user", "\x1b[31m",
                            "--confdir", str(scene.confdir), str(evil.path))
    assert "\x1b" not in screen and "\x07" not in screen and "\\x1b[31m" in screen


def test_a_build_without_json_explains_in_words(scene, alice):
    scene.database.map(alice, ACCOUNT)
    done = plain("explain", "--database", scene.database.path, "--confdir", scene.confdir,
                 "--service", "svc", "--user", ACCOUNT, alice.path)
    assert done.returncode == 0 and "allowed (PAM_SUCCESS)" in done.stdout


@pytest.mark.parametrize("since", ["30min", "7d", "2027-01-31 18:00", "@0"])
def test_refusals_are_looked_for_back_to_any_time_that_the_manual_names(scene, tmp_path, since):
    done = scene.tool("explain", "--last", "--journal", tmp_path, "--since", since)
    assert "no such refusals" in done.err


@pytest.mark.parametrize("since", ["30m", "x", "2027-02-30", "-1d"])
def test_what_is_no_time_is_refused_with_the_forms_there_are(scene, tmp_path, since):
    done = scene.tool("explain", "--last", "--journal", tmp_path, f"--since={since}", status=2)
    assert since in done.err and "30min" in done.err


def test_a_time_alone_looks_for_no_refusals(scene, alice):
    assert "--last" in refused(scene, "--service=svc", "--since=@0", alice.path, status=2)
