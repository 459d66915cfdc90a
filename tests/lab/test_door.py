"""Rules and limits of the site on a real host: from the first deploy to the last, in order."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import current, journal, main_pids
from tests.kit.project import SHOP, Project, new_project
from tests.kit.web_servers import APACHE, NGINX, SERVERS, Server
from tests.lab.conftest import GetHosts
from tests.unit.host.test_shared_file import longest_sites

pytestmark = pytest.mark.timeout(300)

NAME, WWW = "shop.example.org", "www.shop.example.org"
NAMES = f"""
server_names = ["{NAME}"]
redirect_names = ["{WWW}"]
"""
RULES = """
[web.paths."/admin/"]
users = { file = "team" }
[web.paths."/lan/"]
allow = ["192.0.2.0/24"]
"""


APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


def hashed(password: str) -> str:
    done = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"],
        input=password,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def settings(server: Server, more: str = "") -> str:
    return SHOP + server.web + NAMES + more


ONE, TWO = hashed("one"), hashed("two")


@pytest.fixture(scope="module")
def project(
    web_server: Server, web_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.write("app/app.py", APP)
    project.write("team", f"ann:{ONE}\n")
    project.settings(settings(web_server))
    project.fab("setup", "-H", web_host.name)
    yield project


def status(host: LabHost, path: str, *options: str, name: str = NAME) -> str:
    words = ["curl", "-s", "-o /dev/null", "-w '%{http_code} %{redirect_url}'", *options]
    return host.sh(" ".join([*words, f"-H 'Host: {name}'", f"'http://127.0.0.1{path}'"])).strip()


def deploy(project: Project, host: LabHost, code: int = 0) -> str:
    return project.fab("deploy", "-H", host.name, code=code).text


def test_rules_hold_from_the_first_deploy_on(
    project: Project, web_server: Server, web_host: LabHost
) -> None:
    project.settings(settings(web_server, RULES))
    planned = project.fab("plan", "-H", web_host.name).text
    assert "users of /admin/ are new" in planned
    assert ONE not in planned
    deploy(project, web_host)
    assert status(web_host, "/") == "200"
    assert status(web_host, "/admin/x") == "401"
    assert status(web_host, "/admin/x", "-u ann:one") == "200"
    assert status(web_host, "/lan/") == "403"
    assert status(web_host, "/a?b", name=WWW) == f"301 http://{NAME}/a?b"
    assert web_server.warnings(web_host) == []
    assert "healthy" in project.fab("status", "-H", web_host.name).text
    modes = web_host.sh("cd /srv/shop && stat -c '%a %U:%G' users users/*").split("\n")
    assert modes[:2] == ["750 root:www-data", "640 root:www-data"]
    assert web_host.sh("runuser -u shop -- cat /srv/shop/users/* 2>&1 || true").count("denied")


def test_no_hash_is_anywhere_else(project: Project, web_server: Server, web_host: LabHost) -> None:
    folders = f"/srv {web_server.etc} /var/lib/cartwheel /var/log /run"
    found = web_host.sh(f"grep -rlF -e 'ann:$6$' {folders} 2>/dev/null || true")
    assert all(one.startswith("/srv/shop/users/") for one in found.split()), found
    assert "$6$" not in web_host.sh("journalctl --no-pager")


def test_a_changed_password_is_no_release_and_no_restart(
    project: Project, web_host: LabHost
) -> None:
    before = (current(web_host, "shop"), main_pids(web_host, "shop"))
    project.write("team", f"ann:{TWO}\n")
    planned = project.fab("plan", "-H", web_host.name).text
    assert "stays, and its users change" in planned
    assert "users of /admin/ change" in planned
    project.fab("plan", "-H", web_host.name, "--exit-code", code=10)
    told = deploy(project, web_host)
    assert "users of /admin/ change" in told
    assert TWO not in planned + told
    assert status(web_host, "/admin/", "-u ann:one") == "401"
    assert status(web_host, "/admin/", "-u ann:two") == "200"
    assert before == (current(web_host, "shop"), main_pids(web_host, "shop"))
    project.fab("plan", "-H", web_host.name, "--exit-code", code=0)


@pytest.mark.nightly
def test_a_file_of_users_with_a_mistake_changes_nothing(
    project: Project, web_host: LabHost
) -> None:
    seen = len(journal(web_host, "shop"))
    project.write("team", "ann:$2y$12$" + "x" * 53 + "\n")
    told = deploy(project, web_host, code=2)
    assert 'web.paths."/admin/".users: team:1: bcrypt takes the web server too long' in told
    assert "CW114" in told
    assert "x" * 53 not in told
    assert len(journal(web_host, "shop")) == seen
    project.write("team", f"ann:{TWO}\n")


def test_lines_that_the_web_server_refuses_change_nothing(
    project: Project, web_server: Server, web_host: LabHost
) -> None:
    place = web_server.site("shop")
    site = web_host.sh(f"cat {place}")
    extra = f'extra = """\n{web_server.header.format("A", "b")}\n{web_server.mistake}\n"""\n'
    project.settings(settings(web_server, extra + RULES))
    told = deploy(project, web_host, code=1)
    assert f"{web_server.name} rejects line 2 of web.extra: " in told
    assert web_server.mistake_said in told
    assert web_host.sh(f"cat {place}") == site
    well = extra.replace(web_server.mistake, web_server.header.format("C", "d"))
    project.settings(settings(web_server, well + RULES))
    deploy(project, web_host)
    assert "C: d" in web_host.sh(f"curl -si -H 'Host: {NAME}' http://127.0.0.1/")


@pytest.mark.nightly
def test_without_rules_nothing_is_left(
    project: Project, web_server: Server, web_host: LabHost
) -> None:
    project.settings(settings(web_server))
    deploy(project, web_host)
    assert status(web_host, "/admin/") == "200"
    assert web_host.sh("ls /srv/shop/users 2>&1 || true").count("No such file") == 1


@pytest.mark.nightly
def test_the_shared_file_goes_with_the_last_application(
    project: Project, web_server: Server, web_host: LabHost
) -> None:
    project.settings(settings(web_server, RULES))
    deploy(project, web_host)
    project.fab("uninstall", "-H", web_host.name, "--yes")
    assert web_host.sh(f"ls /srv; find {web_server.etc} -name '*cartwheel*'").split() == []


def deployed(
    hosts: GetHosts, folder: Path, server: Server, more: str = ""
) -> tuple[Project, LabHost]:
    """A host of its own, with a release."""
    (host,) = hosts()
    host.reset()
    project = new_project(folder)
    project.write("app/app.py", APP)
    project.settings(settings(server, more))
    project.fab("setup", "-H", host.name)
    deploy(project, host)
    return project, host


@pytest.mark.nightly
def test_what_somebody_else_tells_nginx_is_left_out(hosts: GetHosts, tmp_path: Path) -> None:
    """It refuses most directives a second time: our file gives way by itself."""
    project, host = deployed(hosts, tmp_path, NGINX)
    ours, theirs = NGINX.shared, "/etc/nginx/conf.d/a.conf"
    assert "server_names_hash_bucket_size 512;" in host.sh(f"cat {ours}")
    host.sh(f"echo 'server_names_hash_bucket_size 256;' >{theirs}; ! nginx -t -q 2>&1")
    doctor = project.fab("doctor", "-H", host.name, code=1).text
    assert f"writes {ours} again, without what other files say" in doctor
    assert f"{ours} is written again" in project.fab("plan", "-H", host.name).text
    deploy(project, host)
    assert "server_names_hash_bucket_size" not in host.sh(f"cat {ours}; nginx -t -q")
    project.fab("plan", "-H", host.name, "--exit-code", code=0)
    host.sh(f"rm {theirs}")
    deploy(project, host)
    assert "server_names_hash_bucket_size 512;" in host.sh(f"cat {ours}; nginx -t -q")


@pytest.mark.nightly
def test_what_somebody_else_tells_apache_is_left_out(hosts: GetHosts, tmp_path: Path) -> None:
    """It refuses a second `Listen` for a port; a module of ours may become the host's."""
    project, host = deployed(hosts, tmp_path, APACHE, "listen = 8080\n")
    ours, theirs = APACHE.site("shop"), "/etc/apache2/conf-enabled/theirs.conf"
    assert "Listen 8080" in host.sh(f"cat {ours}")
    host.sh(f"a2enmod -q rewrite; echo 'Listen 8080' >{theirs}; ! apache2ctl -t 2>&1")
    doctor = project.fab("doctor", "-H", host.name, code=1).text
    assert f"writes {ours} again, without what other files say" in doctor
    deploy(project, host)
    assert "Listen" not in host.sh(f"cat {ours}")
    assert APACHE.warnings(host) == []
    project.fab("plan", "-H", host.name, "--exit-code", code=0)
    host.sh(f"rm {theirs}")
    deploy(project, host)
    assert "Listen 8080" in host.sh(f"cat {ours}")


