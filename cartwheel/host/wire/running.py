"""Requests about a deployed application: stop it, start it, remove old releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Served:
    """The release, and whether anything changed."""

    changed: bool
    release: str


@dataclass(frozen=True)
class Stop(Request[Served]):
    """Stop serving until `Start`. `drain_seconds`: time limit for the last requests."""

    op = "stop"
    drain_seconds: float


@dataclass(frozen=True)
class Start(Request[Served]):
    """Start serving again, and wait until the app passes its health check."""

    op = "start"
    probe: Probe


@dataclass(frozen=True)
class Pruned:
    """The removed releases, the removed leftovers, and the freed bytes of downloads."""

    removed: Tuple[str, ...]
    cleaned: Tuple[str, ...]
    emptied_bytes: int


@dataclass(frozen=True)
class Prune(Request[Pruned]):
    """Remove all but this many releases, and with `cache` the downloads of pip and uv."""

    op = "prune"
    keep_releases: int
    cache: bool
