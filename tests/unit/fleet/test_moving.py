"""What only one host may have moves to another host; cut off anywhere it is never on two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest

from cartwheel.errors import CartwheelError, ConnectError, Exit, HostError
from cartwheel.events import silent
from cartwheel.fleet.moving import move_all
from cartwheel.host.wire.assigned import Assigned, timer_of
from cartwheel.host.wire.holding import Given, LetGo, Record, Take
from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.request import Done
from cartwheel.plan.holders import Fleet, Held, Only, decide
from cartwheel.plan.host_plan import Holder, HostPlan, Move
from tests.unit.answers import fleet_of
from tests.unit.fleet.test_deploy import NEW, SWITCH, Run, failed, lost, plan, unchanged

HOSTS = ("a", "b", "c")
FIRST = "b let-go, c let-go"  # side by side


def moving(gives: str | None, takes: str, name: str = "beat", *, is_known: bool = True) -> Move:
    holder = Holder(gives, gives) if gives else None
    return Move(name, holder, Holder(takes, takes), 5, 5, SWITCH.probe, is_known=is_known)


def run(scripts: dict[str, Any], of: Callable[..., HostPlan] = plan, **more: Any) -> Run:
    plans = {host: of(moves=(moving("a", "b"),)) for host in scripts}
    return Run(scripts, plans, **more)


def in_order(found: Run) -> list[str]:
    steps = found.order("let-go", "take")
    return [", ".join(sorted(steps[:2])), *steps[2:]]


@pytest.mark.parametrize("of", [plan, unchanged])
def test_it_moves_once_all_have_confirmed(of: Callable[..., HostPlan]) -> None:
    """Those that only write it down come first: nothing has ended if one does not answer."""
    found = run({host: {} for host in HOSTS}, of)
    assert in_order(found) == ["b let-go, c let-go", "a let-go", "b take"]
    ops = [op for _host, op in found.log]
    assert max(map(ops.index, {"finish", "unchanged"} & set(ops))) < ops.index("let-go")
    assert found.sessions["a"].args["let-go"] == {"name": "beat", "to": "b"}
    assert found.report.exit_code == Exit.OK


def test_nothing_moves_unless_all_have_confirmed() -> None:
    for script in ({"confirm": lost()}, {"switch": failed("unhealthy")}, {"confirm": failed("x")}):
        found = run({"a": {}, "b": {}, "c": script})
        assert found.order("let-go", "take") == []


@pytest.mark.parametrize(
    ("scripts", "order", "needs_attention"),
    [
        ({"c": {"let-go": lost()}}, [FIRST], {"c"}),
        ({"a": {"let-go": failed("deadline")}}, [FIRST, "a let-go"], {"a"}),
        ({"b": {"take": lost()}}, [FIRST, "a let-go", "b take"], {"b"}),
        (
            {"b": {"take": failed("not-ready")}},
            [FIRST, "a let-go", "b take", "b let-go", "a take"],
            {"b"},
        ),
        ({"b": {"let-go": lost()}}, [FIRST], {"b"}),
    ],
)
def test_a_host_takes_it_only_where_all_others_have_let_go(
    scripts: dict[str, Any], order: list[str], needs_attention: set[str]
) -> None:
    found = run({host: scripts.get(host, {}) for host in HOSTS})
    assert in_order(found) == order
    assert {one.host for one in found.report.hosts if one.outcome == "attention"} == needs_attention
    assert {one.serves for one in found.report.hosts} == {NEW}
    assert found.report.exit_code == Exit.ATTENTION


# -- every order of steps, cut off anywhere

EVERY = 5  # steps from one time of the timer to the next
JOB = 3  # steps that its job takes


@dataclass
class Times:
    """How many steps were made, and the times of the timer that were run for."""

    now: int = EVERY
    ran: list[int] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.now // EVERY * EVERY


@dataclass
class Machine:
    """A host as `host.switch.holding` makes it: what it wrote down, and whether beat, a process or
    a timer, runs. Of a timer: until when times are done with, and the steps that its job takes."""

    name: str
    beat: str
    times: Times
    what: Assigned = field(default_factory=Assigned)
    runs: bool = False
    starts: bool = True
    since: int | None = None
    job: int = 0
    is_power: bool = False
    cut: Callable[[str, str], bool] = field(default=lambda _host, _step: False)
    host_key: str = ""

    def submit(self, asked: Any, **_more: Any) -> Any:
        machine = self

        class Pending:
            def result(self) -> Given | Done:
                return machine.perform(asked)

        return Pending()

    @property
    def busy(self) -> bool:
        return self.runs or self.job > 0

    def step(self, name: str) -> None:
        """The line may be cut before it, or the power."""
        if self.cut(self.name, name):
            self.recover()
            raise ConnectError("ssh-lost", name)

    def recover(self) -> None:
        """After a killed session, or at boot: what is written down runs, nothing else does. A job
        goes on without its session."""
        self.runs = self.what.has(self.beat) and self.starts
        if self.is_power:
            self.job = 0

    def tick(self) -> None:
        """What the timer's units do."""
        self.job = max(0, self.job - 1)
        is_due = self.since is not None and self.since < self.times.last
        if self.runs and is_due and not self.job and timer_of(self.beat) is not None:
            self.since, self.job = self.times.last, JOB
            self.times.ran.append(self.times.last)

    def perform(self, asked: LetGo | Take) -> Given | Done:
        self.step("arrive")
        if isinstance(asked, LetGo):
            self.what = self.what.without(self.beat, asked.to)
            self.step("written")
            self.runs = False
            while self.job:
                self.step("ends")
            self.step("answer")
            return Given(True, Record(self.since))
        self.since = None if asked.record.since is None else int(asked.record.since)
        self.step("noted")
        self.what = self.what.having(self.beat, asked.me)
        self.step("written")
        self.runs = self.starts
        if not self.starts:
            raise HostError("not-ready", "it crashes")
        self.step("answer")
        return Done()

    def close(self, **_more: Any) -> None:
        pass


