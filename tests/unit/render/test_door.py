"""What the rendered site does at its door, in a real nginx: rules and limits by path."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.settings.names import users_file
from cartwheel.settings.toml_tables import Gunicorn, Settings
from tests.unit.render.sites import BOTH, PROBE, Site

# `openssl passwd -6 -salt pepper secret`
ANN = (
    "ann:$6$pepper$"
    "2Z6D7B1GHphRwAkDE2YJPR/Tz3pYzJVGFj5UOun/UCaxbGzjpckaQI2gu8BE7DfAQVvJ1RMHN0aDV0DT6ow8L.\n"
)
BASIC = "Basic YW5uOnNlY3JldA=="  # ann:secret
PROXY = "127.0.0.0/8"


# `?status=429`, `?nap=3` and `?head=9000` say how it answers; else as that of Site.
APP = """
import time
from urllib.parse import parse_qsl
import inner
def app(environ, start_response):
    asked = dict(parse_qsl(environ["QUERY_STRING"]))
    time.sleep(float(asked.get("nap", 0)))
    status = asked.get("status")
    def start(own, headers):
        long = [("X-Long", "a" * int(asked.get("head", 0)))]
        start_response(f"{status} Own" if status else own, headers + long)
    return inner.app(environ, start)
"""


class Door(Site):
    """A site with settings of [web] of its own."""

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(folder, kind)
        (self.at.shared / "app.py").rename(self.at.shared / "inner.py")
        (self.at.shared / "app.py").write_text(APP)

    def web(self, **more: Any) -> None:
        web = {**self.settings.web.model_dump(exclude_unset=True), **more}
        self.settings = Settings.model_validate(
            {**self.settings.model_dump(exclude_unset=True), "web": web}
        )

    def users(self, path: str, lines: str = ANN) -> None:
        folder = self.at.users
        folder.mkdir(exist_ok=True)
        (folder / users_file(path)).write_text(lines)

    def serve(self) -> None:
        self.instance("1")
        for link in (self.at.current, self.at.fallback):
            self.point(link, "1")
        static = self.at.release("1") / "venv/lib/python3.11/site-packages/shop/static"
        (static / "private").mkdir(parents=True)
        (static / "a.css").write_text("a")
        (static / "private/b.css").write_text("b")
        self.start()

    def status(self, path: str, *lines: str, method: str = "GET", body: bytes = b"") -> int:
        """The status of a request whose path is sent as it is."""
        return int(self.raw(f"{method} {path} HTTP/1.1", *lines, body=body).split(b" ", 2)[1])

    def raw(
        self,
        request: str,
        *lines: str,
        body: bytes = b"",
        host: str = "shop.example",
        after: bytes = b"",
    ) -> bytes:
        named = [f"Host: {host}"] if host else []
        head = [request, *named, "Connection: close", *lines]
        if body:
            head.append(f"Content-Length: {len(body)}")
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            client.sendall("".join(f"{line}\r\n" for line in [*head, ""]).encode() + body + after)
            parts = iter(lambda: client.recv(65536), b"")
            try:
                return b"".join(parts)
            except ConnectionResetError:
                return b""

    def app(self, path: str, *lines: str) -> dict[str, str]:
        """The environment that the application sees in a request of this path."""
        answer = self.raw(f"GET {path} HTTP/1.1", *lines)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        environ: dict[str, str] = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])[
            "environ"
        ]
        return environ


@pytest.fixture
def door(kind: str) -> Iterator[Door]:
    with tempfile.TemporaryDirectory(prefix="cw-") as name, closing(Door(Path(name), kind)) as site:
        yield site


EVENTS = "Accept: text/event-stream"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
SIGNED = f"Authorization: {BASIC}"
# What a client may write for a path below /admin/, and the answer.
SPELLINGS = {
    "/admin": 403,
    "/admin/": 403,
    "/admin?x=/": 403,
    "/admin/x": 403,
    "//admin/": 403,
    "///admin//x": 403,
    "/%61dmin/": 403,
    "/%61%64min": 403,
    "/admin%2Fx": 403,
    "/admin%0a": 403,
    "/admin#x": 403,
    "/ADMIN/": 403,
    "http://shop.example/admin/": 403,
    "http://shop.example//admin/x": 403,
    "/admin%2fx/../y": 400,
    "/./admin/": 400,
    "/x/../admin/": 400,
    "/x/%2e%2e/admin/": 400,
    "/admin/../x": 400,
    "/admin/..%2Fx": 400,
    "/admin/%2E./x": 400,
    "/admin/.": 400,
    "/admin/..": 400,
    "http://shop.example/admin/../x": 400,
    "/.cartwheel/../admin/": 400,
    "/.cartwheel/": 404,
    "/.cartwheel/x": 404,
    "/.cartwheel/maintenance.html": 404,
}
# Apache refuses what no client may send (RFC 9112, 3.2).
SPELLED = {"nginx": SPELLINGS, "apache": {**SPELLINGS, "/admin#x": 400}}
OTHERS = (
    "/",
    "/administrator",
    "/x/admin",
    "/x?/admin/../",
    "/admin.html",
    "/%2561dmin/",
    "/a.b/..c",
)
ONLY_NGINX = pytest.mark.parametrize("kind", ["nginx"], indirect=True)  # rate limits
HOWS = pytest.mark.parametrize(
    "how", [(), (EVENTS,), UPGRADE], ids=["plain", "events", "websocket"]
)


@HOWS
def test_a_rule_holds_for_every_spelling_of_its_path(door: Door, how: tuple[str, ...]) -> None:
    door.web(paths={"/admin/": {"allow": ("192.0.2.0/24",)}})
    door.serve()
    assert {path: door.status(path, *how) for path in SPELLINGS} == SPELLED[door.server.name]
    assert {path: door.status(path, *how) for path in OTHERS} == dict.fromkeys(OTHERS, 200)


def test_without_rules_paths_are_passed_on_as_they_are(door: Door) -> None:
    door.serve()
    assert door.app("/a/../b//c%2Fd/.")["RAW_URI"] == "/a/../b//c%2Fd/."


@BOTH
def test_a_rule_holds_for_static_files_too(door: Door) -> None:
    door.web(paths={"/static/private/": {"allow": ("192.0.2.1",)}})
    door.serve()
    assert door.status("/static/a.css") == 200
    for path in ("/static/private/b.css", "/static/%70rivate/b.css", "/static//private/b.css"):
        assert door.status(path) == 403, path
    assert door.status("/static/x/../private/b.css") == 400


def test_the_narrowest_network_decides(door: Door) -> None:
    door.web(
        trusted_proxies=(PROXY,),
        paths={
            "/": {"deny": ("192.0.2.0/24", "2001:db8::/32")},
            "/in/": {"allow": ("192.0.2.0/24", "2001:db8::/32"), "deny": ("192.0.2.7",)},
            "/in/open": {"public": True},
        },
    )
    door.serve()

    def seen(path: str) -> list[int]:
        clients = ("192.0.2.1", "192.0.2.7", "198.51.100.1", "2001:db8::1", "2001:db9::1")
        return [door.status(path, f"X-Forwarded-For: {client}") for client in clients]

    assert seen("/") == [403, 403, 200, 403, 200]
    assert seen("/in/x") == [200, 403, 403, 200, 403]
    assert seen("/in/open/x") == [200] * 5
    assert door.status("/in/", "X-Forwarded-For: 192.0.2.1, 198.51.100.1") == 403


def test_a_forged_address_is_not_believed(door: Door) -> None:
    door.web(paths={"/admin": {"allow": ("192.0.2.1",)}})
    door.serve()
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
        assert door.status("/admin", f"{name}: 192.0.2.1") == 403


@HOWS
def test_users_need_their_password(door: Door, how: tuple[str, ...]) -> None:
    door.web(paths={"/admin/": {"users": {"file": "x"}}, "/admin/hook": {"public": True}})
    door.users("/admin/")
    door.serve()
    refused = door.raw("GET /admin/ HTTP/1.1", *how)
    assert b" 401 " in refused.splitlines()[0]
    assert b'WWW-Authenticate: Basic realm="shop.live"' in refused
    assert door.status("/admin/", "Authorization: Basic YW5uOndyb25n", *how) == 401
    environ = door.app("/admin/", SIGNED, "X-Forwarded-User: root", *how)
    assert environ["HTTP_X_FORWARDED_USER"] == "ann"
    assert "HTTP_AUTHORIZATION" not in environ, "the password is not the application's"
    free = door.app("/", SIGNED, "X-Forwarded-User: root", *how)
    assert free["HTTP_AUTHORIZATION"] == BASIC
    assert "HTTP_X_FORWARDED_USER" not in free
    assert door.status("/admin/hook/x", *how) == 200


def test_users_whose_file_is_missing_are_refused(door: Door) -> None:
    door.web(paths={"/": {"users": {"file": "x"}}})
    door.serve()
    assert door.status("/", SIGNED) == {"nginx": 403, "apache": 500}[door.server.name]


def test_a_changed_password_counts_at_once(door: Door) -> None:
    door.web(paths={"/": {"users": {"file": "x"}}})
    door.users("/")
    door.serve()
    assert door.status("/", SIGNED) == 200
    door.users("/", ANN.replace("ann:", "bob:"))
    assert door.status("/", SIGNED) == 401


def test_own_probes_and_the_health_check_pass(door: Door) -> None:
    """Probes by their token; the health check's very path for everybody, as balancers ask."""
    door.web(
        rate_limit="1/m",
        paths={"/": {"users": {"file": "x"}, "allow": ("192.0.2.1",)}},
    )
    door.serve()
    for _each in range(3):
        assert door.ask("1") == ""
        assert door.status("/", f"X-Cartwheel-Probe: {door.token}") == 200
        assert door.status("/healthz") == 200
    for path in ("/healthz/", "/healthz%0a", "/healthz/x", "/HEALTHZ"):
        assert door.status(path) == 403, path
    assert door.status("/", f"X-Cartwheel-Probe: {'0' * 32}") == 403
    assert door.status("/", "X-Cartwheel-Probe: 1") == 403


