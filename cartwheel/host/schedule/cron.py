"""A schedule of cron: minute, hour, day of the month, month, day of the week (crontab(5)).

What some crons understand and others take for something else is refused with a remedy.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date
from typing import Dict, FrozenSet, List, Mapping, Optional, Set, Tuple

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_ITEM = re.compile(r"(\*|[0-9]+|[a-z]+)(?:-([0-9]+|[a-z]+))?(?:/([0-9]+))?")
_LEAP_YEAR = 2000
_DAYS_A_WEEK = 7


@dataclass(frozen=True)
class _Field:
    title: str
    low: int
    high: int
    names: Mapping[str, int]


_NO_NAMES: Dict[str, int] = {}
_FIELDS = (
    _Field("minute", 0, 59, _NO_NAMES),
    _Field("hour", 0, 23, _NO_NAMES),
    _Field("day of the month", 1, 31, _NO_NAMES),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of the week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)


@dataclass(frozen=True)
class Schedule:
    """The minutes, hours, days and so on that fit; Sunday is 0. `either`: a day fits if its date or
    its weekday does; otherwise both must."""

    minutes: FrozenSet[int]
    hours: FrozenSet[int]
    days: FrozenSet[int]
    months: FrozenSet[int]
    weekdays: FrozenSet[int]
    either: bool

    @property
    def every_hour(self) -> bool:
        """Whether it counts the minutes that pass, and not the times of a day."""
        return len(self.hours) == 24

    def is_on(self, day: date) -> bool:
        """Whether a day fits."""
        by_date = day.day in self.days
        by_weekday = day.isoweekday() % _DAYS_A_WEEK in self.weekdays
        fits = by_date or by_weekday if self.either else by_date and by_weekday
        return fits and day.month in self.months


def parse(text: str) -> Schedule:
    """The schedule. Raises ValueError with reason and remedy, also for one that never comes."""
    words = _nickname(text.strip()).split()
    if len(words) != len(_FIELDS):
        titles = ", ".join(field.title for field in _FIELDS)
        raise ValueError(f"has {len(words)} fields instead of five: {titles}")
    sets = [_numbers(field, word) for field, word in zip(_FIELDS, words)]
    minutes, hours, days, months, weekdays = map(frozenset, sets)
    found = Schedule(
        minutes,
        hours,
        days,
        months,
        frozenset(number % _DAYS_A_WEEK for number in weekdays),
        either=not words[2].startswith("*") and not words[4].startswith("*"),
    )
    _refuse_never(found)
    return found


def _nickname(text: str) -> str:
    if not text.startswith("@"):
        return text
    if text == "@reboot":
        raise ValueError("@reboot is no time: what starts with the host is a process")
    if text.lower() not in _NICKNAMES:
        raise ValueError(f"{text} is unknown; known: {', '.join(_NICKNAMES)}")
    return _NICKNAMES[text.lower()]


def _numbers(field: _Field, word: str) -> Set[int]:
    try:
        return {number for item in word.split(",") for number in _item(field, item)}
    except ValueError as error:
        raise ValueError(f"{field.title} `{word}`: {error}") from None


def _item(field: _Field, item: str) -> List[int]:
    found = _ITEM.fullmatch(item.lower())
    if found is None or (found.group(1) == "*" and found.group(2)):
        hint = "write `*`" if item == "?" else "expected `*`, numbers, ranges, lists and steps"
        raise ValueError(hint)
    first, last, step = found.groups()
    if step is not None and first != "*" and last is None:
        raise ValueError(f"write `{first}-{_last(field)}/{step}` or `{first}`")
    low, high = _ends(field, first, last)
    if step is None:
        return list(range(low, high + 1))
    size = _last(field) - field.low
    if not 1 <= int(step) <= size:
        raise ValueError(f"a step is between 1 and {size}: cron counts from {field.low} again")
    return list(range(low, high + 1, int(step)))


def _last(field: _Field) -> int:
    """The last of `*`; Sunday, which is 7 too, counts once."""
    return _DAYS_A_WEEK - 1 if field.high == _DAYS_A_WEEK else field.high


def _ends(field: _Field, first: str, last: Optional[str]) -> Tuple[int, int]:
    if first == "*":
        return field.low, _last(field)
    low = _number(field, first)
    if last is None:
        return low, low
    high = _number(field, last)
    if last == "sun":
        high = _DAYS_A_WEEK
    if high < low:
        raise ValueError(f"{first}-{last} goes backwards; write two ranges with a comma")
    return low, high


def _number(field: _Field, text: str) -> int:
    if text.isdigit() and field.low <= int(text) <= field.high:
        return int(text)
    if text in field.names:
        return field.names[text]
    known = f", or {', '.join(field.names)}" if field.names else ""
    raise ValueError(f"{text} is not one of {field.low} to {field.high}{known}")


def _refuse_never(found: Schedule) -> None:
    """A day that fits by its date in some month, or any day that fits by its weekday."""
    lengths = [calendar.monthrange(_LEAP_YEAR, month)[1] for month in found.months]
    if not found.either and min(found.days) > max(lengths):
        raise ValueError("never comes: no such month has such a day")
