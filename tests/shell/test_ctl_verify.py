# SPDX-License-Identifier: LGPL-2.1-or-later
"""certmapctl verify: each defect is found and named, a sound machine has none, and what it says of
a stack is what libpam does with it."""

import os
import re
import subprocess

import pytest

from ctl_stage import ACCOUNT, on_terminal, plain
from shell_stage import DEFENCELESS, HOUR, NOBODY, TREE, program

DRIVER = program("CERTMAP_MODULE_DRIVER", "module-driver")
MODULE = program("CERTMAP_MODULE", "pam_certmap.so")
GOOD = "required {m} source=env:CERT"
KEY_LINE = "ab" * 32 + "\n"


class Scene:
    def __init__(self, tool, directory):
        self.tool, self.database = tool, tool.database
        self.confdir = directory / "pam.d"
        self.confdir.mkdir(mode=0o755)
        self.write("other", "auth required pam_deny.so\naccount required pam_deny.so\n")
        self.key = directory / "key"
        self.stack("auth " + GOOD, "account " + GOOD)

    def write(self, service, text):
        (self.confdir / service).write_text(text)

    def stack(self, *lines, service="svc"):
        self.write(service, "".join(line.format(m=MODULE) + "\n" for line in lines))

    def verify(self, status=1):
        return self.tool.json("verify", "--confdir", self.confdir, "--key", self.key,
                              status=status)

    def finding(self, severity="error"):
        """The one finding there is: (thing, text)."""
        (found,) = self.verify(1 if severity == "error" else 0)
        assert found["severity"] == severity and found["remedy"]
        return found["thing"], found["text"]

    def map(self, certificate, account=ACCOUNT, **columns):
        columns = {"account_uid": NOBODY, **columns}
        return self.database.map(certificate, account, **columns)


@pytest.fixture(name="scene")
def make_scene(tool, tmp_path):
    return Scene(tool, tmp_path)


def test_nothing_is_wrong_with_a_sound_machine(scene, pki):
    scene.map(pki.leaf("lasting", end=90 * 24 * HOUR))
    assert scene.verify(status=0) == []
    status, screen = on_terminal(scene.tool, "verify", "--confdir", str(scene.confdir))
    assert (status, screen) == (0, "Nothing is wrong.\n")


# What a mapping's columns say, and the finding: its severity and words.
MAPPINGS = (
    ({"account": "nosuchaccount"}, "warning", "nosuchaccount does not exist"),
    ({"account_uid": NOBODY - 1}, "error", "somebody else's"),
    ({"account_uid": "NULL"}, "warning", "not bound"),
    ({"account": "root", "account_uid": 0}, "warning", "root is root"),
    ({"valid_until": "unixepoch() - 99999"}, "warning", "it expired on"),
    ({"valid_until": "unixepoch() + 99999"}, "warning", "it expires on"),
    ({"service": "'nosuchservice'"}, "warning", "no service nosuchservice"),
)


@pytest.mark.parametrize("columns, severity, words", MAPPINGS, ids=lambda value: str(value)[:30])
def test_a_mapping_s_defect_is_named(scene, pki, columns, severity, words):
    columns = dict(columns)
    number = scene.map(pki.leaf("lasting", end=90 * 24 * HOUR), columns.pop("account", ACCOUNT),
                       **columns)
    thing, text = scene.finding(severity)
    assert thing == f"mapping {number}" and words in text


def test_the_remedy_for_an_unbound_mapping_can_be_typed(scene, pki):
    scene.map(pki.leaf("lasting", end=90 * 24 * HOUR), account_uid="NULL")
    (found,) = scene.verify(status=0)
    scene.database.sql(found["remedy"].split(";")[0])
    assert scene.verify(status=0) == []


def test_the_remedy_for_a_changed_uid_can_be_typed(scene, pki):
    scene.map(pki.leaf("lasting", end=90 * 24 * HOUR), account_uid=NOBODY - 1)
    (found,) = scene.verify()
    (statement,) = re.findall("UPDATE [^;]+;", found["remedy"])
    scene.database.sql(statement)
    assert scene.verify(status=0) == []
    assert scene.database.value("SELECT account_uid FROM mapping") == NOBODY


