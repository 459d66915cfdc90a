"""A balancer's site in a real nginx, in front of two web servers that come and go."""

from __future__ import annotations

import http.client
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cartwheel.errors import UsageError
from cartwheel.plan.balancing import Member
from cartwheel.render.balancer import check_balancer_template, render_balancer
from cartwheel.render.release import SITE, render_release
from tests.kit.ports import free_port
from tests.kit.waiting import until
from tests.unit.render.sites import FACTS, MAIN, NGINX, settings
from tests.unit.render.test_nginx import PROXIES, accepted

SOCKETS = "/run/cartwheel/.balancer.shop"


class Web(BaseHTTPRequestHandler):
    """A host behind the balancer: says its own port and what it was told of the visitor."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        told = [self.headers.get(name) for name in ("X-Forwarded-For", "X-Forwarded-Proto")]
        assert isinstance(self.server, HTTPServer)
        body = f"{self.server.server_port} {told}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        return None


class Balancer:
    """nginx with the site of two hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.webs = [HTTPServer(("127.0.0.1", 0), Web) for _ in range(2)]
        for web in self.webs:
            threading.Thread(target=web.serve_forever, daemon=True).start()
        self.members = [
            Member(f"web{number}", f"web{number}", f"127.0.0.1:{web.server_port}")
            for number, web in enumerate(self.webs, 1)
        ]
        own = settings(folder, balancer={"kind": "nginx", "listen": self.port})
        text = render_balancer(own, self.members, folder, ipv6=False).content
        (folder / "shop/balancer").mkdir(parents=True)
        (folder / "conf.d").mkdir()
        text = text.replace("/var/log/nginx", str(folder)).replace(SOCKETS, str(folder))
        (folder / "conf.d/balancer.conf").write_text(text)
        main = MAIN.format(folder=folder, user="user root;")
        (folder / "nginx.conf").write_text(main)
        command = [NGINX, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
        self.nginx = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until((folder / "web2.sock").is_socket, shown="nginx")

    def put(self, name: str, *, inside: bool) -> None:
        link = self.folder / f"shop/balancer/{name}.sock"
        if inside:
            link.symlink_to(self.folder / f"{name}.sock")
        else:
            link.unlink()

    def post(self, **headers: str) -> tuple[int, str]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            line.request("POST", "/", b"x" * 1000, named)
            answer = line.getresponse()
            return answer.status, answer.read().decode()
        finally:
            line.close()

    def who(self, times: int = 10) -> set[str]:
        """Who answers posts; each is answered well."""
        found = [self.post() for _ in range(times)]
        assert {status for status, _ in found} == {200}
        return {body.split()[0] for _, body in found}

    def end(self, number: int) -> None:
        """The web server ends: connections are refused."""
        self.webs[number].shutdown()
        self.webs[number].server_close()

    def close(self) -> None:
        self.nginx.terminate()
        self.nginx.wait(20)
        for web in self.webs:
            web.shutdown()
            web.server_close()


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    # Short, because sockets are below it (107 bytes at most).
    with (
        tempfile.TemporaryDirectory(prefix="b") as folder,
        closing(Balancer(Path(folder))) as balancer,
    ):
        yield balancer


def test_a_link_decides_who_answers(balancer: Balancer) -> None:
    """Posts too, and without a reload."""
    one, two = (str(web.server_port) for web in balancer.webs)
    balancer.put("web1", inside=True)
    balancer.put("web2", inside=True)
    assert balancer.who() == {one, two}
    balancer.put("web1", inside=False)
    assert balancer.who() == {two}
    balancer.put("web1", inside=True)
    assert balancer.who() == {one, two}
    balancer.put("web1", inside=False)
    balancer.put("web2", inside=False)
    assert balancer.post()[0] == 502


def test_another_host_answers_for_one_that_is_down(balancer: Balancer) -> None:
    for name in ("web1", "web2"):
        balancer.put(name, inside=True)
    balancer.end(0)
    assert balancer.who() == {str(balancer.webs[1].server_port)}


def test_hosts_are_told_who_the_visitor_is(balancer: Balancer) -> None:
    balancer.put("web1", inside=True)
    _, body = balancer.post(X_Forwarded_For="6.6.6.6", X_Forwarded_Proto="https")
    assert body.partition(" ")[2] == "['127.0.0.1', 'http']"


@pytest.mark.parametrize("proxies", [(), PROXIES])
def test_a_balancers_site(tmp_path: Path, proxies: tuple[str, ...]) -> None:
    """nginx takes it beside the app's own site; each host has stand-ins, and none itself."""
    own = settings(
        tmp_path,
        environment="live",
        web={"listen": free_port(), "trusted_proxies": proxies},
        balancer={"kind": "nginx", "listen": free_port()},
    )
    members = [Member(f"web{n}", f"web{n}", f"192.0.2.{n}:80", n) for n in range(1, 5)]
    text = render_balancer(own, members, tmp_path, ipv6=False).content
    assert f"server unix:{tmp_path}/shop.live/balancer/web3.sock max_fails=0 weight=3;" in text
    for number, others in ((1, (2, 3)), (4, (1, 2))):
        block = text.split(f"# web{number}:")[1].split("}")[0]
        assert [line for line in block.splitlines() if " server " in f" {line}"] == [
            f"    server 192.0.2.{number}:80 max_fails=1 fail_timeout=5s;",
            *(f"    server 192.0.2.{other}:80 backup max_fails=0;" for other in others),
        ]
    sockets = text.replace("/run/cartwheel/.balancer.shop.live", str(tmp_path))
    site = render_release(own, FACTS, "1", tmp_path)[SITE].content
    assert "[warn]" not in accepted(tmp_path, {"shop": site, "shop_balancer": sockets})


def test_a_balancer_of_the_projects_own(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/nginx-balancer.conf.j2").write_text("{{ membres }}")
    with pytest.raises(UsageError, match=r"'membres' is undefined; did you mean members\?"):
        check_balancer_template(settings(Path("/srv")), tmp_path)
