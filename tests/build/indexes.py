"""A package index of this test's own: real HTTP, real wheels, real pages (PEP 503)."""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cartwheel.build.wheel import write_wheel

_POLL_SECONDS = 0.05  # how soon it notices that it should end


def make_wheel(
    folder: Path, name: str, version: str, requires: tuple[str, ...] = (), *, python: str = ""
) -> Path:
    """A pure wheel with one module that holds its version."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {python}"] if python else []
    lines += [f"Requires-Dist: {line}" for line in requires]
    files = {
        f"{name}/__init__.py": (f"VERSION = {version!r}\n".encode(), False),
        f"{info}/METADATA": (("\n".join(lines) + "\n").encode(), False),
        f"{info}/WHEEL": (b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", False),
    }
    path = folder / f"{name}-{version}-py3-none-any.whl"
    write_wheel(path, files, info)
    return path


class LocalIndex:
    """What it serves and what it was asked. `credentials` are demanded when set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []
        self.credentials: str | None = None
        self.status: int | None = None
        self.port = 0
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/simple"

    def add(
        self,
        name: str,
        version: str,
        requires: tuple[str, ...] = (),
        *,
        python: str = "",
        claimed: str = "",
    ) -> Path:
        """Publish a wheel; `claimed` is a SHA-256 for its link that may be a lie."""
        wheel = make_wheel(self.folder, name, version, requires, python=python)
        digest = claimed or hashlib.sha256(wheel.read_bytes()).hexdigest()
        wanted = f' data-requires-python="{python.replace(">", "&gt;")}"' if python else ""
        link = f'<a href="/files/{wheel.name}#sha256={digest}"{wanted}>{wheel.name}</a><br>\n'
        self.pages[name] = self.pages.get(name, "") + link
        return wheel

    def answer(self, path: str, authorization: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if self.status is not None:
            return self.status, b""
        if self.credentials is not None:
            wanted = "Basic " + base64.b64encode(self.credentials.encode()).decode()
            if authorization != wanted:
                return 401, b""
        parts = path.strip("/").split("/")
        if parts[0] == "files" and (self.folder / parts[-1]).is_file():
            return 200, (self.folder / parts[-1]).read_bytes()
        if parts[0] == "simple" and parts[-1] in self.pages:
            return 200, f"<!DOCTYPE html><html><body>{self.pages[parts[-1]]}</body></html>".encode()
        return 404, b""


@contextmanager
def serve(folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[LocalIndex]:
    """Serve a new index on a free loopback port until the block ends."""
    index = LocalIndex(folder)
    index.scheme = "https" if tls else "http"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = index.answer(self.path, self.headers.get("Authorization", ""))
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.port = server.server_address[1]
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
