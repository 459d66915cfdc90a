"""`fab maintenance.on` on real hosts: visitors get the page, and everything else goes on."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel_lab import LabHost
from tests.kit.host import get, journal, status
from tests.kit.project import SHOP, Project, new_project
from tests.kit.waiting import until
from tests.kit.web_servers import NGINX, Server
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(300)

MARK = "/srv/shop/maintenance/on.json"


def without_the_mark(server: Server) -> str:
    """The command that makes a site not look for the mark any more, as an earlier version's."""
    asked = "s/return 540;/set $x 1;/" if server is NGINX else "s/maintenance.on\\.json/none/"
    return f"sed -i '{asked}' {server.site('shop')} && systemctl reload {server.package}"


def is_there(host: LabHost) -> bool:
    """Whether anything of maintenance is there."""
    return bool(host.sh("ls -d /srv/shop/maintenance 2>/dev/null || true"))


def visit(host: LabHost, path: str) -> tuple[int, str, str]:
    """Status, Retry-After, and the text of the page."""
    try:
        with urllib.request.urlopen(host.url(path), timeout=10) as answer:
            return answer.status, "", ""
    except urllib.error.HTTPError as error:
        with error:
            found = re.search('<p class="said">(.*)</p>', error.read().decode())
            return error.code, error.headers["Retry-After"], found.group(1) if found else ""


