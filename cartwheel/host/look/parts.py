"""Checks that several operations of this room share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional, Tuple

from cartwheel.host.layout import Layout
from cartwheel.host.release import leftovers
from cartwheel.host.state import freeze
from cartwheel.host.wire.locking import Mark


def free_on(path: Path) -> Tuple[int, int]:
    """Free bytes and inodes on the file system of `path`, or of its nearest parent."""
    status = os.statvfs(existing(path))
    # Some file systems have no fixed number of inodes and report 0 of 0; some report no fragments.
    inodes = status.f_favail if status.f_files else 1 << 32
    size = status.f_frsize or status.f_bsize
    return status.f_bavail * size, inodes


def existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def left_over(at: Layout) -> Tuple[Optional[Mark], Tuple[str, ...]]:
    """Who holds the lock, and the leftovers; none while a session is at work, because what it is
    making is not a leftover."""
    lock = freeze.holder(at)
    return lock, () if lock else tuple(one.text for one in leftovers.find(at))
