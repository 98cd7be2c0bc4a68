# SPDX-License-Identifier: LGPL-2.1-or-later
"""boxed.py owns the fixtures of tests that play in a booted systemd (tests/lib/box), which is set up
as the README tells a person to. A conftest.py imports them."""
import contextlib
import json
import os
import pathlib
import subprocess
import time

import pytest

from stage import BUILD, TREE, host_environment

LIB = pathlib.Path(__file__).resolve().parent

CLIENT = TREE / "tests/shell/certmap_client.py"
DATABASE = "/var/lib/certmap/mappings.db"
CANNOT_BOOT = 77
# What only a hang takes: this machine may be slow, busy and built with a sanitizer.
PATIENCE_SEC = 60


class Box:
    """Commands inside of the box; paths are paths in there."""

    def __init__(self, leader):
        self.leader = leader

    def prefix(self):
        """The words before a command that make it run in the box."""
        # --root: where this machine is a chroot itself, the name space alone is not all of it.
        return ["nsenter", f"--target={self.leader}", "--all", "--root",
                "env", "-i", "--chdir=/root", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "PYTHONDONTWRITEBYTECODE=1"]

    def call(self, *command, text_in=None, user=None, timeout=300):
        """A command in the box, as another user of it where one is named."""
        change = ["runuser", f"--user={user}", "--"] if user else []
        return subprocess.run(
            [*self.prefix(), *change, *(str(part) for part in command)],
            input=text_in or "", capture_output=True, text=True, timeout=timeout, check=False)

    def run(self, *command, **options):
        done = self.call(*command, **options)
        assert done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def sh(self, script, **options):
        return self.run("bash", "-euo", "pipefail", "-c", script, **options)

    def write(self, path, text):
        self.run("tee", path, text_in=text)

    def sql(self, statement, database=DATABASE):
        """By a shell that waits for its turn: the daemon writes what it works out, and what was used."""
        return self.run("sqlite3", "-bail", "-cmd", ".timeout 60000", database, statement)

    def show(self, unit, name):
        return self.run("systemctl", "show", f"--property={name}", "--value", unit).strip()

    def ask(self, certificate="alice", account="alice", user=None, service="proftpd"):
        """A lookup by the second client: the reply's values. Where it starts the daemon, it waits."""
        done = self.call("python3", CLIENT, f"--timeout={PATIENCE_SEC}", f"--service={service}",
                         f"--user={account}",
                         f"--evidence=/root/clients/{certificate}.pem", user=user)
        lines = done.stdout.replace(" error=", "\nerror=").splitlines()
        return {key: value.strip("'\"") for key, value in (line.split("=", 1) for line in lines)}

    def journal(self, *arguments):
        output = self.run("journalctl", "--no-pager", "--quiet", "--output=json", *arguments)
        return [json.loads(line) for line in output.splitlines()]

    def mark(self):
        """A place in the journal, for `since`."""
        self.run("journalctl", "--sync")
        return self.journal("-n1")[-1]["__CURSOR"]

    def since(self, mark, **wanted):
        """What was logged after the mark with these fields. journalctl 252 itself loses the first
        entry where --after-cursor meets a match that the cursor's own entry does not fulfil."""
        self.run("journalctl", "--sync")
        return [entry for entry in self.journal(f"--after-cursor={mark}")
                if all(entry.get(name) == value for name, value in wanted.items())]

    def wait_for(self, what, condition):
        deadline = time.monotonic() + PATIENCE_SEC
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"waited {PATIENCE_SEC} s for {what}")


def boot(*arguments):
    process = subprocess.Popen([LIB / "box", *arguments], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True)
    said = process.stdout.readline().strip()
    if not said.startswith("READY "):
        if process.wait() == CANNOT_BOOT:
            pytest.skip(f"this machine can't boot a systemd in a box: {said}")
        pytest.fail(f"the box did not come up: {said}")
    return process, Box(int(said.split()[1]))


def relax_for_sanitizers(box):
    """The leak check needs ptrace(2), which the sandbox forbids; the rest works inside of it."""
    if not host_environment():
        return
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    for unit in ("certmapd", "proftpd", "apache2", "nginx"):
        preload = host_environment().get("LD_PRELOAD") if unit != "certmapd" else None
        box.run("mkdir", "-p", f"/etc/systemd/system/{unit}.service.d")
        box.write(f"/etc/systemd/system/{unit}.service.d/sanitizer.conf",
                  f"[Service]\nEnvironment=ASAN_OPTIONS={options}\n"
                  # A sanitizer remembers what was freed.
                  "MemoryMax=infinity\n"
                  f"Environment=UBSAN_OPTIONS={os.environ.get('UBSAN_OPTIONS', '')}\n"
                  + (f"Environment=LD_PRELOAD={preload}\n" if preload else ""))


