# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stage for module tests: PAM services in a directory, a socket, and the driver as the
application."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import fake_daemon

MODULE = os.environ.get("CERTMAP_MODULE", "build/pam_certmap/pam_certmap.so")
DRIVER = os.environ.get("CERTMAP_MODULE_DRIVER", "build/tests/module/module-driver")

# security/_pam_types.h
SUCCESS, SERVICE_ERR, SYSTEM_ERR, BUF_ERR = 0, 3, 4, 5
AUTH_ERR, CRED_INSUFFICIENT, AUTHINFO_UNAVAIL, USER_UNKNOWN = 7, 8, 9, 10
SESSION_ERR = 14
PAM_SILENT, PAM_DISALLOW_NULL_AUTHTOK = 0x8000, 0x1

# syslog(3), without LOG_AUTHPRIV
LOG_ERR, LOG_NOTICE, LOG_INFO, LOG_DEBUG = 3, 5, 6, 7

PAM_CALLS = ("authenticate", "setcred", "account", "open", "close")
PREFIX_END = "): "


class Run:
    """What one run of the driver printed."""

    def __init__(self, output):
        self.events = [line.split("\t") for line in output.splitlines()]
        self.codes = [int(e[1]) for e in self.events if e[0] in PAM_CALLS]
        self.raw_log = [e[2] for e in self.events if e[0] == "log"]
        self.log = [line.split(PREFIX_END, 1)[1] for line in self.raw_log if PREFIX_END in line]
        self.priorities = [int(e[1]) & 7 for e in self.events if e[0] == "log"]
        self.environment = dict(
            e[1].split("=", 1) for e in self.events if e[0] == "pamenv")
        # Of `loop`: how often each code came, and the milliseconds of the soonest and the latest.
        self.tallies = {int(e[1]): tuple(map(int, e[2:])) for e in self.events if e[0] == "tally"}

    @property
    def code(self):
        assert len(self.codes) == 1
        return self.codes[0]

    @property
    def line(self):
        """The one line of the log: each failure is logged once."""
        assert len(self.raw_log) == 1, self.raw_log
        assert len(self.raw_log[0]) <= 1024
        return self.log[0]

    @property
    def certmap_environment(self):
        return {n: v for n, v in self.environment.items() if n.startswith("CERTMAP_")}

    def value(self, name):
        return [e[1] for e in self.events if e[0] == name][-1]


def directory_of_modules():
    """Where libpam looks for a module that has a bare name."""
    found = subprocess.run(["find", "/usr/lib", "/lib", "-path", "*/security/pam_unix.so",
                            "-print", "-quit"], check=True, capture_output=True, text=True).stdout
    return pathlib.Path(found.strip()).parent


def read_and_close(file):
    with file:
        file.seek(0)
        return file.read()


class Pam:
    """A place for one test: services, a socket's path, runs of the driver."""

    def __init__(self, directory):
        self.directory = directory
        self.services = directory / "services"
        self.services.mkdir(mode=0o755)
        # libpam complains where there is none.
        (self.services / "other").write_text(
            "".join(f"{phase} required pam_deny.so\n" for phase in ("auth", "account", "session")))
        self.socket = directory / "run" / "lookup"
        self.socket.parent.mkdir(mode=0o755)
        self.module = MODULE
        self.driver = [DRIVER]
        self.identity = {}

    def become_nobody(self):
        """Runs the driver as an ordinary user, who may not reach the build directory."""
        self.driver = [shutil.copy(DRIVER, self.directory)]
        self.module = shutil.copy(MODULE, self.directory)
        self.identity = {"user": "nobody", "group": "nogroup", "extra_groups": []}

    def line(self, options, phase="auth", control="required"):
        """A line of the stack. Where it does not say how long it waits, a slow machine has time."""
        if "timeout" not in options:
            options += " timeout=30000"
        return f"{phase} {control} {self.module} socket={self.socket} {options}\n"

    def service(self, options, name="svc", lines=None):
        text = lines or "".join(
            self.line(options, phase) for phase in ("auth", "account", "session"))
        (self.services / name).write_text(text)

    def start(self, *commands, environment=None):
        """A run of the driver that goes on by itself; finish() waits for it."""
        variables = {n: v for n, v in os.environ.items() if n.endswith("SAN_OPTIONS")}
        variables.update(environment or {})
        # Files, because a pipe that nobody reads meanwhile stops who writes a lot into it.
        output, errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        process = subprocess.Popen(
            [*self.driver, self.services, *commands], env=variables, stdout=output, stderr=errors,
            **self.identity)
        return process, output, errors

    @staticmethod
    def finish(started, timeout=60):
        process, *files = started
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        output, errors = (read_and_close(file) for file in files)
        assert process.returncode == 0, (process.returncode, errors.decode())
        assert errors == b""
        return Run(output.decode())

    def run(self, *commands, environment=None):
        return self.finish(self.start(*commands, environment=environment))

    def daemon(self, answer=None, **more):
        return fake_daemon.FakeDaemon(self.socket, answer, **more)

    def says(self, account, **changes):
        """A daemon that allows everything, with this account in its reply."""
        return self.daemon(lambda request: fake_daemon.allowed(request, account, **changes))

    def refuses(self, reason, **changes):
        return self.daemon(lambda request: fake_daemon.refused(request, reason, **changes))
