"""A host's clock is compared when that host answers, not when the slowest one has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from cartwheel.commands import ask, doctor
from cartwheel.commands.diagnose import diagnose
from cartwheel.commands.scene import Scene
from cartwheel.events import Event
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.request import Request
from cartwheel.settings.hosts import Host as InventoryHost
from tests.unit.answers import FACTS, WELL, answer_to
from tests.unit.commands.test_deploy import SCENE
from tests.unit.diagnosis import case

A = TypeVar("A")
NOW = 1_796_000_000.0
LATE_SECONDS = 110.0


class Clock:
    """This machine's time."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Host:
    """It answers with its time, before anything is asked of it."""

    def __init__(self, before: Callable[[], None] = lambda: None, off_seconds: float = 0.0) -> None:
        self.before, self.off_seconds = before, off_seconds
        self.round_trips = 0

    def request(self, asked: Request[A], **_more: Any) -> A:
        self.before()
        at = NOW + self.off_seconds
        answers: Mapping[str, Any] = {
            "diagnose": {**_found(), "time": at},
            "probe": {**FACTS, "host": {**FACTS["host"], "time": at}},
            "examine": {"status": WELL, "damage": {}, "index": None, "cache_bytes": 0},
        }
        return answer_to(asked, answers[asked.op])

    def close(self, **_more: Any) -> None:
        pass


def _found() -> dict[str, Any]:
    found = to_json(replace(case().found, took_seconds=0.0))
    assert isinstance(found, dict)
    return found


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """`quick` answers at once, as does `wrong`, whose clock is behind; then almost two minutes
    pass until `slow` does."""
    clock, answered = Clock(), threading.Semaphore(0)
    taken = {"quick", "wrong"}

    def emit(event: Event) -> None:
        if event.state == "done" and event.host in taken:
            taken.remove(event.host)
            answered.release()

    def wait() -> None:
        if clock.now == NOW:
            assert all(answered.acquire(timeout=60) for _host in range(2))
            clock.now += LATE_SECONDS

    hosts = {"quick": Host(), "wrong": Host(off_seconds=-3600.0), "slow": Host(wait, LATE_SECONDS)}

    def reach(_scene: Scene, **_more: Any) -> tuple[dict[str, Host], dict[str, Any]]:
        return hosts, {}

    monkeypatch.setattr("time.time", clock)
    for module in (ask, doctor):
        monkeypatch.setattr(module, "reach", reach)
    return replace(SCENE, chosen=tuple(InventoryHost(name, "-H") for name in hosts), emit=emit)


def test_diagnose(scene: Scene) -> None:
    found = diagnose(scene, 7200.0, texts=False)
    titles = {
        host: [one.cause.title for one in judged.causes if one.cause.slug == "clock"]
        for host, judged in found.items()
        if not isinstance(judged, Exception)
    }
    behind = "the host's clock is 60 minutes behind this machine's"
    assert titles == {"quick": [], "wrong": [behind], "slow": []}


def test_doctor(scene: Scene) -> None:
    found = [one for one in doctor.doctor(scene, fix=False) if one.what == "clock"]
    assert [(one.host, one.level, one.detail) for one in found] == [
        ("quick", "ok", "0 s off"),
        ("wrong", "PROBLEM", "3600 s off this machine's"),
        ("slow", "ok", "0 s off"),
    ]
