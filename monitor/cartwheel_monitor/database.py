"""The database file: opened, checked, kept small, and set aside when it is torn.

Every function raises sqlite3.Error or OSError; `is_torn` says whether the file is to blame.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cartwheel_monitor import schema
from cartwheel_monitor.rows import Row

_DAY = 86400.0
BUSY_SECONDS = 5.0
_WAL_BYTES = 16 << 20
_KEPT_TORN = 2
_STEPS = 100_000  # of SQLite's machine, between two looks at the clock
_ROWS_AT_ONCE = 20_000

_LARGEST = 1 << 80

RAW_SECONDS = 2 * _DAY
MINUTES_SECONDS = 61 * _DAY
LEAST_SECONDS = 2 * 3600.0
"""What `history_days = 0` keeps: enough for the rules' windows after a restart."""
_NEWS_SECONDS = 30 * _DAY
# How far the oldest rows go at once when there is too much, by table.
_STEP_SECONDS = {"raw": 2 * 3600.0, "minutes": 7 * _DAY, "hours": 30 * _DAY, "days": 90 * _DAY}


_KEPT_RELEASES = 200  # of each app
_OLD_RELEASES = (
    "DELETE FROM releases WHERE (SELECT count(*) FROM releases newer WHERE newer.app = releases.app"
    " AND newer.at > releases.at) >= ?"
)


@dataclass(frozen=True)
class Keeping:
    """How long each table is kept, and how large the file may be."""

    history_days: float = 730.0
    limit_bytes: int = 1 << 30

    def seconds(self, table: str) -> float:
        wanted = max(self.history_days * _DAY, LEAST_SECONDS)
        return min({"raw": RAW_SECONDS, "minutes": MINUTES_SECONDS}.get(table, wanted), wanted)


