"""Series of numbers as a plot: where its points, ticks and marks stand, and its texts.

Nothing here is HTML: templates/plots.html makes an SVG and a table of it, and static/plots.js a
plot that one can point at, from `Drawn.data`. Nothing here does I/O, or knows where numbers are
from; a view makes a `Plot`, and shows `plots.figure(drawn(plot))`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Union

from cartwheel_monitor import language
from cartwheel_monitor.language import _, _n
from cartwheel_monitor.page import words

Kind = Literal["rate", "count", "share", "seconds", "size"]
Value = Union[float, None]
Json = Union[str, float, bool, None, "list[Json]", "dict[str, Json]"]

WIDTH, HEIGHT = 480.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 12.0, 12.0, 26.0
STYLES = 4
"""Lines that can be told apart, with and without colour: classes line-1 and so on."""
MOST_ROWS = 60
_MOST_STEPS = 4
_MOST_TIMES = 8
_LEAST_TOP = {"rate": 1.0, "count": 1.0, "share": 0.01, "seconds": 0.01, "size": float(1 << 20)}
_LEAST_STEP = {"rate": 1e-6, "count": 1.0, "share": 1e-6, "seconds": 0.001, "size": 1.0}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
# Between two ticks of the time axis.
_WITHIN_DAY = tuple(minutes * _MINUTE for minutes in (5, 10, 15, 30, 60, 120, 180, 360, 720))
_OF_DAYS = (1, 2, 7, 14, 28, 91, 182, 364)


@dataclass(frozen=True)
class Line:
    """A series; None where nothing is known."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Mark:
    """Something that happened, such as a deploy. `bad`: it failed."""

    at: float
    text: str
    bad: bool = False


@dataclass(frozen=True)
class Plot:
    """Lines over the same time. `name`: short, of its own on its page, for addresses inside it.
    `times`: when each span of `step` seconds began that a value stands for."""

    name: str
    title: str
    kind: Kind
    times: tuple[float, ...]
    step: float
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Tick:
    """`place`: in the SVG's units. `minor`: left out where there is little room."""

    place: float
    text: str
    minor: bool = False


@dataclass(frozen=True)
class DrawnLine:
    """`path`: the SVG's `d`. `style`: 1 to STYLES. `last`: the last value that is known."""

    name: str
    path: str
    style: int
    last: str


@dataclass(frozen=True)
class DrawnMark:
    place: float
    text: str
    bad: bool


@dataclass(frozen=True)
class Table:
    """The numbers, newest first, at most MOST_ROWS; `caption` says how often."""

    caption: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Drawn:
    """What the template needs; `label` says the plot in words."""

    name: str
    title: str
    label: str
    times: tuple[Tick, ...]
    values: tuple[Tick, ...]
    lines: tuple[DrawnLine, ...]
    marks: tuple[DrawnMark, ...]
    table: Table
    data: dict[str, Json]


def drawn(plot: Plot) -> Drawn:
    """The plot, laid out."""
    lines = tuple(Line(one.name, tuple(map(_fitting, one.values))) for one in plot.lines)
    since = plot.times[0] if plot.times else 0.0
    until = plot.times[-1] + plot.step if plot.times else plot.step
    step = _round_step(plot.kind, max(_known(lines), default=0.0))
    top = _top(plot.kind, lines, step)
    middles = [at + plot.step / 2 for at in plot.times]
    values = [place * step for place in range(round(top / step) + 1)]
    marks = [one for one in plot.marks if since <= one.at <= until]
    times = list(_time_ticks(since, until))
    across = [_across(at, since, until) for at in middles]
    return Drawn(
        plot.name,
        plot.title,
        _label(plot, lines),
        tuple(Tick(_across(at, since, until), text, bool(minor)) for at, text, minor in times),
        tuple(Tick(_up(value, top), _tick(plot.kind, value, step)) for value in values),
        tuple(
            DrawnLine(one.name, _path(across, one.values, top), number % STYLES + 1,
                      text(plot.kind, _last(one.values)))
            for number, one in enumerate(lines)
        ),
        tuple(DrawnMark(_across(one.at, since, until), one.text, one.bad) for one in marks),
        _table(plot, lines),
        {
            "since": since,
            "until": until,
            "top": top,
            "x": list(middles),
            "at": list(_parts_of_time(plot.times, plot.step, time.tzname, language.chosen())),
            "lines": [
                {
                    "values": [None if one is None else float(f"{one:.5g}") for one in line.values],
                    "texts": [text(plot.kind, one) for one in line.values],
                }
                for line in lines
            ],
            "times": [[at, found, minor] for at, found, minor in times],
            "values": [[value, _tick(plot.kind, value, step)] for value in values],
            "marks": [[one.at, one.text, one.bad] for one in marks],
        },
    )  # fmt: skip


def text(kind: Kind, value: Value) -> str:
    """A value for people."""
    if value is None:
        return words.NOTHING
    return {
        "rate": words.rate,
        "count": lambda one: words.number(one, 0),
        "share": words.percent,
        "seconds": words.seconds,
        "size": words.size,
    }[kind](value)


def _fitting(value: Value) -> Value:
    """What a host says may be no number that can be drawn."""
    return max(0.0, value) if value is not None and math.isfinite(value) else None


def _known(lines: Sequence[Line]) -> Iterator[float]:
    for line in lines:
        yield from (one for one in line.values if one is not None)


