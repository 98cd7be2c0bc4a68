# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages on a Debian that nothing was done to, in a systemd that boots for each test and
has no network. It takes minutes, so it is for tests/run and tests/packages/run alone."""
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE.parent / "shell")]
import certmap_client  # noqa: E402
from boxed import LIB, TREE, boot  # noqa: E402

if not os.environ.get("CERTMAP_SLOW"):
    pytest.skip("makes packages and boots: tests/packages/run", allow_module_level=True)

# Kept from run to run, whatever is built for the other tests: that Debian takes a minute to make.
PACKAGES = TREE / "build-packages"
CLEAN = PACKAGES / "clean"
SCHEMA_VERSIONS = len(list((TREE / "sql").glob("[0-9]*.sql")))

DATABASE = "/var/lib/certmap/mappings.db"
KEY = "/etc/credstore/certmap-key"
SOCKET = "/run/certmap/lookup"
COMMON = "/etc/pam.d/common-*"


class Machine:
    """A clean Debian in a box. Lookups are made from outside, so that it needs no python3."""

    def __init__(self, certificates):
        self.certificates = certificates
        self.process, self.box = boot("--base", CLEAN)
        # dpkg writes to disk after each step, and others may use the disk.
        self.run, self.call, self.sh = (functools.partial(method, timeout=1200) for method in (
            self.box.run, self.box.call, self.box.sh))
        self.show = self.box.show

    def end(self):
        self.process.terminate()
        self.process.wait(60)

    def copy(self, *paths):
        """Files of this machine, to the same name in /root there."""
        for path in paths:
            shutil.copy(path, f"/proc/{self.box.leader}/root/root")

    def apt(self, *arguments):
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *arguments)

    def install(self, release="current"):
        debs = sorted((PACKAGES / release).glob("certmapd_*.deb")) + \
            sorted((PACKAGES / release).glob("libpam-certmap_*.deb"))
        self.copy(*debs)
        return self.apt("install", *(f"/root/{deb.name}" for deb in debs))

    def map_alice(self):
        self.sh("useradd --create-home alice")
        self.copy(self.certificates / "alice.cer")
        self.run("certmapctl", "add", "alice", "/root/alice.cer")

    def ask(self, timeout=60.0):
        """The reason in the reply to alice's certificate; None where nobody answers."""
        path = f"/proc/{self.box.leader}/root{SOCKET}"
        evidence = (self.certificates / "alice.pem").read_bytes()
        try:
            return certmap_client.ask(path, {"service": "proftpd", "user": "alice",
                                             "evidence": evidence}, timeout)["reason"]
        except certmap_client.Unusable:
            return None

    def exists(self, path):
        return self.call("test", "-e", path).returncode == 0

    def reboot(self):
        self.call("systemctl", "reboot")
        said = self.process.stdout.readline()
        assert said.startswith("READY "), said
        self.box.leader = int(said.split()[1])


def wait_for(what, condition, seconds=300):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s for {what}")


@pytest.fixture(scope="session", autouse=True)
def make_packages():
    done = subprocess.run([HERE / "prepare", PACKAGES], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="session", name="certificates")
def make_certificates():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-packages."))
    for arguments in (("ca", directory), ("client", directory, "alice")):
        subprocess.run([LIB / "certificates", *arguments], check=True, capture_output=True)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(name="machine")
def boot_clean(certificates):
    machine = Machine(certificates)
    try:
        yield machine
    finally:
        machine.end()


@pytest.mark.parametrize("release", ["current", "next"])
def test_lintian_has_neither_errors_nor_warnings(release):
    [changes] = (PACKAGES / release).glob("*.changes")
    # Its manual is missing as long as nobody has written it.
    missing = [] if list(TREE.glob("certmapd/**/certmapd.8")) else ["--suppress-tags=no-manual-page"]
    done = subprocess.run(["lintian", "--fail-on=error,warning", "--allow-root", *missing, changes],
                          capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0), done.stdout + done.stderr


