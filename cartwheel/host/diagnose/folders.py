"""Join what is about many files of one folder."""

from __future__ import annotations

from collections import Counter
from typing import Collection, Dict, List, Set

# What is about fewer parts of a path says little: /srv/shop/shared is named, /srv/shop is not,
# unless it has the files itself.
_LEAST_PARTS = 3
_MOST = 3
_ALL = "/*"


def joined(paths: Collection[str]) -> Dict[str, str]:
    """What stands for each path: itself, or `FOLDER/*` if that folder has more of them. Few are
    left, also if each file has a folder of its own."""
    folders = {one[: -len(_ALL)] for one in paths if one.endswith(_ALL)}
    folders |= _common([_parent(one, 1) for one in paths if not one.endswith(_ALL)])
    while True:
        shown = {one: _shown(one, folders) for one in paths}
        level = [*(one.removesuffix(_ALL) for one in set(shown.values()))]
        wider: Set[str] = set()
        while len(level) > _MOST and not wider:
            level = [*filter(None, (_parent(one, _LEAST_PARTS) for one in level))]
            wider = _common(level) - folders
        if not wider:
            return shown
        folders |= wider


def _common(parents: List[str]) -> Set[str]:
    return {one for one, count in Counter(parents).items() if one and count > 1}


def _parent(path: str, least: int) -> str:
    """The folder of a path; "" if that has fewer parts than `least`."""
    folder = path.rpartition("/")[0]
    return folder if folder.startswith("/") and folder.count("/") >= least else ""


def _shown(path: str, folders: Set[str]) -> str:
    """The widest of the folders that has it, or itself."""
    parts = path.split("/")
    for length in range(2, len(parts)):
        folder = "/".join(parts[:length])
        if folder in folders:
            return f"{folder}{_ALL}"
    return path