def deciding(machines: dict[str, Machine], on: str | None) -> tuple[Held, list[Move]]:
    """As a run over all hosts does; a first start is in the switch of its host."""
    beat = machines["a"].beat
    reached = {name: one.what for name, one in machines.items()}
    held = decide(Only(beat, tuple(machines), on), Fleet(tuple(machines), reached))
    there = held.then if held.moves else None
    return held, [moving(held.now, there, beat, is_known=held.is_known)] if there else []


def carry_out(machines: dict[str, Machine], moves: list[Move]) -> dict[str, CartwheelError]:
    with fleet_of(machines, silent) as fleet:
        return move_all(fleet, moves)


def runs_on(machines: dict[str, Machine]) -> list[str]:
    return [name for name, one in machines.items() if one.runs]


# The host, its step, and at which time it comes there.
STEPS = ("arrive", "written", "ends", "noted", "answer")
CUTS = list(product(HOSTS, STEPS, (1, 2)))


@pytest.mark.parametrize("is_power", [False, True])
@pytest.mark.parametrize("beat", ["beat", "timer beat"])
@pytest.mark.parametrize("crashes", ["", "b"])
@pytest.mark.parametrize(("host", "step", "time"), CUTS)
def test_cut_off_anywhere_it_is_on_one_host_at_most_and_the_next_run_gives_it(
    host: str, step: str, time: int, crashes: str, beat: str, is_power: bool
) -> None:
    """Of a timer, no time is run for twice, and the last one is made up."""
    seen: list[tuple[str, str]] = []
    always: list[int] = []
    times = Times()

    def passing() -> None:
        times.now += 1
        for one in machines.values():
            one.tick()
        always.append(sum(one.busy for one in machines.values()))

    def cut(name: str, at: str) -> bool:
        passing()
        seen.append((name, at))
        return (name, at) == (host, step) and seen.count((host, step)) == time

    def never(_name: str, _at: str) -> bool:
        passing()
        return False

    machines = {
        name: Machine(name, beat, times, Assigned({}, {beat: "a"}), starts=name != crashes,
                      is_power=is_power, cut=cut, host_key=name)
        for name in HOSTS
    }  # fmt: skip
    machines["a"].what = machines["a"].what.having(beat, "a")
    machines["a"].runs, machines["a"].job = True, 2 * JOB if timer_of(beat) else 0
    machines["a"].since, machines["c"].since = 0, 0
    carry_out(machines, deciding(machines, "b")[1])
    for name, one in machines.items():
        one.cut = never
        one.starts = True
        if name == crashes:
            one.recover()  # somebody has repaired it
    assert len(runs_on(machines)) <= 1
    held, moves = deciding(machines, "b")
    assert not carry_out(machines, moves)
    for _step in range(EVERY + JOB):
        passing()
    assert max(always) <= 1, "also of jobs, there is never more than one"
    assert runs_on(machines) == ["b"]
    assert [name for name, one in machines.items() if one.what.has(beat)] == ["b"]
    assert deciding(machines, "b")[1] == []
    assert deciding(machines, None)[1] == [], "it stays where it is"
    assert held.then == "b"
    if timer_of(beat) is not None:
        assert times.ran == sorted(set(times.ran))
        assert times.ran[-1] == times.last


def test_who_goes_on_from_where() -> None:
    """From what the host knows that gives it, or from the newest that anybody knows."""
    paused = Stopped("ann")
    known = {"a": Record(10.0), "b": Record(), "c": Record(30.0)}
    for gives, is_known, since in (("a", True, 10.0), (None, True, 30.0), (None, False, None)):
        found = taken_with(known, moving(gives, "b", "timer beat", is_known=is_known))
        assert found == Record(since)
    assert Record.last([Record(5.0), Record(5.0, paused), Record()]).paused == paused
    assert Record.last([Record(5.0, paused), Record(6.0)]).paused is None, "it was resumed there"


def taken_with(known: dict[str, Record], move: Move) -> Record:
    """The record that the host gets which takes it."""
    taken = []

    class Knowing(Machine):
        def perform(self, asked: LetGo | Take) -> Given | Done:
            if isinstance(asked, Take):
                taken.append(asked.record)
            return Done() if isinstance(asked, Take) else Given(False, known[self.name])

    machines = {name: Knowing(name, move.name, Times(), host_key=name) for name in known}
    assert not carry_out(dict(machines), [move])
    [found] = taken
    return found
