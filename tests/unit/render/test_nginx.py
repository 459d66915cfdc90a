"""The rendered site in a real nginx, in front of real gunicorns on unix sockets."""

from __future__ import annotations

import http.client
import http.server
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.web import front_door, nginx_shared, traffic
from cartwheel.host.web.nginx import Nginx
from cartwheel.host.web.server import TlsSite
from cartwheel.host.web.traffic import Share
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.tls import CHAIN, KEY
from cartwheel.render.release import (
    PAGES,
    SITE,
    RenderFacts,
    TlsFacts,
    render_release,
    render_tls,
)
from cartwheel.settings.toml_tables import Settings, Tls
from tests.kit.certificates import certificate
from tests.kit.ports import free_port
from tests.kit.waiting import until

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
VERSION = (
    Nginx().version_in(
        subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=True).stderr
    )
    or ""
)
FACTS = RenderFacts(
    cpus=2, systemd_version=252, python_version="3.11.2", default_server_free=True, ipv6=False
)
PROBE = Probe("/healthz", "shop.example", "https", 200, 1, 0.1, 5, 2)

# Answers what it was sent, and which instance it is.
APP = """
import json, os, sys
def app(environ, start_response):
    status = os.environ.get("STATUS", "200 OK")
    start_response(status, [("Content-Type", "application/json"), ("X-Cartwheel-Probe", "forged")])
    kept = {k: v for k, v in environ.items() if isinstance(v, str)}
    return [json.dumps({"who": os.environ["WHO"], "environ": kept}).encode()]
"""

MAIN = """
daemon off; master_process on; worker_processes 1; {user} pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
    fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    gzip on;  # as in Debian's
    types {{
        text/css css; text/html html; text/plain txt; text/xml xml; image/svg+xml svg;
        image/png png; application/pdf pdf; application/javascript js;
    }}
    include {folder}/conf.d/*.conf;
}}
"""


def settings(base: Path, **more: Any) -> Settings:
    values: dict[str, Any] = {
        "app": {"name": "shop", "source": ".", "entry": "app:app"},
        "host": {"base": str(base)},
        **more,
    }
    return Settings.model_validate(values)


