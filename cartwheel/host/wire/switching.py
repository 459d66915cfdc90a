"""Requests about a switch: to another release, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Literal, Optional

from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class Limits:
    """What is still well in real traffic (settings: deploy)."""

    max_error_percent: float
    error_min_requests: int
    max_worker_restarts: int


@dataclass(frozen=True)
class Switched:
    """The switch is pending; a confirmation names it."""

    id: str


@dataclass(frozen=True)
class Switch(Request[Switched]):
    """Move the traffic to `release` and watch it. `fresh`: it was made for this. `site_changes` are
    the web server's files, by path (None: it goes away). `settings` are those that it is deployed
    with, each as a keyed digest; None: the run does not bring them."""

    op = "switch"
    kind: Literal["deploy", "rollback", "restart"]
    release: str
    version: str
    fresh: bool
    site_changes: Dict[str, Optional[str]]
    listen: int
    static_dir: Optional[str]
    probe: Probe
    watch_seconds: float
    limits: Limits
    confirm_seconds: float
    keep_releases: int
    settings: Optional[Dict[str, str]]


@dataclass(frozen=True)
class Watch(Request[Done]):
    """Watch what has switched for so long in its traffic."""

    op = "watch"
    seconds: float


@dataclass(frozen=True)
class Confirm(Request[Done]):
    """Confirm the switch of this id: the point of no return."""

    op = "confirm"
    id: str


@dataclass(frozen=True)
class Finish(Request[Done]):
    """Do what remains after the confirmation."""

    op = "finish"


@dataclass(frozen=True)
class WentBack:
    """Whether the host went back, now or before, and what it serves."""

    reverted: bool
    serves: Optional[str]


@dataclass(frozen=True)
class GoBack(Request[WentBack]):
    """Go back from a switch that is not confirmed; a release that `is_bad` does not stay."""

    op = "go-back"
    reason: str
    is_bad: bool


@dataclass(frozen=True)
class Unchanged(Request[Done]):
    """Note that the host serves this release already."""

    op = "unchanged"
    release: str
    version: str
