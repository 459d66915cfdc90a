"""The life of a deploy over hosts: who is asked what, and whether the report tells the truth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from cartwheel.build.products import Artifact, Lock, Platform
from cartwheel.errors import CartwheelError, ConnectError, Exit, HostError, UsageError
from cartwheel.events import Event
from cartwheel.fleet import sessions
from cartwheel.fleet.deploy import run_plans
from cartwheel.fleet.identity import twins
from cartwheel.fleet.report import HostReport, Report
from cartwheel.fleet.sessions import PARALLEL, step_on_each
from cartwheel.fleet.terms import Here, Terms
from cartwheel.hidden import Hidden
from cartwheel.host.wire.codec import from_message, to_json
from cartwheel.host.wire.facts import Interpreter
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.installing import Installing
from cartwheel.host.wire.request import Request, Who
from cartwheel.host.wire.served import Served
from cartwheel.host.wire.switching import Limits, Switch
from cartwheel.host.wire.tls import InstallAcme, InstallTls, Order
from cartwheel.host.wire.users import PlaceUsers
from cartwheel.plan.host_plan import Application, HostPlan, Migration, Operator, Refusal, Tls, Users
from cartwheel.plan.making import Delivery, Making, Packages
from cartwheel.plan.rollout import ALL_OR_NOTHING, Rollout
from cartwheel.ssh.session import SkippedError
from tests.unit.answers import INTERPRETER, answer_to, fleet_of

OLD, NEW = "1.0.old", "2.0.new"
A = TypeVar("A")
TERMS = Terms(10.0, 60.0)

Answer = dict[str, Any] | BaseException | Callable[[], dict[str, Any]]

GOOD: dict[str, Answer] = {
    "lock": {"premise": "", "freeze": None},
    "switch": {"id": "7"},
    "abandon": {},
    "unchanged": {},
    "finish": {"draining": [], "connections": 0},
    "hello": to_json(Who(0, 1, "one machine's")),
    # what a host says that never switched
    "go-back": {"reverted": False, "serves": OLD},
}
BACK: Answer = {"reverted": True, "serves": OLD}


class Pending(Generic[A]):
    def __init__(self, answer: Callable[[], A]) -> None:
        self.result = answer


class FakeSession:
    """A host that answers each operation as scripted; what it was asked is kept in order."""

    def __init__(self, host: str, log: list[tuple[str, str]], script: Mapping[str, Answer]) -> None:
        self.host, self.log, self.script = host, log, {**GOOD, **script}
        self.args: dict[str, Mapping[str, Any]] = {}
        self.hooks: list[Mapping[str, Any]] = []
        self.failed_groups: set[str] = set()
        self.switched = self.cancelled = self.closed = False
        self.when_cancelled: Callable[[], None] = lambda: None
        self.host_key = f"key of {host}"

    def request(self, asked: Request[A], **more: Any) -> A:
        return self.submit(asked, **more).result()

    def submit(self, asked: Request[A], *, group: str | None = None, **_more: Any) -> Pending[A]:
        """As a real one, it skips the rest of a group of which one has failed."""
        self.log.append((self.host, asked.op))
        self.args[asked.op] = to_json(asked)
        if asked.op == "hook":
            self.hooks.append(self.args[asked.op])

        def result() -> A:
            if group in self.failed_groups:
                raise SkippedError("host-side", "an earlier step failed")
            try:
                return answer_to(asked, self.answer(asked.op))
            except CartwheelError:
                self.failed_groups |= {group} if group else set()
                raise

        return Pending(result)

    def answer(self, op: str) -> dict[str, Any]:
        answer = self.script.get(op, {"changed": True})
        if op == "go-back" and self.switched and "go-back" not in self.asked_for:
            answer = BACK
        if callable(answer):
            answer = answer()
        if isinstance(answer, BaseException):
            raise answer
        self.switched = self.switched or op == "switch"
        return answer

    @property
    def asked_for(self) -> set[str]:
        return {op for op in self.script if self.script[op] is not GOOD.get(op)}

    def cancel(self) -> None:
        self.cancelled = True
        self.when_cancelled()

    def close(self, **_more: Any) -> None:
        self.closed = True


WHEEL = Artifact("shop", "2.0", Path("/b/shop-2.0-py3-none-any.whl"), "aa" * 32, "src")
MAKING = Making(
    content=NEW,
    python=from_message(Interpreter, INTERPRETER),
    entry="app:app",
    served=Served(),
    server_names=(),
    prefix="",
    import_seconds=5,
    packages=Packages(
        WHEEL,
        Lock(Platform("3.11.2", "glibc", "2.36", "x86_64"), "", "bb" * 32),
        Installing("pip", "25.0", "0.9", "shop"),
        5,
    ),
    deliveries=(Delivery("shop", "2.0", WHEEL.wheel.name, WHEEL.wheel_sha256, WHEEL.wheel),),
    files={},
    variables={},
    created="",
)
SWITCH = Switch(
    kind="deploy",
    release=NEW,
    version="2.0",
    fresh=True,
    site_changes={},
    listen=80,
    served=Served(),
    probe=Probe("/", "shop.example", "http", 200, 1, 0.1, 5, 2),
    watch_seconds=2,
    limits=Limits(max_error_percent=10, error_min_requests=5, max_worker_restarts=1),
    confirm_seconds=60,
    keep_releases=5,
    settings=None,
    assigned=None,
)


def plan(**more: Any) -> HostPlan:
    values: dict[str, Any] = {
        "app": Application("shop", "shop"),
        "operator": Operator("ann@desk", "a fix"),
        "kind": "deploy",
        "release": NEW,
        "version": "2.0",
        "current": OLD,
        "making": MAKING,
        "switch": SWITCH,
        "switch_seconds": 5,
        "digest_key": "5eed",
    }
    return HostPlan(**{**values, **more})


def unchanged(**more: Any) -> HostPlan:
    return plan(making=None, switch=None, **more)


def failed(slug: str, message: str = "why") -> HostError:
    return HostError(slug, message, detail="its log")


def lost() -> ConnectError:
    return ConnectError("ssh-lost", "the host fell silent")


class FakeBalancer:
    """Does as told, but for hosts that it cannot take out or put back."""

    around_seconds = 100.0

    def __init__(self, keeps: str = "", loses: str = "", empties: bool = False) -> None:
        self.log: list[tuple[str, str]] = []
        self.keeps, self.loses, self.empties = keeps, loses, empties

    def refuse(self, batches: Sequence[Sequence[str]]) -> None:
        if self.empties:
            raise UsageError("balancer-empty", f"{batches}")

    def out(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        self.log += [(host, "out") for host in hosts]
        return {
            host: HostError("balancer", "no", host=host) for host in hosts if host in self.keeps
        }

    def back(self, hosts: Sequence[str]) -> dict[str, CartwheelError]:
        self.log += [(host, "back") for host in hosts]
        return {
            host: HostError("balancer-stuck", "no", host=host)
            for host in hosts
            if host in self.loses
        }


class Run:
    def __init__(
        self,
        scripts: Mapping[str, Mapping[str, Answer]],
        plans: Mapping[str, HostPlan] | None = None,
        *,
        rollout: Rollout = ALL_OR_NOTHING,
        unreached: Mapping[str, CartwheelError] | None = None,
        balancer: FakeBalancer | None = None,
        here: Here | None = None,
        **more: Any,
    ) -> None:
        self.log: list[tuple[str, str]] = [] if balancer is None else balancer.log
        self.events: list[Event] = []
        self.sessions = {
            host: FakeSession(host, self.log, script) for host, script in scripts.items()
        }
        self.plans = plans or {host: plan() for host in scripts}
        fleet = fleet_of(
            self.sessions,
            self.events.append,
            fallen=dict(unreached or {}),
            max_failures=rollout.max_failures,
        )
        with fleet:
            terms = replace(TERMS, rollout=rollout, balancer=balancer)
            terms = replace(terms, here=here) if here else terms
            self.report: Report = run_plans(fleet, self.plans, terms, **more)

    def hooks(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Each hook that a host was asked to run, in order."""
        asked = {host: iter(one.hooks) for host, one in self.sessions.items()}
        return [(host, next(asked[host])) for host, what in self.log if what == "hook"]

    def order(self, *ops: str) -> list[str]:
        """`HOST OP` of these operations as they were asked for; of hooks with their name."""
        hooks = iter(self.hooks())
        return [
            f"{host} hook {next(hooks)[1]['hook']}" if what == "hook" else f"{host} {what}"
            for host, what in self.log
            if what in ops
        ]

    def asked(self, op: str) -> list[str]:
        return [host for host, what in self.log if what == op]

    @property
    def table(self) -> dict[str, tuple[str, str | None]]:
        return {one.host: (one.outcome, one.serves) for one in self.report.hosts}

    def of(self, host: str) -> HostReport:
        return next(one for one in self.report.hosts if one.host == host)


