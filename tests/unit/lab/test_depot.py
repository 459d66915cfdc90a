"""The lab's package index and apt proxy, over a real upstream on loopback."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cartwheel.build.publish.simple import File, parse_page
from cartwheel_lab import depot

PAGE = """<!DOCTYPE html><html><body>
<a href="../../files/thing-1.0-py3-none-any.whl#sha256=abc" data-requires-python="&gt;=3.9"
   data-dist-info-metadata="sha256=def">thing-1.0-py3-none-any.whl</a>
<a href="../../files/thing-2.0.tar.gz" data-yanked="broken">thing-2.0.tar.gz</a>
</body></html>"""
WHEEL = "thing-1.0-py3-none-any.whl"


class Upstream(http.server.BaseHTTPRequestHandler):
    """Serves what `bodies` has, and notes what was asked."""

    bodies: ClassVar[dict[str, tuple[str, bytes]]]
    asked: ClassVar[list[str]]
    broken = False

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path not in self.bodies:
            self.send_error(404)
            return
        kind, body = self.bodies[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + (100 if self.broken else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def upstream() -> Iterator[tuple[str, type[Upstream]]]:
    class Handler(Upstream):
        asked: ClassVar[list[str]] = []
        bodies: ClassVar[dict[str, tuple[str, bytes]]] = {
            "/simple/thing/": ("text/html", PAGE.encode()),
            "/files/" + WHEEL: ("application/octet-stream", b"wheel"),
            "/files/" + WHEEL + ".metadata": ("text/plain", b"Name: thing"),
            "/debian/pool/main/n/nginx_1%3a2.deb": ("application/octet-stream", b"deb"),
            "/debian/dists/bookworm/InRelease": ("text/plain", b"signed"),
        }

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", Handler
        server.shutdown()
        thread.join()


def client(config: depot.Config) -> Any:
    return depot.create_app(config).test_client()


def make(tmp_path: Path, url: str, **more: Any) -> Any:
    options: dict[str, Any] = {"indexes": (f"{url}/simple/",), "folders": ()}
    return client(
        depot.Config(cache=str(tmp_path / "cache"), mirror=f"{url}/debian", **{**options, **more})
    )


def test_html_and_json_pages_name_our_own_urls(
    tmp_path: Path, upstream: tuple[str, type[Upstream]]
) -> None:
    index = make(tmp_path, upstream[0])
    text = index.get("/simple/Thing/").text
    assert f'<a href="{WHEEL}#sha256=abc" data-requires-python="&gt;=3.9"' in text
    assert 'data-core-metadata="sha256=def"' in text
    assert 'data-yanked="broken"' in text
    answer = index.get("/simple/thing/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    assert answer.json["files"] == [
        {
            "filename": WHEEL,
            "url": WHEEL,
            "hashes": {"sha256": "abc"},
            "requires-python": ">=3.9",
            "core-metadata": {"sha256": "def"},
        },
        {
            "filename": "thing-2.0.tar.gz",
            "url": "thing-2.0.tar.gz",
            "hashes": {},
            "yanked": "broken",
        },
    ]
    # What we serve as HTML or JSON reads back as the same.
    ours = parse_page(text.encode(), "text/html", "http://h/simple/thing/")
    assert ours == parse_page(answer.data, "x+json", "http://h/simple/thing/")


def test_files_and_pages_are_fetched_once_and_shared_by_labs(
    tmp_path: Path, upstream: tuple[str, type[Upstream]]
) -> None:
    url, handler = upstream
    for index in (make(tmp_path, url), make(tmp_path, url)):
        assert index.get(f"/simple/thing/{WHEEL}").data == b"wheel"
        assert index.get(f"/simple/thing/{WHEEL}.metadata").data == b"Name: thing"
    assert handler.asked == [
        "/simple/thing/",
        f"/files/{WHEEL}",
        f"/files/{WHEEL}.metadata",
    ]


def test_an_unknown_package_asks_for_its_page_only(
    tmp_path: Path, upstream: tuple[str, type[Upstream]]
) -> None:
    url, handler = upstream
    assert make(tmp_path, url).get("/simple/nothing/").status_code == 404
    assert handler.asked == ["/simple/nothing/"]  # never the index's whole list


def test_a_broken_download_is_an_error_and_not_kept(
    tmp_path: Path, upstream: tuple[str, type[Upstream]]
) -> None:
    url, handler = upstream
    index = make(tmp_path, url)
    index.get("/simple/thing/")
    handler.broken = True
    answer = index.get(f"/simple/thing/{WHEEL}")
    assert answer.status_code == 502
    assert "5 of 105 bytes" in answer.text
    handler.broken = False
    assert index.get(f"/simple/thing/{WHEEL}").data == b"wheel"
    assert not list((tmp_path / "cache").rglob(".part-*"))


def test_an_unreachable_upstream_is_said(tmp_path: Path) -> None:
    answer = make(tmp_path, "http://127.0.0.1:1").get("/simple/thing/")
    assert answer.status_code == 502
    assert "refused" in answer.text


def test_folders_and_file_indexes_come_with_the_rest(
    tmp_path: Path, upstream: tuple[str, type[Upstream]]
) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "Thing-3.0-py3-none-any.whl").write_bytes(b"three")
    (folder / "thing_other-1.0-py3-none-any.whl").write_bytes(b"not it")
    page = tmp_path / "local" / "simple" / "thing" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<a href="../../thing-4.0-py3-none-any.whl">thing-4.0</a>')
    (tmp_path / "local" / "thing-4.0-py3-none-any.whl").write_bytes(b"four")
    indexes = (f"{upstream[0]}/simple", (tmp_path / "local" / "simple").as_uri())
    index = make(tmp_path, upstream[0], indexes=indexes, folders=(str(folder), "/nonexistent"))
    answer = index.get("/simple/thing/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    names = [item["filename"] for item in answer.json["files"]]
    assert names == [
        "Thing-3.0-py3-none-any.whl",
        WHEEL,
        "thing-2.0.tar.gz",
        "thing-4.0-py3-none-any.whl",
    ]
    assert index.get("/simple/thing/Thing-3.0-py3-none-any.whl").data == b"three"
    assert index.get("/simple/thing/thing-4.0-py3-none-any.whl").data == b"four"
    assert index.get("/simple/thing/../../etc/passwd").status_code == 404


def test_apts_proxy_keeps_packages_and_passes_lists(
    tmp_path: Path, upstream: tuple[str, type[Upstream]]
) -> None:
    url, handler = upstream
    app = make(tmp_path, url)

    def proxied(path: str) -> Any:
        return app.get("/", environ_overrides={"RAW_URI": f"{url}{path}"})

    for _ in range(2):
        assert proxied("/debian/pool/main/n/nginx_1%3a2.deb").data == b"deb"
        assert proxied("/debian/dists/bookworm/InRelease").data == b"signed"
    assert proxied("/debian/dists/nothing").status_code == 404
    assert handler.asked.count("/debian/pool/main/n/nginx_1%3a2.deb") == 1
    assert handler.asked.count("/debian/dists/bookworm/InRelease") == 2


def test_old_leftovers_are_tidied(tmp_path: Path) -> None:
    import os

    cache = tmp_path / "cache" / "files"
    cache.mkdir(parents=True)
    ages = {".part-old": 7200, ".part-new": 10, "kept.whl": 7200, "ancient.whl": 100 * 86400}
    for name, age in ages.items():
        (cache / name).write_bytes(b"")
        before = (cache / name).stat().st_mtime - age
        os.utime(cache / name, (before, before))
    make(tmp_path, "http://127.0.0.1:1")
    assert sorted(p.name for p in cache.iterdir()) == [".part-new", "kept.whl"]


@pytest.mark.parametrize(
    ("listing", "options"),
    [
        ("", {}),
        ("global.index-url='http://a/simple'", {"index-url": "http://a/simple"}),
        (
            "global.index-url='http://a/'\ninstall.index-url='http://b/'\n"
            ":env:.index-url='http://c/'",
            {"index-url": "http://c/"},
        ),
        (
            "install.index-url='http://b/'\nglobal.index-url='http://a/'\ndownload.timeout='3'",
            {"index-url": "http://b/"},
        ),
        (
            r"global.extra-index-url='\nhttp://a/\nhttp://b/'",
            {"extra-index-url": " http://a/ http://b/"},
        ),
    ],
)
def test_pips_configuration_by_its_own_precedence(listing: str, options: dict[str, str]) -> None:
    assert depot.parse_pip_config(listing) == options


def test_upstreams_are_what_pip_here_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://mirror.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere file:///else")
    config = depot.from_pip(tmp_path, "http://m/debian", tmp_path / "wheels")
    assert config.indexes[0] == "http://mirror.example/simple"
    assert config.folders == (str(tmp_path / "wheels"), "/somewhere", "/else")
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    default = depot.from_pip(tmp_path, "http://m/debian", tmp_path / "wheels").indexes
    assert len(default) == 1
    assert default[0].endswith("/simple")


def test_credentials_in_a_url_become_a_header(
    tmp_path: Path, upstream: tuple[str, type[Upstream]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = upstream
    seen: list[str | None] = []
    original = handler.do_GET

    def do_get(self: Upstream) -> None:
        seen.append(self.headers["Authorization"])
        original(self)

    monkeypatch.setattr(handler, "do_GET", do_get)
    secret = url.replace("http://", "http://me:p%40ss@")
    assert make(tmp_path, url, indexes=(f"{secret}/simple",)).get(f"/simple/thing/{WHEEL}").data
    assert seen[0] == "Basic bWU6cEBzcw=="


def test_json_upstreams(tmp_path: Path) -> None:
    body = {"files": [{"filename": "a.whl", "url": "../a.whl", "hashes": {}, "yanked": "why"}]}
    files = parse_page(json.dumps(body).encode(), "application/json", "http://h/s/a/")
    assert files == [File("a.whl", "http://h/s/a.whl", {}, yanked="why")]
