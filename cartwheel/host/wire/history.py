"""Releases of a host, and its history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.journal import Entry, Setback
from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Listed:
    """A complete release, read from its manifest; earlier versions wrote less. `cartwheel` is the
    version that made it. `commit`: as in its manifest. `setback`: why it is not live any more."""

    release: str
    version: Optional[str] = None
    seq: Optional[int] = None
    created: Optional[str] = None
    who: Optional[str] = None
    cartwheel: Optional[str] = None
    commit: Optional[str] = None
    setback: Optional[Setback] = None


@dataclass(frozen=True)
class Releases:
    """All complete releases, oldest first; the live one, the previous one, and the rollback target.
    `not_whole`: damaged releases, each with what it lacks."""

    releases: Tuple[Listed, ...]
    current: Optional[str]
    previous: Optional[str]
    rollback: Optional[str]
    not_whole: Dict[str, str]


@dataclass(frozen=True)
class AskReleases(Request[Releases]):
    """List the releases."""

    op = "releases"


@dataclass(frozen=True)
class History:
    """The last lines of the host's journal."""

    entries: Tuple[Entry, ...]


@dataclass(frozen=True)
class AskHistory(Request[History]):
    """Read the last `lines` of the journal."""

    op = "history"
    lines: int
