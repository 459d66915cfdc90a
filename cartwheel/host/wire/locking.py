"""Requests about who may change an application: its lock and its freeze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class Mark:
    """Who did it, when (the host's local time, for display only), and why."""

    owner: str = "somebody"
    message: str = ""
    since: str = "?"


@dataclass(frozen=True)
class Locked:
    """`premise`: the host's digest of what a plan is made from."""

    premise: str
    freeze: Optional[Mark]


@dataclass(frozen=True)
class Lock(Request[Locked]):
    """Take the application's lock for the rest of the session. `about_freeze`: this session sets or
    lifts the freeze, so a freeze does not refuse it."""

    op = "lock"
    wait_seconds: float
    about_freeze: bool


@dataclass(frozen=True)
class Unlock(Request[Done]):
    """Release the lock while nothing has been changed under it."""

    op = "unlock"


@dataclass(frozen=True)
class Frozen:
    """`freeze`: the freeze that is now set, or that was lifted."""

    changed: bool
    freeze: Optional[Mark]


@dataclass(frozen=True)
class Freeze(Request[Frozen]):
    """Freeze the application: nobody may change it from now on."""

    op = "hold"


@dataclass(frozen=True)
class Unfreeze(Request[Frozen]):
    """Lift the freeze, no matter who set it."""

    op = "release"


@dataclass(frozen=True)
class Holders:
    """Who holds the lock now, and who froze the application; None: nobody."""

    lock: Optional[Mark]
    freeze: Optional[Mark]


@dataclass(frozen=True)
class AskHolders(Request[Holders]):
    """Ask who holds the lock, and whether the application is frozen."""

    op = "lock-status"
