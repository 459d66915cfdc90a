"""What `fab plan` prints of one host, word for word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cartwheel.commands.plan import Planned
from cartwheel.hidden import Hidden
from cartwheel.host.wire.instance import Instance
from cartwheel.plan.differences import Differences
from cartwheel.plan.hooks import Hook, Moment
from cartwheel.plan.host_plan import HostPlan
from cartwheel.plan.processes import changes
from cartwheel.terminal.plan import fields_of, lines_of
from tests.unit.answers import facts, release
from tests.unit.plan.test_deploy import NAME as LOCKLESS
from tests.unit.plan.test_deploy import SECRET, deployed, plan, set_in, settings
from tests.unit.plan.test_differences import (
    BOOT,
    LOCK,
    OLD,
    OLD_UNIT,
    PRESENT,
    SITE_PATH,
    UNIT,
    found,
    lock,
    locked,
    settings_of,
    update,
)

STEPS = "host side, pip, upload, venv, install, configure, verify, complete, switch"
FREEZE = {"owner": "bob", "since": "today", "message": "the sale"}
RELOAD = "note: nginx is reloaded: idle kept-alive connections may close"


def shown(one: HostPlan, seconds: float | None = None, **more: Any) -> list[str]:
    return [line.strip() for line in lines_of(Planned(one, found(one, **more)), seconds)]


def quiet(one: HostPlan) -> HostPlan:
    """Its site is on the host already."""
    return replace(one, switch=replace(one.switching, site_changes={}), notes=())


def code(**more: Any) -> HostPlan:
    return quiet(update(**more))


def test_a_first_deploy() -> None:
    nothing: dict[str, Any] = {
        "files": dict.fromkeys((BOOT, SITE_PATH)),
        "releases": {},
        "running": [],
        "stopping": [],
    }
    first = plan(lock=LOCK)
    assert shown(first, present=nothing) == [
        f"nothing -> {first.release}",
        "packages: flask 3, shop 1.0",
        "variables: DEBUG, SECRET_KEY",
        f"starts {UNIT}",
        f"steps: {STEPS}",
        RELOAD,
        "new file gunicorn.conf.py, 2 lines",
        f"new file {SITE_PATH}, 1 lines",
        f"new file {BOOT}, 1 lines",
    ]


def test_another_code() -> None:
    one = code()
    assert shown(one, 5.31) == [
        f"{OLD} -> {one.release}",
        "package ~ shop 0.9 -> 1.0",
        f"starts {UNIT}",
        f"stops {OLD_UNIT}",
        f"steps: {STEPS}",
        "the last deploy took 5.3 s",
    ]


def test_processes_are_counted() -> None:
    of = settings(
        processes={
            "worker": {"command": "rq worker", "count": 3, "stop_seconds": 5},
            "beat": {"command": "celery beat", "exclusive": True},
            "poller": {"command": "poll", "overlap": False},
        }
    )
    new = [("worker", 1), ("worker", 2), ("worker", 3), ("beat", 1), ("poller", 1)]
    old = [("worker", 1), ("worker", 2), ("beat", 1)]
    before = {"worker": {"stop_seconds": 600.0}, "beat": {"starts": "last"}}
    known = facts(set_in("app", "releases", value=[release("1.a", processes=before)]))
    moved = changes(
        of,
        known,
        [(Instance(name, "2.b", "1", number), f"new {name} {number}") for name, number in new],
        [(Instance(name, "1.a", "1", number), f"old {name} {number}") for name, number in old],
    )
    units = tuple(unit for one in moved for unit in one.starts)
    differs = Differences(
        starts=(UNIT, *units), stops=(OLD_UNIT,), draining=("older worker",), processes=moved
    )
    lines = [line.strip() for line in lines_of(Planned(code(), differs), None)]
    assert lines[1:-1] == [
        f"starts {UNIT}",
        "starts beat once the old one has ended, last of all",
        "starts poller",
        "starts 3 worker",
        f"stops {OLD_UNIT}",
        "stops beat, job: 60 s at most",
        "stops 2 worker, jobs: 600 s at most",
        "draining: older worker",
    ]


def test_a_dependency_bump() -> None:
    one = code(lock=lock(locked("flask==4", "new==1")))
    assert shown(one)[1:4] == [
        "package + new 1",
        "package ~ flask 3 -> 4",
        "package ~ shop 0.9 -> 1.0",
    ]


def test_a_changed_setting_and_a_changed_variable() -> None:
    before = settings_of(update())
    now = settings(gunicorn={"threads": 8})
    one = code(of=now, environment={"SECRET_KEY": Hidden("an0ther"), "DEBUG": Hidden("0")})
    lines = shown(one, settings=before)
    assert lines[2:4] == ["setting + gunicorn.threads", "variable ~ SECRET_KEY"]
    assert SECRET not in str(lines)
    assert "an0ther" not in str(lines)


def test_another_file_of_a_template() -> None:
    present = {**PRESENT, "files": {SITE_PATH: "old\n", BOOT: "boot"}}
    assert shown(update(), present=present)[-5:] == [
        f"--- {SITE_PATH}",
        f"+++ {SITE_PATH}",
        "@@ -1 +1 @@",
        "-old",
        "+the site",
    ]


def test_a_file_that_goes() -> None:
    one = update()
    one = replace(one, switch=replace(one.switching, site_changes={"/d": None}))
    present = {**PRESENT, "files": {"/d": "listen 80;\n", BOOT: "boot"}}
    assert shown(one, present=present)[-1] == "removes /d, 1 lines"


def test_nothing_to_do() -> None:
    one = plan(known=facts(deployed))
    assert shown(one, 5.31) == [f"{LOCKLESS}: nothing to do"]


def test_what_should_run_and_does_not_is_started() -> None:
    def down(known: dict[str, Any]) -> None:
        deployed(known)
        known["app"]["down"] = ["web"]

    one = plan(known=facts(down))
    lines = shown(one)
    assert lines == [f"{LOCKLESS}: starts web, which should run"]


def test_a_refusal() -> None:
    one = plan(known=facts(set_in("app", "freeze", value=FREEZE)))
    assert shown(one) == [f"nothing -> {LOCKLESS}", "refused: frozen by bob since today (the sale)"]


def test_a_hook_stands_among_the_steps_and_says_what_it_runs() -> None:
    smoke = Hook("smoke", "deploy", Moment("after", "switch"), "here", "bin/smoke", 60.0, True)
    lines = shown(replace(code(), hooks=(smoke,)))
    assert lines[-2:] == [f"steps: {STEPS}, hook smoke", "hook smoke: after switch here: bin/smoke"]


def test_programs_get_all_of_it() -> None:
    one = update()
    fields = fields_of("web1", Planned(one, found(one)))
    assert fields["differences"]["packages"]["changed"] == ("shop 0.9 -> 1.0",)
    assert fields["steps"] == STEPS.split(", ")
    assert not fields["unchanged"]
