"""What the last look at each host said of an application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from cartwheel.host.wire.look import AppLook
from cartwheel_monitor import remembered
from cartwheel_monitor.page.reading.projects import Project
from cartwheel_monitor.remembered import LastLook

END = 1e11
"""No time is as late."""


@dataclass(frozen=True)
class Seen:
    """`last`: the last look at the host; `app`: None where it said nothing of the app."""

    host: str
    last: LastLook
    app: Optional[AppLook]


def of_hosts(project: Project) -> list[Seen]:
    """In the order of the project's list. Raises sqlite3.Error."""
    known = remembered.last_looks(project.kept())
    return [_seen(host, known.get(host, LastLook(host)), project.name) for host in project.hosts]


def _seen(host: str, last: LastLook, app: str) -> Seen:
    apps = last.seen.apps if last.seen is not None else ()
    return Seen(host, last, next((one for one in apps if one.app == app), None))


def moment(value: float | None) -> float | None:
    """A time that a host reported; None if it is no valid time."""
    return value if value is not None and 0 < value < END else None