def test_all_well() -> None:
    run = Run({"b": {}, "a": {}, "c": {}})
    assert run.table == dict.fromkeys("bac", ("deployed", NEW))
    assert [one.host for one in run.report.hosts] == ["b", "a", "c"], "as they were named"
    assert run.report.exit_code == Exit.OK
    assert sorted(run.asked("lock")) == ["a", "b", "c"]
    order = [op for _host, op in run.log]
    assert order.index("switch") > max(n for n, op in enumerate(order) if op == "install")
    assert order.index("confirm") > max(n for n, op in enumerate(order) if op == "switch")
    assert order.index("finish") > max(n for n, op in enumerate(order) if op == "confirm")
    assert run.asked("switch")[0] == "b", "the first host alone, then the others"
    assert run.sessions["b"].args["confirm"]["id"] == "7"
    assert not run.asked("go-back") and not run.asked("abandon")
    assert all(one.closed for one in run.sessions.values())


def test_a_refusal_of_one_host_refuses_for_all_and_asks_nobody() -> None:
    refusals = (Refusal("disk-full", "no space"), Refusal("port-taken", "port 80"))
    plans = {"a": plan(refusals=refusals, release=""), "b": plan()}
    run = Run({"a": {}, "b": {}}, plans)
    assert run.log == []
    assert run.table == {"a": ("failed", OLD), "b": ("not-tried", OLD)}
    assert str(run.of("a").error) == "a: no space; port 80 [CW501]"
    assert run.report.exit_code == Exit.FAILED
    assert run.report.release == NEW, "the first plan has none"


