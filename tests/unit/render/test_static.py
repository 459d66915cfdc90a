"""Static files, media and compression in a real nginx (docs/static.md)."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host.system import content_times
from cartwheel.render.release import SITE, render_release
from cartwheel.render.served import HASHED_NAME
from tests.unit.render.sites import APP, BOTH, FACTS, Site, settings

PACKAGES = "venv/lib/python3.11/site-packages"
FOREVER = "public, max-age=31536000, immutable"
LONG = "a { color: red }\n" * 200
WEB: dict[str, Any] = {
    "static": {
        "/static/": {"folder": "shop/static"},
        "/static/admin": {"folder": "admin/files"},
        "/made/": {"command": "make"},
        "/built/": {"folder": "shop/built", "immutable": True},
    },
    "media": {"/media/": "media", "/media/private/": "other"},
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Served(Site):
    """Two releases with files, and media beside them; `fetch` sends a path as it is."""

    def __init__(self, folder: Path, kind: str, web: dict[str, Any] = WEB) -> None:
        super().__init__(folder, kind)
        own = {"listen": self.port, "server": kind, **web}
        self.settings = settings(folder, environment="live", web=own)
        (self.at.shared / "app.py").write_text(APP + _MORE)
        for release in ("1", "2"):
            self.instance(release)
        for link, release in (
            (self.at.current, "2"),
            (self.at.fallback, "2"),
            (self.at.previous, "1"),
        ):
            self.point(link, release)

    def file(self, name: str, text: str | bytes = LONG, release: str = "2") -> Path:
        """A file below a release."""
        path = self.at.release(release) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def static(self, name: str, text: str | bytes = LONG, release: str = "2") -> Path:
        return self.file(f"{PACKAGES}/shop/static/{name}", text, release)

    def media(self, name: str, text: str | bytes = LONG, folder: str = "media") -> Path:
        path = self.at.shared / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def fetch(self, path: str, method: str = "GET", **headers: str) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
            client.sendall("\r\n".join([*lines, "", ""]).encode())
            said = b"".join(iter(lambda: client.recv(1 << 16), b""))
        head, _, body = said.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        found = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest)}
        return Answer(int(first.split()[1]), found, body)


_MORE = """

def _long(kind, text):
    def answer(start_response):
        start_response("200 OK", [
            ("Content-Type", kind), ("ETag", '"x"'), ("Content-Length", str(len(text)))
        ])
        return [text.encode()]
    return answer

PAGES = {
    "/page": _long("text/html", "<p>" * 2000),
    "/json": _long("application/json", "[" + "1," * 2000 + "1]"),
    "/short": _long("application/json", "[1]"),
    "/plain": _long("text/plain", "x" * 4000),
    "/picture": _long("image/png", "x" * 4000),
}
_first = app
def app(environ, start_response):
    page = PAGES.get(environ["PATH_INFO"])
    return page(start_response) if page else _first(environ, start_response)
