"""When a process besides web is ready."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel.host.layout import Layout
from cartwheel.host.process import worker
from cartwheel.host.process.worker import Worker
from cartwheel.host.state import environment, sides
from cartwheel.host.system import systemd
from cartwheel.host.system.context import OpError
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.process import Process
from tests.kit.waiting import until
from tests.unit.hostside import Session

ONE = Instance("worker", "1.a", "1", 2)
PROBE = Probe("/", "localhost", "http", 200, 1, 0.1, 5, 1)
UP = UnitState("active", "running", 0, os.getpid(), None, 1.0, "success")

Look = Callable[..., Callable[[], str]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Make the proof of an instance in this state, of a process like this."""
    at = Layout("shop", tmp_path)
    at.shared.mkdir(parents=True)
    monkeypatch.setattr(environment, "of_instance", lambda *_args: dict(os.environ))
    monkeypatch.setattr(environment, "app_user", lambda _at: None)

    def make(state: UnitState, known: Process) -> Callable[[], str]:
        monkeypatch.setattr(systemd, "state", lambda _unit: state)
        monkeypatch.setattr(sides, "process", lambda _at, _one: known)
        return Worker().proof(Session(at).ctx(), at, ONE, PROBE)

    return make


def test_one_that_stays_up_is_ready(look: Look) -> None:
    young = replace(UP, since_monotonic=time.clock_gettime(time.CLOCK_MONOTONIC))
    assert look(young, Process(ready_seconds=30))() == "worker 2 must be up for 30 s"
    assert look(replace(UP, active="activating"), Process())() == "worker 2 must be up for 3 s"
    assert look(UP, Process())() == ""


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (replace(UP, active="failed", result="exit-code"), r"worker 2 ended \(exit-code\)"),
        (replace(UP, restarts=1, result="signal"), r"worker 2 ended \(signal\)"),
        (replace(UP, sub="auto-restart"), "worker 2 ended by itself; a process must go on"),
    ],
)
def test_one_that_has_ended_will_never_be_ready(look: Look, state: UnitState, said: str) -> None:
    with pytest.raises(OpError, match=said) as caught:
        look(state, Process())()
    assert caught.value.slug == "not-ready"


def test_one_that_waits_for_its_lock_is_not_ready(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_LOCK_PROGRAM", Path(os.path.realpath("/proc/self/exe")).name)
    assert look(UP, Process("last"))() == "worker 2 waits until the one before it has ended"


def test_its_own_command_decides(look: Look, tmp_path: Path) -> None:
    proof = look(
        UP, Process(ready=f"sleep 0.2; test -e {tmp_path}/done || {{ echo busy; exit 3; }}")
    )
    assert "has not answered yet" in proof()
    until(lambda: proof().endswith("ended with 3: busy"))
    (tmp_path / "done").touch()
    until(lambda: proof() == "")


def test_the_wait_has_an_end(look: Look) -> None:
    proof = look(UP, Process(ready="false", ready_seconds=0.1, deadline_seconds=0.1))

    def gave_up() -> bool:
        try:
            return not proof()
        except OpError as error:
            assert (error.slug, "processes.worker.ready" in error.hint) == ("not-ready", True)
            return True

    until(gave_up)
