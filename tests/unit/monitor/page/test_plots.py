"""Where a plot's points, ticks and marks stand, and what it says in words."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from cartwheel_monitor.page import plots
from cartwheel_monitor.page.plots import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Kind, Line, Mark, Plot

AT = 1_790_000_000 // 86400 * 86400.0
HOUR = 3600.0


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = str(getattr(request, "param", "UTC"))
    monkeypatch.setenv("TZ", name)
    time.tzset()
    yield name
    monkeypatch.undo()
    os.environ.setdefault("TZ", "")
    if not os.environ["TZ"]:
        del os.environ["TZ"]
    time.tzset()


def plot(
    *lines: tuple[float | None, ...],
    kind: Kind = "rate",
    step: float = HOUR,
    since: float = AT,
    marks: tuple[Mark, ...] = (),
) -> Plot:
    times = tuple(since + place * step for place in range(len(lines[0])))
    named = tuple(Line(f"line {number}", one) for number, one in enumerate(lines, 1))
    return Plot("it", "Something", kind, times, step, named, marks)


def test_a_line_has_a_gap_where_nothing_is_known() -> None:
    one = plots.drawn(plot((1.0, 2.0, None, 4.0)))
    assert one.lines[0].path.count("M") == 2
    assert one.lines[0].path.count("L") == 1
    assert one.lines[0].last == "4.00/s"


@pytest.mark.parametrize(
    ("kind", "most", "ticks"),
    [
        ("rate", 87.0, ["0/s", "50/s", "100/s"]),
        ("rate", 0.35, ["0.0/s", "0.1/s", "0.2/s", "0.3/s", "0.4/s"]),
        ("rate", 0.0, ["0.0/s", "0.5/s", "1.0/s"]),
        ("count", 3.0, ["0", "1", "2", "3"]),
        ("share", 0.031, ["0 %", "1 %", "2 %", "3 %", "4 %"]),
        ("share", 1.0, ["0 %", "50 %", "100 %"]),
        ("seconds", 0.083, ["0 ms", "50 ms", "100 ms"]),
        ("seconds", 1.4, ["0 ms", "500 ms", "1 s", "1.5 s"]),
        ("size", 1.3 * (1 << 30), ["0 B", "512 MiB", "1 GiB", "1.5 GiB"]),
    ],
)
def test_values_have_round_ticks(kind: Kind, most: float, ticks: list[str]) -> None:
    found = plots.drawn(plot((most / 2, most), kind=kind)).values
    assert [one.text for one in found] == ticks
    assert found[0].place == HEIGHT - plots.BOTTOM and found[-1].place == TOP


@pytest.mark.parametrize(
    "values",
    [(), (None,), (math.inf, math.nan, None), (-5.0, 1e300), (1e-9,), (5.0,)],
)
@pytest.mark.parametrize("kind", ["rate", "count", "share", "seconds", "size"])
def test_every_number_stays_within_the_plot(kind: Kind, values: tuple[float | None, ...]) -> None:
    one = plots.drawn(plot(values, kind=kind))
    assert 2 <= len(one.values) <= 6
    places = [float(part.split()[1]) for part in one.lines[0].path.replace("h0", "").replace(
        "L", "M").split("M")[1:]]  # fmt: skip
    assert all(TOP - 0.1 <= place <= HEIGHT for place in places)
    assert len(places) == sum(value is not None and math.isfinite(value) for value in values)


@pytest.mark.parametrize(
    ("zone", "hours", "texts"),
    [
        ("UTC", 24, ["09-21", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00",
                     "09-22"]),
        ("Asia/Kolkata", 6, ["06:00", "07:00", "08:00", "09:00", "10:00", "11:00"]),
        ("UTC", 7 * 24, [f"09-{day}" for day in range(21, 29)]),
    ],
    indirect=["zone"],
)  # fmt: skip
def test_the_time_has_round_ticks_of_this_zone(zone: str, hours: int, texts: list[str]) -> None:
    one = plots.drawn(plot((1.0,) * hours))
    assert [tick.text for tick in one.times] == texts
    assert all(LEFT <= tick.place <= WIDTH - RIGHT for tick in one.times)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo"], indirect=True)
@pytest.mark.parametrize("days", [0.25, 1, 7, 60, 365])
def test_ticks_are_in_order_where_the_clock_is_moved(zone: str, days: float) -> None:
    since = 1_792_800_000.0 - days * 43200  # around October 25, 2026
    one = plots.drawn(plot((1.0,) * 100, step=days * 864, since=since))
    places = [tick.place for tick in one.times]
    assert 3 <= len(places) <= 14
    assert all(before < after for before, after in pairwise(places))


def test_marks_outside_of_the_time_are_left_out() -> None:
    marks = (Mark(AT - 1, "before"), Mark(AT + HOUR, "inside", bad=True), Mark(AT + 9e9, "after"))
    one = plots.drawn(plot((1.0, 2.0, 3.0, 4.0), marks=marks))
    assert [(mark.text, mark.bad) for mark in one.marks] == [("inside", True)]
    assert one.data["marks"] == [[AT + HOUR, "inside", True]]


def test_it_says_the_least_the_most_and_the_last(zone: str) -> None:
    one = plots.drawn(plot((0.3, 0.1, 2.0, 0.5, None), (None,) * 5, kind="seconds"))
    assert "line 1: 100 ms to 2.0 s, last 500 ms" in one.label
    assert "line 2: nothing known" in one.label


def test_lines_differ_without_colour() -> None:
    one = plots.drawn(plot(*[(1.0,)] * (plots.STYLES + 1)))
    assert [line.style for line in one.lines] == [1, 2, 3, 4, 1]


def test_the_table_is_bounded_and_newest_first(zone: str) -> None:
    one = plots.drawn(plot(tuple(map(float, range(360))), step=60.0, kind="count"))
    assert len(one.table.rows) == plots.MOST_ROWS
    assert one.table.rows[0] == ("2026-09-21 05:59 to 06:00", "359")
    assert one.table.caption == "each 6 minutes"
