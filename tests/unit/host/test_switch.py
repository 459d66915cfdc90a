"""The switch, its way back and its recovery, crashed before every system call.

Only systemd and nginx are stand-ins, with their state in files, so that it outlives a
process that is killed. What an instance answers is tested elsewhere.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cartwheel.host import layout, recover
from cartwheel.host.layout import FIRST_SLOT, OLD_SLOTS, Layout, first_of
from cartwheel.host.process import drain, health, instances, listing, worker
from cartwheel.host.process import timers as process_timers
from cartwheel.host.process import web as web_kind
from cartwheel.host.process.worker import Worker
from cartwheel.host.release import leftovers
from cartwheel.host.state import assignment, journal, pending, releases, sides, timers, whole
from cartwheel.host.switch import holding
from cartwheel.host.switch import switch as switching
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import ContactLost, OpError
from cartwheel.host.system.systemd import Units, UnitState
from cartwheel.host.upkeep import jobs, processes
from cartwheel.host.web import configuration, front_door
from cartwheel.host.web.server import WebServer
from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.holding import LetGo, Take
from cartwheel.host.wire.instance import Instance
from cartwheel.host.wire.manifest import Manifest
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.process import Process
from cartwheel.host.wire.processes import RestartProcesses, StartProcesses, StopProcesses
from cartwheel.host.wire.running import Start, Stop
from cartwheel.host.wire.served import Served
from cartwheel.host.wire.switching import (
    Confirm,
    Finish,
    GoBack,
    Limits,
    Switch,
    Unchanged,
    WentBack,
)
from cartwheel.host.wire.timer import Timer
from cartwheel.settings.phases import Kind
from tests.kit.tiers import tiered
from tests.unit.hostside import Session, host_in, in_child, slot_of, web

PROBE = Probe("/", "localhost", "http", 200, 1, 0.1, 5, 1)
_CALLS = ("open", "mkdir", "chmod", "fsync", "rename", "symlink", "unlink", "rmdir", "write")
_CRASHED = 99


WHOLE = {
    "worker": Process("beside"),
    "poller": Process("instead"),
    "beat": Process("last"),
}
_NOTHING = os.open(os.devnull, os.O_WRONLY)
COUNTS = {"web": 1, "worker": 2, "poller": 1, "beat": 1}
WITHOUT_WEB = Assigned({"worker": 2, "poller": 1, "beat": 1})


def _call() -> None:
    """A call of systemd's is a system call too, before which the host side may die."""
    with suppress(OSError):  # of a test's full disk
        os.write(_NOTHING, b"")


def _timer(unit: str) -> str:
    """What systemd reads of a timer that waits."""
    path = layout.UNITS / unit
    return "active " + (path.read_text() if path.exists() else "")


class Stage:
    """One host; `run` does a whole deploy's worth of operations on it."""

    def __init__(self, folder: Path, at: Layout) -> None:
        self.at = at
        self.sessions: list[Session] = []
        self.units = folder / "active-units"
        self.units.mkdir()
        self.site = folder / "site.conf"
        # Of the releases that are prepared. Where there are some, there is also a timer.
        self.processes: dict[str, Process] = {}
        self.waiting = folder / "waiting-timers"  # as systemd has loaded them
        self.waiting.mkdir()
        self.slow = False  # what is asked to stop has requests under way, until `let_end`
        self.default = folder / "default"
        self.loaded = folder / "loaded-by-nginx"
        self.default.symlink_to("sites-available/default")
        self.reload()

    # systemd

    def state(self, unit: str) -> UnitState:
        path = (self.waiting if unit.endswith(".timer") else self.units) / unit
        active = path.read_text().split()[0] if path.exists() else "inactive"
        outdated = unit.endswith(".timer") and path.exists() and path.read_text() != _timer(unit)
        return UnitState(active, "running", 0, 1, 1 << 20, 1.0, "success", is_outdated=outdated)

    def instances(self, at: Layout) -> dict[Instance, str]:
        units = {path.name: self.state(path.name).active for path in sorted(self.units.iterdir())}
        return {at.instance_of(unit) or web("?", unit): active for unit, active in units.items()}

    def running(self, at: Layout) -> list[Instance]:
        """What serves, or should not run."""
        found = self.instances(at)
        return [one for one in found if found[one] != systemd.STOPPING]

    def start(self, _ctx: Any, unit: str) -> None:
        _call()
        instance = self.at.instance_of(unit)
        if instance is None or not self.at.unit_file(instance).exists():
            raise OpError("start-failed", f"no {unit}")
        if self.state(unit).active == systemd.STOPPING:
            assert sides.process(self.at, instance).never_twice, "it would wait for the end"
            (self.units / unit).write_text(f"{systemd.STOPPING} start")
        else:
            (self.units / unit).write_text("active")

    def stop(self, unit: str) -> None:
        _call()
        one = self.at.instance_of(unit)
        alone = one is not None and sides.process(self.at, one).never_twice
        if self.slow and not alone and (self.units / unit).exists():
            (self.units / unit).write_text(systemd.STOPPING)
        else:
            self.kill(unit)

    def kill(self, unit: str) -> None:
        assert self.state(unit).active != systemd.STOPPING, "it has requests under way"
        (self.units / unit).unlink(missing_ok=True)

    def ends(self, unit: str, **_more: Any) -> bool:
        return not (self.units / unit).exists()

    def let_end(self) -> None:
        """All that was asked to stop ends."""
        for unit in list(self.units.iterdir()):
            text = unit.read_text()
            if text == systemd.STOPPING:
                unit.unlink()
            elif text.endswith("start"):
                unit.write_text("active")

    def start_timer(self, unit: str) -> None:
        _call()
        (self.waiting / unit).write_text(_timer(unit))

    def stop_timer(self, unit: str) -> None:
        _call()
        (self.waiting / unit).unlink(missing_ok=True)

    def load_units(self, _ctx: Any = None) -> None:
        _call()
        for path in self.waiting.iterdir():
            path.write_text(_timer(path.name))

    def power_cut(self) -> None:
        for path in (*self.units.iterdir(), *self.waiting.iterdir()):
            path.unlink()
        self.reload()

    # nginx

    def reload(
        self, _ctx: Any = None, _web: WebServer | None = None, *, start: bool = True
    ) -> None:
        self.loaded.write_text(self._shown())

    def _shown(self) -> str:
        site = self.site.read_text() if self.site.exists() else "none"
        return f"{site} {self.default.is_symlink()}"

    # releases and operations

    def prepare(self, name: str) -> None:
        folder = self.at.release(name)
        folder.mkdir()
        for process in ("web", *self.processes):
            self.at.unit_source(Instance(process, name, FIRST_SLOT)).write_text(name)
        releases.point_slot(self.at, first_of(name))
        seq = releases.next_sequence(self.at)
        tick = {"tick": Timer(schedule=f"{seq} 3 * * *")} if self.processes else {}
        for timer in tick:
            self.at.job_source(timer, name).write_text(name)
        manifest = Manifest(
            release=name, seq=seq, version=name, processes=dict(self.processes), timers=tick
        )
        files.write_json(releases.manifest_path(self.at, name), to_json(manifest))

    def prepare_old(self, name: str, slots: tuple[str, ...]) -> None:
        """As an earlier version made it."""
        self.prepare(name)
        self.at.unit_source(first_of(name)).unlink()
        for slot in slots:
            self.at.unit_source(web(name, slot)).write_text(f"{name} {slot}")
        releases.point_slot(self.at, web(name, slots[0]))

    def asked(self, to: str, kind: Kind = "deploy", **more: Any) -> Switch:
        values: dict[str, Any] = {
            "kind": kind,
            "release": to,
            "version": to,
            "fresh": kind == "deploy",
            "site_changes": {},
            "listen": 80,
            "served": Served(),
            "probe": PROBE,
            "watch_seconds": 0.01,
            "limits": Limits(max_error_percent=10, error_min_requests=5, max_worker_restarts=1),
            "confirm_seconds": 60,
            "keep_releases": 3,
            "settings": None,
            "assigned": Assigned(
                {name: COUNTS[name] for name in ("web", *self.processes)},
                timers=("tick",) if self.processes else (),
            ),
        }
        if kind != "deploy":
            values["assigned"] = None
        return Switch(**{**values, **more})

    def session(self) -> Session:
        self.sessions.append(Session(self.at, "ann"))
        return self.sessions[-1]

    def run(self, asked: Switch, *, confirm: bool = True) -> Session:
        session = self.session()
        answer = switching.switch(session.ctx(), asked)
        if confirm:
            switching.confirm(session.ctx(), Confirm(answer.id))
            switching.finish(session.ctx(), Finish())
        return session

    def deploy(self, name: str, **more: Any) -> None:
        self.prepare(name)
        self.run(self.asked(name, **more)).end()

    def settle(self) -> list[str]:
        said: list[str] = []
        recover.settle(self.at, said.append)
        return said

    def served(self) -> str | None:
        return releases.pointed(self.at.current)

    def check(self) -> None:
        """In order: what `current` names runs and nothing else does; nothing is pending."""
        at, release = self.at, self.served()
        assert not at.pending.exists()
        assert self.loaded.read_text() == self._shown(), "nginx reads what is installed"
        assert releases.pointed(at.fallback) == release
        stack = journal.serving_stack(journal.read(at.journal))
        assert stack[-1:] == ([release] if release else [])
        for one in self.instances(at):
            assert at.unit_file(one).exists(), "it has its own time only with its file"
            assert at.release(one.release).is_dir(), "it runs from there"
        self._check_timers()
        if release is None:
            assert self.running(at) == []
            return
        assert releases.manifest_path(at, release).exists()
        assert set(self.running(at)) == set(sides.live(at))
        files_of = set(releases.unit_files(at).values())
        assert files_of <= set(releases.names(at)), "they go with their release"
        previous = releases.pointed(at.previous)
        assert previous is None or releases.manifest_path(at, previous).exists()
        assert previous != release

    def _check_timers(self) -> None:
        """Each waits for the times that the live release says, and that release has its job."""
        at, release = self.at, self.served()
        wanted = timers.here(at)
        loaded = {path.name: path.read_text() for path in self.waiting.iterdir()}
        assert loaded.keys() == {at.timer_unit(name).name for name in wanted}
        assert process_timers.installed(at) == sorted(wanted)
        for name, timer in wanted.items():
            unit, text = at.timer_unit(name), process_timers._timer(at, name, timer)
            assert unit.read_text() == text
            assert loaded[unit.name] == _timer(unit.name), "systemd has read it"
            assert at.dispatcher_unit(name).exists()
            assert release is not None
            assert name in releases.jobs(at, release)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    yield from _stage(tmp_path, monkeypatch)


