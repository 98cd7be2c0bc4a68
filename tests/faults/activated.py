# SPDX-License-Identifier: LGPL-2.1-or-later
"""activated.py owns a certmapd that is started by a lookup and comes back by the next one, as
systemd does it: the socket outlives it, root listens, and it runs under an ordinary uid. What it
takes of the machine is measured here too.
"""
import os
import pathlib
import select
import socket
import subprocess
import threading
import time

from shell_stage import CERTMAPD, NOBODY, Daemon

BACKLOG = 4096  # as in certmapd.socket
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def is_sanitized():
    """Whether the daemon is built with a sanitizer, whose memory says nothing about its own."""
    linked = subprocess.run(["ldd", os.environ["CERTMAPD"]], check=True, capture_output=True,
                            text=True).stdout
    return "san.so" in linked


def resident_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)
    return value


class Activated(Daemon):
    """A context manager; the daemon runs from the first lookup on."""

    # $0 is the number of the socket; sd_listen_fds(3) wants it as 3, and the own pid.
    SCRIPT = 'exec 3<&"$0"; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'

    def __init__(self, directory, database_path, uid=NOBODY):
        super().__init__(directory, database_path)
        self.uid = uid
        self.starts = 0
        self.is_ending = False
        self.thread = threading.Thread(target=self._supervise, daemon=True)

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket)
        self.listener.listen(BACKLOG)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_ending = True
        deadline = time.monotonic() + 60
        while self.thread.is_alive():
            # One that was just about to start is ended as well.
            if self.is_running:
                self.process.terminate()
            self.thread.join(0.1)
            assert time.monotonic() < deadline, "certmapd does not end"
        self.listener.close()

    def _start(self):
        environment = dict(os.environ)
        # Its leak check needs ptrace(2), which an ordinary uid does not have over a process that
        # forbids dumps.
        environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.spawn(["bash", "-c", self.SCRIPT, str(self.listener.fileno()), "setpriv",
                    f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups",
                    "--no-new-privs", CERTMAPD, "--database", self.database_path],
                   pass_fds=[self.listener.fileno()], env=environment)
        self.starts += 1

    def _supervise(self):
        while not self.is_ending:
            if select.select([self.listener], [], [], 0.05)[0]:
                self._start()
                self.process.wait()

    def strange_lines(self):
        """What is no log line, as a sanitizer's report would be."""
        return [line for line in self.log() if not line.startswith("certmapd: ")]
