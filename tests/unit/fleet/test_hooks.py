"""Hooks: which run when, where, with what in their environment, and what their failure does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cartwheel.errors import CartwheelError, Exit
from cartwheel.plan.hooks import Hook, Moment, Side, hooks_for, moments
from cartwheel.plan.host_plan import Migration
from cartwheel.plan.rollout import Rollout
from cartwheel.plan.sealed import seal, stale
from cartwheel.plan.steps import titles
from cartwheel.settings import toml_tables
from cartwheel.settings.phases import Kind, Phase
from tests.unit.fleet.test_deploy import NEW, OLD, Run, failed, lost, plan, unchanged

MIGRATE = Migration("true", 5)


def settings(**tables: Mapping[str, Any]) -> toml_tables.Settings:
    return toml_tables.Settings.model_validate(
        {"app": {"name": "shop", "source": "."}, "hooks": {**tables}}
    )


def hook(side: Side = "before", phase: Phase = "switch", where: str = "here", **more: Any) -> Hook:
    values: dict[str, Any] = {
        "name": f"{side}-{phase}",
        "kind": "deploy",
        "moment": Moment(side, phase),
        "where": where,
        "command": "true",
        "timeout_seconds": 7.0,
        "stops": True,
    }
    return Hook(**{**values, **more})


def test_hooks_come_in_the_order_of_their_moments_and_then_of_the_settings() -> None:
    found = hooks_for(
        settings(
            late={"after": "run", "command": "x"},
            second={"after": "switch", "command": "x"},
            first={"before": "build", "command": "x"},
            third={"after": "switch", "command": "x"},
        ),
        "deploy",
    )
    assert [one.name for one in found] == ["first", "second", "third", "late"]
    everything = [str(moment) for moment in moments()]
    assert len(everything) == 14
    assert (everything[0], everything[-1]) == ("before run", "after run")


@pytest.mark.parametrize(
    ("kind", "names"), [("deploy", ["a", "b"]), ("rollback", ["b"]), ("restart", [])]
)
def test_a_hook_runs_with_the_words_it_names(kind: Kind, names: list[str]) -> None:
    both = settings(
        a={"after": "switch", "command": "x"},
        b={"after": "switch", "command": "x", "kinds": ["deploy", "rollback"]},
    )
    assert [one.name for one in hooks_for(both, kind)] == names


def test_no_hook_stops_a_rollback() -> None:
    one = settings(a={"after": "switch", "command": "x", "kinds": ["deploy", "rollback"]})
    assert [each.stops for each in hooks_for(one, "deploy")] == [True]
    assert [each.stops for each in hooks_for(one, "rollback")] == [False]


# -- in the plan


def test_a_plan_shows_them_where_they_run() -> None:
    around = (
        hook("before", "prepare", name="a", where="hosts"),
        hook("before", "migrate", name="b", where="one-host", command="pg_dump shop"),
        hook("after", "switch", name="c"),
        hook("after", "run", name="d"),
    )
    shown = titles(plan(hooks=around, migration=MIGRATE))
    assert shown == [
        "hook a: before prepare on hosts: true",
        *("upload", "venv", "install", "configure", "verify", "complete"),
        "hook b: before migrate on one host: pg_dump shop",
        *("migrate", "switch"),
        "hook c: after switch here: true",
        "hook d: after run here: true",
    ]
    assert "hook b" not in str(titles(plan(hooks=around)))


def test_a_plan_with_another_hook_is_stale() -> None:
    then = {"web1": seal(plan(hooks=(hook(name="tell"),)))}
    assert stale(then, {"web1": plan(hooks=(hook(name="tell"),))}) == []
    (other,) = stale(then, {"web1": plan(hooks=(hook(name="tell", command="false"),))})
    assert other == "web1: hook tell would be different"
    (gone,) = stale(then, {"web1": plan()})
    assert gone == "web1: hook tell is no longer needed"


# -- over hosts


class Here:
    """Stands in for this machine: it fails where it is told to."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.log: list[tuple[str, str]] = []
        self.more: dict[str, Mapping[str, str]] = {}
        self.run: Run | None = None

    def __call__(self, hook: Hook, more: Mapping[str, str]) -> None:
        self.log.append((hook.name, more["hosts"]))
        self.more[hook.name] = more
        if hook.name in self.failing:
            raise CartwheelError("hook-failed", f"{hook.title} ended with 1", detail="said")


