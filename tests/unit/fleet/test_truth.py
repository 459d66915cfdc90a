"""Hosts that were lost are asked again; stale plans are made anew under the lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cartwheel.commands.again import forward
from cartwheel.commands.scene import Scene
from cartwheel.errors import Exit
from cartwheel.fleet.report import Report
from cartwheel.fleet.sessions import Result
from cartwheel.fleet.truth import left_behind
from cartwheel.host.wire.status import Status
from cartwheel.settings.hosts import Host
from tests.unit import answers
from tests.unit.commands.test_deploy import SCENE as ONE_HOST
from tests.unit.fleet.test_deploy import NEW, OLD, Run, failed, lost, plan, unchanged

SCENE = replace(ONE_HOST, chosen=(Host("a", "-H"), Host("b", "-H")))


def look(answer: Result[Status]) -> Any:
    def again(hosts: Iterable[str]) -> Mapping[str, Result[Status]]:
        return dict.fromkeys(hosts, answer)

    return again


def status(serves: str | None, result: str, *, seq: int = 9, **more: Any) -> Status:
    last = {"seq": seq, "release": NEW, "result": result}
    return answers.status(release=serves, last=last, **more)


@pytest.mark.parametrize(
    ("seen", "outcome", "serves", "code"),
    [
        (status(OLD, "reverted"), "reverted", OLD, Exit.REVERTED),
        # it never got as far as the switch: its journal has no line of this run
        (status(OLD, "confirmed", seq=3), "failed", OLD, Exit.FAILED),
        (status(NEW, "confirmed"), "deployed", NEW, Exit.OK),
        (status("3.0.other", "confirmed"), "attention", "3.0.other", Exit.ATTENTION),
        (status(NEW, "", pending={"to": NEW}), "attention", "?", Exit.ATTENTION),
        (lost(), "attention", "?", Exit.ATTENTION),
    ],
)
@pytest.mark.parametrize("op", ["switch", "confirm"])
def test_a_lost_host_says_what_became_of_it(
    op: str, seen: Result[Status], outcome: str, serves: str, code: Exit
) -> None:
    run = Run({"a": {op: lost()}}, {"a": plan(seq=5)}, look_again=look(seen))
    assert run.table == {"a": (outcome, serves)}
    assert run.report.exit_code == code


def test_one_that_went_back_while_others_confirmed_needs_attention() -> None:
    seen = look(status(OLD, "reverted"))
    run = Run({"a": {}, "b": {"confirm": lost()}}, look_again=seen)
    assert run.table == {"a": ("deployed", NEW), "b": ("attention", OLD)}
    assert run.report.exit_code == Exit.ATTENTION


def test_only_lost_hosts_are_asked_again() -> None:
    def never(_hosts: Iterable[str]) -> Mapping[str, Result[Status]]:
        raise AssertionError("nobody was lost")

    Run({"a": {}, "b": {"switch": failed("unhealthy")}}, look_again=never)
    Run({"a": {"install": lost()}}, look_again=never)


def test_a_plan_that_somebody_overtook_is_made_anew_under_the_lock() -> None:
    """Two deploys of the same content: the second one finds that it serves already."""
    same = unchanged(current=NEW, premise="now")
    run = Run(
        {"a": {"lock": {"premise": "now", "freeze": None}}},
        {"a": plan(premise="before")},
        replan=lambda: {"a": same},
    )
    assert run.table == {"a": ("unchanged", NEW)}
    assert [op for _host, op in run.log] == ["lock", "unchanged"]


def test_a_plan_that_still_holds_is_kept() -> None:
    def never() -> Mapping[str, Any]:
        raise AssertionError("nothing has changed")

    run = Run(
        {"a": {"lock": {"premise": "now", "freeze": None}}},
        {"a": plan(premise="now")},
        replan=never,
    )
    assert run.table == {"a": ("deployed", NEW)}


def test_a_host_out_of_reach_is_said_to_go_back_by_itself() -> None:
    run = Run({"a": {}, "b": {"switch": lost()}}, look_again=look(lost()))
    (note,) = run.of("b").notes
    assert note.startswith(
        f"b cannot be reached: unless {NEW} was confirmed there, it rolls back to"
    )
    assert f"{OLD} by itself" in note
    assert run.of("a").notes == ()


@pytest.mark.parametrize("op", ["lock", "upload", "switch"])
def test_a_failed_host_has_no_notes_about_the_deploy(op: str) -> None:
    """`nginx is reloaded` would not be true."""
    notes = ("nginx is reloaded: idle kept-alive connections may close",)
    run = Run({"a": {op: failed("disk-full")}}, {"a": plan(notes=notes)})
    assert run.of("a").outcome != "deployed"
    assert run.of("a").notes == ()
    assert Run({"a": {}}, {"a": plan(notes=notes)}).of("a").notes == notes


def test_a_host_that_fell_behind_gets_it_once_more() -> None:
    """The others have confirmed: the fleet goes forward."""
    first = Run({"a": {}, "b": {"confirm": lost()}}, look_again=look(status(OLD, "reverted")))
    asked: list[tuple[str, ...]] = []

    def run(scene: Scene) -> Report:
        asked.append(scene.hosts)
        return Run({"b": {}}).report

    after = forward(first.report, SCENE, run)
    assert asked == [("b",)]
    assert {one.host: (one.outcome, one.serves) for one in after.hosts} == {
        "a": ("deployed", NEW),
        "b": ("deployed", NEW),
    }
    assert after.exit_code == Exit.OK


@pytest.mark.parametrize(
    ("scripts", "seen"),
    [
        ({"a": {"switch": failed("unhealthy")}, "b": {}}, None),
        ({"a": {}, "b": {"switch": lost()}}, status(OLD, "reverted")),
        ({"a": {}, "b": {"confirm": lost()}}, lost()),
        ({"a": {}, "b": {"confirm": lost()}}, status("3.0.other", "confirmed")),
        ({"a": {}, "b": {}}, None),
    ],
)
def test_nobody_is_brought_forward_who_is_not_behind(scripts: Any, seen: Any) -> None:
    first = Run(scripts, look_again=look(seen) if seen else None).report

    def never(_scene: Scene) -> Report:
        raise AssertionError("nobody is behind")

    assert forward(first, SCENE, never) is first


def test_a_second_run_that_fails_hides_nothing() -> None:
    first = Run({"a": {}, "b": {"confirm": lost()}}, look_again=look(status(OLD, "reverted")))

    def unreachable(_scene: Scene) -> Report:
        raise lost()

    assert forward(first.report, SCENE, unreachable) is first.report


def seen_by_status(serves: str | None, cut_off: str | None = None, **more: Any) -> Status:
    contents = {"content": serves, "cut_off_content": cut_off}
    return answers.status(**{"release": serves, "cut_off": cut_off, **contents, **more})


@pytest.mark.parametrize(
    ("others", "own", "behind"),
    [
        (seen_by_status(NEW), seen_by_status(OLD, NEW), {"b": NEW}),
        (seen_by_status(NEW), seen_by_status(None, NEW), {"b": NEW}),
        (seen_by_status(NEW), seen_by_status(OLD), {}),
        (seen_by_status(OLD), seen_by_status(OLD, NEW), {}),
        (seen_by_status(None), seen_by_status(None), {}),
        # somebody is at it
        (
            seen_by_status(NEW),
            seen_by_status(OLD, NEW, lock={"owner": "ann", "message": "", "since": "?"}),
            {},
        ),
        (seen_by_status(NEW, pending={"to": NEW}), seen_by_status(OLD, NEW), {}),
        (lost(), seen_by_status(OLD, NEW), {}),
        # made anew on one host
        (seen_by_status(NEW + "_2", content=NEW), seen_by_status(OLD, NEW), {"b": NEW}),
    ],
)
def test_who_was_left_behind(others: Any, own: Any, behind: dict[str, str]) -> None:
    assert left_behind({"a": others, "b": own, "c": lost()}) == behind
