"""The projects that are watched, and their stores."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cartwheel_monitor import past, watch_list
from cartwheel_monitor.places import Places
from cartwheel_monitor.records import Json, Table
from cartwheel_monitor.store import DATABASE
from cartwheel_monitor.watch_list import WatchList

LATE_SECONDS = 60.0
"""After this long without a status the watcher counts as hanging or gone."""
_BUSY_SECONDS = 1.0
# Also a request that has taken long by itself waits for the end of a short lock.
_LEAST_BUSY_SECONDS = 0.05


class NotWatchedError(Exception):
    """There is no project of that name."""


@dataclass(frozen=True)
class Project:
    """A project that is watched, for one request; its application has the same name. `patience`:
    until when the request waits for the locks of its store, all its questions together."""

    listed: WatchList
    store: Path
    patience: float = field(default_factory=lambda: time.monotonic() + _BUSY_SECONDS, compare=False)

    @property
    def name(self) -> str:
        return self.listed.project

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.listed.hosts)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Its database, to read only. Raises sqlite3.Error."""
        left = max(_LEAST_BUSY_SECONDS, self.patience - time.monotonic())
        with past.reading(self.store, busy_seconds=left) as db:
            yield db

    def kept(self) -> dict[str, str]:
        """The store's texts; none where there is no store yet. Raises sqlite3.Error."""
        if not self.store.exists():
            return {}
        with self.reading() as db:
            return past.kept_in(db)


def every(places: Places) -> list[Project]:
    """All projects, by name. Lists that cannot be read are in the watcher's own problems."""
    lists, _problems = watch_list.read(places.lists)
    found = [Project(one, places.project(one.project) / DATABASE) for one in lists]
    return sorted(found, key=lambda one: one.name)


def named(places: Places, name: str) -> Project:
    """Raises NotWatchedError."""
    for one in every(places):
        if one.name == name:
            return one
    raise NotWatchedError(name)


@dataclass(frozen=True)
class Watcher:
    """The watcher's status of itself and of everything that it watches: see summary.of. `late`:
    seconds since the last status, 0 if it is not late."""

    said: Table
    late: float

    def rows(self, what: str, project: str) -> list[Table]:
        """The rows of a table of the summary that are about a project."""
        found = self.said.get(what)
        rows = found if isinstance(found, list) else []
        return [one for one in rows if isinstance(one, dict) and one.get("project") == project]

    @property
    def problems(self) -> list[str]:
        found = self.said.get("problems")
        return [str(one) for one in found] if isinstance(found, list) else []


def watcher(places: Places) -> Watcher:
    """Late since the epoch, where it has never said anything."""
    try:
        said: Json = json.loads(places.status.read_text(encoding="utf-8"))
        age = time.time() - places.status.stat().st_mtime
    except (OSError, ValueError):
        return Watcher({}, time.time())
    return Watcher(said if isinstance(said, dict) else {}, age if age > LATE_SECONDS else 0.0)
