"""A release in its first real traffic: what the probe does not see puts it back.

Every release here answers its health check well; what fails are its pages, its workers, or
its life.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.host import current, journal, main_pids
from tests.kit.project import Done, Project, new_project
from tests.kit.tiers import tiered
from tests.kit.visitors import Loaded, loaded
from tests.kit.web_servers import Server

pytestmark = pytest.mark.timeout(240)

APP = """
import itertools
import os
import signal

TEXT, FAILS_EVERY, DIES_EVERY = "{text}", {fails_every}, {dies_every}
COUNT = itertools.count(1)


def app(environ, start_response):
    status = "200 OK"
    if environ["PATH_INFO"] == "/page":
        number = next(COUNT)
        if DIES_EVERY and number % DIES_EVERY == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if FAILS_EVERY and number % FAILS_EVERY == 0:
            status = "500 Internal Server Error"
    start_response(status, [("Content-Type", "text/plain")])
    return [TEXT.encode()]
"""

WORKERS = 2

# One thread: a worker that dies of a request answers no other at that moment. (gunicorn sends
# head and body apart, so an answer that has begun cannot be finished by anybody else.)
SETTINGS = """
[app]
name = "shop"
source = "app"
[tests]
skip = true
[gunicorn]
workers = {workers}
threads = 1
[deploy]
drain_seconds = 2
probation_seconds = {probation_seconds}
"""


@dataclass
class Pages:
    """A shop whose releases fail as they are told."""

    host: LabHost
    server: Server
    project: Project
    number: int = 0
    said: list[str] = field(default_factory=list)

    def make(self, *, fails_every: int = 0, dies_every: int = 0) -> None:
        self.number += 1
        text = APP.replace("{text}", f"release {self.number}")
        text = text.replace("{fails_every}", str(fails_every))
        self.project.write("app/app.py", text.replace("{dies_every}", str(dies_every)))

    def settings(self, probation_seconds: float = 2) -> None:
        text = SETTINGS.format(workers=WORKERS, probation_seconds=probation_seconds)
        self.project.settings(text + self.server.web)

    def fab(self, word: str, code: int = 0) -> Done:
        return self.project.fab(word, "-H", self.host.name, code=code)

    def deploy(self, code: int = 0, **how: int) -> Done:
        self.make(**how)
        return self.fab("deploy", code=code)

    def set(self, **how: int) -> None:
        """Another release, without traffic and so without any judgement."""
        self.settings(probation_seconds=0.3)
        self.deploy(**how)
        self.settings()

    def visited(self) -> Any:
        """Idempotent requests only, some two hundred a second."""
        kinds = {"keep_alive": 3, "close": 3, "slow": 0, "upload": 0, "stream": 0}
        named = {"path": "/page", "release_pattern": r"(release \d+)"}
        return loaded(self.host, pause_seconds=0.02, **kinds, **named)

    def deaths(self) -> int:
        """How many workers gunicorn has found killed so far."""
        said = self.host.sh("journalctl --sync; journalctl -o cat -u 'cartwheel-shop.web.*'")
        return said.count("was sent SIGKILL")

    def wait_for_requests(self, count: int) -> None:
        log = self.server.access_log("shop")
        self.host.sh(
            f"n=$(($(wc -l < {log}) + {count}));"
            f" timeout 20 sh -c 'while [ $(wc -l < {log}) -lt '$n' ]; do sleep 0.1; done'"
        )


@pytest.fixture(scope="module")
def served(
    web_server: Server, web_host: LabHost, tmp_path_factory: pytest.TempPathFactory
) -> Pages:
    pages = Pages(web_host, web_server, new_project(tmp_path_factory.mktemp("shop")))
    pages.project.write("app/requirements.txt", "")
    pages.settings()
    pages.fab("setup")
    pages.deploy()
    return pages


@pytest.fixture
def pages(served: Pages) -> Pages:
    served.settings()
    return served


def in_order(pages: Pages, serves: str) -> None:
    """`serves` alone is there and runs."""
    assert current(pages.host, "shop") == serves
    (unit,) = main_pids(pages.host, "shop")
    assert f".web.{serves}@" in unit
    assert pages.host.exec(["test", "-e", "/srv/shop/pending.json"]).returncode == 1


def nobody_noticed(pages: Pages, load: Loaded, *, torn: int = 0) -> None:
    """No request failed. Who is killed from outside may be in the middle of an answer; and Apache
    asks nobody else for what a worker had taken and did not answer."""
    shown = json.dumps(load.result, indent=1)
    problems = [one["problem"] for one in load.result["failures"]]
    cut = sum(one.startswith("torn body") for one in problems)
    dropped = problems.count("status 502")
    assert load.result["failed"] == cut + dropped, shown
    assert cut <= torn, shown
    assert dropped <= (0 if pages.server.asks_again else pages.deaths() + torn), shown
    assert sum(load.result["sent"].values()) > 100, shown


def test_a_release_whose_pages_fail_goes_back_and_says_why(pages: Pages) -> None:
    old = current(pages.host, "shop")
    with pages.visited():
        pages.wait_for_requests(50)
        done = pages.deploy(code=Exit.REVERTED, fails_every=2)
    assert "requests (" in done.text
    assert "failed with 5xx, the limit is 10 %" in done.text
    assert "CW603" in done.text
    in_order(pages, old)
    last = journal(pages.host, "shop")[-1]
    assert last["result"] == "reverted"
    assert "failed with 5xx" in last["reason"]


def test_a_release_whose_workers_die_goes_back_and_nobody_notices(pages: Pages) -> None:
    """The fallback answers for a worker that died with a request in its hands."""
    old = current(pages.host, "shop")
    with pages.visited() as load:
        done = pages.deploy(code=Exit.REVERTED, dies_every=40)
    assert "of its workers died, the limit is 1" in done.text or "failed with 5xx" in done.text
    in_order(pages, old)
    nobody_noticed(pages, load)


@pytest.mark.nightly
def test_what_failed_before_does_not_put_a_release_back(pages: Pages) -> None:
    """5 % before and after; then a release that repairs half of a failing site."""
    pages.set(fails_every=20)
    with pages.visited():
        pages.wait_for_requests(200)
        done = pages.deploy(fails_every=20)
        assert "requests, " in done.text
    pages.set(fails_every=2)
    with pages.visited():
        pages.wait_for_requests(100)
        pages.deploy(fails_every=3)
        pages.wait_for_requests(100)
        pages.fab("restart")
    pages.set()


@pytest.mark.nightly
def test_a_rollback_is_told_of_failures_and_not_refused(pages: Pages) -> None:
    pages.set(fails_every=2)
    bad = current(pages.host, "shop")
    pages.set()
    with pages.visited():
        pages.wait_for_requests(50)
        done = pages.fab("rollback")
    assert "failed with 5xx" in done.text
    assert "a rollback goes on regardless" in done.text
    in_order(pages, bad)
    pages.set()


@contextmanager
def deploying(pages: Pages, step: tuple[str, str]) -> Iterator[list[dict[str, Any]]]:
    """A deploy; the block begins when it says `step`, and what it said is whole at its end."""
    said: list[dict[str, Any]] = []
    reached, ended = threading.Event(), threading.Event()
    process = subprocess.Popen(
        pages.project.command("deploy", "-H", pages.host.name, "--json"),
        cwd=pages.project.folder,
        env=pages.project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(json.loads(line))
            if (said[-1].get("step"), said[-1].get("state")) == step:
                reached.set()
        reached.set()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert reached.wait(60), said
        yield said
        assert process.wait(60) is not None
        assert ended.wait(10)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "whom", tiered(["master", "workers", "all"], nightly={"master", "workers"})
)
def test_the_new_instance_is_killed_while_it_is_watched(pages: Pages, whom: str) -> None:
    """With SIGKILL, under load: no request fails but one that was being answered, and the host
    goes back."""
    old = current(pages.host, "shop")
    before = set(main_pids(pages.host, "shop"))
    pages.settings(probation_seconds=6)
    pages.make()
    with pages.visited() as load:
        with deploying(pages, ("probation", "start")) as said:
            ((_, pid),) = {
                unit: pid
                for unit, pid in main_pids(pages.host, "shop").items()
                if unit not in before
            }.items()
            kill = {
                "master": f"kill -9 {pid}",
                "workers": f"pkill -9 -P {pid}",
                # The workers first: systemd ends them as soon as the main process is gone.
                "all": f"kill -9 $(pgrep -P {pid}) {pid}",
            }
            pages.host.sh(kill[whom])
        in_order(pages, old)
    nobody_noticed(pages, load, torn=WORKERS)
    told = said[-1]["hosts"][0]
    assert (told["outcome"], told["serves"]) == ("reverted", old)
    reason = journal(pages.host, "shop")[-1]["reason"]
    assert ("workers died" if whom == "workers" else "main process ended") in reason
