"""What was done to an application: the entries of its hosts' journals, put together to runs.

No entry names its run. Entries of one kind of run, release and person that are not far apart belong
together, as long as no host would end it twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from cartwheel.host.wire.journal import Entry
from cartwheel_monitor import remembered
from cartwheel_monitor.page.reading import looks
from cartwheel_monitor.page.reading.projects import Project
from cartwheel_monitor.remembered import Happened
from cartwheel_monitor.rules import deploys

PAGE = 25
APART_SECONDS = 3600.0
_AROUND_SECONDS = 6 * APART_SECONDS
_MOST_ENTRIES = 2000
# A clock is not read at the moment when a file gets its time.
_CLOCK_SECONDS = 2.0
_RECOVER = "cartwheel recover"
# Entries that are a part of a deploy, before it ends on its host, and after.
_BEFORE, _AFTER = ("migrate",), ("drain",)
_ENTRIES = (
    "SELECT host, at, data FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE app = ?"
    " AND at >= ? AND at < ? ORDER BY at DESC, seq DESC LIMIT ?) ORDER BY at DESC, seq DESC"
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended on a host. `how`: an entry's result, or `killed`, `running`, `begun` (and
    that is all the host knows)."""

    host: str
    how: str
    at: float
    reason: str = ""


@dataclass(frozen=True)
class Run:
    """`id`: names it, "" for one that has made no entry yet. `began`: of its first entry, or when
    it took the first lock. `entries`: oldest first. `locked`: the hosts on which it works now."""

    id: str
    kind: str
    began: float
    ended: float
    entries: tuple[Happened, ...]
    outcomes: tuple[Outcome, ...]
    locked: tuple[str, ...] = ()

    @property
    def lasted(self) -> float | None:
        """None where only its end is known, as of most runs."""
        is_begin_known = any(
            one.at > self.began or not one.entry.result or one.entry.kind in _BEFORE
            for one in self.entries[:1]
        )
        return self.ended - self.began if is_begin_known and self.ended > self.began else None

    def said(self, name: str) -> str:
        """What the first entry that has this field says."""
        found = (getattr(one.entry, name) for one in self.entries if one.entry.kind not in _AFTER)
        return next((str(one) for one in found if one), "")

    @property
    def ends(self) -> list[tuple[str, list[str]]]:
        """The hosts by how it ended there; what went wrong first."""
        found: dict[str, list[str]] = {}
        for one in sorted(self.outcomes, key=lambda one: (_ORDER.get(one.how, 0), one.host)):
            found.setdefault(one.how, []).append(one.host)
        return list(found.items())


_ORDER = {"failed": -5, "reverted": -4, "killed": -3, "begun": -2, "running": -1}


@dataclass(frozen=True)
class Runs:
    """Newest first. `now`: those that work on it. `older`: to be asked for next, None at the end.
    `trouble`: why they cannot be read."""

    now: tuple[Run, ...] = ()
    runs: tuple[Run, ...] = ()
    older: Optional[float] = None
    trouble: str = ""


def read(project: Project, before: float | None = None) -> Runs:
    """Those that began before that time."""
    if not project.store.exists():
        return Runs()
    try:
        locked = _locked(project)
        with project.reading() as db:
            until = looks.END if before is None else before + APART_SECONDS
            happened = _entries(db, project.name, 1.0, until, _MOST_ENTRIES)
    except (OSError, sqlite3.Error) as error:
        return Runs(trouble=str(error))
    found = together(happened, locked)
    now = [one for one in found if one.locked]
    rest = [one for one in found if not one.locked and (before is None or one.began < before)]
    is_cut = len(happened) == _MOST_ENTRIES
    if is_cut:  # of the oldest ones the beginning may be missing
        whole = [one for one in rest if one.began > happened[-1].at + APART_SECONDS]
        rest = whole or rest[:PAGE]
    shown = rest[:PAGE]
    older = shown[-1].began if shown and (is_cut or len(rest) > PAGE) else None
    return Runs(tuple(now) if before is None else (), tuple(shown), older)


def find(project: Project, id_: str) -> Run | str | None:
    """The run with an entry of that id; why it cannot be read; None where there is none."""
    at, _minus, _seq = id_.partition("-")
    if not at.isdecimal() or len(at) > len(str(int(looks.END * 1000))):
        return None
    if not project.store.exists():
        return None
    when = int(at) / 1000
    try:
        locked = _locked(project)
        with project.reading() as db:
            since, until = when - _AROUND_SECONDS, when + _AROUND_SECONDS
            happened = _entries(db, project.name, since, until, _MOST_ENTRIES)
    except (OSError, sqlite3.Error) as error:
        return str(error)
    for run in together(happened, locked):
        if any(_id(one) == id_ for one in run.entries):
            return run
    return None


def _entries(
    db: sqlite3.Connection, app: str, since: float, until: float, most: int
) -> list[Happened]:
    """Newest first. (The inner question is answered by the index alone.)"""
    rows = db.execute(_ENTRIES, (app, since, until, most))
    return [
        Happened(app, str(host), float(at), one)
        for host, at, text in rows
        for one in remembered.read_entries([str(text)])
    ]


