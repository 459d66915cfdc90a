"""A messenger that people could have: it takes JSON by HTTP, as Apprise's `json://` sends it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "t0ken-of-the-room"


@dataclass
class Webhook:
    """`taken`: the messages that came, by the path of their address."""

    port: int
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def address(self, path: str = "ok") -> str:
        """`ok` takes a message, `gone` answers 404, `silent` answers after a minute."""
        return f"json://ann:{TOKEN}@127.0.0.1:{self.port}/{path}"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for _path, message in self.taken]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A server on loopback."""
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/silent":
                ending.wait(60)
                return
            found.taken.append((self.path, json.loads(body)))
            self.send_response(404 if self.path == "/gone" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Webhook(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ending.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