def run(
    *hooks: Hook,
    scripts: Mapping[str, Mapping[str, Any]] | None = None,
    failing: tuple[str, ...] = (),
    **more: Any,
) -> tuple[Run, Here]:
    scripts = scripts or {"a": {}, "b": {}}
    here = Here(*failing)
    plans = {host: plan(hooks=hooks, migration=MIGRATE) for host in scripts}
    return Run(scripts, plans, here=here, **more), here


ALL: tuple[Phase, ...] = ("prepare", "migrate", "switch", "confirm", "finish")


def test_every_moment_here_and_on_hosts() -> None:
    around = [
        hook(side, phase, where, name=f"{side}-{phase}-{where}")
        for phase in ALL
        for side in ("before", "after")
        for where in ("here", "one-host", "hosts")
    ]
    done, here = run(*around)
    assert done.report.exit_code == Exit.OK
    assert [name for name, _ in here.log] == [
        f"{side}-{phase}-here" for phase in ALL for side in ("before", "after")
    ]
    assert {hosts for _, hosts in here.log} == {"a b"}
    ran = [(host, args["hook"]) for host, args in done.hooks()]
    assert [one for one in ran if one[1] == "after-finish-one-host"] == [
        ("a", "after-finish-one-host")
    ]
    for phase in ALL:
        for side in ("before", "after"):
            each = [host for host, name in ran if name == f"{side}-{phase}-hosts"]
            assert sorted(each) == ["a", "b"], (side, phase)


def test_around_its_own_switch_a_host_runs_its_hooks() -> None:
    """The canary's are over before the second host begins; what runs once is around all."""
    around = (
        hook("before", "switch", "hosts", name="mine"),
        hook("before", "switch", "one-host", name="once"),
        hook("after", "switch", "hosts", name="warm"),
    )
    done, _ = run(*around)
    order = done.order("hook", "switch", "confirm")
    assert order == [
        *("a hook once", "a hook mine", "a switch", "a hook warm"),
        *("b hook mine", "b switch", "b hook warm"),
        *("a confirm", "b confirm"),
    ]


def test_what_a_hook_is_told() -> None:
    done, here = run(hook(where="hosts", name="warm"), hook(name="tell"))
    assert here.more["tell"] == {"hosts": "a b", "release": NEW, "version": "2.0"}
    args = done.sessions["b"].args["hook"]
    assert args["command"] == "true"
    assert args["variables"] == {
        "CARTWHEEL_APP": "shop",
        "CARTWHEEL_HOOK": "warm",
        "CARTWHEEL_PHASE": "before switch",
        "CARTWHEEL_KIND": "deploy",
        "CARTWHEEL_WHO": "ann@desk",
        "CARTWHEEL_MESSAGE": "a fix",
        "CARTWHEEL_HOST": "b",
        "CARTWHEEL_RELEASE": NEW,
        "CARTWHEEL_VERSION": "2.0",
        "CARTWHEEL_PREVIOUS": OLD,
    }


