"""How something was on each of the last days: for the bars. Days are UTC's, as in the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

DAY = 86400
DAYS = 90
# Of a day's looks. One bad look of 4320 is no trouble; a tenth of a day is.
_SOME = 0.001
_MUCH = 0.02

State = Literal["unknown", "well", "some", "bad"]


@dataclass(frozen=True)
class Day:
    """`at`: its begin, in seconds since the epoch. `share`: of the looks, those that were bad; None
    where there were none."""

    at: int
    share: float | None

    @property
    def state(self) -> State:
        if self.share is None:
            return "unknown"
        return "well" if self.share < _SOME else "some" if self.share < _MUCH else "bad"


@dataclass(frozen=True)
class Bar:
    """The days of something, oldest first. `share`: of all looks, the good ones."""

    days: tuple[Day, ...]
    share: float | None


def bars(
    db: sqlite3.Connection, subjects: Sequence[tuple[str, str, str]], now: float
) -> dict[tuple[str, str, str], Bar]:
    """Of each subject (app, host, about). Raises sqlite3.Error."""
    first = _first(now)
    found: dict[tuple[str, str, str], Bar] = {}
    for subject in subjects:
        rows = db.execute(
            "SELECT days.at, looks, bad FROM days JOIN subjects ON subjects.id = days.subject"
            " WHERE app = ? AND host = ? AND about = ? AND days.at >= ?",
            (*subject, first),
        )
        known = {int(at): (looks or 0, bad or 0) for at, looks, bad in rows}
        found[subject] = _bar(known, first)
    return found


def unknown(now: float) -> Bar:
    """Of what nobody has looked at."""
    return _bar({}, _first(now))


def _first(now: float) -> int:
    return int(now) // DAY * DAY - (DAYS - 1) * DAY


def _bar(known: dict[int, tuple[int, int]], first: int) -> Bar:
    days = []
    for at in range(first, first + DAYS * DAY, DAY):
        looks, bad = known.get(at, (0, 0))
        days.append(Day(at, bad / looks if looks else None))
    looks, bad = (sum(each) for each in zip(*known.values())) if known else (0, 0)
    return Bar(tuple(days), 1 - bad / looks if looks else None)
