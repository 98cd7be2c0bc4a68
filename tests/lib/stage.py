# SPDX-License-Identifier: LGPL-2.1-or-later
"""stage.py owns a certmapd, a ProFTPD and their clients for one test run.

Everything lives in one temporary directory: a tree that ProFTPD is confined to (tests/lib/stage
makes it), the database, the certificates and the logs. Nothing of the machine's /etc is touched.
"""
import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

LIB = pathlib.Path(__file__).resolve().parent
TREE = LIB.parents[1]
sys.path.append(str(TREE / "tests/shell"))
import certmap_client  # noqa: E402

BUILD = pathlib.Path(os.environ.get("CERTMAP_BUILD_DIR", TREE / "build")).resolve()
MODULE = BUILD / "pam_certmap/pam_certmap.so"
SANITIZER_OPTIONS = {name: value for name, value in os.environ.items()
                     if name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")}

CURL_LOGIN_DENIED = 67
# What only a hang takes: this machine may be slow, busy and built with a sanitizer.
WAIT_SECONDS = 60


def run(*command, **options):
    """A command that has to succeed; its output as text."""
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}"
    return done.stdout


def wait_for(what, condition):
    """Polls until the condition holds, and returns its value."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {WAIT_SECONDS} s for {what}")


def fields(line):
    """The key=value and key="value" pairs of a log line."""
    return {key: quoted or plain
            for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|(\S*))', line)}


def host_environment():
    """What a program needs that was not built with the sanitizer of the module that it loads: the
    runtime as its first library. Its own leaks are not ours."""
    runtime = re.search(r"libasan\.so\.\d+", run("ldd", MODULE))
    if not runtime:
        return {}
    options = SANITIZER_OPTIONS.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": runtime.group(), "ASAN_OPTIONS": f"{options}:detect_leaks=0".lstrip(":")}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Process:
    """A program in a process group of its own, which ends with the `with` block."""

    def __init__(self, command, log, environment=None):
        self.log = log
        self.command = [str(part) for part in command]
        self.environment = environment

    def __enter__(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment,
                                            start_new_session=True)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def said(self):
        return pathlib.Path(self.log).read_text(errors="replace")


class Stage:
    """The tree, its certificates and its database; a context manager that removes them."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="certmap-test.", dir="/var/tmp"))
        os.chmod(self.directory, 0o711)
        self.root = self.directory / "stage"
        self.clients = self.directory / "clients"
        self.clients.mkdir(mode=0o700)
        self.database = self.root / "var/lib/certmap/mappings.db"
        self.socket = self.root / "run/certmap/lookup"
        self.module_log = self.directory / "module.log"
        self.module_log.touch()
        self.marks = (f"mark {number}." for number in itertools.count())

    def __enter__(self):
        try:
            run(LIB / "stage", self.root, MODULE)
            owner = os.stat(self.root / "var/lib/certmap")
            self.daemon_user = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}",
                                "--clear-groups", "--no-new-privs"]
            self.certificate("ca")
            self.certificate("server", "server")
            for suffix in ("pem", "key"):
                shutil.copy(self.clients / f"server.{suffix}", self.root / "etc/proftpd/tls")
            shutil.copy(self.clients / "ca.pem", self.root / "etc/proftpd/tls/clients-ca.pem")
            run(*self.daemon_user, BUILD / "certmapd/certmapctl", "init",
                "--database", self.database)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory)

    def certificate(self, verb, *arguments):
        run(LIB / "certificates", verb, self.clients, *arguments)

    def edit(self, sql):
        """What a person does: the stock shell, as root, beside the certificates. It waits for its turn,
        because the daemon writes as well."""
        return run("sqlite3", "-bail", "-cmd", ".timeout 60000", self.database, sql, cwd=self.clients)

    def uid(self, account):
        for line in (self.root / "etc/passwd").read_text().splitlines():
            if line.startswith(account + ":"):
                return int(line.split(":")[2])
        raise KeyError(account)

    def syslog(self):
        """The /dev/log of the stage."""
        sink = Process(["/usr/bin/python3", LIB / "syslog_sink.py", self.root / "dev/log",
                        self.module_log], self.directory / "sink.log")
        return Ready(sink, "READY from the log", lambda: "READY" in sink.said())

    def logged(self):
        """Whatever was logged so far, with a mark of ours behind it: datagrams stay in their order."""
        mark = next(self.marks)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            # A path of a socket has 107 bytes, unix(7).
            directory = os.open(self.root / "dev", os.O_PATH)
            try:
                log.sendto(mark.encode(), f"/proc/self/fd/{directory}/log")
            finally:
                os.close(directory)
        return wait_for("the log", lambda: next(
            (text for text in [self.module_log.read_text()] if mark in text), None))

    def answers(self):
        """Whether the daemon does; this starts it."""
        try:
            certmap_client.exchange(str(self.socket), b"", timeout=WAIT_SECONDS, half_close=True)
        except certmap_client.Unusable:
            return False
        return True

    def daemon(self):
        """certmapd under its own uid, started through its socket: a login waits for two seconds at
        most, which is not enough for that on each machine."""
        pass_on = [f"--setenv={name}={value}" for name, value in SANITIZER_OPTIONS.items()]
        daemon = Process(["systemd-socket-activate", *pass_on, f"--listen={self.socket}",
                          *self.daemon_user, BUILD / "certmapd/certmapd",
                          "--database", self.database], self.directory / "certmapd.log")
        # A socket file that a daemon before this one left is not it.
        self.socket.unlink(missing_ok=True)
        return Ready(daemon, "certmapd", self.answers)

    def proftpd(self, replace=(), environment=None):
        return ProFTPD(self, replace, environment or {})


