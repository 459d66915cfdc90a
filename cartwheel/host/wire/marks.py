"""Marks that a person sets on a host; every later run respects them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stopped:
    """The mark of `fab stop`: who, why, and when (the host's local time, for display only)."""

    who: str = "somebody"
    message: str = ""
    since: str = "?"
