"""One line of a host's history: what was done, by whom, with what result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Entry:
    """`seq` is the order and `at` the time (seconds since the epoch, for display only); the journal
    sets both. `from_`: the live release before a switch. `switch`: the switch's id. `since`: when
    the app was stopped, as text. `commit`: as in the release's manifest. `process`: those that were
    stopped, started or restarted alone. `connections`: what was open when a release was asked to
    stop. Earlier versions and other operations write less."""

    sparse = True
    seq: Optional[int] = None
    at: Optional[float] = None
    kind: Optional[str] = None
    release: Optional[str] = None
    version: Optional[str] = None
    result: Optional[str] = None
    who: Optional[str] = None
    message: Optional[str] = None
    from_: Optional[str] = None
    switch: Optional[str] = None
    since: Optional[str] = None
    reason: Optional[str] = None
    commit: Optional[str] = None
    process: Optional[str] = None
    connections: Optional[int] = None


@dataclass(frozen=True)
class Setback:
    """Why a release is not live, by the last line about it: its deploy `failed`, or was `reverted`
    after the switch; or it was live, and somebody left it by a `rollback`."""

    how: str
    ago_seconds: float
    who: str
    reason: str
