# SPDX-License-Identifier: LGPL-2.1-or-later
"""servers.py owns the processes that are measured, and ends every one that it started."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

PATIENCE_SEC = 60
# Where libsystemd sends journal entries, sd_journal_print(3).
JOURNAL = pathlib.Path("/run/systemd/journal")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def make_private_log():
    """Whether this process has a /run and /dev of its own, for a journal that only takes lines
    away: the machine's own must not get millions. Call it as root, below `unshare --mount`."""
    steps = [["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "tmpfs", "/mnt"]]
    for name in DEVICES:
        steps += [["touch", f"/mnt/{name}"], ["mount", "--bind", f"/dev/{name}", f"/mnt/{name}"]]
    steps += [["mkdir", "/mnt/shm"], ["mount", "-t", "tmpfs", "tmpfs", "/mnt/shm"],
              ["ln", "-s", str(JOURNAL / "dev-log"), "/mnt/log"],
              ["ln", "-s", "/proc/self/fd", "/mnt/fd"], ["mount", "--rbind", "/mnt", "/dev"],
              ["mount", "-t", "tmpfs", "tmpfs", "/run"], ["mkdir", "-p", str(JOURNAL)]]
    for step in steps:
        done = subprocess.run(step, check=False, stderr=subprocess.PIPE)
        if done.returncode != 0:
            print(f"run: {' '.join(step)}: {done.stderr.decode().strip()}", file=sys.stderr)
            return False
    return True


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_SEC
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {PATIENCE_SEC} s")
        time.sleep(0.005)


def accepts(path):
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


class Process:
    """A server, in the foreground, with a socket."""

    def __init__(self, command, log, ready=None, **options):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                **options)
        self.pid = self.process.pid
        if ready:
            try:
                wait_for(lambda: self.is_alive() and ready(), f"{command[0]} (see {log})")
            except BaseException:
                self.end()
                raise

    def is_alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args[0]} ended: "
                               f"{pathlib.Path(self.log).read_text(encoding='utf-8')[-500:]}")
        return True

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(PATIENCE_SEC)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu_nsec(self):
        """What the scheduler counted for its one thread: proc(5) counts whole ticks elsewhere."""
        text = pathlib.Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii")
        return int(text.split()[0])

    def memory_kib(self):
        """VmRSS and its parts, VmHWM."""
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        pairs = (line.split(":") for line in lines if line.startswith(("VmRSS", "Rss", "VmHWM")))
        return {name: int(value.split()[0]) for name, value in pairs}


def journal_environment(log):
    """The environment in which certmapd takes this file for the journal, as systemd.exec(5) names
    it: its lines then go to the journal's socket."""
    pathlib.Path(log).touch()
    status = os.stat(log)
    return {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def log_drain(floor, directory):
    paths = [JOURNAL / "socket", JOURNAL / "dev-log"]
    return Process([floor, "drain", *paths], directory / "drain.log",
                   lambda: all(path.exists() for path in paths))


def certmapd_command(program, database, socket_path=None):
    command = [program, "--database", database.path]
    return command + (["--socket", socket_path] if socket_path else [])


def certmapd(program, database, socket_path, log, has_journal):
    environment = journal_environment(log) if has_journal else None
    return Process(certmapd_command(program, database, socket_path), log,
                   lambda: accepts(socket_path), env=environment)


def floor_server(floor, verb, socket_path, reply, log):
    return Process([floor, verb, socket_path, reply], log, lambda: accepts(socket_path))
