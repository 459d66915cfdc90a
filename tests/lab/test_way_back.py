"""A request under way is answered, whoever goes back, stops or takes away what answers it.

Every request here is longer than anything that Cartwheel waits for; the drain time is longer
still. Before it answers, a request needs its release's code once more.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.fab import Fab, fab
from tests.kit.host import await_ends, await_sessions, current, journal, main_pids, releases
from tests.kit.project import Done, Project, new_project

pytestmark = pytest.mark.timeout(240)

# Ill is a release that the file `ill` in its shared folder names.
APP = """
import os
import time

TEXT = "{text}"


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/slow/"):
        _, _, seconds, name = path.split("/")
        open("asked-" + name, "w").close()
        time.sleep(float(seconds))
        import late
    sick = os.path.exists("ill") and open("ill").read().strip() == TEXT
    status = "500 Internal Server Error" if path == "/healthz" and sick else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [TEXT.encode()]
"""

SETTINGS = """
[app]
name = "shop"
source = "app"
entry = "app:app"
[tests]
skip = true
[gunicorn]
workers = 1
threads = {threads}
[deploy]
drain_seconds = 60
probation_seconds = 4
lease_seconds = 3
keep_releases = 2
"""


@dataclass
class Visit:
    """A request under way."""

    name: str
    process: subprocess.Popen[str]

    def is_under_way(self) -> bool:
        return self.process.poll() is None

    def answer(self) -> str:
        out, _ = self.process.communicate(timeout=100)
        return out


@dataclass
class Shop:
    host: LabHost
    project: Project
    visits: list[Visit] = field(default_factory=list)
    number: int = 0

    def make(self) -> str:
        """The next release's code; its text."""
        self.number += 1
        text = f"release {self.number}"
        self.project.write("app/app.py", APP.replace("{text}", text))
        self.project.write("app/late.py", "")
        return text

    def quick(self) -> None:
        """Nothing of this test is about the probation."""
        settings = self.project.folder / "config/deploy.toml"
        text = settings.read_text().replace("probation_seconds = 4", "probation_seconds = 0.3")
        settings.write_text(text)

    def fab(self, *words: str, code: int = 0) -> Done:
        return self.project.fab(*words, "-H", self.host.name, code=code)

    def running(self, *words: str) -> Any:
        return fab(self.project, *words, "-H", self.host.name)

    def ask(self, seconds: float, *, socket: str = "", method: str = "GET") -> Visit:
        """A request that takes so long; it is there on return."""
        name = f"v{len(self.visits)}"
        words = ["curl", "-s", "--max-time", "100", "-X", method, "-w", " %{http_code}"]
        words += ["--unix-socket", self.host.path(socket).as_posix()] if socket else []
        words += [f"http://localhost/slow/{seconds}/{name}"]
        process = self.host.popen_in_netns(words, stdout=subprocess.PIPE, text=True)
        self.visits.append(Visit(name, process))
        return self.visits[-1]

    def await_asked(self, visit: Visit) -> None:
        self.host.sh(
            f"timeout 20 sh -c 'until test -e /srv/shop/shared/asked-{visit.name};"
            " do sleep 0.05; done'"
        )

    def asked(self, seconds: float, *, socket: str = "") -> Visit:
        visit = self.ask(seconds, socket=socket)
        self.await_asked(visit)
        return visit

    def fall_ill(self, text: str) -> None:
        self.host.sh(f"echo '{text}' > /srv/shop/shared/ill")

    def status(self) -> dict[str, Any]:
        done = self.fab("status", "--json")
        answer = json.loads(done.out.splitlines()[-1])["hosts"][0]["answer"]
        assert isinstance(answer, dict)
        return answer

    def stopping(self) -> list[str]:
        """What is about to end and has not yet, past Cartwheel."""
        units = self.host.sh(
            "systemctl list-units --all --plain --no-legend 'cartwheel-shop.web*.service'"
        ).splitlines()
        return [line.split()[0] for line in units if line.split()[2] == "deactivating"]

    def leftovers(self) -> list[object]:
        answer = self.status()["leftovers"]
        assert isinstance(answer, list)
        return answer

    def all_end(self) -> None:
        """Every request has been answered, and whoever comes next takes the rest away."""
        for visit in self.visits:
            visit.answer()
        await_ends(self.host, "shop")
        self.fab("prune")
        assert self.leftovers() == []
        assert len(main_pids(self.host, "shop")) == 1
        files = self.host.sh("ls /etc/systemd/system | grep '^cartwheel-shop.web'").split()
        of = {name.removeprefix("cartwheel-shop.web.").split("@")[0] for name in files}
        assert of <= releases(self.host, "shop"), "they go with their release"


