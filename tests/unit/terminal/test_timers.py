"""Timers as rows."""

from __future__ import annotations

from cartwheel.host.wire.marks import Stopped
from cartwheel.host.wire.timer import Run, Timer, Timers, TimerState
from cartwheel.terminal.timers import names, rows

RUNS = (
    Run(2, 1000.0, ended=1003.0, result="failed", detail="exit status 3"),
    Run(1, 400.0, who="ann@desk", ended=401.0, result="done"),
)
STATE = TimerState("cleanup", Timer("0 3 * * *"), True, 2000.0, None, RUNS)


def test_a_timer_has_its_next_run_and_its_last_ones() -> None:
    first, second = rows(Timers((STATE,), None, {}, {}), ())
    assert first[:2] == ("cleanup", "0 3 * * *")
    assert (first[3], first[5:]) == ("2", ("3 s", "failed: exit status 3"))
    assert second[:3] == ("", "", "")
    assert second[-1] == "done, asked for by ann@desk"
    assert [*rows(Timers((STATE,), None, {}, {}), (), most=1)] == [first]


def test_a_timer_that_starts_nothing_says_why() -> None:
    mark = Stopped("ann@desk", "", "2026-11-29 14:30:00")
    paused = TimerState("cleanup", Timer("0 3 * * *"), True, None, mark, ())
    down = TimerState("cleanup", Timer("0 3 * * *"), False, 2000.0, None, ())
    every = (
        Timers((paused,), None, {}, {}),
        Timers((STATE,), mark, {}, {}),
        Timers((down,), None, {}, {}),
    )
    shown = [next(rows(one, ())) for one in every]
    assert [row[2] for row in shown] == ["paused by ann@desk", "stopped", "does not run"]


def test_a_timer_of_another_host_is_listed_unless_that_host_is() -> None:
    other = Timers((), None, {"cleanup": "web1", "mail": "web2", "lost": ""}, {})
    holder = Timers((STATE,), None, {}, {})
    shown = [row[:3] for row in rows(other, names([other, holder]))]
    assert shown == [("mail", "-", "on web2"), ("lost", "-", "not known")]
    assert [row[0] for row in rows(other, names([other]))] == ["cleanup", "mail", "lost"]


def test_the_last_job_of_a_timer_that_has_left_the_host_is_listed() -> None:
    left = Timers((STATE,), None, {}, {"mail": Run(7, 1000.0, release="1.4.0.7f3a1c02")})
    *_, row = rows(left, ())
    assert row[:4] == ("mail", "-", "none, its last run", "7")
    assert row[-1] == "running"
