"""A store for artifacts: a folder that accepts PUT, and a package index that accepts uploads.

    python artifact_store.py PORT FOLDER NAME < two lines: WRITER:PASSWORD, READER:PASSWORD

It listens on 127.0.0.1:PORT and logs each request in FOLDER/log.NAME. Several processes may serve
one folder. Uploads follow the legacy upload API as twine uses it (twine/package.py): certain fields
are required, and a name is never reused for different content.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
from werkzeug.serving import WSGIRequestHandler, make_server

_POLL_SECONDS = 0.05  # how soon it notices that it should end
_REQUIRED = {
    *(":action", "protocol_version", "metadata_version", "name", "version"),
    *("filetype", "pyversion", "sha256_digest"),
}


@dataclass(frozen=True)
class Request:
    """One logged request: its user, and the bytes of content in each direction."""

    method: str
    path: str
    status: int
    user: str
    received: int
    sent: int


@dataclass
class Knobs:
    """Settings for tests: the status for a name that is taken, whether a page has hashes, the
    address of files on it, and the redirect for projects that the store does not have."""

    taken: int = 400
    hashes: bool = True
    files_at: str = "../../packages"
    fallback: str = ""


def create_app(folder: Path, name: str, logins: list[str], knobs: Knobs) -> flask.Flask:
    """The store of a folder. `logins` are the writer and the reader; none means open access."""
    app = flask.Flask("store", static_folder=None)
    writer, reader = logins or ("", "")
    writing = threading.Lock()

    @app.before_request
    def known() -> Any:
        if not logins:
            return None
        given = flask.request.authorization
        word = f"{given.username}:{given.password}" if given else ""
        if word == writer or (word == reader and flask.request.method in ("GET", "HEAD")):
            return None
        return flask.Response("who are you?\n", 401, {"WWW-Authenticate": 'Basic realm="store"'})

    @app.after_request
    def note(answer: flask.Response) -> flask.Response:
        asked = flask.request
        sent = answer.content_length if asked.method == "GET" else 0
        user = asked.authorization.username if asked.authorization else ""
        received = asked.content_length or 0
        line = [asked.method, asked.path, answer.status_code, user, received, sent or 0]
        with writing, (folder / f"log.{name}").open("a") as log:
            log.write(json.dumps(line) + "\n")
        return answer

    @app.route("/files/<path:path>", methods=["GET", "PUT"])
    def file(path: str) -> Any:
        if flask.request.method != "PUT":
            return flask.send_from_directory(folder / "files", path, etag=False)
        target = folder / "files" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(flask.request.get_data())
        return flask.Response(status=201)

    @app.get("/packages/<name>")
    def package(name: str) -> Any:
        return flask.send_from_directory(folder / "packages", name, etag=False)

    @app.get("/simple/<project>/")
    def page(project: str) -> Any:
        files = sorted((folder / "packages").glob("*.whl"))
        links = [_link(one, knobs) for one in files if _project(one) == project]
        if links:
            return "<!DOCTYPE html>\n" + "\n".join(links)
        if knobs.fallback:
            return flask.redirect(f"{knobs.fallback}/{project}/")
        return flask.abort(404)

    @app.post("/legacy/")
    def upload() -> Any:
        form, content = flask.request.form, flask.request.files.get("content")
        missing = _REQUIRED - set(form)
        if missing or content is None:
            return f"missing: {missing or 'content'}\n", 400
        if (form[":action"], form["protocol_version"]) != ("file_upload", "1"):
            return "unknown protocol\n", 400
        data = content.read()
        if hashlib.sha256(data).hexdigest() != form["sha256_digest"]:
            return "The digest supplied does not match\n", 400
        target = folder / "packages" / str(content.filename)
        if _project(target) != form["name"]:
            return "the file is of another project\n", 400
        target.parent.mkdir(exist_ok=True)
        if target.exists() and target.read_bytes() != data:
            return "File already exists\n", knobs.taken
        target.write_bytes(data)
        return "OK\n"

    return app


def _project(wheel: Path) -> str:
    return re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()


def _link(wheel: Path, knobs: Knobs) -> str:
    digest = f"#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}" if knobs.hashes else ""
    return f'<a href="{knobs.files_at}/{wheel.name}{digest}">{html.escape(wheel.name)}</a>'


def requests(folder: Path, name: str) -> list[Request]:
    """The requests to the process with this name, in order."""
    log = folder / f"log.{name}"
    lines = log.read_text().splitlines() if log.exists() else []
    return [Request(*json.loads(line)) for line in lines]


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_args: object) -> None:
        pass


@contextmanager
def served(
    folder: Path, *, logins: list[str] | None = None, knobs: Knobs | None = None
) -> Iterator[str]:
    """Serve a store from this process until the block ends; yields its address."""
    app = create_app(folder, "here", logins or [], knobs or Knobs())
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def process(
    port: int,
    folder: Path,
    name: str,
    *,
    logins: Sequence[str] = (),
    start: Callable[..., subprocess.Popen[Any]] = subprocess.Popen,
) -> Iterator[None]:
    """Serve the store from a separate process, which `start` starts, until the block ends."""
    argv = [sys.executable, __file__, str(port), str(folder), name]
    running = start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        running.stdin.write("".join(f"{login}\n" for login in logins))
        running.stdin.close()
        assert running.stdout.readline() == "ready\n"
        yield
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def main(port: int, folder: Path, name: str) -> None:
    logins = sys.stdin.read().split()
    app = create_app(folder, name, logins, Knobs())
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
