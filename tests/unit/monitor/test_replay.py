"""Days of probes and looks, as the loop hands them on: healthy fleets are silent, and each trouble
is told once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import BOUNDS, AppLook, DiskLook, HostLook, Requests
from cartwheel_monitor.observations import Look, Probe
from tests.unit.monitor.world import (
    DAY,
    GIB,
    HOUR,
    MINUTE,
    SIZE,
    START,
    Lived,
    World,
    changed,
    live,
)

WORLD = World(4, {"shop": ("web1", "web2", "web3")})
AT = START + 10 * DAY + 7.5 * HOUR  # no deploy, backup or report is near
BEGINS = AT - 5 * MINUTE
OVER = AT + 15 * MINUTE
ENDS = OVER + 25 * MINUTE

Seen = Callable[[Look], Look]


@dataclass(frozen=True)
class Trouble:
    """`within`: so soon after AT people must know. `places`: the hosts that it names. `recovers`:
    it is told that it is over."""

    name: str
    kind: str
    within: float
    look: Seen = lambda one: one
    probe: Callable[[Probe], Probe] = lambda one: one
    places: frozenset[str] = frozenset({"web1"})
    recovers: bool = True
    says: str = ""


def on(host: str, change: Seen) -> Seen:
    """The change at this host, while the trouble lasts."""
    return lambda one: change(one) if one.host == host and AT <= one.at < OVER else one


def host_with(change: Callable[[HostLook], HostLook], host: str = "web1") -> Seen:
    def seen(one: Look) -> Look:
        return replace(one, seen=change(one.seen)) if one.seen else one

    return on(host, seen)


def app_with(change: Callable[[AppLook], AppLook], host: str = "web1") -> Seen:
    return on(host, lambda one: changed(one, change))


def process(**fields: object) -> Seen:
    return app_with(
        lambda app: replace(app, processes=(replace(app.processes[0], **fields),))  # type: ignore[arg-type]  # a test
    )


def disk(change: Callable[[DiskLook], DiskLook]) -> Seen:
    return host_with(lambda seen: replace(seen, disks=(change(seen.disks[0]), seen.disks[1])))


def failing(share: float) -> Callable[[AppLook], AppLook]:
    def change(app: AppLook) -> AppLook:
        found = app.requests or Requests()
        return replace(app, requests=replace(found, failed=round(found.count * share)))

    return change


def slow(app: AppLook) -> AppLook:
    found = app.requests or Requests()
    times = [0] * (len(BOUNDS) + 1)
    times[3], times[9] = found.count - found.count // 4, found.count // 4
    return replace(app, requests=replace(found, times=tuple(times)))


def timer(**fields: object) -> Seen:
    return app_with(lambda app: replace(app, timers=(replace(app.timers[0], **fields),)))  # type: ignore[arg-type]  # a test


def crashing(one: Look) -> Look:
    """A start each minute, for ten minutes."""
    if one.host != "web1":
        return one
    more = int(max(0.0, min(one.at - AT, 10 * MINUTE)) // MINUTE)
    return changed(
        one,
        lambda app: replace(
            app,
            processes=(replace(app.processes[0], restarts=app.processes[0].restarts + more),),
        ),
    )


def entry(**fields: object) -> Seen:
    """A line of the journal, in the first look after AT."""
    told: list[float] = []

    def seen(one: Look) -> Look:
        if one.host != "web1" or one.at < AT or one.seen is None or (told and told[0] != one.at):
            return one
        told[:] = [one.at]
        line = Entry(seq=900, at=one.at, who="ann", **fields)  # type: ignore[arg-type]  # a test
        return changed(one, lambda app: replace(app, entries=(line,)))

    return seen


def dead(one: Probe) -> Probe:
    bad = one.app == "shop" and AT <= one.at < OVER
    return replace(one, status=None, problem="no answer within 5 s") if bad else one


def expiring(left: float) -> Seen:
    return app_with(
        lambda app: replace(app, until=AT + left, valid_from=AT + left - 90 * DAY), "web1"
    )


SHOP = frozenset(WORLD.apps["shop"])
TROUBLES = (
    Trouble("site", "site", 45, probe=dead, places=SHOP, says="no answer"),
    Trouble("host", "host", 50, on("web1", lambda one: replace(one, seen=None, problem="refused"))),
    Trouble("errors", "errors", 5 * MINUTE, app_with(failing(0.3)), says="5xx"),
    Trouble(
        "errors everywhere",
        "errors",
        5 * MINUTE,
        lambda one: changed(one, failing(0.1)) if AT <= one.at < OVER else one,
        places=SHOP,
    ),
    Trouble("slow", "slow", 6 * MINUTE, app_with(slow), says="longer than"),
    Trouble("process down", "process", 60, process(active="failed", result="exit-code")),
    Trouble("never started", "process", 60, process(active="activating", since=AT - 99)),
    Trouble("no answer inside", "process", 60, app_with(lambda app: replace(app, front="502"))),
    Trouble("state unreadable", "process", 60, app_with(lambda app: replace(app, problem="x"))),
    Trouble("restarts", "restarts", 5 * MINUTE, crashing, says="times in 10 minutes"),
    Trouble("timer failed", "timer", 60, timer(result="failed", detail="exit 1"), says="exit 1"),
    Trouble("timer late", "timer", 60, timer(due=AT - 400), says="late"),
    Trouble("memory", "memory", 3 * MINUTE, host_with(lambda s: replace(s, memory_available=9))),
    Trouble("disk full", "disk", 2 * MINUTE, disk(lambda d: replace(d, free=GIB))),
    Trouble("inodes", "disk", 2 * MINUTE, disk(lambda d: replace(d, free_inodes=9)), says="inodes"),
    Trouble("read-only", "disk", 2 * MINUTE, disk(lambda d: replace(d, read_only=True))),
    Trouble("certificate", "certificate", 90, expiring(10.5 * DAY), says="ends in 10 days"),
    Trouble("certificate over", "certificate", 90, expiring(-5 * HOUR), says="has ended"),
    Trouble("clock", "clock", 2 * MINUTE, host_with(lambda s: replace(s, time=s.time + 300))),
    Trouble("behind", "behind", 2 * MINUTE, app_with(lambda app: replace(app, release="0.9"))),
    Trouble(
        "unfinished", "unfinished", 2 * MINUTE, app_with(lambda app: replace(app, pending=True))
    ),
    Trouble(
        "deploy failed",
        "deploy",
        60,
        entry(kind="deploy", release="2.0", result="failed", reason="health"),
        recovers=False,
        says="failed: health",
    ),
    Trouble(
        "deploy put back",
        "deploy",
        60,
        entry(kind="deploy", release="2.0", result="reverted", reason="5xx"),
        recovers=False,
        says="went back",
    ),
    Trouble(
        "operator killed",
        "deploy",
        60,
        entry(
            kind="deploy",
            release="2.0",
            result="reverted",
            reason="its session ended before the confirmation",
        ),
        recovers=False,
        says="cut off",
    ),
    Trouble(
        "cut off after its migration",
        "deploy",
        60,
        entry(kind="migrate", release="2.0", result="done"),
        recovers=False,
        says="cut off after migration",
    ),
)


@pytest.mark.parametrize("one", TROUBLES, ids=lambda one: one.name)
def test_a_trouble_is_told_once_and_in_time(one: Trouble) -> None:
    found = live(WORLD, BEGINS, ENDS, history=Lived(WORLD), look=one.look, probe=one.probe)
    texts = [each.text for each in found]
    assert texts == [f"opened {one.kind}", *([f"recovered {one.kind}"] if one.recovers else [])]
    opened = found[0]
    assert 0 <= opened.at - AT <= one.within, opened.at - AT
    assert opened.places == one.places
    problems = " ".join(each.problem for each in opened.told.incident.every)
    assert one.says in problems


def test_a_healthy_fleet_is_silent() -> None:
    """Over the backup and the report of a night, and over a deploy, while the monitor is started
    anew."""
    day = START + 9 * DAY
    deploy = WORLD.deploys("shop", 9)[0].begins
    for begins, ends in (
        (day + 1.9 * HOUR, day + 3.8 * HOUR),
        (deploy - 3 * MINUTE, deploy + 25 * MINUTE),
    ):
        restarts = [begins + 4 * MINUTE]
        found = live(WORLD, begins, ends, history=Lived(WORLD), restarts=restarts)
        assert [one.text for one in found] == []


def test_a_disk_that_fills_is_told_hours_before() -> None:
    """By 8 GiB an hour. The backup of each night takes as much at once, and is no news."""
    begins = START + 10 * DAY + 12 * HOUR

    def filling(one: Look) -> Look:
        if one.seen is None or one.at < begins:
            return one
        root = one.seen.disks[0]
        more = int((one.at - begins) / HOUR * 8 * GIB)
        return replace(one, seen=replace(one.seen, disks=(replace(root, free=root.free - more),)))

    world = World(4, {"shop": ("web1",)})
    found = live(world, begins, begins + 4 * HOUR, history=Lived(world), look=filling)
    assert [one.text for one in found] == ["opened disk"]
    (problem,) = [one.problem for one in found[0].told.incident.every]
    hours = re.search(r"will be full in ([0-9.]+) hours", problem)
    assert hours and float(hours[1]) > 1.5, problem


@pytest.mark.nightly
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", [1, 2])
def test_thirty_healthy_days_are_silent(seed: int) -> None:
    """From the first minute on: nothing is known of other days."""
    world = World(seed)
    restarts = [START + day * DAY + 11 * HOUR for day in range(0, 30, 5)]
    found = live(world, START, START + 30 * DAY, restarts=restarts)
    assert [(one.at - START, one.text) for one in found] == []


def test_forty_hosts_with_one_trouble_are_one_message() -> None:
    hosts = tuple(f"web{number:02}" for number in range(40))
    world = World(4, {"shop": hosts}, {"shop": 60.0})

    def full(one: Look) -> Look:
        if one.seen is None or one.at < AT:
            return one
        return replace(one, seen=replace(one.seen, disks=(DiskLook("/", SIZE, GIB, 9, 9),)))

    found = live(world, AT - 5 * MINUTE, AT + 10 * MINUTE, history=Lived(world, 0.0), look=full)
    assert [one.text for one in found] == ["opened disk"]
    assert found[0].places == frozenset(hosts)
