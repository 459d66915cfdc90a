"""A balancer's HTTPS, streams and headers, in a real nginx; behind it the site of a host in the
same nginx, on a port of its own, with instances that this test scripts."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cartwheel.errors import UsageError
from cartwheel.host.balancer.nginx_links import Link
from cartwheel.host.wire.tls import CHAIN, KEY
from cartwheel.plan.balancing import Member
from cartwheel.render.balancer import render_balancer, render_balancer_tls
from cartwheel.render.release import SITE, render_release, render_tls
from tests.kit.certificates import certificate
from tests.kit.ports import free_port
from tests.kit.waiting import until
from tests.unit.answers import facts
from tests.unit.render.sites import VERSION, Site, settings
from tests.unit.render.test_nginx import PROXIES
from tests.unit.render.test_nginx import accepted as accepted_by_nginx
from tests.unit.render.test_site import CHALLENGE, sibling
from tests.unit.render.test_site_streams import (
    EVENTS,
    HEAD,
    OK,
    SWITCHED,
    UPGRADE,
    Client,
    Instance,
    says,
    send_all,
)

__all__ = ["sibling"]  # a fixture

NAME = "shop.example.org"
SOCKETS = "/run/cartwheel/.balancer.shop.live"


class Front:
    """A balancer in front of two hosts: the first is a real site, the second is what a test puts
    there. All are in one nginx, as on a machine that is a balancer and a host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = Site(folder, static=False)
        self.port, self.secure_port, self.other = free_port(), free_port(), free_port()
        self.issued = certificate(NAME)
        self.siblings: tuple[str, ...] = ()
        self.use()

    def use(self, *, acme: bool = False, web: dict[str, Any] | None = None, **tls: Any) -> None:
        source = {"acme": True} if acme else {"certificate": "a.pem", "key": "a.key"}
        self.host.facts = replace(self.host.facts, balancers=("127.0.0.1",))
        self.host.settings = settings(
            self.folder,
            environment="live",
            web={"listen": self.host.port, "server_names": [NAME], **(web or {})},
            balancer={"kind": "nginx", "listen": self.port},
            tls={**source, "listen": self.secure_port, **tls},
        )

    @property
    def members(self) -> list[Member]:
        ports = (self.host.port, self.other)
        return [Member(f"web{n}", f"web{n}", f"127.0.0.1:{p}") for n, p in enumerate(ports, 1)]

    def start(self) -> None:
        at, own = self.host.at, self.host.settings
        text = render_balancer(
            own, self.members, self.folder, ipv6=False, siblings=self.siblings
        ).content
        text = text.replace("/var/log/nginx", str(self.folder)).replace(SOCKETS, str(self.folder))
        (self.folder / "conf.d/site_balancer.conf").write_text(text)
        live = at.tls / "0123456789ab"
        live.mkdir(parents=True)
        (live / CHAIN).write_text(self.issued.pem)
        (live / KEY).write_text(self.issued.key)
        at.tls_live.symlink_to(live.name)
        known = facts(lambda found: found.update(web_server=VERSION, servers=[]))
        found = replace(known, host=replace(known.host, ipv6=False))
        at.tls_balancer_site.write_text(render_balancer_tls(own, found, self.folder))
        (at.root / "balancer").mkdir()
        self.put("web1", inside=True)
        self.host.start()
        until((self.folder / "web2.open").is_socket, shown="nginx")

    def put(self, name: str, *, inside: bool) -> None:
        for suffix in ("sock", "open"):
            link = self.host.at.balancer / f"{name}.{suffix}"
            if inside:
                link.symlink_to(self.folder / link.name)
            else:
                link.unlink()

    def serve(self, *answers: Any) -> Instance:
        """Release 1 serves on the first host, alone."""
        instance = Instance(self.host, "1", *answers)
        for link in (self.host.at.current, self.host.at.fallback):
            self.host.point(link, "1")
        self.start()
        return instance

    def curl(self, *options: str, path: str = "/", scheme: str = "https") -> str:
        """The answer's head and body, without verification."""
        port = self.secure_port if scheme == "https" else self.port
        at = ["--resolve", f"{NAME}:{port}:127.0.0.1", "--max-time", "10"]
        done = subprocess.run(
            ["curl", "-sSki", *at, *options, f"{scheme}://{NAME}:{port}{path}"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def log(self, name: str) -> str:
        """The last line of an access log."""
        path = self.folder / f"{name}.access.log"
        until(lambda: path.exists() and path.read_text().endswith("\n"), shown=str(path))
        return path.read_text().splitlines()[-1]

    def close(self) -> None:
        self.host.close()


@pytest.fixture
def front() -> Iterator[Front]:
    with tempfile.TemporaryDirectory(prefix="b-") as name, closing(Front(Path(name))) as one:
        yield one


FORGED = [
    *("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: http", "X-Forwarded-Port: 666"),
    *("X-Forwarded-Host: evil.example", "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6"),
    *("X-Request-ID: forged-by-a-visitor", "X-Forwarded-Ssl: off", "Proxy: http://evil.example"),
    *("X-Forwarded-Prefix: /evil", "X-Cartwheel-Sibling: 1"),
]


@pytest.mark.parametrize("accept", ["Accept: */*", EVENTS])
def test_the_application_sees_what_the_visitor_sent(front: Front, accept: str) -> None:
    """Over HTTPS, through balancer and host; the host's own site answers plain HTTP only."""
    instance = front.serve(says(OK))
    forged = [word for line in FORGED for word in ("-H", line)]
    answer = front.curl("-H", accept, *forged, path="/a%2Fb?x=1")
    assert answer.startswith("HTTP/2 200")
    instance.ended()
    (head,) = instance.heads
    where = f"{NAME}:{front.secure_port}"
    assert head[""] == "GET /a%2Fb?x=1 HTTP/1.1"
    assert (head["host"], head["x-forwarded-host"]) == (where, where)
    assert (head["x-forwarded-for"], head["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert (head["x-forwarded-proto"], head["x-forwarded-port"]) == (
        "https",
        str(front.secure_port),
    )
    assert not {"x-forwarded-ssl", "forwarded", "proxy", "x-forwarded-prefix"} & set(head)
    request_id = head["x-request-id"]
    assert len(request_id) == 32
    for name in ("shop.live", "shop.live_balancer"):
        assert f" id={request_id} " in front.log(name)


LIMITS: dict[str, Any] = {
    "redirect_names": [f"www.{NAME}"],
    "client_max_body_size": "1m",
    "header_timeout_seconds": 7,
    "paths": {"/upload": {"client_max_body_size": "3m"}, "/slow": {"timeout_seconds": 432}},
}


def test_what_a_host_lets_in_passes_the_balancer(front: Front) -> None:
    """Its hosts hold the rules for paths; the balancer must be no narrower than any of them."""
    front.use(web=LIMITS)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Large: " + b"x" * 12000 + b"\r\n\r\nok"
    front.serve(says(OK), says(large), says(large))
    (front.folder / "body").write_bytes(bytes(2_000_000))
    sent = ("--data-binary", f"@{front.folder / 'body'}", "-H", "Expect:")
    assert front.curl(*sent, path="/upload/x").startswith("HTTP/2 200")
    assert front.curl(*sent, path="/other").startswith("HTTP/2 413")
    for accept in ("*/*", "text/event-stream"):
        assert front.curl("-H", f"Accept: {accept}").startswith("HTTP/2 200")
    moved = front.curl("-H", f"Host: www.{NAME}:{front.secure_port}", path="/a?b=1")
    assert moved.startswith("HTTP/2 301")
    assert f"location: https://{NAME}:{front.secure_port}/a?b=1\n" in moved.replace("\r", "")
    text = (front.folder / "conf.d/site_balancer.conf").read_text()
    assert "proxy_read_timeout 432s;" in text
    assert "client_header_timeout 7s;" in text


def test_without_a_limit_for_a_path_there_is_none_at_the_balancer() -> None:
    own = settings(
        Path("/srv"),
        web={"server_names": [NAME], "paths": {"/up": {"client_max_body_size": "0"}}},
        balancer={"kind": "nginx"},
    )
    text = render_balancer(own, [Member("a", "a", "192.0.2.1:80")], Path("/"), ipv6=False).content
    assert "client_max_body_size 0;\n" in text.partition("location /")[0]


def test_plain_http_is_redirected_at_the_balancer(front: Front) -> None:
    front.use(hsts_seconds=300)
    instance = front.serve(says(OK), says(OK))
    head = front.curl("--path-as-is", path="/a%2Fb/../c?x=1", scheme="http")
    assert head.startswith("HTTP/1.1 301 ")
    assert f"Location: https://{NAME}:{front.secure_port}/a%2Fb/../c?x=1\n" in head.replace(
        "\r", ""
    )
    assert "strict-transport-security" not in head.lower()
    assert front.curl(path=f"{CHALLENGE}/x", scheme="http").startswith("HTTP/1.1 200 ")
    assert "strict-transport-security: max-age=300" in front.curl()
    instance.ended()
    assert [head["x-forwarded-proto"] for head in instance.heads] == ["http", "https"]


def test_a_request_without_host_and_a_body_that_is_too_large(front: Front) -> None:
    front.use(redirect=False)
    instance = front.serve(says(OK))
    with closing(Client(front, request="GET / HTTP/1.0", host="")) as client:
        assert client.head()[0] == "HTTP/1.1 200 OK"
    instance.ended()
    assert instance.heads[0]["host"] == NAME
    large = "Content-Length: 11534336"
    for headers in ((large,), (EVENTS, large), (*UPGRADE, large)):
        with closing(Client(front, *headers, request="POST / HTTP/1.1")) as client:
            assert client.head()[0].startswith("HTTP/1.1 413 ")


def test_a_large_body_passes(front: Front) -> None:
    front.use(redirect=False)
    web = front.host.settings.web.model_copy(update={"client_max_body_size": "12m"})
    front.host.settings = front.host.settings.model_copy(update={"web": web})
    instance = front.serve(says(OK), says(OK))
    body = bytes(11 << 20)
    for headers in ((), (EVENTS,)):
        with closing(Client(front, *headers, request="POST / HTTP/1.1", body=body)) as client:
            assert client.head()[0] == "HTTP/1.1 200 OK"
    instance.ended()
    assert [len(one) for one in instance.bodies] == [len(body)] * 2


def test_a_websocket_passes_and_no_drain_waits_for_it(front: Front) -> None:
    front.use(redirect=False)

    def echo(both: Any) -> None:
        both.write(SWITCHED)
        both.write(both.read(4))

    instance = front.serve(echo, says(OK))
    with closing(Client(front, *UPGRADE, "Sec-WebSocket-Version: 13")) as client:
        assert client.head()[0] == "HTTP/1.1 101 Switching Protocols"
        at = front.host.at.balancer
        link = Link(
            *(str(at / "web1.sock"), str(front.folder / "web1.sock"), ""),
            *(str(at / "web1.open"), str(front.folder / "web1.open")),
        )
        assert link.under_way() == 0
        link.take_out()
        with closing(Client(front, *UPGRADE)) as another:
            assert another.head()[0].startswith("HTTP/1.1 502 "), "nobody is in"
        client.file.write(b"\x01\x00\xff\n")
        assert client.file.read(4) == b"\x01\x00\xff\n", "what is open goes on"
        assert client.file.read(1) == b""
        link.put_back()
    with closing(Client(front, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")) as client:
        assert client.head()[0] == "HTTP/1.1 200 OK"
    instance.ended()
    first, second = instance.heads
    assert (first["connection"], first["upgrade"]) == ("upgrade", "websocket")
    assert first["sec-websocket-version"] == "13"
    assert (second["connection"], second.get("upgrade")) == ("close", None)


def test_another_host_answers_a_handshake_for_one_that_is_down(front: Front) -> None:
    front.use(redirect=False)
    instance = front.serve(*[says(SWITCHED)] * 4)
    front.put("web2", inside=True)
    for _each in range(4):
        with closing(Client(front, *UPGRADE)) as client:
            assert client.head()[0] == "HTTP/1.1 101 Switching Protocols"
    instance.ended()


@pytest.mark.parametrize(
    ("accept", "more"), [(EVENTS, b""), ("Accept: */*", b"X-Accel-Buffering: no\r\n")]
)
def test_events_arrive_one_by_one(front: Front, accept: str, more: bytes) -> None:
    """Without length and chunks; the app may also forbid to buffer what does not ask for events."""
    front.use(redirect=False)
    arrived = threading.Event()

    def events(both: Any) -> None:
        both.write(HEAD[:-2] + more + b"\r\ndata: one\n\n")
        assert arrived.wait(10)
        both.write(b"data: two\n\n")

    instance = front.serve(events)
    with closing(Client(front, accept)) as client:
        head = client.head()
        assert client.line() == b"data: one"
        arrived.set()
        assert client.line() == b"data: two"
    instance.ended()
    assert not [line for line in head if line.lower().startswith("x-accel")]


def test_other_answers_are_buffered(front: Front) -> None:
    front.use(redirect=False)
    taken = threading.Event()
    much = 64 << 20

    def answer(both: Any) -> None:
        both.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % much)
        send_all(both, bytes(much))
        taken.set()

    instance = front.serve(answer)
    with closing(Client(front, "Connection: close")) as client:
        client.head()
        assert taken.wait(10)
        assert len(client.rest()) == much
    instance.ended()


def test_an_authority_finds_its_answer_wherever_it_is(front: Front, sibling: int) -> None:
    """On this balancer, on another one, or on a host: HTTPS ended there, or is to end there."""
    front.use(acme=True)
    front.siblings = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{sibling}")
    instance = front.serve(says(OK))
    folder = front.host.at.acme_webroot / CHALLENGE.strip("/")
    folder.mkdir(parents=True)
    (folder / "ours").write_text("our answer")
    for token in ("ours", "theirs"):
        answer = front.curl(path=f"{CHALLENGE}/{token}", scheme="http")
        assert answer.startswith("HTTP/1.1 200 ")
        assert answer.endswith("their answer" if token == "theirs" else "our answer")
    asking = ("-H", "X-Cartwheel-Sibling: 1")
    missing = front.curl(*asking, path=f"{CHALLENGE}/theirs", scheme="http")
    assert missing.startswith("HTTP/1.1 404 ")
    assert front.curl(path="/x", scheme="http").startswith("HTTP/1.1 301 ")
    # The site of the host has the same folder here, and asks the balancers: not for ever.
    assert front.curl(path=f"{CHALLENGE}/none", scheme="http").startswith("HTTP/1.1 404 ")
    assert instance.heads == []


def test_an_answer_that_only_a_host_has(front: Front, sibling: int) -> None:
    front.use(acme=True)
    front.other, front.siblings = sibling, (f"127.0.0.1:{free_port()}",)
    front.serve()
    front.put("web1", inside=False)
    front.put("web2", inside=True)
    answer = front.curl(path=f"{CHALLENGE}/theirs", scheme="http")
    assert answer.startswith("HTTP/1.1 200 ")
    assert answer.endswith("their answer")
    assert front.curl(path=f"{CHALLENGE}/none", scheme="http").startswith("HTTP/1.1 404 ")


@pytest.mark.parametrize("proxies", [(), PROXIES])
@pytest.mark.parametrize("siblings", [(), ("192.0.2.2:80",)])
def test_nginx_takes_all_of_it_without_a_warning(
    tmp_path: Path, proxies: tuple[str, ...], siblings: tuple[str, ...]
) -> None:
    """Beside the application's own site, on one machine."""
    front = Front(tmp_path)
    front.siblings = siblings
    front.use(acme=True, hsts_seconds=300)
    web = front.host.settings.web.model_copy(update={"trusted_proxies": proxies})
    own = front.host.settings.model_copy(update={"web": web})
    balancer = render_balancer(own, front.members, tmp_path, ipv6=False, siblings=siblings)
    sockets = balancer.content.replace(SOCKETS, str(tmp_path))
    known = replace(front.host.facts, siblings=siblings)
    site = render_release(own, known, "1", tmp_path)[SITE].content
    front.host.at.tls.mkdir(parents=True)
    found = facts(lambda one: one.update(web_server=VERSION, servers=[]))
    found = replace(found, host=replace(found.host, ipv6=False))
    secure = render_balancer_tls(own, found, tmp_path)
    for name, text in ((CHAIN, front.issued.pem), (KEY, front.issued.key)):
        (front.host.at.tls / name).write_text(text)
    front.host.at.tls_live.symlink_to(".")
    front.host.at.tls_balancer_site.write_text(secure)
    assert render_tls(own, known, tmp_path) == "", "the hosts end no TLS"
    said = accepted_by_nginx(tmp_path, {"shop": site, "shop_balancer": sockets})
    assert "[warn]" not in said, said


def test_a_template_that_cannot_serve_https_is_refused(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/nginx-balancer.conf.j2").write_text("# mine\n")
    front = Front(tmp_path)
    with pytest.raises(
        UsageError, match=r"nginx-balancer\.conf\.j2: it does not include .*balancer"
    ):
        render_balancer(front.host.settings, front.members, tmp_path, ipv6=False)
