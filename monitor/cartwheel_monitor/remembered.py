"""What the page shows of looks and probes beside numbers: the last of each, the entries of the
hosts' journals, and what releases are made of. Written by the watcher, read by the page."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Optional, TypeVar

from cartwheel.host.wire.codec import WireError, from_disk, to_json
from cartwheel.host.wire.journal import Entry
from cartwheel.host.wire.look import HostLook, ReleaseLook
from cartwheel_monitor import database
from cartwheel_monitor.observations import Look, Probe

R = TypeVar("R")
LOOK, PROBE = "look:", "probe:"
"""How their keys in the store begin; then the host's name, or the site's address."""
_ADD_ENTRY = "INSERT OR IGNORE INTO entries (app, host, seq, at, data) VALUES (?, ?, ?, ?, ?)"
_ADD_RELEASE = "INSERT OR IGNORE INTO releases (app, release, at, data) VALUES (?, ?, ?, ?)"
# A host notes the settings after its journal says that the release is live, and with a restart.
_SET_RELEASE = (
    "INSERT INTO releases (app, release, at, data) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (app, release) DO UPDATE SET data = excluded.data"
)


@dataclass(frozen=True)
class LastLook:
    """The last look at a host. `problem`: why it was not answered, "" if it was; then `seen` is of
    the last one that was answered, at `seen_at`."""

    host: str
    at: float = 0.0
    seconds: float = 0.0
    problem: str = ""
    seen_at: float = 0.0
    seen: Optional[HostLook] = None


@dataclass(frozen=True)
class Happened:
    """A line of the journal of an app on a host."""

    app: str
    host: str
    at: float
    entry: Entry


def look_text(look: Look, answered: Look | None) -> str:
    """`answered`: the last look at this host that was."""
    fields: dict[str, object] = {"at": look.at, "seconds": look.seconds, "problem": look.problem}
    if answered is not None and answered.seen is not None:
        fields["seen_at"] = answered.at
        fields["seen"] = to_json(_alone(answered.seen))
    return _text(fields)


def _text(fields: object) -> str:
    """What a host says may have halves of characters, which nothing can show."""
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace").decode()


def _alone(seen: HostLook) -> HostLook:
    """Without what is kept elsewhere."""
    apps = (replace(one, entries=(), past=(), requests=None, live=None) for one in seen.apps)
    return replace(seen, apps=tuple(apps), cursor="")


def probe_text(probe: Probe) -> str:
    fields = {name: getattr(probe, name) for name in _PROBE}
    return _text(fields)


_PROBE = ("app", "at", "status", "seconds", "problem", "site", "until", "valid_from")


def write(db: sqlite3.Connection, look: Look) -> None:
    """Keep the entries and releases that a look brought."""
    for app in look.seen.apps if look.seen else ():
        for entry in (*app.past, *app.entries):
            at = entry.at if entry.at is not None else look.at
            seq = database.fitting(entry.seq or 0)
            row = (app.app, look.host, seq, at, _text(to_json(entry)))
            db.execute(_ADD_ENTRY, row)
        if app.live is not None:
            data = _text(to_json(app.live))
            adding = _SET_RELEASE if app.live.settings else _ADD_RELEASE
            db.execute(adding, (app.app, database.text(app.live.release), look.at, data))


# For the page


def last_looks(kept: Mapping[str, str]) -> dict[str, LastLook]:
    """By host, out of the store's texts; what cannot be read is left out."""
    found: dict[str, LastLook] = {}
    for key, text in kept.items():
        if key.startswith(LOOK):
            host = key[len(LOOK) :]
            try:
                found[host] = from_disk(LastLook, {"host": host, **json.loads(text)})
            except (ValueError, TypeError, WireError):
                continue
    return found


def last_probes(kept: Mapping[str, str]) -> dict[str, Probe]:
    """By the site's address; what cannot be read is left out."""
    found: dict[str, Probe] = {}
    for key, text in kept.items():
        if key.startswith(PROBE):
            try:
                found[key[len(PROBE) :]] = Probe(**json.loads(text))
            except (ValueError, TypeError):
                continue
    return found


def entries(
    db: sqlite3.Connection, app: str, since: float, until: float, most: int = 2000
) -> list[Happened]:
    """What happened to an app within these times, newest first. Raises sqlite3.Error."""
    rows = db.execute(
        "SELECT host, at, data FROM entries WHERE app = ? AND at >= ? AND at < ?"
        " ORDER BY at DESC, seq DESC LIMIT ?",
        (app, since, until, most),
    )
    return [
        Happened(app, str(host), float(at), one)
        for host, at, text in rows
        for one in _records(Entry, [text])
    ]


def releases(db: sqlite3.Connection, app: str) -> list[tuple[float, ReleaseLook]]:
    """When each release was first seen, and what it is made of; newest first. Raises
    sqlite3.Error."""
    rows = db.execute("SELECT at, data FROM releases WHERE app = ? ORDER BY at DESC", (app,))
    return [(float(at), one) for at, text in rows for one in _records(ReleaseLook, [text])]


def release(db: sqlite3.Connection, app: str, name: str) -> ReleaseLook | None:
    """What that release is made of; None if that was never seen. Raises sqlite3.Error."""
    rows = db.execute("SELECT data FROM releases WHERE app = ? AND release = ?", (app, name))
    return next(_records(ReleaseLook, (str(row[0]) for row in rows)), None)


def read_entries(texts: Iterable[str]) -> Iterator[Entry]:
    """Those of them that this version can read."""
    return _records(Entry, texts)


def _records(kind: type[R], texts: Iterable[str]) -> Iterator[R]:
    """Those that this version can read."""
    for text in texts:
        try:
            yield from_disk(kind, json.loads(text))
        except (ValueError, WireError):
            continue
