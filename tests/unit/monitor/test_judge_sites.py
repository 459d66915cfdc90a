"""A site that is not asked any more holds no incident open."""

from __future__ import annotations

from cartwheel_monitor.judge import Judge, Watched
from cartwheel_monitor.observations import Probe

OLD, NEW = "http://192.0.2.1/", "http://192.0.2.1/healthz"


def watched(site: str) -> Watched:
    return Watched(frozenset({"web1"}), {"shop": frozenset({"web1"})}, frozenset({site}))


def down(site: str, at: float) -> Probe:
    return Probe("shop", at, None, 0.1, "Connection refused", site)


def test_another_address() -> None:
    judge = Judge(watched(OLD))
    for at in (100.0, 105.0):
        judge.probed(down(OLD, at))
    assert [one.news for one in judge.news(110.0)] == ["opened"]
    judge = Judge(watched(NEW), state=judge.state())
    assert [one.news for one in judge.news(111.0)] == ["recovered"]
    for at in (1000.0, 1005.0):
        judge.probed(down(NEW, at))
    assert [one.news for one in judge.news(1010.0)] == ["opened"]
