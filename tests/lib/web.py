# SPDX-License-Identifier: LGPL-2.1-or-later
"""web.py owns what the tests of the web servers share: a server with its shipped configuration in the box,
an application behind it, and visitors with curl."""
import base64
import contextlib
import dataclasses
import json
import re

from boxed import LIB

APPLICATION = "/run/webapp/socket"
# curl(1): CURLE_SSL_CONNECT_ERROR, and CURLE_RECV_ERROR, since in TLS 1.3 the client is done with the
# handshake before the server refuses its certificate.
CURL_HANDSHAKE = (35, 56)
# CURLE_COULDNT_CONNECT
CURL_CONNECT = 7


def forged(account, certificate_text):
    """What whoever has seen a certificate can type."""
    text = base64.b64encode(f"{account}:{certificate_text}".encode()).decode()
    return f"Authorization: Basic {text}"


@dataclasses.dataclass
class Visit:
    exit_status: int
    status: int
    body: str
    # certmapd's entries in the journal, one for each time that it was asked to authenticate.
    verdicts: list
    # What the module said, in both phases.
    module: list

    @property
    def reasons(self):
        return [verdict["CERTMAP_REASON"] for verdict in self.verdicts]

    def headers(self, *names):
        """What reached the application under these names, taken as a CGI program takes them."""
        return [value for name, value in json.loads(self.body)
                if name.upper().replace("-", "_") in names]


class Web:
    """A web server in the box. `place` is where its example goes, `text` what it is."""

    def __init__(self, box, service, unit, example, place):
        self.box = box
        self.service = service
        self.unit = unit
        self.text = example.read_text()
        self.place = place

    def visit(self, path="/", certificate=None, headers=(), options=(), host="localhost"):
        key = ["--cert", f"/root/clients/{certificate}.pem",
               "--key", f"/root/clients/{certificate}.key"] if certificate else []
        return self.curl("-4", *key, *options, f"https://{host}{path}",
                         *(part for header in headers for part in ("--header", header)))

    def curl(self, *arguments, user=None):
        mark = self.box.mark()
        done = self.box.call("curl", "-sS", "--max-time", "120", "--cacert",
                             "/root/clients/ca.pem", "--write-out", "\n%{http_code}", *arguments,
                             user=user)
        body, _, status = done.stdout.rpartition("\n")
        entries = self.box.since(mark)
        return Visit(done.returncode, int(status), body or done.stderr,
                     [entry for entry in entries if entry.get("CERTMAP_SERVICE") == self.service
                      and entry["CERTMAP_PHASE"] == "authenticate"],
                     # nginx writes its process title over its name in the log, and so before this.
                     [entry["MESSAGE"] for entry in entries
                      if f"pam_certmap({self.service}:" in entry["MESSAGE"]])

    @contextlib.contextmanager
    def changed(self, pattern, replacement):
        """The server with one change of the example: what a line guards against."""
        text, count = re.subn(pattern, replacement, self.text, flags=re.MULTILINE)
        assert count == 1, pattern
        self.configure(text)
        try:
            yield self
        finally:
            self.configure(self.text)

    def configure(self, text):
        self.box.write(self.place, text)
        # Forgets the earlier starts: systemd takes more than five in ten seconds for a loop.
        self.box.run("systemctl", "reset-failed", self.unit)
        self.box.run("systemctl", "restart", self.unit)

    def pem(self, name):
        return self.box.run("cat", f"/root/clients/{name}.pem")

    def visit_twice(self, way, command, certificate="alice", tls="TLSv1_3"):
        return json.loads(self.box.run("python3", LIB / "web_visit.py", way, certificate, tls,
                                       command))


def make_certificates(box):
    """Those beside alice's and bob's own."""
    box.sh(f"""
        cd /root/clients
        make() {{ {LIB}/certificates client /root/clients "$@" >/dev/null; }}
        [ -e reissued.pem ] || {{
            cp alice.key reissued.key
            make reissued alice
            make misnamed bob
            make tables 'Robert Tables'
            make colon 'alice:alice'
            make root root
            {{ printf subjectAltName=DNS:0.example
               printf ',DNS:%s.a-long-name-that-fills-the-certificate.example' {{1..150}}
            }} >big.cnf
            make big alice -extfile big.cnf
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 \
                -subj '/O=certmap demo/CN=alice' -keyout foreign.key -out foreign.pem 2>/dev/null
            openssl x509 -in foreign.pem -outform DER -out foreign.cer
            chmod 0644 *.pem
        }}
    """)


@contextlib.contextmanager
def application(box):
    """Behind the socket of the examples, as an account of its own, with a directory as they ask for."""
    box.run("systemd-run", "--unit=webapp", "--property=User=daemon", "--property=Group=www-data",
            "--property=RuntimeDirectory=webapp", "--property=RuntimeDirectoryMode=0750",
            "--property=UMask=0007", "--setenv=PYTHONDONTWRITEBYTECODE=1",
            "python3", LIB / "web_application.py", APPLICATION)
    try:
        box.wait_for("the application", lambda: box.call("test", "-S", APPLICATION).returncode == 0)
        yield
    finally:
        box.run("systemctl", "stop", "webapp")