def _stage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    one = Stage(folder, host_in(folder, monkeypatch))
    for name in (
        "state",
        "start",
        "stop",
        "kill",
        "ends",
        "start_timer",
        "stop_timer",
    ):
        monkeypatch.setattr(systemd, name, getattr(one, name))
    monkeypatch.setattr(systemd, "states", lambda units: {unit: one.state(unit) for unit in units})
    monkeypatch.setattr(systemd, "units", lambda at: Units(one.instances(at)))
    monkeypatch.setattr(systemd, "forget_failure", lambda _unit: None)
    monkeypatch.setattr(systemd, "reload", one.load_units)
    monkeypatch.setattr(systemd, "log", lambda *_args: "Traceback\nValueError: boom")
    monkeypatch.setattr(configuration, "reload", one.reload)
    monkeypatch.setattr(files, "sync_filesystem", lambda _path: None)  # this machine's is busy
    monkeypatch.setattr(health, "prove", lambda *_args, **_more: 3)
    monkeypatch.setattr(health, "watch", lambda *_args, **_more: None)
    monkeypatch.setattr(health, "wait_for_reload", lambda *_args: None)
    monkeypatch.setattr(front_door, "ask", lambda *_args: "")
    monkeypatch.setattr(drain.Quiet, "look", lambda _quiet: True)
    monkeypatch.setattr(drain, "open_connections", lambda _path: 0)
    yield one
    for session in one.sessions:  # a session that was killed still has its timer here
        deal = session.memory.get("switch")
        if isinstance(deal, switching.Deal):
            deal._timer.cancel()


# -- what may be under way when the host side dies: (before, the operation, releases that may serve)


def first(stage: Stage) -> Callable[[], Any]:
    stage.prepare("1.a")
    changes = {str(stage.site): "ours", str(stage.default): None}
    return lambda: stage.run(stage.asked("1.a", site_changes=changes)).end()


def update(stage: Stage) -> Callable[[], Any]:
    stage.deploy("1.a")
    stage.deploy("2.b")
    stage.prepare("3.c")
    return lambda: stage.run(stage.asked("3.c")).end()


def update_that_prunes_and_changes_the_site(stage: Stage) -> Callable[[], Any]:
    for name in ("1.a", "2.b", "3.c"):
        stage.deploy(name)
    stage.prepare("4.d")
    changes = {str(stage.site): "ours"}
    return lambda: stage.run(stage.asked("4.d", site_changes=changes)).end()


def rollback(stage: Stage) -> Callable[[], Any]:
    for name in ("1.a", "2.b", "3.c"):
        stage.deploy(name)
    return lambda: stage.run(stage.asked("2.b", kind="rollback")).end()


def restart(stage: Stage) -> Callable[[], Any]:
    stage.deploy("1.a")
    stage.deploy("2.b")
    return lambda: stage.run(stage.asked("2.b", kind="restart")).end()


def unconfirmed(stage: Stage) -> Callable[[], Any]:
    """The way back of a live session is crashed too."""
    stage.deploy("1.a")
    stage.prepare("2.b")
    changes = {str(stage.site): "ours", str(stage.default): None}
    return lambda: stage.run(stage.asked("2.b", site_changes=changes), confirm=False).end()


def update_of_everything(stage: Stage) -> Callable[[], Any]:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    stage.prepare("2.b")
    return lambda: stage.run(stage.asked("2.b")).end()


def unconfirmed_with_everything(stage: Stage) -> Callable[[], Any]:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    stage.prepare("2.b")
    return lambda: stage.run(stage.asked("2.b"), confirm=False).end()


def rollback_to_fewer_processes(stage: Stage) -> Callable[[], Any]:
    stage.deploy("1.a")
    stage.processes = dict(WHOLE)
    stage.deploy("2.b")
    return lambda: stage.run(stage.asked("1.a", kind="rollback")).end()


def update_that_takes_web_away(stage: Stage) -> Callable[[], Any]:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a", site_changes={str(stage.site): "ours"})
    stage.prepare("2.b")
    changes = {str(stage.site): None}
    return lambda: stage.run(stage.asked("2.b", site_changes=changes, assigned=WITHOUT_WEB)).end()


def unconfirmed_without_web(stage: Stage) -> Callable[[], Any]:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a", assigned=WITHOUT_WEB)
    stage.prepare("2.b")
    changes = {str(stage.site): "ours"}
    return lambda: stage.run(stage.asked("2.b", site_changes=changes), confirm=False).end()