def test_a_rule_for_the_path_of_the_health_check_holds(door: Door) -> None:
    door.web(paths={"/healthz": {"allow": ("192.0.2.1",)}})
    door.serve()
    assert door.status("/healthz") == 403
    assert door.ask("1") == ""


def test_a_path_has_its_own_limits(door: Door) -> None:
    door.web(
        client_max_body_size="1k",
        paths={
            "/up/": {"client_max_body_size": "8k"},
            "/up/slow": {"timeout_seconds": 1},
            "/up/any": {"client_max_body_size": "0"},
        },
    )
    door.serve()
    body = b"x" * 4096
    for how in ((), (EVENTS,)):
        assert door.status("/", *how, method="POST", body=body) == 413
        for path in ("/up", "/up/", "/up/x", "/up/slow", "/up/slow/x"):
            assert door.status(path, *how, method="POST", body=body) == 200, path
        assert door.status("/upper", *how, method="POST", body=body) == 413
        chunked = (*how, "Transfer-Encoding: chunked", "Content-Type: a/b")
        measured = {
            "nginx": {"/": b" 413 ", "/up/x": b" 200 ", "/up/any": b" 200 "},
            "apache": {"/": b" 411 ", "/up/x": b" 411 ", "/up/any": b" 200 "},
        }
        for path, status in measured[door.server.name].items():
            answer = door.raw(
                f"POST {path} HTTP/1.1", *chunked, after=b"1000\r\n" + body + b"\r\n0\r\n\r\n"
            )
            assert status in answer.splitlines()[0], (path, how)
    assert door.status("/up/nap?nap=3") == 200
    assert door.status("/up/slow/nap?nap=3") == {"nginx": 504, "apache": 502}[door.server.name]


