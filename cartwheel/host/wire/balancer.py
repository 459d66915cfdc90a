"""Requests to a host that is a balancer: who is behind it, and who is taken out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Literal, Optional, Tuple

from cartwheel.host.wire.request import Request
from cartwheel.host.wire.setup import Changes

By = Literal["deploy", "person"]
"""Who wants a host out: a person's wish is over only when a person says so."""

Way = Dict[str, str]
"""How a balancer takes one host out: its `kind`, and the fields of that kind."""


@dataclass(frozen=True)
class TakenOut:
    """The mark of a host that is out: by whom, since when (the balancer's local time, for people
    only), why, and the way back."""

    by: By
    way: Way
    who: str = ""
    message: str = ""
    since: str = ""


@dataclass(frozen=True)
class Standing:
    """Whether a host gets requests (None: the balancer does not know it), and its mark."""

    is_in: Optional[bool]
    mark: Optional[TakenOut]


@dataclass(frozen=True)
class Standings:
    """By server. `down` says why the balancer itself sends nothing to anybody; "" if it does."""

    hosts: Dict[str, Standing]
    down: str


@dataclass(frozen=True)
class AskStandings(Request[Standings]):
    """Ask which of these hosts are in. As in all requests here, `ways` are by server."""

    op = "balancer-look"
    ways: Dict[str, Way]


@dataclass(frozen=True)
class Failed:
    """Why these hosts are not where they should be."""

    failed: Dict[str, str]


@dataclass(frozen=True)
class TakeOut(Request[Failed]):
    """Take hosts out, and wait until they have no requests from here, at most so long."""

    op = "balancer-out"
    ways: Dict[str, Way]
    by: By
    drain_seconds: float


@dataclass(frozen=True)
class PutBack(Request[Failed]):
    """Put hosts back, and wait until they get requests, at most so long; for a deploy only those
    that a deploy took out."""

    op = "balancer-back"
    ways: Dict[str, Way]
    by: By
    wait_seconds: float


@dataclass(frozen=True)
class PlaceSite(Request[Changes]):
    """Make the web server here the balancer of these hosts; those that are out stay out.
    `site_changes`: its files' texts by path, None for "goes away"."""

    op = "balancer-setup"
    ways: Dict[str, Way]
    site_changes: Dict[str, Optional[str]]
    server_names: Tuple[str, ...]
