"""A monitor on a host of the user's own: it says when a site is down, and when it is well again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cartwheel_lab import LabHost
from tests.kit import messenger as messengers
from tests.kit.bases import READY
from tests.kit.certificates import authority, certificate
from tests.kit.messenger import Messenger
from tests.kit.project import SHOP, Project, new_project
from tests.kit.waiting import until
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(400)

WEB, SSH = 3143, 3144  # inside a lab host: the services of the others (cartwheel_lab.forwarder)
PAGE = "monitor.example.org"
ROOT = authority()
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Scenery:
    """A project with the monitor on `monitor`, and its web hosts."""

    project: Project
    monitor: LabHost
    web: LabHost
    other: LabHost
    messenger: Messenger

    def fab(self, task: str, *words: str, code: int = 0) -> str:
        return self.project.fab(task, "-H", self.monitor.name, *words, code=code).out

    def heard(self, *, whole: bool = False) -> list[str]:
        return self.messenger.heard(whole=whole)

    def hears(self, title: str) -> None:
        self.messenger.hears(title)


def settings(*hosts: LabHost) -> str:
    urls = ", ".join(f'"http://{host.address}:{WEB}/healthz"' for host in hosts)
    watched = "".join(
        f'[inventory.hosts.{host.name}]\nmonitor_address = "{host.address}:{SSH}"\n'
        for host in hosts
    )
    more = f'[notify.to]\nops = {{ file = "ops" }}\n[monitor]\nevery_seconds = 5\nurls = [{urls}]\n'
    return SHOP + more + watched


@pytest.fixture(scope="module")
def scenery(hosts: GetHosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenery]:
    monitor, web, other = hosts(3, packages=READY)
    for host in (monitor, web, other):
        host.reset()
    project = new_project(tmp_path_factory.mktemp("shop"))
    project.settings(settings(web, other))
    project.write("ops", messengers.ADDRESS)
    project.fab("setup", "-H", f"{web.name},{other.name}")
    project.fab("deploy", "-H", f"{web.name},{other.name}")
    yield Scenery(project, monitor, web, other, messengers.start(monitor))


def test_it_watches_and_reaches_people(scenery: Scenery) -> None:
    said = scenery.fab("monitor.install")
    both = f"{scenery.web.name}, {scenery.other.name}"
    assert f"the monitor on {scenery.monitor.name} watches {both}" in said
    assert "room-of-the-team" not in said
    assert "ops        told" in scenery.fab("monitor.test")
    until(lambda: _is_well(scenery), 30, shown="everything was looked at")
    assert "nothing changed" in scenery.fab("monitor.install"), "again it changes nothing"
    mode = scenery.monitor.sh("stat -c '%a %U' /srv/cartwheel-monitor/watch.d/shop.json").strip()
    assert mode == "640 root", "it has the address of a messenger"


@pytest.mark.nightly
def test_an_sshd_that_refuses_the_key_is_explained(scenery: Scenery) -> None:
    keeps = "/etc/ssh/sshd_config.d/only.conf"
    scenery.web.sh(f"echo 'AllowUsers root' >{keeps}; systemctl reload ssh")
    said = scenery.fab("monitor.install", code=4)
    assert f"{scenery.web.name}: the monitor cannot look into it: it refuses" in said
    assert f"{scenery.web.name}: AllowUsers does not name cartwheel-look: root" in said
    scenery.web.sh(f"rm {keeps}; systemctl reload ssh")
    assert "cannot look" not in scenery.fab("monitor.install")


def _first(scenery: Scenery) -> str:
    """The first incident with all that is known."""
    return scenery.fab("incidents", "--show", "1")


def _status(scenery: Scenery) -> str:
    return scenery.project.fab("monitor.status", "-H", scenery.monitor.name, code=None).out


def _is_well(scenery: Scenery) -> bool:
    found = _status(scenery)
    return "yet" not in found and "down" not in found and "incident" not in found


def test_a_site_that_goes_down_and_comes_back(scenery: Scenery) -> None:
    scenery.web.sh("systemctl stop 'cartwheel-shop.web*'")
    scenery.hears("shop does not answer")
    until(lambda: "shop does not answer" in _status(scenery), 20, shown="the incident")
    until(lambda: "/healthz: it answered 502" in _first(scenery), 20, shown="what was seen")
    scenery.project.fab("start", "-H", scenery.web.name)
    scenery.hears("recovered: shop does not answer")
    told = [title for title in scenery.heard() if "does not answer" in title]
    assert told == ["shop does not answer", "recovered: shop does not answer"]
    shown = scenery.fab("incidents")
    assert "shop does not answer" in shown
    assert "recovered: shop does not answer: told" in _first(scenery)


@pytest.mark.nightly
def test_a_deploy_and_a_rollback_are_no_trouble(scenery: Scenery) -> None:
    before = scenery.heard()
    both = f"{scenery.web.name},{scenery.other.name}"
    scenery.project.app("another text")
    scenery.project.fab("deploy", "-H", both)
    scenery.project.fab("rollback", "-H", both)
    time.sleep(12)  # two looks, and the time in which news are gathered
    assert scenery.heard() == before


@pytest.mark.nightly
def test_in_a_silence_nobody_is_told(scenery: Scenery) -> None:
    before = scenery.heard()
    refused = scenery.project.fab(
        "monitor.silence", "-H", scenery.monitor.name, "--for", "1h", code=2
    )
    assert "--message is missing" in refused.err
    said = scenery.fab("monitor.silence", "--for", "1h", "--message", "a new switch")
    assert said.startswith("quiet until ")
    until(lambda: "a new switch" in scenery.fab("monitor.status"), 20, shown="the silence")
    scenery.web.sh("systemctl stop 'cartwheel-shop.web*'")
    time.sleep(25)
    assert scenery.heard() == before
    scenery.project.fab("start", "-H", scenery.web.name)
    assert "the silence has ended" in scenery.fab("monitor.silence", "--for", "0")


def test_a_host_that_is_not_watched_is_named(scenery: Scenery) -> None:
    where = f'[inventory.hosts.{scenery.monitor.name}]\nroles = ["monitor"]\n'
    new = settings(scenery.web, scenery.other) + where + "[inventory.hosts.new]\n"
    scenery.project.settings(new)
    assert "new: not watched" in scenery.project.fab("monitor.status", code=1).out
    said = scenery.project.fab("setup", "-H", scenery.web.name).out
    assert "not watched" not in said
    scenery.project.settings(settings(scenery.web, scenery.other))


@pytest.mark.nightly
def test_the_watcher_is_killed(scenery: Scenery) -> None:
    unit = "'cartwheel-cartwheel-monitor.watcher*'"
    scenery.monitor.sh(f"systemctl kill --signal=KILL {unit}; touch /root/killed")
    newer = "find /srv/cartwheel-monitor/shared/status.json -newer /root/killed"
    until(lambda: scenery.monitor.sh(newer), 90, shown="it says something again")
    until(lambda: _is_well(scenery), 60, shown="it watches again")
    assert "shop does not answer" in scenery.fab("incidents"), "what it knew is still there"


@pytest.mark.nightly
def test_a_deploy_whose_operator_is_killed_is_told(scenery: Scenery) -> None:
    scenery.project.app("a third text")
    running = scenery.project.begin("deploy", "-H", scenery.web.name)
    pending = "ls /srv/shop/pending.json 2>/dev/null || true"
    until(lambda: scenery.web.sh(pending).strip(), 60, shown="the switch")
    running.kill()
    running.wait(10)
    until(
        lambda: any("was cut off" in one for one in scenery.heard(whole=True)), 60, shown="its end"
    )


@pytest.mark.nightly
def test_a_deploy_that_fails_is_told(scenery: Scenery) -> None:
    scenery.project.write("app/app.py", "def app(environ, start_response):\n    raise SystemExit\n")
    scenery.project.fab("deploy", "-H", scenery.web.name, code=None)
    assert '"result": "failed"' in scenery.web.sh("tail -1 /srv/shop/journal.jsonl")
    until(lambda: any("deploy" in one for one in scenery.heard()), 60, shown="the deploy")


@pytest.mark.nightly
def test_another_project_with_the_same_host_keeps_it(
    scenery: Scenery, tmp_path_factory: pytest.TempPathFactory
) -> None:
    blog = new_project(tmp_path_factory.mktemp("blog"))
    blog.settings(settings(scenery.web).replace('"shop"', '"blog"'))
    blog.write("ops", messengers.ADDRESS)
    blog.fab("setup", "-H", scenery.web.name)
    blog.fab("monitor.install", "-H", scenery.monitor.name)
    keys = "cat /var/lib/cartwheel/look/.ssh/authorized_keys"
    assert len(scenery.web.sh(keys).splitlines()) == 2
    said = blog.fab("monitor.uninstall", "-H", scenery.monitor.name, "--yes").out
    assert "it still watches other projects" in said
    assert scenery.monitor.sh("ls /srv/cartwheel-monitor/shared/projects").split() == ["shop"]
    (left,) = scenery.web.sh(keys).splitlines()
    assert left.endswith(f"cartwheel-monitor:shop@{scenery.monitor.name}")
    answered = re.compile(rf"^{scenery.web.name} .* \d+ ms", re.MULTILINE)
    until(lambda: answered.search(_status(scenery)), 30, shown="it looks into the host")
    blog.fab("uninstall", "-H", scenery.web.name, "--yes")


def curl(scenery: Scenery, path: str, *options: str) -> str:
    """Head and body, as a browser with cookies gets them on the monitor's host."""
    words = ["curl", "-sSi", "--cacert /tmp/root.pem", f"--resolve {PAGE}:443:127.0.0.1"]
    words += ["-b /tmp/cookies -c /tmp/cookies", *options, f"'https://{PAGE}{path}'"]
    return scenery.monitor.sh(" ".join(words)).replace("\r", "")


