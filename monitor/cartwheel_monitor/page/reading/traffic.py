"""The requests of an application over a span of time, its memory, and what its sites took to
answer: for plots. The rows of the store are put together in SQL, to at most 360 points.

Each point is a query of its own, without a sort: with 50 hosts a day of minutes, or 60 days of
hours, take some 60 ms; `GROUP BY` takes twice that.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Union

from cartwheel_monitor import schema
from cartwheel_monitor.page.reading.projects import Project
from cartwheel_monitor.rules.slow import quantile

_HOUR, _DAY = 3600, 86400
CURRENT_SECONDS = 300
"""What the current numbers are of."""
_RUN_SECONDS = 3600.0
"""Entries about a release that are nearer to each other are of one run over several hosts."""
_MOST_SITES = 4
MOST_DONE = 100
_MOST_ENTRIES = 6_000
Value = Union[float, None]


@dataclass(frozen=True)
class Span:
    """How far back: `seconds`, in points of `step` seconds out of `table`."""

    table: str
    seconds: int
    step: int


SPANS = {
    "6h": Span("minutes", 6 * _HOUR, 60),
    "24h": Span("minutes", _DAY, 300),
    "7d": Span("hours", 7 * _DAY, _HOUR),
    "60d": Span("hours", 60 * _DAY, 6 * _HOUR),
}


@dataclass(frozen=True)
class Point:
    """`requests`: a second, over the hosts. `failed`: how many had 5xx, and their `share`. `memory`
    in bytes, over the hosts. None where nothing is known."""

    requests: Value = None
    failed: Value = None
    share: Value = None
    p50: Value = None
    p95: Value = None
    memory: Value = None


@dataclass(frozen=True)
class Site:
    """What a site took to answer: on average, and at most."""

    url: str
    usual: tuple[Value, ...]
    longest: tuple[Value, ...]


@dataclass(frozen=True)
class Done:
    """A deploy or rollback of a release, on all its hosts together; `at`: when the first was done.
    `results`: on how many hosts it was confirmed, failed or reverted."""

    at: float
    kind: str
    release: str
    who: str
    results: tuple[tuple[str, int], ...]

    @property
    def is_bad(self) -> bool:
        return any(result != "confirmed" for result, _count in self.results)


@dataclass(frozen=True)
class Traffic:
    """`times`: when each point's time begins. `current`: of the last minutes. `trouble`: why
    something of it cannot be read."""

    times: tuple[float, ...]
    step: int
    points: tuple[Point, ...] = ()
    current: Point = Point()
    sites: tuple[Site, ...] = ()
    done: tuple[Done, ...] = ()
    trouble: str = ""


def read(project: Project, span: Span, now: float, host: str = "") -> Traffic:
    """Of a host, or of all together: "". What cannot be read is unknown."""
    until = (int(now) // span.step + 1) * span.step
    times = tuple(float(at) for at in range(until - span.seconds, until, span.step))
    nothing = tuple(Site(one.url, (None,) * len(times), (None,) * len(times))
                    for one in project.listed.sites[:_MOST_SITES])  # fmt: skip
    found = Traffic(times, span.step, (Point(),) * len(times), sites=nothing)
    if not project.store.exists():
        return found
    try:
        with project.reading() as db:
            subjects = _subjects(db, project.name, host)
            since = int(now) // 60 * 60 - CURRENT_SECONDS
            found = replace(
                found,
                points=tuple(_points(db, subjects, span.table, span.step, times)),
                current=_points(db, subjects, "minutes", 2 * CURRENT_SECONDS, [since])[0],
                sites=tuple(_site(db, project.name, one.url, span, times) for one in nothing),
            )
            return replace(found, done=tuple(_done(db, project.name, host, times[0], until)))
    except (OSError, sqlite3.Error) as error:
        return replace(found, trouble=str(error))


def _subjects(db: sqlite3.Connection, app: str, host: str) -> list[int]:
    rows = db.execute(
        "SELECT id FROM subjects WHERE app = ?1 AND about = '' AND host <> ''"
        " AND (?2 = '' OR host = ?2)",
        (app, host),
    )
    return [int(row[0]) for row in rows]


def _points(
    db: sqlite3.Connection,
    subjects: Sequence[int],
    table: str,
    step: int,
    times: Sequence[float],
) -> list[Point]:
    sums = ", ".join(f"total({name})" for name in ("seconds", "requests", "failed", *schema.TIMES))
    asked = (
        "SELECT count(DISTINCT iif(seconds > 0, subject, NULL)), avg(memory_used),"  # noqa: S608 - our names and numbers
        f" count(DISTINCT iif(memory_used >= 0, subject, NULL)), {sums} FROM {table}"
        f" WHERE subject IN ({', '.join(map(str, subjects))}) AND at >= ? AND at < ?"
    )
    return [_point(*db.execute(asked, (at, at + step)).fetchone()) for at in times]


def _point(
    hosts: int, memory: Value, of_memory: int, seconds: float, requests: float, failed: float,
    *times: float,
) -> Point:  # fmt: skip
    """The sum over all hosts that were seen; a host with fewer looks counts as the others."""
    return Point(
        requests / seconds * hosts if seconds > 0 else None,
        failed if seconds > 0 else None,
        failed / requests if requests > 0 else None,
        quantile(times, 0.5),
        quantile(times, 0.95),
        memory * of_memory if memory is not None else None,
    )


def _site(db: sqlite3.Connection, app: str, url: str, span: Span, times: Sequence[float]) -> Site:
    rows = db.execute(
        f"SELECT at / {span.step} * {span.step}, total(probe_seconds) / sum(looks),"  # noqa: S608 - our names and numbers
        f" max(probe_longest) FROM {span.table} WHERE at >= ? AND at < ? AND subject ="
        " (SELECT id FROM subjects WHERE app = ? AND host = '' AND about = ?) GROUP BY 1",
        (times[0], times[-1] + span.step, app, url),
    )
    known: dict[float, tuple[Value, Value]] = {float(at): (one, most) for at, one, most in rows}
    found = [known.get(at, (None, None)) for at in times]
    return Site(url, tuple(one for one, _most in found), tuple(most for _one, most in found))


def _done(db: sqlite3.Connection, app: str, host: str, since: float, until: float) -> list[Done]:
    """One for each run, oldest first; the last of many. A migration that failed ends a deploy."""
    parts = ("kind", "release", "who", "result")
    names = ", ".join(f"json_extract(data, '$.{one}') AS {one}" for one in parts)
    rows = db.execute(
        f"WITH newest AS (SELECT at, host, data FROM entries WHERE app = ?1 AND host IN"  # noqa: S608 - our names
        " (SELECT host FROM subjects WHERE app = ?1 AND about = '' AND (?2 = '' OR host = ?2))"
        " AND at >= ?3 AND at < ?4 AND instr(data, '\"result\"')"  # not those that only began
        f" ORDER BY at DESC LIMIT {_MOST_ENTRIES}),"
        f" known AS (SELECT at, host, {names} FROM newest WHERE json_valid(data))"
        " SELECT min(at), max(at), iif(kind = 'migrate', 'deploy', kind), release, who, result,"
        " json_group_array(DISTINCT host) FROM known WHERE (kind IN ('deploy', 'rollback')"
        " AND result IN ('confirmed', 'failed', 'reverted'))"
        " OR (kind = 'migrate' AND result = 'failed')"
        " GROUP BY 3, 4, 5, 6, CAST(at / 600 AS INTEGER) ORDER BY 1",
        (app, host, since, until),
    )
    runs: list[_Run] = []
    for begun, ended, kind, release, who, result, hosts in rows:
        key = (str(kind), str(release or ""), str(who or ""))
        last = next((one for one in reversed(runs) if one.key == key), None)
        if last is None or begun - last.ended > _RUN_SECONDS:
            last = _Run(key, float(begun), float(ended), {})
            runs.append(last)
        last.ended = max(last.ended, float(ended))
        last.results.setdefault(str(result), set()).update(json.loads(hosts))
    return [
        Done(one.begun, *one.key, tuple(sorted((how, len(on)) for how, on in one.results.items())))
        for one in runs[-MOST_DONE:]
    ]


@dataclass
class _Run:
    key: tuple[str, str, str]
    begun: float
    ended: float
    results: dict[str, set[str]]
