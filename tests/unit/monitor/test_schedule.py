"""Every target is looked at in its time, and never twice at once."""

from __future__ import annotations

from cartwheel_monitor.schedule import Schedule


def taken(schedule: Schedule[str], now: float) -> list[str]:
    found = []
    while (one := schedule.take(now)) is not None:
        found.append(one)
    return found


def test_targets_are_spread_over_the_first_interval() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set_targets(["a", "b", "c", "d"], 100.0, 20.0)
    assert taken(schedule, 100.0) == ["a"]
    assert taken(schedule, 104.9) == []
    assert taken(schedule, 115.0) == ["b", "c", "d"]


def test_one_that_hangs_is_not_taken_again_and_holds_no_other_up() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set_targets(["hangs", "well"], 0.0, 2.0)
    assert taken(schedule, 1.0) == ["hangs", "well"]
    for now in range(20, 100, 20):
        schedule.done("well", float(now))
        assert taken(schedule, float(now)) == ["well"]
    schedule.done("hangs", 100.0)
    assert taken(schedule, 100.0) == ["hangs"]


def test_the_one_that_waits_longest_is_first() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set_targets(["a", "b"], 0.0, 0.0)
    taken(schedule, 0.0)
    schedule.done("a", 30.0)
    schedule.done("b", 20.0)
    assert taken(schedule, 40.0) == ["b", "a"]


def test_what_is_watched_no_more() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set_targets(["a", "b"], 0.0, 0.0)
    assert schedule.take(0.0) == "a"
    schedule.set_targets(["b", "c"], 1.0, 0.0)
    schedule.done("a", 1.0)
    assert taken(schedule, 5.0) == ["b", "c"]


def test_one_that_comes_back_is_planned_anew() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.set_targets(["a"], 0.0, 0.0)
    schedule.set_targets([], 0.0, 0.0)
    schedule.set_targets(["a"], 10.0, 0.0)
    assert taken(schedule, 5.0) == []
    assert taken(schedule, 10.0) == ["a"]
