"""Marks that a person leaves on a host, and that every later run respects."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stopped:
    """`fab stop`: who, why, and since when (the host's local time, for people only)."""

    who: str = "somebody"
    message: str = ""
    since: str = "?"