@ONLY_NGINX
def test_a_client_that_asks_too_often_is_refused(door: Door) -> None:
    door.web(rate_limit="5/m", paths={"/login": {"rate_limit": "2/m"}}, trusted_proxies=(PROXY,))
    door.serve()

    def seen(path: str, client: str, *lines: str) -> int:
        return door.status(path, f"X-Forwarded-For: {client}", *lines)

    assert [seen("/login", "192.0.2.1") for _each in range(5)] == [200] * 3 + [429] * 2
    assert [seen("/x", "192.0.2.1") for _each in range(8)] == [200] * 6 + [429] * 2
    assert seen("/static/a.css", "192.0.2.1") == 429
    assert seen("/x", "192.0.2.1", EVENTS) == 429
    assert seen("/x", "192.0.2.2") == 200
    same = [f"2001:db8:1:2:{one}::1" for one in range(8)] + [f"2001:db8:1:2::{one}" for one in "12"]
    assert 429 in [seen("/x", one) for one in same], "an IPv6 client has a whole /64"
    assert seen("/x", "2001:db8:1:3::1") == 200
    answer = door.raw("GET /x HTTP/1.1", "X-Forwarded-For: 192.0.2.1")
    assert b"Retry-After: 30" in answer
    assert (door.folder / "error.log").exists()
    assert "[error]" not in (door.folder / "shop.live.error.log").read_text()