def letting_go(stage: Stage) -> Callable[[], Any]:
    """Another host is to have it: it is no longer this one's before it is asked to end."""
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    return lambda: holding.let_go(stage.session().ctx(), LetGo("beat", "b"))


def taking(stage: Stage) -> Callable[[], Any]:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a", assigned=Assigned({"web": 1, "worker": 2, "poller": 1}, {"beat": "b"}))
    return lambda: holding.take(stage.session().ctx(), Take("beat", "a", PROBE))


def restart_while_another_one_ends(stage: Stage) -> Callable[[], Any]:
    """What ends holds its slot, and nobody hurries it."""
    stage.slow = True
    stage.deploy("1.a")
    stage.run(stage.asked("1.a", kind="restart")).end()
    return lambda: stage.run(stage.asked("1.a", kind="restart")).end()


def unconfirmed_with_requests(stage: Stage) -> Callable[[], Any]:
    stage.deploy("1.a")
    stage.prepare("2.b")
    stage.slow = True
    return lambda: stage.run(stage.asked("2.b"), confirm=False).end()


def update_with_a_worker(stage: Stage) -> Callable[[], Any]:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    stage.prepare("2.b")
    stage.slow = True
    return lambda: stage.run(stage.asked("2.b")).end()


def unconfirmed_with_the_first_worker(stage: Stage) -> Callable[[], Any]:
    stage.deploy("1.a")
    stage.processes = dict(WHOLE)
    stage.prepare("2.b")
    stage.slow = True
    return lambda: stage.run(stage.asked("2.b"), confirm=False).end()


def stop_of_processes(stage: Stage) -> Callable[[], Any]:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    return lambda: processes.stop(stage.session().ctx(), StopProcesses(("worker", "beat")))


def update_with_stopped_processes(stage: Stage) -> Callable[[], Any]:
    stop_of_processes(stage)()
    stage.prepare("2.b")
    return lambda: stage.run(stage.asked("2.b"), confirm=False).end()


def start_of_processes(stage: Stage) -> Callable[[], Any]:
    """The stopped ones still finish their jobs."""
    stage.slow = True
    stop_of_processes(stage)()
    asked = StartProcesses(("worker", "beat"), PROBE)
    return lambda: processes.start(stage.session().ctx(), asked)


def restart_of_processes(stage: Stage) -> Callable[[], Any]:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    asked = RestartProcesses(tuple(WHOLE), PROBE)
    return lambda: processes.restart(stage.session().ctx(), asked)


def unconfirmed_after_a_restart_of_processes(stage: Stage) -> Callable[[], Any]:
    """Their workers are in a slot of their own."""
    stage.slow = True
    restart_of_processes(stage)()
    return lambda: stage.run(stage.asked("1.a", kind="restart"), confirm=False).end()


SCENES = [first, update, update_that_prunes_and_changes_the_site, rollback, restart, unconfirmed]
WHOLE_SCENES = [
    update_of_everything,
    unconfirmed_with_everything,
    rollback_to_fewer_processes,
    update_that_takes_web_away,
    unconfirmed_without_web,
    letting_go,
    taking,
    stop_of_processes,
    update_with_stopped_processes,
    restart_of_processes,
]
SLOW_SCENES = [
    start_of_processes,
    unconfirmed_after_a_restart_of_processes,
    restart_while_another_one_ends,
    unconfirmed_with_requests,
    update_with_a_worker,
    unconfirmed_with_the_first_worker,
]


def dying_before(number: int, work: Callable[[], Any]) -> bool:
    """Do `work` in a process that dies before its system call `number`; False: it ended first."""

    def dying() -> int:
        left = [number]

        def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                if left[0] == 0:
                    os._exit(_CRASHED)
                left[0] -= 1
                return real(*args, **kwargs)

            return call

        for name in _CALLS:
            setattr(os, name, wrap(getattr(os, name)))
        work()
        return 0

    status = in_child(dying)
    assert status in (0, _CRASHED)
    return status == _CRASHED


def step_of(scene: Callable[[Stage], Callable[[], Any]]) -> int:
    """The nightly run tries every call; a sample of them, of both parities, is in every run."""
    return 17 if scene in WHOLE_SCENES else 11 if scene in SLOW_SCENES else 5


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("calls", tiered(["some", "all"], nightly={"all"}))
@pytest.mark.parametrize("scene", [*SCENES, *WHOLE_SCENES, *SLOW_SCENES])
def test_killed_before_any_call_it_is_put_in_order(
    scene: Callable[[Stage], Callable[[], Any]], calls: str, memory: Path
) -> None:
    """By turns only the process is killed, and with it all that the host ran."""
    number, ended = 0, False
    while not ended:
        folder, power_cut = memory / str(number), number % 2
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            for stage in _stage(folder, patch):
                work = scene(stage)
                before = stage.served()
                ended = not dying_before(number, work)
                if power_cut:
                    stage.power_cut()
                if number % 3 == 0:  # the recovery may be killed too
                    dying_before(number % 7 * 3 + 1, stage.settle)
                stage.settle()
                stage.check()
                assert stage.settle() == [], "nothing is left to do"
                assert recover.is_settled(stage.at)
                stage.let_end()
                stage.settle()
                running = list(stage.instances(stage.at))
                assert set(running) == set(sides.live(stage.at))
                stage.check()
                if before is not None:
                    assert stage.served() is not None
                stage.deploy("9.z")
                assert stage.served() == "9.z", "the next deploy needs no manual step"
                stage.check()
        number += step_of(scene) if calls == "some" else 1
    assert number > (5 if scene in (letting_go, taking) else 20)


def test_each_scene_ends_as_asked(tmp_path: Path) -> None:
    for number, serves in enumerate(("1.a", "3.c", "4.d", "2.b", "2.b", "1.a")):
        scene = SCENES[number]
        with pytest.MonkeyPatch.context() as patch:
            folder = tmp_path / scene.__name__
            folder.mkdir()
            for stage in _stage(folder, patch):
                scene(stage)()
                assert stage.served() == serves
                stage.check()


def test_a_deploy_keeps_what_was_asked_and_where_to_go_back(stage: Stage) -> None:
    for name in ("1.a", "2.b", "3.c", "4.d", "5.e"):
        stage.deploy(name)
    assert releases.names(stage.at) == ["3.c", "4.d", "5.e"]
    assert releases.pointed(stage.at.previous) == "4.d"
    stage.run(stage.asked("4.d", kind="rollback")).end()
    assert releases.pointed(stage.at.previous) == "3.c"
    assert slot_of(stage.at, "4.d") == "1"


@pytest.mark.parametrize("confirmed_by", ["session", "recovery"])
def test_the_old_instance_is_drained_before_it_is_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, confirmed_by: str
) -> None:
    """Stopped at once it loses what is on its way to it; and nothing may still point there when
    its queue is looked at."""
    stage.deploy("1.a")
    seen: list[str] = []

    def looked(quiet: drain.Quiet) -> bool:
        seen.append(f"looked at {quiet._socket.parent.parent.name}, {links()}")
        return True

    def links() -> str:
        return f"{stage.served()} serves, fallback {releases.pointed(stage.at.fallback)}"

    def stopped(unit: str) -> None:
        seen.append(f"stopped {unit}")
        stage.stop(unit)

    monkeypatch.setattr(drain.Quiet, "look", looked)
    monkeypatch.setattr(systemd, "stop", stopped)
    stage.prepare("2.b")
    if confirmed_by == "session":
        stage.run(stage.asked("2.b")).end()
    else:  # it died right after the confirmation
        session = stage.session()
        answer = switching.switch(session.ctx(), stage.asked("2.b"))
        switching.confirm(session.ctx(), Confirm(answer.id))
        stage.settle()
    unit = stage.at.unit(web("1.a"))
    assert seen == ["looked at 1.a, 2.b serves, fallback 2.b", f"stopped {unit}"]