@pytest.mark.parametrize(
    ("slug", "code"), [("locked", Exit.LOCKED), ("host-state", Exit.ATTENTION), ("deadline", 1)]
)
def test_a_lock_that_cannot_be_had_changes_nothing_anywhere(slug: str, code: int) -> None:
    run = Run({"c": {}, "a": {}, "b": {"lock": failed(slug)}})
    assert set(run.asked("lock")) == {"a", "b", "c"}
    assert {op for _host, op in run.log} <= {"lock", "unlock", "hello"}
    assert run.table == {"c": ("not-tried", OLD), "a": ("not-tried", OLD), "b": ("failed", OLD)}
    assert run.report.exit_code == code


def test_locks_are_taken_at_once_and_with_a_rival_in_order() -> None:
    """Whoever met a rival gives back what it has, and then takes one after the other, waiting."""
    taken: list[str] = []

    def busy_at_first() -> dict[str, Any]:
        taken.append("b")
        if len(taken) == 1:
            raise failed("locked")
        return {"premise": "", "freeze": None}

    run = Run({"c": {}, "a": {}, "b": {"lock": busy_at_first}})
    assert run.report.exit_code == Exit.OK
    assert sorted(run.asked("unlock")) == ["a", "c"]
    assert run.asked("lock")[3:] == ["a", "b", "c"], "the second time in sorted order"
    assert run.sessions["b"].args["lock"]["wait_seconds"] == TERMS.lock_wait_seconds


def test_two_names_for_one_host_are_noticed() -> None:
    """The second name meets the lock of the first."""
    log: list[tuple[str, str]] = []
    sessions = {
        "a": FakeSession("a", log, {}),
        "www": FakeSession("www", log, {"lock": failed("locked")}),
    }
    sessions["www"].host_key = sessions["a"].host_key
    with fleet_of(sessions) as fleet:
        report = run_plans(fleet, {host: plan() for host in sessions}, TERMS)
    assert str(report.hosts[1].error) == "www: this is the same host as a [CW109]"
    assert report.exit_code == Exit.USAGE


def test_machines_that_were_cloned_are_not_one_host() -> None:
    """They share the key; containers share the boot's id."""
    log: list[tuple[str, str]] = []
    sessions = {host: FakeSession(host, log, {}) for host in "abc"}
    sessions["b"].host_key = sessions["a"].host_key
    with fleet_of(sessions) as fleet:
        assert twins(fleet, {"a": "boot 1", "b": "boot 2", "c": "boot 1"}) == {}
        assert list(twins(fleet, {"a": "boot 1", "b": "boot 1", "c": "boot 1"})) == ["b"]


def test_a_host_lost_before_the_switch_is_not_known() -> None:
    run = Run({"a": {"lock": lost()}, "b": {}})
    assert run.table == {"a": ("failed", "?"), "b": ("not-tried", OLD)}
    assert run.report.exit_code == Exit.FAILED
    run = Run({"a": {}, "b": {"install": lost()}})
    assert run.table == {"a": ("not-tried", OLD), "b": ("failed", "?")}
    assert run.asked("abandon") == ["a"], "nobody can ask b"
    assert run.asked("switch") == []


def test_one_that_cannot_be_prepared_leaves_nothing_anywhere() -> None:
    run = Run(
        {"a": {}, "b": {"install": failed("install-failed")}, "c": {"upload": failed("disk-full")}}
    )
    assert run.table == {"a": ("not-tried", OLD), "b": ("failed", OLD), "c": ("failed", OLD)}
    assert sorted(run.asked("abandon")) == ["a", "b", "c"]
    assert run.sessions["a"].args["abandon"]["reason"] == "b failed: why"
    assert run.sessions["b"].args["abandon"]["log"] == "its log"
    assert run.sessions["b"].args["abandon"]["fresh"] is True
    assert run.asked("switch") == []
    assert run.report.exit_code == Exit.FAILED
    assert [e.state for e in run.events if e.host == "b" and e.step == "install"] == [
        "start",
        "failed",
    ]


def test_what_was_prepared_stays_where_another_host_was_only_lost() -> None:
    run = Run({"a": {}, "b": {"install": lost()}})
    assert run.asked("abandon") == ["a"]
    assert run.sessions["a"].args["abandon"]["fresh"] is False
    assert run.table["a"] == ("not-tried", OLD)


def test_an_abandon_that_fails_hides_nothing() -> None:
    run = Run({"a": {"abandon": failed("host-side")}, "b": {"install": failed("install-failed")}})
    assert run.table == {"a": ("not-tried", OLD), "b": ("failed", OLD)}


