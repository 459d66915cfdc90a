"""A row of `fab watch`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cartwheel.host.wire.look import (
    BOUNDS,
    AppLook,
    DiskLook,
    HostLook,
    ProcessLook,
    Requests,
    TimerLook,
)
from cartwheel.plan.live import live, quantile

WEB = ProcessLook("web", "1", "active", "success", 0, 100.0, 50 << 20)
APP = AppLook("shop", "1.0.aa", "1.0", 100.0, front="", processes=(WEB,))
DISK = DiskLook("/", 100 << 30, 50 << 30, 1000, 500)


def host(app: AppLook = APP, disk: DiskLook = DISK) -> HostLook:
    return HostLook(apps=(AppLook("blog"), app), disks=(disk,))


def times(**counts: int) -> tuple[int, ...]:
    """`_0_1=5`: five that took up to 0.1 s."""
    given = {float(name.strip("_").replace("_", ".")): count for name, count in counts.items()}
    return (*(given.get(bound, 0) for bound in BOUNDS), given.get(99.0, 0))


def test_one_that_is_well() -> None:
    found = live(host(replace(APP, requests=Requests(10.0, 40, 1, times(_0_1=39, _5_0=1)))), "shop")
    assert found is not None
    assert (found.state, found.notes) == ("healthy", ())
    assert (found.rate, found.failed, found.usual, found.slow) == (4.0, 0.025, 0.1, 0.1)
    assert found.memory == 50 << 20


def test_an_app_that_is_not_there() -> None:
    assert live(host(), "wiki") is None


@pytest.mark.parametrize(
    ("app", "state", "note"),
    [
        (replace(APP, release=""), "not deployed", ""),
        (replace(APP, stopped=True), "stopped", ""),
        (replace(APP, front="/ answered 500"), "UNHEALTHY", "/ answered 500"),
        (
            replace(APP, processes=(replace(WEB, active="failed"),)),
            "UNHEALTHY",
            "web@1 is failed",
        ),
        (
            replace(APP, processes=(WEB, ProcessLook("worker", "1", "activating"))),
            "AT RISK",
            "worker@1 is activating",
        ),
        (replace(APP, processes=(replace(WEB, restarts=3),)), "healthy", "web@1 restarted 3 times"),
        (replace(APP, timers=(TimerLook("tick", "failed"),)), "healthy", "timer tick: failed"),
        (
            replace(APP, timers=(TimerLook("tick", "done", due=1.0),)),
            "healthy",
            "timer tick is late",
        ),
        (replace(APP, locked=True), "healthy", "a run holds the lock"),
        (replace(APP, closed=True), "healthy", "closed for visitors"),
        (replace(APP, frozen=True), "healthy", "frozen"),
        (replace(APP, pending=True), "healthy", "a switch is not confirmed"),
    ],
)
def test_a_state(app: AppLook, state: str, note: str) -> None:
    found = live(host(app), "shop")
    assert found is not None
    assert (found.state, "; ".join(found.notes)) == (state, note)


@pytest.mark.parametrize(
    ("disk", "note"),
    [
        (replace(DISK, free=5 << 30), "/: 5120 MB, 500 inodes free"),
        (replace(DISK, free_inodes=5), "/: 51200 MB, 5 inodes free"),
        (replace(DISK, read_only=True), "/ is read-only"),
        (replace(DISK, inodes=0, free_inodes=0), ""),
    ],
)
def test_a_disk(disk: DiskLook, note: str) -> None:
    found = live(host(disk=disk), "shop")
    assert found is not None
    assert "; ".join(found.notes) == note


@pytest.mark.parametrize(
    ("counts", "share", "bound"),
    [
        (times(_0_05=1), 0.5, 0.05),
        (times(_0_05=50, _1_0=50), 0.5, 0.05),
        (times(_0_05=49, _1_0=51), 0.5, 1.0),
        (times(_0_05=94, _1_0=6), 0.95, 1.0),
        (times(_99_0=1), 0.5, None),
        ((), 0.5, None),
    ],
)
def test_a_quantile(counts: tuple[int, ...], share: float, bound: float | None) -> None:
    assert quantile(Requests(times=counts), share) == bound


def test_what_could_not_be_read_is_noted() -> None:
    unread = {"late": "not all", "shop: requests": "no log", "blog: requests": "no other log"}
    found = live(replace(host(), unread=unread), "shop")
    assert found is not None
    assert found.notes == ("not read: late: not all", "not read: requests: no log")