def test_the_remedy_for_a_renamed_account_can_be_typed(scene, pki):
    scene.map(pki.leaf("lasting", end=90 * 24 * HOUR), "nosuchaccount")
    (found,) = scene.verify(status=0)
    (statement,) = re.findall("UPDATE [^;]+;", found["remedy"])
    scene.database.sql(statement.replace("NEW", ACCOUNT))
    assert scene.verify(status=0) == []


@pytest.mark.parametrize("service, said", [("*", "every service"), ("ftp", "for ftp")])
def test_more_certificates_than_an_account_may_have_are_an_error(scene, pki, service, said):
    """As databases of version 2 may have them, where INSERT OR REPLACE took a NULL."""
    (scene.confdir / "ftp").write_text("auth required pam_deny.so\n")
    rule = scene.database.value("SELECT sql FROM sqlite_schema WHERE name = 'mapping_insert'")
    scene.database.sql("DROP TRIGGER mapping_insert;")
    for name in ("one", "two", "three"):
        scene.database.map(pki.leaf(name), ACCOUNT, service=f"'{service}'")
    scene.database.sql(f"{rule};")
    (found,) = [finding for finding in scene.verify() if finding["severity"] == "error"]
    text = found["text"]
    assert found["thing"] == f"account {ACCOUNT}"
    assert "3 enabled" in text and said in text and "1 would" in text
    assert f"`certmapctl list --account {ACCOUNT}'" in found["remedy"]
    scene.database.sql("UPDATE service SET certificates_per_account = 3;")
    assert [f for f in scene.verify(status=0) if f["severity"] == "error"] == []


def test_a_damaged_database_is_named_with_the_remedy(scene):
    scene.database.path.write_text("What is this?" * 400)
    (found,) = scene.verify()
    assert "not a database" in found["text"] and "restore a backup" in found["text"]


def test_a_certificate_that_ends_or_can_t_be_read_is_named(scene, pki):
    scene.map(pki.leaf("soon", end=9 * 24 * HOUR))
    assert "its certificate expires on" in scene.finding("warning")[1]
    scene.database.sql("UPDATE mapping SET certificate = x'308203e800'")
    found = [f for f in scene.verify() if f["severity"] == "error"]
    assert len(found) == 1 and "can't be used" in found[0]["text"]


def test_a_disabled_mapping_is_not_looked_at(scene, pki):
    scene.map(pki.leaf("late", start=-9 * HOUR, end=-HOUR), "nosuchaccount", enabled=0)
    assert scene.verify(status=0) == []


@pytest.mark.parametrize("change, words", (
    ("UPDATE mapping SET staged_until = unixepoch() - 9 WHERE replaces", "lapsed"),
    ("UPDATE mapping SET enabled = 0 WHERE id = 1", "mapping 1, which it replaces, is disabled"),
))
def test_a_staged_mapping_that_can_t_take_force_is_named(scene, pki, change, words):
    scene.map(pki.leaf("lasting", end=90 * 24 * HOUR))
    scene.map(pki.leaf("lasting2", end=90 * 24 * HOUR), enabled=0, replaces=1)
    assert scene.verify(status=0) == []
    scene.database.sql(change)
    thing, text = scene.finding("warning")
    assert thing == "mapping 2" and words in text


def test_trust_that_is_asked_for_and_not_there_is_an_error(scene, pki):
    scene.database.sql("UPDATE service SET require_trust = 1 WHERE name = '*'")
    assert "nobody is let in" in scene.finding()[1]
    scene.database.trust("anchor", "ca.pem")
    # revocation is `require` where nobody said otherwise.
    assert "no revocation list: nobody is let in" in scene.finding()[1]
    scene.database.sql("UPDATE service SET revocation = 'off' WHERE name = '*'")
    assert scene.verify(status=0) == []
    scene.database.sql("UPDATE service SET revocation = 'require' WHERE name = '*'")
    pki.revocation_list("old", start=-9 * HOUR, end=-HOUR)
    scene.database.trust("crl", "old.crl")
    assert "stale" in scene.finding()[1]
    scene.database.sql("UPDATE service SET revocation = 'prefer' WHERE name = '*'")
    assert "stale" in scene.finding("warning")[1]
    scene.database.sql("DELETE FROM trust WHERE kind = 'crl';"
                       "INSERT INTO trust(kind, content) VALUES('crl', 'no list')")
    assert "can't be used" in scene.finding()[1]