def test_the_canary_that_fails_spares_the_others() -> None:
    run = Run({"a": {"switch": failed("unhealthy")}, "b": {}, "c": {}})
    assert run.asked("switch") == ["a"]
    assert run.table == {"a": ("failed", OLD), "b": ("not-tried", OLD), "c": ("not-tried", OLD)}
    assert sorted(run.asked("abandon")) == ["b", "c"], "nothing prepared stays"
    assert run.report.exit_code == Exit.FAILED
    assert run.asked("confirm") == []


def test_one_that_fails_puts_every_switched_host_back() -> None:
    run = Run({"a": {}, "b": {"switch": failed("unhealthy")}, "c": {}})
    assert run.table == {"a": ("reverted", OLD), "b": ("failed", OLD), "c": ("reverted", OLD)}
    assert {"a", "c"} <= set(run.asked("go-back"))
    assert run.sessions["a"].args["go-back"]["reason"] == "b failed: why"
    assert run.sessions["a"].args["go-back"]["is_bad"] is True
    assert run.asked("confirm") == []
    assert run.report.exit_code == Exit.REVERTED
    assert run.of("b").error is not None and run.of("a").error is None


def test_a_host_that_went_back_by_itself_is_reverted() -> None:
    run = Run({"a": {"switch": failed("reverted"), "go-back": BACK}})
    assert run.table == {"a": ("reverted", OLD)}
    assert run.report.exit_code == Exit.REVERTED


def test_a_host_lost_in_its_switch_is_not_known() -> None:
    run = Run({"a": {}, "b": {"switch": lost()}})
    assert run.table == {"a": ("reverted", OLD), "b": ("attention", "?")}
    assert run.asked("go-back") == ["a"], "nobody can ask b; it goes back by itself"
    assert run.sessions["a"].args["go-back"]["is_bad"] is False, "it stays for the next deploy"
    assert run.report.exit_code == Exit.ATTENTION


def test_our_own_deadline_says_nothing_of_the_host() -> None:
    late = ConnectError("deadline", "switch has not ended within 5 s")
    assert Run({"a": {"switch": late}}).table == {"a": ("attention", "?")}


@pytest.mark.parametrize("error", [lost(), failed("systemd")])
def test_a_host_that_could_not_go_back_is_not_said_to_be_back(error: CartwheelError) -> None:
    run = Run({"a": {"go-back": error}, "b": {"switch": failed("unhealthy")}})
    assert run.table == {"a": ("attention", "?"), "b": ("failed", OLD)}
    assert run.of("a").error is error
    assert run.report.exit_code == Exit.ATTENTION


def test_a_host_says_itself_what_it_serves() -> None:
    script: dict[str, Answer] = {"go-back": {"reverted": False, "serves": NEW}}
    run = Run({"a": script, "b": {"switch": failed("unhealthy")}})
    assert run.table == {"a": ("attention", NEW), "b": ("failed", OLD)}


def test_no_confirmation_at_all_puts_everything_back() -> None:
    late = failed("reverted", "it was not confirmed in time")
    run = Run({"a": {"confirm": late}, "b": {"confirm": failed("host-side")}})
    assert run.table == {"a": ("reverted", OLD), "b": ("reverted", OLD)}
    assert sorted(run.asked("go-back")) == ["a", "b"]
    assert run.asked("finish") == []
    assert run.report.exit_code == Exit.REVERTED


def test_a_lost_confirmation_of_the_only_host_is_not_known() -> None:
    """And is told at once: what it came to is known only when the host has put itself in order."""
    run = Run({"a": {"confirm": lost()}})
    confirming = [event for event in run.events if event.step == "confirm"]
    assert confirming == [Event("confirm", "failed", "the host fell silent", "a")]
    assert run.table == {"a": ("attention", "?")}
    assert run.asked("go-back") == []
    assert run.report.exit_code == Exit.ATTENTION


def test_from_the_first_confirmation_the_fleet_goes_forward() -> None:
    run = Run({"a": {}, "b": {"confirm": failed("reverted")}, "c": {"confirm": lost()}})
    assert run.table == {"a": ("deployed", NEW), "b": ("attention", OLD), "c": ("attention", "?")}
    assert run.asked("go-back") == ["b"], "which it has already"
    assert run.asked("finish") == ["a"]
    assert sorted(event.host for event in run.events if event.step == "confirm") == ["b", "c"]
    assert run.report.exit_code == Exit.ATTENTION


@pytest.mark.parametrize(
    ("back", "serves"), [(BACK, OLD), ({"reverted": False, "serves": NEW}, NEW)]
)
def test_one_that_cannot_confirm_goes_back_before_it_is_reported(back: Answer, serves: str) -> None:
    """Its disk fails, say: left alone, it would go back when the session ends, after the report.
    Or it did confirm, and something after that failed."""
    run = Run({"a": {}, "b": {"confirm": failed("disk-fails"), "go-back": back}})
    assert run.table == {"a": ("deployed", NEW), "b": ("attention", serves)}
    assert run.asked("go-back") == ["b"]
    assert run.sessions["b"].args["go-back"]["is_bad"] is False, "it gets it once more"
    assert run.asked("finish") == ["a"]
    assert run.report.exit_code == Exit.ATTENTION