def test_the_old_instance_is_watched_while_the_new_one_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is left but one look after the confirmation, and nobody waits for its end."""
    seen: list[tuple[int, str | None]] = []

    def looked(quiet: drain.Quiet) -> bool:
        seen.append((id(quiet), releases.pointed(stage.at.fallback)))
        return True

    def watched(_ctx: Any, complaint: Callable[[], str], proofs: list[Any], **_more: Any) -> None:
        assert proofs == []
        assert complaint() == ""

    stage.deploy("1.a")
    stage.prepare("2.b")
    monkeypatch.setattr(drain.Quiet, "look", looked)
    monkeypatch.setattr(health, "watch", watched)
    monkeypatch.setattr(health, "ask_socket", lambda *_args: "")
    monkeypatch.setattr(systemd, "ends", raising(AssertionError("it was cancelled")))
    session = stage.run(stage.asked("2.b"))
    session.end()
    during, after = seen
    assert (during[1], after[1]) == ("1.a", "2.b")
    assert during[0] == after[0], "the looks before count"
    told = [(one["step"], one["state"]) for one in session.events]
    assert told[-2:] == [("drain", "start"), ("drain", "done")]


def test_what_is_still_open_is_counted_and_noted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the stop: uvicorn closes its websockets at once."""
    seen: list[str] = []

    def counted(path: Path) -> int:
        seen.append(path.parent.parent.name)
        return 12

    def stopped(unit: str) -> None:
        seen.append("stopped")
        stage.stop(unit)

    monkeypatch.setattr(drain, "open_connections", counted)
    monkeypatch.setattr(systemd, "stop", stopped)
    stage.deploy("1.a")
    assert seen == [], "a first deploy ends nothing"
    stage.prepare("2.b")
    session = stage.session()
    answer = switching.switch(session.ctx(), stage.asked("2.b"))
    switching.confirm(session.ctx(), Confirm(answer.id))
    finished = switching.finish(session.ctx(), Finish())
    assert (finished.connections, seen) == (12, ["1.a", "stopped"])
    (noted,) = [one for one in journal.read(stage.at.journal) if one.kind == "drain"]
    assert (noted.release, noted.connections, noted.who) == ("1.a", 12, "ann")
    assert noted.reason == "12 connections were still open"
    stage.check()


def test_every_process_takes_part_in_all_of_it(stage: Stage) -> None:
    """All but web start when the way back is written down: those that may run beside the old ones,
    or must replace them, before the traffic moves, and exclusive ones last."""
    seen: list[tuple[str, bool, str | None]] = []
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    stage.prepare("2.b")

    def started(ctx: Any, unit: str) -> None:
        seen.append((unit.split(".")[1], stage.at.pending.exists(), stage.served()))
        stage.start(ctx, unit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systemd, "start", started)
        stage.run(stage.asked("2.b")).end()
    assert seen == [
        ("web", False, "1.a"),
        ("worker", True, "1.a"),
        ("worker", True, "1.a"),
        ("poller", True, "1.a"),
        ("beat", True, "2.b"),
    ]
    stage.check()
    stage.run(stage.asked("1.a", "rollback")).end()
    stage.run(stage.asked("1.a", "restart"), confirm=False).end()
    stage.check()
    jobs.stop(Session(stage.at).ctx(), Stop(drain_seconds=0.0))
    assert stage.running(stage.at) == []
    jobs.start(Session(stage.at).ctx(), Start(PROBE))
    stage.check()
    stage.stop(stage.at.unit(stage.running(stage.at)[1]))
    assert not recover.is_settled(stage.at), "it is down, and should run"
    assert stage.settle() == ["started 1.a"]
    stage.check()
    stage.processes = {}
    stage.deploy("3.c")
    assert stage.running(stage.at) == [web("3.c")]
    for name in ("4.d", "5.e"):
        stage.deploy(name)
    assert {one for one in layout.UNITS.iterdir() if ".worker." in one.name} == set()
    told = [event["step"] for session in stage.sessions for event in session.events]
    assert "repair" not in told, "a switch removes its own files, so no deploy finds leftovers"


def test_a_timer_that_systemd_has_not_read_is_read_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session was killed after it wrote the unit file, before it told systemd to read it."""
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    stage.prepare("2.b")
    releases.point(stage.at, stage.at.current, "2.b")
    with monkeypatch.context() as patch:
        patch.setattr(systemd, "reload", failing("systemd"))
        with pytest.raises(OpError):
            process_timers.ensure(stage.at)
    process_timers.ensure(stage.at)
    stage._check_timers()


def test_a_host_without_web(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks for its web, and its site goes."""
    stage.processes = dict(WHOLE)
    stage.deploy("1.a", site_changes={str(stage.site): "ours"})
    for name in ("ask", "ensure_token"):
        monkeypatch.setattr(front_door, name, raising(AssertionError("nobody comes here")))
    monkeypatch.setattr(health, "prove", raising(AssertionError("there is no web")))
    stage.deploy("2.b", site_changes={str(stage.site): None}, assigned=WITHOUT_WEB)
    assert not stage.site.exists()
    stage.check()
    assert "web" not in {one.process for one in stage.running(stage.at)}
    stage.run(stage.asked("1.a", "rollback")).end()
    stage.check()
    assert "web" not in {one.process for one in stage.running(stage.at)}, "it has no site here"
    stage.run(stage.asked("1.a", "restart")).end()
    stage.check()


def test_an_exclusive_process_is_let_go_and_taken(stage: Stage) -> None:
    """It goes with no switch, and no way back takes it again."""
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    session = stage.session()
    for _again in range(2):
        holding.let_go(session.ctx(), LetGo("beat", "b"))
        assert "beat" not in {one.process for one in stage.running(stage.at)}
        stage.check()
    assert assignment.read(stage.at).holders == {"beat": "b"}
    stage.run(stage.asked("1.a", "restart")).end()
    assert "beat" not in {one.process for one in stage.running(stage.at)}
    for _again in range(2):
        holding.take(session.ctx(), Take("beat", "a", PROBE))
        assert "beat" in {one.process for one in stage.running(stage.at)}
        stage.check()
    assert assignment.read(stage.at).holders == {"beat": "a"}
    stage.prepare("2.b")
    switching.switch(session.ctx(), stage.asked("2.b"))
    with pytest.raises(OpError, match="a switch is not confirmed yet"):
        holding.let_go(session.ctx(), LetGo("beat", "b"))
    with pytest.raises(OpError, match="a switch is not confirmed yet"):
        holding.take(session.ctx(), Take("beat", "a", PROBE))
    stage.settle()
    stage.check()
    holding.let_go(session.ctx(), LetGo("beat", "b"))
    del stage.processes["beat"]
    stage.deploy("3.c")
    stage.run(stage.asked("1.a", "rollback")).end()
    assert "beat" not in {one.process for one in stage.running(stage.at)}, "b has it"
    stage.run(stage.asked("3.c", "rollback")).end()
    with pytest.raises(OpError, match="the live release has no beat"):
        holding.take(session.ctx(), Take("beat", "a", PROBE))
    stage.check()