"""


@pytest.fixture
def served(kind: str) -> Iterator[Served]:
    folder = tempfile.TemporaryDirectory(prefix="cw-")
    with folder as name, closing(Served(Path(name), kind)) as site:
        yield site


@pytest.fixture
def site(served: Served) -> Served:
    served.start()
    return served


def test_files_of_packages_of_the_command_and_of_the_release_before(site: Served) -> None:
    site.static("a.css", "new")
    site.static("a.css", "old", "1")
    site.static("gone.0a1b2c3d4e5f.css", "old", "1")
    site.file("static/made.css", "made")
    site.file("static/before.css", "before", "1")
    site.file(f"{PACKAGES}/admin/files/b.css", "admin")
    site.static("admin/b.css", "not this one: the longest URL wins")
    site.static("admin/c.css", "nor this")
    found = {
        path: site.fetch(path).body.decode()
        for path in (
            "/static/a.css",
            "/static/gone.0a1b2c3d4e5f.css",
            "/made/made.css",
            "/made/before.css",
            "/static/admin/b.css",
        )
    }
    assert found == {
        "/static/a.css": "new",
        "/static/gone.0a1b2c3d4e5f.css": "old",
        "/made/made.css": "made",
        "/made/before.css": "before",
        "/static/admin/b.css": "admin",
    }
    assert site.fetch("/static/admin/c.css").status == 404
    assert site.fetch("/static/gone.0a1b2c3d4e5f.css").headers["cache-control"] == FOREVER


@pytest.mark.parametrize("link", ["fallback", "previous"])
def test_files_of_the_release_before_are_found_at_each_moment(site: Served, link: str) -> None:
    """Until a switch is finished, `previous` leads to a release before both."""
    for kind in ("static/a.0a1b2c3d4e5f.css", f"{PACKAGES}/shop/static/a.0a1b2c3d4e5f.css"):
        site.file(kind, "old", "1")
    site.at.release("0").mkdir()
    for name in ("fallback", "previous"):
        site.point(site.at.root / name, "1" if name == link else "0")
    for url in ("/made/", "/static/"):
        answer = site.fetch(f"{url}a.0a1b2c3d4e5f.css")
        assert (answer.body, answer.headers.get("cache-control")) == (b"old", FOREVER)
    site.at.release("0").rmdir()
    assert site.fetch("/made/none.css").status == 404


REQUESTS = [
    # path, method, headers, status
    ("/static/a.css", "GET", {}, 200),
    ("/static/a.css?v=1", "GET", {}, 200),
    ("/static/a.css", "HEAD", {}, 200),
    ("/static/a.css", "POST", {}, 405),
    ("/static/none.css", "GET", {}, 404),
    ("/static", "GET", {}, 200),  # the app's
    ("/static/", "GET", {}, 404),
    ("/static/deep", "GET", {}, 404),
    ("/static/deep/", "GET", {}, 404),
    ("/static/deep/b.css", "GET", {}, 200),
    ("/static//deep///b.css", "GET", {}, 200),
    ("/static/deep%2Fb.css", "GET", {}, 200),
    ("/static/./deep/../a.css", "GET", {}, 200),
    ("/static/with%20space.css", "GET", {}, 200),
    ("/static/%E4%B8%AD%E6%96%87.css", "GET", {}, 200),
    ("/static/中文.css", "GET", {}, 200),
    ("/static/a.css%00", "GET", {}, 400),
    ("/static/a.css%0a", "GET", {}, 404),
    ("/static/.env", "GET", {}, 404),
    ("/static/%2eenv", "GET", {}, 404),
    ("/static/.git/config", "GET", {}, 404),
    ("/static/deep/.hidden/x.css", "GET", {}, 404),
    ("/static/link.css", "GET", {}, 404),
    ("/static/linked/secret.txt", "GET", {}, 404),
    ("/static/a.css", "GET", {"Range": "bytes=0-4"}, 206),
    ("/static/a.css", "GET", {"Range": "bytes=0-4,10-12"}, 206),
    ("/static/a.css", "GET", {"Range": "bytes=99999-"}, 416),
    ("/media/a.css", "GET", {"Range": "bytes=0-4"}, 206),
    ("/media/", "GET", {}, 404),
    ("/media/deep", "GET", {}, 404),
    ("/media/.env", "GET", {}, 404),
    ("/media/link.txt", "GET", {}, 404),
    ("/media/linked/secret.txt", "GET", {}, 404),
    ("/media/a.css", "POST", {}, 405),
]
# Once nginx has resolved them, not below a mapping any more: the app's, or no path at all.
OUTSIDE = [
    "/static/../secret.py",
    "/static/..%2fsecret.py",
    "/static/%2e%2e/secret.py",
    "/static/%2e%2e%2fsecret.py",
    "/static/deep/../../secret.py",
    "/media/../db.sqlite3",
    "/media/%2e%2e/db.sqlite3",
]
NOWHERE = ["/../../etc/passwd", "/static/../../../etc/passwd", "/media/..%2f..%2f..%2fetc/passwd"]


@BOTH
def test_the_table_of_requests(site: Served) -> None:
    """docs/static.md has it in words."""
    for name in ("a.css", "deep/b.css", "with space.css", "中文.css", ".env", ".git/config"):
        site.static(name)
    site.static("deep/.hidden/x.css")
    site.file(f"{PACKAGES}/shop/secret.txt", "secret")
    for where in (site.static("x"), site.media("x")):
        (where.parent / "link.css").symlink_to(site.at.release("2") / PACKAGES / "shop/secret.txt")
        (where.parent / "link.txt").symlink_to(site.at.release("2") / PACKAGES / "shop/secret.txt")
        (where.parent / "linked").symlink_to(site.at.release("2") / PACKAGES / "shop")
    for name in ("a.css", ".env", "deep/b.css"):
        site.media(name)
    found = [
        (path, method, headers, site.fetch(path, method, **headers).status)
        for path, method, headers, _status in REQUESTS
    ]
    refused = {"nginx": 400, "apache": 404}[site.server.name]
    wanted = [(*one[:3], refused) if one[0].endswith("%00") else one for one in REQUESTS]
    assert found == wanted
    for path in OUTSIDE:
        answer = site.fetch(path)
        assert (answer.status, b'"who": "2"' in answer.body) == (200, True), path
    for path in NOWHERE:
        answer = site.fetch(path)
        is_the_apps = site.server.name == "apache" and "%2f" in path
        assert (b'"who": "2"' in answer.body) if is_the_apps else answer.status == 400, path


def test_media_cannot_be_led_elsewhere_by_its_own_folder(site: Served) -> None:
    """The app may replace any folder in `shared/`."""
    site.media("a.txt", "secret", folder="hidden")
    (site.at.shared / "media").symlink_to("hidden")
    assert site.fetch("/media/a.txt").status == 404


def test_who_asks_again_is_told_that_nothing_changed(site: Served) -> None:
    site.static("a.css")
    head = site.fetch("/static/a.css").headers
    assert head["cache-control"] == "no-cache"
    assert head["accept-ranges"] == "bytes"
    again = site.fetch("/static/a.css", If_None_Match=head["etag"])
    assert (again.status, again.headers["cache-control"]) == (304, "no-cache")
    # Apache takes a later time for the same one, so it is not asked by times.
    by_time = site.fetch("/static/a.css", If_Modified_Since=head["last-modified"])
    assert by_time.status == {"nginx": 304, "apache": 200}[site.server.name]
    later = "Fri, 01 Jan 2100 00:00:00 GMT"
    assert site.fetch("/static/a.css", If_Modified_Since=later).status == 200, (
        "not exactly this one"
    )
    two = site.fetch("/static/a.css", Range="bytes=0-4,10-12")
    assert two.headers["content-type"].startswith("multipart/byteranges")
    assert site.fetch("/static/a.css", Range="bytes=0-4", If_Range='"other"').status == 200


def test_another_release_of_the_same_size_and_time_is_not_taken_for_the_same(site: Served) -> None:
    """A build may give all its files one time, and copies may keep it."""
    answers = []
    for release, text in (("1", "a { color: red }"), ("2", "a { color: tan }")):
        path = site.static("a.css", text, release)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        fd = os.open(path, os.O_RDONLY)
        content_times.give(fd)
        os.close(fd)
        site.point(site.at.current, release)
        answers.append(site.fetch("/static/a.css"))
    first, second = answers
    assert first.headers["content-length"] == second.headers["content-length"]
    asking = {
        "If_None_Match": first.headers["etag"],
        "If_Modified_Since": first.headers["last-modified"],
    }
    for name, value in asking.items():
        assert site.fetch("/static/a.css", **{name: value}).body == second.body, name


def test_the_same_content_has_the_same_validators_everywhere(site: Served) -> None:
    """So a deploy makes nobody load again what it did not change, on whichever host."""
    found = set()
    for release in ("1", "2"):
        path = site.static("a.css", LONG, release)
        os.utime(path, (int(release), int(release)))
        fd = os.open(path, os.O_RDONLY)
        content_times.give(fd)
        os.close(fd)
        site.point(site.at.current, release)
        found.add(site.fetch("/static/a.css").headers["etag"])
    assert len(found) == 1


def test_each_kind_of_file_is_cached_as_documented(site: Served) -> None:
    site.static("app.4f1c2d3e.js")
    site.static("app.js")
    site.file("static/index-BkV3zX1_.js")
    site.file(f"{PACKAGES}/shop/built/any.js")
    site.media("app.4f1c2d3e.js")
    found = {
        path: site.fetch(path).headers.get("cache-control")
        for path in (
            "/static/app.4f1c2d3e.js",
            "/static/app.js",
            "/made/index-BkV3zX1_.js",
            "/built/any.js",
            "/media/app.4f1c2d3e.js",
            "/built/none.js",
            "/page",
        )
    }
    assert found == {
        "/static/app.4f1c2d3e.js": FOREVER,
        "/static/app.js": "no-cache",
        "/made/index-BkV3zX1_.js": FOREVER,
        "/built/any.js": FOREVER,
        "/media/app.4f1c2d3e.js": "no-cache",
        "/built/none.js": None,
        "/page": None,
    }


def test_what_was_uploaded_does_not_run_in_the_sites_name(site: Served) -> None:
    names = ("a.html", "a.svg", "a.xml", "a.js", "a.css", "a.txt", "a.unknown", "a")
    shown = ("a.png", "a.pdf")
    for name in (*names, *shown):
        site.media(name)
        site.static(name)
    for name in (*names, *shown):
        head = site.fetch(f"/media/{name}").headers
        assert head["x-content-type-options"] == "nosniff"
        wanted = None if name in shown else "sandbox"
        assert head.get("content-security-policy") == wanted, name
        own = site.fetch(f"/static/{name}").headers
        assert "content-security-policy" not in own
    page = site.fetch("/page").headers
    assert not {"content-security-policy", "x-content-type-options"} & set(page)


def test_ready_made_gz_files(site: Served) -> None:
    site.static("a.css")
    site.static("a.css.gz", gzip.compress(b"ready"))
    plain, packed = (
        site.fetch("/static/a.css", **one) for one in ({}, {"Accept_Encoding": "gzip"})
    )
    assert plain.body == LONG.encode()
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed.body) == b"ready"
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-type"] == "text/css"
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert plain.headers["etag"] != packed.headers["etag"]
    for one, more in ((plain, {}), (packed, {"Accept_Encoding": "gzip"})):
        assert site.fetch("/static/a.css", If_None_Match=one.headers["etag"], **more).status == 304
    # Whoever uploads one file must not answer for another.
    site.media("a.png", "picture")
    site.media("a.png.gz", gzip.compress(b"another"))
    assert site.fetch("/media/a.png", Accept_Encoding="gzip").body == b"picture"


def test_brotli_where_the_host_has_it() -> None:
    own = settings(Path("/srv"), web=WEB)
    texts = [
        render_release(own, replace(FACTS, brotli=has), "1", Path("/"))[SITE].content
        for has in (False, True)
    ]
    assert "brotli" not in texts[0]
    # For each mapping in the three releases; uploads never.
    assert texts[1].count("brotli_static on;") == texts[1].count("gzip_static on;") == 3 * 4
    assert texts[1].count("brotli_static off;") == texts[1].count("gzip_static off;") == 2


GZIP = {"Accept_Encoding": "gzip"}


@pytest.mark.parametrize(
    ("path", "headers", "is_packed"),
    [
        ("/json", GZIP, True),
        ("/page", GZIP, True),
        ("/page", {**GZIP, "Via": "1.1 cdn"}, True),
        ("/page", {}, False),
        ("/short", GZIP, False),
        ("/plain", GZIP, False),  # may be a stream of lines
        ("/picture", GZIP, False),
        ("/json", {**GZIP, "Accept": "text/event-stream"}, False),
        ("/static/a.css", GZIP, True),
        # An attacker's page, which lets the visitor's browser ask and counts the bytes.
        ("/page", {**GZIP, "Cookie": "session=x", "Sec_Fetch_Site": "cross-site"}, False),
        ("/page", {**GZIP, "Cookie": "session=x", "Sec_Fetch_Site": "same-site"}, False),
        ("/page", {**GZIP, "Cookie": "session=x", "Sec_Fetch_Site": "same-origin"}, True),
        ("/page", {**GZIP, "Cookie": "session=x"}, True),
        ("/page", {**GZIP, "Sec_Fetch_Site": "cross-site"}, True),
    ],
)
def test_what_is_compressed(
    module_site: Served, path: str, headers: dict[str, str], *, is_packed: bool
) -> None:
    answer = module_site.fetch(path, **headers)
    assert answer.status == 200
    assert ("content-encoding" in answer.headers) is is_packed
    if is_packed:
        assert answer.headers["vary"] == "Accept-Encoding"
        marks = {"nginx": 'W/"', "apache": '-gzip"'}
        assert marks[module_site.server.name] in answer.headers["etag"]
        assert len(gzip.decompress(_unchunked(answer))) > 1000


def test_a_compressed_answer_is_asked_for_again(module_site: Served) -> None:
    """By its own ETag: of a file, and of the application, which did not make that one."""
    first = module_site.fetch("/static/a.css", **GZIP)
    again = module_site.fetch("/static/a.css", **GZIP, If_None_Match=first.headers["etag"])
    assert again.status == 304
    first = module_site.fetch("/page", **GZIP)
    seen = module_site.fetch("/asked", If_None_Match=first.headers["etag"], If_Match='"a", "b"')
    told = json.loads(_unchunked(seen))["environ"]
    assert told["HTTP_IF_NONE_MATCH"] in ('"x"', 'W/"x"')
    assert told["HTTP_IF_MATCH"] == '"a", "b"'


def _unchunked(answer: Answer) -> bytes:
    if "transfer-encoding" not in answer.headers:
        return answer.body
    found, rest = b"", answer.body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        found, rest = found + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return found


@pytest.fixture(scope="module")
def module_site(kind: str) -> Iterator[Served]:
    folder = tempfile.TemporaryDirectory(prefix="cw-")
    with folder as name, closing(Served(Path(name), kind)) as site:
        site.static("a.css")
        site.start()
        yield site


def test_below_the_prefix_of_the_application(kind: str) -> None:
    """A closed site passes the health check there too, and hides the files."""
    web = {**WEB, "prefix": "/shop"}
    with (
        tempfile.TemporaryDirectory(prefix="cw-") as name,
        closing(Served(Path(name), kind, web)) as one,
    ):
        one.start()
        one.static("app.css")
        one.media("a.png")
        for path in ("/static/app.css", "/media/a.png"):
            assert one.fetch("/shop" + path).body == LONG.encode(), path
            assert one.fetch(path).status == 404, path
        one.at.maintenance.mkdir()
        one.at.maintenance_mark.write_text("{}")
        assert one.fetch("/shop/static/app.css").status == 503
        assert one.fetch("/shop/healthz").status == 200
        assert one.fetch("/healthz").status == 503


def test_compression_can_be_turned_off(kind: str) -> None:
    """Also where the host's own nginx.conf turns it on, as Debian's does."""
    name = tempfile.TemporaryDirectory(prefix="cw-")
    with name as folder, closing(Served(Path(folder), kind, {"gzip": False})) as site:
        site.start()
        assert "content-encoding" not in site.fetch("/page", **GZIP).headers
    text = render_release(settings(Path("/srv"), web={"gzip": False}), FACTS, "1", Path("/"))
    assert "    gzip off;\n" in text[SITE].content
    assert "gzip on" not in text[SITE].content


HASHED = [
    "base.0a1b2c3d4e5f.css",  # Django
    "app.4f1c2d3e.js",  # webpack, Parcel
    "main.4f1c2d3e.chunk.js",
    "app.4f1c2d3e.js.map",
    "vendors-0123456789abcdef0123.js",
    "4f1c2d3e5a6b7c8d9e0f.woff2",
    "logo-" + "0123456789abcdef" * 2 + ".svg",  # Sprockets
    "logo-" + "0123456789abcdef" * 4 + ".svg",
    "index-BkV3zX1_.js",  # Vite, Rollup
    "index-D4kX9pQz.css",
    "index.D4kX9pQz.css",
]
PLAIN = [
    "app.js",
    "app.min.js",
    "jquery-3.7.1.min.js",
    "jquery-3.7.1.slim.min.js",
    "bootstrap.5.3.2.css",
    "report.20261130.csv",
    "report-202611301200.csv",
    "photo-12345678.jpg",
    "icon-settings.svg",
    "bootstrap-carousel.js",
    "font-semibold.woff2",
    "name.deadbeef.css",
    "icon-facade12.svg",
    "logo-BlueDark.svg",
    "icon-Mp3Audio.svg",
    "icon-Version2.svg",
    "invoice-INV00042.pdf",
    "IMG-20261130.jpg",
    "README-v2.txt",
    "app.4f1c2d3e",  # nothing after it
    "app.4f1c2d3e.20261130",
    "app.4f1c2d3.js",  # seven
    "app.4f1c2d3e5.js",  # nine
    "app.4F1C2D3E.js",
    "a1b2c3d4/app.js",
    "app-4f1c2d3e/index.html",
]


@pytest.mark.parametrize("name", HASHED)
def test_a_hash_in_a_name(name: str) -> None:
    assert re.search(HASHED_NAME, f"/static/{name}")


@pytest.mark.parametrize("name", PLAIN)
def test_no_hash_in_a_name(name: str) -> None:
    """A false one would be kept for a year."""
    assert not re.search(HASHED_NAME, f"/static/{name}")


def test_nginx_reads_names_as_python_does(site: Served) -> None:
    for name in (*HASHED, *PLAIN):
        site.static(name)
    found = {
        name: site.fetch(f"/static/{name}").headers["cache-control"] for name in (*HASHED, *PLAIN)
    }
    assert {name for name, how in found.items() if how == FOREVER} == set(HASHED)
