"""`fab dashboard` over real hosts: what is live where, a host that goes off, and no trace of it."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.browser import browser
from tests.kit.certificates import certificate
from tests.kit.dashboards import dashboard
from tests.kit.host import current
from tests.kit.marked import MARK, alive
from tests.kit.project import SHOP, Project, new_project
from tests.kit.waiting import until

pytestmark = pytest.mark.timeout(400)

# What of a session could stay on a host.
_REMOTE = "pgrep -af '[p]ython3 -I' || true"


@dataclass(frozen=True)
class Scenery:
    project: Project
    hosts: tuple[LabHost, LabHost]
    mark: str

    @property
    def where(self) -> tuple[str, str]:
        return "-H", ",".join(host.name for host in self.hosts)

    def assert_nothing_is_left(self) -> None:
        until(lambda: not alive(self.mark), 15, shown=lambda: alive(self.mark))
        until(lambda: not any(host.sh(_REMOTE).strip() for host in self.hosts), 30)


@pytest.fixture(scope="module")
def scenery(pair: list[LabHost], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenery]:
    mark = uuid.uuid4().hex
    project = new_project(tmp_path_factory.mktemp("shop"), env={MARK: mark})
    project.settings(SHOP + "[monitor]\nevery_seconds = 5\n")
    found = Scenery(project, (pair[0], pair[1]), mark)
    project.fab("setup", *found.where)
    project.fab("deploy", *found.where)
    yield found
    until(lambda: not alive(mark), 15, shown=lambda: alive(mark))


@pytest.mark.nightly
def test_it_shows_the_hosts_and_leaves_nothing(scenery: Scenery) -> None:
    first, second = scenery.hosts
    before = {host.name: host.sh("ls /var/lib/cartwheel; getent passwd") for host in scenery.hosts}
    with dashboard(scenery.project, *scenery.where) as page:
        release = current(first, "shop")
        until(lambda: all(release in page.row(host.name) for host in scenery.hosts), 40)
        until(lambda: page.page().count('"dot well"') == 4, 40, shown="two sites and two hosts")
        assert "Nothing is wrong." in page.page()

        first.power_cut()
        until(lambda: "tag bad" in page.row(first.name), 60, shown=lambda: page.row(first.name))
        until(lambda: "shop does not answer" in page.page(), 60, shown=page.page)
        assert "tag bad" not in page.row(second.name)
        first.boot()
        until(lambda: "tag bad" not in page.row(first.name), 90, shown=lambda: page.row(first.name))
        until(lambda: "Nothing is wrong." in page.page(), 60, shown=page.page)

        page.process.send_signal(signal.SIGINT)
        output, _ = page.process.communicate(timeout=15)
        assert page.process.returncode == Exit.INTERRUPTED
        assert "Traceback" not in output
    scenery.assert_nothing_is_left()
    for host in scenery.hosts:
        assert host.sh("ls /var/lib/cartwheel; getent passwd") == before[host.name]


@pytest.mark.nightly
def test_a_browser_is_let_in_by_the_file_that_it_is_given(scenery: Scenery) -> None:
    """A file is another site to a browser: it sends no cookie that is only for the same one."""
    own = replace(scenery.project, env={**scenery.project.env, "BROWSER": "true %s"})
    given = own.folder / "state/cartwheel/dashboard/shop/open.html"
    with (
        dashboard(own, *scenery.where, "--open") as page,
        browser({}, certificate("desk.example.org")) as window,
    ):
        until(given.exists)
        window.open(given.as_uri())
        assert window.find("h1").text == "Fleet"
        assert window.driver.current_url == f"http://127.0.0.1:{page.port}/"
        assert window.complaints() == []
    scenery.assert_nothing_is_left()


def test_killed_it_leaves_nothing_either_and_its_history_stays(scenery: Scenery) -> None:
    first, _ = scenery.hosts
    release = current(first, "shop")
    with dashboard(scenery.project, *scenery.where) as page:
        until(lambda: release in page.row(first.name), 40)
        until(lambda: first.sh(_REMOTE).strip(), 30)
        page.process.kill()
        page.process.wait(10)
    scenery.assert_nothing_is_left()
    first.power_cut()
    try:
        with dashboard(scenery.project, *scenery.where) as page:
            assert release in page.row(first.name), "the host itself cannot say it now"
    finally:
        first.boot()
    scenery.assert_nothing_is_left()
