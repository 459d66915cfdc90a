"""A caching package index and a caching apt proxy for lab hosts, in one WSGI app.

It runs under gunicorn on a unix socket; hosts reach it as 127.0.0.1:3141 and :3142 through the
forwarder. It fetches only the pages and files that a host requests. It keeps files for ever by
their URL (neither registry reuses a name for different content), and writes each under a temporary
name before renaming it, so several labs can share one cache.

(proxpi was tried first: for a package that does not exist it downloads the index's whole
list of names, and a second process on the same cache folder deletes the first one's
unfinished downloads.)
"""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cartwheel.build.publish.simple import ACCEPT, File, parse_page
from cartwheel.errors import LabError

CONFIG_VARIABLE = "CARTWHEEL_LAB_DEPOT"

_PAGE_SECONDS = 600.0  # how long a package's page is cached
_KEEP_SECONDS = 60 * 86400.0  # files unused for this long are deleted at the start
_PART_SECONDS = 3600.0
_CHUNK_BYTES = 1 << 16
_TIMEOUT_SECONDS = 60.0
_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = "application/vnd.pypi.simple.v1+html"
_HOP_HEADERS = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length"))
_APT_FILES = (".deb", ".udeb", ".xz", ".gz")


@dataclass(frozen=True)
class Config:
    """`indexes`: simple indexes (http, https or file). `folders`: flat folders of wheels, which
    take precedence."""

    cache: str
    mirror: str
    indexes: tuple[str, ...]
    folders: tuple[str, ...]
    ca_file: str = ""


def from_pip(cache: Path, mirror: str, wheels: Path) -> Config:
    """The depot uses the same upstreams as pip on this machine.

    `pip config list` names them; without an index-url, pip itself reports its default. Raises
    LabError when pip fails.
    """
    code = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    try:
        listing = _pip(["-m", "pip", "config", "list"])
        default = _pip(["-c", code]).strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError(
            "lab-tools", f"pip does not work here: {error}", hint="Make the venv with pip."
        ) from error
    options = parse_pip_config(listing)
    links = options.get("find-links", "").split()
    return Config(
        cache=str(cache),
        mirror=mirror,
        indexes=(options.get("index-url", default), *options.get("extra-index-url", "").split()),
        folders=(str(wheels), *(link.removeprefix("file://") for link in links)),
        ca_file=options.get("cert", ""),
    )