def test_what_the_page_of_the_examples_links_to_is_packaged():
    [package] = (PACKAGES / "current").glob("certmapd_*.deb")
    files = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True,
                           check=True).stdout
    page = (TREE / "tests/samples/README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(links) > 5
    assert [link for link in links if f"/examples/{link}\n" not in files] == []
    # Where it sends people who want to configure a service.
    for service in ("apache", "dovecot", "exim", "nginx", "proftpd", "sshd", "stunnel"):
        assert f"/examples/{service}/\n" in files
    assert "/doc/certmapd/FROM-IIS.md" in files and "test_" not in files


def test_installed_packages_answer_the_first_lookup_and_the_first_after_a_reboot(machine):
    common = machine.sh(f"cat {COMMON}")
    machine.install()
    assert machine.show("certmapd.socket", "ActiveState") == "active"
    assert machine.show("certmapd.service", "ActiveState") == "inactive"
    assert machine.run("stat", "-c", "%U:%G %a", DATABASE) == "certmap:certmap 600\n"
    assert machine.run("stat", "-c", "%U:%G %a", KEY) == "root:root 600\n"
    assert machine.run("stat", "-c", "%U:%G %a", SOCKET) == "root:certmap-clients 660\n"
    assert machine.run("dpkg", "--audit") == ""
    assert machine.call("systemctl", "is-enabled", "certmap-expiring.timer").stdout == "disabled\n"
    # Where this architecture's PAM looks for a module, beside that of another architecture.
    [module] = machine.sh("dpkg -L libpam-certmap | grep '[.]so$'").split()
    assert machine.exists(pathlib.Path(module).with_name("pam_unix.so"))
    assert machine.run("dpkg-query", "-W", "-f", "${Multi-Arch}", "libpam-certmap") == "same"
    # No login of this machine is another one than before.
    assert machine.sh(f"cat {COMMON}") == common

    assert machine.ask() == "unmapped"
    assert machine.show("certmapd.service", "ActiveState") == "active"
    machine.map_alice()
    assert machine.ask() == "allowed"

    machine.reboot()
    assert machine.show("certmapd.socket", "ActiveState") == "active"
    assert machine.show("certmapd.service", "ActiveState") == "inactive"
    assert machine.ask() == "allowed"
    assert machine.show("certmapd.service", "ActiveState") == "active"


def test_key_of_a_host_is_its_own_and_opens_what_it_sealed(machine, certificates):
    machine.install()
    machine.map_alice()
    machine.run("certmapctl", "credential", "set", "alice", text_in="a password\n")
    machine.run("cp", KEY, "/root/key")
    machine.apt("install", "--reinstall", *machine.sh("echo /root/*.deb").split())
    assert machine.run("cat", KEY) == machine.run("cat", "/root/key")
    other = Machine(certificates)
    try:
        other.install()
        assert other.run("cat", KEY) != machine.run("cat", KEY)
    finally:
        other.end()


def test_login_through_a_real_service_is_decided_by_the_packages(machine):
    """debian/tests/login, by autopkgtest, which installs what it names. The machine is what the test
    wants to have to itself, but autopkgtest can't know that of the one that it runs on."""
    machine.sh('echo "127.0.0.1 localhost $(uname -n)" >/etc/hosts')
    machine.apt("install", "autopkgtest", "dpkg-dev")
    machine.copy(*(PACKAGES / "current").glob("*certmap*"))
    done = machine.call("sh", "-c", """
        autopkgtest --ignore-restrictions=isolation-container,breaks-testbed \\
            --output-dir=/root/result /root/*.changes -- null""")
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.run("cat", "/root/result/summary").split() == ["login", "PASS"]
    # What it prints itself has the two outputs of the test in whatever order it read them.
    said = machine.run("cat", "/root/result/login-stdout").splitlines()
    assert [line.split(":")[0] for line in said] == \
        ["refused", "let in", "refused", "let in", "refused"]


def test_profile_adds_a_line_that_logs_and_takes_it_away_again(machine):
    before = machine.sh(f"cat {COMMON}")
    machine.install()
    machine.run("pam-auth-update", "--enable", "certmap")
    named = machine.sh(f"grep -H '^[^#]*pam_certmap' {COMMON}").splitlines()
    assert {tuple(line.split()[:3]) for line in named} == {
        (f"/etc/pam.d/{file}:session", "optional", "pam_certmap.so")
        for file in ("common-session", "common-session-noninteractive")}
    # Root's own session still opens, and the module has nothing to complain about.
    mark = machine.box.mark()
    machine.sh("useradd --create-home alice; su alice -c true")
    assert [entry for entry in machine.box.since(mark) if "pam_certmap" in entry["MESSAGE"]] == []
    machine.apt("remove", "libpam-certmap")
    assert machine.sh(f"cat {COMMON}") == before


class Load:
    """Lookups by several threads until the block ends; how each ended."""

    def __init__(self, machine):
        self.reasons, self.is_over, self.machine = [], False, machine
        self.threads = [threading.Thread(target=self.work) for _ in range(4)]

    def work(self):
        while not self.is_over:
            # To be late is no wrong answer here, to be refused is.
            self.reasons.append(self.machine.ask())
            time.sleep(0.002)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join()


def make_old_database(machine, version):
    """As that version's shell made it, with a mapping from then."""
    files = " ".join(f"/usr/share/certmap/sql/{number:04d}-*.sql" for number in range(1, version + 1))
    machine.sh(f"""
        systemctl stop certmapd.service
        rm {DATABASE}*
        for file in {files}; do sqlite3 -bail {DATABASE} <$file; done
        sqlite3 -bail {DATABASE} "INSERT INTO mapping (account, certificate, note)
            VALUES ('alice', readfile('/root/alice.cer'), 'from then')"
        chown certmap:certmap {DATABASE}*
        chmod 0600 {DATABASE}*""")


def user_version(machine, database):
    return int(machine.run("sqlite3", database, "PRAGMA user_version"))


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSIONS + 1))
def test_upgrade_migrates_once_keeps_a_copy_and_refuses_nobody(machine, version):
    machine.install()
    machine.map_alice()
    make_old_database(machine, version)
    serves = version == SCHEMA_VERSIONS
    assert machine.ask() == ("allowed" if serves else "unavailable")
    pid = machine.show("certmapd.service", "MainPID")
    key = machine.run("cat", KEY)

    with Load(machine) as load:
        machine.install("next")
        before = len(load.reasons)
        wait_for("lookups after the upgrade", lambda: len(load.reasons) > before + 20)
    print(f"{before} lookups during the upgrade, {len(load.reasons)} in all")
    if serves:
        assert set(load.reasons) == {"allowed"}
    assert set(load.reasons[before + 4:]) == {"allowed"}

    assert "+next" in machine.run("dpkg-query", "-W", "-f", "${Version}", "certmapd")
    assert machine.run("dpkg", "--audit") == ""
    assert machine.show("certmapd.service", "MainPID") != pid
    # What was there for the time of the upgrade is gone.
    assert not machine.exists("/run/systemd/system/certmapd.service.d")
    assert "migrate" not in machine.show("certmapd.service", "ExecStartPre")
    assert user_version(machine, DATABASE) == SCHEMA_VERSIONS + 1
    copies = machine.sh(f"ls {DATABASE}.v*").split()
    assert copies == [f"{DATABASE}.v{version}"]
    assert user_version(machine, copies[0]) == version
    for database in (DATABASE, copies[0]):
        assert machine.run("stat", "-c", "%U %a", database) == "certmap 600\n"
        assert machine.run("sqlite3", database, "PRAGMA integrity_check;"
                           "SELECT account, note FROM mapping") == "ok\nalice|from then\n"
    assert machine.run("cat", KEY) == key
    # Once: the next configuration finds nothing to do.
    machine.run("dpkg-reconfigure", "-f", "noninteractive", "certmapd")
    assert machine.sh(f"ls {DATABASE}.v*").split() == copies


