#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""syslog_sink.py owns a /dev/log for programs in a stage: datagrams become lines of a file.

    syslog_sink.py SOCKET FILE

The socket is there before the program says READY on standard output. Ends with TERM.
"""
import os
import re
import socket
import sys

PRIORITY_AND_DATE = re.compile(r"^<(\d+)>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?")


def line_of(datagram):
    """One line per datagram, whatever is in it: "priority text", with control bytes shown."""
    text = datagram.decode("utf-8", "backslashreplace").rstrip("\n\0")
    match = PRIORITY_AND_DATE.match(text)
    priority = match.group(1) if match else "-"
    text = text[match.end():] if match else text
    return priority + " " + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def main(path, log_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(path)
        # As /dev/log of syslogd: a session that has become its user logs as well.
        os.chmod(path, 0o666)
        print("READY", flush=True)
        with open(log_path, "a", encoding="utf-8") as lines:
            while True:
                lines.write(line_of(log.recv(65536)) + "\n")
                lines.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