class Site:
    """nginx with the rendered site; instances of the app come and go beside it."""

    def __init__(self, folder: Path, static: bool = True) -> None:
        self.folder = folder
        self.facts = FACTS
        self.port = free_port()
        self.at = Layout("shop.live", folder)
        web: dict[str, Any] = {"listen": self.port}
        if static:
            web |= {"static_url": "/static/", "static_dir": "shop/static"}
        self.settings = settings(folder, environment="live", web=web)
        self.processes: list[subprocess.Popen[bytes]] = []
        (folder / "conf.d").mkdir()
        self.at.shared.mkdir(parents=True)
        (self.at.shared / "app.py").write_text(APP)

    def start(self) -> None:
        self.token = front_door.ensure_token(self.at)
        site = render_release(self.settings, self.facts, "1", self.folder)[SITE].content
        (self.folder / "conf.d/site.conf").write_text(
            site.replace("/var/log/nginx", str(self.folder))
        )
        main = MAIN.format(folder=self.folder, user="user root;")
        (self.folder / "nginx.conf").write_text(main)
        command = [NGINX, "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf"]
        subprocess.run([*command, "-t"], check=True, capture_output=True)
        self._run(command)
        until(self._answers, shown="nginx")

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _run(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def instance(self, release: str, status: str = "200 OK") -> subprocess.Popen[bytes]:
        """A release, rendered and run; its socket is moved below the test's folder."""
        folder = self.at.release(release)
        folder.mkdir(parents=True)
        files = render_release(self.settings, FACTS, release, self.folder)
        (folder / "gunicorn.conf.py").write_text(files["gunicorn.conf.py"].content)
        for page in PAGES.values():
            (folder / page).write_text(files[page].content)
        process = self._run(
            [
                *(sys.executable, "-m", "gunicorn", "--config", str(folder / "gunicorn.conf.py")),
                *("--bind", f"unix:{folder}/http.sock", "--workers", "1"),
            ],
            env={"WHO": release, "STATUS": status, "PATH": "/usr/bin:/bin"},
            cwd=self.at.shared,
        )
        until((folder / "http.sock").is_socket, shown=f"gunicorn {release}")
        return process

    def point(self, link: Path, release: str) -> None:
        new = link.with_name("new")
        new.symlink_to(f"releases/{release}")
        new.rename(link)

    def get(
        self, path: str = "/", method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            response = connection.getresponse()
            return response, response.read().decode()
        finally:
            connection.close()

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def site() -> Iterator[Site]:
    # Short, because sockets are below it (107 bytes at most).
    with tempfile.TemporaryDirectory(prefix="cw-") as name, closing(Site(Path(name))) as site:
        yield site


@pytest.fixture
def serving(site: Site) -> Site:
    """Release 1 serves, alone."""
    site.instance("1")
    for link in (site.at.current, site.at.fallback):
        site.point(link, "1")
    site.start()
    return site


def test_the_application_gets_only_what_nginx_says(serving: Site) -> None:
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


def test_one_rename_moves_the_traffic_and_a_probe_proves_it(serving: Site) -> None:
    assert front_door.ask(serving.at, PROBE, serving.port, "1") == ""
    serving.instance("2")
    serving.point(serving.at.current, "2")
    assert json.loads(serving.get()[1])["who"] == "2"
    assert front_door.ask(serving.at, PROBE, serving.port, "2") == ""
    assert (
        front_door.ask(serving.at, PROBE, serving.port, "1")
        == "through nginx: 2 answered instead of 1"
    )
    response, body = serving.get(
        Host="x", X_Cartwheel_Probe=serving.token, X_Forwarded_Proto="https"
    )
    assert response.getheader("X-Cartwheel-Probe") == (
        f"release={serving.at.releases}/2; status=200; upstream=unix:{serving.at.current}/http.sock"
    )
    assert json.loads(body)["environ"]["wsgi.url_scheme"] == "https"


def test_the_fallback_answers_for_a_dead_release_and_the_probe_sees_through_it(
    serving: Site,
) -> None:
    dead = serving.instance("2")
    serving.point(serving.at.current, "2")
    dead.kill()
    dead.wait()
    until(lambda: "1" in serving.get()[1], shown="the fallback")
    response, body = serving.get()
    assert (response.status, json.loads(body)["who"]) == (200, "1")
    said = front_door.ask(serving.at, PROBE, serving.port, "2")
    assert said == f"through nginx: unix:{serving.at.current}/http.sock said 502 instead of 200"
    log = (serving.folder / "shop.live.access.log").read_text().splitlines()[-1]
    assert (
        f'upstream="unix:{serving.at.current}/http.sock, unix:{serving.at.fallback}/http.sock"'
        in log
    )
    assert 'upstream_status="502, 200"' in log


def test_the_log_tells_what_real_requests_met_first(serving: Site) -> None:
    """The very lines that a release is judged by after a switch."""
    current = f"unix:{serving.at.current}/http.sock"
    log = traffic.Log(serving.folder / "shop.live.access.log")
    serving.get(headers="x", User_Agent='x" upstream="y')
    switched = time.time()
    front_door.ask(serving.at, PROBE, serving.port, "1")  # our own probe does not count
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

    until(all_there, shown="nginx's log")
    assert traffic.count(Nginx(), lines, current, 0) == Share(4, 2)
    assert traffic.count(Nginx(), lines, current, switched) == Share(3, 2)
    log.close()


def test_a_bad_answer_is_not_hidden_by_the_fallback(serving: Site) -> None:
    serving.instance("2", status="500 Internal Server Error")
    serving.point(serving.at.current, "2")
    assert serving.get()[0].status == 500
    assert front_door.ask(serving.at, PROBE, serving.port, "2").endswith("said 500 instead of 200")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_maintenance_page_keeps_the_status(serving: Site, method: str) -> None:
    (serving.at.release("1") / "http.sock").unlink()
    response, body = serving.get("/any", method)
    assert (response.status, response.getheader("Content-Type")) == (502, "text/html")
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


@pytest.mark.parametrize("header", ["", "forged", "release=x; status=x; upstream=y"])
def test_an_answer_of_another_site_proves_nothing(header: str) -> None:
    assert Nginx().answer(header) is None


def accepted(folder: Path, sites: dict[str, str]) -> str:
    """What `nginx -t` says of these sites together, with the file that they share."""
    (folder / "conf.d").mkdir(exist_ok=True)
    for name, text in sites.items():
        target = folder / f"conf.d/{name}.conf"
        target.write_text(text.replace("/var/log/nginx", str(folder)))
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=""))
    shared = folder / "conf.d/cartwheel.conf"
    shared.write_text(nginx_shared.text(shared, folder / "nginx.conf"))
    done = subprocess.run(
        [NGINX, "-t", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_sites_of_several_applications_stand_side_by_side(tmp_path: Path) -> None:
    """Also those whose names differ in a separator only; one of them is the default."""
    port = free_port()
    sites = {}
    for name, environment in (("a-b", None), ("a", "b"), ("a", "b-c"), ("a-b-c", None)):
        own = settings(
            Path("/srv"),
            app={"name": name, "source": "."},
            environment=environment,
            web={
                "listen": port,
                "server_names": []
                if environment == "b"
                else [f"{name}.{environment}.example", f"*.{name}.{environment}.example"],
                "static_url": "/s-t.a~x",
                "static_dir": "pkg/static",
                "client_max_body_size": "0",
            },
        )
        text = render_release(own, FACTS, "1", tmp_path)[SITE].content
        sites[own.slug] = text
    assert "[warn]" not in accepted(tmp_path, sites)
    assert [name for name, text in sites.items() if "default_server" in text] == ["a.b"]


PROXIES = ("10.0.0.0/8", "2001:db8::1")


def test_balancers_are_believed(tmp_path: Path) -> None:
    """By themselves, and what the settings name; without any, nothing of it is there."""
    behind = replace(FACTS, balancers=("192.0.2.9",))
    own = settings(Path("/srv"), web={"listen": free_port(), "trusted_proxies": PROXIES})
    text = render_release(own, behind, "1", tmp_path)[SITE].content
    for address in (*PROXIES, "192.0.2.9"):
        assert f"    {address} 1;" in text and f"set_real_ip_from {address};" in text
    accepted(tmp_path, {"shop": text})
    alone = render_release(settings(Path("/srv")), FACTS, "1", tmp_path)[SITE].content
    assert "real_ip" not in alone and "geo" not in alone


@pytest.mark.parametrize("name", ["a" * 24, "customer-portal"])
def test_nginx_takes_long_names_of_applications(tmp_path: Path, name: str) -> None:
    web = {"listen": free_port(), "trusted_proxies": PROXIES}
    app = {"name": name, "source": "."}
    own = settings(Path("/srv"), app=app, environment="production", web=web)
    accepted(tmp_path, {"shop": render_release(own, FACTS, "1", tmp_path)[SITE].content})


@pytest.mark.parametrize(
    ("proxies", "kind", "request_id", "has_port"),
    [
        ((), "none", "a-proxy.s_own", False),
        (("127.0.0.1",), "none", "a-proxy.s_own", False),
        (("127.0.0.1",), "nginx", "a-proxy.s_own", True),
        (("127.0.0.1",), "nginx", "short", True),
        (("127.0.0.1",), "nginx", 'quoted" id=forged', True),
    ],
)
def test_what_a_trusted_proxy_says(
    site: Site, proxies: tuple[str, ...], kind: str, request_id: str, has_port: bool
) -> None:
    """Its request ID, if it is one; the port only from our own balancer: other proxies may pass on
    what a client says."""
    web = site.settings.web.model_copy(update={"trusted_proxies": proxies})
    balancer = site.settings.balancer.model_copy(update={"kind": kind})
    site.settings = site.settings.model_copy(update={"web": web, "balancer": balancer})
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


def test_ipv6_where_the_host_has_it() -> None:
    facts = RenderFacts(2, 252, "3.11.2", default_server_free=True, ipv6=True)
    text = render_release(settings(Path("/srv")), facts, "1", Path("/"))[SITE].content
    assert "listen 80 default_server;" in text
    assert "listen [::]:80 default_server;" in text


def test_the_site_names_no_release() -> None:
    """So it changes only when its settings do, and nginx is not reloaded for a release."""
    one, two = (
        render_release(settings(Path("/srv")), FACTS, release, Path("/")) for release in ("1", "2")
    )
    shared = [name for name, file in one.items() if file.shared]
    assert sorted(shared) == ["boot.service", "logrotate.conf", SITE]
    assert all(one[name] == two[name] for name in shared)


# -- HTTPS


class SecureSite(Site):
    """The same with a certificate that it has itself."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.secure_port = free_port()
        self.issued = certificate("shop.example.org")
        self.tls: dict[str, Any] = {"certificate": "a.pem", "key": "a.key"}
        self.tls["listen"] = self.secure_port

    def start(self) -> None:
        live = self.at.tls / "0123456789ab"
        live.mkdir(parents=True)
        (live / CHAIN).write_text(self.issued.pem)
        (live / KEY).write_text(self.issued.key)
        self.at.tls_live.symlink_to(live.name)
        self.settings = self.settings.model_copy(update={"tls": Tls.model_validate(self.tls)})
        self.facts = replace(self.facts, tls=TlsFacts(VERSION))
        self.at.tls_site.write_text(render_tls(self.settings, self.facts, self.folder))
        super().start()

    def curl(self, *options: str, path: str = "/", scheme: str = "https") -> str:
        """The answer's head and body, without verification."""
        port = self.secure_port if scheme == "https" else self.port
        at = ["--resolve", f"shop.example.org:{port}:127.0.0.1"]
        url = f"{scheme}://shop.example.org:{port}{path}"
        done = subprocess.run(
            ["curl", "-sSki", *at, *options, url], capture_output=True, text=True, check=True
        )
        return done.stdout


@pytest.fixture
def secure() -> Iterator[SecureSite]:
    with tempfile.TemporaryDirectory(prefix="cw-") as name, closing(SecureSite(Path(name))) as site:
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

    def do_GET(self) -> None:
        self.heard.append((self.path, self.headers["X-Cartwheel-Sibling"]))
        self.send_response(200 if self.path.endswith("/theirs") else 404)
        self.end_headers()
        self.wfile.write(b"their answer")

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def sibling() -> Iterator[int]:
    """Its port."""
    Sibling.heard.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sibling) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


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
    acme_site(secure, free_port(), sibling)
    for _each in range(4):  # whichever of the two is asked first
        answer = secure.curl(path=f"{CHALLENGE}/theirs", scheme="http")
        assert answer.startswith("HTTP/1.1 200 ")
        assert answer.endswith("their answer")
    assert set(Sibling.heard) == {(f"{CHALLENGE}/theirs", "1")}
    assert secure.curl(path=f"{CHALLENGE}/ours", scheme="http").endswith("our answer")
    assert secure.curl(path=f"{CHALLENGE}/none", scheme="http").startswith("HTTP/1.1 404 ")


def test_so_it_is_for_names_that_are_redirected(secure: SecureSite, sibling: int) -> None:
    """Not every authority follows a redirect (RFC 8555, 8.3)."""
    acme_site(secure, sibling)
    www = ("-H", "Host: www.shop.example.org")
    for token, said in (("ours", "our answer"), ("theirs", "their answer")):
        answer = secure.curl(*www, path=f"{CHALLENGE}/{token}", scheme="http")
        assert answer.startswith("HTTP/1.1 200 ")
        assert answer.endswith(said)
    assert secure.curl(*www, path="/x", scheme="http").startswith("HTTP/1.1 301 ")


def test_a_sibling_that_asks_is_not_asked_back(secure: SecureSite, sibling: int) -> None:
    acme_site(secure, sibling)
    asking = ("-H", "X-Cartwheel-Sibling: 1")
    answer = secure.curl(*asking, path=f"{CHALLENGE}/theirs", scheme="http")
    assert answer.startswith("HTTP/1.1 404 ")
    assert Sibling.heard == []


def test_siblings_that_are_down_are_a_missing_token(secure: SecureSite) -> None:
    acme_site(secure, free_port())
    assert secure.curl(path=f"{CHALLENGE}/x", scheme="http").startswith("HTTP/1.1 404 ")


def test_no_other_application_has_the_siblings_name(tmp_path: Path) -> None:
    """`_` is in no application's name."""
    known = replace(FACTS, siblings=("192.0.2.2:80",))
    one = settings(tmp_path, web={"server_names": ["shop.test"]}, tls={"acme": True})
    text = render_release(one, known, "1", tmp_path)[SITE].content
    assert re.findall(r"^upstream (\S+)", text, re.MULTILINE) == [
        "cartwheel-shop",
        "cartwheel-shop_siblings",
    ]


def test_without_an_authority_the_site_has_no_place_for_it(tmp_path: Path) -> None:
    known = replace(FACTS, siblings=("192.0.2.2:80",))
    text = render_release(settings(tmp_path), known, "1", tmp_path)[SITE].content
    assert "acme-challenge/ {" not in text
    assert "sibling" not in text


def test_hsts_is_sent_on_request_and_only_over_https(secure: SecureSite) -> None:
    begin(secure, hsts_seconds=63072000, redirect=False)
    assert "strict-transport-security: max-age=63072000\n" in secure.curl()
    plain = secure.curl(scheme="http")
    assert plain.startswith("HTTP/1.1 200 "), "no redirect"
    assert "strict-transport-security" not in plain.lower()
    assert f'"HTTP_X_FORWARDED_PORT": "{secure.port}"' in plain


@pytest.mark.parametrize(
    ("version", "shares_port", "how"),
    [
        ("1.18.0", True, "listen"),
        ("1.22.1", True, "listen"),
        ("1.23.4", False, "listen"),
        ("1.24.0", True, ""),
        ("1.25.0", True, ""),
        ("1.25.1", True, "directive"),
        ("1.26.3", False, "directive"),
    ],
)
def test_http2_by_version(tmp_path: Path, version: str, shares_port: bool, how: str) -> None:
    known = replace(FACTS, ipv6=True, tls=TlsFacts(version, shares_port))
    one = settings(tmp_path, tls={"certificate": "a.pem", "key": "a.key"})
    text = render_tls(one, known, tmp_path)
    lines = text.splitlines()
    assert ("http2 on;" in lines) is (how == "directive")
    http2 = " http2" if how == "listen" else ""
    assert f"listen 443 ssl{http2} default_server;" in lines
    assert f"listen [::]:443 ssl{http2} default_server;" in lines
    found = Nginx().tls_of(text)
    assert found == TlsSite(443, tmp_path / "shop/tls/live/fullchain.pem")


def test_files_of_the_host_are_named_where_they_are(tmp_path: Path) -> None:
    on_host = {"host_certificate": "/etc/ssl/a.pem", "host_key": "/etc/ssl/a.key"}
    web = {"server_names": ["a.example"]}
    text = render_tls(settings(tmp_path, tls=on_host, web=web), FACTS, tmp_path)
    assert "ssl_certificate /etc/ssl/a.pem;\nssl_certificate_key /etc/ssl/a.key;\n" in text
    assert "default_server" not in text
    assert render_tls(settings(tmp_path), FACTS, tmp_path) == ""
    assert Nginx().tls_of("") is None
