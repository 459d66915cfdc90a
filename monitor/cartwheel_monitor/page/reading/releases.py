"""The releases that were seen of an application, and how two of them differ."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from cartwheel.host.wire.codec import WireError, from_disk
from cartwheel.host.wire.look import ReleaseLook
from cartwheel_monitor.page.reading import looks
from cartwheel_monitor.page.reading.projects import Project

PAGE = 50
# Of 50 hosts that are deployed to ten times a day, the entries of the last week.
_MOST_ENTRIES = 10_000
_LIVE_ENTRIES = (
    "SELECT json_extract(data, '$.release'), min(at) FROM entries WHERE rowid IN"
    " (SELECT rowid FROM entries WHERE app = ? AND at BETWEEN 1 AND 1e11 ORDER BY at DESC LIMIT ?)"
    " AND CASE WHEN json_valid(data) THEN json_extract(data, '$.result') = 'confirmed'"
    " AND json_extract(data, '$.kind') IN ('deploy', 'rollback') END GROUP BY 1"
)


@dataclass(frozen=True)
class Release:
    """A release. `at`: when it was first live, as far as is known; `made`: None where nobody saw
    what it is made of. `hosts`: where it is live now. `before`: the one that was live first before
    this one."""

    name: str
    at: float
    made: Optional[ReleaseLook] = None
    hosts: tuple[str, ...] = ()
    before: str = ""


@dataclass(frozen=True)
class Seen:
    """A part of the releases, newest first. `names`: all of them. `live`: on most hosts, "" for
    none; `previous`: the one before it. `older`: to be asked for next, None at the end. `trouble`:
    why they cannot be read."""

    releases: tuple[Release, ...] = ()
    names: tuple[str, ...] = ()
    live: str = ""
    previous: str = ""
    older: Optional[float] = None
    trouble: str = ""


def read(project: Project, before: float | None = None) -> Seen:
    """Those that were first live before that time."""
    if not project.store.exists():
        return Seen()
    try:
        with project.reading() as db:
            return _read(project, db, before)
    except (OSError, sqlite3.Error) as error:
        return Seen(trouble=str(error))


def _read(project: Project, db: sqlite3.Connection, before: float | None) -> Seen:
    hosts = _live(project)
    began, order = _order(db, project.name, hosts)
    live = _most(hosts)
    rest = [name for name in order if before is None or began[name] < before]
    shown = rest[:PAGE]
    made = _made(db, project.name, shown)
    earlier = dict(zip(order, order[1:]))
    releases = tuple(
        Release(
            name, began[name], made.get(name), tuple(hosts.get(name, ())), earlier.get(name, "")
        )
        for name in shown
    )
    older = began[shown[-1]] if len(rest) > PAGE else None
    return Seen(releases, tuple(order), live, _previous(order, live), older)


def _order(
    db: sqlite3.Connection, app: str, hosts: Iterable[str]
) -> tuple[dict[str, float], list[str]]:
    """When each release was first live, also those that are live now; and their names, newest
    first."""
    began = {**dict.fromkeys(hosts, 0.0), **_began(db, app)}
    return began, sorted(began, key=lambda name: (began[name], name), reverse=True)


def _most(hosts: Mapping[str, Sequence[str]]) -> str:
    """The release that is live on most hosts."""
    return max(hosts, key=lambda name: len(hosts[name]), default="")


def _live(project: Project) -> dict[str, list[str]]:
    """By release, the hosts where it is live."""
    found: dict[str, list[str]] = {}
    for one in looks.of_hosts(project):
        if one.app is not None and one.app.release:
            found.setdefault(one.app.release, []).append(one.host)
    return found


def _began(db: sqlite3.Connection, app: str) -> dict[str, float]:
    """When each release was first live: by the journals, or when the monitor saw it."""
    asked = "SELECT release, at FROM releases WHERE app = ?"
    found = {str(name): float(at) for name, at in db.execute(asked, (app,))}
    for name, at in db.execute(_LIVE_ENTRIES, (app, _MOST_ENTRIES)):
        if isinstance(name, str):
            found[name] = min(float(at), found.get(name, float(at)))
    return found


def _made(db: sqlite3.Connection, app: str, names: Sequence[str]) -> dict[str, ReleaseLook]:
    marks = ", ".join("?" * len(names))
    rows = db.execute(
        f"SELECT release, data FROM releases WHERE app = ? AND release IN ({marks})",  # noqa: S608 - marks
        (app, *names),
    )
    found: dict[str, ReleaseLook] = {}
    for name, text in rows:
        try:
            found[str(name)] = from_disk(ReleaseLook, json.loads(text))
        except (ValueError, WireError):
            continue
    return found


def _previous(order: Sequence[str], live: str) -> str:
    """The one that was first live before it."""
    older = order[order.index(live) + 1 :] if live in order else []
    return next(iter(older), "")


# Two of them


@dataclass(frozen=True)
class Change:
    """A difference between two releases. `before`, `after`: for people, "" where the page must not
    show the value."""

    name: str
    how: str  # added, removed, changed
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Comparison:
    """How two releases differ. `unknown`: those of them that nobody saw. `parts`: by the name of a
    field of ReleaseLook, None where one of both does not say. `names`: to choose from."""

    before: str
    after: str
    names: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    was: ReleaseLook = field(default_factory=ReleaseLook)
    is_: ReleaseLook = field(default_factory=ReleaseLook)
    parts: Mapping[str, Optional[tuple[Change, ...]]] = field(default_factory=dict)
    trouble: str = ""

    @property
    def is_same(self) -> bool:
        """Nothing is known to differ, and all is known."""
        is_alike = all(part == () for part in self.parts.values())
        return not self.unknown and is_alike and self.was.python == self.is_.python


SHOWN = ("packages", "processes", "timers")
"""The parts whose values are shown; of the others only the names."""
PARTS = ("packages", "settings", "variables", "files", "processes", "timers")
# Each release has some of these.
_NEVER_EMPTY = ("packages", "settings")


def compare(project: Project, before: str, after: str) -> Comparison:
    """`before`, `after`: "" for the one before the live one, and the live one."""
    if not project.store.exists():
        return Comparison(before, after)
    try:
        hosts = _live(project)
        with project.reading() as db:
            _when, order = _order(db, project.name, hosts)
            after = after or _most(hosts)
            before = before or _previous(order, after)
            made = _made(db, project.name, (before, after))
    except (OSError, sqlite3.Error) as error:
        return Comparison(before, after, trouble=str(error))
    unknown = tuple(dict.fromkeys(one for one in (before, after) if one not in made))
    was, is_ = (made.get(one, ReleaseLook()) for one in (before, after))
    parts = {} if unknown else {part: _part(part, was, is_) for part in PARTS}
    return Comparison(before, after, tuple(order), unknown, was, is_, parts)


def _part(part: str, was: ReleaseLook, is_: ReleaseLook) -> tuple[Change, ...] | None:
    old, new = getattr(was, part), getattr(is_, part)
    if part in _NEVER_EMPTY and not (old and new):
        return None
    return tuple(_changes(old, new, is_shown=part in SHOWN))


def _changes(old: Mapping[str, str], new: Mapping[str, str], *, is_shown: bool) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            how = (
                "changed" if name in old and name in new else "added" if name in new else "removed"
            )
            texts = (_shown(some.get(name, "")) if is_shown else "" for some in (old, new))
            yield Change(name, how, *texts)


def _shown(declared: str) -> str:
    """Without what only tells two commands apart."""
    return declared.partition(" #")[0]