def installed(name):
    """Where `meson install` put a file."""
    listed = json.loads(subprocess.run(["meson", "introspect", "--installed", BUILD], check=True,
                                       capture_output=True, text=True).stdout)
    return next(path for path in listed.values() if path.endswith("/" + name))


def install_certmap(box):
    relax_for_sanitizers(box)
    box.run("systemd-sysusers")
    box.run("systemd-tmpfiles", "--create")
    box.run("systemctl", "daemon-reload")
    # libpam looks for modules beside its own, whatever prefix this build has.
    box.sh(f"""security=$(dirname "$(find /usr/lib -path '*/security/pam_unix.so' -print -quit)")
        built={installed("pam_certmap.so")}
        [ "$security/pam_certmap.so" -ef "$built" ] || ln -sf "$built" "$security/"
    """)
    # As root, and the file is certmap's all the same.
    box.run(installed("certmapctl"), "init")
    box.run("systemctl", "enable", "--now", "certmapd.socket")


def make_people(box):
    box.sh(f"""
        for name in alice bob; do
            userdel --remove $name >/dev/null 2>&1 || true
            useradd --create-home --shell /bin/sh $name
            echo "This is the home directory of $name." >/home/$name/welcome.txt
        done
        mkdir /root/clients
        {LIB}/certificates ca /root/clients
        {LIB}/certificates server /root/clients server
        {LIB}/certificates client /root/clients alice
        {LIB}/certificates client /root/clients bob
        chmod 0755 /root /root/clients
        chmod 0644 /root/clients/*.pem
    """)
    box.run("usermod", "--append", "--groups", "certmap-clients", "www-data")


@contextlib.contextmanager
def booted_box():
    """A box with certmap installed, and alice and bob in it."""
    process, box = boot(BUILD)
    try:
        install_certmap(box)
        make_people(box)
        yield box
    finally:
        process.terminate()
        process.wait(PATIENCE_SEC)


@pytest.fixture(scope="session", name="booted")
def boot_once():
    with booted_box() as box:
        yield box


@pytest.fixture(name="box")
def fresh_mapping(booted):
    """The box with alice's certificate mapped, and nothing else. The daemon runs: that it starts within
    the two seconds of a login is for the tests to say that are about that."""
    booted.run("systemctl", "start", "certmapd.service")
    booted.sql("DELETE FROM mapping;"
               "INSERT INTO mapping(account, certificate)"
               "  VALUES('alice', readfile('/root/clients/alice.cer'))")
    return booted


@pytest.fixture(scope="module", name="ftps")
def start_proftpd(booted):
    """ProFTPD under Debian's own unit, with the shipped example at the places that it names. The
    first login starts the daemon, which takes a slow machine more than two seconds."""
    booted.sh(f"""
        cp {TREE}/tests/services/proftpd/proftpd.conf /etc/proftpd/proftpd.conf
        sed 's,pam_certmap\\.so,{installed("pam_certmap.so")} timeout=30000,' \
            {TREE}/tests/services/proftpd/pam.d/proftpd >/etc/pam.d/proftpd
        mkdir -p /etc/proftpd/tls
        cp /root/clients/server.pem /root/clients/server.key /etc/proftpd/tls/
        cp /root/clients/ca.pem /etc/proftpd/tls/clients-ca.pem
        echo "127.0.0.1 localhost $(uname -n)" >/etc/hosts
        systemctl start proftpd.service
    """)
    yield
    booted.run("systemctl", "stop", "proftpd.service")


def log_in(box, account, certificate):
    """An FTPS login that fetches a file: curl, whose exit status 67 is a login denied."""
    return box.call("curl", "--silent", "--show-error", "--ipv4", "--ssl-reqd",
                    "--cacert", "/root/clients/ca.pem", "--user", f"{account}:unused",
                    "--cert", f"/root/clients/{certificate}.pem",
                    "--key", f"/root/clients/{certificate}.key",
                    "ftp://localhost/welcome.txt")