EVERYTHING = """
error_pages = "pages"
header_timeout_seconds = 20
body_timeout_seconds = 20
extra = "{extra}"
{limit}
[web.paths."/admin/"]
users = {{ file = "team" }}
deny = ["198.51.100.7", "2001:db8::/32"]
[web.paths."/admin/hook"]
public = true
[web.paths."/up/"]
client_max_body_size = "20m"
timeout_seconds = 300
"""


@pytest.mark.nightly
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("suite", ["bullseye", "bookworm", "trixie"])
def test_every_setting_on_every_suite(
    hosts: GetHosts, tmp_path: Path, suite: str, server: Server
) -> None:
    """nginx 1.18, 1.22 and 1.26, and Apache of Debian 11 to 13, without a warning."""
    (host,) = hosts(suite=suite, packages=server.packages)
    host.reset()
    project = new_project(tmp_path)
    project.write("app/app.py", APP)
    project.write("app/pages/401.html", "who are you?")
    project.write("team", f"ann:{ONE}\n")
    limit = 'rate_limit = "100/s"' if server is NGINX else ""
    extra = server.header.format("X-Frame-Options", "DENY")
    project.settings(settings(server, EVERYTHING.format(extra=extra, limit=limit)))
    project.fab("setup", "-H", host.name)
    deploy(project, host)
    assert server.warnings(host) == []
    assert status(host, "/") == "200"
    assert status(host, "/admin/") == "401"
    assert host.sh(f"curl -s -H 'Host: {NAME}' http://127.0.0.1/admin/") == "who are you?"
    assert status(host, "/admin/", "-u ann:one") == "200"
    assert status(host, "/admin/hook") == "200"
    assert status(host, "/a", name=WWW) == f"301 http://{NAME}/a"
    sites = longest_sites(8099, server.name)
    for name, text in sites.items():
        host.path(server.site(name)).write_text(text)
    assert server.warnings(host) == []
    host.sh(f"rm {server.site('a[0-9]*')}")
    project.fab("uninstall", "-H", host.name, "--yes")


