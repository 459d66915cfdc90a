"""Static files that a command makes, and media that the running app writes, on a real host."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.fab import fab
from tests.kit.host import await_sessions, current, get, releases, status
from tests.kit.project import SHOP, Done, Project, new_project
from tests.kit.tiers import tiered
from tests.kit.visitors import loaded
from tests.kit.web_servers import SERVERS, Server
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(300)

MIGRATE = """migrate = 'test -e "$STATIC_ROOT/app.js" && echo "$STATIC_ROOT" > migrated'"""
FILES = """
[web.static]
"/made/" = { command = "python make.py", timeout_seconds = 20 }
"/own/" = "pages"
[web.media]
"/media/" = "up/media"
"""
# Uploads as frameworks do: files and folders as open() and makedirs() make them.
APP = """
import json, os, subprocess
MEDIA = os.path.join(os.environ["HOME"], "up/media")
TEXT = "{text}"
assert os.path.exists(os.environ["STATIC_ROOT"] + "/app.js"), "made before the app is loaded"

def app(environ, start_response):
    path, answer = environ["PATH_INFO"], TEXT
    if environ["REQUEST_METHOD"] == "POST":
        target = os.path.join(MEDIA, path.strip("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(environ["wsgi.input"].read())
    elif path == "/healthz":
        answer = "ok"
    elif path == "/try":
        done = subprocess.run(["sh", "-c", environ["QUERY_STRING"].replace("+", " ")],
                              capture_output=True, text=True)
        answer = done.stdout + done.stderr
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""
MAKE = """
import hashlib, os
root = os.environ["STATIC_ROOT"]
text = b"console.log('{text}')"
os.makedirs(root + "/deep")
for name in ("app.js", "deep/app.js", "app." + hashlib.md5(text).hexdigest()[:12] + ".js"):
    with open(os.path.join(root, name), "wb") as file:
        file.write(text)
with open(root + "/names", "w") as file:
    file.write(hashlib.md5(text).hexdigest()[:12])
{more}
"""


def settings(server: Server) -> str:
    return SHOP.replace("[deploy]\n", f"[deploy]\n{MIGRATE}\n") + server.web + FILES


def write(project: Project, text: str, more: str = "") -> None:
    project.write("app/app.py", APP.replace("{text}", text))
    project.write("app/make.py", MAKE.replace("{text}", text).replace("{more}", more))
    project.write("app/requirements.txt", "")
    project.write("app/pages/a.css", f"a {{ content: '{text}' }}")


@pytest.fixture(scope="module")
def shop(
    web_server: Server, web_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    project = new_project(tmp_path_factory.mktemp("static"))
    project.settings(settings(web_server))
    write(project, "one")
    project.fab("setup", "-H", web_host.name)
    project.fab("deploy", "-H", web_host.name)
    return project


def deploy(project: Project, host: LabHost, *words: str, code: int = 0) -> Done:
    return project.fab("deploy", "-H", host.name, *words, code=code)


def upload(host: LabHost, name: str, text: str) -> None:
    request = urllib.request.Request(host.url(f"/{name}"), text.encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def head(host: LabHost, path: str) -> dict[str, str]:
    with urllib.request.urlopen(host.url(path), timeout=10) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}


def hashed(host: LabHost) -> str:
    return f"/made/app.{get(host, '/made/names')}.js"


def test_made_and_uploaded_files_are_served_while_releases_change(
    shop: Project, web_host: LabHost
) -> None:
    host = web_host
    made, own = hashed(host), head(host, "/own/a.css")
    assert get(host, made) == "console.log('one')"
    assert "immutable" in head(host, made)["cache-control"]
    assert own["cache-control"] == "no-cache"
    upload(host, "2026/11/a.svg", "<svg/>")
    assert get(host, "/media/2026/11/a.svg") == "<svg/>"
    assert head(host, "/media/2026/11/a.svg")["content-security-policy"] == "sandbox"
    assert_closed(host)
    visitor = {"close": 1, "keep_alive": 1, "slow": 0, "upload": 0, "stream": 0}
    with loaded(
        host, path=made, release_pattern="log.'(.+)'", pause_seconds=0.02, **visitor
    ) as one:
        write(shop, "two")
        deploy(shop, host)
    one.assert_served_by({"one"})
    assert (get(host), hashed(host) != made) == ("two", True)
    assert get(host, hashed(host)) == "console.log('two')"
    assert head(host, "/own/a.css")["etag"] != own["etag"]
    assert get(host, "/media/2026/11/a.svg") == "<svg/>"


def assert_closed(host: LabHost) -> None:
    """Nobody else reads anything of the application, and it cannot change what it has made."""
    host.sh("id mallory >/dev/null 2>&1 || useradd --create-home mallory")
    find = "find /srv/shop -readable ! -type l -print 2>/dev/null || true"
    assert host.sh(f"runuser -u mallory -- {find}") == ""
    writes = "find /srv/shop/releases -writable ! -type l -print 2>/dev/null || true"
    assert host.sh(f"runuser -u shop -- {writes}") == ""
    modes = host.sh("find /srv/shop/current/static -printf '%m %u:%g %y\\n' | sort -u").split("\n")
    assert set(modes) - {""} == {"755 root:root d", "644 root:root f"}
    release = host.sh("readlink -f /srv/shop/current").strip()
    assert host.sh("cat /srv/shop/shared/migrated").strip() == f"{release}/static"
    done = host.sh("stat -c '%a %U:%G' /srv/shop/shared/up/media").strip()
    assert done in ("2750 shop:shop-http", "2710 shop:shop-http")


# --- what a command may not do ------------------------------------------------------------

# What it does in addition: its slug, and what the message says.
WRONG = {
    "fails": ("raise SystemExit(3)", "CW422", "python make.py ended with 3"),
    "makes nothing": (
        "import shutil; shutil.rmtree(root + '/deep'); os.remove(root + '/names')\n"
        "for one in os.listdir(root): os.remove(os.path.join(root, one))",
        "CW422",
        "made no file in STATIC_ROOT (/srv/shop/releases/",
    ),
    "takes too long": ("import time; time.sleep(60)", "CW422", "did not end within 3 s"),
    "goes on": (
        "import subprocess; file = open(root + '/deep/late', 'w')\n"
        "subprocess.Popen(['sleep', '20'], stdout=file, start_new_session=True)",
        "CW422",
        "still writes /srv/shop/releases/",
    ),
    "a link": (
        "os.symlink('/etc/passwd', root + '/deep/l')",
        "CW423",
        "/static/deep/l, which is a",
    ),
    "a link to a folder": (
        "os.symlink('/etc', root + '/l')",
        "CW423",
        "/static/l, which is a link",
    ),
    "a hard link": ("os.link(root + '/app.js', root + '/l')", "CW423", "hard link"),
    "a pipe": ("os.mkfifo(root + '/p\\xe9')", "CW423", "/static/p\u00e9, which is a pipe"),
    "a socket": (
        "import socket; os.chdir(root); socket.socket(socket.AF_UNIX).bind('s')",
        "CW423",
        "/static/s, which is a socket",
    ),
    "a setuid file": ("os.chmod(root + '/app.js', 0o4755)", "CW423", "a setuid or setgid file"),
    "changes the code": (
        "open(os.environ['CARTWHEEL_CODE'] + '/app.py', 'a').write('#')",
        "CW422",
        "python make.py ended with 1",
    ),
}


@pytest.mark.parametrize("case", tiered(WRONG, nightly=set(WRONG) - {"a link"}))
def test_a_command_that_is_refused_changes_nothing(
    shop: Project, web_server: Server, web_host: LabHost, case: str
) -> None:
    more, number, says = WRONG[case]
    host = web_host
    before, made, there = current(host, "shop"), hashed(host), releases(host, "shop")
    usual = settings(web_server)
    shop.settings(usual.replace("timeout_seconds = 20", "timeout_seconds = 3"))
    write(shop, case, more)
    done = deploy(shop, host, code=1)
    (line,) = [line for line in done.err.splitlines() if line.endswith(f"[{number}]")]
    assert says in line
    assert 'web.static."/made/"' in line
    assert 'File "/usr/local/lib/cartwheel' not in done.err
    assert current(host, "shop") == before
    assert get(host, made).startswith("console.log(")
    await_sessions(host)
    assert releases(host, "shop") == there
    shop.settings(usual)


@pytest.mark.nightly
def test_a_deploy_that_is_killed_in_the_command_is_done_again(
    shop: Project, web_host: LabHost
) -> None:
    host = web_host
    before = current(host, "shop")
    slow = "import time; home = os.environ['HOME']\n"
    slow += "if not os.path.exists(home + '/quick'):\n    open(root + '/old', 'w').write('x')\n"
    slow += "    time.sleep(15)"
    write(shop, "killed", slow)
    with fab(shop, "deploy", "-H", host.name) as running:
        running.wait_for(("static", "start"))
        time.sleep(1)
        running.process.kill()
        running.end()
    await_sessions(host)
    assert current(host, "shop") == before
    assert host.sh("pgrep -af '[m]ake.py' || true") == ""
    host.sh("touch /srv/shop/shared/quick")
    deploy(shop, host)
    assert get(host) == "killed"
    assert status(host, "/made/old") == 404
    assert get(host, hashed(host)) == "console.log('killed')"
    host.sh("rm /srv/shop/shared/quick")


@pytest.mark.nightly
def test_a_releases_files_stay_with_it(shop: Project, web_host: LabHost) -> None:
    """The command runs once for a release; a rollback brings its files back, damage is found."""
    host = web_host
    count = "open(os.environ['HOME'] + '/runs', 'a').write('x')"
    write(shop, "first", count)
    deploy(shop, host)
    first = hashed(host)
    assert "nothing to do" in shop.fab("plan", "-H", host.name).out
    deploy(shop, host)
    write(shop, "second", count)
    text = shop.fab("plan", "-H", host.name).out
    assert "/made/ serves what `python make.py` makes" in text
    deploy(shop, host)
    assert get(host, first) == "console.log('first')"
    assert host.sh("cat /srv/shop/shared/runs") == "xx"
    shop.fab("rollback", "-H", host.name)
    assert hashed(host) == first
    assert shop.fab("run", "-H", host.name, "--command", "ls $STATIC_ROOT").out.count("app.js")
    assert "STATIC_ROOT" in shop.fab("env.list", "-H", host.name).out
    host.sh("rm -r /srv/shop/current/static")
    assert "static is missing" in shop.fab("doctor", "-H", host.name, code=None).text
    write(shop, "first", count)
    deploy(shop, host)
    assert hashed(host) == first
    assert host.sh("cat /srv/shop/shared/runs") == "xxx"


ATTACKS = (
    "ln -sf /etc/passwd up/media/x",
    "ln -sf /srv/shop/current/gunicorn.conf.py up/media/x",
    "ln -sfn /etc up/media/x",
    "ln -f LOG up/media/x",
    "ln -f /etc/hostname up/media/x",
    "ln -f /srv/shop/current/static/app.js up/media/x",
)


@pytest.mark.nightly
def test_the_app_cannot_lead_the_web_server_out_of_media(
    shop: Project, web_server: Server, web_host: LabHost
) -> None:
    host = web_host
    for attack in ATTACKS:
        command = attack.replace("LOG", web_server.access_log("shop"))
        said = get(host, "/try?" + command.replace(" ", "+"))
        path = "/media/x/hostname" if "-sfn" in attack else "/media/x"
        assert status(host, path) == 404, said
        get(host, "/try?rm+-f+up/media/x")
    before = current(host, "shop")
    get(host, "/try?mv+up/media+up/kept;ln+-s+/etc+up/media")
    assert status(host, "/media/hostname") == 404
    write(shop, "after the attack")
    done = deploy(shop, host, code=1)
    assert "/srv/shop/shared/up/media is a link or no folder" in done.err
    assert "[CW424]" in done.err
    assert current(host, "shop") == before
    assert "is a link or no folder" in shop.fab("restart", "-H", host.name).text, "only a note"
    get(host, "/try?rm+up/media;mv+up/kept+up/media")
    deploy(shop, host)
    upload(host, "again.txt", "x")
    assert get(host, "/media/again.txt") == "x"


@pytest.mark.nightly
def test_a_closed_folder_of_an_older_host_is_opened_for_the_web_server_alone(
    shop: Project, web_host: LabHost
) -> None:
    """And what is there already is served from then on."""
    host = web_host
    host.sh(
        "cd /srv/shop/shared && mkdir -p up/media/old && echo old > up/media/old/a.txt"
        " && chown -R shop:shop up && chmod -R u=rwX,go= up && chgrp shop . && chmod 700 ."
        " && install -m 600 -o root -g root /dev/null up/media/old/roots"
    )
    assert status(host, "/media/old/a.txt") in (403, 404)
    write(shop, "opened")
    deploy(shop, host)
    assert get(host, "/media/old/a.txt") == "old\n"
    assert_closed(host)
    assert (
        host.sh("stat -c %a:%U:%G /srv/shop/shared/up/media/old/roots").strip() == "600:root:root"
    )
    assert host.sh("stat -c %a /srv/shop/shared").strip() == "710"
    host.sh(
        "runuser -u shop -- sh -c 'umask 027; mkdir -p /srv/shop/shared/up/media/new/deep;"
        " echo x > /srv/shop/shared/up/media/new/deep/a.txt'"
    )
    assert get(host, "/media/new/deep/a.txt") == "x\n"


@pytest.mark.nightly
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_other_versions(hosts: GetHosts, tmp_path: Path, suite: str, server: Server) -> None:
    """Its test says nothing of the site."""
    host = hosts(1, suite, packages=server.packages)[0]
    host.reset()
    project = new_project(tmp_path)
    project.settings(settings(server))
    write(project, "one")
    project.fab("setup", "-H", host.name)
    deploy(project, host)
    made = hashed(host)
    upload(host, "a.txt", "up")
    assert get(host, "/media/a.txt") == "up"
    assert "immutable" in head(host, made)["cache-control"]
    assert server.warnings(host) == []
    write(project, "two")
    deploy(project, host)
    assert get(host, made) == "console.log('one')"
    assert_closed(host)


@pytest.mark.nightly
def test_brotli_files_where_the_web_server_can_send_them(
    shop: Project, web_server: Server, web_host: LabHost
) -> None:
    host, usual = web_host, settings(web_server)
    write(shop, "brotli", "open(root + '/app.js.br', 'w').write('ready')")
    deploy(shop, host)
    asked = "curl -s -o - -D - -H 'Accept-Encoding: gzip, br' http://localhost/made/app.js"
    if web_server.brotli_package:
        assert "Content-Encoding: br" not in host.sh(asked)
        shop.settings(usual + f'[host]\npackages = ["{web_server.brotli_package}"]\n')
        shop.fab("packages", "-H", host.name)
        deploy(shop, host)
    said = host.sh(asked)
    assert "Content-Encoding: br" in said
    assert said.endswith("ready")
    assert get(host, "/made/app.js") == "console.log('brotli')"
    assert web_server.warnings(host) == []
