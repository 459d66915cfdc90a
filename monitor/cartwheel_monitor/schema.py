"""The database's tables. They only grow: a column that is added may be NULL or has a default, none
is ever taken away or changes its meaning. So an earlier version of the monitor reads a newer file,
and a rollback of the monitor works.

One wide row for each subject and span of time, in four tables of the same form: `raw` has each
look, `minutes`, `hours` and `days` (UTC) are added up while the looks come in. There is no roll-up
that could be late, or interrupted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from cartwheel.host.wire.look import BOUNDS

APPLICATION_ID = 0x43574D4E
VERSION = 2
_WITH_DAYS = 2
TIMES = tuple(f"t{place}" for place in range(len(BOUNDS) + 1))

# How two rows of a span become one: the sum, the larger, the smaller, or the later.
SUM, MOST, LEAST, LAST = "sum", "most", "least", "last"
COLUMNS: dict[str, str] = {
    # looks or probes, and how many of them failed; the time that probes took
    "looks": SUM,
    "bad": SUM,
    "probe_seconds": SUM,
    "probe_longest": MOST,
    # requests of visitors: in so many seconds; of BOUNDS
    "seconds": SUM,
    "requests": SUM,
    "failed": SUM,
    "request_seconds": SUM,
    **dict.fromkeys(TIMES, SUM),
    # processes: how many did not run, how often systemd started one again
    "down": MOST,
    "restarts": SUM,
    # bytes; of a host what is available, of an app what it uses
    "memory": LAST,
    "memory_available": LEAST,
    "memory_used": MOST,
    "load": MOST,
    "cpus": LAST,
    # of a file system
    "size": LAST,
    "free": LEAST,
    "inodes": LAST,
    "free_inodes": LEAST,
}
_MERGED = {
    SUM: "coalesce({0} + excluded.{0}, {0}, excluded.{0})",
    MOST: "coalesce(max({0}, excluded.{0}), {0}, excluded.{0})",
    LEAST: "coalesce(min({0}, excluded.{0}), {0}, excluded.{0})",
    LAST: "coalesce(excluded.{0}, {0})",
}
LEVELS = {"raw": 1, "minutes": 60, "hours": 3600, "days": 86400}
"""The tables, and the span of a row in seconds."""
TOTALS = "totals"
"""One row for each subject: what was ever added, for counters that only grow (page/reading/
figures.py). It stays when the oldest rows of the other tables go."""
SUMS = tuple(name for name, how in COLUMNS.items() if how == SUM)

_TABLES = {
    "subjects": (
        "id INTEGER PRIMARY KEY, app TEXT NOT NULL, host TEXT NOT NULL, about TEXT NOT NULL,"
        " UNIQUE (app, host, about)"
    ),
    "kept": "key TEXT PRIMARY KEY, data TEXT NOT NULL",
    "incidents": (
        "number INTEGER PRIMARY KEY, kind TEXT NOT NULL, app TEXT NOT NULL, began REAL NOT NULL,"
        " ended REAL, data TEXT NOT NULL"
    ),
    "news": "id INTEGER PRIMARY KEY, at REAL NOT NULL, number INTEGER NOT NULL, data TEXT NOT NULL",
    "deliveries": (
        "news INTEGER NOT NULL, messenger TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,"
        " done REAL, problem TEXT NOT NULL DEFAULT '', PRIMARY KEY (news, messenger)"
    ),
    # Of each host's journal (wire.journal.Entry). `seq` begins anew where an app was set up again.
    "entries": (
        "app TEXT NOT NULL, host TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL,"
        " data TEXT NOT NULL, PRIMARY KEY (app, host, at, seq)"
    ),
    # What releases are made of (wire.look.ReleaseLook); `at`: when it was first seen.
    "releases": (
        "app TEXT NOT NULL, release TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL,"
        " PRIMARY KEY (app, release)"
    ),
}


class ForeignError(Exception):
    """The file is a database of something else."""


def prepare(db: sqlite3.Connection) -> None:
    """Make what is missing. Raises ForeignError, and sqlite3.Error."""
    found = db.execute("PRAGMA application_id").fetchone()[0]
    is_empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if found != APPLICATION_ID and not (is_empty and found == 0):
        raise ForeignError("it is a database of something else")
    if is_empty:
        # It gives room back when the oldest rows go; to be set before the first table.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    try:
        for name, columns in _TABLES.items():
            db.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        for name in LEVELS:
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {name} (subject INTEGER NOT NULL, at INTEGER NOT NULL,"
                " PRIMARY KEY (subject, at)) WITHOUT ROWID"
            )
            _add_columns(db, name, COLUMNS)
        db.execute(f"CREATE TABLE IF NOT EXISTS {TOTALS} (subject INTEGER PRIMARY KEY)")
        _add_columns(db, TOTALS, SUMS)
        if 0 < db.execute("PRAGMA user_version").fetchone()[0] < _WITH_DAYS:
            db.execute(_DAYS_OF_HOURS)
        version = max(VERSION, db.execute("PRAGMA user_version").fetchone()[0])
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _add_columns(db: sqlite3.Connection, table: str, columns: Iterable[str]) -> None:
    there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
    for column in columns:
        if column not in there:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


def _of_spans(name: str) -> str:
    """A column of a longer span, out of the rows of shorter ones; of LAST columns the largest."""
    return {SUM: f"sum({name})", LEAST: f"min({name})"}.get(COLUMNS[name], f"max({name})")


def _adding(table: str) -> str:
    names = ", ".join(COLUMNS)
    marks = ", ".join("?" * len(COLUMNS))
    merged = _merged(COLUMNS)
    return (
        f"INSERT INTO {table} (subject, at, {names}) VALUES (?, ?, {marks})"  # noqa: S608 - our names
        f" ON CONFLICT (subject, at) DO UPDATE SET {merged}"
    )


def _merged(names: Iterable[str]) -> str:
    return ", ".join(f"{name} = {_MERGED[COLUMNS[name]].format(name)}" for name in names)


_DAYS_OF_HOURS = (
    f"INSERT OR IGNORE INTO days (subject, at, {', '.join(COLUMNS)})"  # noqa: S608 - our names
    f" SELECT subject, at / 86400 * 86400, {', '.join(map(_of_spans, COLUMNS))} FROM hours"
    " GROUP BY 1, 2"
)

ADDING = {table: _adding(table) for table in LEVELS}
"""The statement that adds a row to what its span has already, for each table."""
ADDING_TOTALS = (
    f"INSERT INTO {TOTALS} (subject, {', '.join(SUMS)})"  # noqa: S608 - our names
    f" VALUES (?, {', '.join('?' * len(SUMS))})"
    f" ON CONFLICT (subject) DO UPDATE SET {_merged(SUMS)}"
)
