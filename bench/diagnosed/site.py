"""The shop on a lab host with a database, Redis and another service, and what visitors do there."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.diagnosed import visitors
from bench.diagnosed.visitors import Page, Plan
from cartwheel.errors import LabError
from cartwheel_lab import Lab, LabHost
from cartwheel_lab.visitors import Visits, visiting_by
from tests.kit import secure
from tests.kit.certificates import certificate
from tests.kit.project import Project, new_project

APP = "shop"
NAME = secure.NAME
DISK_MB = 3000
PACKAGES = "bc,postgresql,redis-server,systemd-journal-remote"
SETTLED_SECONDS = 30.0
_SOURCE = Path(__file__).with_name("app")
_ASK_SECONDS = 60.0

SETTINGS = """
[app]
name = "shop"
source = "app"
entry = "app:app"

[tests]
skip = true

[web]
server_names = ["{name}"]
{web}

[gunicorn]
{gunicorn}

[processes.worker]
command = "python -m work"
{worker}

[timers.tidy]
command = "python -m job"
schedule = "0 3 * * *"

[deploy]
drain_seconds = 2
probation_seconds = 0.5

[health]
deadline_seconds = 15

[secrets]
DATABASE_URL = {{ file = "database-url" }}

[env]
REDIS_URL = "redis://cache.internal:6379/0"
PRICES_URL = "http://prices.internal:9000/prices.json"
{env}

{tables}
"""
DATABASE_URL = "postgresql://shop:correct-horse@db.internal:5432/shop"

# What every host gets once, before anything is planted.
PREPARE = """
printf '127.0.0.1 db.internal cache.internal prices.internal\\n' >>/etc/hosts
for at in $(seq 60); do runuser -u postgres -- psql -qc 'SELECT 1' >/dev/null 2>&1 && break
sleep 0.5; done
runuser -u postgres -- psql -q <<'.'
ALTER SYSTEM SET max_connections = 30;
CREATE USER shop PASSWORD 'correct-horse';
CREATE DATABASE shop OWNER shop;
.
runuser -u postgres -- psql -q shop <<'.'
CREATE TABLE orders (id integer PRIMARY KEY, total numeric);
INSERT INTO orders SELECT n, n * 10 FROM generate_series(1, 100) AS n;
ALTER TABLE orders OWNER TO shop;
.
systemctl restart postgresql
mkdir -p /opt/prices && printf '{"tea": 3}' >/opt/prices/prices.json
cat >/opt/prices/serve.py <<'.'
import http.server
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Quiet).serve_forever()
.
cat >/etc/systemd/system/prices.service <<'.'
[Service]
ExecStart=/usr/bin/python3 /opt/prices/serve.py
WorkingDirectory=/opt/prices
[Install]
WantedBy=multi-user.target
.
systemctl -q enable --now prices
cat >/opt/prices/earlier.py <<'.'
import re, time
path = "/var/log/nginx/shop.access.log"
lines = [line for line in open(path) if " time=" in line]
times = [float(re.search(r" at=([0-9.]+)", line).group(1)) for line in lines]
long = max(1.0, times[-1] - times[0])
found = []
for back in range(int(3600 / long), 0, -1):
    for line, at in zip(lines, times):
        at -= back * long
        when = time.strftime("[%Y-%m-%dT%H:%M:%S+00:00]", time.gmtime(at))
        line = re.sub(r"\\[[^]]*]", when, line, count=1)
        found.append(re.sub(r" at=[0-9.]+", f" at={at:.3f}", line))
with open(path, "w") as file:
    file.writelines(found + lines)
.
cat >/opt/prices/deaf.py <<'.'
import socket, time
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.9", 53))
full = socket.socket()  # its queue is full, so the kernel drops new connections
full.bind(("127.0.0.9", 5432))
full.listen(0)
waiting = []
for _ in range(4):
    waiting.append(socket.socket())
    waiting[-1].setblocking(False)
    waiting[-1].connect_ex(("127.0.0.9", 5432))