def test_upgrade_migrates_also_while_no_daemon_runs(machine):
    machine.install()
    machine.map_alice()
    machine.run("systemctl", "disable", "--now", "certmapd.socket")
    machine.run("systemctl", "stop", "certmapd.service")
    machine.install("next")
    assert user_version(machine, DATABASE) == SCHEMA_VERSIONS + 1
    assert user_version(machine, f"{DATABASE}.v{SCHEMA_VERSIONS}") == SCHEMA_VERSIONS
    assert machine.run("stat", "-c", "%U:%G %a", DATABASE) == "certmap:certmap 600\n"
    # What an administrator disabled stays so.
    assert machine.show("certmapd.service", "ActiveState") == "inactive"
    assert machine.show("certmapd.socket", "ActiveState") == "inactive"
    machine.run("systemctl", "start", "certmapd.socket")
    assert machine.ask() == "allowed"


def test_upgrade_that_can_not_migrate_says_why_and_loses_nothing(machine):
    machine.install()
    machine.map_alice()
    assert machine.ask() == "allowed"
    copy = f"{DATABASE}.v{SCHEMA_VERSIONS}"
    machine.run("touch", copy)
    with pytest.raises(AssertionError) as failed:
        machine.install("next")
    assert f"{copy}, a copy of an earlier migration, is there already" in str(failed.value)
    assert user_version(machine, DATABASE) == SCHEMA_VERSIONS
    assert machine.ask() == "unavailable"
    machine.run("rm", copy)
    machine.run("dpkg", "--configure", "-a")
    assert machine.ask() == "allowed"


def test_remove_keeps_the_data_and_purge_takes_it(machine):
    machine.install()
    machine.map_alice()
    assert machine.ask() == "allowed"
    machine.sh("echo 'auth required pam_certmap.so source=ssh' >/etc/pam.d/something")
    machine.run("systemctl", "enable", "--now", "certmap-expiring.timer")
    key = machine.run("cat", KEY)

    assert "/etc/pam.d/something" in machine.sh(
        "apt-get -q -y remove certmapd libpam-certmap 2>&1")
    assert machine.call("sh", "-c", "grep -lx certmapd /proc/[0-9]*/comm").stdout == ""
    assert not machine.exists(SOCKET)
    assert machine.ask() is None
    assert machine.run("systemctl", "list-units", "--state=active,activating,failed", "--plain",
                       "--no-legend", "certmap*") == ""
    assert machine.exists(DATABASE) and machine.run("cat", KEY) == key

    machine.install()
    assert machine.run("cat", KEY) == key
    assert machine.ask() == "allowed"

    machine.run("touch", f"{DATABASE}.v1")
    machine.apt("purge", "certmapd", "libpam-certmap")
    left = machine.sh("find /etc /run /usr /var /lib -xdev -name '*certmap*' "
                      "-not -path '/var/cache/*' -not -path '/run/log/*'").split()
    assert left == []
    assert not machine.exists("/etc/credstore")
    # README.Debian says why.
    assert machine.call("id", "certmap").returncode == 0
    assert machine.call("getent", "group", "certmap-clients").returncode == 0