def test_a_failure_after_the_confirmation_does_not_change_what_serves() -> None:
    run = Run({"a": {"finish": failed("deadline")}, "b": {}, "c": {"finish": lost()}})
    assert run.table == {
        "a": ("attention", NEW),
        "b": ("deployed", NEW),
        "c": ("attention", NEW),
    }
    assert run.report.exit_code == Exit.ATTENTION


def test_an_unchanged_host_gets_its_line_and_nothing_else() -> None:
    same = unchanged(current=NEW)
    run = Run({"a": {}, "b": {}}, {"a": same, "b": plan()})
    assert run.table == {"a": ("unchanged", NEW), "b": ("deployed", NEW)}
    assert [op for host, op in run.log if host == "a"] == ["lock", "unchanged"]
    run = Run({"a": {}}, {"a": same})
    assert run.table == {"a": ("unchanged", NEW)}
    assert run.report.exit_code == Exit.OK


def test_an_unchanged_host_stays_unchanged_when_another_fails() -> None:
    same = unchanged(current=NEW)
    for script in ({"switch": failed("unhealthy")}, {"install": failed("install-failed")}):
        run = Run({"a": {}, "b": script}, {"a": same, "b": plan()})
        assert run.table == {"a": ("unchanged", NEW), "b": ("failed", OLD)}


def test_what_changed_since_the_look_is_not_guessed() -> None:
    same = unchanged(current=NEW)
    run = Run({"a": {"unchanged": failed("facts-changed")}, "b": {}}, {"a": same, "b": plan()})
    assert run.table == {"a": ("failed", "?"), "b": ("not-tried", OLD)}
    assert run.asked("upload") == []


def test_preparing_only_ends_before_the_switch_and_keeps_what_is_there() -> None:
    same = unchanged(current=NEW)
    plans = {"a": plan(), "b": same}
    run = Run({"a": {}, "b": {}}, plans, until="install")
    assert run.table == {"a": ("prepared", OLD), "b": ("unchanged", NEW)}
    assert run.asked("unchanged") == [], "no line of a deploy that nobody asked for"
    assert run.asked("switch") == []
    run = Run({"a": {"install": failed("install-failed")}}, until="install")
    assert run.table == {"a": ("failed", OLD)}
    assert run.asked("abandon") == [], "what is there stays for later"


def test_a_first_deploy_that_fails_serves_nothing() -> None:
    gone: Answer = {"reverted": True, "serves": None}
    run = Run({"a": {"switch": failed("reverted"), "go-back": gone}}, {"a": plan(current=None)})
    assert run.table == {"a": ("reverted", None)}


def test_a_rollback_that_fails_before_its_turn_says_so_on_the_host() -> None:
    plans = {host: plan(kind="rollback", making=None) for host in "ab"}
    run = Run({"a": {"switch": failed("unhealthy")}, "b": {}}, plans)
    assert run.sessions["b"].args["abandon"]["kind"] == "rollback"
    assert run.sessions["b"].args["abandon"]["fresh"] is False


@contextmanager
def interrupted(after: Callable[[], bool]) -> Iterator[None]:
    """Ctrl-C, as soon as `after` holds."""
    import _thread

    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.005):
            if after():
                _thread.interrupt_main()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


@pytest.mark.parametrize("op", ["install", "switch", "confirm", "finish"])
def test_ctrl_c_tells_every_host_and_closes_every_session(op: str) -> None:
    """A host puts itself in order when it is told; the operator's side waits for that."""
    begun, told = threading.Event(), threading.Event()

    def hang() -> dict[str, Any]:
        begun.set()
        assert told.wait(10)
        raise lost()

    log: list[tuple[str, str]] = []
    sessions = {host: FakeSession(host, log, {op: hang}) for host in "ab"}
    for one in sessions.values():
        one.when_cancelled = told.set
    plans = {host: plan() for host in "ab"}
    with (
        pytest.raises(KeyboardInterrupt),
        interrupted(begun.is_set),
        fleet_of(sessions) as fleet,
    ):
        run_plans(fleet, plans, TERMS)
    assert told.is_set()
    assert all(one.closed for one in sessions.values())


def test_ctrl_c_gets_through_with_more_hosts_than_threads() -> None:
    working: list[None] = []
    late: list[None] = []
    release = threading.Event()

    def hang() -> dict[str, Any]:
        working.append(None)
        if not release.wait(3):
            late.append(None)
        raise lost()

    log: list[tuple[str, str]] = []
    names = [f"h{number:03}" for number in range(100)]
    sessions = {host: FakeSession(host, log, {"upload": hang}) for host in names}
    left: list[str] = []

    def leaving(host: str) -> Callable[[], None]:
        def leave() -> None:
            left.append(host)
            if len(left) == len(names):
                release.set()

        return leave

    for host, one in sessions.items():
        one.when_cancelled = leaving(host)
    threads = PARALLEL
    with (
        pytest.raises(KeyboardInterrupt),
        interrupted(lambda: len(working) == threads),
        fleet_of(sessions) as fleet,
    ):
        run_plans(fleet, {host: plan() for host in names}, TERMS)
    assert sorted(left) == names
    assert not late, "they were told while the others were at work"


