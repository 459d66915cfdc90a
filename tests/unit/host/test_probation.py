"""Which requests and workers a release is judged by, and when that decides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.state import journal
from cartwheel.host.switch import watch_period
from cartwheel.host.switch.watch_period import Deaths, Watch, replaces_workers
from cartwheel.host.system import systemd
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.web import nginx
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.switching import Limits
from tests.unit.host.test_traffic import line
from tests.unit.hostside import host_in, web

LIMITS = Limits(max_error_percent=10, error_min_requests=5, max_worker_restarts=1)


class Site:
    """An application whose log and workers tests write."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = host_in(folder, monkeypatch)
        monkeypatch.setattr(nginx, "LOGS", folder)
        self.log = folder / "shop.access.log"
        self.workers = {2, 3}
        up = UnitState("active", "running", 0, 1, None, None, "success")
        monkeypatch.setattr(systemd, "state", lambda _unit: up)
        monkeypatch.setattr(systemd, "worker_pids", lambda _pid: list(self.workers))
        self.at.release("2.b").mkdir()
        self.watches: list[Watch] = []

    def answers(self, *statuses: str, ago: float = 0.0) -> None:
        upstream = f"unix:{self.at.current}/http.sock"
        now = time.time() - ago + 0.001
        with self.log.open("ab") as log:
            for status in statuses:
                log.write(line(status, upstream, took="0.000", at=now) + b"\n")

    def watch(self, kind: str = "deploy") -> Watch:
        watch = Watch(self.at, web("2.b"), kind, LIMITS)
        self.watches.append(watch)
        return watch


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    one = Site(tmp_path, monkeypatch)
    yield one
    for watch in one.watches:
        watch.close()


def test_failing_requests_put_it_back(site: Site) -> None:
    site.answers(*["200"] * 20, ago=60)
    watch = site.watch()
    watch.begin()
    assert (watch.problem(), watch.told()) == ("", "")
    site.answers(*["200"] * 4, "500")
    assert (watch.problem(), watch.told()) == ("", "5 requests, 1 failed")
    site.answers(*["502"] * 5)
    assert watch.problem() == "6 of 10 requests (60 %) failed with 5xx, the limit is 10 %"
    assert watch.told() == "10 requests, 6 failed"


def test_what_failed_before_counts_for_the_old_release(site: Site) -> None:
    site.answers(*["200", "500"] * 20, ago=60)
    watch = site.watch()
    watch.begin()
    site.answers(*["200", "500"] * 20)
    assert watch.problem() == ""


def test_what_a_release_did_that_was_put_back_is_no_measure(site: Site) -> None:
    site.answers(*["500"] * 40, ago=5)
    journal.append(site.at.journal, Entry(kind="deploy", release="2.b", result="reverted"))
    watch = site.watch()
    watch.begin()
    site.answers(*["500"] * 5)
    assert "the limit is 10 %" in watch.problem()


def test_what_was_long_ago_is_no_measure(site: Site) -> None:
    site.answers(*["500"] * 40, ago=400)
    watch = site.watch()
    watch.begin()
    site.answers(*["500"] * 5)
    assert "the limit is 10 %" in watch.problem()


def test_a_rollback_is_told_and_not_refused(site: Site) -> None:
    watch = site.watch("rollback")
    watch.begin()
    site.answers(*["500"] * 5)
    assert watch.problem() == ""
    assert watch.warning() == "5 of 5 requests (100 %) failed with 5xx, the limit is 10 %"
    assert watch.told() == "5 requests, 5 failed"


@pytest.mark.parametrize("kind", ["deploy", "restart"])
def test_workers_that_die_put_it_back(site: Site, kind: str) -> None:
    watch = site.watch(kind)
    watch.begin()
    site.workers = {2, 4}
    assert watch.problem() == ""
    site.workers = {4, 5}
    assert watch.problem() == "2 of its workers died, the limit is 1"
    assert watch.warning() == ""


def test_more_workers_are_no_deaths() -> None:
    deaths = Deaths()
    for alive in ({1}, {1, 2}, {1, 2, 3}):
        deaths.look(alive)
    assert deaths.count == 0
    deaths.look(set())
    assert deaths.complaint(2) == "3 of its workers died, the limit is 2"
    assert deaths.complaint(3) == ""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("gunicorn.conf.py", "workers = 2\nmax_requests = 0\nmax_requests_jitter = 5\n", False),
        ("gunicorn.conf.py", "max_requests = 0  # never\n", False),
        ("gunicorn.conf.py", "max_requests = 1000\n", True),
        ("app.gunicorn.conf.py", 'max_requests = int(os.environ["N"])\n', True),
        ("app.gunicorn.conf.py", "# max_requests = 5\n", False),
        ("other.py", "max_requests = 5\n", False),
    ],
)
def test_replacing_workers_as_a_matter_of_course(
    site: Site, name: str, text: str, expected: bool
) -> None:
    (site.at.release("2.b") / name).write_text(text)
    assert replaces_workers(site.at.release("2.b")) is expected
    watch = site.watch()
    watch.begin()
    site.workers = {7, 8}
    assert (watch.problem() == "") is expected


def test_the_time_before_ends_with_the_last_change(tmp_path: Path) -> None:
    at = Layout("shop", tmp_path)
    at.root.mkdir()
    assert watch_period._since(at, 1000.0) == 700.0
    lines = (
        '{"at": 900.5, "result": "confirmed"}',
        '{"at": 950, "result": "failed"}',  # it never had any traffic
        '{"at": 960, "result": "unchanged"}',
        '{"at": "today", "result": "reverted"}',
        '{"result": "reverted"}',
        "torn",
    )
    at.journal.write_text("\n".join(lines))
    assert watch_period._since(at, 1000.0) == 900.5
    assert watch_period._since(at, 5000.0) == 4700.0