def _last(values: Sequence[Value]) -> Value:
    return next((one for one in reversed(values) if one is not None), None)


@lru_cache(maxsize=8)
def _parts_of_time(
    times: tuple[float, ...], step: float, _zone: tuple[str, str], _language: str
) -> tuple[str, ...]:
    """They are the same for all plots of a view."""
    return tuple(words.part_of_time(at, step) for at in times)


# Axes


def _round_step(kind: Kind, most: float) -> float:
    """Between two ticks, so that there are few: 1, 2 or 5 of a power of ten; of sizes a power of
    two."""
    wanted = max((most or _LEAST_TOP[kind]) / _MOST_STEPS, _LEAST_STEP[kind])
    if kind == "size":
        return float(2.0 ** math.ceil(math.log2(wanted)))
    power = 10.0 ** math.floor(math.log10(wanted))
    return next((power * one for one in (1, 2, 5) if power * one >= wanted * 0.999), power * 10)


def _top(kind: Kind, lines: Sequence[Line], step: float) -> float:
    most = max(_known(lines), default=0.0) or _LEAST_TOP[kind]
    return step * max(1, math.ceil(most / step * 0.999))


def _tick(kind: Kind, value: float, step: float) -> str:
    """As few digits as the ticks need to differ."""
    if kind == "rate":
        return words.rate(value, _digits(step))
    if kind == "share":
        return words.percent(value, _digits(step * 100))
    return text(kind, value).replace(".0 ", " ")


def _digits(step: float) -> int:
    return max(0, -math.floor(math.log10(step * 1.001)))


def _time_ticks(since: float, until: float) -> Iterator[tuple[float, str, bool]]:
    """(time, text, minor) at round times of this machine's zone."""
    wanted = (until - since) / _MOST_TIMES
    within = next((one for one in _WITHIN_DAY if one >= wanted), None)
    if within is not None:
        found = sorted({one for day in _midnights(since, until) for one in _within(day, within)})
        texts = [words.clock(one) if one != _midnight(one) else words.date(one) for one in found]
        numbers = [round((one - _midnight(one)) / within) for one in found]
    else:
        days = next((one for one in _OF_DAYS if one * _DAY >= wanted), _OF_DAYS[-1])
        found = [one for one in _midnights(since, until) if _ordinal(one) % days == 0]
        texts = [words.date(one) for one in found]
        numbers = [_ordinal(one) // days for one in found]
    for at, shown, number in zip(found, texts, numbers):
        if since <= at <= until:
            yield at, shown, number % 2 == 1


def _midnights(since: float, until: float) -> Iterator[float]:
    day = _midnight(since)
    while day <= until:
        yield day
        day = _midnight(day + 36 * _HOUR)  # also where a day has 23 or 25 hours


def _midnight(at: float) -> float:
    there = time.localtime(at)
    return time.mktime((there.tm_year, there.tm_mon, there.tm_mday, 0, 0, 0, 0, 0, -1))


def _within(day: float, seconds: int) -> Iterator[float]:
    there = time.localtime(day)
    for number in range(_DAY // seconds):
        hours, left = divmod(number * seconds, _HOUR)
        yield time.mktime(
            (there.tm_year, there.tm_mon, there.tm_mday, hours, left // _MINUTE, 0, 0, 0, -1)
        )


def _ordinal(midnight: float) -> int:
    """The number of a day, by the calendar of this machine's zone."""
    return (int(midnight) + time.localtime(midnight).tm_gmtoff) // _DAY


def _across(at: float, since: float, until: float) -> float:
    return round(LEFT + (at - since) / (until - since) * (WIDTH - LEFT - RIGHT), 1)


def _up(value: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)


def _path(across: Sequence[float], values: Sequence[Value], top: float) -> str:
    """With a gap where nothing is known; a point alone becomes a dot (round ends in page.css)."""
    parts: list[str] = []
    is_open = False
    for place, value in zip(across, values):
        if value is None:
            is_open = False
            continue
        parts.append(f"{'L' if is_open else 'M'}{place:g} {_up(value, top):g}")
        if not is_open:
            parts.append("h0")
        is_open = True
    return "".join(parts)


# In words, and in numbers


def _label(plot: Plot, lines: Sequence[Line]) -> str:
    told = []
    for one in lines:
        known = [value for value in one.values if value is not None]
        if not known:
            told.append(_("{name}: nothing known").format(name=one.name))
            continue
        least, most, last = (text(plot.kind, each) for each in (min(known), max(known), known[-1]))
        told.append(
            _("{name}: {least} to {most}, last {last}").format(
                name=one.name, least=least, most=most, last=last
            )
        )
    return _("{title}. {lines}").format(title=plot.title, lines=_("; ").join(told))


def _table(plot: Plot, lines: Sequence[Line]) -> Table:
    every = max(1, math.ceil(len(plot.times) / MOST_ROWS))
    places = range(len(plot.times) - 1, -1, -every)
    seconds = every * plot.step
    hours = seconds / _HOUR
    caption = (
        _n("each {count} minute", "each {count} minutes", round(seconds / _MINUTE))
        if hours < 1
        else _n("each {count} hour", "each {count} hours", round(hours))
    )
    rows = [
        (
            words.part_of_time(plot.times[place], plot.step),
            *(text(plot.kind, one.values[place]) for one in lines),
        )
        for place in places
    ]
    return Table(caption, tuple(one.name for one in lines), tuple(rows))