def test_an_unexpected_error_of_ours_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        Run({"a": {"install": ZeroDivisionError()}, "b": {}})


@pytest.mark.parametrize(
    ("outcomes", "codes", "exit_code"),
    [
        (("deployed", "unchanged", "prepared"), (), 0),
        (("failed", "not-tried"), ("unhealthy",), 1),
        (("failed",), ("locked",), 5),
        (("failed", "failed"), ("unhealthy", "stopped"), 5),
        (("failed", "failed"), ("settings", "unhealthy"), 2),
        (("failed", "reverted"), ("locked",), 3),
        (("reverted", "attention", "failed"), (), 4),
        (("failed",), (), 1),
        (("deployed", "failed"), ("unhealthy",), 4),
        (("deployed", "reverted", "unchanged"), (), 4),
    ],
)
def test_exit_codes(outcomes: tuple[Any, ...], codes: tuple[str, ...], exit_code: int) -> None:
    errors = [failed(slug) for slug in codes] + [None] * len(outcomes)
    hosts = [
        HostReport(str(number), outcome, OLD, OLD, errors[number])
        for number, outcome in enumerate(outcomes)
    ]
    assert Report(NEW, "2.0", tuple(hosts)).exit_code == exit_code


# --- batches, failures that are borne, migrations


FIVE: dict[str, Mapping[str, Answer]] = {host: {} for host in "abcde"}


def test_batches_switch_one_after_the_other() -> None:
    run = Run(FIVE, rollout=Rollout(canary=1, batch="40%"))
    assert run.report.exit_code == Exit.OK
    switched = run.asked("switch")
    assert [set(switched[:1]), set(switched[1:3]), set(switched[3:])] == [
        {"a"},
        {"b", "c"},
        {"d", "e"},
    ]
    patience = {host: one.args["switch"]["confirm_seconds"] for host, one in run.sessions.items()}
    assert patience == {"a": 70, "b": 65, "c": 65, "d": 60, "e": 60}, "a waits for two batches"


def test_a_batch_that_fails_spares_the_next_ones() -> None:
    scripts = {**FIVE, "c": {"switch": failed("unhealthy")}}
    run = Run(scripts, rollout=Rollout(batch=2))
    assert set(run.asked("switch")) == {"a", "b", "c"}
    assert run.table == {
        "a": ("reverted", OLD),
        "b": ("reverted", OLD),
        "c": ("failed", OLD),
        "d": ("not-tried", OLD),
        "e": ("not-tried", OLD),
    }
    assert sorted(run.asked("abandon")) == ["d", "e"]
    assert run.report.exit_code == Exit.REVERTED


def test_all_that_switched_are_watched_between_batches() -> None:
    run = Run(FIVE, rollout=Rollout(canary=0, batch=2, pause_seconds=30))
    assert sorted(run.asked("watch")) == ["a", "a", "b", "b", "c", "d"], "not after the last"
    assert run.sessions["a"].args["watch"]["seconds"] == 30
    sick = {**FIVE, "a": {"watch": failed("reverted"), "go-back": BACK}}
    run = Run(sick, rollout=Rollout(canary=0, batch=2, pause_seconds=30))
    assert run.table["a"] == run.table["b"] == ("reverted", OLD)
    assert run.table["c"] == ("not-tried", OLD)
    assert run.asked("confirm") == []


@pytest.mark.parametrize("op", ["lock", "install", "switch"])
def test_a_failure_that_is_borne(op: str) -> None:
    """The others go on; the failed one is unchanged; the exit code says that hosts differ."""
    run = Run({**FIVE, "c": {op: failed("unhealthy")}}, rollout=Rollout(max_failures=1))
    assert run.table == {**dict.fromkeys("abde", ("deployed", NEW)), "c": ("failed", OLD)}
    assert sorted(run.asked("confirm")) == ["a", "b", "d", "e"]
    assert run.asked("abandon") == (["c"] if op == "install" else [])
    assert run.report.exit_code == Exit.ATTENTION


def test_a_lock_that_is_borne_keeps_nobody_else_from_theirs() -> None:
    run = Run({**FIVE, "a": {"lock": failed("locked")}}, rollout=Rollout(max_failures=1))
    assert run.asked("lock")[5:] == list("abcde")
    assert run.table == {**dict.fromkeys("bcde", ("deployed", NEW)), "a": ("failed", OLD)}


def test_a_refusal_that_is_borne() -> None:
    refused = plan(refusals=(Refusal("disk-full", "no space"),), release="")
    run = Run({"a": {}, "b": {}}, {"a": refused, "b": plan()}, rollout=Rollout(max_failures=1))
    assert run.table == {"a": ("failed", OLD), "b": ("deployed", NEW)}
    assert [op for host, op in run.log if host == "a"] == []


def test_one_more_failure_than_is_borne_puts_all_back() -> None:
    scripts = {**FIVE, "b": {"install": failed("disk-full")}, "d": {"switch": failed("unhealthy")}}
    run = Run(scripts, rollout=Rollout(batch=1, max_failures=1))
    assert run.table == {
        "a": ("reverted", OLD),
        "b": ("failed", OLD),
        "c": ("reverted", OLD),
        "d": ("failed", OLD),
        "e": ("not-tried", OLD),
    }
    assert run.asked("confirm") == []


