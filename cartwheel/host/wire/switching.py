"""Requests about a switch to another release, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Literal, Optional, Tuple

from cartwheel.host.wire.assigned import Assigned
from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.processes import Row
from cartwheel.host.wire.request import Done, Request
from cartwheel.host.wire.served import Served


@dataclass(frozen=True)
class Limits:
    """Limits that real traffic must stay below (settings: deploy)."""

    max_error_percent: float
    error_min_requests: int
    max_worker_restarts: int


@dataclass(frozen=True)
class Switched:
    """The id of the pending switch; the confirmation names it."""

    id: str


@dataclass(frozen=True)
class Switch(Request[Switched]):
    """Move the traffic to `release` and watch it. `fresh`: it was made for this switch.
    `site_changes`: the web server's files, by path (None: remove it). `settings`: keyed digests of
    the settings that it is deployed with; None: this run sends none. `assigned`: what runs here
    from now on; None: what runs here already."""

    op = "switch"
    kind: Literal["deploy", "rollback", "restart"]
    release: str
    version: str
    fresh: bool
    site_changes: Dict[str, Optional[str]]
    listen: int
    served: Served
    probe: Probe
    watch_seconds: float
    limits: Limits
    confirm_seconds: float
    keep_releases: int
    settings: Optional[Dict[str, str]]
    assigned: Optional[Assigned]


@dataclass(frozen=True)
class Watch(Request[Done]):
    """Watch the switched release in real traffic for this long."""

    op = "watch"
    seconds: float


@dataclass(frozen=True)
class Confirm(Request[Done]):
    """Confirm the switch of this id: the point of no return."""

    op = "confirm"
    id: str


@dataclass(frozen=True)
class Finished:
    """The instances, besides web, that still finish their jobs, and the number of connections that
    the old web instance had when it was asked to stop."""

    draining: Tuple[Row, ...] = ()
    connections: int = 0


@dataclass(frozen=True)
class Finish(Request[Finished]):
    """Do what remains after the confirmation: drain, stop, prune."""

    op = "finish"


@dataclass(frozen=True)
class WentBack:
    """Whether the host rolled back, now or before, and its live release."""

    reverted: bool
    serves: Optional[str]


@dataclass(frozen=True)
class GoBack(Request[WentBack]):
    """Roll back a switch that is not confirmed; a release that `is_bad` is removed."""

    op = "go-back"
    reason: str
    is_bad: bool


@dataclass(frozen=True)
class Unchanged(Request[Done]):
    """Record that this release is live already; now it comes from `commit`. What of it is down is
    started, and checked with the `probe`. `holders`: as in `Assigned`; None: as they are."""

    op = "unchanged"
    release: str
    version: str
    commit: str
    probe: Optional[Probe]
    holders: Optional[Dict[str, str]]