def _pip(arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def parse_pip_config(listing: str) -> dict[str, str]:
    """pip's effective options from `pip config list`: environment over [install] over [global]."""
    rank = {"global": 0, "install": 1, ":env:": 2}
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        match = re.fullmatch(r"(global|install|:env:)\.([a-z-]+)='(.*)'", line.strip())
        if match and rank[match[1]] >= found.get(match[2], (-1, ""))[0]:
            found[match[2]] = (rank[match[1]], match[3].replace("\\n", " "))
    return {name: value for name, (_, value) in found.items()}


def normal(name: str) -> str:
    """A project's name, normalized as in indexes (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_folder(folder: Path, project: str) -> list[File]:
    """The wheels and source archives of one project in a flat folder."""
    if not folder.is_dir():
        return []
    return [
        File(path.name, path.absolute().as_uri(), {})
        for path in sorted(folder.iterdir())
        if path.name.endswith((".whl", ".tar.gz", ".zip"))
        and normal(re.split(r"-(?=\d)", path.name, maxsplit=1)[0]) == project
    ]


class Upstream:
    """Fetches each page and file once, into the cache."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cache = Path(config.cache)
        context = ssl.create_default_context(cafile=config.ca_file or None)
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def open(self, url: str, headers: dict[str, str]) -> Any:
        """GET a URL (http, https, file); its name and password are sent as a header."""
        parts = urllib.parse.urlsplit(url)
        headers = {"User-Agent": "cartwheel-lab", **headers}
        if parts.username:
            words = (parts.username, parts.password or "")
            both = ":".join(urllib.parse.unquote(word) for word in words)
            headers["Authorization"] = "Basic " + base64.b64encode(both.encode()).decode()
            parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        url = parts.geturl()
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the operator names it
        return self._opener.open(request, timeout=_TIMEOUT_SECONDS)

    def files(self, project: str) -> dict[str, File]:
        """All files of a project in all upstreams; the first upstream that has a file wins."""
        found: dict[str, File] = {}
        for folder in self.config.folders:
            for file in parse_folder(Path(folder), project):
                found.setdefault(file.filename, file)
        for index in self.config.indexes:
            for file in self._page(index, project):
                found.setdefault(file.filename, file)
        return found

    def _page(self, index: str, project: str) -> list[File]:
        url = f"{index.rstrip('/')}/{project}/"
        kept = self.cache / "pages" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
        with self._locks[url]:
            if kept.is_file() and time.time() - kept.stat().st_mtime < _PAGE_SECONDS:
                return [File(**item) for item in json.loads(kept.read_text())]
            files = self._fetch_page(url)
            if not url.startswith("file:"):
                _write(kept, [json.dumps([asdict(file) for file in files]).encode()])
        return files

    def _fetch_page(self, url: str) -> list[File]:
        if url.startswith("file:"):
            page = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path)) / "index.html"
            return parse_page(page.read_bytes(), "text/html", url) if page.is_file() else []
        try:
            with self.open(url, {"Accept": ACCEPT}) as answer:
                return parse_page(
                    answer.read(), answer.headers.get("Content-Type", ""), answer.geturl()
                )
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (http.client.NOT_FOUND, http.client.FORBIDDEN):
                return []
            raise

    def file(self, url: str) -> Path:
        """The file behind `url`, from the cache or fetched now."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == "file":
            return Path(urllib.request.url2pathname(parts.path))
        key = hashlib.sha256(url.encode()).hexdigest()
        path = self.cache / "files" / key[:2] / key[2:] / Path(parts.path).name
        with self._locks[url]:
            if path.is_file():
                os.utime(path)
            else:
                with self.open(url, {"Accept-Encoding": "identity"}) as answer:
                    _write(path, _body(answer))
        return path

    def tidy(self) -> None:
        """Delete half-written files of killed processes, and files unused for a long time."""
        now = time.time()
        for path in self.cache.rglob("*"):
            limit = _PART_SECONDS if path.name.startswith(".part-") else _KEEP_SECONDS
            if path.is_file() and now - path.stat().st_mtime > limit:
                path.unlink(missing_ok=True)


def _body(answer: Any) -> Iterator[bytes]:
    """The whole body, or an error: urllib does not report a connection that breaks."""
    expected = answer.headers.get("Content-Length")
    got = 0
    while chunk := answer.read(_CHUNK_BYTES):
        got += len(chunk)
        yield chunk
    if expected is not None and got != int(expected):
        raise urllib.error.URLError(f"{got} of {expected} bytes arrived")


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def create_app(config: Config) -> Any:
    """The WSGI application."""
    import flask

    app = flask.Flask("cartwheel-depot", static_folder=None)
    upstream = Upstream(config)
    upstream.tidy()

    @app.before_request
    def apt() -> Any:
        target = flask.request.environ.get("RAW_URI", "")
        return _apt(upstream, target) if target.startswith("http://") else None

    @app.get("/health")
    def health() -> Any:
        return {"ok": True}

    @app.get("/simple/<project>/")
    def page(project: str) -> Any:
        files = upstream.files(normal(project))
        if not files:
            flask.abort(404)
        best = flask.request.accept_mimetypes.best_match([_HTML, "text/html", _JSON])
        if best == _JSON:
            return flask.Response(_as_json(project, files), mimetype=_JSON)
        return flask.Response(_as_html(project, files), mimetype=best or "text/html")

    @app.get("/simple/<project>/<filename>")
    def file(project: str, filename: str) -> Any:
        name = filename.removesuffix(".metadata")
        known = upstream.files(normal(project)).get(name)
        if known is None:
            flask.abort(404)
        url = known.url + filename[len(name) :]
        return flask.send_file(upstream.file(url), mimetype="application/octet-stream")

    @app.errorhandler(OSError)
    def unreachable(error: OSError) -> Any:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            return flask.Response(f"upstream: {error}\n", status=error.code)
        return flask.Response(f"upstream: {error}\n", status=502)

    return app


def _apt(upstream: Upstream, target: str) -> Any:
    """Answer a request that apt sent to its proxy: cache packages, pass on everything else."""
    import flask

    mirror = upstream.config.mirror
    plain = re.sub(r"^https:", "http:", mirror)
    url = mirror + target.removeprefix(plain) if target.startswith(plain) else target
    path = urllib.parse.urlsplit(url).path
    if path.endswith(_APT_FILES) and ("/pool/" in path or "/by-hash/" in path):
        return flask.send_file(upstream.file(url), mimetype="application/octet-stream")
    passed = {
        name: value
        for name, value in flask.request.headers.items()
        if name in ("If-Modified-Since", "Range", "If-Range", "Cache-Control", "Accept")
    }
    try:
        answer = upstream.open(url, passed)
    except urllib.error.HTTPError as error:
        error.close()
        return flask.Response(status=error.code)
    headers = [(n, v) for n, v in answer.headers.items() if n.lower() not in _HOP_HEADERS]
    length = answer.headers.get("Content-Length")
    response = flask.Response(_body(answer), status=answer.status, headers=headers)
    if length:
        response.content_length = int(length)
    response.call_on_close(answer.close)
    return response


def _as_json(project: str, files: dict[str, File]) -> str:
    items: list[dict[str, Any]] = []
    for file in files.values():
        item: dict[str, Any] = {
            "filename": file.filename,
            "url": urllib.parse.quote(file.filename),
            "hashes": file.hashes,
        }
        if file.requires_python:
            item["requires-python"] = file.requires_python
        if file.metadata:
            item["core-metadata"] = file.metadata
        if file.yanked:
            item["yanked"] = file.yanked
        items.append(item)
    return json.dumps({"meta": {"api-version": "1.0"}, "name": normal(project), "files": items})


def _as_html(project: str, files: dict[str, File]) -> str:
    lines = []
    for file in files.values():
        fragment = "".join(f"#{name}={value}" for name, value in [*file.hashes.items()][:1])
        attributes = ""
        if file.requires_python:
            attributes += f' data-requires-python="{html.escape(file.requires_python)}"'
        if file.metadata:
            some = file.metadata if isinstance(file.metadata, dict) else {}
            value = "".join(f"{n}={v}" for n, v in [*some.items()][:1]) or "true"
            attributes += f' data-core-metadata="{value}" data-dist-info-metadata="{value}"'
        if file.yanked:
            attributes += f' data-yanked="{html.escape(str(file.yanked))}"'
        href = urllib.parse.quote(file.filename) + fragment
        lines.append(f'<a href="{href}"{attributes}>{html.escape(file.filename)}</a><br>')
    name = html.escape(project)
    return f"<!DOCTYPE html><html><head><title>{name}</title></head><body>\n" + "\n".join(
        [*lines, "</body></html>"]
    )


def from_environment() -> Any:
    """The application for gunicorn (`cartwheel_lab.depot:from_environment()`)."""
    data = json.loads(Path(os.environ[CONFIG_VARIABLE]).read_text())
    data["indexes"], data["folders"] = tuple(data["indexes"]), tuple(data["folders"])
    return create_app(Config(**data))