def test_the_key_of_credentials_must_be_there_and_safe(scene):
    scene.database.sql("INSERT INTO credential VALUES('*', 'alice', x'00')")
    thing, text = scene.finding()
    assert thing == str(scene.key) and "can't be opened" in text
    scene.key.write_text(KEY_LINE)
    scene.key.chmod(0o644)
    assert "can't be opened" in scene.finding()[1]
    scene.key.chmod(0o600)
    assert scene.verify(status=0) == []


def test_an_unsafe_or_damaged_database_is_an_error(scene, pki):
    scene.database.path.chmod(0o666)
    thing, text = scene.finding()
    assert thing == str(scene.database.path) and "writ" in text
    scene.database.path.chmod(0o600)
    for name in ("alice", "bob", "carol"):
        scene.map(pki.leaf(name, **({"key": "rsa"} if name == "bob" else {})), name, enabled=0)
    # An index without its rows, as a bad disk leaves it.
    scene.database.sql(
        "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA writable_schema = ON;"
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema"
        " WHERE name = 'pending_service') WHERE name = 'mapping_account'", *DEFENCELESS)
    assert any("damaged" in found["text"] for found in scene.verify())


@pytest.mark.parametrize("table, change, mended", [
    ("mapping", "valid_until = -5", "valid_until = NULL"), ("service", "enabled = 7", "enabled = 1")])
def test_a_row_that_breaks_a_rule_is_not_taken_for_a_damaged_file(
        scene, alice, table, change, mended):
    scene.map(alice)
    scene.database.sql(f"PRAGMA ignore_check_constraints = ON; UPDATE {table} SET {change};")
    found = [f for f in scene.verify() if "breaks a rule" in f["text"]]
    assert len(found) == 1 and table in found[0]["text"] and "recover" not in found[0]["remedy"]
    scene.database.sql(f"UPDATE {table} SET {mended};")
    assert [f for f in scene.verify(status=0) if f["severity"] == "error"] == []


@pytest.mark.parametrize("change, severity, words", (
    ("CREATE TRIGGER back AFTER INSERT ON history BEGIN UPDATE mapping SET enabled = 1; END",
     "error", "the trigger back is not of certmap's schema"),
    ("CREATE VIEW mine AS SELECT account FROM mapping", "warning", "the view mine is not of"),
    ("DROP TRIGGER history_delete", "error", "the trigger history_delete of certmap's schema"),
    ("ALTER TABLE mapping ADD COLUMN mine TEXT", "error", "the table mapping is not as in"),
    ("DROP TRIGGER mapping_deleted; CREATE TRIGGER mapping_deleted AFTER DELETE ON mapping"
     " BEGIN SELECT 1; END", "error", "the trigger mapping_deleted is not as in"),
    ("PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES('trigger', 'sqlite_x',"
     " 'mapping', 0, 'CREATE TRIGGER sqlite_x AFTER INSERT ON mapping BEGIN SELECT 1; END')",
     "error", "the trigger sqlite_x is not of"),
), ids=lambda value: value[:20])
def test_a_schema_that_somebody_changed_is_named(scene, change, severity, words):
    scene.database.sql("ANALYZE")
    assert scene.verify(status=0) == []
    scene.database.sql(change, *DEFENCELESS)
    thing, text = scene.finding(severity)
    assert thing == str(scene.database.path) and words in text


