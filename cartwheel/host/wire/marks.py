"""Marks that a person sets on a host; every later run respects them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class Stopped:
    """The mark of `fab stop`: who, why, and when (the host's local time, for display only)."""

    who: str = "somebody"
    message: str = ""
    since: str = "?"


@dataclass(frozen=True)
class Maintenance:
    """The mark of `fab maintenance.on`; `who`, `message` and `since` as in `Stopped`. `minutes`
    until visitors should try again, 0 for the usual time. `allow`: addresses and networks that see
    the app all the same."""

    who: str = "somebody"
    message: str = ""
    since: str = "?"
    minutes: int = 0
    allow: Tuple[str, ...] = ()
