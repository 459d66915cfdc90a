"""The dispatcher of timers, killed before every system call: no time is ever run for twice.

Only systemd is a stand-in: its job is a line in a file, which outlives a killed process.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cartwheel.host import layout
from cartwheel.host import timer as dispatcher
from cartwheel.host.layout import Layout
from cartwheel.host.look import timers as looking
from cartwheel.host.process import timers as units
from cartwheel.host.release import verify
from cartwheel.host.state import assignment, releases, timers
from cartwheel.host.switch import holding
from cartwheel.host.system import files, systemd
from cartwheel.host.system.context import Context, OpError
from cartwheel.host.system.systemd import UnitState
from cartwheel.host.upkeep import timers as changing
from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.codec import to_json
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.holding import Given, LetGo, Record, Take
from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.making import Verify
from cartwheel.host.wire.manifest import Manifest
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.served import Served
from cartwheel.host.wire.timer import PauseTimer, ReadRun, ResumeTimer, Run, RunTimer, Timer
from tests.unit.host.test_switch import dying_before
from tests.unit.hostside import Session, host_in, web

EACH_MINUTE = Timer(schedule="* * * * *", program="python")
YEARLY = replace(EACH_MINUTE, schedule="0 0 1 1 *")
RELEASE = "1.0.aa"


class Stage:
    """A host with one timer, `tick`."""

    def __init__(self, at: Layout) -> None:
        self.at = at
        self.jobs = at.base / "jobs"
        self.under_way: list[tuple[str, str]] = []
        self.waits = True  # systemd's timer
        self.result = ("success", "exited", "0")
        self.deploy(RELEASE, EACH_MINUTE)
        self.since(0.0)

    def deploy(self, release: str, timer: Timer) -> None:
        self.at.release(release).mkdir(exist_ok=True)
        self.at.job_source("tick", release).write_text("job")
        manifest = Manifest(release=release, timers={"tick": timer})
        files.write_json(releases.manifest_path(self.at, release), to_json(manifest))
        releases.point(self.at, self.at.current, release)
        releases.point_slot(self.at, web(release))
        what = Assigned(timers=("tick",))
        assignment.keep(self.at, what)
        assignment.point(self.at, what)

    def since(self, when: float, timer: Timer = EACH_MINUTE) -> None:
        timers.count_from_now(self.at, "tick", timer)
        timers._since(self.at, "tick", timer).write_text(json.dumps({"since": when}))

    def run_job(self, at: Layout, name: str, release: str, _seconds: float) -> str:
        """systemd starts the job, and runs the recorder at its end even if the dispatcher died."""
        due = timers.runs(at, name)[-1].due
        with self.jobs.open("a") as file:
            file.write(f"{due}\n")
        timers.running_output(at, name).write_text("printed\n")
        dispatcher.ended(at, name, release, *self.result)
        return ""

    def states(self, units: list[str]) -> dict[str, UnitState]:
        active = "active" if self.waits else "inactive"
        return dict.fromkeys(units, UnitState(active, "", 0, 0, None, 1.0, "success"))

    def ran(self) -> list[str]:
        return self.jobs.read_text().splitlines() if self.jobs.exists() else []

    def dispatch(self) -> None:
        dispatcher.dispatch(self.at, "tick")

    def runs(self) -> list[Run]:
        return timers.runs(self.at, "tick")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return _stage(tmp_path, monkeypatch)


def _stage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    at = host_in(folder, monkeypatch)
    one = Stage(at)
    monkeypatch.setattr(systemd, "run_job", one.run_job)
    monkeypatch.setattr(systemd, "jobs", lambda _at: one.under_way)
    monkeypatch.setattr(systemd, "states", one.states)
    monkeypatch.setattr(systemd, "start_timer", lambda _unit: setattr(one, "waits", True))
    monkeypatch.setattr(systemd, "stop_timer", lambda _unit: setattr(one, "waits", False))
    monkeypatch.setattr(systemd, "reload", lambda _ctx=None: None)
    return one


def test_killed_before_any_call_no_time_is_run_for_twice(memory: Path) -> None:
    number, ended = 0, False
    while not ended:
        folder = memory / str(number)
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            stage = _stage(folder, patch)
            ended = not dying_before(number, stage.dispatch)
            stage.dispatch()
            stage.dispatch()
            counts = Counter(stage.ran())
            assert set(counts.values()) <= {1}
            dues = [run.due for run in stage.runs()]
            assert len(dues) == len(set(dues)) >= 1
            stage.since(0.0, replace(EACH_MINUTE, schedule="0 0 1 1 *"))
            stage.deploy("2.0.bb", replace(EACH_MINUTE, schedule="0 0 1 1 *"))
            stage.dispatch()
            assert stage.runs()[-1].result == "done", "the next one is right"
        number += 1
    assert number > 20


def test_a_time_has_one_run(stage: Stage) -> None:
    stage.deploy(RELEASE, replace(EACH_MINUTE, schedule="0 0 1 1 *"))
    stage.since(0.0, replace(EACH_MINUTE, schedule="0 0 1 1 *"))
    for _time in range(3):
        stage.dispatch()
    [run] = stage.runs()
    assert (run.result, run.release, run.number) == ("done", RELEASE, 1)
    assert timers.output(stage.at, "tick", 1).read_text() == "printed\n"
    assert not timers.running_output(stage.at, "tick").exists()


def test_what_was_due_before_it_came_is_nobodys(stage: Stage) -> None:
    for since in (time.time(), time.time() + 86400):
        stage.since(since)
        stage.dispatch()
    timers._since(stage.at, "tick", EACH_MINUTE).unlink()
    stage.dispatch()
    assert [run for run in stage.runs() if run.due and run.due < time.time() - 60] == []


def test_it_does_nothing_where_it_must_not(stage: Stage) -> None:
    lock = dispatcher.take_lock(stage.at, "tick")
    assert lock is not None
    stage.dispatch()
    os.close(lock)
    stage.under_way = [("tick", "0.9.zz")]
    stage.dispatch()
    stage.under_way = []
    assert stage.runs() == [], "these are late, and not lost"
    timers.pause(stage.at, "tick", Stopped("ann"))
    stage.dispatch()
    timers.resume(stage.at, "tick")
    files.write_json(stage.at.stopped, {})
    stage.since(0.0)
    stage.dispatch()
    files.remove(stage.at.stopped)
    stage.deploy(RELEASE, replace(EACH_MINUTE, catch_up=False, schedule="0 0 1 1 *"))
    stage.since(0.0, replace(EACH_MINUTE, schedule="0 0 1 1 *"))
    stage.dispatch()
    files.remove(stage.at.current)
    stage.dispatch()
    assert stage.runs() == []


def test_a_run_that_is_asked_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.deploy(RELEASE, replace(EACH_MINUTE, schedule="0 0 1 1 *"))
    timers.pause(stage.at, "tick", Stopped("ann"))
    monkeypatch.setattr(systemd, "start", lambda _ctx, _unit: stage.dispatch())
    session = Session(stage.at)
    run = changing.run(session.ctx(), RunTimer("tick"))
    assert (run.who, run.due, run.result) == ("ann@desk", None, "done")
    stage.dispatch()
    assert len(stage.runs()) == 1
    with pytest.raises(OpError, match="tock is not on this host; timers here: tick") as caught:
        changing.run(session.ctx(), RunTimer("tock"))
    assert caught.value.slug == "no-timer"
    stage.under_way = [("tick", RELEASE)]
    with pytest.raises(OpError, match="the job of the timer tick is under way") as caught:
        changing.run(session.ctx(), RunTimer("tick"))
    assert caught.value.slug == "timer-busy"
    files.write_json(stage.at.stopped, {})
    with pytest.raises(OpError) as caught:
        changing.run(session.ctx(), RunTimer("tick"))
    assert caught.value.slug == "stopped"


def test_pause_and_resume(stage: Stage) -> None:
    session = Session(stage.at, message="the table moves")
    assert changing.pause(session.ctx(), PauseTimer("tick")).changed
    assert not changing.pause(session.ctx(), PauseTimer("tick")).changed
    [state] = looking.states(stage.at)
    assert state.paused and state.paused.message == "the table moves"
    assert state.following is None
    assert changing.resume(session.ctx(), ResumeTimer("tick")).changed
    assert not changing.resume(session.ctx(), ResumeTimer("tick")).changed
    [state] = looking.states(stage.at)
    assert state.following and state.following > time.time()


HOW = {
    ("success", "exited", "0"): ("done", ""),
    ("exit-code", "exited", "3"): ("failed", "exit status 3"),
    ("timeout", "killed", "TERM"): ("timeout", "it took longer than timeout_seconds"),
    ("signal", "killed", "TERM"): ("cut", "it was asked to stop (SIGTERM)"),
    ("signal", "killed", "SEGV"): ("failed", "killed by SIGSEGV"),
    ("core-dump", "dumped", "ABRT"): ("failed", "killed by SIGABRT"),
    ("oom-kill", "killed", "KILL"): ("failed", "out of memory, killed by SIGKILL"),
    ("resources", "", ""): ("failed", "resources"),
}


@pytest.mark.parametrize("said", HOW)
def test_how_it_ended(said: tuple[str, str, str], stage: Stage) -> None:
    stage.result = said
    stage.dispatch()
    run = stage.runs()[-1]
    assert (run.result, run.detail) == HOW[said]


def test_what_could_not_start_and_what_was_cut_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "run_job", lambda *_args: "Unit is masked.")
    stage.dispatch()
    assert (stage.runs()[-1].result, stage.runs()[-1].detail) == ("failed", "Unit is masked.")
    timers.write(stage.at, "tick", Run(number=7, started=1.0, due=60.0, release=RELEASE))
    [state] = looking.states(stage.at)
    assert state.runs[0].result == "cut"
    stage.under_way = [("tick", RELEASE)]
    [state] = looking.states(stage.at)
    assert state.runs[0].result == "running"


def test_the_last_runs_are_kept_with_the_end_of_their_output(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(20_000))

    def run_job(at: Layout, name: str, release: str, _seconds: float) -> str:
        timers.running_output(at, name).write_bytes(lines)
        dispatcher.ended(at, name, release, "success", "exited", "0")
        return ""

    monkeypatch.setattr(systemd, "run_job", run_job)
    for number in range(25):
        timers.ask(stage.at, "tick", Run(0, 0.0, who="ann", asked=str(number)))
        stage.dispatch()
    assert [run.number for run in stage.runs()] == list(range(6, 26))
    assert len(list((stage.at.outputs / "tick").iterdir())) == 20
    kept = timers.output(stage.at, "tick", 25).read_bytes()
    assert kept.startswith(b"line ") and kept.endswith(b"line 19999\n")
    assert (64 << 10) - 20 < len(kept) <= 64 << 10
    session = Session(stage.at)
    run = looking.output(session.ctx(), ReadRun("tick", None, follow=False))
    assert run.number == 25
    assert session.events[-1]["detail"] == "line 19999"
    with pytest.raises(OpError, match="there is no run 3 of the timer tick; kept: 6 to 25") as one:
        looking.output(session.ctx(), ReadRun("tick", 3, follow=False))
    assert one.value.slug == "no-run"


@pytest.mark.parametrize("seen", ["before it prints", "while it prints", "an earlier run's left"])
def test_a_run_is_followed_to_its_last_line(
    seen: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is over between two looks, and whose file went with it."""
    begun = Run(number=1, started=time.time(), who="ann")
    timers.make_folders(stage.at, "tick")
    timers.write(stage.at, "tick", begun)
    printing = timers.running_output(stage.at, "tick")
    printing.parent.mkdir(parents=True, exist_ok=True)
    if seen == "an earlier run's left":
        printing.write_text("of an earlier run\n")
    if seen == "while it prints":
        timers.write(stage.at, "tick", replace(begun, release=RELEASE))
        printing.write_text("first\n")

    def end(_ctx: Context, _seconds: float) -> None:
        printing.write_text("first\nlast, without an end of line")
        timers.write(stage.at, "tick", replace(begun, release=RELEASE))
        dispatcher.ended(stage.at, "tick", RELEASE, *stage.result)

    monkeypatch.setattr(Context, "pause", end)
    session = Session(stage.at)
    stage.under_way = [("tick", RELEASE)]
    run = looking.output(session.ctx(), ReadRun("tick", 1, follow=True))
    assert run.result == "done"
    told = [event["detail"] for event in session.events]
    assert told == ["first", "last, without an end of line"]


