"""The rendered site in real web servers of both kinds, in front of real gunicorns."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cartwheel.host.web import front_door, traffic
from cartwheel.host.web.kinds import named
from cartwheel.host.web.traffic import Share
from tests.kit.ports import free_port
from tests.kit.waiting import until
from tests.unit.render.sites import BOTH, SecureSite, Site


@pytest.fixture
def site(kind: str) -> Iterator[Site]:
    # Short, because sockets are below it (107 bytes at most).
    with tempfile.TemporaryDirectory(prefix="cw-") as name, closing(Site(Path(name), kind)) as site:
        yield site


@pytest.fixture
def serving(site: Site) -> Site:
    """Release 1 serves, alone."""
    site.instance("1")
    for link in (site.at.current, site.at.fallback):
        site.point(link, "1")
    site.start()
    return site


@BOTH
def test_the_application_gets_only_what_the_web_server_says(serving: Site) -> None:
    response, body = serving.get(
        "/a/../b?x=1",
        Host="shop.example:8080",
        X_Forwarded_For="6.6.6.6",
        X_Forwarded_Proto="https",
        X_Forwarded_Host="evil.example",
        X_Forwarded_Ssl="on",
        X_Forwarded_Protocol="ssl",
        X_Real_IP="6.6.6.6",
        X_Request_ID="forged",
        X_Cartwheel_Probe="0" * 32,
        Forwarded="for=6.6.6.6",
        Proxy="http://evil.example",
    )
    environ = json.loads(body)["environ"]
    assert response.status == 200
    assert response.getheader("X-Cartwheel-Probe") is None
    assert (environ["HTTP_HOST"], environ["HTTP_X_FORWARDED_HOST"]) == ("shop.example:8080",) * 2
    assert environ["HTTP_X_FORWARDED_FOR"] == environ["HTTP_X_REAL_IP"] == "127.0.0.1"
    assert (environ["wsgi.url_scheme"], environ["HTTP_X_FORWARDED_PROTO"]) == ("http", "http")
    assert len(environ["HTTP_X_REQUEST_ID"]) == 32
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["RAW_URI"] == "/a/../b?x=1"
    assert not {name for name in environ if "SSL" in name or "PROTOCOL" in name} - {
        "SERVER_PROTOCOL"
    }
    assert not {"HTTP_FORWARDED", "HTTP_PROXY", "HTTP_X_CARTWHEEL_PROBE"} & set(environ)


@BOTH
def test_one_rename_moves_the_traffic_and_a_probe_proves_it(serving: Site) -> None:
    assert serving.ask("1") == ""
    serving.instance("2")
    serving.point(serving.at.current, "2")
    assert json.loads(serving.get()[1])["who"] == "2"
    assert serving.ask("2") == ""
    assert serving.ask("1").endswith("2 answered instead of 1")
    response, body = serving.get(
        Host="x", X_Cartwheel_Probe=serving.token, X_Forwarded_Proto="https"
    )
    told = {
        "nginx": f"release={serving.at.releases}/2; status=200; "
        f"upstream=unix:{serving.at.current}/http.sock",
        "apache": "upstream=http://shop.live.current; status=200",
    }
    assert response.getheader("X-Cartwheel-Probe") == told[serving.server.name]
    assert json.loads(body)["environ"]["wsgi.url_scheme"] == "https"


@BOTH
def test_the_fallback_answers_for_a_dead_release_and_the_probe_sees_through_it(
    serving: Site,
) -> None:
    dead = serving.instance("2")
    serving.point(serving.at.current, "2")
    dead.kill()
    dead.wait()
    until(lambda: '"who": "1"' in serving.get()[1], shown="the fallback")
    response, body = serving.get()
    assert (response.status, json.loads(body)["who"]) == (200, "1")
    seen_through = {
        "nginx": "/current/http.sock said 502 instead of 200",
        "apache": "http://shop.live.fallback answered instead of http://shop.live.current",
    }
    assert seen_through[serving.server.name] in serving.ask("2")
    log = serving.folder / "shop.live.access.log"
    told = {
        "nginx": f'upstream="unix:{serving.at.current}/http.sock, '
        f'unix:{serving.at.fallback}/http.sock" upstream_status="502, 200"',
        "apache": ' 200 .* upstream="http://shop.live.fallback"',
    }
    pattern = re.compile(told[serving.server.name])
    until(lambda: pattern.search(log.read_text().splitlines()[-1]), shown=log.read_text)


def test_the_log_tells_what_real_requests_met_first(serving: Site) -> None:
    """The very lines that a release is judged by after a switch."""
    log = traffic.Log(serving.folder / "shop.live.access.log")
    serving.get(headers="x", User_Agent='x" upstream="y')
    switched = time.time()
    serving.ask("1")  # our own probe does not count
    serving.get(User_Agent="cartwheel-probe")  # anybody can say so
    failing = serving.instance("2", status="503 Service Unavailable")
    serving.point(serving.at.current, "2")
    serving.get("/?secret=1", "POST")
    failing.kill()
    failing.wait()
    serving.get()
    lines: list[bytes] = []

    def all_there() -> bool:
        lines.extend(log.lines())
        return len(lines) == 5

    until(all_there, shown="the log")
    assert serving.count(lines, 0) == Share(4, 2)
    assert serving.count(lines, switched) == Share(3, 2)
    log.close()


def test_a_bad_answer_is_not_hidden_by_the_fallback(serving: Site) -> None:
    serving.instance("2", status="500 Internal Server Error")
    serving.point(serving.at.current, "2")
    assert serving.get()[0].status == 500
    assert "500 instead of 200" in serving.ask("2")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_maintenance_page_keeps_the_status(serving: Site, method: str) -> None:
    (serving.at.release("1") / "http.sock").unlink()
    response, body = serving.get("/any", method)
    assert response.status == {"nginx": 502, "apache": 503}[serving.server.name]
    assert response.getheader("Content-Type") == "text/html"
    assert "shop" in body
    assert "is not answering just now" in body
    (serving.at.release("1") / "maintenance.html").unlink()
    assert serving.get()[0].status in (502, 503)
    assert serving.get("/.cartwheel/maintenance.html")[0].status == 404


def test_static_files_come_from_the_current_then_the_previous_release(serving: Site) -> None:
    for release, names in {"1": ("old.css", "both.css"), "2": ("new.css", "both.css")}.items():
        folder = serving.at.release(release) / "venv/lib/python3.11/site-packages/shop/static"
        (folder / "deep").mkdir(parents=True)
        for name in (*names, f"deep/{release} x.css"):
            (folder / name).write_text(release)
        (folder.parent / "secret.py").write_text("secret")
    serving.point(serving.at.current, "2")
    serving.point(serving.at.previous, "1")
    found = {
        name: serving.get(f"/static/{name}")[1]
        for name in ("old.css", "both.css", "new.css", "deep/2%20x.css", "deep/1%20x.css")
    }
    assert found == {
        "old.css": "1",
        "both.css": "2",
        "new.css": "2",
        "deep/2%20x.css": "2",
        "deep/1%20x.css": "1",
    }
    assert serving.get("/static/both.css")[0].getheader("Content-Type") == "text/css"
    for path in ("none.css", "deep", "deep/"):
        assert serving.get(f"/static/{path}")[0].status == 404
    for path in ("../secret.py", "..%2fsecret.py", "%2e%2e/secret.py", "deep/../../secret.py"):
        assert json.loads(serving.get(f"/static/{path}")[1])["who"] == "1"  # the app's to answer


def test_the_token_is_root_only_and_stays(serving: Site) -> None:
    path = serving.at.root / "probe.map"
    assert path.stat().st_mode & 0o777 == 0o600
    assert front_door.ensure_token(serving.at) == serving.token
    path.write_text("damaged")
    assert front_door.ensure_token(serving.at) != serving.token


@pytest.mark.parametrize(
    "header", ["", "forged", "release=x; status=x; upstream=y", "upstream=y; status=x"]
)
def test_an_answer_of_another_site_proves_nothing(kind: str, header: str) -> None:
    assert named(kind).answer(header) is None


@pytest.mark.parametrize(
    ("proxies", "balancer", "request_id", "has_port"),
    [
        ((), "none", "a-proxy.s_own", False),
        (("127.0.0.1",), "none", "a-proxy.s_own", False),
        (("127.0.0.1",), "nginx", "a-proxy.s_own", True),
        (("127.0.0.1",), "nginx", "short", True),
        (("127.0.0.1",), "nginx", 'quoted" id=forged', True),
    ],
)
def test_what_a_trusted_proxy_says(
    site: Site, proxies: tuple[str, ...], balancer: str, request_id: str, has_port: bool
) -> None:
    """Its request ID, if it is one; the port only from our own balancer: other proxies may pass on
    what a client says."""
    web = site.settings.web.model_copy(update={"trusted_proxies": proxies})
    own = site.settings.balancer.model_copy(update={"kind": balancer})
    site.settings = site.settings.model_copy(update={"web": web, "balancer": own})
    site.instance("1")
    for link in (site.at.current, site.at.fallback):
        site.point(link, "1")
    site.start()
    _, body = site.get(X_Request_ID=request_id, X_Forwarded_Port="8443")
    environ = json.loads(body)["environ"]
    assert environ["HTTP_X_FORWARDED_PORT"] == ("8443" if has_port else str(site.port))
    is_taken = bool(proxies) and request_id == "a-proxy.s_own"
    given = environ["HTTP_X_REQUEST_ID"]
    assert given == request_id if is_taken else len(given) == 32
    log = site.folder / "shop.live.access.log"
    until(lambda: f" id={given} " in log.read_text(), shown="the log")


@pytest.fixture
def secure(kind: str) -> Iterator[SecureSite]:
    folder = tempfile.TemporaryDirectory(prefix="cw-")
    with folder as name, closing(SecureSite(Path(name), kind)) as site:
        yield site


def begin(site: SecureSite, **tls: Any) -> SecureSite:
    site.tls |= tls
    site.instance("1")
    for link in (site.at.current, site.at.fallback):
        site.point(link, "1")
    site.start()
    return site


def test_the_application_sees_https_and_its_port(secure: SecureSite) -> None:
    begin(secure)
    head, _, body = secure.curl().partition("\n\n")
    environ = json.loads(body)["environ"]
    assert head.startswith("HTTP/2 200"), "curl asks for it by itself"
    assert "strict-transport-security" not in head.lower()
    assert environ["HTTP_X_FORWARDED_PROTO"] == environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_X_FORWARDED_PORT"] == str(secure.secure_port)
    assert secure.curl("--http1.1").startswith("HTTP/1.1 200 OK")
    for old in ("1.0", "1.1"):
        weak = ["--ciphers", "DEFAULT@SECLEVEL=0", f"--tlsv{old}", "--tls-max", old]
        with pytest.raises(subprocess.CalledProcessError):
            secure.curl(*weak)


@BOTH
def test_plain_http_is_redirected_but_for_challenges_and_probes(secure: SecureSite) -> None:
    begin(secure)
    head = secure.curl("--path-as-is", path="/a%2Fb/../c?x=1", scheme="http")
    assert head.startswith("HTTP/1.1 301 ")
    where = f"https://shop.example.org:{secure.secure_port}/a%2Fb/../c?x=1"
    assert f"Location: {where}\n" in head
    challenge = "/.well-known/acme-challenge/token"
    assert secure.curl(path=challenge, scheme="http").startswith("HTTP/1.1 200 ")
    for outside in (f"{challenge}/../../../", "/x/.well-known/acme-challenge/", "/.well-known/"):
        answer = secure.curl("--path-as-is", path=outside, scheme="http")
        assert answer.startswith("HTTP/1.1 301 "), outside
    probe = ["-H", f"X-Cartwheel-Probe: {secure.token}", "-H", "X-Forwarded-Proto: http"]
    assert secure.curl(*probe, scheme="http").startswith("HTTP/1.1 200 ")


class Sibling(http.server.BaseHTTPRequestHandler):
    """Another host with the same name: it has one token."""

    heard: ClassVar[list[tuple[str, str | None]]] = []
    tokens: ClassVar[tuple[str, ...]] = ("/theirs",)

    def do_GET(self) -> None:
        self.heard.append((self.path, self.headers["X-Cartwheel-Sibling"]))
        self.send_response(200 if self.path.endswith(self.tokens) else 404)
        self.end_headers()
        self.wfile.write(b"their answer")

    def log_message(self, *_args: object) -> None:
        pass


class Stranger(Sibling):
    """It has none."""

    tokens = ()


@contextmanager
def listening(handler: type[Sibling]) -> Iterator[int]:
    """Its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def sibling() -> Iterator[int]:
    """Its port."""
    Sibling.heard.clear()
    with listening(Sibling) as port:
        yield port