@pytest.mark.parametrize("forgery", (
    "fingerprint = x'{o.fingerprint}', der = readfile('{o.name}.cer')", "der = x'30820001'",
    "key_fingerprint = zeroblob(32)", "subject_line = 'CN=other'", "issuer_line = NULL",
    "not_before = 0", "not_after = not_after + 1"), ids=lambda value: value[:15])
def test_a_forged_fact_is_an_error_until_it_is_read_anew(scene, pki, forgery):
    scene.map(pki.leaf("named", end=90 * 24 * HOUR, subject="/CN=x"))
    assert scene.verify(status=0) == []
    scene.database.sql(f"UPDATE fact SET {forgery.format(o=pki.leaf('other'))}")
    thing, text = scene.finding()
    assert thing == "mapping 1" and "not those of its certificate" in text
    remedy = scene.verify()[0]["remedy"]
    scene.database.sql(remedy.removeprefix("In a sqlite3 shell: "))
    assert scene.verify(status=0) == []


@pytest.mark.parametrize("forgery", ("INSERT INTO fact_name VALUES('root', 1)",
                                     "UPDATE fact_name SET value = 'root'"))
def test_a_forged_name_is_an_error(scene, pki, forgery):
    scene.map(pki.leaf("named", end=90 * 24 * HOUR, subject="/CN=x"))
    assert scene.verify(status=0) == []
    scene.database.sql(forgery)
    assert "not those of its certificate" in scene.finding()[1]


# Stacks, without the accounts' lines; what libpam makes of a login without a certificate is asked
# below.
STACKS = (
    ("auth " + GOOD,),
    ("auth sufficient {m} source=env:CERT", "auth required pam_permit.so"),
    ("auth sufficient {m} source=env:CERT", "auth required pam_deny.so"),
    ("auth sufficient {m} source=env:CERT",),
    ("auth optional {m} source=env:CERT", "auth required pam_permit.so"),
    ("auth [success=done cred_insufficient=ignore default=die] {m} source=env:CERT",
     "auth required pam_deny.so"),
    ("auth [success=done cred_insufficient=ignore default=die] {m} source=env:CERT",
     "auth required pam_permit.so"),
    ("auth [success=1 default=ignore] {m} source=env:CERT", "auth requisite pam_deny.so",
     "auth required pam_permit.so"),
    ("auth [success=1 default=ignore] {m} source=env:CERT", "auth required pam_permit.so"),
    ("auth required pam_env.so", "auth sufficient {m} source=env:CERT"),
    ("auth required pam_echo.so", "auth sufficient {m} source=env:CERT"),
    ("auth required pam_permit.so", "auth " + GOOD),
    ("auth sufficient pam_permit.so", "auth " + GOOD),
    ("auth required pam_warn.so", "auth requisite {m} source=env:CERT",
     "auth optional pam_permit.so"),
    ("auth [default=ignore] {m} source=env:CERT", "auth include permit"),
    ("auth substack permit", "auth " + GOOD),
    ("@include permit", "auth sufficient {m} source=env:CERT"),
)


@pytest.mark.parametrize("lines", STACKS, ids=lambda lines: re.sub(
    r"[^a-z]+", "-", " ".join(lines).replace("{m}", ""))[:60])
def test_a_stack_that_lets_everybody_in_is_told_as_libpam_follows_it(scene, lines):
    # libpam itself finds what is included from another place than /etc/pam.d by absolute path.
    permit = scene.confdir / "common-permit"
    permit.write_text("auth required pam_permit.so\n")
    lines = [line.replace("permit", str(permit)) if re.search(r"include|substack", line) else line
             for line in lines]
    scene.stack(*lines, "account " + GOOD)
    done = subprocess.run([str(DRIVER), str(scene.confdir), "start:svc:nobody", "authenticate"],
                          env={n: v for n, v in os.environ.items() if n.endswith("SAN_OPTIONS")},
                          check=True, stdout=subprocess.PIPE)
    code = int(re.search(rb"^authenticate\t(\d+)$", done.stdout, re.M).group(1))
    found = scene.verify(status=1 if code == 0 else 0)
    assert [f["severity"] for f in found if "lets everybody in" in f["text"]] == (
        ["error"] if code == 0 else [])