def test_the_units_follow_what_is_live(stage: Stage) -> None:
    at, unit = stage.at, stage.at.timer_unit("tick")
    units.ensure(at)
    assert "OnCalendar=*-*-* *:*:00\nAccuracySec=1s\nPersistent=true\n" in unit.read_text()
    assert f"ExecStart={at.lib}/timer run tick\n" in at.dispatcher_unit("tick").read_text()
    before = unit.stat()
    units.ensure(at)
    assert unit.stat() == before
    assert (units.installed(at), units.stray(at)) == (["tick"], [])
    other = Layout("shop.tick", at.base)
    assert other.timer_of(unit.name) is None, "another application's"
    files.remove(at.current)
    assert units.stray(at) == ["tick"]
    stage.under_way = [("tick", RELEASE)]
    units.ensure(at)
    assert not unit.exists() and not at.dispatcher_unit("tick").exists()
    waits = layout.RUN_UNITS / at.dispatcher_unit("tick").name
    units.ensure(at)
    assert "TimeoutStartSec=infinity" in waits.read_text(), "else systemd ends it after 90 s"
    assert (units.installed(at), units.stray(at)) == ([], [])
    stage.under_way = []
    units.ensure(at)
    assert not waits.exists()


def gives(stage: Stage) -> Given:
    return holding.let_go(Session(stage.at).ctx(), LetGo("timer tick", "b"))


