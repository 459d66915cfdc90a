"""The rendered site in a real web server of either kind, in front of gunicorns on unix sockets."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.state import record
from cartwheel.host.web import apache_shared, front_door, traffic
from cartwheel.host.web.kinds import named
from cartwheel.host.web.nginx import Nginx
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
APACHE = shutil.which("apache2") or "/usr/sbin/apache2"
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


class Server(Protocol):
    """One kind of web server, whose whole configuration is below a folder."""

    name: str
    logs: str

    def command(self, folder: Path) -> list[str]:
        """Write the main configuration; the command that runs it in the foreground."""

    def reload(self, process: subprocess.Popen[bytes]) -> None:
        """Returns when no old worker takes connections any more."""


class NginxServer:
    name = logs = "nginx"

    def command(self, folder: Path) -> list[str]:
        main = MAIN.format(folder=folder, user="user root;")
        (folder / "nginx.conf").write_text(main)
        return [NGINX, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]

    def reload(self, process: subprocess.Popen[bytes]) -> None:
        until(lambda: bool(_workers(process.pid)), shown="workers")
        before = _workers(process.pid)
        process.send_signal(signal.SIGHUP)
        until(lambda: not before & _workers(process.pid), shown="the old workers' end")


# As Debian's, with what Debian turns on; the group may use the sockets of the test's own instances.
APACHE_MAIN = """
ServerRoot {folder}
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/apache2.pid
{user}
ErrorLog {folder}/error.log
Timeout 300
StartServers 1
IncludeOptional /etc/apache2/mods-enabled/*.load
IncludeOptional /etc/apache2/mods-enabled/*.conf
<Directory />
    Options FollowSymLinks
    AllowOverride None
    Require all denied
</Directory>
<Directory /var/www/>
    Options Indexes FollowSymLinks
    Require all granted
</Directory>
Include {folder}/zz-cartwheel.conf
"""


class ApacheServer:
    name, logs = "apache", "apache2"

    def command(self, folder: Path) -> list[str]:
        user = "User www-data\nGroup #0" if os.geteuid() == 0 else ""
        folder.chmod(0o755)
        (folder / "apache2.conf").write_text(APACHE_MAIN.format(folder=folder, user=user))
        shared = apache_shared.text(sites=folder / "conf.d")
        (folder / "zz-cartwheel.conf").write_text(shared)
        return [APACHE, "-f", f"{folder}/apache2.conf", "-D", "FOREGROUND"]

    def reload(self, process: subprocess.Popen[bytes]) -> None:
        until(lambda: bool(_workers(process.pid)), shown="workers")
        before = _workers(process.pid)
        process.send_signal(signal.SIGUSR1)
        until(lambda: not before & _workers(process.pid), shown="the old workers' end")


SERVERS: dict[str, Server] = {one.name: one for one in (NginxServer(), ApacheServer())}

BOTH = pytest.mark.parametrize("kind", SERVERS, indirect=True)


def _workers(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


class Here(Layout):
    """Nothing is outside of the folder."""

    @property
    def record(self) -> Path:
        return self.root / "record.json"


class Site:
    """A web server with the rendered site; instances of the app come and go beside it."""

    def __init__(self, folder: Path, kind: str = "nginx", *, static: bool = True) -> None:
        self.folder = folder
        self.server = SERVERS[kind]
        self.facts = FACTS
        self.port = free_port()
        self.at = Here("shop.live", folder)
        web: dict[str, Any] = {"listen": self.port, "server": kind}
        if static:
            web |= {"static_url": "/static/", "static_dir": "shop/static"}
        self.settings = settings(folder, environment="live", web=web)
        self.processes: list[subprocess.Popen[bytes]] = []
        (folder / "conf.d").mkdir()
        self.at.shared.mkdir(parents=True)
        record.write(self.at, record.Record(user="shop", group="shop", web_server=kind))
        (self.at.shared / "app.py").write_text(APP)

    def start(self) -> None:
        self.token = front_door.ensure_token(self.at)
        (self.folder / "conf.d/cartwheel-shop.live.conf").write_text(
            self._here(render_release(self.settings, self.facts, "1", self.folder)[SITE].content)
        )
        command = self.server.command(self.folder)
        env = {**os.environ, "APACHE_RUN_DIR": str(self.folder)}  # as Debian's apache2ctl
        tested = subprocess.run(
            [*command, "-t"], check=False, capture_output=True, text=True, env=env
        )
        assert tested.returncode == 0, tested.stderr
        self._run(command, env=env)
        until(self._answers, shown=self.server.name)

    def _here(self, text: str) -> str:
        return text.replace(f"/var/log/{self.server.logs}", str(self.folder))

    def reload(self) -> None:
        self.server.reload(self.processes[-1])

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

    def ask(self, release: str, probe: Probe = PROBE) -> str:
        """What a probe says that expects this release."""
        return front_door.ask(self.at, probe, self.port, release)

    def count(self, lines: Iterable[bytes], since: float) -> Share:
        """What a release that began to serve at `since` is judged by."""
        web = named(self.server.name)
        return traffic.count(web, lines, web.live_upstream(self.at), since)

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


class SecureSite(Site):
    """The same with a certificate that it has itself."""

    def __init__(self, folder: Path, kind: str = "nginx") -> None:
        super().__init__(folder, kind)
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
        text = render_tls(self.settings, self.facts, self.folder)
        self.at.tls_site.write_text(text)
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