@pytest.mark.parametrize("lines, severity, words", (
    (("auth " + GOOD + " sorce=x", "account " + GOOD), "error", "option sorce: unknown"),
    (("auth required {m}", "account " + GOOD), "error", "option source: missing"),
    (("auth " + GOOD,), "warning", "no account line"),
    (("auth " + GOOD, "account sufficient {m} source=env:CERT",
      "account required pam_permit.so"), "warning", "has no effect"),
    (("auth " + GOOD, "account " + GOOD, "auth reqired pam_unix.so"), "error", "control"),
    (("auth " + GOOD, "account " + GOOD, "@include nothing"), "error", "refuses everybody"),
))
def test_a_broken_stack_is_named_with_file_and_line(scene, lines, severity, words):
    scene.stack(*lines)
    thing, text = scene.finding(severity)
    assert re.fullmatch(re.escape(str(scene.confdir)) + r"/svc:\d+", thing) and words in text


@pytest.mark.parametrize("service, words, count", (
    ("su", "source=env:CERT", 1), ("sudo", "source=env:CERT", 1), ("su", "source=pamenv:CERT", 0),
    ("svc", "source=env:CERT", 0)))
def test_the_environment_of_a_setuid_program_is_no_place(scene, service, words, count):
    (scene.confdir / "svc").unlink()
    scene.stack("auth required {m} " + words, "account required {m} " + words, service=service)
    found = scene.verify(status=0)
    assert ["setuid" in f["text"] for f in found] == [True] * count


def services_that_ignore_pam_user():
    """Those whose shipped example says user=match, which is the default."""
    return [path.name for path in sorted(TREE.glob("tests/services/*/pam.d/*"))
            if "user=set" not in path.read_text(encoding="utf-8")]


def test_user_set_is_an_error_for_each_service_that_ignores_it(scene):
    (scene.confdir / "svc").unlink()
    assert len(services_that_ignore_pam_user()) >= 5
    for service in services_that_ignore_pam_user():
        scene.stack("auth " + GOOD + " user=set", "account " + GOOD + " user=set", service=service)
        found = scene.verify()
        assert found and all("ignores PAM_USER" in f["text"] for f in found), service
        (scene.confdir / service).unlink()
    scene.stack("auth " + GOOD + " user=set", "account " + GOOD + " user=set", service="login")
    assert scene.verify(status=0) == []


@pytest.mark.root
def test_a_stack_that_others_can_write_is_an_error(scene):
    os.chmod(scene.confdir / "svc", 0o666)
    assert scene.finding()[0] == str(scene.confdir / "svc")
    os.chmod(scene.confdir / "svc", 0o644)
    os.chown(scene.confdir / "svc", NOBODY, NOBODY)
    assert scene.finding()[0] == str(scene.confdir / "svc")


def test_the_shipped_examples_are_sound(scene):
    for path in TREE.glob("tests/services/*/pam.d/*"):
        text = path.read_text(encoding="utf-8")
        scene.write(path.name, re.sub(r"^@include.*$", "", text, flags=re.M))
    assert [f for f in scene.verify(status=0) if f["severity"] == "error"] == []


def test_a_screen_of_eighty_columns_holds_the_findings(scene, pki):
    scene.map(pki.leaf("soon", end=9 * 24 * HOUR), "nosuchaccount")
    scene.stack("auth sufficient {m} source=env:CERT", "auth required pam_permit.so")
    status, screen = on_terminal(scene.tool, "verify", "--confdir", str(scene.confdir))
    assert status == 1
    lines = screen.splitlines()
    assert lines[-1] == "1 error, 3 warnings."
    assert sum(line.startswith("error    ") for line in lines) == 1
    # A path is not broken; it may stand behind the label.
    assert all(len(line) <= 80 or len(line.split()) <= 2 for line in lines)


def test_a_build_without_json_verifies_in_words(scene):
    done = plain("verify", "--database", scene.database.path, "--confdir", scene.confdir)
    assert (done.returncode, done.stdout) == (0, "Nothing is wrong.\n")