def takes(stage: Stage, record: Record) -> None:
    probe = Probe("/", "localhost", "http", 200, 1, 0.1, 5, 1)
    holding.take(Session(stage.at).ctx(), Take("timer tick", "b", probe, record=record))


@pytest.fixture
def other(tmp_path: Path, memory: Path) -> Iterator[Callable[[], AbstractContextManager[Stage]]]:
    """Another host of the fleet, which has had the timer long ago."""

    @contextmanager
    def host() -> Iterator[Stage]:
        with pytest.MonkeyPatch.context() as patch:
            stage = _stage(Path(tempfile.mkdtemp(dir=memory)), patch)
            timers.write(stage.at, "tick", Run(number=1, started=60.0, due=60.0, ended=61.0))
            stage.waits = False
            yield stage

    yield host


def test_another_host_goes_on_where_it_ended(
    stage: Stage, other: Callable[[], AbstractContextManager[Stage]]
) -> None:
    """It runs for nothing that was run for, and makes up the last time that was missed, once."""
    stage.deploy(RELEASE, YEARLY)
    stage.since(0.0, YEARLY)
    missed = gives(stage)
    assert missed == Given(changed=True, record=Record(0.0))
    assert units.installed(stage.at) == []
    assert looking.here(stage.at).elsewhere == {"tick": "b"}
    stage.dispatch()
    assert stage.runs() == [], "it is not here any more"
    stage.deploy(RELEASE, YEARLY)
    stage.dispatch()
    [run] = stage.runs()
    done = gives(stage)
    assert done == Given(changed=True, record=Record(run.due))
    assert gives(stage) == Given(changed=False, record=Record(run.due)), "asked again"
    for record, count in ((done.record, 0), (missed.record, 1), (Record(), 0)):
        with other() as there:
            there.deploy(RELEASE, YEARLY)
            assignment.write(there.at, Assigned(holders={"timer tick": "a"}))
            takes(there, record)
            assert (there.waits, units.installed(there.at)) == (True, ["tick"])
            stamp = there.at.timer_stamp("tick").stat().st_mtime
            since = time.time() if record.since is None else record.since
            assert stamp == pytest.approx(since, abs=60)
            for _time in range(2):
                there.dispatch()
            assert len(there.runs()) == 1 + count


