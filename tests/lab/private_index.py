"""A package index behind a name and a password, in front of another index.

    python private_index.py PORT (PORT | SOCKET) < USER:PASSWORD

Listens on 127.0.0.1:PORT and passes requests with the right credentials on.
"""

from __future__ import annotations

import base64
import http.client
import http.server
import socket
import sys
from pathlib import Path

_PASSED_ON = ("accept", "range", "user-agent", "if-none-match", "if-modified-since")
_CHUNK_BYTES = 1 << 16


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def _upstream(where: str) -> http.client.HTTPConnection:
    if Path(where).is_absolute():
        return _UnixConnection(where)
    return http.client.HTTPConnection("127.0.0.1", int(where), timeout=120)


def serve(port: int, where: str, credentials: str) -> None:
    expected = "Basic " + base64.b64encode(credentials.encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="packages"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            line = _upstream(where)
            wanted = {k: v for k, v in self.headers.items() if k.lower() in _PASSED_ON}
            line.request(self.command, self.path, headers={**wanted, "Host": "127.0.0.1:3141"})
            answer = line.getresponse()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("connection", "transfer-encoding", "keep-alive", "date"):
                    self.send_header(key, value)
            self.send_header("Connection", "close")
            self.end_headers()
            while chunk := answer.read(_CHUNK_BYTES):
                self.wfile.write(chunk)
            line.close()

        do_HEAD = do_GET

        def log_message(self, *_args: object) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], sys.stdin.readline().strip())