def test_a_stopped_exclusive_process_stays_so_on_another_host(stage: Stage) -> None:
    """Its last host knows best, whatever was said here before."""
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    session = stage.session()
    holding.let_go(session.ctx(), LetGo("beat", "b"))
    answer = processes.stop(session.ctx(), StopProcesses(("beat", "poller")))
    assert (answer.names, answer.elsewhere) == (("poller",), {"beat": "b"})
    asked_again = processes.restart(session.ctx(), RestartProcesses(("beat", "worker"), PROBE))
    assert (asked_again.names, asked_again.elsewhere) == (("worker",), {"beat": "b"})
    holding.take(session.ctx(), Take("beat", "a", PROBE))
    assert "beat" in labels(stage, "active"), "it was started there meanwhile"
    holding.let_go(session.ctx(), LetGo("beat", "b"))
    mark = Stopped("bob", "the queue is full", "now")
    holding.take(session.ctx(), Take("beat", "a", PROBE, mark))
    assert assignment.read(stage.at).holders == {"beat": "a"}
    assert "beat" not in labels(stage, "active")
    stage.deploy("2.b")
    assert "beat" not in labels(stage, "active")
    rows = {one.process: one for one in listing.rows(stage.at)}
    assert (rows["beat"].state, rows["beat"].stopped) == ("stopped", mark)
    processes.start(session.ctx(), StartProcesses(("beat", "poller"), PROBE))
    assert {"beat", "poller"} <= labels(stage, "active").keys()
    stage.check()


def test_a_process_that_only_the_live_release_knows(stage: Stage) -> None:
    """Or that only a mark still names."""
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    assert listing.known(stage.at) == WHOLE
    processes.stop(stage.session().ctx(), StopProcesses(("worker",)))
    stage.processes = {}
    stage.deploy("2.b")
    assert list(listing.known(stage.at)) == ["worker"]
    answer = processes.start(stage.session().ctx(), StartProcesses(("worker", "beat"), PROBE))
    assert (answer.changed, answer.names) == (True, ("worker",))
    assert listing.known(stage.at) == {}
    assert stage.running(stage.at) == [web("2.b")]


def test_an_unchanged_deploy_writes_down_who_has_it(stage: Stage) -> None:
    stage.deploy("1.a")
    session = stage.session()
    session.memory["found"] = []
    jobs.unchanged(session.ctx(), Unchanged("1.a", "1.a", "", PROBE, {"beat": "b"}))
    assert assignment.read(stage.at) == Assigned({"web": 1}, {"beat": "b"})
    stage.settle()
    stage.check()


def test_a_rollback_takes_the_counts_of_then(stage: Stage) -> None:
    """What runs on other hosts by now stays there."""
    stage.processes = dict(WHOLE)
    stage.deploy("1.a", assigned=Assigned({"web": 1, "worker": 3, "beat": 1}))
    del stage.processes["poller"]
    stage.deploy("2.b", assigned=Assigned({"web": 1, "worker": 1}))
    stage.run(stage.asked("1.a", "rollback")).end()
    stage.check()
    running = [one.process for one in stage.running(stage.at)]
    assert sorted(running) == ["web", "worker", "worker", "worker"]
    stage.deploy("3.c", assigned=Assigned({"web": 1}))
    stage.processes = {}
    stage.deploy("4.d", assigned=Assigned({"web": 1}))
    stage.run(stage.asked("2.b", "rollback")).end()
    stage.check()
    running = [one.process for one in stage.running(stage.at)]
    assert sorted(running) == ["web", "worker"], "the live release did not know it"


