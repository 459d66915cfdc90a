"""What is live where, and how well: for the first view."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

from cartwheel.host.wire.look import RUNNING, AppLook
from cartwheel_monitor import past, remembered
from cartwheel_monitor.observations import Probe
from cartwheel_monitor.page.reading import health
from cartwheel_monitor.page.reading.health import Bar
from cartwheel_monitor.page.reading.projects import Project
from cartwheel_monitor.remembered import LastLook

MARKS = ("locked", "pending", "frozen", "closed", "stopped")
"""What an operator has done to an app on a host, or does; fields of AppLook."""


@dataclass(frozen=True)
class Place:
    """An app on a host. `last`: the last look at the host; `app`: None where it said nothing of the
    app. `who` made its release live, "" if the monitor did not see it. `differs`: another release
    than on most hosts. `marks`: of MARKS."""

    host: str
    last: LastLook
    app: Optional[AppLook]
    who: str
    bar: Bar
    differs: bool
    marks: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong here, in the words of the host."""
        if self.last.problem:
            return (self.last.problem,)
        return tuple(_problems(self.app))


@dataclass(frozen=True)
class Site:
    """A site that is asked from outside. `last`: None if it was not asked yet."""

    url: str
    last: Optional[Probe]
    bar: Bar


@dataclass(frozen=True)
class AppOfFleet:
    """An application and all its hosts; `trouble`: why nothing of it can be read."""

    name: str
    sites: tuple[Site, ...] = ()
    places: tuple[Place, ...] = ()
    trouble: str = ""


def read(project: Project, now: float) -> AppOfFleet:
    """The application of a project."""
    try:
        if not project.store.exists():
            return _unknown(project, now)
        with project.reading() as db:
            return _read(project, db, past.kept_in(db), now)
    except (OSError, sqlite3.Error) as error:
        return AppOfFleet(project.name, trouble=str(error))


def _unknown(project: Project, now: float) -> AppOfFleet:
    """Before anybody has looked."""
    bar = health.unknown(now)
    sites = tuple(Site(one.url, None, bar) for one in project.listed.sites)
    places = (Place(one, LastLook(one), None, "", bar, False, ()) for one in project.hosts)
    return AppOfFleet(project.name, sites, tuple(places))


def _read(
    project: Project, db: sqlite3.Connection, kept: Mapping[str, str], now: float
) -> AppOfFleet:
    looks, probes = remembered.last_looks(kept), remembered.last_probes(kept)
    urls = [one.url for one in project.listed.sites]
    of_places = [(project.name, host, "") for host in project.hosts]
    bars = health.bars(db, [*of_places, *((project.name, "", url) for url in urls)], now)
    sites = [Site(url, probes.get(url), bars[project.name, "", url]) for url in urls]
    apps = {host: _app(looks.get(host), project.name) for host in project.hosts}
    usual = _most_common(one.release for one in apps.values() if one is not None)
    who = _who(db, project.name, apps)
    places = [
        Place(
            host,
            looks.get(host, LastLook(host)),
            app,
            who.get(host, ""),
            bars[project.name, host, ""],
            app is not None and app.release != usual,
            tuple(mark for mark in MARKS if app is not None and getattr(app, mark)),
        )
        for host, app in apps.items()
    ]
    return AppOfFleet(project.name, tuple(sites), tuple(places))


def _app(last: LastLook | None, name: str) -> AppLook | None:
    for one in last.seen.apps if last is not None and last.seen is not None else ():
        if one.app == name:
            return one
    return None


def _most_common(releases: Iterable[str]) -> str:
    found = Counter(releases).most_common(1)
    return found[0][0] if found else ""


def _who(db: sqlite3.Connection, name: str, apps: Mapping[str, AppLook | None]) -> dict[str, str]:
    """Who made each host's live release live: by the newest entry about it."""
    found: dict[str, str] = {}
    for host, app in apps.items():
        rows = db.execute(
            "SELECT data FROM entries WHERE app = ? AND host = ? ORDER BY at DESC, seq DESC"
            " LIMIT 50",
            (name, host),
        )
        for one in remembered.read_entries(str(row[0]) for row in rows):
            if app is not None and one.release == app.release and one.result == "confirmed":
                found[host] = one.who or ""
                break
    for host, app in apps.items():
        if app is not None and host not in found:
            made = remembered.release(db, name, app.release)
            found[host] = made.who if made is not None else ""
    return found


def _problems(app: AppLook | None) -> Iterator[str]:
    if app is None:
        return
    yield from filter(None, (app.problem, app.front))
    for one in app.processes:
        if one.active not in RUNNING:
            yield f"{one.process} {one.label}: {one.active}"
