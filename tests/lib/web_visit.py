# SPDX-License-Identifier: LGPL-2.1-or-later
"""web_visit.py owns a browser's ways with connections, which curl can't show: it GETs / as the owner of a
certificate and prints a JSON list [status, TLS version, whether the session was resumed] for each request.

    web_visit.py keep CERTIFICATE TLS COMMAND     two requests on one connection, COMMAND between them
    web_visit.py resume CERTIFICATE TLS COMMAND   two connections, COMMAND between them, one TLS session
"""
import http.client
import json
import socket
import ssl
import subprocess
import sys

way, certificate, tls, command = sys.argv[1:]
context = ssl.create_default_context(cafile="/root/clients/ca.pem")
context.load_cert_chain(f"/root/clients/{certificate}.pem", f"/root/clients/{certificate}.key")
context.minimum_version = context.maximum_version = ssl.TLSVersion[tls]
answers = []


def connect(session=None):
    connection = http.client.HTTPConnection("localhost")
    plain = socket.create_connection(("127.0.0.1", 443))
    connection.sock = context.wrap_socket(plain, server_hostname="localhost", session=session)
    return connection


def visit(connection):
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    answers.append([answer.status, connection.sock.version(), connection.sock.session_reused])


first = connect()
tls_socket = first.sock
visit(first)
subprocess.run(["bash", "-euc", command], check=True)
if way == "resume":
    first = connect(tls_socket.session)
# The very same socket, else HTTPConnection would have made another, and that one without TLS.
assert way == "resume" or first.sock is tls_socket
visit(first)
print(json.dumps(answers))
