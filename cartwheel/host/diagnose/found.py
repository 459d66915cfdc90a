"""What one area of the host shows, and the time that it is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Protocol, Tuple

from cartwheel.host.system.context import Context, OpError
from cartwheel.host.wire.diagnosis import (
    Change,
    Lookup,
    Machine,
    Service,
    Sign,
    Storage,
    Use,
    Visits,
)


@dataclass(frozen=True)
class Window:
    """The time that is asked about, in seconds since the epoch by this host's clock."""

    since: float
    until: float


@dataclass(frozen=True)
class Found:
    """The evidence of one area; see `wire.diagnosis`. `unread`: what it could not look at."""

    signs: Tuple[Sign, ...] = ()
    uses: Tuple[Use, ...] = ()
    visits: Optional[Visits] = None
    storage: Tuple[Storage, ...] = ()
    machine: Optional[Machine] = None
    services: Tuple[Service, ...] = ()
    lookups: Tuple[Lookup, ...] = ()
    changes: Tuple[Change, ...] = ()
    unread: Tuple[str, ...] = ()


class Area(Protocol):
    """A part of the host that is looked at by itself, in a thread of its own."""

    def __call__(self, ctx: Context, window: Window) -> Found:
        """Read, count and group; change nothing. It ends within `SECONDS`."""


# Each area's own limit; what it has not read by then it names in `unread`.
SECONDS = 3.5


def described(error: Exception) -> str:
    """Why something could not be looked at; what nobody foresaw with its type."""
    known = isinstance(error, (OpError, OSError))
    return str(error) if known else f"{type(error).__name__}: {error}"


def together(parts: "Tuple[Found, ...]") -> Found:
    """The evidence of all areas."""
    return Found(
        signs=tuple(one for part in parts for one in part.signs),
        uses=tuple(one for part in parts for one in part.uses),
        visits=next((part.visits for part in parts if part.visits), None),
        storage=tuple(one for part in parts for one in part.storage),
        machine=next((part.machine for part in parts if part.machine), None),
        services=tuple(one for part in parts for one in part.services),
        lookups=tuple(one for part in parts for one in part.lookups),
        changes=tuple(sorted((one for part in parts for one in part.changes), key=_when)),
        unread=tuple(one for part in parts for one in part.unread),
    )


def _when(change: Change) -> float:
    return change.at
