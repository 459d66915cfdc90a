"""Apache in front of an application: beside a site of the host's own, from setup to uninstall, one
story in order on every suite. What both web servers promise is tried with both elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import await_sessions, current, footprint, get, status
from tests.kit.project import SHOP, Done, Project, new_project
from tests.kit.tiers import tiered
from tests.kit.visitors import at_front_page
from tests.kit.waiting import until
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(300)

NAME, BLOG = "shop.example.org", "blog.example.org"
SITE = "/etc/apache2/cartwheel/cartwheel-shop.conf"
SHARED = "/etc/apache2/sites-enabled/zz-cartwheel.conf"
# A host where Apache has a site of somebody else's.
PREPARED = f"""
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update && apt-get -qq install apache2 curl >/dev/null
echo 'ServerName {BLOG}' >/etc/apache2/conf-enabled/name.conf
mkdir -p /var/www/blog && echo blog >/var/www/blog/index.html
cat >/etc/apache2/sites-available/blog.conf <<'.'
<VirtualHost *:80>
    ServerName {BLOG}
    DocumentRoot /var/www/blog
</VirtualHost>
.
a2dissite -q 000-default && a2ensite -q blog && systemctl reload apache2
"""
# Its health check is well, and its page is not.
PAGE_FAILS = """
def app(environ, start_response):
    well = environ["PATH_INFO"] == "/healthz"
    start_response("200 OK" if well else "500 Broken", [("Content-Type", "text/plain")])
    return [b"ok" if well else b"broken"]
