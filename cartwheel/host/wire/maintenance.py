"""Requests that close the site for visitors, and open it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from cartwheel.host.wire.health import Probe
from cartwheel.host.wire.marks import Maintenance
from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Closed:
    """`was`: the mark before, None if the site was open; `now`: the mark after. `reloaded`: the web
    server read its configuration again."""

    was: Optional[Maintenance]
    now: Maintenance
    reloaded: bool


@dataclass(frozen=True)
class Opened:
    """The same for a site that is open now. `note`: what could not be done, "" for nothing."""

    was: Optional[Maintenance]
    reloaded: bool
    note: str


@dataclass(frozen=True)
class CloseSite(Request[Closed]):
    """Visitors get these `pages` (name -> text) from now on. `included`: what the site includes for
    minutes and addresses (name -> text). A visitor's request to the port `listen` with the host of
    the `probe` must show it; else everything is as before."""

    op = "maintenance-on"
    pages: Dict[str, str]
    included: Dict[str, str]
    minutes: int
    allow: Tuple[str, ...]
    probe: Probe
    listen: int


@dataclass(frozen=True)
class OpenSite(Request[Opened]):
    """Visitors reach the application again."""

    op = "maintenance-off"