def _locked(project: Project) -> dict[str, float | None]:
    """The hosts on which a run holds the lock, and since when."""
    return {
        one.host: looks.moment(one.app.locked_since)
        for one in looks.of_hosts(project)
        if one.app is not None and one.app.locked and not one.last.problem
    }


def _id(one: Happened) -> str:
    return f"{int(one.at * 1000)}-{one.entry.seq or 0}"


# Putting them together


@dataclass
class _Growing:
    kind: str
    release: str
    who: str
    message: str
    last: float
    entries: list[Happened] = field(default_factory=list)
    ended: dict[str, Happened] = field(default_factory=dict)

    def takes(self, one: Happened) -> bool:
        entry = one.entry
        if one.at - self.last > APART_SECONDS:
            return False
        if not _is_alike(self.who, entry.who or "") or not _is_alike(
            self.message, entry.message or ""
        ):
            return False
        if entry.kind in _AFTER:
            return one.host in self.ended
        is_same = self.kind == _kind(entry) and _is_alike(self.release, entry.release or "")
        return is_same and one.host not in self.ended and not self.has(one)

    def has(self, one: Happened) -> bool:
        """Whether the host has said this: then it says it of another run."""
        said = (one.host, one.entry.kind, one.entry.result)
        return any((each.host, each.entry.kind, each.entry.result) == said for each in self.entries)

    def add(self, one: Happened) -> None:
        entry = one.entry
        self.entries.append(one)
        self.last = one.at
        self.release = self.release or entry.release or ""
        self.message = self.message or entry.message or ""
        is_end = entry.result and entry.kind not in _AFTER
        if is_end and not (entry.kind in _BEFORE and entry.result == "done"):
            self.ended[one.host] = one


def _kind(entry: Entry) -> str:
    return "deploy" if entry.kind in _BEFORE else entry.kind or "?"


def _is_alike(first: str, second: str) -> bool:
    """What one of both does not say is no difference; a host that recovers acts for somebody."""
    return first == second or not (first and second) or _RECOVER in (first, second)


def together(happened: Iterable[Happened], locked: Mapping[str, float | None]) -> list[Run]:
    """The runs of these entries (of any order), newest first; before them the one that goes on.
    `locked`: by host, since when a run holds the lock now."""
    growing: list[_Growing] = []
    recent: list[_Growing] = []
    for one in sorted(happened, key=lambda one: (one.at, one.entry.seq or 0)):
        recent = [each for each in recent if one.at - each.last <= APART_SECONDS]
        run = next((each for each in reversed(recent) if each.takes(one)), None)
        if run is None:
            entry = one.entry
            run = _Growing(_kind(entry), "", entry.who or "", "", one.at)
            growing.append(run)
            recent.append(run)
        run.add(one)
    working = _working(growing, locked)
    since = _since(locked)
    found = [_run(one, working.get(id(one), ()), since) for one in growing]
    if locked and not working:
        found.append(_unnamed(locked))
    return sorted(found, key=lambda one: (bool(one.locked), one.began), reverse=True)


def _working(
    growing: Sequence[_Growing], locked: Mapping[str, float | None]
) -> dict[int, tuple[str, ...]]:
    """The run that holds the locks, if it has made an entry since then: the newest such one."""
    for run in reversed(growing):
        for one in run.entries:
            since = locked.get(one.host)
            if one.host not in locked:
                continue
            is_open = since is None and one.host not in run.ended and run is growing[-1]
            if is_open or (since is not None and one.at >= since - _CLOCK_SECONDS):
                return {id(run): tuple(sorted(locked))}
    return {}


def _since(locked: Mapping[str, float | None]) -> float | None:
    """When the first of these locks was taken."""
    return min((at for at in locked.values() if at is not None), default=None)


def _run(one: _Growing, locked: tuple[str, ...], since: float | None) -> Run:
    hosts = dict.fromkeys([*(each.host for each in one.entries), *locked])
    outcomes = tuple(_outcome(one, host, host in locked) for host in hosts)
    first, last = one.entries[0], [each for each in one.entries if each.entry.kind not in _AFTER]
    ended = (last or one.entries)[-1].at
    began = min(first.at, since) if locked and since is not None else first.at
    return Run(_id(first), one.kind, began, ended, tuple(one.entries), outcomes, locked)


def _outcome(one: _Growing, host: str, is_locked: bool) -> Outcome:
    end = one.ended.get(host)
    if end is not None:
        reason, how = end.entry.reason or "", end.entry.result or "?"
        is_killed = how in ("failed", "reverted") and deploys.is_killed(reason)
        return Outcome(host, "killed" if is_killed else how, end.at, reason)
    own = [each for each in one.entries if each.host == host]
    at = own[-1].at if own else one.last
    if is_locked:
        return Outcome(host, "running", at)
    is_after = bool(own) and all(each.entry.kind in _AFTER for each in own)
    return Outcome(host, "done" if is_after else "begun", at)


def _unnamed(locked: Mapping[str, float | None]) -> Run:
    """What works on the hosts, and has made no entry yet."""
    since = _since(locked) or 0.0
    outcomes = tuple(Outcome(host, "running", at or since) for host, at in sorted(locked.items()))
    return Run("", "", since, since, (), outcomes, tuple(sorted(locked)))