time.sleep(3600)
.
"""

# Every script that plants or undoes begins with this.
WORDS = """
shared=/srv/shop/shared
mode() { mkdir -p $shared/modes; printf %s "$2" >$shared/modes/$1; chmod -R a+rX $shared/modes; }
socket=$(readlink /srv/shop/current/http.sock)
release=$(echo $socket | cut -d/ -f5) slot=$(echo $socket | cut -d/ -f6)
web=cartwheel-shop.web.$release@$slot.service
worker=cartwheel-shop.worker.$release@$slot.1.service
python=$(readlink -f /srv/shop/current)/venv/bin/python
sql() { runuser -u postgres -- psql -qAt "$@"; }
earlier() { python3 /opt/prices/earlier.py; }  # the same visitors during the hour before
deaf() {  # 127.0.0.9 drops what comes to the port of the database, and answers no name
  systemd-run -q --unit deaf python3 /opt/prices/deaf.py
  sleep 1
}
"""

# A host without traces: what has happened so far is not seen by the next look.
FORGET = """
systemctl reset-failed
journalctl -q --rotate && journalctl -q --vacuum-time=1s
find /var/log -name '*.gz' -delete
for log in /var/log/nginx/*.log /var/log/postgresql/*.log /var/log/redis/*.log; do
  [ ! -e "$log" ] || : >"$log"
done
rm -rf /srv/shop/shared/modes /srv/shop/shared/uploads/*
"""

PAGES = (
    Page("/", clients=2),
    Page("/orders"),
    Page("/orders/*"),
    Page("/cart"),
    Page("/prices"),
    Page("/report"),
    Page("/upload", size=20_000),
    Page("/total", pause_seconds=0.5),
)


@dataclass(frozen=True)
class Variant:
    """How the shop is set up, where that differs from the usual."""

    gunicorn: str = "workers = 2\nthreads = 4"
    web: str = ""
    worker: str = ""
    env: str = ""
    tables: str = ""
    certificate_days: tuple[float, float] | None = None  # serve HTTPS with such a certificate

    @property
    def tls(self) -> bool:
        return self.certificate_days is not None


USUAL = Variant()


@dataclass
class Site:
    """The shop on one host. `variant` is what was deployed last."""

    host: LabHost
    project: Project
    variant: Variant | None = None
    deploys: int = 0
    name: str = NAME

    # --- the operator

    def deploy(self, variant: Variant = USUAL, *, code: str = "") -> None:
        """Write the project and deploy; `code` is added to app.py."""
        self.write(variant, code=code)
        self.fab("deploy")
        self.variant = variant

    def write(self, variant: Variant, *, code: str = "") -> None:
        """Write the project: each time its code is another one."""
        self.deploys += 1
        folder = self.project.folder / "app"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(_SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
        with (folder / "app.py").open("a") as file:
            file.write(f"\n{code}\nNUMBER = {self.deploys}\n")
        texts = {name: text for name, text in asdict(variant).items() if isinstance(text, str)}
        settings = SETTINGS.format(name=NAME, **texts)
        self.project.write("database-url", DATABASE_URL)
        self.project.write("gunicorn_backlog.py", "backlog = 1\n")
        if variant.certificate_days:
            settings += self._certificate(variant.certificate_days)
        self.project.settings(settings)

    def _certificate(self, days: tuple[float, float]) -> str:
        secure.renew(self.project)
        one = certificate(NAME, days=days)
        self.project.write("shop.pem", one.pem)
        self.project.write("shop.key", one.key)
        self.project.write("root.pem", one.pem)
        return secure.SETTINGS

    def fab(self, *words: str, code: int | None = 0) -> str:
        return self.project.fab(*words, "-H", self.host.name, code=code).text

    def diagnose(self, *words: str, env: Mapping[str, str] | None = None) -> Answer:
        """Run `fab diagnose --json`."""
        project = replace(self.project, env={**self.project.env, **(env or {})})
        began = time.monotonic()
        done = project.fab("diagnose", "-H", self.host.name, "--json", *words, code=None)
        seconds = time.monotonic() - began
        lines = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
        hosts: list[dict[str, Any]] = next(
            (line["hosts"] for line in lines if line.get("hosts")), []
        )
        if not hosts:
            return Answer(seconds, [], {}, done.text)
        return Answer(seconds, hosts[0]["causes"], hosts[0]["evidence"], done.err)

    # --- the host

    def sh(self, script: str, seconds: float = _ASK_SECONDS) -> str:
        """Run a script as root there, with `WORDS`."""
        return self.host.sh(WORDS + script, timeout=seconds)

    def forget(self) -> None:
        self.sh(FORGET)

    def settle(self) -> str:
        """Wait until everything works; returns what does not, "" if all does."""
        wrong = "?"
        until = time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < until and wrong:
            try:
                wrong = self._wrong()
            except LabError as error:
                wrong = str(error)
            if wrong:
                time.sleep(0.3)
        return wrong

    def _wrong(self) -> str:
        where = f"-H 'Host: {NAME}' http://127.0.0.1"
        if self.variant is not None and self.variant.tls:
            where = f"-k --resolve {NAME}:443:127.0.0.1 https://{NAME}"
        paths = [page.path for page in PAGES if not page.size and "*" not in page.path]
        asks = "".join(
            f"curl -s -m 5 -o /dev/null -w '%{{http_code}} ' {where}{path} || true; echo {path};"
            for path in paths
        )
        said = self.sh(asks + 'systemctl is-active "$web" "$worker" nginx 2>/dev/null || true')
        lines = said.splitlines()
        bad = [line for line in lines[: len(paths)] if not line.startswith("200")]
        bad += [line for line in lines[len(paths) :] if line != "active"]
        return ", ".join(bad)

    @contextmanager
    def visited(self, pages: tuple[Page, ...] = PAGES) -> Iterator[Visits]:
        """Visitors of these pages during the block."""
        tls = self.variant is not None and self.variant.tls
        plan = Plan(pages, host=self.name, tls=tls)
        with visiting_by(self.host, visitors.__file__, asdict(plan)) as seen:
            yield seen


@dataclass(frozen=True)
class Answer:
    """What `fab diagnose --json` said, and how long it took."""

    seconds: float
    causes: list[dict[str, Any]]
    evidence: dict[str, Any]
    errors: str

    @property
    def slugs(self) -> list[str]:
        return [one["what"] for one in self.causes]


def new_site(lab: Lab, folder: Path, *, disk_mb: int = DISK_MB) -> Site:
    """The shop on a fresh host, deployed, without traces, its disk saved."""
    host = lab.up(1, disk_mb=disk_mb, packages=PACKAGES)[0]
    host.sh(PREPARE, timeout=120)
    site = Site(host, new_project(folder / "project"))
    site.write(USUAL)
    site.fab("setup")
    site.deploy()
    wrong = site.settle()
    if wrong:
        raise SystemExit(f"the shop does not work: {wrong}")
    site.forget()
    return site
