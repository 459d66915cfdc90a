"""Requests to a balancer host: which hosts are behind it, and which are taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Literal, Optional, Tuple

from cartwheel.host.wire.request import Request
from cartwheel.host.wire.setup import Changes

By = Literal["deploy", "person"]
"""Who took a host out. A host that a person took out comes back only when a person says so."""

Way = Dict[str, str]
"""How a balancer takes one host out: its `kind`, and the fields of that kind."""


@dataclass(frozen=True)
class TakenOut:
    """The mark of a host that is out: who took it out, when (the balancer's local time, for display
    only), why, and how it comes back."""

    by: By
    way: Way
    who: str = ""
    message: str = ""
    since: str = ""


@dataclass(frozen=True)
class Standing:
    """Whether a host gets requests (None: the balancer has no such server), and its mark."""

    is_in: Optional[bool]
    mark: Optional[TakenOut]


@dataclass(frozen=True)
class Standings:
    """States by server. `down` says why the balancer sends no requests at all; "" if it does."""

    hosts: Dict[str, Standing]
    down: str


@dataclass(frozen=True)
class AskStandings(Request[Standings]):
    """Ask which of these hosts are in. In all requests here the keys of `ways` are servers."""

    op = "balancer-look"
    ways: Dict[str, Way]


@dataclass(frozen=True)
class Failed:
    """The hosts that could not be moved, with the reason."""

    failed: Dict[str, str]


@dataclass(frozen=True)
class TakeOut(Request[Failed]):
    """Take hosts out, and wait until they have no requests from here or the time is up."""

    op = "balancer-out"
    ways: Dict[str, Way]
    by: By
    drain_seconds: float


@dataclass(frozen=True)
class PutBack(Request[Failed]):
    """Return hosts, and wait until they get requests or the time is up. A deploy returns only
    the hosts that a deploy took out."""

    op = "balancer-back"
    ways: Dict[str, Way]
    by: By
    wait_seconds: float


@dataclass(frozen=True)
class PlaceSite(Request[Changes]):
    """Make the web server here the balancer of these hosts; hosts that are out stay out.
    `site_changes`: the text of each of its files by path, None to remove it."""

    op = "balancer-setup"
    ways: Dict[str, Way]
    site_changes: Dict[str, Optional[str]]
    server_names: Tuple[str, ...]
