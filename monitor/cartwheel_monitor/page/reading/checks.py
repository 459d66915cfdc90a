"""The current state of all sites and hosts, and of the monitor itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

from cartwheel_monitor import records, remembered, watch_list
from cartwheel_monitor.desk import limits_of
from cartwheel_monitor.limits import Limits
from cartwheel_monitor.observations import Look, Probe
from cartwheel_monitor.page.reading.projects import Project, Watcher
from cartwheel_monitor.places import Places
from cartwheel_monitor.quiet import Silence
from cartwheel_monitor.records import Json, Table
from cartwheel_monitor.remembered import LastLook
from cartwheel_monitor.rules import clock
from cartwheel_monitor.telling import GIVEN_UP_SECONDS

_MOST_WAITING = 100


@dataclass(frozen=True)
class SiteCheck:
    """`last`: None if it was not asked yet."""

    url: str
    last: Optional[Probe]


@dataclass(frozen=True)
class HostCheck:
    """`clock`: by how much the host's clock is ahead, None where nobody knows."""

    name: str
    last: LastLook
    clock: Optional[float]

    @property
    def unread(self) -> tuple[str, ...]:
        """What the last answer could not say, and why."""
        found = self.last.seen.unread if self.last.seen is not None else {}
        return tuple(f"{what}: {why}" for what, why in sorted(found.items()))


@dataclass(frozen=True)
class MessengerCheck:
    """`problem`: why the last attempt failed, "" for nothing; `since`: of the first that did.
    `said`: whether the watcher has said anything of it."""

    name: str
    waiting: int = 0
    problem: str = ""
    since: Optional[float] = None
    given_up: int = 0
    said: bool = False


@dataclass(frozen=True)
class Waits:
    """A message that a messenger has not taken."""

    at: float
    title: str
    messenger: str
    tries: int
    problem: str


@dataclass(frozen=True)
class Beat:
    """The last sign of life: `at` None for none yet, `problem`: "" for nothing."""

    at: Optional[float]
    problem: str


@dataclass(frozen=True)
class Checks:
    """Of one project. `trouble`: why its store cannot be read; `lost`: looks that were never kept.
    `heartbeat`: None where the watcher says nothing of one."""

    name: str
    sites: tuple[SiteCheck, ...]
    hosts: tuple[HostCheck, ...]
    messengers: tuple[MessengerCheck, ...]
    waiting: tuple[Waits, ...]
    silences: tuple[Silence, ...]
    limits: Limits
    every: float
    has_heartbeat: bool
    heartbeat: Optional[Beat]
    problems: tuple[str, ...]
    lost: int
    trouble: str = ""


def unread_lists(places: Places) -> dict[str, str]:
    """The projects' lists that cannot be read, and why, by file name."""
    return watch_list.read(places.lists)[1]


def read(project: Project, watcher: Watcher, now: float) -> Checks:
    """All that is known of a project's checks; it does not raise."""
    kept: Mapping[str, str] = {}
    waiting: tuple[Waits, ...] = ()
    trouble = ""
    try:
        if project.store.exists():
            kept = project.kept()
            waiting = tuple(_waiting(project, now))
    except (OSError, sqlite3.Error) as error:
        trouble = str(error)
    looks, probes = remembered.last_looks(kept), remembered.last_probes(kept)
    itself = of_project(watcher.said, project.name)
    beat = _table(itself.get("heartbeat"))
    return Checks(
        project.name,
        tuple(SiteCheck(one.url, probes.get(one.url)) for one in project.listed.sites),
        tuple(_host(name, looks.get(name, LastLook(name))) for name in project.hosts),
        tuple(messengers(project, itself)),
        waiting,
        tuple(_silences(watcher, project.name, now)),
        limits_of(project.listed),
        project.listed.every,
        bool(project.listed.heartbeat),
        Beat(records.optional(beat, "at"), records.text(beat, "problem")) if beat else None,
        tuple(_problems(watcher.said, project.name)),
        int(records.number(_table(itself.get("store")), "lost")),
        trouble,
    )


def of_project(said: Table, name: str) -> Table:
    """What the watcher says of how it keeps and tells (summary.of)."""
    return _table(_table(said.get("projects")).get(name))


def messengers(project: Project, itself: Table) -> Iterator[MessengerCheck]:
    """By their names; their addresses are secrets."""
    found = itself.get("messengers")
    said = {
        records.text(one, "name"): one
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict)
    }
    for name in project.listed.messengers:
        one = said.get(name)
        if one is None:
            yield MessengerCheck(name)
            continue
        yield MessengerCheck(
            name,
            int(records.number(one, "waiting")),
            records.text(one, "problem"),
            records.optional(one, "since"),
            int(records.number(one, "given_up")),
            said=True,
        )


def clock_of(last: LastLook) -> float | None:
    """By how much the host's clock is ahead, for sure."""
    if last.seen is None or last.seen.time <= 0:
        return None
    took = last.seconds if last.seen_at == last.at else 0.0
    return clock.off(Look(last.host, last.seen_at, last.seen, "", took))


def _host(name: str, last: LastLook) -> HostCheck:
    return HostCheck(name, last, clock_of(last))


def _waiting(project: Project, now: float) -> Iterator[Waits]:
    with project.reading() as db:
        rows = db.execute(
            "SELECT messenger, at, data, tries, problem FROM deliveries"
            " JOIN news ON news.id = deliveries.news WHERE done IS NULL AND at >= ?"
            " ORDER BY news.id LIMIT ?",
            (now - GIVEN_UP_SECONDS, _MOST_WAITING),
        ).fetchall()
    for messenger, at, data, tries, problem in rows:
        if messenger in project.listed.messengers:
            try:
                known = _table(json.loads(data))
            except ValueError:
                continue
            yield Waits(
                float(at), records.text(known, "title"), str(messenger), int(tries), str(problem)
            )


def _silences(watcher: Watcher, name: str, now: float) -> Iterator[Silence]:
    found: Json = [dict(row) for row in watcher.rows("silences", name)]
    yield from (one for one in records.silences(found) if one.until > now)


def _problems(said: Table, name: str) -> Iterator[str]:
    found = _table(said.get("project_problems")).get(name)
    yield from (str(one) for one in (found if isinstance(found, list) else []))


def _table(found: Json) -> Table:
    return found if isinstance(found, dict) else {}