def test_nobody_is_left_to_go_on() -> None:
    scripts = {host: {"switch": failed("unhealthy")} for host in "ab"}
    run = Run(scripts, rollout=Rollout(max_failures=9))
    assert run.table == dict.fromkeys("ab", ("failed", OLD))
    assert run.report.exit_code == Exit.FAILED


def test_a_host_that_could_not_be_reached_has_its_line() -> None:
    run = Run(
        {"a": {}},
        unreached={"b": ConnectError("ssh-unreachable", "port 22: refused", host="b")},
        rollout=Rollout(max_failures=1),
    )
    assert run.table == {"a": ("deployed", NEW), "b": ("failed", "?")}
    assert run.report.exit_code == Exit.ATTENTION


def test_one_that_is_lost_in_its_switch_while_the_others_go_on() -> None:
    run = Run({"a": {}, "b": {"switch": lost()}, "c": {}}, rollout=Rollout(max_failures=1))
    assert run.table == {"a": ("deployed", NEW), "b": ("attention", "?"), "c": ("deployed", NEW)}
    assert run.asked("go-back") == []


MIGRATE = Migration("upgrade", 5)


def test_one_host_migrates_once_before_any_switches() -> None:
    plans = {host: plan(migration=MIGRATE) for host in "abc"}
    plans["a"] = unchanged(current=NEW)
    run = Run({"a": {}, "b": {}, "c": {}}, plans)
    assert run.asked("migrate") == ["b"], "the first that changes"
    order = [op for _host, op in run.log]
    assert max(n for n, op in enumerate(order) if op == "install") < order.index("migrate")
    assert order.index("migrate") < order.index("switch")


@pytest.mark.parametrize("most", [0, 5])
def test_a_migration_that_fails_stops_all(most: int) -> None:
    scripts: dict[str, Mapping[str, Answer]] = {
        "a": {"migrate": failed("migration-failed")},
        "b": {},
    }
    plans = {host: plan(migration=MIGRATE) for host in "ab"}
    run = Run(scripts, plans, rollout=Rollout(max_failures=most))
    assert run.table == {"a": ("failed", OLD), "b": ("not-tried", OLD)}
    assert sorted(run.asked("abandon")) == ["a", "b"]
    assert run.asked("switch") == []


def behind(scripts: Mapping[str, Mapping[str, Answer]], balancer: FakeBalancer, **more: Any) -> Run:
    return Run(scripts, balancer=balancer, **more)


def test_each_batch_is_out_while_it_switches_and_then_watched() -> None:
    run = behind({"a": {}, "b": {}, "c": {}}, FakeBalancer())
    of_a = [op for host, op in run.log if host == "a"]
    assert of_a[-6:] == ["out", "switch", "back", "watch", "confirm", "finish"]
    assert run.sessions["a"].args["watch"]["seconds"] == 2, "as long as it was without traffic"
    ops = [one for one in run.log if one[1] in ("out", "back")]
    assert ops == [(host, op) for batch in ("a", "bc") for op in ("out", "back") for host in batch]
    patience = {host: one.args["switch"]["confirm_seconds"] for host, one in run.sessions.items()}
    # Each batch takes its deadline, the balancer's, and the watching's.
    assert patience == {"a": 60 + 5 + 2 * 162, "b": 60 + 162, "c": 60 + 162}
    assert run.report.exit_code == Exit.OK


def test_a_host_that_went_back_is_put_back_too() -> None:
    run = behind({"a": {"switch": failed("unhealthy")}, "b": {}}, FakeBalancer())
    assert [op for host, op in run.log if host == "a"][-4:] == ["out", "switch", "back", "go-back"]
    assert run.asked("watch") == []
    assert run.table == {"a": ("failed", OLD), "b": ("not-tried", OLD)}


def test_one_that_does_not_stay_well_in_traffic_goes_back() -> None:
    sick: dict[str, Answer] = {"watch": failed("reverted"), "go-back": BACK}
    run = behind({"a": {}, "b": sick}, FakeBalancer())
    assert run.table == dict.fromkeys("ab", ("reverted", OLD))
    assert run.asked("confirm") == []


def test_one_that_cannot_be_taken_out_does_not_switch() -> None:
    run = behind({"a": {}, "b": {}}, FakeBalancer(keeps="b"))
    assert run.asked("switch") == ["a"]
    assert run.asked("back") == ["a", "b"], "another balancer may have let it go"
    assert run.table == {"a": ("reverted", OLD), "b": ("failed", OLD)}


def test_one_that_cannot_be_put_back_needs_attention() -> None:
    run = behind({"a": {}, "b": {}}, FakeBalancer(loses="b"))
    assert run.table == {"a": ("reverted", OLD), "b": ("attention", OLD)}
    assert run.report.exit_code == Exit.ATTENTION
    run = behind({"a": {}, "b": {}}, FakeBalancer(loses="b"), rollout=Rollout(max_failures=1))
    assert run.table == {"a": ("deployed", NEW), "b": ("attention", OLD)}


