"""The downloads that pip and uv keep: the app user's part of the cache.

No release needs it. It is removed as that user, who owns it and could plant a link for root.
"""

from __future__ import annotations

import os
from typing import List

from cartwheel.host.layout import Layout
from cartwheel.host.state import record
from cartwheel.host.system import children

_REMOVE_SECONDS = 60.0


def size_bytes(at: Layout) -> int:
    """Its size on the disk."""
    return sum(
        os.lstat(os.path.join(folder, name)).st_blocks * 512
        for folder, _folders, names in os.walk(at.cache / "pip")
        for name in names
    )


def empty(at: Layout) -> int:
    """Remove all of it; returns the freed bytes."""
    before = size_bytes(at)
    folder = at.cache / "pip"
    remove(at, [str(folder / name) for name in sorted(os.listdir(folder))])
    return before - size_bytes(at)


def remove(at: Layout, paths: List[str]) -> None:
    """Remove these files and folders in it."""
    known = record.read(at)
    children.run(
        None,
        ["rm", "-rf", "--one-file-system", "--", *paths],
        timeout_seconds=_REMOVE_SECONDS,
        user=known.user if known else None,
    )
