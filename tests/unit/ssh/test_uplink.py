"""Turns of uploads, and how much of the line they take together."""

from __future__ import annotations

import pytest

from cartwheel.ssh.uplink import Turn, Uplink


def entered(uplink: Uplink, count: int) -> list[Turn]:
    return [uplink.turn().__enter__() for _ in range(count)]


def come(turns: list[Turn]) -> list[bool]:
    return [turn.wait(0) for turn in turns]


def test_so_many_at_once_and_the_others_in_order() -> None:
    turns = entered(Uplink(2), 4)
    assert come(turns) == [True, True, False, False]
    turns[1].__exit__()
    assert come(turns[2:]) == [True, False]
    turns[0].__exit__()
    assert come(turns[2:]) == [True, True]


def test_who_gives_up_waiting_is_passed_over() -> None:
    turns = entered(Uplink(1), 3)
    turns[1].__exit__()
    turns[0].__exit__()
    assert come(turns) == [True, False, True]


def test_what_fails_gives_its_turn_back() -> None:
    uplink = Uplink(1)
    with pytest.raises(RuntimeError), uplink.turn():
        raise RuntimeError
    assert come(entered(uplink, 1)) == [True]


def test_who_is_woken_waits_for_nothing() -> None:
    [_first, second] = entered(Uplink(1), 2)
    second.wake()
    assert not second.wait(60)
    second.pause(60)


def test_all_together_take_no_more_than_the_rate() -> None:
    now = 100.0
    uplink = Uplink(8, 1000, clock=lambda: now)
    assert [uplink.reserve(500) for _ in range(4)] == [0, 0.5, 1, 1.5]
    now = 101.0
    assert uplink.reserve(500) == 1.0
    now = 200.0
    assert uplink.reserve(10) == 0, "what was not used is not saved up"
    assert uplink.reserve(10) == pytest.approx(0.01)


def test_without_a_rate_nobody_waits() -> None:
    assert [Uplink(1).reserve(1 << 30) for _ in range(3)] == [0, 0, 0]
