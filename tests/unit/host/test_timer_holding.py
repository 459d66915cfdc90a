"""A host that gives up a timer, or takes it, crashed before every system call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host import recover
from cartwheel.host.state import releases, timers
from cartwheel.host.switch import holding
from cartwheel.host.system import files
from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.holding import LetGo, Record, Take
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.timer import Timer
from cartwheel.settings.phases import Kind
from tests.unit.host import test_switch
from tests.unit.host.test_switch import PROBE, Stage, dying_before

HERE = Assigned({"web": 1}, {"timer tick": "a"}, timers=("tick",))
ELSEWHERE = Assigned({"web": 1}, {"timer tick": "b"})
PAUSED = Record(1.0, Stopped("ann"))


class Timed(Stage):
    """Its releases have a timer, and no process but web."""

    def prepare(self, name: str) -> None:
        super().prepare(name)
        path = releases.manifest_path(self.at, name)
        known = to_json(releases.manifest(self.at, name))
        files.write_json(path, {**known, "timers": {"tick": to_json(Timer("0 3 * * *"))}})
        self.at.job_source("tick", name).write_text(name)

    def asked(self, to: str, kind: Kind = "deploy", **more: Any) -> Any:
        return super().asked(to, kind, **{"assigned": HERE, **more})

    def check(self) -> None:
        super().check()
        if not timers.here(self.at):
            assert not self.at.timer_stamp("tick").exists()


def giving(stage: Timed) -> Callable[[], Any]:
    stage.deploy("1.a")
    return lambda: holding.let_go(stage.session().ctx(), LetGo("timer tick", "b"))


def taking(stage: Timed) -> Callable[[], Any]:
    stage.deploy("1.a", assigned=ELSEWHERE)
    asked = Take("timer tick", "a", PROBE, record=PAUSED)
    return lambda: holding.take(stage.session().ctx(), asked)


def stages(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Timed]:
    patch.setattr(test_switch, "Stage", Timed)
    for stage in test_switch._stage(folder, patch):
        assert isinstance(stage, Timed)
        yield stage


@pytest.mark.parametrize("scene", [giving, taking])
def test_killed_before_any_call_it_is_wholly_here_or_not(
    scene: Callable[[Timed], Callable[[], Any]], memory: Path
) -> None:
    """By turns only the process is killed, and with it all that the host ran. Where it is here, it
    goes on from what the other host knew."""
    number, ended = 0, False
    while not ended:
        folder = memory / str(number)
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            for stage in stages(folder, patch):
                ended = not dying_before(number, scene(stage))
                if number % 2:
                    stage.power_cut()
                stage.settle()
                stage.check()
                assert stage.settle() == [], "nothing is left to do"
                assert recover.is_settled(stage.at)
                if scene is taking and timers.here(stage.at):
                    assert timers.record(stage.at, "tick") == PAUSED
                    assert stage.at.timer_stamp("tick").stat().st_mtime == PAUSED.since
                if ended:
                    assert [*timers.here(stage.at)] == (["tick"] if scene is taking else [])
        number += 1
    assert number > 10