# What the application is told of its path, in the words of WSGI or ASGI.
BELOW = {
    "wsgi": """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]
""",
    "asgi": """
async def app(scope, receive, send):
    body = f"{scope['root_path']} {scope['path'].removeprefix(scope['root_path'])}".encode()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
""",
}


@pytest.mark.nightly
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("kind", ["wsgi", "asgi", "uvicorn"])
def test_below_a_path(hosts: GetHosts, tmp_path: Path, kind: str, server: Server) -> None:
    (host,) = hosts(packages=server.packages)
    host.reset()
    project = new_project(tmp_path)
    project.write("app/app.py", BELOW["wsgi" if kind == "wsgi" else "asgi"])
    project.write("app/requirements.txt", "")
    lifespan = "" if kind == "wsgi" else '\nlifespan = "off"'
    served = SHOP.replace("[gunicorn]", f'[gunicorn]\nkind = "{kind}"{lifespan}')
    web = server.web + NAMES
    project.settings(served + web + 'prefix = "/shop"\n')
    project.fab("setup", "-H", host.name)
    deploy(project, host)
    ask = f"curl -s -H 'Host: {NAME}' http://127.0.0.1"
    assert host.sh(f"{ask}/shop/a%20b") == "/shop /a b"
    assert host.sh(f"{ask}/shop/") == "/shop /"
    assert status(host, "/") == "404"
    assert status(host, "/shop?a").endswith("/shop/?a")
    assert "healthy" in project.fab("status", "-H", host.name).text
    project.settings(served + web)
    deploy(project, host)
    assert host.sh(f"{ask}/a").strip() == "/a"
    project.fab("uninstall", "-H", host.name, "--yes")