CHALLENGE = "/.well-known/acme-challenge"


def acme_site(site: SecureSite, *siblings: int) -> None:
    """It has a token of its own; its siblings have these ports."""
    addresses = tuple(f"127.0.0.1:{port}" for port in siblings)
    site.facts = replace(site.facts, siblings=addresses)
    names = site.settings.web.model_copy(
        update={"server_names": ("shop.example.org",), "redirect_names": ("www.shop.example.org",)}
    )
    site.settings = site.settings.model_copy(update={"web": names})
    begin(site, acme=True, certificate=None, key=None)
    folder = site.at.acme_webroot / CHALLENGE.strip("/")
    folder.mkdir(parents=True)
    (folder / "ours").write_text("our answer")


def test_an_authority_gets_its_answer_before_any_redirect(secure: SecureSite) -> None:
    acme_site(secure)
    answer = secure.curl(path=f"{CHALLENGE}/ours", scheme="http")
    assert answer.startswith("HTTP/1.1 200 ")
    assert "Content-Type: text/plain\n" in answer
    assert answer.endswith("our answer")
    assert secure.curl(path=f"{CHALLENGE}/none", scheme="http").startswith("HTTP/1.1 404 ")
    for outside in ("/x", f"{CHALLENGE}/../../", "/.well-known/"):
        answer = secure.curl("--path-as-is", path=outside, scheme="http")
        assert answer.startswith("HTTP/1.1 301 "), outside
    (secure.at.root / "secret").write_text("secret")
    encoded = f"{CHALLENGE}/..%2f..%2f..%2fsecret"
    assert "HTTP/1.1 200 " not in secure.curl("--path-as-is", path=encoded, scheme="http")


