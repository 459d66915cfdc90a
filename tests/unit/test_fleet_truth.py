"""Hosts that were lost are asked again; stale plans are made anew under the lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from cartwheel.errors import Exit
from cartwheel.fleet.sessions import Result
from tests.unit.test_fleet_deploy import NEW, OLD, Run, failed, lost, plan


def look(answer: Result[dict[str, Any]]) -> Any:
    def again(hosts: Iterable[str]) -> Mapping[str, Result[dict[str, Any]]]:
        return dict.fromkeys(hosts, answer)

    return again


def status(serves: str | None, result: str, *, seq: int = 9, **more: Any) -> dict[str, Any]:
    last = {"seq": seq, "release": NEW, "result": result}
    return {"release": serves, "pending": None, "last": last, **more}


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
    op: str, seen: Result[dict[str, Any]], outcome: str, serves: str, code: Exit
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
    def never(_hosts: Iterable[str]) -> Mapping[str, Result[dict[str, Any]]]:
        raise AssertionError("nobody was lost")

    Run({"a": {}, "b": {"switch": failed("unhealthy")}}, look_again=never)
    Run({"a": {"install": lost()}}, look_again=never)


def test_a_plan_that_somebody_overtook_is_made_anew_under_the_lock() -> None:
    """Two deploys of the same content: the second one finds that it serves already."""
    same = plan(unchanged=True, current=NEW, fresh=False, premise="now")
    run = Run(
        {"a": {"lock": {"settled": [], "premise": "now"}}},
        {"a": plan(premise="before")},
        replan=lambda: {"a": same},
    )
    assert run.table == {"a": ("unchanged", NEW)}
    assert [op for _host, op in run.log] == ["lock", "unchanged"]


def test_a_plan_that_still_holds_is_kept() -> None:
    def never() -> Mapping[str, Any]:
        raise AssertionError("nothing has changed")

    run = Run(
        {"a": {"lock": {"settled": [], "premise": "now"}}},
        {"a": plan(premise="now")},
        replan=never,
    )
    assert run.table == {"a": ("deployed", NEW)}


def test_a_host_out_of_reach_is_said_to_go_back_by_itself() -> None:
    run = Run({"a": {}, "b": {"switch": lost()}}, look_again=look(lost()))
    (note,) = run.of("b").notes
    assert note.startswith(f"b is out of reach: unless {NEW} was confirmed there, it goes back to")
    assert f"{OLD} by itself" in note
    assert run.of("a").notes == ()