def test_nobody_is_asked_where_nobody_would_be_left() -> None:
    balancer = FakeBalancer(empties=True)
    with pytest.raises(UsageError, match=r"\[\['a'\], \['b'\]\]"):
        behind({"a": {}, "b": {}}, balancer)
    assert {op for _host, op in balancer.log} == {"lock"}


# -- HTTPS, which is the host's and not the release's

SERVE = Tls("begins to serve shop.example", InstallTls(None, "listen 443 ssl;", ("shop.example",)))
NOT_SERVED = "tls-not-served"


def test_https_changes_once_nobody_goes_back_any_more() -> None:
    run = Run({"a": {}, "b": {}}, {"a": plan(tls=SERVE), "b": unchanged(tls=SERVE)})
    asked = [op for host, op in run.log if host == "a"]
    assert asked.index("finish") < asked.index("tls-install")
    assert ("b", "tls-install") in run.log, "a certificate alone is no release"
    assert ("b", "switch") not in run.log
    assert [one.outcome for one in run.report.hosts] == ["deployed", "unchanged"]
    assert all("tls: begins to serve shop.example" in one.notes for one in run.report.hosts)
    assert run.report.exit_code == Exit.OK


@pytest.mark.parametrize("make", [plan, unchanged])
def test_a_host_without_its_certificate_needs_attention(make: Callable[..., HostPlan]) -> None:
    script: dict[str, Answer] = {"tls-install": failed(NOT_SERVED)}
    run = Run({"a": script, "b": {}}, {"a": make(tls=SERVE), "b": plan(tls=SERVE)})
    row = {one.host: one for one in run.report.hosts}["a"]
    assert (row.outcome, row.serves) == ("attention", NEW), "the release stays"
    assert row.error is not None
    assert row.error.slug == NOT_SERVED
    assert run.report.exit_code == Exit.ATTENTION
    assert ("b", "tls-install") in run.log


def test_a_host_that_goes_back_keeps_its_https() -> None:
    run = Run({"a": {"switch": failed("unhealthy")}}, {"a": plan(tls=SERVE)})
    assert ("a", "tls-install") not in run.log


ASKS = Tls("asks CA for a certificate", InstallAcme(Order(("a.example",), "CA", "", ""), "ssl;"))


def test_an_authority_is_asked_by_one_host_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever fail; hosts whose certificate is brought do not wait for that."""
    script: dict[str, Answer] = {"tls-acme": failed("acme")}
    plans = {"a": plan(tls=ASKS), "b": plan(tls=ASKS), "c": plan(tls=SERVE)}
    together: list[list[str]] = []

    def noted(fleet: Any, asked: Mapping[str, Any]) -> Any:
        together.append(list(asked))
        return step_on_each(fleet, asked)

    monkeypatch.setattr(sessions, "step_on_each", noted)
    run = Run({"a": script, "b": {}, "c": {}}, plans)
    assert together == [["a"], ["b"]]
    assert [host for host, op in run.log if op == "tls-acme"] == ["a", "b"]
    assert ("c", "tls-install") in run.log
    outcomes = {one.host: one.outcome for one in run.report.hosts}
    assert outcomes == {"a": "attention", "b": "deployed", "c": "deployed"}
    assert run.report.exit_code == Exit.ATTENTION


def test_https_that_stays_is_not_asked_for() -> None:
    run = Run({"a": {}}, {"a": unchanged(tls=Tls("serves shop.example"))})
    assert ("a", "tls-install") not in run.log
    assert run.report.hosts[0].notes == ()


# -- users of the site's paths, who are the host's too

USERS = Users(
    "users of /admin/ are new",
    PlaceUsers({"0123456789ab": Hidden("ann:$6$hash")}),
    PlaceUsers({"0123456789ab": Hidden("ann:$6$hash"), "ba9876543210": None}),
)


def test_new_users_come_first_and_changed_ones_last() -> None:
    run = Run({"a": {}, "b": {}}, {"a": plan(users=USERS), "b": unchanged(users=USERS)})
    asked = [op for host, op in run.log if host == "a"]
    assert [op for op in asked if op in ("users", "switch", "finish")] == [
        *("users", "switch", "finish", "users")
    ]
    assert [op for host, op in run.log if host == "b" and op in ("users", "switch")] == ["users"]
    assert all("users of /admin/ are new" in one.notes for one in run.report.hosts)
    assert "$6$" not in str(run.report)


def test_a_host_that_goes_back_keeps_its_users() -> None:
    run = Run({"a": {"switch": failed("unhealthy")}}, {"a": plan(users=USERS)})
    assert [op for _host, op in run.log].count("users") == 1


def test_a_site_of_a_release_that_is_there_is_tested_before_any_host_switches() -> None:
    again = plan(making=None, switch=replace(SWITCH, site_changes={"/a": "x"}))
    script: dict[str, Answer] = {"site-test": failed("nginx-refuses")}
    run = Run({"a": {}, "b": script}, {"a": again, "b": again})
    assert ("a", "site-test") in run.log
    assert not [op for _host, op in run.log if op == "switch"]
    assert run.report.exit_code == Exit.FAILED