@ONLY_NGINX
def test_the_applications_own_429_stays_its_own(door: Door) -> None:
    door.web(rate_limit="50/s")
    door.serve()
    answer = door.raw("GET /?status=429 HTTP/1.1")
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"Retry-After" not in answer


def test_redirected_names_lead_to_the_first_name(door: Door) -> None:
    door.web(server_names=("shop.example", "b.example"), redirect_names=("www.shop.example",))
    door.serve()
    for method, status in {"GET": 301, "HEAD": 301, "POST": 308, "DELETE": 308}.items():
        answer = door.raw(f"{method} /a%2Fb/../c?x=1 HTTP/1.1", host="www.shop.example")
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"Location: http://shop.example/a%2Fb/../c?x=1\r\n" in answer
    answer = door.raw("GET / HTTP/1.1", host="WWW.shop.example:8080")
    assert b"Location: http://shop.example:8080/\r\n" in answer
    assert door.raw("GET / HTTP/1.1", host="b.example").startswith(b"HTTP/1.1 200 ")


def test_the_applications_own_pages(door: Door) -> None:
    """For what the web server answers itself; the application's own answers stay."""
    pages = {400: "bad", 401: "who", 403: "no", 404: "lost", 413: "much", 429: "often"}
    pages |= {502: "down", 503: "down"}
    rates = {"/login": {"rate_limit": "1/m"}} if door.server.name == "nginx" else {}
    door.web(
        error_pages="shop/errors/",
        client_max_body_size="1k",
        paths={
            "/admin/": {"allow": ("192.0.2.1",)},
            "/in/": {"users": {"file": "x"}},
            **rates,
        },
    )
    door.users("/in/")
    door.serve()
    folder = door.at.release("1") / "venv/lib/python3.11/site-packages/shop/errors"
    folder.mkdir()
    for status, text in pages.items():
        (folder / f"{status}.html").write_text("{{ " + text)

    def seen(path: str, *lines: str, **more: Any) -> tuple[int, str]:
        head, _, body = door.raw(f"GET {path} HTTP/1.1", *lines, **more).partition(b"\r\n\r\n")
        assert b"Content-Type: text/html" in head
        return int(head.split()[1]), body.decode()

    assert seen("/admin/") == (403, "{{ no")
    assert seen("/admin/", EVENTS) == (403, "{{ no")
    assert seen("/in/x") == (401, "{{ who")
    assert b"WWW-Authenticate: Basic " in door.raw("GET /in/x HTTP/1.1")
    assert seen("/static/none.css") == (404, "{{ lost")
    assert seen("/x/../y") == (400, "{{ bad")
    assert seen("/", body=b"x" * 2048) == (413, "{{ much")
    if rates:
        assert [door.status("/login") for _each in range(2)] == [200, 200]
        assert seen("/login") == (429, "{{ often")
    answer = door.raw("GET /?status=404 HTTP/1.1")
    assert b"{{ lost" not in answer and b'"who"' in answer
    assert door.status("/.cartwheel/errors/404") == 404
    (door.at.release("1") / "http.sock").unlink()
    down = {"nginx": 502, "apache": 503}[door.server.name]
    assert seen("/") == (down, "{{ down")
    (folder / f"{down}.html").unlink()
    status, text = seen("/")
    assert (status, "not answering" in text) == (down, True)
    (folder / "403.html").unlink()
    assert seen("/admin/")[0] == 403


