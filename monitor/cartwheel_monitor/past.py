"""What the store knows of other days: for the rules (observations.History), and for the page.

The rules never wait for a disk: what is asked for the first time is unknown until a thread has read
it. Readers do not hold the writer up (WAL).
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cartwheel_monitor import database, schema
from cartwheel_monitor.observations import Usual
from cartwheel_monitor.recent import TRAIL_SECONDS
from cartwheel_monitor.rules.slow import p95

_HOUR = 3600.0
_DAY = 24 * _HOUR
DAYS = 7
# A span with fewer requests says nothing about what is usual.
LEAST_REQUESTS = 50
# Of the share a quarter of a day must be known, of this hour three days.
LEAST_HOURS = 6
_LEAST_DAYS = 3
PART_SECONDS = 600.0
_QUERY_SECONDS = 10.0
_STEPS = 10_000

Key = tuple[str, str, int]


@dataclass(frozen=True)
class Span:
    """The requests of a span of time; `times` as in observations.Traffic."""

    at: float
    count: int
    failed: int
    times: tuple[int, ...]


class Past:
    """`start` before the first look; then `usual` and `disk` answer at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._usual: dict[tuple[str, str], tuple[int, Usual]] = {}
        self._disks: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self._asked: deque[Key] = deque()
        self._news = threading.Condition()
        self._is_ending = False
        self._thread = threading.Thread(target=self._read, name="past", daemon=True)

    def start(self, now: float) -> None:
        """Read what was free on the disks, and begin to read what is asked."""
        try:
            with reading(self._path) as db:
                self._disks = _disks(db, now)
        except (OSError, sqlite3.Error):
            self._disks = {}  # the disks' last days are learned anew
        self._thread.start()

    def stop(self) -> None:
        with self._news:
            self._is_ending = True
            self._news.notify_all()

    def usual(self, app: str, host: str, at: float) -> Usual:
        """Of this hour; the last known one until that is read."""
        hour = int(at // _HOUR)
        with self._news:
            known = self._usual.get((app, host))
            if known is None or known[0] != hour:
                key = (app, host, hour)
                if key not in self._asked:
                    self._asked.append(key)
                    self._news.notify_all()
            return known[1] if known else Usual()

    def disk(self, host: str, path: str, until: float) -> tuple[tuple[float, float], ...]:
        """As it was at the start."""
        return tuple(one for one in self._disks.get((host, path), ()) if one[0] <= until)

    def _read(self) -> None:
        while True:
            with self._news:
                while not self._asked and not self._is_ending:
                    self._news.wait(_HOUR)
                if self._is_ending:
                    return
                asked = self._asked[0]
            app, host, hour = asked
            try:
                with reading(self._path) as db:
                    found = usual_of(db, app, host, hour * _HOUR)
            except Exception:
                # As in the hour before; it is asked again in the next. Whatever it was, this
                # thread is the only one that reads.
                found = self._usual.get((app, host), (0, Usual()))[1]
            with self._news:
                self._asked.popleft()
                self._usual[app, host] = (hour, found)


@contextmanager
def reading(
    path: Path, seconds: float = _QUERY_SECONDS, *, busy_seconds: float = database.BUSY_SECONDS
) -> Iterator[sqlite3.Connection]:
    """A connection that only reads; no question to it takes longer than that."""
    with closing(database.connect_reading(path, busy_seconds)) as db:
        end = time.monotonic() + seconds
        db.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
        yield db


def usual_of(db: sqlite3.Connection, app: str, host: str, at: float) -> Usual:
    """What was usual in the days before `at`; of a host that is new, what is usual for the app."""
    hours = _spans(db, app, host, "hours", _HOUR, [(at - DAYS * _DAY, at // _HOUR * _HOUR)])
    if host and len(hours) < LEAST_HOURS:
        return usual_of(db, app, "", at)
    same = [
        (began, began + _HOUR)
        for day in range(1, DAYS + 1)
        for began in [at // _HOUR * _HOUR - day * _DAY]
    ]
    return usual_from(hours, _spans(db, app, host, "minutes", PART_SECONDS, same), at)


def usual_from(hours: Iterable[Span], parts: Iterable[Span], at: float) -> Usual:
    """By the hours of the days before, and by the parts of this hour on those days.

    Of each day the slowest part counts: a report that makes ten minutes slow each night is usual.
    """
    shares = [one.failed / one.count for one in hours if one.count >= LEAST_REQUESTS]
    slowest: dict[int, float] = {}
    for one in parts:
        found = p95(one.times)
        if found is not None and one.count >= LEAST_REQUESTS:
            day = int((one.at - at // _HOUR * _HOUR) // _DAY)
            slowest[day] = max(found, slowest.get(day, 0.0))
    return Usual(
        statistics.median(shares) if len(shares) >= LEAST_HOURS else None,
        statistics.median(slowest.values()) if len(slowest) >= _LEAST_DAYS else None,
    )


def _spans(
    db: sqlite3.Connection,
    app: str,
    host: str,
    table: str,
    seconds: float,
    when: Iterable[tuple[float, float]],
) -> list[Span]:
    """The requests in spans of so many seconds, within these times; those that had enough."""
    sums = ", ".join(f"total({name})" for name in ("requests", "failed", *schema.TIMES))
    which = "host = ?2" if host else "host <> ?2"
    found: list[Span] = []
    for since, until in when:
        rows = db.execute(
            f"SELECT min({table}.at), {sums} FROM {table}"  # noqa: S608 - our names
            f" JOIN subjects ON subjects.id = {table}.subject"
            f" WHERE app = ?1 AND {which} AND {table}.at >= ?3 AND {table}.at < ?4"
            f" GROUP BY {table}.at / {int(seconds)}",
            (app, host, since, until),
        )
        found += [
            Span(float(row[0]), int(row[1]), int(row[2]), tuple(int(one) for one in row[3:]))
            for row in rows
        ]
    return [one for one in found if one.count >= LEAST_REQUESTS]


def _disks(db: sqlite3.Connection, now: float) -> dict[tuple[str, str], list[tuple[float, float]]]:
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for table, since, until in (
        ("hours", now - TRAIL_SECONDS, now - _DAY),
        ("minutes", now - _DAY, now),
    ):
        rows = db.execute(
            f"SELECT host, about, {table}.at, free FROM {table}"  # noqa: S608 - our names
            f" JOIN subjects ON subjects.id = {table}.subject"
            f" WHERE app = '' AND about <> '' AND free IS NOT NULL"
            f" AND {table}.at >= ? AND {table}.at < ? ORDER BY {table}.at",
            (since, until),
        )
        for host, path, at, free in rows:
            found.setdefault((host, path), []).append((float(at), float(free)))
    return found


# For the page


def series(
    path: Path,
    subject: tuple[str, str, str],
    columns: Sequence[str],
    *,
    since: float,
    until: float,
    table: str = "minutes",
) -> list[tuple[float | None, ...]]:
    """(time, columns...) of a subject (app, host, about), oldest first. Raises sqlite3.Error."""
    if table not in schema.LEVELS or not set(columns) <= set(schema.COLUMNS):
        raise ValueError("no such table or column")
    names = ", ".join((f"{table}.at", *columns))
    with reading(path) as db:
        rows = db.execute(
            f"SELECT {names} FROM {table} JOIN subjects ON subjects.id = {table}.subject"  # noqa: S608 - checked above
            f" WHERE app = ? AND host = ? AND about = ? AND {table}.at >= ? AND {table}.at < ?"
            f" ORDER BY {table}.at",
            (*subject, since, until),
        )
        return [tuple(row) for row in rows]


def kept(path: Path) -> Mapping[str, str]:
    """All texts that were `put`. Raises sqlite3.Error."""
    with reading(path) as db:
        return kept_in(db)


def kept_in(db: sqlite3.Connection) -> dict[str, str]:
    return dict(db.execute("SELECT key, data FROM kept").fetchall())


def telling(path: Path, number: int) -> list[dict[str, str | float]]:
    """Who was told of an incident, what, and when; `problem`: why somebody was not. Raises
    sqlite3.Error."""
    with reading(path) as db:
        return telling_in(db, number)


def telling_in(db: sqlite3.Connection, number: int) -> list[dict[str, str | float]]:
    rows = db.execute(
        "SELECT news.at, news.data, messenger, done, problem FROM news"
        " JOIN deliveries ON deliveries.news = news.id WHERE number = ? ORDER BY news.at",
        (number,),
    )
    return [
        {
            "at": done or at,
            "news": str(json.loads(data).get("title", "")),
            "messenger": messenger,
            "problem": problem,
        }
        for at, data, messenger, done, problem in rows
    ]


def incident(path: Path, number: int) -> str | None:
    """One incident as JSON, None where there is none. Raises sqlite3.Error."""
    with reading(path) as db:
        asked = "SELECT data FROM incidents WHERE number = ?"
        row = db.execute(asked, (number,)).fetchone()
        return None if row is None else str(row[0])


def incidents(path: Path, most: int) -> list[str]:
    """The last incidents as JSON (records.of_incident), newest first. Raises sqlite3.Error."""
    with reading(path) as db:
        asked = "SELECT data FROM incidents ORDER BY number DESC LIMIT ?"
        return [str(row[0]) for row in db.execute(asked, (most,))]