"""
WATCHED = '[health]\npath = "/healthz"\ndeadline_seconds = 10\n'
WEB = f'[web]\nserver = "apache"\nserver_names = ["{NAME}"]\n'


def settings(web: str = WEB) -> str:
    return SHOP.replace("[health]\ndeadline_seconds = 10\n", WATCHED) + web


@dataclass(frozen=True)
class Stage:
    """A host, what was on it before setup, and a project."""

    host: LabHost
    before: set[str]
    project: Project

    def fab(self, *words: str, code: int | None = 0) -> Done:
        return self.project.fab(*words, "-H", self.host.name, code=code)

    def release(self, text: str) -> str:
        self.project.app(text)
        self.fab("deploy")
        assert get(self.host, name=NAME) == text
        return current(self.host, "shop")

    def workers(self) -> set[str]:
        return set(self.host.sh("pgrep -P $(cat /run/apache2/apache2.pid)").split())


def roots(host: LabHost) -> set[str]:
    return footprint(host, "/etc/apache2", "/etc/systemd", "/srv", "/usr/local")


@pytest.fixture(
    scope="module",
    params=tiered(["bullseye", "bookworm", "trixie"], nightly={"bullseye", "trixie"}),
)
def stage(
    request: pytest.FixtureRequest, hosts: GetHosts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    host = hosts(1, request.param)[0]
    host.reset()
    host.sh(PREPARED, timeout=180)
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(settings())
    project.app("one")
    yield Stage(host, roots(host), project)
    host.reset()


def test_a_first_deploy_beside_another_site(stage: Stage) -> None:
    assert "installed apache2" not in stage.fab("setup").text
    planned = stage.fab("plan").text
    assert "apache is reloaded" in planned
    assert "gunicorn.threads = 8" in planned
    stage.fab("deploy")
    assert get(stage.host, name=NAME) == "one"
    assert get(stage.host, name=BLOG).strip() == "blog"
    assert get(stage.host, name="unknown.example.org").strip() == "blog", "still the default site"
    assert stage.host.sh("apache2ctl -t 2>&1").strip() == "Syntax OK"
    assert "nginx" not in stage.host.sh("dpkg-query -W -f '${Package} '")


def test_a_release_goes_live_and_back_without_a_reload(stage: Stage) -> None:
    first, workers = current(stage.host, "shop"), stage.workers()
    with at_front_page(stage.host, host=NAME, slow=0) as visitors:
        second = stage.release("two")
        stage.fab("rollback")
    assert current(stage.host, "shop") == first != second
    assert visitors.result["failed"] == 0, json.dumps(visitors.result, indent=1)
    assert set(visitors.result["releases"]) == {"one", "two"}
    assert stage.workers() >= workers, "it was reloaded"


def test_what_is_said(stage: Stage) -> None:
    assert "healthy through apache" in stage.fab("doctor").text
    assert "healthy" in stage.fab("status").text
    assert "apache-access" in stage.fab("logs", "--source", "apache").text
    assert "no such source" in stage.fab("logs", "--source", "nginx", code=2).text
    assert "OK" in stage.fab("apache.test").text
    assert "the host has no nginx" in stage.fab("nginx.test", code=1).text
    stage.fab("apache.reload")
    assert get(stage.host, name=NAME) == "one"


@pytest.mark.nightly
def test_a_release_whose_pages_fail_goes_back(stage: Stage) -> None:
    stage.project.write("app/app.py", PAGE_FAILS)
    with at_front_page(stage.host, host=NAME, slow=0, close=3, pause_seconds=0.02):
        gone_back = stage.fab("deploy", code=3)
    assert "failed with 5xx" in gone_back.text
    assert get(stage.host, name=NAME) == "one"


@pytest.mark.nightly
def test_a_release_that_dies_is_answered_for_and_goes_back(stage: Stage) -> None:
    """The old instance answers until the host is back on it."""
    stage.project.write(
        "app/app.py",
        "import os, threading\n"
        + PAGE_FAILS.replace("def app", "threading.Timer(1.5, os._exit, [1]).start()\ndef app"),
    )
    with at_front_page(stage.host, host=NAME, slow=0) as visitors:
        stage.fab("deploy", code=None)
    assert visitors.result["failed"] == 0, json.dumps(visitors.result, indent=1)
    assert get(stage.host, name=NAME) == "one"


@pytest.mark.nightly
def test_a_broken_configuration_is_found_before_anything_changes(stage: Stage) -> None:
    stage.host.sh("echo SeverName x >/etc/apache2/sites-enabled/broken.conf")
    stage.project.settings(settings(WEB + "gzip = false\n"))
    stage.project.app("three")
    refused = stage.fab("deploy", code=1).text
    assert "/etc/apache2/sites-enabled/broken.conf:1: Invalid command 'SeverName'" in refused
    assert "[CW527]" in refused
    assert "AT RISK" in stage.fab("status", code=1).text
    assert get(stage.host, name=NAME) == "one"
    stage.host.sh("rm /etc/apache2/sites-enabled/broken.conf")
    stage.fab("deploy")
    assert get(stage.host, name=NAME) == "three"


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("\\nHeader set X-Frame-Options", "apache rejects line 2 of web.extra"),
        ("Header set X-Frame-Options DENY\\nProxyPas /a http://b", "line 2 of web.extra"),
    ],
)
def test_own_lines_that_it_refuses(stage: Stage, extra: str, said: str) -> None:
    stage.project.settings(settings(WEB + f'extra = "{extra}"\n'))
    refused = stage.fab("deploy", code=1).text
    assert said in refused and "[CW528]" in refused
    assert get(stage.host, name=NAME) == "three"
    stage.project.settings(settings())


@pytest.mark.nightly
def test_own_lines_are_there(stage: Stage) -> None:
    stage.project.settings(settings(WEB + 'extra = "Header always set X-Frame-Options DENY"\n'))
    stage.fab("deploy")
    head = stage.host.sh(f"curl -sI -H 'Host: {NAME}' http://127.0.0.1/")
    assert "X-Frame-Options: DENY" in head


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("web", "slug"),
    [
        (WEB.replace(NAME, BLOG), "server-name-taken"),
        (WEB.replace("apache", "nginx"), "web-server-changed"),
    ],
)
def test_what_another_site_has_is_refused(stage: Stage, web: str, slug: str) -> None:
    stage.project.settings(settings(web))
    refused = stage.fab("deploy", "--json", code=1)
    assert f'"slug": "{slug}"' in refused.out
    if slug == "web-server-changed":
        assert SITE in stage.fab("setup", code=1).text
    assert get(stage.host, name=NAME) == "three"
    stage.project.settings(settings())


@pytest.mark.nightly
def test_a_site_for_all_names_leaves_no_place_for_another(stage: Stage) -> None:
    place = "/etc/apache2/sites-enabled/all.conf"
    stage.host.sh(f"echo '<VirtualHost *:80>\n</VirtualHost>' >{place}")
    stage.project.settings(settings('[web]\nserver = "apache"\n'))
    refused = stage.fab("deploy", code=1).text
    assert f"web.server_names is empty, and {place} is already the default site" in refused
    stage.host.sh(f"rm {place}")
    stage.project.settings(settings())


@pytest.mark.nightly
def test_after_a_reboot_it_serves(stage: Stage) -> None:
    stage.host.power_cut()
    stage.host.boot()
    until(lambda: status(stage.host, name=NAME) == 200, 60)
    assert get(stage.host, name=BLOG).strip() == "blog"
    assert "healthy" in stage.fab("status").text


def test_an_uninstall_leaves_the_host_as_it_was(stage: Stage) -> None:
    stage.fab("uninstall", "--yes")
    await_sessions(stage.host)
    assert get(stage.host, name=BLOG).strip() == "blog"
    assert not stage.host.path(SHARED).exists()
    assert roots(stage.host) - stage.before == set()
    assert stage.before - roots(stage.host) == set()
    assert not stage.host.sh("ls /var/log/apache2 | grep shop || true")


@pytest.mark.nightly
def test_an_app_without_a_name_takes_the_default_site(stage: Stage, tmp_path: Path) -> None:
    stage.host.sh("a2dissite -q blog && a2ensite -q 000-default && systemctl reload apache2")
    stage.project.settings(settings('[web]\nserver = "apache"\n'))
    stage.fab("setup")
    stage.fab("deploy")
    assert get(stage.host, name="whatever.example.org") == "three"
    assert stage.host.sh("curl -s0 -H Host: http://127.0.0.1/").strip() == "three"
    stage.fab("uninstall", "--yes")
    assert "Debian" in stage.host.sh("curl -s http://127.0.0.1/")


@pytest.mark.nightly
def test_a_port_in_other_hands_is_refused(stage: Stage) -> None:
    stage.host.sh("apt-get -qq install nginx-light >/dev/null 2>&1 || true", timeout=120)
    stage.host.sh("systemctl stop apache2; systemctl restart nginx")
    stage.fab("setup")
    refused = stage.fab("deploy", code=1).text
    assert "port 80 is used by nginx" in refused
    assert "set web.server to its kind" in refused
