"""Two hosts with web and two with workers: one deploy, all or nothing; and a host without web."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel_lab import LabHost
from tests.kit.bases import READY
from tests.kit.host import await_sessions, current, get
from tests.kit.processes import MODULE, PROGRAM, running
from tests.kit.project import SHOP, Project, new_project
from tests.kit.tiers import is_nightly
from tests.kit.waiting import until
from tests.lab.conftest import GetHosts

pytestmark = pytest.mark.timeout(300)

SETTINGS = (
    SHOP.replace("deadline_seconds = 10", "deadline_seconds = 5")
    + """
[processes.worker]
command = "python -m work 'a job'"
roles = ["worker"]
count = 2
stop_seconds = 20
ready = "test ! -e unready"
ready_seconds = 0.5
[processes.beat]
command = "python -m work beat"
roles = ["worker"]
exclusive = true
stop_seconds = 20
ready_seconds = 0.5
env = { JOB_SECONDS = "1.5" }
[timers.tick]
command = "sh -c 'while test -e busy; do sleep 0.1; done'"
roles = ["worker"]
schedule = "@yearly"
"""
)


@dataclass(frozen=True)
class Shop:
    """The project and its hosts, by role."""

    project: Project
    web: list[LabHost]
    workers: list[LabHost]

    @property
    def hosts(self) -> list[LabHost]:
        return [*self.web, *self.workers]

    def settings(self, on: LabHost | None = None, roles: Mapping[str, str] | None = None) -> None:
        """The settings, with beat and the timer `on` a host, and other `roles` of some hosts."""
        own = {host.name: "web" for host in self.web}
        own |= {host.name: "worker" for host in self.workers}
        tables = [
            f'[inventory.hosts.{name}]\nroles = ["{role}"]\n'
            for name, role in {**own, **(roles or {})}.items()
        ]
        text = SETTINGS
        for line in ("exclusive = true\n", 'schedule = "@yearly"\n') if on else ():
            text = text.replace(line, f'{line}on = "{on.name}"\n' if on else line)
        self.project.settings(text + "".join(tables))

    def beats(self, but: LabHost | None = None) -> list[LabHost]:
        """The hosts on which beat runs, or still ends."""
        asked = "systemctl list-units --plain --no-legend 'cartwheel-shop.beat.*'"
        return [host for host in self.workers if host is not but and host.sh(asked).strip()]

    def ticks(self, but: LabHost | None = None) -> list[LabHost]:
        """The hosts that have the timer."""
        asked = "systemctl list-units --plain --no-legend 'cartwheel-shop_timer.tick.timer'"
        return [host for host in self.workers if host is not but and host.sh(asked).strip()]

    def pids(self) -> dict[str, dict[str, str]]:
        """The main processes of every host, by their units; without beat."""
        return {host.name: pids(host) for host in self.hosts}


def pids(host: LabHost) -> dict[str, str]:
    told = host.sh(
        "systemctl show --property=Id,MainPID,ActiveState 'cartwheel-shop.*@*.service' || true"
    )
    found = {}
    for block in told.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("ActiveState") == "active" and ".beat." not in values["Id"]:
            found[values["Id"]] = values["MainPID"]
    return found


@pytest.fixture(scope="module")
def shop(
    request: pytest.FixtureRequest, hosts: GetHosts, tmp_path_factory: pytest.TempPathFactory
) -> Shop:
    """Deployed; the hosts of the workers had no package before.

    Only the nightly tests need two of each.
    """
    each = 2 if is_nightly(request) else 1
    web, workers = hosts(each, packages=READY), hosts(each)
    for host in (*web, *workers):
        host.reset()
    found = Shop(new_project(tmp_path_factory.mktemp("shop")), web, workers)
    found.project.write(f"app/{MODULE}.py", PROGRAM)
    found.project.app("one")
    found.settings()
    found.project.fab("setup")
    found.project.fab("deploy")
    return found


def test_a_host_without_web_has_no_web_server(shop: Shop) -> None:
    for host in shop.workers:
        assert host.sh("command -v nginx || echo none").strip() == "none"
        assert host.sh("ls -d /etc/nginx /srv/shop/*probe* 2>/dev/null || true") == ""
        assert running(host)["worker"] == 2
    for host in shop.web:
        assert get(host) == "one"
        assert running(host) == {"web": 1}
    names = ",".join(host.name for host in shop.workers)
    shop.project.fab("status")
    shop.project.fab("doctor")
    done = shop.project.fab("run", "-H", names, "--command", "pwd")
    assert done.text.count("/srv/shop/shared") == len(shop.workers)
    assert "open: " not in shop.project.fab("deploy", "-H", names).text


def test_an_unchanged_deploy_starts_what_is_down_and_touches_nothing_else(shop: Shop) -> None:
    before = shop.pids()
    host = shop.workers[0]
    down = next(unit for unit in before[host.name] if unit.endswith(".2.service"))
    await_sessions(host)  # the end of one starts what is down
    host.sh(f"systemctl stop {down}")
    text = shop.project.fab("deploy").text
    assert "started worker 2: it was down" in text
    assert "nothing changed" not in text
    assert "already live, nothing changed" in shop.project.fab("deploy").text
    after = shop.pids()
    assert after[host.name].pop(down) != before[host.name].pop(down)
    assert after == before


@pytest.mark.nightly
def test_the_last_worker_is_not_ready_and_all_four_go_back(shop: Shop) -> None:
    before, serves = shop.pids(), current(shop.web[0], "shop")
    shop.project.app("two")
    unready = shop.workers[1].path("/srv/shop/shared/unready")
    unready.touch()
    try:
        done = shop.project.fab("deploy", code=Exit.REVERTED)
    finally:
        unready.unlink()
    assert "CW603" in done.text
    rows = {line.split()[0]: line for line in done.text.splitlines() if line.startswith("lab")}
    for host in shop.hosts:
        assert "failed, rolled back" in rows[host.name]
        assert current(host, "shop") == serves
    assert [get(host) for host in shop.web] == ["one", "one"]
    until(lambda: shop.pids() == before)
    shop.project.fab("deploy")
    assert [get(host) for host in shop.web] == ["two", "two"]
    assert [running(host)["worker"] for host in shop.workers] == [2, 2]


@pytest.mark.nightly
def test_a_host_changes_its_role_and_back(shop: Shop) -> None:
    host, site = shop.web[1], "/etc/nginx/conf.d/cartwheel-shop.conf"
    shop.settings(roles={host.name: "worker"})
    shop.project.fab("deploy")
    assert running(host) == {"worker": 2}
    assert host.sh(f"ls {site} || true") == ""
    shop.project.fab("status")
    unready = host.path("/srv/shop/shared/unready")
    shop.project.fab("rollback", "-H", host.name)
    assert running(host) == {"worker": 2}, "its site is gone"
    shop.settings()
    unready.touch()
    shop.project.fab("deploy")
    unready.unlink()
    assert running(host) == {"web": 1}
    assert get(host) == "two"


def told(shop: Shop) -> list[str]:
    """What beat did, on all hosts in order."""
    texts = [host.sh("cat /srv/shop/shared/told") for host in shop.workers]
    lines = sorted(line for text in texts for line in text.splitlines() if " beat " in line)
    return [line.split()[3] for line in lines]


def never_twice(shop: Shop, *, cut_off: int = 0) -> bool:
    """Whether each beat ended before the next one began, except those that lost their power."""
    doing = told(shop)
    pairs = itertools.pairwise(doing)
    return sum(one == other == "begins" for one, other in pairs) <= cut_off


@pytest.mark.nightly
def test_one_host_of_the_fleet_has_what_is_exclusive(shop: Shop) -> None:
    first, second = shop.workers
    assert shop.beats() == [first]
    for host in shop.hosts:
        assert f'"beat": "{first.name}"' in host.sh("cat /srv/shop/assigned.json")
    shop.settings(on=second)
    before = shop.pids()
    text = shop.project.fab("deploy").text
    assert f"beat moves from {first.name} to {second.name}" in text
    assert shop.beats() == [second]
    assert never_twice(shop)
    assert shop.pids() == before, "nothing else is touched"
    shop.settings()
    text = shop.project.fab("deploy", "-H", first.name).text
    assert "beat" not in text
    assert shop.beats() == [second], "it stays where it is"
    _stays_stopped_on_its_way(shop, first, second)
    shop.project.app("three")
    shop.project.fab("deploy")
    assert shop.beats() == [second]
    assert never_twice(shop)
    shop.project.fab("status")


def _stays_stopped_on_its_way(shop: Shop, there: LabHost, back: LabHost) -> None:
    """Although the host that gets it was not among those of `process.stop`."""
    stop = ("process.stop", "--name", "beat", "--message", "the sale")
    assert f"beat: {back.name} has it" in shop.project.fab(*stop, "-H", there.name).text
    assert shop.beats() == [back]
    shop.project.fab("process.stop", "-H", back.name, "--name", "beat", "--message", "the sale")
    until(lambda: shop.beats() == [])
    shop.settings(on=there)
    text = shop.project.fab("deploy").text
    assert "beat is stopped by" in text
    assert shop.beats() == []
    status = shop.project.fab("status").text
    assert status.count("beat is stopped by") == 1
    assert "the sale" in shop.project.fab("ps", "-H", there.name).text
    shop.project.fab("process.start", "-H", there.name, "--name", "beat")
    assert shop.beats() == [there]
    shop.settings(on=back)
    shop.project.fab("deploy")
    assert shop.beats() == [back]
    shop.settings()


@pytest.mark.nightly
def test_a_host_without_beat_does_not_give_it_and_one_that_cannot_take_it_gives_it_back(
    shop: Shop,
) -> None:
    holder, other = shop.beats()[0], next(one for one in shop.workers if one not in shop.beats())
    shop.settings(on=other)
    locks = other.path("/srv/shop/locks")
    locks.chmod(0)
    try:
        text = shop.project.fab("deploy", code=Exit.ATTENTION).text
    finally:
        locks.chmod(0o755)
    assert "CW610" in text
    assert shop.beats() == [holder]
    shop.project.fab("status")


def runs(host: LabHost) -> list[dict[str, Any]]:
    """The runs of the timer on this host, oldest first."""
    found = host.sh("cat /srv/shop/timers/tick/[0-9]*.json 2>/dev/null | tr -d '\\n' || true")
    return list(map(json.loads, found.replace("}{", "}\n{").splitlines()))


@pytest.mark.nightly
def test_a_timer_moves_with_what_it_has_done(shop: Shop) -> None:
    """Its job ends where it began, then a time that was missed is made up, once."""
    holder = shop.ticks()[0]
    other = next(one for one in shop.workers if one is not holder)
    busy = holder.path("/srv/shop/shared/busy")
    busy.touch()
    shop.project.fab("timer.run", "--name", "tick")
    shop.settings(on=other)
    assert f"timer tick moves from {holder.name} to {other.name}" in shop.project.fab("plan").text
    holder.sh("for one in /srv/shop/timers/tick/since.*; do echo '{\"since\": 1.0}' >$one; done")
    until_said(shop, "the job of the timer tick is under way", busy.unlink, kill=False)
    assert shop.ticks() == [other]
    [run] = runs(holder)
    assert (run["due"], run["result"]) == (None, "done")
    until(lambda: [one["result"] for one in runs(other)] == ["done"])
    [made_up] = runs(other)
    assert made_up["started"] > run["ended"]
    assert made_up["due"] == datetime(datetime.now(UTC).year, 1, 1, tzinfo=UTC).timestamp()
    listed = shop.project.fab("timer.list", "-H", holder.name).text
    assert f"on {other.name}" in listed
    assert f"timer tick is on {other.name}" in shop.project.fab("status").text
    shop.settings(on=holder)
    shop.project.fab("deploy")
    assert (shop.ticks(), len(runs(holder)), len(runs(other))) == ([holder], 1, 1)


def until_said(shop: Shop, words: str, then: Callable[[], None], *, kill: bool = True) -> None:
    """When a deploy says this, `then` do more, and `kill` it."""
    running = subprocess.Popen(
        shop.project.command("deploy"),
        cwd=shop.project.folder,
        env=shop.project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None
    with running:
        said = []
        for line in running.stdout:
            said.append(line)
            if words in line:
                then()
                if kill:
                    running.kill()
        assert any(words in line for line in said), "".join(said)


CUTS = {
    f"{how}, {step} {what}"
    for how, step, what in itertools.product(
        ("power", "line"), ("let go", "take"), ("beat", "timer tick")
    )
}


@pytest.mark.nightly
@pytest.mark.parametrize("where", sorted(CUTS))
def test_a_move_that_is_cut_off(shop: Shop, where: str) -> None:
    """It runs on one host at most; where it runs nowhere, `status` says so, and the next run gives
    it to a host."""
    how, step = where.split(", ")
    holder, other = shop.beats()[0], next(one for one in shop.workers if one not in shop.beats())
    shop.settings(on=other)
    cut = holder if step.startswith("let go") else other
    before = len(told(shop))
    until_said(shop, f"[{cut.name}] … {step}", cut.power_cut if how == "power" else lambda: None)
    if how == "power":
        cut.boot()
    for host in shop.hosts:
        await_sessions(host)
    assert len(shop.beats()) <= 1
    assert len(shop.ticks()) <= 1
    assert holder not in shop.beats() or cut is holder
    for what, having in (("beat", shop.beats()), ("timer tick", shop.ticks())):
        if not having:
            assert f"{what} runs nowhere" in shop.project.fab("status", code=1).text
    finish = ("status", "--finish") if how == "line" else ("deploy",)
    shop.project.fab(*finish)
    assert len(shop.beats()) == len(shop.ticks()) == 1
    if [*shop.beats(), *shop.ticks()] != [other, other]:
        shop.project.fab("deploy")
    assert shop.beats() == shop.ticks() == [other]
    assert len(told(shop)) > before
    assert never_twice(shop, cut_off=2)
    shop.project.fab("status")


@pytest.mark.nightly
def test_a_host_that_is_off_for_good(shop: Shop) -> None:
    """It stays its, until somebody vouches for that."""
    holder, other = shop.beats()[0], next(one for one in shop.workers if one not in shop.beats())
    shop.settings(roles={holder.name: "gone"})
    holder.power_cut()
    try:
        text = shop.project.fab("deploy").text
        assert f"beat is on {holder.name}, which is no host of the app any more" in text
        assert f"timer tick is on {holder.name}, which is no host of the app any more" in text
        assert shop.beats(but=holder) == shop.ticks(but=holder) == []
        shop.project.fab("deploy", "--move-exclusive")
        assert shop.beats(but=holder) == shop.ticks(but=holder) == [other]
    finally:
        holder.boot()
