"""Requests about who may change an application: its lock, and a deliberate freeze."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from cartwheel.host.wire.request import Done, Request


@dataclass(frozen=True)
class Mark:
    """Who did it, since when (the host's local time, for people only), and why."""

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
    """Take the application's lock for the rest of the session. `about_freeze`: the freeze itself
    is what this session is about, so it does not refuse."""

    op = "lock"
    wait_seconds: float
    about_freeze: bool


@dataclass(frozen=True)
class Unlock(Request[Done]):
    """Give the lock back while nothing has been changed under it."""

    op = "unlock"


@dataclass(frozen=True)
class Frozen:
    """`freeze`: what it is now, or was before it was released."""

    changed: bool
    freeze: Optional[Mark]


@dataclass(frozen=True)
class Freeze(Request[Frozen]):
    """Nobody may change the application from now on."""

    op = "hold"


@dataclass(frozen=True)
class Unfreeze(Request[Frozen]):
    """Lift the freeze, whoever set it."""

    op = "release"


@dataclass(frozen=True)
class Holders:
    """Who holds the lock now, and the freeze; None where nobody does."""

    lock: Optional[Mark]
    freeze: Optional[Mark]


@dataclass(frozen=True)
class AskHolders(Request[Holders]):
    """Ask who holds the lock and the freeze."""

    op = "lock-status"