class Ready:
    """A process that is entered only once it is up."""

    def __init__(self, process, what, condition):
        self.process, self.what, self.condition = process, what, condition

    def __enter__(self):
        self.process.__enter__()
        try:
            wait_for(self.what, self.condition)
        except BaseException:
            self.process.__exit__()
            raise
        return self.process

    def __exit__(self, *_):
        self.process.__exit__()


class Login:
    """How one login ended: curl's status and output, and what the module and certmapd logged."""

    def __init__(self, status, output, module, verdict):
        self.status, self.output, self.module, self.verdict = status, output, module, verdict

    @property
    def reason(self):
        """certmapd's word; the module's own where it did not need to ask; None where neither was
        asked."""
        line = self.verdict or (self.module[0] if self.module else None)
        return fields(line)["reason"] if line else None


class ProFTPD(Process):
    """The real server on loopback with the shipped configuration. `replace` is a list of directives
    that stand in the place of those of the same name, or at the end."""

    def __init__(self, stage, replace, environment):
        self.stage = stage
        self.port = free_port()
        self.path = f"/etc/proftpd/test-{self.port}.conf"
        self.configure([f"Port {self.port}", *replace])
        environment = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C",
                       **SANITIZER_OPTIONS, **environment}
        environment.update(host_environment())
        super().__init__(["/usr/sbin/chroot", stage.root, "/usr/sbin/proftpd", "-n", "-q",
                          "-S", "127.0.0.1", "-c", self.path],
                         stage.directory / f"proftpd-{self.port}.log", environment)

    def configure(self, replace):
        text = (self.stage.root / "etc/proftpd/proftpd.conf").read_text()
        for directive in replace:
            name = directive.split()[0]
            text, count = re.subn(rf"(?m)^{name}\b.*$", lambda _, new=directive: new, text)
            if count == 0:
                text += directive + "\n"
        (self.stage.root / self.path.lstrip("/")).write_text(text)

    def answers(self):
        assert self.process.poll() is None, self.said()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self):
        super().__enter__()
        try:
            wait_for("ProFTPD", self.answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def start_login(self, account, certificate=None, options=("--ssl-reqd",), path="welcome.txt"):
        """curl at work; several may be at once."""
        command = ["curl", "--silent", "--show-error", "--ipv4", "--max-time", "300", *options,
                   "--cacert", self.stage.clients / "ca.pem", "--user", f"{account}:unused"]
        if certificate:
            command += ["--cert", self.stage.clients / f"{certificate}.pem",
                        "--key", self.stage.clients / f"{certificate}.key"]
        command.append(f"ftp://localhost:{self.port}/{path}")
        return subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def login(self, *arguments, reaches_pam=True, **options):
        """One whole login, with what was logged for it."""
        before = len(self.stage.logged())
        client = self.start_login(*arguments, **options)
        output, _ = client.communicate()
        if reaches_pam and client.returncode in (0, CURL_LOGIN_DENIED):
            wait_for("the module's log line", lambda: self.module_lines(before))
        module = self.module_lines(before)
        return Login(client.returncode, output, module, self.verdict_for(module))

    def module_lines(self, offset):
        lines = self.stage.logged()[offset:].splitlines()
        return [line for line in lines if re.search(r"\breason=", line)]

    def verdict_for(self, module_lines):
        """certmapd's line about the module's first question."""
        if not module_lines:
            return None
        asked = fields(module_lines[0]).get("id")
        log = (self.stage.directory / "certmapd.log").read_text(errors="replace")
        for line in log.splitlines():
            if asked and fields(line).get("id") == asked:
                return line
        return None
