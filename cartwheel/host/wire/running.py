"""Requests about an application that is deployed: stop it, start it, take away what is old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Served:
    """Which release it is about, and whether anything is different now."""

    changed: bool
    release: str


@dataclass(frozen=True)
class Stop(Request[Served]):
    """Stop serving, until `Start`. `drain_seconds`: what its last requests may take."""

    op = "stop"
    drain_seconds: float


@dataclass(frozen=True)
class Start(Request[Served]):
    """Serve again, and wait until it answers the probe."""

    op = "start"
    probe: Probe


@dataclass(frozen=True)
class Pruned:
    """The releases that went, what else was left over and went, and bytes of downloads."""

    removed: Tuple[str, ...]
    cleaned: Tuple[str, ...]
    emptied_bytes: int


@dataclass(frozen=True)
class Prune(Request[Pruned]):
    """Take away releases beyond these, and with `cache` what pip and uv have downloaded."""

    op = "prune"
    keep_releases: int
    cache: bool