@pytest.fixture(scope="module")
def shop(
    web_server: Server, web_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(SHOP + web_server.web)
    project.fab("setup", "-H", web_host.name)
    project.fab("deploy", "-H", web_host.name)
    return project


@pytest.fixture
def closed(shop: Project, web_host: LabHost) -> Iterator[str]:
    """The name of the host, closed for visitors."""
    shop.fab("maintenance.on", "-H", web_host.name, "--message", "Back at 14:00")
    yield web_host.name
    shop.fab("maintenance.off", "-H", web_host.name)


def test_a_deploy_behind_it(web_server: Server, shop: Project, web_host: LabHost) -> None:
    name = web_host.name
    processes = web_server.processes(web_host)
    said = shop.fab("maintenance.on", "-H", name, "--message", "Back at 14:00").out
    assert "visitors get 503 and the page" in said and "reloaded" not in said
    assert visit(web_host, "/anything") == (503, "600", "Back at 14:00")
    assert status(web_host, "/healthz") == 200
    assert web_server.processes(web_host) >= processes

    shop.app("two")
    deployed = shop.fab("deploy", "-H", name).text
    assert "closed for visitors by" in deployed and "fab maintenance.off" in deployed
    assert status(web_host) == 503
    shown = shop.fab("status", "-H", name).text
    assert "closed for visitors by" in shown and "Back at 14:00" in shown
    assert "no maintenance" not in shop.fab("doctor", "-H", name).text

    assert "open again" in shop.fab("maintenance.off", "-H", name).out
    assert get(web_host) == "two"
    assert "closed" not in shop.fab("status", "-H", name).text
    assert not is_there(web_host)
    kinds = [one["kind"] for one in journal(web_host, "shop")]
    assert kinds[-3:] == ["maintenance on", "deploy", "maintenance off"]


def test_a_stopped_app_shows_the_page(shop: Project, web_host: LabHost) -> None:
    shop.fab("stop", "-H", web_host.name)
    assert visit(web_host, "/") == (503, "600", "shop is not answering just now.")
    shop.fab("start", "-H", web_host.name)
    assert status(web_host) == 200


@pytest.mark.nightly
def test_minutes_and_addresses(
    web_server: Server, shop: Project, closed: str, web_host: LabHost
) -> None:
    ours = web_host.sh(f"tail -1 {web_server.access_log('shop')}").split()[0]
    more = ("--retry-after", "30", "--allow", f"{ours},2001:db8::/32")
    said = shop.fab("maintenance.on", "-H", closed, *more).out
    assert "after 30 minutes" in said and f"{ours}/32, 2001:db8::/32 see the app" in said
    assert "was closed before" in said and "reloaded" in said
    assert status(web_host) == 200
    assert "reloaded" in shop.fab("maintenance.on", "-H", closed, *more[:2]).out
    assert visit(web_host, "/") == (503, "1800", "shop is closed for maintenance.")
    assert status(web_host) == 503


@pytest.mark.nightly
def test_it_outlives_a_power_cut_a_rollback_and_a_restart(
    shop: Project, closed: str, web_host: LabHost
) -> None:
    shop.fab("restart", "-H", closed)
    shop.fab("rollback", "-H", closed)
    web_host.power_cut()
    web_host.boot()
    until(lambda: status(web_host, "/healthz") == 200, shown="the app")
    assert status(web_host) == 503
    shop.fab("deploy", "-H", closed)
    assert status(web_host) == 503


@pytest.mark.nightly
def test_an_earlier_versions_site_is_not_said_to_be_closed(
    web_server: Server, shop: Project, web_host: LabHost
) -> None:
    name = web_host.name
    web_host.sh(without_the_mark(web_server))
    done = shop.fab("maintenance.on", "-H", name, code=1)
    assert "a visitor still gets 404" in done.text and "fab deploy" in done.text
    assert status(web_host) == 200 and not is_there(web_host)
    shop.fab("deploy", "-H", name)
    shop.fab("maintenance.on", "-H", name)
    assert status(web_host) == 503
    shop.fab("maintenance.off", "-H", name)


@pytest.mark.nightly
def test_a_broken_web_server(web_server: Server, shop: Project, web_host: LabHost) -> None:
    name = web_host.name
    broken = f"{web_server.other_sites}/zz.conf"
    web_host.sh(f"echo '{web_server.mistake}' >{broken}")
    try:
        done = shop.fab("maintenance.on", "-H", name, "--retry-after", "5", code=None)
        assert done.code != 0 and "nonsense" in done.text
        assert status(web_host) == 200 and not is_there(web_host)
        # Without minutes and addresses nothing is reloaded.
        shop.fab("maintenance.on", "-H", name)
        assert status(web_host) == 503
        shop.fab("maintenance.off", "-H", name)
        assert status(web_host) == 200
    finally:
        web_host.sh(f"rm {broken}")


@pytest.mark.nightly
def test_what_is_refused(shop: Project, web_host: LabHost) -> None:
    name = web_host.name
    for words, said in [
        (("--allow", "example.org"), "--allow takes addresses and networks"),
        (("--retry-after", "soon"), "--retry-after takes a number"),
        (("--retry-after", "0"), "--retry-after takes a number"),
    ]:
        done = shop.fab("maintenance.on", "-H", name, *words, code=2)
        assert said in done.text and "Traceback" not in done.text
    assert status(web_host) == 200


@pytest.mark.nightly
def test_what_a_killed_run_has_left(shop: Project, web_host: LabHost) -> None:
    """Pages without a mark: nobody sees them, and the next run takes them away."""
    web_host.sh("mkdir -m 750 /srv/shop/maintenance; echo x > /srv/shop/maintenance/x.html")
    assert "pages of no maintenance" in shop.fab("doctor", "-H", web_host.name, code=None).text
    shop.fab("doctor", "--fix", "-H", web_host.name)
    assert not is_there(web_host)


@pytest.mark.nightly
def test_all_hosts_or_none(web_server: Server, hosts: GetHosts, tmp_path: Path) -> None:
    one, two = hosts(2, packages=web_server.packages)
    for host in (one, two):
        host.reset()
    shop = new_project(tmp_path)
    shop.settings(f'hosts = ["{one.name}", "{two.name}"]\n' + SHOP + web_server.web)
    shop.fab("setup")
    shop.fab("deploy")
    done = shop.fab("maintenance.on", "-H", one.name, code=2)
    assert f"{two.name} is missing" in done.text
    two.sh(without_the_mark(web_server))
    shop.fab("maintenance.on", code=1)
    assert (status(one), status(two)) == (200, 200), "the first one is open again"
    shop.fab("deploy")
    shop.fab("maintenance.on")
    assert (status(one), status(two)) == (503, 503)
    two.sh("rm " + MARK)
    shown = shop.fab("status").text
    assert f"{one.name}: closed for visitors" in shown and f"{two.name}: open for visitors" in shown
    said = shop.fab("maintenance.off").out
    assert f"[{one.name}] open again; was closed" in said and f"[{two.name}] was open" in said
    assert (status(one), status(two)) == (200, 200)