def connect(path: Path) -> sqlite3.Connection:
    """Open it for writing; make what is missing. Also raises schema.ForeignError."""
    # It is opened by one thread and handed to the one that writes.
    db = sqlite3.connect(
        str(path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        schema.prepare(db)
        db.execute("PRAGMA synchronous = NORMAL")  # with WAL: a power cut loses the last seconds
        db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    except BaseException:
        db.close()
        raise
    return db


def connect_reading(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open it to read only; for any thread, one at a time. A query waits up to `busy_seconds` for a
    lock, which only a writer's first and last moments hold."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(
        address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )


def is_torn(error: BaseException) -> bool:
    """Whether the file cannot be used any more: damaged, or of something else. A full disk, a lock
    or a missing right is none of that."""
    if isinstance(error, schema.ForeignError):
        return True
    return type(error) is sqlite3.DatabaseError  # its subclasses are all something else


def problem_of(path: Path, within_seconds: float) -> str:
    """What is wrong inside the file; "" for nothing, or for what was not found in time."""
    db = connect_reading(path)
    end = time.monotonic() + within_seconds
    db.set_progress_handler(lambda: int(time.monotonic() > end), _STEPS)
    try:
        found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        db.close()
    return "" if found == "ok" else " ".join(found.split())


def set_aside(path: Path, now: float) -> Path:
    """Rename it and what belongs to it; the last few of such files are kept."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    there = path.with_name(f"{path.name}.torn-{stamp}")
    path.rename(there)
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(there.with_name(there.name + end))
    every = sorted(
        one
        for one in path.parent.glob(f"{path.name}.torn-*")
        if not one.name.endswith(("-wal", "-shm"))
    )
    for old in every[:-_KEPT_TORN]:
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                old.with_name(old.name + end).unlink()
    return there


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
        raise


class Subjects:
    """The number of each subject, for one connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[str, str, str], int] = {}

    def number(self, app: str, host: str, about: str) -> int:
        key = (text(app), text(host), text(about))
        if key not in self._known:
            self._db.execute(
                "INSERT OR IGNORE INTO subjects (app, host, about) VALUES (?, ?, ?)", key
            )
            asked = "SELECT id FROM subjects WHERE app = ? AND host = ? AND about = ?"
            self._known[key] = int(self._db.execute(asked, key).fetchone()[0])
        return self._known[key]


def add(db: sqlite3.Connection, subjects: Subjects, rows: Iterable[Row]) -> None:
    """Add what was seen to each table, and to the totals; in a transaction of the caller."""
    for row in rows:
        subject = subjects.number(row.app, row.host, row.about)
        values = [fitting(row.values.get(name)) for name in schema.COLUMNS]
        for table, span in schema.LEVELS.items():
            begins = int(row.at) // span * span
            db.execute(schema.ADDING[table], (subject, begins, *values))
        sums = [fitting(row.values.get(name)) for name in schema.SUMS]
        if any(sums):
            db.execute(schema.ADDING_TOTALS, (subject, *sums))


def text(found: str) -> str:
    """What a host says may have halves of characters, which SQLite refuses."""
    return found.encode("utf-8", "replace").decode()


def fitting(value: float | None) -> float | None:
    """The same: a number may be too large."""
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return float(min(max(value, -_LARGEST), _LARGEST))
    return value


def used_bytes(db: sqlite3.Connection) -> int:
    """What the rows take; the file may be larger until it gives the room back."""
    pages = [db.execute(f"PRAGMA {one}").fetchone()[0] for one in ("page_count", "freelist_count")]
    return int((pages[0] - pages[1]) * db.execute("PRAGMA page_size").fetchone()[0])


def shrink(db: sqlite3.Connection, keeping: Keeping, now: float) -> None:
    """Delete what is too old; then, while there is too much, the oldest: first of `raw`."""
    for table in schema.LEVELS:
        _delete(db, table, now - keeping.seconds(table))
    with transaction(db):
        db.execute("DELETE FROM news WHERE at < ?", (now - _NEWS_SECONDS,))
        db.execute("DELETE FROM deliveries WHERE news NOT IN (SELECT id FROM news)")
        oldest = now - keeping.seconds("hours")
        db.execute("DELETE FROM incidents WHERE ended < ?", (oldest,))
        db.execute("DELETE FROM entries WHERE at < ?", (now - keeping.seconds("days"),))
        db.execute(_OLD_RELEASES, (_KEPT_RELEASES,))
    for table, step in _STEP_SECONDS.items():
        while used_bytes(db) > keeping.limit_bytes:
            oldest_row = _oldest(db, table)
            if oldest_row is None or oldest_row >= now:
                break
            _delete(db, table, oldest_row + step)
    # Not `execute`, which takes the first of its steps only: one page.
    db.executescript("PRAGMA incremental_vacuum")


def _subjects(db: sqlite3.Connection) -> list[int]:
    return [row[0] for row in db.execute("SELECT id FROM subjects")]


def _delete(db: sqlite3.Connection, table: str, before: float) -> None:
    """Rows from before that time, in parts: readers and the log of changes stay small."""
    for subject in _subjects(db):
        done = _ROWS_AT_ONCE
        while done == _ROWS_AT_ONCE:
            # An index of the time alone would be as large as the table.
            last = db.execute(
                f"SELECT at FROM {table} WHERE subject = ? AND at < ?"  # noqa: S608 - our names
                " ORDER BY at LIMIT 1 OFFSET ?",
                (subject, before, _ROWS_AT_ONCE - 1),
            ).fetchone()
            until = last[0] + 1 if last else before
            with transaction(db):
                done = db.execute(
                    f"DELETE FROM {table} WHERE subject = ? AND at < ?",  # noqa: S608 - our names
                    (subject, until),
                ).rowcount


def _oldest(db: sqlite3.Connection, table: str) -> float | None:
    found = [
        db.execute(f"SELECT min(at) FROM {table} WHERE subject = ?", (one,)).fetchone()[0]  # noqa: S608 - our names
        for one in _subjects(db)
    ]
    return min((float(one) for one in found if one is not None), default=None)