def test_clocks_of_hosts_differ(
    stage: Stage, other: Callable[[], AbstractContextManager[Stage]]
) -> None:
    """A time that the other host had already is not run for again."""
    minute = time.time() // 60 * 60 + 60
    with other() as there:
        takes(there, Record(minute))
        assert timers.owed(there.at, "tick", EACH_MINUTE, minute + 1) is None
        assert timers.owed(there.at, "tick", EACH_MINUTE, minute + 61) == minute + 60


def test_a_pause_goes_along(
    stage: Stage, other: Callable[[], AbstractContextManager[Stage]]
) -> None:
    timers.pause(stage.at, "tick", Stopped("ann", "the table moves"))
    given = gives(stage)
    with other() as there:
        takes(there, given.record)
        assert timers.paused(there.at, "tick") == Stopped("ann", "the table moves")
        there.dispatch()
        takes(there, Record(given.record.since))
        assert timers.paused(there.at, "tick") is None, "it was resumed somewhere"


def test_a_host_gives_it_up_once_nothing_of_it_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other run begins there meanwhile."""
    stage.under_way = [("tick", "0.9.zz")]
    lock = dispatcher.take_lock(stage.at, "tick")
    assert lock is not None
    waits: list[float] = []

    def pause(_ctx: Context, _seconds: float) -> None:
        waits.append(1)
        assert not timers.here(stage.at)
        assert len(units.installed(stage.at)) == 1, "systemd kills what has no unit any more"
        if len(waits) == 2:
            os.close(lock)
            stage.dispatch()
        if len(waits) == 4:
            stage.under_way = []
            stage.dispatch()

    units.ensure(stage.at)
    monkeypatch.setattr(Context, "pause", pause)
    assert gives(stage).changed
    assert len(waits) == 4
    assert (stage.runs(), units.installed(stage.at)) == ([], [])


def test_a_release_without_it_does_not_take_it(stage: Stage) -> None:
    stage.deploy("2.0.bb", EACH_MINUTE)
    files.write_json(
        releases.manifest_path(stage.at, "2.0.bb"), to_json(Manifest(release="2.0.bb"))
    )
    with pytest.raises(OpError, match="the live release has no timer tick"):
        takes(stage, Record())


def test_a_zone_that_the_host_does_not_know(stage: Stage) -> None:
    asked = Verify(
        RELEASE, Installing("pip", "", "", "shop", {}), "", Served(), 1.0, {}, (), {},
        {"timers.tick.zone": "Europe/Berlino"},
    )  # fmt: skip
    (stage.at.release(RELEASE) / "env").write_text("")
    with pytest.raises(OpError, match=r"timers\.tick\.zone: there is no time zone") as caught:
        verify._check_programs(stage.at, asked)
    assert caught.value.slug == "no-zone"
