"""A new kind is one file and one line where kinds are listed: made here as a stranger would."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.host import current, get, status
from tests.kit.processes import running
from tests.kit.project import copied_checkout, fabfile, new_project
from tests.kit.visitors import one_visitor
from tests.kit.waiting import until

# A distribution with a package manager of its own, as far as Cartwheel can tell.
BOX_PROGRAM = """#!/bin/sh
set -e
case "$1" in
  has) test "$(dpkg-query -W -f='${db:Status-Status}' "$2" 2>/dev/null)" = installed ;;
  add)
    shift
    apt-for-box -qq update
    DEBIAN_FRONTEND=noninteractive apt-for-box -qq -y install "$@" ;;
esac
"""
BOX_KIND = '''"""box: a distribution of the tests."""

from __future__ import annotations

from typing import List, Sequence

from cartwheel.host.system import children
from cartwheel.host.system.context import Context, OpError


class Box:
    """A kind of package manager (`manager.PackageManager`)."""

    command = "box"
    base_packages = ("iproute2",)
    python_script = "box add python3\\n"

    def missing(self, names: Sequence[str]) -> List[str]:
        return [n for n in names if children.ask(["box", "has", n], timeout_seconds=9).status]

    def install(self, ctx: Context, names: Sequence[str]) -> None:
        done = children.run(ctx, ["box", "add", *names], timeout_seconds=300)
        if done.status != 0:
            raise OpError("packages", "box: " + done.output.strip().splitlines()[-1])

    def python(self, version: str) -> List[str]:
        return ["python" + version, "python" + version + "-venv"]

    def rest_of(self, python: str, version: str) -> List[str]:
        return [python + "-venv"]
'''
ONE_LINE = (
    "cartwheel/host/packages/kinds.py",
    "(Apt(),)",
    "(Apt(), __import__('cartwheel.host.packages.box', fromlist=['Box']).Box())",
)


@pytest.mark.nightly
def test_a_package_manager(bare_host: LabHost, tmp_path: Path) -> None:
    """It prepares a host, serves `fab packages`, and says its own reason; without it the host is
    refused by name."""
    project = new_project(tmp_path / "project", settings='[host]\npackages = ["tree"]\n')
    bare_host.sh("mv /usr/bin/apt-get /usr/bin/apt-for-box")
    try:
        refused = project.fab("setup", "-H", bare_host.name, code=1)
        assert "CW404" in refused.text
        assert "supported so far: apt-get" in refused.text
        checkout = copied_checkout(tmp_path / "checkout", [ONE_LINE])
        (checkout / "cartwheel/host/packages/box.py").write_text(BOX_KIND)
        project.write("fabfile.py", fabfile(checkout))
        bare_host.sh(f"cat > /usr/bin/box <<'E'\n{BOX_PROGRAM}E\nchmod 755 /usr/bin/box")
        first = project.fab("setup", "-H", bare_host.name)
        assert "installed nginx" in first.text
        assert "installed tree" in first.text
        project.fab("deploy", "-H", bare_host.name)
        text = (project.folder / "config/deploy.toml").read_text()
        project.settings(text.replace('["tree"]', '["tree", "no-such-package"]'))
        unknown = project.fab("packages", "-H", bare_host.name, code=1)
        assert "box: " in unknown.text
        assert "no-such-package" in unknown.text
    finally:
        bare_host.sh("mv /usr/bin/apt-for-box /usr/bin/apt-get")


# A web server that nobody else has. Its sites are files of words: `listen`, `root`, `token`, `log`.
PORTER_PROGRAM = """#!/usr/bin/python3
import http.client, http.server, os, pathlib, signal, socket, sys, threading, time

def sites():
    found = []
    for path in sorted(pathlib.Path("/etc/porter").glob("*.site")):
        site = dict(root="", token="", log="")
        for number, line in enumerate(path.read_text().splitlines(), 1):
            word, _, value = line.partition(" ")
            if word not in ("listen", "root", "token", "log"):
                sys.exit(f"{path}:{number}: {word} is no word of mine")
            site[word] = value
        found.append(site)
    return found

class Upstream(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)