@pytest.mark.parametrize("where", ["here", "one-host", "hosts"])
@pytest.mark.parametrize(
    ("side", "phase", "outcome"),
    [
        ("before", "prepare", "failed"),
        ("after", "prepare", "failed"),
        ("before", "migrate", "failed"),
        ("after", "migrate", "failed"),
        ("before", "switch", "failed"),
        ("after", "switch", "reverted"),
        ("before", "confirm", "reverted"),
        ("after", "confirm", "attention"),
        ("before", "finish", "attention"),
        ("after", "finish", "attention"),
    ],
)
def test_a_failure_is_that_of_the_phase(side: Side, phase: Phase, outcome: str, where: str) -> None:
    """It is put back until the confirmation; after it the fleet goes forward, and is finished."""
    script = {"hook": failed("hook-failed")}
    done, _ = run(
        hook(side, phase, where, name="tell"),
        scripts={"a": script, "b": script},
        failing=("tell",),
    )
    assert done.table["a"] == (outcome, NEW if outcome == "attention" else OLD)
    behind = where == "hosts" and phase == "switch"  # it never came to the second host
    assert done.table["b"][0] == ("not-tried" if behind else outcome)
    assert done.report.exit_code == {"failed": 1, "reverted": 3, "attention": 4}[outcome]
    assert sorted(done.asked("finish")) == (["a", "b"] if outcome == "attention" else [])
    fresh = sorted(done.asked("abandon"))
    assert fresh == {"failed": ["a", "b"], "reverted": ["b"] if behind else []}.get(outcome, [])


def test_what_runs_on_one_host_names_it() -> None:
    script = {"hook": failed("hook-failed", "hook dump ended with 1")}
    done, _ = run(hook("before", "prepare", "one-host"), scripts={"a": script, "b": {}})
    assert str(done.of("a").error) == "hook dump ended with 1 [CW609]"
    assert str(done.of("b").error) == "b: hook dump ended with 1 on a [CW609]"


@pytest.mark.parametrize("where", ["here", "one-host", "hosts"])
@pytest.mark.parametrize("phase", ALL)
def test_a_failure_that_is_only_noted(phase: Phase, where: str) -> None:
    done, _ = run(
        hook("after", phase, where, name="tell", stops=False),
        scripts={"a": {"hook": failed("hook-failed")}, "b": {"hook": failed("hook-failed")}},
        failing=("tell",),
    )
    assert done.table == dict.fromkeys("ab", ("deployed", NEW))
    assert done.report.exit_code == Exit.OK


def test_a_hook_that_failed_keeps_no_later_one_from_running() -> None:
    answers = iter([failed("hook-failed"), {}])
    done, _ = run(
        hook("after", "prepare", "hosts", name="tell", stops=False),
        hook("before", "switch", "hosts", name="warm"),
        scripts={"a": {"hook": lambda: next(answers)}},
    )
    assert [args["hook"] for _host, args in done.hooks()] == ["tell", "warm"]
    assert done.table == {"a": ("deployed", NEW)}


def test_a_host_that_is_lost_in_a_hook_is_lost_all_the_same() -> None:
    done, _ = run(
        hook("after", "prepare", "hosts", stops=False), scripts={"a": {"hook": lost()}, "b": {}}
    )
    assert done.report.exit_code == Exit.FAILED
    assert done.asked("switch") == []


def test_with_failures_allowed_the_other_hosts_go_on() -> None:
    done, _ = run(
        hook("after", "switch", "hosts"),
        scripts={"a": {}, "b": {"hook": failed("hook-failed")}, "c": {}},
        rollout=Rollout(canary=0, max_failures=1),
    )
    assert {host: row[0] for host, row in done.table.items()} == {
        "a": "deployed",
        "b": "reverted",
        "c": "deployed",
    }
    assert done.asked("go-back") == ["b"]
    assert done.report.exit_code == Exit.ATTENTION


def test_the_confirmation_waits_for_hooks() -> None:
    """Else a slow smoke test would have the host go back by itself."""
    done, _ = run(
        hook("after", "switch", "hosts", timeout_seconds=100.0),
        hook("after", "switch", "one-host", timeout_seconds=1000.0),
        hook("before", "confirm", "here", timeout_seconds=10000.0),
        hook("after", "confirm", "here", timeout_seconds=1e6),
    )
    waits = {host: one.args["switch"]["confirm_seconds"] for host, one in done.sessions.items()}
    assert waits["b"] == 60 + 100 + 1000 + 10000
    assert waits["a"] == waits["b"] + 100 + 5, "and for the second batch"


def test_a_fleet_with_nothing_to_do_runs_none() -> None:
    here = Here()
    idle = {host: unchanged() for host in "ab"}
    done = Run({"a": {}, "b": {}}, idle, here=here)
    assert here.log == []
    assert done.asked("hook") == []
