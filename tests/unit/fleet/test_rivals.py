"""Two operators with overlapping sets of hosts, on the kernel's own locks: one waits or is
refused; never both at once on a host, never each waiting for the other."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cartwheel.errors import CartwheelError, HostError
from cartwheel.fleet.locking import lock_all
from cartwheel.fleet.sessions import failures
from cartwheel.fleet.terms import Terms
from cartwheel.host.layout import Layout
from cartwheel.host.session import operations
from cartwheel.host.system.context import OpError
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.locking import Lock
from cartwheel.host.wire.request import Request, Who
from tests.unit.answers import answer_to, fleet_of
from tests.unit.hostside import Session, host_in

A = TypeVar("A")
TRIES = 200
HOSTS = ["h1", "h2", "h3", "h4", "h5"]
HELD_SECONDS = 0.002


class Host:
    """One operator's session with a host: the real operations on locks, on the real files.
    (Each host is an application of its own here, so that its lock is.)"""

    def __init__(self, name: str, base: Path, who: str) -> None:
        self.host_key = name
        self._session = Session(Layout(name, base), who)
        self._session.memory.clear()

    def request(self, asked: Request[A], **_more: Any) -> A:
        try:
            return answer_to(asked, self._answer(asked))
        except OpError as error:
            raise HostError(error.slug, error.message) from error

    def _answer(self, asked: Request[A]) -> Any:
        if asked.op == "hello":
            return to_json(Who(0, 1, self.host_key))
        return operations.perform(asked.op, self._session.ctx(), to_json(asked))

    def close(self, **_more: Any) -> None:
        self._session.end()


class Rivals:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.guard = threading.Lock()
        self.holders: dict[str, str] = {}
        self.mixtures: list[str] = []
        self.refused: list[str] = []

    def deploy(self, who: str, names: list[str], wait_seconds: float) -> None:
        """What a deploy does with its locks: all of them, or none."""
        terms = Terms(wait_seconds, 20.0)
        sessions = {name: Host(name, self.base, who) for name in names}
        with fleet_of(sessions, parallel=8) as fleet:
            if failures(lock_all(fleet, names, terms)):
                self.refused.append(who)
                return
            with self.guard:
                self.mixtures += [name for name in names if name in self.holders]
                self.holders |= dict.fromkeys(names, who)
            threading.Event().wait(HELD_SECONDS)
            with self.guard:
                for name in names:
                    del self.holders[name]


@pytest.fixture
def rivals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rivals:
    return Rivals(host_in(tmp_path, monkeypatch).base)


@pytest.mark.parametrize("wait_seconds", [10.0, 0.0])
def test_two_operators_at_once(rivals: Rivals, wait_seconds: float) -> None:
    chance = random.Random(7)
    problems: list[BaseException] = []

    def run(who: str, names: list[str]) -> None:
        try:
            rivals.deploy(who, names, wait_seconds)
        except BaseException as error:
            problems.append(error)

    for number in range(TRIES if wait_seconds else TRIES // 10):
        before = len(rivals.refused)
        threads = [
            threading.Thread(target=run, args=(who, chance.sample(HOSTS, chance.randint(2, 5))))
            for who in ("ann", "bob")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), f"try {number}: they wait for each other"
        assert not problems
        assert not rivals.mixtures
        refused = rivals.refused[before:]
        assert len(refused) <= (0 if wait_seconds else 1), "one of the two always gets through"


def test_a_lock_that_somebody_keeps_refuses_all(rivals: Rivals) -> None:
    held = Host("h3", rivals.base, "bob")
    held.request(Lock(wait_seconds=0.0, about_freeze=False))
    sessions = {name: Host(name, rivals.base, "ann") for name in HOSTS}
    terms = Terms(0.1, 20.0)
    with fleet_of(sessions) as fleet:
        answers = lock_all(fleet, HOSTS, terms)
    assert isinstance(answers["h3"], CartwheelError)
    assert "bob" in str(answers["h3"])
    held.close()
    rivals.deploy("cy", HOSTS, 0.0)
    assert rivals.refused == []
