# SPDX-License-Identifier: LGPL-2.1-or-later
"""web_application.py owns the application behind the web servers of the tests: it answers each GET with the
headers that reached it, in JSON.

    web_application.py SOCKET
"""
import http.server
import json
import socketserver
import sys


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


Server(sys.argv[1], Echo).serve_forever()
