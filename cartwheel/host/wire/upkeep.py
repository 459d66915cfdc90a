"""Requests that repair a host, or remove an application from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Repaired:
    """Leftovers that were removed, leftovers that could not be removed, and releases that a check
    of every file found damaged."""

    done: Tuple[str, ...]
    left: Tuple[str, ...]
    marked: Tuple[str, ...]


@dataclass(frozen=True)
class Repair(Request[Repaired]):
    """Remove leftovers of interrupted runs."""

    op = "repair"


@dataclass(frozen=True)
class Removed:
    """What was removed, and what remains."""

    removed: Tuple[str, ...]
    kept: Tuple[str, ...]


@dataclass(frozen=True)
class Uninstall(Request[Removed]):
    """Remove the application; `remove_shared`: its data too. `now`: kill what still works."""

    op = "uninstall"
    remove_shared: bool
    now: bool