def test_a_sibling_is_asked_for_a_token_that_is_not_here(secure: SecureSite, sibling: int) -> None:
    with listening(Stranger) as stranger:
        acme_site(secure, free_port(), stranger, sibling)
        for _each in range(6):  # whichever of the three is asked first
            answer = secure.curl(path=f"{CHALLENGE}/theirs", scheme="http")
            assert answer.startswith("HTTP/1.1 200 ")
            assert answer.endswith("their answer")
        assert set(Sibling.heard) == {(f"{CHALLENGE}/theirs", "1")}
        assert secure.curl(path=f"{CHALLENGE}/ours", scheme="http").endswith("our answer")
        answer = secure.curl(path=f"{CHALLENGE}/none", scheme="http")
        assert answer.startswith("HTTP/1.1 404 ")


def test_so_it_is_for_names_that_are_redirected(secure: SecureSite, sibling: int) -> None:
    """Not every authority follows a redirect (RFC 8555, 8.3)."""
    acme_site(secure, sibling)
    www = ("-H", "Host: www.shop.example.org")
    for token, said in (("ours", "our answer"), ("theirs", "their answer")):
        answer = secure.curl(*www, path=f"{CHALLENGE}/{token}", scheme="http")
        assert answer.startswith("HTTP/1.1 200 ")
        assert answer.endswith(said)
    none = secure.curl(*www, path=f"{CHALLENGE}/none", scheme="http")
    assert none.startswith("HTTP/1.1 404 ")
    assert secure.curl(*www, path="/x", scheme="http").startswith("HTTP/1.1 301 ")


def test_a_sibling_that_asks_is_not_asked_back(secure: SecureSite, sibling: int) -> None:
    acme_site(secure, sibling)
    asking = ("-H", "X-Cartwheel-Sibling: 1")
    answer = secure.curl(*asking, path=f"{CHALLENGE}/theirs", scheme="http")
    assert answer.startswith("HTTP/1.1 404 ")
    assert Sibling.heard == []


def test_siblings_that_are_down_are_a_missing_token(secure: SecureSite) -> None:
    acme_site(secure, free_port())
    answer = secure.curl(path=f"{CHALLENGE}/x", scheme="http")
    assert answer.startswith("HTTP/1.1 404 ")


def test_hsts_is_sent_on_request_and_only_over_https(secure: SecureSite) -> None:
    begin(secure, hsts_seconds=63072000, redirect=False)
    assert "strict-transport-security: max-age=63072000\n" in secure.curl()
    plain = secure.curl(scheme="http")
    assert plain.startswith("HTTP/1.1 200 "), "no redirect"
    assert "strict-transport-security" not in plain.lower()
    assert f'"HTTP_X_FORWARDED_PORT": "{secure.port}"' in plain
