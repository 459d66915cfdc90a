"""The incidents of all projects, and all that is known of one."""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Optional

from cartwheel_monitor import messages, past, records, remembered
from cartwheel_monitor.incidents import Incident
from cartwheel_monitor.page.reading.projects import Project, Watcher
from cartwheel_monitor.remembered import Happened
from cartwheel_monitor.subjects import KINDS

MOST = 50
"""Incidents on one page."""
_CHANGES = ("deploy", "rollback")
_ENTRIES = 500


class NoIncidentError(Exception):
    """There is no incident of that number."""


@dataclass(frozen=True)
class Found:
    """An incident of a project."""

    project: str
    one: Incident

    @property
    def title(self) -> str:
        """In the language of the request."""
        return messages.title(self.one)


@dataclass(frozen=True)
class Page:
    """Newest first. `open`: all of them, on the first page. `unread`: why projects could not be
    read, by name."""

    open: tuple[Found, ...]
    over: tuple[Found, ...]
    has_more: bool
    unread: dict[str, str]


@dataclass(frozen=True)
class Delivery:
    """News of an incident, and what a messenger made of it: `problem` is "" once it has taken it,
    at `at`."""

    at: float
    news: str
    messenger: str
    problem: str


@dataclass(frozen=True)
class Detail:
    """`before`: the last deploy or rollback before it began, as far as the store goes back."""

    one: Incident
    before: Optional[Happened]
    deliveries: tuple[Delivery, ...]


def page(projects: Iterable[Project], kind: str = "", number: int = 0) -> Page:
    """The page of that number, from 0 on. `kind`: "" for all."""
    open_: list[Found] = []
    over: list[list[tuple[float, int, Project]]] = []
    unread: dict[str, str] = {}
    wanted = (number + 1) * MOST + 1
    for project in projects:
        try:
            with _reading(project) as db:
                if not number:
                    open_ += _open(db, project, kind)
                rows = db.execute(
                    "SELECT began, number FROM incidents WHERE ended IS NOT NULL"
                    " AND (?1 = '' OR kind = ?1) ORDER BY began DESC, number DESC LIMIT ?2",
                    (kind, wanted),
                )
                over.append([(float(began), int(one), project) for began, one in rows])
        except FileNotFoundError:
            continue  # nothing has happened yet
        except (OSError, sqlite3.Error) as error:
            unread[project.name] = str(error)
    merged = heapq.merge(*over, key=lambda row: row[0], reverse=True)
    every = list(islice(merged, number * MOST, wanted))
    shown = tuple(_read(every[:MOST], unread))
    open_.sort(key=lambda found: found.one.began, reverse=True)
    return Page(tuple(open_), shown, len(every) > MOST, unread)


def open_now(projects: Sequence[Project], watcher: Watcher) -> list[tuple[str, int, str, float]]:
    """(project, number, title, began) of what is open; by the watcher where a store says
    nothing."""
    found: list[tuple[str, int, str, float]] = []
    for project in projects:
        try:
            with _reading(project) as db:
                rows = [(one.one.number, one.title, one.one.began) for one in _open(db, project)]
        except (OSError, sqlite3.Error):
            rows = [
                (int(records.number(row, "number")), records.text(row, "title"),
                 records.number(row, "began"))
                for row in watcher.rows("open", project.name)
            ]  # fmt: skip
        found += [(project.name, *row) for row in rows]
    return sorted(found, key=lambda row: row[3], reverse=True)


def detail(project: Project, number: int) -> Detail:
    """Raises NoIncidentError, OSError and sqlite3.Error."""
    try:
        with _reading(project) as db:
            texts = db.execute("SELECT data FROM incidents WHERE number = ?", (number,)).fetchall()
            one = next(_records(str(row[0]) for row in texts), None)
            if one is None:
                raise NoIncidentError(number)
            happened = remembered.entries(db, project.name, 0.0, one.began, _ENTRIES)
            told = past.telling_in(db, number)
    except FileNotFoundError:
        raise NoIncidentError(number) from None
    before = next(
        (each for each in happened if each.entry.kind in _CHANGES and each.entry.result), None
    )
    return Detail(one, before, tuple(map(_delivery, told)))


def _reading(project: Project) -> AbstractContextManager[sqlite3.Connection]:
    """Raises FileNotFoundError where nothing was kept yet."""
    if not project.store.exists():
        raise FileNotFoundError(project.store)
    return project.reading()


def _delivery(row: dict[str, str | float]) -> Delivery:
    texts = {name: str(row[name]) for name in ("news", "messenger", "problem")}
    return Delivery(at=float(row["at"]), **texts)


def _open(db: sqlite3.Connection, project: Project, kind: str = "") -> Iterator[Found]:
    rows = db.execute(
        "SELECT data FROM incidents WHERE ended IS NULL AND (?1 = '' OR kind = ?1)"
        " ORDER BY began DESC",
        (kind,),
    )
    for one in _records(str(row[0]) for row in rows):
        yield Found(project.name, one)


def _read(rows: Iterable[tuple[float, int, Project]], unread: dict[str, str]) -> Iterator[Found]:
    every = list(rows)
    known: dict[tuple[str, int], Incident] = {}
    for project in {row[2].name: row[2] for row in every}.values():
        numbers = [row[1] for row in every if row[2].name == project.name]
        try:
            with project.reading() as db:
                marks = ", ".join("?" * len(numbers))
                texts = db.execute(
                    f"SELECT data FROM incidents WHERE number IN ({marks})",  # noqa: S608 - only marks
                    numbers,
                )
                for one in _records(str(row[0]) for row in texts):
                    known[project.name, one.number] = one
        except (OSError, sqlite3.Error) as error:
            unread[project.name] = str(error)
    for _began, number, project in every:
        if (project.name, number) in known:
            yield Found(project.name, known[project.name, number])


def _records(texts: Iterable[str]) -> Iterator[Incident]:
    """Those that this version can read."""
    for text in texts:
        try:
            one = records.incident(json.loads(text))
        except ValueError:
            continue
        if one is not None:
            yield one


def kinds() -> tuple[str, ...]:
    """The kinds by which incidents can be chosen."""
    return tuple(KINDS)
