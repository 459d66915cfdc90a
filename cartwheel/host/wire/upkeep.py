"""Requests that put a host in order, or take an application away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from cartwheel.host.wire.request import Request


@dataclass(frozen=True)
class Repaired:
    """What was left over and is gone now, what would not go, and the releases that a look at
    every file has found damaged."""

    done: Tuple[str, ...]
    left: Tuple[str, ...]
    marked: Tuple[str, ...]


@dataclass(frozen=True)
class Repair(Request[Repaired]):
    """Take away what a fault left."""

    op = "repair"


@dataclass(frozen=True)
class Removed:
    """What went, and what stays."""

    removed: Tuple[str, ...]
    kept: Tuple[str, ...]


@dataclass(frozen=True)
class Uninstall(Request[Removed]):
    """Take the application away; `remove_shared`: its own data too."""

    op = "uninstall"
    remove_shared: bool