def token(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def log_in(scenery: Scenery, password: str) -> str:
    form = {"csrf_token": token(curl(scenery, "/login")), "name": "ann", "password": password}
    words = [f"--data-urlencode '{name}={value}'" for name, value in form.items()]
    return curl(scenery, "/login", *words, f"-e https://{PAGE}/login").partition("\n")[0]


def test_its_page_stands_behind_https_and_a_login(scenery: Scenery) -> None:
    issued = certificate(PAGE, by=ROOT)
    project = scenery.project
    for name, text in (("a.pem", issued.pem), ("a.key", issued.key), ("r.pem", ROOT.pem)):
        project.write(name, text)
    scenery.monitor.sh(f"cat >/tmp/root.pem <<'.'\n{ROOT.pem}.")
    page = f'page = "{PAGE}"\npage_certificate = "a.pem"\npage_key = "a.key"\npage_ca = "r.pem"\n'
    text = settings(scenery.web, scenery.other)
    project.settings(text.replace("[monitor]\n", f"[monitor]\n{page}"))
    assert f"https://{PAGE}" in scenery.fab("monitor.install")
    where = ("ann", "-H", scenery.monitor.name)
    refused = project.fab("monitor.user.add", *where, given="short\n", code=2)
    assert "12 or more" in refused.err
    added = project.fab("monitor.user.add", *where, given=f"{PASSWORD}\n")
    assert PASSWORD not in added.text
    hashes = "/srv/cartwheel-monitor/users.d"
    assert scenery.monitor.sh(f"stat -c %a:%U {hashes}/ann.json").strip() == "640:root"
    assert curl(scenery, "/").startswith("HTTP/2 302")
    assert log_in(scenery, "a wrong password").startswith("HTTP/2 401")
    assert log_in(scenery, PASSWORD).startswith("HTTP/2 302")
    shown = curl(scenery, "/")
    for host in (scenery.web, scenery.other):
        assert host.name in shown
    assert "content-security-policy: default-src 'none'" in shown
    forged = curl(scenery, "/logout", "-X POST", f"-e https://{PAGE}/")
    assert forged.startswith("HTTP/2 400")
    project.fab("monitor.user.remove", *where)
    assert curl(scenery, "/").startswith("HTTP/2 302"), "the session is over"
    gone = project.fab("monitor.user.remove", *where, code=1)
    assert "there was no such user" in gone.out


def test_nothing_is_left_of_it(scenery: Scenery) -> None:
    refused = scenery.project.fab("monitor.uninstall", "-H", scenery.monitor.name, code=1)
    assert "use --yes" in refused.err
    assert "the monitor is gone" in scenery.fab("monitor.uninstall", "--yes")
    assert "cartwheel" not in scenery.monitor.sh("ls /srv; getent passwd | cut -d: -f1")
    for host in (scenery.web, scenery.other):
        assert "cartwheel-look" not in host.sh("getent passwd")
        assert host.sh("ls /var/lib/cartwheel").split() == ["shop.json"]