EXTRA = {
    "nginx": """
add_header X-Frame-Options DENY;
location = /b { return 301 http://a.example$request_uri; }
if ($http_user_agent = "bad bot") {
    return 403;
}
""",
    "apache": """
Header set X-Frame-Options DENY
RewriteRule "^/b$" http://a.example/b [R=301,L]
RewriteCond %{HTTP_USER_AGENT} "=bad bot"
RewriteRule ^ - [F]
""",
}


def test_lines_of_the_users_own_count(door: Door) -> None:
    door.web(extra=EXTRA[door.server.name])
    door.serve()
    assert b"X-Frame-Options: DENY\r\n" in door.raw("GET / HTTP/1.1")
    assert b"Location: http://a.example/b?c\r\n" in door.raw("GET /b?c HTTP/1.1")
    assert door.status("/", "User-Agent: bad bot") == 403
    assert door.ask("1") == ""


# What an ASGI application is told of its path.
ASGI = """
import json
async def app(scope, receive, send):
    told = {key: scope[key] for key in ("path", "root_path")}
    body = json.dumps({"who": "", "environ": told}).encode()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""


def test_an_application_below_a_path(door: Door) -> None:
    door.web(
        prefix="/shop/a.b",
        paths={
            "/admin/": {"allow": ("192.0.2.1",)},
            "/up": {"client_max_body_size": "1k"},
            "/healthz/x": {"deny": ("127.0.0.1",)},
        },
    )
    door.serve()
    seen = door.app("/shop/a.b/x%2Fy?z")
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/shop/a.b", "/x/y")
    assert seen["HTTP_X_FORWARDED_PREFIX"] == "/shop/a.b"
    assert door.app("/shop/a.b/", EVENTS)["PATH_INFO"] == "/"
    answer = door.raw("GET /shop/a.b?x=1 HTTP/1.1")
    assert answer.startswith(b"HTTP/1.1 301 ")
    where = {"nginx": "/shop/a.b/?x=1", "apache": "http://shop.example/shop/a.b/?x=1"}
    assert f"Location: {where[door.server.name]}\r\n".encode() in answer
    for path in ("/", "/shop", "/shop/a.bc", "/static/a.css", "/admin/", "/shop/a%2Eb/../x/y"):
        assert door.status(path) in (400, 404), path
    assert door.status("/shop/a.b/static/a.css") == 200
    for path in ("/shop/a.b/admin", "//shop/a.b//%61dmin/x"):
        assert door.status(path) == 403, path
    assert door.status("/shop/a.b/up", method="POST", body=b"x" * 2048) == 413
    assert door.status("/shop/a.b/healthz") == 200
    probe = replace(PROBE, path="/shop/a.b/healthz")
    assert door.ask("1", probe) == ""


def test_an_asgi_application_below_a_path(door: Door) -> None:
    door.web(prefix="/shop")
    door.settings = door.settings.model_copy(update={"gunicorn": Gunicorn(kind="asgi")})
    (door.at.shared / "app.py").write_text(ASGI)
    door.serve()
    told = door.app("/shop/x")
    assert told == {"path": "/shop/x", "root_path": "/shop"}, "as ASGI has it"