@pytest.fixture(scope="module")
def served(module_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(module_host, new_project(tmp_path_factory.mktemp("shop")))
    shop.project.write("app/requirements.txt", "")
    shop.project.settings(SETTINGS.format(threads=8))
    shop.make()
    shop.fab("setup")
    shop.fab("deploy")
    return shop


@pytest.fixture
def shop(served: Shop) -> Iterator[Shop]:
    """What serves, with a release to return to; nothing of an earlier test runs."""
    served.project.settings(SETTINGS.format(threads=8))
    yield served
    for visit in served.visits:
        visit.process.kill()
    served.visits.clear()
    served.host.sh("rm -f /srv/shop/shared/asked-* /srv/shop/shared/ill")


def watched(running: Fab) -> None:
    """The new release has the traffic, and is in its probation."""
    running.wait_for(("probation", "start"))


@pytest.mark.nightly
def test_a_release_that_falls_ill_answers_what_it_has(shop: Shop) -> None:
    """45 s, beyond all that anybody waited for; and the next deploy does not wait either."""
    shop.fab("restart")
    old = current(shop.host, "shop")
    text = shop.make()
    with shop.running("deploy") as running:
        watched(running)
        short, long = shop.asked(12), shop.asked(45)
        shop.fall_ill(text)
        assert running.end() == Exit.REVERTED
    assert short.is_under_way(), "the deploy has reported"
    assert current(shop.host, "shop") == old
    (ending,) = shop.stopping()
    bad = ending.removeprefix("cartwheel-shop.web.").partition("@")[0]
    shop.host.sh("systemctl daemon-reload")  # anybody's
    assert "TimeoutStopUSec=1min 10s" in shop.host.sh(f"systemctl show {ending}")
    seen = shop.status()
    assert (seen["stopping"], seen["also_running"], seen["leftovers"]) == ([bad], [], [])
    assert f"{bad} is still finishing its last requests and jobs" in shop.fab("status").text
    shop.fab("doctor", "--fix")
    shop.fab("prune")
    assert bad in releases(shop.host, "shop")
    # Well again: the same release serves beside what is left of its first try.
    shop.host.sh("rm /srv/shop/shared/ill")
    shop.fab("deploy")
    assert current(shop.host, "shop") == bad
    assert shop.stopping()[0] == ending
    assert [visit.answer() for visit in (short, long)] == [f"{text} 200"] * 2
    shop.all_end()


@pytest.mark.nightly
def test_a_full_worker_answers_also_those_that_wait_for_it(shop: Shop) -> None:
    """One thread, three requests; that it does not answer the probe is why the host goes back."""
    shop.project.settings(
        SETTINGS.format(threads=1).replace("threads = 1", "worker_class = 'sync'")
    )
    text = shop.make()
    with shop.running("deploy") as running:
        watched(running)
        first = shop.asked(20)
        waiting = [shop.ask(4, method="POST"), shop.ask(4)]
        assert running.end() == Exit.REVERTED
    assert first.is_under_way(), "the deploy has reported"
    seen = shop.status()
    assert (len(seen["stopping"]), seen["also_running"], seen["leftovers"]) == (1, [], [])
    shop.fab("doctor")
    (bad,) = seen["stopping"]
    assert bad in releases(shop.host, "shop")
    assert [visit.answer() for visit in (first, *waiting)] == [f"{text} 200"] * 3
    shop.all_end()
    assert bad not in releases(shop.host, "shop")


@pytest.mark.nightly
@pytest.mark.parametrize("who", ["recover", "lost contact"])
def test_whoever_else_goes_back_cuts_nothing(shop: Shop, who: str) -> None:
    old = current(shop.host, "shop")
    text = shop.make()
    with shop.running("deploy") as running:
        watched(running)
        visit = shop.asked(12)
        if who == "recover":
            shop.host.sh("systemctl kill --signal=9 'cartwheel-session-shop-*'")
            assert running.end() != Exit.OK
        else:
            running.process.kill()
            running.end()
            await_sessions(shop.host)
    assert visit.is_under_way()
    assert current(shop.host, "shop") == old
    assert journal(shop.host, "shop")[-1]["result"] == "reverted"
    assert visit.answer() == f"{text} 200"
    shop.all_end()


@pytest.mark.nightly
def test_restarts_and_a_rollback_at_once_cut_nothing(shop: Shop) -> None:
    """Each leaves at once, and what the others left is neither in its way nor a fault."""
    shop.quick()
    shop.fab("restart")
    old, text = shop.host.sh("curl -s http://localhost/"), shop.make()
    visits = []
    for word, seconds in (("deploy", 45), ("rollback", 38), ("restart", 31), ("restart", 25)):
        visits.append(shop.asked(seconds))
        shop.fab(word)
    assert all(visit.is_under_way() for visit in visits), "nobody waited for an end"
    assert len(shop.stopping()) == len(visits)
    seen = shop.status()
    assert (len(seen["stopping"]), seen["also_running"], seen["leftovers"]) == (4, [], [])
    shop.fab("doctor")
    texts = [old, text, old, old]
    assert [visit.answer() for visit in visits] == [f"{one} 200" for one in texts]
    shop.all_end()


@pytest.mark.nightly
def test_a_stray_instance_ends_with_its_requests(shop: Shop) -> None:
    """As a session that was killed right after its confirmation leaves it."""
    release, text = current(shop.host, "shop"), shop.host.sh("curl -s http://localhost/")
    unit = f"cartwheel-shop.web.{release}@7.service"
    await_sessions(shop.host)  # one that still leaves would take it away itself
    shop.host.sh(f"systemctl start {unit}")
    visit = shop.asked(20, socket=f"/run/cartwheel/shop/{release}/7/http.sock")
    assert shop.leftovers() == [f"stray instance: {unit}"]
    shop.fab("doctor", "--fix")
    assert visit.is_under_way()
    assert shop.stopping() == [unit]
    assert visit.answer() == f"{text} 200"
    shop.all_end()


@pytest.mark.nightly
def test_stop_and_uninstall_answer_what_is_under_way(shop: Shop) -> None:
    text = shop.host.sh("curl -s http://localhost/")
    visit = shop.asked(12)
    began = time.monotonic()
    shop.fab("stop")
    assert time.monotonic() - began > 5, "it was waited for"
    assert visit.answer() == f"{text} 200"
    shop.fab("start")
    visit = shop.asked(12)
    shop.fab("uninstall", "--yes")
    assert visit.answer() == f"{text} 200"
    assert shop.host.sh("ls /srv; id shop 2>&1 || true").strip().endswith("no such user")