class Porter(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        site, began, said = self.server.site, time.time(), []
        for link in ("current", "fallback"):
            upstream = Upstream(f"{site['root']}/{link}/http.sock", timeout=30)
            try:
                headers = {"Host": "porter", "Connection": "close"}
                upstream.request("GET", self.path, headers=headers)
                answer = upstream.getresponse()
                body = answer.read()
            except OSError:
                said.append((502, upstream.host))
                continue
            said.append((answer.status, upstream.host))
            break
        else:
            body = b"nobody is in"
        self.send_response(said[-1][0])
        self.send_header("Content-Length", str(len(body)))
        token = self.headers.get("X-Cartwheel-Probe", "")
        own = token and token == pathlib.Path(site["token"]).read_text().strip()
        if own:
            release = os.path.realpath(site["root"] + "/current")
            statuses, upstreams = zip(*((str(status), f"unix:{path}") for status, path in said))
            value = f"release={release}; status={', '.join(statuses)}"
            self.send_header("X-Cartwheel-Probe", f"{value}; upstream={', '.join(upstreams)}")
        self.end_headers()
        self.wfile.write(body)
        if site["log"]:
            with open(site["log"], "a") as log:
                whose = "own" if own else "theirs"
                log.write(f"{whose} {began:.3f} {said[0][0]} unix:{said[0][1]}\\n")

    def log_message(self, *_):
        pass

if sys.argv[1] == "version":
    print("porter 1.2")
for site in sites() if sys.argv[1] != "version" else ():
    if sys.argv[1] == "serve":
        server = http.server.ThreadingHTTPServer(("", int(site["listen"])), Porter)
        server.site = site
        threading.Thread(target=server.serve_forever, daemon=True).start()
if sys.argv[1] == "serve":
    signal.pause()
"""
PORTER_UNIT = """[Service]
ExecStart=/usr/bin/porter serve
[Install]
WantedBy=multi-user.target
"""
PORTER_SITE = """listen {{ settings.web.listen }}
root {{ root | porter }}
token {{ root }}/probe.map
log /var/log/porter/{{ app }}.access.log
"""
PORTER_KIND = '''"""porter: a web server of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Iterable, List, Optional, Sequence, Set, Tuple

from cartwheel.host.web.server import Answer, Installed, Request

if TYPE_CHECKING:
    from cartwheel.host.layout import Layout
    from cartwheel.host.web.server import TlsSite
    from cartwheel.host.wire.facts import Server


class Porter:
    """A kind of web server (`server.WebServer`)."""

    name = "porter"
    program = "porter"
    packages = ("tree",)
    unit = "porter.service"
    broken = "nginx-broken"
    refuses = "nginx-refuses"
    site_template = "porter-site.j2"
    tls_template = "porter-tls.j2"
    door_template = "porter-door.j2"
    shared = None
    maintenance_templates = {}
    default_site = Path("/etc/porter/welcome.site")
    version_command = ("porter", "version")
    test_command = ("porter", "test")
    own_folder = None
    dies_of_reload = False
    log = None
    retry_seconds = 0.0
    buffers_answers = True
    limits_rates = False

    def site(self, name: str) -> Path:
        return Path("/etc/porter/{}.site".format(name))

    def logs(self, name: str) -> Tuple[Path, Path]:
        folder = Path("/var/log/porter")
        return folder / (name + ".access.log"), folder / (name + ".error.log")

    def word(self, value: str) -> str:
        if " " in value:
            raise ValueError("a space ends a word")
        return value

    def token_text(self, token: str) -> str:
        return token + "\\n"

    def version_in(self, output: str) -> Optional[str]:
        return output.split()[1] if output else None

    def complaint(self, output: str, staged: object = None) -> str:
        return output.strip()

    def overlooked(self, output: str, laid: Sequence[Tuple[str, str]]) -> str:
        return ""

    def make_room(self, main_pid: int) -> None:
        return

    def main_pid(self, of_unit: int) -> int:
        return of_unit

    def taken_name(self, output: str, names: Sequence[str]) -> Optional[str]:
        return None

    def reads(self, site: Path) -> bool:
        return True

    def shared_text(self) -> str:
        return ""

    def extra_problems(self, text: str) -> List[Tuple[int, str]]:
        return []

    def http2(self, version: str, *, shares_port: bool) -> str:
        return ""

    def tls_of(self, text: str) -> "Optional[TlsSite]":
        return None

    def user(self) -> str:
        return "root"

    def sends_brotli(self) -> bool:
        return False

    def installed(self) -> Installed:
        from cartwheel.host.wire.facts import Server

        found = []
        for path in Path("/etc/porter").glob("*.site"):
            port = int(path.read_text().split()[1])
            found.append(Server(str(path), (port,), (), (port,)))
        return Installed(found)

    def taking_connections(self, pids: Iterable[int]) -> Set[int]:
        return set()

    def live_upstream(self, at: "Layout") -> str:
        return "unix:{}/http.sock".format(at.current)

    def answer(self, header: str) -> Optional[Answer]:
        found = dict(part.split("=", 1) for part in header.split("; "))
        if not found:
            return None
        release = Path(found["release"]).name
        return Answer(release, (found["status"],), (found["upstream"],))

    def request(self, line: bytes) -> Optional[Request]:
        words = line.decode("utf-8", "replace").split()
        if len(words) != 4 or words[0] != "theirs":
            return None
        return Request(words[3], int(words[2]), float(words[1]))

    def look_at(self, line: str) -> "Tuple[Optional[float], bool]":
        return None, False
'''
WEB_LINES = [
    (
        "cartwheel/host/web/kinds.py",
        "(Nginx(), Apache())",
        "(Nginx(), __import__('cartwheel.host.web.porter', fromlist=['Porter']).Porter())",
    ),
    ("cartwheel/settings/toml_tables.py", '"nginx", "apache"', '"nginx", "porter"'),
    ("tasks/__init__.py", '"apache"', '"porter"'),
]
# Its health check is well, and its page is not.
PAGE_FAILS = """
def app(environ, start_response):
    well = environ["PATH_INFO"] == "/healthz"
    start_response("200 OK" if well else "500 Broken", [("Content-Type", "text/plain")])
    return [b"ok" if well else b"broken"]
"""
WATCHED = """[web]
server = "porter"
[health]
path = "/healthz"
"""


@pytest.mark.nightly
def test_a_web_server(bare_host: LabHost, tmp_path: Path) -> None:
    """It is installed, serves the site in place of its own, is tested and reloaded, tells who
    answered and how its visitors fared, and is as before once the application has gone."""
    checkout = copied_checkout(tmp_path / "checkout", WEB_LINES)
    (checkout / "cartwheel/host/web/porter.py").write_text(PORTER_KIND)
    tasks = (checkout / "tasks/nginx.py").read_text()
    (checkout / "tasks/porter.py").write_text(tasks.replace("nginx", "porter"))
    (checkout / "templates/porter-site.j2").write_text(PORTER_SITE)
    project = new_project(tmp_path / "project", settings=WATCHED)
    project.write("fabfile.py", fabfile(checkout))
    on = ("-H", bare_host.name)
    bare_host.sh(f"""mkdir -p /etc/porter /var/log/porter
cat > /usr/bin/porter <<'E'\n{PORTER_PROGRAM}E
chmod 755 /usr/bin/porter
cat > /etc/systemd/system/porter.service <<'E'\n{PORTER_UNIT}E
echo listen 80 > /etc/porter/welcome.site
systemctl daemon-reload; systemctl enable --now porter""")

    assert "installed tree" in project.fab("setup", *on).text
    assert "nginx" not in bare_host.sh("dpkg-query -W -f '${Package} '")
    first = project.fab("deploy", *on)
    assert "porter is reloaded" in first.text
    assert get(bare_host) == "one"
    assert not bare_host.path("/etc/porter/welcome.site").exists()
    project.app("two")
    assert "reloaded" not in project.fab("deploy", *on).text
    assert get(bare_host) == "two"

    assert "healthy through porter" in project.fab("doctor", *on).text
    assert "porter-access" in project.fab("logs", *on).text
    assert project.fab("porter.test", *on).code == 0
    bare_host.sh("systemctl stop porter")
    assert "porter does not run" in project.fab("status", *on, code=1).text
    project.fab("porter.reload", *on)
    project.fab("status", *on)

    project.write("app/app.py", PAGE_FAILS)
    with one_visitor(bare_host):
        gone_back = project.fab("deploy", *on, code=int(Exit.REVERTED))
    assert "failed with 5xx" in gone_back.text
    assert get(bare_host) == "two"
    project.write("templates/porter-site.j2", "lisen 80\n")
    refused = project.fab("deploy", *on, code=1)
    site = "/etc/porter/shop.site"
    assert f"porter rejects the rendered site: {site}:1: lisen is no word of mine" in refused.text

    project.fab("uninstall", "--yes", *on)
    assert bare_host.sh("ls /etc/porter /var/log/porter").split() == [
        *("/etc/porter:", "welcome.site", "/var/log/porter:")
    ]
    assert status(bare_host) == 502


MAILER_KIND = '''"""mailer: a process that says by a file that it is ready."""

from __future__ import annotations

from typing import Optional

from cartwheel.host.layout import Layout
from cartwheel.host.process.drain import Quiet
from cartwheel.host.process.kind import Proof
from cartwheel.host.process.worker import Worker
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import Instance

_LOOKS = 20


class Mailer:
    """A kind of process (`kind.Process`)."""

    def runs(self, process: str) -> bool:
        return process == "mailer"

    def prove(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> str:
        proof = self.proof(ctx, at, one, probe)
        while proof():
            ctx.pause(0.1)
        return "the mailer is ready"

    def proof(self, ctx: Context, at: Layout, one: Instance, probe: Probe) -> Proof:
        looks = []

        def lacks() -> str:
            looks.append(one)
            if (at.shared / f"ready-{one.release}").exists():
                return ""
            if len(looks) > _LOOKS:
                raise OpError("not-ready", "the mailer has not said that it is ready")
            return "its file is not there yet"

        return lacks

    def problem(
        self, at: Layout, one: Instance, probe: Probe, state: UnitState
    ) -> str:
        return Worker().problem(at, one, probe, state)

    def queue(self, at: Layout, one: Instance) -> Optional[Quiet]:
        return None

    def end(self, at: Layout, one: Instance, queue: Optional[Quiet]) -> bool:
        return Worker().end(at, one, queue)

    def discard(self, at: Layout, one: Instance) -> None:
        Worker().discard(at, one)
'''
ONE_LINE_OF_PROCESSES = (
    "cartwheel/host/process/kinds.py",
    "(Web(), Worker())",
    "(Web(), __import__('cartwheel.host.process.mailer', fromlist=['Mailer']).Mailer(), Worker())",
)
MAILER = """
[processes.mailer]
command = "sh -c 'touch ready-$CARTWHEEL_RELEASE; exec sleep 9999'"
"""


@pytest.mark.nightly
def test_a_process(host: LabHost, tmp_path: Path) -> None:
    """A process of its own kind is started, proved and kept by the same switch and way back."""
    project = new_project(tmp_path / "project", settings=MAILER)
    checkout = copied_checkout(tmp_path / "checkout", [ONE_LINE_OF_PROCESSES])
    (checkout / "cartwheel/host/process/mailer.py").write_text(MAILER_KIND)
    project.write("fabfile.py", fabfile(checkout))
    for task in ("setup", "deploy"):
        project.fab(task, "-H", host.name)
    first = current(host, "shop")
    assert running(host) == {"web": 1, "mailer": 1}
    settings = (project.folder / "config/deploy.toml").read_text()
    project.settings(settings.replace("touch", "echo it does not touch"))
    failed = project.fab("deploy", "-H", host.name, code=3)
    assert "the mailer has not said that it is ready" in failed.text
    assert current(host, "shop") == first
    assert running(host) == {"web": 1, "mailer": 1}
    project.settings(settings)
    project.app("the next one")
    project.fab("deploy", "-H", host.name)
    assert running(host) == {"web": 1, "mailer": 1}
    until(lambda: "draining" not in project.fab("ps", "-H", host.name).text)
    project.fab("uninstall", "--yes", "-H", host.name)
    assert host.sh("ls /etc/systemd/system | grep cartwheel-shop || true") == ""
