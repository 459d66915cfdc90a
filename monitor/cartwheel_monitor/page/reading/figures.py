"""The numbers of a project for a Prometheus: what was seen last, and what only grows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Optional

from cartwheel_monitor import remembered, schema
from cartwheel_monitor.observations import Probe
from cartwheel_monitor.page.reading import checks
from cartwheel_monitor.page.reading.checks import MessengerCheck
from cartwheel_monitor.page.reading.projects import Project, Watcher
from cartwheel_monitor.records import Table
from cartwheel_monitor.remembered import LastLook
from cartwheel_monitor.subjects import KINDS

_CHANGES = ("deploy", "rollback")
_ENTRIES = 20
_TEXTS = "SELECT key, data FROM kept WHERE key >= ? AND key < ?"
_LAST_ENTRIES = (
    "SELECT at, data FROM entries WHERE app = ? AND host = ? ORDER BY at DESC, seq DESC LIMIT ?"
)

Sums = Mapping[str, Optional[float]]
"""By the columns of schema.SUMS."""


@dataclass(frozen=True)
class LastChange:
    """The last deploy or rollback on a host that ended."""

    at: float
    is_confirmed: bool


@dataclass(frozen=True)
class Figures:
    """Of one project. `looks`, `probes`: by host and site, of those that are watched now. `totals`:
    by (app, host, about). `changes`: by host. `open`: incidents by kind. `itself`: what the watcher
    says of this project (summary.of). `trouble`: why the store cannot be read."""

    name: str
    looks: Mapping[str, LastLook] = field(default_factory=dict)
    probes: Mapping[str, Probe] = field(default_factory=dict)
    totals: Mapping[tuple[str, str, str], Sums] = field(default_factory=dict)
    changes: Mapping[str, LastChange] = field(default_factory=dict)
    open: Mapping[str, int] = field(default_factory=dict)
    messengers: Sequence[MessengerCheck] = ()
    itself: Table = field(default_factory=dict)
    trouble: str = ""


def read(project: Project, watcher: Watcher) -> Figures:
    """It does not raise."""
    itself = checks.of_project(watcher.said, project.name)
    said = tuple(checks.messengers(project, itself))
    bare = Figures(project.name, messengers=said, itself=itself)
    if not project.store.exists():
        return bare
    try:
        with project.reading() as db:
            return _read(project, db, bare)
    except (OSError, sqlite3.Error) as error:
        return Figures(project.name, messengers=said, itself=itself, trouble=str(error))


def _read(project: Project, db: sqlite3.Connection, bare: Figures) -> Figures:
    looks = remembered.last_looks(_texts(db, remembered.LOOK))
    probes = remembered.last_probes(_texts(db, remembered.PROBE))
    watched = {one.url for one in project.listed.sites}
    found = dict.fromkeys(KINDS, 0)
    rows = db.execute("SELECT kind, count(*) FROM incidents WHERE ended IS NULL GROUP BY kind")
    found |= {str(kind): int(count) for kind, count in rows if kind in KINDS}
    return Figures(
        project.name,
        {host: looks[host] for host in project.hosts if host in looks},
        {url: one for url, one in probes.items() if url in watched},
        _totals(db, {*project.hosts, ""}),
        dict(_changes(db, project)),
        found,
        bare.messengers,
        bare.itself,
    )


def _texts(db: sqlite3.Connection, begin: str) -> dict[str, str]:
    """What is kept under keys that begin like this."""
    end = begin[:-1] + chr(ord(begin[-1]) + 1)
    return {str(key): str(text) for key, text in db.execute(_TEXTS, (begin, end))}


def _totals(db: sqlite3.Connection, hosts: set[str]) -> dict[tuple[str, str, str], Sums]:
    """Of what is watched now. None in a store that an earlier version has written."""
    names = ", ".join(schema.SUMS)
    found: dict[tuple[str, str, str], Sums] = {}
    with suppress(sqlite3.OperationalError):
        rows = db.execute(
            f"SELECT app, host, about, {names} FROM {schema.TOTALS}"  # noqa: S608 - our names
            f" JOIN subjects ON subjects.id = {schema.TOTALS}.subject"
        )
        for app, host, about, *values in rows:
            if host in hosts:
                found[app, host, about] = dict(zip(schema.SUMS, values))
    return found


def _changes(db: sqlite3.Connection, project: Project) -> "list[tuple[str, LastChange]]":
    found = []
    for host in project.hosts:
        for at, text in db.execute(_LAST_ENTRIES, (project.name, host, _ENTRIES)):
            one = next(remembered.read_entries([str(text)]), None)
            if one is not None and one.kind in _CHANGES and one.result:
                found.append((host, LastChange(float(at), one.result == "confirmed")))
                break
    return found