def test_an_unchanged_deploy_starts_what_is_down(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    proved: list[Instance] = []
    monkeypatch.setattr(worker.Worker, "prove", lambda _k, _c, _a, one, _p: proved.append(one))
    before = stage.running(stage.at)
    down = [one for one in before if one.process == "worker"][1]
    for settled in (False, True):  # taking the lock starts it too
        session = stage.session()
        stage.stop(stage.at.unit(down))
        session.memory["found"] = leftovers.find(stage.at)
        if settled:
            stage.settle()
        jobs.unchanged(session.ctx(), Unchanged("1.a", "1.a", "", PROBE, None))
        assert proved == [down]
        proved.clear()
        assert stage.running(stage.at) == before
        stage.check()


def test_no_process_starts_where_web_does_not_prove_itself(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deploy("1.a")
    stage.processes = dict(WHOLE)
    stage.prepare("2.b")
    monkeypatch.setattr(health, "prove", failing("unhealthy"))
    with pytest.raises(OpError, match="it answered 500"):
        stage.run(stage.asked("2.b"))
    assert stage.instances(stage.at) == {web("1.a"): "active"}
    assert releases.names(stage.at) == ["1.a"]
    stage.check()


def test_a_restart_changes_the_slot_and_nothing_else(stage: Stage) -> None:
    stage.deploy("1.a")
    stage.deploy("2.b")
    for slot in ("2", "1", "2"):
        stage.run(stage.asked("2.b", kind="restart")).end()
        assert slot_of(stage.at, "2.b") == slot
        assert releases.pointed(stage.at.previous) == "1.a"
        stage.check()


def test_restarts_and_rollbacks_at_once_take_the_slots_that_are_free(stage: Stage) -> None:
    stage.deploy("1.a")
    stage.slow = True
    stage.deploy("2.b")
    for slot in map(str, range(2, 12)):
        stage.run(stage.asked("2.b", kind="restart")).end()
        assert slot_of(stage.at, "2.b") == slot
        stage.check()
    stage.run(stage.asked("1.a", kind="rollback")).end()
    assert slot_of(stage.at, "1.a") == "2"
    stage.check()
    stage.let_end()
    stage.run(stage.asked("2.b", kind="rollback")).end()
    assert slot_of(stage.at, "2.b") == "1"
    stage.check()


@pytest.mark.parametrize("slots", [OLD_SLOTS[:2], OLD_SLOTS])
def test_a_release_of_an_earlier_version_keeps_the_slots_that_it_has(
    stage: Stage, slots: tuple[str, ...]
) -> None:
    """Where they are all taken, whoever needs one waits until one has ended."""
    stage.prepare_old("1.a", slots)
    stage.run(stage.asked("1.a")).end()
    stage.slow = True
    for slot in slots[1:]:
        stage.run(stage.asked("1.a", kind="restart")).end()
        assert slot_of(stage.at, "1.a") == slot
        stage.check()
    session = stage.session()
    with pytest.raises(OpError) as caught:
        switching.switch(session.ctx(0.5), stage.asked("1.a", kind="restart"))
    assert caught.value.slug == "deadline"
    assert session.events[-1]["detail"] == "earlier instances of 1.a are still stopping"
    stage.let_end()
    stage.run(stage.asked("1.a", kind="restart")).end()
    assert slot_of(stage.at, "1.a") == slots[0]
    stage.check()


@pytest.mark.parametrize("then", ["finished", "confirmed", "pending", "power cut"])
def test_a_host_of_an_earlier_version_is_switched_and_put_in_order(stage: Stage, then: str) -> None:
    stage.prepare_old("1.a", OLD_SLOTS)
    stage.run(stage.asked("1.a")).end()
    stage.prepare("2.b")
    stage.run(stage.asked("2.b"), confirm=then == "finished")
    if then == "confirmed":
        stage.at.pending.unlink()
    elif then == "power cut":
        stage.power_cut()
    stage.settle()
    stage.check()
    assert recover.is_settled(stage.at)
    serves = web("1.a", "web") if then in ("pending", "power cut") else web("2.b")
    assert stage.running(stage.at) == [serves]
    for name in ("3.c", "4.d", "5.e"):
        stage.deploy(name)
    assert [path.name for path in layout.UNITS.iterdir() if ".web.1.a" in path.name] == []
    assert recover.is_settled(stage.at)


def test_a_bad_release_goes_once_nothing_of_it_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    (stage.at.release("2.b") / "steps.json").write_text("{}")
    stage.slow = True
    with monkeypatch.context() as patch:
        patch.setattr(health, "watch", failing("unhealthy"))
        with pytest.raises(OpError, match=r"the host rolled back to 1\.a"):
            stage.run(stage.asked("2.b"))
    assert stage.served() == "1.a"
    assert [one.release for one in releases.complete(stage.at)] == ["1.a"], "nobody returns to it"
    assert stage.instances(stage.at) == {web("1.a"): "active", web("2.b"): "deactivating"}
    stage.check()
    assert recover.is_settled(stage.at), "what ends is nothing that was left over"
    assert releases.prune(stage.at, 2) == [], "and not in the way"
    stage.let_end()
    assert not recover.is_settled(stage.at)
    stage.settle()
    assert releases.prune(stage.at, 2) == ["2.b"]
    assert list(layout.UNITS.iterdir()) == [stage.at.unit_file(web("1.a"))]


def test_what_is_bad_twice_goes_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second try of it starts while the first one still ends."""
    stage.deploy("1.a")
    stage.prepare("2.b")
    stage.slow = True
    monkeypatch.setattr(health, "watch", failing("unhealthy"))
    for slots in (["1"], ["1", "2"]):
        with pytest.raises(OpError, match=r"the host rolled back to 1\.a"):
            stage.run(stage.asked("2.b"))
        found = sorted(one.slot for one in stage.instances(stage.at) if one.release == "2.b")
        assert found == slots
        assert [one.release for one in releases.complete(stage.at)] == ["1.a"]
        manifest: dict[str, Any] = {"release": "2.b", "seq": 2, "version": "2.b"}
        files.write_json(releases.manifest_path(stage.at, "2.b"), manifest)


@pytest.mark.parametrize("kind", ["deploy", "restart"])
def test_an_old_instance_that_somebody_stops_meanwhile_gets_a_successor(
    stage: Stage, kind: Kind
) -> None:
    stage.deploy("1.a")
    to = "1.a" if kind == "restart" else "2.b"
    if kind == "deploy":
        stage.prepare(to)
    session = stage.run(stage.asked(to, kind), confirm=False)
    stage.slow = True
    stage.stop(stage.at.unit(web("1.a")))
    session.end()
    assert slot_of(stage.at, "1.a") == ("3" if kind == "restart" else "2")
    stage.check()


def labels(stage: Stage, active: str) -> dict[str, list[str]]:
    """The instances in this state, by process."""
    found: dict[str, list[str]] = {}
    for one, state in sorted(stage.instances(stage.at).items()):
        if state == active and one.process != "web":
            found.setdefault(one.process, []).append(one.label)
    return found


def test_a_stopped_process_stays_so_until_it_is_started(stage: Stage) -> None:
    """Over a deploy, a rollback, `fab stop` and `fab start`, and a boot."""
    stop_of_processes(stage)()
    stage.deploy("2.b")
    assert labels(stage, "active") == {"poller": ["1.1"]}
    stage.run(stage.asked("1.a", kind="rollback")).end()
    jobs.stop(stage.session().ctx(), Stop(drain_seconds=0.0))
    with pytest.raises(OpError, match="shop is stopped"):
        processes.start(stage.session().ctx(), StartProcesses(("worker",), PROBE))
    jobs.start(stage.session().ctx(), Start(PROBE))
    stage.power_cut()
    stage.settle()
    stage.check()
    assert list(labels(stage, "active")) == ["poller"]
    with pytest.raises(OpError, match="worker is stopped by ann since"):
        processes.restart(stage.session().ctx(), RestartProcesses(("worker",), PROBE))
    again = processes.stop(stage.session().ctx(), StopProcesses(("worker",)))
    assert (again.changed, again.names) == (False, ("worker",))
    answer = processes.start(stage.session().ctx(), StartProcesses(("worker", "nobody"), PROBE))
    assert (answer.changed, answer.names) == (True, ("worker",))
    assert sorted(labels(stage, "active")) == ["poller", "worker"]
    known = [(one.kind, one.process, one.result) for one in journal.read(stage.at.journal)]
    assert [one for one in known if one[1]] == [
        ("process.stop", "beat, worker", "done"),
        ("process.start", "worker", "done"),
    ]


def test_a_stopped_process_that_still_works_moves_nothing(stage: Stage) -> None:
    stage.slow = True
    stop_of_processes(stage)()
    (stage.units / stage.at.unit(Instance("poller", "1.a", "1", 1))).unlink()
    assert stage.settle() == ["started 1.a"]
    assert labels(stage, "active") == {"poller": ["1.1"]}
    assert slot_of(stage.at, "1.a") == "1"
    stage.check()


def test_a_damaged_mark_still_stops_its_process(stage: Stage) -> None:
    stop_of_processes(stage)()
    stage.at.stopped_process("beat").write_text("{")
    stage.deploy("2.b")
    assert list(labels(stage, "active")) == ["poller"]


def test_a_restarted_process_takes_a_slot_beside_its_old_one(stage: Stage) -> None:
    stage.slow = True
    restart_of_processes(stage)()
    assert labels(stage, "active") == {"beat": ["1.1"], "poller": ["1.1"], "worker": ["2.1", "2.2"]}
    assert labels(stage, systemd.STOPPING) == {"worker": ["1.1", "1.2"]}
    restart_of_one = RestartProcesses(("worker",), PROBE)
    answer = processes.restart(stage.session().ctx(), restart_of_one)
    assert labels(stage, "active")["worker"] == ["3.1", "3.2"]
    assert [one.instance for one in answer.draining] == ["1.1", "1.2", "2.1", "2.2"]
    stage.deploy("2.b")
    assert labels(stage, "active")["worker"] == ["1.1", "1.2"], "one slot for all again"
    stage.check()


def test_new_workers_that_do_not_get_ready_leave_the_old_ones(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.processes = dict(WHOLE)
    stage.deploy("1.a")
    monkeypatch.setattr(Worker, "proof", lambda *_args: failing("not-ready"))
    with pytest.raises(OpError, match="it answered 500"):
        processes.restart(stage.session().ctx(), RestartProcesses(("worker",), PROBE))
    assert labels(stage, "active")["worker"] == ["1.1", "1.2"]
    stage.check()
    assert recover.is_settled(stage.at)
    last = journal.read(stage.at.journal)[-1]
    assert (last.kind, last.process, last.result) == ("process.restart", "worker", "failed")


def test_what_ended_for_its_restart_starts_in_any_case(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the deadline passes first, and nobody tells it again."""
    restart_of_processes(stage)()
    with monkeypatch.context() as patch:
        patch.setattr(instances, "await_end", failing("deadline"))
        with pytest.raises(OpError, match="systemd starts it again") as caught:
            processes.restart(stage.session().ctx(), RestartProcesses(("beat",), PROBE))
    assert caught.value.slug == "deadline"
    assert not recover.is_settled(stage.at), "the session's unit does this when it ends"
    stage.settle()
    assert labels(stage, "active")["beat"] == ["1.1"]
    stage.check()


def test_nothing_of_a_damaged_release_is_restarted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would not start again."""
    restart_of_processes(stage)()
    monkeypatch.setattr(whole, "problem", lambda _at, _manifest: "gunicorn is missing")
    with pytest.raises(OpError, match=r"1\.a is damaged: gunicorn is missing"):
        processes.restart(stage.session().ctx(), RestartProcesses(("beat",), PROBE))
    assert labels(stage, "active")["beat"] == ["1.1"]


def test_a_start_does_not_wait_for_what_a_stop_has_begun(stage: Stage) -> None:
    stage.deploy("1.a")
    stage.slow = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "_STOP_MARGIN_SECONDS", 0.0)
        jobs.stop(Session(stage.at).ctx(), Stop(drain_seconds=0.0))
    assert stage.settle() == [], "a stopped one stays so"
    jobs.start(Session(stage.at).ctx(), Start(PROBE))
    assert slot_of(stage.at, "1.a") == "2"
    stage.check()


def test_an_instance_with_a_queue_is_stopped_by_systemd_once_it_is_empty(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    asked: list[Instance] = []

    def later(at: Layout, one: Instance) -> bool:
        asked.append(one)
        (stage.units / at.unit(one)).write_text(systemd.STOPPING)
        return True

    monkeypatch.setattr(web_kind, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(drain.Quiet, "look", lambda _quiet: False)
    monkeypatch.setattr(systemd, "stop_when_quiet", later)
    stage.run(stage.asked("2.b")).end()
    assert asked == [web("1.a")]
    stage.check()


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_args: Any, **_more: Any) -> Any:
        raise error

    return fail


def failing(slug: str) -> Callable[..., Any]:
    return raising(OpError(slug, "it answered 500"))


def results(stage: Stage) -> list[tuple[str | None, str | None]]:
    return [(one.release, one.result) for one in journal.read(stage.at.journal)]


@pytest.mark.parametrize(
    "error",
    [OpError("unhealthy", "not healthy"), OSError(5, "I/O"), ValueError("odd")],
)
def test_a_release_that_does_not_prove_itself_leaves_only_its_line(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    monkeypatch.setattr(health, "prove", raising(error))
    with pytest.raises(type(error)) as caught:
        stage.run(stage.asked("2.b"))
    if isinstance(caught.value, OpError):
        assert (caught.value.slug, caught.value.log.splitlines()[-1]) == (
            "unhealthy",
            "ValueError: boom",
        )
    assert releases.names(stage.at) == ["1.a"]
    assert results(stage)[-1] == ("2.b", "failed")
    stage.check()


@pytest.mark.parametrize("lost", ["as it starts", "before the confirmation", "with the session"])
def test_a_release_that_was_only_cut_off_stays_for_the_next_deploy(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Whole, but for its instance: nobody has found it bad."""
    stage.deploy("1.a")
    stage.prepare("2.b")
    if lost == "as it starts":
        with monkeypatch.context() as patch:
            patch.setattr(health, "prove", raising(ContactLost()))
            with pytest.raises(ContactLost):
                stage.run(stage.asked("2.b"))
    else:
        session = stage.run(stage.asked("2.b"), confirm=False)
        if lost == "before the confirmation":
            session.end()
        else:
            stage.settle()
    assert releases.names(stage.at) == ["1.a", "2.b"]
    assert results(stage)[-1][0] == "2.b"
    assert stage.served() == "1.a"
    assert recover.is_settled(stage.at), "it is nothing that was left over"
    stage.check()
    stage.run(stage.asked("2.b", fresh=False)).end()
    assert stage.served() == "2.b"


@pytest.mark.parametrize(("is_bad", "left"), [(True, ["1.a"]), (False, ["1.a", "2.b"])])
def test_who_asks_to_go_back_says_whether_the_release_is_bad(
    stage: Stage, is_bad: bool, left: list[str]
) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.run(stage.asked("2.b"), confirm=False)
    back = GoBack("lab2 failed", is_bad=is_bad)
    assert switching.go_back(session.ctx(), back) == WentBack(True, "1.a")
    session.end()
    assert releases.names(stage.at) == left
    stage.check()


def test_a_release_that_fails_in_probation_is_put_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    monkeypatch.setattr(health, "watch", failing("unhealthy"))
    with pytest.raises(OpError, match=r"the host rolled back to 1\.a") as caught:
        stage.run(stage.asked("2.b"))
    assert caught.value.slug == "reverted"
    assert "ValueError: boom" in caught.value.log
    assert releases.names(stage.at) == ["1.a"]
    assert results(stage)[-1] == ("2.b", "reverted")
    stage.check()


def test_what_ended_is_the_reason_and_not_what_came_of_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends after it was looked at, and before somebody asks at the front door."""
    stage.deploy("1.a")
    stage.prepare("2.b")

    def ask(at: Layout, _probe: Probe, _listen: Any, release: str) -> str:
        for one in stage.running(at):
            if one.release == release:
                stage.stop(at.unit(one))
        return "through nginx: said 502 instead of 200"

    def look_once(_ctx: Any, complaint: Callable[[], str], *_args: Any, **_more: Any) -> None:
        raise OpError("unhealthy", "after the switch: " + complaint())

    monkeypatch.setattr(front_door, "ask", ask)
    monkeypatch.setattr(health, "ask_socket", lambda *_args: "")
    monkeypatch.setattr(health, "watch", look_once)
    with pytest.raises(OpError, match="after the switch: its main process ended"):
        stage.run(stage.asked("2.b"))


def test_a_way_back_that_fails_can_be_asked_for_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.session()
    back = GoBack("again", is_bad=True)
    assert switching.go_back(session.ctx(), back) == WentBack(False, "1.a")
    with monkeypatch.context() as patch:
        patch.setattr(health, "watch", failing("unhealthy"))
        patch.setattr(releases, "discard", failing("systemd"))
        with pytest.raises(OpError):
            switching.switch(session.ctx(), stage.asked("2.b"))
    assert stage.at.pending.exists()
    assert switching.go_back(session.ctx(), back) == WentBack(True, "1.a")
    session.end()
    stage.check()


def test_a_first_deploy_that_fails_takes_its_site_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.prepare("1.a")
    changes = {str(stage.site): "ours", str(stage.default): None}
    monkeypatch.setattr(health, "watch", failing("unhealthy"))
    with pytest.raises(OpError, match="nothing"):
        stage.run(stage.asked("1.a", site_changes=changes))
    assert stage.served() is None
    assert not stage.site.exists()
    assert str(stage.default.readlink()) == "sites-available/default"
    assert releases.names(stage.at) == []
    stage.check()


def test_an_old_release_that_fails_a_rollback_stays_on_the_host(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deploy("1.a")
    stage.deploy("2.b")
    monkeypatch.setattr(health, "prove", failing("unhealthy"))
    with pytest.raises(OpError):
        stage.run(stage.asked("1.a", kind="rollback"))
    assert releases.names(stage.at) == ["1.a", "2.b"]
    assert stage.served() == "2.b"


def test_contact_lost_before_the_confirmation_goes_back(stage: Stage) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.run(stage.asked("2.b"), confirm=False)
    assert stage.served() == "2.b"
    session.end()
    assert stage.served() == "1.a"
    stage.check()


def test_contact_lost_after_the_confirmation_finishes(stage: Stage) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.session()
    answer = switching.switch(session.ctx(), stage.asked("2.b"))
    switching.confirm(session.ctx(), Confirm(answer.id))
    session.end()
    assert stage.served() == "2.b"
    stage.check()


def test_the_host_knows_the_settings_that_it_was_last_deployed_with(stage: Stage) -> None:
    """For `fab plan`: only a deploy brings settings, and only one that is confirmed."""
    stage.deploy("1.a")
    assert releases.settings_of(stage.at, "1.a") is None, "as of an earlier version"
    for settings in ({"web.listen": "d1"}, {"web.listen": "d2"}):
        stage.run(stage.asked("1.a", "restart", settings=settings)).end()
        assert releases.settings_of(stage.at, "1.a") == settings
    stage.run(stage.asked("1.a", "restart", settings=None)).end()
    stage.run(stage.asked("1.a", "restart", settings={}), confirm=False).end()
    assert releases.settings_of(stage.at, "1.a") == {"web.listen": "d2"}


def test_without_a_confirmation_in_time_it_goes_back(stage: Stage) -> None:
    from tests.kit.waiting import until

    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.session()
    answer = switching.switch(session.ctx(), stage.asked("2.b", confirm_seconds=0.05))
    until(lambda: not stage.at.pending.exists() and results(stage)[-1] == ("2.b", "reverted"))
    with pytest.raises(OpError) as caught:
        switching.confirm(session.ctx(), Confirm(answer.id))
    assert caught.value.slug == "reverted"
    back = GoBack("late", is_bad=True)
    assert switching.go_back(session.ctx(), back) == WentBack(True, "1.a")
    session.end()
    assert results(stage).count(("2.b", "reverted")) == 1
    stage.check()


def test_a_confirmation_is_of_this_switch_or_refused(stage: Stage) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.session()
    with pytest.raises(OpError, match="no switch with this id"):
        switching.confirm(session.ctx(), Confirm("x"))
    answer = switching.switch(session.ctx(), stage.asked("2.b"))
    with pytest.raises(OpError, match="no switch with this id"):
        switching.confirm(session.ctx(), Confirm("x"))
    assert stage.at.pending.exists()
    for _ in range(2):
        switching.confirm(session.ctx(), Confirm(answer.id))
    back = GoBack("late", is_bad=True)
    assert switching.go_back(session.ctx(), back) == WentBack(False, "2.b")
    assert stage.served() == "2.b"
    session.end()
    assert results(stage).count(("2.b", "confirmed")) == 1


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither room nor inodes while the block runs."""

    def full(*_args: Any, **_more: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(os, "symlink", full)
        yield


def test_a_full_disk_cannot_undo_a_confirmation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.session()
    answer = switching.switch(session.ctx(), stage.asked("2.b", settings={"web.listen": "d"}))

    with full_disk(monkeypatch):
        switching.confirm(session.ctx(), Confirm(answer.id))
    session.end()
    assert stage.served() == "2.b"
    stage.settle()
    stage.check()


def test_a_confirmed_switch_is_finished_on_a_full_disk(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither room nor inodes: the links are there already, the old instance stops."""
    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.session()
    answer = switching.switch(session.ctx(), stage.asked("2.b"))

    with full_disk(monkeypatch):
        switching.confirm(session.ctx(), Confirm(answer.id))
        switching.finish(session.ctx(), Finish())
    session.end()
    at = stage.at
    assert (releases.pointed(at.fallback), releases.pointed(at.previous)) == ("2.b", "1.a")
    assert stage.running(at) == [web("2.b")]
    assert [path.name for path in at.root.iterdir() if path.name.endswith(".spare")] == []
    stage.settle()  # the journal's line
    stage.check()


def test_the_mark_of_an_older_version_is_read(stage: Stage) -> None:
    """The next session may be a newer one: it goes back by what the mark says."""
    stage.deploy("1.a")
    stage.prepare("2.b")
    stage.run(stage.asked("2.b"), confirm=False)
    value = files.read_json(stage.at.pending)
    assert value is not None
    del value["next_previous"]
    files.write_json(stage.at.pending, value, 0o600)
    stage.settle()
    assert stage.served() == "1.a"
    stage.check()


def test_a_full_disk_before_the_switch_changes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.deploy("1.a")
    stage.prepare("2.b")

    def full(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pending, "write", full)
    with pytest.raises(OSError):
        stage.run(stage.asked("2.b"))
    assert stage.served() == "1.a"
    stage.check()


def test_a_stopped_application_is_not_started_by_a_recovery(stage: Stage) -> None:
    stage.deploy("1.a")
    files.write_json(stage.at.stopped, {"who": "ann", "since": "now"})
    stage.stop(stage.at.unit(web("1.a")))
    assert stage.settle() == []
    assert stage.running(stage.at) == []
    stage.at.stopped.unlink()
    assert stage.settle() == ["started 1.a"]
    stage.check()


def test_recover_as_a_program(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.deploy("1.a")
    argv = [stage.at.app, str(stage.at.base)]
    assert recover.main([*argv, "--settle"]) == 0
    assert capsys.readouterr().out == ""
    stage.prepare("2.b")
    stage.run(stage.asked("2.b"), confirm=False)  # its process is killed here
    assert recover.main([*argv, "--settle"]) == 0
    said = capsys.readouterr()
    assert said.out == "", "the session's frames go there"
    assert "the switch to 2.b was never confirmed" in said.err
    assert stage.served() == "1.a"
    stage.check()


def test_recover_goes_on_when_nobody_listens(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator is gone, and the pipe to them with them."""
    stage.deploy("1.a")
    stage.prepare("2.b")
    stage.run(stage.asked("2.b"), confirm=False)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as raw:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, write_through=True))
        assert recover.main([stage.at.app, str(stage.at.base), "--settle"]) == 0
    assert stage.served() == "1.a"
    stage.check()


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"id": "x"}', "\0\0\0", "\xff"])
def test_a_damaged_mark_stops_nobody_and_is_kept_for_a_person(
    stage: Stage, capsys: pytest.CaptureFixture[str], torn: str
) -> None:
    stage.deploy("1.a")
    stage.stop(stage.at.unit(web("1.a")))  # a boot
    stage.at.pending.write_text(torn, "latin-1")
    argv = [stage.at.app, str(stage.at.base)]
    assert not recover.is_settled(stage.at)
    assert recover.main([*argv, "--boot"]) == 0
    said = capsys.readouterr().err
    assert "the mark of a switch was damaged" in said
    assert "started 1.a" in said
    stage.check()
    assert (stage.at.root / "pending.json.damaged").read_text("latin-1") == torn
    stage.deploy("2.b")
    stage.check()


@pytest.mark.parametrize("torn", ["", "{", "[]", "\0\0\0", "\xff"])
def test_a_damaged_manifest_or_journal_does_not_keep_a_release_from_starting(
    stage: Stage, torn: str
) -> None:
    stage.deploy("1.a")
    stage.stop(stage.at.unit(web("1.a")))
    releases.manifest_path(stage.at, "1.a").write_text(torn, "latin-1")
    stage.at.journal.write_text(torn, "latin-1")
    assert recover.main([stage.at.app, str(stage.at.base), "--boot"]) == 0
    assert stage.served() == "1.a"
    assert stage.running(stage.at) == [web("1.a")]


def test_a_confirmation_that_a_killed_session_did_not_sync_is_synced_by_whoever_comes_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is seen as confirmed, and the next power cut takes it back."""
    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.run(stage.asked("2.b"), confirm=False)
    session.at_end.clear()
    stage.at.pending.unlink()  # it is killed between this and the fsync
    synced: list[tuple[str, Path]] = []
    monkeypatch.setattr(files, "fsync_dir", lambda path: synced.append(("names", path)))
    monkeypatch.setattr(files, "sync_filesystem", lambda path: synced.append(("all", path)))
    stage.settle()
    root = stage.at.root
    assert synced[:3] == [("names", root), ("all", root), ("all", layout.UNITS)], "at first"
    assert stage.served() == "2.b"


def test_recover_leaves_a_session_alone_that_holds_the_lock(stage: Stage) -> None:
    from cartwheel.host.system import locks

    stage.deploy("1.a")
    stage.prepare("2.b")
    session = stage.run(stage.asked("2.b"), confirm=False)
    held = locks.acquire(stage.at.lock, {"owner": "ann"}, wait_seconds=0)
    assert recover.main([stage.at.app, str(stage.at.base), "--settle"]) == 0
    assert stage.at.pending.exists()
    held.release()
    session.end()
